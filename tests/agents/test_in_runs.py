"""Agents in runs: every turn and tool call is recorded once, counted, limited, stopped and resumed."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Annotated, Any

import pytest
from pydantic import BaseModel

from graphengine import END, START, Agent, Context, Graph, Limits, Retry, RunFailed, Runner, ScriptedModel, iterations
from graphengine.agents import TextDelta
from graphengine.agents.tools import tool
from graphengine.agents.window import Window
from graphengine.engine.steps import Step
from graphengine.errors import BadAnswer, CompileError, DefinitionError, InputError, ModelUnreachable, RateLimited
from graphengine.models import Message, Request, Response
from graphengine.models.scripted import calls
from graphengine.reducers import append, extend
from graphengine.runner import StepRecorded
from graphengine.testing import FakeClock
from tests.agents.run_kits import add
from tests.kit.facts import said


class Work(BaseModel):
    """The state that agents read and write."""

    task: str = "rhyme"
    draft: str = ""
    other: str = ""
    count: int = 0
    messages: Annotated[list[Message], extend] = []
    memories: dict[str, list[Message]] = {}
    single: Annotated[list[Message], append] = []


def answer(text: str, cost_usd: float | None = 0.25, tokens: int = 10) -> Response:
    """Return an answer that costs something."""
    return Response(text, input_tokens=tokens, output_tokens=tokens, cost_usd=cost_usd, model="acme:big")


def wanting(*wanted: tuple[str, Mapping[str, object]], cost_usd: float = 0.25) -> Response:
    """Return a turn that calls tools and costs something."""
    made = calls(*wanted)
    return Response("", made.calls, "tools", input_tokens=10, output_tokens=10, cost_usd=cost_usd, model="acme:big")


def graph_of(agent: Any, **options: Any) -> Graph[Work]:
    """Return a graph of one node."""
    graph = Graph("g", Work, resources={"ledger": list})
    graph.add_node("write", agent, **{"writes": "draft", **options})
    graph.add_path(START, "write", END)
    return graph


async def steps_of(runner: Runner, run_id: str) -> list[Step]:
    """Return the steps of the log."""
    return list(await runner.history(run_id))


# -- turns are recorded work


async def test_each_turn_and_tool_call_is_a_step_with_what_it_cost() -> None:
    """The node's own step does not repeat it, and the run's usage is the sum."""
    script = [wanting(("add", {"first": 1, "second": 2}), ("add", {"first": 3, "second": 4})), answer("ten")]
    model = ScriptedModel(script)
    async with Runner(models={"writer": model}) as runner:
        run = runner.start(graph_of(Agent("writer", prompt="{task}", tools=[add])))
        result = await run.result()
        steps = await steps_of(runner, run.id)
    assert result.state.draft == "ten"
    assert [said(step).get("name", step.kind) for step in steps] == [
        "started", "turn", "tool add", "tool add", "turn", "node",
    ]  # fmt: skip
    assert [said(step)["usage"]["cost_usd"] for step in steps if "usage" in said(step)] == [0.25, 0.25]
    assert said(steps[1])["by"] == {"agent": "writer", "model": "acme:big"}
    assert (result.usage.calls, result.usage.cost_usd, result.usage.input_tokens) == (2, 0.5, 20)
    assert [(m.role, m.text) for m in model.requests[1].messages][2:] == [("tool", "3"), ("tool", "7")]


async def test_what_was_recorded_before_a_failure_is_not_asked_again() -> None:
    """A call that may have been paid fails its attempt; the next one continues, when the server allows it."""
    script = [
        wanting(("add", {"first": 1, "second": 2})),
        ModelUnreachable("the connection broke", retry_after_seconds=90.0),
        answer("3"),
    ]
    model = ScriptedModel(script)
    async with Runner(models={"writer": model}, clock=FakeClock(start=1000.0)) as runner:
        run = runner.start(graph_of(Agent("writer", prompt="{task}", tools=[add])))
        result = await run.result()
        steps = await steps_of(runner, run.id)
    assert result.state.draft == "3"
    (failed,) = [step for step in steps if step.kind == "attempt"]
    assert (said(failed)["error"]["kind"], said(failed)["due_at"] - failed.at) == ("model_unreachable", 90.0)
    assert [said(step)["name"] for step in steps if step.kind == "recorded"] == ["turn", "tool add", "turn"]
    assert len(model.requests) == 3


async def test_an_error_that_does_not_pass_is_not_tried_again() -> None:
    """Neither a permanent error of a model nor the node's own error is retried, unless the node sets retries."""
    model = ScriptedModel([BadAnswer("no use")])
    async with Runner(models={"writer": model}) as runner:
        with pytest.raises(RunFailed, match="no use"):
            await runner.start(graph_of(Agent("writer", prompt="{task}"))).result()
    assert len(model.requests) == 1


async def test_a_bad_answer_goes_back_to_the_model_and_stays_in_the_log() -> None:
    """The model gets the problem; if it persists the node fails, and every raw answer is in the log."""
    script = ["many", "few", "none"]
    model = ScriptedModel(script)
    async with Runner(models={"writer": model}) as runner:
        run = runner.start(graph_of(Agent("writer", prompt="{task}", output=int), writes="count"))
        with pytest.raises(RunFailed, match="bad_answer"):
            await run.result()
        steps = await steps_of(runner, run.id)
    assert [said(step)["value"]["text"] for step in steps if step.kind == "recorded"] == script
    assert "cannot be used" in model.requests[1].prompt


async def test_a_check_sends_an_answer_back() -> None:
    """The model gets its ValueError; it may read fields of the state."""

    def long_enough(draft: str, task: str) -> None:
        if task not in draft:
            raise ValueError(f"it has to be about {task}")

    model = ScriptedModel(["no", "a rhyme"])
    agent = Agent("writer", prompt="Write.", check=long_enough)
    async with Runner(models={"writer": model}) as runner:
        result = await runner.start(graph_of(agent)).result()
    assert result.state.draft == "a rhyme"
    assert "it has to be about rhyme" in model.requests[1].prompt


async def test_a_model_that_never_stops_calling_tools_is_stopped() -> None:
    """A model that keeps calling tools is stopped after the agent's turns, and one turn in which it had to answer."""
    model = ScriptedModel(lambda request: calls(("add", {"first": 1, "second": 1})))
    async with Runner(models={"writer": model}) as runner:
        with pytest.raises(RunFailed, match="called tools for 3 turns"):
            await runner.start(graph_of(Agent("writer", prompt="{task}", tools=[add], turns=3))).result()
    assert len(model.requests) == 5


@pytest.mark.parametrize(
    ("stop", "kind"), [("cut", "answer_cut"), ("refused", "answer_refused"), ("full", "context_full")]
)
async def test_an_answer_that_is_no_use_has_an_error_of_its_own(stop: Any, kind: str) -> None:
    """The raw answer is in the log, and its cost is counted."""
    model = ScriptedModel([Response("half an", stop=stop, why="policy", cost_usd=0.5, output_tokens=7)])
    async with Runner(models={"writer": model}) as runner:
        run = runner.start(graph_of(Agent("writer", prompt="{task}", max_tokens=7)))
        with pytest.raises(RunFailed, match=kind) as caught:
            await run.result()
        steps = await steps_of(runner, run.id)
    assert said(steps[1])["value"]["text"] == "half an"
    assert caught.value.result.usage.cost_usd == 0.5


# -- tools


async def test_tools_get_resources_and_the_context_by_name() -> None:
    """They are not in the schema for the model."""

    def enter(item: str, ledger: list[str], ctx: Context) -> str:
        """Enter an item."""
        ledger.append(item)
        return f"{ctx.path}: {len(ledger)}"

    model = ScriptedModel([calls(("enter", {"item": "pen"})), "done"])
    async with Runner(models={"writer": model}) as runner:
        await runner.start(graph_of(Agent("writer", prompt="{task}", tools=[enter]))).result()
    assert model.requests[0].tools[0].schema["required"] == ["item"]
    assert model.requests[1].messages[-1].text == "write: 1"


async def test_calls_of_one_turn_run_concurrently() -> None:
    """Calls of one turn run in parallel: each waits for the other here; the results are in the order of the calls."""
    met = asyncio.Barrier(2)

    async def meet(name: str) -> str:
        """Meet the other."""
        await met.wait()
        return name

    model = ScriptedModel([calls(("meet", {"name": "a"}), ("meet", {"name": "b"})), "done"])
    async with asyncio.timeout(10), Runner(models={"writer": model}) as runner:
        await runner.start(graph_of(Agent("writer", prompt="{task}", tools=[meet]))).result()
    assert [message.text for message in model.requests[1].messages if message.role == "tool"] == ["a", "b"]


@pytest.mark.parametrize(
    ("name", "arguments", "problem"),
    [
        ("divide", {"by": 0}, "division"),
        ("divide", {"by": "zero"}, "by"),
        ("divide", "{by:", "JSON"),
        ("multiply", {}, "no tool 'multiply'"),
    ],
)
async def test_what_goes_wrong_with_a_tool_goes_back_to_the_model(name: str, arguments: Any, problem: str) -> None:
    """A failing tool goes back to the model as the error of that call; the node continues."""

    def divide(by: int) -> float:
        """Divide one."""
        return 1 / by

    model = ScriptedModel([calls((name, arguments)), "done"])
    async with Runner(models={"writer": model}) as runner:
        result = await runner.start(graph_of(Agent("writer", prompt="{task}", tools=[divide]))).result()
    last = model.requests[1].messages[-1]
    assert (last.is_error, result.state.draft) == (True, "done")
    assert problem in last.text


@pytest.mark.parametrize("yes", [True, False])
async def test_a_tool_may_wait_for_a_persons_approval(*, yes: bool) -> None:
    """Nothing is called twice because of it; a refusal is the error of the call."""
    sent: list[str] = []

    def send(text: str) -> str:
        """Send a text."""
        sent.append(text)
        return "sent"

    model = ScriptedModel([calls(("add", {"first": 1, "second": 2}), ("send", {"text": "hi"})), "done"])
    agent = Agent("writer", prompt="{task}", tools=[add, tool(send, approve=True)])
    graph = graph_of(agent)
    async with Runner(models={"writer": model}) as runner:
        run = runner.start(graph)
        (wait,) = (await run.result()).waits
        assert wait.question == 'May writer call send({"text": "hi"})?'
        assert sent == []
        await runner.answer(run.id, yes)
        result = await runner.resume(graph, run.id).result()
    assert (result.state.draft, sent) == ("done", ["hi"] if yes else [])
    assert model.requests[1].messages[-1].is_error is not yes
    assert next(m.text for m in model.requests[1].messages if m.role == "tool") == "3"
    assert len(model.requests) == 2


async def test_an_agent_as_a_tool_of_another_is_part_of_the_run() -> None:
    """Its cost is counted once, also if the outer call is resumed."""
    inner = Agent("inner", prompt="{text}")

    async def consult(text: str) -> str:
        """Ask a colleague."""
        return await inner.run(text=text)

    script = {"writer": [wanting(("consult", {"text": "?"})), answer("so")], "inner": [answer("yes")]}
    model = ScriptedModel(script)
    async with Runner(models={"*": model}) as runner:
        result = await runner.start(graph_of(Agent("writer", prompt="{task}", tools=[consult]))).result()
    assert (result.usage.calls, result.usage.cost_usd) == (3, 0.75)


# -- limits and stops


async def test_a_limit_stops_between_two_turns_and_no_call_is_repeated() -> None:
    """With a higher limit the run continues after the last recorded turn."""
    script = [wanting(("add", {"first": 1, "second": 2})), wanting(("add", {"first": 3, "second": 2})), answer("5")]
    model = ScriptedModel(script)
    graph = graph_of(Agent("writer", prompt="{task}", tools=[add]))
    async with Runner(models={"writer": model}) as runner:
        run = runner.start(graph, limits=Limits(cost_usd=0.5))
        stopped = await run.result()
        assert (stopped.status, stopped.usage.cost_usd, len(model.requests)) == ("stopped", 0.5, 2)
        assert stopped.ending is not None
        assert "cost_usd 0.5 >= 0.5" in stopped.ending.explanation
        done = await runner.resume(graph, run.id, limits=Limits(cost_usd=5)).result()
    assert (done.status, done.state.draft, done.usage.cost_usd, len(model.requests)) == ("finished", "5", 0.75, 3)


async def test_a_graphs_own_limit_stops_it_between_two_turns() -> None:
    """The node of the graph fails, as it does between nodes."""
    model = ScriptedModel(lambda request: wanting(("add", {"first": 1, "second": 2})))
    inner = Graph("inner", Work, limits=Limits(cost_usd=0.5))
    inner.add_node("write", Agent("writer", prompt="{task}", tools=[add]), writes="draft")
    inner.add_path(START, "write", END)
    async with Runner(models={"writer": model}) as runner:
        with pytest.raises(RunFailed, match="limit"):
            await runner.start(graph_of(inner, writes={"draft": "draft"})).result()
    assert len(model.requests) == 2


async def test_a_stop_takes_effect_between_two_turns() -> None:
    """A stop takes effect before the end of a long conversation; the run can be resumed."""
    asked = 0
    graph = graph_of(Agent("writer", prompt="{task}", tools=[add]))

    async def script(request: Request) -> Response:
        nonlocal asked
        asked += 1
        if asked == 2:
            stopping.append(asyncio.create_task(runner.stop("r")))
            await asyncio.sleep(0)
        return wanting(("add", {"first": 1, "second": 2})) if asked < 4 else answer("3")

    stopping: list[asyncio.Task[None]] = []
    async with Runner(models={"writer": ScriptedModel(script)}) as runner:
        stopped = await runner.start(graph, run_id="r").result()
        await stopping[0]
        assert (stopped.status, asked) == ("stopped", 2)
        done = await runner.resume(graph, "r").result()
    assert (done.state.draft, asked) == ("3", 4)


async def test_a_price_that_is_not_known_is_refused_under_a_limit_on_costs() -> None:
    """An unknown price under a cost limit is refused before any call, unless unknown costs are allowed."""

    class Unpriced(ScriptedModel):
        async def knows_price(self) -> bool:
            return False

    model = Unpriced([answer("a", cost_usd=None), answer("b", cost_usd=None)])
    graph = graph_of(Agent("writer", prompt="{task}"))
    async with Runner(models={"writer": model}) as runner:
        with pytest.raises(RunFailed, match="price_unknown"):
            await runner.start(graph, limits=Limits(cost_usd=1)).result()
        assert model.requests == []
        allowed = await runner.start(graph, limits=Limits(cost_usd=1, unknown_cost=True)).result()
    assert (allowed.status, allowed.usage.cost_usd, allowed.usage.priced_usd) == ("finished", None, 0.0)


# -- choosing the model


class Sub(BaseModel):
    """The state of an inner graph."""

    task: str = ""
    draft: str = ""


@pytest.mark.parametrize(
    ("models", "who"),
    [
        ({"*": "all"}, ["all", "all", "all"]),
        ({"*": "all", "writer": "name"}, ["name", "all", "name"]),
        ({"writer": "name", "article/writer": "below", "critic": "name"}, ["name", "name", "below"]),
        ({"*": "all", "article/writer": "below", "article/write": "path"}, ["all", "all", "path"]),
        ({"*": "all", "other:writer": "elsewhere", "g:writer": "here"}, ["here", "all", "here"]),
    ],
)
async def test_the_most_specific_name_decides_which_model_answers(models: Mapping[str, str], who: list[str]) -> None:
    """An agent at a path, below a path, anywhere, in one graph; or all agents."""
    inner = Graph("inner", Sub)
    inner.add_node("write", Agent("writer", prompt="{task}"), writes="draft")
    inner.add_path(START, "write", END)
    graph = Graph("g", Work)
    graph.add_node("first", Agent("writer", prompt="{task}"), writes="draft")
    graph.add_node("judge", Agent("critic", prompt="{task}"), writes="other")
    graph.add_node("article", inner, inputs={"task": "task"}, writes={"task": "draft"})
    graph.add_path(START, "first", "judge", "article", END)
    scripted = {name: ScriptedModel(lambda request, text=text: text) for name, text in models.items()}
    async with Runner(models=scripted) as runner:
        state = (await runner.start(graph).result()).state
    assert [state.draft, state.other, state.task] == who


async def test_a_name_that_nothing_has_is_refused() -> None:
    """An unknown agent's name is refused at once, with the known names; agents that a function calls are known."""
    helper = Agent("helper", prompt="{task}")

    async def write(task: str) -> str:
        return await helper.run(task=task)

    async with Runner(models={"helpr": ScriptedModel(["x"])}) as runner:
        with pytest.raises(InputError, match=r"unknown agent 'helpr'(.|\n)*helper"):
            runner.start(graph_of(write))
    async with Runner(models={"helper": ScriptedModel(["x"])}) as runner:
        assert (await runner.start(graph_of(write)).result()).state.draft == "x"


async def test_an_agent_in_a_blocking_function_is_part_of_the_run() -> None:
    """It is called in the run's event loop, wherever its caller runs."""
    helper = Agent("helper", prompt="{task}")

    def write(task: str) -> str:
        return asyncio.run(helper.run(task=task))

    async with Runner(models={"helper": ScriptedModel([answer("x")])}) as runner:
        run = runner.start(graph_of(write))
        result = await run.result()
        steps = await steps_of(runner, run.id)
    assert (result.state.draft, result.usage.cost_usd) == ("x", 0.25)
    assert [step.kind for step in steps] == ["started", "recorded", "node"]


async def test_equal_concurrent_calls_stay_separate() -> None:
    """Each of two equal calls has its own turns, so that a second attempt finds those of each."""
    helper = Agent("helper", prompt="{task}", tools=[add])
    turns = iter(range(100))
    tries = 0

    def script(request: Request) -> object:
        return calls(("add", {"first": next(turns), "second": 0})) if len(request.messages) == 1 else "ok"

    async def write(task: str) -> str:
        nonlocal tries
        tries += 1
        answers = await asyncio.gather(*(helper.answer(task=task) for _ in range(3)))
        if tries == 1:
            raise RateLimited("again")
        return " ".join(each.messages[2].text for each in answers)

    model = ScriptedModel(script)
    async with Runner(models={"helper": model}, clock=FakeClock(start=0.0)) as runner:
        run = runner.start(graph_of(write, retry=Retry(attempts=2)))
        result = await run.result()
    assert tries == 2
    assert sorted(result.state.draft.split()) == ["0", "1", "2"]


# -- memory and streaming


async def test_an_agent_remembers_in_a_field() -> None:
    """The messages of one visit are sent in the next, and each visit records only its own."""
    graph = Graph("g", Work)
    agent = Agent("writer", prompt="{task}", memory="messages")
    graph.add_node("one", agent, writes="draft")
    graph.add_node("two", agent, writes="other")
    graph.add_path(START, "one", "two", END)
    model = ScriptedModel(["first", "second"])
    async with Runner(models={"writer": model}) as runner:
        run = runner.start(graph)
        result = await run.result()
        steps = await steps_of(runner, run.id)
    assert [message.text for message in result.state.messages][1::2] == ["first", "second"]
    assert len(model.requests[1].messages) == 3
    updates = [op for step in steps for op in step.update if op[1] == "messages" and op[0] != "set"]
    assert [len(op[2]) for op in updates] == [2, 2]


async def test_agents_remember_each_under_a_key() -> None:
    """Agents remember each conversation under its key in a dict."""
    graph = Graph("g", Work)
    graph.add_node("one", Agent("writer", prompt="{task}", memory="memories[writer]"), writes="draft")
    graph.add_node("two", Agent("critic", prompt="{task}", memory="memories[critic]"), writes="other")
    graph.add_path(START, "one", "two")
    graph.add_edge("two", END, when=iterations("two") >= 2)
    graph.add_edge("two", "one")
    model = ScriptedModel({"writer": ["a", "c"], "critic": ["b", "d"]})
    async with Runner(models={"*": model}) as runner:
        result = await runner.start(graph).result()
    texts = {name: [m.text for m in kept if m.role == "assistant"] for name, kept in result.state.memories.items()}
    assert texts == {"writer": ["a", "c"], "critic": ["b", "d"]}


async def test_a_summary_replaces_the_older_part_of_a_memory() -> None:
    """It is made by a separate model, recorded and reused; the messages that it replaces stay in the state."""
    cheap = ScriptedModel(lambda request: "they spoke of rhymes")
    long = "word " * 400
    window = Window(600, keep=2, model=cheap)
    graph = Graph("g", Work)
    graph.add_node("write", Agent("writer", prompt="{task}", memory="messages", window=window), writes="draft")
    graph.add_edge(START, "write")
    graph.add_edge("write", END, when=iterations("write") >= 4)
    graph.add_edge("write", "write")
    model = ScriptedModel([f"{number} {long}" for number in range(4)])
    async with Runner(models={"writer": model}) as runner:
        run = runner.start(graph)
        result = await run.result()
        steps = await steps_of(runner, run.id)
    assert len(result.state.messages) == 8 + len(cheap.requests)
    assert cheap.requests
    assert "they spoke of rhymes" in model.requests[-1].messages[0].text
    (first, *_) = [said(step)["value"] for step in steps if said(step).get("name") == "summary"]
    assert (first["estimated"], first["covers"]) == (True, 3)


@pytest.mark.parametrize(
    ("memory", "code"), [("task", "bad_memory"), ("single", "bad_memory"), ("nothing", "unknown_field")]
)
def test_a_memory_that_cannot_keep_messages_is_refused(memory: str, code: str) -> None:
    """A memory that cannot keep messages is refused at compile time, with the repair."""
    with pytest.raises(CompileError) as caught:
        graph_of(Agent("writer", prompt="{task}", memory=memory)).compile()
    assert code in {problem.code for problem in caught.value.problems}


async def test_text_is_streamed_to_subscribers() -> None:
    """Text is streamed with the agent and the node; it is not recorded separately from the answer."""
    async with Runner(models={"writer": ScriptedModel(["one two three"])}) as runner:
        run = runner.start(graph_of(Agent("writer", prompt="{task}")))
        shown = [event async for event in run.events() if isinstance(event, (TextDelta, StepRecorded))]
    texts = [event for event in shown if isinstance(event, TextDelta)]
    assert "".join(event.text for event in texts) == "one two three"
    assert {(event.path, event.agent) for event in texts} == {("write", "writer")}


@pytest.mark.parametrize(
    "given",
    [
        {"max_tokens": 0}, {"output_retries": -1}, {"turns": 0}, {"temperature": 3}, {"effort": "extreme"},
        {"check": "len"}, {"window": 100}, {"model": 3}, {"name": " "}, {"check": lambda: None},
    ],
)  # fmt: skip
def test_settings_that_make_no_sense_are_refused(given: dict[str, Any]) -> None:
    """Settings that make no sense are refused at construction."""
    with pytest.raises(DefinitionError):
        Agent(**{"name": "a", "prompt": "x", **given})


class Connected(ScriptedModel):
    """A model with a connection."""

    closed = 0

    async def close(self) -> None:
        """Close it."""
        self.closed += 1


async def test_the_last_runner_that_used_a_model_closes_it() -> None:
    """A Runner that is closed earlier does not, while another one uses it."""
    model = Connected(lambda request: "x")
    graph = graph_of(Agent("writer", prompt="{task}", model=model))
    async with Runner() as first:
        await first.start(graph).result()
        async with Runner() as second:
            await second.start(graph).result()
        assert model.closed == 0
    assert model.closed == 1


async def test_an_answer_has_its_cost() -> None:
    """An answer has its cost also outside a run."""
    script = [wanting(("add", {"first": 1, "second": 2})), answer("3")]
    found = await Agent("a", prompt="{task}", tools=[add], model=ScriptedModel(script)).answer(task="x")
    assert (found.value, found.usage["cost_usd"], found.usage["calls"]) == ("3", 0.5, 2)
    assert [message.role for message in found.messages] == ["user", "assistant", "tool", "assistant"]

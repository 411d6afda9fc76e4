"""Questions, messages and sleep through the real runner, over both stores, across restarts."""

import asyncio
import datetime
import gc
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, field_validator

from graphengine import (
    END,
    START,
    Context,
    Graph,
    Limits,
    RunFailed,
    Runner,
    ask,
    choose,
    failed,
    iterations,
    value,
)
from graphengine.core.snapshot import Snapshot
from graphengine.errors import DefinitionError, InputError, UnknownRun, WaitTimeout
from graphengine.reducers import append
from graphengine.runner.run import StepRecorded
from graphengine.testing import FakeClock

SOON = 5  # seconds that a test may hang before it fails
WEEK = 7 * 86_400


class Verdict(BaseModel):
    ok: bool
    score: int = Field(ge=0, le=10)


class Odd(BaseModel):
    """A type with a rule that no JSON Schema tells."""

    n: int

    @field_validator("n")
    @classmethod
    def odd(cls, n: int) -> int:
        """Refuse even numbers."""
        if n % 2 == 0:
            message = "even"
            raise ValueError(message)
        return n


class State(BaseModel):
    title: str = "Ants"
    ok: bool | None = None
    verdict: Verdict | None = None
    odd: Odd | None = None
    word: str = ""
    names: list[str] = []
    log: Annotated[list[str], append] = []
    items: list[str] = ["a", "b", "c", "d"]
    answers: list[bool] = []


def path(*nodes: tuple[str, Any, Any], name: str = "g") -> Graph[State]:
    """A graph of nodes in a row: name, runnable, writes."""
    graph = Graph(name, State)
    for node, runnable, writes in nodes:
        graph.add_node(node, runnable, writes=writes)
    graph.add_path(START, *(node for node, _, _ in nodes), END)
    return graph


async def waiting(runner: Runner, graph: Graph[Any], **options: Any) -> str:
    """Start a run that is to wait, and tell its id."""
    result = await runner.start(graph, **options).result()
    assert result.status == "waiting"
    return result.run_id


async def go_on(runner: Runner, graph: Graph[Any], run_id: str) -> Any:
    """Resume and give the result."""
    async with asyncio.timeout(SOON):
        return await runner.resume(graph, run_id).result()


def names(waits: Sequence[Any]) -> list[str]:
    """By what they are answered."""
    return [wait.name for wait in waits]


# -- questions as nodes


@pytest.mark.parametrize(
    ("kind", "field", "given", "expected"),
    [
        (bool, "ok", True, True),
        (bool, "ok", False, False),
        (Verdict, "verdict", Verdict(ok=True, score=7), Verdict(ok=True, score=7)),
        (Verdict, "verdict", {"ok": False, "score": 0}, Verdict(ok=False, score=0)),
        (Literal["yes", "no"], "word", "no", "no"),
        (list[str], "names", ["x", "y"], ["x", "y"]),
        (str, "word", "", ""),
    ],
)
async def test_a_question_is_done_with_its_answer(
    runner: Runner, kind: Any, field: str, given: object, expected: object
) -> None:
    """The question is filled from the state; the answer comes back as a value of its type."""
    graph = path(("q", ask("Publish {title}?", kind), field))
    result = await runner.start(graph).result()
    assert result.status == "waiting"
    (wait,) = result.waits
    assert (wait.name, wait.kind, wait.question, wait.answerable) == ("q", "ask", "Publish Ants?", True)
    assert wait.schema is not None
    assert (wait.topic, wait.due_at) == (None, None)
    assert list(await runner.waits(result.run_id)) == list(result.waits)
    assert (await runner.store.info(result.run_id)).status == "waiting"
    await runner.answer(result.run_id, given)
    done = await go_on(runner, graph, result.run_id)
    assert (done.status, getattr(done.state, field), done.waits) == ("finished", expected, [])


@pytest.mark.parametrize(
    ("kind", "given", "told"),
    [
        (bool, "maybe", "is not of type 'boolean'"),
        (Verdict, {"ok": True, "score": 11}, "score: 11 is greater than the maximum of 10"),
        (Verdict, {"score": 1}, "'ok' is a required property"),
        (Literal["yes", "no"], "perhaps", "'perhaps' is not one of"),
        (list[str], ["x", 3], "1: 3 is not of type 'string'"),
    ],
)
async def test_an_answer_that_the_schema_refuses_is_refused_where_it_is_given(
    runner: Runner, kind: Any, given: object, told: str
) -> None:
    """The error says what is wrong with it and how it should be; nothing is recorded and the wait goes on."""
    graph = path(("q", ask("Well?", kind), {"log": lambda result: str(result)}))
    run_id = await waiting(runner, graph)
    before = len(await runner.history(run_id))
    with pytest.raises(InputError) as caught:
        await runner.answer(run_id, given)
    assert "'Well?'" in caught.value.message
    assert told in caught.value.message
    assert "JSON Schema" in caught.value.repair
    assert len(await runner.history(run_id)) == before
    assert names(await runner.waits(run_id)) == ["q"]
    assert (await go_on(runner, graph, run_id)).status == "waiting"


async def test_an_answer_that_only_the_type_refuses_is_recorded_as_refused(runner: Runner) -> None:
    """The run waits on, and takes the next answer."""
    graph = path(("q", ask("A number?", Odd), "odd"))
    run_id = await waiting(runner, graph)
    await runner.answer(run_id, {"n": 2})
    assert (await go_on(runner, graph, run_id)).status == "waiting"
    refused = [step for step in await runner.history(run_id) if step.kind == "refused"]
    assert [step.data["answer"] for step in refused] == [{"n": 2}]
    assert "even" in refused[0].data["message"]
    await runner.answer(run_id, {"n": 3})
    assert (await go_on(runner, graph, run_id)).state.odd == Odd(n=3)


async def test_what_json_cannot_carry_is_no_answer(runner: Runner) -> None:
    """It is refused by name."""
    run_id = await waiting(runner, path(("q", ask("Well?", str), "word")))
    with pytest.raises(InputError, match="JSON cannot carry the answer"):
        await runner.answer(run_id, object())


async def test_answers_find_their_run_and_wait(runner: Runner) -> None:
    """An unknown run, an unknown wait, and a run that asks nothing are told apart."""
    graph = path(("q", ask("Well?", str), "word"))
    run_id = await waiting(runner, graph)
    with pytest.raises(UnknownRun):
        await runner.answer("nobody", "x")
    with pytest.raises(InputError, match=r"asks nothing as 'p'[\s\S]*known are: q"):
        await runner.answer(run_id, "x", wait="p")
    await runner.answer(run_id, "x")
    await go_on(runner, graph, run_id)
    with pytest.raises(InputError, match="is finished and asks nothing"):
        await runner.answer(run_id, "x")
    with pytest.raises(InputError, match="is over"):
        await runner.send(run_id, "topic", 1)


async def test_a_question_is_answered_once(runner: Runner) -> None:
    """The first answer counts, whatever else is given before the run goes on."""
    graph = path(("q", ask("Well?", str), "word"))
    run_id = await waiting(runner, graph)
    await runner.answer(run_id, "first")
    await runner.answer(run_id, "second")
    assert (await go_on(runner, graph, run_id)).state.word == "first"


async def test_an_answer_to_one_visit_counts_for_no_other(runner: Runner) -> None:
    """A question asked again is another question."""
    graph = Graph("g", State)
    graph.add_node("q", ask("Word?", str), writes="log")
    graph.add_edge(START, "q")
    graph.add_edge("q", END, when=value("log").length() >= 3)
    graph.add_edge("q", "q")
    run_id = await waiting(runner, graph)
    for word in ("a", "b", "c"):
        await runner.answer(run_id, word)
        await runner.answer(run_id, "again")
        result = await go_on(runner, graph, run_id)
    assert (result.status, result.state.log) == ("finished", ["a", "b", "c"])


async def test_a_function_may_make_the_question() -> None:
    """It reads fields, and a question may be one of several."""
    both = choose("title", {"Ants": ask(lambda title: f"{title.upper()}?", bool), "Bees": ask("No?", bool)})
    async with Runner() as runner:
        graph = path(("q", both, "ok"))
        result = await runner.start(graph).result()
        assert result.waits[0].question == "ANTS?"
        await runner.answer(result.run_id, True)
        assert (await go_on(runner, graph, result.run_id)).state.ok is True


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"default": True}, "without a time"),
        ({"timeout_seconds": 0}, "above 0"),
        ({"timeout_seconds": 1, "default": 12}, "no answer of its own type"),
    ],
)
def test_a_question_that_makes_no_sense_is_refused_at_once(options: Any, told: str) -> None:
    """Where it is written, with the repair."""
    with pytest.raises(DefinitionError, match=told):
        ask("Well?", bool, **options)


# -- several at once


def forked(*arms: tuple[str, Any, Any], need: int | None = None) -> Graph[State]:
    """A graph of one fork; each arm is a node."""
    graph = Graph("forked", State)
    for node, runnable, writes in arms:
        graph.add_node(node, runnable, writes=writes)
        graph.add_edge(node, "merge")
    graph.add_fork(START, [node for node, _, _ in arms], join="merge", need=need)
    graph.add_node("merge")
    graph.add_edge("merge", END)
    return graph


@pytest.mark.parametrize("order", [("a", "b", "c"), ("c", "a", "b")])
async def test_questions_of_arms_are_answered_by_name_in_any_order(runner: Runner, order: Sequence[str]) -> None:
    """Each by its own name; the join has them in declared order."""
    graph = forked(*((arm, ask(f"{arm}?", str), "log") for arm in "abc"))
    result = await runner.start(graph).result()
    assert (result.status, names(result.waits)) == ("waiting", ["a", "b", "c"])
    with pytest.raises(InputError, match=r"several things[\s\S]*a, b, c"):
        await runner.answer(result.run_id, "which?")
    for done, arm in enumerate(order, 1):
        await runner.answer(result.run_id, arm.upper(), wait=arm)
        result = await go_on(runner, graph, result.run_id)
        assert len(result.waits) == 3 - done
    assert (result.status, result.state.log) == ("finished", ["A", "B", "C"])


async def test_all_answers_may_be_there_before_the_run_goes_on(runner: Runner) -> None:
    """One resume takes them all."""
    graph = forked(*((arm, ask(f"{arm}?", str), "log") for arm in "abc"))
    run_id = await waiting(runner, graph)
    for arm in "bca":
        await runner.answer(run_id, arm, wait=arm)
    assert (await go_on(runner, graph, run_id)).state.log == ["a", "b", "c"]


async def test_an_arm_that_waits_is_answered_while_another_works(runner: Runner) -> None:
    """The run is driven; the answer reaches it there."""
    begun, leave = asyncio.Event(), asyncio.Event()

    async def work() -> str:
        begun.set()
        await leave.wait()
        return "worked"

    graph = forked(("q", ask("Well?", str), "log"), ("work", work, "log"))
    run = runner.start(graph)
    await begun.wait()
    async for event in run.events():
        if isinstance(event, StepRecorded) and event.step.kind == "waiting":
            break
    assert names(await runner.waits(run.id)) == ["q"]
    await runner.answer(run.id, "answered")
    async for event in run.events():
        if isinstance(event, StepRecorded) and event.step.node == "q" and event.step.kind == "node":
            break
    leave.set()
    async with asyncio.timeout(SOON):
        assert (await run.result()).state.log == ["answered", "worked"]


async def test_enough_answers_cancel_the_questions_that_are_left(runner: Runner) -> None:
    """With need=1 the other question is gone, and nobody can answer it any more."""
    graph = forked(("a", ask("a?", str), "log"), ("b", ask("b?", str), "log"), need=1)
    run_id = await waiting(runner, graph)
    await runner.answer(run_id, "B", wait="b")
    result = await go_on(runner, graph, run_id)
    assert (result.status, result.state.log, result.waits) == ("finished", ["B"], [])


async def test_items_of_a_map_ask_by_their_places(runner: Runner) -> None:
    """`review[2]`; no more at a time than run at a time; results in item order."""
    graph = Graph("map", State)
    graph.add_node("review", ask("Is {item} fine?", bool), each={"item": "items"}, concurrency=3, writes="answers")
    graph.add_path(START, "review", END)
    result = await runner.start(graph).result()
    assert names(result.waits) == ["review[0]", "review[1]", "review[2]"]
    assert result.waits[1].question == "Is b fine?"
    await runner.answer(result.run_id, False, wait="review[1]")
    result = await go_on(runner, graph, result.run_id)
    assert names(result.waits) == ["review[0]", "review[2]", "review[3]"]
    for wait in reversed(names(result.waits)):
        await runner.answer(result.run_id, True, wait=wait)
    assert (await go_on(runner, graph, result.run_id)).state.answers == [True, False, True, True]


async def test_a_question_in_a_subgraph_has_its_path(runner: Runner) -> None:
    """`article/approve`, at any depth."""
    inner = path(("approve", ask("Publish {title}?", bool), "ok"), name="article")
    inner.result = "ok"
    middle = path(("article", inner, "ok"), name="middle")
    middle.result = "ok"
    outer = path(("round", middle, "ok"), name="outer")
    run_id = await waiting(runner, outer, state={"title": "Bees"})
    (wait,) = await runner.waits(run_id)
    assert (wait.name, wait.question) == ("round/article/approve", "Publish Bees?")
    await runner.answer(run_id, True, wait="round/article/approve")
    assert (await go_on(runner, outer, run_id)).state.ok is True


async def test_a_question_in_the_subgraph_of_an_item_has_the_items_place(runner: Runner) -> None:
    """`review[1]/approve`."""
    inner = path(("approve", ask("Publish {title}?", bool), "ok"), name="article")
    inner.result = "ok"
    graph = Graph("g", State)
    graph.add_node("review", inner, each={"title_": "items"}, inputs={"title": "title_"}, writes="answers")
    graph.add_path(START, "review", END)
    run_id = await waiting(runner, graph, state={"items": ["x", "y"]})
    waits = await runner.waits(run_id)
    assert [(w.name, w.question) for w in waits] == [
        ("review[0]/approve", "Publish x?"),
        ("review[1]/approve", "Publish y?"),
    ]
    await runner.answer(run_id, False, wait="review[1]/approve")
    await runner.answer(run_id, True, wait="review[0]/approve")
    assert (await go_on(runner, graph, run_id)).state.answers == [True, False]


# -- questions inside nodes


async def test_a_node_that_asks_runs_again_with_its_answer(runner: Runner) -> None:
    """From its beginning; what it had recorded is not done again."""
    calls: list[str] = []

    async def draft() -> str:
        calls.append("draft")
        return "text"

    async def work(ctx: Context) -> str:
        calls.append("work")
        text = await ctx.step(draft)
        verdict = await ctx.ask(f"Is {text!r} fine?", Verdict)
        word = await ctx.ask("Which word?", Literal["yes", "no"])  # type: ignore[arg-type]
        names = await ctx.ask("Names?", list[str])
        return f"{text} {verdict.score} {word} {names}"

    graph = path(("work", work, "word"))
    run_id = await waiting(runner, graph)
    assert names(await runner.waits(run_id)) == ["work"]
    await runner.answer(run_id, {"ok": True, "score": 4})
    assert names((await go_on(runner, graph, run_id)).waits) == ["work#2"]
    with pytest.raises(InputError, match="is not one of"):
        await runner.answer(run_id, "perhaps")
    await runner.answer(run_id, "yes")
    assert names((await go_on(runner, graph, run_id)).waits) == ["work#3"]
    await runner.answer(run_id, ["x"])
    assert (await go_on(runner, graph, run_id)).state.word == "text 4 yes ['x']"
    assert calls == ["work", "draft", "work", "work", "work"]


async def test_questions_may_have_names_of_their_own(runner: Runner) -> None:
    """name= is what it is answered by."""

    async def work(ctx: Context) -> bool:
        return await ctx.ask("Fine?", bool, name="editor")

    graph = path(("work", work, "ok"))
    run_id = await waiting(runner, graph)
    assert names(await runner.waits(run_id)) == ["editor"]
    await runner.answer(run_id, True, wait="editor")
    assert (await go_on(runner, graph, run_id)).state.ok is True


async def gathered(ctx: Context) -> str:
    """Ask twice at once."""
    both = await asyncio.gather(ctx.ask("one?", str), ctx.ask("two?", str))
    return " ".join(both)


async def grouped(ctx: Context) -> str:
    """Ask twice in a group of tasks."""
    async with asyncio.TaskGroup() as group:
        one = group.create_task(ctx.ask("one?", str))
        two = group.create_task(ctx.ask("two?", str))
    return f"{one.result()} {two.result()}"


@pytest.mark.parametrize("work", [gathered, grouped])
@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
async def test_two_questions_at_once_are_answered_in_any_order(
    runner: Runner, work: Callable[..., Any], order: tuple[int, int]
) -> None:
    """Both are asked, each by a name of its own, and each keeps its name while the other is answered."""
    graph = path(("work", work, "word"))
    result = await runner.start(graph).result()
    asked = {wait.question: wait.name for wait in result.waits}
    assert sorted(asked) == ["one?", "two?"]
    questions = ["one?", "two?"]
    first, second = (questions[n] for n in order)
    await runner.answer(result.run_id, first.upper(), wait=asked[first])
    result = await go_on(runner, graph, result.run_id)
    assert {wait.question: wait.name for wait in result.waits} == {second: asked[second]}
    await runner.answer(result.run_id, second.upper(), wait=asked[second])
    assert (await go_on(runner, graph, result.run_id)).state.word == "ONE? TWO?"


async def test_both_answers_at_once_cost_one_more_run_each(runner: Runner) -> None:
    """Both answers may be given before the run goes on."""
    graph = path(("work", gathered, "word"))
    run_id = await waiting(runner, graph)
    for wait in await runner.waits(run_id):
        await runner.answer(run_id, wait.question.upper(), wait=wait.name)
    assert (await go_on(runner, graph, run_id)).state.word == "ONE? TWO?"


async def test_a_node_that_asks_may_tidy_up(runner: Runner) -> None:
    """try/finally runs each time the attempt ends, and may itself wait for something real."""
    log: list[str] = []

    async def work(ctx: Context) -> str:
        log.append("open")
        try:
            return await ctx.ask("Well?", str)
        finally:
            await asyncio.sleep(0)
            log.append("close")

    graph = path(("work", work, "word"))
    run_id = await waiting(runner, graph)
    assert log == ["open", "close"]
    await runner.answer(run_id, "x")
    assert (await go_on(runner, graph, run_id)).state.word == "x"
    assert log == ["open", "close"] * 2


async def test_catching_exceptions_does_not_catch_the_end_of_an_attempt(runner: Runner) -> None:
    """`except Exception` around a question is not in its way."""

    async def work(ctx: Context) -> str:
        try:
            return await ctx.ask("Well?", str)
        except Exception:  # noqa: BLE001 - as careless nodes do
            return "caught"

    graph = path(("work", work, "word"))
    run_id = await waiting(runner, graph)
    await runner.answer(run_id, "x")
    assert (await go_on(runner, graph, run_id)).state.word == "x"


async def test_a_node_that_swallows_its_end_waits_all_the_same(runner: Runner) -> None:
    """Whatever it returns or raises then is dropped."""

    async def returns(ctx: Context) -> str:
        try:
            return await ctx.ask("Well?", str)
        except asyncio.CancelledError:
            return "swallowed"

    async def raises(ctx: Context) -> str:
        try:
            return await ctx.ask("Well?", str)
        except asyncio.CancelledError:
            raise ValueError from None

    for work in (returns, raises):
        graph = path(("work", work, "word"))
        run_id = await waiting(runner, graph)
        await runner.answer(run_id, "x")
        assert (await go_on(runner, graph, run_id)).state.word == "x"


async def test_the_time_of_an_answer_is_not_the_nodes(timed: Runner, clock: FakeClock) -> None:
    """timeout_seconds bounds an attempt's own work: a question in it may take a week."""

    async def work(ctx: Context) -> str:
        return await ctx.ask("Well?", str)

    graph = Graph("g", State)
    graph.add_node("work", work, writes="word", timeout_seconds=0.5)
    graph.add_path(START, "work", END)
    run_id = await waiting(timed, graph)
    clock.move(WEEK)
    await timed.answer(run_id, "x")
    assert (await go_on(timed, graph, run_id)).state.word == "x"


async def test_what_is_recorded_beside_a_question_is_finished_first(runner: Runner) -> None:
    """A call in flight comes to its end and is recorded before the attempt ends."""
    calls: list[str] = []
    go, asked = asyncio.Event(), asyncio.Event()

    async def slow() -> str:
        calls.append("slow")
        asked.set()
        await go.wait()
        return "slow"

    async def work(ctx: Context) -> str:
        one, two = await asyncio.gather(ctx.ask("Well?", str), ctx.step(slow))
        return f"{one} {two}"

    graph = path(("work", work, "word"))
    run = runner.start(graph)
    await asked.wait()
    for _ in range(10):
        await asyncio.sleep(0)
    go.set()
    result = await run.result()
    assert result.status == "waiting"
    assert [step.kind for step in await runner.history(run.id)][-2:] == ["recorded", "waiting"]
    await runner.answer(run.id, "x")
    assert (await go_on(runner, graph, run.id)).state.word == "x slow"
    assert calls == ["slow"]


async def test_an_answer_that_only_a_nodes_type_refuses_is_asked_for_again(runner: Runner) -> None:
    """Its refusal is recorded, the question stands, and the next answer counts."""

    async def work(ctx: Context) -> Odd:
        return await ctx.ask("A number?", Odd)

    graph = path(("work", work, "odd"))
    run_id = await waiting(runner, graph)
    await runner.answer(run_id, {"n": 2})
    result = await go_on(runner, graph, run_id)
    assert (result.status, names(result.waits)) == ("waiting", ["work"])
    assert [step.kind for step in await runner.history(run_id) if step.kind == "refused"] == ["refused"]
    await runner.answer(run_id, {"n": 5})
    assert (await go_on(runner, graph, run_id)).state.odd == Odd(n=5)


async def test_questions_belong_to_the_event_loop(runner: Runner) -> None:
    """In a sync node the error says to make it async."""

    def work(ctx: Context) -> str:
        asyncio.run(ctx.ask("Well?", str))  # type: ignore[arg-type]
        return ""

    with pytest.raises(RunFailed, match=r"outside the event loop[\s\S]*make the node async"):
        await runner.start(path(("work", work, "word"))).result()


# -- time


async def test_a_default_counts_when_the_time_is_over(timed: Runner, clock: FakeClock) -> None:
    """Until then the run waits; after it, a resume takes the default."""
    graph = path(("q", ask("Publish?", bool, timeout_seconds=WEEK, default=False), "ok"))
    result = await timed.start(graph).result()
    assert (result.status, result.waits[0].due_at) == ("waiting", 1000.0 + WEEK)
    clock.move(WEEK - 1)
    assert (await go_on(timed, graph, result.run_id)).status == "waiting"
    clock.move(1)
    done = await go_on(timed, graph, result.run_id)
    assert (done.status, done.state.ok) == ("finished", False)


async def test_without_a_default_the_node_fails_when_the_time_is_over(timed: Runner, clock: FakeClock) -> None:
    """With wait_timeout, which a way with failed(WaitTimeout) takes."""
    graph = Graph("g", State)
    graph.add_node("q", ask("Publish?", bool, timeout_seconds=60), writes="ok")
    graph.add_edge(START, "q")
    run_id = await waiting(timed, (plain := graph_with_end(graph)))
    clock.move(60)
    with pytest.raises(RunFailed, match="nobody answered 'Publish\\?' in time") as caught:
        await go_on(timed, plain, run_id)
    assert caught.value.result.error is not None
    assert caught.value.result.error.kind == "wait_timeout"


def graph_with_end(graph: Graph[State]) -> Graph[State]:
    """The graph with its way to END."""
    graph.add_edge("q", END)
    return graph


async def test_a_timeout_is_a_failure_like_others(timed: Runner, clock: FakeClock) -> None:
    """A way with failed(WaitTimeout) is taken."""
    graph = Graph("g", State)
    graph.add_node("q", ask("Publish?", bool, timeout_seconds=60), writes="ok")
    graph.add_edge(START, "q")
    graph.add_edge("q", END, when=failed(WaitTimeout), label="nobody there")
    graph.add_edge("q", END)
    run_id = await waiting(timed, graph)
    clock.move(60)
    result = await go_on(timed, graph, run_id)
    assert result.stop is not None
    assert result.stop.label == "nobody there"


async def test_a_late_answer_is_too_late(timed: Runner, clock: FakeClock) -> None:
    """Once the default was taken, the question is gone."""
    graph = path(
        ("q", ask("Publish?", bool, timeout_seconds=60, default=False), "ok"),
        ("more", ask("And?", str), "word"),
    )
    run_id = await waiting(timed, graph)
    clock.move(61)
    assert names((await go_on(timed, graph, run_id)).waits) == ["more"]
    with pytest.raises(InputError, match="asks nothing as 'q'"):
        await timed.answer(run_id, True, wait="q")


async def test_a_nodes_question_has_its_timeout_and_default(timed: Runner, clock: FakeClock) -> None:
    """The default is given, or WaitTimeout raised, to the node that runs again."""
    seen: list[str] = []

    async def work(ctx: Context) -> str:
        first = await ctx.ask("One?", str, timeout_seconds=60, default="nobody")
        try:
            await ctx.ask("Two?", str, timeout_seconds=60)
        except WaitTimeout as error:
            seen.append(error.message)
        return first

    graph = path(("work", work, "word"))
    run_id = await waiting(timed, graph)
    clock.move(60)
    assert (await go_on(timed, graph, run_id)).status == "waiting"
    clock.move(60)
    assert (await go_on(timed, graph, run_id)).state.word == "nobody"
    assert seen == ["nobody answered 'Two?' in time"]


async def test_the_times_of_two_questions_go_on_while_one_is_answered(timed: Runner, clock: FakeClock) -> None:
    """The node runs again in between, and the other's time is not begun anew."""

    async def work(ctx: Context) -> str:
        return " ".join(
            await asyncio.gather(
                ctx.ask("one?", str, timeout_seconds=100, default="late"),
                ctx.ask("two?", str, timeout_seconds=100, default="late"),
            )
        )

    graph = path(("work", work, "word"))
    result = await timed.start(graph).result()
    clock.move(60)
    await timed.answer(result.run_id, "x", wait="work")
    result = await go_on(timed, graph, result.run_id)
    assert [(wait.name, wait.due_at) for wait in result.waits] == [("work#2", 1100.0)]
    clock.move(40)
    assert (await go_on(timed, graph, result.run_id)).state.word == "x late"


async def test_sleep_and_sleep_until_wait_for_their_times(timed: Runner, clock: FakeClock) -> None:
    """A node that sleeps again and again runs from its beginning each time, and what it slept is recorded."""
    woke: list[float] = []

    async def work(ctx: Context) -> str:
        await ctx.sleep(WEEK)
        woke.append(ctx.now())
        await ctx.sleep(WEEK)
        woke.append(ctx.now())
        await ctx.sleep_until(5_000_000.0)
        woke.append(ctx.now())
        return "rested"

    run = timed.start(path(("work", work, "word")))
    async with asyncio.timeout(SOON):
        result = await run.result()
    assert result.state.word == "rested"
    assert sorted(set(woke)) == [1000.0 + WEEK, 1000.0 + 2 * WEEK, 5_000_000.0]
    assert [step.kind for step in await timed.history(run.id)] == [
        "started", *["waiting", "resumed", "answered"] * 3, "node"
    ]  # fmt: skip


async def test_sleepers_side_by_side_wake_at_their_own_times(timed: Runner, clock: FakeClock) -> None:
    """In arms: the run goes on with each when its time comes, not with the last alone."""
    woke: list[tuple[str, float]] = []

    def sleeper(name: str, days: int) -> tuple[str, Callable[..., Any], str]:
        async def work(ctx: Context) -> str:
            await ctx.sleep(days * 86_400)
            woke.append((name, ctx.now() - 1000))
            return name

        return name, work, "log"

    async with asyncio.timeout(SOON):
        result = await timed.start(forked(sleeper("a", 3), sleeper("b", 1), sleeper("c", 2))).result()
    assert woke == [("b", 86_400), ("c", 172_800), ("a", 259_200)]
    assert result.state.log == ["a", "b", "c"]


async def test_a_time_that_has_passed_is_no_wait(timed: Runner) -> None:
    """Sleeping until yesterday goes on by itself."""

    async def work(ctx: Context) -> str:
        await ctx.sleep_until(5.0)
        await ctx.sleep(0)
        return "rested"

    async with asyncio.timeout(SOON):
        assert (await timed.start(path(("work", work, "word"))).result()).state.word == "rested"


async def test_a_run_that_sleeps_is_answered_in_the_meantime(timed: Runner) -> None:
    """One arm sleeps, the other asks: the run waits, and after the answer for the time alone."""

    async def rest(ctx: Context) -> str:
        await ctx.sleep(WEEK)
        return "rested"

    graph = forked(("rest", rest, "log"), ("q", ask("Well?", str), "log"))
    result = await timed.start(graph).result()
    assert sorted((wait.name, wait.kind) for wait in result.waits) == [("q", "ask"), ("rest", "sleep")]
    with pytest.raises(InputError, match="asks nothing as 'rest'"):
        await timed.answer(result.run_id, True, wait="rest")
    await timed.answer(result.run_id, "x")
    async with asyncio.timeout(SOON):
        done = await timed.resume(graph, result.run_id).result()
    assert (done.status, done.state.log) == ("finished", ["rested", "x"])


async def test_waiting_does_not_count_as_driven_time(timed: Runner, clock: FakeClock) -> None:
    """Limits(seconds) bounds work: a week of waiting, asleep or for an answer, is not in it."""

    async def rest(ctx: Context) -> str:
        await ctx.sleep(WEEK)
        clock.move(2)
        return "rested"

    graph = path(("rest", rest, "word"), ("q", ask("Well?", bool), "ok"))
    graph.limits = Limits(seconds=60)
    run_id = await waiting(timed, graph)
    clock.move(WEEK)
    await timed.answer(run_id, True)
    result = await go_on(timed, graph, run_id)
    assert (result.status, result.elapsed_seconds) == ("finished", 2.0)


# -- pauses


async def test_a_run_pauses_before_a_node_on_every_visit(runner: Runner) -> None:
    """Nothing of it is run before somebody answers True; nothing else is an answer."""
    calls: list[int] = []

    async def publish(log: list[str]) -> str:
        calls.append(len(log))
        return "published"

    graph = Graph("g", State)
    graph.add_node("publish", publish, writes="log")
    graph.add_edge(START, "publish")
    graph.add_edge("publish", END, when=value("log").length() >= 2)
    graph.add_edge("publish", "publish")
    run_id = await waiting(runner, graph, pause_before=["publish"])
    (wait,) = await runner.waits(run_id)
    assert (wait.name, wait.kind, wait.question) == ("publish", "pause", "paused before publish")
    with pytest.raises(InputError):
        await runner.answer(run_id, False)
    assert calls == []
    await runner.answer(run_id, True)
    assert (await go_on(runner, graph, run_id)).status == "waiting"
    assert calls == [0]
    await runner.answer(run_id, True)
    assert (await go_on(runner, graph, run_id)).state.log == ["published"] * 2


async def test_a_run_pauses_inside_a_subgraph(runner: Runner) -> None:
    """By the node's path; elsewhere the same name is not paused."""
    inner = path(("publish", lambda: "inner", "word"), name="article")
    inner.result = "word"
    graph = path(("publish", lambda: "outer", "log"), ("article", inner, "log"))
    run_id = await waiting(runner, graph, pause_before=["article/publish"])
    assert names(await runner.waits(run_id)) == ["article/publish"]
    await runner.answer(run_id, True)
    assert (await go_on(runner, graph, run_id)).state.log == ["outer", "inner"]


async def test_a_resume_may_pause_elsewhere(runner: Runner) -> None:
    """pause_before replaces what the run had."""
    graph = path(("a", lambda: "a", "log"), ("b", lambda: "b", "log"), ("c", lambda: "c", "log"))
    run_id = await waiting(runner, graph, pause_before=["a", "b"])
    await runner.answer(run_id, True)
    result = await runner.resume(graph, run_id, pause_before=["c"]).result()
    assert (result.state.log, names(result.waits)) == (["a", "b"], ["c"])
    await runner.answer(run_id, True)
    assert (await go_on(runner, graph, run_id)).state.log == ["a", "b", "c"]


@pytest.mark.parametrize(("given", "told"), [("publish", "give a list"), (["pubish"], "did you mean 'publish'")])
async def test_a_pause_before_nothing_is_refused(given: Any, told: str) -> None:
    """At once, with the repair."""
    async with Runner() as runner:
        with pytest.raises(InputError, match=told):
            runner.start(path(("publish", lambda: "x", "word")), pause_before=given)


async def test_a_pause_before_a_map_is_one_pause(runner: Runner) -> None:
    """Not one for each item."""

    async def look(item: str) -> bool:
        return item == "a"

    graph = Graph("g", State)
    graph.add_node("look", look, each={"item": "items"}, writes="answers")
    graph.add_path(START, "look", END)
    run_id = await waiting(runner, graph, pause_before=["look"])
    assert names(await runner.waits(run_id)) == ["look"]
    await runner.answer(run_id, True)
    assert (await go_on(runner, graph, run_id)).state.answers == [True, False, False, False]


async def test_waits_of_one_name_are_answered_one_after_another(runner: Runner) -> None:
    """The items of a map that all call their question the same."""

    async def work(item: str, ctx: Context) -> bool:
        return await ctx.ask(f"{item}?", bool, name="editor")

    graph = Graph("g", State)
    graph.add_node("work", work, each={"item": "items"}, writes="answers")
    graph.add_path(START, "work", END)
    run_id = await waiting(runner, graph, state={"items": ["a", "b"]})
    for given in (True, False):
        await runner.answer(run_id, given, wait="editor")
        result = await go_on(runner, graph, run_id)
    assert (result.status, result.state.answers) == ("finished", [True, False])


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"timeout_seconds": 0}, "above 0"),
        ({"timeout_seconds": float("nan")}, "above 0"),
        ({"default": "x"}, "without a time"),
    ],
)
async def test_a_question_in_a_node_that_makes_no_sense_is_refused(runner: Runner, options: Any, told: str) -> None:
    """As one that is a node."""

    async def work(ctx: Context) -> str:
        return await ctx.ask("Well?", str, **options)

    with pytest.raises(RunFailed, match=told):
        await runner.start(path(("work", work, "word"))).result()


def shown(result: object) -> str:
    """What an answer looks like."""
    return repr(result)


class Strict(BaseModel):
    model_config = ConfigDict(strict=True)

    day: datetime.date


class Alias(BaseModel):
    number: int = Field(alias="theNumber")


async def test_strict_models_and_aliases_are_types_of_answers(timed: Runner, clock: FakeClock) -> None:
    """Given as a model, as JSON, or as a default."""
    for kind, given in ((Strict, Strict(day=datetime.date(2026, 1, 2))), (Alias, Alias(theNumber=3))):
        graph = path(("q", ask("Well?", kind), {"word": shown}))
        run_id = await waiting(timed, graph)
        await timed.answer(run_id, given)
        assert (await go_on(timed, graph, run_id)).state.word == repr(given)

        graph = path(("q", ask("Well?", kind, timeout_seconds=60, default=given), {"word": shown}))
        run_id = await waiting(timed, graph)
        clock.move(60)
        assert (await go_on(timed, graph, run_id)).state.word == repr(given)


# -- restarts, other runners, stops, branches


async def test_an_answer_survives_restarts(tmp_path: Path) -> None:
    """Asked by one process, answered by another, gone on with by a third."""
    calls: list[str] = []

    async def draft() -> str:
        calls.append("draft")
        return "text"

    async def work(ctx: Context) -> str:
        text = await ctx.step(draft)
        return text if await ctx.ask("Fine?", bool) else ""

    graph = path(("work", work, "word"))
    async with Runner(tmp_path / "runs.db") as runner:
        run_id = await waiting(runner, graph)
    async with Runner(tmp_path / "runs.db") as runner:
        assert (await runner.store.info(run_id)).status == "waiting"
        assert names(await runner.waits(run_id)) == ["work"]
        await runner.answer(run_id, True)
    async with Runner(tmp_path / "runs.db") as runner:
        assert (await go_on(runner, graph, run_id)).state.word == "text"
    assert calls == ["draft"]


async def test_two_runners_share_a_waiting_run(tmp_path: Path) -> None:
    """One that did not start it answers, and goes on; the first sees what came of it."""
    graph = path(("q", ask("Well?", str), "word"))
    async with Runner(tmp_path / "runs.db") as first, Runner(tmp_path / "runs.db") as second:
        run_id = await waiting(first, graph)
        await second.answer(run_id, "x")
        assert (await go_on(second, graph, run_id)).state.word == "x"
        assert (await go_on(first, graph, run_id)).state.word == "x"


async def test_an_answer_of_another_process_reaches_a_run_that_is_driven(tmp_path: Path) -> None:
    """Here one arm works on while the other's question is answered through the database."""
    leave = asyncio.Event()

    async def work() -> str:
        await leave.wait()
        return "worked"

    graph = forked(("q", ask("Well?", str), "log"), ("work", work, "log"))
    async with Runner(tmp_path / "runs.db") as first, Runner(tmp_path / "runs.db") as second:
        run = first.start(graph)
        async for event in run.events():
            if isinstance(event, StepRecorded) and event.step.kind == "waiting":
                break
        await second.answer(run.id, "x")
        async with asyncio.timeout(SOON):
            async for event in run.events():
                if isinstance(event, StepRecorded) and event.step.node == "q" and event.step.kind == "node":
                    break
        leave.set()
        assert (await run.result()).state.log == ["x", "worked"]


async def test_a_sleeping_run_goes_on_in_another_process(tmp_path: Path) -> None:
    """Closing its runner leaves it waiting; whoever resumes it waits the rest of its time."""

    async def rest(ctx: Context) -> str:
        await ctx.sleep(WEEK)
        return "rested"

    graph = path(("rest", rest, "word"))
    clock = FakeClock(start=0.0, jumps=False)
    async with Runner(tmp_path / "runs.db", clock=clock) as runner:
        run = runner.start(graph)
        async for event in run.events():
            if isinstance(event, StepRecorded) and event.step.kind == "waiting":
                break
    assert (await run.result()).status == "waiting"
    clock = FakeClock(start=86_400.0)
    async with Runner(tmp_path / "runs.db", clock=clock) as runner, asyncio.timeout(SOON):
        assert (await runner.resume(graph, run.id).result()).state.word == "rested"
    assert clock.now() == WEEK


async def test_a_waiting_run_can_be_stopped_and_resumed(runner: Runner) -> None:
    """A stopped run takes no answer; resumed it asks again."""
    graph = path(("q", ask("Well?", str), "word"))
    run_id = await waiting(runner, graph)
    await runner.stop(run_id, "lunch")
    assert (await runner.store.info(run_id)).status == "stopped"
    result = await go_on(runner, graph, run_id)
    assert (result.status, names(result.waits)) == ("waiting", ["q"])
    await runner.answer(run_id, "x")
    assert (await go_on(runner, graph, run_id)).state.word == "x"


async def test_a_stopped_run_keeps_its_answer(runner: Runner) -> None:
    """What was answered before the resume counts with it."""
    graph = path(("q", ask("Well?", str), "word"))
    run_id = await waiting(runner, graph)
    await runner.stop(run_id)
    await runner.answer(run_id, "x")
    assert (await go_on(runner, graph, run_id)).state.word == "x"


async def test_a_sleeping_run_can_be_stopped(timed: Runner) -> None:
    """Its result is there at once."""

    async def rest(ctx: Context) -> str:
        await ctx.sleep_until(float("inf"))
        return "rested"

    run = timed.start(path(("rest", rest, "word")))
    async for event in run.events():
        if isinstance(event, StepRecorded) and event.step.kind == "waiting":
            break
    await timed.stop(run.id)
    async with asyncio.timeout(SOON):
        assert (await run.result()).status == "stopped"


async def test_a_branch_of_a_waiting_run_waits_for_itself(runner: Runner) -> None:
    """Each of the two is answered on its own."""
    graph = path(("q", ask("Publish {title}?", str), "word"))
    run_id = await waiting(runner, graph)
    at = len(await runner.history(run_id))
    child = await runner.branch(graph, run_id, at, update={"title": "Bees"}).result()
    assert (child.status, names(child.waits)) == ("waiting", ["q"])
    await runner.answer(child.run_id, "child")
    assert (await go_on(runner, graph, child.run_id)).state.word == "child"
    assert names(await runner.waits(run_id)) == ["q"]
    await runner.answer(run_id, "parent")
    assert (await go_on(runner, graph, run_id)).state.word == "parent"


async def test_the_branch_of_a_sleeper_has_its_time(timed: Runner, clock: FakeClock) -> None:
    """A timer that has passed meanwhile is due at once."""

    async def rest(ctx: Context) -> str:
        await ctx.sleep(WEEK)
        return "rested"

    graph = path(("rest", rest, "word"))
    run = timed.start(graph)
    await run.result()
    waits = next(step.seq for step in await timed.history(run.id) if step.kind == "waiting")
    before = clock.now()
    async with asyncio.timeout(SOON):
        assert (await timed.branch(graph, run.id, waits).result()).state.word == "rested"
    assert clock.now() == before


# -- what a waiting run costs, and shows


async def test_a_waiting_run_holds_nothing(runner: Runner) -> None:
    """No asyncio task of its own and no snapshot are left of it."""
    graph = path(("q", ask("Well?", str), "word"))
    for _ in range(3):
        await waiting(runner, graph)
    gc.collect()
    tasks = [task for task in asyncio.all_tasks() if "graphengine run" in task.get_name()]
    assert tasks == []
    assert [found for found in gc.get_objects() if isinstance(found, Snapshot) and found.frames] == []


async def test_a_sleeping_run_holds_no_snapshot() -> None:
    """Only what is to wake it."""

    async def rest(ctx: Context) -> str:
        await ctx.sleep_until(float("inf"))
        return "rested"

    async with Runner(clock=FakeClock()) as runner:
        run = runner.start(path(("rest", rest, "word")))
        async for event in run.events():
            if isinstance(event, StepRecorded) and event.step.kind == "waiting":
                break
        for _ in range(10):
            await asyncio.sleep(0)
        gc.collect()
        held = [found for found in gc.get_objects() if isinstance(found, Snapshot) and found.frames]
        assert held == []


async def test_events_end_where_the_run_waits_and_go_on_with_the_resume(runner: Runner) -> None:
    """Whoever watches the resumed run gets every step from the first, or those after the last seen."""
    graph = path(("q", ask("Well?", str), "word"))
    run = runner.start(graph)
    async with asyncio.timeout(SOON):
        first = [event.seq async for event in run.events() if isinstance(event, StepRecorded)]
    assert first == [1, 2]
    await runner.answer(run.id, "x")
    again = runner.resume(graph, run.id)
    async with asyncio.timeout(SOON):
        rest = [event async for event in again.events(after=2) if isinstance(event, StepRecorded)]
    assert [event.seq for event in rest] == [3, 4]
    assert [event.step.kind for event in rest] == ["resumed", "node"]


async def test_events_of_a_sleeping_run_go_on_when_it_wakes(timed: Runner) -> None:
    """One watcher sees it all."""

    async def rest(ctx: Context) -> str:
        await ctx.sleep(WEEK)
        return "rested"

    run = timed.start(path(("rest", rest, "word")))
    async with asyncio.timeout(SOON):
        kinds = [event.step.kind async for event in run.events() if isinstance(event, StepRecorded)]
    assert kinds == ["started", "waiting", "resumed", "answered", "node"]


async def test_a_run_that_still_waits_is_not_touched_by_a_resume(runner: Runner) -> None:
    """Nothing is recorded and its result tells the waits."""
    graph = path(("q", ask("Well?", str), "word"))
    run_id = await waiting(runner, graph)
    before = len(await runner.history(run_id))
    for _ in range(2):
        assert names((await go_on(runner, graph, run_id)).waits) == ["q"]
    assert len(await runner.history(run_id)) == before


async def test_a_run_may_sleep_a_thousand_times() -> None:
    """A poller: no nap costs more than the one before it."""

    async def poll(log: list[str], ctx: Context) -> str:
        await ctx.sleep(60)
        return "polled"

    graph = Graph("poller", State, limits=Limits(steps=None))
    graph.add_node("poll", poll, writes="log")
    graph.add_edge(START, "poll")
    graph.add_edge("poll", END, when=iterations("poll") >= 1000)
    graph.add_edge("poll", "poll")
    async with Runner(clock=FakeClock(start=0.0)) as runner, asyncio.timeout(30):
        result = await runner.start(graph).result()
    assert (result.status, len(result.state.log)) == ("finished", 1000)


async def test_five_hundred_runs_may_wait_at_once(runner: Runner) -> None:
    """And be answered in any order."""
    graph = path(("q", ask("Well?", str), "word"))
    runs = [runner.start(graph) for _ in range(500)]
    async with asyncio.timeout(30):
        results = await asyncio.gather(*(run.result() for run in runs))
        assert {result.status for result in results} == {"waiting"}
        await asyncio.gather(*(runner.answer(run.id, str(n)) for n, run in reversed(list(enumerate(runs)))))
        done = await asyncio.gather(*(runner.resume(graph, run.id).result() for run in runs))
    assert [result.state.word for result in done] == [str(n) for n in range(500)]


async def test_five_hundred_sleepers_wake_in_order(timed: Runner, clock: FakeClock) -> None:
    """Each at its own time."""
    woke: list[int] = []

    async def rest(title: str, ctx: Context) -> str:
        await ctx.sleep_until(2000.0 + int(title))
        woke.append(int(title))
        return title

    graph = path(("rest", rest, "word"))
    runs = [timed.start(graph, {"title": str(n)}) for n in reversed(range(500))]
    async with asyncio.timeout(30):
        await asyncio.gather(*(run.result() for run in runs))
    assert woke == list(range(500))

"""What if: recorded runs, branched where a change first matters, against what they came to."""

from __future__ import annotations

import secrets
from typing import Any

import pytest
from pydantic import BaseModel, SecretStr

from graphengine import END, START, Agent, Context, Graph, Runner, ScriptedModel, ask, tool, value
from graphengine.errors import CompileError, InputError
from graphengine.models import Request, Response
from graphengine.models.scripted import calls
from graphengine.stores.memory import MemoryStore
from graphengine.testing.evaluation.report import difference_of, student_t
from graphengine.testing.evaluation.what_if import what_if

CALLED: list[str] = []


class Desk(BaseModel):
    task: str = ""
    facts: str = ""
    draft: str = ""
    score: float = 0.0
    ok: bool | None = None
    final: str = ""


class Locked(BaseModel):
    task: str = ""
    key: SecretStr = SecretStr("")
    final: str = ""


def look(city: str) -> str:
    """Look at the sky of a city."""
    CALLED.append(f"look {city}")
    return f"sun over {city}"


@tool(effect="once")
def post(text: str) -> str:
    """Post a text."""
    CALLED.append(f"post {text}")
    return "posted"


async def price(city: str) -> dict[str, int]:
    """Return a price."""
    CALLED.append(f"price {city}")
    return {"eur": len(city)}


async def gather(ctx: Context, task: str) -> str:
    """Return a price, from a recorded call."""
    return str((await ctx.call(price, task))["eur"])


async def close(ctx: Context, draft: str, task: str) -> str:
    """Return the draft with a price, from another recorded call."""
    found = await ctx.call(price, f"{task}, again")
    return f"{draft} {found['eur']}"


def writing(request: Request) -> Response:
    """Look once, then answer with the instructions."""
    if request.messages[-1].role == "tool":
        return Response(f"{request.system} {request.messages[-1].text}", cost_usd=0.5, input_tokens=3)
    city = "Bonn" if "short" in request.system else "Köln"
    return calls(("look", {"city": city}))


def desk(model: Any = writing, system: str = "short", tools: Any = (look,)) -> Graph[Desk]:
    """Return a graph with recorded calls, an agent with a tool, and a question."""
    graph = Graph("desk", Desk, result="final")
    writer = Agent("writer", system=system, prompt="go", tools=tools, model=ScriptedModel(model))
    graph.add_node("gather", gather, writes="facts")
    graph.add_node("write", writer, writes="draft")
    graph.add_node("ok", ask("Post it?", bool), writes="ok")
    graph.add_node("close", close, writes="final")
    graph.add_path(START, "gather", "write", "ok", "close", END)
    return graph


async def recorded(store: MemoryStore, graph: Graph[Desk], names: str = "abcdef") -> None:
    """Record runs, each answered by a person; then forget what was called."""
    async with Runner(store) as runner:
        for name in names:
            await runner.start(graph, {"task": name}, run_id=name).result()
            await runner.answer(name, value=True, by="ada")
            await runner.resume(name, graph).result()
    CALLED.clear()


def long(final: str) -> float:
    """Score a text by its length."""
    return min(1.0, len(final) / 200)


async def test_a_branch_begins_where_the_change_matters_and_the_log_answers_the_rest() -> None:
    """Neither `price` is called again, nor is ada asked; the tool is, as it is asked about another city."""
    store, graph = MemoryStore(), desk()
    await recorded(store, graph)
    found = await what_if(graph, "abcdef", store, name="long", instructions={"writer": "long"}, scorers=[long])
    assert CALLED == ["look Köln"] * 6
    pair = found.runs[0]
    assert (pair.at, pair.node, pair.before.status, pair.after.status) == (3, "write", "finished", "finished")
    assert ("Bonn" in pair.before.result, "Köln" in pair.after.result) == (True, True)
    assert found.endings == {"finished → finished": 6}
    cost, score = found.differences["cost_usd"], found.differences["long"]
    assert cost is not None and (cost.mean, cost.low, cost.equal) == (0.0, 0.0, 6)  # noqa: PT018
    assert score is not None and score.low is not None and score.less == 6  # noqa: PT018
    assert found.spent_usd == 3.0
    async with Runner(store) as runner:
        assert {each.id: each.status for each in await runner.runs(tag="whatif:long")} == {
            f"long.{name}": "finished" for name in "abcdef"
        }
        step = next(each for each in await runner.history("long.a") if each.kind == "branched")
        assert step.seq == 4
        answers = [getattr(each.data, "answer", None) for each in await runner.history("long.a")]
        assert [each.by for each in answers if each is not None] == ["the log"]
        assert (await runner.info("a")).seq == 12


async def test_another_model_is_a_change_and_unchanged_calls_of_tools_are_answered() -> None:
    """It is in the list of changes by its name."""
    store, graph = MemoryStore(), desk()
    await recorded(store, graph, "ab")
    dear = ScriptedModel(writing)
    dear.name = "dear"
    found = await what_if(graph, "ab", store, name="dear", models={"writer": dear})
    assert (CALLED, found.runs[0].node) == ([], "write")
    assert found.change == ["node write: answered by scripted → dear (2 of 2 runs)"]
    assert (await what_if(graph, "ab", store, name="same", models=ScriptedModel(writing))).untouched == ["a", "b"]


async def test_refuse_takes_results_from_the_log_alone() -> None:
    """A tool gets an error that its model sees; a recorded call of a node fails the branch."""
    store, graph = MemoryStore(), desk()
    await recorded(store, graph, "ab")
    found = await what_if(graph, "ab", store, name="r", instructions={"writer": "long"}, tools="refuse")
    assert CALLED == []
    assert {each.after.status for each in found.runs} == {"failed"}
    assert "effect_refused: the log has no call look" in found.runs[0].after.why
    assert found.differences["cost_usd"] is not None


async def test_live_makes_every_call() -> None:
    """Also those whose result the log has."""
    store, graph = MemoryStore(), desk()
    await recorded(store, graph, "a")
    await what_if(graph, "a", store, name="live", at=("close", 1), tools="live")
    assert CALLED == ["price a, again"]


async def test_effects_never_act() -> None:
    """Even live: a tool that must not be repeated is refused."""

    def posts(request: Request) -> Response:
        if request.messages[-1].role == "tool":
            return Response("done")
        return calls(("post", {"text": request.system}))

    store, graph = MemoryStore(), desk(posts, tools=[post])
    await recorded(store, graph, "a")
    again = await what_if(graph, "a", store, name="same", at=("write", 1))
    other = await what_if(graph, "a", store, name="other", instructions={"writer": "else"}, tools="live")
    assert (again.runs[0].after.status, other.runs[0].after.status, CALLED) == ("finished", "failed", [])
    assert "effect_refused" in other.runs[0].after.why


async def test_a_changed_graph_is_found_in_its_spec_and_by_replay() -> None:
    """A prompt of one agent; a threshold of an edge. What no log tells, such as a function's code, is `untouched`."""

    def graded(least: float, prompt: str = "go") -> Graph[Desk]:
        graph = Graph("graded", Desk, result="final")
        writer = Agent("writer", prompt=prompt, model=ScriptedModel(lambda request: request.messages[0].text))
        graph.add_node("grade", lambda task: len(task) / 10, writes="score")
        graph.add_node("write", writer, writes="draft")
        graph.add_node("close", lambda draft: draft, writes="final")
        graph.add_edge(START, "grade")
        graph.add_edge("grade", "close", when=value("score") >= least)
        graph.add_edge("grade", "write")
        graph.add_path("write", "close", END)
        return graph

    store = MemoryStore()
    async with Runner(store) as runner:
        for name in ("a", "bbbb", "cccccccc"):
            await runner.start(graded(0.5), {"task": name}, run_id=name).result()
    names = ["a", "bbbb", "cccccccc"]
    lower = await what_if(graded(0.3), names, store, name="lower")
    assert ([(each.run_id, each.at) for each in lower.runs], lower.untouched) == ([("bbbb", 1)], ["a", "cccccccc"])
    prompt = await what_if(graded(0.5, "please"), names, store, name="prompt")
    assert [(each.run_id, each.node, each.after.result) for each in prompt.runs] == [
        ("a", "write", "please"),
        ("bbbb", "write", "please"),
    ]
    assert (await what_if(graded(0.5), names, store, name="same")).untouched == names


async def test_other_values_from_the_beginning_or_before_a_visit() -> None:
    """Without a place everything after the start is done again."""
    store, graph = MemoryStore(), desk()
    await recorded(store, graph, "a")
    first = await what_if(graph, "a", store, name="first", update={"task": "zz"})
    assert (first.runs[0].at, CALLED) == (1, ["price zz", "price zz, again"])
    CALLED.clear()
    later = await what_if(graph, "a", store, name="later", update={"draft": "mine"}, at=("ok", 1))
    assert (later.runs[0].after.result, CALLED) == ("mine 8", [])
    none = await what_if(graph, "a", store, name="none", at=("write", 2))
    assert [*none.left.values()] == ["it has no visit 2 of write"]


async def test_questions_that_the_log_does_not_answer_leave_the_branch_waiting() -> None:
    """It is said, and a person can answer the branch."""
    store, graph = MemoryStore(), desk()
    await recorded(store, graph, "a")
    changed = Graph("desk", Desk, result="final")
    changed.add_node("gather", gather, writes="facts")
    changed.add_node("write", Agent("writer", prompt="go", model=ScriptedModel(lambda _: "x")), writes="draft")
    changed.add_node("ok", ask("Really post it?", bool), writes="ok")
    changed.add_node("close", close, writes="final")
    changed.add_path(START, "gather", "write", "ok", "close", END)
    found = await what_if(changed, "a", store, name="asks")
    assert (found.runs[0].after.status, found.runs[0].after.why) == (
        "waiting",
        "the log does not answer: Really post it?",
    )


async def test_runs_that_cannot_be_compared_are_named() -> None:
    """One still waits, one does not exist; the other is compared."""
    store, graph = MemoryStore(), desk()
    await recorded(store, graph, "a")
    async with Runner(store) as runner:
        await runner.start(graph, {"task": "w"}, run_id="waits").result()
    found = await what_if(graph, ["a", "waits", "none"], store, name="x", instructions={"writer": "long"})
    assert [(run_id, why.partition(":")[0]) for run_id, why in found.left.items()] == [
        ("waits", "it has not ended"),
        ("none", "unknown_run"),
    ]


async def test_the_same_name_resumes_and_repeats_nothing() -> None:
    """1. A branch is cut off by a limit; 2. the same comparison goes on; 3. a third time nothing is called."""
    store, graph = MemoryStore(), desk()
    await recorded(store, graph, "ab")
    made: list[str] = []

    def counted(request: Request) -> Response:
        made.append(request.system)
        return writing(request)

    again = desk(counted, "long")
    first = await what_if(again, "ab", store, name="n")
    assert len(made) == 4
    second = await what_if(again, "ab", store, name="n")
    assert len(made) == 4
    assert [each.after.result for each in first.runs] == [each.after.result for each in second.runs]


async def test_a_budget_stops_further_branches() -> None:
    """What the first ones cost counts; the others are named."""
    store, graph = MemoryStore(), desk()
    await recorded(store, graph, "abcd")
    options: dict[str, Any] = {"instructions": {"writer": "long"}, "budget_usd": 0.9, "concurrency": 1}
    found = await what_if(graph, "abcd", store, name="cheap", **options)
    assert ([*found.left.values()], len(found.runs)) == (["the budget is spent"] * 2, 2)


async def test_unknown_agents_are_refused() -> None:
    """Before anything is branched."""
    store, graph = MemoryStore(), desk()
    await recorded(store, graph, "a")
    with pytest.raises(InputError, match="unknown agent 'editor'"):
        await what_if(graph, "a", store, name="x", instructions={"editor": "long"})


def test_intervals_are_those_of_student() -> None:
    """Quantiles of tables: 2.776 for 4 degrees of freedom, 2.228 for 10, 1.984 for 100; none for fewer than 5 pairs."""
    assert [round(student_t(freedom), 2) for freedom in (4, 10, 100)] == [2.77, 2.23, 1.98]
    few = difference_of([(1.0, 2.0), (1.0, 3.0), (None, 1.0)])
    assert few is not None
    assert (few.mean, few.low, few.more) == (1.5, None, 2)
    assert difference_of([(None, 1.0)]) is None
    five = difference_of([(0.0, x) for x in (1.0, 2.0, 3.0, 4.0, 5.0)])
    assert five is not None
    assert (round(five.low or 0, 1), round(five.high or 0, 1)) == (1.0, 5.0)


async def test_a_comparison_goes_on_with_more_runs_and_with_other_scorers() -> None:
    """Its scores are those of the runs and the scorers that are given now."""
    store, graph = MemoryStore(), desk()
    await recorded(store, graph, "ab")

    def one(final: str) -> float:
        return float(bool(final))

    await what_if(graph, "a", store, name="more", instructions={"writer": "long"}, scorers=[long])
    found = await what_if(graph, "ab", store, name="more", instructions={"writer": "long"}, scorers=[long])
    assert [set(each.after.scores) for each in found.runs] == [{"long"}] * 2
    found = await what_if(graph, "ab", store, name="more", instructions={"writer": "long"}, scorers=[one])
    assert [each.after.scores for each in found.runs] == [{"one": 1.0}] * 2


async def test_the_report_has_no_secret_and_scorers_that_do_not_fit_cost_no_branch() -> None:
    """A state with a secret cannot be scored, which is said before a branch is run."""
    graph = Graph("locked", Locked, result="final", secret_key=secrets.token_urlsafe(32))
    graph.add_node("close", lambda task: task, writes="final")
    graph.add_path(START, "close", END)
    store = MemoryStore()
    async with Runner(store) as runner:
        await runner.start(graph, {"task": "a", "key": "the first one"}, run_id="a").result()
    found = await what_if(graph, "a", store, name="key", update={"key": "the other one"})
    assert found.change == ["key = [secret]"]
    with pytest.raises(CompileError, match="key is a secret"):
        await what_if(graph, "a", store, name="scored", at=("close", 1), scorers=[long])
    async with Runner(store) as runner:
        assert not await runner.runs(tag="whatif:scored")


async def test_a_name_stands_for_one_change() -> None:
    """Another change under the same name would be reported with the branches of the first."""
    store, graph = MemoryStore(), desk()
    await recorded(store, graph, "a")
    await what_if(graph, "a", store, name="u", update={"task": "one"})
    found = await what_if(graph, "a", store, name="u", update={"task": "two"})
    assert ([why.partition(":")[0] for why in found.left.values()], found.runs) == (["invalid_input"], [])
    with pytest.raises(InputError, match="the name has 200 characters"):
        await what_if(graph, "a", store, name="n" * 200)

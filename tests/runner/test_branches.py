"""Branches: of branches, amid forks, maps and subgraphs, before waits, of runs that are being driven."""

import asyncio
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, Field

from graphengine import END, START, Context, Graph, Runner, ask, iterations, value
from graphengine.errors import InputError, RunNotResumable, UnknownStep
from graphengine.reducers import append
from tests.kit.runs import SOON, alone, repeated


class State(BaseModel):
    n: int = Field(default=0, ge=0)
    word: str = "ant"
    log: Annotated[list[str], append] = []
    items: list[int] = [1, 2, 3]
    made: list[str] = []
    ok: bool | None = None


async def at_step(runner: Runner, run_id: str, path: str, kind: str = "node", nth: int = 1) -> int:
    """Return the seq of the n-th step of a path and kind."""
    found = [step.seq for step in await runner.history(run_id) if (step.path, step.kind) == (path, kind)]
    return found[nth - 1]


def counting() -> Graph[State]:
    """Return a graph that counts to four."""
    return repeated(State, lambda n: n + 1, "n", value("n") >= 4, name="count", node="more", thread=False)


async def test_a_step_is_also_named_by_a_node_and_its_visit(runner: Runner) -> None:
    """A branch, a state and a comparison begin after the step that completed that visit."""
    graph = counting()
    await runner.start(graph, run_id="r").result()
    assert (await runner.state_at("r", ("more", 2)))["n"] == 2
    assert (await runner.state_at("r", "more:2"))["n"] == 2
    assert [str(each) for each in await runner.diff("r", "r", first_at=("more", 1), second_at=3)] == ["n: 1 → 2"]
    await runner.branch("r", graph, at=("more", 2), update={"n": 3}, run_id="other").result()
    assert (await runner.info("other")).parent_seq == 3


@pytest.mark.parametrize("at", ["more", "more:", ":2", ("more",), ("more", "2"), 1.5])
async def test_what_names_no_step_is_refused(runner: Runner, at: Any) -> None:
    """With what does."""
    await runner.start(counting(), run_id="r").result()
    with pytest.raises(InputError, match="a step is given as ") as caught:
        await runner.branch("r", counting(), at=at).result()
    assert "('review', 2)" in caught.value.repair
    assert (await runner.state_at("r", ["more", 2]))["n"] == 2  # type: ignore[arg-type]  # as JSON has it


@pytest.mark.parametrize(
    ("at", "message", "repair"),
    [
        (("more", 7), "no completed visits of 'more' in run r have the number 7", "1 (step 2), 2 (step 3), 3 (step 4)"),
        (("mor", 1), "no completed visits of 'mor' in run r have the number 1", "did you mean 'more'?"),
    ],
)
async def test_an_unknown_visit_is_refused_with_those_that_exist(
    runner: Runner, at: tuple[str, int], message: str, repair: str
) -> None:
    """So is an unknown node, with a similar one."""
    await runner.start(counting(), run_id="r").result()
    with pytest.raises(UnknownStep) as caught:
        await runner.branch("r", counting(), at=at).result()
    assert caught.value.message == message
    assert repair in caught.value.repair


async def test_a_visit_that_several_have_is_refused(runner: Runner) -> None:
    """A graph that is entered again numbers its visits from 1 again; the error lists their steps."""
    graph = repeated(State, counting(), {"n": "n"}, iterations("count") >= 2, name="twice", node="count")
    await runner.start(graph, run_id="r").result()
    with pytest.raises(UnknownStep, match=r"2 completed visits of 'count/more' in run r have the number 1") as caught:
        await runner.state_at("r", ("count/more", 1))
    assert "1 (step 3)" in caught.value.repair
    assert (await runner.state_at("r", ("count", 2)))["n"] > (await runner.state_at("r", ("count", 1)))["n"]


# -- amid forks


def plain(arm: str) -> Any:
    """Return a node of an arm."""

    def work(word: str) -> str:
        return f"{arm} {word}"

    return work


def arms() -> Graph[State]:
    """Return a graph with two arms of two nodes each."""
    graph = Graph("arms", State)
    graph.add_node("begin", lambda: "begun", writes="log", thread=False)
    for arm in "ab":
        graph.add_node(arm, plain(arm), writes="log", thread=False)
        graph.add_node(f"{arm}2", lambda log, word: f"{'/'.join(log)} {word}", writes="log", thread=False)
        graph.add_path(arm, f"{arm}2", "merge")
    graph.add_node("merge")
    graph.add_edge(START, "begin")
    graph.add_fork("begin", ["a", "b"], join="merge")
    graph.add_edge("merge", END)
    return graph


async def test_an_update_needs_a_path_if_there_are_several_views(runner: Runner) -> None:
    """The error lists the views, and nothing is written."""
    graph = arms()
    run = runner.start(graph)
    await run.result()
    at = await at_step(runner, run.id, "begin")
    with pytest.raises(InputError, match="several states are open there") as caught:
        await runner.branch(run.id, graph, at, update={"log": "x"}).result()
    assert "one of: '', '~a', '~b'" in caught.value.repair
    assert [info.id for info in await runner.store.runs()] == [run.id]


# -- waits


def asking() -> Graph[State]:
    """Return a graph that notes, asks and notes again."""
    graph = Graph("asking", State)
    graph.add_node("before", lambda: "before", writes="log", thread=False)
    graph.add_node("ask", ask("Continue with {word}?", bool), writes="ok")
    graph.add_node("after", lambda ok: f"after {ok}", writes="log", thread=False)
    graph.add_path(START, "before", "ask", "after", END)
    return graph


@pytest.mark.parametrize("kind", ["before", "waiting"])
async def test_a_branch_before_an_answer_asks_again(runner: Runner, kind: str) -> None:
    """A branch before the question asks its own, one after it asks the same; the parent's answer is not inherited."""
    graph = asking()
    run = runner.start(graph)
    await run.result()
    await runner.answer(run.id, value=True)
    assert (await runner.resume(run.id, graph).result()).state.log == ["before", "after True"]
    at = await at_step(runner, run.id, *(("before", "node") if kind == "before" else ("ask", "waiting")))
    child = await runner.branch(run.id, graph, at, update={"word": "bee"}).result()
    (wait,) = child.waits
    assert (child.status, wait.question) == ("waiting", f"Continue with {'bee' if kind == 'before' else 'ant'}?")
    await runner.answer(child.run_id, value=False)
    assert (await runner.resume(child.run_id, graph).result()).state.log == ["before", "after False"]
    assert (await runner.resume(run.id, graph).result()).state.log == ["before", "after True"]


# -- edits, drivers, ends


@pytest.mark.parametrize(
    ("update", "expected"),
    [
        ({"n": -1}, "n: Input should be greater than or equal to 0"),
        ({"n": "many"}, "n: Input should be a valid integer"),
        ({"log": 5}, "log.0: Input should be a valid string"),
        ({"m": 1}, "unknown field 'm'"),
        ({"n": 3, "word": None}, "word: Input should be a valid string"),
    ],
)
async def test_a_bad_edit_is_refused_and_nothing_is_written(
    runner: Runner, update: dict[str, object], expected: str
) -> None:
    """The error names the field and the value; the id can still be used."""
    graph = counting()
    await runner.start(graph, run_id="r").result()
    before = list(await runner.history("r"))
    with pytest.raises(InputError, match=expected):
        await runner.branch("r", graph, 2, update=update, run_id="child").result()
    assert [info.id for info in await runner.store.runs()] == ["r"]
    assert list(await runner.history("r")) == before
    assert (await runner.branch("r", graph, 2, update={"n": 3}, run_id="child").result()).state.n == 4


async def test_a_run_that_is_driven_can_be_branched(runner: Runner) -> None:
    """The branch begins at a recorded step while the next node runs; both runs continue separately."""
    begun, leave = asyncio.Event(), asyncio.Event()

    async def work(word: str, ctx: Context) -> str:
        if word == "ant":
            begun.set()
            await leave.wait()
        return f"{word} {ctx.visit}"

    graph = Graph("driven", State)
    graph.add_node("first", lambda: 1, writes="n", thread=False)
    graph.add_node("work", work, writes="log")
    graph.add_path(START, "first", "work", END)
    run = runner.start(graph)
    async with asyncio.timeout(SOON):
        await begun.wait()
        child = await runner.branch(run.id, graph, 2, update={"word": "bee"}).result()
        assert child.state.log == ["bee 1"]
        leave.set()
        assert (await run.result()).state.log == ["ant 1"]


async def test_if_nothing_is_ready_the_step_before_is_named(runner: Runner) -> None:
    """This is so at the last step of a finished run, also of a branch, whose steps continue from its parent's."""
    graph = counting()
    await runner.start(graph, run_id="r").result()
    child = await runner.branch("r", graph, 3, run_id="child").result()
    for run_id, at in (("r", 5), ("child", child.seq)):
        with pytest.raises(RunNotResumable) as caught:
            await runner.branch(run_id, graph, at).result()
        assert f"branch at step {at - 1}" in caught.value.repair
        assert (await runner.branch(run_id, graph, at - 1).result()).status == "finished"


async def test_a_branch_has_an_id_of_its_own(runner: Runner) -> None:
    """The parent's id is refused at once, since that run exists."""
    graph = alone(State, lambda: "x", "log", thread=False, name="g", node="a")
    await runner.start(graph, run_id="r").result()
    with pytest.raises(InputError, match="cannot have the same id"):
        runner.branch("r", graph, 1, run_id="r")

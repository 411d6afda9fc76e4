"""Child runs that a prune keeps: those that the run which started them can still need."""

from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from pydantic import BaseModel

from graphengine import END, START, Context, Graph, Migration, Retention, Runner, value
from graphengine.records.export import export_run, import_run
from graphengine.records.retention import bites, rules_of
from tests.kit.runs import alone, failing
from tests.worker.test_child_runs import Word, Words, measure

Removing = Callable[[Runner], Coroutine[Any, Any, object]]


async def prunes(runner: Runner) -> None:
    """Prune at once."""
    await runner.admin.prune(older_than=0)


async def prunes_found(runner: Runner) -> None:
    """Prune what a search finds."""
    await runner.admin.bulk("prune", "status:finished")


async def works(runner: Runner) -> None:
    """Prune as a worker does."""
    for rule in rules_of(None, Retention(keep_days=0, keep_failed_days=0, keep_tags=[])):
        async for _ in bites(runner.store, rule, 2e12):
            pass


removers = pytest.mark.parametrize("removes", [prunes, prunes_found, works])
child = alone(Word, measure, "length", name="measures", node="measure")


async def one(ctx: Context) -> list[int]:
    """Return the length that a child in a queue found."""
    kid = await ctx.start(child, {"word": "bee"}, run_id="kid", queue="words")
    return [(await kid.result()).state.length]


async def ids(runner: Runner) -> list[str]:
    """Return the ids of all runs, sorted."""
    return sorted(info.id for info in await runner.store.runs())


@removers
async def test_a_child_is_kept_until_its_parent_has_read_its_end(runner: Runner, removes: Removing) -> None:
    """The parent waits, and has not looked yet; once it has finished, both go."""
    graph = alone(Words, one, "lengths", name="parents", node="node")
    await runner.start(graph, run_id="p", wait_out=False).result()
    await runner.resume("kid", child).result()
    await removes(runner)
    assert await ids(runner) == ["kid", "p"]
    assert (await runner.resume("p", graph).result()).state.lengths == [3]
    await removes(runner)
    assert await ids(runner) == []


class Rounds(BaseModel):
    """How often a run went round."""

    n: int = 0


def rounds(*, inside: bool) -> Graph[Rounds]:
    """Return a graph that starts a child in each round, `kid-1`, `kid-2` and so on, and waits for its second."""

    async def starts(ctx: Context, n: int) -> int:
        kid = await ctx.start(child, {"word": "bee"}, run_id=f"kid-{n + 1}", queue="words")
        if n == 1:
            await ctx.ask("go on?", bool)
        await kid.result()
        return n + 1

    graph = Graph("rounds", Rounds)
    node: Any = starts
    if inside:
        node = alone(Rounds, starts, "n", name="inner", node="starts", result="n")
    graph.add_node("round", node, writes="n")
    graph.add_edge(START, "round")
    graph.add_edge("round", END, when=value("n") >= 2)
    graph.add_edge("round", "round")
    return graph


@pytest.mark.parametrize("inside", [False, True])
@removers
async def test_a_child_of_an_earlier_visit_goes_though_its_parent_goes_on(
    runner: Runner, removes: Removing, *, inside: bool
) -> None:
    """Else nothing that an endless run started would ever go; in a graph inside, any visit of that graph counts."""
    graph = rounds(inside=inside)
    await runner.start(graph, run_id="p", wait_out=False).result()
    await runner.resume("kid-1", child).result()
    await runner.resume("p", graph).result()
    await runner.resume("kid-2", child).result()
    await removes(runner)
    assert await ids(runner) == (["kid-1", "kid-2", "p"] if inside else ["kid-2", "p"])
    await runner.answer("p", True)  # noqa: FBT003 - the answer
    assert (await runner.resume("p", graph).result()).state.n == 2
    await removes(runner)
    assert await ids(runner) == []


@pytest.mark.parametrize("prune", [prunes, prunes_found])
async def test_a_tree_that_failed_goes_at_once(runner: Runner, prune: Removing) -> None:
    """A run before those that it started; with the one at the top kept, all are that it can still need."""

    async def fails(ctx: Context) -> list[int]:
        kid = await ctx.start(middle, {}, run_id="middle")
        await kid.result()
        raise ValueError

    async def middles(ctx: Context) -> list[int]:
        kid = await ctx.start(child, {"word": "bee"}, run_id="kid")
        await kid.result()
        raise ValueError

    middle = alone(Words, middles, "lengths", name="middles", node="node")
    graph = alone(Words, fails, "lengths", name="parents", node="node")
    await failing(runner.start(graph, run_id="top", tags=["keep"]).result())
    assert [(info.id, info.status) for info in await runner.runs()] == [
        ("kid", "finished"), ("middle", "failed"), ("top", "failed"),
    ]  # fmt: skip
    every = ("finished", "failed")
    kept = (await runner.admin.prune(older_than=0, keep_tags=["keep"], statuses=every)).kept
    assert kept == {
        "top": "tag 'keep'", "middle": "needed by parent top", "kid": "needed by parent middle",
    }  # fmt: skip
    assert (await runner.admin.prune(older_than=0)).kept == {"kid": "needed by parent middle"}
    planned = await runner.admin.prune(older_than=0, statuses=every, dry_run=True)
    assert planned.runs == ("top", "middle", "kid")
    if prune is prunes:
        assert (await runner.admin.prune(older_than=0, statuses=every)).runs == planned.runs
    else:
        assert [*(await runner.admin.bulk("prune", "since:9999d")).runs] == [*planned.runs]
    assert await ids(runner) == []


async def test_a_worker_removes_a_tree_that_failed_pass_by_pass(runner: Runner) -> None:
    """A child is kept as long as the run that started it is stored, and could be resumed."""

    async def fails(ctx: Context) -> list[int]:
        await (await ctx.start(child, {"word": "bee"}, run_id="kid")).result()
        raise ValueError

    await failing(runner.start(alone(Words, fails, "lengths", name="parents", node="node"), run_id="p").result())
    await works(runner)
    assert await ids(runner) == ["kid"]
    await works(runner)
    assert await ids(runner) == []


async def test_a_child_stays_if_its_parent_is_resumed_meanwhile(
    runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both were to be removed; the store keeps the parent, which has changed."""

    async def fails(ctx: Context) -> list[int]:
        await (await ctx.start(child, {"word": "bee"}, run_id="kid")).result()
        if is_broken:
            raise ValueError
        return await ctx.ask("how long?", list[int])

    async def resumes(going: Any) -> Any:
        monkeypatch.undo()
        is_broken.clear()
        await runner.resume("p", graph, wait_out=False).result()
        return await runner.store.remove(going)

    is_broken = {"p"}
    graph = alone(Words, fails, "lengths", name="parents", node="node")
    await failing(runner.start(graph, run_id="p").result())
    monkeypatch.setattr(runner.store, "remove", resumes)
    done = await runner.admin.prune(older_than=0, statuses=("finished", "failed"))
    assert (done.runs, done.kept["kid"]) == ((), "needed by parent p")
    assert await ids(runner) == ["kid", "p"]


async def test_a_child_of_a_node_that_was_renamed_is_kept(runner: Runner) -> None:
    """The visit goes on under the new name."""

    async def asks(ctx: Context) -> list[int]:
        kid = await ctx.start(child, {"word": "bee"}, run_id="kid", queue="words")
        await ctx.ask("go on?", bool)
        return [(await kid.result()).state.length]

    graph = alone(Words, asks, "lengths", name="parents", node="node")
    newer: Graph[Words] = Graph("parents", Words, version=2, migrate={1: Migration(renamed={"node": "other"})})
    newer.add_node("other", asks, writes="lengths")
    newer.add_path(START, "other", END)
    await runner.start(graph, run_id="p", wait_out=False).result()
    await runner.resume("kid", child).result()
    assert (await runner.resume("p", newer, wait_out=False).result()).status == "waiting"
    await prunes(runner)
    await runner.answer("p", True)  # noqa: FBT003 - the answer
    assert (await runner.resume("p", newer).result()).state.lengths == [3]


async def test_a_branch_starts_its_own_child_though_the_other_was_removed(runner: Runner) -> None:
    """It begins where its parent waited for a child that has gone since, and waits for its own."""
    graph = alone(Words, one, "lengths", name="parents", node="node")
    await runner.start(graph, run_id="p", wait_out=False).result()
    waited = (await runner.info("p")).seq
    await runner.resume("kid", child).result()
    await runner.resume("p", graph).result()
    await runner.admin.bulk("prune", "graph:measures")
    assert await ids(runner) == ["p"]
    await runner.branch("p", graph, waited, run_id="b").result()
    await runner.resume("kid", child).result()
    assert (await runner.resume("b", graph).result()).state.lengths == [3]


async def test_a_run_that_waits_for_a_child_that_is_not_stored_fails(runner: Runner) -> None:
    """As one that was exported without its children, and imported elsewhere."""
    graph = alone(Words, one, "lengths", name="parents", node="node")
    await runner.start(graph, run_id="p", wait_out=False).result()
    await runner.resume("kid", child).result()
    async with Runner() as other:
        await import_run(other.store, await export_run(runner.store, "p"))
        over = await failing(other.resume("p", graph).result())
    assert (over.error.kind, over.error.message) == (
        "child_failed",
        "child run 'kid' was removed: its end was not read before",
    )

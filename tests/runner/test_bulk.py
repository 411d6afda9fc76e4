"""What is done to all runs that a search finds, over each store."""

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from graphengine import Graph, Limits, RunFailed, Runner, ask
from graphengine.errors import InputError
from graphengine.records import Bulk, bulk
from graphengine.worker.worker import RunOutcome, Worker, WorkerEvent
from tests.kit.runs import SOON, alone


class State(BaseModel):
    n: int = 0
    ok: bool = False


class Broken:
    """A graph whose node fails while it is broken."""

    def __init__(self, name: str = "mail") -> None:
        self.is_broken = True
        self.graph: Graph[State] = alone(State, self._work, "n", name=name)

    async def _work(self, n: int) -> int:
        if self.is_broken:
            raise ValueError(n)
        return n + 1


async def fail(runner: Runner, graph: Graph[State], *run_ids: str, **options: Any) -> None:
    """Let runs fail."""
    for run_id in run_ids:
        with suppress(RunFailed):
            await runner.start(graph, run_id=run_id, **options).result()


async def statuses(runner: Runner) -> dict[str, str]:
    """Return the status of each run."""
    return {info.id: info.status for info in await runner.runs()}


async def drive(runner: Runner, graph: Graph[State], runs: int) -> None:
    """Let a worker drive so many runs to their ends."""
    ends: list[RunOutcome] = []

    def note(event: WorkerEvent) -> None:
        if isinstance(event, RunOutcome):
            ends.append(event)
        if len(ends) == runs:
            worker.stop()

    worker = Worker(runner, graph, on_event=note)
    await asyncio.wait_for(worker.run(), SOON)


async def test_all_runs_that_have_not_ended_are_stopped(runner: Runner) -> None:
    """Queued and waiting ones of the graph, with the reason; a dry run only lists them, a second call finds none."""
    asks: Graph[State] = alone(State, ask("Go on?", bool), "ok", name="asks")
    for number in range(2):
        await runner.start(asks, run_id=f"w{number}").result()
    await runner.start(asks, run_id="q", queue="later").result()
    other: Graph[State] = alone(State, ask("Go on?", bool), "ok", name="other")
    await runner.start(other, run_id="o").result()
    found = await runner.bulk("stop", "graph:asks since:1h", dry_run=True)
    assert found == Bulk("stop", ["q", "w1", "w0"], dry_run=True)
    assert set((await statuses(runner)).values()) == {"waiting", "queued"}
    assert await runner.bulk("stop", "graph:asks since:1h", why="a wrong input") == Bulk("stop", ["q", "w1", "w0"])
    assert await statuses(runner) == {"w0": "stopped", "w1": "stopped", "q": "stopped", "o": "waiting"}
    ending = (await runner.get("w0").result()).ending
    assert ending is not None
    assert "a wrong input" in ending.why
    assert (await runner.bulk("stop", "graph:asks")).runs == []


async def test_a_run_that_was_asked_to_stop_is_not_asked_again(runner: Runner) -> None:
    """One whose process died: the worker that takes it stops it, before any node begins."""
    graph: Graph[State] = alone(State, lambda n: n + 1, "n", name="mail")
    run = runner.start(graph, run_id="r")
    await runner.release("r")
    assert (await run.result()).status == "running"
    assert (await runner.bulk("stop", "graph:mail", why="a wrong input")).runs == ["r"]
    for dry_run in (True, False):
        assert (await runner.bulk("stop", "graph:mail", dry_run=dry_run)).runs == []
    assert len(await runner.store.inbox(["r"])) == 1
    await drive(runner, graph, 1)
    assert await statuses(runner) == {"r": "stopped"}
    assert await runner.store.inbox(["r"]) == []


async def test_runs_that_failed_are_retried_by_workers(runner: Runner) -> None:
    """The resume is recorded at once, and no node begins here; runs of a graph that is not given are refused."""
    broken, other = Broken(), Broken("other")
    await fail(runner, broken.graph, "a", "b")
    await fail(runner, other.graph, "x")
    broken.is_broken = False
    done = await runner.bulk("retry", "status:failed", graphs=[broken.graph])
    assert done == Bulk("retry", ["b", "a"], {"x": "its graph other is not given"})
    assert await statuses(runner) == {"a": "interrupted", "b": "interrupted", "x": "failed"}
    assert [step.kind for step in await runner.history("a")][-1] == "resumed"
    await drive(runner, broken.graph, 2)
    assert await statuses(runner) == {"a": "finished", "b": "finished", "x": "failed"}
    assert (await runner.bulk("retry", "since:1h", graphs=[broken.graph, other.graph], dry_run=True)).runs == ["x"]


async def test_stopped_runs_are_resumed(runner: Runner) -> None:
    """A run that failed is not among them; one that reached a limit is, and fails at that limit again later."""
    broken = Broken()
    await fail(runner, broken.graph, "failed")
    broken.is_broken = False
    await runner.start(broken.graph, run_id="limit", limits=Limits(visits=0)).result()
    assert await runner.bulk("resume", "graph:mail", graphs=[broken.graph]) == Bulk("resume", ["limit"])
    assert (await runner.info("failed")).status == "failed"


async def test_tags_are_added_and_removed_once(runner: Runner) -> None:
    """Runs that have the tag, or lack it, are left alone."""
    await fail(runner, Broken().graph, "a", "b")
    await runner.tag("a", add=["incident"])
    assert (await runner.bulk("tag", "since:1h", tag="incident")).runs == ["b"]
    assert (await runner.bulk("untag", "since:1h", tag="incident")).runs == ["b", "a"]
    assert [info.tags for info in await runner.runs()] == [(), ()]


async def test_runs_that_ended_are_pruned_with_their_branches(runner: Runner) -> None:
    """A run that a remaining branch needs is kept, and named; with the branch in the search both go."""
    broken = Broken()
    await fail(runner, broken.graph, "a", "b")
    await fail(runner, broken.graph, "c", tags=["keep"])
    broken.is_broken = False
    await runner.branch("a", broken.graph, 1, run_id="child", tags=["keep"]).result()
    found = await runner.bulk("prune", "status:failed", dry_run=True)
    assert (sorted(found.runs), found.refused) == (["b", "c"], {"a": "needed by branch child"})
    assert (await runner.bulk("prune", "since:1h")).refused == {}
    assert await statuses(runner) == {}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("pause", "since:1h"), "no action 'pause'"),
        *((("stop", words), "no words say which runs") for words in (" ", "!!!", '"', "…", "\N{SMILE}", "since:1h -")),
        (("stop", "status:fail"), "status cannot be 'fail'"),
        (("tag", "since:1h"), "tag=None"),
    ],
)
async def test_an_order_that_cannot_be_meant_is_refused(runner: Runner, words: Any, message: str) -> None:
    """Nothing is changed then; above all no words do not stand for all runs."""
    with pytest.raises(InputError, match=message):
        await runner.bulk(*words)


async def test_two_processes_do_the_same_at_once(database: Path | str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What both find is retried, and its work done once: a run that was resumed twice is driven by one worker."""
    monkeypatch.setattr(bulk, "_AT_ONCE", 2)
    broken = Broken()
    async with Runner(database) as first, Runner(database) as second:
        await fail(first, broken.graph, *(f"r{number}" for number in range(8)))
        await asyncio.gather(*(each.bulk("retry", "status:failed", graphs=[broken.graph]) for each in (first, second)))
        assert set((await statuses(first)).values()) == {"interrupted"}
        broken.is_broken = False
        await drive(first, broken.graph, 8)
        for info in await first.runs():
            assert (await first.get(info.id, broken.graph).result()).state.n == 1

"""Tags, pruning and vacuum by a Runner, over both stores."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from graphengine import END, START, Graph, Limits, Pruned, RunFailed, Runner, ask, iterations
from graphengine.errors import InputError, RunnerClosed, UnknownRun
from graphengine.records import retention
from graphengine.runner.runner import lives_of
from graphengine.testing import FakeClock


class State(BaseModel):
    n: int = 0
    ok: bool = False


def counting(name: str = "counting", *, fails: bool = False, asks: bool = False) -> Graph[State]:
    """Return a graph that counts to 3, fails or asks."""

    async def more(n: int) -> int:
        if fails:
            raise ValueError(n)
        return n + 1

    graph = Graph(name, State)
    graph.add_node("more", ask("Continue?", bool) if asks else more, writes="ok" if asks else "n")
    graph.add_edge(START, "more")
    graph.add_edge("more", END, when=iterations("more") >= 3)
    graph.add_edge("more", "more")
    return graph


async def finish(runner: Runner, *run_ids: str, **options: Any) -> None:
    """Finish runs one after another, a second apart on a fake clock."""
    for run_id in run_ids:
        await runner.start(counting(), run_id=run_id, **options).result()
        clock = lives_of(runner).shared.clock
        if isinstance(clock, FakeClock):
            clock.move(1)


async def listed(runner: Runner) -> list[str]:
    """Return the ids of the existing runs, sorted."""
    return sorted(info.id for info in await runner.store.runs())


# -- tags


async def test_a_run_begins_with_its_tags(runner: Runner) -> None:
    """Repeated tags count once; a branch has its own tags and none of its parent's."""
    await finish(runner, "r", tags=["b", "a", "b"])
    await runner.branch("r", counting(), 2, run_id="child", tags={"c"}).result()
    assert (await runner.store.info("r")).tags == ("a", "b")
    assert (await runner.store.info("child")).tags == ("c",)


async def test_tags_can_be_changed_at_any_time(runner: Runner) -> None:
    """The run can have ended, or have started a moment ago."""
    run = runner.start(counting(), run_id="r", tags=("x",))
    assert await runner.tag("r", add=["y"], remove=["x"]) == ("y",)
    await run.result()
    assert await runner.tag("r", remove=["y", "nothing"]) == ()
    with pytest.raises(UnknownRun):
        await runner.tag("unknown", add=["x"])


@pytest.mark.parametrize("tag", ["", " ", "a\nb", "\x1b[31m", "x" * 101, "\udc80", 7, None])
async def test_a_text_that_cannot_be_a_tag_is_refused(runner: Runner, tag: Any) -> None:
    """It is refused at once, with the allowed form, and nothing is recorded."""
    with pytest.raises(InputError, match="cannot be a tag") as caught:
        runner.start(counting(), run_id="r", tags=[tag])
    assert "1 to 100 printable characters" in caught.value.repair
    assert await listed(runner) == []
    await finish(runner, "r", tags=["x" * 100])
    with pytest.raises(InputError):
        await runner.tag("r", add=[tag])


@pytest.mark.parametrize("tags", ["nightly", "", 7, None])
async def test_a_single_text_is_no_list_of_tags(runner: Runner, tags: Any) -> None:
    """A text would count as a list of its letters."""
    with pytest.raises(InputError, match="is not a list of tags"):
        runner.start(counting(), run_id="r", tags=tags)
    with pytest.raises(InputError, match="is not a list of tags"):
        await runner.prune(keep_last=1, keep_tags=tags)


# -- prune


async def test_a_prune_removes_old_runs(timed: Runner) -> None:
    """Runs that ended long enough ago are removed whole; a dry run only lists them."""
    await finish(timed, "a", "b", "c")
    seen = await timed.prune(older_than=timedelta(seconds=2), dry_run=True)
    assert (seen.runs, seen.steps, seen.kept, seen.dry_run) == (("a", "b"), 8, {}, True)
    assert seen.db_bytes > 500
    assert await listed(timed) == ["a", "b", "c"]
    done = await timed.prune(older_than=2)
    assert done == Pruned(seen.runs, seen.steps, seen.db_bytes)
    assert await listed(timed) == ["c"]
    with pytest.raises(UnknownRun):
        await timed.resume("a", counting()).result()
    with pytest.raises(UnknownRun):
        await timed.branch("a", counting(), 2).result()


async def test_the_newest_runs_of_each_graph_are_kept(timed: Runner) -> None:
    """`keep_last` counts runs of any status, graph by graph; with an age given too, both conditions must hold."""
    await finish(timed, "a", "b", "c")
    await timed.start(counting("other"), run_id="lonely").result()
    lives_of(timed).shared.clock.move(100)  # type: ignore[attr-defined]  # a FakeClock
    with pytest.raises(RunFailed):
        await timed.start(counting(fails=True), run_id="failed").result()
    newest = {"c": "among the newest 2 of counting", "lonely": "among the newest 2 of other"}
    assert (await timed.prune(keep_last=2, dry_run=True)).kept == newest
    assert (await timed.prune(keep_last=2, older_than=102.5)).runs == ("a",)
    assert (await timed.prune(keep_last=0, graph="other")).runs == ("lonely",)
    assert await listed(timed) == ["b", "c", "failed"]


async def test_the_reason_that_keeps_a_run_is_reported(timed: Runner) -> None:
    """It is a tag, or a kept branch; parents of such branches are kept all the way up."""
    await finish(timed, "a", "tagged")
    await timed.branch("a", counting(), 2, run_id="b").result()
    await timed.branch("b", counting(), 3, run_id="c", limits=Limits(visits=2)).result()
    await timed.tag("tagged", add=["keep"])
    done = await timed.prune(older_than=0, keep_tags=["keep", "more"])
    assert done.runs == ()
    assert done.kept == {"tagged": "tag 'keep'", "a": "needed by branch b", "b": "needed by branch c"}
    done = await timed.prune(older_than=0, statuses=["finished", "stopped"])
    assert done.runs == ("c", "b", "a", "tagged")
    assert await listed(timed) == []


async def test_resumable_runs_are_not_pruned_by_accident(timed: Runner) -> None:
    """Failed and stopped runs are removed only when they are named; waiting ones never."""
    await timed.start(counting(), run_id="stopped", limits=Limits(visits=1)).result()
    await timed.start(counting("asks", asks=True), run_id="waits").result()
    with pytest.raises(RunFailed):
        await timed.start(counting(fails=True), run_id="failed").result()
    assert (await timed.prune(older_than=0)).runs == ()
    assert (await timed.prune(older_than=0, statuses=("failed",))).runs == ("failed",)
    assert (await timed.prune(older_than=0, statuses=("stopped",))).runs == ("stopped",)
    with pytest.raises(InputError, match="waiting are never pruned"):
        await timed.prune(older_than=0, statuses=("finished", "waiting"))
    assert await listed(timed) == ["waits"]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, "neither keep_last nor older_than is given"),
        ({"keep_tags": ["x"]}, "neither keep_last nor older_than is given"),
        ({"keep_last": -1}, "keep_last=-1"),
        ({"keep_last": True}, "keep_last=True"),
        ({"keep_last": 1.5}, "keep_last=1.5"),
        ({"older_than": -1}, "older_than=-1"),
        ({"older_than": "30d"}, "older_than='30d'"),
        ({"older_than": float("nan")}, "older_than=nan"),
        ({"older_than": timedelta(days=-1)}, "older_than="),
        ({"keep_last": 1, "statuses": ["finshed"]}, "unknown status 'finshed'"),
        ({"keep_last": 1, "statuses": ["running"]}, "running are never pruned"),
    ],
)
async def test_an_invalid_prune_is_refused(runner: Runner, given: dict[str, Any], expected: str) -> None:
    """The error explains the repair, and nothing is removed."""
    await finish(runner, "r")
    with pytest.raises(InputError, match=expected) as caught:
        await runner.prune(**given)
    assert caught.value.repair
    assert await listed(runner) == ["r"]


async def test_more_runs_than_a_page_are_pruned(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    """The list of candidates is read page by page, and the runs are removed in batches."""
    monkeypatch.setattr(retention, "_PAGE", 10)
    monkeypatch.setattr(retention, "_BATCH", 4)
    for number in range(33):
        await runner.start(counting(), run_id=f"r{number}").result()
    done = await runner.prune(keep_last=5)
    assert (len(done.runs), done.steps, len(done.kept)) == (28, 112, 5)
    assert len(await listed(runner)) == 5


async def test_a_closed_runner_prunes_nothing(database: Path | str) -> None:
    """Pruning with a closed runner raises an error."""
    runner = Runner(database)
    async with runner:
        await finish(runner, "r")
    for ask_for in (runner.prune(keep_last=0), runner.vacuum(), runner.tag("r", add=["x"])):
        with pytest.raises(RunnerClosed):
            await ask_for


async def test_a_vacuum_returns_two_sizes(tmp_path: Path) -> None:
    """They are those of the file and its log before and after."""
    path = tmp_path / "runs.db"
    async with Runner(path) as runner:
        await finish(runner, *(f"r{number}" for number in range(120)))
        await runner.prune(keep_last=1)
        found = await runner.vacuum()
        assert found.after_bytes == path.stat().st_size
        assert found.after_bytes < found.before_bytes
        assert (await runner.history("r119"))[-1].seq == 4

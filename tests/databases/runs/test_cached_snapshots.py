"""A run with many open questions is loaded once: then an answer and a resume read only the steps since."""

from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import pytest

from graphengine import END, START, Context, Graph, Result, Runner
from graphengine.engine.stored import encode_snapshot
from graphengine.history.load import load_snapshot
from graphengine.runner.cached_snapshots import CachedSnapshots
from graphengine.stores.base import Store
from tests.runner.test_cached_snapshots import COUNT, Batch, Said, labelling

LOAD = "graphengine.databases.sqlite.reads.load"


STATE = Batch(items=list(range(COUNT)))


async def same(kept: CachedSnapshots, store: Store, run_id: str) -> bool:
    """Return whether what is kept of a run is what is recorded."""
    return encode_snapshot(await kept.read(run_id)) == encode_snapshot(await load_snapshot(store, run_id, None))


async def test_what_is_kept_follows_other_processes(tmp_path: Path) -> None:
    """Steps of another Runner are read before the snapshot is used; a run that was removed is loaded as a whole."""
    graph = labelling()
    async with Runner(tmp_path / "runs.db") as one, Runner(tmp_path / "runs.db") as other:
        await one.start(graph, STATE, run_id="r").result()
        mine = CachedSnapshots(one.store)
        assert await same(mine, one.store, "r")
        for number in (3, 60):
            await other.answer("r", "moon", wait=f"label[{number}]")
            await other.resume("r", graph).result()
            assert await same(mine, one.store, "r")
        with patch(LOAD, side_effect=AssertionError):
            taken = await mine.take("r")
        assert (taken.snapshot.open_waits.count, mine.ids) == (COUNT - 2, frozenset())
        mine.keep(taken.snapshot)
        await one.stop("r")
        await one.store.remove([await one.info("r")])
        await one.start(graph, Batch(items=list(range(COUNT - 5))), run_id="r").result()
        assert await same(mine, one.store, "r")


async def heard(ctx: Context, words: list[str]) -> str:
    """Receive a word."""
    return await ctx.receive("word", str)


def hearing() -> Graph[Said]:
    """Return a graph that receives one word after another."""
    graph = Graph("hearing", Said)
    graph.add_node("hear", heard, writes="words")
    graph.add_edge(START, "hear")
    graph.add_edge("hear", END, when=lambda words: words[-1] == "bye")
    graph.add_edge("hear", "hear")
    return graph


async def hear(runner: Runner, word: str) -> Result[Said]:
    """Send a word to a run, which is started if there is none, and return its result once it waits again."""
    run = await runner.start_or_send(hearing(), "r", "word", word)
    return await run.result()


async def test_a_message_to_a_kept_run_reads_no_step(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    """The row of the run, which is read anyway, says that the run has no step that the kept snapshot lacks."""
    store = runner.store
    for word in ("sun", "moon", "star", "comet"):
        await hear(runner, word)
    calls: list[str] = []

    def noted(name: str) -> Callable[..., object]:
        call = getattr(store, name)

        def calling(*given: object) -> object:
            calls.append(name)
            return call(*given)

        return calling

    for name in ("steps", "load", "info", "infos"):
        monkeypatch.setattr(store, name, noted(name))
    assert (await hear(runner, "planet")).state.words == ["sun", "moon", "star", "comet", "planet"]
    assert not {"steps", "load"} & {*calls}
    assert calls.count("infos") == 1


@pytest.mark.parametrize("is_other", [True, False])
async def test_a_kept_snapshot_that_is_not_the_last_is_not_returned(runner: Runner, *, is_other: bool) -> None:
    """Another process moved the run on. Or it removed the run, and another one with as many steps has its id."""
    store = runner.store
    for word in ("sun", "moon", "star", "comet"):
        await hear(runner, word)
    mine, seq = CachedSnapshots(store), (await store.info("r")).seq
    mine.hand_over(await load_snapshot(store, "r", None))
    assert (await mine.read("r", await store.info("r"))).seq == seq
    if is_other:
        for _ in range(50):  # a node that finds its message at once records one step fewer than a node that waits
            await hear(runner, "bye")
            assert not await store.remove([await store.info("r")])
            for word in ("one", "two", "three", "four"):
                await hear(runner, word)
            if (await store.info("r")).seq == seq:
                break
    else:
        await hear(runner, "planet")
    info = await store.info("r")
    assert (info.seq == seq) == is_other
    found = await mine.read("r", info)
    assert found.seq == info.seq
    assert found.root.values["words"][-1] == ("four" if is_other else "planet")

"""A run with many open questions is loaded once: then an answer and a resume read only the steps since."""

from pathlib import Path
from unittest.mock import patch

from graphengine import Runner
from graphengine.engine.stored import encode_snapshot
from graphengine.history.load import load_snapshot
from graphengine.runner.cached_snapshots import CachedSnapshots
from graphengine.stores.base import Store
from tests.runner.test_cached_snapshots import COUNT, Batch, labelling

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

"""A run with many open questions is loaded once: then an answer and a resume read only the steps since."""

from pathlib import Path
from typing import Annotated
from unittest.mock import patch

import pytest
from pydantic import BaseModel

from graphengine import END, START, Graph, Runner, ask
from graphengine.engine.fold import fold
from graphengine.engine.snapshot import Snapshot
from graphengine.engine.stored import encode_snapshot
from graphengine.history.load import load_snapshot
from graphengine.reducers import append
from graphengine.runner import cached_snapshots
from graphengine.runner.cached_snapshots import CachedSnapshots
from graphengine.runner.result import result_of
from graphengine.stores.base import Store

COUNT = 80
LOAD = "graphengine.databases.sqlite.reads.load"


class Batch(BaseModel):
    """Items, and what people said about them."""

    items: list[int] = []
    labels: list[str] = []


class Said(BaseModel):
    """What was said."""

    words: Annotated[list[str], append] = []


def labelling() -> Graph[Batch]:
    """Return a graph that asks about each item."""
    graph = Graph("labelling", Batch)
    graph.add_node("label", ask("What is {item}?", str), each={"item": "items"}, writes="labels", concurrency=COUNT)
    graph.add_path(START, "label", END)
    return graph


STATE = Batch(items=list(range(COUNT)))


async def same(kept: CachedSnapshots, store: Store, run_id: str) -> bool:
    """Return whether what is kept of a run is what is recorded."""
    return encode_snapshot(await kept.read(run_id)) == encode_snapshot(await load_snapshot(store, run_id, None))


async def test_a_result_stays_as_it_was_when_its_run_goes_on_in_the_same_snapshot(runner: Runner) -> None:
    """Its state is made when it is looked at, from records that later steps do not change."""
    graph = Graph("asking", Said)
    graph.add_node("ask", ask("What is it?", str), writes="words")
    graph.add_node("again", ask("And this?", str), writes="words")
    graph.add_node("last", ask("And that?", str), writes="words")
    graph.add_path(START, "ask", "again", "last", END)
    await runner.start(graph, run_id="r").result()
    for word in ("moon", "sun", "star"):
        await runner.answer("r", word)
        await runner.resume("r", graph).result()
    steps = await runner.history("r")
    seqs = [step.seq for step in steps if step.kind == "waiting"]
    snapshot = fold(steps[: seqs[1]], Snapshot())
    fold(steps[seqs[1] : seqs[2]], snapshot)  # its list is its own now
    waiting = result_of(graph.compile(), snapshot)
    fold(steps[seqs[2] :], snapshot)
    assert snapshot.root.values["words"] == ["moon", "sun", "star"]
    assert (waiting.state.words, waiting.values["words"]) == (["moon", "sun"], ["moon", "sun"])


async def test_what_is_kept_follows_other_processes(tmp_path: Path) -> None:
    """Steps of another Runner are read before the snapshot is used; a run that was removed is loaded as a whole."""
    graph = labelling()
    async with Runner(tmp_path / "runs.db") as one, Runner(tmp_path / "runs.db") as other:
        await one.start(graph, STATE, run_id="r").result()
        mine = CachedSnapshots(one.store)
        assert await same(mine, one.store, "r")
        for number in (3, 60):
            await other.answer("r", "moon", question=f"label[{number}]")
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


async def test_few_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only runs with many open waits are kept, and of those only the ones used last."""
    monkeypatch.setattr(cached_snapshots, "_RUNS", 2)
    graph = labelling()
    async with Runner() as runner:
        mine = CachedSnapshots(runner.store)
        for name, count in (("a", COUNT), ("b", COUNT), ("small", 3), ("c", COUNT)):
            await runner.start(graph, Batch(items=list(range(count))), run_id=name).result()
            await mine.read(name)
            await mine.read("a")
    assert mine.ids == {"a", "c"}

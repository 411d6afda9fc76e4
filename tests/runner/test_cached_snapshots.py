"""A run that takes long to load is loaded once: then an answer and a resume read only the steps since."""

import asyncio
from collections.abc import Sequence
from typing import Annotated

import pytest
from pydantic import BaseModel

from graphengine import END, START, Context, Graph, Runner, ask
from graphengine.engine.fold import fold
from graphengine.engine.snapshot import Snapshot
from graphengine.engine.steps import Step
from graphengine.history import load
from graphengine.reducers import append
from graphengine.runner import cached_snapshots
from graphengine.runner.cached_snapshots import CachedSnapshots
from graphengine.runner.result import result_of
from graphengine.runner.runner import lives_of
from graphengine.stores.memory import InMemoryStore

COUNT = 80


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


def test_a_run_of_many_steps_is_kept_while_it_waits() -> None:
    """As a conversation, which is continued again and again; not one of unknown size. Large ones displace others."""
    mine = CachedSnapshots(InMemoryStore())
    for name, status, seq, size in (
        ("chat", "waiting", 9, 100_000),
        ("short", "waiting", 8, 100),
        ("over", "finished", 9, 100),
        ("unknown", "waiting", 9, -1),
        ("too large", "waiting", 9, 17 << 20),
        ("large", "waiting", 9, 10 << 20),
    ):
        mine.keep(Snapshot(run_id=name, status=status, seq=seq), size)  # type: ignore[arg-type]
    assert mine.ids == {"chat", "large"}
    mine.keep(Snapshot(run_id="other", status="waiting", seq=9), 10 << 20)
    assert mine.ids == {"other"}


@pytest.mark.parametrize("count", [20, 2 * COUNT])
async def test_an_answer_to_an_item_folds_only_new_steps_while_other_items_work(
    runner: Runner, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    """A map is driven, and its items ask. Each answer is checked against a snapshot that was loaded for the first."""
    working, asked, folded = asyncio.Event(), asyncio.Event(), 0

    async def label(ctx: Context, item: int) -> str:
        if item == 0:
            await working.wait()
            return "none"
        if item == count - 1:
            asked.set()
        return await ctx.ask(f"What is {item}?", str)

    def counting(steps: Sequence[Step], snapshot: Snapshot | None = None) -> Snapshot:
        nonlocal folded
        folded += len(steps)
        return fold(steps, snapshot)

    graph = Graph("labelling", Batch)
    graph.add_node("label", label, each={"item": "items"}, writes="labels", concurrency=count)
    graph.add_path(START, "label", END)
    run = runner.start(graph, Batch(items=list(range(count))), run_id="r")
    await asked.wait()
    while len(waits := load.waits_of(await load.load_snapshot(runner.store, "r", None))) < count - 1:  # noqa: ASYNC110 - no event reports it
        await asyncio.sleep(0)
    for module in (cached_snapshots, load):
        monkeypatch.setattr(module, "fold", counting)

    first, *others = waits
    await runner.answer("r", "moon", graph, wait=first)
    loaded = folded
    for wait in others:
        await runner.answer("r", "moon", graph, wait=wait)

    assert loaded >= count - 1
    assert folded - loaded <= 8 * len(others)
    working.set()
    assert (await run.result()).state.labels == ["none", *["moon"] * (count - 1)]
    assert not lives_of(runner).shared.kept.ids

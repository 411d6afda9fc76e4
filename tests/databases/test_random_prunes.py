"""Random trees of runs and random prunes, against a small model: `EXAMPLES=500` tries as many."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from graphengine.databases.sqlite import SQLiteStore
from graphengine.engine.step_json import encode_step
from graphengine.engine.steps import Step
from graphengine.kernel.testing.kit import append, batch, run_info, step, steps
from graphengine.records.retention import Rule, prune
from graphengine.stores.base import RunInfo, Status, Store
from graphengine.stores.memory import InMemoryStore
from tests.kit.facts import altered

TAGS = ("a", "b")
GRAPHS = ("g", "h")


@dataclass(frozen=True)
class Made:
    """A run to record: a branch of an earlier run, if there is one at `parent`, after one of its steps."""

    graph: str
    status: Status
    tags: tuple[str, ...]
    created_at: int
    count: int
    parent: int | None
    at: int


Ask = Made | Rule

MADE = st.builds(
    Made,
    st.sampled_from(GRAPHS),
    st.sampled_from((*["finished"] * 9, *get_args(Status))),
    st.sets(st.sampled_from(TAGS)).map(lambda found: tuple(sorted(found))),
    st.integers(0, 20),
    st.sampled_from((1, 2, 5, 70)),
    st.sampled_from((None, *range(12))),
    st.integers(1, 90),
)
RULES = st.builds(
    Rule,
    st.sampled_from((None, None, 0, 1, 2)),
    st.sampled_from((None, 0.0, 0.0, 5.0, 15.0)),
    st.frozensets(st.sampled_from(TAGS), max_size=1),
    st.none() | st.none() | st.sampled_from(GRAPHS),
    st.sampled_from((("finished",), ("finished",), ("failed", "finished", "stopped"), ("failed", "stopped"), ())),
)
CHAPTERS = st.lists(st.tuples(st.lists(MADE, min_size=3, max_size=12), RULES), min_size=1, max_size=3)
"""Runs, then a prune, then more runs, whose keys and ids are next to those that were removed."""

NOW = 120.0


def removed_by(runs: Sequence[RunInfo], rule: Rule) -> set[str]:
    """The model: which of these runs a prune removes."""
    found: set[str] = set()
    for run in runs:
        graph = sorted((r for r in runs if r.graph == run.graph), key=lambda r: (r.created_at, r.id))
        newest = graph[-rule.keep_last :] if rule.keep_last else []
        is_old = rule.older_than is None or run.updated_at <= NOW - rule.older_than
        if run.status in rule.statuses and rule.graph in {None, run.graph} and is_old and run not in newest:
            found.add(run.id)
        if rule.keep_tags.intersection(run.tags):
            found.discard(run.id)
    while needed := {r.parent for r in runs if r.parent in found and r.id not in found}:
        found -= needed
    return found


async def make(store: Store, made: Made, number: int) -> None:
    """Record a run, or a branch of an existing one."""
    existing = sorted(await store.runs(limit=1000), key=lambda info: info.id)
    info = structs.replace(run_info(f"r{number:02}", created_at=made.created_at, graph=made.graph), tags=made.tags)
    start = 0
    if existing and made.parent is not None:
        parent = existing[made.parent % len(existing)]
        start = made.at % parent.seq + 1
        info = structs.replace(info, parent=parent.id, parent_seq=start)
    last = start + made.count
    at = float(made.created_at + 100)
    own = [altered(each, at=at) for each in steps(start + 1, last, field=info.id)]
    fence = await store.create(info, own, {})
    if made.status == "running":
        await store.release(info.id, fence)
    else:
        await append(store, batch(info.id, fence, [step(last + 1, at=at, field=info.id)], made.status))


def recorded(found: Sequence[Step]) -> list[bytes]:
    """Return steps in their recorded form."""
    return [encode_step(each) for each in found]


async def logs(store: Store) -> dict[str, tuple[RunInfo, list[bytes], list[bytes]]]:
    """Return everything of every run that can be read."""
    runs = await store.runs(limit=1000)
    return {
        info.id: (info, recorded(await store.steps(info.id)), recorded((await store.load(info.id)).steps))
        for info in runs
    }


async def play(store: Store, asked: Sequence[Ask]) -> int:
    """Record and prune, and compare with the model after each prune. Return how many runs were removed."""
    removed = 0
    await store.open()
    try:
        for number, ask in enumerate(asked):
            if isinstance(ask, Made):
                await make(store, ask, number)
                continue
            before = await logs(store)
            expected = removed_by([info for info, _, _ in before.values()], ask)
            planned = await prune(store, ask, NOW, dry_run=True)
            assert set(planned.runs) == expected
            assert await logs(store) == before
            done = await prune(store, ask, NOW, dry_run=False)
            assert replace(done, dry_run=True) == planned
            assert done.steps == sum(before[run_id][0].seq - before[run_id][0].parent_seq for run_id in expected)
            assert await logs(store) == {run_id: log for run_id, log in before.items() if run_id not in expected}
            removed += len(expected)
    finally:
        await store.close()
    return removed


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
@given(chapters=CHAPTERS)
@settings(max_examples=int(os.environ.get("EXAMPLES", "20")))
def test_a_prune_removes_exactly_the_runs_of_the_model(
    kind: Literal["memory", "sqlite"], chapters: list[tuple[list[Made], Rule]]
) -> None:
    """Kept runs are unchanged, step for step, through any number of prunes and new runs between them."""
    with tempfile.TemporaryDirectory() as folder:
        store = InMemoryStore() if kind == "memory" else SQLiteStore(Path(folder) / "runs.db", synchronous="NORMAL")
        asked: list[Ask] = []
        for made, rule in chapters:
            asked += [*made, rule]
        asyncio.run(play(store, asked))

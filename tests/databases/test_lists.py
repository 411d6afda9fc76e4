"""Lists and counts of runs: both databases answer drawn combinations of filters as a store in memory does."""

import itertools
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from msgspec.structs import replace

from graphengine.databases.postgres import PostgresStore
from graphengine.databases.sqlite import SQLiteStore
from graphengine.kernel.store import InMemoryStore, Summary
from graphengine.kernel.testing.kit import append, batch, run_info, step
from graphengine.stores.base import Status, Store

STATUSES: Final[tuple[Status, ...]] = ("finished", "failed", "running", "waiting")
FILTERS: Final[dict[str, list[Any]]] = {
    "status": [*STATUSES],
    "graph": ["a", "b", "none"],
    "tag": ["old", "x y", "none"],
    "text": ["order", "word", "no way", "none", "or"],
    "begun_after": [1000.0, 2000.0, 3000.5],
    "begun_before": [1000.0, 3000.0, 4010.0],
    "tenant": ["acme", "globex", "none", "a\0"],
    "user": ["alice", "none", ""],
    "starter": ["order-0", "none"],
    "fields": [{"input.n": ["1"]}, {"input.n": ["1", "2"], "input.c": ["CH"]}],
    "sort": ["begun", "cost", "status"],
    "ascending": [True],
}
"""Values of the arguments of `Store.runs`, some of which no run has."""


async def fill(store: Store, draw: random.Random) -> None:
    """Record runs that differ in everything that a list selects by. Many began at the same time."""
    for number in range(60):
        info = replace(
            run_info(f"{draw.choice(['order', 'run', 'x-y'])}-{number}", graph=draw.choice("abc")),
            created_at=float(draw.choice([1000, 1000, 2000, 3000, 3000, 4000 + number])),
            user=draw.choice(["alice", "bob", None]),
            tenant=draw.choice([None, "acme", "globex"]),
            starter=draw.choice([None, None, "order-0", "nobody"]),
            tags=tuple(draw.sample(["old", "new", "x y"], draw.randrange(3))),
        )
        added = batch(info.id, await store.create(info, [], {"nodes": []}), [step(1)], draw.choice(STATUSES))
        fields = {f"input.{name}": draw.choice(["1", "2", "CH"]) for name in draw.sample("nc", draw.randrange(3))}
        reason = draw.choice(["work: no way", "all well", "word17 order"])
        added.summary = Summary(reason, cost_usd=draw.choice([None, 0.0, 0.5, 1.5]), fields=fields)
        await append(store, added)


def pages(draw: random.Random, ids: list[str]) -> Iterator[dict[str, Any]]:
    """Yield arguments of `Store.runs`."""
    for _ in range(400):
        given = {
            name: draw.choice(values) for name, values in (FILTERS | {"before": ids}).items() if draw.random() < 0.2
        }
        yield given | {"limit": draw.choice([0, 1, 3, 10, 100])}


@pytest.mark.parametrize("seed", range(3))
async def test_all_stores_list_and_count_alike(tmp_path: Path, postgres: str, seed: int) -> None:
    """Which filters are combined, and at which run a page begins, makes no difference."""
    stores: list[Store] = [InMemoryStore(), SQLiteStore(tmp_path / "runs.db"), PostgresStore(postgres)]
    for store in stores:
        await store.open()
        await fill(store, random.Random(seed))  # noqa: S311
    draw, found = random.Random(seed), 0  # noqa: S311
    ids = [info.id for info in await stores[0].runs(limit=100)]
    for page in pages(draw, ids):
        lists = [[info.id for info in await store.runs(**page)] for store in stores]
        assert lists[0] == lists[1] == lists[2], page
        found += bool(lists[0])
    assert found > 100
    for tag, text, tenant, every in itertools.product(
        (None, "old", "none"), (None, "order", "none"), (None, "acme", "none"), (None, 1000.0)
    ):
        asked: dict[str, Any] = {"tag": tag, "text": text, "every_seconds": every}
        asked |= {} if tenant is None else {"tenant": tenant}
        counts = [sorted(await store.counts(**asked)) for store in stores]
        assert counts[0] == counts[1] == counts[2], (tag, text, tenant, every)
    for store in stores:
        await store.close()

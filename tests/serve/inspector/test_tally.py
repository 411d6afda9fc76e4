"""The number above the list of runs, over each store: it is that of the runs that the list has."""

import asyncio
import itertools
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from graphengine.databases.postgres import PostgresStore
from graphengine.databases.sqlite import SQLiteStore
from graphengine.kernel.store import InMemoryStore, Summary
from graphengine.kernel.testing.kit import append, batch, run_info, step
from graphengine.records.search import FILTERS
from graphengine.serve.read_documents import Session, Tally
from graphengine.serve.reads.run_cache import RunCache
from graphengine.serve.reads.views import Views
from graphengine.serve.requests import Filters, ListParameters, TallyParameters
from graphengine.stores.base import Status, Store

WORDS = {
    "id": (),  # it is not counted: tests/records/test_searched_ids.py
    "status": ("status:failed", "status:finished", "status:running"),
    "graph": ("graph:a",),
    "tag": ("tag:old",),
    "tenant": ("tenant:acme",),
    "user": ("user:alice", "user:nobody"),
    "child-of": ("child-of:run0", "child-of:run9"),
    "since": ("since:90m",),
    "after": ("after:2000-01-01",),
    "before": ("before:2000-01-01",),
    "version": ("version:v1",),
    "agent": ("agent:writer", "agent:nobody"),
    "error": ("error:ValueError",),
    "lost": ("lost:yes", "lost:no"),
    "input.FIELD=": ("input.country=CH", "input.n>3", "input.n!=3", "input.x=1"),
    "output.FIELD=": ("output.status=paid",),
    "state.FIELD=": (),  # it is not counted: tests/records/test_field_search.py
    "cost>": ("cost>0.3",),
    "": ("ValueError", "run1"),
}


@pytest.fixture(params=["memory", "sqlite", "postgres"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    """An open store of each kind."""
    opened: Store = InMemoryStore()
    if request.param == "sqlite":
        opened = SQLiteStore(tmp_path / "runs.db")
    elif request.param == "postgres":
        opened = PostgresStore(request.getfixturevalue("postgres"))
    await opened.open()
    yield opened
    await opened.close()


async def fill(store: Store) -> None:
    """Record runs that differ in all that a filter selects by."""
    statuses: tuple[Status, ...] = ("finished", "failed", "running", "waiting")
    for n in range(12):
        begun = replace(
            run_info(f"run{n}", graph="ab"[n % 2]),
            created_at=time.time() - 3600 * (n % 5),
            user=("alice", "bob", None)[n % 3],
            tenant=(None, "acme")[n % 4 == 1],
            starter="run0" if n in {4, 7, 8} else None,
            deploy="v1" if n > 6 else "",
            tags=("old",) if n % 5 == 0 else (),
        )
        fence = await store.create(begun, [], {"nodes": []})
        added = batch(begun.id, fence, [step(1)], statuses[n % 4])
        losses = {"fallbacks": 1} if n % 8 == 0 else {}
        agents: dict[str, float | None] = {"writer": 0.1} if n % 3 else {}
        fields = {"input.n": str(n), "input.country": ("CH", "DE")[n % 2]} if n % 3 else {}
        fields |= {"output.status": "paid"} if n % 4 == 0 else {}
        added.summary = Summary("work: ValueError: no", cost_usd=n / 10, losses=losses, agents=agents, fields=fields)
        await append(store, added)


async def test_each_filter_counts_the_runs_that_it_lists(store: Store) -> None:
    """Alone, two of them together, and with words. Filters that are new belong into the words above."""
    assert WORDS.keys() - {""} == FILTERS.keys()
    await fill(store)
    views = Views(store, RunCache(store), lambda *_: "", Session("", "", False, None))  # noqa: FBT003
    wrong: dict[str, object] = {}
    for one, other in itertools.combinations_with_replacement(WORDS, 2):
        texts = WORDS[one] if one == other else [" ".join(each) for each in itertools.product(WORDS[one], WORDS[other])]
        for text in texts:
            query = TallyParameters(text=text)
            page = ListParameters(text=text, waits=False)
            listed, counted = len((await views.list_runs(page)).runs), (await views.tally(query)).runs
            is_counted = "status:running" not in text  # the store does not know which of these are driven
            if counted != (listed if is_counted else None):
                wrong[text] = counted, listed
            overview = await views.overview(Filters(text=text))
            if (sum(overview.statuses.values()), sum(runs for *_, runs in overview.bars)) != (listed, listed):
                wrong[text] = overview.statuses, listed
    assert wrong == {}


async def test_pages_share_a_count_that_keeps_no_other_request_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that ask at the same time, or soon after, share one; it is made in a thread, and an error is not kept."""
    store = InMemoryStore()
    await store.open()
    await fill(store)
    views = Views(store, RunCache(store), lambda *_: "", Session("", "", False, None))  # noqa: FBT003
    threads: list[str] = []

    def counted(*_: object) -> Tally:
        threads.append(threading.current_thread().name)
        if len(threads) == 1:
            raise KeyError
        time.sleep(0.005)
        return Tally(12, 3)

    monkeypatch.setattr("graphengine.serve.reads.views._tally", counted)
    monkeypatch.setattr("graphengine.serve.reads.held._REST", 1e9)
    query = TallyParameters(text="run")
    with pytest.raises(KeyError):
        await views.tally(query)
    assert await asyncio.gather(*(views.tally(query) for _ in range(3)), views.tally(query)) == [Tally(12, 3)] * 4
    assert await views.tally(query) == Tally(12, 3)
    assert len(threads) == 2
    assert threading.current_thread().name not in threads
    await views.tally(TallyParameters(text="run", change="stopped 2 runs"))
    assert len(threads) == 3

"""What the real threads of stores on one file race for: a claim, and the disk. All else is drawn in `tests/sim`."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

from graphengine.databases.sqlite import SQLiteStore
from graphengine.errors import RunIsDriven
from graphengine.kernel.testing.kit import batch, new_run, step
from tests.databases.support import OpenStore, queued, rows

PATIENCE_SECONDS = 20.0


async def test_one_of_several_owners_wins_a_claim(open_store: OpenStore) -> None:
    """Three owners claim a run at the same moment, again and again: one gets it, and the others learn that."""
    owners = [await open_store() for _ in range(3)]
    await owners[0].release("r", await new_run(owners[0], count=1))
    for fence in range(2, 12):
        found = await asyncio.gather(*(owner.claim("r") for owner in owners), return_exceptions=True)
        (winner,) = [owner for owner, each in zip(owners, found, strict=True) if each == fence]
        assert sum(isinstance(each, RunIsDriven) for each in found) == 2, found
        await winner.release("r", fence)


@contextmanager
def slow_disk(store: SQLiteStore) -> Iterator[tuple[threading.Event, threading.Event]]:
    """Let the commits of a store's thread wait: yields what is set once one waits, and what lets it go on."""
    reached, goes = threading.Event(), threading.Event()

    def trace(statement: str) -> None:
        if statement == "COMMIT":
            reached.set()
            assert goes.wait(PATIENCE_SECONDS)

    store._writer._opened[0].set_trace_callback(trace)  # noqa: SLF001 - the store has no seam there
    try:
        yield reached, goes
    finally:
        goes.set()
        store._writer._opened[0].set_trace_callback(None)  # noqa: SLF001


async def test_what_a_slow_disk_has_not_written_is_not_acknowledged(store: SQLiteStore) -> None:
    """Writes that wait for the disk are acknowledged once another connection can read them, and not before."""
    fence, early = await new_run(store, count=1), list[int]()

    def last() -> int:
        return int(rows(store.path, "SELECT max(id) & 0xFFFFFFFF FROM steps")[0][0])

    async def noted(seq: int) -> None:
        await queued(store.append(batch("r", fence, [step(seq)])))
        if last() < seq:
            early.append(seq)

    with slow_disk(store) as (reached, goes), patch("graphengine.databases.sqlite.direct.MOST_BYTES", -1):
        waiters = [asyncio.create_task(noted(seq)) for seq in (2, 3, 4)]
        await asyncio.to_thread(reached.wait, PATIENCE_SECONDS)
        assert not any(waiter.done() for waiter in waiters)
        assert last() == 1
        goes.set()
        await asyncio.gather(*waiters)
    assert (early, last()) == ([], 4)

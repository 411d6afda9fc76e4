"""Reading what is recorded of one run, without driving it or writing anything."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from graphengine.history import load_snapshot

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from graphengine.cli.places import Place
    from graphengine.core.snapshot import Snapshot
    from graphengine.core.steps import Step
    from graphengine.stores.base import RunInfo, Store

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Recorded:
    """A run as recorded, up to one of its steps."""

    info: RunInfo
    snapshot: Snapshot
    steps: Sequence[Step]


def read(place: Place, reading: Callable[[Store], Awaitable[T]]) -> T:
    """What a reading of the store gives.

    Raises:
        StoreError: There is no database, or it cannot be read.
    """
    store = place.reader()

    async def whole() -> T:
        await store.open()
        try:
            return await reading(store)
        finally:
            await store.close()

    return asyncio.run(whole())


def read_run(place: Place, run_id: str, at: int | None = None) -> Recorded:
    """A run as it was after a step, the last one if none is given.

    Raises:
        UnknownRun, UnknownStep, StoreError.
    """

    async def reading(store: Store) -> Recorded:
        snapshot = await load_snapshot(store, run_id, at)
        return Recorded(await store.info(run_id), snapshot, await store.steps(run_id, 0, snapshot.seq))

    return read(place, reading)


def read_info(place: Place, run_id: str) -> RunInfo:
    """The facts of a run.

    Raises:
        UnknownRun, StoreError.
    """
    return read(place, lambda store: store.info(run_id))

"""Polling a run that another process drives: its row a few times a second and, when its seq has changed, its steps."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from graphengine.errors import UnknownRun

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from graphengine.engine.steps import Step
    from graphengine.stores.base import RunInfo, RunStore

_POLL_SECONDS: Final = 0.2


async def polled(store: RunStore, info: RunInfo, after: int) -> AsyncGenerator[tuple[RunInfo, Sequence[Step]], None]:
    """Yield a run's row and its steps after seq `after`, at once and then after each poll; often there are none.

    Raises:
        UnknownRun: The run was removed in the meantime.
        StoreError: It cannot be read.
    """
    while True:
        yield info, await store.steps(info.id, after, info.seq) if info.seq > after else ()
        after = max(after, info.seq)
        await asyncio.sleep(_POLL_SECONDS)
        before, info = info, await store.info(info.id)
        if info.created_at != before.created_at or info.seq < before.seq:
            raise UnknownRun(f"run {info.id} was removed while it was watched", where=f"run {info.id}")

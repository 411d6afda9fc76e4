"""The feed: one poller for the whole database, while a page is open, that wakes the streams of all pages.

The store's `change_token` is read 25 times a second, and 11 times if nothing was written for some seconds. Only if it
changed are the rows of the shown runs read, in one query. The death of a driver writes nothing to the database, so
these rows are also read once a second.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

from graphengine.kernel import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from graphengine.kernel import RunInfo, Store

POLL_SECONDS: Final = 0.04
_CALM_SECONDS: Final = 0.09
_CALM_AFTER: Final = 3.0
_LOOK_SECONDS: Final = 1.0
_RUNNING: Final = 200


class Listener:
    """The stream of one page.

    Attributes:
        run_id: The run that it shows; None for the list of runs.
        version: The number of changes so far.
        info: The row of the run; None if it does not exist.
        trouble: Why the database cannot be read; "" if it can.
    """

    def __init__(self, run_id: str | None) -> None:
        self.run_id = run_id
        self.version = 0
        self.info: RunInfo | None = None
        self.trouble = ""
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """Report a change."""
        self.version += 1
        self._woken.set()

    async def changed(self, seconds: float) -> bool:
        """Wait for a change, for so long at most; return whether there was one."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._woken.wait(), seconds)
        is_woken = self._woken.is_set()
        self._woken.clear()
        return is_woken


class Feed:
    """Watches a store for the open pages."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._listeners: set[Listener] = set()
        self._wanted = asyncio.Event()

    @contextmanager
    def listener(self, run_id: str | None) -> Iterator[Listener]:
        """Open a listener, which is woken at once."""
        listener = Listener(run_id)
        self._listeners.add(listener)
        self._wanted.set()
        try:
            yield listener
        finally:
            self._listeners.discard(listener)
            if not self._listeners:
                self._wanted.clear()

    def touch(self, run_id: str) -> None:
        """Wake the pages of a run that is driven here: something happened that is not recorded."""
        for listener in self._listeners:
            if listener.run_id == run_id and listener.info is not None:
                listener.wake()

    async def watch(self) -> None:
        """Poll until it is cancelled, while there is a listener."""
        change_token, looked, running, wrote = "", 0.0, "", 0.0
        greeted: set[Listener] = set()
        while True:
            await self._wanted.wait()
            try:
                now, before = time.monotonic(), change_token
                change_token = await self._store.change_token()
                is_new = not self._listeners <= greeted
                wrote = wrote if change_token == before else now
                if change_token != before or now - looked >= _LOOK_SECONDS or is_new:
                    looked = now
                    was, running = running, await self._running()
                    greeted &= self._listeners
                    await self._look(greeted, is_changed=change_token != before or running != was)
            except StoreError as error:
                for listener in self._listeners:
                    listener.trouble = error.message
                    listener.wake()
                await asyncio.sleep(_LOOK_SECONDS)
            await asyncio.sleep(POLL_SECONDS if time.monotonic() - wrote < _CALM_AFTER else _CALM_SECONDS)

    async def _running(self) -> str:
        """Return the drivers of the running runs: the death of a driver changes nothing else."""
        if all(listener.run_id is not None for listener in self._listeners):
            return ""
        return repr([(info.id, info.driver) for info in await self._store.runs(limit=_RUNNING, status="running")])

    async def _look(self, greeted: set[Listener], *, is_changed: bool) -> None:
        """Wake the listeners whose run, or whose list, is not as they last saw it."""
        ids = sorted({listener.run_id for listener in self._listeners if listener.run_id is not None})
        infos = {info.id: info for info in await self._store.infos(ids)} if ids else {}
        for listener in list(self._listeners):
            info = infos.get(listener.run_id) if listener.run_id is not None else None
            is_moved = info != listener.info if listener.run_id is not None else is_changed
            is_moved = is_moved or (is_changed and info is not None and info.status == "waiting")  # it may be answered
            if is_moved or listener not in greeted or listener.trouble:
                listener.info, listener.trouble = info, ""
                greeted.add(listener)
                listener.wake()

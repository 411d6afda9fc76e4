"""Following runs that no life in this process shows: one loop a store asks for the changes of all of them.

The loop reads the store's `change_token` five times a second, and soon after an announcement of another process. Only
if something was written it asks, with one query for all followed runs, which of them have moved, and reads these; the
number of followers costs nothing while nobody writes. The death of a driver writes nothing, so runs at work are read
once a second. What lives in this process calls `poke`, which wakes the followers of a run at once.

While a page shows a run or the list of runs, the token is read 25 times a second, and 11 times if nothing was written
for some seconds. Its run is read after every write: a tag of it, say, is no step.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import contextmanager, suppress
from contextvars import Context
from typing import TYPE_CHECKING, Final, TypeAlias
from weakref import ref

from graphengine.errors import GraphEngineError, UnknownRun
from graphengine.history.load import find_posted

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Collection, Iterator, Mapping, Sequence

    from graphengine.engine.steps import AnswerRecord, Step
    from graphengine.stores.base import InboxMessage, RunInfo, Store

Posted: TypeAlias = "Mapping[str, AnswerRecord]"
Polled: TypeAlias = "tuple[RunInfo, Sequence[Step], Posted]"

_LOOK_SECONDS: Final = 0.2
_SHOWN_SECONDS: Final = 0.04
_CALM_SECONDS: Final = 0.09
_CALM_AFTER: Final = 3.0
"""How long to wait after a look for a page; and if nothing was written for so many seconds."""
_LEAST_SECONDS: Final = 0.025
"""How long to wait after a look, however many announcements there are."""
_RESTS: Final = 9
"""How long to wait after a look that took long, in times of what it took: looks take a tenth of the time at most."""
_DEATH_SECONDS: Final = 1.0
_RUNNING: Final = 200
"""How many runs at work a list shows: the death of a driver changes it."""


class ChangeFollower:
    """One who follows a run, or the list of runs.

    Attributes:
        run_id: The run; "" for the list.
        info: The run's row, as it was last read; None if it was never.
        posted: The answers that a waiting run has not taken up, then; none if it does not look for them.
        wants_posted: Whether it looks for these.
        is_lost: Whether the row could not be read.
    """

    def __init__(self, run_id: str, info: RunInfo | None, *, wants_posted: bool = True) -> None:
        self.run_id = run_id
        self.info = info
        self.wants_posted = wants_posted
        self.posted: Posted = {}
        self.is_lost = False
        self._woken = asyncio.Event()

    @property
    def seq(self) -> int:
        """The last step that it knows of."""
        return 0 if self.info is None else self.info.seq

    def has(self, status: str) -> bool:
        """Return whether the run has this status."""
        return self.info is not None and self.info.status == status

    def wake(self) -> None:
        """Report a change."""
        self._woken.set()

    async def woken(self) -> None:
        """Wait for a change."""
        await self._woken.wait()
        self._woken.clear()

    async def woken_within(self, seconds: float) -> bool:
        """Wait for a change for so long; return whether there was one."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.woken()
                return True
        return False

    async def lost_for(self, seconds: float) -> None:
        """Wait, and report a change then: what is followed could not be read, and is to be read again."""
        await asyncio.sleep(seconds)
        self.is_lost = True
        self.wake()

    def see(self, info: RunInfo | None, posted: Posted) -> None:
        """Take the row that was just read; None if there is none."""
        if info is None:
            self.is_lost = True
        elif (info, posted) == (self.info, self.posted):
            return
        else:
            self.info, self.posted = info, posted
        self.wake()


class _Changes:
    """The followers of the runs of one store, and the loop that looks for all of them while there are any."""

    def __init__(self, store: Store) -> None:
        self.loop = asyncio.get_running_loop()
        self._store = store
        self._followers: dict[str, set[ChangeFollower]] = {}
        self._shown: set[ChangeFollower] = set()
        self._poked: set[str] = set()
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._earliest = self._next = 0.0  # when the token may, and when it will be read again

    def join(self, follower: ChangeFollower, *, is_shown: bool = False) -> None:
        """Follow a run.

        1. A follower reads a row. 2. Another process writes, and the loop looks for the others. 3. The follower joins:
        the token of that write is known. So its row is read again, a moment later: a life that begins here pokes most
        of those who have just made their run due, and they leave.
        """
        self._followers.setdefault(follower.run_id, set()).add(follower)
        if is_shown:
            self._shown.add(follower)
        self.loop.call_later(_LEAST_SECONDS, self._look_for, follower)

    def _look_for(self, follower: ChangeFollower) -> None:
        if follower not in self._followers.get(follower.run_id, ()):
            return
        self._poked.add(follower.run_id)
        self._wake.set()
        if self._task is None or self._task.done():
            # 1. An earlier loop looked a moment ago, and ended. 2. This one looks before it may read the token.
            # 3. Another process writes. 4. The token of that would be the first known one. So one is read at once.
            self._next = 0.0
            # Not in the context of the follower that happens to be the first one.
            self._task = self.loop.create_task(self._look_on(), name="graphengine followers", context=Context())

    def leave(self, follower: ChangeFollower) -> None:
        found = self._followers[follower.run_id]
        found.discard(follower)
        self._shown.discard(follower)
        if not found:
            del self._followers[follower.run_id]
        if not self._followers and self._task is not None and not self.loop.is_closed():
            self._task.cancel()
            self._task = None

    def poke(self, run_id: str) -> None:
        """Wake the followers of a run, and read its row.

        1. A life begins here: its followers see that when they wake. 2. It ends before they do. 3. What it recorded is
        in the row, which is read after the second call.
        """
        for each in self._followers.get(run_id, ()):
            each.wake()
            self._poked.add(run_id)
            self._wake.set()

    async def _look_on(self) -> None:
        listening = self.loop.create_task(self._listen())
        token, watched, wrote, running = "", 0.0, 0.0, ""
        try:
            while True:
                with suppress(TimeoutError):
                    async with asyncio.timeout_at(self._next):
                        await self._wake.wait()
                self._wake.clear()
                began = time.monotonic()
                ids, self._poked = self._poked, set()
                try:
                    if self.loop.time() >= self._next:
                        before, token = token, await self._store.change_token()
                        if token != before:
                            wrote = began
                            ids |= {each.run_id for each in self._shown}
                        if token != before and before:  # else all have just joined
                            ids |= await self._find_moved_runs()
                        if token != before or began >= watched + _DEATH_SECONDS:
                            watched = began
                            ids |= self._runs_with_status("running")
                            was, running = running, await self._describe_drivers()
                            ids |= {""} if running != was else set()
                        took = time.monotonic() - began
                        self._earliest = self.loop.time() + max(_LEAST_SECONDS, _RESTS * took)
                        self._next = max(self._earliest, self.loop.time() + self._pause(began - wrote))
                    await self._look(ids & self._followers.keys())
                except Exception:  # noqa: BLE001 - each of them reads its run itself, and gets the error
                    self._next = self.loop.time() + _LOOK_SECONDS
                    self._lose()
        finally:
            listening.cancel()

    async def _listen(self) -> None:
        """Look soon after an announcement of another process."""
        heard = 0
        with suppress(GraphEngineError):
            while True:
                heard = await self._store.notifications(heard)
                self._next = min(self._next, max(self._earliest, self.loop.time()))
                self._wake.set()
                await asyncio.sleep(_LEAST_SECONDS)

    def _pause(self, quiet: float) -> float:
        """Return how long to wait after a look, if nothing was written for so many seconds."""
        if not self._shown:
            return _LOOK_SECONDS
        return _SHOWN_SECONDS if quiet < _CALM_AFTER else _CALM_SECONDS

    async def _describe_drivers(self) -> str:
        """Return the drivers of the runs at work, if somebody follows the list."""
        if "" not in self._followers:
            return ""
        return repr([(info.id, info.driver) for info in await self._store.runs(limit=_RUNNING, status="running")])

    def _runs_with_status(self, status: str) -> set[str]:
        return {each.run_id for found in self._followers.values() for each in found if each.has(status)}

    async def _find_moved_runs(self) -> set[str]:
        """Return the runs that have other steps, or answers that were posted, than one of their followers saw."""
        seqs = {run_id: min(each.seq for each in found) for run_id, found in self._followers.items() if run_id}
        moved = set(await self._store.moved(seqs)) if seqs else set()
        waiting = self._runs_with_status("waiting") - moved
        posted = await self._load_posted(waiting)
        known = {each.run_id for found in self._followers.values() for each in found if each.posted}
        return moved | posted.keys() | (known & waiting)

    async def _load_posted(self, run_ids: Collection[str]) -> dict[str, Posted]:
        """Return the answers to runs that wait, of those that have any and whose followers look for them."""
        messages: dict[str, list[InboxMessage]] = {}
        wanted = [each for each in run_ids if any(one.wants_posted for one in self._followers.get(each, ()))]
        for each in await self._store.inbox(wanted) if wanted else ():
            messages.setdefault(each.run_id, []).append(each)
        return {run_id: found for run_id, sent in messages.items() if (found := find_posted(sent, run_id))}

    async def _look(self, run_ids: Collection[str]) -> None:
        for each in self._followers.get("", ()) if "" in run_ids else ():
            each.wake()
        run_ids = [each for each in run_ids if each]
        if not run_ids:
            return
        rows = {info.id: info for info in await self._store.infos(list(run_ids))}
        posted = await self._load_posted([run_id for run_id, info in rows.items() if info.status == "waiting"])
        for run_id in run_ids:
            for each in self._followers.get(run_id, ()):
                each.see(rows.get(run_id), posted.get(run_id, {}) if each.wants_posted else {})

    def _lose(self) -> None:
        for found in self._followers.values():
            for each in found:
                each.is_lost = True
                each.wake()


_CHANGES: Final[dict[int, ref[_Changes]]] = {}
"""By the `id` of the store, which each of them keeps. Their followers keep them; each life looks here twice."""


def poke(store: Store, run_id: str) -> None:
    """Wake those who follow a run of this store: it began or ended to live here, or something was sent to it."""
    if _CHANGES and (found := _changes_of(store)) is not None:
        found.poke(run_id)


def _changes_of(store: Store) -> _Changes | None:
    """Return what follows the runs of a store."""
    found = _CHANGES.get(id(store))
    return None if found is None else found()


def _begin_following(store: Store) -> _Changes:
    """Begin to follow runs of a store, in this event loop."""

    def forget(gone: ref[_Changes], key: int = id(store)) -> None:
        if _CHANGES.get(key) is gone:
            del _CHANGES[key]

    made = _Changes(store)
    _CHANGES[id(store)] = ref(made, forget)
    return made


@contextmanager
def follow(store: Store, run_id: str = "", info: RunInfo | None = None) -> Iterator[ChangeFollower]:
    """Follow a run that is shown, or the list of runs if none is named; the first change comes at once.

    Args:
        store: The store.
        run_id: The run. There need not be one: its follower is lost then, until it is recorded.
        info: Its row as it was just read.
    """
    follower = ChangeFollower(run_id, info)
    changes = _join_follower(store, follower, is_shown=True)
    follower.wake()
    try:
        yield follower
    finally:
        changes.leave(follower)


def _join_follower(store: Store, follower: ChangeFollower, *, is_shown: bool = False) -> _Changes:
    changes = _changes_of(store)
    if changes is None or changes.loop is not asyncio.get_running_loop():
        changes = _begin_following(store)
    changes.join(follower, is_shown=is_shown)
    return changes


async def _load_posted_now(store: Store, info: RunInfo, *, wanted: bool) -> Posted:
    """Return the answers to a run that waits for them."""
    return find_posted(await store.inbox([info.id]), info.id) if wanted and info.status == "waiting" else {}


async def polled(store: Store, info: RunInfo, after: int, *, wants_posted: bool = True) -> AsyncGenerator[Polled, None]:
    """Yield a run's row and its steps after seq `after`, at once and then whenever it changes; often there are none.

    While it waits also the answers that it has not taken up, unless these are not wanted.

    Raises:
        UnknownRun: The run was removed in the meantime.
        StoreError: It cannot be read.
    """
    follower, changes = ChangeFollower(info.id, info, wants_posted=wants_posted), None
    follower.posted = await _load_posted_now(store, info, wanted=wants_posted)
    try:
        while True:
            yield info, await store.steps(info.id, after, info.seq) if info.seq > after else (), follower.posted
            after = max(after, info.seq)
            if changes is None:  # many leave before they wait
                changes = _join_follower(store, follower)
            await follower.woken()
            if follower.is_lost:
                follower.is_lost, follower.info = False, await store.info(info.id)
                follower.posted = await _load_posted_now(store, follower.info, wanted=wants_posted)
            before, info = info, follower.info or info
            if (info.nonce, info.created_at) != (before.nonce, before.created_at) or info.seq < before.seq:
                raise UnknownRun(f"run {info.id} was removed while it was watched", where=f"run {info.id}")
    finally:
        if changes is not None:
            changes.leave(follower)

"""Follow runs that other processes drive. One loop for each store looks for the changes of all followed runs.

The loop reads the store's `change_token` five times a second, and soon after an announcement of another process. If the
token shows that something was written, the loop asks with one query which of the followed runs have new steps, and
reads these runs. While nobody writes, the number of followers costs nothing.

Two kinds of changes need special care:

- The death of the process that drives a run writes nothing. Therefore the rows of running runs are read once a second.
- Runs that this process drives itself call `poke`, which wakes their followers at once.

While a page shows a run or the list of runs, the token is read 25 times a second, or 11 times if nothing was written
for some seconds. The row of the shown run is read after every write, because some changes, such as a new tag, are not
steps.
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
"""How long the loop waits after a look.

`_LOOK_SECONDS` is the usual time. `_SHOWN_SECONDS` applies while a page shows a run, and `_CALM_SECONDS` applies if
nothing was written for `_CALM_AFTER` seconds in addition.
"""
_LEAST_SECONDS: Final = 0.025
"""The shortest time between two looks, even if there are many announcements."""
_RESTS: Final = 9
"""After a slow look, the loop waits this many times as long as the look took.

In this way, looks take at most a tenth of the time.
"""
_DEATH_SECONDS: Final = 1.0
_RUNNING: Final = 200
"""How many running runs are checked for a list of runs, because the death of their processes changes the list."""


class ChangeFollower:
    """Follows the changes of one run, or of the list of runs, for a reader such as a page that shows it.

    Attributes:
        run_id: The id of the run; "" for the list of runs.
        info: The information about the run that was read last (`RunInfo`); None if none was read yet.
        posted: Answers that were read together with `info` and that the run has not processed yet; empty if the reader
            does not want them.
        wants_posted: Whether the reader wants such answers.
        is_lost: Whether the information about the run could not be read.
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
        """The number of the last step of the run that the follower knows."""
        return 0 if self.info is None else self.info.seq

    def has(self, status: str) -> bool:
        return self.info is not None and self.info.status == status

    def wake(self) -> None:
        self._woken.set()

    async def woken(self) -> None:
        """Wait for a change."""
        await self._woken.wait()
        self._woken.clear()

    async def woken_within(self, seconds: float) -> bool:
        """Wait for a change of the run for at most this many seconds, and return whether there was one."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.woken()
                return True
        return False

    async def lost_for(self, seconds: float) -> None:
        """Wait some seconds after the run could not be read, and then wake the follower so that it tries again."""
        await asyncio.sleep(seconds)
        self.is_lost = True
        self.wake()

    def see(self, info: RunInfo | None, posted: Posted) -> None:
        """Remember what was just read about the run, and wake the follower if this has changed.

        If `info` is None, the run was not found; `is_lost` is then set, and the follower is woken.
        """
        if info is None:
            self.is_lost = True
        elif (info, posted) == (self.info, self.posted):
            return
        else:
            self.info, self.posted = info, posted
        self.wake()


class _Changes:
    """Looks for changes of the runs in one store, and wakes the followers of a run that has changed.

    A follower is a reader that waits for changes, such as a page that shows a run. A loop reads the store as long as
    there are followers.
    """

    def __init__(self, store: Store) -> None:
        self.loop = asyncio.get_running_loop()
        self._store = store
        self._followers: dict[str, set[ChangeFollower]] = {}
        self._shown: set[ChangeFollower] = set()
        self._poked: set[str] = set()
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        # The earliest time at which the token may be read again, and the time at which it will be read.
        self._earliest = self._next = 0.0

    def join(self, follower: ChangeFollower, *, is_shown: bool = False) -> None:
        """Add a follower, which is a reader that waits for changes of a run, and read the run again a moment later.

        Otherwise a step could be missed in the following race:

        1. The follower reads the information about its run.
        2. Another process writes a step. The loop that looks for changes notices it, before the follower has joined.
        3. The follower joins. The loop would not report the step a second time.

        The information is read a moment later and not at once, because many followers often join at the same moment. If
        this process begins to drive the run, they are woken and leave, and then nothing has to be read.
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
            # A new loop must read the token at once, because of the following race:
            # 1. An earlier loop looked a moment ago and ended, so the new loop would have to wait.
            # 2. The new loop reads the row before it reads the token.
            # 3. Another process writes. The token of this write would be the first token that the loop knows.
            self._next = 0.0
            # The task gets its own context and not the context of the follower that happens to come first.
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
        """Wake the followers of a run, which are readers that wait for changes, and read the run in the store again.

        Both are needed. When this process begins to drive the run, the woken followers switch to the events of this
        process. But the run may end before the followers wake up. A second call at the end of the run makes the loop
        read the store once more, and what it reads then contains everything that was recorded.
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
                        if token != before and before:  # Without an earlier token, all followers have just joined.
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
                except Exception:  # noqa: BLE001 - each follower then reads its run itself and gets the error
                    self._next = self.loop.time() + _LOOK_SECONDS
                    self._lose()
        finally:
            listening.cancel()

    async def _listen(self) -> None:
        """Wait for announcements of changes by other processes, and look for changes soon after each one.

        Only some databases support such announcements. With other databases, changes are found by the regular checks.
        """
        heard = 0
        with suppress(GraphEngineError):
            while True:
                heard = await self._store.notifications(heard)
                self._next = min(self._next, max(self._earliest, self.loop.time()))
                self._wake.set()
                await asyncio.sleep(_LEAST_SECONDS)

    def _pause(self, quiet: float) -> float:
        """Return after how many seconds to read the store again, if nothing was written for `quiet` seconds."""
        if not self._shown:
            return _LOOK_SECONDS
        return _SHOWN_SECONDS if quiet < _CALM_AFTER else _CALM_SECONDS

    async def _describe_drivers(self) -> str:
        """Return a text that changes when another process takes over a run; "" if nobody follows the list of runs."""
        if "" not in self._followers:
            return ""
        return repr([(info.id, info.driver) for info in await self._store.runs(limit=_RUNNING, status="running")])

    def _runs_with_status(self, status: str) -> set[str]:
        return {each.run_id for found in self._followers.values() for each in found if each.has(status)}

    async def _find_moved_runs(self) -> set[str]:
        """Return the ids of the runs whose newest steps or answers at least one follower has not seen yet."""
        seqs = {run_id: min(each.seq for each in found) for run_id, found in self._followers.items() if run_id}
        moved = set(await self._store.moved(seqs)) if seqs else set()
        waiting = self._runs_with_status("waiting") - moved
        posted = await self._load_posted(waiting)
        with_answers = {each.run_id for found in self._followers.values() for each in found if each.posted}
        return moved | posted.keys() | (with_answers & waiting)

    async def _load_posted(self, run_ids: Collection[str]) -> dict[str, Posted]:
        """Load the answers that were given but not processed yet, for those runs whose followers want them."""
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
"""The followers of each store, by the `id` of the store.

A value keeps its store alive, so that no other store can get the same id. The values themselves are kept alive by their
followers.
"""


def poke(store: Store, run_id: str) -> None:
    """Wake the followers (readers that wait for changes) of a run in this process, before the next check of the store.

    This process calls the function when it begins or stops driving the run, and when it sends something to the run.
    """
    if _CHANGES and (found := _changes_of(store)) is not None:
        found.poke(run_id)


def _changes_of(store: Store) -> _Changes | None:
    """Return the object with all followers of a store's runs; None if nobody follows them."""
    found = _CHANGES.get(id(store))
    return None if found is None else found()


def _begin_following(store: Store) -> _Changes:
    """Create the object that looks for changes in a store's runs, for the current event loop.

    All followers (readers that wait for changes) of this store in this event loop share the object. It is forgotten
    when the last of them is gone.
    """

    def forget(gone: ref[_Changes], key: int = id(store)) -> None:
        if _CHANGES.get(key) is gone:
            del _CHANGES[key]

    changes = _Changes(store)
    _CHANGES[id(store)] = ref(changes, forget)
    return changes


@contextmanager
def follow(store: Store, run_id: str = "", info: RunInfo | None = None) -> Iterator[ChangeFollower]:
    """Follow the changes of a run, or of the list of runs, for as long as the `with` block runs.

    The follower is woken once at the beginning, so that its reader shows the present state.

    Args:
        store: The store.
        run_id: The id of the run; "" for the list of runs. If the run does not exist yet, `is_lost` of the follower is
            True until the run is recorded.
        info: The run's row as it was just read; None if it was not read.
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
    """Load the answers that were given to a waiting run but not processed yet, if the caller wants them."""
    return find_posted(await store.inbox([info.id]), info.id) if wanted and info.status == "waiting" else {}


async def polled(store: Store, info: RunInfo, after: int, *, wants_posted: bool = True) -> AsyncGenerator[Polled, None]:
    """Yield the information about a run, its new steps and its unprocessed answers, now and after each change.

    The new steps are those after number `after`; the list is often empty. Unprocessed answers are read only while the
    run waits, and only if they are wanted.

    Raises:
        UnknownRun: The run was removed in the meantime.
        StoreError: The run cannot be read.
    """
    follower, changes = ChangeFollower(info.id, info, wants_posted=wants_posted), None
    follower.posted = await _load_posted_now(store, info, wanted=wants_posted)
    try:
        while True:
            yield info, await store.steps(info.id, after, info.seq) if info.seq > after else (), follower.posted
            after = max(after, info.seq)
            if changes is None:  # Many callers stop before they have to wait, so the follower joins only here.
                changes = _join_follower(store, follower)
            await follower.woken()
            if follower.is_lost:
                follower.is_lost, follower.info = False, await store.info(info.id)
                follower.posted = await _load_posted_now(store, follower.info, wanted=wants_posted)
            before, info = info, follower.info or info
            if (info.nonce, info.created_at) != (before.nonce, before.created_at) or info.seq < before.seq:
                raise UnknownRun(f"run {info.id!r} was removed while it was watched", where=f"run {info.id}")
    finally:
        if changes is not None:
            changes.leave(follower)

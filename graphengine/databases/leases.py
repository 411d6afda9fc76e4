"""The threads that renew a process's lease on a database, and that watch whether it is renewed in time.

While a process has a lease, no other process takes its runs. When the lease ends, another process may take the runs,
and then waits a little before it repeats what was in flight. So a process that cannot renew its lease must stop acting
before the lease ends. The watching thread announces this a little before the end (`late`), and the event loop then
cancels running work. The renewing thread cannot announce it, because it may be waiting for a database that is out of
reach.
"""

from __future__ import annotations

import logging
import os
import threading
import time
import uuid
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger("graphengine.stores")

LeaseDoubt: TypeAlias = Literal["late", "renewed"]
"""The reason for a doubt about the lease; see `Store.on_doubt`."""
RENEWALS_PER_LEASE: Final = 3
_MARGINS_PER_LEASE: Final = 10
_WATCH_SECONDS: Final = 0.5  # the longest pause between two looks at the time that is left
_WAKING_SECONDS: Final = 1.0
"""The time in which a process that was suspended can renew its lease before `late` is announced."""
CUT_OFF_EXIT: Final = 7
"""The exit code of a process that ended itself because it could not cancel running work before its lease ended."""
_ENDS: Final = (
    "process %d could not renew its lease for %.1f s, and its event loop did not cancel what acts: it ends now, before "
    "another process does the same\n  repair: find out what held the event loop, or the database"
)


class Moment(NamedTuple):
    """A moment, measured with two clocks that both continue while the machine sleeps.

    One clock counts since the start of the machine, and the other one is the wall clock.

    A lease must end on time even if the machine was asleep or somebody has changed the wall clock.
    """

    since_boot: float
    wall: float

    def seconds_since(self, before: Moment) -> float:
        """Return how many seconds have passed since an earlier moment.

        Both clocks are compared, and the longer time counts. So if the wall clock was set forward in between, a lease
        seems to be older than it is, which is the safe mistake.
        """
        return max(self.since_boot - before.since_boot, self.wall - before.wall)


def now() -> Moment:
    """Return the current moment. Where no clock counts the machine's sleep, only the wall clock does."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return Moment(time.monotonic() if clock is None else time.clock_gettime(clock), time.time())


class LeaseThread(ABC):
    """This process as an owner of runs in a database.

    An owner has an id and a lease, which says until when other processes must not take its runs. Two threads of this
    object renew and watch the lease.

    Args:
        seconds: The length of the lease: how long the owner counts as alive after a renewal.
        doubted: Called on one of these threads when this process may no longer be the driver of its runs: with `late`
            if the lease ends soon and could not be renewed, and with `renewed` if the lease was renewed so late that
            other processes may have taken runs.
        ends_process: Whether to end the process with the exit code `CUT_OFF_EXIT` if `obeyed` is not called in time.

    Attributes:
        id: The owner's id.
        owed: Runs that were released, with their fences, but whose release is not recorded yet, because the disk was
            full or the caller was cancelled. Each renewal tries again, so that no run stays with a live owner that does
            not drive it. The event loop's thread adds pairs, both threads remove them; a pair is never added twice.
    """

    def __init__(self, seconds: float, doubted: Callable[[LeaseDoubt], None], *, ends_process: bool = False) -> None:
        self.id: Final = uuid.uuid4().hex
        self.owed: set[tuple[str, int]] = set()
        self._seconds = seconds
        self._doubted = doubted
        self._ends_process = ends_process
        self._renewed = now()
        self._obeyed = threading.Event()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self._watcher: threading.Thread | None = None

    @abstractmethod
    def _turn(self, *, is_due: bool) -> bool:
        """Wait briefly, and renew the lease if the renewal is due. Return whether a renewal was tried."""

    @abstractmethod
    def _disconnect(self) -> None: ...

    def keep(self, loop_thread: threading.Thread, abandon: Callable[[], None]) -> None:
        """Start the threads that renew and watch the lease, until `stop` is called.

        If `loop_thread` ends first, nobody can close the store any more. Then `abandon` is called, so that the threads
        of the connections do not keep the process from exiting.
        """
        self._thread = threading.Thread(
            target=self._run, args=(loop_thread, abandon), name="graphengine-lease", daemon=True
        )
        self._thread.start()
        self._watcher = threading.Thread(target=self._watch, name="graphengine-lease-watch", daemon=True)
        self._watcher.start()

    def note_renewed(self, began: Moment, *, was_away: bool = False) -> None:
        """Record that the lease was renewed.

        If other processes may have taken runs before the renewal, call `doubted` with `renewed`.

        Args:
            began: A moment before the renewal. The lease lasts at least its whole length from this moment.
            was_away: Whether other processes may have considered this owner dead before the renewal, although the lease
                had not ended.
        """
        before, self._renewed = self._renewed, began
        if was_away or began.seconds_since(before) > self._seconds:
            self._doubted("renewed")

    def obeyed(self) -> None:
        """Record that all running work was cancelled after `late` was announced: the process need not be ended."""
        self._obeyed.set()

    def _watch(self) -> None:
        """Watch the lease of this process, and call `doubted` with `late` whenever the lease is about to end.

        This function runs on a thread of its own.

        If the event loop does not react to that and `ends_process` is True, end the process before the lease ends, so
        that no run is executed by two processes.
        """
        margin = self._seconds / _MARGINS_PER_LEASE
        announced: Moment | None = None  # the renewal after which `late` was announced
        looked, woke = now(), 0.0  # woke: when this process last continued after a suspension
        while not self._stopped.wait(min(_WATCH_SECONDS, margin / 4)):
            before, looked, renewed = looked, now(), self._renewed
            passed = looked.seconds_since(renewed)
            if looked.seconds_since(before) > max(margin, _WAKING_SECONDS):
                woke = time.monotonic()
            if passed < self._seconds - margin or time.monotonic() - woke < _WAKING_SECONDS:
                continue  # after a suspension, first try to renew the lease, which also shows lost runs
            if announced != renewed:
                announced = renewed
                self._obeyed.clear()
                self._doubted("late")
            elif passed > self._seconds - margin / 2 and self._ends_process and not self._obeyed.is_set():
                log.critical(_ENDS, os.getpid(), passed)
                os._exit(CUT_OFF_EXIT)

    def stop(self) -> None:
        self._stopped.set()
        thread, self._thread = self._thread, None
        if thread is not None and thread is not threading.current_thread():
            thread.join()
        watcher, self._watcher = self._watcher, None
        if watcher is not None:
            watcher.join()
        self._disconnect()

    def _run(self, loop_thread: threading.Thread, abandon: Callable[[], None]) -> None:
        interval = self._seconds / RENEWALS_PER_LEASE
        tried = now()
        while not self._stopped.is_set():
            if not loop_thread.is_alive():
                self._stopped.set()
                self._disconnect()
                abandon()
                return
            began = now()  # before the turn, so that its waiting does not delay the next renewal
            if self._turn(is_due=began.seconds_since(tried) >= interval):
                tried = began

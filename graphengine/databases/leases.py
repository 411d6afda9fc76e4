"""The threads that renew a process's lease on a database and watch that it is renewed, whatever the database is.

Others may take a run when its driver's lease is over, and then wait a little before they do what it had in flight. So a
process that cannot renew its lease must not act at its end: a little before that, the watching thread says that it is
late, and what acts is cancelled on the event loop. The renewing thread cannot do that, since it may wait for an answer
from a database that is out of reach.
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
"""As `Store.on_doubt` says it."""
RENEWALS_PER_LEASE: Final = 3
_MARGINS_PER_LEASE: Final = 10
_WATCH_SECONDS: Final = 0.5  # how often the time that is left is looked at, at most
_WAKING_SECONDS: Final = 1.0
"""How long a process has, after it was suspended, to renew its lease: its thread looks twice a second at least."""
CUT_OFF_EXIT: Final = 7
"""The exit code of a process that ended itself, since what acts could not be cancelled before its lease was over."""
_ENDS: Final = (
    "process %d could not renew its lease for %.1f s, and its event loop did not cancel what acts: it ends now, before "
    "another process does the same\n  repair: find out what held the event loop, or the database"
)


class Moment(NamedTuple):
    """A moment, by clocks that go on while the machine sleeps."""

    since_boot: float
    wall: float

    def seconds_since(self, before: Moment) -> float:
        """Return how long ago an earlier moment was; a clock that was set forward counts as time that has passed."""
        return max(self.since_boot - before.since_boot, self.wall - before.wall)


def now() -> Moment:
    """Return this moment. On systems without a clock that counts sleep, the wall clock shows it."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return Moment(time.monotonic() if clock is None else time.clock_gettime(clock), time.time())


class LeaseThread(ABC):
    """This process's ownership, the thread that renews it, and the one that watches.

    Args:
        seconds: How long an owner counts as alive without a renewal.
        doubted: Called on these threads when other processes may take this one's runs soon (`late`), since the lease
            could not be renewed; and when they may have done so, though it is `renewed` now.
        ends_process: Whether to end the process with `CUT_OFF_EXIT` if `obeyed` is not called in time.

    Attributes:
        id: The owner's id.
        owed: Released runs, with their fences, whose release is not recorded yet: the disk was full, or the caller was
            cancelled. Each renewal tries again, so that no run stays with a live owner that does not drive it. The
            loop's thread adds pairs, both threads remove them; a pair is never added twice.
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
        """Wait a little, and renew the lease if that is due; return whether it was tried."""

    @abstractmethod
    def _disconnect(self) -> None:
        """Close the connection that renews the lease."""

    def keep(self, loop_thread: threading.Thread, abandon: Callable[[], None]) -> None:
        """Start the thread that renews the lease until `stop`.

        If `loop_thread` ends first, the store can no longer be closed: then `abandon` is called, so that the
        connections' threads do not keep the process from exiting.
        """
        self._thread = threading.Thread(
            target=self._run, args=(loop_thread, abandon), name="graphengine-lease", daemon=True
        )
        self._thread.start()
        self._watcher = threading.Thread(target=self._watch, name="graphengine-lease-watch", daemon=True)
        self._watcher.start()

    def note_renewed(self, began: Moment, *, was_away: bool = False) -> None:
        """Note a renewal that began at a moment.

        Args:
            began: A moment before the lease was renewed: it lasts at least until a whole lease after that.
            was_away: Whether others may have seen this owner as dead before, though its lease was not over.
        """
        before, self._renewed = self._renewed, began
        if was_away or began.seconds_since(before) > self._seconds:
            self._doubted("renewed")

    def obeyed(self) -> None:
        """Note that all that acts was cancelled, after it was said that the lease could not be renewed."""
        self._obeyed.set()

    def _watch(self) -> None:
        """Say when the lease ends soon, once each time."""
        margin = self._seconds / _MARGINS_PER_LEASE
        said: Moment | None = None  # of which renewal it was said that it is late
        looked, woke = now(), 0.0  # woke: when this process was last seen to go on after a suspension
        while not self._stopped.wait(min(_WATCH_SECONDS, margin / 4)):
            before, looked, renewed = looked, now(), self._renewed
            passed = looked.seconds_since(renewed)
            if looked.seconds_since(before) > max(margin, _WAKING_SECONDS):
                woke = time.monotonic()
            if passed < self._seconds - margin or time.monotonic() - woke < _WAKING_SECONDS:
                continue  # a process that was suspended tries first to renew it, which also shows what it has lost
            if said != renewed:
                said = renewed
                self._obeyed.clear()
                self._doubted("late")
            elif passed > self._seconds - margin / 2 and self._ends_process and not self._obeyed.is_set():
                log.critical(_ENDS, os.getpid(), passed)
                os._exit(CUT_OFF_EXIT)

    def stop(self) -> None:
        """Stop the thread, wait until it has ended, and close its connection."""
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
            began = now()  # before the turn: what it waits for must not delay the next renewal
            if self._turn(is_due=began.seconds_since(tried) >= interval):
                tried = began

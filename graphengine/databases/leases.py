"""The thread that renews a process's lease on a database, whatever the database is."""

from __future__ import annotations

import threading
import time
import uuid
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

RENEWALS_PER_LEASE: Final = 3


class LeaseThread(ABC):
    """This process's ownership, and the thread that renews it.

    Args:
        seconds: How long an owner counts as alive without a renewal.

    Attributes:
        id: The owner's id.
        owed: Released runs, with their fences, whose release is not recorded yet: the disk was full, or the caller was
            cancelled. Each renewal tries again, so that no run stays with a live owner that does not drive it. The
            loop's thread adds pairs, both threads remove them; a pair is never added twice.
    """

    def __init__(self, seconds: float) -> None:
        self.id: Final = uuid.uuid4().hex
        self.owed: set[tuple[str, int]] = set()
        self._seconds = seconds
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

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

    def stop(self) -> None:
        """Stop the thread, wait until it has ended, and close its connection."""
        self._stopped.set()
        thread, self._thread = self._thread, None
        if thread is not None and thread is not threading.current_thread():
            thread.join()
        self._disconnect()

    def _run(self, loop_thread: threading.Thread, abandon: Callable[[], None]) -> None:
        interval = self._seconds / RENEWALS_PER_LEASE
        due = time.monotonic() + interval
        while not self._stopped.is_set():
            if not loop_thread.is_alive():
                self._disconnect()
                abandon()
                return
            now = time.monotonic()  # before the turn: what it waits for must not delay the next renewal
            if self._turn(is_due=now >= due):
                due = now + interval

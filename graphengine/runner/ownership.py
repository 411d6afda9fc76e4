"""Whether this process still drives a run, asked before a node begins.

A process can be suspended: by a debugger, a virtual machine that moves, a laptop that is closed. When it continues, its
lease can have ended, and another process can have taken its run. Its next write is refused, but a node would begin
before that, and do once more what the other process does. So before a node begins, a run whose last write is not recent
asks the store.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from graphengine.stores.base import Append

if TYPE_CHECKING:
    from graphengine.engine.snapshot import Snapshot
    from graphengine.runner.clock import Clock
    from graphengine.stores.base import Store

_RECENT_SECONDS: Final = 1.0
"""Much shorter than a lease; most nodes begin within a millisecond of the step that causes them."""


class Driving(Protocol):
    """What is asked of the driver of a run."""

    fence: int
    wrote_at: float

    @property
    def snapshot(self) -> Snapshot:
        """The run's snapshot."""
        ...


class Ownership:
    """When a run was last shown to be driven by this process, by the machine's clock, which advances during suspend.

    Args:
        driver: Drives the run.
        store: A store that other processes can open.
        clock: The machine's.
    """

    __slots__ = ("_clock", "_driver", "_store")

    def __init__(self, driver: Driving, store: Store, clock: Clock) -> None:
        self._driver, self._store, self._clock = driver, store, clock

    def is_recent(self) -> bool:
        """Return whether the run wrote just now. A clock that was set counts as time that has passed."""
        return abs(self._clock.now() - self._driver.wrote_at) <= _RECENT_SECONDS

    async def check(self) -> None:
        """Ask the store.

        Raises:
            LeaseLost: Another process has taken the run, or it was released.
        """
        driver = self._driver
        began = self._clock.now()
        written = self._store.append(Append(driver.snapshot.run_id, driver.fence, (), "running"))
        if written is not None:
            await written
        driver.wrote_at = began

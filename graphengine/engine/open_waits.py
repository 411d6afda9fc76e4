"""An index of the waits of a run, so that the cost of an answer does not depend on the number of open waits.

The index is derived from the frames and is never stored. It is built when it is first used, and from then on the fold
updates it.
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from graphengine.engine.snapshot import Frame
    from graphengine.engine.steps import WaitRecord


class OpenWaits:
    """An index of all open waits of a run, by name, by id and by the time at which they time out.

    Args:
        frames: The frames of a run by id.

    Attributes:
        count: How many waits are open.
    """

    __slots__ = ("_dues", "_frames", "_holders", "_named", "count")

    def __init__(self, frames: Mapping[str, Frame]) -> None:
        self._frames = frames
        self._holders: dict[str, str] = {}  # the frame of each wait, by the wait's id
        self._named: dict[str, dict[str, None]] = {}  # the ids of the waits of each name, in order
        self._dues: list[tuple[float, str, str]] = []  # a heap, which can contain waits that are over
        self.count = 0
        for frame in frames.values():
            self.add(frame.id, frame.waits)

    def add(self, frame: str, waits: Mapping[str, WaitRecord]) -> None:
        """Add all waits that one node has begun to the index of open waits."""
        self.count += len(waits)
        for name, wait in waits.items():
            self._holders[wait.id] = frame
            self._named.setdefault(name, {})[wait.id] = None
            if wait.due is not None:
                heappush(self._dues, (wait.due, frame, name))

    def remove(self, waits: Mapping[str, WaitRecord]) -> None:
        """Remove all ended waits of one node from the index of open waits."""
        self.count -= len(waits)
        for name, wait in waits.items():
            self._holders.pop(wait.id, None)
            named = self._named.get(name)
            if named is not None:
                named.pop(wait.id, None)
                if not named:
                    del self._named[name]

    def holder(self, name: str, identity: str) -> Frame | None:
        """Return the part of the run (the frame) that waits under this name and id; None if no such wait is open."""
        frame = self._frames.get(self._holders.get(identity, "\0"))
        return frame if frame is not None and name in frame.waits and frame.waits[name].id == identity else None

    def named(self, name: str) -> Sequence[WaitRecord]:
        """Return everything that the run waits for under this name."""
        holders = (self.holder(name, identity) for identity in self._named.get(name, ()))
        return [holder.waits[name] for holder in holders if holder is not None]

    def asked(self, identity: str) -> tuple[str, WaitRecord] | None:
        """Return the name and the record of the open wait with this id; None if no such wait is open."""
        name = identity.rpartition("@")[0]
        holder = self.holder(name, identity)
        return (name, holder.waits[name]) if holder is not None else None

    def next_due(self) -> float | None:
        """Return when the first open wait of the run times out, in epoch seconds; None if none has a timeout."""
        dues = self._dues
        if len(dues) > 2 * self.count:  # more than half of the entries are over
            self._dues = dues = [each for each in dues if self._is_open(*each)]
            heapify(dues)
        while dues and not self._is_open(*dues[0]):
            heappop(dues)
        return dues[0][0] if dues else None

    def _is_open(self, due: float, frame: str, name: str) -> bool:
        holder = self._frames.get(frame)
        wait = holder.waits.get(name) if holder is not None else None
        return holder is not None and wait is not None and wait.due == due and not has_failed(holder)


def has_failed(frame: Frame) -> bool:
    """Return whether this frame (position of the run), or one around it, has failed, so that its waits do not time out.

    A resume that retries the failed part builds the index of open waits again, so that the waits can then time out.
    """
    around: Frame | None = frame
    while around is not None and around.failing is None:
        around = around.up
    return around is not None

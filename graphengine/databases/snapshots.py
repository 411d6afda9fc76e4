"""When to write a whole snapshot of a run, so that log and snapshots together cost O(1) per step.

A snapshot is worth writing once at least `MIN_ROWS` steps were recorded since the last one and their bytes are at least
`MIN_RATIO` times those of the snapshot. Then all snapshots together take at most half the bytes of the log, and loading
a run reads one snapshot and a tail in proportion to it. The size of a snapshot is unknown until it is made, so a store
makes one when the last known size says that it is due. If that was too early, because the state grew, the next one is
made once the log has grown by half, so that making snapshots costs O(1) per step too.
"""

from __future__ import annotations

import math
from typing import Final

from msgspec import Struct

from graphengine.kernel.store import MIN_ROWS

MIN_RATIO: Final = 2
_RETRY_GROWTH: Final = 1.5


class Tail(Struct, gc=False):
    """The steps of one run recorded since its last snapshot.

    Attributes:
        rows: Steps since the last snapshot.
        row_bytes: Bytes of those steps.
        due_bytes: How many bytes there must be before a snapshot is made.
    """

    rows: int = 0
    row_bytes: int = 0
    due_bytes: float = 0

    @classmethod
    def of_claimed(cls, rows: int, row_bytes: int, snapshot_bytes: int) -> Tail:
        """Return the tail of a run that is claimed.

        Its last driver may have made a snapshot too early, which is not recorded. So the next one is made at the next
        power of the growth, not right after each claim.
        """
        due = float(MIN_RATIO * snapshot_bytes)
        if rows >= MIN_ROWS:
            due = max(due, _RETRY_GROWTH ** math.ceil(math.log(max(row_bytes, 1), _RETRY_GROWTH)))
        return cls(rows, row_bytes, due)

    def grow(self, rows: int, row_bytes: int) -> bool:
        """Count new steps. Return whether to make a snapshot now and pass its size to `settle`."""
        self.rows += rows
        self.row_bytes += row_bytes
        return self.rows >= MIN_ROWS and self.row_bytes >= self.due_bytes

    def is_due(self, row_bytes: int) -> bool:
        """Return whether a snapshot is due after one more step of this size."""
        return self.rows + 1 >= MIN_ROWS and self.row_bytes + row_bytes >= self.due_bytes

    def settle(self, snapshot_bytes: int) -> bool:
        """Return whether a snapshot of this size is worth writing; if so, start a new tail."""
        self.due_bytes = MIN_RATIO * snapshot_bytes
        if self.row_bytes < self.due_bytes:
            self.due_bytes = max(self.due_bytes, _RETRY_GROWTH * self.row_bytes)
            return False
        self.rows = self.row_bytes = 0
        return True

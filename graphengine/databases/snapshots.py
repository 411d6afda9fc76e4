"""When to write a snapshot of a run, so that the cost of a step stays O(1), snapshots included.

A new snapshot is written once at least `MIN_ROWS` steps were recorded since the last snapshot and these steps are at
least `MIN_RATIO` times as large as the new snapshot. So all snapshots together take at most half as many bytes as the
log, and loading a run reads one snapshot and a number of steps in proportion to it.

The size of a snapshot is unknown until the snapshot is made. So a store makes one when the size of the last snapshot
suggests that a new one is due. If the state has grown meanwhile and the new snapshot is too large, the store discards
it, and makes the next one when the log has grown by half. So making snapshots that are discarded costs O(1) per step as
well.
"""

from __future__ import annotations

import math
from typing import Final

from msgspec import Struct

from graphengine.kernel.store import MIN_ROWS

MIN_RATIO: Final = 2
_RETRY_GROWTH: Final = 1.5


class Tail(Struct, gc=False):
    """The steps of a run since its last snapshot: their number and size, which decide when the next snapshot is due.

    Attributes:
        rows: The number of steps since the last snapshot.
        row_bytes: The bytes of these steps.
        due_bytes: How many bytes the steps must have before a snapshot is made.
    """

    rows: int = 0
    row_bytes: int = 0
    due_bytes: float = 0

    @classmethod
    def of_claimed(cls, rows: int, row_bytes: int, snapshot_bytes: int) -> Tail:
        """Return the tail of a run that this process has just claimed.

        The tail is the number and size of the steps since the last snapshot. The previous driver may have made another
        snapshot and discarded it as too large. The log does not record this. Making such a snapshot again after every
        claim would be slow. So the next snapshot is due only when the size of the tail reaches the next power of the
        growth factor.
        """
        due = float(MIN_RATIO * snapshot_bytes)
        if rows >= MIN_ROWS:
            due = max(due, _RETRY_GROWTH ** math.ceil(math.log(max(row_bytes, 1), _RETRY_GROWTH)))
        return cls(rows, row_bytes, due)

    def grow(self, rows: int, row_bytes: int) -> bool:
        """Count new steps. Return whether to make a snapshot now; if so, pass its size to `settle`."""
        self.rows += rows
        self.row_bytes += row_bytes
        return self.rows >= MIN_ROWS and self.row_bytes >= self.due_bytes

    def is_due(self, row_bytes: int) -> bool:
        """Return whether a snapshot will be due after one more step of this size."""
        return self.rows + 1 >= MIN_ROWS and self.row_bytes + row_bytes >= self.due_bytes

    def settle(self, snapshot_bytes: int) -> bool:
        """Return whether a new snapshot is small enough, compared with the steps that it replaces, to be written.

        If so, the steps since the last snapshot are counted from 0 again. If not, the snapshot is discarded, and the
        next one is due when the tail has grown by half.
        """
        self.due_bytes = MIN_RATIO * snapshot_bytes
        if self.row_bytes < self.due_bytes:
            self.due_bytes = max(self.due_bytes, _RETRY_GROWTH * self.row_bytes)
            return False
        self.rows = self.row_bytes = 0
        return True

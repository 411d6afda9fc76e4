"""The states of a recorded run, before and after each step."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING

from graphengine.kernel.inside import copy_of
from graphengine.kernel.reader import Snapshot
from graphengine.kernel.store import evolve

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphengine.kernel.extension import JsonValue
    from graphengine.kernel.reader import Step
    from graphengine.records.visit_tree import Entry


class States:
    """The states of a run, folded on demand; each step is folded once if states are read in order.

    Args:
        steps: Steps of the run, without gaps.
        start: The snapshot before the first of them; by default that of a run that has not started.
    """

    def __init__(self, steps: Sequence[Step], start: Snapshot | None = None) -> None:
        self._steps = steps
        self._start = start if start is not None else Snapshot()
        self._snapshot = copy_of(self._start)

    def before(self, entry: Entry, *names: str) -> dict[str, JsonValue]:
        """Return the state just before a step, as its frame saw it: these fields, or all if none is named."""
        return self._at(entry, entry.step.seq - 1, names)

    def after(self, entry: Entry, *names: str) -> dict[str, JsonValue]:
        """Return the state just after a step, as its frame sees it, or the enclosing frame if its frame is gone."""
        return self._at(entry, entry.step.seq, names)

    def _at(self, entry: Entry, seq: int, names: Sequence[str]) -> dict[str, JsonValue]:
        """Copy fields after a step, from an entry's frame or the next enclosing one; the fold changes the originals.

        Raises:
            IndexError: There is no such step.
        """
        if seq < self._snapshot.seq:
            self._snapshot = copy_of(self._start)
        while self._snapshot.seq < seq:
            evolve(self._snapshot, self._steps[self._snapshot.seq - self._start.seq])
        key, track = entry.step.frame, entry.track
        while key not in self._snapshot.frames and track is not None:
            key, track = track.frame, track.parent
        found: dict[str, JsonValue] = {}
        frame = self._snapshot.frames.get(key)
        while frame is not None:
            found = {name: value for name, value in frame.values.items() if not names or name in names} | found
            frame = frame.base
        return deepcopy(found)

"""The slots of maps, worked out a second time: after each step, from the whole tree, without the engine's count.

An item of a map has a slot, or rests (all that is in progress in it waits without one), or needs one. `Turns` keeps for
each map who has one and who needs one, in the order in which they woke, and checks that the map gives its slots to
nobody else, leaves none free, and opens no more items than it may.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from graphengine.engine.fold import evolve
from graphengine.engine.phases import Collecting, Ended, Forked, Inside, Waiting
from graphengine.engine.snapshot import Frame, Snapshot, Task
from graphengine.engine.steps import Step


@dataclass
class Slots:
    """The items of one map: those that have a slot, those that need one in their order, and all that are open."""

    having: list[str] = field(default_factory=list)
    needing: list[str] = field(default_factory=list)
    opened: set[str] = field(default_factory=set)


class Turns:
    """The slots of all maps of a run, up to the last snapshot that it saw."""

    def __init__(self) -> None:
        self.maps: dict[tuple[object, ...], Slots] = {}
        self.most_open = self.most_running = self.waited = 0

    @classmethod
    def of(cls, steps: Iterable[Step]) -> Turns:
        """Return the slots after these steps of a run, having checked each."""
        turns, snapshot = cls(), Snapshot()
        for step in steps:
            turns.see(evolve(snapshot, step))
        return turns

    def see(self, snapshot: Snapshot) -> None:
        """Work out who has a slot after a step, the innermost maps first."""
        frames = list(snapshot.frames.values())
        seen, self.maps = self.maps, {}
        for frame in sorted(frames, key=lambda frame: -len(_chain(frame))):
            if isinstance(frame.phase, Collecting):
                key = _key(frame)
                items = [each for each in frames if each.up is frame and each.kind == "item" and each.failing is None]
                slots = self.maps[key] = seen.get(key, Slots())
                self._map(slots, frame.phase, {item.id: not self._moves(frames, item) for item in items})

    def _map(self, slots: Slots, map_: Collecting, rests: dict[str, bool]) -> None:
        """Work out who has a slot of a map, whose open items rest or not."""
        moving = [item for item, does_rest in rests.items() if not does_rest]
        slots.having = [item for item in slots.having if item in moving]
        slots.needing = [item for item in slots.needing if item in moving]
        known = {*slots.having, *slots.needing}
        slots.needing += [item for item in moving if item in slots.opened and item not in known]
        while slots.needing and len(slots.having) < map_.concurrency:
            slots.having.append(slots.needing.pop(0))
        slots.having += [item for item in moving if item not in slots.opened]
        slots.opened = set(rests)
        self.most_open, self.waited = max(self.most_open, len(rests)), max(self.waited, len(slots.needing))
        self.most_running = max(self.most_running, len(slots.having))
        assert len(rests) <= map_.max_open, f"{len(rests)} items are open"
        assert len(slots.having) <= map_.concurrency, f"{slots.having} have a slot"
        is_full = len(slots.having) == map_.concurrency or len(rests) == min(map_.left, map_.max_open)
        assert is_full, f"{slots.having} have a slot, {len(rests)} of {map_.left} are open"

    def _moves(self, frames: Sequence[Frame], frame: Frame) -> bool:
        """Return whether anything in a frame, which has not ended, can move, or waits in a way that keeps its slot."""
        below = [each for each in frames if each.up is frame and each.failing is None]
        under_way = [each for each in below if not isinstance(each.phase, Ended)]
        match frame.phase:
            case Waiting(waits):
                return any(wait.keeps_slot or wait.kind in ("pause", "unknown") for wait in waits.values())
            case Forked() | Inside():
                return not under_way or any(self._moves(frames, each) for each in under_way)
            case Collecting():
                return not frame.phase.left or any(item in self._having(frame) for item in (each.id for each in below))
            case _:
                return True

    def _having(self, frame: Frame) -> Sequence[str]:
        """Return the items of a map that have a slot."""
        return self.maps[_key(frame)].having

    def check(self, snapshot: Snapshot, tasks: Iterable[Task]) -> None:
        """Check that the tasks in flight have the slots that they need."""
        for task in tasks:
            for frame in _chain(snapshot.frames[task.frame]) if task.mode not in ("wake", "deliver", "limit") else ():
                if frame.kind == "item" and frame.up is not None:
                    assert frame.id in self._having(frame.up), f"{task} has no slot"


def _key(frame: Frame) -> tuple[object, ...]:
    """Return what distinguishes a map from others at its place."""
    return frame.id, frame.at, frame.visit, frame.attempt


def _chain(frame: Frame) -> list[Frame]:
    """Return a frame and those around it."""
    return [frame, *(_chain(frame.up) if frame.up is not None else ())]

"""How far the maps of a run are, as its snapshot says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from graphengine.engine.phases import Collecting
from graphengine.engine.steps import path_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphengine.engine.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class MapProgress:
    """How far a map is that runs.

    Attributes:
        path: The path of its node, as `research`.
        of: How many items it has.
        done: How many are done.
        failed: How many have failed for good, unless the run is resumed.
        waiting: How many have begun and wait: for an answer, a message or a time, or then for their turn.
        began: When the map began, epoch seconds.
    """

    path: str
    of: int
    done: int
    failed: int
    waiting: int
    began: float


def progress_of(path: str, map_: Collecting) -> MapProgress:
    """Return how far a map is."""
    failed = len(map_.failed)
    done = map_.count - map_.left - failed
    return MapProgress(path, map_.count, done, failed, len(map_.idle), map_.began)


def progress_in(snapshot: Snapshot) -> Sequence[MapProgress]:
    """Return how far each map is that runs, the outer ones first."""
    found = ((frame, frame.phase) for frame in snapshot.frames.values())
    return [progress_of(path_of(frame.id, frame.at), map_) for frame, map_ in found if isinstance(map_, Collecting)]

"""Describe the progress of the maps of a run, from the run's snapshot."""

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
    """How many items of a running map over a list are done, failed or waiting.

    Attributes:
        path: The path of the map's node, such as `research`.
        of: The number of items.
        done: How many items are done.
        failed: How many items have failed. They stay failed unless the run is resumed.
        waiting: How many items have begun and are waiting for an answer, a message or a time, or afterwards for their
            turn to continue.
        began: When the map began, epoch seconds.
    """

    path: str
    of: int
    done: int
    failed: int
    waiting: int
    began: float


def progress_of(path: str, map_: Collecting) -> MapProgress:
    """Count how many items of a running map are done, failed or waiting."""
    failed = len(map_.failed)
    done = map_.count - map_.left - failed
    return MapProgress(path, map_.count, done, failed, len(map_.idle), map_.began)


def progress_in(snapshot: Snapshot) -> Sequence[MapProgress]:
    """Return the progress of each running map. Outer maps come before the maps inside them."""
    found = ((frame, frame.phase) for frame in snapshot.frames.values())
    return [progress_of(path_of(frame.id, frame.at), map_) for frame, map_ in found if isinstance(map_, Collecting)]

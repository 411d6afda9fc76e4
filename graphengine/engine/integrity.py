"""A check that a snapshot read from a database is well formed.

The fold trusts its steps, because `decide` made them. A file can have been changed since, which damages the run. That
is reported once, here, instead of as an arbitrary error somewhere else. Types are checked where JSON is decoded; this
module checks that the frames form one tree.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphengine.engine.phases import Forked
from graphengine.engine.snapshot import ROOT, children

if TYPE_CHECKING:
    from graphengine.engine.snapshot import Snapshot


def check_sound(snapshot: Snapshot) -> None:
    """Check that a snapshot has the shape that `decide` and the views rely on.

    Raises:
        ValueError: It does not.
    """
    if ROOT not in snapshot.frames:
        message = "its first step is missing"
        raise ValueError(message)
    for frame in snapshot.frames.values():
        if (frame.kind == "root") != (frame.id == ROOT):
            message = f"the frame {frame.id!r} is of kind {frame.kind!r}"
            raise ValueError(message)
        missing = [key for key in children(frame) if key not in snapshot.frames]
        if missing and isinstance(frame.phase, Forked):
            message = f"the fork at {frame.id!r} has no arm {missing[0]!r}"
            raise ValueError(message)

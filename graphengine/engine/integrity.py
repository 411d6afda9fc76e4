"""Whether a snapshot that was read from a database has the shape that everything else relies on.

The fold trusts its steps, since deciding made them. A file may have been changed since: then a run is damaged, which is
reported here and once, instead of failing anywhere with whatever error that gives. Types are checked where JSON is
read; what is left is whether the frames belong together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphengine.engine.phases import Forked
from graphengine.engine.snapshot import ROOT, children

if TYPE_CHECKING:
    from graphengine.engine.snapshot import Snapshot


def check_sound(snapshot: Snapshot) -> None:
    """See that a snapshot has the shape that deciding and showing rely on.

    Raises:
        ValueError: It has not.
    """
    if ROOT not in snapshot.frames:
        message = "nothing is recorded of how it began"
        raise ValueError(message)
    for frame in snapshot.frames.values():
        if (frame.kind == "root") != (frame.id == ROOT):
            message = f"the frame {frame.id!r} is of kind {frame.kind!r}"
            raise ValueError(message)
        missing = [key for key in children(frame) if key not in snapshot.frames]
        if missing and isinstance(frame.phase, Forked):
            message = f"the fork at {frame.id!r} has no arm {missing[0]!r}"
            raise ValueError(message)

"""The position of an attempt in its run, from which the ids of its spans are derived.

A span is exported when it has ended, by the process that recorded its end. Spans inside it may have been exported
before, even by a process that died. So the id of each span must be known from the position alone, and the position
from any snapshot: the visits around a frame, and the number of its attempt.
"""

from __future__ import annotations

import re
from hashlib import blake2b
from typing import TYPE_CHECKING, Final, NamedTuple

from graphengine.engine.frame_tree import place_of
from graphengine.engine.steps import path_of

if TYPE_CHECKING:
    from graphengine.engine.phases import Memo
    from graphengine.engine.snapshot import Frame

_INNER: Final = re.compile(r".*\|[0-9]+(?=/)", re.DOTALL)


class Ids(NamedTuple):
    """The ids of a run's spans.

    Attributes:
        trace: The trace id.
    """

    trace: int

    @classmethod
    def of(cls, run_id: str, created_at: float) -> Ids:
        """Return the ids of a run. Another store can have a run of the same name, so the time is a part of them."""
        text = f"{run_id}\0{float(created_at)!r}"
        return cls(int.from_bytes(blake2b(text.encode(), digest_size=16).digest()) or 1)

    def span(self, *parts: str | float) -> int:
        """Return the id of a span."""
        text = "\0".join(map(str, parts)).encode()
        return int.from_bytes(blake2b(text, digest_size=8, key=self.trace.to_bytes(16)).digest()) or 1

    @property
    def run(self) -> int:
        """The id of the run's span, the root of its trace."""
        return self.span("run")

    def attempt(self, frame: Frame) -> int:
        """Return the id of the span of the attempt that a frame is at."""
        return self.span("attempt", place_of(frame), frame.attempt)

    def around(self, frame: Frame) -> int:
        """Return the id of the span around a frame's visits: an attempt of the map or graph that has it, or the run."""
        while frame.kind == "arm" and frame.up is not None:
            frame = frame.up
        return self.run if frame.up is None else self.attempt(frame.up)


class Place(NamedTuple):
    """An attempt, before a step that may end it.

    Attributes:
        frame: The frame's id.
        key: The position of its visit in the run.
        path: The node's path in the run.
        node: The node.
        visit: The visit's number.
        attempt: The attempt's number.
        first: The first attempt since the visit began, or was revived.
        arrived: When the attempt could begin, epoch seconds.
        around: The id of the span around it.
        memos: The recorded work of the visit.
        is_item: Whether it is an item of a map.
    """

    frame: str
    key: str
    path: str
    node: str
    visit: int
    attempt: int
    first: int
    arrived: float
    around: int
    memos: dict[str, Memo]
    is_item: bool

    @classmethod
    def of(cls, frame: Frame, ids: Ids) -> Place:
        """Return where a frame is."""
        where = frame.id, place_of(frame), path_of(frame.id, frame.at), frame.at, frame.visit, frame.attempt
        first = frame.attempt - frame.tries
        return cls(*where, first, frame.arrived, ids.around(frame), dict(frame.memos), frame.kind == "item")

    def span(self, ids: Ids) -> int:
        """Return the id of the attempt's span."""
        return ids.span("attempt", self.key, self.attempt)

    def visit_span(self, ids: Ids) -> int:
        """Return the id of the span of the visit, which only a visit of several attempts has."""
        return ids.span("visit", self.key, self.first)

    def work_span(self, ids: Ids, key: str) -> int:
        """Return the id of the span of recorded work, or of the calls around it; "" is the attempt itself."""
        return ids.span("work", self.key, self.attempt, key) if key else self.span(ids)


def key_around(key: str) -> str:
    """Return the key around a key of recorded work, "" if there is none.

    >>> key_around("agent writer|0f|1/tool find|1.0|1"), key_around("fetch|a/b|1")
    ('agent writer|0f|1', '')
    """
    found = _INNER.match(key)
    return found.group() if found is not None else ""


def name_in(key: str) -> str:
    """Return the name of the work that a key identifies.

    >>> name_in("agent writer|0f|1/tool find|1.0|1")
    'tool find'
    """
    return key[len(key_around(key)) :].lstrip("/").partition("|")[0]


__all__ = ["Ids", "Place", "key_around", "name_in"]

"""The position of an attempt in its run, from which the ids of its spans are derived.

A span is exported when it has ended, by the process that recorded its end. Spans inside it may have been exported
before, even by a process that died. So the id of each span must be known from the position alone, and the position
from any snapshot: the visits around a frame, and the number of its attempt.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, NamedTuple

from graphengine.kernel.reader import Collecting, Inside, Resumed, Stopped, outcome_of, path_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from graphengine.kernel.inside import RecordedResult
    from graphengine.kernel.reader import Frame, Step


class Ids:
    """The ids of a run's spans.

    An attempt that was under way when its run was stopped, or failed, has a span that ended then. When the run is
    resumed it continues in a span of its own. So the id of an attempt also has the last resume since it could begin.

    Args:
        trace: The trace id.

    Attributes:
        run: The id of the run's span, the root of its trace.
        resumes: The resumes of a run that was over: when, and their steps.
        retried: The steps that resumed failed parts of a run that waits, by the part's frame, node, visit and attempt.
    """

    def __init__(self, trace: int = 0) -> None:
        self.trace = trace
        self.resumes: list[tuple[float, int]] = []
        self.retried: dict[tuple[str, str, int, int], int] = {}
        self._key = trace.to_bytes(16)
        self.run = self.span("run")

    @classmethod
    def of(cls, run_id: str, created_at: float) -> Ids:
        """Return the ids of a run. Another store can have a run of the same name, so the time is a part of them."""
        text = f"{run_id}\0{float(created_at)!r}"
        return cls(int.from_bytes(blake2b(text.encode(), digest_size=16).digest()) or 1)

    def span(self, *parts: str | float) -> int:
        """Return the id of a span."""
        text = "\0".join(map(str, parts)).encode()
        return int.from_bytes(blake2b(text, digest_size=8, key=self._key).digest()) or 1

    def attempt(self, frame: Frame) -> int:
        """Return the id of the span of the attempt that a frame is at."""
        return self.span("attempt", key_of(frame), frame.attempt, self.leg(frame))

    def leg(self, frame: Frame) -> int:
        """Return the step that last resumed the attempt that a frame is at, after its span had ended; 0 if none did."""
        last = next((seq for at, seq in reversed(self.resumes) if at > frame.arrived), 0)
        if self.retried:
            last = max(last, self.retried.get((frame.id, frame.at, frame.visit, frame.attempt), 0))
        return last

    def around(self, frame: Frame) -> int:
        """Return the id of the span around a frame's visits: an attempt of the map or graph that has it, or the run."""
        while frame.kind == "arm" and frame.up is not None:
            frame = frame.up
        return self.run if frame.up is None else self.attempt(frame.up)


def key_of(frame: Frame) -> str:
    """Return a text that identifies a frame's visit in its run, with the attempts of the maps and graphs around it."""
    if frame.up is None:
        return f"{frame.at}:{frame.visit}"
    around = key_of(frame.up)
    if frame.kind == "item":
        return f"{around}.{frame.up.attempt}{frame.id[frame.id.rindex('[') :]}"
    inside = f".{frame.up.attempt}" if frame.kind == "sub" else ""
    return f"{around}{inside}/{frame.at}:{frame.visit}"


class AttemptPlace(NamedTuple):
    """An attempt, before a step that may end it.

    Attributes:
        frame: The frame's id.
        key: The position of its visit in the run.
        path: The node's path in the run.
        node: The node.
        visit: The visit's number.
        attempt: The attempt's number.
        first: The first attempt since the visit began, or was revived.
        leg: The step that resumed the attempt after its span had ended, 0 if none did.
        arrived: When the attempt could begin, epoch seconds.
        around: The id of the span around it.
        recorded_results: The recorded work of the visit.
        waits: The ids of its waits, by name.
        is_item: Whether it is an item of a map.
        is_under_way: Whether spans may be below its own.
    """

    frame: str
    key: str
    path: str
    node: str
    visit: int
    attempt: int
    first: int
    leg: int
    arrived: float
    around: int
    recorded_results: dict[str, RecordedResult]
    waits: dict[str, str]
    is_item: bool
    is_under_way: bool

    @classmethod
    def of(cls, frame: Frame, ids: Ids) -> AttemptPlace:
        """Return where a frame is."""
        where = frame.id, key_of(frame), path_of(frame.id, frame.at), frame.at, frame.visit, frame.attempt
        work = dict(frame.recorded_results), {name: wait.id for name, wait in frame.waits.items()}
        first, leg, is_item = frame.attempt - frame.tries, ids.leg(frame), frame.kind == "item"
        is_under_way = bool(frame.recorded_results or frame.waits or isinstance(frame.phase, (Collecting, Inside)))
        return cls(*where, first, leg, frame.arrived, ids.around(frame), *work, is_item, is_under_way)

    def span(self, ids: Ids) -> int:
        """Return the id of the attempt's span."""
        return ids.span("attempt", self.key, self.attempt, self.leg)

    def visit_span(self, ids: Ids) -> int:
        """Return the id of the span of the visit, which only a visit of several attempts has."""
        return ids.span("visit", self.key, self.first)

    def work_span(self, ids: Ids, key: str) -> int:
        """Return the id of the span of recorded work, or of the calls around it; "" is the attempt itself."""
        return ids.span("work", self.key, self.attempt, self.leg, key) if key else self.span(ids)


def see_resumes(ids: Ids, steps: Iterable[Step]) -> None:
    """Note the resumes in a part of a log that change the ids of attempts."""
    failed: list[tuple[str, str, int, int]] = []
    is_over = False
    for step in steps:
        facts, has_failed = step.data, outcome_of(step).has_failed
        if isinstance(facts, Stopped) or (has_failed and not step.frame):
            is_over = True
        if has_failed:
            failed.append((step.frame, step.node, step.visit, step.attempt))
        if isinstance(facts, Resumed):
            frames = {frame for frame, *_ in failed}
            kept = [each for each in failed if _item_around(each[0], facts.settled) in frames]
            if is_over:
                ids.resumes.append((step.at, step.seq))
            elif facts.retries:
                ids.retried |= dict.fromkeys([each for each in failed if each not in kept], step.seq)
            if is_over or facts.retries:
                is_over, failed = False, kept


def _item_around(frame: str, maps: Iterable[str]) -> str | None:
    """Return the item of one of these maps that a frame is, or is inside of; None if there is none.

    >>> _item_around("article/research[3]/~a", ["article/research"])
    'article/research[3]'
    """
    return next((frame[: frame.index("]", len(place)) + 1] for place in maps if frame.startswith(f"{place}[")), None)


__all__ = ["AttemptPlace", "Ids", "see_resumes"]

"""Compute the ids of spans from positions in a run.

A span is exported when it has ended, by the process that recorded its end. Its child spans may have been exported
before, even by a process that has died since. All processes must therefore give a span the same id. The id is computed
from the position of the attempt in its run: the visits of nodes around it and the number of the attempt. Each process
can read this position from a snapshot of the run.

A *frame* is the run's position in one graph: the node at which the run is there.
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
    """Computes the ids of the OpenTelemetry spans of a run, so that every process gives the same span the same id.

    A span's id depends on what the span describes, such as the node, the visit and the attempt. When a run stops or
    fails, the span of an attempt in progress ends. After a resume, the same attempt continues in a second span. The id
    of an attempt's span therefore also depends on the last resume.

    Args:
        trace: The trace id.

    Attributes:
        run: The id of the run's span, the root of its trace.
        resumes: The resumes of the run after it had stopped or failed: their times, and the numbers of their steps.
        retried: The failed attempts that were resumed while other parts of the run waited, so that the run itself had
            not ended. The value is the number of the resume's step. The key is the frame (the part of the run), the
            node, the visit and the attempt.
    """

    def __init__(self, trace: int = 0) -> None:
        self.trace = trace
        self.resumes: list[tuple[float, int]] = []
        self.retried: dict[tuple[str, str, int, int], int] = {}
        self._key = trace.to_bytes(16)
        self.run = self.span("run")

    @classmethod
    def of(cls, run_id: str, created_at: float) -> Ids:
        """Create the object that computes the ids of a run's spans.

        The trace id is computed from the id of the run and from the time at which the run was created, because another
        store can have a run with the same id.
        """
        text = f"{run_id}\0{float(created_at)!r}"
        return cls(int.from_bytes(blake2b(text.encode(), digest_size=16).digest()) or 1)

    def span(self, *parts: str | float) -> int:
        """Compute a span id from texts and numbers that identify the span within the run."""
        text = "\0".join(map(str, parts)).encode()
        return int.from_bytes(blake2b(text, digest_size=8, key=self._key).digest()) or 1

    def attempt(self, frame: Frame) -> int:
        """Return the id of the span for the attempt that a frame is executing."""
        return self.span("attempt", key_of(frame), frame.attempt, self.leg(frame))

    def leg(self, frame: Frame) -> int:
        """Return the number of the step that resumed an attempt after the attempt's span had ended; 0 if none did.

        When a run stops or fails, the spans of its attempts end. A resume begins a further span for the same attempt.
        """
        last = next((seq for at, seq in reversed(self.resumes) if at > frame.arrived), 0)
        if self.retried:
            last = max(last, self.retried.get((frame.id, frame.at, frame.visit, frame.attempt), 0))
        return last

    def around(self, frame: Frame) -> int:
        """Return the id of the span that contains the spans of a frame, which is one part of the run.

        It is the span of the attempt that runs the frame's map or nested graph. For the run's own graph, it is the span
        of the run.
        """
        while frame.kind == "arm" and frame.up is not None:
            frame = frame.up
        return self.run if frame.up is None else self.attempt(frame.up)


def key_of(frame: Frame) -> str:
    """Return a text that identifies, within its run, the visit to a node which a part of the run is working on.

    The part of the run is called a *frame*: the run itself, a nested graph, an arm or an item.

    The text includes the attempts of the maps and nested graphs around the frame. If a map is repeated, the visits in
    it therefore get other texts.
    """
    if frame.up is None:
        return f"{frame.at}:{frame.visit}"
    around = key_of(frame.up)
    if frame.kind == "item":
        return f"{around}.{frame.up.attempt}{frame.id[frame.id.rindex('[') :]}"
    inside = f".{frame.up.attempt}" if frame.kind == "sub" else ""
    return f"{around}{inside}/{frame.at}:{frame.visit}"


class AttemptPlace(NamedTuple):
    """Identifies the attempt of a node that was in progress just before a step of the run.

    The step may end the attempt. Therefore these values are read before the step is applied to the run's state.

    Attributes:
        frame: The id of the frame that executes the attempt. A frame is a part of the run: the run itself, a nested
            graph, an arm or an item.
        key: A text that identifies the visit within the run.
        path: The path of the node in the run.
        node: The name of the node.
        visit: The number of the visit.
        attempt: The number of the attempt.
        first: The number of the first attempt since the visit began, or since the visit was resumed after a failure.
        leg: The number of the step that resumed the attempt after its span had ended; 0 if the attempt was not resumed.
        arrived: When the attempt could begin, in epoch seconds.
        around: The id of the span that contains the attempt's span.
        recorded_results: The results that the visit has recorded, such as model answers.
        waits: The ids of the open waits, by name.
        is_item: Whether the visit belongs to an item of a map.
        is_under_way: Whether the attempt's span may have child spans.
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
        """Read which attempt of which node a frame (one part of the run) is executing."""
        where = frame.id, key_of(frame), path_of(frame.id, frame.at), frame.at, frame.visit, frame.attempt
        work = dict(frame.recorded_results), {name: wait.id for name, wait in frame.waits.items()}
        first, leg, is_item = frame.attempt - frame.tries, ids.leg(frame), frame.kind == "item"
        is_under_way = bool(frame.recorded_results or frame.waits or isinstance(frame.phase, (Collecting, Inside)))
        return cls(*where, first, leg, frame.arrived, ids.around(frame), *work, is_item, is_under_way)

    def span(self, ids: Ids) -> int:
        return ids.span("attempt", self.key, self.attempt, self.leg)

    def visit_span(self, ids: Ids) -> int:
        """Return the id of the span of the whole visit. Only a visit with several attempts has such a span."""
        return ids.span("visit", self.key, self.first)

    def work_span(self, ids: Ids, key: str) -> int:
        """Return the id of the span for a recorded call, such as a model call.

        Args:
            ids: Computes the ids of the run's spans.
            key: The key under which the call is recorded; "" for the span of the attempt itself.
        """
        return ids.span("work", self.key, self.attempt, self.leg, key) if key else self.span(ids)


def see_resumes(ids: Ids, steps: Iterable[Step]) -> None:
    """Find the steps in a part of a run's log that resume the run, and add them to the object that computes span ids.

    Only a resume is added after which an attempt continues in a further span, because only such a resume changes span
    ids.
    """
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
    """Return the item of a map to which a part of the run (a frame) belongs; None if it is outside of the given maps.

    >>> _item_around("article/research[3]/~a", ["article/research"])
    'article/research[3]'
    """
    return next((frame[: frame.index("]", len(place)) + 1] for place in maps if frame.startswith(f"{place}[")), None)


__all__ = ["AttemptPlace", "Ids", "see_resumes"]

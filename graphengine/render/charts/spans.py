"""The times of a run's visits, as spans in rows, one row per path.

`graphengine.records.visits` reads the visits, their waits, and the maps and graphs inside them.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, TypeAlias

from graphengine.kernel.extension import add_usage
from graphengine.kernel.reader import Attempt, Failed, Node, Usage, Waiting, show, usage_of
from graphengine.records.step_queries import falls_back
from graphengine.render.text import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from graphengine.kernel.reader import Snapshot
    from graphengine.records.visit_tree import Entry, Milestone, Nested, Visit, WaitTime
    from graphengine.records.visits import Visits

What: TypeAlias = Literal["work", "failed", "fallback", "wait", "pause", "inside", "begun"]
"""Successful `work`, a `failed` attempt, the result of a `fallback`, a `wait` for a person, a message or a time, the
`pause` before another attempt, the time of a map or graph (`inside`), work that has `begun` and not ended yet."""

_SHOWN: Final = ("node", "item", "attempt", "failed", "waiting", "recorded")
_WORKED: Final = 0.0005
"""Seconds. Asking a question takes no time; only a node that worked longer before it waited is shown at work."""


class Span(NamedTuple):
    """Some time in a row.

    Attributes:
        start: Epoch seconds.
        end: The same; not before `start`.
        seq: The step that ended it; 0 if none did.
        said: Its text.
    """

    what: What
    start: float
    end: float
    seq: int
    said: str

    @property
    def seconds(self) -> float:
        """Its duration."""
        return self.end - self.start


class Gap(NamedTuple):
    """A time at which the run was not driven, and why."""

    start: float
    end: float
    why: str


@dataclass(slots=True)
class PathSpans:
    """What was done at a path.

    Attributes:
        path: The node's path, with the items around it: `pieces[1]/write`.
        spans: In the order they ended.
        visits: How many visits, or items, ended.
        usage: What models cost there.
        items: How many items share the row.
    """

    path: str
    spans: list[Span] = field(default_factory=list)
    visits: int = 0
    usage: Usage = field(default_factory=Usage)
    items: int = 1


@dataclass(frozen=True, slots=True)
class Timeline:
    """A run over time.

    Attributes:
        snapshot: Its last snapshot.
        began: Epoch seconds.
        ended: The time of its last step.
        rows: In the order of the tree: each path after the one around it.
        gaps: When it was not driven.
        branched: When it, and its ancestors, branched off, and that in words: earlier steps are shared.
        steps: How many steps it has.
    """

    snapshot: Snapshot
    began: float
    ended: float
    rows: Sequence[PathSpans]
    gaps: Sequence[Gap]
    branched: Sequence[tuple[float, str]]
    steps: int


def laid_out(run: Visits) -> Timeline:
    """Lay out visits in time; they have at least one step."""
    rows = _rows_of_visits(run)
    began = min([run.entries[0].step.at, *(span.start for row in rows for span in row.spans)])
    back = [turn for turn in run.turns if turn.kind in ("branched", "resumed")]
    gaps = [Gap(turn.since, turn.at, _why_not_driven(turn)) for turn in back if turn.at > turn.since]
    branched = [
        (turn.at, f"run {turn.run_id} branched off at step {turn.seq - 1}") for turn in back if turn.kind == "branched"
    ]
    return Timeline(run.snapshot, began, max(began, run.snapshot.now), rows, gaps, branched, len(run.entries))


def _rows_of_visits(run: Visits) -> list[PathSpans]:
    """Return the rows of a run, in the order of its tree."""
    rows: dict[str, PathSpans] = {}
    first: dict[str, int] = {}

    def row_of(visit: Visit, seq: int) -> PathSpans:
        first[visit.path] = min(first.get(visit.path, seq), seq)
        return rows.setdefault(visit.path, PathSpans(visit.path))

    for entry in run.entries:
        visit, usage = entry.visit, usage_of(entry.step)
        if visit is not None and (usage or entry.step.kind in _SHOWN):
            row = row_of(visit, entry.step.seq)
            row.usage = add_usage(row.usage, usage) if usage else row.usage
            row.spans += _spans(entry)
    now = run.snapshot.now
    for visit in run.visits:
        if visit.completed:
            rows[visit.path].visits += 1
        for what, words, stay in _stays(visit):
            ended = stay.until is not None
            end = now if stay.until is None else stay.until
            said = words if ended else f"{words}, not over yet"
            row_of(visit, stay.seq).spans.append(Span(what, stay.since, end, stay.end, said))
    for row in rows.values():
        row.spans.sort(key=lambda span: span.seq or math.inf)
    for visit in _visits_in_progress(run):
        words = f"visit {visit.number} has not ended yet"
        row_of(visit, run.snapshot.seq + 1).spans.append(Span("begun", min(now, visit.ready), now, 0, words))
    return sorted(rows.values(), key=_in_the_tree(sorted(first, key=lambda path: first[path])))


def _visits_in_progress(run: Visits) -> Iterator[Visit]:
    """Yield the visits that are in progress."""
    for frame in run.snapshot.frames.values() if run.snapshot.status == "running" else ():
        visit = run.live[frame.id].visit
        if visit is not None and visit.status == "open" and not visit.waiting and visit.nested is None:
            yield visit


def _spans(entry: Entry) -> Iterator[Span]:
    """Yield the span that a step ended, unless its visit waited or had something inside: that has its own span."""
    step, facts, words = entry.step, entry.step.data, _describe_entry(entry)
    failed = isinstance(facts, (Attempt, Failed))
    start = step.at if entry.was_held else min(step.began or step.at, step.at)
    if isinstance(facts, Waiting) and not entry.was_held:
        if step.at - start > _WORKED:
            yield Span("work", start, step.at, step.seq, f"{words}, then it waited")
    elif isinstance(facts, (Node, Attempt, Failed)) and (failed or not entry.was_held):
        yield Span("failed" if failed else "fallback" if falls_back(step) else "work", start, step.at, step.seq, words)
    if isinstance(facts, Attempt) and facts.due_at is not None and facts.due_at > step.at:
        yield Span("pause", step.at, facts.due_at, step.seq, "pause before another attempt")


def _stays(visit: Visit) -> Iterator[tuple[What, str, WaitTime | Nested]]:
    """Yield the times at which a visit waited, or had a map or graph inside; simultaneous waits are one."""
    for _, waits in groupby(visit.waits, key=lambda wait: wait.seq):
        every = list(waits)
        yield "wait", "; ".join(f"waits {_for(w.kind)}: {one_line(w.question or w.name)}" for w in every), every[0]
    for nested in visit.insides:
        is_map = nested.kind == "map"
        yield "inside", f"a map over {nested.count} items" if is_map else f"a graph, visit {visit.number}", nested


def _why_not_driven(turn: Milestone) -> str:
    """Return why a run was not driven before a turn."""
    if turn.kind == "branched" or turn.crashed:
        return "branched off" if turn.kind == "branched" else "interrupted"
    return {"stopped": "stopped", "failed": "failed", "waiting": "waiting"}.get(turn.status, "not driven")


def _for(kind: str) -> str:
    return {"ask": "for an answer", "receive": "for a message", "sleep": "for a time"}.get(kind, "for a decision")


def _describe_entry(entry: Entry) -> str:
    """Return what a step did, in words."""
    step, failure = entry.step, entry.step.data.error
    visit = f"visit {step.visit}" if step.kind != "item" else "done"
    if step.attempt > 1:
        visit += f", attempt {step.attempt}"
    if failure is not None and step.kind in ("attempt", "failed"):
        visit += f" failed: {failure.kind}: {one_line(show(failure.message))}"
    elif falls_back(step):
        visit += ", the fallback replaced its result"
    then = f", then {', '.join(entry.edge.to)}" if entry.edge is not None else ""
    return f"step {step.seq}, {visit}{then}"


def _in_the_tree(paths: Sequence[str]) -> Callable[[PathSpans], tuple[int, ...]]:
    """Return a sort key in tree order: each path after the one around it, siblings in the order of their first step.

    Items are in the order of their list.
    """
    first: dict[str, int] = {}
    for path in paths:
        for around in _list_enclosing_paths(path):
            item = re.search(r"\[(\d+)\]$", around)
            first.setdefault(around, int(item[1]) if item else len(first))
    return lambda row: tuple(first[around] for around in _list_enclosing_paths(row.path))


def _list_enclosing_paths(path: str) -> list[str]:
    """Return the paths around a path, and itself: `pieces`, `pieces[1]`, `pieces[1]/write`."""
    return [path[: end.start()] for end in re.finditer(r"/|\[|$", path)]

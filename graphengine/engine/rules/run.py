"""A run as a whole: how it begins, is resumed and stops, and how a branch begins."""

from __future__ import annotations

from copy import copy
from itertools import repeat
from typing import TYPE_CHECKING, Any, Final, cast

from graphengine.engine.failures import attempt_of
from graphengine.engine.field_ops import apply_ops
from graphengine.engine.fold import title_line
from graphengine.engine.graph_migration import shift_snapshot
from graphengine.engine.lookup import plan_of
from graphengine.engine.phases import BEGUN, Collecting
from graphengine.engine.ready import ready, task_of
from graphengine.engine.routing import take_edge
from graphengine.engine.rules.map import find_settled_maps
from graphengine.engine.size_limits import bytes_of, size_of, sum_bounds
from graphengine.engine.snapshot import CRASHES, ROOT, Frame, child_id
from graphengine.engine.steps import Decided, Shift, Stopped, own_name, path_of
from graphengine.engine.trackers import carry_marks, default_marks, first_marks, sample
from graphengine.graph.options import START
from graphengine.graph.question import fill_question, holes
from graphengine.state.encoded import opened
from graphengine.state.ending import Ending
from graphengine.state.path import parse
from graphengine.state.recorded_text import show
from graphengine.state.update import UNREAD
from graphengine.state.view import View

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from graphengine.engine.events import BranchedOff, RunResumed, RunStarted, StopAsked
    from graphengine.engine.lookup import RunState
    from graphengine.engine.plan import Plan
    from graphengine.engine.snapshot import Snapshot
    from graphengine.engine.steps import Continued, Marks, Outcome, Resumed
    from graphengine.state.ending import EndReason
    from graphengine.state.json_values import Op


_UNCHANGED: Final = Shift()


def begin_run(run: RunState, event: RunStarted) -> Decided:
    """Return the first step of a run, which contains the initial state and the first edge."""
    plan = run.plan
    # A copy, because a view removes typed values that a function changed in place.
    frame = Frame(at=START, values=event.values, typed=dict(event.typed))
    facts = event.facts.__copy__()  # type: ignore[attr-defined] # as `copy`, which looks for it by code of Python
    if plan.samples:
        facts.given = [name for name in event.given if name in plan.samples] or ()
    first_edge(run, facts, plan, frame, event.given)
    update = [("set", name, value) for name, value in event.values.items()]
    return Decided(1, event.now, facts, update=update, typed=list(map(event.typed.get, event.values, repeat(UNREAD))))


def first_edge(run: RunState, facts: Outcome, plan: Plan[Any], frame: Frame, given: Iterable[str]) -> None:
    """Choose the first edge of a run or of a subgraph, and record the edge in the step.

    Conditions that remember earlier values get their first memory here. `given` names the fields that the caller set;
    only their values count as first values of such conditions.
    """
    view = at_start(plan, frame, given)
    view.checks = run.checks
    take_edge(facts, plan, view, plan.start, frame, attempt_of(frame), run.observer)


def at_start(plan: Plan[Any], frame: Frame, given: Iterable[str]) -> View:
    """Return the initial state of a run or a subgraph, with which the conditions of its first edge are evaluated."""
    view = View(plan.state, frame, node=START)
    if plan.epochs:
        changes = [t for group in plan.epochs.values() for t in group if t.kind == "change"]
        view.new_marks.update(default_marks(plan, changes))
    if plan.samples:
        sample(plan, view, given)
    return view


def resume_stopped_run(run: RunState, event: RunResumed) -> Decided:
    """Return the step to record when a stopped, failed or waiting run continues."""
    plan, snapshot = run.plan, run.snapshot
    facts: Resumed = event.facts.__copy__()  # type: ignore[attr-defined] # as `begun`
    # Otherwise a limit held the run back, and no node was in flight.
    facts.crashed = facts.crashed and bool(ready(snapshot))
    facts.shared_process = facts.shared_process and wants_alone(snapshot, crashed=event.facts.crashed)
    there = _under_changes(plan, snapshot, event, facts)
    settled = () if event.retry_failed else find_settled_maps(plan, there)
    retries = event.asked or event.retry_failed
    facts.retries = retries and snapshot.status != "failed" and has_failed_parts(there, settled)
    if facts.retries or snapshot.status == "failed":
        facts.settled = settled
    if facts.changes:
        facts.marks = first_marks(plan, there.root)
    facts.sub_limits = {
        frame.id: limits
        for frame in there.frames.values()
        if frame.kind == "sub" and (limits := plan_of(plan, frame).own_limits.copy()) != frame.limits
    }
    state_bytes = sum_bounds(run, bytes_of(facts.field_changes)) if facts.field_changes else 0
    return Decided(snapshot.seq + 1, event.now, facts, state_bytes=state_bytes)


def has_failed_parts(snapshot: Snapshot, settled: Collection[str]) -> bool:
    """Return whether any arm, subgraph or map item has failed, so that a resume would retry it.

    The run itself need not have failed, because other parts of it may still wait. Maps in `settled` keep their failed
    items.
    """
    return any(
        frame.failing is not None
        or (isinstance(frame.phase, Collecting) and frame.phase.failed and child_id(frame.id, frame.at) not in settled)
        for frame in snapshot.frames.values()
        if not frame.is_settled(settled)
    )


def wants_alone(snapshot: Snapshot, *, crashed: bool) -> bool:
    """Return whether a process should drive only this run, because two crashes happened while one of its nodes ran.

    Another run in the same process may have caused the crashes. After a third crash the node fails, but only if the
    process drove no other run.

    Args:
        snapshot: The run, before it is resumed.
        crashed: Whether the process that last drove the run crashed.
    """
    tasks = ((frame, task_of(snapshot, frame)) for frame in snapshot.frames.values())
    in_flight = [frame for frame, task in tasks if task is not None and task.mode in ("run", "fallback")]
    return any(frame.crashes + crashed >= CRASHES - 1 for frame in in_flight)


def _under_changes(plan: Plan[Any], snapshot: Snapshot, event: RunResumed | BranchedOff, facts: Continued) -> Snapshot:
    """Record in a resume or branch step how a changed graph changes the run, and return the changed snapshot.

    The snapshot that was given is not changed.
    """
    if event.change == _UNCHANGED:
        return snapshot
    for name in Shift.__struct_fields__:
        setattr(facts, name, getattr(event.change, name))
    there = shift_snapshot(snapshot, facts)
    marks_of = dict(_carry_marks(plan, snapshot, there, facts))
    for frame in there.frames.values() if facts.changes else ():
        if frame.kind == "sub":
            marks_of[frame.id] = {**marks_of.get(frame.id, {}), **first_marks(plan_of(plan, frame), frame)}
    facts.marks_of = {frame: marks for frame, marks in marks_of.items() if marks}
    return there


def _carry_marks(plan: Plan[Any], snapshot: Snapshot, there: Snapshot, facts: Continued) -> Iterator[tuple[str, Marks]]:
    """Yield the digests that `changed(…)` conditions must remember after the types of the state have changed.

    Such a condition compares the digest of a field with the digest that it remembers. If a new type changes the digest
    although no node wrote the field, the condition would hold by mistake. Each yielded pair contains the id of a frame
    (one position of the run in a graph) and the new digests of its conditions.
    """
    for frame in there.frames.values() if facts.field_changes else ():
        changes = facts.field_changes.get(frame.sub.id if frame.sub is not None else ROOT, ())
        if changes and frame.id in snapshot.frames:
            yield (
                frame.id,
                carry_marks(plan_of(plan, frame), snapshot.frames[frame.id], frame, {op[1] for op in changes}),
            )


def stop_asked(snapshot: Snapshot, event: StopAsked) -> Decided:
    """Return the step to record when a run stops or ends with an error.

    The run can be resumed unless the stop is final.
    """
    if event.error is not None:
        stop = Ending("failed", why=show(event.error.message))
        facts = Stopped(status="failed", ending=stop, error=event.error)
    else:
        stop = Ending(cast("EndReason", event.reason), why=event.why)
        facts = Stopped(status="cancelled" if event.final else "stopped", ending=stop, usage=event.usage or {})
        facts.unknown = _list_unended_effects(snapshot) if event.final else ()
    return Decided(snapshot.seq + 1, event.now, facts)


def _list_unended_effects(snapshot: Snapshot) -> list[str]:
    """Return the side effects of a run that began and of which nobody knows whether they happened.

    Each effect is described by the path of its node. For an effect inside the node, the name of its function follows,
    as in `order/pay: charge`.
    """
    return [
        path_of(frame.id, frame.at) + (f": {own_name(memo.name)}" if key != BEGUN else "")
        for frame in snapshot.frames.values()
        for key, memo in frame.recorded_results.items()
        if key.startswith(BEGUN) and memo.name is not None and memo.by is None
    ]


def begin_branch(run: RunState, event: BranchedOff) -> Decided:
    """Return the first step of a run that branches off from another run, with the changes to its state."""
    plan, snapshot = run.plan, run.snapshot
    facts = copy(event.facts)
    there = _under_changes(plan, snapshot, event, facts)
    if snapshot.status == "failed":
        facts.settled = find_settled_maps(plan, there)
    frame = there.frames[event.frame]
    inner = plan_of(plan, frame)
    view = View(inner.state, frame)
    view.checks = run.checks
    ops = inner.state.apply(view, event.updates).ops
    state_bytes = size_of(run, view.update_bytes, ops, f"branch {facts.run_id}")
    if state_bytes and facts.field_changes:
        state_bytes += bytes_of(facts.field_changes)
    if facts.changes:
        view.new_marks.update(first_marks(inner, frame))
        if frame is not there.root and (marks := first_marks(plan, there.root)):
            facts.marks_of = {**facts.marks_of, ROOT: {**facts.marks_of.get(ROOT, {}), **marks}}
    sample(inner, view, [op[1] for op in ops])
    facts.marks = view.new_marks
    if frame is there.root:
        facts.title = _title_of_branch(plan, snapshot.title, frame, ops)
    return Decided(snapshot.seq + 1, event.now, facts, event.frame, update=ops, state_bytes=state_bytes)


def _title_of_branch(plan: Plan[Any], title: str, frame: Frame, ops: Sequence[Op]) -> str:
    """Return a new title for a run that branches off with a changed state; "" to keep the title of the parent run.

    A title that the graph declares with `title=` is filled in again with the changed state. A title that was taken from
    a text field is replaced with the new text of that field.
    """
    changed = Frame(at=frame.at, values=frame.values.copy())
    apply_ops(changed, ops, None)
    written = {op[1] for op in ops}
    if plan.title:
        roots = {parse(hole).root for hole in holes(plan.title)}
        values = {name: opened(changed.values[name]) for name in roots & changed.values.keys()}
        return title_line(fill_question(plan.title, values)) if roots & written else ""
    names = list(changed.values)
    if title:  # Find the first field whose text was the title.
        given = frame.values
        names = [name for name in given if isinstance(given[name], str) and title_line(given[name]) == title][:1]
    texts = (changed.values[name] for name in names if name in written)
    return next((line for each in texts if isinstance(each, str) and (line := title_line(each))), "")

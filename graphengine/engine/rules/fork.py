"""The join of a fork. The updates of the arms are applied again, in declared order, to the state before the fork."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graphengine.engine.failures import fail_with, failure_record
from graphengine.engine.lookup import StaleEvent, plan_of
from graphengine.engine.phases import Ended, Forked
from graphengine.engine.ready import arms_settled
from graphengine.engine.routing import arrive, keep_rules
from graphengine.engine.size_limits import sum_bounds
from graphengine.engine.steps import Decided, Joined, path_of
from graphengine.engine.trackers import sample_arm
from graphengine.errors import InvalidUpdate, RuleBroken
from graphengine.reducers import Replace
from graphengine.state.interrupts import reraise_interrupt
from graphengine.state.view import View

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphengine.engine.events import Settled
    from graphengine.engine.lookup import RunState
    from graphengine.engine.plan import Plan
    from graphengine.engine.snapshot import Frame


def arms_arrived(run: RunState, frame: Frame, event: Settled) -> Decided:
    """Return the step to record when the arms of a fork are joined.

    If too many arms failed, the step fails with the error of the first failed arm, in declared order.
    """
    forked, snapshot = frame.phase, run.snapshot
    if not isinstance(forked, Forked) or not arms_settled(snapshot, forked):
        raise StaleEvent(event)
    plan = plan_of(run.plan, frame)
    fork = forked.fork
    arms = [snapshot.frames[key] for key in forked.arms]
    arrived = [arm for arm in arms if isinstance(arm.phase, Ended)]
    facts = Joined()
    step = Decided(snapshot.seq + 1, event.now, facts, frame.id, fork.join)
    if len(arrived) < (len(arms) if fork.need is None else fork.need):
        first = next(arm.failing for arm in arms if arm.failing is not None)
        fail_with(facts, first.error)
        facts.ending = first.ending or facts.ending
        return step
    view = View(plan.state, frame)
    view.checks = run.checks
    view.node, view.until = frame.at, frame.until
    try:
        change = plan.state.apply(view, _updates_of_arms(plan, view, arrived))
    except BaseException as error:  # noqa: BLE001 - user code of any kind: reducers, validators
        reraise_interrupt(error)
        fail_with(facts, failure_record(error, path_of(frame.id, fork.join), 1))
        return step
    counted: dict[str, int] = {}
    for arm in arms:
        sample_arm(plan, view, arm, counted)
        for name, visits in arm.counts.items():
            counted[name] = counted.get(name, 0) + visits
    try:
        keep_rules(plan, view, frame, (fork.join,), counted)
    except RuleBroken as error:
        fail_with(facts, failure_record(error, path_of(frame.id, fork.join), 1))
        return step
    facts.arrived, facts.of = len(arrived), len(arms)
    arrive(facts, plan, frame, fork.join, fork.label, fork)
    facts.marks = view.new_marks
    if view.new_marks and view.until:
        facts.samples = tuple(view.new_samples)
    facts.cancelled = [arm.id for arm in arms if not isinstance(arm.phase, Ended)] or ()
    step.update, step.typed = change.ops, change.typed
    step.state_bytes = sum_bounds(run, view.update_bytes) if view.update_bytes else 0
    return step


def _updates_of_arms(plan: Plan[Any], view: View, arms: Sequence[Frame]) -> list[tuple[str, object]]:
    """Return the updates that the arms of a fork wrote, in declared order of the arms, to apply them to one state.

    Raises:
        InvalidUpdate: An arm replaced a field that another arm wrote.
    """
    writers: dict[str, set[str]] = {}
    for arm in arms:
        for op in arm.journal:
            writers.setdefault(op[1], set()).add(arm.id)
    updates: list[tuple[str, object]] = []
    for arm in arms:
        typed = arm.added if view.checks else {}
        for index, op in enumerate(arm.journal):
            update = plan.state.fields[op[1]].joined(op, view, typed.get(index))
            if isinstance(update, Replace) and len(writers[op[1]]) > 1:
                raise InvalidUpdate(
                    f"the arm that starts at {arm.id.rsplit('~', 1)[-1]!r} replaced {op[1]!r}, which another arm wrote",
                    where=f"fork at {view.node}",
                    repair=f"replace {op[1]!r} before the fork or after the join",
                )
            updates.append((op[1], update))
    return updates

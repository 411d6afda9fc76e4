"""The join of a fork: the arms' updates are reduced again in declared order, on what the fork began with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graphengine.calls.interrupts import reraise_interrupt
from graphengine.engine.failures import error_of, failed_frame, failure_record, nested
from graphengine.engine.lookup import StaleEvent, plan_of
from graphengine.engine.ready import arms_settled
from graphengine.engine.routing import arrival
from graphengine.engine.size_limits import added
from graphengine.engine.steps import Step, path_of
from graphengine.engine.trackers import sample_arm
from graphengine.errors import InvalidUpdate
from graphengine.reducers import Replace
from graphengine.state.view import View

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphengine.engine.events import Settled
    from graphengine.engine.plan import Plan
    from graphengine.engine.snapshot import Frame, Snapshot


def arms_arrived(plan: Plan[Any], snapshot: Snapshot, event: Settled) -> Step:
    """The arms become one, or their frame fails with the first of them that did."""
    frame = snapshot.frames[event.frame]
    if not arms_settled(snapshot, frame):
        raise StaleEvent(event)
    plan = plan_of(plan, frame)
    fork = frame.fork
    arms = [snapshot.frames[key] for key in fork["arms"]]
    arrived = [arm for arm in arms if arm.phase == "ended"]
    common = (snapshot.seq + 1, "joined", event.now, frame.id, fork["join"])
    if len(arrived) < fork.get("need", len(arms)):
        arm = next(arm for arm in arms if arm.failure is not None)
        data = {"error": arm.failure, **failed_frame(arm.failure, arm.stop)}
        return Step(*common, data={**data, **nested(frame, arm.names, lasting=arm.lasting)})  # type: ignore[arg-type]
    view = View(plan.state, frame)
    view.node, view.until = frame.at, frame.until
    try:
        change = plan.state.apply(view, _updates(plan, view, arrived))
    except BaseException as error:  # noqa: BLE001 - user code of any kind: reducers, validators
        reraise_interrupt(error)
        told = error_of(error)
        failure = failure_record(told, path_of(frame.id, fork["join"]), 1)
        data = {"error": failure, **failed_frame(failure), **nested(frame, told.names, lasting=told.lasts)}
        return Step(*common, data=data)  # type: ignore[arg-type]
    counted: dict[str, int] = {}
    for arm in arrived:
        sample_arm(plan, view, arm, counted)
        for name, visits in arm.counts.items():
            counted[name] = counted.get(name, 0) + visits
    why = f"{len(arrived)} of {len(arms)} arms arrived"
    data = arrival(frame, fork["join"], fork.get("label", ""), fork.get("condition"), why)
    if view.new_marks:
        data["marks"] = view.new_marks
        if view.until:
            data["samples"] = view.new_samples
    cancelled = [arm.id for arm in arms if arm.phase != "ended"]
    if cancelled:
        data["cancelled"] = cancelled
    weight = added(snapshot, view.weight) if view.weight else 0
    return Step(*common, update=change.ops, data=data, typed=change.typed, weight=weight)  # type: ignore[arg-type]


def _updates(plan: Plan[Any], view: View, arms: Sequence[Frame]) -> list[tuple[str, object]]:
    """The raw updates of all arms, in declared order.

    Raises:
        InvalidUpdate: An arm replaced a field that another one wrote.
    """
    writers: dict[str, set[str]] = {}
    for arm in arms:
        for op in arm.journal:
            writers.setdefault(op[1], set()).add(arm.id)
    updates: list[tuple[str, object]] = []
    for arm in arms:
        for op in arm.journal:
            update = plan.state.fields[op[1]].again(op, view)
            if isinstance(update, Replace) and len(writers[op[1]]) > 1:
                raise InvalidUpdate(
                    f"the arm to {arm.id.rsplit('~', 1)[-1]} replaced {op[1]!r}, which another arm wrote",
                    where=f"fork at {view.node}",
                    repair="replace it before the fork or behind the join",
                )
            updates.append((op[1], update))
    return updates

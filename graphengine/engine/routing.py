"""Choice of the outgoing edge of a node: the first one whose condition holds, with the result of each condition."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from graphengine.engine.failures import attempt_of, fail_with, failure_record, text_of
from graphengine.engine.steps import FailureRecord, ForkRecord, path_of
from graphengine.engine.trackers import note_changes
from graphengine.errors import ConditionFailed, FailReached, NodeError, NoEdge, RuleBroken
from graphengine.graph.conditions import exception_name
from graphengine.graph.definition import Edge, Switch
from graphengine.graph.options import END, FAIL
from graphengine.state.ending import Ending
from graphengine.state.interrupts import reraise_interrupt
from graphengine.state.numbers import case_of
from graphengine.state.path import nearest
from graphengine.state.texts import choice_text, steady_text
from graphengine.state.type_facts import enum_value
from graphengine.state.view import View

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from graphengine.engine.lookup import Observer
    from graphengine.engine.plan import Plan
    from graphengine.engine.snapshot import Frame
    from graphengine.engine.steps import Outcome
    from graphengine.graph.conditions import Condition
    from graphengine.graph.definition import AnyEdge, Fork

_OTHERWISE: Final = (True, "otherwise")
_NO_ARMS: Final[Mapping[str, int]] = {}
_ENDS: Final = frozenset((END, FAIL))
_FAILED: Final = [exception_name(kind) for kind in FailReached.__mro__ if issubclass(kind, BaseException)]


def take_edge(  # noqa: PLR0913 - all that the choice of an edge depends on
    facts: Outcome,
    plan: Plan[Any],
    view: View,
    edges: Sequence[AnyEdge],
    frame: Frame,
    attempt: int = 1,
    observer: Observer | None = None,
) -> None:
    """Record the edge to take, and the new marks; or, if no edge holds, why the frame failed."""
    try:
        find_edge(facts, plan, edges, view, frame, observer)
        if plan.epochs and not facts.has_failed:
            note_changes(plan, view)
    except NodeError as error:
        fail_with(facts, failure_record(error, path_of(frame.id, view.node), attempt))
    if view.new_marks:
        facts.marks = view.new_marks
        if view.until:
            facts.samples = tuple(view.new_samples)


def find_edge(  # noqa: C901, PLR0912, PLR0913 - as take_edge; one branch for each kind of edge
    facts: Outcome,
    plan: Plan[Any],
    edges: Sequence[AnyEdge],
    view: View,
    frame: Frame,
    observer: Observer | None,
) -> None:
    """Record the target of the first edge that holds, and the explanation of each evaluated condition.

    Raises:
        ConditionFailed: A condition raised an error.
        NoEdge: No edge holds.
    """
    reasons: list[str] = []
    condition: Condition | str | None
    for edge in edges if observer is None else observer.watched(plan, view.node, edges):
        try:
            if isinstance(edge, Edge):
                target, label, condition = edge.target, edge.label, edge.condition
                held, why = condition.evaluate(view) if condition is not None else _OTHERWISE
            elif isinstance(edge, Switch):
                held, target, label, condition, why = _case(edge, view)
            else:
                held, why, targets = _arms(edge, view)
                if held and targets:
                    if plan.rules:
                        keep_rules(plan, view, frame, targets)
                    if observer is not None:
                        observer.took(plan, view.node, edges, edge, "")
                    _fork(facts, edge, targets, "; ".join([*reasons, why]))
                    return
                target, label, condition = edge.join, edge.label, edge.condition
        except (ConditionFailed, RuleBroken):
            raise
        except BaseException as error:
            reraise_interrupt(error)
            what = edge.reading.text if isinstance(edge, Switch) else edge.condition
            kind = f"edge to {edge.target}" if isinstance(edge, Edge) else type(edge).__name__.lower()
            raise _condition_failed(error, str(what), f"{kind} out of {view.node}", view) from error
        if held:
            if plan.rules:
                keep_rules(plan, view, frame, (target,))
            if observer is not None:
                observer.took(plan, view.node, edges, edge, label)
            if reasons:
                why = "; ".join([*reasons, why])
            arrive(facts, frame, target, label, condition, why)
            return
        reasons.append(why)
    cases = [repr(enum_value(case)) for edge in edges if isinstance(edge, Switch) for case in edge.cases]
    switch = f"add a case to the switch, which has {', '.join(cases)}, or otherwise=…, and resume"
    raise NoEdge(
        f"no edge out of {view.node} holds: {'; '.join(reasons)}",
        where=f"node {view.node}",
        repair=switch if cases else "add an edge without a condition, and resume",
    )


def _condition_failed(error: BaseException, what: str, where: str, view: View) -> ConditionFailed:
    """Return the error for a condition that raised, with the field or attribute that a misspelt name may mean."""
    known = {*view.names, *(dir(type(error.obj)) if isinstance(error, AttributeError) else ())}
    near = nearest(error.name or "", known) if isinstance(error, AttributeError | NameError) else ""
    hint = f" (did you mean {near!r}?)" if near else ""
    repair = f"fix the function{hint} and resume; the node's work is recorded and is not done again"
    return ConditionFailed(f"{what} raised {type(error).__name__}: {text_of(error)}", where=where, repair=repair)


def keep_rules(
    plan: Plan[Any], view: View, frame: Frame, targets: Sequence[str], arms: Mapping[str, int] = _NO_ARMS
) -> None:
    """Check that these nodes may begin.

    Args:
        plan: The plan of their graph.
        view: What is known where the node before is left.
        frame: Its frame.
        targets: The nodes, or END. At the join of the arm that the view is in nothing begins yet.
        arms: The visits in arms that are about to join.

    Raises:
        RuleBroken: A rule forbids it.
    """
    for target in targets:
        for rule in plan.rules.get(target, ()) if target != view.until else ():
            outer, levels = frame, rule.up
            while levels and outer.up is not None:
                levels -= outer.kind == "sub"
                outer = outer.up
            held = rule.holds(View(plan.state, outer), _NO_ARMS) if rule.up else rule.holds(view, arms)
            if not held:
                raise RuleBroken(
                    f"{target} cannot begin here: the rule is {rule}",
                    where=f"edge out of {view.node}",
                    repair=f"lead the run to {rule.node} first" if not rule.at_most else "lead the run elsewhere",
                )


def _case(edge: Switch, view: View) -> tuple[bool, str, str, str, str]:
    """Return whether a switch holds, with its target, label, condition and explanation."""
    value = edge.reading.read(view)
    target = case_of(edge.cases, value)
    value = enum_value(value)
    why = f"{edge.reading.text} is {steady_text(value)}"
    if target is not None:
        return True, target, choice_text(value), f"{edge.reading.text} == {steady_text(value)}", why
    if edge.otherwise is not None:
        return True, edge.otherwise, "", f"{edge.reading.text} otherwise", why
    return False, "", "", "", why


def _arms(edge: Fork, view: View) -> tuple[bool, str, list[str]]:
    """Return whether a fork holds, the explanation, and the targets of the arms to run."""
    held, why = edge.condition.evaluate(view) if edge.condition is not None else _OTHERWISE
    targets: list[str] = []
    reasons = [why]
    for target, condition in edge.arms if held else ():
        try:
            runs, reason = condition.evaluate(view) if condition is not None else (True, "")
        except BaseException as error:
            reraise_interrupt(error)
            where = f"arm to {target} of the fork at {view.node}"
            raise _condition_failed(error, str(condition), where, view) from error
        if runs:
            targets.append(target)
        if reason:
            reasons.append(f"{target}: {reason}")
    return held, "; ".join(reasons), targets


def _fork(facts: Outcome, edge: Fork, targets: Sequence[str], why: str) -> None:
    facts.to, facts.why, facts.edge = targets, why, edge.label
    facts.fork = ForkRecord(
        edge.join,
        min(edge.need, len(targets)) if edge.need is not None else None,
        str(edge.condition) if edge.condition is not None else "",
        edge.label,
    )


def arrive(  # noqa: PLR0913 - all that a step records of its edge
    facts: Outcome, frame: Frame, target: str, label: str, condition: Condition | str | None, why: str
) -> None:
    """Record that a frame moves to a target: another node, the join of the fork it is an arm of, or its end."""
    facts.to, facts.why = (target,), why
    if label:
        facts.edge = label
    if target not in _ENDS or target == frame.until:
        return
    words = "" if condition is None else str(condition)
    if target == END:
        if frame.up is None:
            facts.status = "finished"
        facts.ending = Ending("end", label, words, why)
        return
    fail_with(facts, FailureRecord(path_of(frame.id, ""), "fail", label or why, attempt_of(frame), names=_FAILED))
    facts.ending = Ending("failed", label, words, why)

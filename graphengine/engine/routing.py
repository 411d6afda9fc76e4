"""The choice of the outgoing edge of a node: the first edge whose condition holds.

The step records what each evaluated condition found.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from graphengine.engine.failures import attempt_of, fail_with, failure_record, text_of
from graphengine.engine.reasons import why_of
from graphengine.engine.steps import FailureRecord, ForkRecord, path_of
from graphengine.engine.trackers import note_changes
from graphengine.errors import ConditionFailed, FailReached, NodeError, NoEdge, RuleBroken
from graphengine.graph.conditions import exception_name
from graphengine.graph.definition import Edge, Fork, Switch
from graphengine.graph.options import END, FAIL
from graphengine.state.ending import Ending, ended_at
from graphengine.state.interrupts import reraise_interrupt
from graphengine.state.measured import Tested, measured_of
from graphengine.state.numbers import case_of, equal
from graphengine.state.path import nearest
from graphengine.state.recorded_text import to_show
from graphengine.state.texts import choice_text, steady_text
from graphengine.state.type_facts import enum_value
from graphengine.state.view import View

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from graphengine.engine.lookup import Observer
    from graphengine.engine.plan import Plan
    from graphengine.engine.snapshot import Frame
    from graphengine.engine.steps import Outcome
    from graphengine.graph.definition import AnyEdge

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
    """Choose the edge by which the run leaves a node, and record the edge in the step.

    What conditions remember for later is recorded as well. If the conditions of all edges are false, or a condition
    raises an error, the step records that this part of the run fails.
    """
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
    """Find the first edge whose condition holds, and record its target and what each evaluated condition found.

    Raises:
        ConditionFailed: A condition raised an error.
        NoEdge: The conditions of all edges are false.
    """
    tests: list[Tested] = []
    if frame.up is not None:
        facts.chosen = _chosen_around(frame)
    for edge in edges if observer is None else observer.watched(plan, view.node, edges):
        targets: Sequence[str] = ()
        try:
            if isinstance(edge, Edge):
                held, target, label, words = True, edge.target, edge.label, edge.condition
                if words is not None:
                    held, found = words.evaluate(view)
                    tests.append(Tested(edge.place, found))
            elif isinstance(edge, Switch):
                held, target, label = _choose_case(facts, edge, view, tests)
            else:
                held, target, label, targets = _choose_arms(facts, edge, view, tests)
        except ConditionFailed:
            raise
        except BaseException as error:
            reraise_interrupt(error)
            what = edge.reading.text if isinstance(edge, Switch) else edge.condition
            kind = f"edge to {edge.target}" if isinstance(edge, Edge) else type(edge).__name__.lower()
            raise _condition_failed(error, str(what), f"{kind} out of {view.node}", view) from error
        if not held:
            continue
        if plan.rules:
            keep_rules(plan, view, frame, targets or (target,))
        if observer is not None:
            observer.took(plan, view.node, edges, edge, "" if targets else label)
        facts.way = edge.place
        if tests:
            facts.tests = tests
        if targets and isinstance(edge, Fork):
            _record_fork(facts, edge, targets)
        else:
            arrive(facts, plan, frame, target, label, edge)
        return
    facts.tests = tests or ()
    cases = [repr(enum_value(case)) for edge in edges if isinstance(edge, Switch) for case in edge.cases]
    switch = f"add a case to the switch, which has the cases {', '.join(cases)}, or add otherwise=…, then resume"
    raise NoEdge(
        f"no edge out of node {view.node!r} can be taken: {why_of(facts, plan.graph_spec.get('ways', ()))}",
        where=f"node {view.node}",
        repair=switch if cases else "add an edge without a condition, then resume the run",
    )


def _chosen_around(frame: Frame) -> Sequence[str]:
    """Return the choices that led to this position of the run, if nodes around it choose among several graphs.

    For each node around the frame that runs a subgraph, the result contains the name of its choice, from the outermost
    node on. The result is empty if none of these nodes chooses among several graphs.
    """
    found: list[str] = []
    sub = frame.sub if frame.sub is not None or frame.up is None else frame.up.sub
    while sub is not None and sub.up is not None:
        found.append(sub.up.choice)
        sub = sub.up.sub
    return found[::-1] if any(found) else ()


def _condition_failed(error: BaseException, what: str, where: str, view: View) -> ConditionFailed:
    """Return the error to report when a condition raised an exception.

    If the condition names a field that does not exist, the error suggests the field that was probably meant.
    """
    names = {*view.names, *(dir(type(error.obj)) if isinstance(error, AttributeError) else ())}
    near = nearest(error.name or "", names) if isinstance(error, AttributeError | NameError) else ""
    hint = f" (did you mean {near!r}?)" if near else ""
    repair = f"fix the function{hint} and resume the run; the node's work is recorded and is not done again"
    return ConditionFailed(f"{what} raised {type(error).__name__}: {text_of(error)}", where=where, repair=repair)


def keep_rules(
    plan: Plan[Any], view: View, frame: Frame, targets: Sequence[str], arms: Mapping[str, int] = _NO_ARMS
) -> None:
    """Check the graph's declared rules before a frame moves to its next nodes.

    Args:
        plan: The compiled graph that contains the nodes.
        view: The state with which the previous node is left.
        frame: The frame that moves.
        targets: The nodes, or END. The join at which an arm of a fork arrives does not count, because no node begins
            there yet.
        arms: When a fork joins: the numbers of visits of nodes in its arms.

    Raises:
        RuleBroken: A rule does not allow one of the nodes to begin.
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
                    f"node {str(target)!r} cannot begin here, because this would break the rule '{rule}'",
                    where=f"edge out of {view.node}",
                    repair=f"lead the run to {rule.node!r} first" if not rule.at_most else "lead the run elsewhere",
                )


def _choose_case(facts: Outcome, edge: Switch, view: View, tests: list[Tested]) -> tuple[bool, str, str]:
    """Choose the target of a switch by the value that the switch reads from the state.

    The chosen case is recorded in `facts`, and the value that was found in `tests`.

    Returns:
        Whether there is a target for the value, the target, and the label of the case.
    """
    value = edge.reading.read(view)
    target = case_of(edge.cases, value)
    tests.append(Tested(edge.place, measured_of(value)))
    if target is None:
        return edge.otherwise is not None, edge.otherwise or "", ""
    facts.case = next(place for place, each in enumerate(edge.cases) if each == value or equal(value, each))
    return True, target, choice_text(value)


def _choose_arms(facts: Outcome, edge: Fork, view: View, tests: list[Tested]) -> tuple[bool, str, str, Sequence[str]]:
    """Decide whether a fork is taken, and which of its arms begin.

    The values that the conditions of the fork and of its arms found are recorded in the step.

    Returns:
        Whether the fork is taken, the node where its arms join, the label of the fork, and the nodes at which the arms
        begin.
    """
    if edge.condition is not None:
        held, found = edge.condition.evaluate(view)
        tests.append(Tested(edge.place, found))
        if not held:
            return False, edge.join, edge.label, ()
    targets: list[str] = []
    arms: list[Tested] = []
    for place, (target, condition) in enumerate(edge.arms):
        try:
            runs, found = condition.evaluate(view) if condition is not None else (True, None)
        except BaseException as error:
            reraise_interrupt(error)
            where = f"arm to {target} of the fork at {view.node}"
            raise _condition_failed(error, str(condition), where, view) from error
        if runs:
            targets.append(target)
        if condition is not None:
            arms.append(Tested(place, found))
    facts.arms = arms or ()
    return True, edge.join, edge.label, targets


def _record_fork(facts: Outcome, edge: Fork, targets: Sequence[str]) -> None:
    facts.to, facts.edge = targets, edge.label
    facts.fork = ForkRecord(
        edge.join,
        min(edge.need, len(targets)) if edge.need is not None else None,
        str(edge.condition) if edge.condition is not None else "",
        edge.label,
    )


def arrive(  # noqa: PLR0913 - all that a step records of its edge
    facts: Outcome, plan: Plan[Any], frame: Frame, target: str, label: str, edge: AnyEdge | ForkRecord
) -> None:
    """Record in a step where the run goes after a node.

    The target is another node, the join at which an arm of a fork ends, END or FAIL. At END and FAIL, the step also
    records how this part of the run ended.
    """
    facts.to = (target,)
    if label:
        facts.edge = label
    if target not in _ENDS or target == frame.until:
        return
    words, why = _condition_words(edge, facts), why_of(facts, plan.graph_spec.get("ways", ()))
    if target == END:
        if frame.up is None:
            facts.status = "finished"
        facts.ending = ended_at(label, words, why)
        return
    fail_with(
        facts, FailureRecord(path_of(frame.id, ""), "fail", to_show(label or why), attempt_of(frame), names=_FAILED)
    )
    facts.ending = Ending("failed", label, words, why)


def _condition_words(edge: AnyEdge | ForkRecord, facts: Outcome) -> str:
    if isinstance(edge, Switch):
        if facts.case < 0:
            return f"{edge.reading.text} otherwise"
        return f"{edge.reading.text} == {steady_text(enum_value([*edge.cases][facts.case]))}"
    return "" if edge.condition is None else str(edge.condition)

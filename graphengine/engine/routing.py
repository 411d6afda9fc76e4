"""The way out of a node: the first whose condition holds, with what every condition that was asked said."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

from graphengine.calls.interrupts import reraise_interrupt
from graphengine.engine.failures import attempt_of, error_of, fail_with, failure_record
from graphengine.engine.plan import EdgeWay, SwitchWay
from graphengine.engine.steps import FailureRecord, ForkRecord, path_of
from graphengine.engine.trackers import note_changes
from graphengine.errors import ConditionFailed, FailReached, NodeError, NoWayOut
from graphengine.graph.conditions import exception_name
from graphengine.graph.options import END, FAIL
from graphengine.state.stop import Stop
from graphengine.state.type_facts import enum_value

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphengine.engine.plan import ForkWay, Plan, Way
    from graphengine.engine.snapshot import Frame
    from graphengine.engine.steps import Outcome
    from graphengine.graph.conditions import Condition
    from graphengine.state.view import View

_OTHERWISE: Final = (True, "otherwise")
_FAILED: Final = [exception_name(kind) for kind in FailReached.__mro__ if issubclass(kind, BaseException)]


class Watcher(Protocol):
    """Sees which ways are looked at, and which are taken, as a test's report wants to know. It changes nothing."""

    def watched(self, plan: Plan[Any], node: str, ways: Sequence[Way]) -> Sequence[Way]:
        """The same ways in the same order, whose conditions may note what they say."""
        ...

    def took(self, plan: Plan[Any], node: str, ways: Sequence[Way], way: Way, label: str) -> None:
        """This one of the watched ways was taken; of a switch, the case with this label, "" for its otherwise."""
        ...


WATCHER: Final[list[Watcher]] = []
"""Who watches in this process: mostly nobody, at most one."""


def take_way(  # noqa: PLR0913 - what an outgoing edge depends on
    facts: Outcome, plan: Plan[Any], view: View, ways: Sequence[Way], frame: Frame, attempt: int = 1
) -> None:
    """Record the outgoing edge with the marks that go with it; or, if there is none, why the frame failed there."""
    try:
        find_way(facts, plan, ways, view, frame)
        if plan.epochs and not facts.has_failed:
            note_changes(plan, view)
    except NodeError as error:
        told = error_of(error)
        failure = failure_record(told, path_of(frame.id, view.node), attempt)
        fail_with(facts, frame, failure, told.names, lasting=told.lasts)
    if view.new_marks:
        facts.marks = view.new_marks
        if view.until:
            facts.samples = view.new_samples


def find_way(facts: Outcome, plan: Plan[Any], ways: Sequence[Way], view: View, frame: Frame) -> None:
    """Record where the first edge that holds leads, and what every condition looked at said.

    Raises:
        ConditionFailed: One raised.
        NoWayOut: None holds.
    """
    said: list[str] = []
    condition: Condition | str | None
    watcher = next(iter(WATCHER), None)  # in one piece: another thread may leave meanwhile
    for way in ways if watcher is None else watcher.watched(plan, view.node, ways):
        try:
            if isinstance(way, EdgeWay):
                target, label, condition = way.target, way.label, way.condition
                held, why = condition.evaluate(view) if condition is not None else _OTHERWISE
            elif isinstance(way, SwitchWay):
                held, target, label, condition, why = _case(way, view)
            else:
                held, why, targets = _arms(way, view)
                if held and targets:
                    if watcher is not None:
                        watcher.took(plan, view.node, ways, way, "")
                    _fork(facts, way, targets, "; ".join([*said, why]))
                    return
                target, label, condition = way.join, way.label, way.condition
        except ConditionFailed:
            raise
        except BaseException as error:
            reraise_interrupt(error)
            raise ConditionFailed(
                f"{way.reading.text if isinstance(way, SwitchWay) else way.condition} raised "
                f"{type(error).__name__}: {error}",
                where=f"way out of {view.node}",
                repair="mend the function and resume; the node's work is recorded and is not done again",
            ) from error
        said.append(why)
        if held:
            if watcher is not None:
                watcher.took(plan, view.node, ways, way, label)
            arrive(facts, frame, target, label, condition, "; ".join(said))
            return
    raise NoWayOut(
        f"no way out of {view.node} holds: {'; '.join(said)}",
        where=f"node {view.node}",
        repair="add a way without a condition, and resume",
    )


def _case(way: SwitchWay, view: View) -> tuple[bool, str, str, str, str]:
    """Whether a switch is taken, its target, label and condition, and what was found."""
    value = way.reading.read(view)
    target = way.cases.get(value)
    value = enum_value(value)
    why = f"{way.reading.text} is {value!r}"
    if target is not None:
        return True, target, str(value), f"{way.reading.text} == {value!r}", why
    if way.otherwise is not None:
        return True, way.otherwise, "", f"{way.reading.text} otherwise", why
    return False, "", "", "", why


def _arms(way: ForkWay, view: View) -> tuple[bool, str, list[str]]:
    """Whether a fork is taken, what was found, and the targets of the arms that are to be run."""
    held, why = way.condition.evaluate(view) if way.condition is not None else _OTHERWISE
    targets: list[str] = []
    said = [why]
    for target, condition in way.arms if held else ():
        try:
            runs, told = condition.evaluate(view) if condition is not None else (True, "")
        except BaseException as error:
            reraise_interrupt(error)
            raise ConditionFailed(
                f"{condition} raised {type(error).__name__}: {error}",
                where=f"arm to {target} of the fork at {view.node}",
                repair="mend the function and resume; the node's work is recorded and is not done again",
            ) from error
        if runs:
            targets.append(target)
        if told:
            said.append(f"{target}: {told}")
    return held, "; ".join(said), targets


def _fork(facts: Outcome, way: ForkWay, targets: Sequence[str], why: str) -> None:
    facts.to, facts.why, facts.edge = targets, why, way.label
    facts.fork = ForkRecord(
        way.join,
        min(way.need, len(targets)) if way.need is not None else None,
        str(way.condition) if way.condition is not None else "",
        way.label,
    )


def arrive(  # noqa: PLR0913 - what a step says of where it leads
    facts: Outcome, frame: Frame, target: str, label: str, condition: Condition | str | None, why: str
) -> None:
    """Record that a frame goes to a target: another node, the join it is an arm of, its end."""
    facts.to, facts.why, facts.edge = (target,), why, label
    if target not in (END, FAIL) or target == frame.until:
        return
    words = "" if condition is None else str(condition)
    if target == END:
        if frame.up is None:
            facts.status = "finished"
        facts.stop = Stop("end", label, words, why)
        return
    failure = FailureRecord(path_of(frame.id, ""), "fail", label or why, attempt_of(frame))
    fail_with(facts, frame, failure, _FAILED, lasting=False)
    facts.stop = Stop("failed", label, words, why)

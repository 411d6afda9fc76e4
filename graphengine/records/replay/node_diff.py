"""Check whether today's node could have recorded a step, and whether it would get the same input today.

A step shows of which kind its node was: code, a map, a graph or a question. Today's node must be of the same kind. To
compare the inputs, this module looks at the places from which the parameters were read. The recorded graph spec lists
the earlier places, and today's graph lists the present ones. Both are read in the recorded state.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from msgspec import UNSET

from graphengine.errors import GraphEngineError, MissingInput
from graphengine.kernel.inside import (
    NO_ANSWER,
    AskBody,
    Begun,
    Reading,
    reraise_interrupt,
    view_of,
    why,
)
from graphengine.kernel.reader import Attempt, Failed, Fallback, Item, Node, Ready, Waiting, WaitRecord, outcome_of
from graphengine.records.replay.step_diff import StepDifference, plain, short
from graphengine.records.step_queries import falls_back

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from graphengine.kernel.extension import Call, JsonValue, Plan, View
    from graphengine.kernel.reader import Frame, NodeSpec, Step

OF_ATTEMPTS: Final = ("node", "item", "attempt", "failed", "mapped", "entered", "begun", "recorded", "waiting")
"""Kinds of steps that belong to an attempt of a node, from its beginning to its end."""

_RESTORE: Final = "restore it, or accept that runs diverge here"


def node_differences(
    plan: Plan[Any], frame: Frame, step: Step, graph_spec: NodeSpec | None
) -> Iterator[StepDifference]:
    """Compare a node as it was when a step was recorded with the same node in today's graph.

    The node's kind, its choice, its question and its input are compared. The node's function is not called, and no
    decision about the next step is made here.

    Args:
        plan: The compiled graph to which the node belongs today. It must contain the node.
        frame: The frame in which the step happened, as it was before the step.
        step: The step, which belongs to an attempt.
        graph_spec: The entry of the node in the recorded graph spec; None if the spec is not known.
    """
    node = plan.nodes[step.node]
    view = view_of(plan, frame)
    if isinstance(frame.phase, Fallback):
        call = node.fallback.call if node.fallback is not None else None
        if call is None:
            message = f"the fallback function of {step.path} ran; today it has none"
            yield StepDifference("retry", "fallback", None, message, "restore the node's fallback")
        else:
            yield from _compare_inputs(call, view, step, None)
        return
    if not isinstance(frame.phase, Ready) or frame.crash_loops:
        return
    if node.each is not None and frame.kind != "item":
        yield from _nature(step, "a map")
        return
    try:
        call, choice = node.pick(view)
    except BaseException as error:  # noqa: BLE001 - selectors are the user's
        reraise_interrupt(error)
        if not _is_failed_step(step):
            yield StepDifference("choice", outcome_of(step).choice or None, None, _say_not_run(step, error), _RESTORE)
        return
    yield from _compare_choice(step, choice)
    kind = {"graph": "a graph", "ask": "a question"}.get(call.body.kind, "code")
    different = list(_nature(step, kind))
    yield from different
    if different:
        return
    is_begun = (isinstance(step.data, Begun) and not step.data.key) or frame.has_begun
    if (node.once is not None) is not is_begun and isinstance(step.data, (Begun, Node, Item)):
        message = f"whether {step.path} is an effect that must not be repeated (effect='once') differs"
        yield StepDifference("work", is_begun, node.once is not None, message, _RESTORE)
    if isinstance(step.data, Waiting) and isinstance(call.body, AskBody):
        yield from _question(call, call.body, view, step, *step.data.waits.values())
    yield from _compare_inputs(call, view, step, _reads(graph_spec, _sources_of_parameters(call)))


def _is_failed_step(step: Step) -> bool:
    return isinstance(step.data, (Attempt, Failed)) or falls_back(step)


def _nature(step: Step, today: str) -> Iterator[StepDifference]:
    """Report if the node was of another kind when the step was recorded.

    A node can be a map, a graph, a question or code. A failed step does not show of which kind the node was.
    """
    asks = isinstance(step.data, Waiting) and any(not wait.key for wait in step.data.waits.values())
    was = {"mapped": "a map", "entered": "a graph"}.get(step.kind, "a question" if asks else "code")
    if was != today and not _is_failed_step(step):
        message = f"the kind of {step.path}: recorded as {was}, but today the node is {today}"
        yield StepDifference("ready", was, today, message, _RESTORE)


def _say_not_run(step: Step, error: BaseException) -> str:
    reason = error.message if isinstance(error, GraphEngineError) else f"{type(error).__name__}: {why(error)}"
    return f"{step.path} could not be run today: {reason}"


def _compare_choice(step: Step, choice: str) -> Iterator[StepDifference]:
    """Report if the node's `choose` selects another case today than it did in the recorded step."""
    waits = step.data.waits.values() if isinstance(step.data, Waiting) else ()
    was = next((wait.choice for wait in waits if wait.choice), outcome_of(step).choice)
    records_choice = step.kind in ("node", "item", "entered") and not falls_back(step)
    if (was or records_choice) and was != choice:
        message = f"what {step.path} chooses: recorded {was or 'nothing'}, today {choice or 'nothing'}"
        yield StepDifference("choice", was, choice, message, "restore the selector and the cases")


def _question(call: Call, body: AskBody, view: View, step: Step, wait: WaitRecord) -> Iterator[StepDifference]:
    """Report if the question that a node asks has changed since the step was recorded.

    The type of its answer, its timeout, its default and its text are compared. If a function makes the text, the
    function is not called and the text is not compared.
    """
    ask = body.ask
    was: dict[str, JsonValue] = {"schema": plain(wait.schema)}
    now: dict[str, JsonValue] = {"schema": plain(ask.answers.schema)}
    if ask.timeout_seconds is not None:
        now["seconds"] = round(ask.timeout_seconds, 3)
    if ask.default is not NO_ANSWER:
        now["default"] = plain(ask.answers.record(ask.default))
    if wait.due is not None:
        was["seconds"] = round(wait.due - step.at, 3)
    if wait.default is not UNSET:
        was["default"] = plain(wait.default)
    if isinstance(ask.question, str):
        was["text"], now["text"] = wait.question, str(body.call(**call.values(view)))
    differs = [name for name in ("schema", "seconds", "default", "text") if was.get(name) != now.get(name)]
    if differs:
        message = f"the question at {step.path} has another {', '.join(differs)} today"
        yield StepDifference("wait", was, now, message, _RESTORE)


def _reads(graph_spec: NodeSpec | None, now: Mapping[str, str]) -> Mapping[str, str] | None:
    """Return from which path of the state each parameter of a node was read when the step was recorded.

    Return None if the recorded graph spec is too old to contain the paths. For a node with `choose`, the spec lists the
    paths of all its cases. Only the parameters of the case that is chosen today are returned.
    """
    if graph_spec is None or "reads" not in graph_spec:
        return None
    pairs = [(text.partition("=")[0], text.rpartition("=")[2]) for text in graph_spec["reads"]]
    if "choices" not in graph_spec:
        return dict(pairs)
    return {name: place if (name, place) in pairs else dict(pairs).get(name, place) for name, place in now.items()}


def _compare_inputs(call: Call, view: View, step: Step, recorded: Mapping[str, str] | None) -> Iterator[StepDifference]:
    """Report if the node would get other values for its parameters today, or if a value is missing today."""
    failure = step.data.error
    try:
        call.values(view)
    except BaseException as error:  # noqa: BLE001 - functions of the user read inputs
        reraise_interrupt(error)
        if not _is_failed_step(step):
            yield StepDifference("inputs", recorded, None, _say_not_run(step, error), _RESTORE)
        return
    if failure is not None and failure.kind == MissingInput.code and step.kind in ("attempt", "failed"):
        message = f"{step.path} failed because an input was None; today it would be run"
        yield StepDifference("inputs", failure.message, None, message, _RESTORE)
    elif recorded is not None:
        yield from _bindings(recorded, _sources_of_parameters(call), view, step)


def _bindings(was: Mapping[str, str], now: Mapping[str, str], view: View, step: Step) -> Iterator[StepDifference]:
    """Report each parameter of a node that would be read from another path of the state today.

    If both paths contain the same value, the parameter does not count as different.
    """
    # If the places are the same and only the names of parameters differ, the node reads the same values.
    if was == now or sorted(was.values()) == sorted(now.values()):
        return
    parts = []
    for name in sorted({*was, *now}):
        before, after = was.get(name), now.get(name)
        if before != after and not (before and after and _same(before, after, view)):
            parts.append(name)
    if parts:
        changes = "; ".join(
            f"{name} from {was.get(name, 'nowhere')} then, {now.get(name, 'nowhere')} now" for name in parts
        )
        old = {name: _place_value(was.get(name), view) for name in parts}
        new = {name: _place_value(now.get(name), view) for name in parts}
        yield StepDifference("inputs", old, new, f"what {step.path} reads: {changes}", _RESTORE)


def _same(first: str, second: str, view: View) -> bool:
    """Return whether two paths of the state contain the same value; False if a path cannot be read today."""
    try:
        return bool(Reading.of(first).read(view) == Reading.of(second).read(view))
    except (GraphEngineError, KeyError, TypeError, ValueError):
        return False


def _place_value(place: str | None, view: View) -> JsonValue:
    """Format the path of a value in the state together with the value, such as `draft.text = "Dear Ada"`.

    A secret value is left out.
    """
    if place is None:
        return None
    try:
        reading = Reading.of(place)
        return place if reading.roots & view.secrets else f"{place} = {short(plain(reading.read(view)))}"
    except (GraphEngineError, KeyError, TypeError, ValueError):
        return f"{place}, which is not a path of today's state"


def _sources_of_parameters(call: Call) -> dict[str, str]:
    """Return from which place of the state each parameter is read today, by the name of the parameter."""
    return dict(call.fields) | {argument.name: argument.reading.text for argument in call.arguments}

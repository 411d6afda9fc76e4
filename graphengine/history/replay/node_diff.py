"""Whether today's node could have taken a recorded step, and which input it would get today.

A step records what a node did: it ran, it was a map, a graph or a question, it recorded work, it waited. Today's node
must be able to do the same. Its input is compared by the places from which its parameters were read then (according to
the recorded outline) and are read now, on the recorded state.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from msgspec import UNSET
from pydantic import ValidationError

from graphengine.calls.interrupts import reraise_interrupt
from graphengine.engine.lookup import view_of
from graphengine.engine.phases import Fallback, Ready
from graphengine.engine.snapshot import CRASHES
from graphengine.engine.steps import (
    Attempt,
    Failed,
    Node,
    Recorded,
    Waiting,
    WaitRecord,
    failure_of,
    falls_back,
    outcome_of,
    own_name,
)
from graphengine.errors import GraphEngineError, MissingInput
from graphengine.graph.question import NO_ANSWER, AskBody
from graphengine.history.replay.step_diff import StepDifference, plain, short
from graphengine.state.field import why
from graphengine.state.selector import Reading

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from graphengine.engine.outline import NodeOutline
    from graphengine.engine.plan import Call, NodePlan, Plan
    from graphengine.engine.snapshot import Frame
    from graphengine.engine.steps import Step
    from graphengine.state.json_values import JsonValue
    from graphengine.state.view import View

OF_ATTEMPTS: Final = ("node", "item", "attempt", "failed", "mapped", "entered", "begun", "recorded", "waiting")
"""Kinds of steps that belong to an attempt of a node, from its beginning to its end."""

_AGENT: Final = "agent "
"""The prefix of the keys of agents' records; no function has such a name."""
_RESTORE: Final = "restore it, or accept that runs diverge here"


def node_differences(
    plan: Plan[Any], frame: Frame, step: Step, outline: NodeOutline | None
) -> Iterator[StepDifference]:
    """Yield how today's node differs from a step's recorded node, before anything is decided.

    Args:
        plan: The plan that the step's frame walks today; it has the step's node.
        frame: The frame, before the step.
        step: The step, of an attempt that ran.
        outline: The recorded node: its entry in the outline of its graph; None if there is none.
    """
    node = plan.nodes[step.node]
    view = view_of(plan, frame)
    if isinstance(frame.phase, Fallback):
        yield from _fallback(node, step, view)
        return
    crashed = frame.crashes >= CRASHES
    if not isinstance(frame.phase, Ready) or crashed:
        return
    is_map = node.each is not None and frame.kind != "item"
    if is_map or step.kind == "mapped":
        if is_map != (step.kind == "mapped" or _failed(step)):
            yield _nature(step, "run once for each item" if is_map else "run as a whole")
        return
    try:
        call, choice = node.pick(view)
    except (GraphEngineError, ValidationError, ValueError, TypeError) as error:
        if not _failed(step):
            yield StepDifference(
                "choice", outcome_of(step).choice or None, None, f"today nothing is chosen: {error}", _RESTORE
            )
        return
    yield from _choice(step, choice)
    kind = call.body.kind
    if (kind == "graph") != (step.kind == "entered") and not (kind == "graph" and _failed(step)):
        yield _nature(step, "a graph" if kind == "graph" else f"a {kind}")
        return
    yield from _work(node, call, view, frame, step)
    yield from _inputs(call, view, step, _reads(outline, call.bindings))


def _failed(step: Step) -> bool:
    return isinstance(step.data, (Attempt, Failed)) or falls_back(step)


def _nature(step: Step, today: str) -> StepDifference:
    message = f"the kind of {step.path}: the step is of kind {step.kind!r}, but today the node is {today}"
    return StepDifference("ready", step.kind, today, message, _RESTORE)


def _fallback(node: NodePlan, step: Step, view: View) -> Iterator[StepDifference]:
    call = node.fallback.call if node.fallback is not None else None
    if call is None:
        message = f"the fallback function of {step.path} ran; today it has none"
        yield StepDifference("retry", "fallback", None, message, "restore the node's fallback")
        return
    yield from _inputs(call, view, step, None)


def _choice(step: Step, choice: str) -> Iterator[StepDifference]:
    """Compare the recorded choice with today's."""
    waits = step.data.waits.values() if isinstance(step.data, Waiting) else ()
    was = next((wait.choice for wait in waits if wait.choice), outcome_of(step).choice)
    records_choice = step.kind in ("node", "item", "entered") and not falls_back(step)
    if (was or records_choice) and was != choice:
        message = f"what {step.path} chooses: recorded {was or 'nothing'}, today {choice or 'nothing'}"
        yield StepDifference("choice", was, choice, message, "restore the selector and the cases")


def _work(node: NodePlan, call: Call, view: View, frame: Frame, step: Step) -> Iterator[StepDifference]:
    """Yield what the node recorded while it ran that today's node could not have requested."""
    waits = step.data.waits if isinstance(step.data, Waiting) else {}
    own = [wait for wait in waits.values() if not wait.key]
    sent = isinstance(step.data, Node) and bool(step.data.sent)
    is_ask = isinstance(call.body, AskBody)
    done = step.kind in ("node", "item") and not _failed(step)
    if node.asks and not frame.begun and step.kind != "begun" and not _failed(step):
        message = f"today the start of {step.path} is recorded first (on_resume='ask')"
        yield StepDifference("work", None, "begun", message, _RESTORE)
    elif step.kind == "begun" and not node.asks:
        message = f"the start of {step.path} was recorded; today it is run again without asking (on_resume='rerun')"
        yield StepDifference("work", "begun", None, message, _RESTORE)
    if is_ask and (done or step.kind == "recorded" or (step.kind == "waiting" and not own)):
        yield _nature(step, "a question")
    elif own and not is_ask:
        yield _nature(step, f"a {call.body.kind}")
    elif own and isinstance(call.body, AskBody):
        yield from _question(call.body, step, own[0])
        yield from _text(call, view, step, own[0])
    uses_context = step.kind == "recorded" or (step.kind == "waiting" and not own) or sent
    if uses_context and _of_agents(step, frame):
        if call.body.kind not in ("function", "agent"):
            yield _nature(step, f"a {call.body.kind}")
    elif uses_context and not is_ask and ("ctx" not in call.extras or (call.thread and not sent)):
        lack = "takes no ctx" if "ctx" not in call.extras else "is not async"
        name = (own_name(step.data.name) if isinstance(step.data, Recorded) else "") or ", ".join(waits) or "messages"
        message = f"{step.path} recorded {name}; today's {call.body.name} {lack}, so it could not"
        yield StepDifference("work", name, None, message, "make it async and let it take ctx")


def _of_agents(step: Step, frame: Frame) -> bool:
    """Return whether a step's work, waits or messages can be an agent's, which finds the run without a context."""
    if isinstance(step.data, Recorded):
        keys = [step.data.key]
    elif isinstance(step.data, Waiting):
        keys = [wait.key for wait in step.data.waits.values()]
    else:
        return any(key.startswith(_AGENT) for key in frame.memos)
    return all(key.startswith(_AGENT) for key in keys)


def _question(body: AskBody, step: Step, wait: WaitRecord) -> Iterator[StepDifference]:
    """Compare the question: the type of its answer, its timeout, and its default."""
    ask = body.ask
    now: dict[str, JsonValue] = {"schema": plain(ask.answers.schema)}
    if ask.timeout_seconds is not None:
        now["seconds"] = round(ask.timeout_seconds, 3)
    if ask.default is not NO_ANSWER:
        now["default"] = plain(ask.answers.record(ask.default))
    was: dict[str, JsonValue] = {"schema": plain(wait.schema)}
    if wait.due is not None:
        was["seconds"] = round(wait.due - step.at, 3)
    if wait.default is not UNSET:
        was["default"] = plain(wait.default)
    if was != now:
        differs = [name for name in ("schema", "seconds", "default") if was.get(name) != now.get(name)]
        message = f"the question at {step.path} has another {', '.join(differs)} today"
        yield StepDifference("wait", was, now, message, _RESTORE)


def _text(call: Call, view: View, step: Step, wait: WaitRecord) -> Iterator[StepDifference]:
    """Compare the text of the question, if it is a text with paths in it; a function that makes it is not called."""
    if not isinstance(call.body, AskBody) or not isinstance(call.body.ask.question, str):
        return
    try:
        now = str(call.body.call(**call.values(view)))
    except (GraphEngineError, ValidationError, ValueError, TypeError):
        return  # reported with the inputs
    if now != wait.question:
        message = f"what {step.path} asks: recorded {short(wait.question)!r}, today {short(now)!r}"
        yield StepDifference(
            "inputs", wait.question, now, message, "restore the question, or accept that runs diverge here"
        )


def _reads(outline: NodeOutline | None, now: Mapping[str, str]) -> Mapping[str, str] | None:
    """Return where parameters were read from, if the outline has it; older ones do not.

    For a node that chooses, the outline lists everything that its cases read; only what today's case also takes counts.
    """
    if outline is None or "reads" not in outline:
        return None
    pairs = [(text.partition("=")[0], text.rpartition("=")[2]) for text in outline["reads"]]
    if "choices" not in outline:
        return dict(pairs)
    return {name: place if (name, place) in pairs else dict(pairs).get(name, place) for name, place in now.items()}


def _inputs(call: Call, view: View, step: Step, recorded: Mapping[str, str] | None) -> Iterator[StepDifference]:
    """Compare the input that the node would get today with its recorded input."""
    failure = failure_of(step)
    try:
        call.values(view)
    except (GraphEngineError, ValidationError, ValueError, TypeError) as error:
        reason = error.message if isinstance(error, GraphEngineError) else why(error)
        if not _failed(step):
            yield StepDifference("inputs", recorded, None, f"{step.path} could not be run today: {reason}", _RESTORE)
        return
    except BaseException as error:  # noqa: BLE001 - the user's functions read inputs
        reraise_interrupt(error)
        if not _failed(step):
            text = f"{step.path} could not be run today: {type(error).__name__}: {error}"
            yield StepDifference("inputs", recorded, None, text, _RESTORE)
        return
    is_missing = failure is not None and failure.kind == MissingInput.code
    if failure is not None and is_missing and step.kind in ("attempt", "failed"):
        message = f"{step.path} failed because an input was None; today it would be run"
        yield StepDifference("inputs", failure.message, None, message, _RESTORE)
    elif recorded is not None:
        yield from _bindings(recorded, call.bindings, view, step)


def _bindings(was: Mapping[str, str], now: Mapping[str, str], view: View, step: Step) -> Iterator[StepDifference]:
    """Compare where parameters are read from; two places that hold the same value count as equal."""
    if was == now or sorted(was.values()) == sorted(now.values()):  # a parameter by another name reads the same
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
        old = {name: _shown(was.get(name), view) for name in parts}
        new = {name: _shown(now.get(name), view) for name in parts}
        yield StepDifference("inputs", old, new, f"what {step.path} reads: {changes}", _RESTORE)


def _same(first: str, second: str, view: View) -> bool:
    """Return whether two places hold the same value; what a function returned is not known."""
    try:
        return bool(Reading.of(first).read(view) == Reading.of(second).read(view))
    except (GraphEngineError, KeyError, TypeError, ValueError):
        return False


def _shown(place: str | None, view: View) -> JsonValue:
    """Return a place and its value, unless that is a secret."""
    if place is None:
        return None
    try:
        reading = Reading.of(place)
        return place if reading.roots & view.secrets else f"{place} = {short(plain(reading.read(view)))}"
    except (GraphEngineError, KeyError, TypeError, ValueError):
        return f"{place}, which is not a path of today's state"

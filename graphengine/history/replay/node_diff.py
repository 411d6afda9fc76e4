"""Whether a recorded step is one that today's node could have been asked for, and what the node would be given today.

A step tells what a node did: it was run, it was a map, a graph, a question, it recorded work, it waited. Today's node
must be able to do that. What it read is compared by where its parameters are read from, then (by the outline of the
graph that was recorded) and now, on the state as it was recorded.
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
)
from graphengine.errors import GraphEngineError, MissingInput
from graphengine.graph.question import NO_ANSWER, AskBody
from graphengine.history.replay.step_diff import Differing, plain, short
from graphengine.state.field import why
from graphengine.state.selector import Reading

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from graphengine.engine.plan import Call, NodePlan, Plan
    from graphengine.engine.snapshot import Frame
    from graphengine.engine.steps import Step
    from graphengine.state.json_values import JsonValue
    from graphengine.state.view import View

OF_ATTEMPTS: Final = ("node", "item", "attempt", "failed", "mapped", "entered", "begun", "recorded", "waiting")
"""Kinds of steps that tell of an attempt of a node, from its beginning to its end."""

_AGENT: Final = "agent "
"""How the keys of what agents record begin; no function has such a name."""
_PUT_BACK: Final = "put it back as it was, or accept that runs part here"


def asked(plan: Plan[Any], frame: Frame, step: Step, outline: Mapping[str, JsonValue] | None) -> Iterator[Differing]:
    """How today's node differs from the one that a step is of, before anything is decided.

    Args:
        plan: The plan that the step's frame walks today; it has the step's node.
        frame: The frame, before the step.
        step: The step, of an attempt that ran.
        outline: What was recorded of the node: its entry in the outline of its graph; None where nothing was.
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
            yield Differing(
                "choice", outcome_of(step).choice or None, None, f"today nothing is chosen: {error}", _PUT_BACK
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


def _nature(step: Step, today: str) -> Differing:
    told = f"what {step.path} is: the step is of kind {step.kind!r}, and today it is {today}"
    return Differing("ready", step.kind, today, told, _PUT_BACK)


def _fallback(node: NodePlan, step: Step, view: View) -> Iterator[Differing]:
    call = node.fallback.call if node.fallback is not None else None
    if call is None:
        told = f"the fallback function of {step.path} ran; today it has none"
        yield Differing("retry", "fallback", None, told, "give the node its fallback back")
        return
    yield from _inputs(call, view, step, None)


def _choice(step: Step, choice: str) -> Iterator[Differing]:
    """Where it chooses: what was picked, and what is today."""
    waits = step.data.waits.values() if isinstance(step.data, Waiting) else ()
    was = next((wait.choice for wait in waits if wait.choice), outcome_of(step).choice)
    tells = step.kind in ("node", "item", "entered") and not falls_back(step)
    if (was or tells) and was != choice:
        told = f"what {step.path} chooses: recorded {was or 'nothing'}, today {choice or 'nothing'}"
        yield Differing("choice", was, choice, told, "let the selector and the cases be as they were")


def _work(node: NodePlan, call: Call, view: View, frame: Frame, step: Step) -> Iterator[Differing]:
    """What it recorded while it ran, and today's node could not have asked for."""
    waits = step.data.waits if isinstance(step.data, Waiting) else {}
    own = [wait for wait in waits.values() if not wait.key]
    sent = isinstance(step.data, Node) and bool(step.data.sent)
    is_ask = isinstance(call.body, AskBody)
    done = step.kind in ("node", "item") and not _failed(step)
    if node.asks and not frame.begun and step.kind != "begun" and not _failed(step):
        told = f"today the start of {step.path} is recorded first (on_resume='ask')"
        yield Differing("work", None, "begun", told, _PUT_BACK)
    elif step.kind == "begun" and not node.asks:
        told = f"the start of {step.path} was recorded; today it is run again unasked (on_resume='rerun')"
        yield Differing("work", "begun", None, told, _PUT_BACK)
    if is_ask and (done or step.kind == "recorded" or (step.kind == "waiting" and not own)):
        yield _nature(step, "a question")
    elif own and not is_ask:
        yield _nature(step, f"a {call.body.kind}")
    elif own and isinstance(call.body, AskBody):
        yield from _question(call.body, step, own[0])
        yield from _text(call, view, step, own[0])
    asks_context = step.kind == "recorded" or (step.kind == "waiting" and not own) or sent
    if asks_context and _of_agents(step, frame):
        if call.body.kind not in ("function", "agent"):
            yield _nature(step, f"a {call.body.kind}")
    elif asks_context and not is_ask and ("ctx" not in call.extras or (call.thread and not sent)):
        lack = "takes no ctx" if "ctx" not in call.extras else "is not async"
        name = (step.data.name if isinstance(step.data, Recorded) else "") or ", ".join(waits) or "messages"
        told = f"{step.path} recorded {name}; today's {call.body.name} {lack}, so it could not"
        yield Differing("work", name, None, told, "let it be async and take ctx")


def _of_agents(step: Step, frame: Frame) -> bool:
    """Whether what a step tells of work, waits or messages may be an agent's, which finds the run without a context."""
    if isinstance(step.data, Recorded):
        keys = [step.data.key]
    elif isinstance(step.data, Waiting):
        keys = [wait.key for wait in step.data.waits.values()]
    else:
        return any(key.startswith(_AGENT) for key in frame.memos)
    return all(key.startswith(_AGENT) for key in keys)


def _question(body: AskBody, step: Step, wait: WaitRecord) -> Iterator[Differing]:
    """What is asked: the type of the answer, how long, and the default."""
    ask = body.ask
    now: dict[str, JsonValue] = {"schema": plain(ask.answers.schema)}
    if ask.timeout_seconds is not None:
        now["seconds"] = ask.timeout_seconds
    if ask.default is not NO_ANSWER:
        now["default"] = plain(ask.answers.record(ask.default))
    was: dict[str, JsonValue] = {"schema": plain(wait.schema)}
    if wait.due is not None:
        was["seconds"] = round(wait.due - step.at, 3)
    if wait.default is not UNSET:
        was["default"] = plain(wait.default)
    if "seconds" in now:
        now["seconds"] = round(now["seconds"], 3)
    if was != now:
        differs = [name for name in ("schema", "seconds", "default") if was.get(name) != now.get(name)]
        told = f"the question at {step.path} has another {', '.join(differs)} today"
        yield Differing("wait", was, now, told, "ask as it was asked, or accept that runs part here")


def _text(call: Call, view: View, step: Step, wait: WaitRecord) -> Iterator[Differing]:
    """What the person is asked, where that is a text with paths in it; a function that makes it is not called."""
    if not isinstance(call.body, AskBody) or not isinstance(call.body.ask.question, str):
        return
    try:
        now = str(call.body.call(**call.values(view)))
    except (GraphEngineError, ValidationError, ValueError, TypeError):
        return  # told with the inputs
    if now != wait.question:
        told = f"what {step.path} asks: recorded {short(wait.question)!r}, today {short(now)!r}"
        yield Differing("inputs", wait.question, now, told, "ask as it was asked, or accept that runs part here")


def _reads(outline: Mapping[str, JsonValue] | None, now: Mapping[str, str]) -> Mapping[str, str] | None:
    """Where parameters were read from, if the outline tells; older ones do not.

    Of a node that chooses the outline tells all that its cases read; those count that today's case takes too.
    """
    if outline is None or "reads" not in outline:
        return None
    pairs = [(text.partition("=")[0], text.rpartition("=")[2]) for text in outline["reads"]]
    if "choices" not in outline:
        return dict(pairs)
    return {name: place if (name, place) in pairs else dict(pairs).get(name, place) for name, place in now.items()}


def _inputs(call: Call, view: View, step: Step, recorded: Mapping[str, str] | None) -> Iterator[Differing]:
    """What it would be given today, held against what it was given."""
    failure = failure_of(step)
    try:
        call.values(view)
    except (GraphEngineError, ValidationError, ValueError, TypeError) as error:
        told = error.message if isinstance(error, GraphEngineError) else why(error)
        if not _failed(step):
            yield Differing("inputs", recorded, None, f"{step.path} could not be run today: {told}", _PUT_BACK)
        return
    except BaseException as error:  # noqa: BLE001 - a function of the user's that reads
        reraise_interrupt(error)
        if not _failed(step):
            text = f"{step.path} could not be run today: {type(error).__name__}: {error}"
            yield Differing("inputs", recorded, None, text, _PUT_BACK)
        return
    is_missing = failure is not None and failure.kind == MissingInput.code
    if failure is not None and is_missing and step.kind in ("attempt", "failed"):
        told = f"{step.path} failed since an input was None; today it would be run"
        yield Differing("inputs", failure.message, None, told, _PUT_BACK)
    elif recorded is not None:
        yield from _bindings(recorded, call.bindings, view, step)


def _bindings(was: Mapping[str, str], now: Mapping[str, str], view: View, step: Step) -> Iterator[Differing]:
    """Where parameters are read from; two places that hold the same are as good as one."""
    if was == now or sorted(was.values()) == sorted(now.values()):  # a parameter by another name reads the same
        return
    parts = []
    for name in sorted({*was, *now}):
        before, after = was.get(name), now.get(name)
        if before != after and not (before and after and _same(before, after, view)):
            parts.append(name)
    if parts:
        told = "; ".join(
            f"{name} from {was.get(name, 'nowhere')} then, {now.get(name, 'nowhere')} now" for name in parts
        )
        old = {name: _shown(was.get(name), view) for name in parts}
        new = {name: _shown(now.get(name), view) for name in parts}
        yield Differing("inputs", old, new, f"what {step.path} reads: {told}", _PUT_BACK)


def _same(first: str, second: str, view: View) -> bool:
    """Whether two places hold the same; what a function gave is not known."""
    try:
        return bool(Reading.of(first).read(view) == Reading.of(second).read(view))
    except (GraphEngineError, KeyError, TypeError, ValueError):
        return False


def _shown(place: str | None, view: View) -> JsonValue:
    """A place and what it holds, where that is no secret."""
    if place is None:
        return None
    try:
        reading = Reading.of(place)
        return place if reading.roots & view.secrets else f"{place} = {short(plain(reading.read(view)))}"
    except (GraphEngineError, KeyError, TypeError, ValueError):
        return f"{place}, which is no path of today's state"

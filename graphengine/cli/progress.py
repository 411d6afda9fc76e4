"""What a person sees while a run moves: a line when a node starts, and a line or two when it ends."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from graphengine.cli.terminal import one_line
from graphengine.document import told_by
from graphengine.runner.run import Emitted, NodeBegan, StepRecorded

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from graphengine.cli.terminal import Channel, Part
    from graphengine.core.steps import Step
    from graphengine.records import JsonValue, Op
    from graphengine.runner.run import Event

OFFLINE: Final = "offline: rule-based agents, no language model"

_VERBS: Final = {"started": "bold", "done": "green", "retry": "yellow", "fallback": "yellow", "failed": "bold red"}


class Progress:
    """Shows the events of one run on a channel.

    That a node began is told live and may come late, or twice: each is shown once, before the node's end.
    """

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._begun: dict[str, tuple[int, int]] = {}
        self._falls_back: dict[str, int] = {}  # the visit of a node whose fallback is run

    def show(self, event: Event) -> None:
        """Show one event."""
        if isinstance(event, NodeBegan):
            self._began(event.path, event.visit, event.attempt)
        elif isinstance(event, Emitted):
            self._line("emit", event.path, f": {one_line(_compact(event.data))}")
        elif isinstance(event, StepRecorded):
            self._step(event.step)

    def _began(self, path: str, visit: int, attempt: int) -> None:
        if self._begun.get(path, (0, 0)) >= (visit, attempt):
            return
        self._begun[path] = (visit, attempt)
        is_fallback = self._falls_back.get(path) == visit
        again = f", attempt {attempt}" if attempt > 1 and not is_fallback else ""
        self._line("started", path, f" (visit {visit}{again})", ": its fallback" if is_fallback else "")

    def _step(self, step: Step) -> None:
        if step.kind in ("attempt", "node", "failed"):
            self._began(step.path, step.visit, step.attempt)
        if step.kind == "attempt":
            self._attempt(step)
        elif step.kind == "node":
            fallback = bool(step.data.get("fallback"))
            self._ended("fallback" if fallback else "done", step)
        elif step.kind == "failed":
            self._ended("failed", step)
        elif step.kind == "left":
            self._line("left", step.path, *arrow(step))
            self._why(step)
        elif step.kind in ("resumed", "branched"):
            for change in step.data.get("changes", ()):
                self._line("changed", f"the graph: {change}")

    def _attempt(self, step: Step) -> None:
        told = f" (visit {step.visit}, attempt {step.attempt})"
        took = seconds(step.at - step.began)
        if step.data.get("then") == "fallback":
            self._falls_back[step.path] = step.visit
            self._line("failed", step.path, f"{told} in {took}; its fallback is run")
        else:
            wait = seconds(max(0.0, step.data.get("due_at", step.at) - step.at))
            self._line("retry", step.path, f"{told} failed in {took}; next attempt in {wait}")
        self._line("", error_line(step))

    def _ended(self, verb: str, step: Step) -> None:
        choice = f", chose {step.data['choice']}" if step.data.get("choice") else ""
        told = f" (visit {step.visit}{choice}) in {seconds(step.at - step.began)}"
        self._line(verb, step.path, told, *arrow(step))
        if step.data.get("error") and step.data.get("status") != "failed":  # what the run ends with is told at its end
            self._line("", f"it stands in for {error_line(step)}" if verb == "fallback" else error_line(step))
        self._why(step)

    def _why(self, step: Step) -> None:
        why = step.data.get("why")
        if why and why != "otherwise":
            self._line("", (one_line(why, 1000), "dim"))

    def _line(self, verb: str, first: Part, *rest: Part) -> None:
        path: Part = (first, "bold") if isinstance(first, str) and verb else first
        self._channel.line((f"{verb:<9}", _VERBS.get(verb, "dim")), path, *rest)


def arrow(step: Step) -> Sequence[Part]:
    """Where a step leads, and by which edge."""
    targets = step.data.get("to")
    if not targets:
        return ()
    label = step.data.get("edge")
    way: list[Part] = [" -> ", (", ".join(targets), "bold")]
    if label:
        way += [" ", (f"[{label}]", "cyan")]
    return way


def error_line(step: Step) -> str:
    """What a step's error says, on one line; "" where there is none, or the way to FAIL says it."""
    error = step.data.get("error")
    return one_line(f"{error['kind']}: {told_by(error).message}") if error and error["kind"] != "fail" else ""


def in_short(step: Step, limit: int) -> list[str]:
    """What a step does to the state, a line for each field; what is empty at the start is no news."""
    is_news = [op for op in step.update if step.kind != "started" or op[-1] not in ("", [], {}, None)]
    return [_operation(op, limit) for op in is_news]


def _operation(op: Op, limit: int) -> str:
    kind, field = op[0], op[1]
    if kind == "put":
        return f"{field}[{op[2]}] = {one_line(_compact(op[3]), limit)}"
    sign = "=" if kind in ("set", "reduce") else "+="
    return f"{field} {sign} {one_line(_compact(op[-1]), limit)}"


def _compact(value: JsonValue) -> str:
    if isinstance(value, str):
        return value or '""'
    try:
        return json.dumps(value, ensure_ascii=False, default=repr)
    except (TypeError, ValueError, RecursionError):
        return repr(value)


def seconds(duration: float) -> str:
    """A duration as people read it."""
    if duration < 0.0995:  # noqa: PLR2004 - from here on two digits of seconds say it as well
        return f"{max(0.0, duration) * 1000:.0f} ms"
    if duration < 60:  # noqa: PLR2004
        return f"{duration:.1f} s" if duration >= 1 else f"{duration:.2f} s"
    minutes, rest = divmod(round(duration), 60)
    return f"{minutes} min {rest} s"


def usage_line(usage: Mapping[str, Any]) -> str:
    """What models did and cost."""
    calls, offline = usage["calls"], usage["offline_calls"]
    tokens = (usage["input_tokens"] or 0) + (usage["output_tokens"] or 0)
    cost = usage["cost_usd"]
    priced = "cost unknown" if cost is None else f"cost {cost:.4f} USD" if cost else "cost 0 USD"
    return f"{counted(calls, 'model call')} ({offline} offline), {counted(tokens, 'token')}, {priced}"


def counted(number: int, noun: str) -> str:
    """The number with its noun."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def is_offline(usage: Mapping[str, Any]) -> bool:
    """Whether models answered, and none of them was a language model."""
    return bool(0 < usage["calls"] == usage["offline_calls"])

"""What a step says, in words: shared by what is shown while a run moves and by what is shown of it later."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from msgspec import UNSET

from graphengine.cli.terminal import one_line
from graphengine.cli.times import seconds
from graphengine.cli.waits import in_words
from graphengine.engine.steps import (
    Answered,
    AnyFacts,
    AttemptEnded,
    Continued,
    Entered,
    Joined,
    Mapped,
    Message,
    Node,
    Outcome,
    Recorded,
    Refused,
    Resumed,
    Shift,
    Started,
    Stopped,
    Waiting,
    failure_of,
    ops_of,
    outcome_of,
    path_of,
    usage_of,
)
from graphengine.history.json_document import told_by, usage_document
from graphengine.history.timing import open_seconds

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from graphengine.cli.terminal import Part
    from graphengine.engine.steps import Step
    from graphengine.state.json_values import JsonValue, Op

OTHERWISE: Final = "otherwise"
"""All that a way without a condition has to say for itself."""

_REASON_COLUMNS: Final = 300
_LEAST_USD: Final = 0.001
_BY = {"default": "nobody answered in time, so the default counts", "time": "its time has come", "message": "a message"}


def arrow(step: Step) -> Sequence[Part]:
    """Where a step leads, and by which edge."""
    outcome = outcome_of(step)
    if not outcome.to:
        return ()
    way: list[Part] = [" -> ", (", ".join(outcome.to), "bold")]
    if outcome.edge:
        way += [" ", (f"[{outcome.edge}]", "cyan")]
    return way


def error_line(step: Step) -> str:
    """What a step's error says, on one line; "" where there is none, or the way to FAIL says it."""
    failure = failure_of(step)
    if failure is None or failure.kind == "fail":
        return ""
    return one_line(f"{failure.kind}: {told_by(failure).message}")


def is_told_at_end(step: Step) -> bool:
    """Whether a step's failure is told when the run has ended: not that of a fork's arm, which others outlive."""
    return has_failed(step) and "~" not in step.frame.rpartition("/")[2]


def has_failed(step: Step) -> bool:
    """Whether a frame, or the run, failed with this step."""
    return isinstance(step.data, (Outcome, Stopped)) and step.data.status == "failed"


def in_short(step: Step, limit: int) -> list[str]:
    """What a step does to the state, a line for each field; what is empty at the start is no news."""
    is_start = step.kind in ("started", "entered")
    lines = [_operation(op, limit) for op in ops_of(step) if not is_start or op[-1] not in ("", [], {}, None)]
    refit = step.data.refit if isinstance(step.data, Shift) else {}
    for frame, changes in refit.items():
        place = path_of(frame, "")
        lines += [f"{place}: {_operation(op, limit)}" if place else _operation(op, limit) for op in changes]
    return lines


def _operation(op: Op, limit: int) -> str:
    kind, field = op[0], op[1]
    if kind == "put":
        return f"{field}[{op[2]}] = {one_line(compact(op[3]), limit)}"
    if kind == "grow":
        return f"{field}[{op[2]}] += {one_line(compact(op[3]), limit)}"
    if kind == "drop":
        return f"{field} is dropped"
    if kind == "item":  # one result of a map, for the list that the field becomes
        return f"{field}: {one_line(compact(op[2]), limit)}"
    sign = "=" if kind in ("set", "reduce") else "+="
    return f"{field} {sign} {one_line(compact(op[-1]), limit)}"


def facts_of(step: Step, limit: int = 200) -> list[str]:
    """What a step tells beside its update, its way out and its error: a line for each thing, if there is any."""
    facts, usage = step.data, usage_of(step)
    found: list[str] = []
    match facts:
        case Mapped():
            found.append(mapped(facts))
        case Entered():
            found.append(f"graph {facts.graph}")
        case Recorded():
            found += recorded(step, facts, limit)
        case Waiting():
            found += [in_words(name, wait, step.path) for name, wait in facts.waits.items()]
        case Refused():
            found.append(one_line(facts.message, limit) + ("; it is asked again" if step.node else ""))
        case Message():
            found.append(f"{facts.topic}: {one_line(compact(facts.payload), limit)}")
        case Resumed(crashed=True):
            found.append("the process that drove it had died")
        case AttemptEnded() | Answered() if facts.by:
            found.append(answer(step, limit))
        case _:
            pass
    if usage and not isinstance(facts, Recorded) and not is_offline(usage):
        found.append(usage_line(usage_document(usage)))
    return found + _beside(facts, limit)


def recorded(step: Step, facts: Recorded, limit: int) -> list[str]:
    """What a piece of recorded work was, and what it gave; of a model's turn, who asked whom and what it cost."""
    name, value = facts.name.rpartition("<locals>.")[2], facts.value
    if not facts.by:
        return [f"{name} gave {one_line(compact(tool_value(step).get('text', value)), limit)}"]
    what = "" if name == "turn" else f" for a {name}"
    used = usage_document(facts.usage)
    told = f"{facts.by['agent']} asked {facts.by['model']}{what}: {tokens_line(used)}, cost {cost(used)}"
    calls = [f"calls {call['name']}({call['arguments']})" for call in value.get("calls", ())]
    said = [compact(value["text"])] if value.get("text") or not calls else []
    ended = "" if value.get("stop", "end") in ("end", "tools") else f" ({value['stop']})"
    return [told, one_line(f"it said: {'; '.join([*said, *calls])}", limit) + ended]


def tool_value(step: Step) -> Mapping[str, JsonValue]:
    """The record of an agent's call of a tool: its `text`, whether it is an `error`, `traceback`; {} of other steps."""
    facts = step.data
    if isinstance(facts, Recorded) and facts.name.startswith("tool "):
        value = facts.value
        if isinstance(value, dict) and "text" in value:
            return value
    return {}


def _beside(facts: AnyFacts, limit: int) -> list[str]:
    """What nodes leave beside their results."""
    found: list[str] = []
    if isinstance(facts, Node) and facts.inside is not None and facts.inside.label:
        found.append(f"its graph ended [{facts.inside.label}]")
    if isinstance(facts, Outcome) and facts.choice:
        found.append(f"chose {facts.choice}")
    if isinstance(facts, (Started, Continued)) and facts.pause:
        found.append(f"pauses before {', '.join(facts.pause)}")
    if isinstance(facts, Joined) and facts.cancelled:
        found.append(f"cancelled: {', '.join(facts.cancelled)}")
    if isinstance(facts, Node):
        found += [f"sent {topic}: {one_line(compact(payload), limit)}" for topic, payload in facts.sent]
        found += [f"emitted {one_line(compact(shown), limit)}" for shown in facts.emitted]
        unused = ", ".join(key.partition("|")[0] for key in facts.unused)
        found += [f"recorded, but not asked for again: {unused}"] if facts.unused else []
    return found


def changes_of(step: Step) -> list[str]:
    """What a resume or a branch says of a graph that was changed: a line for each change."""
    facts = step.data
    if not isinstance(facts, Shift):
        return []
    found = [f"the graph changed: {change}" for change in facts.changes]
    for frame, names in facts.renamed.items():
        found += [f"what was recorded of {path_of(frame, old)} is {new}'s" for old, new in names.items()]
    found += [f"the run goes on at {path_of(frame, node)}" for frame, node in facts.moved.items()]
    return found + ["its question is another one now, and is asked anew" for _ in facts.asks]


def mapped(facts: Mapped) -> str:
    """How many items a map has, and how many of them it runs at a time."""
    count, at_a_time = facts.count, facts.concurrency
    return counted(count, "item") + (f", {at_a_time} at a time" if count > at_a_time else "")


def answer(step: Step, limit: int) -> str:
    """How a wait ended, and how long its question was open if the step says so; "" if no wait ended."""
    facts = step.data
    if not isinstance(facts, (AttemptEnded, Answered)) or not facts.by:
        return ""
    by = _BY.get(facts.by, "answered")
    if facts.by == "time":
        return by
    was_open = open_seconds(step) if facts.by == "answer" else None
    after = f" after {seconds(was_open)}" if was_open is not None else ""
    value = facts.answer.value if facts.answer is not None and facts.answer.value is not UNSET else None
    return f"{by}{after}: {one_line(compact(value), limit)}"


def reason(step: Step, limit: int = _REASON_COLUMNS) -> str:
    """What the conditions of its way out said; "" where there is nothing to say."""
    return explained(outcome_of(step).why, limit)


def explained(why: str | None, limit: int) -> str:
    """What conditions said, on one line; "" where there were none, so that a way was taken otherwise."""
    return one_line(why, limit) if why and why != OTHERWISE else ""


def compact(value: JsonValue) -> str:
    """A value on one line: a text as it is, anything else as JSON."""
    if isinstance(value, str):
        return value or '""'
    try:
        return json.dumps(value, ensure_ascii=False, default=repr)
    except (TypeError, ValueError, RecursionError):
        return repr(value)


def usage_line(usage: Mapping[str, Any]) -> str:
    """What models did and cost, by a usage with every figure."""
    calls = f"{counted(usage['calls'], 'model call')} ({usage['offline_calls']} offline)"
    return f"{calls}, {tokens_line(usage)}, cost {cost(usage)}"


def tokens_line(usage: Mapping[str, Any]) -> str:
    """The tokens of a usage with every figure; those of caches and of thinking where there are any."""
    tokens_in, tokens_out = usage["input_tokens"] or 0, usage["output_tokens"] or 0
    tokens = counted(tokens_in + tokens_out, "token")
    parts = [f"{tokens_in:,} in", f"{tokens_out:,} out"]
    for at, name, word in ((0, "cache_read_tokens", "cached"), (0, "cache_write_tokens", "written to the cache")):
        if usage.get(name):
            parts[at] += f", {usage[name]:,} of them {word}"
    if usage.get("reasoning_tokens"):
        parts[1] += f", {usage['reasoning_tokens']:,} of them thinking"
    told = f"{tokens} ({'; '.join(parts)})" if tokens_in + tokens_out else tokens
    unknown = usage.get("unknown_calls")
    return f"{told}, and those of {counted(unknown, 'failed call')} that nobody reported" if unknown else told


def cost(usage: Mapping[str, Any]) -> str:
    """What models cost, in words; of a cost that is not known, what is known of it."""
    amount = usage["cost_usd"]
    if amount is not None:
        return f"{dollars(amount)} USD"
    known = usage.get("priced_usd") or 0.0
    return "unknown" + (f", at least {dollars(known)} USD" if known else "")


def dollars(amount: float) -> str:
    """An amount with four digits behind the point; with two that count, where those would say nothing."""
    if not amount:
        return "0"
    return f"{amount:.4f}" if amount >= _LEAST_USD else f"{amount:.2g}"


def is_offline(usage: Mapping[str, Any]) -> bool:
    """Whether models answered, and none of them was a language model."""
    return bool(0 < usage.get("calls", 0) == usage.get("offline_calls", 0))


def counted(number: int, noun: str) -> str:
    """The number with its noun."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")

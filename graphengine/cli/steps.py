"""What a step says, in words: shared by what is shown while a run moves and by what is shown of it later."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from graphengine.cli.terminal import one_line
from graphengine.cli.times import seconds
from graphengine.cli.waits import in_words
from graphengine.engine.steps import path_of
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


def is_told_at_end(step: Step) -> bool:
    """Whether a step's failure is told when the run has ended: not that of a fork's arm, which others outlive."""
    return step.data.get("status") == "failed" and "~" not in step.frame.rpartition("/")[2]


def in_short(step: Step, limit: int) -> list[str]:
    """What a step does to the state, a line for each field; what is empty at the start is no news."""
    is_start = step.kind in ("started", "entered")
    ops = step.data.get("writes", ()) if step.kind == "item" else step.update
    lines = [_operation(op, limit) for op in ops if not is_start or op[-1] not in ("", [], {}, None)]
    for frame, changes in step.data.get("refit", {}).items():
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
    data = step.data
    found: list[str] = []
    if step.kind == "mapped":
        found.append(mapped(step))
    elif step.kind == "entered":
        found.append(f"graph {data['graph']}")
    elif step.kind == "recorded":
        found += recorded(step, limit)
    elif step.kind == "waiting":
        found += [in_words(name, facts, step.path) for name, facts in data["waits"].items()]
    elif step.kind == "refused":
        found.append(one_line(data["message"], limit) + ("; it is asked again" if step.node else ""))
    elif step.kind == "message":
        found.append(f"{data['topic']}: {one_line(compact(data['payload']), limit)}")
    elif step.kind == "resumed" and data.get("crashed"):
        found.append("the process that drove it had died")
    elif "by" in data:
        found.append(answer(step, limit))
    if step.kind != "recorded" and data.get("usage") and not is_offline(data["usage"]):
        found.append(usage_line(usage_document(data["usage"])))
    return found + _beside(data, limit)


def recorded(step: Step, limit: int) -> list[str]:
    """What a piece of recorded work was, and what it gave; of a model's turn, who asked whom and what it cost."""
    data = step.data
    name, value = data["name"].rpartition("<locals>.")[2], data["value"]
    if "by" not in data:
        return [f"{name} gave {one_line(compact(tool_value(step).get('text', value)), limit)}"]
    what = "" if name == "turn" else f" for a {name}"
    used = usage_document(data.get("usage") or {})
    told = f"{data['by']['agent']} asked {data['by']['model']}{what}: {tokens_line(used)}, cost {cost(used)}"
    calls = [f"calls {call['name']}({call['arguments']})" for call in value.get("calls", ())]
    said = [compact(value["text"])] if value.get("text") or not calls else []
    ended = "" if value.get("stop", "end") in ("end", "tools") else f" ({value['stop']})"
    return [told, one_line(f"it said: {'; '.join([*said, *calls])}", limit) + ended]


def tool_value(step: Step) -> Mapping[str, JsonValue]:
    """The record of an agent's call of a tool: its `text`, whether it is an `error`, `traceback`; {} of other steps."""
    name, value = step.data.get("name", ""), step.data.get("value")
    if step.kind == "recorded" and name.startswith("tool ") and isinstance(value, dict) and "text" in value:
        return value
    return {}


def _beside(data: Mapping[str, JsonValue], limit: int) -> list[str]:
    """What nodes leave beside their results."""
    found: list[str] = []
    if data.get("inside", {}).get("label"):
        found.append(f"its graph ended [{data['inside']['label']}]")
    if data.get("choice"):
        found.append(f"chose {data['choice']}")
    if data.get("pause"):
        found.append(f"pauses before {', '.join(data['pause'])}")
    if data.get("cancelled"):
        found.append(f"cancelled: {', '.join(data['cancelled'])}")
    found += [f"sent {topic}: {one_line(compact(payload), limit)}" for topic, payload in data.get("sent", ())]
    found += [f"emitted {one_line(compact(shown), limit)}" for shown in data.get("emitted", ())]
    if data.get("unused"):
        found.append(f"recorded, but not asked for again: {', '.join(key.partition('|')[0] for key in data['unused'])}")
    return found


def changes_of(step: Step) -> list[str]:
    """What a resume or a branch says of a graph that was changed: a line for each change."""
    data = step.data
    found = [f"the graph changed: {change}" for change in data.get("changes", ())]
    for frame, names in data.get("renamed", {}).items():
        found += [f"what was recorded of {path_of(frame, old)} is {new}'s" for old, new in names.items()]
    found += [f"the run goes on at {path_of(frame, node)}" for frame, node in data.get("moved", {}).items()]
    return found + ["its question is another one now, and is asked anew" for _ in data.get("asks", ())]


def mapped(step: Step) -> str:
    """How many items a map has, and how many of them it runs at a time."""
    count, at_a_time = step.data["count"], step.data["concurrency"]
    return counted(count, "item") + (f", {at_a_time} at a time" if count > at_a_time else "")


def answer(step: Step, limit: int) -> str:
    """How a wait ended, and how long its question was open where the step tells."""
    data = step.data
    by = _BY.get(data["by"], "answered")
    if data["by"] == "time":
        return by
    was_open = open_seconds(step) if data["by"] == "answer" else None
    after = f" after {seconds(was_open)}" if was_open is not None else ""
    given = data.get("answer")
    return f"{by}{after}: {one_line(compact(given.get('value') if isinstance(given, dict) else given), limit)}"


def reason(step: Step, limit: int = _REASON_COLUMNS) -> str:
    """What the conditions of its way out said; "" where there is nothing to say."""
    return explained(step.data.get("why"), limit)


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

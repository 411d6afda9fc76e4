"""Steps in words, and what a run waits for; shared by live progress and by what is shown of a run later."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from msgspec import UNSET

from graphengine.cli.terminal import one_line, seconds, when
from graphengine.kernel import (
    Answered,
    AnyFacts,
    AttemptEnded,
    Begun,
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
    dollars,
    outcome_of,
    own_name,
    path_of,
    read_key,
    show,
    usage_of,
    wait_of,
)
from graphengine.kernel.stores import wait_words
from graphengine.records.offline import are_offline
from graphengine.records.step_queries import ops_of
from graphengine.records.visit_tree import open_seconds
from graphengine.records.work_records import call_record, turn_record
from graphengine.schemas.examples import example as an_example
from graphengine.schemas.words import choices
from graphengine.schemas.words import in_words as wanted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from graphengine.cli.places import DatabaseOption
    from graphengine.cli.terminal import Channel, Part
    from graphengine.kernel import AnswerRecord, JsonValue, Op, Snapshot, Step, TokensName, Usage, WaitRecord
    from graphengine.records.visit_tree import Entry

OTHERWISE: Final = "otherwise"
"""The explanation of an edge without a condition."""

_REASON_COLUMNS: Final = 300
_MOST: Final = 12
_SCHEMA_COLUMNS: Final = 300
_ALTERNATIVE: Final = 120
"""The most characters of another answer that is shown as an example."""
_LINE: Final = 500
"""The most characters of a question that is shown on one line."""
_QUESTION: Final = 20_000
"""The most characters of a question that are shown: some ten screens."""
_WHO_COLUMNS: Final = 40
_BY = {"default": "not answered in time, so the default is used", "time": "its time has come", "message": "a message"}


def arrow(step: Step) -> Sequence[Part]:
    """Return where a step leads, and by which edge."""
    outcome = outcome_of(step)
    if not outcome.to:
        return ()
    parts: list[Part] = [" -> ", (", ".join(outcome.to), "bold")]
    if outcome.edge:
        parts += [" ", (f"[{outcome.edge}]", "cyan")]
    return parts


def error_line(step: Step) -> str:
    """Return a step's error on one line; "" if there is none, or if it is only the edge to FAIL."""
    failure = step.data.error
    if failure is None or failure.kind == "fail":
        return ""
    return one_line(f"{failure.kind}: {failure.message}")


def kind_in_words(step: Step) -> str:
    """Return what a step is after the path of its node; "" for the end of a node or an item."""
    return {"node": "", "item": "", "attempt": " attempt failed"}.get(step.kind, f" {step.kind}")


def is_reported_at_end(step: Step) -> bool:
    """Return whether a step's failure is shown at the end of the run; that of a fork's arm is not."""
    return has_failed(step) and "~" not in step.frame.rpartition("/")[2]


def has_failed(step: Step) -> bool:
    """Return whether a frame, or the run, failed with this step."""
    return isinstance(step.data, (Outcome, Stopped)) and step.data.status == "failed"


def in_short(step: Step, limit: int) -> list[str]:
    """Return a step's updates, a line for each field; empty values at the start are left out."""
    is_start = step.kind in ("started", "entered")
    lines = [_operation(op, limit) for op in ops_of(step) if not is_start or op[-1] not in ("", [], {}, None)]
    field_changes = step.data.field_changes if isinstance(step.data, Shift) else {}
    for frame, changes in field_changes.items():
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
    """Return a line for each fact of a step other than its update, edge and error."""
    facts, usage = step.data, usage_of(step)
    found: list[str] = []
    match facts:
        case Mapped():
            found.append(mapped(facts))
        case Entered():
            found.append(f"graph {facts.graph}")
        case Recorded() | Begun():
            found += recorded(facts, limit)
        case Waiting():
            found += [in_words(name, wait, step.path) for name, wait in facts.waits.items()]
        case Refused():
            found.append(one_line(show(facts.message), limit) + ("; it is asked again" if step.node else ""))
        case Message():
            found.append(f"{facts.topic}: {one_line(compact(facts.payload), limit)}")
        case Resumed(crashed=True):
            found.append("the process that drove it had died")
        case AttemptEnded() | Answered() if facts.by:
            found.append(answer(step, limit))
        case _:
            pass
    if usage and not isinstance(facts, Recorded) and not is_offline(usage):
        found.append(usage_line(usage))
    return found + _extras(facts, limit)


def recorded(facts: Recorded | Begun, limit: int) -> list[str]:
    """Return what recorded work returned; for a model's turn, the agent, the model, its usage and its reply.

    Of an effect that must not be repeated: that it begins, or did nothing.
    """
    name = own_name(facts.name)
    if isinstance(facts, Begun):
        return [f"{name} {'did nothing' if facts.not_done else 'begins'}"]
    value = facts.value
    if not facts.by:
        result = call_record(facts)
        written = result.writes.items() if result is not None else ()
        lines = [f"{field} will get {one_line(compact(new), limit)}" for field, new in written]
        return [f"{name} returned {one_line(compact(value if result is None else result.text), limit)}", *lines]
    what = "" if name == "turn" else f" for a {name}"
    used = facts.usage
    agent, model = facts.by.get("agent"), facts.by.get("model")
    request = f"{agent} asked {model}{what}: {tokens_line(used)}, cost {cost(used)}"
    reply = turn_record(facts)
    if reply is None:  # anything can be in a file from elsewhere
        return [request, one_line(f"its reply: {compact(value)}", limit)]
    calls = [f"calls {call.name}({call.arguments})" for call in reply.calls]
    texts = [compact(reply.text)] if reply.text or not calls else []
    ended = "" if reply.stop in ("end", "tools") else f" ({reply.stop})"
    again = [one_line(f"asked again: {reply.feedback}", limit)] if reply.feedback is not None else []
    again += ["was asked to go on with its answer, which was cut"] if reply.goes_on is not None else []
    again += [one_line(f"was sent: {text}", limit) for text in reply.steered]
    return [*again, request, one_line(f"its reply: {'; '.join([*texts, *calls])}", limit) + ended]


def lost_call(lost: Mapping[str, JsonValue]) -> str:
    """Return that an agent called a model that gave no answer; the step alone shows what it was asked."""
    return f"{lost.get('agent')} asked {lost.get('model')}, which gave no answer"


def _extras(facts: AnyFacts, limit: int) -> list[str]:
    """Return what an attempt records in addition to its result or error."""
    lost = facts.lost.values() if isinstance(facts, AttemptEnded) else ()
    found = [lost_call(each) for each in lost if isinstance(each, dict)]
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
        unused = ", ".join(own_name(read_key(key).name) for key in facts.unused)
        found += [f"recorded, but not used again: {unused}"] if facts.unused else []
    return found


def changes_of(step: Step) -> list[str]:
    """Return a line for each change of the graph that a resume or a branch recorded."""
    facts = step.data
    if not isinstance(facts, Shift):
        return []
    found = [f"the graph changed: {change}" for change in facts.changes]
    for frame, names in facts.renamed.items():
        found += [f"the records of {path_of(frame, old)} now belong to {new}" for old, new in names.items()]
    found += [f"the run continues at {path_of(frame, node)}" for frame, node in facts.moved.items()]
    return found + ["its question has changed and is asked again" for _ in facts.asks]


def mapped(facts: Mapped) -> str:
    """Return how many items a map has, how many of them run at a time, and how many may be open."""
    count, at_a_time, most = facts.count, facts.concurrency, facts.max_open
    found = counted(count, "item") + (f", {at_a_time} at a time" if count > at_a_time else "")
    return found + (f", at most {most:,} open" if count > most else "")


def answer(step: Step, limit: int) -> str:
    """Return how a wait ended, and how long its question was open if recorded; "" if no wait ended."""
    facts = step.data
    if not isinstance(facts, (AttemptEnded, Answered)) or not facts.by:
        return ""
    by = _BY.get(facts.by, "answered")
    if facts.by == "time":
        return by
    was_open = open_seconds(step) if facts.by == "answer" else None
    after = f" after {seconds(was_open)}" if was_open is not None else ""
    value = facts.answer.value if facts.answer is not None and facts.answer.value is not UNSET else None
    who = f" by {one_line(facts.answer.by, _WHO_COLUMNS)}" if facts.answer is not None and facts.answer.by else ""
    return f"{by}{who}{after}: {one_line(compact(value), limit)}"


def why_taken(entry: Entry) -> str:
    """Return why a step took its edge, in words; "" if it took none."""
    return entry.edge.why if entry.edge is not None else ""


def explained(why: str | None, limit: int = _REASON_COLUMNS) -> str:
    """Return an explanation of conditions on one line; "" if there were no conditions."""
    return one_line(why, limit) if why and why != OTHERWISE else ""


def compact(value: JsonValue) -> str:
    """Return a value on one line: a text unchanged, anything else as JSON."""
    if isinstance(value, str):
        return value or '""'
    try:
        return json.dumps(value, ensure_ascii=False, default=repr)
    except (TypeError, ValueError, RecursionError):
        return repr(value)


_OF_THEM: Final[tuple[tuple[int, TokensName, str], ...]] = (
    (0, "cache_read_tokens", "cached"),
    (0, "cache_write_tokens", "written to the cache"),
    (1, "reasoning_tokens", "thinking"),
)
"""Parts of the input (0) and output (1) tokens, in words."""


def usage_line(usage: Usage) -> str:
    """Return the calls, tokens and cost of a usage; tokens and cost only of language models."""
    calls: int = usage.get("calls") or 0
    offline: int = usage.get("offline_calls") or 0
    unknown: int = usage.get("unknown_calls") or 0
    if not calls and not unknown:
        return "no model calls"
    if calls == offline and not unknown:
        return f"{counted(calls, 'model call')}, all offline"
    some_offline = f" ({offline} offline)" if offline else ""
    return f"{counted(calls, 'model call')}{some_offline}, {tokens_line(usage)}, cost {cost(usage)}"


def tokens_line(usage: Usage) -> str:
    """Return the tokens of a usage; those of caches and of thinking if there are any."""
    tokens_in: int = usage.get("input_tokens") or 0
    tokens_out: int = usage.get("output_tokens") or 0
    all_tokens = counted(tokens_in + tokens_out, "token")
    parts = [f"{tokens_in:,} in", f"{tokens_out:,} out"]
    for at, name, word in _OF_THEM:
        tokens: int = usage.get(name) or 0
        if tokens:
            parts[at] += f", {tokens:,} of them {word}"
    text = f"{all_tokens} ({'; '.join(parts)})" if tokens_in + tokens_out else all_tokens
    unknown = usage.get("unknown_calls")
    return f"{text}, plus unreported tokens of {counted(unknown, 'failed call')}" if unknown else text


def cost(usage: Usage) -> str:
    """Return the cost of models in words; if it is unknown, the known part of it."""
    amount = usage.get("cost_usd", 0.0)
    if amount is not None:
        return f"{dollars(amount)} USD"
    known = usage.get("priced_usd") or 0.0
    return "unknown" + (f", at least {dollars(known)} USD" if known else "")


def is_offline(usage: Usage) -> bool:
    """Return whether models were called, and none of them was a language model."""
    return (usage.get("calls") or 0) > 0 and are_offline(usage)


def counted(number: int, noun: str) -> str:
    """Return the number with its noun, in the plural unless it is 1."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


# --- what a run waits for ---


@dataclass(frozen=True, slots=True)
class OpenWait:
    """One thing that a run waits for: its name, its record, since when, epoch seconds, and an answer not taken up."""

    name: str
    facts: WaitRecord
    since: float
    answered: AnswerRecord | None = None

    @property
    def due(self) -> str:
        """When it ends by itself, and how; "" for never."""
        due, default = self.facts.due, self.facts.default
        if due is None:
            return ""
        if self.facts.kind == "sleep":
            return f"until {when(due)}"
        return f"until {when(due)}, then " + (
            "it fails" if default is UNSET else f"the answer is {json.dumps(default, ensure_ascii=False)}"
        )


def all_waits(snapshot: Snapshot) -> list[OpenWait]:
    """Return everything that a run waits for, in the order of its frames."""
    every = [(frame, *wait) for frame in snapshot.frames.values() for wait in frame.waits.items()]
    return [OpenWait(name, facts, frame.since, snapshot.posted.get(facts.id)) for frame, name, facts in every]


def in_words(name: str, facts: WaitRecord, path: str) -> str:
    """Return a wait on one line; its name is left out if it is the path."""
    kind, text = facts.kind, wait_words(name, facts, path=path, characters=_LINE)
    due = OpenWait(name, facts, 0.0).due
    return text + (f" ({due})" if due and kind != "sleep" else f" {due}" if due else "")


def show_waits(out: Channel, snapshot: Snapshot, graph: Sequence[str], place: DatabaseOption) -> None:
    """Show what a run waits for, and how each is answered.

    Args:
        out: The channel to write to.
        snapshot: The run.
        graph: The options that a command needs to find the graph.
        place: Where the run is stored.
    """
    waits = all_waits(snapshot)
    for wait in waits[:_MOST]:
        kind = wait.facts.kind
        first, *others = _whole(wait, snapshot.run_id)
        out.prose("  ", (wait.name, "bold"), f": {first}", indent=2)
        for line in others:
            out.prose(f"    {line}".rstrip(), indent=0)
        out.line(("    since: ", "dim"), when(wait.since))
        if (given := wait.answered) is not None:
            value = one_line(json.dumps(given.value, ensure_ascii=False), _LINE)
            out.line(("    answered: ", "dim"), f"{value}, {f'by {given.by}, ' if given.by else ''}{when(given.at)}")
            words = place.command("resume", snapshot.run_id, *graph)
            out.line(("    waits for a worker, or: ", "dim"), words)
        elif wait_of(wait.name, wait.facts).answerable:
            value, alternatives = example(wait.facts)
            words = place.command("answer", snapshot.run_id, "--wait", wait.facts.id, *graph, arguments=[value])
            out.line(("    answer: ", "dim"), words, alternatives)
        elif kind == "receive":
            sent = [str(wait.facts.topic), "VALUE"]
            words = place.command("send", snapshot.run_id, *graph, arguments=sent)
            out.line(("    send: ", "dim"), words)
    if len(waits) > _MOST:
        out.line(f"  … {len(waits) - _MOST} more; show {snapshot.run_id} --json has them all")


def _whole(wait: OpenWait, run_id: str) -> list[str]:
    """Return a wait as lines; a question is kept whole, since it has to be read before it is answered."""
    question = show(wait.facts.question).strip()
    if wait.facts.kind != "ask" or (len(question) <= _LINE and "\n" not in question):
        return [in_words(wait.name, wait.facts, wait.name)]
    lines = question[:_QUESTION].splitlines()
    if len(question) > _QUESTION:
        lines[-1] += f"… show {run_id} --json has all {len(question):,} characters"
    return [*lines, *([f"({wait.due})"] if wait.due else [])]


def example(facts: WaitRecord) -> tuple[str, str]:
    """Return an answer that fits, ready to be pasted, and a note on the alternatives."""
    if facts.kind == "pause":
        return "true", ""
    if facts.kind == "unknown":
        return "rerun", """  (if it did not happen; or fail, or '{"result": …}')"""
    return _fitting(facts.schema or {})


def _fitting(schema: Mapping[str, Any]) -> tuple[str, str]:
    if schema.get("type") == "boolean":
        return "yes", "  (or no)"
    if any(branch.get("type") == "boolean" for branch in schema.get("anyOf", ())):
        return "yes", f"  (or {', '.join(['no', *_others(schema)])})"
    if "enum" in schema or "const" in schema:
        first, *others = choices(schema)
        return first, f"  (or {', '.join(others)})" if others else ""
    fitting = an_example(schema)
    plain = fitting == "TEXT" or not schema
    return fitting or "JSON", "" if plain else f"  ({one_line(wanted(schema), _SCHEMA_COLUMNS)})"


def _others(schema: Mapping[str, Any]) -> Iterator[str]:
    """Yield an answer that fits, as words of a shell, for each branch of a schema other than a yes-or-no question."""
    for branch in schema["anyOf"]:
        fitting = None if branch.get("type") == "boolean" else an_example({**branch, "$defs": schema.get("$defs", {})})
        if fitting is not None:
            yield shlex.quote(fitting) if len(fitting) <= _ALTERNATIVE else one_line(wanted(branch), _SCHEMA_COLUMNS)

"""Describe a recorded step in words: what happened, who did it, what it cost, where the run went next, and why.

The description is an `Account`. Only this module turns steps into words. Commands, the story of a run, telemetry and
the inspector's page all use accounts and only arrange their texts. Every text of an account fits on one line and
contains only printable characters. The page receives accounts as JSON.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from msgspec import UNSET

from graphengine.kernel.inside import OTHERWISE, PUBLISH, STARTS, Begun, Shift, WorkKey, own_name
from graphengine.kernel.reader import (
    Answered,
    Attempt,
    AttemptEnded,
    Continued,
    Entered,
    Failed,
    Joined,
    Mapped,
    Message,
    Node,
    Outcome,
    Recorded,
    Refused,
    Resumed,
    Started,
    Stopped,
    Usage,
    Waiting,
    losses_of,
    path_of,
    show,
    usage_of,
)
from graphengine.kernel.store import wait_words
from graphengine.records.base_documents import Part
from graphengine.records.step_queries import falls_back, ops_of
from graphengine.records.visit_tree import open_seconds
from graphengine.records.words import clean, compact, cost, counted, one_line, seconds, tokens, used, when
from graphengine.records.work_records import CallRecord, TurnRecord, work_record

if TYPE_CHECKING:
    from collections.abc import Iterator

    from graphengine.kernel.extension import JsonValue, Op
    from graphengine.kernel.reader import Step, WaitRecord
    from graphengine.records.visit_tree import Entry

Tone: TypeAlias = Literal["", "call", "ended", "waiting", "rejected", "broken", "retry", "fallback", "failed"]
"""How a step went. `TROUBLES` lists the tones of steps in which something went wrong."""
TROUBLES: Final[Sequence[Tone]] = ("failed", "retry", "fallback", "rejected", "broken")

_LIMIT: Final = 200
_WHY: Final = 300
_QUESTION: Final = 500
_PERSON: Final = 40
_MORE_CALLS: Final = "set RateLimiter(calls_at_once=…) to make more at once"
_LISTED: Final = 3
"""The largest number of changed fields that the text of an account names."""
_ENDED_BY: Final = {
    "answer": "answered",
    "default": "not answered in time, so the default is used",
    "message": "a message",
    "time": "its time has come",
}
_RETURNED: Final = " returned"
_EVENTS: Final = {"node": "", "item": "", "attempt": "attempt failed"}
_EMPTY: Final[Sequence[JsonValue]] = ("", [], {}, None)


class Account(Part, omit_defaults=True):
    """A description of one recorded step in words, for people to read.

    Attributes:
        seq: The number of the step in the run.
        kind: The kind of the step, as the log names it.
        at: When the step was recorded, epoch seconds.
        path: The path of the node, such as `article/review`; "" for the run itself.
        visit: The number of the visit of the node, from 1; 0 for the run itself.
        attempt: The number of the attempt of the visit.
        took: How many seconds the work took that ended with this step, without times at which no process drove the run;
            null if the step did no work or the time is not known.
        tone: `failed`, `retry`, `fallback`, `rejected` (the previous answer of a model was sent back), `broken` (a tool
            failed), `waiting`, `call`, `ended`, or "".
        text: A few words that name what happened; "" for the end of a visit.
        said: The reply of a model, the result of a tool or function, the answer of a person, or the text of a message.
        facts: Other things that the step records, one line each.
        sent: The messages that the step sent and the data that it emitted, one line each.
        withdrawn: The ids of questions that the node no longer asks.
        changes: A short list of changes of the state; "" if the step also did something else.
        shifts: How the graph changed before this resume or branch, one line for each change.
        error: The kind and message of the error; "" for an edge to FAIL.
        sent_back: Why the previous answer of the model was rejected, in the words that the model received.
        targets: The nodes to which the step leads.
        edge: The label of the edge that was taken.
        choice: The choice that `choose` made at the node.
        inside: The label with which the graph inside the node ended.
        due: When the next attempt is due, epoch seconds.
        why: The comparisons that decided which edge was taken; "" if the edge has no condition.
        agent: The agent that asked a model.
        model: The model that answered.
        name: The function or tool that was called.
        by: The person who answered.
        ended_by: How a wait ended: `answer`, `message`, `time` or `default`.
        usage: The recorded usage of models. An unknown cost is null. `offline_calls` counts the calls that were
            answered without a model.
        child: The child run that the step started, or the child run whose end the step reports.
        count: The number of items of the map that this step begins.
        losses: The number of losses by kind: `failed_items`, `failed_children`, `unused_results`, `fallbacks`,
            `retries`, `rejected_answers`, `failed_tools`.
    """

    seq: int
    kind: str
    at: float
    path: str = ""
    visit: int = 0
    attempt: int = 0
    took: float | None = None
    tone: Tone = ""
    text: str = ""
    said: str = ""
    facts: Sequence[str] = ()
    sent: Sequence[str] = ()
    withdrawn: Sequence[str] = ()
    changes: str = ""
    shifts: Sequence[str] = ()
    error: str = ""
    sent_back: str = ""
    targets: Sequence[str] = ()
    edge: str = ""
    choice: str = ""
    inside: str = ""
    due: float | None = None
    why: str = ""
    agent: str = ""
    model: str = ""
    name: str = ""
    by: str = ""
    ended_by: str = ""
    usage: Usage = {}  # noqa: RUF012 - msgspec copies the default for each instance
    child: str = ""
    count: int = 0
    losses: Mapping[str, int] = {}

    @property
    def event(self) -> str:
        """What happened, in words that follow the path of the node in a line; "" for the end of a visit."""
        return _EVENTS.get(self.kind, self.kind)

    @property
    def is_fallback(self) -> bool:
        """Whether the node's result came from its fallback, because its own attempts had failed."""
        return "fallbacks" in self.losses

    @property
    def is_replaced(self) -> bool:
        """Whether the step records a failed attempt after which the node's fallback runs."""
        return self.kind == "attempt" and "retries" not in self.losses

    @property
    def words(self) -> str:
        """The text of the step, followed by the model's reply, the result or the answer, if the step has one."""
        between = " " if self.text.endswith(_RETURNED) else ": "
        return f"{self.text}{between}{self.said}" if self.said else self.text

    @property
    def is_trouble(self) -> bool:
        """Whether the step records a failure, a retry, a fallback, a failed tool or a rejected answer of a model."""
        return self.tone in TROUBLES

    @property
    def is_news(self) -> bool:
        """Whether displays should highlight the step: something went wrong, or the run waits."""
        return self.is_trouble or self.tone == "waiting"

    @property
    def cost(self) -> str:
        """What the model calls of the step cost, in words; "" if the step called no model."""
        return cost(self.usage)

    @property
    def lines(self) -> Sequence[str]:
        """The texts of the description, one line each.

        The changes of the state, the edge and the error are not included.
        """
        found = [*self._first()]
        if self.inside:
            found.append(f"its graph ended [{self.inside}]")
        if self.choice:
            found.append(f"chose {self.choice}")
        return [*found, *self.facts, *self.sent, *(f"asks no longer: {each}" for each in self.withdrawn)]

    def _first(self) -> Iterator[str]:
        if self.agent:
            if self.sent_back:
                yield f"asked again: {self.sent_back}"
            paid = self.cost
            yield f"{self.text}: {tokens(self.usage)}, {paid if paid == 'offline' else f'cost {paid}'}"
            yield f"its reply: {self.said}"
            return
        if self.text:
            yield self.words
        if self.usage and self.kind != "recorded" and self.cost not in ("", "offline"):
            yield used(self.usage)


def account_of(
    entry: Entry, why: str | None = None, *, limit: int = _LIMIT, why_limit: int = _WHY, with_changes: bool = False
) -> Account:
    """Describe a step of a run in words, for a caller that has read the run with `Visits`.

    `Visits` has found out how long the work took and why the edge was taken. The description contains both.

    Args:
        entry: The step with its visit, edge and duration, as `Visits.feed` returned them.
        why: The reasons for the edge, if the caller has read them; by default the reasons in the entry.
        limit: The maximum number of characters of each text, and the maximum number of messages that `sent` lists.
        why_limit: The maximum number of characters of the reasons.
        with_changes: Whether to describe the changes of the state if the step did nothing else. Pass False if the
            caller lists the changes itself.
    """
    reasons = why if why is not None else entry.edge.why if entry.edge is not None else ""
    account = account_of_step(entry.step, reasons, entry.took, limit=limit, why_limit=why_limit)
    if with_changes and not account.text and not account.error:
        changes = [*islice(changes_in(entry.step, limit), _LISTED + 1)]
        account.changes = one_line(", ".join(changes[:_LISTED]), limit) + (" …" if len(changes) > _LISTED else "")
    return account


def account_of_step(
    step: Step, why: str = "", took: float | None = None, *, limit: int = _LIMIT, why_limit: int = _WHY
) -> Account:
    """Describe a single step in words, without reading the rest of its run.

    Args:
        step: The recorded step.
        why: The reasons for the edge.
        took: The duration in seconds; None if it is not known.
        limit: The maximum number of characters of each text, and the maximum number of messages that `sent` lists.
        why_limit: The maximum number of characters of the reasons.
    """
    facts = step.data
    account = Account(step.seq, step.kind, step.at, step.path, step.visit, step.attempt)
    account.took = None if took is None else round(took, 4)
    account.usage = usage_of(step)
    account.losses = _losses(step)
    if isinstance(facts, Outcome):
        account.targets, account.edge, account.choice = facts.to, facts.edge, facts.choice
        account.why = safe_line(why, why_limit) if why != OTHERWISE else ""
    if facts.error is not None and facts.error.kind != "fail":
        account.error = safe_line(f"{facts.error.kind}: {facts.error.message}", limit)
    account.facts = lines = list[str]()
    _describe_facts(account, step, lines, limit)
    account.tone = account.tone or _tone(step)
    return account


def changes_in(step: Step, limit: int) -> Iterator[str]:
    """Yield a line of text for each field of the state that a step changes.

    The step with which a graph starts sets all fields. The fields that this step sets to empty values are left out.
    """
    is_start = step.kind in ("started", "entered")
    for op in ops_of(step):
        if not is_start or op[-1] not in _EMPTY:
            yield _change(op, limit)
    if isinstance(step.data, Shift):
        for frame, changes in step.data.field_changes.items():
            place = path_of(frame, "")
            yield from (f"{place}: {_change(op, limit)}" if place else _change(op, limit) for op in changes)


def _change(op: Op, limit: int) -> str:
    kind, field = op[0], op[1]
    if kind == "drop":
        return f"{field} is dropped"
    if kind == "item":  # The result of one item of a map, which becomes an element of the field.
        return f"{field}: {_value_on_line(op[2], limit)}"
    place = f"[{op[2]}]" if kind in ("put", "grow") else ""
    return f"{field}{place} {'=' if kind in ('set', 'reduce', 'put') else '+='} {_value_on_line(op[-1], limit)}"


def wait_line(name: str, wait: WaitRecord, path: str) -> str:
    """Describe on one line what a node waits for, with the time at which the wait ends without an answer.

    Args:
        name: The name of the wait. The line leaves the name out if it is equal to the path.
        wait: The wait.
        path: The path of the node that waits.
    """
    due, text = due_words(wait), wait_words(name, wait, path=path, characters=_QUESTION)
    question = one_line(show(wait.question), _QUESTION)
    if wait.kind == "receive":
        text = text.removesuffix(f"a message on {wait.topic!r}") + question
    return clean(text + (f" ({due})" if due and wait.kind != "sleep" else f" {due}" if due else ""))


def due_words(wait: WaitRecord) -> str:
    """Return in words when a wait ends without an answer, and what happens then; "" if the wait has no time limit.

    For a sleep, only the time is returned.
    """
    if wait.due is None:
        return ""
    if wait.kind == "sleep":
        return f"until {when(wait.due)}"
    default = "it fails"
    if wait.default is not UNSET:
        default = f"the answer is {json.dumps(wait.default, ensure_ascii=False)}"
    return f"until {when(wait.due)}, then {default}"


# --- By kind ---------------------------------------------------------------------------------------------------------


def _describe_facts(account: Account, step: Step, lines: list[str], limit: int) -> None:  # noqa: C901, PLR0912 - a case for each kind
    facts = step.data
    match facts:
        case Recorded():
            _describe_recorded_work(account, facts, lines, limit)
        case AttemptEnded() | Answered():
            if facts.by:
                _describe_end_of_wait(account, step, facts, lines, limit)
            if isinstance(facts, AttemptEnded):
                _describe_attempt(account, facts, lines, limit)
        case Begun():
            account.name = own_name(facts.name)
            account.text = f"{account.name} {'did nothing' if facts.not_done else 'begins'}"
        case Mapped(count=count, concurrency=at_a_time, max_open=most):
            account.count = count
            account.text = counted(count, "item") + (f", {at_a_time} at a time" if count > at_a_time else "")
            account.text += f", at most {most:,} open" if count > most else ""
        case Entered():
            account.text = f"graph {facts.graph}"
        case Waiting():
            account.text, *more = [wait_line(name, wait, account.path) for name, wait in facts.waits.items()] or [""]
            lines += more
            account.withdrawn = facts.withdrawn
        case Refused():
            which = f"the message on {facts.wait!r}: " if facts.key and facts.wait else ""
            account.text = safe_line(which + show(facts.message), limit)
            lines += ["it is asked again"] if account.path else []
        case Message():
            _describe_message(account, facts, limit)
        case Joined():
            lines += [f"cancelled: {', '.join(facts.cancelled)}"] if facts.cancelled else []
        case Stopped():
            account.text = "" if facts.error is not None else safe_line(facts.words, limit)
        case Shift():
            account.text = _death(step.at, facts) if isinstance(facts, Resumed) and facts.crashed else ""
            account.shifts = list(_shifts(facts))
            lines += _pauses(facts)
        case Started(after=after):
            lines += [*([f"begins with the state of run {after}"] if after else []), *_pauses(facts)]
        case _:
            pass


def _death(at: float, facts: Resumed) -> str:
    if not facts.cut_until:
        return "the process that drove it had died"
    left = seconds(max(0.0, facts.cut_until - at))
    return f"the process that drove it was cut off; what was in flight begins again {left} later"


def _pauses(facts: Started | Shift) -> Sequence[str]:
    pauses = facts.pause if isinstance(facts, (Started, Continued)) else ()
    return [f"pauses before {', '.join(pauses)}"] if pauses else []


def _describe_recorded_work(account: Account, facts: Recorded, lines: list[str], limit: int) -> None:
    """Describe a step that recorded the result of some work.

    The work is a model response, a tool call, a child run, or a function.
    """
    account.tone, name = "call", own_name(facts.name)
    account.name = name
    if facts.name.startswith(PUBLISH):
        account.name = facts.name.removeprefix(PUBLISH)
        account.text, account.said = f"published {one_line(account.name)}", _value_on_line(facts.value, limit)
        return
    if facts.by is not None:
        account.agent, account.model = facts.by.get("agent", ""), facts.by.get("model", "")
        account.text = f"{account.agent} asked {account.model}" + ("" if name == "turn" else f" for a {name}")
    record, value = work_record(facts), facts.value
    if isinstance(record, TurnRecord):
        _describe_turn(account, record, lines, limit)
        return
    if isinstance(record, CallRecord):
        account.tone = "broken" if record.error else "call"
        account.text = f"{name}{' failed' if record.error else _RETURNED}"
        account.said = safe_line(record.text, limit) or '""'
        lines += [f"{field} will get {_value_on_line(new, limit)}" for field, new in record.writes.items()]
        return
    work = WorkKey.read(facts.key)
    if work.kind == "child":
        _describe_end_of_child(account, work.of, value, limit)
        # A key with a space also contains the version of the graph from which the result was migrated.
        if " " in work.input and isinstance(value, dict):
            account.text = f"the result of run {work.of} was migrated to version {value.get('version', 1)} of its graph"
    elif facts.name == STARTS and isinstance(value, dict):
        account.child = str(value.get("run_id", ""))
        account.text = f"started run {account.child}"
    else:
        account.text, account.said = account.text or f"{name}{_RETURNED}", _value_on_line(value, limit)


def _describe_end_of_child(account: Account, child: str, record: object, limit: int) -> None:
    end = record if isinstance(record, dict) else {}
    account.child, account.text = child, f"run {child} {end.get('status', 'finished')}"
    account.said = safe_line(str(end.get("why", "")), limit)


def _describe_turn(account: Account, record: TurnRecord, lines: list[str], limit: int) -> None:
    """Describe a model's reply, and the feedback and messages that were sent to the model before the reply."""
    calls = [f"calls {call.name}({call.arguments})" for call in record.calls]
    texts = [record.text or '""'] if record.text or not calls else []
    account.said = safe_line("; ".join([*texts, *calls]), limit)
    account.said += f" ({record.stop})" if record.stop not in ("end", "tools") else ""
    if record.feedback is not None:
        account.tone, account.sent_back = "rejected", safe_line(record.feedback, limit)
    lines += ["was asked to go on with its answer, which was cut"] if record.goes_on is not None else []
    lines += [f"was sent: {safe_line(text, limit)}" for text in record.steered]
    if record.held_seconds:
        lines.append(f"waited {seconds(record.held_seconds)} for other calls of its model; {_MORE_CALLS}")


def _describe_end_of_wait(
    account: Account, step: Step, facts: AttemptEnded | Answered, lines: list[str], limit: int
) -> None:
    """Describe a step with which a wait of a node ended: who answered, after how long, and with which reason."""
    given, by = facts.answer, facts.by
    account.ended_by = by
    account.text = _ENDED_BY.get(by, "answered")
    if by == "time" or given is None:
        return
    account.by = safe_line(given.by, _PERSON)
    account.text += f" by {account.by}" if account.by else ""
    was_open = open_seconds(step) if by == "answer" else None
    account.text += f" after {seconds(was_open)}" if was_open is not None else ""
    account.said = _value_on_line(None if given.value is UNSET else given.value, limit)
    lines += [f"because: {safe_line(show(given.reason), limit)}"] if show(given.reason) else []
    if isinstance(facts, Answered):
        lines += [f"{name}: {_value_on_line(value, limit)}" for name, value in facts.also.items()]


def _describe_attempt(account: Account, facts: AttemptEnded, lines: list[str], limit: int) -> None:
    """Describe what an attempt of a node recorded besides its result or error, such as the messages that it sent."""
    if isinstance(facts, Attempt):
        account.due = facts.due_at
        lines += ["its fallback is run"] if facts.then == "fallback" else []
    lines += [lost_call(each) for each in facts.lost.values() if isinstance(each, Mapping)]
    if not isinstance(facts, Node):
        return
    account.inside = facts.inside.label if facts.inside is not None else ""
    if facts.sent or facts.emitted:
        sent = [f"sent {topic}: {_value_on_line(payload, limit)}" for topic, payload in facts.sent[:limit]]
        account.sent = [*sent, *(f"emitted {_value_on_line(shown, limit)}" for shown in facts.emitted[:limit])]
    unused = ", ".join(own_name(WorkKey.read(key).name) for key in facts.unused)
    lines += [f"recorded, but not used again: {unused}"] if unused else []


def lost_call(lost: Mapping[str, JsonValue]) -> str:
    """Describe on one line a model call that gave no answer. The account leaves out the request that was sent."""
    return f"{lost.get('agent')} asked {lost.get('model')}, which gave no answer"


def _describe_message(account: Account, facts: Message, limit: int) -> None:
    """Describe a message that the run received: its topic and its payload.

    Of a message to a conversation, only the text that the person wrote is shown.
    """
    payload: Any = facts.payload
    # The message reports the end of a child run to the run that started the child.
    if facts.told and isinstance(payload, dict) and "state" not in payload:
        _describe_end_of_child(account, str(payload.get("run_id", "")), payload, limit)
        return
    given = payload.get("given") if isinstance(payload, dict) else None
    texts = [each for each in given.values() if isinstance(each, str)] if isinstance(given, dict) else []
    account.text, account.said = safe_line(facts.topic, limit), _value_on_line(texts[0] if texts else payload, limit)


def _shifts(facts: Shift) -> Iterator[str]:
    """Yield a line for each change of a run that became necessary because the run's graph has changed.

    A run is adapted to a changed graph when it is resumed, or when a branch is started from it. For example, if a node
    has a new name, a line says that the records of the old node now belong to the new name.
    """
    yield from (f"the graph changed: {change}" for change in facts.changes)
    for frame, names in facts.renamed.items():
        yield from (f"the records of {path_of(frame, old)} now belong to {new}" for old, new in names.items())
    yield from (f"the run continues at {path_of(frame, node)}" for frame, node in facts.moved.items())
    yield from facts.left
    yield from ("its question has changed and is asked again" for _ in facts.asks)


def _tone(step: Step) -> Tone:
    facts = step.data
    if isinstance(facts, Failed) or (isinstance(facts, (Outcome, Stopped)) and facts.status == "failed"):
        return "failed"
    if facts.error is not None or isinstance(facts, Attempt):
        return "fallback" if falls_back(step) else "retry"
    if isinstance(facts, Resumed) and facts.crashed:
        return "retry"
    if isinstance(facts, (Waiting, Refused)):
        return "waiting"
    return "ended" if isinstance(facts, Stopped) or (isinstance(facts, Outcome) and facts.status) else ""


def _losses(step: Step) -> Mapping[str, int]:
    """Count what went wrong in a step, such as retries, fallbacks and failed items.

    The result has a number for each kind. Added up over all steps of a run, the numbers must be those that the engine
    counts for the run.
    """
    facts, usage = step.data, usage_of(step)
    own: dict[str, int] = {}
    if falls_back(step):
        own["fallbacks"] = 1
    elif isinstance(facts, Attempt) and facts.then != "fallback":
        own["retries"] = 1
    elif isinstance(facts, Failed) and facts.has_failed and step.frame.endswith("]"):
        own["failed_items"] = 1
    return losses_of(usage, own) if usage or own else own


def safe_line(text: str, limit: int) -> str:
    """Return a text on one line of at most `limit` characters, with unprintable characters escaped."""
    line = one_line(text, limit)
    return line if line.isprintable() else clean(line)


def _value_on_line(value: JsonValue, limit: int) -> str:
    # The traceback of a failed tool contains paths of the server, which readers must not see.
    if isinstance(value, dict) and "traceback" in value:
        value = {name: each for name, each in value.items() if name != "traceback"}
    line = compact(value, limit)
    return line if line.isprintable() else clean(line)


__all__ = [
    "TROUBLES",
    "Account",
    "Tone",
    "account_of",
    "account_of_step",
    "changes_in",
    "due_words",
    "lost_call",
    "safe_line",
    "wait_line",
]

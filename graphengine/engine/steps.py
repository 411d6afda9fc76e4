"""Steps: the rows of a run's log, and their JSON.

A step has a position (`seq`, `frame`, `node`, `visit`, `attempt`), times, operations on the state (`update`) and, in a
record of its own for each kind of step, the facts: what else was decided. Folding the steps of a run in order of `seq`
gives its snapshot; nothing else is needed. Only `encode_step` and `decode_step` know the JSON, which leaves out what is
empty.

Operations: `["set", field, value]`, `["append", field, item]`, `["extend", field, items]`,
`["merge", field, mapping]`, `["add", field, number]`, `["put", field, key, value]` (one key of a dict),
`["grow", field, key, items]` (extend the list under one key of a dict) and `["reduce", field, raw, value]` (any other
reducer: the raw update is kept for people, the fold sets the value).
`["drop", field]` occurs only in what a migration did to a state.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Annotated, Any, ClassVar, Final, Literal, TypeAlias, get_args

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType
from pydantic_core import from_json

from graphengine.state.json_values import JsonValue, Op
from graphengine.state.stop import Stop

FORMAT: Final = 1
"""The version of the log's format, written with every run."""

Kind: TypeAlias = Literal[
    "started",
    "node",
    "attempt",
    "failed",
    "left",
    "joined",
    "mapped",
    "item",
    "entered",
    "begun",
    "recorded",
    "waiting",
    "answered",
    "refused",
    "message",
    "resumed",
    "stopped",
    "branched",
]
RunStatus: TypeAlias = Literal["running", "waiting", "finished", "stopped", "failed"]
Number: TypeAlias = int | float
"""Kept as recorded: 1 and 1.0 are different JSON."""
Count: TypeAlias = Annotated[int, msgspec.Meta(ge=0)]
_LATEST: Final = 253_402_300_799
"""The last second of the year 9999, epoch seconds: no step is made later."""
Time: TypeAlias = (
    Annotated[int, msgspec.Meta(ge=-_LATEST, le=_LATEST)] | Annotated[float, msgspec.Meta(ge=-_LATEST, le=_LATEST)]
)
Usage: TypeAlias = Mapping[str, Number | None]
"""What models were paid, by name of the amount; None where it is unknown."""
Limits: TypeAlias = Mapping[str, Number | bool | None]
Marks: TypeAlias = Mapping[str, JsonValue]
"""What plateaus, counts since a node and changes need of the past, by key."""

# --- what several kinds of steps say ---------------------------------------------------------------------------------


class FailureRecord(Struct, omit_defaults=True, forbid_unknown_fields=True, dict=True):
    """A failure as recorded, with the exception itself until the process that decided takes it.

    Attributes:
        path: The node's place in the run, as `article/review`.
        kind: The exception's name, or the engine's code (`timeout`, `invalid_update`, …).
        message: Its text.
        attempt: Which attempt it was, from 1.
        where: The place that the engine's own errors name.
        repair: Their repair.
        traceback: The traceback as text.
        pause_seconds: How long the other side asks to be left alone.
        repeats: Whether the same input brings it again.
    """

    path: str
    kind: str
    message: str
    attempt: int = 0
    where: str = ""
    repair: str = ""
    traceback: str = ""
    pause_seconds: Number = 0
    repeats: bool = False

    @property
    def raised(self) -> BaseException | None:
        """The exception, in the process that it was raised in; never recorded."""
        return vars(self).get("raised")

    @raised.setter
    def raised(self, error: BaseException | None) -> None:
        vars(self)["raised"] = error


class ForkRecord(Struct, omit_defaults=True, forbid_unknown_fields=True):
    """A fork that was taken: its join, how many arms must arrive (None: all), its condition in words, its label."""

    join: str
    need: int | None = None
    condition: str = ""
    label: str = ""


class WaitRecord(Struct, omit_defaults=True, forbid_unknown_fields=True, kw_only=True):
    """One thing that a frame waits for.

    Attributes:
        kind: `ask`, `receive`, `sleep`; `pause` before a node; `crash`: whether to repeat an attempt that was cut off.
        question: What is asked, in words.
        topic: The topic of the message.
        schema: The JSON Schema of the answer.
        due: When it ends by itself, epoch seconds.
        default: The answer it then has.
        key: Under which the answer is recorded for the node's code; "" if the wait is the node itself.
        choice: What `choose` picked, where the wait is the node itself.
        id: Its id, which no other wait has; given when the wait is folded.
    """

    kind: Literal["ask", "receive", "sleep", "pause", "crash"]
    question: str = ""
    topic: str | None = None
    schema: Mapping[str, Any] | None = None
    due: Number | None = None
    default: JsonValue | UnsetType = UNSET
    key: str = ""
    choice: str = ""
    id: str = ""


class AnswerRecord(Struct, omit_defaults=True, forbid_unknown_fields=True):
    """What ended a wait: a value, which may be None, or the end of its time."""

    value: JsonValue | UnsetType = UNSET
    timeout: bool = False


Said: TypeAlias = Mapping[str, Sequence[JsonValue]]
"""What a piece of work sent and showed: `sent` and `emitted`."""

# --- the facts of each kind of step ----------------------------------------------------------------------------------


class Facts(Struct, omit_defaults=True, forbid_unknown_fields=True, kw_only=True):
    """What a step records beside its position, times and operations. Each kind of step has a class of its own."""

    kind: ClassVar[Kind]


class Spent(Facts, kw_only=True):
    """Facts of work that models may have been paid for."""

    usage: Usage = {}


class Outcome(Spent, kw_only=True):
    """Facts of a step that moves its frame, or fails it.

    Attributes:
        choice: What `choose` picked.
        error: The failure; where a fallback stands in, the one that it stands in for.
        names: What the failure can be matched by, for the frames around this one.
        lasting: Whether another attempt cannot help.
        status: What becomes of the frame: `finished`, or `failed`; "" if it continues.
        stop: How the frame ended.
        to: Where it goes: a node, or the targets of a fork's arms. Empty if it stays.
        why: What the conditions said.
        edge: The label of the edge that was taken.
        fork: The fork that was taken.
        marks: The marks that this step sets.
        samples: In an arm, what the marks were made of, as [key, sample], to be taken again at the join.
    """

    choice: str = ""
    error: FailureRecord | None = None
    names: Sequence[str] = ()
    lasting: bool = False
    status: Literal["", "finished", "failed"] = ""
    stop: Stop | None = None
    to: Sequence[str] = ()
    why: str = ""
    edge: str = ""
    fork: ForkRecord | None = None
    marks: dict[str, JsonValue] = {}
    samples: list[JsonValue] = []

    @property
    def has_failed(self) -> bool:
        """Whether its frame fails."""
        return self.status == "failed"


class AttemptEnded(Outcome, kw_only=True):
    """Facts of an attempt that ended, where it waited by the end of its wait.

    Attributes:
        keeps: Whether a recorded call failed and not the node's own code, so that recorded work is kept.
        wait: The name of the wait that ended.
        by: What ended it.
        answer: What was answered.
    """

    keeps: bool = False
    wait: str = ""
    by: Literal["", "answer", "message", "time", "default"] = ""
    answer: AnswerRecord | None = None


class Started(Outcome, kw_only=True):
    """A run began. `after` is the run whose state it begins with; `pause` the nodes before which it waits."""

    kind: ClassVar[Kind] = "started"
    run_id: str
    graph: str
    fingerprint: str
    limits: Limits
    version: Count = 0
    after: str = ""
    pause: Sequence[str] = ()


class Node(AttemptEnded, kw_only=True):
    """A visit of a node completed.

    Attributes:
        fallback: Whether its fallback stands in for its result.
        inside: How the graph that is this node ended.
        sent: Messages to other nodes, as [topic, payload].
        emitted: What it showed and wanted kept.
        unused: Keys of recorded work that it did not ask for again.
        unawaited: Calls of its context that it did not await.
    """

    kind: ClassVar[Kind] = "node"
    fallback: bool = False
    inside: Stop | None = None
    sent: Sequence[JsonValue] = ()
    emitted: Sequence[JsonValue] = ()
    unused: Sequence[str] = ()
    unawaited: Sequence[str] = ()


class Item(Node, kw_only=True):
    """An item of a map is done; `writes` is what it adds to the map's updates."""

    kind: ClassVar[Kind] = "item"
    writes: Sequence[Op]


class Attempt(AttemptEnded, kw_only=True):
    """An attempt failed, and is followed by another one at `due_at`, or by the fallback (`then`)."""

    kind: ClassVar[Kind] = "attempt"
    due_at: Number | None = None
    then: Literal["", "fallback"] = ""


class Failed(AttemptEnded, kw_only=True):
    """A visit failed for good."""

    kind: ClassVar[Kind] = "failed"


class Left(Outcome, kw_only=True):
    """An outgoing edge was chosen later, on resume, for a node that was done before."""

    kind: ClassVar[Kind] = "left"


class Joined(Outcome, kw_only=True):
    """The arms of a fork became one again, or failed; `cancelled` are the arms that were still under way."""

    kind: ClassVar[Kind] = "joined"
    cancelled: Sequence[str] = ()


class Mapped(Facts, kw_only=True):
    """The items of a map were taken.

    Attributes:
        count: How many items there are.
        concurrency: How many of them run at a time.
        fields: By the name that an item has in its node, the list field that it is of.
        items: The items themselves, by that name, where they are of no field.
    """

    kind: ClassVar[Kind] = "mapped"
    count: Count
    concurrency: Annotated[int, msgspec.Meta(gt=0)]
    fields: Mapping[str, str] = {}
    items: Mapping[str, Sequence[JsonValue]] = {}


class Entered(Outcome, kw_only=True):
    """A graph that is a node began, with its own limits."""

    kind: ClassVar[Kind] = "entered"
    graph: str
    limits: Limits = {}


class Begun(Facts, kw_only=True):
    """An attempt began that must not be repeated unasked."""

    kind: ClassVar[Kind] = "begun"


class Recorded(Spent, kw_only=True):
    """A piece of a node's work is done.

    Attributes:
        key: The key under which the node finds it again.
        name: The function that was called.
        value: What it gave.
        by: Which `agent` asked which `model`.
        said: What it sent and emitted.
    """

    kind: ClassVar[Kind] = "recorded"
    key: str
    name: str
    value: JsonValue
    by: Mapping[str, str] = {}
    said: Said = {}


class Waiting(Spent, kw_only=True):
    """A node waits, for any of these, by name."""

    kind: ClassVar[Kind] = "waiting"
    waits: Mapping[str, WaitRecord]


class Answered(Facts, kw_only=True):
    """A wait ended, and its answer is kept for the node's code."""

    kind: ClassVar[Kind] = "answered"
    wait: str
    by: Literal["answer", "message", "time", "default"]
    answer: AnswerRecord


class Refused(Facts, kw_only=True):
    """An answer did not fit: that of a wait (`wait`), or one that a node's code could not read (`key`)."""

    kind: ClassVar[Kind] = "refused"
    key: str = ""
    wait: str = ""
    answer: JsonValue | UnsetType = UNSET
    message: str


class Message(Facts, kw_only=True):
    """A message is kept until it is received."""

    kind: ClassVar[Kind] = "message"
    topic: str
    payload: JsonValue


class Shift(Facts, kw_only=True):
    """What a changed graph does to a run that it takes over; see `graphengine.engine.rebase`.

    Attributes:
        changes: What is new about the graph, in words.
        renamed: Old node to new node, by the frame of their graph.
        pauses: The nodes before which the run waits, under their new names.
        moved: The node where a frame continues, by frame.
        refit: Operations on fields, by frame.
        asks: The frames whose question is another one now.
        marks_of: Marks that are new, by the frame of their graph.
    """

    changes: Sequence[str] = ()
    renamed: Mapping[str, Mapping[str, str]] = {}
    pauses: Sequence[str] | None = None
    moved: Mapping[str, str] = {}
    refit: Mapping[str, Sequence[Op]] = {}
    asks: Sequence[str] = ()
    marks_of: Mapping[str, Marks] = {}

    @property
    def moves(self) -> bool:
        """Whether it does anything to the run."""
        return bool(self.renamed or self.pauses or self.moved or self.refit or self.asks or self.marks_of)


class Continued(Shift, kw_only=True):
    """A run continues, maybe under a changed graph.

    Attributes:
        limits: The run's limits from now on.
        fingerprint: The fingerprint of the graph of today.
        pause: The nodes before which the run waits from now on; None if they stay.
        marks: Marks of the frame that the step is of.
    """

    limits: Limits
    fingerprint: str
    pause: Sequence[str] | None = None
    marks: dict[str, JsonValue] = {}


class Resumed(Continued, kw_only=True):
    """A run continues.

    Attributes:
        crashed: Whether nodes were in flight when its process died.
        company: Whether the process drives other runs too, where a third crash would give a node up.
        retries: Whether what failed next to what waits is tried again.
        sub_limits: The limits of graphs inside that changed, by their frames.
    """

    kind: ClassVar[Kind] = "resumed"
    crashed: bool = False
    company: bool = False
    retries: bool = False
    sub_limits: Mapping[str, Limits] = {}


class Branched(Continued, kw_only=True):
    """A child run begins after its parent's step."""

    kind: ClassVar[Kind] = "branched"
    run_id: str
    parent: str


class Stopped(Spent, kw_only=True):
    """A run stopped, or (`error`) could not be driven."""

    kind: ClassVar[Kind] = "stopped"
    status: Literal["stopped", "failed"]
    stop: Stop
    error: FailureRecord | None = None


AnyFacts: TypeAlias = (
    Started
    | Node
    | Attempt
    | Failed
    | Left
    | Joined
    | Mapped
    | Item
    | Entered
    | Begun
    | Recorded
    | Waiting
    | Answered
    | Refused
    | Message
    | Resumed
    | Stopped
    | Branched
)
"""The facts of a step, whatever its kind: `match` on them ends with `assert_never`."""

# --- a step ----------------------------------------------------------------------------------------------------------


class Step(Struct):
    """One row of the log.

    Attributes:
        seq: 1, 2, 3, … without gaps, within a run and the parents it branched from.
        at: When it was decided, epoch seconds.
        data: What was decided, in the record of its kind.
        frame: The id of the frame it belongs to, see `graphengine.engine.snapshot.Frame`; the run's own is "".
        node: The node's name, "" for rows of the run itself.
        visit: Which visit of the node in its frame, from 1.
        attempt: Which attempt of the visit, from 1.
        began: When the attempt's work began, epoch seconds; 0 for rows without work.
        update: Operations on the frame's state.
        typed: Beside each operation the typed value that it sets or adds, for the process that decided; never
            recorded.
        weight: An upper bound of the state's size after it, in bytes, for the process that decided; 0 if it was not
            measured.
    """

    seq: int
    at: float
    data: AnyFacts
    frame: str = ""
    node: str = ""
    visit: int = 0
    attempt: int = 0
    began: float = 0.0
    update: Sequence[Op] = ()
    typed: Sequence[object] | None = None
    weight: int = 0

    @property
    def kind(self) -> Kind:
        """The kind of step, as its facts are."""
        return self.data.kind

    @property
    def path(self) -> str:
        """The node's place in the tree of frames, as `article/review`."""
        return path_of(self.frame, self.node)


def path_of(frame: str, node: str) -> str:
    """A node's place in the tree of frames. Arms of forks are not part of it: their nodes are the graph's own."""
    if not frame:
        return node
    parts = [part.split("~", 1)[0] for part in frame.split("/")]
    if not frame.endswith("]"):  # an item's frame is named by the node and its place
        parts.append(node)
    return "/".join(part for part in parts if part)


def without_items(path: str) -> str:
    """A path without the places of items: `research[3]` is `research`."""
    return _ITEM.sub("", path)


_ITEM: Final = re.compile(r"\[[^\]]*\]")

# --- what is asked of steps of any kind -------------------------------------------------------------------------------

_NOTHING: Final = Left()


def outcome_of(step: Step) -> Outcome:
    """What a step says of where its frame goes; empty facts if it is of a kind that moves none."""
    return step.data if isinstance(step.data, Outcome) else _NOTHING


def failure_of(step: Step) -> FailureRecord | None:
    """The failure that a step records, if any."""
    return step.data.error if isinstance(step.data, (Outcome, Stopped)) else None


def usage_of(step: Step) -> Usage:
    """What models were paid in a step."""
    return step.data.usage if isinstance(step.data, Spent) else {}


def ops_of(step: Step) -> Sequence[Op]:
    """What a step writes: to the state, or, of an item, to the map's updates."""
    return step.data.writes if isinstance(step.data, Item) else step.update


def falls_back(step: Step) -> bool:
    """Whether a fallback stands in for a result."""
    return isinstance(step.data, Node) and step.data.fallback


def marks_in(step: Step) -> Marks:
    """The marks that a step sets in its own frame."""
    return step.data.marks if isinstance(step.data, (Outcome, Continued)) else {}


def fingerprint_of(step: Step) -> str:
    """The fingerprint of the graph that a run is driven with from a step on; "" if the step says none."""
    return step.data.fingerprint if isinstance(step.data, (Started, Continued)) else ""


def facts_record(facts: Facts) -> dict[str, Any]:
    """The facts of a step as JSON values, without what is empty."""
    record: dict[str, Any] = msgspec.to_builtins(facts)
    return record


# --- the JSON of a step ----------------------------------------------------------------------------------------------


class _Row(Struct, forbid_unknown_fields=True):
    kind: str
    at: Time
    frame: str = ""
    node: str = ""
    visit: Count = 0
    attempt: Count = 0
    began: Time = 0.0
    update: Sequence[Annotated[Sequence[Any], msgspec.Meta(min_length=2)]] = ()
    data: Raw = Raw(b"{}")


_encode: Final = msgspec.json.Encoder().encode
_rows: Final = msgspec.json.Decoder(_Row)
FACTS: Final[Mapping[str, type[AnyFacts]]] = {facts.kind: facts for facts in get_args(AnyFacts)}
"""The record of each kind of step."""
_facts: Final = {kind: msgspec.json.Decoder(facts) for kind, facts in FACTS.items()}
_EMPTY: Final = frozenset(kind for kind, facts in FACTS.items() if not facts.__struct_fields__)


def encode_step(step: Step) -> bytes:
    """The step as JSON bytes; `seq` is not among them, since a store keys its rows by it."""
    kind = step.data.kind
    row: dict[str, object] = {"kind": kind, "at": step.at}
    if step.frame:
        row["frame"] = step.frame
    if step.node:
        row["node"] = step.node
    if step.visit:
        row["visit"] = step.visit
    if step.attempt:
        row["attempt"] = step.attempt
    if step.began:
        row["began"] = step.began
    if step.update:
        row["update"] = step.update
    if kind not in _EMPTY:
        row["data"] = step.data
    return _encode(row)


def read_json(body: bytes | str) -> JsonValue:
    """What was recorded as JSON, without infinite dates and limits: earlier versions took them, and they mean none.

    Raises:
        ValueError: It is no JSON.
    """
    found = from_json(body)
    odd = ("Infinity", "NaN") if isinstance(body, str) else (b"Infinity", b"NaN")  # a text may have such words too
    return _without_odd_numbers(found) if any(word in body for word in odd) else found  # type: ignore[operator]


def _without_odd_numbers(value: JsonValue) -> JsonValue:
    if isinstance(value, dict):
        return {k: _without_odd_numbers(v) for k, v in value.items() if not isinstance(v, float) or isfinite(v)}
    if isinstance(value, list):
        return [_without_odd_numbers(item) for item in value]
    return value


def decode_step(seq: int, body: bytes | str) -> Step:
    """The step that `encode_step` wrote under this seq.

    Raises:
        ValueError: The body is not such JSON, or has what only a newer version knows.
    """
    try:
        try:
            row = _rows.decode(body)
            data: AnyFacts = _facts[row.kind].decode(row.data)
        except (msgspec.DecodeError, UnicodeError):  # NaN, or what only an earlier version wrote
            record = read_json(body)
            facts = record.pop("data", {})
            if isinstance(facts, dict) and isinstance(facts.get("to"), str):
                facts["to"] = [facts["to"]]
            row = msgspec.convert(record, _Row)
            data = msgspec.convert(facts, FACTS[row.kind])
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
        message = f"step {seq} is no record of a step: {error}"
        raise ValueError(message) from error
    return Step(seq, row.at, data, row.frame, row.node, row.visit, row.attempt, row.began, row.update)

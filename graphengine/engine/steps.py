"""Steps: the rows of a run's log.

A step has a position (`seq`, `frame`, `node`, `visit`, `attempt`), times, operations on the state (`update`) and, in a
record for each kind of step, the facts: everything else that was decided. Folding the steps of a run in order of `seq`
gives its snapshot; nothing else is needed. `graphengine.engine.step_json` knows their JSON.

Operations: `["set", field, value]`, `["append", field, item]`, `["extend", field, items]`,
`["merge", field, mapping]`, `["add", field, number]`, `["put", field, key, value]` (one key of a dict),
`["grow", field, key, items]` (extend the list under one key of a dict) and `["reduce", field, raw, value]` (any other
reducer: the raw update is kept for readers, the fold sets the value). `["drop", field]` occurs only in
the `field_changes` of a migration.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, Literal, TypeAlias, TypedDict, TypeVar

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from graphengine.state.amounts import LimitsRecord, Number, Usage
from graphengine.state.ending import Ending
from graphengine.state.json_values import JsonObject, JsonValue, Mark, Op
from graphengine.state.measured import Tested
from graphengine.state.recorded_text import NO_TEXT, RecordedText

T = TypeVar("T")

FORMAT: Final = 4
"""The version of the log's format, written with every snapshot. 3 adds processes that were cut off, 4 the nonce."""
OLDEST: Final = 2
"""The oldest format of a snapshot that is read."""

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
    "removed",
]
RunStatus: TypeAlias = Literal["running", "waiting", "finished", "stopped", "failed", "cancelled"]
OVER: Final = ("finished", "stopped", "failed", "cancelled")
"""The statuses of a run that has ended."""
FINAL: Final = ("finished", "cancelled")
"""Those of them that no resume changes."""
Count: TypeAlias = Annotated[int, msgspec.Meta(ge=0)]
_LATEST: Final = 253_402_300_799
"""The last second of the year 9999, epoch seconds: `datetime` shows no later time."""
Time: TypeAlias = (
    Annotated[int, msgspec.Meta(ge=-_LATEST, le=_LATEST)] | Annotated[float, msgspec.Meta(ge=-_LATEST, le=_LATEST)]
)
Marks: TypeAlias = Mapping[str, Mark]
"""Memory of conditions (plateaus, counts since a node, changes), by key."""

# --- Records that several kinds of steps share -----------------------------------------------------------------------


class FailureRecord(Struct, omit_defaults=True, forbid_unknown_fields=True, dict=True):
    """A failure as recorded, with the exception itself until the deciding process removes it.

    Attributes:
        path: The node's path in the run, as `article/review`.
        kind: The exception's name, or the engine's code (`timeout`, `invalid_update`, …).
        message: Its text.
        attempt: Which attempt it was, from 1.
        where: The place that the engine's own errors name.
        repair: Their repair.
        traceback: The traceback as text.
        pause_seconds: How long to wait before another attempt, as the remote side asks.
        repeats: Whether the same input fails the same way again: another attempt of its own node cannot help, but a
            retry around it, which makes a new input, may.
        names: The names that match it: those of its class and its base classes.
        non_retryable: Whether no other attempt can help, neither of its node nor of what is around it.
        replaced: The failure that this one replaced: what a condition raised while that one was handled.
    """

    path: str
    kind: str
    message: RecordedText
    attempt: int = 0
    where: str = ""
    repair: str = ""
    traceback: str = ""
    pause_seconds: Number = 0
    repeats: bool = False
    names: Sequence[str] = ()
    non_retryable: bool = False
    replaced: FailureRecord | None = None

    @property
    def first(self) -> FailureRecord:
        """The failure that came first, if this one replaced another."""
        found = self
        while found.replaced is not None:
            found = found.replaced
        return found

    @property
    def raised(self) -> BaseException | None:
        """The exception, in the process in which it was raised; never recorded."""
        return vars(self).get("raised")

    @raised.setter
    def raised(self, error: BaseException | None) -> None:
        vars(self)["raised"] = error

    def drop_exceptions(self) -> None:
        """Remove the exceptions of this failure and of those that it replaced.

        Their frames hold its step, and the collector does not look through steps: without this they are never freed.
        """
        part: FailureRecord | None = self
        while part is not None:
            part.raised, part = None, part.replaced


class ForkRecord(Struct, omit_defaults=True, forbid_unknown_fields=True):
    """A fork that was taken: its join, how many arms must arrive (None: all), its condition as text, its label."""

    join: str
    need: int | None = None
    condition: str = ""
    label: str = ""


class WaitRecord(Struct, omit_defaults=True, forbid_unknown_fields=True, kw_only=True):
    """One thing that a frame waits for.

    Attributes:
        kind: `ask`, `receive`, `sleep`; `pause` before a node; `unknown`: how an effect ended that began; `tool`: a
            call that another program executes.
        question: The question, as text.
        title: What it is about, in a few words; "" if only the question says it.
        facts: What the one who answers must know, by name.
        seen: What the call of a tool that is to be approved has besides the arguments that are written: defaults.
        proposed: The value that is proposed, if one is.
        old: The value that it would replace.
        may_answer: Who may answer, by the names of users; empty for all who have the right.
        asked_at: When it began, epoch seconds; the time of its step, set when the wait is folded.
        topic: The topic of the message.
        schema: The JSON Schema of the answer.
        due: When it times out, epoch seconds.
        default: The answer after a timeout.
        key: The key under which the answer is recorded for the node's code; "" if the wait is the node itself.
        choice: What `choose` picked, if the wait is the node itself.
        id: Its id, assigned when the wait is folded: of a question, its name and the seq of the step that asked it
            first. It is the same for as long as a visit asks it, unchanged.
        keeps_slot: Whether an item of a map keeps its slot meanwhile, as it does for a pause and an unknown effect.
        together: Whether it ends in one step with others of its node whose messages are there too: nothing else
            receives its topic.
    """

    kind: Literal["ask", "receive", "sleep", "pause", "unknown", "tool"]
    question: RecordedText = NO_TEXT
    title: RecordedText = NO_TEXT
    facts: JsonObject = {}
    seen: JsonObject = {}
    proposed: JsonValue | UnsetType = UNSET
    old: JsonValue | UnsetType = UNSET
    may_answer: Sequence[str] = ()
    asked_at: Number = 0
    topic: str | None = None
    schema: JsonObject | None = None
    due: Number | None = None
    default: JsonValue | UnsetType = UNSET
    key: str = ""
    choice: str = ""
    id: str = ""
    keeps_slot: bool = False
    together: bool = False


class StarterRecord(Struct, omit_defaults=True, forbid_unknown_fields=True, kw_only=True):
    """The node that started a run: `ctx.start`. Each end of the run is told to that node's run, as a message.

    Attributes:
        run_id: The node's run.
        nonce: The nonce of that run.
        node: The node's path there.
        visit: Which visit of it.
        topic: The topic on which the end is told, with the final state; "" if the node itself waits for it.
        stays: Whether the run goes on when the one that started it is stopped.
        root: The run at the top of its tree, with which it is stopped; "" if it stays, and is the top of its own.
        root_nonce: The nonce of that run.
        depth: How many runs are above it, whether it stays or not.
    """

    run_id: str
    node: str
    visit: Count
    topic: str = ""
    stays: bool = False
    root: str = ""
    depth: Count = 1
    nonce: str = ""
    root_nonce: str = ""


class OriginRecord(Struct, omit_defaults=True, forbid_unknown_fields=True, kw_only=True):
    """What began, resumed or branched off a run, and for whom.

    Attributes:
        version: The version of graphengine that wrote the step.
        deploy: The label of the program's deploy, as its Runner names it.
        user: Who asked for it; "" if no user did.
        models: The names of the models that were given last, by for whom, `*` for all others: agents have them in each
            later command that is given no others. One whose name begins with `object ` is known to its program only.
        wings: The names of the extensions that act in the run.
        result: The path of the state that the graph names with `result=`; "" if it names none, or a function.
    """

    version: str = ""
    deploy: str = ""
    user: str = ""
    models: Mapping[str, str] = {}
    wings: Sequence[str] = ()
    result: str = ""


class AnswerRecord(Struct, omit_defaults=True, forbid_unknown_fields=True):
    """The end of a wait: a value, which can be None, or a timeout.

    Attributes:
        value: The value.
        timeout: Whether the time was over.
        by: Who gave it, if that is known.
        through: The door through which it came, such as `cli`; "" for a program's own call.
        reason: Why, in the words of the one who answered.
        at: When it was given, epoch seconds; 0 if nobody gave it.
        id: The id of the question that it was given to; "" if nobody gave it.
    """

    value: JsonValue | UnsetType = UNSET
    timeout: bool = False
    by: str = ""
    through: str = ""
    reason: RecordedText = NO_TEXT
    at: Number = 0
    id: str = ""


ANSWERABLE: Final = ("ask", "pause", "tool", "unknown")
"""The kinds of waits that an answer ends."""

OutputKind: TypeAlias = Literal["sent", "emitted"]

if TYPE_CHECKING:

    class Outputs(TypedDict, total=False):
        """The messages (`sent`) and kept live data (`emitted`) of a piece of work."""

        sent: list[JsonValue]
        emitted: list[JsonValue]

    class ModelCaller(TypedDict):
        """The agent that called a model, and the model that answered, as `anthropic:claude-…`."""

        agent: str
        model: str

else:  # as `Usage`: keys of other versions are kept
    Outputs = dict[str, Sequence[JsonValue]]
    ModelCaller = dict[str, str]

_NO_SNAPSHOT: Final = Raw(b"")

# --- The facts of each kind of step ----------------------------------------------------------------------------------


class Facts(Struct, omit_defaults=True, forbid_unknown_fields=True, kw_only=True, gc=False):
    """What a step records in addition to its position, times and operations. Each kind of step has its own class.

    Nothing in a step refers to the step, so steps are left out of garbage collection: a process holds many of them.

    Attributes:
        error: The failure that it records, if any.
    """

    kind: ClassVar[Kind]
    error: ClassVar[FailureRecord | None] = None


class Spent(Facts, kw_only=True):
    """Facts of work that may have spent something."""

    usage: Usage = {}


class Outcome(Spent, kw_only=True):
    """Facts of a step that moves its frame, or fails it.

    Attributes:
        choice: What `choose` picked.
        error: The failure; if a fallback is used, the failure that it replaces.
        status: The frame's new status: `finished`, or `failed`; "" if it continues.
        ending: How the frame ended.
        to: Where it moves: a node, or the targets of a fork's arms. Empty if it stays.
        edge: The label of the edge that was taken.
        way: The place of that edge in the spec of its graph, under the fingerprint in force; -1 if none was taken.
        case: The place of the case that it had, if it is a switch; -1 for `otherwise`, and for other edges.
        tests: The conditions of edges that were evaluated, in that order: none but the last can have held.
        arms: Those of the arms of the fork that was taken; the arms of `to` run.
        chosen: Of each graph around its frame, from the outermost in, what `choose` picked; empty if nothing did.
        fork: The fork that was taken.
        marks: The marks that this step sets.
        samples: In an arm, the samples of the marks, as [key, sample], to be taken again at the join. A number that
            JSON lacks is text (`state.numbers`), a sample that could not be taken is [why].
    """

    choice: str = ""
    error: FailureRecord | None = None  # type: ignore[misc]
    status: Literal["", "finished", "failed"] = ""
    ending: Ending | None = None
    to: Sequence[str] = ()
    edge: str = ""
    way: Annotated[int, msgspec.Meta(ge=-1)] = -1
    case: Annotated[int, msgspec.Meta(ge=-1)] = -1
    tests: Sequence[Tested] = ()
    arms: Sequence[Tested] = ()
    chosen: Sequence[str] = ()
    fork: ForkRecord | None = None
    marks: dict[str, Mark] = {}
    samples: Sequence[Sequence[Any]] = ()

    @property
    def has_failed(self) -> bool:
        """Whether its frame fails."""
        return self.status == "failed"


Cause: TypeAlias = Literal["", "finished", "failed", "entered", "settled", "limit", "answered", "over"]


class AttemptEnded(Outcome, kw_only=True):
    """Facts of an attempt that ended, possibly because its wait ended.

    Attributes:
        cause: The event that it ended in, if it is not the usual one: a result that did not fit (`finished`), a failure
            that a fallback's value replaced (`failed`), the beginning of a map or graph (`entered`), the end of the
            frames below (`settled`), a limit of its graph (`limit`), or the end of its wait (`answered`, `over`).
        chance: The random number from 0 to 1 from which the jitter of its retry was computed, if there is any.
        keep_results: Whether recorded work is kept for the next attempt.
        refused: The keys of the recorded work that is not, because it caused the failure.
        lost: What is known of work that began in it and has no record, by the key that its record would have.
        wait: The name of the wait that ended.
        by: What ended it.
        answer: What was answered.
    """

    cause: Cause = ""
    chance: float | None = None
    keep_results: bool = False
    refused: Sequence[str] = ()
    lost: Mapping[str, JsonValue] = {}
    wait: str = ""
    by: Literal["", "answer", "message", "time", "default"] = ""
    answer: AnswerRecord | None = None


class Started(Outcome, kw_only=True):
    """A run began.

    Attributes:
        after: The run whose final state it begins with.
        pause: The nodes before which it waits.
        given: The fields that the caller set, of those that a plateau samples.
        starter: The node that started it; None if no node did.
        origin: What began it; None if that is not known.
        title: What the graph calls it; "" if the graph does not say.
        written: The fields that nodes wrote: of the run that started it, or of the one in `after`.
        nonce: A random text. The id of a run can be used again once the run is removed; with the nonce, it names one
            run. "" for runs of earlier versions.
        key_base: With what the idempotency keys of the run begin, if that is not its id: the id of a child run that was
            derived contains the nonce of its starter, which no receiver of a key knows.
    """

    kind: ClassVar[Kind] = "started"
    run_id: str
    graph: str
    fingerprint: str
    limits: LimitsRecord
    version: Count = 0
    after: str = ""
    pause: Sequence[str] = ()
    given: Sequence[str] = ()
    starter: StarterRecord | None = None
    origin: OriginRecord | None = None
    title: str = ""
    written: Sequence[str] = ()
    nonce: str = ""
    key_base: str = ""


class Node(AttemptEnded, kw_only=True):
    """A visit of a node completed.

    Attributes:
        fallback: Whether the result is its fallback's.
        inside: How the subgraph at this node ended.
        sent: Messages to other nodes, as [topic, payload].
        emitted: Data that it emitted with `record=True`.
        unused: Keys of recorded work that it did not use again.
        unawaited: Calls of its context that it did not await.
        given: The fields in its update that are answers or messages from outside, as they came.
    """

    kind: ClassVar[Kind] = "node"
    fallback: bool = False
    inside: Ending | None = None
    sent: Sequence[Any] = ()
    emitted: Sequence[JsonValue] = ()
    unused: Sequence[str] = ()
    unawaited: Sequence[str] = ()
    given: Sequence[str] = ()


class Item(Node, kw_only=True):
    """An item of a map is done; `writes` is what it adds to the map's updates."""

    kind: ClassVar[Kind] = "item"
    writes: Sequence[Op]


class Attempt(AttemptEnded, kw_only=True):
    """An attempt failed, and another one follows at `due_at`, or the fallback (`then`)."""

    kind: ClassVar[Kind] = "attempt"
    due_at: Number | None = None
    then: Literal["", "fallback"] = ""


class Failed(AttemptEnded, kw_only=True):
    """A visit failed for good."""

    kind: ClassVar[Kind] = "failed"


class Left(Outcome, kw_only=True):
    """The outgoing edge of a node that was done before was chosen after a resume."""

    kind: ClassVar[Kind] = "left"


class Joined(Outcome, kw_only=True):
    """The arms of a fork joined, or failed.

    Attributes:
        arrived: How many of its arms arrived.
        of: How many it had.
        cancelled: The arms that were still running.
    """

    kind: ClassVar[Kind] = "joined"
    arrived: Count = 0
    of: Count = 0
    cancelled: Sequence[str] = ()


MAX_OPEN: Final = 1000
"""How many items of a map may be open if neither its node nor its record says so."""


class Mapped(Facts, kw_only=True):
    """The items of a map were determined.

    Attributes:
        count: How many items there are.
        concurrency: How many of them run at a time.
        max_open: How many of them may have begun and not ended, those that wait included.
        fields: The list field that items are read from, by the item's name in the node.
        items: The items themselves, by that name, if they are not read from a field.
        written: The names of the items that nodes wrote.
    """

    kind: ClassVar[Kind] = "mapped"
    count: Count
    concurrency: Annotated[int, msgspec.Meta(gt=0)]
    max_open: Annotated[int, msgspec.Meta(gt=0)] = MAX_OPEN
    fields: Mapping[str, str] = {}
    items: Mapping[str, Sequence[JsonValue]] = {}
    written: Sequence[str] = ()


class Entered(Outcome, kw_only=True):
    """A subgraph began, with its own limits; `written` are its fields that nodes wrote."""

    kind: ClassVar[Kind] = "entered"
    graph: str
    limits: LimitsRecord = {}
    written: Sequence[str] = ()


class Begun(Facts, kw_only=True):
    """An effect begins: a piece of a node's work, or the node itself.

    An effect that must not be repeated is unknown until its result is recorded. An idempotent effect is repeated, and
    this step keeps the key with which it is repeated.

    Attributes:
        idempotent: Whether the effect may be repeated with the same idempotency key.
        not_done: Whether it had begun, and said itself that it did nothing: its beginning is forgotten.
        key: The key under which its result will be recorded; "" for the node itself.
        name: The name of the function.
        arguments: Its arguments by name; those of a node are its inputs.
        idempotency_key: The key by which others can recognise it.
        unknown: What was to follow if nobody could tell how it ended: a question to a person, or a failure.
        reconcile: The name of the function that was to find that out; "" if there was none.
        code: The id of the code that records this, if no earlier step of the run has recorded work under that code.
    """

    kind: ClassVar[Kind] = "begun"
    idempotent: bool = False
    not_done: bool = False
    key: str = ""
    name: str = ""
    arguments: JsonValue | UnsetType = UNSET
    idempotency_key: str = ""
    unknown: Literal["ask", "fail"] = "ask"
    reconcile: str = ""
    code: str = ""


class Recorded(Spent, kw_only=True):
    """A piece of a node's work is done.

    Attributes:
        key: The key under which the node finds it again; "" for what failed calls of an attempt used that halts.
        name: The name of the function that was called.
        value: The recorded result.
        by: Who called a model; None if it was no call of a model.
        outputs: What it sent and emitted.
        code: As that of `Begun`.
        took: The key of the earlier code's record that this piece of work has taken over; "" for none.
    """

    kind: ClassVar[Kind] = "recorded"
    key: str
    name: str
    value: JsonValue
    by: ModelCaller | None = None
    outputs: Outputs = {}
    code: str = ""
    took: str = ""


class Waiting(Spent, kw_only=True):
    """A node waits for any of these, by name.

    Attributes:
        withdrawn: The ids of questions of this visit that it asks no longer.
        code: As that of `Begun`.
    """

    kind: ClassVar[Kind] = "waiting"
    waits: Mapping[str, WaitRecord]
    withdrawn: Sequence[str] = ()
    code: str = ""


class Answered(Facts, kw_only=True):
    """A wait ended, and its answer is kept for the node's code.

    Attributes:
        also: The messages that end other waits of the node with it, by their names.
    """

    kind: ClassVar[Kind] = "answered"
    wait: str
    by: Literal["answer", "message", "time", "default"]
    answer: AnswerRecord
    also: dict[str, JsonValue] = {}


class Refused(Facts, kw_only=True):
    """An answer did not fit: one to a question (`wait`, `id`), or one that a node's code could not read (`key`).

    If that was a message, `wait` is its topic.
    """

    kind: ClassVar[Kind] = "refused"
    key: str = ""
    wait: str = ""
    id: str = ""
    answer: JsonValue | UnsetType = UNSET
    message: RecordedText


class Message(Facts, kw_only=True):
    """A message is kept until it is received; `told` says that a child run tells its end."""

    kind: ClassVar[Kind] = "message"
    topic: str
    payload: JsonValue
    told: bool = False


class Shift(Facts, kw_only=True):
    """The changes to a run that continues under a changed graph; see `graphengine.engine.graph_migration`.

    Attributes:
        changes: The changes to the graph, as text.
        renamed: Old node to new node, by the frame of their graph.
        pauses: The nodes before which the run waits, under their new names.
        moved: The node where a frame continues, by frame.
        field_changes: Operations on fields, by frame.
        left: The recorded values that it continues without, or that are read as others, as text.
        asks: The frames whose question changed.
        marks_of: New marks, by frame: of conditions that are new, and of values that only their types have changed.
    """

    changes: Sequence[str] = ()
    renamed: Mapping[str, Mapping[str, str]] = {}
    pauses: Sequence[str] | None = None
    moved: Mapping[str, str] = {}
    field_changes: Mapping[str, Sequence[Op]] = {}
    left: Sequence[str] = ()
    asks: Sequence[str] = ()
    marks_of: Mapping[str, Marks] = {}

    @property
    def moves(self) -> bool:
        """Whether it changes the run."""
        return bool(self.renamed or self.pauses or self.moved or self.field_changes or self.asks or self.marks_of)


class Continued(Shift, kw_only=True):
    """A run continues, possibly under a changed graph.

    Attributes:
        limits: The run's limits from now on.
        fingerprint: The fingerprint of the current graph.
        pause: The nodes before which the run waits from now on; None to keep them.
        settled: The maps that keep their failed items as they are, although what failed is retried, by place.
        marks: Marks of the step's frame.
        origin: What resumed it, or branched it off; None if that is not known.
        code: The id of the current code if the run has recorded work under different code; "" if nothing changed.
        recoded: The paths of the nodes with recorded work whose code, or whose graph spec, has changed since.
    """

    limits: LimitsRecord
    fingerprint: str
    pause: Sequence[str] | None = None
    settled: Sequence[str] = ()
    marks: dict[str, Mark] = {}
    origin: OriginRecord | None = None
    code: str = ""
    recoded: Sequence[str] = ()


class Resumed(Continued, kw_only=True):
    """A run is resumed.

    Attributes:
        crashed: Whether nodes were in flight when its process died.
        cut_until: Until when the process that drove it, which is not known to be dead, may still act, epoch seconds; 0
            if it is dead, or gave the run back.
        shared_process: Whether the process also drives other runs, at a point where a third crash would fail a node.
        retries: Whether to retry the failed parts of a run that has not failed, as others wait.
        sub_limits: The limits of subgraphs that changed, by frame.
    """

    kind: ClassVar[Kind] = "resumed"
    crashed: bool = False
    cut_until: Number = 0.0
    shared_process: bool = False
    retries: bool = False
    sub_limits: Mapping[str, LimitsRecord] = {}


class Branched(Continued, kw_only=True):
    """A branch begins after a step of its parent.

    Attributes:
        instructions: Texts that replace the standing instructions in the graph, by whose they are. The engine only
            keeps them.
        nonce: A random text, as of a run that is started.
        title: The title of the branch; "" if it has the title of its parent.
    """

    kind: ClassVar[Kind] = "branched"
    run_id: str
    parent: str
    instructions: Mapping[str, str] = {}
    nonce: str = ""
    title: str = ""


class Stopped(Spent, kw_only=True):
    """A run was stopped, for good if it is `cancelled`, or (`error`) could not be driven.

    Attributes:
        status: The status of the run from then on.
        ending: Why.
        error: Why it could not be driven.
        unknown: The effects of a cancelled run that had begun and have no recorded end, as paths and names: nobody is
            asked whether they happened.
    """

    kind: ClassVar[Kind] = "stopped"
    status: Literal["stopped", "failed", "cancelled"]
    ending: Ending
    error: FailureRecord | None = None  # type: ignore[misc]
    unknown: Sequence[str] = ()

    @property
    def words(self) -> str:
        """Why, for people; of a cancelled run also that it is for good, and what is not known."""
        if self.status != "cancelled":
            return self.ending.why
        lost = f"; not known whether it happened: {', '.join(self.unknown)}" if self.unknown else ""
        return f"cancelled: {self.ending.why}{lost}"


class Removed(Facts, kw_only=True):
    """Retention removed what this step recorded; its number and its time stay.

    Attributes:
        snapshot: Of the last of them: the run after it, from which the next step goes on, as `engine.stored` writes it.
    """

    kind: ClassVar[Kind] = "removed"
    snapshot: Raw = _NO_SNAPSHOT


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
    | Removed
)
"""The facts of a step of any kind; a `match` on them ends with `assert_never`."""

# --- A step ----------------------------------------------------------------------------------------------------------


class Step(Struct, gc=False):
    """A step of a run: one row of its log.

    Attributes:
        seq: 1, 2, 3, … without gaps, within a run and the parents it branched from.
        at: When it was decided, epoch seconds.
        data: The facts, in the record of its kind.
        frame: The id of the frame (subgraph, item or arm) it belongs to; "" for the run's own.
        node: The node's name, "" for rows of the run itself.
        visit: Which visit of the node in its frame, from 1.
        attempt: Which attempt of the visit, from 1.
        began: When the attempt's work began, epoch seconds; 0 for rows without work.
        update: Operations on the frame's state.
        typed: For each operation the typed value that it sets or adds; only of a step that was decided here.
    """

    typed: ClassVar[Sequence[object] | None] = None
    seq: int
    at: float
    data: AnyFacts
    frame: str = ""
    node: str = ""
    visit: int = 0
    attempt: int = 0
    began: float = 0.0
    update: Sequence[Op] = ()

    @property
    def kind(self) -> Kind:
        """The kind of step."""
        return self.data.kind

    @property
    def path(self) -> str:
        """The node's path in the tree of frames, as `article/review`."""
        return path_of(self.frame, self.node)


class Decided(Step, gc=False):
    """A step as `decide` returns it, with what only the deciding process has. Neither field is ever recorded.

    Attributes:
        typed: For each operation the typed value that it sets or adds, which the fold keeps next to the records.
        state_bytes: An upper bound of the state's size after the step, in bytes, for the session; 0 if not measured.
    """

    typed: Sequence[object] | None = None  # type: ignore[misc]
    state_bytes: int = 0


def strip_removed(seq: int, at: float, snapshot: bytes = b"") -> Step:
    """Return what is left of a step once retention has removed it; the last of them has the run's snapshot."""
    return Step(seq, at, Removed(snapshot=Raw(snapshot) if snapshot else _NO_SNAPSHOT))


def path_of(frame: str, node: str) -> str:
    """Return a node's path in the tree of frames. Arms of forks are not part of it: their nodes are the graph's own."""
    if not frame:
        return node
    parts = [part.split("~", 1)[0] for part in frame.split("/")]
    if not frame.endswith("]"):  # an item's frame id ends with the node already: `research[3]`
        parts.append(node)
    return "/".join(part for part in parts if part)


def own_name(name: str) -> str:
    """Return the name of a function, or the key of its work, without the functions around it.

    >>> own_name("write.<locals>.fetch")
    'fetch'
    """
    return name.rpartition("<locals>.")[2]


def without_items(path: str) -> str:
    """Return a path without item indexes: `research[3]` becomes `research`."""
    return _ITEM.sub("", path)


_ITEM: Final = re.compile(r"\[[^\]]*\]")
ALL: Final = "*"
"""The key of what is given for everything."""


def replacing(given: Mapping[str, T], graph: str, path: str, name: str, owner: str | None = None) -> T | None:
    """Return what is given for what has a name at a path, by its most specific key; None for nothing.

    Args:
        given: What is given, by key.
        graph: The graph.
        path: The path of the node.
        name: What is asked for.
        owner: Whose node it is; None if nobody's in particular. The path alone means the owner before others in it.
    """
    return next((given[key] for key in _list_keys(graph, path, name, owner) if key in given), None)


def given_over(before: Mapping[str, T], given: Mapping[str, T], graph: str) -> Mapping[str, T]:
    """Return what is given in a graph with later values: those for everything leave nothing of what was before."""
    prefix = f"{graph}:"
    own = {key.removeprefix(prefix): value for key, value in given.items() if ":" not in key or key.startswith(prefix)}
    return own if ALL in own else {**before, **own}


def _list_keys(graph: str, path: str, name: str, owner: str | None) -> Iterator[str]:
    """Return all keys that match what has a name at a path, the most specific first."""
    parts = path.split("/")
    around = ["/".join((*parts[:count], who)) for count in range(len(parts) - 1, 0, -1) for who in (name, ALL)]
    is_owner = owner is None or owner == name
    found = [f"{path}/{name}", *([path, *around, name] if is_owner else [*around, name, path]), ALL]
    for key in found:
        yield f"{graph}:{key}"
        yield key


# --- Queries on steps of any kind -------------------------------------------------------------------------------------

_NOTHING: Final = Left()


def outcome_of(step: Step) -> Outcome:
    """Return how a step moves its frame; empty facts if steps of its kind move no frame."""
    return step.data if isinstance(step.data, Outcome) else _NOTHING


def usage_of(step: Step) -> Usage:
    """Return what a step spent."""
    return step.data.usage if isinstance(step.data, Spent) else {}


def is_removed(step: Step) -> bool:
    """Return whether only its number and time are left of a step, so that nothing can begin after it."""
    return isinstance(step.data, Removed) and not bytes(step.data.snapshot)

"""Steps: the rows of a run's log.

A step contains a position (`seq`, `frame`, `node`, `visit`, `attempt`), times, operations on the state (`update`), and
its facts. The facts are everything else that was decided; each kind of step has its own class of facts. The snapshot of
a run can be computed from its steps alone, by folding them in order of `seq`. `graphengine.engine.step_json` converts
steps to JSON and back.

Operations on the state:

- `["set", field, value]`
- `["append", field, item]`
- `["extend", field, items]`
- `["merge", field, mapping]`
- `["add", field, number]`
- `["put", field, key, value]` sets one key of a dict.
- `["grow", field, key, items]` extends the list under one key of a dict.
- `["reduce", field, raw, value]` records the result of any other reducer. The fold sets the value; the raw update is
  kept for readers.
- `["drop", field]` removes a field. It occurs only in the `field_changes` of a migration.
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
"""The version of the log's format, which is written with every snapshot.

Version 3 added processes that were cut off, and version 4 added the nonce.
"""
OLDEST: Final = 2
"""The oldest format of a snapshot that this version reads."""

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
"""The statuses of a run that has ended and that no resume can continue."""
Count: TypeAlias = Annotated[int, msgspec.Meta(ge=0)]
_LATEST: Final = 253_402_300_799
"""The last second of the year 9999, in epoch seconds. `datetime` cannot represent a later time."""
Time: TypeAlias = (
    Annotated[int, msgspec.Meta(ge=-_LATEST, le=_LATEST)] | Annotated[float, msgspec.Meta(ge=-_LATEST, le=_LATEST)]
)
Marks: TypeAlias = Mapping[str, Mark]
"""The memory of conditions (plateaus, counts since a node, changes), by key."""

# --- Records that several kinds of steps share -----------------------------------------------------------------------


class FailureRecord(Struct, omit_defaults=True, forbid_unknown_fields=True, dict=True):
    """The failure of a node or a run, as the log records it.

    Until the step is recorded, it also holds the exception object in memory.

    Attributes:
        path: The path of the node in the run, such as `article/review`.
        kind: The name of the exception's class, or a code of the engine (`timeout`, `invalid_update`, …).
        message: The text of the exception.
        attempt: The number of the attempt that failed, counted from 1.
        where: For an error of the engine: the place that the error names.
        repair: For an error of the engine: the repair that the error proposes.
        traceback: The traceback as text.
        pause_seconds: How long to wait before another attempt, as the remote side asked.
        repeats: Whether the same input fails in the same way again. Another attempt of the node itself cannot help
            then, but a retry around the node, which makes a new input, may.
        names: The names that a condition can match: the names of the exception's class and of its base classes.
        non_retryable: Whether no other attempt can help, neither of the node nor of anything around the node.
        replaced: The failure that this failure replaced, for example because a condition raised an error while the
            first failure was handled.
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
        """The failure that happened first, if several failures replaced each other.

        For example, if a node failed and then its fallback failed too, this is the failure of the node.
        """
        found = self
        while found.replaced is not None:
            found = found.replaced
        return found

    @property
    def raised(self) -> BaseException | None:
        """The exception object, which exists only in the process in which it was raised and is never recorded."""
        return vars(self).get("raised")

    @raised.setter
    def raised(self, error: BaseException | None) -> None:
        vars(self)["raised"] = error

    def drop_exceptions(self) -> None:
        """Remove the exception objects from this failure and from those that it replaced, so that memory can be freed.

        The traceback of an exception refers back to the step that contains this failure. Steps are not tracked by the
        garbage collector, so such a cycle would never be collected.
        """
        part: FailureRecord | None = self
        while part is not None:
            part.raised, part = None, part.replaced


class ForkRecord(Struct, omit_defaults=True, forbid_unknown_fields=True):
    """A fork that a run took, as recorded in the step.

    Attributes:
        join: The node at which the arms meet.
        need: How many arms must arrive at the join; None for all arms.
        condition: The condition of the fork, as text.
        label: The label of the fork.
    """

    join: str
    need: int | None = None
    condition: str = ""
    label: str = ""


class WaitRecord(Struct, omit_defaults=True, forbid_unknown_fields=True, kw_only=True):
    """One thing that a run waits for: an answer of a person, a message, a time, or the result of a tool.

    Attributes:
        kind: `ask`, `receive` or `sleep`; `pause` for a pause before a node; `unknown` for the question how an effect
            ended that had begun before a crash; `tool` for a tool call that another program executes.
        question: The question, as text.
        title: The subject of the question in a few words; "" if the question has no title.
        facts: The facts that the person who answers must know, by name.
        seen: For the approval of a tool call: the arguments of the call that the model did not write, which are
            defaults.
        proposed: The value that is proposed, if any.
        old: The value that the proposed value would replace.
        may_answer: The names of the users who may answer. Empty if all users with the right to answer may.
        asked_at: When the wait began, in epoch seconds. The fold sets it to the time of the step.
        topic: The topic of the message that the run waits for.
        schema: The JSON Schema of the answer.
        due: When the wait times out, in epoch seconds.
        default: The answer that applies after a timeout.
        key: The key under which the answer is recorded for the code of the node; "" if the node itself is the wait.
        choice: The choice of the node, if the node itself is the wait and chooses.
        id: The id of the wait, which the fold assigns. The id of a question consists of its name and of the number of
            the step that asked it first. The id stays the same as long as a visit asks the unchanged question.
        keeps_slot: Whether an item of a map counts as working while it waits, as it does for a pause and for an unknown
            effect.
        together: Whether the wait ends in one step with other waits of the node whose messages have also arrived. This
            is possible because no other node receives messages of its topic.
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
    """The node that started a run with `ctx.start`.

    The end of the started run is reported to the run of that node, as a message.

    Attributes:
        run_id: The id of the node's run.
        nonce: The nonce of that run.
        node: The path of the node in that run.
        visit: The number of the node's visit.
        topic: The topic of the message that reports the end, with the final state; "" if the node itself waits for the
            started run.
        stays: Whether the started run continues when the run that started it is stopped.
        root: The run at the top of the tree, with which the started run is stopped. "" if the started run stays,
            because it is then the top of its own tree.
        root_nonce: The nonce of the run at the top.
        depth: How many runs are above the started run, whether it stays or not.
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
    """The program and the user that started, resumed or branched off a run.

    Attributes:
        version: The version of graphengine that wrote the step.
        deploy: The label of the program's deploy, as given to its Runner.
        user: The user who requested the start, the resume or the branch; "" if no user did.
        models: The names of the models that were given last, by the agent for which they were given; `*` stands for all
            other agents. Agents use these models in each later command that does not give other models. A name that
            begins with `object ` is known only to the program that gave the model.
        wings: The names of the extensions that act in the run.
        result: The path of the state that the graph names with `result=`; "" if the graph names a function, or has no
            `result=`.
    """

    version: str = ""
    deploy: str = ""
    user: str = ""
    models: Mapping[str, str] = {}
    wings: Sequence[str] = ()
    result: str = ""


class AnswerRecord(Struct, omit_defaults=True, forbid_unknown_fields=True):
    """How a wait ended: with a value (an answer or a message), or with a timeout.

    Attributes:
        value: The value, which can be None.
        timeout: Whether the wait timed out.
        by: Who gave the answer, if that is known.
        through: The interface through which the answer came, such as `cli`; "" if a program called the API directly.
        reason: The reason for the answer, in the words of the person who answered.
        at: When the answer was given, in epoch seconds; 0 if nobody gave an answer.
        id: The id of the question that was answered; "" if nobody gave an answer.
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
        """The messages that a call inside a node sent, and the data that it emitted with `record=True`."""

        sent: list[JsonValue]
        emitted: list[JsonValue]

    class ModelCaller(TypedDict):
        """The agent that called a model, and the model that answered, such as `anthropic:claude-…`."""

        agent: str
        model: str

else:  # As for `Usage`: keys that other versions wrote are kept.
    Outputs = dict[str, Sequence[JsonValue]]
    ModelCaller = dict[str, str]

_NO_SNAPSHOT: Final = Raw(b"")

# --- The facts of each kind of step ----------------------------------------------------------------------------------


class Facts(Struct, omit_defaults=True, forbid_unknown_fields=True, kw_only=True, gc=False):
    """The content of a step that depends on its kind, besides its position, times and changes to the state.

    Each kind of step has a subclass. Steps are not tracked by the garbage collector, because a process holds many of
    them. This is safe because no part of a step refers back to the step.

    Attributes:
        error: The failure that the step records, if any.
    """

    kind: ClassVar[Kind]
    error: ClassVar[FailureRecord | None] = None


class Spent(Facts, kw_only=True):
    """Content of a step that may have used model calls, tokens or money."""

    usage: Usage = {}


class Outcome(Spent, kw_only=True):
    """Content of a step that moves a frame along an edge of its graph, or that ends the frame.

    Attributes:
        choice: The choice of the node, if the node chooses among several bodies.
        error: The failure. If a fallback is used, the failure that the fallback replaces.
        status: The new status of the frame: `finished` or `failed`; "" if the frame continues.
        ending: How the frame ended.
        to: Where the frame moves: a node, or the targets of the arms of a fork. Empty if the frame stays.
        edge: The label of the edge that was taken.
        way: The position of that edge in the list `ways` of the graph spec whose fingerprint is in force; -1 if the
            frame took no edge.
        case: For a switch: the position of the case that was taken; -1 for `otherwise` and for other edges.
        tests: The conditions of edges that were evaluated, in order of evaluation. Only the last of them can have been
            true.
        arms: The conditions of the arms of the fork that was taken. The arms in `to` run.
        chosen: The choice of each graph around the frame, from the outermost to the innermost. Empty if none of them
            chooses.
        fork: The fork that was taken.
        marks: The new memory of the conditions that this step affects; see `engine.trackers`.
        samples: For an arm of a fork: the samples of marks, as [key, sample], which are added again at the join. A
            number that JSON lacks is recorded as text (see `state.numbers`), and a sample that could not be taken as
            [reason].
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
        return self.status == "failed"


Cause: TypeAlias = Literal["", "finished", "failed", "entered", "settled", "limit", "answered", "over"]


class AttemptEnded(Outcome, kw_only=True):
    """Content of a step with which an attempt to run a node ended.

    Attributes:
        cause: The event that ended the attempt, unless the kind of the step already implies it: a result that did not
            fit (`finished`), a failure that the value of a fallback replaced (`failed`), the beginning of a map or
            graph (`entered`), the end of the frames below (`settled`), a limit of the graph (`limit`), or the end of
            the wait (`answered`, `over`).
        chance: The random number from 1 to 2 from which the jitter of the retry was computed, if there is any. Earlier
            versions recorded a number from 0 to 1, and their longest pause had no jitter.
        keep_results: Whether the next attempt finds the results that this attempt recorded.
        refused: The keys of recorded results that the next attempt must not find, because they caused the failure.
        lost: Work that began in the attempt and whose result was not recorded: a description by the key that the result
            would have.
        wait: The name of the wait that ended.
        by: What ended the wait.
        answer: The answer.
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
    """Step: a run began.

    Attributes:
        after: The id of an earlier run whose final state this run begins with.
        pause: The nodes before which the run pauses.
        given: The fields that the caller set, among the fields that a plateau condition follows.
        starter: The node that started the run; None if the run was not started by a node.
        origin: The program and the user that started the run; None if that is not known.
        title: The title that the graph gives the run; "" if the graph does not declare a title.
        written: The fields that nodes wrote in the run that started this run, or in the run named by `after`.
        nonce: A random text. The id of a run can be used again once the run is removed; the id and the nonce together
            name exactly one run. "" for runs of earlier versions.
        key_base: The beginning of the idempotency keys of the run, if it is not the run's id. The derived id of a child
            run contains the nonce of its starter, which must stay unknown to receivers of a key.
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
    """Step: a visit of a node completed.

    Attributes:
        fallback: Whether the result came from the fallback of the node.
        inside: How the subgraph at this node ended.
        sent: Messages to other nodes, as [topic, payload].
        emitted: The data that the node emitted with `record=True`.
        unused: The keys of results that an earlier attempt recorded and that the node did not ask for again.
        unawaited: The calls of the node's context that the node did not await.
        given: The fields of the update whose values are answers or messages from outside, unchanged.
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
    """Step: an item of a map completed. `writes` holds the item's part of the updates that the map will write."""

    kind: ClassVar[Kind] = "item"
    writes: Sequence[Op]


class Attempt(AttemptEnded, kw_only=True):
    """Step: an attempt to run a node failed, and the node goes on.

    The node is retried at `due_at`. If `then` is `fallback`, the fallback of the node runs instead.
    """

    kind: ClassVar[Kind] = "attempt"
    due_at: Number | None = None
    then: Literal["", "fallback"] = ""


class Failed(AttemptEnded, kw_only=True):
    """Step: a node failed for good, after all its retries and its fallback."""

    kind: ClassVar[Kind] = "failed"


class Left(Outcome, kw_only=True):
    """Step: after a resume, an edge was chosen for a node that had already completed."""

    kind: ClassVar[Kind] = "left"


class Joined(Outcome, kw_only=True):
    """Step: the arms of a fork joined, or the join failed.

    Attributes:
        arrived: How many arms arrived.
        of: How many arms the fork had.
        cancelled: The arms that were still running and were cancelled.
    """

    kind: ClassVar[Kind] = "joined"
    arrived: Count = 0
    of: Count = 0
    cancelled: Sequence[str] = ()


MAX_OPEN: Final = 1000
"""How many items of a map may be open at the same time if neither the node nor its record sets another number."""


class Mapped(Facts, kw_only=True):
    """Step: a map over a list began. Its items are recorded here, and do not change later.

    Attributes:
        count: How many items there are.
        concurrency: How many items may work at the same time.
        max_open: How many items may be open at the same time. An item is open from its start to its end, also while it
            waits.
        fields: For items that are read from a list field: the name of the field, by the item's name in the node.
        items: For items of other sources: the items themselves, by the item's name in the node.
        written: The names of the items whose values were written by nodes rather than given by a caller.
    """

    kind: ClassVar[Kind] = "mapped"
    count: Count
    concurrency: Annotated[int, msgspec.Meta(gt=0)]
    max_open: Annotated[int, msgspec.Meta(gt=0)] = MAX_OPEN
    fields: Mapping[str, str] = {}
    items: Mapping[str, Sequence[JsonValue]] = {}
    written: Sequence[str] = ()


class Entered(Outcome, kw_only=True):
    """Step: a subgraph began, which is a graph that a node runs, with limits of its own.

    Attributes:
        graph: The name of the subgraph.
        limits: The limits of the subgraph.
        written: The fields of the subgraph's state whose values were written by nodes rather than given by a caller.
    """

    kind: ClassVar[Kind] = "entered"
    graph: str
    limits: LimitsRecord = {}
    written: Sequence[str] = ()


class Begun(Facts, kw_only=True):
    """Step: a side effect begins, which is a call inside a node or the node itself.

    If the process dies before the result is recorded, it is unknown whether the effect happened. An effect that must
    not be repeated is then not started again by itself. An idempotent effect is repeated with the key in this step.

    Attributes:
        idempotent: Whether the effect may be repeated with the same idempotency key.
        not_done: Whether an effect that had begun reported that it did nothing. Its beginning is then forgotten.
        key: The key under which the result of the effect will be recorded; "" for the node itself.
        name: The name of the function.
        arguments: The arguments of the function by name. The arguments of a node are its inputs.
        idempotency_key: The key by which the receiver of the effect can recognise a repetition.
        unknown: What follows if nobody can tell how the effect ended: a question to a person, or a failure.
        reconcile: The name of the function that finds out how the effect ended; "" if no such function is declared.
        code: The id of the code that records this step, if no earlier step of the run has recorded work under that
            code.
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
    """Step: a call inside a node has returned.

    A later attempt of the node uses the recorded result instead of calling again.

    Attributes:
        key: The key under which the node finds the result again; "" if the step only records the usage of failed calls
            of an attempt that was interrupted.
        name: The name of the function that was called.
        value: The recorded result.
        by: The agent and the model, if a model was called.
        outputs: The messages and the data that the call sent and emitted.
        code: The id of the code that records this step, as for `Begun`.
        took: The key of a record of earlier code that this result replaces; "" if there is no such record.
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
    """Step: a node waits for a person, a message or a time, until one of its waits ends.

    Attributes:
        waits: The waits, by name.
        withdrawn: The ids of questions of this visit that the node no longer asks.
        code: The id of the code that records this step, as for `Begun`.
    """

    kind: ClassVar[Kind] = "waiting"
    waits: Mapping[str, WaitRecord]
    withdrawn: Sequence[str] = ()
    code: str = ""


class Answered(Facts, kw_only=True):
    """Step: a wait of a node ended. The code of the node runs again and finds the answer.

    Attributes:
        wait: The name of the wait.
        by: What ended the wait.
        answer: The answer.
        also: The messages that end other waits of the node in the same step, by the names of the waits.
    """

    kind: ClassVar[Kind] = "answered"
    wait: str
    by: Literal["answer", "message", "time", "default"]
    answer: AnswerRecord
    also: dict[str, JsonValue] = {}


class Refused(Facts, kw_only=True):
    """Step: an answer or a message was refused because it did not have the expected type.

    The engine refuses an answer that does not fit the open question, which `wait` and `id` name. The code of a node
    refuses an answer that it cannot read, which `key` names. For a message, `wait` contains the topic.
    """

    kind: ClassVar[Kind] = "refused"
    key: str = ""
    wait: str = ""
    id: str = ""
    answer: JsonValue | UnsetType = UNSET
    message: RecordedText


class Message(Facts, kw_only=True):
    """Step: a message arrived for the run. It is kept until a node receives it.

    Attributes:
        topic: The topic of the message.
        payload: The message.
        told: Whether the message reports the end of a child run.
    """

    kind: ClassVar[Kind] = "message"
    topic: str
    payload: JsonValue
    told: bool = False


class Shift(Facts, kw_only=True):
    """What changes in a run because its graph was changed while the run was stopped; see `engine.graph_migration`.

    Attributes:
        changes: The changes to the graph, as text.
        renamed: The renamed nodes. For each frame (one position of the run in a graph): the new name of a node by its
            old name.
        pauses: The nodes before which the run pauses, under their new names.
        moved: The node at which a frame continues, by the id of the frame.
        field_changes: The operations that change fields of the state, by the id of the frame.
        left: Descriptions of the recorded values that are dropped, or that are read as other values.
        asks: The ids of the frames whose open question has changed.
        marks_of: The values that conditions remember from now on, by the id of the frame. They are set for conditions
            that are new, and for values whose types have changed.
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
        """Whether the change of the graph affects this run, and not only the description of the graph."""
        return bool(self.renamed or self.pauses or self.moved or self.field_changes or self.asks or self.marks_of)


class Continued(Shift, kw_only=True):
    """Content of a step with which a run continues, possibly under a changed graph.

    Attributes:
        limits: The limits of the run from now on.
        fingerprint: The fingerprint of the current graph.
        pause: The nodes before which the run pauses from now on; None to keep the present nodes.
        settled: The ids of the maps whose failed items are not retried, although other failed parts of the run are.
        marks: The values that conditions remember from now on, in the part of the run to which the step belongs.
        origin: The program and the user that resumed the run or branched it off; None if that is not known.
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
    """Step: a run is resumed.

    Attributes:
        crashed: Whether nodes were running when the process of the run died.
        cut_until: The time until which the process that drove the run may still act, in epoch seconds, because that
            process is not known to be dead. 0 if it is dead, or gave the run back.
        shared_process: Whether the process also drives other runs, at a point where a third crash would fail a node.
        retries: Whether to retry the failed parts of a run that has not failed as a whole, because other parts wait.
        sub_limits: The limits of subgraphs whose limits changed, by frame.
    """

    kind: ClassVar[Kind] = "resumed"
    crashed: bool = False
    cut_until: Number = 0.0
    shared_process: bool = False
    retries: bool = False
    sub_limits: Mapping[str, LimitsRecord] = {}


class Branched(Continued, kw_only=True):
    """Step: a new run branches off from a step of its parent run.

    Attributes:
        run_id: The id of the branch.
        parent: The id of the parent run.
        instructions: Texts that replace the standing instructions of the graph, by the name of the agent or other part
            that they instruct. The engine only keeps these texts.
        nonce: A random text, as for a run that is started.
        title: The title of the branch; "" if the branch keeps the title of its parent.
    """

    kind: ClassVar[Kind] = "branched"
    run_id: str
    parent: str
    instructions: Mapping[str, str] = {}
    nonce: str = ""
    title: str = ""


class Stopped(Spent, kw_only=True):
    """Step: a run was stopped, possibly for good (`cancelled`), or could not be driven (`error`).

    Attributes:
        status: The status of the run from then on.
        ending: The reason for the end.
        error: The reason why the run could not be driven.
        unknown: For a cancelled run: the side effects that had begun and have no recorded end, as paths and names.
            Nobody is asked whether these effects happened.
    """

    kind: ClassVar[Kind] = "stopped"
    status: Literal["stopped", "failed", "cancelled"]
    ending: Ending
    error: FailureRecord | None = None  # type: ignore[misc]
    unknown: Sequence[str] = ()

    @property
    def words(self) -> str:
        """Why the run stopped, as text for people.

        For a cancelled run, the text lists the side effects with unknown ends.
        """
        if self.status != "cancelled":
            return self.ending.why
        lost = f"; not known whether it happened: {', '.join(self.unknown)}" if self.unknown else ""
        return f"cancelled: {self.ending.why}{lost}"


class Removed(Facts, kw_only=True):
    """Step whose content was deleted by the retention policy. Only its number and its time remain.

    Attributes:
        snapshot: In the last deleted step: the snapshot of the run after this step, from which the run can be loaded.
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
"""The facts of a step of any kind. A `match` on them ends with `assert_never`."""

# --- A step ----------------------------------------------------------------------------------------------------------


class Step(Struct, gc=False):
    """A step of a run: one row of the log.

    Attributes:
        seq: The number of the step: 1, 2, 3, … without gaps, counted through the run and the parents it branched from.
        at: When the step was decided, in epoch seconds.
        data: The content of the step. Each kind of step has a class for its content.
        frame: The id of the frame (subgraph, item or arm) to which the step belongs; "" for the run's own frame.
        node: The name of the node; "" for steps of the run as a whole.
        visit: The number of the node's visit in its frame, counted from 1.
        attempt: The number of the attempt in the visit, counted from 1.
        began: When the work of the attempt began, in epoch seconds; 0 for steps without work.
        update: The operations with which the step changes the state of the frame.
        typed: For each operation, the typed value that it sets or adds. Only a step that was decided in this process
            has typed values.
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
        """The kind of the step, such as `started`, `node` or `resumed`."""
        return self.data.kind

    @property
    def path(self) -> str:
        """The path of the node in the run, such as `article/review`."""
        return path_of(self.frame, self.node)


class Decided(Step, gc=False):
    """A step that was just decided and not yet recorded, with two values that are never recorded.

    Attributes:
        typed: For each operation on the state, the Python object that it sets or adds. The fold caches these objects.
        state_bytes: An upper bound of the size of the state after the step, in bytes; 0 if it was not measured.
    """

    typed: Sequence[object] | None = None  # type: ignore[misc]
    state_bytes: int = 0


def strip_removed(seq: int, at: float, snapshot: bytes = b"") -> Step:
    """Return a step without its content, as the retention policy leaves it: only the number and the time remain.

    The last step that is deleted also gets a snapshot of the run, from which the run can be loaded without the deleted
    steps.
    """
    return Step(seq, at, Removed(snapshot=Raw(snapshot) if snapshot else _NO_SNAPSHOT))


def path_of(frame: str, node: str) -> str:
    """Return the path of a node in a run, such as `article/review`.

    `frame` is the id of the frame in which the node runs, such as `article/`. Arms of forks do not appear in the path,
    because the nodes of an arm belong to the graph itself.
    """
    if not frame:
        return node
    parts = [part.split("~", 1)[0] for part in frame.split("/")]
    # The frame id of an item, such as `research[3]`, ends with the name of the node already.
    if not frame.endswith("]"):
        parts.append(node)
    return "/".join(part for part in parts if part)


def own_name(name: str) -> str:
    """Return the qualified name of a function without the names of the functions in which it is defined.

    >>> own_name("write.<locals>.fetch")
    'fetch'
    """
    return name.rpartition("<locals>.")[2]


def without_items(path: str) -> str:
    """Return a node's path without the indexes of map items: `research[3]` becomes `research`."""
    return _ITEM.sub("", path)


_ITEM: Final = re.compile(r"\[[^\]]*\]")
ALL: Final = "*"
"""The key of a setting that applies to everything."""


def replacing(given: Mapping[str, T], graph: str, path: str, name: str, owner: str | None = None) -> T | None:
    """Return the setting, such as a model, that applies to an agent or another named part at a node.

    The keys of the settings can name, for example, an agent, the path of a node, or a whole graph. The most specific
    key that matches decides. None if no key matches.

    Args:
        given: The settings, by key.
        graph: The name of the graph.
        path: The path of the node.
        name: The name of the agent or other part for which a setting is looked up.
        owner: The name of the part to which the node belongs, or None if it belongs to no part in particular. A key
            that is only a path means the owner before other parts of the node.
    """
    return next((given[key] for key in _list_keys(graph, path, name, owner) if key in given), None)


def given_over(before: Mapping[str, T], given: Mapping[str, T], graph: str) -> Mapping[str, T]:
    """Return the settings of a run, such as its models, after a later command gave further settings.

    A later setting replaces an earlier one with the same key. A later setting for everything (`ALL`) discards all
    earlier settings.
    """
    prefix = f"{graph}:"
    own = {key.removeprefix(prefix): value for key, value in given.items() if ":" not in key or key.startswith(prefix)}
    return own if ALL in own else {**before, **own}


def _list_keys(graph: str, path: str, name: str, owner: str | None) -> Iterator[str]:
    """Yield the keys under which users can give a setting for this agent at this node, the most specific key first."""
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
    """Return the content of a step, if the step moves the run along an edge or ends a part of it.

    For every other kind of step, an empty `Outcome` is returned, so that callers need not check the kind.
    """
    return step.data if isinstance(step.data, Outcome) else _NOTHING


def usage_of(step: Step) -> Usage:
    return step.data.usage if isinstance(step.data, Spent) else {}


def is_removed(step: Step) -> bool:
    """Return whether the retention policy deleted a step's content, so that no run can branch off after the step."""
    return isinstance(step.data, Removed) and not bytes(step.data.snapshot)

"""Events: what happened outside the engine. Times, results and random numbers enter it here.

`decide` turns an event into a step. An event of an earlier visit or attempt than the frame's current one is stale and
is refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from msgspec import Struct, UnsetType

from graphengine.engine.steps import AttemptEnded, Node, Shift

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from graphengine.engine.snapshot import AttemptId
    from graphengine.engine.steps import (
        AnswerRecord,
        Cause,
        Decided,
        FailureRecord,
        ModelCaller,
        OriginRecord,
        Outputs,
        StarterRecord,
        WaitRecord,
    )
    from graphengine.state.amounts import LimitsRecord, Usage
    from graphengine.state.json_values import JsonValue


NO_SHIFT: Final = Shift()
"""No changes: the run continues under the graph that it was recorded under."""


class RunStarted(NamedTuple):
    """A run begins with this state (records and typed values of every field).

    `given` names the fields that the caller set: a default value is not a sample of a plateau.
    """

    now: float
    run_id: str
    values: Mapping[str, JsonValue]
    typed: Mapping[str, object]
    limits: LimitsRecord
    given: Collection[str] = ()
    after: str = ""
    pause: Sequence[str] = ()
    starter: StarterRecord | None = None
    origin: OriginRecord | None = None
    title: str = ""


class Attempted(Struct, gc=False):
    """What happened in an attempt."""

    id: AttemptId


class Worked(Attempted):
    """What an attempt did since its work began."""

    began: float
    now: float


class NodeFinished(Worked):
    """An attempt (or a fallback) ended with a result.

    `more` has further facts for its step. `answer` is the key of the recorded answer that the result is, if it is one:
    if the update is refused, that answer is.
    """

    result: object
    usage: Usage | None = None
    choice: str = ""
    chance: float = 0.5
    more: Node | None = None
    answer: str = ""


class NodeFailed(Worked):
    """An attempt (or a fallback) failed.

    `chance` is a random number from 0 to 1 for the jitter of a retry. `refused` are the keys of the recorded work that
    caused it: answers that cannot be used, and questions that nobody answered in time. `lost` describes work that began
    and has no record.
    """

    error: FailureRecord
    usage: Usage | None = None
    choice: str = ""
    chance: float = 0.5
    refused: Sequence[str] = ()
    lost: Mapping[str, JsonValue] = {}


class Written(NamedTuple):
    """A placeholder for a result of which only the updates are known, as when a replay decides a recorded step again.

    Attributes:
        updates: The updates of the result, as (field, update).
    """

    updates: Sequence[tuple[str, object]]


class NodeEntered(Attempted):
    """A node that is a map or a graph begins."""

    now: float
    chance: float = 0.5


class WorkBegun(Attempted):
    """An effect begins that must not be repeated; the fields are those of `graphengine.engine.steps.RunStarted`."""

    now: float
    key: str
    name: str
    arguments: JsonValue | UnsetType
    idempotency_key: str
    not_done: bool = False


class WorkDone(Worked):
    """A piece of a node's work is done; its result is recorded under this key.

    `usage` is what it spent, and `by` what for (see `ModelCaller`). `outputs` is what it sent and emitted for the
    node's step: an attempt that uses the record instead of doing the work sends and emits the same.
    """

    key: str
    name: str
    value: JsonValue
    size_bytes: int = 0
    usage: Usage | None = None
    by: ModelCaller | None = None
    outputs: Outputs | None = None


class NodeWaits(Worked):
    """A node cannot continue until one of these waits is over. They are keyed by name, as in `Frame.waits`."""

    waits: Mapping[str, WaitRecord]
    usage: Usage | None = None


class AnswerArrived(NamedTuple):
    """An answer to a wait arrived; `id` is the wait's, so that an answer to an earlier question is not taken for it."""

    wait: str
    id: str
    now: float
    answer: AnswerRecord


class AnswerRefused(Attempted):
    """A node could not validate an answer or message as the type it expects."""

    now: float
    key: str
    message: str


class MessageCame(NamedTuple):
    """A message for a topic of this run arrived."""

    now: float
    topic: str
    payload: JsonValue


class WaitOver(NamedTuple):
    """A wait is over because its time has come, or (`delivered`) because a message for it arrived."""

    frame: str
    wait: str
    now: float
    delivered: bool = False


class LimitMet(NamedTuple):
    """A subgraph reached one of its own limits, and nothing is in flight in it."""

    frame: str
    now: float


class NodeLeft(NamedTuple):
    """The outgoing edge of a node that was done before is to be chosen now."""

    frame: str
    now: float


class Settled(NamedTuple):
    """The frames below a frame have ended: the arms of a fork, the items of a map, or a subgraph.

    `error` is set if an item changed an input in place that all items share.
    """

    frame: str
    now: float
    error: FailureRecord | None = None
    chance: float = 0.5


class RunResumed(NamedTuple):
    """A run is resumed: after a crash (`crashed`), a stop, a failure, a wait, or with other limits.

    `change` lists the changes if the graph was changed since; `pause` the nodes before which the run waits from now on,
    None to keep them. `shared_process` means that the process also drives other runs; `asked` that a caller asked to
    resume this run when nothing else was to do (no part could move, no answer, message or time had come), so that its
    failed parts are retried although other parts wait; `retry_failed` that a caller asked for that in any case, and
    also for the failed items of maps that keep what succeeded.
    """

    now: float
    crashed: bool
    limits: LimitsRecord
    fingerprint: str
    pause: Sequence[str] | None = None
    change: Shift = NO_SHIFT
    shared_process: bool = False
    asked: bool = False
    retry_failed: bool = False
    origin: OriginRecord | None = None


class StopAsked(NamedTuple):
    """A stop was requested, a limit was reached, or (`error`) the run cannot be driven; nothing is in flight.

    `usage` is what attempts had spent that a stop cut. A `final` stop is never resumed.
    """

    now: float
    reason: str
    why: str
    error: FailureRecord | None = None
    usage: Usage | None = None
    final: bool = False


class BranchedOff(NamedTuple):
    """A child run begins after the parent's step `seq`, with these updates to the state of a frame.

    `change` is as in `RunResumed`; `frame` is the frame's id after those changes; `instructions` are as in `Branched`.
    """

    now: float
    run_id: str
    parent: str
    seq: int
    updates: Sequence[tuple[str, object]]
    fingerprint: str
    limits: LimitsRecord
    frame: str = ""
    pause: Sequence[str] | None = None
    change: Shift = NO_SHIFT
    instructions: Mapping[str, str] = {}
    origin: OriginRecord | None = None


AttemptEvent: TypeAlias = NodeFinished | NodeFailed | NodeEntered | WorkBegun | WorkDone | NodeWaits | AnswerRefused
"""An event of an attempt; it is stale once its frame is at another node, visit or attempt."""
FrameEvent: TypeAlias = AttemptEvent | NodeLeft | Settled | LimitMet | WaitOver
"""An event of one frame."""
Event: TypeAlias = FrameEvent | AnswerArrived | MessageCame | RunStarted | RunResumed | StopAsked | BranchedOff
"""Any event that `decide` turns into a step."""

CAUSES: Final[Mapping[type[Event], Cause]] = {
    NodeFailed: "failed",
    NodeEntered: "entered",
    Settled: "settled",
    LimitMet: "limit",
    AnswerArrived: "answered",
    WaitOver: "over",
}
"""What the step of an attempt records of the event that ended it; a result is the usual one."""


def with_cause(step: Decided, event: Event) -> Decided:
    """Return the step of an event; that of an attempt records which event ended it, if that is not the usual one."""
    cause = CAUSES[type(event)]
    if isinstance(step.data, AttemptEnded) and (cause != "failed" or isinstance(step.data, Node)):
        step.data.cause = cause
    if isinstance(event, NodeFailed) and event.lost and isinstance(step.data, AttemptEnded):
        step.data.lost = event.lost
    return step

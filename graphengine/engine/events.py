"""Events: what happened outside the engine. Times, results and random numbers enter the engine in events.

`decide` turns an event into a step. An event is stale, and is refused, if it belongs to an earlier visit or attempt
than the current one of its frame.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from msgspec import Struct

from graphengine.engine.steps import AttemptEnded, Node, Shift

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from graphengine.engine.snapshot import AttemptId
    from graphengine.engine.steps import (
        AnswerRecord,
        Begun,
        Branched,
        Cause,
        Decided,
        FailureRecord,
        Recorded,
        Refused,
        Resumed,
        Started,
        Waiting,
    )
    from graphengine.state.amounts import Usage
    from graphengine.state.json_values import JsonValue


NO_SHIFT: Final = Shift()
"""No changes: the run continues under the graph with which it was recorded."""


class RunStarted(NamedTuple):
    """A run begins with this state and these facts.

    Attributes:
        now: The time.
        facts: The facts of the step.
        values: The records of all fields.
        typed: The typed values of all fields.
        given: The names of the fields that the caller set. A default value does not count as a sample of a plateau.
    """

    now: float
    facts: Started
    values: dict[str, JsonValue]
    typed: dict[str, object]
    given: Collection[str] = ()


class Attempted(Struct, gc=False):
    """Something happened in an attempt."""

    id: AttemptId


class Worked(Attempted):
    """An attempt did something that took time.

    Attributes:
        began: When the work of the attempt began.
        now: The time.
    """

    began: float
    now: float


class NodeFinished(Worked):
    """An attempt, or a fallback, ended with a result.

    Attributes:
        result: The result.
        usage: The usage of the attempt.
        choice: The choice of the node, if it chooses.
        chance: A random number from 0 to 1 for the jitter of a retry, in case the result does not fit.
        more: Further facts for the step.
        answer: The key of a recorded answer, if the result is that answer. If the update is refused, the answer is
            refused too.
    """

    result: object
    usage: Usage | None = None
    choice: str = ""
    chance: float = 0.5
    more: Node | None = None
    answer: str = ""


class NodeFailed(Worked, gc=True):
    """An attempt, or a fallback, failed.

    The stack frames of its exception refer to the event. So the garbage collector must track the event, which it does
    not do for other events.

    Attributes:
        error: The failure.
        usage: The usage of the attempt.
        choice: The choice of the node, if it chooses.
        chance: A random number from 0 to 1 for the jitter of a retry.
        refused: The keys of the recorded work that caused the failure: answers that cannot be used, and questions that
            nobody answered in time.
        lost: Descriptions of work that began and has no record, by the key that the record would have.
    """

    error: FailureRecord
    usage: Usage | None = None
    choice: str = ""
    chance: float = 0.5
    refused: Sequence[str] = ()
    lost: Mapping[str, JsonValue] = {}


class Written(NamedTuple):
    """A placeholder for a result of which only the updates are known. A replay uses it to decide a recorded step again.

    Attributes:
        updates: The updates of the result, as (field, update).
    """

    updates: Sequence[tuple[str, object]]


class NodeEntered(Attempted):
    """A node that is a map or a graph begins."""

    now: float
    chance: float = 0.5


class Noted(Worked):
    """An attempt records something before its end.

    This can be the beginning of an effect, a finished piece of work, a wait, or an answer that does not fit. `began` is
    0 if the record is not about work that took time.

    Attributes:
        facts: The facts of the step.
        size_bytes: The size of the value that is recorded, if any.
    """

    facts: Begun | Recorded | Waiting | Refused
    size_bytes: int | None = None


class AnswerArrived(NamedTuple):
    """An answer to a wait arrived.

    Attributes:
        wait: The name of the wait.
        id: The id of the wait. With it, an answer to an earlier question is not mistaken for an answer to this wait.
        now: The time.
        answer: The answer.
    """

    wait: str
    id: str
    now: float
    answer: AnswerRecord


class MessageCame(NamedTuple):
    """A message for a topic of this run arrived. `told` tells that the message reports the end of a child run."""

    now: float
    topic: str
    payload: JsonValue
    told: bool = False


class WaitOver(NamedTuple):
    """A wait is over because its time has come, or (`delivered`) because a message for the wait arrived."""

    frame: str
    wait: str
    now: float
    delivered: bool = False


class LimitMet(NamedTuple):
    """A subgraph reached one of its own limits, and no task inside it is in flight."""

    frame: str
    now: float


class NodeLeft(NamedTuple):
    """The outgoing edge of a node that was already done is to be chosen now."""

    frame: str
    now: float


class Settled(NamedTuple):
    """The frames below a frame have ended: the arms of a fork, the items of a map, or a subgraph.

    `error` is set if an item changed in place an input that all items share.
    """

    frame: str
    now: float
    error: FailureRecord | None = None
    chance: float = 0.5


class RunResumed(NamedTuple):
    """A run is resumed: after a crash, a stop, a failure or a wait, or with other limits.

    Attributes:
        now: The time.
        facts: The facts that are known in advance: `crashed`, and `shared_process` if the process also drives other
            runs.
        change: The changes, if the graph was changed since.
        asked: Whether a caller asked to resume this run while nothing else could be done: no part could move, and no
            answer, message or time had come. If so, the failed parts are retried although other parts wait.
        retry_failed: Whether a caller asked to retry failed parts in any case, including the failed items of maps that
            keep the items that succeeded.
    """

    now: float
    facts: Resumed
    change: Shift = NO_SHIFT
    asked: bool = False
    retry_failed: bool = False


class StopAsked(NamedTuple):
    """A stop was requested, a limit was reached, or (`error`) the run cannot be driven. No task is in flight.

    Attributes:
        now: The time.
        reason: The reason, as a code.
        why: The reason, as text.
        error: The failure because of which the run cannot be driven.
        usage: The usage of attempts that the stop cut off.
        final: Whether the run can never be resumed.
    """

    now: float
    reason: str
    why: str
    error: FailureRecord | None = None
    usage: Usage | None = None
    final: bool = False


class BranchedOff(NamedTuple):
    """A branch begins after the parent's last step, with updates to the state of one frame.

    Attributes:
        now: The time.
        facts: The facts of the step.
        updates: The updates, as (field, update).
        frame: The id of the frame after the changes in `change`.
        change: The changes, if the graph was changed since, as in `RunResumed`.
    """

    now: float
    facts: Branched
    updates: Sequence[tuple[str, object]]
    frame: str = ""
    change: Shift = NO_SHIFT


AttemptEvent: TypeAlias = NodeFinished | NodeFailed | NodeEntered | Noted
"""An event of an attempt. The event is stale once its frame is at another node, visit or attempt."""
FrameEvent: TypeAlias = AttemptEvent | NodeLeft | Settled | LimitMet | WaitOver
Event: TypeAlias = FrameEvent | AnswerArrived | MessageCame | RunStarted | RunResumed | StopAsked | BranchedOff

CAUSES: Final[Mapping[type[Event], Cause]] = {
    NodeFailed: "failed",
    NodeEntered: "entered",
    Settled: "settled",
    LimitMet: "limit",
    AnswerArrived: "answered",
    WaitOver: "over",
}
"""The `cause` that the step of an attempt records for the event that ended the attempt. A result needs no cause."""


def with_cause(step: Decided, event: Event) -> Decided:
    """Return the step of an event, with the cause recorded if the step ended an attempt in an unusual way."""
    cause = CAUSES[type(event)]
    if isinstance(step.data, AttemptEnded) and (cause != "failed" or isinstance(step.data, Node)):
        step.data.cause = cause
    if isinstance(event, NodeFailed) and event.lost and isinstance(step.data, AttemptEnded):
        step.data.lost = event.lost
    return step

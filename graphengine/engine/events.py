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
    """Event: a run begins, with the initial state and limits that its caller gave.

    Attributes:
        now: The time, in epoch seconds.
        facts: The content of the step to record. `machine.decide` adds the entries that it computes, such as the first
            edge.
        values: The initial state as JSON values, by field.
        typed: The same state as Python objects, by field.
        given: The names of the fields that the caller set. A condition that holds when a value stops improving begins
            with the values of these fields. The defaults of other fields do not count as first values.
    """

    now: float
    facts: Started
    values: dict[str, JsonValue]
    typed: dict[str, object]
    given: Collection[str] = ()


class Attempted(Struct, gc=False):
    """Something happened in an attempt to run a node."""

    id: AttemptId


class Worked(Attempted):
    """Base class of the events that come from an attempt to run a node, with the times between which it worked.

    Attributes:
        began: When the attempt began to work, in epoch seconds.
        now: When the event happened, in epoch seconds.
    """

    began: float
    now: float


class NodeFinished(Worked):
    """Event: a node, or the fallback of a node, returned a result.

    Attributes:
        result: The result.
        usage: The model calls, tokens and cost of the attempt.
        choice: If the node chooses among several bodies: the name of the body that ran.
        chance: A random number from 1 to 2. If the result does not fit the state and the node is retried, the jitter of
            the delay is computed from this number.
        more: More content to copy into the recorded step, such as the messages that the node sent.
        answer: If the result is an answer that a person gave: the key under which the answer is recorded. If the result
            does not fit the state, the answer is refused and the question is asked again.
    """

    result: object
    usage: Usage | None = None
    choice: str = ""
    chance: float = 1.5
    more: Node | None = None
    answer: str = ""


class NodeFailed(Worked, gc=True):
    """Event: a node, or the fallback of a node, raised an exception.

    This event is tracked by the garbage collector, unlike other events, because the traceback of the exception refers
    back to the event.

    Attributes:
        error: The failure.
        usage: The model calls, tokens and cost of the attempt.
        choice: If the node chooses among several bodies: the name of the body that ran.
        chance: A random number from 1 to 2, from which the jitter of the retry's delay is computed.
        refused: The keys of recorded results that caused the failure and must not be used again: answers that the node
            could not use, and questions that nobody answered in time.
        lost: Work that began and whose result was not recorded, such as a failed model call: a description by the key
            under which the result would have been recorded.
    """

    error: FailureRecord
    usage: Usage | None = None
    choice: str = ""
    chance: float = 1.5
    refused: Sequence[str] = ()
    lost: Mapping[str, JsonValue] = {}


class Written(NamedTuple):
    """Stands in for the object that a node returned when a recorded run is replayed.

    A replay decides every recorded step again and compares the results. The log contains only the updates that a node
    wrote, so the replay uses these updates in place of the object that the node returned.

    Attributes:
        updates: The recorded updates, as pairs of a field and its update.
    """

    updates: Sequence[tuple[str, object]]


class NodeEntered(Attempted):
    """A node begins that runs other frames: a map over a list, or a subgraph."""

    now: float
    chance: float = 1.5


class Noted(Worked):
    """Event: a running node records something before it ends.

    For example, a side effect begins, a call inside the node has returned, the node starts to wait, or the node refuses
    an answer. `began` is 0 if the recorded work took no time.

    Attributes:
        facts: The content of the step to record.
        size_bytes: The size of the recorded value, if there is one.
    """

    facts: Begun | Recorded | Waiting | Refused
    size_bytes: int | None = None


class AnswerArrived(NamedTuple):
    """Event: an answer to a question of the run arrived.

    Attributes:
        wait: The name of the wait.
        id: The id of the wait, so that an answer to an earlier question with the same name is not used for this one.
        now: The time, in epoch seconds.
        answer: The answer.
    """

    wait: str
    id: str
    now: float
    answer: AnswerRecord


class MessageCame(NamedTuple):
    """Event: a message for one of the run's topics arrived.

    `told` is True if the message was sent by the engine to report that a child run has ended.
    """

    now: float
    topic: str
    payload: JsonValue
    told: bool = False


class WaitOver(NamedTuple):
    """Event: a wait of a node ends.

    The wait ends because its time has come or, with `delivered`, because the message that the node waits for has
    arrived.
    """

    frame: str
    wait: str
    now: float
    delivered: bool = False


class LimitMet(NamedTuple):
    """A subgraph has reached a limit that the subgraph itself declares, and none of its nodes is running any more."""

    frame: str
    now: float


class NodeLeft(NamedTuple):
    """An edge must now be chosen for a node that completed before the run was interrupted."""

    frame: str
    now: float


class Settled(NamedTuple):
    """Event: everything that a node had started inside the run has ended or failed, so that the node can go on.

    A node can start the arms of a fork, the items of a map, or a subgraph. `error` is set if a map item changed, in
    place, an input that all items of the map share.
    """

    frame: str
    now: float
    error: FailureRecord | None = None
    chance: float = 1.5


class RunResumed(NamedTuple):
    """Event: a run is resumed after a crash, a stop, a failure or a wait, possibly with new limits or a changed graph.

    Attributes:
        now: The time, in epoch seconds.
        facts: The content of the step, as far as it is known in advance: `crashed`, and `shared_process` if the process
            also drives other runs.
        change: How the graph has changed since the run was last driven.
        asked: Whether a caller asked to resume this run when nothing else could be done: no node could run, and no
            answer, message or time had come. If so, the failed parts are retried although other parts still wait.
        retry_failed: Whether a caller asked to retry failed parts in any case, including the failed items of maps that
            otherwise complete without them.
    """

    now: float
    facts: Resumed
    change: Shift = NO_SHIFT
    asked: bool = False
    retry_failed: bool = False


class StopAsked(NamedTuple):
    """Event: the run must stop, because a caller asked for it, a limit was reached, or it cannot be driven.

    The event is created only after all tasks of the run have ended.

    Attributes:
        now: The time, in epoch seconds.
        reason: The reason, as a code.
        why: The reason, as text.
        error: Why the run cannot be driven, if so.
        usage: The model calls, tokens and cost of the attempts that the stop interrupted.
        final: Whether the run can never be resumed.
    """

    now: float
    reason: str
    why: str
    error: FailureRecord | None = None
    usage: Usage | None = None
    final: bool = False


class BranchedOff(NamedTuple):
    """Event: a new run branches off from a step of its parent run, optionally with changes to the state.

    Attributes:
        now: The time, in epoch seconds.
        facts: The content of the step.
        updates: The changes to the state, as pairs of a field and its update.
        frame: The id of the frame whose state is changed. If the graph has changed too, this is the new id.
        change: How the graph has changed since the parent run was last driven.
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
    """Record in a step which kind of event ended the attempt, such as a result or a failure.

    The entry is left out where the kind of the step already shows it. For a failed attempt, also record which work of
    the attempt began and has no recorded result.
    """
    cause = CAUSES[type(event)]
    if isinstance(step.data, AttemptEnded) and (cause != "failed" or isinstance(step.data, Node)):
        step.data.cause = cause
    if isinstance(event, NodeFailed) and event.lost and isinstance(step.data, AttemptEnded):
        step.data.lost = event.lost
    return step

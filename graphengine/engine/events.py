"""Events: what happened outside the engine. Times, results and random numbers enter it here.

`decide` turns an event into a step. An event of an earlier visit or attempt than the frame's current one is stale and
is refused.
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
"""No changes: the run continues under the graph that it was recorded under."""


class RunStarted(NamedTuple):
    """A run begins with this state (records and typed values of every field), and with these facts.

    `given` names the fields that the caller set: a default value is not a sample of a plateau.
    """

    now: float
    facts: Started
    values: dict[str, JsonValue]
    typed: dict[str, object]
    given: Collection[str] = ()


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


class NodeFailed(Worked, gc=True):
    """An attempt (or a fallback) failed.

    `chance` is a random number from 0 to 1 for the jitter of a retry. `refused` are the keys of the recorded work that
    caused it: answers that cannot be used, and questions that nobody answered in time. `lost` describes work that began
    and has no record. The frames of its exception hold the event, so the collector has to look through it.
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


class Noted(Worked):
    """An attempt records something: an effect begins, a piece of work is done, it waits, or an answer does not fit.

    `began` is 0 for what takes no time. `size_bytes` is what the value takes that is kept, if one is.
    """

    facts: Begun | Recorded | Waiting | Refused
    size_bytes: int | None = None


class AnswerArrived(NamedTuple):
    """An answer to a wait arrived; `id` is the wait's, so that an answer to an earlier question is not taken for it."""

    wait: str
    id: str
    now: float
    answer: AnswerRecord


class MessageCame(NamedTuple):
    """A message for a topic of this run arrived; `told` says that a child run tells its end."""

    now: float
    topic: str
    payload: JsonValue
    told: bool = False


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

    `facts` has what is known before: `crashed`, and `shared_process` if the process also drives other runs. `change`
    lists the changes if the graph was changed since. `asked` means that a caller asked to resume this run when nothing
    else was to do (no part could move, no answer, message or time had come), so that its failed parts are retried
    although other parts wait; `retry_failed` that a caller asked for that in any case, and also for the failed items of
    maps that keep what succeeded.
    """

    now: float
    facts: Resumed
    change: Shift = NO_SHIFT
    asked: bool = False
    retry_failed: bool = False


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
    """A child run begins after the parent's last step, with these updates to the state of a frame.

    `change` is as in `RunResumed`; `frame` is the frame's id after those changes.
    """

    now: float
    facts: Branched
    updates: Sequence[tuple[str, object]]
    frame: str = ""
    change: Shift = NO_SHIFT


AttemptEvent: TypeAlias = NodeFinished | NodeFailed | NodeEntered | Noted
"""An event of an attempt; it is stale once its frame is at another node, visit or attempt."""
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
"""What the step of an attempt records of the event that ended it; a result is the usual one."""


def with_cause(step: Decided, event: Event) -> Decided:
    """Return the step of an event; that of an attempt records which event ended it, if that is not the usual one."""
    cause = CAUSES[type(event)]
    if isinstance(step.data, AttemptEnded) and (cause != "failed" or isinstance(step.data, Node)):
        step.data.cause = cause
    if isinstance(event, NodeFailed) and event.lost and isinstance(step.data, AttemptEnded):
        step.data.lost = event.lost
    return step

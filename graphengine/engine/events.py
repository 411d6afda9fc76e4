"""Events: what happened outside, as the core is told of it. Times, results and chance arrive here.

`decide` turns an event into a step. An event of an earlier visit or attempt than the one a frame is at is stale and
refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from msgspec import Struct

from graphengine.engine.steps import Shift

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from graphengine.engine.steps import FailureRecord, Limits, Node, Said, Usage, WaitRecord
    from graphengine.state.json_values import JsonValue


NO_SHIFT: Final = Shift()
"""The graph is the one that the run was recorded under."""


class Begun(NamedTuple):
    """A run was begun with this state (records and typed values of every field).

    `given` names the fields that somebody set: a default is no sample for a plateau.
    """

    now: float
    run_id: str
    values: Mapping[str, JsonValue]
    typed: Mapping[str, object]
    limits: Limits
    given: Collection[str] = ()
    after: str = ""
    pause: Sequence[str] = ()


class Error(NamedTuple):
    """An exception as plain data: its kind, all names it can be matched by, its text and traceback.

    `where` and `repair` are those of the engine's own errors; `pause_seconds` is for how long whoever failed asks to be
    left alone. `repeats` says that the same input brings it again: it is not `retryable` then, though its class may be.
    `raised` is the exception itself, for the process in which it was raised; it is never recorded.
    """

    kind: str
    names: Sequence[str]
    message: str
    traceback: str = ""
    retryable: bool = True
    where: str = ""
    repair: str = ""
    pause_seconds: float = 0.0
    raised: BaseException | None = None
    repeats: bool = False

    @property
    def lasts(self) -> bool:
        """Whether no retry of anything around it helps; what repeats may end otherwise where its input is made anew."""
        return not self.retryable and not self.repeats


class NodeFinished(Struct):
    """An attempt (or a fallback) ended with a result. `more` has what its step records beside that."""

    frame: str
    node: str
    visit: int
    attempt: int
    began: float
    now: float
    result: object
    usage: Usage | None = None
    choice: str = ""
    chance: float = 0.5
    more: Node | None = None


class NodeFailed(NamedTuple):
    """An attempt (or a fallback) failed.

    `chance` is a random number from 0 to 1 for the jitter of a retry. `failure` is what the node failed with where that
    was recorded before, in a frame below. `keeps` says that a recorded call failed and not the node's own code, so that
    the next attempt keeps what was recorded.
    """

    frame: str
    node: str
    visit: int
    attempt: int
    began: float
    now: float
    error: Error
    usage: Usage | None = None
    choice: str = ""
    chance: float = 0.5
    failure: FailureRecord | None = None
    keeps: bool = False


class Written(NamedTuple):
    """In place of a result that is known by what it wrote alone, as where a recorded step is decided anew.

    Attributes:
        updates: The updates that it came to, as (field, update).
    """

    updates: Sequence[tuple[str, object]]


class NodeEntered(NamedTuple):
    """A node that is a map or a graph is to begin."""

    frame: str
    node: str
    visit: int
    attempt: int
    now: float
    chance: float = 0.5


class NodeBegun(NamedTuple):
    """An attempt begins that must not be repeated unasked."""

    frame: str
    node: str
    visit: int
    attempt: int
    now: float


class WorkDone(NamedTuple):
    """A piece of a node's work is done; its record is to be kept under this key.

    `usage` is what a model was paid for it, and `by` which agent asked which model. `said` is what it sent and showed,
    as far as that is to be kept: it is its node's, whichever attempt uses the record.
    """

    frame: str
    node: str
    visit: int
    attempt: int
    began: float
    now: float
    key: str
    name: str
    value: JsonValue
    size_bytes: int = 0
    usage: Usage | None = None
    by: Mapping[str, str] | None = None
    said: Said | None = None


class NodeWaits(NamedTuple):
    """A node cannot go on before one of these waits is over. Each is told as in `Frame.waits`, by name."""

    frame: str
    node: str
    visit: int
    attempt: int
    began: float
    now: float
    waits: Mapping[str, WaitRecord]
    usage: Usage | None = None


class Answered(NamedTuple):
    """Somebody answered a wait; `id` is the wait's, so that an answer to an earlier question counts for no other."""

    wait: str
    id: str
    now: float
    value: JsonValue


class AnswerRefused(NamedTuple):
    """A node could not make its type of an answer or message that it was given."""

    frame: str
    node: str
    visit: int
    attempt: int
    now: float
    key: str
    message: str


class MessageCame(NamedTuple):
    """A message for a topic of this run."""

    now: float
    topic: str
    payload: JsonValue


class WaitOver(NamedTuple):
    """A wait is over because its time has come, or (`delivered`) since there is a message for it."""

    frame: str
    wait: str
    now: float
    delivered: bool = False


class LimitMet(NamedTuple):
    """A subgraph reached one of its own limits, and nothing is in flight in it."""

    frame: str
    now: float


class NodeLeft(NamedTuple):
    """The way out of a node that was done before is to be chosen now."""

    frame: str
    now: float


class Settled(NamedTuple):
    """The frames below a frame have come to their ends: arms at the join, the items of a map, a subgraph.

    `error` is what is wrong with what they were all given.
    """

    frame: str
    now: float
    error: Error | None = None
    chance: float = 0.5


class Resumed(NamedTuple):
    """A run continues: after a crash (`crashed`), a stop, a failure or with other limits.

    `change` says what differs where the graph was changed since; `pause` the nodes before which it waits from now on,
    None for those it knows. `company` says that the process drives other runs too, `asked`
    that a caller asked for it: what failed next to what waits is then tried again.
    """

    now: float
    crashed: bool
    limits: Limits
    fingerprint: str
    pause: Sequence[str] | None = None
    change: Shift = NO_SHIFT
    company: bool = False
    asked: bool = False


class StopAsked(NamedTuple):
    """Somebody asked for a stop, a limit was reached, or (`error`) the run cannot be driven; nothing is in flight."""

    now: float
    reason: str
    explanation: str
    error: Error | None = None


class BranchedOff(NamedTuple):
    """A child run begins after the parent's step `seq`, with these updates of the state of a frame.

    What differs of a changed graph is as in `Resumed`; `frame` is named as it is after that.
    """

    now: float
    run_id: str
    parent: str
    seq: int
    updates: Sequence[tuple[str, object]]
    fingerprint: str
    limits: Limits
    frame: str = ""
    pause: Sequence[str] | None = None
    change: Shift = NO_SHIFT


AttemptEvent: TypeAlias = NodeFinished | NodeFailed | NodeEntered | NodeBegun | WorkDone | NodeWaits | AnswerRefused
"""An event of an attempt: stale once its frame is at another node, visit or attempt."""
FrameEvent: TypeAlias = AttemptEvent | NodeLeft | Settled | LimitMet | WaitOver
"""An event of one frame."""
Event: TypeAlias = FrameEvent | Answered | MessageCame | Begun | Resumed | StopAsked | BranchedOff
"""Anything that decide turns into a step."""

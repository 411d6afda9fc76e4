"""Events: what happened outside, as the core is told of it. Times, results and chance arrive here.

`decide` turns an event into a step. An event of an earlier visit or attempt than the one a frame is at is stale and
refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from graphengine.engine.steps import EMPTY

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from graphengine.state.json_values import JsonValue, Op


class Begun(NamedTuple):
    """A run was begun with this state (records and typed values of every field).

    `given` names the fields that somebody set: a default is no sample for a plateau.
    """

    now: float
    run_id: str
    values: Mapping[str, JsonValue]
    typed: Mapping[str, object]
    limits: Mapping[str, float | None]
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


@dataclass(slots=True)
class NodeFinished:
    """An attempt (or a fallback) came to its end with a result."""

    frame: str
    node: str
    visit: int
    attempt: int
    began: float
    now: float
    result: object
    usage: Mapping[str, float | None] | None = None
    choice: str = ""
    chance: float = 0.5
    more: Mapping[str, JsonValue] | None = None


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
    usage: Mapping[str, float | None] | None = None
    choice: str = ""
    chance: float = 0.5
    failure: Mapping[str, JsonValue] | None = None
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
    usage: Mapping[str, float | None] | None = None
    by: Mapping[str, str] | None = None
    said: Mapping[str, JsonValue] | None = None


class NodeWaits(NamedTuple):
    """A node cannot go on before one of these waits is over. Each is told as in `Frame.waits`, by name."""

    frame: str
    node: str
    visit: int
    attempt: int
    began: float
    now: float
    waits: Mapping[str, Mapping[str, JsonValue]]
    usage: Mapping[str, float | None] | None = None


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
    """A run goes on: after a crash (`crashed`), a stop, a failure or with other limits.

    `fingerprint`, `changes`, `refit` (operations by frame) and `shift` (the other parts of a refit, see
    `graphengine.engine.rebase`) say what differs where the graph was changed since; `pause` before which nodes it is to
    wait from now on, None for those it knows. `company` says that the process drives other runs too, `asked` that a
    caller asked for it: what failed beside what waits is then tried again.
    """

    now: float
    crashed: bool
    limits: Mapping[str, float | None]
    fingerprint: str
    changes: Sequence[str] = ()
    refit: Mapping[str, Sequence[Op]] = EMPTY
    pause: Sequence[str] | None = None
    shift: Mapping[str, JsonValue] = EMPTY
    company: bool = False
    asked: bool = False


class StopAsked(NamedTuple):
    """Somebody asked for a stop, a limit was reached, or (`error`) the run cannot be driven; nothing is in flight."""

    now: float
    reason: str
    explanation: str
    error: Error | None = None


class BranchedOff(NamedTuple):
    """A child run begins behind the parent's step `seq`, with these updates of the state of a frame.

    What differs of a changed graph is as in `Resumed`; `frame` is named as it is after that.
    """

    now: float
    run_id: str
    parent: str
    seq: int
    updates: Sequence[tuple[str, object]]
    fingerprint: str
    limits: Mapping[str, float | None]
    changes: Sequence[str] = ()
    refit: Mapping[str, Sequence[Op]] = EMPTY
    frame: str = ""
    pause: Sequence[str] | None = None
    shift: Mapping[str, JsonValue] = EMPTY


Event: TypeAlias = """(
    Begun | NodeFinished | NodeFailed | NodeEntered | NodeBegun | NodeWaits | NodeLeft | WorkDone | Answered
    | AnswerRefused | MessageCame | WaitOver | LimitMet | Settled | Resumed | StopAsked | BranchedOff
)"""

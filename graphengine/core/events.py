"""Events: what happened outside, as the core is told of it. Times, results and chance arrive here.

`decide` turns an event into a step. An event of an earlier visit or attempt than the one a frame is at is stale and
refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from graphengine.records import JsonValue, Op


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


class Error(NamedTuple):
    """An exception as plain data: its kind, all names it can be matched by, its text and traceback.

    `where` and `repair` are those of the engine's own errors.
    """

    kind: str
    names: Sequence[str]
    message: str
    traceback: str = ""
    retryable: bool = True
    where: str = ""
    repair: str = ""


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


class NodeFailed(NamedTuple):
    """An attempt (or a fallback) failed. `chance` is a random number from 0 to 1 for the jitter of a retry."""

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


class NodeLeft(NamedTuple):
    """The way out of a node that was done before is to be chosen now."""

    frame: str
    now: float


class ArmsArrived(NamedTuple):
    """Every arm of a fork has arrived at the join or failed, or enough of them have."""

    frame: str
    now: float


class Resumed(NamedTuple):
    """A run goes on: after a crash (`crashed`), a stop, a failure or with other limits.

    `fingerprint`, `changes` and `refit` say what differs where the graph was changed since.
    """

    now: float
    crashed: bool
    limits: Mapping[str, float | None]
    fingerprint: str
    changes: Sequence[str] = ()
    refit: Sequence[Op] = ()


class StopAsked(NamedTuple):
    """Somebody asked for a stop, a limit was reached, or (`error`) the run cannot be driven; nothing is in flight."""

    now: float
    reason: str
    explanation: str
    error: Error | None = None


class BranchedOff(NamedTuple):
    """A child run begins behind the parent's step `seq`, with these updates of the state."""

    now: float
    run_id: str
    parent: str
    seq: int
    updates: Sequence[tuple[str, object]]
    fingerprint: str
    limits: Mapping[str, float | None]
    changes: Sequence[str] = ()
    refit: Sequence[Op] = ()


Event: TypeAlias = "Begun | NodeFinished | NodeFailed | NodeLeft | ArmsArrived | Resumed | StopAsked | BranchedOff"

"""Snapshots: where a run stands, as the fold of its steps.

A run is a tree of frames, each a token that walks the graph. The fold owns its snapshot and changes it in place; the
log is the truth. What can be worked out again (typed values, digests) is cached beside the records and never stored.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from graphengine.core.steps import FORMAT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from graphengine.records import JsonValue

Phase: TypeAlias = Literal["ready", "fallback", "leaving", "failed", "ended"]
Mode: TypeAlias = Literal["run", "fallback", "leave", "crash_loop"]
RunStatus: TypeAlias = Literal["running", "waiting", "finished", "stopped", "failed"]

ROOT: Final = ""
"""The id of the run's own frame."""

CRASHES: Final = 3
"""A node that was in flight at so many crashes in a row is not started again."""

_STORED: Final = ("at", "phase", "visit", "attempt", "tries", "crashes", "due", "error", "cause", "counts", "marks")


@dataclass(slots=True)
class Frame:
    """One token.

    Attributes:
        values: The state as records.
        typed: Typed values of fields that were read or written, built from `values`.
        owned: Fields whose record may be changed in place, because nothing else holds it.
        lent: Fields whose typed value a node was given, and may still hold: a list is copied before it grows.
        digests: Digests of typed values, to catch nodes that change them.
        at: The node it stands at.
        phase: `ready` (run the node), `fallback` (run its fallback), `leaving` (the node is done, its way out is still
            to be chosen), `failed`, `ended`.
        visit: Which visit of the node this is.
        attempt: Which attempt of this visit comes next.
        tries: Failed attempts since the visit began or was revived.
        crashes: Crashes in a row with this node in flight.
        due: Not to be started before, epoch seconds.
        error: The failure that led here, until the node is done.
        cause: The failure that the fallback stands in for.
        counts: Completed visits by node.
        marks: What plateaus, counts since a node and changes need of the past.
    """

    id: str = ROOT
    values: dict[str, JsonValue] = field(default_factory=dict)
    typed: dict[str, object] = field(default_factory=dict)
    owned: set[str] = field(default_factory=set)
    lent: set[str] = field(default_factory=set)
    digests: dict[str, int] = field(default_factory=dict)
    at: str = ""
    phase: Phase = "ready"
    visit: int = 1
    attempt: int = 1
    tries: int = 0
    crashes: int = 0
    due: float = 0.0
    error: JsonValue = None
    cause: JsonValue = None
    counts: dict[str, int] = field(default_factory=dict)
    marks: dict[str, JsonValue] = field(default_factory=dict)


@dataclass(slots=True)
class Snapshot:
    """A run as of `seq`.

    Attributes:
        now: The time of the last step, epoch seconds.
        elapsed_seconds: Driven time; what lies between a stop and a resume does not count.
        steps: Completed node visits.
        usage: Model calls, tokens and cost so far; `cost_usd` is None once a price was unknown.
        inherited: What of that was spent before the run branched off.
        limits: Where it stops.
        stop: Why it ended, while it is not running.
        failure: The failure it ended with, if it failed.
        frames: All live frames by id.
    """

    run_id: str = ""
    graph: str = ""
    fingerprint: str = ""
    seq: int = 0
    status: RunStatus = "running"
    now: float = 0.0
    elapsed_seconds: float = 0.0
    steps: int = 0
    usage: dict[str, float | None] = field(default_factory=dict)
    inherited: dict[str, float | None] = field(default_factory=dict)
    limits: dict[str, float | None] = field(default_factory=dict)
    stop: JsonValue = None
    failure: JsonValue = None
    frames: dict[str, Frame] = field(default_factory=dict)

    @property
    def root(self) -> Frame:
        """The run's own frame."""
        return self.frames[ROOT]


@dataclass(slots=True)
class Task:
    """Something that should be running now.

    Attributes:
        mode: `run` the node, run its `fallback`, `leave` it (choose the way out), or fail it for its `crash_loop`.
        due: Not before this time, epoch seconds; 0 for at once.
    """

    frame: str
    node: str
    visit: int
    attempt: int
    mode: Mode
    due: float


def to_record(snapshot: Snapshot) -> dict[str, JsonValue]:
    """The snapshot as JSON values, without its caches."""
    return {
        "format": FORMAT,
        "run_id": snapshot.run_id,
        "graph": snapshot.graph,
        "fingerprint": snapshot.fingerprint,
        "seq": snapshot.seq,
        "status": snapshot.status,
        "now": snapshot.now,
        "elapsed_seconds": snapshot.elapsed_seconds,
        "steps": snapshot.steps,
        "usage": snapshot.usage,
        "inherited": snapshot.inherited,
        "limits": snapshot.limits,
        "stop": snapshot.stop,
        "failure": snapshot.failure,
        "frames": {
            frame.id: {"values": frame.values, **{name: getattr(frame, name) for name in _STORED}}
            for frame in snapshot.frames.values()
        },
    }


def from_record(record: Mapping[str, JsonValue]) -> Snapshot:
    """The snapshot that `to_record` described. It owns what it holds.

    Raises:
        ValueError: The record is of another format.
    """
    rest = deepcopy(dict(record))
    if rest.pop("format", None) != FORMAT:
        message = f"snapshot of format {record.get('format')!r}; this version reads {FORMAT}"
        raise ValueError(message)
    frames = {key: Frame(id=key, owned=set(facts["values"]), **facts) for key, facts in rest.pop("frames").items()}
    return Snapshot(frames=frames, **rest)

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

    from graphengine.records import JsonValue, Op

Phase: TypeAlias = Literal["ready", "fallback", "leaving", "forked", "failed", "ended"]
FrameKind: TypeAlias = Literal["root", "arm"]
Mode: TypeAlias = Literal["run", "fallback", "leave", "join", "crash_loop"]
RunStatus: TypeAlias = Literal["running", "waiting", "finished", "stopped", "failed"]

ROOT: Final = ""
"""The id of the run's own frame."""

CRASHES: Final = 3
"""A node that was in flight at so many crashes in a row is not started again."""

_STORED: Final = (
    "kind",
    "parent",
    "until",
    "at",
    "phase",
    "visit",
    "attempt",
    "tries",
    "crashes",
    "due",
    "error",
    "cause",
    "failure",
    "counts",
    "marks",
    "usage",
    "fork",
    "journal",
    "samples",
    "stop",
)


@dataclass(slots=True)
class Frame:
    """One token.

    Attributes:
        kind: `root`, the run's own; `arm`, one of the ways that a fork runs side by side.
        parent: The id of the frame that forked it, "" for the root.
        base: That frame: what this one does not hold itself, it has from there. The parent stands still meanwhile.
        until: Where an arm ends: the join.
        check: Whether functions that change what they are given are caught; the process says so, no record.
        values: The state as records; an arm's, what it wrote since the fork.
        typed: Typed values of fields that were read or written, built from `values`.
        owned: Fields whose record may be changed in place, because nothing else holds it.
        lent: Fields whose typed value a node was given, and may still hold: a list is copied before it grows.
        digests: Digests of typed values, to catch nodes that change them.
        at: The node it stands at.
        phase: `ready` (run the node), `fallback` (run its fallback), `leaving` (the node is done, its way out is still
            to be chosen), `forked` (its arms are on their way), `failed`, `ended`.
        visit: Which visit of the node this is.
        attempt: Which attempt of this visit comes next.
        tries: Failed attempts since the visit began or was revived.
        crashes: Crashes in a row with this node in flight.
        due: Not to be started before, epoch seconds.
        error: The failure that led here, until the node is done.
        cause: The failure that the fallback stands in for.
        failure: What an arm failed with.
        counts: Completed visits by node; an arm's, those since the fork.
        marks: What plateaus, counts since a node and changes need of the past; an arm's, those it set.
        usage: What models were paid in this frame.
        fork: While it is forked: `join`, `need`, `arms` (the ids of its arms, in declared order).
        journal: An arm's operations, to be done again at the join.
        samples: An arm's samples, as [key, sample], None for a new beginning, to be taken again at the join.
    """

    id: str = ROOT
    kind: FrameKind = "root"
    parent: str = ""
    base: Frame | None = None
    check: bool = True
    until: str = ""
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
    failure: JsonValue = None
    stop: JsonValue = None
    counts: dict[str, int] = field(default_factory=dict)
    marks: dict[str, JsonValue] = field(default_factory=dict)
    usage: dict[str, float | None] = field(default_factory=dict)
    fork: JsonValue = None
    journal: list[Op] = field(default_factory=list)
    samples: list[JsonValue] = field(default_factory=list)

    def count(self, node: str) -> int:
        """Completed visits of a node, in this frame and those it has its state from."""
        visits = self.counts.get(node, 0)
        return visits if self.base is None else visits + self.base.count(node)


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
        mode: `run` the node, run its `fallback`, `leave` it (choose the way out), `join` its arms, or fail it for its
            `crash_loop`.
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
    for frame in frames.values():
        frame.base = frames[frame.parent] if frame.kind == "arm" else None
    return Snapshot(frames=frames, **rest)

"""Snapshots: where a run stands, as the fold of its steps.

A run is a tree of frames, each a token that walks a graph: the run's own, an arm of a fork, an item of a map, a
subgraph's visit. The fold owns its snapshot and changes it in place; the
log is the truth. What can be worked out again (typed values, digests) is cached beside the records and never stored.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from graphengine.engine.steps import FORMAT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from graphengine.engine.plan import Plan
    from graphengine.graph.options import Sizes
    from graphengine.state.json_values import JsonValue, Op

Phase: TypeAlias = Literal["ready", "fallback", "leaving", "forked", "mapping", "inside", "waiting", "failed", "ended"]
FrameKind: TypeAlias = Literal["root", "arm", "item", "sub"]
Mode: TypeAlias = Literal[
    "run", "fallback", "leave", "join", "collect", "exit", "limit", "deliver", "wake", "crash_loop"
]
RunStatus: TypeAlias = Literal["running", "waiting", "finished", "stopped", "failed"]

ROOT: Final = ""
"""The id of the run's own frame."""

CRASHES: Final = 3
"""A node that was in flight at so many crashes in a row, the last one of a process that drove nothing else, is not
started again."""

_NOT_STORED: Final = frozenset(
    {"id", "up", "base", "sub", "plan", "check", "typed", "owned", "grown", "lent", "digests"}
)
"""What of a frame can be worked out again: its place, its links, its caches. Every other field of it is stored."""


@dataclass(slots=True)
class Frame:
    """One token.

    Attributes:
        id: Its place in the tree: "" for the root, `~a` for an arm to `a`, `research[3]` for an item of the map at
            `research`, `article/` for the subgraph at `article`; below that `article/~a`, `article/research[3]`.
        kind: `root`, the run's own; `arm`, one of the ways that a fork runs side by side; `item`, one item of a map;
            `sub`, a subgraph's visit.
        parent: The id of the frame it was made by, "" for the root.
        up: That frame. It stands still meanwhile.
        base: The same for arms and items: what they do not hold themselves, they have from there. None for the root
            and for subgraphs, which have a state of their own.
        sub: The subgraph's frame that it is in, itself where it is one; None in the run's own graph.
        plan: In a subgraph's frame: the run's plan and the one that it walks, once that was looked up.
        until: Where an arm ends: the join.
        check: Whether functions that change what they are given are caught; the process says so, no record.
        values: The state as records; an arm's, what it wrote since the fork; an item's, its item by name.
        typed: Typed values of fields that were read or written, built from `values`.
        owned: Fields whose record may be changed in place, because nothing else holds it.
        grown: Keys of owned dicts whose lists may be changed in place too.
        lent: Fields whose typed value a node was given, and may still hold: a list is copied before it grows.
        digests: Digests of typed values, to catch nodes that change them.
        at: The node it stands at.
        phase: `ready` (run the node), `fallback` (run its fallback), `leaving` (the node is done, its way out is still
            to be chosen), `forked`, `mapping`, `inside` (its arms, items or subgraph are on their way), `waiting` (for
            an answer, a message, a time), `failed`, `ended`.
        visit: Which visit of the node this is.
        attempt: Which attempt of this visit comes next.
        tries: Failed attempts since the visit began or was revived.
        crashes: Crashes in a row with this node in flight.
        due: Not to be started before, epoch seconds.
        error: The failure that led here, until the node is done.
        cause: The failure that the fallback stands in for.
        failure: What it failed with, until the run is resumed.
        names: What that exception can be matched by.
        lasting: Whether another attempt cannot help.
        arrived: When it could begin this attempt.
        since: When it began to wait, or, in a subgraph, when that was entered.
        stop: How an arm failed, or how a subgraph came to its end.
        counts: Completed visits by node; an arm's, those since the fork.
        marks: What plateaus, counts since a node and changes need of the past; an arm's, those it set.
        usage: What models were paid in this frame.
        fork: While it is forked: `join`, `need`, `arms` (the ids of its arms, in declared order).
        map: While it is mapping: `count`, `concurrency`, `next` (the first item not begun), `again` (those to be begun
            again), `live`, `left` (how many have not ended), `done` (each item's updates), `failed`, `sent`.
        choice: What `choose` picked for the subgraph it is inside.
        ended: The label that the graph at its node stopped with, until the node is left.
        begun: Whether the start of this attempt was recorded.
        waits: What it waits for, by name.
        memos: Work of this visit that was recorded, by key.
        limits: Where a subgraph fails.
        steps: Completed visits in a subgraph.
        entered: Driven time when a subgraph was entered.
        spent: What models were paid in a subgraph and all that is in it.
        journal: An arm's operations, to be done again at the join.
        samples: An arm's samples, as [key, sample], None for a new beginning, to be taken again at the join.
    """

    id: str = ROOT
    kind: FrameKind = "root"
    parent: str = ""
    up: Frame | None = None
    base: Frame | None = None
    sub: Frame | None = None
    plan: tuple[Plan[Any], Plan[Any]] | None = field(default=None, init=False)
    check: bool = True
    until: str = ""
    values: dict[str, JsonValue] = field(default_factory=dict)
    typed: dict[str, object] = field(default_factory=dict)
    owned: set[str] = field(default_factory=set, init=False)
    grown: dict[str, set[str]] = field(default_factory=dict, init=False)
    lent: set[str] = field(default_factory=set, init=False)
    digests: dict[str, int] = field(default_factory=dict, init=False)
    at: str = ""
    phase: Phase = field(default="ready", init=False)
    visit: int = 1
    attempt: int = field(default=1, init=False)
    tries: int = field(default=0, init=False)
    crashes: int = field(default=0, init=False)
    due: float = field(default=0.0, init=False)
    error: JsonValue = field(default=None, init=False)
    cause: JsonValue = field(default=None, init=False)
    failure: JsonValue = field(default=None, init=False)
    counts: dict[str, int] = field(default_factory=dict, init=False)
    marks: dict[str, JsonValue] = field(default_factory=dict)
    usage: Mapping[str, float | None] = field(default_factory=dict, init=False)
    fork: JsonValue = field(default=None, init=False)
    map: JsonValue = field(default=None, init=False)
    journal: list[Op] = field(default_factory=list, init=False)
    samples: list[JsonValue] = field(default_factory=list, init=False)
    stop: JsonValue = field(default=None, init=False)
    names: Sequence[str] = field(default=(), init=False)
    lasting: bool = field(default=False, init=False)
    since: float = 0.0
    arrived: float = 0.0
    choice: str = field(default="", init=False)
    ended: str = field(default="", init=False)
    begun: bool = field(default=False, init=False)
    waits: dict[str, JsonValue] = field(default_factory=dict, init=False)
    memos: dict[str, JsonValue] = field(default_factory=dict, init=False)
    limits: Mapping[str, float | None] = field(default_factory=dict)
    steps: int = field(default=0, init=False)
    entered: float = 0.0
    spent: Mapping[str, float | None] = field(default_factory=dict, init=False)

    def count(self, node: str) -> int:
        """Completed visits of a node, in this frame and those it has its state from."""
        visits = self.counts.get(node, 0)
        return visits if self.base is None else visits + self.base.count(node)


_STORED: Final = tuple(known.name for known in fields(Frame) if known.name not in _NOT_STORED)


def child_id(frame: str, text: str) -> str:
    """The id of an item's or subgraph's frame below a frame."""
    return f"{frame}/{text}" if frame and not frame.endswith("/") else f"{frame}{text}"


def children(frame: Frame) -> Sequence[str]:
    """The ids of the frames that this one made and that are still there."""
    if frame.phase == "forked":
        arms: Sequence[str] = frame.fork["arms"]
        return arms
    if frame.phase == "mapping":
        facts = frame.map
        kept = [int(index) for index, failed in facts["failed"].items() if "kept" in failed]
        kept += [index for index, failed in facts["again"] if "kept" in failed]
        return [item_id(frame, index) for index in (*facts["live"], *kept)]
    if frame.phase == "inside":
        return (sub_id(frame),)
    return ()


def item_id(frame: Frame, index: int) -> str:
    """The id of an item's frame."""
    return child_id(frame.id, f"{frame.at}[{index}]")


def sub_id(frame: Frame) -> str:
    """The id of the frame of the subgraph that a frame is inside; that of an item's is named by the item."""
    return f"{frame.id}/" if frame.kind == "item" else child_id(frame.id, f"{frame.at}/")


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
        pause: Nodes before which the run is to wait, by path.
        mailbox: Messages that nobody received yet, by topic.
        waiting: How many frames wait.
        company: Whether the process that drives it drove others too, where a third crash would give a node up.
        frames: All live frames by id.
        mover: A frame that could move when that was last looked for.
        touched: Frames that may have something to run since this was last emptied.
        sizes: How large things may be; the process says so, no record.
        weight: The size of all this as JSON after the step `weighed`, in bytes, from above; where there is a limit.
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
    pause: Sequence[str] = ()
    mailbox: dict[str, list[JsonValue]] = field(default_factory=dict)
    waiting: int = 0
    company: bool = False
    frames: dict[str, Frame] = field(default_factory=dict)
    mover: str = ROOT
    touched: list[str] = field(default_factory=list)
    sizes: Sizes | None = None
    weight: int = 0
    weighed: int = 0

    @property
    def root(self) -> Frame:
        """The run's own frame."""
        return self.frames[ROOT]


@dataclass(slots=True)
class Task:
    """Something that should be running now.

    Attributes:
        mode: `run` the node, run its `fallback`, `leave` it (choose the way out), `join` its arms, `collect` its items,
            `exit` its subgraph, fail it for its `limit` or its `crash_loop`, `deliver` a message it waits for, or
            `wake` it, since its time has come.
        due: Not before this time, epoch seconds; 0 for at once.
        wait: The name of the wait to deliver to or to wake.
    """

    frame: str
    node: str
    visit: int
    attempt: int
    mode: Mode
    due: float
    wait: str = ""


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
        "pause": list(snapshot.pause),
        "mailbox": snapshot.mailbox,
        "waiting": snapshot.waiting,
        **({"company": True} if snapshot.company else {}),
        "frames": {frame.id: {name: getattr(frame, name) for name in _STORED} for frame in snapshot.frames.values()},
    }


def _frame(key: str, facts: Mapping[str, JsonValue]) -> Frame:
    frame = Frame(id=key)
    for name, fact in facts.items():
        if name not in _STORED and name != "values":
            message = f"a frame has no {name!r}"
            raise ValueError(message)
        setattr(frame, name, fact)
    frame.owned = set(frame.values)
    return frame


def from_record(record: Mapping[str, JsonValue], *, copied: bool = True) -> Snapshot:
    """The snapshot that `to_record` described. It owns what it holds.

    Args:
        record: The description.
        copied: Whether to copy it, since somebody else holds it too.

    Raises:
        ValueError: The record is of another format.
    """
    rest = deepcopy(dict(record)) if copied else dict(record)
    for name in ("mover", "touched", "sizes", "weight", "weighed"):  # a process's own, of which no record tells
        if name in rest:
            message = f"a snapshot has no {name!r}"
            raise ValueError(message)
    if rest.pop("format", None) != FORMAT:
        message = f"snapshot of format {record.get('format')!r}; this version reads {FORMAT}"
        raise ValueError(message)
    frames = {key: _frame(key, facts) for key, facts in rest.pop("frames").items()}
    for frame in frames.values():
        frame.up = frames[frame.parent] if frame.kind != "root" else None
        frame.base = frame.up if frame.kind != "sub" else None
    for frame in frames.values():  # each behind the one around it, as they were made
        frame.sub = frame if frame.kind == "sub" else frame.up.sub if frame.up is not None else None
    return Snapshot(frames=frames, **rest)

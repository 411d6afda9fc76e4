"""Snapshots: where a run is, as the fold of its steps.

A run is a tree of frames, each a token that walks a graph: the run's own, an arm of a fork, an item of a map, a
subgraph's visit. The fold owns its snapshot and changes it in place; the log is the truth. What can be worked out again
(typed values, digests) is cached next to the records and never stored. `graphengine.engine.stored` knows its JSON.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from msgspec import Struct, field

from graphengine.engine.phases import Collecting, Ended, Fallback, Forked, Inside, Phase, Ready, Waiting

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from graphengine.engine.phases import Failing, Memo
    from graphengine.engine.plan import Plan
    from graphengine.engine.steps import FailureRecord, Limits, Number, RunStatus, Usage, WaitRecord
    from graphengine.graph.options import Sizes
    from graphengine.state.json_values import JsonValue, Op
    from graphengine.state.stop import Stop

FrameKind: TypeAlias = Literal["root", "arm", "item", "sub"]
Mode: TypeAlias = Literal[
    "run", "fallback", "leave", "join", "collect", "exit", "limit", "deliver", "wake", "crash_loop"
]

ROOT: Final = ""
"""The id of the run's own frame."""

CRASHES: Final = 3
"""A node that was in flight at so many crashes in a row, the last one of a process that drove nothing else, is not
started again."""

READY: Final = Ready()
_NO_WAITS: Final[Mapping[str, WaitRecord]] = {}


class Frame(Struct, eq=False):
    """One token.

    Attributes:
        id: Its place in the tree: "" for the root, `~a` for an arm to `a`, `research[3]` for an item of the map at
            `research`, `article/` for the subgraph at `article`; below that `article/~a`, `article/research[3]`.
        kind: `root`, the run's own; `arm`, one of the arms of a fork; `item`, one item of a map; `sub`, a subgraph's
            visit.
        parent: The id of the frame it was made by, "" for the root.
        up: That frame. It does not move meanwhile.
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
        at: The node it is at.
        phase: What it is doing.
        failing: How it failed, until the run is resumed.
        visit: Which visit of the node this is.
        attempt: Which attempt of this visit comes next.
        tries: Failed attempts since the visit began or was revived.
        crashes: Crashes in a row with this node in flight.
        due: Not to be started before, epoch seconds.
        error: The failure that led here, until the node is done.
        arrived: When it could begin this attempt.
        begun: Whether the start of this attempt was recorded.
        memos: Work of this visit that was recorded, by key.
        counts: Completed visits by node; an arm's, those since the fork.
        marks: What plateaus, counts since a node and changes need of the past; an arm's, those it set.
        usage: What models were paid in this frame.
        limits: Where a subgraph fails.
        steps: Completed visits in a subgraph.
        since: When it began to wait last, or, of a subgraph, when that was entered, epoch seconds.
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
    plan: tuple[Plan[Any], Plan[Any]] | None = None
    until: str = ""
    check: bool = True
    values: dict[str, JsonValue] = field(default_factory=dict)
    typed: dict[str, object] = field(default_factory=dict)
    owned: set[str] = field(default_factory=set)
    grown: dict[str, set[str]] = field(default_factory=dict)
    lent: set[str] = field(default_factory=set)
    digests: dict[str, int] = field(default_factory=dict)
    at: str = ""
    phase: Phase = READY
    failing: Failing | None = None
    visit: int = 1
    attempt: int = 1
    tries: int = 0
    crashes: int = 0
    due: Number = 0.0
    error: FailureRecord | None = None
    arrived: Number = 0.0
    begun: bool = False
    memos: dict[str, Memo] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    marks: dict[str, JsonValue] = field(default_factory=dict)
    usage: Usage = field(default_factory=dict)
    limits: Limits = field(default_factory=dict)
    steps: int = 0
    since: Number = 0.0
    entered: Number = 0.0
    spent: Usage = field(default_factory=dict)
    journal: list[Op] = field(default_factory=list)
    samples: list[JsonValue] = field(default_factory=list)

    @property
    def failure(self) -> FailureRecord | None:
        """What it failed with, until the run is resumed."""
        return self.failing.error if self.failing is not None else None

    @property
    def stop(self) -> Stop | None:
        """How it ended, or failed."""
        if self.failing is not None:
            return self.failing.stop
        return self.phase.stop if isinstance(self.phase, Ended) else None

    @property
    def waits(self) -> Mapping[str, WaitRecord]:
        """What it waits for, by name."""
        return self.phase.waits if isinstance(self.phase, Waiting) else _NO_WAITS

    @property
    def cause(self) -> FailureRecord | None:
        """The failure that its fallback stands in for, also while that waits."""
        phase = self.phase.then if isinstance(self.phase, Waiting) else self.phase
        return phase.cause if isinstance(phase, Fallback) else None

    @property
    def choice(self) -> str:
        """What `choose` picked for the subgraph it is inside."""
        return self.phase.choice if isinstance(self.phase, Inside) else ""

    def count(self, node: str) -> int:
        """Completed visits of a node, in this frame and those it has its state from."""
        visits = self.counts.get(node, 0)
        return visits if self.base is None else visits + self.base.count(node)


def child_id(frame: str, text: str) -> str:
    """The id of an item's or subgraph's frame below a frame."""
    return f"{frame}/{text}" if frame and not frame.endswith("/") else f"{frame}{text}"


def children(frame: Frame) -> Sequence[str]:
    """The ids of the frames that this one made and that still exist."""
    phase = frame.phase
    if isinstance(phase, Forked):
        return phase.arms
    if isinstance(phase, Collecting):
        kept = [int(index) for index, failed in phase.failed.items() if failed.kept]
        kept += [index for index, failed in phase.again if failed.kept]
        return [item_id(frame, index) for index in (*phase.live, *kept)]
    if isinstance(phase, Inside):
        return (sub_id(frame),)
    return ()


def item_id(frame: Frame, index: int) -> str:
    """The id of an item's frame."""
    return child_id(frame.id, f"{frame.at}[{index}]")


def sub_id(frame: Frame) -> str:
    """The id of the frame of the subgraph that a frame is inside; that of an item's is named by the item."""
    return f"{frame.id}/" if frame.kind == "item" else child_id(frame.id, f"{frame.at}/")


class Snapshot(Struct, eq=False):
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
    now: Number = 0.0
    elapsed_seconds: Number = 0.0
    steps: int = 0
    usage: Usage = field(default_factory=dict)
    inherited: Usage = field(default_factory=dict)
    limits: Limits = field(default_factory=dict)
    stop: Stop | None = None
    failure: FailureRecord | None = None
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


class Task(Struct):
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
    due: Number
    wait: str = ""

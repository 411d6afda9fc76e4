"""Snapshots: the position and state of a run, as the fold of its steps.

A run is a tree of frames, each a token that walks a graph: the run's own, an arm of a fork, an item of a map, a
subgraph's visit. The fold owns its snapshot and changes it in place; the log is the source of truth. Derived data
(typed values) is cached next to the records and never stored. `graphengine.engine.stored` knows the JSON.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from msgspec import Struct, field

from graphengine.engine.open_waits import OpenWaits
from graphengine.engine.phases import (
    ASKED,
    BEGUN,
    AskedName,
    Collecting,
    Ended,
    Fallback,
    Forked,
    FrameRecord,
    Inside,
    LostItem,
    Phase,
    Ready,
    Waiting,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from graphengine.engine.phases import Failing, RecordedResult
    from graphengine.engine.plan import Plan
    from graphengine.engine.steps import AnswerRecord, FailureRecord, OriginRecord, RunStatus, StarterRecord, WaitRecord
    from graphengine.state.amounts import LimitsRecord, Number, Usage
    from graphengine.state.ending import Ending
    from graphengine.state.json_values import JsonValue

FrameKind: TypeAlias = Literal["root", "arm", "item", "sub"]
Mode: TypeAlias = Literal[
    "run", "fallback", "leave", "join", "collect", "exit", "limit", "deliver", "wake", "crash_loop"
]

ROOT: Final = ""
"""The id of the run's own frame."""

CRASHES: Final = 3
"""A node that was in flight at this many crashes in a row is failed instead of started again. The last crash counts
only in a process that drove no other run: after two, `wants_alone` keeps others out, so that a third is the node's
own."""

READY: Final = Ready()
_NO_WAITS: Final[Mapping[str, WaitRecord]] = {}


class Frame(FrameRecord, eq=False):
    """A token that walks a graph.

    Attributes:
        id: Its place in the tree: "" for the root, `~a` for an arm to `a`, `research[3]` for an item of the map at
            `research`, `article/` for the subgraph at `article`; below that `article/~a`, `article/research[3]`.
        kind: `root`, the run's own; `arm`, one of the arms of a fork; `item`, one item of a map; `sub`, a subgraph's
            visit.
        parent: The id of the frame that created it, "" for the root.
        up: The frame that created it. It does not move while this frame exists.
        base: The same frame for arms and items, which read from it the fields that they do not hold themselves. None
            for the root and for subgraphs, which have a state of their own.
        sub: The subgraph's frame that it is in, itself if it is one; None in the run's own graph.
        plan: In a subgraph's frame: the run's plan and the one that it walks, cached when first looked up.
        until: The join at which an arm ends.
        values: The state as records. An arm holds what it wrote since the fork, an item its item by name.
        typed: Typed values of fields that were read or written, built from `values`.
        owned: Fields whose record can be changed in place, because nothing else holds it.
        owned_lists: Keys of owned dicts whose lists can be changed in place too.
        growing: Fields whose typed value nothing else holds, so that it can grow in place.
        at: The node it is at.
        phase: What it is doing.
        failing: How it failed, until the run is resumed.
        named: The node's name when this visit began, if a changed graph renamed it since: keys of effects contain it.
        visit: Which visit of the node this is.
        attempt: Which attempt of this visit comes next.
        tries: Failed attempts since the visit began or was revived.
        crashes: Crashes in a row with this node in flight.
        due: The earliest start of the next attempt, epoch seconds.
        error: The failure that led here, until the node is done.
        arrived: When this attempt could begin, epoch seconds.
        recorded_results: Work of this visit that was recorded, by key.
        asks: The questions of this visit whose wait is over, by the key of the wait.
        counts: Completed visits by node; for an arm, those since the fork.
        marks: Memory of conditions (plateaus, counts since a node, changes); for an arm, the marks it set.
        usage: What was spent in this frame.
        limits: The limits at which a subgraph fails.
        steps: Completed visits in a subgraph.
        since: When its last wait began, or, for a subgraph, when it was entered, epoch seconds.
        entered: The run's driven time when a subgraph was entered.
        spent: What was spent in a subgraph, including everything inside it.
        written: The fields that it holds and that nodes wrote, as keys; the others a person or the caller gave. See
            `graphengine.engine.provenance`.
        journal: An arm's operations, to be applied again at the join.
        added: The typed values that they set or add, by their place in the journal, as far as they are known.
        samples: An arm's samples, as [key, sample], None for a reset, to be taken again at the join.
    """

    id: str = ROOT
    kind: FrameKind = "root"
    parent: str = ""
    up: Frame | None = None
    base: Frame | None = None
    sub: Frame | None = None
    plan: tuple[Plan[Any], Plan[Any]] | None = None
    values: dict[str, Any] = field(default_factory=dict)
    typed: dict[str, object] = field(default_factory=dict)
    owned: set[str] = field(default_factory=set)
    owned_lists: dict[str, set[str]] = field(default_factory=dict)
    growing: set[str] = field(default_factory=set)
    at: str = ""
    phase: Phase = READY
    failing: Failing | None = None
    added: dict[int, object] = field(default_factory=dict)

    @property
    def failure(self) -> FailureRecord | None:
        """The failure, until the run is resumed."""
        return self.failing.error if self.failing is not None else None

    @property
    def ending(self) -> Ending | None:
        """The end of a frame that ended or failed."""
        if self.failing is not None:
            return self.failing.ending
        return self.phase.ending if isinstance(self.phase, Ended) else None

    @property
    def waits(self) -> Mapping[str, WaitRecord]:
        """The waits of a waiting frame, by name."""
        return self.phase.waits if isinstance(self.phase, Waiting) else _NO_WAITS

    @property
    def asked(self) -> Mapping[str, tuple[str, RecordedResult]]:
        """What its node has asked, has no answer to, and will ask again: each wait by its name, with its key."""
        known = self.recorded_results
        again = ((key.removeprefix(ASKED), asked) for key, asked in known.items() if key.startswith(ASKED))
        return {asked.name or "": (key, asked) for key, asked in again if key not in known}

    @property
    def fallback(self) -> Fallback | None:
        """The phase of the frame if the fallback of its node runs or waits; None otherwise."""
        phase = self.phase.then if isinstance(self.phase, Waiting) else self.phase
        return phase if isinstance(phase, Fallback) else None

    @property
    def cause(self) -> FailureRecord | None:
        """The failure that its fallback replaces, also while the fallback waits."""
        return None if self.fallback is None else self.fallback.cause

    @property
    def choice(self) -> str:
        """What `choose` picked, if the frame is inside a subgraph."""
        return self.phase.choice if isinstance(self.phase, Inside) else ""

    @property
    def attempt_id(self) -> AttemptId:
        """The attempt that it is at."""
        return AttemptId(self.id, self.at, self.visit, self.attempt)

    @property
    def has_begun(self) -> bool:
        """Whether its node, an effect that must not be repeated, has begun in this visit."""
        return BEGUN in self.recorded_results

    @property
    def crash_loops(self) -> bool:
        """Whether its node was in flight in so many crashes that it fails instead of running again."""
        return self.crashes >= CRASHES

    @property
    def children(self) -> Sequence[str]:
        """The ids of the frames that it created and that still exist."""
        phase = self.phase
        if isinstance(phase, Forked):
            return phase.arms
        if isinstance(phase, Collecting):
            kept = [int(index) for index, failed in phase.failed.items() if failed.kept]
            kept += [index for index, failed in phase.again if failed.kept]
            return [self.item_id(index) for index in (*phase.live, *map(int, phase.idle), *kept)]
        if isinstance(phase, Inside):
            return (self.sub_id,)
        return ()

    @property
    def sub_id(self) -> str:
        """The id of the frame of its subgraph. For an item it extends the item's id."""
        return f"{self.id}/" if self.kind == "item" else child_id(self.id, f"{self.at}/")

    def item_id(self, index: int) -> str:
        """Return the id of the frame of an item of its map."""
        return child_id(self.id, f"{self.at}[{index}]")

    def was_asked(self, key: str) -> bool:
        """Return whether its node has asked the question of a key in this visit, answered or not."""
        return key in self.recorded_results or f"{ASKED}{key}" in self.recorded_results

    def is_settled(self, maps: Collection[str]) -> bool:
        """Return whether it is a failed item of one of these maps, or inside of one."""
        around = self if maps else None
        while around is not None:
            if around.kind == "item" and around.failing is not None and around.id[: around.id.rindex("[")] in maps:
                return True
            around = around.up
        return False

    def held(self, name: str) -> Any:  # noqa: ANN401 - the operations on the field set its type
        """Return the record of a field, from the frame that holds it: this one, or one it has its state from."""
        frame = self
        while frame.base is not None and name not in frame.values:
            frame = frame.base
        return frame.values.get(name)

    def count(self, node: str) -> int:
        """Count the completed visits of a node, in this frame and in those it has its state from."""
        visits = self.counts.get(node, 0)
        return visits if self.base is None else visits + self.base.count(node)


def work_at(frame: Frame) -> list[dict[str, RecordedResult]]:
    """Return the recorded work of a frame's visit, and that of the failed items that a map at its node has kept."""
    map_ = frame.phase
    kept = [*map_.failed.values(), *(item for _, item in map_.again)] if isinstance(map_, Collecting) else []
    return [found for found in (frame.recorded_results, *(item.recorded_results for item in kept)) if found]


def child_id(frame: str, text: str) -> str:
    """Return the id of an item's or subgraph's frame below a frame."""
    return f"{frame}/{text}" if frame and not frame.endswith("/") else f"{frame}{text}"


def index_of(item: Frame) -> str:
    """Return the index of an item in its map, as text."""
    return item.id[item.id.rindex("[") + 1 : -1]


class Snapshot(Struct, eq=False):
    """A run as of `seq`.

    Attributes:
        now: The time of the last step, epoch seconds.
        elapsed_seconds: Driven time; the time between a stop and a resume does not count.
        steps: Completed node visits.
        usage: Model calls, tokens and cost so far; `cost_usd` is None once a price was unknown.
        inherited: The part of `usage` that was spent before the run branched off.
        losses: What nodes lost on the way, by the names of `graphengine.state.amounts.LOSSES`; calls count theirs in
            `usage`.
        agents: What recorded answers cost since the run began or branched off, US dollars, by the agent's name; None
            if the price of one is not known, 0 if no call of its succeeded. The first 64 agents count.
        limits: The limits at which it stops.
        ending: Why it ended, while it is not running.
        failure: The failure it ended with, if it failed.
        failures: Items that failed in maps that were left since, without tracebacks.
        pause: Nodes before which the run waits, by path.
        starter: The node that started it, to whose run its end is told; None if no node did, as for a branch.
        instructions: Texts that branches on the way here put in place of the graph's, as in `steps.Branched`.
        origin: What began it, or branched it off; None if that is not known.
        began_with: The fingerprint with which it began or branched off.
        code: The id of the code under which its nodes have recorded work last; "" if none has.
        nonce: Of its start or branching: with its id it names this run, and no other one that has the id later.
        key_base: With what the idempotency keys of its work begin, if that is not its id; see `steps.Started`.
        title: What its graph calls it, else the first line of the first text of its input.
        mailbox: Messages that were not received yet, by topic.
        own_topics: The topics on which nodes of the run, or child runs, sent a message, as keys: what comes on one is
            not taken for what a caller gave.
        waiting: How many frames wait.
        deaths: How often a process died with nodes of the run in flight. A model call in flight then is in no usage:
            nothing is recorded of a call before it ends.
        cut_until: Until when a process that was cut off from the run may still act, epoch seconds; 0 for none.
        cut_seq: The seq at which another process went on; what had begun before it may still be done by that one.
        shared_process: Whether the process that drives it also drove others, where a third crash would fail a node.
        frames: All live frames by id.
        runnable: A frame that could move after the last step, while other frames wait: the fold tries it first.
        maybe_runnable: While frames wait, those that can move or may be able to; None if unknown. Only the fold
            changes it.
        open: The index of its waits, a cache; None if it is not built. Use `open_waits`.
        changed: The frames that the last step changed, so that they may have new tasks.
        asked: How often the run has asked a question of a name, and the seq of the step that did last, by name.
        posted: Answers in the run's inbox that the run has not taken up, by the ids of their waits. Only readers set
            them (`history.load.load_now`); they are not stored, and move nothing.
    """

    run_id: str = ""
    graph: str = ""
    fingerprint: str = ""
    seq: int = 0
    status: RunStatus = "running"
    now: Number = 0.0
    elapsed_seconds: Number = 0.0
    steps: int = 0
    usage: Usage = {}
    inherited: Usage = {}
    losses: dict[str, int] = {}
    agents: dict[str, Number | None] = {}
    limits: LimitsRecord = {}
    ending: Ending | None = None
    failure: FailureRecord | None = None
    failures: list[LostItem] = field(default_factory=list)
    pause: Sequence[str] = ()
    starter: StarterRecord | None = None
    instructions: Mapping[str, str] = {}
    origin: OriginRecord | None = None
    began_with: str = ""
    code: str = ""
    nonce: str = ""
    key_base: str = ""
    title: str = ""
    mailbox: dict[str, list[JsonValue]] = field(default_factory=dict)
    own_topics: dict[str, bool] = field(default_factory=dict)
    waiting: int = 0
    deaths: int = 0
    cut_until: Number = 0.0
    cut_seq: int = 0
    shared_process: bool = False
    asked: dict[str, AskedName] = field(default_factory=dict)
    frames: dict[str, Frame] = field(default_factory=dict)
    runnable: str | None = ROOT
    maybe_runnable: dict[str, None] | None = None
    open: OpenWaits | None = None
    changed: list[str] = field(default_factory=list)
    posted: Mapping[str, AnswerRecord] = {}

    @property
    def root(self) -> Frame:
        """The run's own frame."""
        return self.frames[ROOT]

    @property
    def open_waits(self) -> OpenWaits:
        """The index of its waits."""
        if self.open is None:
            self.open = OpenWaits(self.frames)
        return self.open

    def check_sound(self) -> None:
        """Check that it has the shape that `decide` and the views rely on.

        Raises:
            ValueError: It does not.
        """
        if ROOT not in self.frames:
            message = "its first step is missing"
            raise ValueError(message)
        for frame in self.frames.values():
            if (frame.kind == "root") != (frame.id == ROOT):
                message = f"the frame {frame.id!r} is of kind {frame.kind!r}"
                raise ValueError(message)
            missing = [key for key in frame.children if key not in self.frames]
            if missing and isinstance(frame.phase, Forked):
                message = f"the fork at {frame.id!r} has no arm {missing[0]!r}"
                raise ValueError(message)


class AttemptId(Struct, gc=False):
    """Which attempt of which visit of a node in a frame."""

    frame: str
    node: str
    visit: int
    attempt: int


class Task(AttemptId):
    """Something that should be running now.

    Attributes:
        mode: `run` the node, run its `fallback`, `leave` it (choose the edge), `join` its arms, `collect` its items,
            `exit` its subgraph, fail it for its `limit` or its `crash_loop`, `deliver` a message it waits for, or
            `wake` it at a time.
        due: The earliest start, epoch seconds; 0 for at once.
        wait: The name of the wait to deliver to or to wake.
    """

    mode: Mode
    due: Number
    wait: str = ""

"""Snapshots: the position and state of a run, computed by folding its steps.

A run is a tree of frames. Each frame is a token that walks through a graph: the run's own frame, an arm of a fork, an
item of a map, or a visit of a subgraph. The log is the source of truth. The fold owns its snapshot and changes the
snapshot in place. Typed values are computed from the records, cached next to them, and never stored.
`graphengine.engine.stored` converts snapshots to JSON and back.
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
"""A node that was in flight at this many crashes in a row fails instead of running again.

The last of these crashes counts only if the process drove no other run. So after two crashes `wants_alone` keeps other
runs out of the process, and a third crash must have been caused by the node itself.
"""

READY: Final = Ready()
_NO_WAITS: Final[Mapping[str, WaitRecord]] = {}


class Frame(FrameRecord, eq=False):
    """One position of a run in a graph, with the state that is visible there and what is going on.

    A run has one frame for its own graph. Each visit of a subgraph, each arm of a fork and each item of a map adds a
    frame.

    Attributes:
        id: The place of the frame in the tree: "" for the root, `~a` for an arm to `a`, `research[3]` for an item of
            the map at `research`, `article/` for the subgraph at `article`. Frames inside the subgraph have ids such as
            `article/~a` and `article/research[3]`.
        kind: `root`, the run's own frame; `arm`, an arm of a fork; `item`, an item of a map; `sub`, a visit of a
            subgraph.
        parent: The id of the frame that created this frame; "" for the root.
        up: The frame that created this frame. It does not move while this frame exists.
        base: For arms and items, the same frame as `up`: fields that this frame does not hold are read from it. None
            for the root and for subgraphs, which have a state of their own.
        sub: The frame of the innermost subgraph that contains this frame, or this frame itself if it is a subgraph's
            frame. None in the run's own graph.
        plan: For a subgraph's frame: the plan of the run and the plan of the subgraph. They are cached when they are
            first looked up.
        until: For an arm: the join at which the arm ends.
        values: The state as records. An arm holds the values that it wrote since the fork. An item holds its own item,
            by name.
        typed: Typed values of fields that were read or written, built from `values`.
        owned: Fields whose record can be changed in place, because no other object refers to the record.
        owned_lists: For each owned dict, the keys whose lists can be changed in place too.
        growing: Fields whose typed value can grow in place, because no other object refers to the value.
        at: The node at which the frame is.
        phase: What the frame is doing.
        failing: How the frame failed. It is set until the run is resumed.
        named: The name that the node had when this visit began, if a changed graph has renamed the node since. The keys
            of effects contain this name.
        visit: The number of this visit of the node.
        attempt: The number of the next attempt of this visit.
        tries: The number of failed attempts since the visit began or was revived.
        crashes: The number of crashes in a row during which this node was in flight.
        due: The earliest start of the next attempt, in epoch seconds.
        error: The failure that led to this node. It is set until the node is done.
        arrived: When this attempt could have begun, in epoch seconds.
        recorded_results: The recorded work of this visit, by key.
        asks: The questions of this visit whose wait is over, by the key of the wait.
        counts: The number of completed visits by node. An arm counts the visits since the fork.
        marks: The memory of conditions (plateaus, counts since a node, changes). An arm holds the marks that it set.
        usage: The usage (model calls, tokens and cost) in this frame.
        limits: For a subgraph: the limits at which the subgraph fails.
        steps: For a subgraph: the number of completed visits in it.
        since: When the last wait of the frame began. For a subgraph: when it was entered. In epoch seconds.
        entered: For a subgraph: the driven time of the run when the subgraph was entered.
        spent: For a subgraph: the usage in it, including all frames inside it.
        written: The fields that this frame holds and that nodes wrote, as keys. The other fields were given by a person
            or by the caller. See `graphengine.engine.provenance`.
        journal: For an arm: its operations, which are applied again at the join.
        added: The typed values that the operations of the journal set or add, by their position in the journal, as far
            as they are known.
        samples: For an arm: its samples as [key, sample], which are added again at the join. A sample of None stands
            for a reset.
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
        """How this part of the run failed. It is kept until the run is resumed; None if it has not failed."""
        return self.failing.error if self.failing is not None else None

    @property
    def ending(self) -> Ending | None:
        """How this part of the run ended or failed; None if it is still active."""
        if self.failing is not None:
            return self.failing.ending
        return self.phase.ending if isinstance(self.phase, Ended) else None

    @property
    def waits(self) -> Mapping[str, WaitRecord]:
        """The open waits of the node (for answers, messages or times), by the names of the waits.

        Empty if the node does not wait.
        """
        return self.phase.waits if isinstance(self.phase, Waiting) else _NO_WAITS

    @property
    def asked(self) -> Mapping[str, tuple[str, RecordedResult]]:
        """The unanswered questions that the code of the node will ask again when it runs the next time, by name.

        Each value is a pair: the key under which the question is recorded, and the record.
        """
        results = self.recorded_results
        again = ((key.removeprefix(ASKED), asked) for key, asked in results.items() if key.startswith(ASKED))
        return {asked.name or "": (key, asked) for key, asked in again if key not in results}

    @property
    def fallback(self) -> Fallback | None:
        """The `Fallback` phase if the node's fallback is running or waiting; None otherwise."""
        phase = self.phase.then if isinstance(self.phase, Waiting) else self.phase
        return phase if isinstance(phase, Fallback) else None

    @property
    def cause(self) -> FailureRecord | None:
        """The failure of the node, while the node's fallback runs or waits."""
        return None if self.fallback is None else self.fallback.cause

    @property
    def choice(self) -> str:
        """The name of the subgraph that the node chose, while that subgraph runs; "" otherwise."""
        return self.phase.choice if isinstance(self.phase, Inside) else ""

    @property
    def attempt_id(self) -> AttemptId:
        return AttemptId(self.id, self.at, self.visit, self.attempt)

    @property
    def has_begun(self) -> bool:
        """Whether the node is a side effect that must not be repeated and has begun in this visit."""
        return BEGUN in self.recorded_results

    @property
    def crash_loops(self) -> bool:
        """Whether the node must fail because too many crashes happened while it was running."""
        return self.crashes >= CRASHES

    @property
    def children(self) -> Sequence[str]:
        """The ids of the frames that this frame started: the arms of a fork, the items of a map, or a subgraph."""
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
        """The id of the frame in which the subgraph of this node runs, such as `article/`."""
        return f"{self.id}/" if self.kind == "item" else child_id(self.id, f"{self.at}/")

    def item_id(self, index: int) -> str:
        """Return the id of the frame for one item of the map at this node, such as `research[3]`."""
        return child_id(self.id, f"{self.at}[{index}]")

    def was_asked(self, key: str) -> bool:
        """Return whether the node has already asked this question in its current visit, answered or not."""
        return key in self.recorded_results or f"{ASKED}{key}" in self.recorded_results

    def is_settled(self, maps: Collection[str]) -> bool:
        """Return whether this position of the run is inside a map item that failed and is not retried.

        `maps` contains the ids of the maps whose failed items stay failed.
        """
        around = self if maps else None
        while around is not None:
            if around.kind == "item" and around.failing is not None and around.id[: around.id.rindex("[")] in maps:
                return True
            around = around.up
        return False

    def held(self, name: str) -> Any:  # noqa: ANN401 - the operations on the field set its type
        """Return the JSON value of a field as it is seen at this position of the run; None if the field has no value.

        An arm of a fork or an item of a map stores only what it wrote itself. All other fields are read from the
        position around it.
        """
        frame = self
        while frame.base is not None and name not in frame.values:
            frame = frame.base
        return frame.values.get(name)

    def count(self, node: str) -> int:
        """Return how many visits of a node have completed, as conditions at this position of the run see it.

        An arm of a fork sees the visits before the fork and its own visits.
        """
        visits = self.counts.get(node, 0)
        return visits if self.base is None else visits + self.base.count(node)


def work_at(frame: Frame) -> list[dict[str, RecordedResult]]:
    """Return the results that a node has recorded in its current visit, including those of failed map items."""
    map_ = frame.phase
    kept = [*map_.failed.values(), *(item for _, item in map_.again)] if isinstance(map_, Collecting) else []
    return [found for found in (frame.recorded_results, *(item.recorded_results for item in kept)) if found]


def child_id(frame: str, text: str) -> str:
    return f"{frame}/{text}" if frame and not frame.endswith("/") else f"{frame}{text}"


def index_of(item: Frame) -> str:
    return item.id[item.id.rindex("[") + 1 : -1]


class Snapshot(Struct, eq=False):
    """The position and state of a run after the step `seq`.

    Attributes:
        seq: The number of the last step.
        now: The time of the last step, in epoch seconds.
        elapsed_seconds: The time during which the run was driven. The time between a stop and a resume does not count.
        steps: The number of completed visits of nodes.
        usage: Model calls, tokens and cost so far. `cost_usd` is None once the price of a call was unknown.
        inherited: The part of `usage` that was spent before the run branched off.
        losses: How often nodes lost something on the way, by the names of `graphengine.state.amounts.LOSSES`. The
            losses of calls are counted in `usage` instead.
        agents: The cost of recorded answers since the run began or branched off, in US dollars, by the name of the
            agent. None if the price of an answer is not known; 0 if no call of the agent succeeded. Only the first 64
            agents are counted.
        limits: The limits at which the run stops.
        ending: Why the run ended. None while the run is running.
        failure: The failure with which the run ended, if it failed.
        failures: The failed items of maps that have been left since, without tracebacks.
        pause: The nodes before which the run waits, by path.
        starter: The node that started the run, to whose run the end is reported. None if no node did, as for a branch.
        instructions: The texts with which this branch, and branches above it, replaced texts of the graph; see
            `steps.Branched`.
        origin: The program and the user that began the run or branched it off; None if that is not known.
        began_with: The fingerprint of the graph with which the run began or branched off.
        code: The id of the code under which the nodes last recorded work; "" if they have not recorded any.
        nonce: The nonce of the start or of the branching. The id and the nonce together name exactly this run, even if
            a later run has the same id.
        key_base: The beginning of the idempotency keys of the run's work, if it is not the run's id; see
            `steps.Started`.
        title: The title that the graph gives the run, or else the first line of the first text of the run's input.
        mailbox: The messages that were not received yet, by topic.
        own_topics: The topics on which nodes of the run, or child runs, sent a message, as keys. A message on such a
            topic does not count as given by a caller.
        waiting: The number of frames that wait.
        deaths: How often a process died while nodes of the run were in flight. The usage of a model call that was in
            flight then is missing in `usage`, because a call is recorded only when it ends.
        cut_until: Until when a process that was cut off from the run may still act, in epoch seconds; 0 if there is no
            such process.
        cut_seq: The seq of the step with which another process continued after the cut. Work that began before this
            step may still be done by the process that was cut off.
        shared_process: Whether the process that drives the run also drove others, at a point where a third crash would
            fail a node.
        frames: All live frames, by id.
        runnable: A frame that could move after the last step, while other frames wait. The fold checks this frame
            first.
        maybe_runnable: While frames wait: the frames that can move or may be able to. None if they are not known. Only
            the fold changes this.
        open: The index of the run's waits, a cache. None until it is built. Use `open_waits`.
        changed: The frames that the last step changed, and that may therefore have new tasks.
        asked: For each name of a question: how often the run has asked it, and the seq of the step that asked it last.
        posted: Answers in the run's inbox that the run has not processed yet, by the ids of their waits. Only readers
            set them (`history.load.load_now`). They are not stored, and move no frame.
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
        """The run's position in its own graph, which contains all other positions."""
        return self.frames[ROOT]

    @property
    def open_waits(self) -> OpenWaits:
        """The index of the run's open waits, which is built on first use."""
        if self.open is None:
            self.open = OpenWaits(self.frames)
        return self.open

    def check_sound(self) -> None:
        """Check that a snapshot which was read from a store contains all frames (positions of the run in graphs).

        Raises:
            ValueError: The root frame, or a frame below another frame, is missing or has the wrong kind.
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
    """Identifies one attempt to run a node: by the position of the run, the node, the visit and the attempt."""

    frame: str
    node: str
    visit: int
    attempt: int


class Task(AttemptId):
    """A task of the runner, such as running a node, for one attempt.

    Attributes:
        mode: What has to be done. `run` runs the node, and `fallback` its fallback. `leave` chooses an edge out of the
            node. `join`, `collect` and `exit` go on after the arms of a fork, the items of a map or a subgraph. `limit`
            and `crash_loop` fail this part of the run, because a limit is reached or because the process died too often
            while the node ran. `deliver` ends a wait with a message that has arrived, and `wake` ends a wait at its
            time.
        due: The earliest start, in epoch seconds; 0 for a start at once.
        wait: The name of the wait to which a message is delivered, or that times out.
    """

    mode: Mode
    due: Number
    wait: str = ""

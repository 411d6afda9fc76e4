"""The second opinion: which histories a program allows.

It imports nothing of the engine, and was written from `docs/explain/semantics.md` and the pages of `tests/scenarios`;
the letters and numbers in comments are the rules there. Where they say nothing, it follows what the engine was seen to
do: visits in cancelled arms count in `iterations` and not in `plateau` or `changed`; a fork that cannot have its `need`
any more fails at once, and what is in flight in its arms is recorded afterwards; edges and retries around a graph that
reached FAIL after a failure see `fail`, its record names the failure; a deploy that drops a promise of an effect does
not drop it for a visit in which it had begun; where all items of a map that keeps the others failed, and a condition of
an edge for failures raised then, the items stay settled; a tool that began without an approval needs none in that
visit; an answer stays known by the words of its question, also if these come back in a later deployment; a message that
tells the end of a child run only says where to look, and can come before that end; after it was stopped with its
parent, the child is waited for again; after a failure that passes, a graph is tried again only by a retry of its own;
a call of a tool that is gone, which a person says is to be made again, begins, and the model is told that it was not
made.

A branch starts child runs of its own in place of those that its run had started and whose ends it has not recorded.

It is more lenient than the rules in four places: a node may fail because the store has no room for a record; where the
program has a budget, any turn of an agent may wait for room in it; what a stop, or a reached limit of costs, may cut is
left to the ledger; and of several children the end of a later one may be recorded without a wait.

What it is for
    `Model(program)` is a run that follows a history. `take(row)` asks whether this next step is allowed, and takes it;
    `enabled()` says what should be running now. A medium plays the program in the engine and hands over each step of
    the log, as a `Row`; any difference raises `Wrong`.

Invariants
    - It decides nothing by itself: parallel arms, items and waits come in the order of the history, so one model covers
      every order, and nothing has to be enumerated.
    - A step is allowed only for a task that was to be running (`flying`), and then everything in it is determined: the
      edge, the failure, the pause. Only times, and what people and messages say, come from outside.
    - It keeps the whole past. `past` has each completed visit with a copy of the state after it; counts, plateaus and
      changes are found by searching it, where an engine would keep marks. `wrote` has each update of an arm, so that a
      join is a repetition, not a merge.

How it works
    A run is a tree of frames: its own, one for each arm of a fork, item of a map and visit of a graph inside. `todo`
    says what a frame does next. Taking a step calls the method of that mode, which changes the frames and returns the
    row that it expects. After each step maps give their free slots away (`fill`).

What races, and how it is followed
    1. Two arms run: `flying` has both tasks. 2. A step of one arm reaches the run's limit of visits: nothing new is
    enabled, yet the other arm's task still flies. 3. Its step comes: it is allowed (L1, what is in flight is recorded).
    4. Had the process died at 2, `flying` would be empty after the resume, and the same step would be Wrong.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from tests.sim import program as p

Mode: TypeAlias = Literal[
    "run", "fallback", "leave", "join", "collect", "exit", "limit", "crash_loop", "wake", "deliver"
]
SIGNS: Final[Mapping[str, Callable[[Any, Any], object]]] = {
    ">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt, "==": operator.eq, "!=": operator.ne,
}  # fmt: skip
PASSING: Final = ("model_unreachable",)
"""Failures of a model's provider that pass: without a retry of its own, a node is tried again after them (X1)."""
FINAL: Final = (
    "limit", "missing_input", "invalid_input", "no_way_out", "condition_failed", "crash_loop", "bad_request",
    "answer_refused",
)  # fmt: skip
"""Failures that no other attempt can help, as `docs/use/errors.md` lists them (G5)."""
INPUTS: Final = ("n", "items", "best")
"""The fields that a graph inside is given."""
WHOLE: Final = -1
"""The number of a node that is an effect itself, in place of that of an operation."""
RAISED: Final = "a condition raised"
ROUNDED_SECONDS: Final = 0.001
"""Pauses are given to a thousandth of a second."""
CRASHES: Final = 3
"""After so many crashes in a row a node is given up (X6)."""


class Wrong(AssertionError):
    """A history that the program does not allow."""


class Misfit(Exception):
    """An update that does not fit the state."""


class Fault(NamedTuple):
    """A failure: its kind, the path of its node, and the attempt."""

    kind: str
    path: str
    attempt: int


class Write(NamedTuple):
    """One part of an update; `key` is of a table."""

    field: str
    value: Any
    key: str = ""


class Row(NamedTuple):
    """A step of a log, as far as it is determined.

    Attributes:
        to: Where it leads: a node, or the first nodes of the arms.
        status: How its frame ended: `finished`, `failed`, or "".
        more: What else the step of this kind says: the count of a map, the pause before the next attempt, what is
            waited for, what was answered.
        at: When, in seconds; it is compared with nothing but the times of waits.
        again: The paths of the nodes whose code has changed since they recorded work.
    """

    kind: str
    frame: str = ""
    node: str = ""
    visit: int = 0
    attempt: int = 0
    to: tuple[str, ...] = ()
    label: str = ""
    status: str = ""
    fault: Fault | None = None
    more: Any = None
    at: float = 0.0
    again: tuple[str, ...] = ()


class Todo(NamedTuple):
    """What should be running in a frame; `due` is the earliest start."""

    frame: str
    node: str
    visit: int
    attempt: int
    mode: Mode
    due: float = 0.0


class Visit(NamedTuple):
    """A completed visit: the fields that it wrote, and the state after it; None in an arm that was cancelled."""

    node: str
    wrote: frozenset[str]
    state: dict[str, Any] | None


@dataclass
class Slots:
    """The items of a map: those that have a slot, rest, need one again, and failed and begin again; the next one."""

    values: list[int]
    having: list[int] = field(default_factory=list)
    resting: list[int] = field(default_factory=list)
    woken: list[int] = field(default_factory=list)
    again: list[int] = field(default_factory=list)
    next: int = 0


@dataclass(eq=False)
class Frame:
    """A token that walks a graph.

    Attributes:
        at: Its node, for the `visit`th time, in the `attempt`th attempt, of which `tries` failed since a renewal.
        phase: What it is about to do there, or is doing.
        past: Its completed visits; those of an arm begin with the visits of the frame that it left, `before` of them.
        woken: When the last wait in it ended, as a number.
        wrote: The updates of an arm since the fork.
        failed: Why it failed, until a resume.
        reason: The kind of failure that edges, retries and fallbacks of the node around a graph see.
        below: The frames that it waits for, by id: arms, items, or a graph inside.
        answers: What was recorded of this visit, by its place, and by its words if it asked.
        asked: The words of the question that it waits for.
        waits: What it waits for: its place, and when that is over.
        slept: The sleep that it will continue, since its code has changed: its place, and when that is over.
        begun: The effects that began in this visit and are not known not to have happened; of them, those are `lost`
            whose end nobody recorded. What was `promised` once holds for the visit.
        has_acted: Whether an effect began in this visit, also in a graph inside.
        result: What an item writes.
        sent: The messages of a result.
    """

    id: str
    kind: Literal["root", "arm", "item", "sub"]
    graph: p.Graph
    state: dict[str, Any]
    up: Frame | None = None
    index: int = 0
    at: str = p.START
    visit: int = 1
    attempt: int = 1
    tries: int = 0
    crashes: int = 0
    due: float = 0.0
    phase: Literal["ready", "fallback", "leaving", "forked", "mapped", "inside", "waiting", "ended"] = "ready"
    past: list[Visit] = field(default_factory=list)
    wrote: list[Write] = field(default_factory=list)
    before: int = 0
    woken: int = 0
    failed: Fault | None = None
    reason: str = ""
    error: str = ""
    cause: Fault | None = None
    below: dict[str, Frame] = field(default_factory=dict)
    until: str = ""
    fork: p.Fork | None = None
    slots: Slots | None = None
    steps: int = 0
    label: str = ""
    inner_label: str = ""
    answers: dict[tuple[p.Place, str], Any] = field(default_factory=dict)
    asked: str = ""
    waits: tuple[p.Place, float | None] | None = None
    slept: tuple[p.Place, float | None] | None = None
    begun: set[p.Place] = field(default_factory=set)
    lost: set[p.Place] = field(default_factory=set)
    told: set[p.Place] = field(default_factory=set)
    promised: set[p.Place] = field(default_factory=set)
    has_acted: bool = False
    result: list[Write] = field(default_factory=list)
    sent: list[str] = field(default_factory=list)

    @property
    def is_over(self) -> bool:
        """Whether it ended or failed."""
        return self.phase == "ended" or self.failed is not None

    def around(self) -> Iterator[Frame]:
        """Yield the frame and those around it, from the inside."""
        frame: Frame | None = self
        while frame is not None:
            yield frame
            frame = frame.up


class Model:
    """A run that follows a history."""

    def __init__(self, program: p.Program, after: Mapping[str, Any] | None = None) -> None:
        self.program = program
        state = {**deepcopy(dict(p.DEFAULTS)), **deepcopy(dict(after or {}))}
        for name, value in program.begins:  # what a start gives updates the last state of the run that it comes after
            state[name] = deepcopy(value) if after is None else reduced(state[name], Write(name, value))
        self.root = Frame("", "root", program.graph, state)
        self.frames: dict[str, Frame] = {"": self.root}
        self.status = "new"
        self.most = program.visits
        self.steps = self.ends = 0
        self.now = 0.0
        self.changes: tuple[p.Change, ...] = ()
        self.edge: p.Edge | p.Fork | None = None
        self.given = Row("")
        self.mail: list[str] = []
        self.is_beside = False
        self.flying: set[Todo] = set()

    # --- what should be running ---------------------------------------------------------------------------------------

    def enabled(self) -> set[Todo]:
        """Return what should be running now."""
        if self.status not in ("running", "waiting") or self.steps >= self.most:
            return set()
        todos = {todo for frame in self.frames.values() if (todo := self.todo(frame)) is not None}
        delivered = self.deliveries()
        woken = {todo.frame for todo in delivered}
        return {todo for todo in todos if todo.frame not in woken} | delivered

    def deliveries(self) -> set[Todo]:
        """Return who may get the first message: any frame that waits for one (W6)."""
        waiting = [f for f in self.frames.values() if self.op_waited(f) == "receive" and not self.is_cut(f)]
        return {Todo(f.id, f.at, f.visit, f.attempt, "deliver") for f in waiting if self.mail}

    def todo(self, frame: Frame, *, in_flight: bool = False) -> Todo | None:
        """Return what a frame is to do by itself, or is doing, though its fork joins or fails without it."""
        if frame.is_over or self.is_cut(frame, joins=not in_flight):
            return None
        mode, due = self.mode(frame)
        if mode is None:
            return None
        if mode not in ("wake", "limit") and not in_flight:  # E1: an item needs a slot to begin and to run
            for inner in frame.around():
                if inner.kind == "item" and inner.index not in self.slots(inner).having:
                    return None
        limited = self.limited(frame)
        if limited is not None:
            return Todo(limited.id, limited.at, limited.visit, limited.attempt, "limit")
        return Todo(frame.id, frame.at, frame.visit, frame.attempt, mode, due)

    def mode(self, frame: Frame) -> tuple[Mode | None, float]:  # noqa: PLR0911 - one for each phase
        """Return how a frame goes on, and when; None if it waits for others."""
        match frame.phase:
            case "ready" | "fallback":
                mode: Mode = "run" if frame.phase == "ready" else "fallback"
                return ("crash_loop", 0.0) if frame.crashes >= CRASHES else (mode, frame.due)
            case "leaving":
                return "leave", 0.0
            case "forked":
                return ("join" if self.can_join(frame) else None), 0.0
            case "mapped":
                return ("collect" if self.is_collected(frame) else None), 0.0
            case "inside":
                return ("exit" if all(inner.is_over for inner in frame.below.values()) else None), 0.0
            case "waiting":
                due = frame.waits[1] if frame.waits else None
                return (None, 0.0) if due is None else ("wake", due)
        return None, 0.0

    def is_cut(self, frame: Frame, *, joins: bool = True) -> bool:
        """Return whether a frame is below one that failed or has yet to begin again, or its fork joins without it."""
        for inner in frame.around():
            if inner.kind == "item" and inner.index in self.slots(inner).again:
                return True
            if joins and inner.up is not None and inner.up.failed is not None:
                return True
            if joins and inner.kind == "arm" and inner.up is not None and self.can_join(inner.up):
                return True
        return False

    def can_join(self, frame: Frame) -> bool:
        """Return whether the arms of a fork are all over, or so many arrived, or can no longer (F1, F5, F6)."""
        arms = frame.below.values()
        arrived = sum(arm.phase == "ended" for arm in arms)
        left = sum(arm.failed is None for arm in arms)
        beyond = frame.fork is not None and frame.fork.need > 0 and left < self.need(frame)
        return arrived >= self.need(frame) or beyond or all(arm.is_over for arm in arms)

    def need(self, frame: Frame) -> int:
        """Return how many arms must arrive."""
        need = frame.fork.need if frame.fork is not None else 0
        return min(need or len(frame.below), len(frame.below))

    def is_collected(self, frame: Frame) -> bool:
        """Return whether all items of a map are over."""
        slots = self.slots_of(frame)
        began = slots.next == len(slots.values) and not slots.again
        return began and all(item.is_over for item in frame.below.values())

    def limited(self, frame: Frame) -> Frame | None:
        """Return the outermost graph around a frame that is at its own limit (G6)."""
        found = None
        for inner in frame.around():
            if inner.kind == "sub" and inner.steps >= (inner.graph.visits or 1000):
                found = inner
        return found

    def slots_of(self, frame: Frame) -> Slots:
        """Return the slots of a map."""
        if frame.slots is None:
            raise Wrong(f"{frame.id} is at no map")
        return frame.slots

    def slots(self, item: Frame) -> Slots:
        """Return the slots of the map of an item."""
        assert item.up is not None
        return self.slots_of(item.up)

    def op_waited(self, frame: Frame) -> str:
        """Return what kind of operation a frame waits for."""
        if frame.phase != "waiting" or frame.waits is None:
            return ""
        place = frame.waits[0]
        if not isinstance(place, int):
            return "ask" if place[1] == "approval" else "call"
        return type(op_of(frame, place)).__name__.lower()

    # --- taking a step ------------------------------------------------------------------------------------------------

    def take(self, row: Row) -> None:
        """Take the next step of a history. Raises: Wrong, if it is not allowed."""
        outside: Mapping[str, Callable[[Row], None]] = {
            "started": self.started, "resumed": self.resumed, "stopped": self.stopped, "branched": self.branched,
            "message": self.message, "told": lambda _: None, "answered": self.answered, "deployed": self.deployed,
        }  # fmt: skip
        self.now, self.edge, self.given = row.at, None, row
        if row.kind in outside:
            outside[row.kind](row)
        else:
            todo = self.flown(row)
            frame = self.frames[todo.frame]
            expected = self.play(frame, todo, row)
            if expected != row._replace(at=0.0, again=()):
                raise Wrong(f"expected {expected}, got {row}")
            frame.crashes = frame.crashes if row.kind == "begun" else 0
        self.settle(anew=row.kind in ("started", "resumed", "branched"))

    def flown(self, row: Row) -> Todo:
        """Return the task that a step ends, or reports on."""
        mine = [t for t in self.flying if t.frame == row.frame and t.mode not in ("wake", "deliver")]
        if len(mine) != 1:
            raise Wrong(f"nothing was to run there: {row}; but {sorted(self.flying)}")
        return mine[0]

    def play(self, frame: Frame, todo: Todo, row: Row) -> Row:  # noqa: PLR0911 - one for each mode
        """Do what a task does, and return the step that it makes."""
        match todo.mode:
            case "run":
                return self.attempts(frame, row)
            case "fallback":
                node = frame.graph.node(frame.at)
                return self.ends_well(frame, [*self.writes(frame, node, self.by_field(node)), *self.excuse(frame)])
            case "leave":
                return self.leave(frame, self.row(frame, "left"))
            case "join":
                return self.join(frame)
            case "collect":
                return self.collect(frame)
            case "exit":
                return self.exit(frame)
            case "limit":
                return self.limit_met(frame)
            case "crash_loop":
                if frame.graph.node(frame.at).each and frame.kind != "item":  # E5: a fallback is of items
                    return self.failed(frame, self.fault(frame, "crash_loop"))
                return self.wrong(frame, "crash_loop")
        raise Wrong(f"no step of its own: {todo}")

    def settle(self, *, anew: bool) -> None:
        """Work out who has slots, what flies now, and the run's status."""
        if self.status in ("running", "waiting"):
            if self.root.failed is not None:
                self.status = "failed"
            elif self.root.phase == "ended":
                self.status = "finished"
        for frame in sorted(self.frames.values(), key=lambda frame: -len(frame.id)):
            if frame.phase == "mapped" and frame.failed is None and frame.slots is not None:
                self.fill(frame, frame.slots)
        enabled = self.enabled()
        if anew:  # nobody drives a queued run before a worker takes it
            self.flying = set() if self.given.kind == "started" and self.program.workers else enabled
        else:
            self.flying = {todo for todo in self.flying if self.still(todo)} | enabled
        if self.status in ("running", "waiting") and self.steps < self.most:
            rests = any(frame.phase == "waiting" for frame in self.frames.values())
            rests = rests and all(todo.mode == "wake" for todo in enabled)
            self.status = "waiting" if rests else "running"

    def still(self, todo: Todo) -> bool:
        """Return whether a task that was begun still waits for its end."""
        frame = self.frames.get(todo.frame)
        if frame is None or todo.mode in ("wake", "deliver"):
            return False
        if todo.mode == "limit":
            return not frame.is_over and not self.is_cut(frame)
        return self.todo(frame, in_flight=True) == todo

    def row(self, frame: Frame, kind: str, **more: Any) -> Row:
        """Return a step of a frame at its node."""
        return Row(kind, frame.id, frame.at, frame.visit, frame.attempt, **more)

    # --- attempts -----------------------------------------------------------------------------------------------------

    def attempts(self, frame: Frame, row: Row) -> Row:  # noqa: C901, PLR0911 - one for each way to go on
        """Begin or end an attempt."""
        node = frame.graph.node(frame.at)
        if node.each and frame.kind != "item":
            return self.map(frame, node)
        if node.graph is not None:
            return self.enter(frame, node)
        if row.more == ("unknown", 0) and any(event.what == "full" for event in self.program.events):
            frame.lost |= self.unended(frame)  # an agent asks at once how the effect ended whose end was refused
        if row.fault is not None and row.fault.kind == "storefull":  # of a record or a child run, where that is awaited
            frame.lost |= self.unended(frame)
            return self.wrong(frame, "storefull")
        if node.effect and WHOLE not in frame.begun - frame.lost:
            return self.begins(frame, WHOLE)
        does = frame.graph.does(frame.at, frame.visit)
        frame.answers |= {(number, ""): "sent" for number, op in enumerate(does) if isinstance(op, p.Send)}
        for number, op in enumerate(does):
            if self.key(number, op) not in frame.answers:
                if node.effect:  # a wait would begin it again (K5)
                    frame.lost.add(WHOLE)
                    return self.wrong(frame, "definitionerror")
                return self.does(frame, number, op, row)
        item = frame.state.get("item")
        kind = p.outcome_of(node, item, frame.attempt)
        if kind in ("boom", "slow"):
            frame.lost |= {WHOLE} & frame.begun
            return self.wrong(frame, kind)
        answers = [frame.answers[self.key(number, op)] for number, op in enumerate(does)]
        result = p.result_of(node, frame.state, frame.visit, frame.attempt, answers)
        frame.sent = [f"sent by {self.path(frame)} {frame.visit}" for op in does if isinstance(op, p.Send)]
        try:
            return self.ends_well(frame, self.writes(frame, node, p.spoilt(result) if kind == "bad" else result))
        except Misfit:
            frame.sent = []
            return self.wrong(frame, "invalid_update")

    def unended(self, frame: Frame) -> set[p.Place]:
        """Return the effects of a visit that began, and of which nobody knows how they ended."""
        return {number for number in frame.begun - frame.told if (number, "") not in frame.answers}

    def key(self, number: int, op: p.Op) -> tuple[int, str]:
        """Return what a recorded operation is known by: other words are another question (W4)."""
        return number, p.words(number, self.changes) if isinstance(op, p.Ask) else ""

    def does(self, frame: Frame, number: int, op: p.Op, row: Row) -> Row:
        """Do an operation that has no record yet: a call, or a wait."""
        if isinstance(op, p.Call):
            return self.calls(frame, number, op)
        if isinstance(op, p.Start):
            return self.starts(frame, number, op, row)
        if isinstance(op, p.Talk):
            return self.talks(frame, number, op, row)
        assert not isinstance(op, p.Send)  # it is done at once
        frame.phase = "waiting"
        frame.waits, frame.asked = (number, row.at + op.seconds if op.seconds else None), self.key(number, op)[1]
        left: float = op.seconds
        if frame.slept is not None and frame.slept[0] == number and frame.slept[1] is not None:
            frame.waits, left = frame.slept, round(frame.slept[1] - row.at, 3)
        return self.row(frame, "waiting", more=(type(op).__name__.lower(), left))

    def starts(self, frame: Frame, number: int, op: p.Start, row: Row) -> Row:
        """Record the starts of child runs; without a topic, wait for their ends, record them, or fail with one."""
        for child in range(op.wide):
            place: p.Place = number, "start", child
            if (place, "") not in frame.answers:
                frame.answers[place, ""] = True
                if op.topic and child == op.wide - 1:
                    frame.answers[number, ""] = "started"
                return self.row(frame, "recorded", more=(0, "start", 0))
        waited: list[tuple[int, Literal["end"], int]] = [(number, "end", child) for child in range(op.wide)]
        end = next(each for each in waited if frame.answers.get((each, "")) != "finished")
        told = frame.answers.pop((end, ""), None)
        if told == "told" and row.kind != "recorded":
            raise Wrong(f"the end of a child is to be recorded: {row}")
        if told == "told" or (end[2] and row.kind == "recorded"):  # a message only says where to look
            frame.answers[end, ""] = row.more[1]
            if row.more[1] == "finished" and end == waited[-1]:
                frame.answers[number, ""] = " ".join(["finished"] * op.wide)
            return self.row(frame, "recorded", more=("end", row.more[1]))
        if told in ("failed", "cancelled") or (told == "stopped" and row.kind != "waiting"):
            return self.wrong(frame, "child_failed")
        frame.phase, frame.waits = "waiting", (end, None)
        return self.row(frame, "waiting", more=("child", 0))

    def talks(self, frame: Frame, number: int, op: p.Talk, row: Row) -> Row:
        """Record a turn of an agent, or a call of its tools: both once (K3, K6); or fail as its model does (X1, K2)."""
        for turn, tools in enumerate(op.turns, start=1):
            place: p.Place = number, "turn", turn
            how = op.how if op.fails(turn) else ""
            if (place, "") in frame.answers and how == "refused":
                del frame.answers[place, ""]
                return self.wrong(frame, "answer_refused")
            if (place, "") not in frame.answers and row.kind == "waiting" and self.program.budget:
                frame.phase, frame.waits = "waiting", (place, row.at + row.more[1] if row.more[1] else 0)
                return self.row(frame, "waiting", more=row.more)
            if (place, "") not in frame.answers:
                if how == "bad":
                    return self.wrong(frame, "bad_request")
                # while others ask the same model, a later attempt can fail without a call, as the one before it did
                is_unmade = row.fault is not None and row.fault.kind == "model_unreachable"
                if how == "busy" and (frame.attempt == 1 or is_unmade):
                    return self.wrong(frame, "model_unreachable")
                frame.answers[place, ""] = self.names()
                if not tools and how != "refused":
                    frame.answers[number, ""] = "talked"
                return self.row(frame, "recorded", more=place)
            left = [each for each in tools if self.is_left(frame, number, each)]
            gone = frame.answers[place, ""] != self.names()  # K3: a call that has not begun meets the tools of now
            left = [each for each in left if not gone or (number, "tool", each) in frame.promised]
            if left and ((number, "turn", turn + 1), "") not in frame.answers:
                said = [each for each in left if row.more == (number, "tool", each)]  # at once, they end in any order
                return self.tool(frame, number, op, said[0] if said and op.at_once else left[0])
        raise Wrong(f"an agent has nothing more to do: {frame.id} {op}")

    def names(self) -> str:
        """Return how the deployment calls its tools."""
        return "others" if "tools" in self.changes else "first"

    def is_left(self, frame: Frame, number: int, tool: int) -> bool:
        """Return whether a tool is still to be called, and was not refused."""
        asked: p.Place = number, "approval", tool
        place: p.Place = number, "tool", tool
        return (place, "") not in frame.answers and frame.answers.get((asked, "")) is not False

    def tool(self, frame: Frame, number: int, op: p.Talk, tool: int) -> Row:
        """Call a tool of an agent, after an approval if it needs one."""
        place: p.Place = number, "tool", tool
        asked: p.Place = number, "approval", tool
        spec = op.tools[tool - 1]
        if place in frame.lost:
            return self.begins(frame, place)
        needs = p.is_approved(op, spec, self.changes) and place not in frame.promised
        if needs and (asked, "") not in frame.answers:
            frame.phase, frame.waits = "waiting", (asked, None)
            return self.row(frame, "waiting", more=("ask", 0))
        if self.is_promised(frame, place, spec.effect) and place not in frame.begun:
            return self.begins(frame, place)
        frame.answers[place, ""] = "acted"
        return self.row(frame, "recorded", more=place)

    def is_promised(self, frame: Frame, place: p.Place, effect: str) -> bool:
        """Return whether something is an effect: one that began stays one (K5)."""
        return place in frame.promised or (bool(effect) and "effects" not in self.changes)

    def calls(self, frame: Frame, number: int, op: p.Call) -> Row:
        """Begin an effect, record a call, or ask how an effect ended whose process died (K1, K5)."""
        if number in frame.lost or (self.is_promised(frame, number, op.effect) and number not in frame.begun):
            return self.begins(frame, number)
        if op.asks:  # nobody knows then how an effect ended that began
            frame.lost |= {number} & frame.begun
            return self.wrong(frame, "definitionerror")
        frame.answers[number, ""] = "acted"
        return self.row(frame, "recorded", more=number)

    def begins(self, frame: Frame, number: p.Place) -> Row:
        """Begin an effect, or ask how it ended if it has begun and nobody recorded that (K5)."""
        if number in frame.lost:
            frame.phase, frame.waits = "waiting", (number, None)
            return self.row(frame, "waiting", more=("unknown", 0))
        frame.begun.add(number)
        frame.promised.add(number)
        for each in frame.around():
            each.has_acted = True
        return self.row(frame, "begun", more=number)

    def by_field(self, node: p.Node) -> dict[str, Any]:
        """Return what stands in for a node, by the fields that it writes."""
        made = p.stand_in(node)
        return {field: made[p.part_of(node, field) if node.graph else field] for field in node.writes}

    def writes(self, frame: Frame, node: p.Node, result: Mapping[Any, Any]) -> list[Write]:
        """Return the update of a result."""
        key = str(frame.state["item"]) if frame.kind == "item" else node.name
        return [Write(name, value, key if name == "table" else "") for name, value in result.items()]

    def excuse(self, frame: Frame) -> list[Write]:
        """Return the failure that a fallback replaced, as an update."""
        return [] if frame.cause is None else [Write("errors", frame.cause._asdict())]

    def ends_well(self, frame: Frame, writes: Sequence[Write]) -> Row:
        """End a visit, or an item, with an update. Raises: Misfit."""
        if frame.kind == "item":
            for write in writes:  # E2: what they are together is seen when the map ends
                if write.value is object:
                    raise Misfit
            row = self.row(frame, "item")
            frame.result, frame.phase = list(writes), "ended"
            self.drop(frame)
            return row  # what it sent is there once the map ends (W7)
        state = self.updated(frame, writes)
        row = self.row(frame, "node")
        self.keep(frame, frame.at, state, writes)
        self.mail, frame.sent = [*self.mail, *frame.sent], []
        self.drop(frame)
        self.completed(frame)
        return self.leave(frame, row)

    def wrong(self, frame: Frame, kind: str, fault: Fault | None = None) -> Row:
        """Handle a failed attempt: another one (X1), the fallback (X2), an edge (X3), or the end of the frame (X4)."""
        node = frame.graph.node(frame.at)
        fault = fault or self.fault(frame, kind)
        if frame.phase != "fallback":
            may_retry = kind not in FINAL and node.on in ("any", kind)
            may_retry = may_retry and not (node.graph is not None and frame.has_acted)  # K5
            if may_retry and frame.tries + 1 < node.attempts:
                pause = min(30.0 / 1.1, node.pause * 2.0**frame.tries)  # the jitter of a tenth stays below 30
                return self.again(frame, "ready", fault, pause)
            if kind in PASSING and node.attempts == 1 and node.graph is None and frame.tries < 3:
                return self.again(frame, "ready", fault, self.near(2.0**frame.tries))
            if node.fallback == "function":
                frame.cause = fault
                return self.again(frame, "fallback", fault, None)
            if node.fallback:
                frame.cause = fault
                return self.ends_well(frame, [*self.writes(frame, node, self.by_field(node)), *self.excuse(frame)])
        return self.failed(frame, fault, kind)

    def near(self, pause: float) -> float:
        """Return the pause of the step, of which a tenth is drawn. Raises: Wrong."""
        given = self.given.more
        if not isinstance(given, float) or not 0.89 * pause < given < 1.11 * pause:
            raise Wrong(f"another attempt was to come after about {pause} s: {self.given}")
        return given

    def again(self, frame: Frame, phase: Literal["ready", "fallback"], fault: Fault, pause: float | None) -> Row:
        """Make another attempt, or the fallback, after a pause."""
        row = self.row(frame, "attempt", fault=fault, more="fallback" if pause is None else pause)
        self.drop(frame)
        frame.phase, frame.tries, frame.attempt, frame.crashes = phase, frame.tries + 1, frame.attempt + 1, 0
        frame.due = 0.0 if pause is None else self.now + pause
        return row

    def failed(self, frame: Frame, fault: Fault, kind: str = "") -> Row:
        """Take the first edge for a failure, or fail the frame, to be resumed here. An item has no edges."""
        row = self.row(frame, "failed", fault=fault)
        found: tuple[tuple[str, ...], str, p.Fork | None] | None = None
        if frame.kind != "item":
            state, count = frame.state, len(frame.past)
            excuse = [Write("errors", fault._asdict())]
            frame.state = self.updated(frame, excuse)
            frame.past.append(Visit(frame.at, frozenset(["errors"]), deepcopy(frame.state)))
            frame.error = kind or fault.kind
            found = self.route(frame)
            if frame.error == RAISED:
                fault = self.fault(frame, "condition_failed")  # what a condition raised replaces the failure (V3)
                row, kind = row._replace(fault=fault), ""
            frame.error = ""
            if found is not None and found[0] != (p.FAIL,):
                frame.wrote += excuse
                self.drop(frame)
                self.completed(frame)
                return self.go(frame, found, row)
            frame.state = state
            del frame.past[count:]
        if frame.below and frame.phase in ("mapped", "inside"):
            frame.tries = 0  # it goes on below, in the same attempt
        else:
            frame.phase = "fallback" if frame.cause is not None and frame.has_acted else "ready"  # K5
            frame.tries, frame.attempt = 0, frame.attempt + 1
        frame.due, frame.crashes, frame.cause = 0.0, 0, frame.cause if frame.phase == "fallback" else None
        frame.failed, frame.reason = fault, (kind or fault.kind) if found is None else "fail"
        return row._replace(status="failed", to=() if found is None else found[0], label=found[1] if found else "")

    def fault(self, frame: Frame, kind: str) -> Fault:
        """Return a failure at a frame's node; at START of a graph inside, in the attempt of the node around it."""
        tried = frame.up if frame.at == p.START and frame.up is not None else frame
        return Fault(kind, self.path(frame), tried.attempt)

    def led_to_fail(self, frame: Frame) -> Fault:
        """Return the failure of a frame that reached FAIL: that of the node whose graph it walks."""
        top = next(each for each in frame.around() if each.kind != "arm")
        return Fault("fail", graph_path(top), top.up.attempt if top.up is not None else 1)

    def path(self, frame: Frame) -> str:
        """Return the path of a frame's node, without arms."""
        return node_path(frame)

    # --- edges --------------------------------------------------------------------------------------------------------

    def leave(self, frame: Frame, row: Row) -> Row:
        """Choose the outgoing edge, once; without one, or at FAIL, the frame fails here (V3, V5)."""
        found = self.route(frame)
        if found is not None and found[0] != (p.FAIL,):
            return self.go(frame, found, row)
        frame.phase = "leaving"
        if found is None:
            frame.failed = self.fault(frame, "condition_failed" if frame.error == RAISED else "no_way_out")
            frame.reason, frame.error = frame.failed.kind, ""
            return row._replace(status="failed")
        frame.failed, frame.reason = self.led_to_fail(frame), "fail"
        return row._replace(status="failed", to=found[0], label=found[1])

    def route(self, frame: Frame) -> tuple[tuple[str, ...], str, p.Fork | None] | None:
        """Return where the first edge that holds leads (V2); None if none does, or a condition raises."""
        failing = frame.error
        try:
            for edge in frame.graph.edges:
                if edge.source != frame.at or is_for_failures(edge.when) != bool(failing):
                    continue
                if edge.when is not None and not self.holds(frame, edge.when):
                    continue
                some = edge.arms if isinstance(edge, p.Fork) else ()
                arms = tuple(target for target, when in some if when is None or self.holds(frame, when))
                self.edge = edge
                if isinstance(edge, p.Edge):
                    return (edge.target,), edge.label, None
                return (arms, "", edge) if arms else ((edge.join,), "", None)
        except Misfit:
            frame.error = RAISED
        return None

    def go(self, frame: Frame, found: tuple[tuple[str, ...], str, p.Fork | None], row: Row) -> Row:
        """Follow an edge: to a node, into arms, or to the end."""
        targets, label, fork = found
        frame.phase, frame.failed = "ready", None
        if fork is not None:
            frame.phase, frame.fork = "forked", fork
            frame.below = {f"{frame.id}~{target}": self.arm(frame, fork, target) for target in targets}
            self.frames |= frame.below
        elif targets == (p.END,) and frame.until != p.END:
            frame.phase, frame.label = "ended", label
            return row._replace(to=targets, label=label, status="" if frame.up else "finished")
        elif targets == (frame.until,):
            frame.phase = "ended"
        else:
            self.move(frame, targets[0])
        return row._replace(to=targets, label=label)

    def move(self, frame: Frame, target: str) -> None:
        """Begin a visit of a node."""
        frame.at, frame.attempt, frame.tries, frame.crashes, frame.due, frame.cause = target, 1, 0, 0, 0.0, None
        frame.visit = 1 + sum(visit.node == target for visit in frame.past)
        frame.answers, frame.waits, frame.begun, frame.lost, frame.told = {}, None, set(), set(), set()
        frame.promised, frame.has_acted, frame.inner_label, frame.slept = set(), False, "", None

    def holds(self, frame: Frame, cond: p.Cond) -> bool:
        """Return whether a condition holds now. Raises: Misfit, if its function raises."""
        kind, *rest = cond
        tests: Mapping[str, Callable[..., bool]] = {
            "and": lambda one, other: self.holds(frame, one) and self.holds(frame, other),
            "or": lambda one, other: self.holds(frame, one) or self.holds(frame, other),
            "not": lambda one: not self.holds(frame, one),
            "failed": lambda *names: any(matches(frame.error, name) for name in names),
            "ended": lambda *labels: frame.inner_label in labels,
            "bye": lambda: frame.answers.get((0, "")) is None,
            "odd": lambda: is_odd(frame.state["n"]),
            "plateau": lambda *how: plateau(frame.past, *how),
            "changed": lambda path, since: changed(frame, path, since),
        }
        if kind in tests:
            return tests[kind](*rest)
        *of, sign, other = rest
        left = count(frame.past, *of) if kind == "count" else at(frame.state, of[0])
        left = len(left) if kind == "length" else left  # type: ignore[arg-type]
        return left is not None and bool(SIGNS[sign](left, other))

    # --- states -------------------------------------------------------------------------------------------------------

    def updated(self, frame: Frame, writes: Sequence[Write]) -> dict[str, Any]:
        """Return a copy of a state with an update (V4). Raises: Misfit."""
        state = deepcopy(frame.state)
        for write in writes:
            if write.field == "errors" and not frame.graph.errors:
                continue
            state[write.field] = reduced(state[write.field], write)
        return state

    def keep(self, frame: Frame, node: str, state: dict[str, Any], writes: Sequence[Write]) -> None:
        """Continue with a new state."""
        frame.wrote += writes
        frame.state = state
        frame.past.append(Visit(node, frozenset(write.field for write in writes), deepcopy(state)))

    def completed(self, frame: Frame) -> None:
        """Count a completed visit, in all graphs around (E7, G6)."""
        self.steps += 1
        for each in frame.around():
            each.steps += 1

    def drop(self, frame: Frame) -> None:
        """Drop the frames below."""
        for each in [*frame.below.values()]:
            self.drop(each)
            self.frames.pop(each.id, None)
        frame.below, frame.slots = {}, None

    # --- forks --------------------------------------------------------------------------------------------------------

    def arm(self, frame: Frame, fork: p.Fork, target: str) -> Frame:
        """Return an arm of a fork: it sees the state at the fork (F3)."""
        made = Frame(f"{frame.id}~{target}", "arm", frame.graph, deepcopy(frame.state), frame, until=fork.join)
        made.past, made.before, made.steps = [*frame.past], len(frame.past), 0
        made.at = frame.at
        if target == fork.join:
            made.phase = "ended"
        else:
            self.move(made, target)
        return made

    def join(self, frame: Frame) -> Row:
        """Join the arms: what arrived is reduced again in declared order (F3, F5), or the fork fails (F6)."""
        assert frame.fork is not None
        join, arms = frame.fork.join, [*frame.below.values()]
        arrived = [arm for arm in arms if arm.phase == "ended"]
        row = Row("joined", frame.id, join)
        if len(arrived) < self.need(frame):
            first = next(arm for arm in arms if arm.failed is not None)
            frame.failed, frame.reason = first.failed, first.reason
            return row._replace(status="failed", fault=frame.failed)
        writes = [write for arm in arrived for write in arm.wrote]
        frame.state = self.updated(frame, writes)
        frame.wrote += writes
        for arm in arms:
            frame.past += arm.past[arm.before :] if arm in arrived else [*lost_visits(arm)]
        cancelled = tuple(arm.id for arm in arms if arm.phase != "ended")
        self.drop(frame)
        frame.fork = None
        return self.go(frame, ((join,), "", None), row)._replace(more=cancelled)

    # --- maps ---------------------------------------------------------------------------------------------------------

    def map(self, frame: Frame, node: p.Node) -> Row:
        """Begin a map (E1), or fail if it has no list (E9)."""
        try:
            values = p.items_of(node, frame.state)
        except ValueError:
            return self.failed(frame, self.fault(frame, "boom"))
        if values is None:
            return self.failed(frame, self.fault(frame, "missing_input"))
        frame.phase, frame.slots = "mapped", Slots(values)
        return self.row(frame, "mapped", more=len(values))

    def fill(self, frame: Frame, slots: Slots) -> None:
        """Give free slots away: first to items that wait for one again, then to failed ones, then to new ones (E12)."""
        node = frame.graph.node(frame.at)
        items = {item.index: item for item in frame.below.values()}
        active = {index for index, item in items.items() if not item.is_over}
        moving = {index for index in active if index not in slots.again and self.moves(items[index])}
        for index in [index for index in slots.having if index not in moving]:
            slots.having.remove(index)
        slots.woken = [index for index in slots.woken if index in moving]
        slots.woken += sorted(moving - {*slots.having, *slots.woken}, key=lambda index: items[index].woken)
        while len(slots.having) < node.concurrency:
            if slots.woken:
                slots.having.append(slots.woken.pop(0))
                continue
            began = [index for index in active if index not in slots.again]
            if len(began) >= max(node.max_open, 0):
                break
            if slots.again:
                slots.having.append(slots.again.pop(0))
                active |= {slots.having[-1]}
            elif slots.next < len(slots.values):
                self.begin(frame, slots)
                active |= {slots.next - 1}
            else:
                break

    def begin(self, frame: Frame, slots: Slots) -> None:
        """Begin the next item: it sees the state from when the map began, and its value."""
        index = slots.next
        slots.next += 1
        slots.having.append(index)
        state = {**deepcopy(frame.state), "item": slots.values[index]}
        item = Frame(f"{joined(frame, frame.at)}[{index}]", "item", frame.graph, state, frame, index)
        item.past = [*frame.past]
        self.move(item, frame.at)
        frame.below[item.id] = self.frames[item.id] = item

    def moves(self, frame: Frame) -> bool:
        """Return whether anything in progress in a frame does not only wait (E12)."""
        below = [each for each in frame.below.values() if not each.is_over]
        match frame.phase:
            case "waiting":
                return self.op_waited(frame) == "call"  # E13
            case "forked":
                return self.can_join(frame) or any(map(self.moves, below))
            case "inside":
                return not below or any(map(self.moves, below))
            case "mapped":
                slots = self.slots_of(frame)
                return self.is_collected(frame) or bool(slots.having) or self.could_begin(frame)
        return True

    def could_begin(self, frame: Frame) -> bool:
        """Return whether a map would begin an item if it had the time."""
        slots, node = self.slots_of(frame), frame.graph.node(frame.at)
        active = sum(not item.is_over for item in frame.below.values())
        return bool(slots.again or slots.next < len(slots.values)) and active < node.max_open

    def collect(self, frame: Frame) -> Row:
        """End a map with the results of its items in order (E2, E3), or fail it (E5, E10)."""
        node = frame.graph.node(frame.at)
        items = [*frame.below.values()]
        lost = [item.failed for item in items if item.failed is not None]
        if lost and not (node.keep and len(lost) < len(items)):
            return self.failed(frame, lost[0], next(item.reason for item in items if item.failed is not None))
        found = [write for item in items for write in item.result]
        keys = [write.key for write in found if write.field == "table"]
        if len({*keys}) < len(keys):
            return self.failed(frame, self.fault(frame, "invalid_update"))
        frame.sent = [message for item in items if item.failed is None for message in item.sent]
        values = [write.value for write in found if write.field == "items"]
        writes = [Write("items", values)] if "items" in node.writes else []
        writes += [write for write in found if write.field != "items"]
        return self.ends_well(frame, [*writes, *(Write("errors", fault._asdict()) for fault in lost)])

    # --- graphs inside ------------------------------------------------------------------------------------------------

    def enter(self, frame: Frame, node: p.Node) -> Row:
        """Begin the graph at a node with its inputs (G1)."""
        assert node.graph is not None
        given = {name: deepcopy(frame.state[name]) for name in INPUTS}
        given |= {"n": frame.state["item"]} if frame.kind == "item" else {}
        name = f"{frame.id}/" if frame.kind == "item" else f"{joined(frame, node.name)}/"
        newer = {"more": 0} if "next" in self.changes else {}
        sub = Frame(name, "sub", node.graph, {**deepcopy(dict(p.DEFAULTS)), **given, **newer}, frame)
        sub.past.append(Visit(p.START, frozenset(given), deepcopy(sub.state)))
        frame.phase, frame.inner_label = "inside", ""
        frame.below[sub.id] = self.frames[sub.id] = sub
        return self.leave(sub, self.row(frame, "entered"))

    def exit(self, frame: Frame) -> Row:
        """Leave a graph that ended, or failed (G5)."""
        node, (sub,) = frame.graph.node(frame.at), frame.below.values()
        if sub.failed is not None:
            row = self.wrong(frame, sub.reason, sub.failed)
        else:
            frame.inner_label = sub.label
            result = {field: deepcopy(sub.state[p.part_of(node, field)]) for field in node.writes}
            row = self.ends_well(frame, self.writes(frame, node, result))
        return row

    def limit_met(self, frame: Frame) -> Row:
        """Fail a graph that reached its own limit (G6)."""
        assert frame.up is not None
        frame.failed, frame.reason = self.fault(frame.up, "limit"), "limit"
        return Row("failed", frame.id, "", frame.visit, frame.attempt, status="failed", fault=frame.failed)

    # --- from outside -------------------------------------------------------------------------------------------------

    def started(self, row: Row) -> None:
        """Begin the run, once."""
        if self.status != "new":
            raise Wrong(f"it begins again: {row}")
        self.status = "running"
        given = frozenset(name for name, _ in self.program.begins)
        self.root.past.append(Visit(p.START, given, deepcopy(self.root.state)))
        expected = self.leave(self.root, Row("started"))
        if expected != row._replace(at=0.0, node="", visit=0, attempt=0):
            raise Wrong(f"expected {expected}, got {row}")

    def resumed(self, row: Row) -> None:
        """Go on: after a crash (`more` says "crashed"), a stop or a wait; retry what failed (X5).

        The third crash in a row counts only if the process drove no other run; `label` says whether this one may.
        """
        if row.more == "crashed":
            for todo in self.enabled():
                if todo.mode in ("run", "fallback") and todo.due <= row.at + ROUNDED_SECONDS:
                    crashes = self.frames[todo.frame].crashes
                    self.frames[todo.frame].crashes += crashes < CRASHES - 1 or not self.is_beside
        self.is_beside = row.label == "beside"
        for frame in self.frames.values():  # K5: at a reached limit, nothing is said to have been in flight at a crash
            frame.lost |= self.unended(frame)
        if self.status == "stopped" and self.steps >= self.most:
            self.most += self.program.visits
        torn = [frame.at for frame in self.frames.values() if any(is_torn(frame, place) for place in frame.lost)]
        if torn:
            raise Wrong(f"a transaction began, and its end is not recorded: {torn}")
        was, self.status = self.status, "running"
        self.sleep_again(row)
        now = row.at + ROUNDED_SECONDS  # a question of a budget is due at 0: it has no end
        if row.more == "retries" and any(todo.mode != "wake" or 0 < todo.due <= now for todo in self.enabled()):
            raise Wrong("what failed is retried, although the run has something else to do")
        if was == "failed" or row.more == "retries":
            self.revive(self.root)

    def sleep_again(self, row: Row) -> None:
        """Let nodes run again that sleep, and whose code has changed: they may sleep for another time now."""
        for frame in self.frames.values():
            if (
                frame.phase == "waiting"
                and frame.waits is not None
                and re.sub(r"\[[^\]]*\]", "", node_path(frame)) in row.again
            ):
                place = frame.waits[0]
                has_no_room = not isinstance(place, int) and place[1] == "turn" and self.program.over == "wait"
                if isinstance(op_of(frame, place), p.Sleep) or has_no_room:
                    frame.slept, frame.phase, frame.waits = frame.waits, "ready", None
                    self.woken(frame)

    def revive(self, frame: Frame) -> None:
        """Let all go on that failed in a frame, but for the items that a map settled (E11)."""
        had_failed = frame.failed is not None
        raised = False
        if frame.failed is not None:
            raised = frame.failed._replace(path=self.path(frame)) == self.fault(frame, "condition_failed")
        if had_failed:
            frame.failed, frame.tries, frame.crashes = None, 0, 0
        is_settled = frame.slots is not None and frame.graph.node(frame.at).keep
        if had_failed and not raised and all(each.failed is not None for each in frame.below.values()):
            is_settled = False  # it failed because of its items
        for each in frame.below.values():
            if each.failed is not None and is_settled:
                continue
            if each.failed is not None and frame.slots is not None:
                frame.slots.again.append(each.index)
            self.revive(each)

    def deployed(self, row: Row) -> None:
        """Go on with other code: what was said of an effect when it began decides (K5), and edges are those of now."""
        if "next" in row.more and "next" not in self.changes:
            self.migrate()
        self.changes = row.more
        for frame in sorted(self.frames.values(), key=lambda frame: len([*frame.around()])):
            if frame.up is None:
                frame.graph = p.deployed(self.program.graph, self.changes)
            else:
                inner = frame.up.graph.node(frame.up.at).graph if frame.kind == "sub" else None
                frame.graph = inner or frame.up.graph

    def migrate(self) -> None:
        """Go on as the next version, with a new field, and all counts and positions under the new names (L6, L7)."""
        for frame in self.frames.values():
            frame.state["more"] = int(self.status != "new")
            frame.id, frame.at, frame.until, frame.fork = map(p.renamed, (frame.id, frame.at, frame.until, frame.fork))
            frame.past = [visit._replace(node=p.renamed(visit.node)) for visit in frame.past]
        for frame in self.frames.values():
            frame.below = {each.id: each for each in frame.below.values()}
        self.frames = {frame.id: frame for frame in self.frames.values()}

    def stopped(self, row: Row) -> None:
        """Stop the run (L1), maybe for good (L8)."""
        self.status = row.status
        self.flying = set()

    def branched(self, row: Row) -> None:
        """Go on as a branch, which shares all that happened, with the limit that the run has by now (L3)."""
        self.resumed(row)
        self.most = row.more
        for frame in self.frames.values():  # it has child runs of its own, but those whose end is recorded
            for place in [place for place, _ in frame.answers if not isinstance(place, int) and place[1] == "start"]:
                end: p.Place = place[0], "end", place[2]
                if frame.answers.get((end, "")) != "finished":
                    for each in (place, end, place[0]):
                        frame.answers.pop((each, ""), None)

    def message(self, row: Row) -> None:
        """Keep a message until it is received (W6)."""
        self.mail.append(row.more)

    def answered(self, row: Row) -> None:
        """End a wait: by an answer, the message that has waited longest, or its time (W2, W5, W6)."""
        frame = self.frames.get(row.frame)
        if frame is None or frame.phase != "waiting" or frame.waits is None:
            raise Wrong(f"nothing waits there: {row}")
        number, due = frame.waits
        op = op_of(frame, number)
        by, value = row.more
        if not isinstance(number, int) and number[1] == "end":
            if ((number[0], "start", number[2]), "") in frame.answers:  # else it is one of the run that a branch left
                frame.answers[number, ""] = "told"
            frame.phase, frame.waits = "ready", None
            self.woken(frame)
            return
        early = ROUNDED_SECONDS if self.program.budget else 0.0  # when a budget has room is known to that
        if by in ("time", "default") and (due is None or row.at < due - early):
            raise Wrong(f"a wait ends before its time: {row}")
        if by == "message":
            if not isinstance(op, p.Receive) or not self.mail or self.mail.pop(0) != value:
                raise Wrong(f"another message was to be received: {row}")
        elif by == "answer" and not isinstance(op, p.Ask | p.Call | p.Talk):
            raise Wrong(f"nobody was asked: {row}")
        if self.op_waited(frame) == "call":
            frame.phase, frame.waits = "ready", None
            frame.lost.discard(number)  # of a turn it was room in the budget that it waited for
            if value == "rerun":
                frame.begun.discard(number)
            else:  # a person said how it ended: it is not lost again
                frame.told.add(number)
            self.woken(frame)
            return
        said = "slept" if isinstance(op, p.Sleep) else "late" if by in ("time", "default") else value
        words = frame.asked if isinstance(op, p.Ask) else ""
        frame.answers[number, words], frame.phase, frame.waits = said, "ready", None
        self.woken(frame)

    def woken(self, frame: Frame) -> None:
        """Note that a wait ended in a frame: items wait for a slot in this order (E12)."""
        self.ends += 1
        for each in frame.around():
            if each.kind == "item":
                each.woken = self.ends


# --- paths ------------------------------------------------------------------------------------------------------------


def op_of(frame: Frame, place: p.Place) -> p.Op:
    """Return the operation at a place of a frame's node; a node that is an effect itself is like a call."""
    number = place if isinstance(place, int) else place[0]
    return p.Call() if number == WHOLE else frame.graph.does(frame.at, frame.visit)[number]


def is_torn(frame: Frame, place: p.Place) -> bool:
    """Return whether an effect that began and has no end is one whose beginning and end are recorded together (K5)."""
    op = op_of(frame, place)
    return isinstance(op, p.Call) and op.effect == "transaction"


def joined(frame: Frame, name: str) -> str:
    """Return the id of a place in a frame."""
    return f"{frame.id}{name}" if not frame.id or frame.id.endswith("/") else f"{frame.id}/{name}"


def graph_path(frame: Frame) -> str:
    """Return the path of the graph that a frame walks, or of an item."""
    if frame.up is None:
        return ""
    above = graph_path(frame.up)
    if frame.kind == "arm" or (frame.kind == "sub" and frame.up.kind == "item"):
        return above
    name = f"{frame.up.at}[{frame.index}]" if frame.kind == "item" else frame.up.at
    return f"{above}/{name}" if above else name


def node_path(frame: Frame) -> str:
    """Return the path of a frame's node."""
    above = graph_path(frame)
    if frame.kind == "item":
        return above
    return f"{above}/{frame.at}" if above else frame.at


def lost_visits(arm: Frame) -> Iterator[Visit]:
    """Yield the visits of an arm that is cancelled, and of its own arms: they stay counted, and changed nothing."""
    yield from (Visit(visit.node, frozenset(), None) for visit in arm.past[arm.before :])
    for below in arm.below.values():
        if below.kind == "arm":
            yield from lost_visits(below)


# --- conditions -------------------------------------------------------------------------------------------------------


def is_for_failures(cond: p.Cond | None) -> bool:
    """Return whether an edge is for failures."""
    return cond is not None and (cond[0] == "failed" or (cond[0] == "and" and cond[1][0] == "failed"))


def matches(kind: str, name: str) -> bool:
    """Return whether a failure is one of this name."""
    return name == "any" or kind == {"update": "invalid_update"}.get(name, name)


def is_odd(n: int) -> bool:
    """Return whether a number is odd. Raises: Misfit for 3."""
    if n == 3:
        raise Misfit
    return n % 2 == 1


def at(state: Mapping[str, Any], path: str) -> Any:
    """Return a value of a state; None if it is missing."""
    name, _, key = path.removesuffix("]").partition("[")
    value = state[name]
    if not key:
        return value
    if isinstance(value, dict):
        return value.get(key)
    return value[int(key)] if value else None


def count(past: Sequence[Visit], node: str, since: str | None) -> int:
    """Return the completed visits of a node, since the last one of another (V6)."""
    found = 0
    for visit in past:
        found += visit.node == node
        found = 0 if visit.node == since else found
    return found


def plateau(  # noqa: PLR0913 - the options of one
    past: Sequence[Visit], name: str, patience: int, delta: float, mode: str, since: str | None
) -> bool:
    """Return whether the last samples are no better than the best before (V7)."""
    best, stale = None, 0
    for visit in past:
        if visit.state is None:
            continue
        if visit.node == since:
            best, stale = None, 0
        sample = visit.state[name]
        if name in visit.wrote and sample is not None:
            sample = sample if mode == "max" else -sample
            best, stale = (sample, 0) if best is None or sample - best > delta else (best, stale + 1)
    return stale >= patience


def changed(frame: Frame, path: str, since: str | None) -> bool:
    """Return whether a value differs from that when a node was last left (V8)."""
    node = since or frame.at
    states = [visit.state for visit in frame.past if visit.node == node and visit.state is not None]
    if node == frame.at:
        states = states[:-1]
    return bool(at(frame.state, path) != at(states[-1] if states else p.DEFAULTS, path))


def reduced(old: Any, write: Write) -> Any:
    """Return a field after an update. Raises: Misfit."""
    name, new = write.field, write.value
    if new is object:
        raise Misfit
    if name in ("n", "score", "items"):
        return new
    if name == "table":
        return {**old, write.key: new}
    if name == "errors":
        return [*old, new]
    if name == "best":
        return max(old, new)
    return old + new

"""A run driven by hand through the pure engine: no asyncio, no store, a clock that the tests set.

`Session.send` handles an event as the runner does, with `commit` of the engine's session, and checks invariants at
every step of every run: decide leaves the snapshot unchanged, the rows read back from JSON fold to the same snapshot,
recorded rows never change, typed values equal those built from their records, a snapshot survives its own record, and
what is ready now is what was ready before and still is, together with what the step made ready.

`Session.act` is the only place where a node really runs: by the runner's own code, on an event loop that exists as long
as the attempt.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any, Final, cast

from msgspec import convert
from pydantic import BaseModel
from pydantic_core import from_json, to_json

from graphengine import Graph
from graphengine.compile.code import code_of, nodes_with_work, other_code
from graphengine.engine import session as engine
from graphengine.engine import steps
from graphengine.engine.events import (
    AnswerArrived,
    Attempted,
    BranchedOff,
    Event,
    LimitMet,
    MessageCame,
    NodeEntered,
    NodeFailed,
    NodeFinished,
    NodeLeft,
    Noted,
    RunResumed,
    RunStarted,
    Settled,
    StopAsked,
    WaitOver,
)
from graphengine.engine.failures import failure_record
from graphengine.engine.fold import evolve, fold
from graphengine.engine.graph_spec import GraphSpec
from graphengine.engine.lookup import StaleEvent, plan_of, view_of
from graphengine.engine.machine import AFTER, TABLE
from graphengine.engine.phases import Phase, Waiting
from graphengine.engine.plan import Plan
from graphengine.engine.ready import limit_reached, next_due, ready, runnable_frame
from graphengine.engine.snapshot import Frame, Snapshot, Task
from graphengine.engine.step_json import decode_step, encode_step
from graphengine.engine.steps import (
    AnswerRecord,
    Begun,
    Branched,
    Decided,
    Recorded,
    Resumed,
    Shift,
    Started,
    Step,
    WaitRecord,
    path_of,
)
from graphengine.engine.stored import from_record, to_record
from graphengine.errors import CrashLoop, GraphEngineError
from graphengine.kernel.fake_clock import FakeClock
from graphengine.runner.attempt import Attempt
from graphengine.runner.followers import Audience, Follower, Following
from graphengine.runner.scope import AttemptFacts, NodeServices
from graphengine.state.amounts import LimitsRecord, Usage
from graphengine.state.interrupts import Interrupt
from graphengine.state.json_values import JsonValue
from graphengine.state.view import View
from graphengine.stores.base import Append, Transaction, Transactional


class NoDatabase:
    """Transactions of no database: their functions are handed None."""

    def __init__(self) -> None:
        self.threads = ThreadPoolExecutor(1)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """Yield itself."""
        with self.threads:
            yield self

    def call(self, function: Callable[[Any], object], kind: type[object]) -> object:
        """Call a function."""
        return function(None)

    async def commit(self, batch: Append) -> None:
        """Do nothing: there is no store."""

    def cancel(self) -> None:
        """Do nothing: there is no statement."""


_CODES: Final[dict[str, Mapping[str, Mapping[str, Any]]]] = {}
"""The code of graphs that runs were resumed from, by id: what a store keeps."""


@dataclass(frozen=True, slots=True)
class Alone:
    """The driver of a run that no process watches."""

    note: Callable[[Event], Awaitable[None]]
    audience: Audience = field(default_factory=Audience)
    is_halting: bool = False
    is_released: bool = False
    wrote_at: float = 0.0
    resumed_at: float = 0.0

    async def check_owned(self) -> None:
        """Do nothing: no other process drives it."""

    async def may_begin(self, *, reads: bool) -> bool:
        """Return True."""
        return True

    async def keep_code(self) -> None:
        """Do nothing: there is no store."""

    async def read_code(self, code: str) -> Mapping[str, Mapping[str, Any]] | None:
        """Return the code of a graph that the run had before."""
        return _CODES.get(code)

    def cut_until(self, seq: int) -> float:
        """Return 0: no process was cut off."""
        return 0.0

    async def halted(self) -> None:
        """Wait forever: nothing stops the run."""
        await asyncio.Event().wait()

    runs_again = False

    @property
    def transactions(self) -> Transactional:
        """Transactions of no database."""
        return NoDatabase()

    async def note_within(self, events: Sequence[Event], transaction: object) -> None:
        """Record them: what their function did is not undone."""
        for event in events:
            await self.note(event)

    def suspends(self, attempt: AttemptFacts, waits: Mapping[str, steps.WaitRecord]) -> bool:
        """Return False: each wait ends its attempt."""
        return False

    def check(self) -> None:
        """Do nothing: everything recorded is kept."""

    def give_up(self, error: GraphEngineError) -> None:
        """Do nothing: no other process has other graphs."""

    def has_message(self, topic: str) -> bool:
        """Return False: nothing is sent."""
        return False

    def spending(self) -> Sequence[AttemptFacts]:
        """Return none: nothing limits a call."""
        return ()

    def note_cut_off(self, attempt: AttemptFacts) -> bool:
        """Treat every cancellation as one of the process."""
        return True

    def emitted(self, path: str, data: object) -> None:
        """Do nothing: the run is not watched."""


class Watched(engine.Session):
    """An engine session that checks that decide leaves the snapshot unchanged."""

    def decide(self, event: Event) -> Decided:
        """Return the step of an event."""
        before = picture(self.snapshot)
        step = super().decide(event)
        unchanged(self.snapshot, before)
        return step


_EVERYTHING = ("started", "resumed", "branched")  # steps after which the runner checks every frame


@dataclass
class Session:
    """One run.

    Attributes:
        graph: The graph it follows; can be replaced by a changed one before a resume.
        log: Its steps as decided, including those shared with its parents.
        rows: For each step the recorded JSON.
        now: The clock, seconds.
        parent: The session it branched from.
        mirror: Whether every event is also decided on the snapshot folded from JSON, which must give the same row. The
            user's functions are called twice then.
        careful: Whether every step is checked; a test of thousands of runs checks only their ends.
        run: The engine session that committed the last event.
        taken: The rows of the machine's table that it and its parents took, each as an event and a phase.
        specs: The specs of the graphs under which its steps were decided, by fingerprint, in which edges are looked up.
    """

    graph: Graph[Any]
    run_id: str = "run"
    now: float = 0.0
    snapshot: Snapshot = field(default_factory=Snapshot)
    log: list[Step] = field(default_factory=list)
    rows: list[bytes] = field(default_factory=list)
    parent: Session | None = None
    mirror: bool = False
    careful: bool = True
    _folded: Snapshot = field(default_factory=Snapshot)
    _before: Sequence[Task] = ()
    run: engine.Session = field(init=False)
    taken: set[tuple[type[Event], type[Phase] | None]] = field(default_factory=set)
    specs: dict[str, GraphSpec] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.run = engine.Session(self.plan, self.snapshot)

    @property
    def plan(self) -> Plan[Any]:
        """The compiled graph."""
        return self.graph.compile()

    def send(self, event: Event) -> Step:
        """Decide an event and fold its step in, checking the invariants."""
        came_in = self.phase_of(event)
        step = self.commit(event, Watched if self.careful else engine.Session)
        self.check_table(event, came_in, step)
        if not self.careful:
            return step
        row = self.rows[-1]
        if self.mirror:
            mirrored = engine.Session(self.plan, self._folded).decide(event)
            assert encode_step(mirrored) == row, "the snapshot folded from JSON decides otherwise"
        read = decode_step(step.seq, row)
        assert place(read) == place(step), "the record of a step differs from the step"
        evolve(self._folded, read)
        assert recorded(self.snapshot) == recorded(self._folded), "the log folds to another snapshot"
        assert ready(self.snapshot) == ready(self._folded)
        self.check_ready(step)
        self.check_caches()
        check_kinds(self.snapshot)
        again = from_record(to_record(self.snapshot))
        assert recorded(again) == recorded(self.snapshot)
        assert ready(again) == ready(self.snapshot)
        check_waits(self.snapshot, again)
        assert [encode_step(s) for s in self.log[-2:]] == self.rows[-2:], "a step changed after it was recorded"
        return step

    def commit(self, event: Event, kind: type[engine.Session] = engine.Session) -> Step:
        """Commit an event as the runner does, to a log in memory.

        Raises:
            StaleEvent: It comes too late.
        """
        self.run = kind(self.plan, self.snapshot)
        self.specs[self.plan.fingerprint] = self.plan.graph_spec
        steps = self.run.commit([event], self._append).steps
        if not steps:
            raise StaleEvent(event)
        return steps[0]

    def _append(self, steps: Sequence[Step]) -> None:
        self.log.extend(steps)
        self.rows.extend(encode_step(step) for step in steps)

    def phase_of(self, event: Event) -> type[Phase] | None:
        """Return the phase of the frame that an event belongs to."""
        named = event.id.frame if isinstance(event, Attempted) else getattr(event, "frame", "no frame")
        frame = self.snapshot.frames.get(named)
        return type(frame.phase) if frame is not None else None

    def check_table(self, event: Event, came_in: type[Phase] | None, step: Step) -> None:
        """Check that event, phases and step are in the table of the machine."""
        rows = [row for row in TABLE if row.event is type(event) and type(step.data) in row.steps]
        assert rows, f"{event} became {step.kind}"
        assert any(not row.phases or came_in in row.phases for row in rows), f"{event} came in {came_in}"
        self.taken.add((type(event), came_in))
        frame, after = self.snapshot.frames.get(step.frame), AFTER.get(type(step.data))
        if frame is not None and after is not None and step.node:
            assert type(frame.phase) in after, f"{step.kind} led to {frame.phase}"

    def check_ready(self, step: Step) -> None:
        """Check that the tasks found in the touched frames are all that were not ready before."""
        snapshot, before = self.snapshot, self._before
        made = self.run.take_tasks()
        self._before = full = ready(snapshot)
        waiting = [frame for frame in snapshot.frames.values() if isinstance(frame.phase, Waiting)]
        assert snapshot.waiting == len(waiting)
        if snapshot.status in ("running", "waiting") and not limit_reached(snapshot):
            still = bool(waiting) and all(task.mode == "wake" for task in full)
            assert snapshot.status == ("waiting" if still else "running"), f"{snapshot.status}, but ready: {full}"
        assert all(task in full for task in made), f"ready in the touched frames only: {made}"
        if step.kind not in _EVERYTHING:
            lost = [task for task in full if task not in made and task not in before]
            assert not lost, f"ready, but in no touched frame: {lost}"

    def check_caches(self) -> None:
        """Check that every cached typed value equals the one built from its record."""
        for frame in self.snapshot.frames.values():
            fresh = view_of(plan_of(self.plan, frame), bare(frame))
            for name, value in frame.typed.items():
                built = fresh.get(name)
                assert built == value, f"{name} is cached as {value!r}, but its record gives {built!r}"
                assert type(built) is type(value)

    def check_log(self) -> None:
        """Check that no step changed after it was recorded."""
        assert [encode_step(step) for step in self.log] == self.rows

    def tasks(self) -> list[Task]:
        """Return the tasks that should be running now."""
        return ready(self.snapshot)

    def task(self, of: str | None = None, mode: str | None = None) -> Task:
        """Return the only task that should be running now, or the one of a path, node or frame, and of a mode."""
        tasks = [task for task in ready(self.snapshot) if of is None or of in (*places(task), task.node)]
        if len(tasks) > 1:  # a path is more specific than a name
            tasks = [task for task in tasks if of in places(task)]
        if mode is not None:
            tasks = [task for task in tasks if task.mode == mode]
        assert len(tasks) == 1, f"{len(tasks)} tasks of {of} ({mode or 'any'}): {ready(self.snapshot)}"
        return tasks[0]

    def view(self, of: str | None = None) -> View:
        """Return the view of the run's own frame, or of a node or an arm."""
        frame = self.snapshot.root if of is None else self.snapshot.frames[self.task(of).frame]
        return view_of(plan_of(self.plan, frame), frame)

    def start(
        self,
        state: BaseModel | Mapping[str, object] | None = None,
        limits: Mapping[str, float | None] | None = None,
        pause: Sequence[str] = (),
    ) -> Step:
        """Begin with a state, waiting before some nodes."""
        begun = self.plan.state.initial({} if state is None else state, "the test")
        facts = first_facts(self.plan, self.run_id, cast("LimitsRecord", limits or {}))
        facts.pause = pause
        return self.send(RunStarted(self.now, facts, begun.values, begun.typed, begun.given))

    def finish(
        self,
        result: object,
        usage: Usage | None = None,
        *,
        of: str | None = None,
        choice: str = "",
        seconds: float = 0.0,
    ) -> Step:
        """Finish a task (of a node or frame) with a result, after some seconds."""
        task, began = self._begin(seconds, of)
        return self.send(NodeFinished(task, began, self.now, result, usage, choice))

    def at_once(self, result: object) -> Sequence[object]:
        """Return the update that a result would write, decided and not recorded."""
        task = self.task()
        finished = NodeFinished(task, self.now, self.now, result)
        return engine.Session(self.plan, self.snapshot).decide(finished).update

    def fail(
        self,
        error: BaseException,
        usage: Usage | None = None,
        *,
        of: str | None = None,
        chance: float = 1.5,
        seconds: float = 0.0,
    ) -> Step:
        """Fail a task (of a node or frame), after some seconds."""
        task, began = self._begin(seconds, of)
        record = failure_record(error, path_of(task.frame, task.node), task.attempt)
        return self.send(NodeFailed(task, began, self.now, record, usage, "", chance))

    def act(self, of: str | None = None, *, dies_after: int = 0, chance: float = 1.5) -> Step | None:
        """Run a task for real, as the runner does; the process dies after this many recorded pieces of work."""
        task = self.task(of)
        self.now = max(self.now, task.due)
        noted = 0

        async def note(event: Event) -> None:
            nonlocal noted
            if not dies_after or noted < dies_after:
                self.send(event)
            noted += 1
            if dies_after and noted >= dies_after:
                raise Died

        async def attempted() -> Event:
            services = NodeServices(
                run=engine.Session(self.plan, self.snapshot), run_id=self.run_id, host=Alone(note), resources={},
                threads=pool, now=lambda: self.now, wall=lambda: self.now, past=None,
                following=Following(self.followers()),
            )  # fmt: skip
            attempt = Attempt(task, services)
            attempt.within, attempt.state = cast("asyncio.Task[Any]", asyncio.current_task()), "running"
            came = attempt.moved() or await attempt.run()
            assert came is not None
            return came

        with ThreadPoolExecutor(1) as pool:
            try:
                event = asyncio.run(attempted())
            except Died:
                self.crash()
                return None
        if isinstance(event, (NodeFinished, NodeFailed)):
            event.chance = chance
        return self.send(event)

    def enter(self, of: str | None = None, *, chance: float = 1.5) -> Step:
        """Enter a map or a subgraph."""
        task, _ = self._begin(0.0, of)
        assert task.mode == "run"
        return self.send(NodeEntered(task, self.now, chance))

    def begin(self, of: str | None = None) -> Step:
        """Record that a node begins which is an effect that must not be repeated."""
        task, _ = self._begin(0.0, of)
        return self.send(Noted(task, 0.0, self.now, Begun(name=task.node, idempotency_key=f"{task.frame}/{task.node}")))

    def work(self, key: str, value: JsonValue, of: str | None = None) -> Step:
        """Record a finished piece of a node's work."""
        task, began = self._begin(0.0, of)
        name = key.split("|", maxsplit=1)[0]
        return self.send(Noted(task, began, self.now, Recorded(key=key, name=name, value=value), 0))

    def wait(self, waits: Mapping[str, Mapping[str, JsonValue]], of: str | None = None) -> Step:
        """Let a node wait until one of these is over."""
        task, began = self._begin(0.0, of)
        asked = convert(waits, dict[str, WaitRecord])
        return self.send(Noted(task, began, self.now, steps.Waiting(waits=asked)))

    def answer(self, wait: str, value: JsonValue, *, identity: str | None = None) -> Step:
        """Answer an open question, or one that was asked before."""
        if identity is None:
            open_waits = [f.waits[wait].id for f in self.snapshot.frames.values() if wait in f.waits]
            again = [f.asked[wait][1].id for f in self.snapshot.frames.values() if wait in f.asked]
            identity = next(filter(None, (*open_waits, *again)), "")
        return self.send(AnswerArrived(wait, identity, self.now, AnswerRecord(value)))

    def message(self, topic: str, payload: JsonValue) -> Step:
        """Send a message to the run."""
        return self.send(MessageCame(self.now, topic, payload))

    def wake(self, of: str | None = None) -> Step:
        """End a wait whose time has come."""
        task = self.task(of, "wake")
        self.now = max(self.now, task.due)
        return self.send(WaitOver(task.frame, task.wait, self.now))

    def deliver(self, of: str | None = None) -> Step:
        """Deliver a message to a node that waits for its topic."""
        task = self.task(of, "deliver")
        return self.send(WaitOver(task.frame, task.wait, self.now, delivered=True))

    def leave(self, of: str | None = None) -> Step:
        """Choose the outgoing edge that could not be chosen before."""
        return self.send(NodeLeft(self.task(of, "leave").frame, self.now))

    def join(self, of: str | None = None) -> Step:
        """Join the arms of a fork."""
        return self.send(Settled(self.task(of, "join").frame, self.now))

    def collect(self, of: str | None = None) -> Step:
        """Collect the items of a map."""
        return self.send(Settled(self.task(of, "collect").frame, self.now, chance=1.5))

    def exit(self, of: str | None = None, *, chance: float = 1.5) -> Step:
        """Leave a subgraph that ended."""
        return self.send(Settled(self.task(of, "exit").frame, self.now, chance=chance))

    def meet_limit(self, of: str | None = None) -> Step:
        """Report that a subgraph reached its own limit."""
        return self.send(LimitMet(self.task(of, "limit").frame, self.now))

    def give_up(self, of: str | None = None) -> Step:
        """Fail a node that took the process down too often, as the runner does."""
        assert self.task(of).mode == "crash_loop"
        return self.fail(CrashLoop("the process died"), of=of)

    def stop(self, explanation: str = "asked", *, final: bool = False) -> Step:
        """Stop the run on request, maybe for good."""
        return self.send(StopAsked(self.now, "asked", explanation, final=final))

    def limit(self) -> Step:
        """Stop the run because a limit blocks every task."""
        assert self.snapshot.status == "running"
        assert not self.tasks()
        return self.send(StopAsked(self.now, "limit", limit_reached(self.snapshot)))

    def crash(self) -> None:
        """Let the process die: only what was recorded remains."""
        self.snapshot = self._fold(len(self.rows))
        self._folded = self._fold(len(self.rows))

    def resume(  # noqa: PLR0913 - options of a resume
        self,
        limits: Mapping[str, float | None] | None = None,
        graph: Graph[Any] | None = None,
        pause: Sequence[str] | None = None,
        *,
        shared_process: bool = False,
        asked: bool = False,
        retry_failed: bool = False,
    ) -> Step:
        """Continue, with other limits, pauses or a changed graph; a run that was not ended had crashed."""
        shift, after = self.fit(graph or self.graph)
        before, changed = code_of(self.plan), graph is not None and graph is not self.graph
        _CODES[before.id] = before.body
        self.graph = graph or self.graph
        wanted = self.snapshot.limits if limits is None else cast("LimitsRecord", limits)
        crashed = self.snapshot.status == "running"
        facts = Resumed(crashed=crashed, limits=wanted.copy(), fingerprint=self.plan.fingerprint, pause=pause)
        facts.shared_process = shared_process
        if changed and (nodes := nodes_with_work(after)):
            code, is_same = code_of(self.plan), facts.fingerprint == self.snapshot.fingerprint
            facts.code, facts.recoded = code.id, other_code(nodes, before.body if is_same else None, code.body)
        return self.send(RunResumed(self.now, facts, shift, asked, retry_failed))

    def followers(self) -> list[Follower]:
        """Return who follows the run: the agents, unless the tests run with the core alone."""
        if find_spec("graphengine.agents") is None:
            return []
        from graphengine.agents.budget import AgentsOfRun  # noqa: PLC0415 - not behind the wall
        from graphengine.agents.model_routing import Models  # noqa: PLC0415

        return [AgentsOfRun(Models({}), FakeClock(self.now), self.snapshot)]

    def fit(self, graph: Graph[Any]) -> tuple[Shift, Snapshot]:
        """Return what continuing with a graph, changed or not, requires, by the runner's own code."""
        plan = graph.compile()
        if self.snapshot.fingerprint == plan.fingerprint:
            return Shift(), self.snapshot
        from graphengine.migration import Migrations  # noqa: PLC0415 - not behind the wall

        return Migrations().fitted(plan, self.snapshot, self.plan.graph_spec)

    def at(self, seq: int) -> Session:
        """Return a child of this run after a step, not yet begun."""
        return Session(
            self.graph,
            f"{self.run_id}/{seq}",
            self.now,
            self._fold(seq),
            self.log[:seq],
            self.rows[:seq],
            self,
            self.mirror,
            self.careful,
            self._fold(seq),
            specs=self.specs,
        )

    def branch(  # noqa: PLR0913 - what a branch begins with
        self,
        seq: int,
        update: Mapping[str, object] | None = None,
        limits: Mapping[str, float | None] | None = None,
        now: float | None = None,
        frame: str = "",
        graph: Graph[Any] | None = None,
    ) -> Session:
        """Return a child after a step, begun with an update of a frame's state and maybe a changed graph."""
        child = self.at(seq)
        child.taken = self.taken
        shift, _ = child.fit(graph or self.graph)
        child.graph = graph or self.graph
        child.now = self.now if now is None else now
        wanted = child.snapshot.limits if limits is None else cast("LimitsRecord", limits)
        updates: Sequence[tuple[str, object]] = list((update or {}).items())
        facts = Branched(
            run_id=child.run_id, parent=self.run_id, limits=wanted.copy(), fingerprint=child.plan.fingerprint
        )
        child.send(BranchedOff(child.now, facts, updates, frame, shift))
        return child

    def _fold(self, seq: int) -> Snapshot:
        return fold(decode_step(n, row) for n, row in enumerate(self.rows[:seq], start=1))

    def _begin(self, seconds: float, of: str | None) -> tuple[Task, float]:
        task = self.task(of)
        began = self.now = max(self.now, task.due)
        self.now += seconds
        return task, began


class Died(Interrupt):
    """The death of the process, which no code catches."""


def first_facts(plan: Plan[Any], run_id: str, limits: LimitsRecord) -> Started:
    """Return what is known of a run's first step before it is decided."""
    facts = Started(run_id=run_id, graph=plan.graph, fingerprint=plan.fingerprint, limits=limits)
    facts.version = plan.version
    return facts


def places(task: Task) -> Sequence[str]:
    """Return the names of a task: its frame and its path; for a limit the path of the graph."""
    return task.frame, path_of(task.frame, "" if task.mode == "limit" else task.node)


_OF_KIND: Final = {
    "arm": ("until", "journal", "samples"),
    "sub": ("plan", "limits", "steps", "entered", "spent"),
}
"""Fields that only frames of one kind use. All frames share a class, since readers treat them alike."""


def check_kinds(snapshot: Snapshot) -> None:
    """Check that no frame has a fact of another kind of frame."""
    for frame in snapshot.frames.values():
        for kind, names in _OF_KIND.items():
            if frame.kind != kind:
                assert not any(getattr(frame, name) for name in names), f"{frame.kind} {frame.id} has facts of {kind}"


def _has_failed(frame: Frame) -> bool:
    return frame.failing is not None or (frame.up is not None and _has_failed(frame.up))


def check_waits(kept: Snapshot, again: Snapshot) -> None:
    """Check what a snapshot keeps of its waits, and of the frames that can move, against one that was just read."""
    assert (runnable_frame(kept) is None) == (runnable_frame(again) is None), "the frames that can move are not known"
    waits = [(name, wait, frame) for frame in kept.frames.values() for name, wait in frame.waits.items()]
    assert kept.open_waits.count == len(waits)
    timed = [wait.due for _, wait, frame in waits if wait.due is not None and not _has_failed(frame)]
    assert next_due(kept) == min(timed, default=None)
    assert all(kept.open_waits.holder(name, wait.id) is frame for name, wait, frame in waits)
    assert all(wait in kept.open_waits.named(name) for name, wait, _ in waits)


def place(step: Step) -> tuple[object, ...]:
    """Return the position and times of a step."""
    return step.seq, step.kind, step.at, step.frame, step.node, step.visit, step.attempt, step.began


def recorded(snapshot: Snapshot) -> object:
    """Return a snapshot's record as it reads back from JSON, where tuples are lists."""
    return from_json(to_json(to_record(snapshot)))


def bare(frame: Frame) -> Frame:
    """Return a frame and those its state comes from, without cached values."""
    base = None if frame.base is None else bare(frame.base)
    return Frame(kind=frame.kind, at=frame.at, values=frame.values, base=base)


def picture(snapshot: Snapshot) -> tuple[object, dict[str, dict[str, object]]]:
    """Return a deep copy of a snapshot: its record, and the typed values of its frames."""
    return deepcopy(to_record(snapshot)), {key: deepcopy(frame.typed) for key, frame in snapshot.frames.items()}


def unchanged(snapshot: Snapshot, before: tuple[object, dict[str, dict[str, object]]]) -> None:
    """Assert that a snapshot did not change, except for typed values that were read since."""
    record, typed = before
    assert to_record(snapshot) == record, "decide changed the snapshot"
    for key, values in typed.items():
        now = snapshot.frames[key].typed
        assert {name: now[name] for name in values} == values, "decide changed typed values"

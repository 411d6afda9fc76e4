"""Drive a session with several attempts in flight: the order in which they end is drawn, their outcomes are not.

The attempts in flight are tracked as in the runner, by what `ready` returns for the frames that a step touched; each
time this is compared with what `ready` returns for all frames.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass, field, fields
from random import Random
from typing import Any

from graphengine import Graph
from graphengine.engine import steps
from graphengine.engine.events import (
    AnswerArrived,
    Event,
    LimitMet,
    MessageCame,
    NodeEntered,
    NodeFailed,
    NodeFinished,
    NodeLeft,
    Noted,
    Settled,
    WaitOver,
)
from graphengine.engine.failures import failure_record
from graphengine.engine.fold import evolve
from graphengine.engine.lookup import StaleEvent, plan_of
from graphengine.engine.phases import Collecting, Ended, Fallback, Forked, Inside, Leaving, Ready
from graphengine.engine.ready import held_by, ready, task_of
from graphengine.engine.snapshot import CRASHES, AttemptId, Frame, Snapshot, Task
from graphengine.engine.step_json import decode_step, encode_step
from graphengine.engine.steps import AnswerRecord, Step, WaitRecord, path_of
from graphengine.engine.stored import decode_snapshot, encode_snapshot
from graphengine.state.encoded import opened
from graphengine.state.json_values import JsonValue
from graphengine.state.recorded_text import to_show
from graphengine.state.view import View
from tests.kit.facts import said
from tests.kit.session import Session, bare, recorded
from tests.kit.spec import Boom, NodeSpec, Outcome, Slow, Spec, condition, mark_of, result_of
from tests.kit.turns import Turns
from tests.kit.walker import Outcomes, Rows, frame_id, spot

_MOVING = ("running", "waiting")
_OUTSIDE = ("resumed", "stopped", "branched", "waiting", "answered", "message")
"""The kinds of steps of which the interpreter knows nothing: waits change the order of a run, and nothing else."""
MOST = 50_000  # steps; of nine items in nine in nine that all wait, a run that ended had 12,004


@dataclass
class Quick(Session):
    """A session that only decides, folds and records; its driver checks the rest.

    A careful one also folds what was recorded.
    """

    def send(self, event: Event) -> Step:
        """Decide the step of an event and fold it in."""
        step = self.commit(event)
        if self.careful:
            evolve(self._folded, decode_step(step.seq, self.rows[-1]))
        return step

    @property
    def folded(self) -> Snapshot:
        """The snapshot folded from what was recorded."""
        return self._folded

    def at(self, seq: int) -> Quick:
        """Return a child of this run after a step, not yet begun."""
        child = super().at(seq)
        return Quick(**{part.name: getattr(child, part.name) for part in fields(child) if part.init})


@dataclass
class Schedule:
    """A run and the order in which its nodes end.

    Attributes:
        upsets: How many times the process crashes, or is stopped, or the run continues in a branch, or in a snapshot
            that was written and read; never three in a row.
        resumes: How many times it is resumed after a failure.
        resumed: For each seq the number of resumes by then.
        flights: The tasks in flight, by frame.
        crashes: The number of consecutive crashes during an attempt, by frame.
        turns: Who has the slots of maps, by another count than the engine's.
        entries: The number of times each subgraph was entered.
    """

    spec: Spec
    session: Quick
    outcomes: Outcomes
    random: Random
    resumes: int
    upsets: int = 0
    used: int = 0
    resumed: dict[int, int] = field(default_factory=dict)
    states: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    joins: dict[str, list[tuple[dict[str, Any], list[bool]]]] = field(default_factory=dict)
    seen: dict[tuple[str, str], list[dict[str, Any]]] = field(default_factory=dict)
    flights: dict[str, Task] = field(default_factory=dict)
    entries: dict[str, int] = field(default_factory=dict)
    crashes: dict[str, int] = field(default_factory=dict)
    turns: Turns = field(default_factory=Turns)

    @classmethod
    def begin(  # noqa: PLR0913 - all that makes a run
        cls, spec: Spec, graph: Graph[Any], state: Mapping[str, Any], outcomes: Outcomes, random: Random, resumes: int,
        *, upsets: int = 0, careful: bool = False,
    ) -> Schedule:  # fmt: skip
        """Start a run."""
        made = cls(spec, Quick(graph, careful=careful), outcomes, random, resumes, upsets)
        started = made.session.start({name + mark_of(spec): value for name, value in state.items()})
        made.look(started, "")
        made.relaunch(started)
        return made

    def run_to_end(self) -> Schedule:
        """Run until it finished, or failed with no resumes left."""
        while True:
            while self.session.snapshot.status in _MOVING:
                self.turn()
            if self.session.snapshot.status == "finished" or self.used >= self.resumes:
                return self
            self.used += 1
            self.relaunch(self.session.resume())

    def turn(self) -> None:
        """End one of the tasks in flight, or crash the process."""
        assert len(self.session.log) < MOST, "it does not end"
        if self.upsets and self.random.random() < 0.1:
            self.upsets -= 1
            self.upset()
            return
        ends = self.ends_of_waits()
        assert self.flights or ends, "nothing is in flight, and the run has not ended"
        if self.random.random() < 0.1:
            self.send_too_early()
        chosen = self.random.choice([*self.flights, *ends])
        if not isinstance(chosen, str):
            self.keep(self.session.send(chosen))
            return
        task = self.flights.pop(chosen)
        self.session.now = max(self.session.now, task.due)
        self.crashes.pop(task.frame, None)
        self.keep(self.session.send(self.event(task)))

    def ends_of_waits(self) -> list[Event]:
        """Return what can come from outside: an answer to any question, a message that a node waits for."""
        snapshot, now = self.session.snapshot, self.session.now
        found: list[Event] = []
        for frame in snapshot.frames.values():
            for name, wait in frame.waits.items():
                if wait.kind in ("ask", "unknown"):
                    found.append(AnswerArrived(name, wait.id, now, AnswerRecord(1)))
                elif wait.topic is not None and wait.topic not in snapshot.mailbox:
                    found.append(MessageCame(now, wait.topic, 2))
        return found

    def send_too_early(self) -> None:
        """Check that events that come too early or too late are refused."""
        session = self.session
        frame = self.random.choice(list(session.snapshot.frames.values()))
        task, now = self.flights.get(frame.id), session.now
        early: list[Event] = [NodeLeft(frame.id, now)] if not isinstance(frame.phase, Leaving) else []
        is_held, _ = held_by(session.snapshot, frame)  # as by an item that waits for its turn to continue
        if isinstance(frame.phase, (Forked, Collecting, Inside)) and task is None and not is_held:
            early.append(Settled(frame.id, now))
        if frame.kind == "sub" and isinstance(frame.phase, Ended):
            early.append(LimitMet(frame.id, now))
        error = failure_record(Boom("late"), path_of(frame.id, frame.at), frame.attempt)
        early += [
            NodeFailed(AttemptId(frame.id, frame.at, frame.visit, frame.attempt - 1), now, now, error),
            NodeFailed(AttemptId(frame.id, frame.at, frame.visit + 1, frame.attempt), now, now, error),
        ]
        if any(frame.at == node.name for node in self.spec_of(frame).nodes):
            early.append(NodeEntered(AttemptId(frame.id, frame.at, frame.visit, frame.attempt + 1), now))
        for event in early:
            with suppress(StaleEvent):
                session.run.decide(event)
                message = f"{event} is taken"
                raise AssertionError(message)

    def upset(self) -> None:
        """Crash, stop, branch, or write and read the snapshot; then continue."""
        session, kind = self.session, self.random.choice(("crash", "stop", "branch", "read"))
        if kind == "crash" and max(self.crashes.values(), default=0) >= CRASHES - 1:
            kind = "stop"  # one more would fail the node, of which the interpreter knows nothing
        if kind == "branch":
            child = session.branch(session.snapshot.seq)
            assert isinstance(child, Quick)
            self.session = child
            self.relaunch(self.session.log[-1])
        elif kind == "read":
            session.snapshot = read_back(session.snapshot)
        else:
            if kind == "crash":
                session.crash()
                self.count_crash()
            else:
                self.relaunch(session.stop())
            self.relaunch(session.resume())
            for key, frame in session.snapshot.frames.items():
                if isinstance(frame.phase, (Ready, Fallback)):
                    assert frame.crashes == self.crashes.get(key, 0), f"{key} was in flight at so many crashes"

    def count_crash(self) -> None:
        """Count a crash for every attempt in flight; not for one that waits for its time or for others."""
        for task in self.flights.values():
            if task.mode in ("run", "fallback") and task.due <= self.session.now:
                self.crashes[task.frame] = self.crashes.get(task.frame, 0) + 1

    def relaunch(self, step: Step) -> None:
        """Begin everything that is ready after a step."""
        self.resumed[step.seq] = self.used
        self.flights = {task.frame: task for task in ready(self.session.snapshot)}
        self.turns.see(self.session.snapshot)
        self.turns.check(self.session.snapshot, self.flights.values())

    def event(self, task: Task) -> Event:
        """Return the outcome of a task as an event."""
        now = self.session.now
        of_frames: dict[str, Event] = {
            **dict.fromkeys(("join", "collect", "exit"), Settled(task.frame, now)),
            **{mode: WaitOver(task.frame, task.wait, now, delivered=mode == "deliver") for mode in ("wake", "deliver")},
            "leave": NodeLeft(task.frame, now),
            "limit": LimitMet(task.frame, now),
        }
        if task.mode in of_frames:
            return of_frames[task.mode]
        frame = self.session.snapshot.frames[task.frame]
        node = self.node(frame)
        if task.mode == "run" and ((node.each and frame.kind != "item") or node.graph is not None):
            return NodeEntered(task, now)
        assert task.mode in ("run", "fallback")
        outcome = self.outcomes(spot(task.frame, task.node, self.entries), task.visit, task.attempt)
        waits = waits_of(task, frame, outcome, now)
        if waits:
            return Noted(task, now, now, steps.Waiting(waits=waits))
        self.seen.setdefault((task.frame, task.node), []).append(deepcopy(values_of(frame)))
        if outcome.kind in ("boom", "slow"):
            error = Boom("boom") if outcome.kind == "boom" else Slow("slow")
            failure = failure_record(error, path_of(task.frame, task.node), task.attempt)
            return NodeFailed(task, now, now, failure, outcome.usage, "", outcome.chance)
        result = result_of(node, outcome.seed, bad=outcome.kind == "bad", mark=mark_of(self.spec_of(frame)))
        return NodeFinished(task, now, now, result, outcome.usage)

    def spec_of(self, frame: Frame) -> Spec:
        """Return the graph that a frame runs."""
        if frame.up is None:
            return self.spec
        around = self.spec_of(frame.up)
        graph = next((n.graph for n in around.nodes if n.name == frame.up.at), None) if frame.kind == "sub" else around
        assert graph is not None
        return graph

    def node(self, frame: Frame) -> NodeSpec:
        """Return the node that a frame is at."""
        return next(n for n in self.spec_of(frame).nodes if n.name == frame.at)

    def keep(self, step: Step) -> None:
        """Record where a step led, and begin what is ready now."""
        session = self.session
        snapshot = session.snapshot
        self.resumed[step.seq] = self.used
        if step.kind == "entered":
            key = frame_id(step.frame, "sub", f"{step.node}/")
            self.entries[key] = self.entries.get(key, 0) + 1
            self.look(step, key)
        self.look(step, step.frame)
        for key, task in list(self.flights.items()):
            frame = snapshot.frames.get(key)
            if frame is None or (task.mode in ("wake", "deliver") and task_of(snapshot, frame) != task):
                del self.flights[key]
        for task in session.run.take_tasks():
            self.flights.setdefault(task.frame, task)
        wanted = ready(snapshot)
        missed = [task for task in wanted if self.flights.get(task.frame) != task]
        assert not missed, f"no step is said to have touched {missed}"
        assert snapshot.status not in _MOVING or len(wanted) == len(self.flights)
        self.check_order()
        if session.careful:
            self.watch()

    def check_order(self) -> None:
        """Check that as many items run as allowed, each in its turn, and that nothing is ready below a failure."""
        frames = self.session.snapshot.frames
        self.turns.see(self.session.snapshot)
        self.turns.check(self.session.snapshot, self.flights.values())
        for task in self.flights.values():
            around = frames[task.frame].up
            while around is not None:
                assert around.failure is None, f"{task} is ready below what has failed"
                around = around.up

    def watch(self) -> None:
        """Check that what was recorded folds to the same snapshot, which survives its record; typed values fit it."""
        session, snapshot = self.session, self.session.snapshot
        assert [encode_step(step) for step in session.log[-9:]] == session.rows[-9:], "a recorded step changed"
        record = recorded(snapshot)
        assert recorded(session.folded) == record, "the log folds to another snapshot"
        assert recorded(read_back(snapshot)) == record
        for frame in snapshot.frames.values():
            state = plan_of(session.plan, frame).state
            fresh = View(state, bare(frame))
            for name, value in frame.typed.items():
                if name in state.fields:
                    assert fresh.get(name) == value, name

    def look(self, step: Step, key: str) -> None:
        """Keep the state after a step that led to another node, and at joins the conditions about the past."""
        if "to" not in said(step) or said(step)["to"][0] == "FAIL" or step.frame + step.kind == key + "entered":
            return
        frame = self.session.snapshot.frames.get(key)
        if frame is None or step.kind in ("resumed", "stopped", "branched"):
            return
        values = deepcopy(values_of(frame))
        self.states.setdefault(key, []).append(values)
        spec = self.spec_of(frame)
        node = next((n for n in spec.nodes if n.name == step.node), None)
        if step.kind == "joined" or (step.kind == "node" and node is not None and (node.each or node.graph)):
            view = View(plan_of(self.session.plan, frame).state, frame)
            conditions = [condition(cond, [], mark_of(spec)) for cond in spec.leaves("plateau", "iterations")]
            past = [cond.evaluate(view)[0] for cond in conditions]
            self.joins.setdefault(key, []).append((values, past))

    def resumed_at(self, seq: int) -> Schedule:
        """Return the same run, cut off after a step and resumed in another order."""
        session = self.session.at(seq)
        cut = self.cut(session, seq)
        cut.relaunch(session.resume() if session.snapshot.status == "running" else session.log[-1])
        return cut

    def branched_at(self, seq: int) -> Schedule:
        """Return a branch after that step, if anything is left to do there."""
        status = self.session.at(seq).snapshot.status
        if status == "finished" or (status == "failed" and self.resumed[seq] == self.resumes):
            return self
        session = self.session.branch(seq)
        assert isinstance(session, Quick)
        cut = self.cut(session, seq)
        cut.used += status == "failed"
        cut.relaunch(session.log[-1])
        return cut

    def cut(self, session: Quick, seq: int) -> Schedule:
        """Return the same run in a session that ends at a step."""
        random, resumed = Random(seq), self.resumed[seq]  # noqa: S311 - no secret
        cut = Schedule(self.spec, session, self.outcomes, random, self.resumes, 0, resumed, dict(self.resumed))
        cut.entries, cut.turns = entries_of(session.log), Turns.of(session.log)
        return cut


def waits_of(task: Task, frame: Frame, outcome: Outcome, now: float) -> dict[str, WaitRecord]:
    """Return what an attempt waits for next, by name: the part of the first group that has no answer yet."""
    for number, group in enumerate(outcome.waits):
        waits: dict[str, WaitRecord] = {}
        for place, kind in enumerate(group):
            key = f"{task.attempt}.{number}.{place}"
            if key not in frame.recorded_results:
                name = f"{path_of(task.frame, task.node)} of {task.frame} {key}"
                wait = waits[name] = WaitRecord(kind="ask", key=key, question=to_show(name), keeps_slot=kind == "child")
                if kind == "sleep":
                    wait.kind, wait.due = "sleep", now + number + place
                elif kind == "unknown":
                    wait.kind = "unknown"
                elif kind != "ask":
                    wait.kind, wait.topic = "receive", name
        if waits:
            return waits
    return {}


def entries_of(log: Sequence[Step]) -> dict[str, int]:
    """Return the number of times each subgraph was entered."""
    found: dict[str, int] = {}
    for step in log:
        if step.kind == "entered":
            key = frame_id(step.frame, "sub", f"{step.node}/")
            found[key] = found.get(key, 0) + 1
    return found


def read_back(snapshot: Snapshot) -> Snapshot:
    """Return a snapshot after writing and reading it."""
    return decode_snapshot(encode_snapshot(snapshot))


def values_of(frame: Frame) -> dict[str, Any]:
    """Return the state as a frame sees it, by the specs' names; of survived failures only path, kind and attempt."""
    seen = {**(values_of(frame.base) if frame.base is not None else {}), **plain(frame.values)}
    return {**seen, "errors": [{name: e[name] for name in ("path", "kind", "attempt")} for e in seen["errors"]]}


def plain(values: Mapping[str, JsonValue]) -> dict[str, Any]:
    """Return fields by the names they have in specs."""
    return {name.removesuffix("_"): opened(value) for name, value in values.items()}


def same_end(cut: Schedule, whole: Schedule, where: str) -> None:
    """Assert that two runs reached the same end."""
    here, there = cut.session.snapshot, whole.session.snapshot
    assert values_of(here.root) == values_of(there.root), where
    assert (here.status, here.root.counts, here.steps) == (there.status, there.root.counts, there.steps), where
    assert (here.root.marks, here.usage, here.root.usage) == (there.root.marks, there.usage, there.root.usage), where
    assert rows_of(cut.session.log) == rows_of(whole.session.log), where


def rows_of(log: Sequence[Step]) -> Rows:
    """Return the steps of each path, in the terms of the interpreter."""
    rows: Rows = {}
    for step in log:
        if step.kind in _OUTSIDE:
            continue
        what: Any = None
        if "fork" in said(step):
            what = (tuple(said(step)["to"]), said(step).get("edge", ""))
        elif "to" in said(step):
            what = (said(step)["to"][0], said(step).get("edge", ""))
        elif step.kind == "attempt":
            what = ("fallback",) if said(step).get("then") == "fallback" else ("due",)
        elif step.kind == "mapped":
            what = said(step)["count"]
        if step.kind in ("attempt", "failed") or (step.kind == "joined" and what is None):
            error = said(step)["error"]
            what = (what, error["path"], error["kind"], error["attempt"])
        node = "START" if step.kind == "started" else step.node
        rows.setdefault((step.frame, node), []).append((step.kind, step.visit, step.attempt, what))
    return rows


def details_of(log: Sequence[Step]) -> dict[tuple[str, str], list[JsonValue]]:
    """Return the same with all that was decided, except times and tracebacks."""
    rows: dict[tuple[str, str], list[JsonValue]] = {}
    for step in log:
        if step.kind not in _OUTSIDE:
            data = {name: what for name, what in said(step).items() if name not in ("due_at", "ending", "error")}
            row = (step.kind, step.visit, step.attempt, [list(map(opened, op)) for op in step.update], data)
            rows.setdefault((step.frame, step.node), []).append(row)
    return rows

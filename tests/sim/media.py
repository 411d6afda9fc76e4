"""The pure engine as a medium: no asyncio, no store, no time but what a program draws.

What it is for
    To play thousands of programs a minute. `Engine(program).play()` drives a run through the engine's session as a
    runner would, one event after another; each step that is decided is handed to the model.

Invariants
    - What ends next is drawn from the program's `order` among all that is in flight; the same program is always played
      in the same way.
    - After each step, what the engine calls ready is what the model calls enabled.
    - After a crash nothing is left but the rows as bytes; the next process folds its snapshot from them.
    - At the end the state of every frame, the failure and the counts are the model's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from random import Random
from typing import Any, Final, cast

from graphengine import Graph
from graphengine.engine import session as engine
from graphengine.engine import steps
from graphengine.engine.events import (
    NO_SHIFT,
    AnswerArrived,
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
from graphengine.engine.fold import fold
from graphengine.engine.lookup import plan_of, view_of
from graphengine.engine.ready import limit_reached, ready
from graphengine.engine.reasons import ways_of
from graphengine.engine.snapshot import Frame, Snapshot, Task
from graphengine.engine.step_json import decode_step, encode_step
from graphengine.engine.stored import decode_snapshot, encode_snapshot
from graphengine.errors import CrashLoop
from graphengine.migration import Migrations
from graphengine.state.encoded import opened
from graphengine.state.recorded_text import to_show
from tests.sim import program as p
from tests.sim.build import ERRORS, graph_of
from tests.sim.model import Fault, Model, Row, Todo, Wrong

MOST: Final = 20_000
"""The steps of a run at most."""
OVER: Final = ("finished", "failed", "stopped", "cancelled")


@lru_cache(maxsize=100)
def compiled(graph: p.Graph, changes: tuple[p.Change, ...] = ()) -> Graph[Any]:
    """Return the graph of a program in a deployment."""
    return graph_of(graph, changes=changes)


def row_of(step: steps.Step) -> Row:  # noqa: C901 - one case for each kind
    """Return a step of a log as the model sees it."""
    data, outcome = step.data, steps.outcome_of(step)
    more: Any = None
    match data:
        case steps.Mapped():
            more = data.count
        case steps.Attempt():
            more = "fallback" if data.then == "fallback" else round((data.due_at or step.at) - step.at, 3)
        case steps.Joined():
            more = None if data.has_failed else tuple(data.cancelled)
        case steps.Waiting():
            (wait,) = data.waits.values()
            more = (
                "child" if (wait.topic or "").startswith("ge:end:") else wait.kind,
                round(wait.due - step.at, 3) if wait.due is not None else 0,
            )
        case steps.Answered():
            more = data.by, p.heard(data.answer.value)
        case steps.Recorded() | steps.Begun():
            ended = data.key.startswith("child ge:")
            more = ("end", cast("Any", data).value.get("status", "finished")) if ended else place_of(data.key)
        case steps.Message():
            more = p.heard(data.payload)
            if data.topic.startswith("ge:end:"):
                return Row("told", at=step.at)
        case steps.Branched():
            more = data.limits.get("visits")
        case steps.Resumed():
            more = "crashed" if data.crashed else "retries" if data.retries else None
    fault = fault_of(data.error) if isinstance(data, (steps.Attempt, steps.Failed, steps.Joined)) else None
    status = data.status if isinstance(data, steps.Stopped) else outcome.status
    beside = isinstance(data, steps.Resumed) and data.shared_process
    return Row(
        step.kind, step.frame, step.node, step.visit, step.attempt,
        tuple(outcome.to), "beside" if beside else outcome.edge, status, fault, more, step.at,
        tuple(data.recoded) if isinstance(data, steps.Continued) else (),
    )  # fmt: skip


def place_of(key: str) -> p.Place:
    """Return the place of a record in its node, by its key: of an agent a turn, or a tool's call."""
    if key.startswith("start a run|"):
        return 0, "start", 0
    found = re.search(r"talk(\d+)\|.*/(turn|tool)[^|]*\|(\d+)(?:\.(\d+))?", key)
    if found is not None:  # of a call, it is in its turn and its place in that
        return int(found[1]), "turn" if found[2] == "turn" else "tool", int(found[3]) + int(found[4] or 0)
    return int(key.split("|")[-2] if "|" in key else key or -1)


def fault_of(error: steps.FailureRecord | None) -> Fault | None:
    """Return a failure as the model sees it."""
    if error is None:
        return None
    return Fault(error.kind.rpartition(".")[2].lower(), error.path, error.attempt)


def state_of(frame: Frame) -> dict[str, Any]:
    """Return the state as a frame sees it."""
    seen = {**(state_of(frame.base) if frame.base is not None else {}), **opened(dict(frame.values))}
    if seen.get("errors"):
        seen["errors"] = [_plain(error) for error in seen["errors"]]
    return seen


def _plain(error: Mapping[str, Any]) -> dict[str, Any]:
    if "fields" in error:
        return dict(error)
    return {"kind": str(error["kind"]).rpartition(".")[2].lower(), "path": error["path"], "attempt": error["attempt"]}


class Engine:
    """One run in the pure engine."""

    def __init__(self, program: p.Program, graph: Graph[Any] | None = None) -> None:
        self.program = program
        self.plan = (graph or compiled(program.graph)).compile()
        self.random = Random(program.order)  # noqa: S311 - no secret
        self.model = Model(program)
        self.snapshot = Snapshot()
        self.session = engine.Session(self.plan, self.snapshot)
        self.rows: list[bytes] = []
        self.flights: dict[str, Task] = {}
        self.now = 0.0
        self.resumes = program.resumes
        self.sent = 0
        self.events = list(program.events)

    def play(self) -> Model:
        """Play the program to its end. Raises: Wrong, or whatever the engine raises."""
        self.start()
        while True:
            if len(self.rows) > MOST:
                raise Wrong("it does not end")
            status = self.snapshot.status
            if status in OVER:
                if status in ("finished", "cancelled") or not self.resumes:
                    break
                self.resumes -= 1
                self.resume()
            elif self.events and self.events[0].at <= len(self.rows):
                self.happens(self.events.pop(0))
            else:
                self.turn()
        self.compare()
        return self.model

    # --- what happens -------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin the run."""
        facts = steps.Started(
            run_id="run", graph=self.plan.graph, fingerprint=self.plan.fingerprint, limits={"visits": self.model.most}
        )
        begun = self.plan.state.initial(dict(self.program.begins), "sim")
        self.send(RunStarted(self.now, facts, begun.values, begun.typed, begun.given))

    def turn(self) -> None:
        """End one of the tasks in flight, or let somebody outside answer."""
        choices: list[Task | Event] = [self.flights[key] for key in sorted(self.flights)]
        choices += self.answers()
        if not choices:
            if not limit_reached(self.snapshot):
                raise Wrong(f"nothing moves: {self.snapshot.status}, {self.model.enabled()}")
            self.send(StopAsked(self.now, "limit", limit_reached(self.snapshot)))
            return
        chosen = self.random.choice(choices)
        if isinstance(chosen, Task):
            self.now = max(self.now, chosen.due)
            event = self.event(chosen)
            if not isinstance(event, Noted) or isinstance(event.facts, steps.Waiting):
                del self.flights[chosen.frame]
            self.send(event)
        else:
            self.send(chosen)

    def answers(self) -> list[Task | Event]:
        """Return what people and other programs may say now."""
        found: list[Task | Event] = []
        for frame in self.snapshot.frames.values():
            for name, wait in frame.waits.items():
                if wait.kind == "ask":
                    found.append(AnswerArrived(name, wait.id, self.now, steps.AnswerRecord(f"said {wait.key}")))
                elif wait.kind == "receive" and not self.model.mail:
                    found.append(self.message())
        return found

    def message(self) -> MessageCame:
        """Return a message."""
        self.sent += 1
        return MessageCame(self.now, "t", f"message {self.sent}")

    def happens(self, event: p.Event) -> None:
        """Let something happen from outside."""
        match event.what:
            case "crash":
                self.snapshot = fold(decode_step(n, row) for n, row in enumerate(self.rows, start=1))
                self.now += 1
                self.resume(crashed=True)
            case "stop":
                self.send(StopAsked(self.now, "asked", "sim"))
                self.resume()
            case "cancel":
                self.send(StopAsked(self.now, "asked", "sim", final=True))
            case "read":
                self.snapshot = decode_snapshot(encode_snapshot(self.snapshot))
                self.session = engine.Session(self.plan, self.snapshot)
            case "branch":
                self.snapshot = fold(decode_step(n, row) for n, row in enumerate(self.rows, start=1))
                self.session = engine.Session(self.plan, self.snapshot)
                facts = steps.Branched(
                    run_id="branch", parent="run", limits=self.limits(), fingerprint=self.plan.fingerprint
                )
                self.send(BranchedOff(self.now, facts, ()))
            case "message":
                self.send(self.message())
            case "deploy":
                self.deploy(event.changes)

    def deploy(self, changes: tuple[p.Change, ...]) -> None:
        """Stop the run, and resume it with the edges of another deployment: what nodes ask for is not known here."""
        changes = tuple(each for each in changes if each == "edges")
        plan = compiled(self.program.graph, changes).compile()
        self.send(StopAsked(self.now, "asked", "sim"))
        self.model.take(Row("deployed", more=changes, at=self.now))
        shift = NO_SHIFT
        if plan.fingerprint != self.plan.fingerprint:
            shift, _ = Migrations().fitted(plan, self.snapshot, self.plan.graph_spec)
        self.plan = plan
        self.resume(shift=shift)

    def limits(self) -> Any:
        """Return the run's limits from now on."""
        more = self.program.visits if self.snapshot.steps >= self.model.most else 0
        return {"visits": self.model.most + (more if self.snapshot.status == "stopped" else 0)}

    def resume(self, *, crashed: bool = False, shift: steps.Shift = NO_SHIFT) -> None:
        """Resume the run."""
        self.session = engine.Session(self.plan, self.snapshot)
        facts = steps.Resumed(crashed=crashed, limits=self.limits(), fingerprint=self.plan.fingerprint)
        self.send(RunResumed(self.now, facts, shift))

    # --- the engine ---------------------------------------------------------------------------------------------------

    def send(self, event: Event) -> None:
        """Decide the step of an event, and ask the model whether it is allowed."""
        made = self.session.commit([event], self.append).steps
        if len(made) != 1:
            raise Wrong(f"it came too late: {event}")
        row = row_of(made[0])
        self.model.take(row)
        same_edge(made[0], self.model.edge, ways_of(self.plan.graph_spec, made[0]))
        tasks = ready(self.snapshot)
        known, wanted = {self.todo(task) for task in tasks}, self.model.enabled()
        if known != wanted:
            raise Wrong(f"after {row}: ready {sorted(known - wanted)}, but should be {sorted(wanted - known)}")
        if self.snapshot.status != self.model.status:
            raise Wrong(f"after {row}: {self.snapshot.status}, but should be {self.model.status}")
        if row.kind in ("started", "resumed", "branched"):
            self.flights = {task.frame: task for task in tasks}
            self.session.take_tasks()
            return
        flying = {todo.frame for todo in self.model.flying} | {t.frame for t in wanted}
        self.flights = {
            key: task
            for key, task in self.flights.items()
            if key in flying and (task in tasks or task.mode not in ("wake", "deliver"))
        }
        self.flights |= {task.frame: task for task in self.session.take_tasks()}
        self.flights |= {task.frame: task for task in tasks if task.mode == "wake"}  # a runner asks for the next time
        missed = [task for task in tasks if self.flights.get(task.frame) != task]
        if missed:
            raise Wrong(f"after {row}: no step is said to have touched {missed}")

    def append(self, made: Sequence[steps.Step]) -> None:
        """Record steps, without their exceptions."""
        self.rows += map(encode_step, made)
        for step in made:
            if step.data.error is not None:
                step.data.error.drop_exceptions()

    def todo(self, task: Task) -> Todo:
        """Return a task as the model sees it."""
        return Todo(task.frame, task.node, task.visit, task.attempt, cast("Any", task.mode), task.due)

    def event(self, task: Task) -> Event:  # noqa: PLR0911 - one for each mode
        """Return how a task ends."""
        now = self.now
        match task.mode:
            case "join" | "collect" | "exit":
                return Settled(task.frame, now)
            case "leave":
                return NodeLeft(task.frame, now)
            case "limit":
                return LimitMet(task.frame, now)
            case "wake" | "deliver":
                return WaitOver(task.frame, task.wait, now, delivered=task.mode == "deliver")
            case "crash_loop":
                return self.fails(task, CrashLoop("sim"))
        frame = self.snapshot.frames[task.frame]
        node = self.spec(frame).node(task.node)
        if task.mode == "fallback":
            return NodeFinished(task, now, now, p.stand_in(node))
        if node.graph is not None or (node.each and frame.kind != "item"):
            return NodeEntered(task, now)
        return self.attempt(task, frame, node)

    def attempt(self, task: Task, frame: Frame, node: p.Node) -> Event:
        """Return what an attempt does next, as its function would."""
        said: list[Any] = []
        for number, op in enumerate(node.does):
            if str(number) not in frame.recorded_results:
                return self.does(task, number, op)
            said.append(answer_of(frame.recorded_results[str(number)]))
        view = view_of(plan_of(self.plan, frame), frame)
        names = ("n", "total", "log", "item") if node.each else ("n", "total", "log")
        seen = {name: view.get(name) for name in names}
        kind = p.outcome_of(node, cast("Any", seen.get("item")), task.attempt)
        if kind in ("boom", "slow"):
            return self.fails(task, ERRORS[kind](kind))
        result = p.result_of(node, seen, task.visit, task.attempt, said)
        result = p.spoilt(result) if kind == "bad" else result
        return NodeFinished(task, self.now, self.now, result or None)

    def does(self, task: Task, number: int, op: p.Op) -> Event:
        """Return what an operation records."""
        key = str(number)
        if isinstance(op, p.Call):
            return Noted(task, self.now, self.now, steps.Recorded(key=key, name="call", value="acted"))
        assert not isinstance(op, p.Talk | p.Start | p.Send)  # they are in a Runner
        due = self.now + op.seconds if op.seconds else None
        name = f"{task.frame} {task.node} {key}"
        wait = steps.WaitRecord(kind="ask", key=key, question=to_show(f"{name}?"), due=due)
        if isinstance(op, p.Sleep):
            wait.kind = "sleep"
        elif op.seconds:
            wait.default = "late"
        if isinstance(op, p.Receive):
            wait.kind, wait.topic = "receive", "t"
        return Noted(task, self.now, self.now, steps.Waiting(waits={name: wait}))

    def fails(self, task: Task, error: BaseException) -> Event:
        """Return that an attempt failed."""
        record = failure_record(error, steps.path_of(task.frame, task.node), task.attempt)
        return NodeFailed(task, self.now, self.now, record)

    def spec(self, frame: Frame) -> p.Graph:
        """Return the graph that a frame walks."""
        if frame.up is None:
            return self.program.graph
        around = self.spec(frame.up)
        found = around.node(frame.up.at).graph if frame.kind == "sub" else around
        assert found is not None
        return found

    # --- the end ------------------------------------------------------------------------------------------------------

    def compare(self) -> None:
        """Compare all that is left with the model."""
        for frame in self.snapshot.frames.values():
            mine = self.model.frames.get(frame.id)
            if mine is None:
                raise Wrong(f"the model has no frame {frame.id}")
            same(f"the state of {frame.id!r}", state_of(frame), mine.state)
        same("the failure", fault_of(self.snapshot.failure), self.model.root.failed)
        same("the visits", self.snapshot.steps, self.model.steps)
        counts = {node.name: 0 for node in self.program.graph.nodes}
        for visit in self.model.root.past:
            counts[visit.node] = counts.get(visit.node, 0) + 1
        counted = {name: number for name, number in counts.items() if number and name != p.START}
        same("the counts", dict(self.snapshot.root.counts), counted)


def answer_of(record: Any) -> Any:
    """Return what was answered to an operation."""
    return "slept" if record.by == "time" and record.value is None else record.value


def same_edge(step: steps.Step, edge: p.Edge | p.Fork | None, ways: Sequence[Mapping[str, Any]]) -> None:
    """Compare the edge that a step names, among those of the graph in force, with the model's. Raises: Wrong."""
    way = steps.outcome_of(step).way
    named = ways[way] if 0 <= way < len(ways) else None
    has = named and (named["from"], named.get("to") or tuple(arm["to"] for arm in named.get("arms", ())))
    wanted = edge and (edge.source, edge.target if isinstance(edge, p.Edge) else tuple(to for to, _ in edge.arms))
    same(f"the edge of {row_of(step)}", has, wanted)


def same(what: str, engine_has: object, model_has: object) -> None:
    """Compare. Raises: Wrong."""
    if engine_has != model_has:
        raise Wrong(f"{what} is {engine_has}, but should be {model_has}")

"""A run driven by hand through the pure core: no asyncio, no store, a clock that tests turn.

`Session.send` does what the runner does with an event, decide → record → evolve, and watches what must hold at
every step of every run, whatever is tested: decide leaves the snapshot alone, the rows read back from JSON fold to
the same snapshot, rows that were recorded never change, typed values equal what their records give, and a snapshot
survives its own record.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel
from pydantic_core import from_json, to_json

from graphengine import Graph
from graphengine.core.decide import decide
from graphengine.core.events import (
    Settled,
    Begun,
    BranchedOff,
    Event,
    NodeFailed,
    NodeFinished,
    NodeLeft,
    Resumed,
    StopAsked,
)
from graphengine.core.evolve import evolve, fold
from graphengine.core.failures import error_of
from graphengine.core.ready import limit_reached, ready
from graphengine.core.snapshot import Frame, Snapshot, Task, from_record, to_record
from graphengine.core.steps import Step, decode_step, encode_step
from graphengine.errors import CrashLoop
from graphengine.plan import Plan
from graphengine.view import View


@dataclass
class Session:
    """One run.

    Attributes:
        graph: What it follows; may be replaced by a mended one before a resume.
        log: Its steps as decided, those it shares with its parents included.
        rows: Beside each step the JSON that was recorded.
        now: The clock, seconds.
        parent: The session it branched from.
        mirror: Whether every event is also decided on the snapshot that was folded from JSON, and must give the
            same row. It calls the user's functions twice.
        careful: Whether every step is watched; a test of thousands of runs looks only at their ends.
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

    @property
    def plan(self) -> Plan[Any]:
        """The compiled graph."""
        return self.graph.compile()

    def send(self, event: Event) -> Step:
        """Decide what an event means and fold it in, checking what must always hold."""
        if not self.careful:
            step = decide(self.plan, self.snapshot, event)
            evolve(self.snapshot, step)
            self.log.append(step)
            self.rows.append(encode_step(step))
            return step
        before = picture(self.snapshot)
        step = decide(self.plan, self.snapshot, event)
        unchanged(self.snapshot, before)
        row = encode_step(step)
        if self.mirror:
            assert encode_step(decide(self.plan, self._folded, event)) == row, "the fold of JSON decides otherwise"
        evolve(self.snapshot, step)
        read = decode_step(step.seq, row)
        assert read[:8] == step[:8], "the record of a step says otherwise"
        evolve(self._folded, read)
        self.log.append(step)
        self.rows.append(row)
        assert recorded(self.snapshot) == recorded(self._folded), "the log folds to another snapshot"
        assert ready(self.snapshot) == ready(self._folded)
        self.check_caches()
        again = from_record(to_record(self.snapshot))
        assert recorded(again) == recorded(self.snapshot)
        assert [encode_step(s) for s in self.log[-2:]] == self.rows[-2:], "a step changed after it was recorded"
        return step

    def check_caches(self) -> None:
        """Every typed value that is kept equals what its record gives."""
        for frame in self.snapshot.frames.values():
            fresh = View(self.plan.state, bare(frame))
            for name, value in frame.typed.items():
                built = fresh.get(name)
                assert built == value, f"{name} is kept as {value!r}, and its record gives {built!r}"
                assert type(built) is type(value)

    def check_log(self) -> None:
        """No step changed since it was recorded."""
        assert [encode_step(step) for step in self.log] == self.rows

    def tasks(self) -> list[Task]:
        """What should be running now."""
        return ready(self.snapshot)

    def task(self, of: str | None = None) -> Task:
        """The only thing that should be running now; or that of a node or of a frame."""
        tasks = [task for task in ready(self.snapshot) if of is None or of in (task.node, task.frame)]
        assert len(tasks) == 1, f"{len(tasks)} tasks of {of}: {ready(self.snapshot)}"
        return tasks[0]

    def view(self, of: str | None = None) -> View:
        """What the run's own frame sees, or a node or an arm."""
        return View(self.plan.state, self.snapshot.root if of is None else self.snapshot.frames[self.task(of).frame])

    def start(
        self, state: BaseModel | Mapping[str, object] | None = None, limits: Mapping[str, float | None] | None = None
    ) -> Step:
        """Begin with a state."""
        begun = self.plan.state.initial({} if state is None else state, "the test")
        return self.send(Begun(self.now, self.run_id, begun.values, begun.typed, dict(limits or {}), begun.given))

    def finish(
        self,
        result: object,
        usage: Mapping[str, float | None] | None = None,
        *,
        of: str | None = None,
        choice: str = "",
        seconds: float = 0.0,
    ) -> Step:
        """What is ready (of a node or frame) comes to its end with a result after so many seconds."""
        task, began = self._begin(seconds, of)
        return self.send(
            NodeFinished(task.frame, task.node, task.visit, task.attempt, began, self.now, result, usage, choice)
        )

    def at_once(self, result: object) -> Sequence[object]:
        """What a result would write, decided and not recorded."""
        task = self.task()
        finished = NodeFinished(task.frame, task.node, task.visit, task.attempt, self.now, self.now, result)
        return decide(self.plan, self.snapshot, finished).update

    def fail(
        self,
        error: BaseException,
        usage: Mapping[str, float | None] | None = None,
        *,
        of: str | None = None,
        chance: float = 0.5,
        seconds: float = 0.0,
    ) -> Step:
        """What is ready (of a node or frame) fails after so many seconds."""
        task, began = self._begin(seconds, of)
        told = error_of(error)
        return self.send(
            NodeFailed(task.frame, task.node, task.visit, task.attempt, began, self.now, told, usage, "", chance)
        )

    def leave(self, of: str | None = None) -> Step:
        """The way out that could not be chosen before is chosen now."""
        assert self.task(of).mode == "leave"
        return self.send(NodeLeft(self.task(of).frame, self.now))

    def join(self, of: str | None = None) -> Step:
        """The arms of a fork become one."""
        assert self.task(of).mode == "join"
        return self.send(Settled(self.task(of).frame, self.now))

    def give_up(self, of: str | None = None) -> Step:
        """What the runner does with a node that took the process down too often."""
        assert self.task(of).mode == "crash_loop"
        return self.fail(CrashLoop("the process died"), of=of)

    def stop(self, explanation: str = "asked") -> Step:
        """Somebody asks for a stop."""
        return self.send(StopAsked(self.now, "asked", explanation))

    def limit(self) -> Step:
        """Stop because a limit holds everything back."""
        assert self.snapshot.status == "running"
        assert not self.tasks()
        return self.send(StopAsked(self.now, "limit", limit_reached(self.snapshot)))

    def crash(self) -> None:
        """The process dies: what is left is what was recorded."""
        self.snapshot = self._fold(len(self.rows))
        self._folded = self._fold(len(self.rows))

    def resume(self, limits: Mapping[str, float | None] | None = None, graph: Graph[Any] | None = None) -> Step:
        """Go on, with other limits or a mended graph; a run that nobody ended had crashed."""
        self.graph = graph or self.graph
        wanted = self.snapshot.limits if limits is None else limits
        crashed = self.snapshot.status == "running"
        return self.send(Resumed(self.now, crashed, dict(wanted), self.plan.fingerprint))

    def at(self, seq: int) -> Session:
        """A child of this run behind a step, not yet begun."""
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
        )

    def branch(
        self,
        seq: int,
        update: Mapping[str, object] | None = None,
        limits: Mapping[str, float | None] | None = None,
        now: float | None = None,
    ) -> Session:
        """A child of this run behind a step, begun with an update."""
        child = self.at(seq)
        child.now = self.now if now is None else now
        wanted = child.snapshot.limits if limits is None else limits
        updates: Sequence[tuple[str, object]] = list((update or {}).items())
        fingerprint = self.plan.fingerprint
        child.send(BranchedOff(child.now, child.run_id, self.run_id, seq, updates, fingerprint, dict(wanted)))
        return child

    def _fold(self, seq: int) -> Snapshot:
        return fold(decode_step(n, row) for n, row in enumerate(self.rows[:seq], start=1))

    def _begin(self, seconds: float, of: str | None) -> tuple[Task, float]:
        task = self.task(of)
        began = self.now = max(self.now, task.due)
        self.now += seconds
        return task, began


def recorded(snapshot: Snapshot) -> object:
    """A snapshot's record as it reads back from JSON, where tuples are lists."""
    return from_json(to_json(to_record(snapshot)))


def bare(frame: Frame) -> Frame:
    """A frame and those it has its state from, without what they keep beside the records."""
    return Frame(values=frame.values, base=None if frame.base is None else bare(frame.base))


def picture(snapshot: Snapshot) -> tuple[object, dict[str, dict[str, object]]]:
    """A deep copy of a snapshot: its record, and the typed values of its frames."""
    return deepcopy(to_record(snapshot)), {key: deepcopy(frame.typed) for key, frame in snapshot.frames.items()}


def unchanged(snapshot: Snapshot, before: tuple[object, dict[str, dict[str, object]]]) -> None:
    """Assert that a snapshot is as it was, typed values that were read since aside."""
    record, typed = before
    assert to_record(snapshot) == record, "decide changed the snapshot"
    for key, values in typed.items():
        now = snapshot.frames[key].typed
        assert {name: now[name] for name in values} == values, "decide changed typed values"

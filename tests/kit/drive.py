"""Drive a session by a script of outcomes, in place of the runner and its nodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from graphengine import Graph, Replace
from graphengine.engine.steps import Step
from graphengine.errors import InvalidUpdate
from tests.kit.facts import said
from tests.kit.session import Session
from tests.kit.spec import Boom, Case, Outcome, Slow, Spec, result_of, update_of

Limits = Mapping[str, float]


@dataclass
class Drive:
    """A session and the rest of its script.

    Attributes:
        script: Outcomes of attempts, in order; when they run out every attempt succeeds.
        resumes: The limits of each resume that follows a stop or a failure.
        used: How many outcomes were used up.
        resumed: How many resumes were used up.
        places: For each seq the outcomes and resumes used by then, and the clock: enough to continue from there.
    """

    spec: Spec
    session: Session
    script: Sequence[Outcome]
    resumes: Sequence[Limits]
    used: int = 0
    resumed: int = 0
    places: dict[int, tuple[int, int, float]] = field(default_factory=dict)

    @classmethod
    def begin(cls, case: Case, graph: Graph[Any], *, careful: bool = True) -> Drive:
        """Start a run of a case."""
        drive = cls(case.spec, Session(graph, careful=careful), case.script, case.limits[1:])
        drive.keep(drive.session.start(dict(case.state), case.limits[0]))
        return drive

    def fork(self, session: Session, seq: int) -> Drive:
        """Continue a session of the same run that ends at an earlier step."""
        used, resumed, now = self.places[seq]
        session.now = now
        return Drive(self.spec, session, self.script, self.resumes, used, resumed)

    def run_to_end(self) -> None:
        """Run until it is finished, or until it ended and no resumes are left."""
        while True:
            while self.session.snapshot.status == "running":
                self.turn()
            if self.session.snapshot.status == "finished" or self.resumed >= len(self.resumes):
                return
            self.resumed += 1
            self.keep(self.session.resume(self.resumes[self.resumed - 1]))

    def turn(self) -> None:
        """Do what is ready."""
        session = self.session
        if not session.tasks():
            self.keep(session.limit())
            return
        task = session.task()
        if task.mode == "leave":
            self.keep(session.leave())
        elif task.mode == "crash_loop":
            self.keep(session.give_up())
        else:
            self.attempt(self.next())

    def attempt(self, outcome: Outcome) -> None:
        """End an attempt by an outcome, or crash the process."""
        session, task = self.session, self.session.task()
        if outcome.kind == "stop":
            self.keep(session.stop())
            session.now += 10
            self.keep(session.resume())
        elif outcome.kind == "branch":
            write = update_of(outcome.seed)
            with suppress(InvalidUpdate):
                update = {write.field: Replace(write.value) if write.replace else write.value}
                self.session = session.branch(session.snapshot.seq, update)
        elif outcome.kind == "crash":
            session.now = max(session.now, task.due) + outcome.seconds + 5
            session.crash()
            self.keep(session.resume())
        elif outcome.kind in ("boom", "slow"):
            error = Boom("boom") if outcome.kind == "boom" else Slow("slow")
            self.keep(session.fail(error, outcome.usage, chance=outcome.chance, seconds=outcome.seconds))
        else:
            node = next(n for n in self.spec.nodes if n.name == task.node)
            result = result_of(node, outcome.seed, bad=outcome.kind == "bad")
            self.keep(session.finish(result, outcome.usage, seconds=outcome.seconds))

    def next(self) -> Outcome:
        """Return the next outcome."""
        self.used += 1
        return self.script[self.used - 1] if self.used <= len(self.script) else Outcome(seed=self.used)

    def keep(self, step: Step) -> None:
        """Record the position in the script at a step."""
        self.places[step.seq] = (self.used, self.resumed, self.session.now)


def trace(log: Sequence[Step]) -> list[tuple[Any, ...]]:
    """Return a log in the terms of the interpreter."""
    rows: list[tuple[Any, ...]] = []
    for step in log:
        data = said(step)
        what: Any = None
        if "to" in data:
            what = (data["to"][0], data.get("edge", ""))
        elif step.kind == "attempt":
            what = ("fallback",) if data.get("then") == "fallback" else ("due", data["due_at"])
        node = "START" if step.kind == "started" else step.node
        rows.append((step.kind, node, step.visit, step.attempt, what))
    return rows

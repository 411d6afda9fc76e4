"""Drives a session with several in flight: which of them ends next is drawn, what comes of each is not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from random import Random
from typing import Any

from graphengine import Graph
from graphengine.core.snapshot import Frame
from graphengine.core.steps import Step
from graphengine.records import JsonValue
from graphengine.view import View
from tests.support.session import Session
from tests.support.spec import Boom, Slow, Spec, condition, result_of
from tests.support.walker import Outcomes, Rows

MOST = 5_000  # steps, which no graph of ours needs


@dataclass
class Schedule:
    """A run and the order that its nodes end in.

    Attributes:
        upsets: How often the process crashes, or is stopped, or the run goes on in a branch; never three in a row.
        resumes: How often it is resumed after it failed.
        resumed: For each seq, how often it had been by then.
    """

    spec: Spec
    session: Session
    outcomes: Outcomes
    random: Random
    resumes: int
    upsets: int = 0
    used: int = 0
    resumed: dict[int, int] = field(default_factory=dict)
    joins: dict[str, list[tuple[dict[str, Any], list[bool]]]] = field(default_factory=dict)

    @classmethod
    def begin(  # noqa: PLR0913 - all that makes a run
        cls, spec: Spec, graph: Graph[Any], state: Mapping[str, Any], outcomes: Outcomes, random: Random, resumes: int,
        *, upsets: int = 0, careful: bool = False,
    ) -> Schedule:  # fmt: skip
        """Start a run."""
        made = cls(spec, Session(graph, careful=careful), outcomes, random, resumes, upsets)
        made.keep(made.session.start(dict(state)))
        return made

    def to_the_end(self) -> Schedule:
        """Until it finished, or failed and nobody resumes it any more."""
        while True:
            while self.session.snapshot.status == "running":
                self.turn()
            if self.session.snapshot.status == "finished" or self.used >= self.resumes:
                return self
            self.used += 1
            self.keep(self.session.resume())

    def turn(self) -> None:
        """One of those that are ready ends; or the process does."""
        session = self.session
        assert len(session.log) < MOST, "it does not end"
        if self.upsets and self.random.random() < 0.1:
            self.upsets -= 1
            self.upset()
            return
        task = self.random.choice(session.tasks())
        if task.mode == "leave":
            self.keep(session.leave(task.frame))
        elif task.mode == "join":
            self.keep(session.join(task.frame))
            self.look(task.frame)
        else:
            self.attempt(task.frame, task.node)

    def upset(self) -> None:
        """A crash, a stop or a branch, and on it goes."""
        session, kind = self.session, self.random.choice(("crash", "stop", "branch"))
        if kind == "branch":
            self.session = session.branch(session.snapshot.seq)
            self.keep(self.session.log[-1])
            return
        if kind == "crash":
            session.crash()
        else:
            self.keep(session.stop())
        self.keep(session.resume())

    def attempt(self, frame: str, name: str) -> None:
        """What comes of an attempt."""
        task = self.session.task(frame)
        outcome = self.outcomes(name, task.visit, task.attempt)
        if outcome.kind in ("boom", "slow"):
            error = Boom("boom") if outcome.kind == "boom" else Slow("slow")
            self.keep(self.session.fail(error, outcome.usage, of=frame, chance=outcome.chance))
        else:
            node = next(n for n in self.spec.nodes if n.name == name)
            result = result_of(node, outcome.seed, bad=outcome.kind == "bad")
            self.keep(self.session.finish(result, outcome.usage, of=frame))

    def keep(self, step: Step) -> None:
        """Note how often the run had been resumed at a step."""
        self.resumed[step.seq] = self.used

    def look(self, key: str) -> None:
        """Keep the state behind a join, and what the conditions of the graph say of the past there."""
        if "to" in self.session.log[-1].data:
            frame = self.session.snapshot.frames[key]
            view = View(self.session.plan.state, frame)
            past = [condition(cond, []).evaluate(view)[0] for cond in self.spec.leaves("plateau", "iterations")]
            self.joins.setdefault(key, []).append((deepcopy(values_of(frame)), past))

    def cut(self, session: Session, seq: int, random: Random) -> Schedule:
        """The same run, gone on with in a session that stands behind a step, in another order."""
        return Schedule(
            self.spec, session, self.outcomes, random, self.resumes, 0, self.resumed[seq], dict(self.resumed)
        )


def values_of(frame: Frame) -> dict[str, Any]:
    """The state as a frame sees it; of survived failures only what does not depend on a message."""
    seen = {**(values_of(frame.base) if frame.base is not None else {}), **frame.values}
    return {**seen, "errors": [{name: e[name] for name in ("path", "kind", "attempt")} for e in seen["errors"]]}


def rows_of(log: Sequence[Step]) -> Rows:
    """The steps of each path, in the interpreter's words."""
    rows: Rows = {}
    for step in log:
        if step.kind in ("resumed", "stopped", "branched"):
            continue
        what: Any = None
        if "fork" in step.data:
            what = (tuple(step.data["to"]), step.data.get("edge", ""))
        elif "to" in step.data:
            what = (step.data["to"][0], step.data.get("edge", ""))
        elif step.kind == "attempt":
            what = ("fallback",) if step.data.get("then") == "fallback" else ("due",)
        node = "START" if step.kind == "started" else step.node
        rows.setdefault((step.frame, node), []).append((step.kind, step.visit, step.attempt, what))
    return rows


def details_of(log: Sequence[Step]) -> dict[tuple[str, str], list[JsonValue]]:
    """The same with all that was decided, times and tracebacks aside."""
    rows: dict[tuple[str, str], list[JsonValue]] = {}
    for step in log:
        if step.kind not in ("resumed", "stopped", "branched"):
            data = {name: what for name, what in step.data.items() if name not in ("due_at", "stop", "error")}
            row = (step.kind, step.visit, step.attempt, [list(op) for op in step.update], data)
            rows.setdefault((step.frame, step.node), []).append(row)
    return rows

"""The interpreter of graphs with forks: one walker a frame, and an arm is a walker with copies of everything.

Arms walk one after the other in declared order, each to its end, which is as good an order as any other: that is what
the tests are about. At the join their writes are done again, in that order, on the state the fork began with.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any, TypeAlias

from tests.support.interpreter import Interpreter, Misfit, Story, Visit
from tests.support.spec import Case, Outcome

Rows: TypeAlias = dict[tuple[str, str], list[tuple[Any, ...]]]
Outcomes: TypeAlias = Callable[[str, int, int], Outcome]


class Walker(Interpreter):
    """One frame of a run, with the arms it is forked into."""

    def __init__(self, case: Case, outcomes: Outcomes, parent: Walker | None = None, target: str = "") -> None:
        super().__init__(case)
        self.case, self.outcomes = case, outcomes
        self.frame, self.until, self.before = "", "", 0
        self.arms: list[Walker] = []
        self.join_at = self.label = ""
        self.rows: Rows = {}
        self.joins: dict[str, list[tuple[dict[str, Any], list[bool]]]] = {}
        self.past = case.spec.leaves("plateau", "iterations")
        if parent is not None:
            self.frame, self.until = f"{parent.frame}~{target}", parent.join_at
            self.rows, self.joins = parent.rows, parent.joins
            self.story = Story(deepcopy(parent.story.state), visits=list(parent.story.visits))
            self.before = len(self.story.visits)
            if target == self.until:
                self.story.status = "arrived"
            else:
                self.go(target)

    def walk(self, resumes: int) -> Story:
        """The whole story of a run, resumed so often after it failed."""
        self.story.visits.append(Visit("START", self.given, deepcopy(self.story.state)))
        self.leave("started")
        while True:
            while self.story.status == "running":
                self.turn()
            if self.story.status == "finished" or not resumes:
                return self.story
            resumes -= 1
            self.revive()

    def revive(self) -> None:
        """Go on where it failed."""
        if self.story.status == "failed":
            self.story.status = "running"
            for arm in self.arms:
                arm.revive()

    def turn(self) -> None:
        """Whatever comes next: the join, a way out that is still to be found, or an attempt."""
        if self.arms:
            self.join()
        elif self.leaving:
            self.leave("left")
        else:
            self.attempt_ends(self.outcomes(self.at, self.visit, self.attempt))

    def enter(self, kind: str, found: Any) -> None:
        """Go on: into arms, to the end of this one, to a node, or to the end."""
        if isinstance(found[0], tuple):
            self.note(kind, found[:2])
            targets, self.label, self.join_at = found
            self.arms = [Walker(self.case, self.outcomes, self, target) for target in targets]
        elif found[0] == self.until:
            self.note(kind, found)
            self.story.status = "arrived"
        else:
            super().enter(kind, found)

    def join(self) -> None:
        """Let every arm come to its end, and do what they wrote again."""
        for arm in self.arms:
            while arm.story.status == "running":
                arm.turn()
        try:
            state = self.joined()
        except Misfit:
            self.story.status = self.story.reason = "failed"
            self.note("joined", None)
            return
        arms, self.arms = self.arms, []
        for arm in arms:
            self.wrote += arm.wrote
            self.story.visits += arm.story.visits[arm.before :]
            for name, amount in arm.story.usage.items():
                self.story.usage[name] = (self.story.usage.get(name) or 0) + (amount or 0)
        self.story.state = state
        self.joins.setdefault(self.frame, []).append((deepcopy(state), [self.holds(cond) for cond in self.past]))
        self.enter("joined", (self.join_at, self.label))

    def joined(self) -> dict[str, Any]:
        """The state with what every arm wrote; an arm may replace a field only if no other arm writes it."""
        if any(arm.story.status == "failed" for arm in self.arms):
            raise Misfit
        for arm in self.arms:
            others = {write.field for other in self.arms if other is not arm for write in other.wrote}
            if any(write.replace and write.field in others for write in arm.wrote):
                raise Misfit
        return self.updated([write for arm in self.arms for write in arm.wrote])

    def note(self, kind: str, what: Any) -> None:
        """A row of this frame's node."""
        if what is not None and what[0] == "due":
            what = ("due",)
        node = self.join_at if kind == "joined" else self.at
        visit, attempt = (0, 0) if kind in ("started", "joined") else (self.visit, self.attempt)
        self.rows.setdefault((self.frame, node), []).append((kind, visit, attempt, what))

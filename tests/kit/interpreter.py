"""A second, independent implementation of a run: plain Python, deep copies, no log, nothing of the engine.

It keeps the whole past (`visits`: every completed visit with a copy of the state it left) and computes counts,
plateaus and changes by searching it, where the engine keeps marks. Any disagreement between the two is a
defect of one of them.
"""

from __future__ import annotations

import itertools
import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from graphengine.errors import ConditionFailed, CrashLoop, FailReached, InvalidUpdate, NodeError, NoEdge
from graphengine.state.amounts import amounts_by_name
from tests.kit.spec import (
    EXCEPTIONS,
    Boom,
    Case,
    Cond,
    ForkSpec,
    NodeSpec,
    Outcome,
    Slow,
    SwitchSpec,
    Write,
    union,
    update_of,
    writes_of,
)

DEFAULTS: Mapping[str, Any] = {
    "n": 0, "score": None, "kind": "a", "log": [], "many": [], "table": {}, "total": 0, "best": 0, "seen": [],
    "capped": [], "slots": {}, "items": [], "found": {}, "memos": {}, "double": 0, "errors": [],
}  # fmt: skip
_SIGNS: Mapping[str, Callable[[Any, Any], object]] = {
    ">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt, "==": operator.eq, "!=": operator.ne,
}  # fmt: skip
_NO_EDGE = object()


def endless(outcomes: Sequence[Outcome]) -> Iterator[Outcome]:
    """Return a script followed by successes without end."""
    return itertools.chain(outcomes, (Outcome(seed=i) for i in itertools.count(len(outcomes) + 1)))


class Mismatch(Exception):
    """An update does not fit the state."""


class Fault(NamedTuple):
    """A failure: its exception type, path and attempt."""

    error: type[Exception]
    path: str
    attempt: int

    @property
    def kind(self) -> str:
        """The name of the exception type in a record."""
        if issubclass(self.error, NodeError):
            return self.error.code
        return f"{self.error.__module__}.{self.error.__qualname__}"


@dataclass
class Visit:
    """A completed visit (or the update of a branch, with no node): the fields it wrote, and the state after it."""

    node: str
    wrote: set[str]
    state: dict[str, Any]


@dataclass
class Story:
    """The course of a run and its present state."""

    state: dict[str, Any]
    trace: list[tuple[Any, ...]] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    visits: list[Visit] = field(default_factory=list)
    label: str = ""
    usage: dict[str, float | None] = field(default_factory=dict)
    status: str = "running"
    reason: str = ""
    now: float = 0.0
    elapsed: float = 0.0

    @property
    def steps(self) -> int:
        """The number of completed visits."""
        return sum(visit.node not in ("", "START") for visit in self.visits)


class Interpreter:
    """Runs a case."""

    def __init__(self, case: Case) -> None:
        self.spec, self.script = case.spec, endless(case.script)
        self.limits, *self.resumes = case.limits
        self.nodes = {node.name: node for node in case.spec.nodes}
        self.given = set(case.state)
        self.story = Story({**deepcopy(dict(DEFAULTS)), **deepcopy(dict(case.state))})
        if self.spec.whole:
            self.story.state["double"] = 2 * self.story.state["n"]
        self.recorded = self.due = self.priced = 0.0
        self.failure: type[Exception] | None = None
        self.stuck: type[NodeError] = NoEdge
        self.cause: Fault | None = None
        self.fault: Fault | None = None
        self.latest_fault: Fault | None = None
        self.leaving = self.in_fallback = False
        self.ended = ""
        self.at, self.visit, self.attempt, self.tries, self.crashes = "START", 1, 1, 0, 0
        self.wrote: list[Write] = []

    def run(self) -> Story:
        """Run to the end and return the story."""
        story = self.story
        story.visits.append(Visit("START", self.given, deepcopy(story.state)))
        self.leave("started")
        while True:
            while story.status == "running":
                self.turn()
            if story.status == "finished" or not self.resumes:
                return story
            self.resume(self.resumes.pop(0))

    def turn(self) -> None:
        """Do what is next: meet a limit, choose an outgoing edge that is still open, or make an attempt."""
        if self.limited():
            self.halt("limit")
        elif self.leaving:
            self.leave("left")
        elif self.crashes >= 3:
            self.wrong(CrashLoop, Outcome(), retryable=False)
        else:
            outcome = next(self.script)
            if outcome.kind == "stop":
                self.halt("asked")
                self.story.now += 10
                self.resume(self.limits)
                return
            if outcome.kind == "branch":
                self.branch(update_of(outcome.seed))
                return
            self.story.now = max(self.story.now, self.due) + outcome.seconds
            if outcome.kind == "crash":
                self.story.now += 5
                self.resume(self.limits)
                self.crashes += 1
            else:
                self.attempt_ends(outcome)

    def branch(self, write: Write) -> None:
        """Continue in a child whose state is updated first; an update that does not fit begins no child."""
        with suppress(Mismatch):
            self.keep("", self.updated([write]), [write])
            self.resume(self.limits, "branched")

    def attempt_ends(self, outcome: Outcome) -> None:
        """End an attempt, or a fallback that is a function."""
        raised = {"boom": Boom, "slow": Slow}.get(outcome.kind)
        if raised is None:
            node = self.nodes[self.at]
            extra = [self.excuse(self.cause)] if self.in_fallback and self.cause else []
            key = self.key()
            try:
                state = self.updated([*writes_of(node, outcome.seed, bad=outcome.kind == "bad", key=key), *extra])
            except Mismatch:
                self.wrong(InvalidUpdate, Outcome(tokens=outcome.tokens, chance=0.5))
                return
            self.spend(outcome)
            self.done(state, node, [*writes_of(node, outcome.seed, key=key), *extra])
        else:
            self.wrong(raised, outcome)

    def path(self) -> str:
        """Return the node's path in the run."""
        return self.at

    def led_to_fail(self) -> Fault:
        """Return the failure of a run that reaches FAIL."""
        return Fault(FailReached, self.path(), self.attempt)

    def key(self) -> str:
        """Return the key that an item is written under."""
        return ""

    def wrong(
        self, error: type[Exception], outcome: Outcome, *, retryable: bool = True, fault: Fault | None = None
    ) -> None:
        """Handle a failed attempt: retry, use the fallback, take an edge for failures, or end."""
        node = self.nodes[self.at]
        self.spend(outcome)
        self.latest_fault = fault = fault or Fault(error, self.path(), self.attempt)
        if not self.in_fallback:
            if retryable and self.tries + 1 < node.attempts and issubclass(error, EXCEPTIONS[node.on]):
                wait = node.initial_seconds * 2.0**self.tries * (1 + node.jitter * (2 * outcome.chance - 1))
                self.due = self.story.now + min(4.0, wait)
                self.again(("due", self.due))
                return
            if node.fallback == "function":
                self.due = 0.0
                self.in_fallback, self.cause = True, fault
                self.again(("fallback",))
                return
            if node.fallback:
                bad = node.fallback == "bad value"
                made = writes_of(node, node.fallback_seed, bad=bad, key=self.key(), speaks=False)
                writes = [*made, self.excuse(fault)]
                try:
                    state = self.updated(writes)
                except Mismatch:
                    pass  # the fallback does not fit: as if there were none
                else:
                    self.done(state, node, writes)
                    return
        self.failed(error, fault)

    def again(self, what: tuple[Any, ...]) -> None:
        self.note("attempt", what)
        self.tries, self.attempt, self.crashes = self.tries + 1, self.attempt + 1, 0

    def failed(self, error: type[Exception], fault: Fault) -> None:
        """Take the first edge for this error, or end the run, to be resumed here."""
        self.latest_fault = fault
        story = self.story
        before = deepcopy(story.state), list(story.visits)
        self.failure = error
        excuse = self.excuse(fault)
        story.state = self.updated([excuse])
        story.visits.append(Visit(self.at, {excuse.field}, deepcopy(story.state)))
        found = self.edge(self.at)
        self.failure = None
        if found is _NO_EDGE or found[0] == "FAIL":
            story.state, story.visits = before
            self.note("failed", None if found is _NO_EDGE else found)
            self.fault = fault if found is _NO_EDGE else self.led_to_fail()
            self.attempt, self.tries, self.crashes, self.due, self.in_fallback = self.attempt + 1, 0, 0, 0.0, False
            story.status = story.reason = "failed"
        else:
            self.wrote.append(excuse)
            self.completed()
            self.enter("failed", found)

    def done(self, state: dict[str, Any], node: NodeSpec, writes: Sequence[Write]) -> None:
        """Complete a visit and leave the node."""
        self.keep(node.name, state, writes)
        self.completed()
        self.leave("node")

    def completed(self) -> None:
        """Count a completed visit; walkers count it in the frames around them too."""

    def keep(self, node: str, state: dict[str, Any], writes: Sequence[Write]) -> None:
        """Continue with a new state, and keep a copy of it."""
        wrote = {w.field for w in writes} | {name for name in state if state[name] != self.story.state[name]}
        self.wrote += writes
        self.story.state = state
        self.story.visits.append(Visit(node, wrote, deepcopy(state)))

    def leave(self, kind: str) -> None:
        """Choose the outgoing edge, once. Without one, or at FAIL, the run fails here, and a resume chooses again."""
        found = self.edge(self.at)
        self.leaving = found is _NO_EDGE or found[0] == "FAIL"
        if self.leaving:
            self.note(kind, None if found is _NO_EDGE else found)
            self.fault = Fault(self.stuck, self.path(), self.attempt) if found is _NO_EDGE else self.led_to_fail()
            self.story.status = self.story.reason = "failed"
        else:
            self.enter(kind, found)

    def enter(self, kind: str, found: Any) -> None:
        """Go to the next node, or end."""
        self.note(kind, found)
        target = found[0]
        if target == "END":
            self.story.status, self.story.reason, self.story.label = "finished", "end", found[1]
        else:
            self.go(target)

    def go(self, target: str) -> None:
        """Move to a node."""
        self.at, self.attempt, self.tries, self.crashes, self.due, self.in_fallback = target, 1, 0, 0, 0.0, False
        self.visit = 1 + sum(v.node == target for v in self.story.visits)

    def edge(self, node: str) -> Any:
        """Return the first edge that holds, or _NO_EDGE, also if a condition raises."""
        try:
            for edge in self.spec.edges:
                if edge.source != node:
                    continue
                if isinstance(edge, SwitchSpec):
                    value = self.story.state[edge.on]
                    found = dict(edge.cases).get(value)
                    if self.failure is None and (found or edge.otherwise):
                        return (found, str(value)) if found else (edge.otherwise, "")
                elif isinstance(edge, ForkSpec):
                    if self.failure is None and (edge.when is None or self.holds(edge.when)):
                        arms = tuple(target for target, cond in edge.targets if cond is None or self.holds(cond))
                        return (arms, edge.label, edge.join) if arms else (edge.join, edge.label)
                elif _on_failure(edge.when) == (self.failure is not None) and (
                    edge.when is None or self.holds(edge.when)
                ):
                    return edge.target, edge.label
        except ConditionFailed:
            self.stuck = ConditionFailed
            return _NO_EDGE
        self.stuck = NoEdge
        return _NO_EDGE

    def holds(self, cond: Cond) -> bool:
        """Return whether a condition holds now."""
        kind, *rest = cond
        tests: Mapping[str, Callable[..., bool]] = {
            "and": lambda left, right: self.holds(left) and self.holds(right),
            "or": lambda left, right: self.holds(left) or self.holds(right),
            "not": lambda of: not self.holds(of),
            "failed": self.failed_with,
            "function": self.function,
            "plateau": self.plateau,
            "changed": self.changed,
            "ended": lambda *labels: self.ended in labels,
        }
        return tests[kind](*rest) if kind in tests else self.compares(kind, rest)

    def failed_with(self, *names: str) -> bool:
        """Return whether the node failed with one of these exceptions."""
        return self.failure is not None and issubclass(self.failure, tuple(EXCEPTIONS[name] for name in names))

    def function(self, name: str, modulus: int) -> bool:
        """Return the result of a user's function and record the call."""
        self.story.calls.append(name)
        n: int = self.story.state["n"]
        if n in (3, 10):
            raise ConditionFailed("it raises there")
        return n % modulus == 1

    def compares(self, kind: str, rest: Sequence[Any]) -> bool:
        """Return whether a comparison holds."""
        left = self.quantity(kind, rest)
        if kind in ("true", "none"):
            return bool(left) if kind == "true" else left is None
        if kind in ("in", "contains"):
            return left is not None and bool(left in rest[1] if kind == "in" else rest[1] in left)
        sign, other = rest[-2], rest[-1]
        return left is not None and bool(_SIGNS[sign](left, other))

    def quantity(self, kind: str, rest: Sequence[Any]) -> Any:
        """Return the left side of a comparison: a count, an amount spent, the time, or a value of the state."""
        if kind == "iterations":
            return self.count(rest[0], rest[1])
        if kind == "elapsed":
            return self.story.elapsed
        if kind == "usage":
            return self.spent("input_tokens" if rest[0] == "tokens" else rest[0])
        found = at(self.story.state, rest[0])
        return len(found) if kind == "length" else found

    def spent(self, name: str) -> float | None:
        """Return the amount spent of one kind."""
        return self.story.usage.get(name, 0)

    def count(self, node: str, since: str | None) -> int:
        """Return the visits of a node after the last visit of another."""
        counted = 0
        for visit in self.story.visits:
            counted += visit.node == node
            counted = 0 if visit.node == since else counted
        return counted

    def plateau(self, path: str, patience: int, min_delta: float, mode: str, since: str | None) -> bool:
        """Return whether the last samples are no better than the best before them."""
        samples: list[float] = []
        for visit in self.story.visits:
            if visit.node == since:
                samples = []
            sample = at(visit.state, path)
            if path.split("[", maxsplit=1)[0] in visit.wrote and sample is not None:
                samples.append(sample if mode == "max" else -sample)
        best, stale = None, 0
        for sample in samples:
            if best is None or sample - best > min_delta:
                best, stale = sample, 0
            else:
                stale += 1
        return stale >= patience

    def changed(self, path: str, since: str | None) -> bool:
        """Return whether a value differs from its value when a node was last left, by default the present node."""
        node = since or self.at
        states = [visit.state for visit in self.story.visits if visit.node == node]
        if node == self.at:
            states.pop()  # the present visit
        return bool(at(self.story.state, path) != at(states[-1] if states else DEFAULTS, path))

    def updated(self, writes: Sequence[Write]) -> dict[str, Any]:
        """Return a copy of the state with these writes."""
        state = deepcopy(self.story.state)
        for write in writes:
            if write.field == "nowhere":
                raise Mismatch
            if write.field == "errors" and not self.spec.errors:
                continue
            state[write.field] = reduced(state[write.field], write)
        if self.spec.whole:
            if state["total"] > 6:
                raise Mismatch
            state["double"] = 2 * state["n"]
        return state

    def excuse(self, fault: Fault) -> Write:
        return Write("errors", {"path": fault.path, "kind": fault.kind, "attempt": fault.attempt})

    def limited(self) -> bool:
        """Return whether a limit is reached."""
        used = self.story.usage
        cost = used.get("cost_usd", 0.0)
        spent = {
            "visits": self.story.steps,
            "seconds": self.story.elapsed,
            "tokens": used.get("input_tokens", 0) or 0,
            "cost_usd": float("inf") if cost is None else cost,
        }
        return any(spent[name] >= limit for name, limit in self.limits.items())

    def spend(self, outcome: Outcome) -> None:
        """Count the usage of an attempt, and the time since the last step."""
        self.pass_time()
        for name, amount in amounts_by_name(outcome.usage or {}).items():
            have = self.story.usage.get(name, 0)
            self.story.usage[name] = None if amount is None or have is None else have + amount
        self.priced += (outcome.usage or {}).get("cost_usd") or 0.0
        if self.story.usage.get("cost_usd", 0.0) is None:
            self.story.usage["priced_usd"] = self.priced

    def pass_time(self) -> None:
        self.story.elapsed += self.story.now - self.recorded
        self.recorded = self.story.now

    def halt(self, reason: str) -> None:
        self.pass_time()
        self.story.trace.append(("stopped", "", 0, 0, None))
        self.story.status, self.story.reason = "stopped", reason

    def resume(self, limits: Mapping[str, float], kind: str = "resumed") -> None:
        self.limits = limits
        self.story.status, self.story.reason = "running", ""
        self.story.trace.append((kind, "", 0, 0, None))
        self.recorded = self.story.now

    def note(self, kind: str, what: object) -> None:
        visit, attempt = (0, 0) if kind == "started" else (self.visit, self.attempt)
        self.story.trace.append((kind, self.at, visit, attempt, what))
        self.recorded = self.story.now


def _on_failure(cond: Cond | None) -> bool:
    if cond is None:
        return False
    kind, *rest = cond
    if kind in ("and", "or"):
        sides = _on_failure(rest[0]), _on_failure(rest[1])
        return any(sides) if kind == "and" else all(sides)
    return bool(kind == "failed")


def reduced(old: Any, write: Write) -> Any:
    """Return a field after an update, by its rule."""
    name, new = write.field, write.value
    full = name == "capped" and len(old) >= 3
    if new is None and name != "score":
        raise Mismatch
    if not write.replace and (full or new in ("x", ["x"], {"a": "x"}) or (name, new) == ("seen", [1])):
        raise Mismatch
    if write.replace or name in ("n", "score", "kind", "items"):
        return new
    if write.adds:
        return {**old, write.key: [*old.get(write.key, []), *new]}
    if name in ("slots", "found"):
        return {**old, write.key: new}
    joined: Mapping[str, Callable[[], Any]] = {
        "log": lambda: [*old, new],
        "capped": lambda: [*old, new],
        "errors": lambda: [*old, new],
        "many": lambda: [*old, *new],
        "table": lambda: {**old, **new},
        "total": lambda: old + new,
        "best": lambda: max(old, new),
        "seen": lambda: union(old, new),
    }
    return joined[name]()


def at(state: Mapping[str, Any], path: str) -> Any:
    """Return the value at `field`, `field[-1]` or `field[key]`; None if it is missing."""
    name, _, key = path.removesuffix("]").partition("[")
    value = state[name]
    if not key:
        return value
    if isinstance(value, dict):
        return value.get(key)
    return value[int(key)] if value else None

"""What a run should do, told a second time and another way: plain Python, deep copies, no log, nothing of the core.

It keeps the whole past (`visits`: every completed visit with a copy of the state it left) and works out counts,
plateaus and changes by looking back through it, where the engine keeps marks. Whatever the two disagree on is a
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

from graphengine.errors import ConditionFailed, CrashLoop, FailReached, InvalidUpdate, NodeError, NoWayOut
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
_NO_WAY = object()


def endless(outcomes: Sequence[Outcome]) -> Iterator[Outcome]:
    """A script, and success for ever after."""
    return itertools.chain(outcomes, (Outcome(seed=i) for i in itertools.count(len(outcomes) + 1)))


class Misfit(Exception):
    """An update does not fit the state."""


class Told(NamedTuple):
    """A failure: what it was, where, and at which attempt."""

    error: type[Exception]
    path: str
    attempt: int

    @property
    def kind(self) -> str:
        """As a record names it."""
        if issubclass(self.error, NodeError):
            return self.error.code
        return f"{self.error.__module__}.{self.error.__qualname__}"


@dataclass
class Visit:
    """A completed visit (or the update of a branch, of no node): what it wrote, and the state behind it."""

    node: str
    wrote: set[str]
    state: dict[str, Any]


@dataclass
class Story:
    """What a run did and where it stands."""

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
        """Completed visits."""
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
        self.stuck: type[NodeError] = NoWayOut
        self.cause: Told | None = None
        self.told: Told | None = None
        self.telling: Told | None = None
        self.leaving = self.in_fallback = False
        self.ended = ""
        self.at, self.visit, self.attempt, self.tries, self.crashes = "START", 1, 1, 0, 0
        self.wrote: list[Write] = []

    def run(self) -> Story:
        """The whole story."""
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
        """Whatever comes next: a limit, a way out that is still to be found, or an attempt."""
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
        """Go on in a child whose state is updated first; an update that does not fit begins none."""
        with suppress(Misfit):
            self.keep("", self.updated([write]), [write])
            self.resume(self.limits, "branched")

    def attempt_ends(self, outcome: Outcome) -> None:
        """An attempt, or a fallback that is a function, came to its end."""
        raised = {"boom": Boom, "slow": Slow}.get(outcome.kind)
        if raised is None:
            node = self.nodes[self.at]
            extra = [self.excuse(self.cause)] if self.in_fallback and self.cause else []
            key = self.key()
            try:
                state = self.updated([*writes_of(node, outcome.seed, bad=outcome.kind == "bad", key=key), *extra])
            except Misfit:
                self.wrong(InvalidUpdate, Outcome(tokens=outcome.tokens, chance=0.5))
                return
            self.spend(outcome)
            self.done(state, node, [*writes_of(node, outcome.seed, key=key), *extra])
        else:
            self.wrong(raised, outcome)

    def path(self) -> str:
        """The node's place in the run."""
        return self.at

    def led_to_fail(self) -> Told:
        """What it is to be led to FAIL."""
        return Told(FailReached, self.path(), self.attempt)

    def key(self) -> str:
        """The key that an item is written under."""
        return ""

    def wrong(
        self, error: type[Exception], outcome: Outcome, *, retryable: bool = True, told: Told | None = None
    ) -> None:
        """An attempt failed: again, or the fallback, or a way for failures, or the end."""
        node = self.nodes[self.at]
        self.spend(outcome)
        self.telling = told = told or Told(error, self.path(), self.attempt)
        if not self.in_fallback:
            if retryable and self.tries + 1 < node.attempts and issubclass(error, EXCEPTIONS[node.on]):
                wait = node.initial_seconds * 2.0**self.tries * (1 + node.jitter * (2 * outcome.chance - 1))
                self.due = self.story.now + min(4.0, wait)
                self.again(("due", self.due))
                return
            if node.fallback == "function":
                self.due = 0.0
                self.in_fallback, self.cause = True, told
                self.again(("fallback",))
                return
            if node.fallback:
                bad = node.fallback == "bad value"
                made = writes_of(node, node.fallback_seed, bad=bad, key=self.key(), speaks=False)
                writes = [*made, self.excuse(told)]
                try:
                    state = self.updated(writes)
                except Misfit:
                    pass  # the fallback does not fit: as if there were none
                else:
                    self.done(state, node, writes)
                    return
        self.failed(error, told)

    def again(self, what: tuple[Any, ...]) -> None:
        self.note("attempt", what)
        self.tries, self.attempt, self.crashes = self.tries + 1, self.attempt + 1, 0

    def failed(self, error: type[Exception], told: Told) -> None:
        """Take the first way for this error, or end the run, to be resumed here."""
        self.telling = told
        story = self.story
        before = deepcopy(story.state), list(story.visits)
        self.failure = error
        excuse = self.excuse(told)
        story.state = self.updated([excuse])
        story.visits.append(Visit(self.at, {excuse.field}, deepcopy(story.state)))
        found = self.way(self.at)
        self.failure = None
        if found is _NO_WAY or found[0] == "FAIL":
            story.state, story.visits = before
            self.note("failed", None if found is _NO_WAY else found)
            self.told = told if found is _NO_WAY else self.led_to_fail()
            self.attempt, self.tries, self.crashes, self.due, self.in_fallback = self.attempt + 1, 0, 0, 0.0, False
            story.status = story.reason = "failed"
        else:
            self.wrote.append(excuse)
            self.completed()
            self.enter("failed", found)

    def done(self, state: dict[str, Any], node: NodeSpec, writes: Sequence[Write]) -> None:
        """A visit is complete: the way out."""
        self.keep(node.name, state, writes)
        self.completed()
        self.leave("node")

    def completed(self) -> None:
        """A visit is complete."""

    def keep(self, node: str, state: dict[str, Any], writes: Sequence[Write]) -> None:
        """Go on with a new state, and keep a copy of it."""
        wrote = {w.field for w in writes} | {name for name in state if state[name] != self.story.state[name]}
        self.wrote += writes
        self.story.state = state
        self.story.visits.append(Visit(node, wrote, deepcopy(state)))

    def leave(self, kind: str) -> None:
        """Choose the way out, once; without one, or at FAIL, the run fails here and only this is left to do."""
        found = self.way(self.at)
        self.leaving = found is _NO_WAY or found[0] == "FAIL"
        if self.leaving:
            self.note(kind, None if found is _NO_WAY else found)
            self.told = Told(self.stuck, self.path(), self.attempt) if found is _NO_WAY else self.led_to_fail()
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
        """Stand at a node."""
        self.at, self.attempt, self.tries, self.crashes, self.due, self.in_fallback = target, 1, 0, 0, 0.0, False
        self.visit = 1 + sum(v.node == target for v in self.story.visits)

    def way(self, node: str) -> Any:
        """The first way that holds, or _NO_WAY; a condition that raises is none."""
        try:
            for way in self.spec.ways:
                if way.source != node:
                    continue
                if isinstance(way, SwitchSpec):
                    value = self.story.state[way.on]
                    found = dict(way.cases).get(value)
                    if self.failure is None and (found or way.otherwise):
                        return (found, str(value)) if found else (way.otherwise, "")
                elif isinstance(way, ForkSpec):
                    if self.failure is None and (way.when is None or self.holds(way.when)):
                        arms = tuple(target for target, cond in way.targets if cond is None or self.holds(cond))
                        return (arms, way.label, way.join) if arms else (way.join, way.label)
                elif _on_failure(way.when) == (self.failure is not None) and (way.when is None or self.holds(way.when)):
                    return way.target, way.label
        except ConditionFailed:
            self.stuck = ConditionFailed
            return _NO_WAY
        self.stuck = NoWayOut
        return _NO_WAY

    def holds(self, cond: Cond) -> bool:
        """Whether a condition holds now."""
        kind, *rest = cond
        looks: Mapping[str, Callable[..., bool]] = {
            "and": lambda left, right: self.holds(left) and self.holds(right),
            "or": lambda left, right: self.holds(left) or self.holds(right),
            "not": lambda of: not self.holds(of),
            "failed": self.failed_with,
            "function": self.function,
            "plateau": self.plateau,
            "changed": self.changed,
            "ended": lambda *labels: self.ended in labels,
        }
        return looks[kind](*rest) if kind in looks else self.compares(kind, rest)

    def failed_with(self, *names: str) -> bool:
        """Whether the node failed with one of these."""
        return self.failure is not None and issubclass(self.failure, tuple(EXCEPTIONS[name] for name in names))

    def function(self, name: str, modulus: int) -> bool:
        """What a function of the user's says; its call is noted."""
        self.story.calls.append(name)
        n: int = self.story.state["n"]
        if n in (3, 10):
            raise ConditionFailed("it raises there")
        return n % modulus == 1

    def compares(self, kind: str, rest: Sequence[Any]) -> bool:
        """Whether a quantity is what it is compared with."""
        left = self.quantity(kind, rest)
        if kind in ("true", "none"):
            return bool(left) if kind == "true" else left is None
        if kind in ("in", "contains"):
            return left is not None and bool(left in rest[1] if kind == "in" else rest[1] in left)
        sign, other = rest[-2], rest[-1]
        return left is not None and bool(_SIGNS[sign](left, other))

    def quantity(self, kind: str, rest: Sequence[Any]) -> Any:
        """What is compared: a count, what was spent, the time, or what lies in the state."""
        if kind == "iterations":
            return self.count(rest[0], rest[1])
        if kind == "elapsed":
            return self.story.elapsed
        if kind == "usage":
            return self.spent("input_tokens" if rest[0] == "tokens" else rest[0])
        found = at(self.story.state, rest[0])
        return len(found) if kind == "length" else found

    def spent(self, name: str) -> float | None:
        """What was spent of something."""
        return self.story.usage.get(name, 0)

    def count(self, node: str, since: str | None) -> int:
        """Visits of a node behind the last one of another."""
        counted = 0
        for visit in self.story.visits:
            counted += visit.node == node
            counted = 0 if visit.node == since else counted
        return counted

    def plateau(self, path: str, patience: int, min_delta: float, mode: str, since: str | None) -> bool:
        """Whether the last samples were no better than the best before them."""
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
        """Whether a value differs from when a node (the one being left, if none is named) was left before."""
        node = since or self.at
        states = [visit.state for visit in self.story.visits if visit.node == node]
        if node == self.at:
            states.pop()  # the present visit
        return bool(at(self.story.state, path) != at(states[-1] if states else DEFAULTS, path))

    def updated(self, writes: Sequence[Write]) -> dict[str, Any]:
        """A copy of the state with these writes."""
        state = deepcopy(self.story.state)
        for write in writes:
            if write.field == "nowhere":
                raise Misfit
            if write.field == "errors" and not self.spec.errors:
                continue
            state[write.field] = reduced(state[write.field], write)
        if self.spec.whole:
            if state["total"] > 6:
                raise Misfit
            state["double"] = 2 * state["n"]
        return state

    def excuse(self, told: Told) -> Write:
        return Write("errors", {"path": told.path, "kind": told.kind, "attempt": told.attempt})

    def limited(self) -> bool:
        """Whether a limit is reached."""
        used = self.story.usage
        cost = used.get("cost_usd", 0.0)
        spent = {
            "steps": self.story.steps,
            "seconds": self.story.elapsed,
            "tokens": used.get("input_tokens", 0) or 0,
            "cost_usd": float("inf") if cost is None else cost,
        }
        return any(spent[name] >= limit for name, limit in self.limits.items())

    def spend(self, outcome: Outcome) -> None:
        """Count what an attempt cost, and the time since the last thing recorded."""
        self.pass_time()
        for name, amount in (outcome.usage or {}).items():
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
    """A field after an update, by its rule."""
    name, new = write.field, write.value
    full = name == "capped" and len(old) >= 3
    if new is None and name != "score":
        raise Misfit
    if not write.replace and (full or new in ("x", ["x"], {"a": "x"}) or (name, new) == ("seen", [1])):
        raise Misfit
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
    """What lies at `field`, `field[-1]` or `field[key]`; None where it is missing."""
    name, _, key = path.removesuffix("]").partition("[")
    value = state[name]
    if not key:
        return value
    if isinstance(value, dict):
        return value.get(key)
    return value[int(key)] if value else None

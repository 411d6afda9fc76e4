"""Graphs as plain data, for tests that run the same graph in two ways: through the engine and by the interpreter.

A `Spec` says what a graph is; `build` makes the engine's Graph of it. A script of `Outcome`s says what comes of each
attempt, in order. Conditions are tuples, the first item says which; see `condition`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, model_validator

from graphengine import (
    Condition,
    Failure,
    Graph,
    Replace,
    Retry,
    changed,
    elapsed_seconds,
    failed,
    iterations,
    plateau,
    usage,
    value,
)
from graphengine.conditions import Comparison, Quantity, as_condition
from graphengine.reducers import add, append, extend, maximum, merge


class Boom(ValueError):
    """One way for a node to fail."""


class Slow(TimeoutError):
    """Another one."""


EXCEPTIONS: Mapping[str, type[Exception]] = {"boom": Boom, "slow": Slow, "any": Exception, "os": OSError}


def union(old: list[str], new: list[str]) -> list[str]:
    """A reducer of our own: what is in either, sorted."""
    return sorted({*old, *new})


class State(BaseModel):
    """Fields of every kind of reducer."""

    n: int = 0
    score: float | None = None
    kind: Literal["a", "b", "c"] = "a"
    log: Annotated[list[int], append] = []
    many: Annotated[list[int], extend] = []
    table: Annotated[dict[str, int], merge] = {}
    total: Annotated[int, add] = 0
    best: Annotated[int, maximum] = 0
    seen: Annotated[list[str], union] = []
    capped: Annotated[list[int], append, Field(max_length=3)] = []
    slots: dict[str, int] = {}
    double: int = 0
    errors: Annotated[list[Failure], append] = []


class WholeState(State):
    """The same with a validator of the whole, which refuses one state and mends another field."""

    @model_validator(mode="after")
    def whole(self) -> WholeState:
        """Total is at most 6; double is twice n."""
        if self.total > 6:
            message = "total is too large"
            raise ValueError(message)
        self.double = 2 * self.n
        return self


FIELDS = ("n", "score", "kind", "log", "many", "table", "total", "best", "seen", "capped")
"""The fields that a node may write whole."""

Cond = tuple[Any, ...]


@dataclass(frozen=True)
class NodeSpec:
    """A node: `form` says how its result is written (`pass`, `field`, `key`, `some`, `parts`), to these fields."""

    name: str
    form: str
    fields: tuple[str, ...] = ()
    attempts: int = 1
    initial_seconds: float = 0.0
    jitter: float = 0.0
    on: str = "any"
    fallback: str = ""
    fallback_seed: int = 0


@dataclass(frozen=True)
class WaySpec:
    """An edge."""

    source: str
    target: str
    when: Cond | None = None
    label: str = ""


@dataclass(frozen=True)
class SwitchSpec:
    """A switch on a field."""

    source: str
    on: str
    cases: tuple[tuple[Any, str], ...]
    otherwise: str | None = None


@dataclass(frozen=True)
class ForkSpec:
    """A fork; each target with its condition."""

    source: str
    targets: tuple[tuple[str, Cond | None], ...]
    join: str
    when: Cond | None = None
    label: str = ""


@dataclass(frozen=True)
class Spec:
    """A graph."""

    nodes: tuple[NodeSpec, ...]
    ways: tuple[WaySpec | SwitchSpec | ForkSpec, ...]
    errors: bool = False
    whole: bool = False

    def leaves(self, *kinds: str) -> list[Cond]:
        """The conditions of these kinds that its ways are made of."""
        found = [way.when for way in self.ways if not isinstance(way, SwitchSpec)]
        found += [cond for way in self.ways if isinstance(way, ForkSpec) for _, cond in way.targets]
        leaves: list[Cond] = []
        while found:
            cond = found.pop()
            if cond is not None and cond[0] in ("and", "or", "not"):
                found += cond[1:]
            elif cond is not None and cond[0] in kinds:
                leaves.append(cond)
        return leaves


@dataclass(frozen=True)
class Outcome:
    """What comes of one attempt, or happens in its place.

    Attributes:
        kind: `ok`, `bad` (a result that does not fit), `boom`, `slow`; or `crash`, `stop`, or `branch` (a child goes
            on, with an update).
        seed: The result is made of it.
        seconds: How long it takes.
        chance: For the jitter of a retry.
        tokens: What it spends; a cost besides, unknown for 7.
    """

    kind: str = "ok"
    seed: int = 1
    seconds: int = 0
    chance: float = 0.5
    tokens: int = 0

    @property
    def usage(self) -> dict[str, float | None] | None:
        """What the attempt spent."""
        if not self.tokens:
            return None
        return {"input_tokens": self.tokens, "cost_usd": None if self.tokens == 7 else self.tokens / 4}


@dataclass(frozen=True)
class Case:
    """A graph and all that comes of it.

    Attributes:
        script: What comes of each attempt; when it runs out every attempt succeeds.
        limits: Those of the start, then those of each resume that follows a stop or a failure.
        state: What the run begins with.
    """

    spec: Spec
    script: Sequence[Outcome]
    limits: Sequence[Mapping[str, float]]
    state: Mapping[str, Any]


@dataclass(frozen=True)
class Write:
    """One part of a result: a field, or a key of one, and the update."""

    field: str
    value: Any
    replace: bool = False
    key: str = ""


def writes_of(node: NodeSpec, seed: int, *, bad: bool = False) -> list[Write]:
    """What a node's result writes, made of a number."""
    if node.form == "pass":
        return []
    if node.form == "key":
        return [Write("slots", "x" if bad else seed, key=node.fields[0])]
    if node.form == "some":
        chosen = [name for i, name in enumerate(node.fields) if (seed >> i) % 2 == 0]
    else:
        chosen = list(node.fields)
    if bad and node.form == "some" and seed % 2:
        return [Write("nowhere", 1)]
    made = [_write(name, seed) for name in chosen]
    return [*made[:-1], Write(made[-1].field, _misfit(made[-1].field))] if bad and made else made


def update_of(seed: int) -> Write:
    """The update that a branch begins with."""
    return _write(FIELDS[seed % len(FIELDS)], seed)


def _write(name: str, seed: int) -> Write:
    values: dict[str, Any] = {
        "n": seed,
        "score": (None, 1.0, 2.0, 2.5, 4.0)[seed % 5],
        "kind": "abc"[seed % 3],
        "log": seed,
        "many": [seed] * (seed % 3),
        "table": {"ab"[seed % 2]: seed},
        "total": seed % 4 - 1,
        "best": seed,
        "seen": [f"s{seed % 3}"],
        "capped": seed,
    }
    replaced: dict[str, Any] = {"log": [seed, seed], "many": [], "table": {"r": 1}}
    replaced |= {"total": 1, "seen": [], "capped": []}
    if seed % 6 == 5 and name in replaced:
        return Write(name, replaced[name], replace=True)
    return Write(name, values[name])


def _misfit(name: str) -> Any:
    return {"many": ["x"], "table": {"a": "x"}, "seen": [1]}.get(name, "x")


def result_of(node: NodeSpec, seed: int, *, bad: bool = False) -> object:
    """The result that the engine is given for the same number."""
    writes = writes_of(node, seed, bad=bad)
    if node.form == "pass":
        return None
    given = {w.field: Replace(w.value) if w.replace else w.value for w in writes}
    return given[writes[0].field] if node.form in ("field", "key") else given


def work() -> Any:
    """Never called."""
    raise AssertionError


def build(spec: Spec, calls: list[str]) -> Graph[Any]:
    """The engine's graph of a spec; functions of conditions note their calls."""
    graph: Graph[Any] = Graph("random", WholeState if spec.whole else State, errors="errors" if spec.errors else None)
    for node in spec.nodes:
        _add_node(graph, node)
    for way in spec.ways:
        if isinstance(way, SwitchSpec):
            graph.add_switch(way.source, way.on, dict(way.cases), way.otherwise)
        elif isinstance(way, ForkSpec):
            when = None if way.when is None else condition(way.when, calls)
            arms = [target if c is None else (target, condition(c, calls)) for target, c in way.targets]
            graph.add_fork(way.source, arms, join=way.join, when=when, label=way.label)
        else:
            when = None if way.when is None else condition(way.when, calls)
            graph.add_edge(way.source, way.target, when=when, label=way.label)
    return graph


def _add_node(graph: Graph[Any], node: NodeSpec) -> None:
    if node.form == "pass":
        graph.add_node(node.name)
        return
    writes: Any = node.fields
    if node.form in ("field", "key"):
        writes = node.fields[0] if node.form == "field" else f"slots[{node.fields[0]}]"
    elif node.form == "parts":
        writes = {name: _part(name) for name in node.fields}
    retry = Retry(node.attempts, node.initial_seconds, 2.0, 4.0, node.jitter, (EXCEPTIONS[node.on],))
    options: dict[str, Any] = {"retry": retry} if node.attempts > 1 else {}
    if node.fallback:
        stand_in = result_of(node, node.fallback_seed, bad=node.fallback == "bad value")
        options["fallback"] = work if node.fallback == "function" else stand_in
    graph.add_node(node.name, work, writes=writes, **options)


def _part(name: str) -> Any:
    return name if name in ("n", "log") else lambda result: result[name]


def condition(cond: Cond, calls: list[str]) -> Condition:
    """The engine's condition of a tuple."""
    kind, *rest = cond
    makes: Mapping[str, Callable[..., Condition]] = {
        "and": lambda left, right: condition(left, calls) & condition(right, calls),
        "or": lambda left, right: condition(left, calls) | condition(right, calls),
        "not": lambda of: ~condition(of, calls),
        "plateau": lambda path, patience, min_delta, mode, since: plateau(
            path, patience=patience, min_delta=min_delta, mode=mode, since=since
        ),
        "changed": changed,
        "failed": lambda *names: failed(*(EXCEPTIONS[name] for name in names)),
        "function": lambda name, modulus: _function(name, modulus, calls),
        "true": lambda path: value(path).is_true(),
        "none": lambda path: value(path).is_none(),
        "in": lambda path, allowed: value(path).is_in(allowed),
        "contains": lambda path, item: value(path).contains(item),
    }
    return makes[kind](*rest) if kind in makes else _comparison(kind, rest)


def _comparison(kind: str, rest: Sequence[Any]) -> Condition:
    *of, sign, other = rest
    quantity: Quantity
    if kind in ("value", "length"):
        quantity = value(of[0]) if kind == "value" else value(of[0]).length()
    elif kind == "iterations":
        quantity = iterations(*of)
    else:
        quantity = usage(of[0]) if kind == "usage" else elapsed_seconds()
    return Comparison(quantity, sign, other)


def _function(name: str, modulus: int, calls: list[str]) -> Condition:
    def odd(n: int) -> bool:
        calls.append(name)
        if n in (3, 10):
            raise Boom
        return n % modulus == 1

    return as_condition(odd)

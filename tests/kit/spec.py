"""Graphs as plain data, for tests that run the same graph twice: in the engine and in the interpreter.

A `Spec` describes a graph; `build` makes the engine's Graph of it. A script of `Outcome`s gives the outcome of each
attempt, in order. Conditions are tuples, the first item names the kind; see `condition`.

Fields have the same names in every spec. A graph whose state is `apart` has a state of its own, whose field names end
in `_`, so that it shares no name with the graph around it; only the engine's graphs and the values read from them use
these names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Final, Literal, get_type_hints

from pydantic import BaseModel, Field, create_model, model_validator

from graphengine import (
    Condition,
    Failure,
    Graph,
    Limits,
    Replace,
    Retry,
    changed,
    elapsed_seconds,
    ended_with,
    failed,
    iterations,
    plateau,
    usage,
    value,
)
from graphengine.engine.plan import Remembered
from graphengine.errors import FailReached, InvalidUpdate, SubgraphLimit
from graphengine.graph.conditions import Comparison, Quantity, as_condition
from graphengine.graph.runnable import FunctionBody
from graphengine.reducers import add, append, extend, maximum, merge
from graphengine.state.amounts import Usage
from graphengine.state.ending import Ending


class Boom(ValueError):
    """A failure of a node."""


class Slow(TimeoutError):
    """Another failure of a node."""


EXCEPTIONS: Mapping[str, type[Exception]] = {
    "boom": Boom, "slow": Slow, "any": Exception, "os": OSError,
    "fail": FailReached, "update": InvalidUpdate, "limit": SubgraphLimit,
}  # fmt: skip


def union(old: list[str], new: list[str]) -> list[str]:
    """Return the items of either list, sorted: a custom reducer."""
    return sorted({*old, *new})


class State(BaseModel):
    """Fields with every kind of reducer."""

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
    items: list[int] = []
    found: dict[str, int] = {}
    memos: dict[str, list[int]] = {}
    double: int = 0
    errors: Annotated[list[Failure], append] = []


def whole_of(state: type[BaseModel], mark: str = "") -> type[BaseModel]:
    """Return a state with a validator of the whole: total is at most 6, and double becomes twice n."""

    def whole(checked: Any) -> Any:
        if getattr(checked, f"total{mark}") > 6:
            message = "total is too large"
            raise ValueError(message)
        setattr(checked, f"double{mark}", 2 * getattr(checked, f"n{mark}"))
        return checked

    validators: dict[str, Any] = {"whole": model_validator(mode="after")(whole)}
    return create_model(f"Whole{state.__name__}", __base__=state, __validators__=validators)


def apart_of(state: type[BaseModel]) -> type[BaseModel]:
    """Return a state with the same fields, whose names end in `_`."""
    fields: dict[str, Any] = {f"{name}_": (hint, state.model_fields[name].default) for name, hint in hints(state)}
    return create_model("Apart", **fields)


def hints(state: type[BaseModel]) -> Iterable[tuple[str, Any]]:
    """Return the annotations of a state, with the reducers in them."""
    return get_type_hints(state, include_extras=True).items()


Apart: Final = apart_of(State)
WholeState: Final = whole_of(State)
WholeApart: Final = whole_of(Apart, "_")


FIELDS = ("n", "score", "kind", "log", "many", "table", "total", "best", "seen", "capped")
"""The fields that a node can write whole."""
ITEMS = ("item", "other")
"""The names of the items of a map."""
COUNTED = "counted"
STOP = "stop"

Cond = tuple[Any, ...]


@dataclass(frozen=True)
class NodeSpec:
    """A node: `form` is how its result is written (`pass`, `field`, `key`, `some`, `parts`) to these fields.

    Attributes:
        each: The lists it is mapped over, (name, source): a path, or COUNTED for a function of `n`.
        keeps: Whether it keeps what succeeds, if an item fails.
        graph: The subgraph it runs.
        inputs: The subgraph's fields and where they are read.
        parts: For each of `fields` the part of the subgraph's state that is written: a path, or STOP for its label.
            If there is only one, it is the subgraph's `result`.
        memo: The key of `memos` where it keeps its messages, as an agent does.
    """

    name: str
    form: str
    fields: tuple[str, ...] = ()
    attempts: int = 1
    initial_seconds: float = 0.0
    jitter: float = 0.0
    on: str = "any"
    fallback: str = ""
    fallback_seed: int = 0
    each: tuple[tuple[str, str], ...] = ()
    concurrency: int = 16
    max_open: int = 1000
    keeps: bool = False
    graph: Spec | None = None
    inputs: tuple[tuple[str, str], ...] = ()
    parts: tuple[str, ...] = ()
    memo: str = ""


@dataclass(frozen=True)
class EdgeSpec:
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
    """A graph; `result` is the path of its result, `steps` its own limit."""

    nodes: tuple[NodeSpec, ...]
    edges: tuple[EdgeSpec | SwitchSpec | ForkSpec, ...]
    errors: bool = False
    whole: bool = False
    apart: bool = False
    result: str = ""
    steps: int | None = None

    @property
    def labels(self) -> Sequence[str]:
        """The labels it can end with."""
        found = [edge.label for edge in self.edges if isinstance(edge, EdgeSpec) and edge.target == "END"]
        found += [edge.label for edge in self.edges if isinstance(edge, ForkSpec) and edge.join == "END"]
        found += [
            str(case)
            for edge in self.edges
            if isinstance(edge, SwitchSpec)
            for case, target in edge.cases
            if target == "END"
        ]
        return sorted({label for label in found if label})

    def leaves(self, *kinds: str) -> list[Cond]:
        """Return the conditions of these kinds in its edges."""
        found = [edge.when for edge in self.edges if not isinstance(edge, SwitchSpec)]
        found += [cond for edge in self.edges if isinstance(edge, ForkSpec) for _, cond in edge.targets]
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
    """The outcome of one attempt, or an event in its place.

    Attributes:
        kind: `ok`, `bad` (a result that does not fit), `boom`, `slow`; or `crash`, `stop`, or `branch` (a child
            continues, with an update).
        seed: The number the result is made of.
        seconds: The duration.
        chance: The random number for the jitter of a retry.
        tokens: The usage; each value also sets a cost, which is unknown for 7.
        waits: What the attempt waits for before it ends: groups of kinds of waits, one group after the other.
    """

    kind: str = "ok"
    seed: int = 1
    seconds: int = 0
    chance: float = 0.5
    tokens: int = 0
    waits: tuple[tuple[str, ...], ...] = ()

    @property
    def usage(self) -> Usage | None:
        """The usage of the attempt."""
        if not self.tokens:
            return None
        return {"input_tokens": self.tokens, "cost_usd": None if self.tokens == 7 else self.tokens / 4}


@dataclass(frozen=True)
class Case:
    """A graph and its outcomes.

    Attributes:
        script: The outcome of each attempt; when it runs out every attempt succeeds.
        limits: Those of the start, then those of each resume that follows a stop or a failure.
        state: The initial state of the run.
    """

    spec: Spec
    script: Sequence[Outcome]
    limits: Sequence[Mapping[str, float]]
    state: Mapping[str, Any]


@dataclass(frozen=True)
class Write:
    """One part of a result: a field, or a key of one, and the update, which replaces the value or `adds` to it."""

    field: str
    value: Any
    replace: bool = False
    key: str = ""
    adds: bool = False


def counted(n: int) -> list[int] | None:
    """Return the items for a count; None for 5. Raise for 7."""
    if n == 7:
        raise Boom
    return None if n == 5 else list(range((n + 2) % 5))


def counted_apart(n_: int) -> list[int] | None:
    """Do the same for a state that is apart."""
    return counted(n_)


def writes_of(node: NodeSpec, seed: int, *, bad: bool = False, key: str = "", speaks: bool = True) -> list[Write]:
    """Return the writes of a node's result, made of a number, and of its messages if it `speaks`.

    `key` is the item's key, if an item writes.
    """
    made = _results_of(node, seed, bad=bad, key=key)
    return [*made, Write("memos", said(seed), key=node.memo, adds=True)] if node.memo and speaks else made


def said(seed: int) -> list[int]:
    """Return a node's messages: none, one or two."""
    return [seed, seed + 1][: seed % 3]


def _results_of(node: NodeSpec, seed: int, *, bad: bool, key: str) -> list[Write]:
    if node.graph is not None:
        values = _values_of(node, seed, bad=bad)
        return [Write(name, values[part], key=key) for name, part in zip(node.fields, node.parts, strict=True)]
    if node.form == "pass":
        return []
    if node.form == "key":
        return [Write("slots", "x" if bad else seed, key=node.fields[0])]
    if node.form == "found":
        return [Write("found", "x" if bad else seed, key=key)]
    if node.form == "some":
        chosen = [name for i, name in enumerate(node.fields) if (seed >> i) % 2 == 0]
    else:
        chosen = list(node.fields)
    if bad and node.form == "some" and seed % 2:
        return [Write("nowhere", 1)]
    made = [_write(name, seed, item=bool(node.each)) for name in chosen]
    return [*made[:-1], Write(made[-1].field, _mismatch(made[-1].field))] if bad and made else made


def update_of(seed: int) -> Write:
    """Return the update that a branch begins with."""
    return _write(FIELDS[seed % len(FIELDS)], seed)


def _write(name: str, seed: int, *, item: bool = False) -> Write:
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
        "items": seed if item else [seed] * (seed % 3),
    }
    replaced: dict[str, Any] = {"log": [seed, seed], "many": [], "table": {"r": 1}}
    replaced |= {"total": 1, "seen": [], "capped": []}
    if seed % 6 == 5 and name in replaced:
        return Write(name, replaced[name], replace=True)
    return Write(name, values[name])


def _mismatch(name: str) -> Any:
    return {"many": ["x"], "table": {"a": "x"}, "seen": [1]}.get(name, "x")


def _values_of(node: NodeSpec, seed: int, *, bad: bool) -> dict[str, Any]:
    """Return values for the parts of a graph's state that its node writes."""
    few = [seed] * (seed % 3)
    values: dict[str, Any] = {"n": seed, "total": seed % 4, "best": seed, "score": (None, 1.0, 2.5)[seed % 3]}
    values |= dict.fromkeys(("log", "many", "capped", "items"), few)
    values |= {name: {"ab"[seed % 2]: seed} for name in ("table", "slots", "found")}
    values |= {"seen": [f"s{seed % 3}"], STOP: ["none"]}
    given = {part: values[part] for part in node.parts}
    if bad and node.parts[-1] != STOP:
        given[node.parts[-1]] = _mismatch(
            {"log": "many", "capped": "many", "items": "many", "slots": "table", "found": "table"}.get(
                node.parts[-1], node.parts[-1]
            )
        )
    return given


def result_of(node: NodeSpec, seed: int, *, bad: bool = False, mark: str = "", speaks: bool = True) -> object:
    """Return the result that the engine gets for the same number; `mark` is the suffix of the field names."""
    made = _result_of(node, seed, bad=bad, mark=mark)
    return Remembered(made, (), said(seed)) if node.memo and speaks else made


def _result_of(node: NodeSpec, seed: int, *, bad: bool, mark: str) -> object:
    if node.graph is not None:
        inner = mark_of(node.graph)
        values = _values_of(node, seed, bad=bad)
        if node.graph.result:
            return values[node.graph.result]
        return {part + inner: value for part, value in values.items() if part != STOP}
    writes = writes_of(node, seed, bad=bad, speaks=False)
    if node.form == "pass":
        return None
    given = {w.field + mark: Replace(w.value) if w.replace else w.value for w in writes}
    return given[writes[0].field + mark] if node.form in ("field", "key", "found") else given


def mark_of(spec: Spec) -> str:
    """Return the suffix of the field names of a spec."""
    return "_" if spec.apart else ""


def marked(path: str, mark: str) -> str:
    """Return a path in a state with this suffix; items have none."""
    name, bracket, rest = path.partition("[")
    return path if name in ITEMS else f"{name}{mark}{bracket}{rest}"


def work() -> Any:
    """Raise an error, since the tests never call it."""
    raise AssertionError


WORK: Final = FunctionBody.of(work, thread=False)


@dataclass(frozen=True)
class Speaker:
    """A node function that keeps its messages."""

    messages: str
    message_type: type = int

    def __body__(self) -> Any:
        """Return the body, in place of an agent's."""
        return self

    def __getattr__(self, name: str) -> Any:
        return getattr(WORK, name)


def build(spec: Spec, calls: list[str]) -> Graph[Any]:
    """Return the engine's graph of a spec; functions of conditions record their calls.

    A fallback that compile refuses is left out, which is the same to the run as one that does not fit.
    """
    graph = _built(spec, calls)
    if not any(node.fallback == "bad value" for node in spec.nodes):
        return graph
    refused = {problem.where for problem in graph.check() if problem.where.endswith(", fallback")}
    kept = [replace(node, fallback="") if f"node {node.name}, fallback" in refused else node for node in spec.nodes]
    return _built(replace(spec, nodes=tuple(kept)), calls) if refused else graph


def _built(spec: Spec, calls: list[str]) -> Graph[Any]:
    mark = mark_of(spec)
    state = (WholeApart if spec.whole else Apart) if spec.apart else (WholeState if spec.whole else State)
    graph: Graph[Any] = Graph(
        "random",
        state,
        collect_errors=f"errors{mark}" if spec.errors else None,
        result=marked(spec.result, mark) if spec.result else None,
        limits=Limits(visits=spec.steps or 1000),
    )
    for node in spec.nodes:
        _add_node(graph, node, mark, calls)
    for edge in spec.edges:
        if isinstance(edge, SwitchSpec):
            graph.add_switch(edge.source, edge.on + mark, dict(edge.cases), edge.otherwise)
        elif isinstance(edge, ForkSpec):
            when = None if edge.when is None else condition(edge.when, calls, mark)
            arms = [target if c is None else (target, condition(c, calls, mark)) for target, c in edge.targets]
            graph.add_fork(edge.source, arms, join=edge.join, when=when, label=edge.label)
        else:
            when = None if edge.when is None else condition(edge.when, calls, mark)
            graph.add_edge(edge.source, edge.target, when=when, label=edge.label)
    return graph


def _add_node(graph: Graph[Any], node: NodeSpec, mark: str, calls: list[str]) -> None:
    if node.form == "pass" and node.graph is None:
        graph.add_node(node.name)
        return
    retry = Retry(node.attempts, node.initial_seconds, 2.0, 4.0, node.jitter, (EXCEPTIONS[node.on],))
    options: dict[str, Any] = {"retry": retry} if node.attempts > 1 else {}
    if node.each:
        function = counted_apart if mark else counted
        sources = {name: function if source == COUNTED else marked(source, mark) for name, source in node.each}
        kept = {"on_item_error": "keep"} if node.keeps else {}
        options |= {"each": sources, "concurrency": node.concurrency, "max_open": node.max_open, **kept}
    if node.graph is not None and node.inputs:  # without inputs, fields of the same name are passed by default
        inner = mark_of(node.graph)
        options["inputs"] = {marked(name, inner): marked(source, mark) for name, source in node.inputs}
    if node.fallback:
        bad = node.fallback == "bad value"
        options["fallback"] = (
            work
            if node.fallback == "function"
            else result_of(node, node.fallback_seed, bad=bad, mark=mark, speaks=False)
        )
    runnable: Any = work if node.graph is None else build(node.graph, calls)
    if node.memo:
        runnable = Speaker(f"memos{mark}[{node.memo}]")
    graph.add_node(node.name, runnable, writes=_writes(node, mark), **options)


def _writes(node: NodeSpec, mark: str) -> Any:
    targets = [_target(node, name, mark) for name in node.fields] or [_target(node, "", mark)]
    if node.form in ("field", "key", "found"):
        return targets[0]
    if node.form == "parts":
        return {target: _part(name + mark) for target, name in zip(targets, node.fields, strict=True)}
    if node.graph is None:
        return tuple(targets)
    inner = mark_of(node.graph)
    return {
        target: _stopped if part == STOP else "." if node.graph.result else marked(part, inner)
        for target, part in zip(targets, node.parts, strict=True)
    }


def _target(node: NodeSpec, name: str, mark: str) -> str:
    if node.form == "found" or name == "found":
        return f"found{mark}[{{item}}]"
    return f"slots{mark}[{name}]" if node.form == "key" else name + mark


def _stopped(result: object, ending: Ending | None) -> list[str]:
    return [ending.label if ending else "none"]


def _part(name: str) -> Any:
    return name if name in ("n", "log") else lambda result: result[name]


def condition(cond: Cond, calls: list[str], mark: str = "") -> Condition:
    """Return the engine's condition for a tuple, over a state with this suffix."""
    kind, *rest = cond
    makes: Mapping[str, Callable[..., Condition]] = {
        "and": lambda left, right: condition(left, calls, mark) & condition(right, calls, mark),
        "or": lambda left, right: condition(left, calls, mark) | condition(right, calls, mark),
        "not": lambda of: ~condition(of, calls, mark),
        "plateau": lambda path, patience, min_delta, mode, since: plateau(
            marked(path, mark), patience=patience, min_delta=min_delta, mode=mode, since=since
        ),
        "changed": lambda path, since: changed(marked(path, mark), since),
        "failed": lambda *names: failed(*(EXCEPTIONS[name] for name in names)),
        "ended": ended_with,
        "function": lambda name, modulus: _function(name, modulus, calls, mark),
        "true": lambda path: value(marked(path, mark)).is_true(),
        "none": lambda path: value(marked(path, mark)).is_none(),
        "in": lambda path, allowed: value(marked(path, mark)).is_in(allowed),
        "contains": lambda path, item: value(marked(path, mark)).contains(item),
    }
    return makes[kind](*rest) if kind in makes else _comparison(kind, rest, mark)


def _comparison(kind: str, rest: Sequence[Any], mark: str) -> Condition:
    *of, sign, other = rest
    quantity: Quantity
    if kind in ("value", "length"):
        path = marked(of[0], mark)
        quantity = value(path) if kind == "value" else value(path).length()
    elif kind == "iterations":
        quantity = iterations(*of)
    else:
        quantity = usage(of[0]) if kind == "usage" else elapsed_seconds()
    return Comparison(quantity, sign, other)


def _function(name: str, modulus: int, calls: list[str], mark: str) -> Condition:
    def odd(n: int) -> bool:
        calls.append(name)
        if n in (3, 10):
            raise Boom
        return n % modulus == 1

    def odd_apart(n_: int) -> bool:
        return odd(n_)

    return as_condition(odd_apart if mark else odd)

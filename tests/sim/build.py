"""A program as a real graph of the engine: its functions do what the program says, and nothing else.

The pure engine only reads the graph, as nodes never run there; a Runner calls the functions. Whatever they do outside
goes through a `World`, which has the ledger.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final, Protocol

from pydantic import BaseModel

from graphengine import (
    Condition,
    Context,
    Failure,
    Graph,
    Limits,
    Retry,
    changed,
    ended_with,
    failed,
    iterations,
    plateau,
    value,
)
from graphengine.errors import FailReached, InvalidUpdate
from graphengine.graph.conditions import Comparison, as_condition
from graphengine.reducers import add, append, extend, maximum
from tests.sim import program as p


class Boom(ValueError):
    """A failure of a node."""


class Slow(TimeoutError):
    """Another failure of a node."""


class State(BaseModel):
    """The state of every graph."""

    n: int = 0
    score: float | None = None
    total: Annotated[int, add] = 0
    best: Annotated[int, maximum] = 0
    log: Annotated[list[str], extend] = []
    items: list[int] = []
    table: dict[str, int] = {}
    errors: Annotated[list[Failure], append] = []


ERRORS: Final[Mapping[str, type[Exception]]] = {
    "boom": Boom, "slow": Slow, "any": Exception, "update": InvalidUpdate, "fail": FailReached,
}  # fmt: skip
INPUTS: Final = ("n", "items", "best")
"""The fields that a graph inside is given."""


class Outside(Protocol):
    """What functions do outside."""

    async def act(self, key: str) -> str:
        """Act, and return the result."""
        ...


def odd(n: int) -> bool:
    """Return whether a number is odd. Raise for 3."""
    if n == 3:
        raise Boom
    return n % 2 == 1


def counted(n: int) -> list[int] | None:
    """Return the items for a count; None for 5. Raise for 6."""
    if n == 6:
        raise Boom
    return p.items_of(p.Node("", each="n"), {"n": n})


def graph_of(spec: p.Graph, outside: Outside | None = None, name: str = "sim", *, promises: bool = True) -> Graph[Any]:
    """Return the graph, whose calls promise effects as the program says, or none."""
    limits = Limits(visits=spec.visits or 1000)
    graph: Graph[Any] = Graph(name, State, collect_errors="errors" if spec.errors else None, limits=limits)
    for node in spec.nodes:
        _add_node(graph, node, outside, promises=promises)
    for edge in spec.edges:
        when = None if edge.when is None else condition(edge.when)
        if isinstance(edge, p.Edge):
            graph.add_edge(edge.source, edge.target, when=when, label=edge.label)
        else:
            arms = [target if cond is None else (target, condition(cond)) for target, cond in edge.arms]
            graph.add_fork(edge.source, arms, join=edge.join, need=edge.need or None, when=when)
    return graph


def _add_node(graph: Graph[Any], node: p.Node, outside: Outside | None, *, promises: bool) -> None:
    if not (node.writes or node.does or node.fails or node.each or node.graph or node.effect or node.fallback):
        graph.add_node(node.name)
        return
    options: dict[str, Any] = {"effect": node.effect} if node.effect else {}
    if node.attempts > 1:
        options["retry"] = Retry(node.attempts, node.pause, 2.0, 30.0, 0.0, (ERRORS[node.on],))
    if node.each:
        options["each"] = {"item": "items" if node.each == "items" else counted}
        options |= {"concurrency": node.concurrency, "max_open": node.max_open}
        options |= {"on_item_error": "keep"} if node.keep else {}
    if node.graph is not None:
        options["inputs"] = {name: name for name in INPUTS} | ({"n": "item"} if node.each else {})
    if node.fallback:
        options["fallback"] = p.stand_in(node) if node.fallback == "value" else _standing_in(node)
    inner = node.graph and graph_of(node.graph, outside, f"in_{node.name}", promises=promises)
    runs = inner or _body(node, outside, promises=promises)
    parts = {field: field if node.graph is None else p.part_of(node, field) for field in node.writes}
    graph.add_node(
        node.name, runs, writes={p.target_of(node, field): part for field, part in parts.items()}, **options
    )  # fmt: skip


def _standing_in(node: p.Node) -> Callable[..., Any]:
    async def stands_in() -> dict[str, Any]:
        return p.stand_in(node)

    return stands_in


def _body(node: p.Node, outside: Outside | None, *, promises: bool) -> Callable[..., Any]:
    """Return the function of a node."""

    async def does(ctx: Context, seen: Mapping[str, Any]) -> dict[str, Any]:
        said: list[Any] = []
        for number, op in enumerate(node.does):
            said.append(await _do(ctx, number, op, outside, promises=promises))
        item = seen.get("item")
        kind = p.outcome_of(node, item, ctx.attempt)
        if kind in ("boom", "slow"):
            raise ERRORS[kind](kind)
        result = p.result_of(node, seen, ctx.visit, ctx.attempt, said)
        return p.spoilt(result) if kind == "bad" else result

    async def plain(ctx: Context, n: int, total: int, log: list[str]) -> dict[str, Any]:
        return await does(ctx, {"n": n, "total": total, "log": log})

    async def mapped(ctx: Context, n: int, total: int, log: list[str], item: int) -> dict[str, Any]:
        return await does(ctx, {"n": n, "total": total, "log": log, "item": item})

    return mapped if node.each else plain


async def _do(ctx: Context, number: int, op: p.Op, outside: Outside | None, *, promises: bool) -> Any:
    """Do one operation, and return what is answered."""
    match op:
        case p.Call(effect, asks):
            key = f"{ctx.path} {ctx.visit} {number}"

            async def act() -> str:
                assert outside is not None
                if asks:
                    await ctx.ask("inside?")
                return await outside.act(key)

            return await ctx.call(act, key=str(number), effect=(promises and effect) or None)
        case p.Ask(seconds):
            timed: dict[str, Any] = {"timeout_seconds": seconds, "default": "late"} if seconds else {}
            return await ctx.ask(f"{number}?", **timed)
        case p.Receive(seconds):
            timed = {"timeout_seconds": seconds, "default": "late"} if seconds else {}
            return await ctx.receive("t", str, **timed)
        case p.Sleep(seconds):
            await ctx.sleep(seconds)
            return "slept"


def condition(cond: p.Cond) -> Condition:
    """Return the engine's condition for one as data."""
    kind, *rest = cond
    makes: Mapping[str, Callable[..., Condition]] = {
        "and": lambda one, other: condition(one) & condition(other),
        "or": lambda one, other: condition(one) | condition(other),
        "not": lambda one: ~condition(one),
        "plateau": lambda field, patience, delta, mode, since: plateau(
            field, patience=patience, min_delta=delta, mode=mode, since=since
        ),
        "changed": changed,
        "failed": lambda *names: failed(*(ERRORS[name] for name in names)),
        "ended": ended_with,
        "value": lambda path, sign, other: Comparison(value(path), sign, other),
        "length": lambda path, sign, other: Comparison(value(path).length(), sign, other),
        "count": lambda node, since, sign, other: Comparison(iterations(node, since), sign, other),
    }
    return as_condition(odd) if kind == "odd" else makes[kind](*rest)

"""A program as a real graph of the engine: its functions do what the program says, and nothing else.

The pure engine only reads the graph, as nodes never run there; a Runner calls the functions. Whatever they do outside
goes through a `World`, which has the ledger.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Final, Protocol

from pydantic import BaseModel

from graphengine import (
    Agent,
    Condition,
    Context,
    Failure,
    Graph,
    Limits,
    Migration,
    Retry,
    changed,
    ended_with,
    failed,
    iterations,
    plateau,
    tool,
    value,
)
from graphengine.agents.runtime import runtime_here
from graphengine.engine.steps import path_of
from graphengine.errors import FailReached, InvalidUpdate
from graphengine.graph.conditions import Comparison, as_condition
from graphengine.models import Response
from graphengine.models.base import Request, ToolCall
from graphengine.models.errors import BadRequest, ModelError, ModelUnreachable
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


class Next(State):
    """The state of the next version."""

    more: int = 0


ERRORS: Final[Mapping[str, type[Exception]]] = {
    "boom": Boom, "slow": Slow, "any": Exception, "update": InvalidUpdate, "fail": FailReached,
}  # fmt: skip
INPUTS: Final = ("n", "items", "best")
"""The fields that a graph inside is given."""


class Connection:
    """What a function is handed that acts in the transaction of its record: it has its acts until that is durable."""

    __module__ = "psycopg"  # by this the engine knows what it is

    def __init__(self) -> None:
        self.acts: list[str] = []


class Outside(Protocol):
    """What functions do outside."""

    async def act(self, key: str) -> str:
        """Act, and return the result."""
        ...

    async def tell(self, to: str, text: str) -> None:
        """Send a message to a run, unless it is refused."""
        ...

    def begins(self, run_id: str) -> None:
        """Begin a turn of an agent."""
        ...

    def fails(self, run_id: str) -> None:
        """End a turn of an agent that costs nothing."""
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


def graph_of(
    spec: p.Graph, outside: Outside | None = None, name: str = "sim", changes: Sequence[p.Change] = ()
) -> Graph[Any]:
    """Return the graph of a deployment."""
    if spec.talks:
        return Graph.chat(_agent(0, spec.talks, outside, changes, prompt=""))
    spec = spec if name.startswith("in_") else p.deployed(spec, changes)
    limits = Limits(visits=spec.visits or 1000)
    newer: dict[str, Any] = {}
    if "next" in changes:
        names = {p.first_names(node.name): node.name for node in spec.nodes}
        newer = {"version": 2, "migrate": {1: Migration(lambda old: {**old, "more": 1}, renamed=names)}}
    collects = "errors" if spec.errors else None
    graph: Graph[Any] = Graph(name, Next if newer else State, collect_errors=collects, limits=limits, **newer)
    for node in spec.nodes:
        _add_node(graph, node, outside, changes)
    for edge in spec.edges:
        when = None if edge.when is None else condition(edge.when)
        if isinstance(edge, p.Edge):
            graph.add_edge(edge.source, edge.target, when=when, label=edge.label)
        else:
            arms = [target if cond is None else (target, condition(cond)) for target, cond in edge.arms]
            graph.add_fork(edge.source, arms, join=edge.join, need=edge.need or None, when=when)
    return graph


def _add_node(graph: Graph[Any], node: p.Node, outside: Outside | None, changes: Sequence[p.Change]) -> None:
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
    inner = node.graph and graph_of(node.graph, outside, f"in_{p.first_names(node.name)}", changes)
    runs = inner or _body(node, outside, changes)
    parts = {field: field if node.graph is None else p.part_of(node, field) for field in node.writes}
    graph.add_node(
        node.name, runs, writes={p.target_of(node, field): part for field, part in parts.items()}, **options
    )  # fmt: skip


def _standing_in(node: p.Node) -> Callable[..., Any]:
    async def stands_in() -> dict[str, Any]:
        return p.stand_in(node)

    return stands_in


def _body(node: p.Node, outside: Outside | None, changes: Sequence[p.Change]) -> Callable[..., Any]:
    """Return the function of a node."""
    of_children = p.of_children(changes)
    children = {op: graph_of(op.graph, outside, op.name, of_children) for op in node.does if isinstance(op, p.Start)}
    talks = {at: op for at, op in enumerate(node.does) if isinstance(op, p.Talk)}
    agents = {at: _agent(at, (op,), outside, changes) for at, op in talks.items()}

    async def does(ctx: Context, seen: Mapping[str, Any]) -> dict[str, Any]:
        said: list[Any] = []
        for number, op in enumerate(node.does):
            if isinstance(op, p.Start):
                how: Any = {**({"topic": "t"} if op.topic else {}), **({"queue": p.QUEUE} if op.queued else {})}
                begun = [await ctx.start(children[op], {"n": 1}, **how) for _ in range(op.wide)]
                said.append("started" if op.topic else " ".join([(await child.result()).status for child in begun]))
            elif number in agents:
                said.append(await agents[number].run())
            else:
                said.append(await _do(ctx, number, op, outside, changes))
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


async def _do(ctx: Context, number: int, op: p.Op, outside: Outside | None, changes: Sequence[p.Change]) -> Any:
    """Do one operation, and return what is answered."""
    match op:
        case p.Call(effect, asks, to):
            key = key_of(ctx, number)

            async def act() -> str:
                assert outside is not None
                if asks:
                    await ctx.ask("inside?")
                done = await outside.act(key)
                if to:
                    await outside.tell(to, f"told by {key}")
                return done

            def act_within(db: Connection) -> str:
                db.acts.append(key)
                return "acted"

            act_within.__qualname__ = act.__qualname__  # it is the same call when a deployment promises nothing
            promised = "" if "effects" in changes else effect
            function = act_within if promised == "transaction" else act
            return await ctx.call(function, key=str(number), effect=promised or None)
        case p.Ask(seconds):
            timed: dict[str, Any] = {"timeout_seconds": seconds, "default": "late"} if seconds else {}
            return await ctx.ask(p.words(number, changes), **timed)
        case p.Receive(seconds):
            timed = {"timeout_seconds": seconds, "default": "late"} if seconds else {}
            return p.heard(await ctx.receive("t", **timed))
        case p.Sleep(seconds):
            await ctx.sleep(seconds)
            return "slept"
        case p.Send():
            ctx.send("t", f"sent by {ctx.path} {ctx.visit}")
            return "sent"
    raise AssertionError(op)


def key_of(ctx: Context, place: p.Place) -> str:
    """Return the key of a place in the ledger."""
    return f"{ctx.run_id} {p.first_names(ctx.path)} {ctx.visit} {place}"


def _agent(
    number: int, talks: Sequence[p.Talk], outside: Outside | None, changes: Sequence[p.Change], prompt: str = "Go."
) -> Agent[str]:
    """Return an agent that talks so in a visit, in the n-th one as the n-th says; all it does is in the ledger."""

    def tool_of(place: int, name: str, talk: p.Talk, spec: p.Tool) -> Any:
        async def act(ctx: Context) -> str:
            assert outside is not None
            return await outside.act(key_of(ctx, (number, "tool", place)))

        act.__doc__ = "Act."
        effect = ("effects" not in changes and spec.effect) or None
        return tool(act, name=name, effect=effect, approve=p.is_approved(talk, spec, changes))

    renamed = "_b" if "tools" in changes else ""
    names = [
        [f"t{at}x{place}{spec.approve}{renamed}" for place, spec in enumerate(talk.tools, start=1)]
        for at, talk in enumerate(talks)
    ]
    tools = [
        tool_of(place, name, talk, spec)
        for talk, some in zip(talks, names, strict=True)
        for place, (name, spec) in enumerate(zip(some, talk.tools, strict=True), start=1)
    ]
    model = Scripted(number, talks, names, outside)
    system = "Be brief." if "words" in changes else ""
    return Agent(f"talk{number}", model=model, prompt=prompt, tools=tools, system=system)


class Scripted:
    """A model that calls its tools in turns, then answers; or fails as the program says."""

    name = "scripted"

    def __init__(
        self, number: int, talks: Sequence[p.Talk], names: Sequence[Sequence[str]], outside: Outside | None
    ) -> None:
        self._number, self._talks, self._names, self._outside = number, talks, names, outside

    async def answer(self, request: Request) -> Response:
        """Answer, once the ledger has the turn."""
        runtime, outside = runtime_here(), self._outside
        assert runtime is not None
        assert outside is not None
        run_id, frame = runtime.around.run_id, runtime.frame
        at = min(frame.visit, len(self._talks)) - 1
        last = max(number for number, message in enumerate(request.messages) if message.role == "user")
        turn = 1 + sum(message.role == "assistant" for message in request.messages[last:])
        how = self._talks[at].how if self._talks[at].fails(turn) else ""
        how = "" if how == "busy" and frame.attempt > 1 else how
        outside.begins(run_id)
        if how in ("bad", "busy"):
            outside.fails(run_id)
            error: ModelError = BadRequest("no such picture") if how == "bad" else ModelUnreachable("for a moment")
            error.usage = {}  # else its cost is unknown, which ends a run with a limit of costs
            raise error
        place: p.Place = self._number, "turn", turn
        try:
            await outside.act(f"{run_id} {p.first_names(path_of(frame.id, frame.at))} {frame.visit} {place}")
        except asyncio.CancelledError:  # with its arm, before it acts
            outside.fails(run_id)
            raise
        wanted = [] if how else self._talks[at].turns[turn - 1]
        calls = tuple(ToolCall(id=f"c{each}", name=self._names[at][each - 1]) for each in wanted)
        stop: Any = "refused" if how == "refused" else "tools" if calls else "end"
        return Response("talked", calls, stop, input_tokens=1, output_tokens=1, cost_usd=0.25)


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

"""Programs as real graphs and agents, whose every act is noted in the ledger of the world.

Each operation of a node adds a word to the field `log`, so that the state says what was done, and `expect` can say what
it may be. A person's answers, the model's answers and the results of effects depend on the program alone.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import BaseModel, Field

from graphengine import (
    END,
    START,
    Agent,
    Context,
    Graph,
    Limits,
    Migration,
    NotDone,
    Once,
    Retry,
    iterations,
    tool,
    value,
)
from graphengine.agents.runtime import runtime_here
from graphengine.models import Response
from graphengine.models.base import Request, ToolCall
from graphengine.models.errors import BadRequest, ModelUnreachable
from graphengine.reducers import extend
from tests.crossing import program as p
from tests.crossing.matrix import HAVE, NAMES
from tests.crossing.world import COST_USD, HERE, Cell, World, around, attempts, tries

PAID = "paid"
KNOWN = "known"
"""What the result of a node is that a person or `reconcile` knows."""


class State(BaseModel):
    """What was done, and how many levels of children are below."""

    n: int = 0
    which: int = 0
    log: Annotated[list[str], extend] = []


class Next(State):
    """The state of the next version."""

    more: int = 0


class Described(BaseModel):
    """The first version's state, as another deployment describes it."""

    n: int = Field(0, description="How many levels of children are below.")
    which: int = 0
    log: Annotated[list[str], extend] = Field([], title="What was done")


class Boom(Exception):
    """What `Fail` raises."""


def word(name: str, visit: int, item: int | None, number: int, op: p.Op) -> str:
    """Return what an operation adds to the log."""
    return f"{name}.{visit}.{'' if item is None else item}.{number}{type(op).__name__}"


def below(op: p.Start) -> tuple[str, ...]:
    """Return the features of the runs that an operation starts."""
    return ("child", "deep") if op.deep > 1 else ("child",)


def question_of(said: str) -> str:
    """Return the question of an operation."""
    return f"{said}?"


@dataclass
class Built:
    """The graphs of a program, in one version.

    Args:
        world: The world.
        program: The program.
        version: 1, or 2 for the next one.
        changes: What differs in this deployment from the first one.
    """

    world: World
    program: p.Program
    version: int = 1
    changes: tuple[p.Change, ...] = ()
    graphs: dict[tuple[p.Graph, str], Graph[Any]] = field(default_factory=dict)
    talks: dict[str, tuple[p.Talk | p.Chat, tuple[str, ...]]] = field(default_factory=dict)
    failed: Counter[object] = field(default_factory=Counter)

    @property
    def by_name(self) -> dict[str, Graph[Any]]:
        """The graphs that runs can have, by name."""
        return {graph.name: graph for graph in self.graphs.values()}

    def graph(self, spec: p.Graph, inner: str | None = None, features: tuple[str, ...] = ()) -> Graph[Any]:
        """Return a graph: one of runs, or one inside with this prefix, where these features are around."""
        key = spec, " ".join(features)
        if inner is None and key in self.graphs:
            return self.graphs[key]
        name = f"g{len(self.graphs)}" if inner is None else f"in{inner}"
        features += ("rounds",) if spec.rounds > 1 else ()
        letter = "nm"[self.version - 1]
        names = [f"{letter}{number}" for number in range(len(spec.stages))]
        renamed = {f"n{number}": f"m{number}" for number, each in enumerate(spec.stages) if isinstance(each, p.Node)}
        newer: dict[str, Any] = {}
        if self.version > 1:
            newer = {"version": 2, "migrate": {1: Migration(lambda old: {**old, "more": 1}, renamed=renamed)}}
        graph: Graph[Any] = Graph(name, self.state, result="log", **newer)
        if inner is None:
            self.graphs[key] = graph
        prefix = "" if inner is None else inner
        graph.add_node("top")
        if inner is None:
            graph.add_node("down", self._down(graph), writes="log")
            graph.add_edge("down", END)
        self.add_edges(graph, START, "top", *([("down", value("n") > 0)] if inner is None else []))
        at = "top"
        for number, stage in enumerate(spec.stages):
            if isinstance(stage, p.Node):
                self.add(graph, names[number], f"{prefix}{number}", stage, features)
                self.add_edges(graph, at, names[number])
                at = names[number]
            else:
                join, arms = f"j{number}", [f"f{number}x{arm}" for arm in range(len(stage.arms))]
                graph.add_node(join)
                graph.add_fork(at, arms, join=join, need=stage.need or None)
                more = (*features, "fork", *(("need",) if stage.need else ()))
                for arm, (arm_name, node) in enumerate(zip(arms, stage.arms, strict=True)):
                    self.add(graph, arm_name, f"{prefix}{number}x{arm}", node, more)
                    graph.add_edge(arm_name, join)
                at = join
        if spec.rounds > 1:
            self.add_edges(graph, at, "top", (END, iterations("top") >= spec.rounds))
        else:
            graph.add_edge(at, END)
        return graph

    @property
    def state(self) -> type[BaseModel]:
        """The state of all graphs."""
        return Next if self.version > 1 else Described if "types" in self.changes else State

    def add_edges(self, graph: Graph[Any], start: str, rest: str, *first: tuple[str, Any]) -> None:
        """Add the edges out of a node: those with conditions, of which only one can hold at a time, and the other one.

        Another deployment has one more, before them, and these in another order.
        """
        if "edges" in self.changes:
            first = ((END, value("n") < -1), *reversed(first))
        for end, when in first:
            graph.add_edge(start, end, when=when)
        graph.add_edge(start, rest)

    def _down(self, graph: Graph[Any]) -> Callable[..., Any]:
        async def down(ctx: Context, n: int, which: int) -> list[str]:
            self.world.note(ctx.run_id, "child", "deep")
            child = await ctx.start(graph, {"n": n - 1, "which": which}, limits=self.limits)
            return list((await child.result()).state.log)

        return down

    @property
    def limits(self) -> Limits | None:
        """The limits of every run but the first one."""
        return Limits(cost_usd=self.program.quarters * COST_USD) if self.program.quarters else None

    def add(self, graph: Graph[Any], name: str, place: str, node: p.Node, features: tuple[str, ...]) -> None:
        """Add a node; `place` is what its words begin with."""
        options: dict[str, Any] = {"writes": "log"}
        features += tuple(name for name in ("map", "narrow", "keep") if HAVE[name](node))
        features += (*(["retry"] if node.attempts > 1 else []), node.effect)
        if node.width:
            width = node.width
            options |= {"each": {"item": lambda: list(range(width))}, "concurrency": node.concurrency}
            options |= {"on_item_error": "keep"} if node.keep else {}
        if node.attempts > 1:
            options["retry"] = Retry(node.attempts, initial_seconds=1, jitter=0)
        if node.fallback:
            options["fallback"] = self.body(f"{place}f", node.fallback, "", (*features, "fallback"))
        if isinstance(node.does, p.Graph):
            graph.add_node(name, self.graph(node.does, f"{place}i", (*features, "graph")), inputs={}, **options)
        elif isinstance(node.does, p.Talk):
            options["writes"] = {"log": lambda result: [result]}
            if node.fallback:
                options["fallback"] = _joined(options["fallback"])
            graph.add_node(name, self.agent(f"a{place}", node.does, features), **options)
        else:
            if node.effect:
                options["effect"] = self.effect(node.effect, [KNOWN])
            graph.add_node(name, self.body(place, node.does, node.effect, features), **options)

    # --- functions ----------------------------------------------------------------------------------------------------

    def body(self, place: str, ops: Sequence[p.Op], effect: p.Effect, features: tuple[str, ...]) -> Callable[..., Any]:
        """Return a node function that does these operations in turn."""
        for op in ops:
            if isinstance(op, p.Start):
                self.graph(op.graph, features=below(op))  # now, so that both versions have the same names

        async def node(ctx: Context) -> list[str]:
            self.world.note(ctx.run_id, *features)
            said: list[str] = []
            for number, op in enumerate(ops):
                mark = word(place, ctx.visit, ctx.item_index, number, op)
                said += await self.do(ctx, op, number, mark, effect)
            return said

        return node

    async def do(self, ctx: Context, op: p.Op, number: int, mark: str, effect: p.Effect) -> list[str]:  # noqa: C901
        """Do one operation, and return what it adds to the log."""
        frame = ctx._attempt.frame  # noqa: SLF001 - the visits of the nodes around it are nowhere else
        cell = Cell(ctx.run_id, around(frame), f"pay|{number}|")
        self.world.note(ctx.run_id, NAMES.get(type(op), type(op).__name__.lower()), getattr(op, "effect", ""))
        match op:
            case p.Act():
                await self.lags(2)
                here = cell._replace(what=f"{'node' if effect else 'plain'} {number}")
                self.world.act(here, self.promised(effect), ctx.idempotency_key, tries(frame))
                await self.lags(2)
            case p.Call():

                async def pay(idempotency_key: str = "") -> str:
                    if op.asks:
                        await ctx.ask("inside?")
                    await self.lags(2)
                    self.world.act(cell, self.promised(op.effect), idempotency_key, tries(frame))
                    await self.lags(2)
                    return PAID

                await ctx.call(pay, key=str(number), effect=self.effect(op.effect, PAID))
            case p.Ask():
                timed: dict[str, Any] = {"timeout_seconds": op.seconds, "default": "late"} if op.seconds else {}
                asked = question_of(mark) + ("?" if "questions" in self.changes else "")
                said = await ctx.ask(asked, **timed)
                if said not in (asked, "late"):
                    self.world.breaks(f"an answer to another question: {ctx.run_id}: {asked} got {said}")
            case p.Receive():
                timed = {"timeout_seconds": op.seconds, "default": "late"} if op.seconds else {}
                await ctx.receive("t", str, **timed)
            case p.Send():
                ctx.send("t", f"own {ctx.idempotency_key}")
            case p.Sleep():
                await ctx.sleep(op.seconds)
            case p.Fail():
                if attempts(frame) <= op.attempts and not (op.odd and (ctx.item_index or 0) % 2 == 0):
                    raise Boom(mark)
            case p.Start():
                return [mark, *await self.children(ctx, op, number)]
        return [mark]

    async def children(self, ctx: Context, op: p.Start, number: int) -> list[str]:
        """Start child runs, and return what they did."""
        topic = " ".join([f"told {number}", *around(ctx._attempt.frame)]) if op.told else None  # noqa: SLF001 - as above
        graph = self.graph(op.graph, features=below(op))
        on_stop: Any = "leave" if op.stays else "stop"
        begun = [
            await ctx.start(
                graph, {"n": op.deep - 1, "which": which}, topic=topic, on_stop=on_stop, limits=self.limits,
            )
            for which in range(op.wide)
        ]  # fmt: skip
        if topic is None:
            return [said for end in await asyncio.gather(*(each.result() for each in begun)) for said in end.state.log]
        ends: dict[int, list[str]] = {}
        while len(ends) < len(begun):
            told = await ctx.receive(topic, dict[str, Any])
            if told["status"] == "finished":
                ends[told["state"]["which"]] = told["state"]["log"]
        return [said for _, log in sorted(ends.items()) for said in log]

    async def lags(self, share: int) -> None:
        """Let others move for a while."""
        for _ in range(self.program.lag // share):
            await asyncio.sleep(0)

    def promised(self, effect: p.Effect) -> p.Effect:
        """Return the effect that this deployment promises."""
        return "" if "effects" in self.changes else effect

    def effect(self, effect: p.Effect, result: object) -> Any:
        """Return what `effect=` is given."""
        effect = self.promised(effect)
        if effect != "reconcile":
            return effect or None

        async def found(idempotency_key: str) -> object:
            if not self.world.did(idempotency_key):
                raise NotDone("it never happened")
            return result

        return Once(reconcile=found)

    # --- agents -------------------------------------------------------------------------------------------------------

    def agent(self, name: str, talk: p.Talk | p.Chat, features: tuple[str, ...]) -> Agent[str]:
        """Return an agent whose model is the world's."""
        given = talk.tools if isinstance(talk, p.Talk) else [turn.tool for turn in talk.turns]
        self.talks[name] = talk, features
        tools = [self.tool(number, each) for number, each in enumerate(given) if each is not None]
        prompt = "Go." if isinstance(talk, p.Talk) else ""
        more: dict[str, Any] = {"max_tool_calls": 1} if "limits" in self.changes else {}
        if "words" in self.changes:
            more["system"], prompt = "Be brief.", prompt and "Go on, then."
        return Agent(name, model=Paid(self), prompt=prompt, tools=tools, **more)

    def tool(self, number: int, spec: p.Tool) -> Any:
        """Return a tool."""

        async def pay(ctx: Context, idempotency_key: str = "") -> str:
            frame = ctx._attempt.frame  # noqa: SLF001 - as above
            self.world.note(ctx.run_id, "tool", spec.effect, *(["approval"] if spec.approve else []))
            cell = Cell(ctx.run_id, around(frame), f"pay{number}{spec.approve}")
            no = cell._replace(what=f"{cell.what} {tries(frame)}")
            if spec.approve == "no" and (no in self.world.noes or "approvals" not in self.changes):
                self.world.breaks(f"a tool was called that a person refused: {ctx.run_id} {ctx.path}")
            await self.lags(2)
            key = idempotency_key or ctx.idempotency_key
            self.world.act(cell, self.promised(spec.effect), key, tries(frame))
            await self.lags(2)
            return PAID

        pay.__doc__ = "Pay."
        approve = bool(spec.approve) != ("approvals" in self.changes)
        return tool(pay, name=self.name(number, spec), effect=self.effect(spec.effect, PAID), approve=approve)

    def name(self, number: int, spec: p.Tool) -> str:
        """Return the name of a tool."""
        return f"pay{number}{spec.approve}" + ("_renamed" if "tools" in self.changes else "")


def _joined(fallback: Callable[..., Any]) -> Callable[..., Any]:
    async def joined(ctx: Context) -> str:
        return " ".join(await fallback(ctx))

    return joined


class Paid:
    """The model of every agent: each call costs the same, and what it answers depends on the program alone."""

    name = "paid"

    def __init__(self, built: Built) -> None:
        self._built = built

    async def answer(self, request: Request) -> Response:
        """Answer, once this call is noted."""
        built, world = self._built, self._built.world
        runtime = runtime_here()
        assert runtime is not None
        run_id, (talk, features) = runtime.around.run_id, built.talks[request.agent]
        last = max(at for at, message in enumerate(request.messages) if message.role == "user")
        done = sum(message.role == "assistant" for message in request.messages[last:])
        turn = _turn(talk, request.messages[last].text)
        world.note(run_id, "agent", *features, turn.how)
        with world.calling(run_id) as number:
            await built.lags(1)
            if HERE.get().is_dead:
                raise asyncio.CancelledError
            conversation = run_id, around(runtime.frame), request.agent, last
            if built.failed[conversation] < (talk.flaky if isinstance(talk, p.Talk) else turn.how == "flaky"):
                built.failed[conversation] += 1
                world.note(run_id, "flaky")
                error = ModelUnreachable("for a moment")
                error.usage = {}  # else its cost is unknown, which ends a run with a limit of costs
                raise error
            if turn.how == "bad":
                world.refused += 1
                wrong = BadRequest("no such picture")
                wrong.usage = {}
                raise wrong
            world.calls[number] = run_id
        if turn.how in ("refused", "cut"):
            world.refused += 1
            return Response(f"call {number}", (), turn.how, input_tokens=1, output_tokens=1, cost_usd=COST_USD)
        if isinstance(talk, p.Talk):
            names = [built.name(at, each) for at, each in enumerate(talk.tools)]
            wanted = names[done : done + 1] if not talk.at_once else [] if done else names
        else:
            at = talk.turns.index(turn)
            wanted = [] if turn.tool is None or done else [built.name(at, turn.tool)]
        said = tuple(ToolCall(id=f"c{number}.{at}", name=name) for at, name in enumerate(wanted))
        stop: Any = "tools" if wanted else "end"
        text = json.dumps(number) if wanted else request.agent
        return Response(text, said, stop, input_tokens=1, output_tokens=1, cost_usd=COST_USD)


def _turn(talk: p.Talk | p.Chat, text: str) -> p.Turn:
    """Return the turn of a chat that a message is."""
    if isinstance(talk, p.Talk):
        return p.Turn()
    return next(turn for at, turn in enumerate(talk.turns) if f"turn {at}." in text)

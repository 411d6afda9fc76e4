"""An effect that acts and then waits acts once: the wait is refused before the node parks, whatever it waits for.

Each form of an effect is crossed with each kind of wait, over each store; the ledger is outside of the runs. A person
says how an effect ended if that is not known, and never that it is to begin again.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from pydantic import BaseModel

from graphengine import (
    END,
    START,
    Agent,
    Context,
    Graph,
    Retry,
    RunFailed,
    Runner,
    ScriptedModel,
    ask,
    tool,
)
from graphengine.models import Request
from graphengine.models.scripted import calls
from tests.kit.runs import SOON, alone

TOLD = "told"
RETRY = Retry(attempts=2, initial_seconds=60, on=(OSError,))


class State(BaseModel):
    """What was done, by one or by two."""

    begun: bool = False
    orders: list[str] = ["A7", "B8"]
    text: str = ""
    texts: list[str] = []


class Child(BaseModel):
    """A child's word."""

    word: str = ""


class World:
    """What is outside of the runs: the ledger with how often each place has acted, and whether the run was stopped."""

    def __init__(self, runner: Runner, then: "Then") -> None:
        self.runner = runner
        self.ledger: Counter[str] = Counter()
        self.is_stopped = False
        self._then = then

    async def act(self, ctx: Context) -> str:
        """Act, and wait."""
        self.ledger[ctx.path] += 1
        return await self.wait(ctx)

    async def stop(self, *, now: bool) -> None:
        """Let the run be stopped the first time, and hang if it is stopped at once."""
        if not self.is_stopped:
            self.is_stopped = True
            await self.runner.stop("r", now=now)
            await (asyncio.Event().wait() if now else asyncio.sleep(0))

    async def wait(self, ctx: Context) -> str:
        """Wait."""
        await self._then(self, ctx)
        return "acted"


Then = Callable[[World, Context], Awaitable[object]]
Form = Callable[[World], Graph[State]]


# -- what it waits for


async def asks(_: World, ctx: Context) -> None:
    """Wait for an answer."""
    await ctx.ask("Well?", bool)


async def receives(_: World, ctx: Context) -> None:
    """Wait for a message."""
    await ctx.receive("post", str)


async def sleeps(_: World, ctx: Context) -> None:
    """Wait for a time."""
    await ctx.sleep(60)


async def waits_for_a_child(_: World, ctx: Context) -> None:
    """Wait for the end of a run that it starts."""
    child = alone(Child, lambda: "word", "word", name="child")
    await (await ctx.start(child, {})).result()


async def needs_approval(_: World, ctx: Context) -> None:
    """Let an agent call a tool that a person has to approve."""
    del ctx
    await agent(calls(("look", {})), "done", tools=[tool(look, approve=True)]).run()


async def raises(_: World, ctx: Context) -> None:
    """Fail, so that its node pauses before it is tried again."""
    del ctx
    raise OSError("the line broke")


async def is_steered(world: World, ctx: Context) -> None:
    """Let an agent answer, for which there is a message."""
    del ctx
    await world.runner.send("r", "steer", "hurry", idempotency_key="one")
    await agent("done").run()


async def hangs_until_it_is_stopped(world: World, ctx: Context) -> None:
    """Hang the first time, and be stopped at once."""
    del ctx
    await world.stop(now=True)


async def is_stopped_between_turns(world: World, ctx: Context) -> None:
    """Let an agent be stopped while it calls a tool."""
    del ctx

    async def look_and_stop() -> str:
        """Look, and let the run be stopped the first time."""
        await world.stop(now=False)
        return "seen"

    await agent(calls(("look_and_stop", {})), "done", tools=[look_and_stop]).run()


async def has_an_unknown_effect_inside(_: World, ctx: Context) -> None:
    """Let an agent call a tool that breaks off, about which a person would be asked."""
    del ctx

    async def post() -> str:
        """Post."""
        raise OSError("the line broke")

    await agent(calls(("post", {})), "done", tools=[tool(post, effect="once")]).run()


def look() -> str:
    """Look."""
    return "seen"


def agent(*turns: Any, tools: Any = ()) -> Agent[str]:
    """Return an agent whose model gives these answers, one after another."""

    def answer(request: Request) -> Any:
        return turns[sum(message.role == "assistant" for message in request.messages)]

    return Agent("clerk", model=ScriptedModel(answer), prompt="Go on.", tools=tools)


# -- where the effect is


def as_node(world: World, **options: Any) -> Graph[State]:
    """Return a graph whose node is the effect."""

    async def pay(ctx: Context) -> str:
        return await world.act(ctx)

    return begun(pay, effect="once", **options)


def as_call(world: World) -> Graph[State]:
    """Return a graph whose node makes a call that is the effect."""

    async def pay(ctx: Context) -> str:
        return await ctx.call(world.act, ctx, key="pay", effect="once")

    return begun(pay)


def as_tool(world: World) -> Graph[State]:
    """Return a graph with an agent whose tool is the effect."""

    async def pay(ctx: Context) -> str:
        """Pay."""
        return await world.act(ctx)

    return begun(agent(calls(("pay", {})), "acted", tools=[tool(pay, effect="once")]))


def as_map_item(world: World) -> Graph[State]:
    """Return a graph with a node whose items are effects."""

    async def pay(ctx: Context, order: str) -> str:
        del order
        return await world.act(ctx)

    return begun(pay, writes="texts", each={"order": "orders"}, effect="once")


def as_inner_node(world: World) -> Graph[State]:
    """Return a graph with a graph inside, whose node is the effect."""

    async def pay(ctx: Context) -> str:
        return await world.act(ctx)

    inner = alone(State, pay, "text", name="inner", node="pay", effect="once", result="text", retry=RETRY)
    return begun(inner)


def as_fallback(world: World) -> Graph[State]:
    """Return a graph with a node that fails, and whose fallback makes a call that is the effect."""

    def fails() -> str:
        raise LookupError

    async def pay(ctx: Context) -> str:
        return await ctx.call(world.act, ctx, key="pay", effect="once")

    return begun(fails, fallback=pay)


def as_node_with_a_fallback(world: World) -> Graph[State]:
    """Return a graph whose node is the effect and breaks off; then its fallback waits, which is none."""

    async def pay(ctx: Context) -> str:
        world.ledger[ctx.path] += 1
        raise LookupError

    async def instead(ctx: Context) -> str:
        return await world.wait(ctx)

    return begun(pay, effect="once", fallback=instead)


def begun(work: Any, writes: str = "text", **options: Any) -> Graph[State]:
    """Return a graph that waits for its beginning, so that messages can be there before."""
    graph = Graph("paying", State)
    graph.add_node("begin", ask("Begin?", bool), writes="begun")
    graph.add_node("work", work, writes=writes, retry=RETRY, **options)
    graph.add_path(START, "begin", "work", END)
    return graph


FORMS: tuple[Form, ...] = (
    as_node,
    as_call,
    as_tool,
    as_map_item,
    as_inner_node,
    as_fallback,
    as_node_with_a_fallback,
)
WAITS: tuple[Then, ...] = (
    asks,
    receives,
    sleeps,
    waits_for_a_child,
    needs_approval,
    raises,
    is_steered,
    hangs_until_it_is_stopped,
    is_stopped_between_turns,
    has_an_unknown_effect_inside,
)


async def lived(runner: Runner, graph: Graph[State]) -> set[str]:
    """Drive the run until it has finished: answer, send, resume. Return the kinds of its waits."""
    await runner.start(graph, run_id="r").result()
    await runner.answer("r", "yes")
    kinds = set[str]()
    for _ in range(8):
        try:
            result = await runner.resume("r", graph).result()
        except RunFailed as error:
            result = error.result
        if result.status == "finished":
            return kinds
        kinds |= {wait.kind for wait in result.waits}
        for wait in result.waits:
            if wait.kind == "receive":
                await runner.send("r", "post", "a letter")
            else:
                await runner.answer("r", {"result": TOLD} if wait.kind == "unknown" else True, wait=wait)
    raise AssertionError(kinds)


@pytest.mark.parametrize("then", WAITS, ids=lambda each: each.__name__)
@pytest.mark.parametrize("form", FORMS, ids=lambda each: each.__name__)
async def test_an_effect_that_waits_acts_once(timed: Runner, form: Form, then: Then) -> None:
    """The run finishes after all refusals, answers, stops and resumes; the ledger has nothing twice."""
    world = World(timed, then)
    async with asyncio.timeout(SOON):
        kinds = await lived(timed, form(world))
    assert set(world.ledger.values()) == {1}
    assert kinds <= {"unknown"} or form is as_node_with_a_fallback

"""Agents' calls of a model: the cost of a call compared with the SDK's own, and a thousand calls at once."""

from __future__ import annotations

import asyncio
import gc
import tempfile
import time
import tracemalloc
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pydantic import BaseModel

from benchmarks.measure import KILO, MICRO, Figure, Outcome, Settings, alternate
from benchmarks.model_server import SAID, serving
from graphengine import END, START, Agent, Graph, Runner
from graphengine.databases.sqlite import SQLiteStore
from graphengine.models import RateLimiter
from graphengine.models.anthropic import AnthropicModel
from graphengine.models.sdk import CALLS_AT_ONCE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from contextlib import AbstractAsyncContextManager

    from benchmarks.measure import Side
    from benchmarks.model_server import Served

    Call = Callable[[str], Awaitable[object]]
    Asking = Callable[[Served], AbstractAsyncContextManager[Call]]

MODEL: Final = "claude-haiku-4-5"
SYSTEM: Final = "You write drafts. Be brief and keep to what is known."
PROMPT: Final = "Write a draft about {task}, in three sentences."
MAX_TOKENS: Final = 1024
KEY: Final = "no-key-is-needed-here"
OURS, SDK = "graphengine: agent", "anthropic SDK alone"
PYDANTIC_AI, LANGCHAIN = "pydantic-ai: agent", "LangChain: model"
NODE, MAP = "graphengine: agent as a node of a run", "graphengine: agent as a node, over the items of a map"
DURABLE, SYNCED = "graphengine: durable call, NORMAL", "graphengine: durable call, FULL"
PATIENCE_SECONDS: Final = 600.0
"""The SDK waits 5 s for a connection by default, which is too short for a thousand at once on a busy machine."""
DELAY_SECONDS: Final = 0.05
"""How long an answer takes if many are requested at once; about the shortest time of a real one."""
SLOW_SECONDS: Final = 5.0
"""How long an answer takes if many slow ones are requested at once; about the time of a page."""


class Article(BaseModel):
    """A task, and the draft that an agent writes for it."""

    task: str
    draft: str = ""


class Articles(BaseModel):
    """Many tasks, and the drafts that an agent writes for them."""

    tasks: list[str]
    drafts: list[str] = []


async def call(settings: Settings) -> Outcome:
    """This program measures the CPU time of one call of a model after another; the server answers at once.

    In this benchmark, all programs send the same text to Anthropic's Messages API, through Anthropic's SDK and over an
    open connection. The program with LangChain calls the model without an agent. Two more programs of graphengine are
    shown for comparison: a run of one node that is recorded in memory, and `runner.run(agent)` with SQLite. At FULL,
    each call syncs the disk three times, so its time depends on the disk.
    """
    calls = settings.count(20, 3)
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(serving())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        durable: dict[str, Asking] = {
            DURABLE: partial(_durable, SQLiteStore(folder / "normal.db", synchronous="NORMAL")),
            SYNCED: partial(_durable, SQLiteStore(folder / "full.db")),
        }
        askings = _askings(settings) | {NODE: _node} | durable
        asked = {name: await stack.enter_async_context(asking(server)) for name, asking in askings.items()}
        sides = {name: _one_by_one(ask, calls) for name, ask in asked.items()}
        found = await alternate(sides, "µs", settings.count(75, 2))
    ours, alone = found[OURS], found[SDK]
    ratios = {
        "an agent's call against the SDK's": ours.against(alone),
        "a durable call of an agent against the SDK's": found[DURABLE].against(alone),
    }
    if settings.has("langchain_anthropic", "pydantic_ai"):
        ratios["pydantic-ai's agent against ours"] = found[PYDANTIC_AI].against(ours)
        ratios["LangChain's model call against our agent"] = found[LANGCHAIN].against(ours)
    return Outcome("One call of an agent", found, ratios)


async def calls_at_once(settings: Settings) -> Outcome:
    """This program measures the time of 1,000 requests at once, when the server takes 50 ms for each answer.

    The time in this table is measured from the first call to the last answer, in one process. The agents of graphengine
    share the 100 connections of one model object, and so do the items of a map. The other programs open as many
    connections as they need. The rows "connections" show the highest number of connections that the server had open at
    one time. The memory of a call is the peak of `tracemalloc` minus the memory before. Connections and memory are
    measured in a separate round.
    """
    count = settings.count(1000, 5)
    async with AsyncExitStack() as stack:
        sides: dict[str, Side] = {}
        servers: dict[str, Served] = {}
        for name, asking in _askings(settings).items():
            servers[name] = await stack.enter_async_context(serving(DELAY_SECONDS))
            sides[name] = _at_once(await stack.enter_async_context(asking(servers[name])), count)
        servers[MAP] = await stack.enter_async_context(serving(DELAY_SECONDS))
        sides[MAP] = _mapped(await stack.enter_async_context(_map(servers[MAP])), count)
        found = await alternate(sides, "ms", settings.count(3, 1))
        held = {name: await _held(servers[name], sides[name]) for name in (OURS, MAP, SDK)}
    ratios = {"agents' calls at once, against the SDK's": found[OURS].against(found[SDK])}
    more = [Figure(f"{name}, connections", "open", (float(each.connections),)) for name, each in held.items()]
    more += [Figure(f"{name}, memory a call", "KB", (each.bytes / count / KILO,)) for name, each in held.items()]
    return Outcome(f"{count:,} calls of agents at once", found | {each.side: each for each in more}, ratios)


async def slow_calls_at_once(settings: Settings) -> Outcome:
    """This program measures 1,000 requests at once in one process, when each answer takes 5 s.

    The time is taken from the first call to the last answer. The limiter of our agents' model allows all calls at once,
    so each call has a connection, as with the SDK alone. The server is another process and only waits. What a side
    takes beyond 5 s is the time that its process needs to make the calls.
    """
    count = settings.count(1000, 5)
    delay_seconds = DELAY_SECONDS if settings.quick else SLOW_SECONDS
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(serving(delay_seconds))
        sides: dict[str, Side] = {
            SDK: _at_once(await stack.enter_async_context(_sdk(server)), count),
            OURS: _at_once(await stack.enter_async_context(_ours(server, count)), count),
            MAP: _mapped(await stack.enter_async_context(_map(server, count)), count),
        }
        found = await alternate(sides, "ms", settings.count(3, 1))
    ratios = {
        "agents' slow calls at once, against the SDK's": found[OURS].against(found[SDK]),
        "items' slow calls at once, against the SDK's": found[MAP].against(found[SDK]),
    }
    return Outcome(f"{count:,} slow calls of agents at once", found, ratios)


# -- sides


def _askings(settings: Settings) -> dict[str, Asking]:
    """Return the sides by name.

    Each side is a function that takes a server and yields a function that makes one call.
    """
    ours: dict[str, Asking] = {SDK: _sdk, OURS: _ours}
    if not settings.has("langchain_anthropic", "pydantic_ai"):
        return ours
    from benchmarks import agent_peers as peers  # noqa: PLC0415 - installed for the benchmarks only

    return ours | {PYDANTIC_AI: peers.pydantic_ai, LANGCHAIN: peers.langchain}


@asynccontextmanager
async def _sdk(server: Served) -> AsyncIterator[Call]:
    import anthropic  # noqa: PLC0415 - it takes a second, which other programs do not need

    patient = PATIENCE_SECONDS
    async with anthropic.AsyncAnthropic(api_key=KEY, base_url=server.url, max_retries=0, timeout=patient) as client:

        async def ask(task: str) -> str:
            text = PROMPT.format(task=task)
            message = await client.messages.create(
                model=MODEL, max_tokens=MAX_TOKENS, system=SYSTEM, messages=[{"role": "user", "content": text}]
            )
            block = message.content[0]
            return block.text if block.type == "text" else ""

        yield ask


@asynccontextmanager
async def _agent(server: Served, calls_at_once: int = CALLS_AT_ONCE) -> AsyncIterator[Agent[str]]:
    model = AnthropicModel(MODEL, api_key=KEY, base_url=server.url, limiter=RateLimiter(calls_at_once=calls_at_once))
    try:
        yield Agent("writer", model=model, system=SYSTEM, prompt=PROMPT)
    finally:
        await model.close()


@asynccontextmanager
async def _ours(server: Served, calls_at_once: int = CALLS_AT_ONCE) -> AsyncIterator[Call]:
    async with _agent(server, calls_at_once) as agent:
        yield lambda task: agent.run(task=task)


@asynccontextmanager
async def _node(server: Served) -> AsyncIterator[Call]:
    async with _agent(server) as agent, Runner() as runner:
        graph = Graph("writing", Article)
        graph.add_node("write", agent, writes="draft")
        graph.add_path(START, "write", END)

        async def ask(task: str) -> str:
            return (await runner.start(graph, Article(task=task)).result()).state.draft

        yield ask


@asynccontextmanager
async def _durable(store: SQLiteStore, server: Served) -> AsyncIterator[Call]:
    async with _agent(server) as agent, Runner(store) as runner:
        yield lambda task: runner.run(agent, task=task)


@asynccontextmanager
async def _map(
    server: Served, calls_at_once: int = CALLS_AT_ONCE
) -> AsyncIterator[Callable[[list[str]], Awaitable[list[str]]]]:
    async with _agent(server, calls_at_once) as agent, Runner() as runner:
        graph = Graph("writing", Articles)
        graph.add_node("write", agent, writes="drafts", each={"task": "tasks"}, concurrency=1000)
        graph.add_path(START, "write", END)

        async def ask(tasks: list[str]) -> list[str]:
            return (await runner.start(graph, Articles(tasks=tasks)).result()).state.drafts

        yield ask


# -- rounds


def _one_by_one(ask: Call, count: int) -> Side:
    async def run() -> float:
        began = time.process_time()
        for _ in range(count):
            await ask("bees")
        return (time.process_time() - began) / count * MICRO

    return run


def _at_once(ask: Call, count: int) -> Side:
    async def run() -> float:
        began = time.perf_counter()
        answers = await asyncio.gather(*[ask(f"bee {number}") for number in range(count)])
        taken = time.perf_counter() - began
        _check(answers, count)
        return taken * 1000

    return run


def _mapped(ask: Callable[[list[str]], Awaitable[list[str]]], count: int) -> Side:
    async def run() -> float:
        tasks = [f"bee {number}" for number in range(count)]
        began = time.perf_counter()
        answers = await ask(tasks)
        taken = time.perf_counter() - began
        _check(answers, count)
        return taken * 1000

    return run


def _check(answers: list[object] | list[str], count: int) -> None:
    if answers != [SAID] * count:
        raise ValueError(f"{count} answers of {SAID!r} were expected, but got: {answers[:3]} …")


@dataclass(frozen=True, slots=True)
class _Held:
    """The most connections and the most memory in one round."""

    connections: int
    bytes: int


async def _held(server: Served, side: Side) -> _Held:
    """Measure the connections and the memory of one round.

    Another round runs directly before, so that its connections are new enough to be used again.
    """
    await side()
    await server.counted()
    gc.collect()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        await side()
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return _Held((await server.counted()).connections, most - before)

"""Answers that drip: the CPU time of a piece that arrives alone, beside the wire's own and the SDK's stream."""

from __future__ import annotations

import asyncio
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks.agents import KEY, MODEL, PATIENCE_SECONDS, SDK
from benchmarks.measure import MICRO, Outcome, alternate
from benchmarks.model_server import serving
from benchmarks.streaming_server import PIECE
from graphengine import Agent, Runner
from graphengine.agents import TextDelta
from graphengine.models import Settings as ModelSettings
from graphengine.models.anthropic import AnthropicModel

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    import anthropic
    import httpx2

    from benchmarks.measure import Settings, Side

    Call = Callable[[], Awaitable[str]]

PAUSE_SECONDS: Final = 0.02
"""The time between two pieces of one answer; without it many arrive in one packet."""
PROMPT: Final = "Write a draft about bees."
WIRE, WHOLE = "httpx2 alone, which reads the bytes", "anthropic SDK, the whole answer at once"
WATCHED, UNWATCHED = "graphengine: watched runs", "graphengine: runs that no one watches"


async def streaming(settings: Settings) -> Outcome:
    """This program measures the CPU time for a piece of a streamed answer: 40 answers at once, 200 pieces each.

    In this benchmark, a model server in a separate process sends each answer in pieces: a piece every 20 ms, each in a
    network packet of its own. These programs read the pieces:

    - A program without an SDK only reads the bytes that arrive, with httpx2.
    - A program with Anthropic's SDK reads the events of `messages.create(stream=True)` and collects their text.
    - The programs of graphengine are durable runs of an agent, in a SQLite file. The watched ones collect their
      `TextDelta` events.
    """
    import anthropic  # noqa: PLC0415 - it takes a second, which other programs do not need
    import httpx2  # noqa: PLC0415 - as above

    agents, pieces = settings.count(40, 3), settings.count(200, 10)
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(serving(PAUSE_SECONDS, "benchmarks.streaming_server"))
        limits = httpx2.Limits(max_connections=agents)
        wire = await stack.enter_async_context(httpx2.AsyncClient(limits=limits, timeout=PATIENCE_SECONDS))
        client = await stack.enter_async_context(
            anthropic.AsyncAnthropic(api_key=KEY, base_url=server.url, max_retries=0, timeout=PATIENCE_SECONDS)
        )
        model = AnthropicModel(MODEL, api_key=KEY, base_url=server.url)
        stack.push_async_callback(model.close)
        agent = Agent("writer", model=model, prompt=PROMPT, settings=ModelSettings(max_tokens=pieces))
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        runner = await stack.enter_async_context(Runner(Path(folder) / "runs.db"))
        calls: dict[str, Call] = {
            WIRE: _read(wire, server.url, pieces),
            SDK: _sdk(client, pieces, streamed=True),
            WHOLE: _sdk(client, pieces, streamed=False),
            WATCHED: _watched(runner, agent),
            UNWATCHED: _unwatched(runner, agent),
        }
        sides = {name: _cpu(call, agents, pieces) for name, call in calls.items()}
        found = await alternate(sides, "µs", settings.count(5, 1))
    ratios = {
        "a piece that no one watches, against httpx2 alone": found[UNWATCHED].against(found[WIRE]),
        "a piece of a watched run, against the SDK's": found[WATCHED].against(found[SDK]),
    }
    return Outcome("A piece of an answer that drips", found, ratios)


def _asked(pieces: int) -> dict[str, object]:
    return {"model": MODEL, "max_tokens": pieces, "messages": [{"role": "user", "content": PROMPT}]}


def _read(client: httpx2.AsyncClient, url: str, pieces: int) -> Call:
    async def read() -> str:
        async with client.stream("POST", f"{url}/v1/messages", json={**_asked(pieces), "stream": True}) as response:
            return PIECE * b"".join([part async for part in response.aiter_bytes()]).count(b"text_delta")

    return read


def _sdk(client: anthropic.AsyncAnthropic, pieces: int, *, streamed: bool) -> Call:
    async def whole() -> str:
        found = await client.messages.create(
            model=MODEL, max_tokens=pieces, messages=[{"role": "user", "content": PROMPT}]
        )
        return "".join([block.text for block in found.content if block.type == "text"])

    async def watch() -> str:
        stream = await client.messages.create(
            model=MODEL, max_tokens=pieces, messages=[{"role": "user", "content": PROMPT}], stream=True
        )
        deltas = [event.delta async for event in stream if event.type == "content_block_delta"]
        return "".join([delta.text for delta in deltas if delta.type == "text_delta"])

    return watch if streamed else whole


def _watched(runner: Runner, agent: Agent[str, Mapping[str, object]]) -> Call:
    async def watch() -> str:
        return "".join([event.text async for event in runner.stream(agent) if isinstance(event, TextDelta)])

    return watch


def _unwatched(runner: Runner, agent: Agent[str, Mapping[str, object]]) -> Call:
    async def watch() -> str:
        return await runner.run(agent)

    return watch


def _cpu(call: Call, agents: int, pieces: int) -> Side:
    """Return a side that measures the CPU time of this process for each piece of text, in microseconds."""

    async def run() -> float:
        began = time.process_time()
        texts = await asyncio.gather(*(call() for _ in range(agents)))
        taken = time.process_time() - began
        for text in texts:
            if text.split() != (PIECE * pieces).split():
                raise ValueError(
                    f"{pieces} times {PIECE!r} was expected, but got {len(text)} characters: {text[:40]!r}"
                )
        return taken / (agents * pieces) * MICRO

    return run

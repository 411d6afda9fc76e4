"""Watched answers: the CPU time of a token in a run that is watched, compared with the SDK's own stream."""

from __future__ import annotations

import time
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Final

from benchmarks.agents import KEY, MODEL, PATIENCE_SECONDS, SDK, Article
from benchmarks.measure import MICRO, Outcome, alternate
from benchmarks.model_server import serving
from benchmarks.streaming_server import PIECE
from graphengine import END, START, Agent, Graph, Runner
from graphengine.agents import TextDelta
from graphengine.models import Settings as ModelSettings
from graphengine.models.anthropic import AnthropicModel

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    import anthropic

    from benchmarks.measure import Settings, Side

    Watch = Callable[[], Awaitable[str]]

PAUSE_SECONDS: Final = 0.001
"""The time between two tokens; without it many arrive in one packet, and none is watched as it arrives."""
PROMPT: Final = "Write a draft about bees."
WATCHED, UNWATCHED = "graphengine: a watched run", "graphengine: a run that no one watches"


async def streamed(settings: Settings) -> Outcome:
    """CPU time of the process for each token of an answer of 1,000, from the call to the end of its text.

    The server is a process of its own and sends a token each millisecond, in a packet of its own. The SDK's side reads
    the events of `messages.create(stream=True)` and collects their text. Ours is a run of one agent, recorded in
    memory, whose `TextDelta` events are collected; for comparison the same run without a watcher.
    """
    import anthropic  # noqa: PLC0415 - it takes a second, which other programs do not need

    tokens = settings.count(1000, 10)
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(serving(PAUSE_SECONDS, "benchmarks.streaming_server"))
        client = await stack.enter_async_context(
            anthropic.AsyncAnthropic(api_key=KEY, base_url=server.url, max_retries=0, timeout=PATIENCE_SECONDS)
        )
        model = AnthropicModel(MODEL, api_key=KEY, base_url=server.url)
        stack.push_async_callback(model.close)
        agent = Agent("writer", model=model, prompt=PROMPT, settings=ModelSettings(max_tokens=tokens))
        graph = Graph("writing", Article)
        graph.add_node("write", agent, writes="draft")
        graph.add_path(START, "write", END)
        runner = await stack.enter_async_context(Runner())
        sides = {
            SDK: _cpu(_sdk(client, tokens), tokens),
            WATCHED: _cpu(_watched(runner, graph), tokens),
            UNWATCHED: _cpu(_unwatched(runner, graph), tokens),
        }
        found = await alternate(sides, "µs", settings.count(11, 1))
    ratios = {"a token of a watched run, against the SDK's": found[WATCHED].against(found[SDK])}
    return Outcome("A token of a watched answer", found, ratios)


def _sdk(client: anthropic.AsyncAnthropic, tokens: int) -> Watch:
    async def watch() -> str:
        stream = await client.messages.create(
            model=MODEL, max_tokens=tokens, messages=[{"role": "user", "content": PROMPT}], stream=True
        )
        deltas = [event.delta async for event in stream if event.type == "content_block_delta"]
        return "".join([delta.text for delta in deltas if delta.type == "text_delta"])

    return watch


def _watched(runner: Runner, graph: Graph[Article]) -> Watch:
    async def watch() -> str:
        run = runner.start(graph, Article(task="bees"))
        return "".join([event.text async for event in run.events() if isinstance(event, TextDelta)])

    return watch


def _unwatched(runner: Runner, graph: Graph[Article]) -> Watch:
    async def watch() -> str:
        return (await runner.start(graph, Article(task="bees")).result()).state.draft

    return watch


def _cpu(watch: Watch, tokens: int) -> Side:
    """Return a side: the CPU time of this process for a token of the answer, in microseconds."""

    async def run() -> float:
        began = time.process_time()
        text = await watch()
        taken = time.process_time() - began
        if text != PIECE * tokens:
            raise ValueError(f"{tokens} times {PIECE!r} was expected, but got {len(text)} characters: {text[:40]!r} …")
        return taken / tokens * MICRO

    return run

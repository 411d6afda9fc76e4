"""A map of agents against servers that limit the rate of calls: time against the ideal, failures and refusals."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections import deque
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from pydantic import BaseModel

from benchmarks.measure import Figure, Outcome, Settings
from benchmarks.model_server import ANSWER
from graphengine import END, START, Agent, Graph, Runner
from graphengine.models.anthropic import AnthropicModel

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

ALLOWED: Final = 5
"""The calls that a server allows in a second."""
ITEMS, QUICK_ITEMS = 40, 8
ANSWER_SECONDS: Final = 0.05
_REFUSAL: Final = {"type": "error", "error": {"type": "rate_limit_error", "message": "5 calls a second are allowed"}}
_LENGTH: Final = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)


class Articles(BaseModel):
    """Many tasks, and the drafts that an agent writes for them."""

    tasks: list[str]
    drafts: list[str] = []


class Limited:
    """A server that allows a limited number of calls per second, and refuses the others with `retry-after: 1`.

    Args:
        allows: Returns whether a call that arrives at this time is allowed.
    """

    def __init__(self, allows: Callable[[float], bool]) -> None:
        self.allows = allows
        self.refused = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection."""
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = _LENGTH.search(head)
                await reader.readexactly(int(length.group(1)) if length else 0)
                if self.allows(time.monotonic()):
                    await asyncio.sleep(ANSWER_SECONDS)
                    writer.write(_response("200 OK", ANSWER))
                else:
                    self.refused += 1
                    writer.write(_response("429 Too Many Requests", _REFUSAL, "retry-after: 1\r\n"))
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()


def fixed() -> Callable[[float], bool]:
    """Return a rule that allows a number of calls in each second of the server's clock."""
    window, count = 0, 0

    def allows(now: float) -> bool:
        nonlocal window, count
        if int(now) != window:
            window, count = int(now), 0
        count += 1
        return count <= ALLOWED

    return allows


def sliding() -> Callable[[float], bool]:
    """Return a rule that allows a number of answered calls in any period of one second."""
    answered: deque[float] = deque()

    def allows(now: float) -> bool:
        while answered and answered[0] <= now - 1:
            answered.popleft()
        if len(answered) == ALLOWED:
            return False
        answered.append(now)
        return True

    return allows


def bucket() -> Callable[[float], bool]:
    """Return a rule that takes a token for each call. New tokens are added at a steady rate."""
    tokens, filled = float(ALLOWED), time.monotonic()

    def allows(now: float) -> bool:
        nonlocal tokens, filled
        tokens, filled = min(float(ALLOWED), tokens + ALLOWED * (now - filled)), now
        if tokens < 1:
            return False
        tokens -= 1
        return True

    return allows


RULES: Final = {"fixed seconds": fixed, "any second": sliding, "a bucket of tokens": bucket}
QUICK_RULE: Final = "any second"
"""The rule of a quick run: its few calls exceed the limit whenever they begin; two fixed seconds could share them."""


async def pacing(settings: Settings) -> Outcome:
    """This program measures a map of 40 items with an agent, against a server that allows only 5 calls per second.

    The server refuses further calls with `retry-after: 1`. The agent has no settings for this: its limiter learns the
    limit from the refusals. The ideal time is 8 s. Three servers count calls in different ways. One call is made before
    the map, so that the SDK is loaded, and then the limit of the server is free again.
    """
    items = settings.count(ITEMS, QUICK_ITEMS)
    figures: dict[str, Figure] = {}
    ratios: dict[str, float] = {}
    for name, rule in RULES.items() if not settings.quick else [(QUICK_RULE, RULES[QUICK_RULE])]:
        seconds, refused, failed = await _mapped(rule(), items)
        figures[name] = Figure(name, "s", (seconds,))
        figures[f"{name}, refusals"] = Figure(f"{name}, refusals", "calls", (float(refused),))
        figures[f"{name}, ended"] = Figure(f"{name}, ended well", "items", (float(items - failed),))
        ratios[f"{name}: against the ideal time"] = seconds / (items / ALLOWED)
    return Outcome(f"{items} items against a limit of {ALLOWED} calls a second", figures, ratios)


async def _mapped(allows: Callable[[float], bool], items: int) -> tuple[float, int, int]:
    """Run the map. Return its time in seconds, the number of refused calls, and the number of items that failed."""
    server = Limited(allows)
    async with _serving(server) as url:
        model = AnthropicModel("claude-haiku-4-5", api_key="no-key-is-needed", base_url=url)
        agent = Agent("writer", model=model, prompt="Write a draft about {task}.")
        graph = Graph("articles", Articles)
        graph.add_node("write", agent, each={"task": "tasks"}, writes="drafts", concurrency=items, fallback="")
        graph.add_path(START, "write", END)
        async with Runner() as runner:
            await agent.run(task="warming up")
            await asyncio.sleep(2)
            began = time.perf_counter()
            result = await runner.start(graph, {"tasks": [f"tides {number}" for number in range(items)]}).result()
            seconds = time.perf_counter() - began
        return seconds, server.refused, result.state.drafts.count("")


@asynccontextmanager
async def _serving(server: Limited) -> AsyncIterator[str]:
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    async with listening:
        yield f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"


def _response(status: str, body: object, more: str = "") -> bytes:
    text = json.dumps(body).encode()
    head = f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\n{more}content-length: {len(text)}\r\n\r\n"
    return head.encode() + text

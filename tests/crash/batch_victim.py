"""A run whose map asks a provider in a batch, and which kills itself at a point.

Arguments: the database, the server's address, the API, and the point: `join`, `submit`, `submitted`, `ended` or
`answers`; none to continue to the end.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from graphengine import END, START, Agent, Graph, Runner
from graphengine.errors import RunExists
from graphengine.models import AnthropicModel, OpenAIChatModel, OpenAIModel, Price, batches
from graphengine.models.anthropic import AnthropicBatches
from graphengine.models.openai_calls import OpenAIBatches


class Words(BaseModel):
    """The state."""

    items: list[str] = ["one", "two expires", "three", "four errors"]
    said: list[str] = []


def model_of(api: str, url: str) -> Any:
    """Return the model of an API."""
    if api == "anthropic":
        return AnthropicModel("claude-sonnet-5-5", api_key="k", base_url=url, price=Price(2, 10))
    kind = OpenAIModel if api == "openai" else OpenAIChatModel
    return kind("gpt-5-mini", api_key="k", base_url=f"{url}/v1", price=Price(2, 10))


def graph_of(model: Any) -> Graph[Words]:
    """Return the graph: a map over the items."""
    agent = Agent("shout", model=model, prompt="{item}", batch=True)
    graph = Graph("words", Words, result="said")
    graph.add_node("shout", agent, each={"item": "items"}, writes="said", concurrency=10)
    graph.add_path(START, "shout", END)
    return graph


def die() -> None:
    """Kill this process."""
    os.kill(os.getpid(), signal.SIGKILL)


def dying(point: str, kind: type[Any]) -> None:
    """Make the process die before or after a step of the batches."""
    if point == "join":
        joined = batches.BatchCollector.join

        async def join(self: Any, request: Any) -> Any:
            await joined(self, request)
            die()

        batches.BatchCollector.join = join  # type: ignore[method-assign]
        return
    name = {"submitted": "submit"}.get(point, point)
    made = getattr(kind, name)

    async def dies(self: Any, *given: Any) -> None:
        if point != "submit":
            await made(self, *given)
        die()

    setattr(kind, name, dies)


async def main(file: str, url: str, api: str, point: str = "") -> None:
    """Run it, or resume it."""
    batches.QUIET_SECONDS = 0.1  # type: ignore[misc]
    batches.FIRST_POLL_SECONDS = 0.05  # type: ignore[misc]
    batches._SHARE = 0.0  # type: ignore[misc]  # noqa: SLF001
    if point:
        dying(point, AnthropicBatches if api == "anthropic" else OpenAIBatches)
    model = model_of(api, url)
    graph = graph_of(model)
    async with Runner(Path(file)) as runner:
        try:
            result = await runner.start(graph, run_id="r").result()
        except RunExists:
            result = await runner.resume("r", graph).result()
        cost = result.usage.cost_usd
        shown = "unknown" if cost is None else f"{cost:.6f}"
        sys.stdout.write(f"{result.status} {result.usage.calls} {shown} {', '.join(result.state.said)}\n")
    await model.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))

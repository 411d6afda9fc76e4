"""Graphs that the inspector drives in tests: `--graph tests/serve/inspector/driven.py`."""

import asyncio
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from graphengine import END, START, Agent, Graph, ask
from graphengine.models.base import Request, Response
from graphengine.reducers import append

TOLD = "Tides come twice a day."


class Essay(BaseModel):
    """What an essay is written from."""

    topic: str = Field(description="what it is about")
    style: Literal["short", "long"] = "short"
    stars: int = Field(default=3, ge=1, le=5)
    gate: str = Field(default="", description="a file; each node waits until it exists")
    text: str = ""
    notes: Annotated[list[str], append] = []
    agreed: bool = False


example = Essay(topic="tides")


async def opened(gate: str) -> None:
    """Return once the file exists."""
    while gate and not await asyncio.to_thread(Path(gate).exists):  # noqa: ASYNC110 - another process creates it
        await asyncio.sleep(0.01)


class Slow:
    """A model that shows its first words at once, and the rest once the file in the prompt exists."""

    name = "slow"

    async def answer(self, request: Request) -> Response:
        """Stream the text."""
        middle = len(TOLD) // 2
        if request.on_text is not None:
            request.on_text(TOLD[:middle])
        text = str(request.messages[0].text)
        await opened(text.partition("gate: ")[2].partition("\n")[0].strip())
        if request.on_text is not None:
            request.on_text(TOLD[middle:])
        return Response(TOLD)

    async def knows_price(self) -> bool:
        """Return True: it costs nothing."""
        return True


def check(topic: str, gate: str) -> str:
    """Fail until the file exists, if the topic is `storms`."""
    if topic == "storms" and not Path(gate).exists():
        raise RuntimeError("no pilot boat goes out")
    return f"checked {topic}"


writer = Agent("writer", system="Be brief.", prompt="Write about {topic}. gate: {gate}", model=Slow())

graph = Graph("essay", Essay)
graph.add_node("check", check, writes="notes", thread=False)
graph.add_node("write", writer, writes="text")
graph.add_node("agree", ask("Is it good?", bool), writes="agreed")
graph.add_edge(START, "check")
graph.add_edge("check", "write")
graph.add_edge("write", "agree")
graph.add_edge("agree", END)

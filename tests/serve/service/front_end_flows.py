"""The graphs that front ends use in these tests. Their model stops in the middle of a text until a file exists."""

import asyncio
import os
from pathlib import Path

from pydantic import BaseModel

from graphengine import END, START, Agent, Context, Graph, ask, tool
from graphengine.models import Request, Response, calls
from graphengine.models.errors import ModelUnavailable

GATE = os.environ.get("GATE", "")
TEXT = os.environ.get("TEXT", "The tide is high.")
CALLS = Path(os.environ.get("CALLS", os.devnull))


class Tides:
    """A model that thinks, says its text in two pieces, and pays if it is asked to."""

    name = "tides"

    async def answer(self, request: Request) -> Response:
        """Answer by what was said last."""
        last = request.messages[-1]
        if last.role == "tool":
            return await self._said(request, "It was refused." if last.is_error else "Paid.")
        if "pay" in last.text:
            return calls(("pay", {"name": "Ada"}), text="I will pay.")
        if "fail" in last.text and not Path(f"{CALLS}.failed").exists():
            Path(f"{CALLS}.failed").touch()
            raise ModelUnavailable("the model is down")
        if request.on_thinking is not None:
            request.on_thinking("Let me look.")
        return await self._said(request, TEXT)

    async def _said(self, request: Request, text: str) -> Response:
        is_cut = "cut" in request.messages[-1].text
        half = text.find(" ", len(text) // 2) + 1
        for piece in (text[:half], text[half:]):
            if request.on_text is not None:
                request.on_text(piece)
            if GATE:
                Path(f"{GATE}.half").touch()
                while not Path(GATE).exists():  # noqa: ASYNC110 - another process makes it
                    await asyncio.sleep(0.01)
        return Response(text, stop="cut" if is_cut else "end", cost_usd=0.0, offline=True)


def pay(name: str) -> str:
    """Pay a person."""
    with CALLS.open("a") as file:
        file.write(f"paid {name}\n")
    return f"paid {name}"


assistant = Agent("assistant", model=Tides(), tools=[tool(pay, approve=True)])
chat = Graph.chat(assistant)


class Post(BaseModel):
    question: str
    answer: str = ""
    stars: int = 0
    log: list[str] = []


async def rated(ctx: Context, stars: int) -> list[str]:
    """Show the stars, and return them."""
    while GATE and not Path(f"{GATE}.note").exists():  # until a front end is there, and has seen it
        ctx.emit({"stars": stars})
        await asyncio.sleep(0.01)
    return [f"{stars} stars"]


posts = Graph("posts", Post, result="answer")
posts.add_node("write", Agent("writer", prompt="{question}", model=Tides()), writes="answer")
posts.add_node("rate", ask("How many stars has {answer}?", int), writes="stars")
posts.add_node("note", rated, writes="log")
posts.add_path(START, "write", "rate", "note", END)

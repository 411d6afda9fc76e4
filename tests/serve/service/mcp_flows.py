"""The graphs that MCP servers of these tests serve."""

import asyncio
import os
from enum import Enum
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel

from graphengine import END, START, Agent, Context, Graph, Media, ask, value
from graphengine.reducers import append
from graphengine.state.secret import Secret

print("a graph's file writes to stdout")  # noqa: T201 - which is a protocol's
CALLS = Path(os.environ.get("CALLS", os.devnull))


class Tone(Enum):
    CALM = "calm"
    LOUD = "loud"


class Approval(BaseModel):
    ok: bool
    tone: Tone = Tone.CALM
    note: str | None = None


class Draft(BaseModel):
    text: str
    words: int
    tone: Tone = Tone.CALM


class Topic(BaseModel):
    """Something to write about.

    A paragraph more.
    """

    topic: str
    tone: Literal["short", "long"] = "short"
    draft: Draft | None = None
    result: str = ""


def expensive() -> str:
    """Return a draft, and count the calls."""
    print("a node writes to stdout")  # noqa: T201
    with CALLS.open("a") as file:
        file.write("x")
    return "draft"


async def write(topic: str, ctx: Context) -> Draft:
    """Write at most once."""
    text = await ctx.call(expensive)
    return Draft(text=f"{text} about {topic}", words=3)


async def approve(draft: Draft, ctx: Context) -> str:
    """Ask a person."""
    answer = await ctx.ask("Publish it?", Approval)
    return f"{draft.text}: {answer.ok} {answer.tone.value} {answer.note}"


publish = Graph("publish it", Topic, result="result")
publish.add_node("write", write, writes="draft")
publish.add_node("approve", approve, writes="result")
publish.add_path(START, "write", "approve", END)


class Plan(BaseModel):
    drafts: list[Draft] = []
    left: bool = False
    right: bool = False
    token: Annotated[str, Secret] = "nobody may see it"  # noqa: S105


nested = Graph("nested", Plan, secret_key="0123456789abcdefghijklmnopqrstuvwxyz")  # noqa: S106
nested.add_node("drafts", ask("Which drafts?", list[Draft]), writes="drafts")
nested.add_path(START, "drafts", END)


class Items(BaseModel):
    words: list[str]
    kept: list[bool] = []


async def keep(word: str, ctx: Context) -> bool:
    """Ask about one of many."""
    return await ctx.ask(f"Keep {word}?", bool)


each = Graph("each", Items, result="kept")
each.add_node("keep", keep, each={"word": "words"}, writes="kept")
each.add_path(START, "keep", END)

both = Graph("both", Plan, secret_key="0123456789abcdefghijklmnopqrstuvwxyz")  # noqa: S106
both.add_node("split", lambda: None, thread=False)
both.add_node("left", ask("Left?", bool), writes="left")
both.add_node("right", ask("Right?", bool), writes="right")
both.add_node("joined", lambda: None, thread=False)
both.add_edge(START, "split")
both.add_fork("split", ["left", "right"], join="joined")
for arm in ("left", "right"):
    both.add_edge(arm, "joined")
both.add_edge("joined", END)


class Often(BaseModel):
    more: bool = False
    asked: Annotated[list[str], append] = []


again = Graph("again", Often, result="asked")
again.add_node("ask", ask("Again?", bool), writes="more")
again.add_node("note", lambda: "asked", writes="asked", thread=False)
again.add_path(START, "ask", "note")
again.add_edge("note", "ask", when=value("more").is_true())
again.add_edge("note", END)


class Text(BaseModel):
    file: str
    done: int = 0


async def wait(file: str) -> int:
    """Wait for a file."""
    Path(f"{file}.began").touch()
    while not Path(file).exists():  # noqa: ASYNC110 - a test makes it
        await asyncio.sleep(0.01)
    return 1


slow = Graph("slow", Text, result="done")
slow.add_node("wait", wait, writes="done")
slow.add_path(START, "wait", END)


async def fails(file: str) -> int:
    """Fail."""
    raise ValueError(f"no {file}")


broken = Graph("broken", Text)
broken.add_node("fails", fails, writes="done")
broken.add_path(START, "fails", END)

chat = Graph.chat(Agent("assistant", by_rules=lambda question: question))


class Report(BaseModel):
    text: str
    parts: list[str | Media] = []


def parts_of(text: str) -> list[str | Media]:
    """Return a text, and what belongs to it."""
    return [
        text,
        Media(data=b"a picture", type="image/png", name="tides.png"),
        Media(data=b"a sound", type="audio/wav"),
        Media(data=b"a document", type="application/pdf", name="tides and more.pdf"),
        Media(url="https://example.com/tides.png"),
    ]


report = Graph("report", Report, result="parts")
report.add_node("write", parts_of, writes="parts", thread=False)
report.add_path(START, "write", END)

"""The graphs that clients of OpenAI's API talk to in these tests."""

import asyncio
import json
import os
from pathlib import Path

from pydantic import BaseModel

from graphengine import END, START, Agent, Context, Graph, Limits, ScriptedModel, ask, tool, value
from graphengine.agents import Approval
from graphengine.models import Request, Response, ToolCall, calls
from graphengine.models.errors import AnswerTorn, ModelUnavailable

CALLS = Path(os.environ.get("CALLS", os.devnull))


def weather(city: str) -> str:
    """Return the weather of a city."""
    with CALLS.open("a") as file:
        file.write("w")
    return f"wind in {city}"


def answered(request: Request) -> object:
    """Answer like a model that sees the whole conversation."""
    last = request.messages[-1]
    if "weather" in last.text and last.role == "user":
        return calls(("weather", {"city": "Kiel"}))
    if "forbidden" in last.text:
        return Response("", stop="refused")
    if "down" in last.text and not Path(f"{CALLS}.up").exists():
        raise ModelUnavailable("the model is down")
    users = sum(message.role == "user" for message in request.messages)
    return f"{users}: {last.text}"


assistant = Graph.chat(Agent("assistant", model=ScriptedModel(answered), tools=[weather]))
asking = tool(weather, approve=Approval(refused_by_message=True))
careful = Graph.chat(Agent("careful", model=ScriptedModel(answered), tools=[asking]))


async def until(file: str) -> str:
    """Wait for a file."""
    while not Path(file).exists():  # noqa: ASYNC110 - a test makes it
        await asyncio.sleep(0.01)
    return "It is there."


def speaking(request: Request) -> object:
    """Say something, call a tool, and say what it returned."""
    last = request.messages[-1]
    if last.role == "tool":
        return last.text
    file = last.text
    call = ToolCall(id="c", name="until", arguments=json.dumps({"file": file}))
    return Response("I will wait.", (call,), "tools", input_tokens=7, cache_read_tokens=2, output_tokens=3)


live = Graph.of(Agent("live", model=ScriptedModel(speaking), tools=[until]))


class Post(BaseModel):
    """Publish a post, once a person agrees."""

    title: str
    text: str = ""
    approved: bool = False


async def write(title: str, ctx: Context) -> str:
    """Write once."""

    def once() -> str:
        with CALLS.open("a") as file:
            file.write("x")
        return f"All about {title}"

    return await ctx.call(once, key="write")


posts = Graph("posts", Post, result="text")
posts.add_node("write", write, writes="text")
posts.add_node("approve", ask("Publish {title}?", bool), writes="approved")
posts.add_path(START, "write", "approve", END)


class Slow(BaseModel):
    file: str
    done: int = 0


async def wait(file: str) -> int:
    """Wait for a file."""
    Path(f"{file}.began").touch()
    while not Path(file).exists():  # noqa: ASYNC110 - a test makes it
        await asyncio.sleep(0.01)
    return 1


slow = Graph("slow", Slow, result="done")
slow.add_node("wait", wait, writes="done")
slow.add_path(START, "wait", END)


async def fails(file: str) -> int:
    """Fail."""
    raise ValueError(f"no {file}")


broken = Graph("broken", Slow)
broken.add_node("fails", fails, writes="done")
broken.add_path(START, "fails", END)


class Two(BaseModel):
    left: str
    right: str


two = Graph("two", Two)
two.add_node("join", lambda left, right: {"left": right, "right": left}, thread=False)
two.add_path(START, "join", END)


class Talk(BaseModel):
    said: str = ""
    heard: int = 0


async def listen(ctx: Context) -> str:
    """Receive a text."""
    return await ctx.receive("said", str)


own = Graph("own", Talk, limits=Limits(visits=None), result="heard")
own.add_node("listen", listen, writes="said")
own.add_node("count", lambda heard: heard + 1, writes="heard", thread=False)
own.add_edge(START, "listen")
own.add_edge("listen", END, when=value("said") == "bye")
own.add_edge("listen", "count")
own.add_edge("count", "listen")


class Quiz(Talk):
    player: str = ""


quiz = Graph("quiz", Quiz, limits=Limits(visits=None), result="heard")
quiz.add_node("question", ask("Next, after {heard}?"), writes="said")
quiz.add_node("count", lambda heard: heard + 1, writes="heard", thread=False)
quiz.add_edge(START, "question")
quiz.add_edge("question", END, when=value("said") == "bye")
quiz.add_edge("question", "count")
quiz.add_edge("count", "question")


class Again:
    """A model whose first answer of a run does not count: it breaks off, or is refused."""

    name = "again"

    def __init__(self, first: str) -> None:
        self.first = first
        self.asked = 0

    async def answer(self, request: Request) -> Response:
        """Answer word by word."""
        self.asked += 1
        text = self.first if self.asked % 2 else "Whole answer."
        for number, word in enumerate(text.split(" ")):
            if request.streams:
                request.emit_text(f" {word}" if number else word)
            await asyncio.sleep(0.01)
        if text == "Half of an answer":
            raise AnswerTorn("it broke off")
        return Response(text)


def no_draft(answer: str) -> None:
    """Refuse a draft."""
    if "draft" in answer:
        raise ValueError("this is a draft")


torn = Graph.of(Agent("torn", model=Again("Half of an answer")))
checked = Graph.of(Agent("checked", model=Again("A draft of it"), check=no_draft))

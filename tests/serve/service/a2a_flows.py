"""The agents of these tests, and a graph with a remote agent."""

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from graphengine import END, START, Agent, Context, Graph, Media, ScriptedModel, ask, tool
from graphengine.agents import a2a, remote_agent
from graphengine.models import Request, calls

CALLS = Path(os.environ.get("CALLS", os.devnull))
REMOTE = os.environ.get("REMOTE", "http://127.0.0.1:1")
HEADERS = {"Authorization": f"Bearer {os.environ.get('GRAPHENGINE_TOKEN', '')}"}


class Post(BaseModel):
    """Publish a post, once a person agrees."""

    title: str
    text: str = ""
    approved: bool = False


def counted(title: str) -> str:
    """Write, and count the calls."""
    with CALLS.open("a") as file:
        file.write("x")
    return f"All about {title}"


async def write(title: str, ctx: Context) -> str:
    """Write at most once."""
    return await ctx.call(counted, title)


posts = Graph("posts", Post, result="text")
posts.add_node("write", write, writes="text")
posts.add_node("approve", ask("Publish {title}?", bool), writes="approved")
posts.add_path(START, "write", "approve", END)


class Ids(BaseModel):
    ids: list[int]
    chosen: int = 0


picking = Graph("picking", Ids)
picking.add_node("pick", ask("Which id?", int), writes="chosen")
picking.add_path(START, "pick", END)


class Slow(BaseModel):
    file: str
    done: int = 0


async def wait(file: str) -> int:
    """Wait for a file."""
    Path(f"{file}.began").touch()
    while not Path(file).exists():  # noqa: ASYNC110 - a test makes it
        await asyncio.sleep(0.01)
    return 1


slow = Graph("slow", Slow)
slow.add_node("wait", wait, writes="done")
slow.add_path(START, "wait", END)


async def fails(file: str) -> int:
    """Fail."""
    raise ValueError(f"no {file}")


broken = Graph("broken", Slow)
broken.add_node("fails", fails, writes="done")
broken.add_path(START, "fails", END)


class Drawing(BaseModel):
    text: str
    picture: Media | None = None


def draw(text: str) -> Media:
    """Draw a title."""
    return Media(data=text.encode(), type="image/png", name="title.png")


drawing = Graph("drawing", Drawing, result="picture")
drawing.add_node("draw", draw, writes="picture", thread=False)
drawing.add_path(START, "draw", END)


def echoed(request: Request) -> str:
    """Answer with the question."""
    return request.messages[-1].text


assistant = Graph.chat(Agent("assistant", model=ScriptedModel(echoed)))


class Desk(BaseModel):
    """A desk that lets a remote agent publish."""

    title: str
    found: Any = None


KILL = Path(os.environ.get("KILL_AFTER_SENDING", "/none"))
if KILL.exists():
    send = a2a._Remote.send  # noqa: SLF001

    async def sent_and_killed(
        self: Any, message: Any, task: str = "", context: str = "", *, idempotency_key: str = ""
    ) -> Any:
        """Send a message, and end the process before that is recorded."""
        await send(self, message, task, context, idempotency_key=idempotency_key)
        KILL.unlink()
        os.kill(os.getpid(), signal.SIGKILL)

    sent_and_killed.__qualname__ = send.__qualname__  # the key of the call has it
    setattr(a2a._Remote, "send", sent_and_killed)  # noqa: B010, SLF001


def desk(name: str) -> Graph[Desk]:
    """Return a graph that gives its title to a remote agent."""
    graph = Graph(f"desk of {name}", Desk, result="found")
    far = remote_agent(f"{REMOTE}/a2a/{name}", headers=HEADERS)
    graph.add_node("remote", far, inputs={"message": "title"}, writes="found")
    graph.add_path(START, "remote", END)
    return graph


desk_of_posts, desk_of_slow, desk_of_broken = desk("posts"), desk("slow"), desk("broken")


def using(request: Request) -> object:
    """Call the tool, then say what it returned."""
    last = request.messages[-1]
    return last.text if last.role == "tool" else calls(("ask_agent", {"message": "Tides"}))


remote = tool(remote_agent(f"{REMOTE}/a2a/posts", headers=HEADERS))
boss = Graph.of(Agent("boss", model=ScriptedModel(using), tools=[remote]))

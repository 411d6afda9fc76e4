"""The graphs that the services of these tests serve."""

import asyncio
import os
import resource
import signal
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, NotRequired

from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import TypedDict

from graphengine import END, START, Context, Graph, Limits, ask, value
from graphengine.serve.callers_runner import CallersRunner
from graphengine.state.secret import Secret

if "DESCRIPTORS" in os.environ:
    most = int(os.environ["DESCRIPTORS"])
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
KILL = Path(os.environ.get("KILL_BEFORE_THE_ANSWER", "/none"))


class Post(BaseModel):
    model_config = ConfigDict(validate_by_name=True)

    title: str = Field(alias="Title")
    text: str = ""
    approved: bool = False
    at: datetime = Field(default_factory=lambda: datetime.now(UTC))


async def write(title: str) -> str:
    """Return a text."""
    return f"All about {title}"


posts = Graph("posts", Post, result="text")
posts.add_node("write", write, writes="text")
posts.add_node("approve", ask("Publish {title}?", bool), writes="approved")
posts.add_path(START, "write", "approve")
posts.add_edge("approve", END, when=value("approved").is_true(), label="published")
posts.add_edge("approve", END, label="refused")


class Desk(TypedDict):
    event: dict[str, Any]
    heard: NotRequired[list[int]]


async def hear(ctx: Context) -> list[int]:
    """Return two messages."""
    return [await ctx.receive("tips", int), await ctx.receive("tips", int)]


desk = Graph("news desk", Desk)
desk.add_node("hear", hear, writes="heard")
desk.add_path(START, "hear", END)


class Account(BaseModel):
    token: Annotated[str, Secret]
    greeting: str = ""


vault = Graph("vault", Account, secret_key="0123456789abcdefghijklmnopqrstuvwxyz", result="greeting")  # noqa: S106
vault.add_node("greet", lambda token: "Hello", writes="greeting", thread=False)
vault.add_path(START, "greet", END)


class Slow(BaseModel):
    file: str
    done: int = 0


async def wait(file: str) -> int:
    """Wait for a file."""
    Path(f"{file}.began").touch()
    while not Path(file).exists():  # noqa: ASYNC110 - another process makes it
        await asyncio.sleep(0.01)
    return 1


slow = Graph("slow", Slow, limits=Limits(visits=1_000_000))
slow.add_node("first", wait, writes="done")
slow.add_node("count", lambda done: done + 1, writes="done", thread=False)
slow.add_path(START, "first", "count")
slow.add_edge("count", END, when=value("done") >= 1_000_000)
slow.add_edge("count", "count")


class Printed(BaseModel):
    file: str
    agreed: bool = False
    done: int = 0


press = Graph("press", Printed)
press.add_node("agree", ask("Print it?", bool), writes="agreed")
press.add_node("print", wait, writes="done")
press.add_path(START, "agree", "print", END)


async def sail(file: str) -> int:
    """Fail unless the file exists."""
    if not Path(file).exists():
        raise RuntimeError("no pilot boat goes out")
    return 1


port = Graph("port", Printed)
port.add_node("sail", sail, writes="done")
port.add_node("agree", ask("Unload it?", bool), writes="agreed")
port.add_path(START, "sail", "agree", END)

if KILL.exists():
    KILL.unlink()

    async def killed(*_: object) -> None:
        """End the process: the run is recorded, and not answered yet."""
        os.kill(os.getpid(), signal.SIGKILL)

    CallersRunner.now = killed  # type: ignore[assignment,method-assign]  # what it answers with

"""Graphs to run, and the command line as a process of its own."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Timer
from typing import Any, TypeAlias

import pytest
from click.testing import Result

from tests.kit import forks

ROOT = Path(__file__).resolve().parents[2]
VARIABLES = {"FORCE_COLOR": "1", "TERM": "xterm-256color"}

COUNTER = """
from typing import Annotated
from pydantic import BaseModel
from graphengine import END, START, Graph, TextFile, value
from graphengine.reducers import append

class Count(BaseModel):
    n: int = 0
    goal: int = 3
    text: str = ""
    words: list[str] = []
    files: list[TextFile] = []
    notes: Annotated[list[str], append] = []

def more(n: int) -> int:
    return n + 1

graph = Graph("counter", Count, result="text")
graph.add_node("more", more, writes="n", thread=False)
graph.add_edge(START, "more")
graph.add_edge("more", END, when=value("n") >= 3, label="enough")
graph.add_edge("more", "more")
"""

GATED = """
import asyncio
import sys
import time
from pathlib import Path
from pydantic import BaseModel
from graphengine import END, START, Graph

HERE = Path(__file__).parent

class Work(BaseModel):
    first: str = ""
    second: str = ""
    third: str = ""

def note(name: str) -> None:
    with (HERE / "log.txt").open("a") as file:
        file.write(name + "\\n")
    if name == "second":
        print("in", name, file=sys.stderr, flush=True)

async def first() -> str:
    note("first")
    return "one"

async def second(first: str) -> str:
    note("second")
    while not (HERE / "gate").exists():
        time.sleep(0.01) if (HERE / "blocking").exists() else await asyncio.sleep(0.01)
    return first + " two"

async def third(second: str) -> str:
    note("third")
    return second + " three"

graph = Graph("gated", Work, result="third")
graph.add_node("first", first, writes="first")
graph.add_node("second", second, writes="second")
graph.add_node("third", third, writes="third")
graph.add_path(START, "first", "second", "third", END)
"""

WAITING = """
from typing import Annotated, Literal
from pydantic import BaseModel
from graphengine import END, START, Context, Graph, ask
from graphengine.reducers import append

class Desk(BaseModel):
    title: str = "Ants"
    style: str = ""
    tip: object = None
    ok: bool = False

async def listen(ctx: Context) -> object:
    return await ctx.receive("tips")

graph = Graph("waiting", Desk, result="style")
graph.add_node("style", ask("Which style?", str), writes="style")
graph.add_node("listen", listen, writes="tip")
graph.add_node("merge")
graph.add_node("publish", ask("Publish {title}?", bool, timeout_seconds=86_400, default=False), writes="ok")
graph.add_fork(START, ["style", "listen"], join="merge")
graph.add_edge("style", "merge")
graph.add_edge("listen", "merge")
graph.add_path("merge", "publish", END)
"""
"""A question and a message side by side, then a question that has a default."""

ASKING = """
from typing import Any, Literal
from pydantic import BaseModel
from graphengine import END, START, Graph, ask

class Answer(BaseModel):
    given: Any = None

graph = Graph("asking", Answer, result="given")
graph.add_node("question", ask("What?", TYPE), writes="given")
graph.add_path(START, "question", END)
"""

NAPPING = """
from pathlib import Path
from pydantic import BaseModel
from graphengine import END, START, Context, Graph

HERE = Path(__file__).parent

class Nap(BaseModel):
    seconds: float = 3600
    told: str = ""

async def nap(ctx: Context, seconds: float) -> str:
    await ctx.sleep(seconds)
    return "awake"

graph = Graph("napping", Nap, result="told")
graph.add_node("nap", nap, writes="told")
graph.add_path(START, "nap", END)
"""

MAPPED = """
from pydantic import BaseModel
from graphengine import END, START, Graph, value

class Piece(BaseModel):
    topic: str
    rounds: int = 0

article = Graph("article", Piece, result="rounds")
article.add_node("write", lambda rounds: rounds + 1, writes="rounds", thread=False)
article.add_path(START, "write")
article.add_edge("write", END, when=value("rounds") >= 2, label="good")
article.add_edge("write", "write")

class News(BaseModel):
    topics: list[str] = [str(n) for n in range(COUNT)]
    found: list[str] = []
    counts: list[int] = []
    total: int = 0

def read(topic: str) -> str:
    if topic in ("3", "4"):
        raise ValueError("no such topic")
    return "read " + topic

graph = Graph("news", News)
graph.add_node("read", read, each={"topic": "topics"}, fallback="?", writes="found", thread=False)
graph.add_node("article", article, inputs={"topic": "topics[0]"}, writes="total")
graph.add_node("articles", article, each={"topic": "topics"}, writes="counts")
graph.add_path(START, "read", "article", "articles", END)
"""
"""A map, a graph inside, and a map over that."""

COMPARED = """
from pydantic import BaseModel
from graphengine import END, START, Agent, Graph, ScriptedModel, ask, value
from graphengine.models import Response
class Desk(BaseModel):
    task: str = ""
    draft: str = ""
    ok: bool | None = None
def written(request):
    return Response(request.system + " " + request.messages[0].text, cost_usd=0.25)
dear = ScriptedModel(lambda request: Response("dear", cost_usd=2.0))
dear.name = "dear"
MODELS = {"dear": {"writer": dear}}
def short(draft: str) -> bool:
    return draft.startswith("Short")
SCORERS = [short]
graph = Graph("desk", Desk, result="draft")
writer = Agent("writer", system="Short.", prompt="On {task}", model=ScriptedModel(written))
graph.add_node("draft", writer, writes="draft")
graph.add_node("ok", ask("Post it?", bool), writes="ok")
graph.add_edge(START, "draft")
graph.add_edge("draft", "ok", when=value("task") == "asked")
graph.add_edge("draft", END, label="at once")
graph.add_edge("ok", END, label="asked")
"""
"""An agent whose answers are compared: a model with another price, a scorer, and a question for one task."""

Process: TypeAlias = "subprocess.Popen[str] | forks.Started"

STARTED: "list[subprocess.Popen[str] | forks.Child]" = []
"""The processes that the current test has started; `conftest` ends those that are left."""

Invoke: TypeAlias = Callable[..., Result]


def start(folder: Path, *words: str) -> forks.Started:
    """Start the command line in a process of its own, a fork of one that has loaded it."""
    process = forks.start("graphengine", *words, folder=folder, variables=VARIABLES, loads=_loads(words))
    process.stdin.close()
    STARTED.append(process)
    return process


def launch(folder: Path, *words: str, **options: Any) -> "subprocess.Popen[str]":
    """Start the command line in an interpreter of its own, with these options of `Popen`."""
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "PYTHONPATH": path, **VARIABLES}
    settings = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "env": environment, **options}
    command = [sys.executable, "-m", "graphengine", *words]
    process = subprocess.Popen(command, cwd=folder, text=True, **settings)
    STARTED.append(process)
    return process


def call(folder: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    """Run the command line in a process of its own, a fork of one that has loaded it, and wait for its end."""
    return forks.run("graphengine", *words, folder=folder, variables=VARIABLES, loads=_loads(words))


def _loads(words: Sequence[str]) -> Sequence[str]:
    """Return what a command with these arguments imports for its models and its workflow."""
    line = " ".join(words)
    sdks = forks.SDKS if re.search(r"\b(anthropic|openai|openai-chat):", line) else ()
    return (*sdks, *(forks.WORKFLOWS if "review_loop" in line else ()))


def read_until(process: Process, text: str) -> str:
    """Read a process's stderr up to the line with the text; end a process that never writes it."""
    assert process.stderr is not None
    lines = []
    watchdog = Timer(30, process.kill)
    watchdog.start()
    try:
        for line in process.stderr:
            lines.append(line)
            if text in line:
                return "".join(lines)
    finally:
        watchdog.cancel()
    pytest.fail(f"{text!r} never came: {''.join(lines)}")


def read_line(process: Process) -> str:
    """Return the next line of a process's stdout; end a process that never writes one."""
    assert process.stdout is not None
    watchdog = Timer(30, process.kill)
    watchdog.start()
    try:
        line = process.stdout.readline()
    finally:
        watchdog.cancel()
    assert line, "it wrote no other line"
    return line


def document(text: str) -> dict[str, Any]:
    """Return the JSON document of a text."""
    found = json.loads(text)
    assert isinstance(found, dict)
    return found

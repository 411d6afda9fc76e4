"""docs/use/does_not_move.md: each state of a run is shown as the page shows the state, by the same commands.

The runs are made here, one for each state; the page has what the commands then print. `…` matches anything.
"""

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import chdir, contextmanager, suppress
from pathlib import Path
from textwrap import dedent

import pytest
from click.testing import CliRunner
from pydantic import BaseModel

from graphengine import END, START, Agent, Budget, Budgets, Context, Graph, RunFailed, Runner, ScriptedModel, ask
from graphengine.cli import run as run_command
from graphengine.cli.main import main
from graphengine.models import Response
from graphengine.runner.run_events import StepRecorded
from tests.docs.page import FENCE, USE
from tests.docs.test_tutorial import commands, matches

PAGE = USE / "does_not_move.md"
DATABASE = "checkpoints/runs.db"
DIES = """
    import os
    from pydantic import BaseModel
    from graphengine import END, START, Graph

    class Order(BaseModel):
        note: str = ""

    def pay() -> None:
        os._exit(1)

    graph = Graph("order", Order)
    graph.add_node(pay)
    graph.add_path(START, "pay", END)
    graph.run_sync(store="checkpoints/runs.db", run_id="interrupted")
"""


class Order(BaseModel):
    note: str = ""
    agreed: bool = False


def order(name: str, node: object) -> Graph[Order]:
    """Return a graph of one node."""
    graph = Graph("order", Order)
    graph.add_node(name, node)  # type: ignore[arg-type]
    graph.add_path(START, name, END)
    return graph


def asking() -> Graph[Order]:
    """Return a graph that asks a person."""
    graph = Graph("order", Order)
    graph.add_node("approve", ask("Pay the order?", bool), writes="agreed")
    graph.add_path(START, "approve", END)
    return graph


async def paid(ctx: Context) -> None:
    """Wait for a message."""
    await ctx.receive("paid", str)


async def tomorrow(ctx: Context) -> None:
    """Wait for a time."""
    await ctx.sleep(86_400)


def fail() -> None:
    """Raise."""
    raise OSError("the bank is closed")


def write() -> Graph[Order]:
    """Return a graph that asks a model."""
    graph = Graph("order", Order)
    graph.add_node("write", Agent("writer", prompt="Write."), writes="note")
    graph.add_path(START, "write", END)
    return graph


async def record() -> None:
    """Record a run in each state in which no process is needed."""
    budgets = Budgets(Budget(name="a graph's month", by="graph", window="month", calls=1))
    model = ScriptedModel([Response("Dear all, …"), Response("Dear all, …")])
    async with Runner(DATABASE, models=model, extensions=[budgets]) as runner:
        await runner.start(order("pay", dict), run_id="queued", queue="mail").result()
        for name in ("person", "answered"):
            await runner.start(asking(), run_id=name).result()
        await runner.start(order("wait", paid), run_id="message").result()
        await runner.start(write(), run_id="spent").result()
        for run in (runner.start(order("remind", tomorrow), run_id="time"), runner.start(write(), run_id="budget")):
            async for event in run.events(wait_out=True):
                if isinstance(event, StepRecorded) and event.step.kind == "waiting":
                    break
        with suppress(RunFailed):
            await runner.start(order("pay", fail), run_id="failed").result()


@contextmanager
def hanging() -> Iterator[None]:
    """Let a run hang in a thread during the block."""
    began, let_go = threading.Event(), threading.Event()

    async def fetch() -> None:
        began.set()
        let_go.wait(60)

    async def drive() -> None:
        async with Runner(DATABASE) as runner:
            await runner.start(order("fetch", fetch), run_id="hangs").result()

    with ThreadPoolExecutor(1) as pool:
        driven = pool.submit(asyncio.run, drive())
        assert began.wait(60)
        try:
            yield
        finally:
            let_go.set()
        driven.result()


def outputs() -> Iterator[tuple[str, str, str]]:
    """Yield each command of the page with what the page shows and what is printed."""
    for language, block in FENCE.findall(PAGE.read_text(encoding="utf-8")):
        if language == "console":
            for line, text in commands(block):
                yield line, text, CliRunner().invoke(main, line.split()[1:]).output


def test_each_state_is_shown_as_on_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The runs have the names of their states."""
    monkeypatch.setattr(run_command, "REACTION_SECONDS", 0.0)
    died = subprocess.run(
        [sys.executable, "-c", dedent(DIES)], cwd=tmp_path, env=os.environ, capture_output=True, check=False, timeout=60
    )
    assert died.returncode == 1
    with chdir(tmp_path):
        asyncio.run(record())
        with hanging():
            found = [(line, text, printed) for line, text, printed in outputs() if text and not matches(text, printed)]
    assert not found, "\n".join(
        f"$ {line}\nthe page has:\n{text}\nand it is:\n{printed}" for line, text, printed in found
    )

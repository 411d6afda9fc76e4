"""What the commands say of a run that is at work in another thread, and of a process that does not react to a stop."""

import asyncio
import json
import os
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from graphengine import END, START, Graph, Runner
from graphengine.cli import run as run_command
from tests.cli.programs import Invoke

HERE = f"process {os.getpid()} on {socket.gethostname()}"


class State(BaseModel):
    n: int = 0


@contextmanager
def at_work(node: Callable[[], Any], began: threading.Event) -> Iterator[None]:
    """Let a run be at work on a node in a thread, during the block."""
    graph = Graph("hang", State)
    graph.add_node("fetch", node, writes="n", thread=False)
    graph.add_path(START, "fetch", END)

    async def drive() -> None:
        async with Runner("checkpoints/runs.db") as runner:
            await runner.start(graph, run_id="hang").result()

    with ThreadPoolExecutor(1) as pool:
        driven = pool.submit(asyncio.run, drive())
        assert began.wait(60)
        yield
        driven.result()


def held() -> tuple[Callable[[], int], threading.Event, threading.Event]:
    """Return a node that holds its event loop, when it began, and what lets it go."""
    began, let_go = threading.Event(), threading.Event()

    def hold() -> int:
        began.set()
        assert let_go.wait(60)
        return 1

    return hold, began, let_go


def test_show_and_runs_say_what_a_run_is_doing(project: Path, invoke: Invoke) -> None:
    """They name the node and since when, the last step and its age, and the process as `workers` prints it."""
    del project
    hold, began, let_go = held()
    with at_work(hold, began):
        shown, listed = " ".join(invoke("show", "hang").stdout.split()), invoke("runs").stdout
        for text in (shown, listed):
            assert "at fetch for " in text
            assert "; last step 1, " in text
            assert f" ago; {HERE}" in text
        (worker,) = json.loads(invoke("workers", "--json").stdout)["workers"]
        of_show = json.loads(invoke("show", "hang", "--json").stdout)["at_work"]
        (of_runs,) = (each["at_work"] for each in json.loads(invoke("runs", "--json").stdout)["runs"])
        (of_tree,) = (each["at_work"] for each in json.loads(invoke("runs", "--tree", "--json").stdout)["runs"])
        assert of_show["process"] == {"host": worker["host"], "pid": worker["pid"]}
        for found in (of_runs, of_tree):
            assert {**found, "last_step": 0} == {**of_show, "last_step": 0}
        assert json.loads(invoke("show", "hang", "--at", "1", "--json").stdout)["at_work"] is None
        let_go.set()
    assert json.loads(invoke("show", "hang", "--json").stdout)["at_work"] is None


def test_a_stop_without_a_reaction_names_the_process_to_end(
    project: Path, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process whose event loop is held cannot take the stop up; the stop stays asked for."""
    del project
    monkeypatch.setattr(run_command, "REACTION_SECONDS", 0.0)
    hold, began, let_go = held()
    with at_work(hold, began):
        stopped = invoke("stop", "hang", "--now")
        assert (stopped.exit_code, stopped.stdout.startswith("asked the process that drives run hang")) == (0, True)
        said = " ".join(stopped.stderr.split())
        assert f"{HERE} has not reacted for 0 s. Either code holds its event loop" in said
        assert f"To end the process: kill -9 {os.getpid()} " in said
        document = json.loads(invoke("stop", "hang", "--now", "--json").stdout)
        assert (document["stop"], document["silent"]["pid"]) == ("asked", os.getpid())
        assert "has not reacted" not in invoke("stop", "hang").stderr
        let_go.set()


def test_a_stop_that_is_obeyed_at_once_says_that_the_run_is_stopped(project: Path, invoke: Invoke) -> None:
    """The node is cancelled, and no process is named."""
    del project
    began = threading.Event()

    async def wait() -> int:
        began.set()
        await asyncio.Event().wait()
        return 1

    with at_work(wait, began):
        stopped = invoke("stop", "hang", "--now", "--json")
        assert json.loads(stopped.stdout) == {"schema": 2, "run_id": "hang", "stop": "done", "silent": None}
    assert json.loads(invoke("show", "hang", "--json").stdout)["status"] == "stopped"

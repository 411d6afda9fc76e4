"""`run --queue`, `queues`, `workers` and `worker --queue`: a run is queued in one process and driven in another."""

import json
import os
import shlex
import signal
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from graphengine.cli.main import main
from tests.cli.conftest import present
from tests.cli.programs import start
from tests.kit.documents import check_document

FLOW = """
from pydantic import BaseModel
from graphengine import END, START, Graph


class State(BaseModel):
    n: int = 0


def more(n: int) -> int:
    return n + 1


graph = Graph("flow", State)
graph.add_node("more", more, writes="n")
graph.add_path(START, "more", END)
"""


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Path]:
    """A folder with a graph."""
    (tmp_path / "flow.py").write_text(FLOW)
    with present(tmp_path, tmp_path):
        yield tmp_path


def ran(*words: str, code: int = 0) -> str:
    """Return what a command prints."""
    found = CliRunner().invoke(main, words)
    assert found.exit_code == code, found.output
    return found.stdout


def test_the_printed_command_of_a_worker_drives_a_queued_run(project: Path) -> None:
    """The printed command drives a queued run after `run --queue`, and after an import, which keeps its place."""
    queued = CliRunner().invoke(main, ["run", "flow.py", "--run-id", "r", "--queue", "-q", "--tenant", "acme"])
    assert queued.exit_code == 0
    assert " worker --queue -q --graph flow.py\n" in queued.stderr
    assert "queued in -q: no worker has begun it yet" in ran("show", "r")
    assert json.loads(ran("show", "r", "--json"))["status"] == "queued"
    ran("export", "r", "-o", "r.json")
    done = CliRunner().invoke(main, ["import", "r.json", "--store", "other.db"])
    assert "run r of flow, 1 step, queued: recorded" in done.stdout
    line = next(line for line in done.stderr.splitlines() if line.startswith("worker: "))
    assert line.endswith(" worker --queue -q --graph FILE --store other.db")
    (listed,) = json.loads(ran("runs", "--status", "queued", "--store", "other.db", "--json"))["runs"]
    assert (listed["queue"], listed["tenant"]) == ("-q", "acme")
    words = shlex.split(line.partition(" ")[2].replace("FILE", "flow.py"))
    words = words[words.index("worker") :]
    worker = start(project, *words, "--json")
    assert [json.loads(worker.stdout.readline())["event"] for _ in range(2)] == ["goes_on", "ended"]
    worker.terminate()
    worker.communicate()


def test_a_worker_of_a_queue_is_listed_and_says_that_it_is_well(project: Path) -> None:
    """It drives the queued run, `workers` shows it while it is alive, and its health endpoint that it works."""
    ran("run", "flow.py", "--run-id", "r", "--queue", "mail")
    worker = start(project, "worker", "--graph", "flow.py", "--queue", "mail", "--json", "--health", "0")
    lines = [json.loads(worker.stdout.readline()) for _ in range(2)]
    assert [(line["event"], line["run_id"]) for line in lines] == [("goes_on", "r"), ("ended", "r")]
    assert lines[0]["why"] == "queued"
    address = next(line.split()[-1] for line in worker.stderr if line.startswith("health: "))
    with urllib.request.urlopen(address, timeout=10) as answer:  # noqa: S310 - our own address
        assert json.load(answer)["status"] == "working"
    document = ran("workers", "--json")
    check_document("workers", json.loads(document))
    (found,) = json.loads(document)["workers"]
    assert (found["pid"], found["role"]["queues"], found["driven"]) == (worker.pid, ["mail"], 0)
    assert "worker" in ran("workers")
    os.kill(worker.pid, signal.SIGTERM)
    assert worker.wait(20) == 0
    assert "finished" in ran("runs")

"""Workers as processes of their own, and signals while a run sleeps."""

import asyncio
import json
import re
import signal
import time
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from graphengine import Runner
from graphengine.runner import StepRecorded
from graphengine.testing import FakeClock
from tests.cli.programs import ASKING, GATED, NAPPING, call, document, read_line, read_until, start
from tests.kit.forks import Started

FIRST = (
    GATED.replace(
        'async def first() -> str:\n    note("first")',
        'async def first() -> str:\n    note("first")\n    await hold("first")',
    )
    .replace(
        "async def first",
        """async def hold(name: str) -> None:
    print("holding", name, os.getpid(), file=sys.stderr, flush=True)
    while not (HERE / "go").exists():
        await asyncio.sleep(0.01)

async def first""",
        1,
    )
    .replace("import asyncio\n", "import asyncio\nimport os\n", 1)
)
"""The first node waits until a file named go exists; the second until one named gate exists."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder whose project has the graphs `gated`, `napping` and `asking`."""
    (tmp_path / "pyproject.toml").write_text('[tool.graphengine]\ngraphs = ["flows"]\n')
    (tmp_path / "flows").mkdir()
    for name, text in (("gated", FIRST), ("napping", NAPPING), ("asking", ASKING.replace("TYPE", "str"))):
        (tmp_path / "flows" / f"{name}.py").write_text(text)
    return tmp_path


def worker(folder: Path, *words: str) -> Started:
    """Start a worker that polls often, and wait until it is at work."""
    process = start(folder, "worker", "--poll", "0.05", *words)
    read_until(process, "worker for ")
    return process


def status(folder: Path, run_id: str) -> str:
    """Return a run's recorded status."""
    found = document(call(folder, "show", run_id, "--json").stdout)["status"]
    assert isinstance(found, str)
    return found


def asleep(folder: Path) -> None:
    """Record the run `n`, which fell asleep two hours ago, for one hour: it is due now."""
    namespace: dict[str, Any] = {"__file__": str(folder / "flows" / "napping.py")}
    exec(NAPPING, namespace)  # noqa: S102 - our own program

    async def record() -> None:
        clock = FakeClock(time.time() - 7200, jumps=False)
        async with (
            Runner(folder / "checkpoints" / "runs.db", clock=clock) as runner,
            aclosing(runner.start(namespace["graph"], run_id="n").events()) as events,
        ):
            async for event in events:
                if isinstance(event, StepRecorded) and event.step.kind == "waiting":
                    break

    asyncio.run(record())


def interrupted(folder: Path, run_id: str = "r") -> None:
    """Return a run of `gated` whose process was killed in its first node."""
    process = start(folder, "run", "gated", "--run-id", run_id)
    read_until(process, "holding first")
    process.kill()
    process.communicate(timeout=60)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_a_sleeping_run_waiting(folder: Path, number: signal.Signals) -> None:
    """A signal gives exit code 3 and the end of the sleep; the run is not stopped, and a resume continues to sleep."""
    for words in (["run", "napping", "--run-id", "n"], ["resume", "n"]):
        process = start(folder, *words)
        message = read_until(process, "sleeps   until ")
        assert "run n of napping" in message
        assert "Ctrl-C leaves the run waiting" in message
        process.send_signal(number)
        out, rest = process.communicate(timeout=60)
        assert (process.returncode, out) == (3, "")
        assert "leaving the run waiting" in rest
        assert "nap: waits until " in rest
        assert status(folder, "n") == "waiting"


def test_a_command_waits_while_its_run_sleeps(folder: Path) -> None:
    """The command continues when the time has come, and Ctrl-C in a node after that stops the run."""
    done = call(folder, "run", "napping", "--input", "seconds=0.1")
    assert (done.returncode, done.stdout) == (0, "awake\n")
    assert "answered nap: its time has come" in done.stderr


def test_a_worker_continues_the_due_runs(folder: Path) -> None:
    """A sleeping run, an answered one and one whose process was killed; a line for each start, and one for its end."""
    asleep(folder)
    interrupted(folder)
    assert call(folder, "run", "asking", "--run-id", "a").returncode == 3
    (folder / "flows" / "go").touch()
    (folder / "flows" / "gate").touch()
    process = worker(folder, "--json")
    answer(folder, "a", "blue")
    lines: list[dict[str, Any]] = []
    while len([line for line in lines if line["event"] == "ended"]) < 3:
        lines.append(json.loads(read_line(process)))
    process.send_signal(signal.SIGTERM)
    rest, message = process.communicate(timeout=60)
    assert (process.returncode, rest) == (0, "")
    assert "SIGTERM: releasing the runs" in message
    assert all(line["schema"] == 2 for line in lines)
    taken = {line["run_id"]: (line["graph"], line["why"]) for line in lines if line["event"] == "goes_on"}
    assert taken == {"n": ("napping", "due"), "r": ("gated", "orphan"), "a": ("asking", "sent")}
    assert {line["run_id"]: line["status"] for line in lines if line["event"] == "ended"} == dict.fromkeys(
        taken, "finished"
    )


def answer(folder: Path, run_id: str, value: str) -> None:
    """Record an answer, and leave the run to another process."""

    async def post() -> None:
        async with Runner(folder / "checkpoints" / "runs.db") as runner:
            await runner.answer(run_id, value)

    asyncio.run(post())


def log(folder: Path) -> list[str]:
    """Return the nodes of `gated` that began, in order."""
    return (folder / "flows" / "log.txt").read_text().split()


def test_a_worker_that_is_stopped_releases_its_runs(folder: Path) -> None:
    """The node in flight finishes and is recorded; the run is not stopped, and the next worker continues after it."""
    interrupted(folder)
    process = worker(folder)
    assert "resumes  r of gated: no process was driving it" in read_line(process)
    read_until(process, "holding first")
    process.send_signal(signal.SIGTERM)
    read_until(process, "SIGTERM: releasing the runs after the nodes in flight")
    assert status(folder, "r") == "running"  # the node is in flight, and the worker has had time to receive the signal
    (folder / "flows" / "go").touch()
    out, message = process.communicate(timeout=60)
    assert (process.returncode, out) == (0, "left     r of gated\n")
    assert "worker stopped" in message
    found = document(call(folder, "show", "r", "--json").stdout)
    assert (found["status"], found["state"]["first"], found["state"]["second"]) == ("interrupted", "one", "")
    (folder / "flows" / "gate").touch()
    process = worker(folder)
    assert [read_line(process).split()[0] for _ in range(2)] == ["resumes", "finished"]
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 0
    assert log(folder) == ["first", "first", "second", "third"]


def test_ctrl_c_twice_ends_a_worker_at_once(folder: Path) -> None:
    """Exit code 130, with no wait for the node in flight."""
    interrupted(folder)
    process = worker(folder)
    read_until(process, "holding first")
    process.send_signal(signal.SIGINT)
    read_until(process, "releasing the runs after the nodes in flight; Ctrl-C again ends at once")
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130


def test_a_worker_takes_over_what_a_killed_one_drove(folder: Path) -> None:
    """Two workers share a database, and no run is driven by both; after kill -9 the other one finishes it."""
    interrupted(folder)
    first = worker(folder)
    read_until(first, "holding first")
    second = worker(folder)
    other = call(folder, "resume", "r")
    assert other.returncode == 6
    message = rf"run 'r' is driven by process {first.pid} on \S+ \(owner \w+\), whose lease ends at [\d-]+ [\d:]+ UTC"
    assert re.search(message, other.stderr)
    first.kill()
    first.communicate(timeout=60)
    assert "resumes  r" in read_line(second)
    (folder / "flows" / "go").touch()
    (folder / "flows" / "gate").touch()
    assert "finished r" in read_line(second)
    second.send_signal(signal.SIGTERM)
    second.communicate(timeout=60)
    assert log(folder) == ["first", "first", "first", "second", "third"]


def test_a_worker_shows_why_a_run_failed(folder: Path) -> None:
    """The error and the command that resumes the run; the worker continues with others."""
    (folder / "flows" / "go").touch()
    (folder / "flows" / "gate").touch()
    asleep(folder)
    broken = NAPPING.replace('return "awake"', 'raise ValueError("no luck")')
    (folder / "flows" / "napping.py").write_text(broken)
    (folder / "flows" / "wrong.py").write_text("1 / 0")
    process = start(folder, "worker", "--poll", "0.05")
    assert "wrong.py is left out: ZeroDivisionError" in read_until(process, "worker for 3 graphs")
    assert read_line(process).startswith("resumes  n of napping")
    assert read_line(process) == "failed   n of napping at nap: ValueError\n"
    assert "graphengine resume n" in read_until(process, "resume: ")
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 0
    assert status(folder, "n") == "failed"


def test_an_answer_to_a_run_that_is_driven_is_left_to_its_driver(folder: Path) -> None:
    """Exit code 0, since it is recorded; the process that drives the run continues it."""
    text = """
from graphengine import ask
graph = Graph("both", Work, result="third")
graph.add_node("second", second, writes="second")
graph.add_node("question", ask("What?", str), writes="third")
graph.add_node("merge")
graph.add_fork(START, ["second", "question"], join="merge")
graph.add_edge("second", "merge")
graph.add_edge("question", "merge")
graph.add_edge("merge", END)
"""
    (folder / "flows" / "both.py").write_text(GATED.split("graph = ")[0] + text)
    process = start(folder, "run", "both", "--run-id", "b")
    read_until(process, "waits    question: What?")
    done = call(folder, "answer", "b", "blue", "--json")
    assert (done.returncode, document(done.stdout)) == (0, {"schema": 2, "run_id": "b", "answer": "recorded"})
    read_until(process, "question (visit 1)")
    (folder / "flows" / "gate").touch()
    out, _ = process.communicate(timeout=60)
    assert (process.returncode, out) == (0, "blue\n")


def test_a_worker_removes_old_runs_as_the_project_says(folder: Path) -> None:
    """It says how many of which graph, in words and as a document; a worker of a project without retention none."""
    for run_id in ("a", "b"):
        call(folder, "run", "napping", "--input", "seconds=0", "--run-id", run_id)
    process = worker(folder)
    process.terminate()
    assert process.communicate(timeout=60)[0] == ""
    settings = folder / "pyproject.toml"
    settings.write_text(settings.read_text() + "\n[tool.graphengine.retention]\nkeep_days = 0\n")
    process = worker(folder, "--json")
    found = document(read_line(process))
    assert (found["event"], found["graph"], found["runs"]) == ("removed", "napping", 2)
    process.terminate()
    process.communicate(timeout=60)
    call(folder, "run", "napping", "--input", "seconds=0", "--run-id", "c")
    process = worker(folder)
    assert read_line(process) == "removed  1 run of napping, as its retention says\n"
    process.terminate()
    process.communicate(timeout=60)


@pytest.mark.parametrize(
    ("settings", "days"),
    [
        ("", "for 30 days, failed and stopped ones for 90 days"),
        ("keep_days = inf", "for ever, failed and stopped ones"),
    ],
)
def test_a_service_says_how_long_it_keeps_runs(folder: Path, settings: str, days: str) -> None:
    """Its default, or what the project says, and where to change it."""
    pytest.importorskip("starlette")
    place = folder / "pyproject.toml"
    place.write_text(
        f"{place.read_text()}\n[tool.graphengine.retention]\n{settings}\n" if settings else place.read_text()
    )
    process = start(folder, "serve", "--port", "0")
    line = read_until(process, "finished runs are kept")
    assert (days in line, "[tool.graphengine.retention]" in line) == (True, True)
    process.terminate()
    assert process.wait(60) == 0


def test_a_message_without_a_resume_sees_a_living_worker(folder: Path) -> None:
    """What waits, and no process drives, is taken by a worker of its graph: the command names it."""
    assert call(folder, "run", "asking", "--run-id", "a1").returncode == 3
    words = ("send", "a1", "news", "1", "--no-resume")
    assert "no process drives run a1" in call(folder, *words).stderr

    async def beside(graph: str) -> str:
        async with Runner(folder / "checkpoints" / "runs.db") as runner:
            await runner.store.set_role({"graphs": [graph]})
            return (await asyncio.to_thread(call, folder, *words)).stderr

    assert "no process drives run a1" in asyncio.run(beside("other"))
    assert "run a1 is taken by a worker, process " in asyncio.run(beside("asking"))

"""The whole Context in a child process: recorded work, waits and messages are those of the same node in place."""

import asyncio
import contextlib
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from graphengine import END, START, Graph, Retry, RunFailed, Runner, Sizes
from graphengine.executors import ProcessExecutor
from graphengine.runner import Result
from graphengine.testing import FakeClock
from tests.kit import heavy_nodes as heavy

ROOT = Path(__file__).resolve().parents[2]
TWICE = Retry(attempts=2, initial_seconds=0)


def graph(function: Callable[..., Any], writes: str = "out", **options: Any) -> Graph[heavy.Job]:
    """A graph of one node."""
    made = Graph("heavy", heavy.Job)
    made.add_node("work", function, writes=writes, **options)
    made.add_path(START, "work", END)
    return made


def done(folder: Path) -> Counter[str]:
    """Return what was done how often."""
    return Counter(line.split()[0] for line in (folder / "done").read_text().splitlines())


async def driven(runner: Runner, made: Graph[heavy.Job], name: str, folder: Path) -> Result[heavy.Job]:
    """Run a graph to its end, and answer its questions."""
    run = runner.start(made, {"n": 3, "folder": str(folder)}, run_id=name)
    while (result := await run.result()).status == "waiting":
        for wait in result.waits:
            if wait.kind == "ask":
                await runner.answer(name, 5 if wait.name == "many" else {"width": 7}, question=wait.name)
            elif wait.topic == "news":
                await runner.send(name, "news", 4)
            elif isinstance(runner.clock, FakeClock):
                runner.clock.move(5)  # no message is sent
        run = runner.resume(made, name)
    return result


NODES: list[tuple[Callable[..., Any], str, dict[str, Any]]] = [
    (heavy.works, "facts", {}),
    (heavy.asks, "facts", {}),
    (heavy.races, "out", {}),
    (heavy.fails_in_work, "out", {"retry": TWICE}),
    (heavy.forgets, "out", {}),
    (heavy.leaves, "out", {}),
    (heavy.records_a_set, "out", {}),
    (heavy.sends_a_lambda, "out", {}),
    (heavy.asks_inside_work, "out", {}),
]


async def test_the_log_is_that_of_the_node_in_place(processes: ProcessExecutor, tmp_path: Path) -> None:
    """Records, keys, waits, messages, failures and what a retry keeps are equal, and nothing is done more often."""

    async def records(end: str, **options: Any) -> dict[str, Any]:
        found: dict[str, Any] = {}
        folder = tmp_path / "work"  # the same one, since its path is part of what is recorded
        async with Runner(clock=FakeClock(0.0), executors={"cpu": processes}) as runner:
            for function, writes, more in NODES:
                name = function.__name__
                (folder / name).mkdir(parents=True)
                with contextlib.suppress(RunFailed):  # the log has the reason
                    await driven(runner, graph(function, writes, **more, **options), name, folder / name)
                steps = [msgspec.to_builtins(step) for step in await runner.history(name)]
                shown = [str({k: v for k, v in step.items() if k != "seq"}) for step in steps]
                found[name] = sorted(shown)  # work at once has no order
        folder.rename(tmp_path / end)
        return found

    here, there = await records("here"), await records("there", on="cpu")
    for name, log in here.items():
        assert there[name] == log, name
    assert "at first" in str(there["fails_in_work"])
    for folder in ("here", "there"):
        assert done(tmp_path / folder / "fails_in_work") == {"once": 1, "tried": 2}
        counts = done(tmp_path / folder / "asks")
        assert counts["once"] == 1
        assert counts["begin"] == counts["end"]  # it unwinds when it waits


async def test_a_child_that_dies_or_runs_out_of_time_does_not_repeat_recorded_work(
    processes: ProcessExecutor, tmp_path: Path
) -> None:
    """After kill -9 between two pieces of work, and after a timeout inside one, the retry continues after the first."""
    cases: list[tuple[Callable[..., Any], str, dict[str, Any], dict[str, int]]] = [
        (heavy.dies_between, "worker_died", {}, {"one": 1, "two": 1}),
        (heavy.hangs_in_work, "timeout", {"timeout_seconds": 2}, {"one": 1, "two": 1}),
    ]
    async with Runner(executors={"cpu": processes}) as runner:
        for function, kind, options, counts in cases:
            folder = tmp_path / kind
            folder.mkdir()
            (folder / "hang").touch()
            made = graph(function, on="cpu", retry=Retry(attempts=9, initial_seconds=0), **options)
            assert (await runner.start(made, {"folder": str(folder)}, run_id=kind).result()).state.out == 2
            assert done(folder) == counts
            failures = [s.data.error for s in await runner.history(kind) if s.kind == "attempt"]  # type: ignore[union-attr]
            assert {failure.kind for failure in failures if failure is not None} == {kind}


async def test_waiting_keeps_the_child(tmp_path: Path) -> None:
    """A node that waits unwinds, so that what its child has loaded is there when it runs again."""
    with ProcessExecutor(1) as executor:
        async with Runner(clock=FakeClock(0.0), executors={"cpu": executor}) as runner:
            await driven(runner, graph(heavy.asks, "facts", on="cpu"), "r", tmp_path)
    lines = (tmp_path / "done").read_text().splitlines()
    assert len({line for line in lines if line.startswith("begin")}) == 1
    assert done(tmp_path)["begin"] > 2


async def test_a_sync_node_sends_and_shows(processes: ProcessExecutor) -> None:
    """In a sync node `send` and `emit` work; recorded work needs an async one, which the error says."""
    async with Runner(executors={"cpu": processes}) as runner:
        with pytest.raises(RunFailed) as caught:
            await runner.start(graph(heavy.steps_in_a_thread, on="cpu")).result()
    error = caught.value.result.error
    assert error is not None
    assert error.message.startswith("ctx.step was called outside the event loop of the node")
    assert "make the node async" in str(caught.value)


async def test_sizes_hold_there(processes: ProcessExecutor) -> None:
    """A limit of the Runner on recorded work fails the work in the child."""
    async with Runner(executors={"cpu": processes}, sizes=Sizes(work_bytes=5)) as runner:
        with pytest.raises(RunFailed) as caught:
            await runner.start(graph(heavy.works, "facts", on="cpu"), {"n": 10**6}).result()
    error = caught.value.result.error
    assert error is not None
    assert error.kind == "too_large"
    assert "return less" in str(caught.value)


VICTIM = """
import asyncio, sys
from graphengine import Runner
from graphengine.executors import ProcessExecutor
from tests.executors.test_context_there import graph
from tests.kit import heavy_nodes as heavy

async def main(folder):
    async with Runner(f"{folder}/runs.db", executors={"cpu": lambda: ProcessExecutor(1)}) as runner:
        await runner.start(graph(heavy.hangs_in_work, on="cpu"), {"folder": folder}, run_id="r").result()

if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
"""


async def test_a_killed_runner_does_not_repeat_recorded_work(processes: ProcessExecutor, tmp_path: Path) -> None:
    """After kill -9 of the Runner inside the second piece of work, a resume repeats that one, not the first."""
    (tmp_path / "hang").touch()
    (tmp_path / "victim.py").write_text(VICTIM)
    program = [sys.executable, str(tmp_path / "victim.py"), str(tmp_path)]
    with subprocess.Popen(program, env={**os.environ, "PYTHONPATH": str(ROOT)}) as victim:  # noqa: ASYNC220 - it is killed, not awaited
        while not (tmp_path / "pid").exists():  # noqa: ASYNC110 - another process writes it
            await asyncio.sleep(0.01)
        victim.kill()
    async with Runner(tmp_path / "runs.db", executors={"cpu": processes}) as runner:
        assert (await runner.resume(graph(heavy.hangs_in_work, on="cpu"), "r").result()).state.out == 2
    assert done(tmp_path) == {"one": 1, "two": 1}

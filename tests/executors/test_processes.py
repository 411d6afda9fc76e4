"""Heavy nodes in child processes: recorded as in place, ended in time, repeated if their process dies."""

import asyncio
import contextlib
import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import msgspec
import pytest

from graphengine import END, START, Graph, Retry, RunFailed, Runner
from graphengine.executors import ProcessExecutor
from graphengine.executors.processes import _list_preloads
from graphengine.runner import StepRecorded
from graphengine.state.recorded_text import show
from graphengine.testing import FakeClock
from tests.kit import heavy_nodes as heavy
from tests.kit.odd_errors import ERRORS
from tests.kit.runs import failing

ROOT = Path(__file__).resolve().parents[2]


def graph(function: Callable[..., Any], writes: str, **options: Any) -> Graph[heavy.Job]:
    """A graph of one node."""
    made = Graph("heavy", heavy.Job)
    made.add_node("work", function, writes=writes, **options)
    made.add_path(START, "work", END)
    return made


async def ended(pid: int) -> None:
    """Wait until a process has ended."""
    while Path(f"/proc/{pid}").exists():  # noqa: ASYNC110 - another process ends
        await asyncio.sleep(0.01)


async def appears(place: Path) -> int:
    """Wait for a file with the id of a process."""
    while not place.exists():  # noqa: ASYNC110 - another process writes it
        await asyncio.sleep(0.01)
    return int(place.read_text())


@pytest.fixture(params=["ours", "standard library"])
def pool(request: pytest.FixtureRequest, processes: ProcessExecutor) -> Iterator[Executor]:
    """An executor of either kind."""
    if request.param == "ours":
        yield processes
        return
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("forkserver")) as executor:
        yield executor


async def test_a_heavy_node_is_recorded_as_in_place(processes: ProcessExecutor) -> None:
    """Results, failures, tracebacks, keys and random numbers are those of the same node without `on`."""
    nodes: list[tuple[Callable[..., Any], str]] = [
        (heavy.double, "out"),
        (heavy.double_later, "out"),
        (heavy.facts_of, "facts"),
        (heavy.fail, "out"),
        (heavy.fail_oddly, "out"),
        (heavy.exits, "out"),
    ]

    async def records(**options: Any) -> list[Any]:
        found = []
        async with Runner(clock=FakeClock(0.0), executors={"cpu": processes}) as runner:
            for number, (function, writes) in enumerate(nodes):
                run = runner.start(graph(function, writes, **options), {"n": 3}, run_id=f"run-{number}")
                with contextlib.suppress(RunFailed):
                    await run.result()
                for step in await runner.history(run.id):
                    facts = msgspec.to_builtins(step)
                    found.append({k: v for k, v in facts.items() if k != "fingerprint"})
        return found

    here, there = await records(), await records(on="cpu")
    assert there == here
    assert "int(deeper[" in str(there)  # the traceback


@pytest.mark.parametrize("name", ERRORS)
async def test_every_exception_is_described_in_the_child(processes: ProcessExecutor, name: str) -> None:
    """Whether or not it can be pickled, its kind and its text arrive."""
    kind = type(ERRORS[name]()).__name__
    async with Runner(executors={"cpu": processes}) as runner:
        result = await failing(runner.start(graph(heavy.fail_as, "out", on="cpu"), {"folder": name}).result())
    assert result.error.kind.rpartition(".")[2] == kind
    assert result.error.message


async def test_a_dead_child_is_a_failure_to_retry(pool: Executor, tmp_path: Path) -> None:
    """A killed child fails its attempt as `worker_died`; the next one runs in another child, also if the pool broke."""
    dies = graph(heavy.dies_at_first, "pid", on="cpu", retry=Retry(attempts=2, initial_seconds=0))
    async with Runner(executors={"cpu": pool}) as runner:
        run = runner.start(dies, {"folder": str(tmp_path)})
        result = await run.result()
        died = int((tmp_path / "died").read_text())
        assert result.state.pid not in (0, died, os.getpid())
        (failure,) = [s.data.error for s in await runner.history(run.id) if s.kind == "attempt"]
        assert failure is not None
        assert failure.kind == "worker_died"
        assert "'cpu'" in show(failure.message)
        idle = (await runner.start(graph(heavy.own_pid, "pid", on="cpu")).result()).state.pid
        os.kill(idle, signal.SIGKILL)
        await ended(idle)
        again = graph(heavy.double, "out", on="cpu", retry=Retry(attempts=3, initial_seconds=0))
        assert (await runner.start(again, {"n": 2}).result()).state.out == 4


@pytest.mark.parametrize("is_ours", [True, False])
async def test_a_child_that_exits_at_a_signal_has_died(*, is_ours: bool, tmp_path: Path) -> None:
    """What a signal handler raises ends the child: it is no failure of the node, as `sys.exit()` of its own is."""
    retry, sets = Retry(attempts=2, initial_seconds=0), heavy.exits_at_sigterm
    context = multiprocessing.get_context("forkserver")
    pool = ProcessExecutor(1, initializer=sets) if is_ours else ProcessPoolExecutor(1, context, sets)
    with pool:
        async with Runner(executors={"cpu": pool}) as runner:
            ended_by_signal = graph(heavy.is_terminated_at_first, "pid", on="cpu", retry=retry)
            run = runner.start(ended_by_signal, {"folder": str(tmp_path)})
            assert (await run.result()).status == "finished"
            failures = [s.data.error for s in await runner.history(run.id) if s.kind == "attempt"]
            assert [failure.kind for failure in failures if failure is not None] == ["worker_died"]
            by_itself = runner.start(graph(heavy.exits, "pid", on="cpu", retry=retry))
            assert (await failing(by_itself.result())).error.kind == "SystemExit"


async def test_an_effect_whose_child_dies_is_not_repeated(pool: Executor, tmp_path: Path) -> None:
    """Its end is unknown, whatever its retries: a person says it."""
    retry = Retry(attempts=3, initial_seconds=0)
    dies = graph(heavy.dies_at_first, "pid", on="cpu", effect="once", retry=retry)
    async with Runner(executors={"cpu": pool}) as runner:
        asked = await runner.start(dies, {"folder": str(tmp_path)}, run_id="r").result()
        assert (asked.status, [wait.kind for wait in asked.waits]) == ("waiting", ["unknown"])
        failures = [s.data.error for s in await runner.history("r") if s.kind == "attempt"]
        assert [failure.kind for failure in failures if failure is not None] == ["worker_died"]
        await runner.answer("r", {"result": 7})
        assert (await runner.resume("r", dies).result()).state.pid == 7


async def test_a_timeout_ends_the_child(processes: ProcessExecutor, tmp_path: Path) -> None:
    """When an attempt's time is over, its process no longer exists, and the next attempt begins in another one.

    On a busy machine the time of an attempt can be over before it hangs.
    """
    hangs = graph(heavy.sleeps_at_first, "pid", on="cpu", timeout_seconds=1, retry=Retry(attempts=9, initial_seconds=0))
    async with Runner(executors={"cpu": processes}) as runner:
        run = runner.start(hangs, {"folder": str(tmp_path)})
        child = await appears(tmp_path / "pid")
        hangs_at = (tmp_path / "pid").stat().st_mtime
        async for event in run.events():
            if isinstance(event, StepRecorded) and event.step.kind == "attempt":
                assert event.step.at < hangs_at or not Path(f"/proc/{child}").exists()
        result = await run.result()
        assert result.state.pid not in (0, child)
        failures = [s.data.error for s in await runner.history(run.id) if s.kind == "attempt"]
        assert {failure.kind for failure in failures if failure is not None} == {"timeout"}


async def test_a_closed_runner_leaves_no_work_behind(processes: ProcessExecutor, tmp_path: Path) -> None:
    """A node that is cut off ends with its child before the Runner is closed."""
    async with Runner(executors={"cpu": processes}) as runner:
        runner.start(graph(heavy.sleeps_at_first, "pid", on="cpu"), {"folder": str(tmp_path)})
        child = await appears(tmp_path / "pid")
    assert not Path(f"/proc/{child}").exists()


async def test_what_cannot_be_pickled_is_named(processes: ProcessExecutor) -> None:
    """Arguments and results that cannot be pickled fail the node, with their names."""
    lock = graph(heavy.double, "out", on="cpu", inputs={"n": lambda: (_ for _ in ())})
    cases = [
        (lock, "the argument 'n' (generator) cannot be pickled"),
        (graph(heavy.returns_a_lambda, "out", on="cpu"), "the result of 'work', which is of type function"),
    ]
    async with Runner(executors={"cpu": processes}) as runner:
        for made, text in cases:
            broken = await failing(runner.start(made).result())
            error = broken.error
            assert error.kind == "not_picklable"
            assert text in error.message


async def test_what_needs_the_run_is_refused_with_the_repair(pool: Executor) -> None:
    """Calls of `ctx` that need the run, and agents, fail the node at once, and the error says what to do instead."""
    repair = "move this part into a node before or after this node, and pass the value through the state"
    async with Runner(executors={"cpu": pool}) as runner:
        errors = (await runner.start(graph(heavy.refused_there, "facts", on="cpu")).result()).state.facts
        assert len(errors) == 8
        assert all(
            "needs the run, and 'work' runs on the executor 'cpu'" in error and repair in error for error in errors
        )
        for function, text in ((heavy.calls_there, r"ctx\.call needs the run"), (heavy.asks_an_agent, "an agent ")):
            run = runner.start(graph(function, "out", on="cpu", retry=Retry(attempts=3)))
            with pytest.raises(RunFailed, match=text) as caught:
                await run.result()
            assert repair in str(caught.value)
            assert not [step for step in await runner.history(run.id) if step.kind == "attempt"]


VICTIM = """
import asyncio, sys
from graphengine import END, START, Graph, Runner
from graphengine.executors import ProcessExecutor
from tests.kit import heavy_nodes as heavy

graph = Graph("heavy", heavy.Job)
graph.add_node("work", heavy.notes_its_key, writes="out", on="cpu")
graph.add_path(START, "work", END)

async def main(folder):
    async with Runner(f"{folder}/runs.db", executors={"cpu": lambda: ProcessExecutor(1)}) as runner:
        await runner.start(graph, {"folder": folder}, run_id="r").result()

if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
"""


async def test_work_ends_with_a_killed_runner_and_is_repeated_under_its_key(
    processes: ProcessExecutor, tmp_path: Path
) -> None:
    """After kill -9 of the Runner's process the child ends too; a resume does the work again, with the same key."""
    (tmp_path / "hang").touch()
    (tmp_path / "victim.py").write_text(VICTIM)
    program = [sys.executable, str(tmp_path / "victim.py"), str(tmp_path)]
    with subprocess.Popen(program, env={**os.environ, "PYTHONPATH": str(ROOT)}) as victim:  # noqa: ASYNC220 - it is killed, not awaited
        child = await appears(tmp_path / "pid")
        victim.kill()
    await asyncio.wait_for(ended(child), 20)
    (tmp_path / "hang").unlink()
    resumed = graph(heavy.notes_its_key, "out", on="cpu")
    async with Runner(tmp_path / "runs.db", executors={"cpu": processes}) as runner:
        assert (await runner.resume("r", resumed).result()).state.out == 7
    first, second = (tmp_path / "keys").read_text().split()
    assert first == second == "r/work:1"


class NeverStarts(BaseProcess):
    """A process whose forkserver has died."""

    error: Exception

    def start(self) -> None:
        """Fail as `Process.start` does then."""
        raise self.error


@pytest.mark.parametrize("error", [EOFError("unexpected EOF"), ConnectionResetError(104, "Connection reset by peer")])
async def test_a_child_that_cannot_be_started_has_died(
    pool: Executor, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its attempt fails as `worker_died`, with the advice, and the next one begins anew.

    Since CPython 3.13.8 and 3.14.1 the forkserver of the standard library imports the main script, and may die of it.
    """
    context = multiprocessing.get_context("forkserver")
    fails = {"error": error}
    monkeypatch.setattr(type(context), "Process", type("Process", (NeverStarts,), fails))
    own = ProcessExecutor(1) if isinstance(pool, ProcessExecutor) else pool
    once = graph(heavy.double, "out", on="cpu")
    async with Runner(executors={"cpu": own}) as runner:
        failure = (await failing(runner.start(once, {"n": 2}).result())).error
        assert failure.kind == "worker_died"
        assert f"({type(error).__name__}: {error})" in failure.message
        assert "if __name__" in failure.message
        monkeypatch.undo()
        assert (await runner.start(once, {"n": 2}).result()).state.out == 4
    own.shutdown()


@pytest.mark.parametrize(
    ("release", "is_imported"),
    [
        ((3, 11, 2), True),
        ((3, 13, 8), False),
        ((3, 13, 11), False),
        ((3, 13, 12), True),
        ((3, 14, 0), True),
        ((3, 14, 1), False),
        ((3, 14, 3), True),
        ((3, 15, 0), True),
    ],
)
def test_a_forkserver_without_arguments_imports_no_script(release: tuple[int, int, int], *, is_imported: bool) -> None:
    """A script that reads `sys.argv` at its top works on releases too whose forkserver has none."""
    assert ("__main__" in _list_preloads(release)) == is_imported


SCRIPT = """
from graphengine import END, START, Graph, SyncRunner
from graphengine.executors import ProcessExecutor
from tests.kit import heavy_nodes as heavy

graph = Graph("heavy", heavy.Job)
graph.add_node("work", heavy.double, writes="out", on="cpu")
graph.add_path(START, "work", END)

"""
RUN = """
with SyncRunner(executors={"cpu": lambda: ProcessExecutor(1)}) as runner:
    print(runner.start(graph, {"n": 2}).result().state.out)
"""
GUARDED = 'if __name__ == "__main__":' + RUN.replace("\n", "\n    ")


@pytest.mark.parametrize(
    ("script", "said"),
    [
        pytest.param(SCRIPT + GUARDED, "4", id="guarded"),
        pytest.param("import sys\nsys.argv[1]\n" + SCRIPT + GUARDED, "4", id="reads arguments"),
        pytest.param(SCRIPT + RUN, "worker_died", id="unguarded"),
        pytest.param(
            "import sys\nif __name__ != '__main__':\n    sys.exit('no module')\n" + SCRIPT + GUARDED,
            "worker_died",
            id="no module",
        ),
    ],
)
def test_a_script_that_cannot_be_imported_again_is_told_so(tmp_path: Path, script: str, said: str) -> None:
    """What its child processes die of is the same on every release, whether or not a forkserver imports it."""
    (tmp_path / "main.py").write_text(script)
    program = [sys.executable, str(tmp_path / "main.py"), "an argument"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    ran = subprocess.run(program, env=environment, capture_output=True, text=True, check=False)
    assert said in (ran.stdout + ran.stderr).splitlines()[-1] or f" failed: {said}" in ran.stderr, ran.stderr

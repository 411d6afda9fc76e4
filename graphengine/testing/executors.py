"""Test that an executor meets the requirements of `graphengine.executors.NodeExecutor`.

Subclass `ExecutorConformance`, define how an executor is made, and let pytest collect the subclass:

    class TestMyExecutor(ExecutorConformance):
        def make_executor(self) -> Executor:
            return MyExecutor(...)

Each test runs nodes through a Runner in its own event loop, so that no pytest plugin is needed.
"""

from __future__ import annotations

import asyncio
import unittest
from abc import ABC, abstractmethod
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from graphengine.api.graph import Graph
from graphengine.api.runner import Runner
from graphengine.errors import DefinitionError
from graphengine.executors.base import NodeExecutor, OtherExecutor
from graphengine.kernel.extension import END, START, Retry, RunFailed
from graphengine.kernel.reader import Attempt
from graphengine.testing import executor_calls as calls

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Executor

    from graphengine.kernel.extension import Result, Run

_ON = "executor"


class ExecutorConformance(ABC):
    """Tests that every executor must pass. Subclass this class and define `make_executor`; pytest then runs the tests.

    Attributes:
        is_elsewhere: Whether nodes run in other processes. Then, if a process dies, only its node fails.
        ends_work: Whether the executor can end a node that has begun. Otherwise the Runner waits for its end.
        seconds: How many seconds a node works in the tests that end the node.
        limit_seconds: The timeout of a node in the tests of timeouts. It must be longer than the time that a node needs
            to begin its work after its time has begun to count.
    """

    is_elsewhere: bool = True
    ends_work: bool = True
    seconds: float = 10.0
    limit_seconds: float = 1.0

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if cls.__name__.startswith("Test") and cls.make_executor is ExecutorConformance.make_executor:
            # pytest silently skips abstract classes, so the user would not notice that no test runs.
            text = f"the class {cls.__name__!r} does not define make_executor, which makes the executor to test"
            raise DefinitionError(text, repair=f"define the method make_executor in {cls.__name__}")

    @abstractmethod
    def make_executor(self) -> Executor:
        """Return an executor that can run two calls at a time. The test shuts the executor down."""

    def shared_folder(self) -> str | None:
        """Return a folder that the nodes can also read and write if they run on other machines.

        The default, None, stands for a temporary folder of this machine.
        """
        return None

    # -- results, errors and the context of a node

    def test_a_node_returns_what_it_returns_in_place(self) -> None:
        """Check that the results of sync and async functions arrive, also if several calls run at the same time."""

        async def test(runner: Runner, folder: str) -> None:
            nodes = (calls.double, calls.double_later)
            runs = [runner.start(_as_graph(f, "result"), _work_in(folder, number=n)) for n in range(4) for f in nodes]
            assert [(await run.result()).state.result for run in runs] == [0, 0, 2, 2, 4, 4, 6, 6]

        self._run(test)

    def test_a_node_knows_its_attempt(self) -> None:
        """Check that an executor passes on a node's run, attempt, key, time and random numbers unchanged.

        The values are compared with those that the node sees without an executor.
        """

        async def test(runner: Runner, folder: str) -> None:
            facts: list[list[str]] = []
            for on in (_ON, None):
                graph = _as_graph(calls.facts_of_call, "facts", on=on)
                facts.append((await runner.start(graph, _work_in(folder), run_id=f"on-{on}").result()).state.facts)
            there, here = facts
            assert there[:5] == ["on-executor", "node", "1", "1", "on-executor/node:1"]
            assert [len(each) for each in facts] == [7, 7]
            assert there[4].removeprefix("on-executor") == here[4].removeprefix("on-None")

        self._run(test)

    def test_what_a_node_raises_is_recorded(self) -> None:
        """Check that a failure is recorded with the exception's class, text and source lines.

        The executor must still work afterwards.
        """

        async def test(runner: Runner, folder: str) -> None:
            error = (
                await _failure_of(runner.start(_as_graph(calls.fails, "result"), _work_in(folder, number=7)))
            ).error
            assert error is not None
            assert (error.kind, error.message) == ("LookupError", "no such number: 7")
            assert "raise LookupError(message)" in error.traceback
            assert (
                await runner.start(_as_graph(calls.double, "result"), _work_in(folder, number=4)).result()
            ).state.result == 8

        self._run(test)

    def test_a_result_that_cannot_travel_is_named(self) -> None:
        """Check that a result that cannot be pickled fails its node as `not_picklable`.

        The executor must still work afterwards.
        """
        self._elsewhere()

        async def test(runner: Runner, folder: str) -> None:
            error = (await _failure_of(runner.start(_as_graph(calls.returns_a_lock, "result"), _work_in(folder)))).error
            assert error is not None
            assert error.kind == "not_picklable"
            assert (
                await runner.start(_as_graph(calls.double, "result"), _work_in(folder, number=4)).result()
            ).state.result == 8

        self._run(test)

    # -- the end of work: timeouts, stops and closing

    def test_time_that_is_over_ends_the_work(self) -> None:
        """Check that an attempt which fails as `timeout` has ended its work.

        Otherwise the next attempt would overlap with it.
        """

        async def test(runner: Runner, folder: str) -> None:
            retry = Retry(attempts=2, initial_seconds=0)
            graph = _as_graph(calls.works_long_at_first, "result", retry=retry, timeout_seconds=self.limit_seconds)
            run = runner.start(graph, _work_in(folder, seconds=self._length))
            assert (await run.result()).state.result == 1
            kinds = await _kinds_of_failures(runner, run)
            assert kinds == ["timeout"]
            again = float(Path(folder, "again").read_text(encoding="utf-8"))
            assert _last(folder) < again
            await _is_quiet(folder)

        self._run(test)

    def test_a_stop_ends_the_work(self) -> None:
        """Check that the work of a node has ended when its run has stopped."""

        async def test(runner: Runner, folder: str) -> None:
            run = runner.start(_as_graph(calls.works, "result"), _work_in(folder, seconds=self._length))
            await _await_begin(folder)
            await run.stop(now=True)
            result = await run.result()
            assert result.status == ("stopped" if self.ends_work else result.status)
            await _is_quiet(folder)

        self._run(test)

    def test_closing_ends_the_work(self) -> None:
        """Check that the work of all nodes has ended, and the executor is shut down, when a Runner is closed."""
        with TemporaryDirectory(dir=self.shared_folder()) as folder:

            async def test() -> None:
                async with Runner(executors={_ON: self.make_executor}) as runner:
                    runner.start(_as_graph(calls.works, "result"), _work_in(folder, seconds=self._length))
                    await _await_begin(folder)
                await _is_quiet(folder)

            asyncio.run(test())

    def test_waiting_for_a_place_takes_no_time(self) -> None:
        """Check that the timeout of a call begins when its work begins, not while the call waits for a free worker.

        This is tested only for executors that measure the timeout themselves.
        """

        async def test(runner: Runner, folder: str) -> None:
            graph = _as_graph(calls.works, "result", timeout_seconds=self.limit_seconds + 1.5)
            runs = [runner.start(graph, _work_in(folder, seconds=1)) for _ in range(6)]
            assert [(await run.result()).status for run in runs] == ["finished"] * 6

        executor = self.make_executor()
        counts = isinstance(executor, NodeExecutor) and executor.counts_time
        executor.shutdown()
        if not counts:
            raise unittest.SkipTest("the Runner counts the time of its calls")
        self._run(test)

    # -- processes that die

    def test_a_process_that_dies_fails_its_attempt(self) -> None:
        """Check that an attempt fails as `worker_died` if its process dies.

        The next attempt must run in another process.
        """
        self._elsewhere()

        async def test(runner: Runner, folder: str) -> None:
            retry = Retry(attempts=2, initial_seconds=0)
            run = runner.start(_as_graph(calls.dies_at_first, "result", retry=retry), _work_in(folder))
            assert (await run.result()).state.result == 1
            kinds = await _kinds_of_failures(runner, run)
            assert kinds == ["worker_died"]

        if self._repeats():
            raise unittest.SkipTest("what runs the calls repeats one whose process died")
        self._run(test)

    def test_an_effect_is_begun_once(self) -> None:
        """Check that a node with `effect="once"` begins only once, even if its process dies.

        An executor that may repeat calls must refuse such a node.
        """
        self._elsewhere()
        repeats = self._repeats()

        async def test(runner: Runner, folder: str) -> None:
            graph = _as_graph(calls.dies_at_first, "result", effect="once", retry=Retry(attempts=3, initial_seconds=0))
            try:
                result = await runner.start(graph, _work_in(folder)).result()
            except DefinitionError:
                assert repeats, "it is refused, though the executor says that it repeats nothing"
                return
            assert not repeats, "it is not refused, though the executor says that it may repeat calls"
            assert (result.status, [wait.kind for wait in result.waits]) == ("waiting", ["unknown"])
            assert len(Path(folder, "begun").read_text(encoding="utf-8").splitlines()) == 1

        self._run(test)

    # -- helpers

    @property
    def _length(self) -> float:
        """How many seconds a node works in a test that ends the node or waits for its end."""
        return self.seconds if self.ends_work else 2 * self.limit_seconds

    def _elsewhere(self) -> None:
        if not self.is_elsewhere:
            raise unittest.SkipTest("nodes run in this process")

    def _repeats(self) -> bool:
        executor = self.make_executor()
        node_executor = executor if isinstance(executor, NodeExecutor) else OtherExecutor(executor, None)
        executor.shutdown()
        return node_executor.repeats

    def _run(self, test: Callable[[Runner, str], Any]) -> None:
        async def run(folder: str) -> None:
            executor = self.make_executor()
            try:
                async with Runner(executors={_ON: executor}) as runner:
                    await test(runner, folder)
            finally:
                await asyncio.to_thread(executor.shutdown)

        with TemporaryDirectory(dir=self.shared_folder()) as folder:
            asyncio.run(run(folder))


def _work_in(folder: str, *, number: int = 0, seconds: float = 0) -> calls.Work:
    return calls.Work(folder=folder, number=number, seconds=seconds)


def _as_graph(function: Callable[..., Any], writes: str, *, on: str | None = _ON, **options: Any) -> Graph[calls.Work]:
    graph = Graph("heavy", calls.Work)
    options |= {} if on is None else {"on": on}
    graph.add_node("node", function, writes=writes, **options)
    graph.add_path(START, "node", END)
    return graph


async def _kinds_of_failures(runner: Runner, run: Run[calls.Work]) -> list[str]:
    steps = [step.data for step in await runner.history(run.id)]
    return [data.error.kind for data in steps if isinstance(data, Attempt) and data.error is not None]


async def _failure_of(run: Run[calls.Work]) -> Result[calls.Work]:
    try:
        await run.result()
    except RunFailed as failed:
        return failed.result
    message = "the run did not fail"
    raise AssertionError(message)


async def _await_begin(folder: str) -> None:
    """Wait until a node has begun to work. It writes a line to a file then."""
    while not any(file.stat().st_size for file in Path(folder).glob("ticks")):  # noqa: ASYNC110 - another process
        await asyncio.sleep(calls.TICK_SECONDS)


def _last(folder: str) -> float:
    """Return the time at which a working node last wrote a line to its file."""
    return float(Path(folder, "ticks").read_text(encoding="utf-8").splitlines()[-1])


async def _is_quiet(folder: str) -> None:
    """Check that all nodes have stopped working, because no further line is written."""
    last = _last(folder)
    await asyncio.sleep(6 * calls.TICK_SECONDS)
    assert _last(folder) == last, "it still works"

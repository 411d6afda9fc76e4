"""Executors of other libraries and of users: what may be repeated, what did not begin, how they close."""

import logging
from collections.abc import Callable
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar

import pytest

from graphengine import END, START, Graph, Retry, Runner
from graphengine.errors import DefinitionError, ExecutorUnreachable
from graphengine.executors import NodeExecutor, facts_of, run_packed
from tests.kit import heavy_nodes as heavy
from tests.kit.runs import failing

P = ParamSpec("P")
T = TypeVar("T")


class OfALibrary(Executor):
    """An executor of another library, whose `shutdown` has only what Python 3.8 has."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(1)
        self.is_shut_down = False

    def submit(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Call a function in a thread."""
        return self._threads.submit(function, *args, **kwargs)

    def shutdown(self, wait: bool = True) -> None:  # type: ignore[override]  # noqa: FBT001, FBT002 - as that library
        """Shut the threads down."""
        self._threads.shutdown(wait)
        self.is_shut_down = True


class Away(NodeExecutor):
    """An executor whose engine answers only at the second attempt."""

    def __init__(self) -> None:
        self.keys: list[str] = []

    def begin(self, packed: bytes, timeout_seconds: float | None) -> Future[bytes]:
        """Fail first, then run it here."""
        future: Future[bytes] = Future()
        future.set_running_or_notify_cancel()
        self.keys.append(facts_of(packed).idempotency_key)
        if len(self.keys) == 1:
            future.set_exception(ExecutorUnreachable("nothing answers at far:1", repair="start it"))
        else:
            future.set_result(run_packed(packed))
        return future

    def end(self, future: Future[bytes]) -> None:
        """Do nothing: it is over."""

    def why_died(self, error: BaseException) -> str:
        """Return "": nothing dies."""
        return ""


def graph(**options: Any) -> Graph[heavy.Job]:
    """A graph of one node."""
    made = Graph("heavy", heavy.Job)
    made.add_node("work", heavy.double, writes="out", on="far", **options)
    made.add_path(START, "work", END)
    return made


async def test_what_may_be_repeated_by_an_engine_is_refused() -> None:
    """A node with `effect="once"` runs on executors of the standard library, and where `repeats = False` is said."""
    says = OfALibrary()
    says.repeats = False  # type: ignore[attr-defined]
    for executor, is_taken in ((OfALibrary(), False), (says, True), (ProcessPoolExecutor(1), True)):
        async with Runner(executors={"far": executor}) as runner:
            assert (await runner.start(graph(), heavy.Job(n=2)).result()).state.out == 4
            if is_taken:
                assert (await runner.start(graph(effect="once"), heavy.Job(n=2)).result()).state.out == 4
            else:
                with pytest.raises(DefinitionError, match=r"may run a call again by itself(.|\n)*repeats = False"):
                    runner.start(graph(effect="once"), heavy.Job(n=2))
                assert len(await runner.runs()) == 1
        executor.shutdown()


async def test_an_executor_without_cancel_futures_is_shut_down(caplog: pytest.LogCaptureFixture) -> None:
    """The Runner shuts down what it made, whatever `shutdown` takes."""
    made: list[OfALibrary] = []

    def make() -> OfALibrary:
        made.append(OfALibrary())
        return made[-1]

    with caplog.at_level(logging.WARNING):
        async with Runner(executors={"far": make}) as runner:
            assert (await runner.start(graph(), heavy.Job(n=2)).result()).state.out == 4
    assert [each.is_shut_down for each in made] == [True]
    assert caplog.messages == []


async def test_what_could_not_begin_is_no_unknown_effect() -> None:
    """`executor_unreachable` says that the node did not begin: a retry begins it, with `effect="once"` too."""
    async with Runner(executors={"far": Away()}) as runner:
        failed = await failing(runner.start(graph(effect="once"), heavy.Job(n=2), run_id="r").result())
        assert failed.error.kind == "executor_unreachable"
        assert (await runner.resume("r", graph(effect="once")).result()).state.out == 4
    executor = Away()
    async with Runner(executors={"far": executor}) as runner:
        again = graph(effect="once", retry=Retry(attempts=2, initial_seconds=0))
        assert (await runner.start(again, heavy.Job(n=2), run_id="r").result()).state.out == 4
    assert executor.keys == ["r/work:1"] * 2

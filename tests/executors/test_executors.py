"""Executors of a Runner: their names, those in this process, and tests without them."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from graphengine import END, START, Agent, Context, Graph, Runner, ScriptedModel, choose
from graphengine.errors import DefinitionError, InputError
from graphengine.executors import ProcessExecutor
from graphengine.executors.of_runner import ExecutorsByName
from graphengine.runner import attempt
from graphengine.testing import run_node
from graphengine.testing.evaluation import Case, evaluate
from graphengine.testing.open_runner import OpenRunner
from graphengine.worker import Worker
from tests.kit import heavy_nodes as heavy
from tests.kit.runs import alone


def graph(function: Any, **options: Any) -> Graph[heavy.Job]:
    """A graph of one node on "gpu"."""
    made = Graph("heavy", heavy.Job)
    made.add_node("work", function, writes="out", on="gpu", **options)
    made.add_path(START, "work", END)
    return made


def is_even(out: int) -> bool:
    """Score an even number."""
    return out % 2 == 0


async def thread_name(ctx: Context) -> int:
    """Emit the name of the thread."""
    ctx.emit(threading.current_thread().name, record=True)
    return 5


async def test_an_extension_can_have_the_executors() -> None:
    """As one of another package: then the Runner needs none of its own."""
    with ThreadPoolExecutor(1) as threads:
        async with Runner(extensions=[ExecutorsByName({"gpu": threads})]) as runner:
            assert (await runner.start(graph(heavy.double), heavy.Job(n=4)).result()).state.out == 8
        async with Runner(extensions=[ExecutorsByName({"gpu": threads})], executors={"tpu": threads}) as runner:
            with pytest.raises(InputError, match="there is no executor 'gpu'; the Runner has only 'tpu'"):
                await runner.start(graph(heavy.double), heavy.Job(n=4)).result()


async def test_a_run_and_an_evaluation_of_their_own_take_executors() -> None:
    """`Graph.run` and `evaluate` have `executors=`, as a Runner does."""
    scored = alone(heavy.Job, heavy.double, "out", name="scored", result="out", on="gpu")
    with ThreadPoolExecutor(1) as threads:
        result = await graph(heavy.double).run(heavy.Job(n=4), executors={"gpu": threads})
        case = Case(name="one", input={"n": 5})
        report = await evaluate(scored, [case], {"even": is_even}, executors={"gpu": lambda: threads})
    assert (result.state.out, report.subject.means["even"]) == (8, 1.0)


async def test_names_are_checked_before_anything_is_recorded(tmp_path: Path) -> None:
    """A missing executor, a misspelt name and a function that cannot be pickled fail `start`, with the repair."""
    heavy_graph = graph(heavy.double)
    outer = alone(heavy.Job, heavy_graph, {"out": "out"}, name="outer", node="inner", inputs={})
    async with Runner(tmp_path / "runs.db") as runner:
        for made in (heavy_graph, outer):
            with pytest.raises(InputError, match=r"there is no executor 'gpu'; the Runner has no executors") as caught:
                runner.start(made)
            assert "Runner(executors={'gpu': …})" in str(caught.value)
            assert "node work of graph heavy" in str(caught.value)
        assert await runner.runs() == []
        await runner.start(heavy_graph, queue="nights", run_id="queued").result()  # its worker needs the executor
        with pytest.raises(InputError, match="there is no executor"):
            await Worker(runner, heavy_graph).run()
        assert (await runner.info("queued")).queued
    with ThreadPoolExecutor(1) as threads, ProcessExecutor(1) as processes:
        async with Runner(executors={"gpus": threads}) as runner:
            with pytest.raises(InputError, match="did you mean 'gpus'"):
                runner.start(heavy_graph)
        async with Runner(executors={"gpu": processes}) as runner:
            for bad in (lambda n: n, local()):
                with pytest.raises(DefinitionError, match="define the function with def at the top level") as refused:
                    runner.start(graph(bad))
                assert "the executor 'gpu' runs it in another process" in str(refused.value)
    with pytest.raises(DefinitionError, match="the executor 'gpu' is 3"):
        Runner(executors={"gpu": 3})  # type: ignore[dict-item]
    async with Runner(executors={"gpu": lambda: 3}) as runner:  # type: ignore[dict-item, return-value]
        with pytest.raises(DefinitionError, match="the executor 'gpu' is a function that returned 3"):
            runner.start(heavy_graph)


def local() -> Any:
    """Return a local function."""

    def inside(n: int) -> int:
        return n

    return inside


@pytest.mark.parametrize(
    ("made", "text"),
    [
        (lambda: graph(heavy.double, thread=True), "decides where the node runs"),
        (lambda: graph(None), "applies only to functions"),
        (lambda: graph(Graph("g", heavy.Job)), "applies only to functions"),
        (lambda: graph(Agent("writer", model=ScriptedModel(["x"]), prompt="write")), "applies only to functions"),
        (lambda: graph(choose("n", {1: heavy.double, 2: Graph("g", heavy.Job, result="out")})), "g is not a function"),
    ],
    ids=["thread", "no function", "a graph", "an agent", "a case that is a graph"],
)
def test_on_is_for_functions(made: Any, text: str) -> None:
    """`on` with `thread`, or on a node that runs no function, is an error of the graph."""
    assert text in "\n".join(map(str, made().check()))


async def test_threads_of_a_given_pool_have_the_whole_context() -> None:
    """A thread pool runs nodes in this process: nothing is pickled, and the Context is whole."""
    seen = graph(thread_name)
    with ThreadPoolExecutor(1, thread_name_prefix="mine") as threads:
        async with Runner(executors={"gpu": threads}) as runner:
            run = runner.start(seen)
            await run.result()
            step = (await runner.history(run.id))[1]
            assert list(step.data.emitted) == ["mine_0"]  # type: ignore[union-attr]


async def test_tests_need_no_executor(runner: OpenRunner) -> None:
    """`run_node` and the fixture `runner` run heavy nodes in place, with a whole Context."""
    made = graph(heavy.calls_there)
    assert (await run_node(made, "work")).result == 4
    assert (await runner.start(made).result()).state.out == 4


async def test_an_async_node_that_runs_in_place_takes_no_thread(
    runner: OpenRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without executors it runs on the event loop, also while other nodes occupy every thread."""

    async def four(n: int) -> int:
        return 4

    monkeypatch.setattr(attempt, "in_thread", None)
    assert (await runner.start(graph(four)).result()).state.out == 4

"""What a run does not do: keep garbage, create asyncio tasks without need, or read the store at its end."""

import asyncio
import gc
import weakref
from collections.abc import Sequence
from typing import Any

import pytest
from pydantic import BaseModel

from graphengine import END, START, Context, Graph, Runner
from graphengine.engine.steps import Decided
from graphengine.errors import RunnerClosed
from graphengine.kernel.fake_clock import FakeClock
from graphengine.runner import NodeBegan
from graphengine.runner.run import life_of
from graphengine.stores.base import Loaded
from graphengine.stores.memory import InMemoryStore
from tests.kit.runs import alone, arms


class State(BaseModel):
    n: int = 0
    seconds: float = 60.0
    numbers: list[int] = []
    totals: list[int] = []


async def one() -> int:
    """Return 1."""
    return 1


def plain() -> Graph[State]:
    """Return a graph of one node."""
    return alone(State, one, "n", name="plain", node="one")


def sleeping() -> Graph[State]:
    """Return a graph that sleeps for as long as its state says."""

    async def nap(seconds: float, ctx: Context) -> int:
        await ctx.sleep(seconds)
        return 1

    return alone(State, nap, "n", name="sleeping", node="nap")


async def test_a_closed_runner_is_freed_without_garbage_collection() -> None:
    """Nothing that a run leaves refers to itself, so that short runs leave no work to the collector."""
    gc.collect()
    gc.disable()
    try:
        runner = Runner()
        async with runner:
            result = await runner.start(plain()).result()
        left = weakref.ref(runner)
        del runner
        await asyncio.sleep(0)
        assert left() is None
        assert result.state.n == 1
    finally:
        gc.enable()


async def test_steps_in_memory_do_not_keep_the_values_of_nodes() -> None:
    """The store has the records; the typed value belongs to the run alone."""
    store = InMemoryStore()
    async with Runner(store) as runner:
        run = runner.start(plain())
        await run.result()
        kept = store._logs[run.id].steps  # noqa: SLF001 - reading them makes copies
        assert [step.typed for step in kept if isinstance(step, Decided)] == [None, None]


class CountsLoads(InMemoryStore):
    """A store that counts what is loaded from it."""

    def __init__(self) -> None:
        super().__init__()
        self.loads: list[str] = []

    async def load(self, run_id: str, upto: int | None = None) -> Loaded:
        """Count, and load."""
        self.loads.append(run_id)
        return await super().load(run_id, upto)


def sleepers(runner: Runner) -> int:
    """Return how many runs sleep in a runner."""
    return len(runner._shared.asleep)  # noqa: SLF001 - not public


async def asleep(runner: Runner, count: int) -> Sequence[Any]:
    """Start runs that sleep, and return them once all do."""
    runs = [runner.start(sleeping(), {"seconds": 60.0 + number}) for number in range(count)]
    while sleepers(runner) < count:  # noqa: ASYNC110 - there is no event for it
        await asyncio.sleep(0)
    return runs


async def test_closing_a_runner_reads_only_those_sleeping_runs_whose_result_is_awaited() -> None:
    """Ten thousand runs that sleep do not delay the end of a process."""
    store = CountsLoads()
    async with Runner(store, clock=FakeClock(jumps=False)) as runner:
        runs = await asleep(runner, 20)
        awaited = asyncio.create_task(runs[3].result())
        await asyncio.sleep(0)
        store.loads.clear()
    assert store.loads == [runs[3].id]
    assert (await awaited).status == "waiting"


async def test_a_run_that_slept_when_its_runner_closed_has_no_result_here() -> None:
    """The error says what the run did; it can be read with another Runner."""
    async with Runner(clock=FakeClock(jumps=False)) as runner:
        (run,) = await asleep(runner, 1)
    with pytest.raises(RunnerClosed, match=f"closed while run {run.id} slept"):
        await run.result()


async def test_one_asyncio_task_waits_for_all_sleeping_runs() -> None:
    """Each is woken at its own time, also one that fell asleep later and is due earlier."""
    clock = FakeClock(jumps=False)
    async with Runner(clock=clock) as runner:
        late = await asleep(runner, 3)
        early = runner.start(sleeping(), {"seconds": 10.0})
        while sleepers(runner) < 4:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        names = [task.get_name() for task in asyncio.all_tasks()]
        assert names.count("graphengine alarms") == 1
        clock.move(10)
        assert (await early.result()).status == "finished"
        assert not any(life_of(run).task.done() for run in late)
        clock.move(51)
        assert [(await run.result()).status for run in late[:2]] == ["finished", "finished"]
        assert not life_of(late[2]).task.done()
        await runner.stop(late[2].id)
        assert (await late[2].result()).status == "stopped"
        await asyncio.sleep(0)
        assert "graphengine alarms" not in [task.get_name() for task in asyncio.all_tasks()]


def joined(seen: list[Any]) -> Graph[State]:
    """Return a graph with a fork whose nodes before and after it note their asyncio tasks."""

    async def note() -> int:
        seen.append(asyncio.current_task())
        return 1

    graph = Graph("joined", State)
    graph.add_node("first", note, writes="n")
    graph.add_node("left", one, writes={"seconds": "."})
    graph.add_node("right", one, writes="n")
    graph.add_node("then", note, writes="n")
    graph.add_node("last", note, writes="n")
    graph.add_edge(START, "first")
    graph.add_fork("first", ["left", "right"], join="then")
    graph.add_edge("left", "then")
    graph.add_edge("right", "then")
    graph.add_path("then", "last", END)
    return graph


async def test_nodes_after_a_join_run_in_the_asyncio_task_of_the_run() -> None:
    """A fork does not count as a node that set a context variable, after which each node has a task of its own."""
    seen: list[Any] = []
    await joined(seen).run()
    assert len(set(map(id, seen))) == 1


async def test_entering_and_leaving_a_graph_for_each_item_needs_no_asyncio_tasks() -> None:
    """Only the nodes get asyncio tasks from the loop; the run has one of its own kind."""
    inner = Graph("inner", State, result="n")
    inner.add_node("a", one, writes="n")
    inner.add_node("b", lambda n: n + 1, writes="n", thread=False)
    inner.add_path(START, "a", "b", END)
    graph = alone(State, inner, "totals", each={"number": "numbers"}, inputs={"n": "number"}, name="outer", node="each")
    graph.compile()
    made: list[object] = []

    def factory(loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any) -> asyncio.Task[Any]:
        made.append(coroutine)
        return asyncio.Task(coroutine, loop=loop, **options)

    asyncio.get_running_loop().set_task_factory(factory)
    result = await graph.run({"numbers": [1, 2, 3]})
    assert result.state.totals == [2, 2, 2]
    assert len(made) == 3 * 2  # the nodes `a` and `b` of each item


async def test_a_watched_run_records_its_steps_in_the_order_of_one_that_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """Arms and items that enter graphs, next to a plain one; watchers still learn which nodes run."""
    inner = alone(State, one, "n", name="inner", node="one", result="n")
    graph = Graph("outer", State)
    graph.add_node("plain", one, writes="seconds")
    graph.add_node("graph", inner, inputs={}, writes="n")
    graph.add_node("each", inner, each={"number": "numbers"}, inputs={"n": "number"}, writes="totals")
    graph.add_node("join", lambda: None)
    graph.add_fork(START, ["plain", "graph", "each"], join="join")
    for arm in ("plain", "graph", "each"):
        graph.add_edge(arm, "join")
    graph.add_edge("join", END)
    orders: list[list[tuple[str, str, str]]] = []
    began: set[str] = set()
    async with Runner() as runner:
        for watched in (False, True):
            run = runner.start(graph, State(numbers=[1, 2]))
            if watched:
                began = {event.path async for event in run.events() if isinstance(event, NodeBegan)}
            await run.result()
            orders.append([(step.kind, step.frame, step.node) for step in await runner.history(run.id)])
    assert orders[0] == orders[1]
    assert {"plain", "join", "graph/one"} <= began


async def test_a_node_that_suspends_does_not_hold_up_those_that_began_with_it() -> None:
    """An arm waits for the one after it; each is in an asyncio task of its own."""
    last = asyncio.Event()
    within: dict[str, asyncio.Task[Any] | None] = {}

    async def quick() -> int:
        within["quick"] = asyncio.current_task()
        return 1

    async def waits() -> float:
        within["waits"] = asyncio.current_task()
        await last.wait()
        return 2.0

    async def ends() -> list[int]:
        within["ends"] = asyncio.current_task()
        last.set()
        return [3]

    graph = arms(State, ("quick", quick, "n"), ("waits", waits, "seconds"), ("ends", ends, "totals"))
    async with asyncio.timeout(60):
        state = (await graph.run()).state
    assert (state.n, state.seconds, state.totals) == (1, 2.0, [3])
    assert len(set(within.values())) == 3

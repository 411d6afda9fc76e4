"""Short runs, where the beginning and the end of a run count as much as its steps; and graphs of other shapes."""

from __future__ import annotations

import itertools
import tempfile
import time
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from benchmarks.measure import MICRO, Outcome, Settings, alternate
from benchmarks.ours import Counter, Jobs, Pair, chain, counting, counting_pairs, spreading
from graphengine import Runner
from graphengine.databases.sqlite import SQLiteStore

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from pydantic import BaseModel

    from benchmarks.measure import Figure, Side
    from graphengine import Graph

_STEP: Final = "a step in memory"


async def short(settings: Settings) -> Outcome:
    """This program measures runs of one node and of ten nodes in a row, one run after the other.

    The time is taken from the call to the result. Each node adds one to a field of a pydantic state with three fields.
    In memory, our runs use `graph.run`, and LangGraph has no checkpointer. In SQLite, both sides have one open database
    at `synchronous = NORMAL`, and LangGraph runs with `durability="sync"`. The step shown for comparison is that of the
    program `step`. All figures are CPU time of the process, which other work on the machine changes least.

    A profile of a run of one node in memory shows these shares:

    - 28 % for the two steps, the beginning and the node (9 % decide, 9 % append, 5 % fold, 3 % call the node, 2 % find
      what is ready)
    - 26 % for the call of `graph.run`, the caller's own model and the release of all objects
    - 12 % for the coroutines that supervise the run
    - 9 % for the checks of the run's input and its initial state
    - 8 % for the Runner, 7 % for the result, 5 % for the driver, and 5 % for its loop

    No function takes more than 6 % by itself. Of a run of one node in SQLite, 31 % is what the run takes in memory, and
    43 % is SQLite itself. More than half of SQLite's share are the two commits.
    """
    figures: dict[str, Figure] = {}
    ratios: dict[str, float] = {}
    runs = settings.count(40, 2)
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        runner = await stack.enter_async_context(Runner(SQLiteStore(folder / "ours.db", synchronous="NORMAL")))
        savers: dict[str, Any] = {}
        if settings.has("langgraph"):
            from benchmarks import langgraph_side as peer  # noqa: PLC0415 - installed for the benchmarks only

            savers["SQLite"] = await stack.enter_async_context(peer.saving(folder / "peer.db"))
        for nodes, place in itertools.product((1, 10), ("memory", "SQLite")):
            name = f"{nodes} {'node' if nodes == 1 else 'nodes'}, {place}"
            graph = chain(nodes)
            graph.compile()
            run = partial(_start, runner, graph) if place == "SQLite" else partial(graph.run, Counter())
            sides: dict[str, Side] = {name: _repeated(run, runs)}
            if nodes == 1 and place == "memory":
                sides[_STEP] = _steps_in_memory(settings)
            if settings.has("langgraph"):
                theirs = _langgraph(nodes, savers.get(place))
                sides[f"LangGraph: {name}"] = _repeated(theirs, max(runs // 4, 1))
            found = await alternate(sides, "µs", settings.count(21, 1))
            figures |= found
            if _STEP in sides:
                ratio = found[name].against(found[_STEP])
                ratios[f"a run of {name}, against a step"] = ratio
            if settings.has("langgraph"):
                ratio = found[f"LangGraph: {name}"].against(found[name])
                ratios[f"LangGraph's run of {name}, against ours"] = ratio
    return Outcome("Short runs", figures, ratios)


async def shapes(settings: Settings) -> Outcome:
    """This program measures the CPU time of runs in memory of long and wide graphs, from the call to the result.

    - The sequence of 1,000 nodes is `sequential_1000` of LangGraph's own benchmarks.
    - Ten or a hundred items of a list each go through a graph that loops ten times. This corresponds to LangGraph's
      `fanout_to_subgraph_10x` and `fanout_to_subgraph_100x`. LangGraph sends the items to the graph with `Send`.
    - A loop of 200 visits writes two fields in each visit. Its conditions are a function and a limit on visits.

    LangGraph runs without a checkpointer.
    """
    long, visits, loops = settings.count(1000, 10), settings.count(200, 5), settings.count(10, 2)
    few, many = settings.count(10, 2), settings.count(100, 3)
    spread = spreading(loops)
    compared: dict[str, str] = {}
    measured: list[tuple[str, Graph[Any], Callable[[], BaseModel]]] = [
        (f"a sequence of {long:,} nodes", chain(long), Counter),
        (f"{few} items through a graph that loops", spread, lambda: Jobs(numbers=list(range(few)))),
        (f"{many} items through a graph that loops", spread, lambda: Jobs(numbers=list(range(many)))),
        (f"{visits} visits that write two fields", counting_pairs(visits), Pair),
    ]
    figures: dict[str, Figure] = {}
    for name, graph, state in measured:
        graph.compile()
        ours, theirs = f"{name}: graphengine", f"{name}: LangGraph"
        sides = {ours: _repeated(partial(_run, graph, state), 1)}
        if settings.has("langgraph"):
            from benchmarks import langgraph_side as peer  # noqa: PLC0415

            apps: dict[str, Callable[[int], Any]] = {
                "chain": peer.chain,
                "pairs": peer.counting_pairs,
                "spreading": peer.spreading,
            }
            size = {"chain": long, "pairs": visits, "spreading": loops}[graph.name]
            sides[theirs] = _repeated(partial(_invoke, apps[graph.name](size), state().model_dump(), long + visits), 1)
        found = await alternate(sides, "µs", settings.count(9, 1))
        figures |= found
        if theirs in found:
            compared[theirs] = ours
    return Outcome("LangGraph's own programs: long and wide graphs", figures, compared=compared)


async def _start(runner: Runner, graph: Graph[Counter]) -> None:
    await runner.start(graph, Counter()).result()


async def _run(graph: Graph[Any], state: Callable[[], BaseModel]) -> None:
    await graph.run(state())


async def _invoke(app: Any, state: dict[str, object], steps: int, **options: object) -> None:  # noqa: ANN401 - langgraph's
    from benchmarks import langgraph_side as peer  # noqa: PLC0415

    await peer.run(app, state, steps, **options)


def _langgraph(nodes: int, saver: Any) -> Callable[[], Awaitable[object]]:  # noqa: ANN401 - as above
    from benchmarks import langgraph_side as peer  # noqa: PLC0415

    options = {} if saver is None else {"durability": "sync"}
    return partial(_invoke, peer.chain(nodes, saver), Counter().model_dump(), nodes, **options)


def _repeated(run: Callable[[], Awaitable[object]], times: int) -> Side:
    async def side() -> float:
        began = time.process_time()
        for _ in range(times):
            await run()
        return (time.process_time() - began) / times * MICRO

    return side


def _steps_in_memory(settings: Settings) -> Side:
    steps = settings.count(2000, 20)
    graph = counting(steps)

    async def side() -> float:
        began = time.process_time()
        await graph.run(Counter())
        return (time.process_time() - began) / steps * MICRO

    return side

"""Helpers of nearly every test of the Runner: the smallest graphs, and how long a test can hang.

Each file of tests/runner has a state of its own, with the fields that its tests need. Graphs of one node or a row of
nodes are the same everywhere, so they are built here, for a given state.
"""

import asyncio
import re
from collections.abc import Awaitable
from typing import Any, NamedTuple, TypeVar

from pydantic import BaseModel, field_validator

from graphengine import END, START, Graph, RunFailed
from graphengine.runner import Emitted, NodeBegan, StepRecorded
from graphengine.runner.run import Run, life_of

SOON = 60  # seconds that a test can hang before it fails
WEEK = 7 * 86_400  # seconds
OF_GRAPH = ("collect_errors", "limits", "migrate", "resources", "result", "secret_key", "version")
"""The options of `alone` that are those of the graph; the others are those of its node."""

StateT = TypeVar("StateT", bound=BaseModel)


class Odd(BaseModel):
    """A number with a rule that no JSON Schema tells."""

    n: int

    @field_validator("n")
    @classmethod
    def odd(cls, n: int) -> int:
        """Refuse even numbers."""
        if n % 2 == 0:
            message = "even"
            raise ValueError(message)
        return n


def alone(
    state: type[StateT], work: Any, writes: Any, *, name: str = "one", node: str = "work", **options: Any
) -> Graph[StateT]:
    """Return a graph of one node."""
    graph = Graph(name, state, **{key: options.pop(key) for key in OF_GRAPH if key in options})
    graph.add_node(node, work, writes=writes, **options)
    graph.add_path(START, node, END)
    return graph


def repeated(
    state: type[StateT], work: Any, writes: Any, until: Any, *, node: str = "work", **options: Any
) -> Graph[StateT]:
    """Return a graph of one node that is visited until a condition holds."""
    graph = alone(state, work, writes, node=node, **options)
    graph.edges.pop()
    graph.add_edge(node, END, when=until)
    graph.add_edge(node, node)
    return graph


def row(state: type[StateT], *nodes: tuple[str, Any, Any], name: str = "g") -> Graph[StateT]:
    """Return a graph of nodes one after another: name, runnable, writes."""
    graph = Graph(name, state)
    for node, runnable, writes in nodes:
        graph.add_node(node, runnable, writes=writes)
    graph.add_path(START, *(node for node, _, _ in nodes), END)
    return graph


def arms(state: type[StateT], *nodes: tuple[str, Any, Any], need: int | None = None) -> Graph[StateT]:
    """Return a graph of nodes side by side: name, runnable, writes."""
    graph = Graph("arms", state)
    for node, runnable, writes in nodes:
        graph.add_node(node, runnable, writes=writes)
        graph.add_edge(node, END)
    graph.add_fork(START, [node for node, _, _ in nodes], join=END, need=need)
    return graph


async def failing(result: Awaitable[Any], match: str = "") -> Any:
    """Return the result of a run that fails, with this text in its error."""
    error: object = (await asyncio.gather(result, return_exceptions=True))[0]
    assert isinstance(error, RunFailed)
    assert re.search(match, str(error))
    return error.result


async def over(run: Run[Any]) -> None:
    """Return when a run that was begun by this handle is over here, without asking for its result."""
    await life_of(run).until("over")


class Seen(NamedTuple):
    """The events of a run that a watcher saw: paths that began, emitted data with their paths, and recorded paths."""

    began: list[str]
    emitted: list[tuple[str, object]]
    recorded: list[str]


def pass_time(seconds: float) -> None:
    """Let the time of the running event loop pass: timers up to then are due at once, and later ones count from then.

    Time limits can so be hours, which no busy machine exceeds by itself.
    """
    loop = asyncio.get_running_loop()
    now = loop.time
    loop.time = lambda: now() + seconds  # type: ignore[method-assign]


def outlast(loop: asyncio.AbstractEventLoop, seconds: float) -> None:
    """Block this thread until so much of a loop's time has passed, and with it every limit that began before."""
    asyncio.run_coroutine_threadsafe(asyncio.sleep(seconds), loop).result(SOON)


async def watch(run: Run[Any], watched: asyncio.Event) -> Seen:
    """Watch a run to its end, setting `watched` with the first event."""
    seen = Seen([], [], [])
    async with asyncio.timeout(SOON):
        async for event in run.events():
            watched.set()
            if isinstance(event, NodeBegan):
                seen.began.append(event.path)
            elif isinstance(event, Emitted):
                seen.emitted.append((event.path, event.data))
            elif isinstance(event, StepRecorded):
                seen.recorded.append(event.step.path)
    return seen

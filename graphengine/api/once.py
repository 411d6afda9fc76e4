"""One run of a graph with a Runner of its own: `Graph.run` and `Graph.run_sync`."""

from __future__ import annotations

import asyncio
import warnings
from typing import TYPE_CHECKING, Any, Final, TypedDict, TypeVar

from graphengine.api.runner import Runner
from graphengine.errors import DefinitionError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping
    from concurrent.futures import Executor
    from os import PathLike

    from graphengine.agents.model_routing import GivenModels
    from graphengine.api.graph import Graph
    from graphengine.graph.definition import Limits
    from graphengine.runner.result import Result
    from graphengine.stores.base import Store

S = TypeVar("S")
T = TypeVar("T")

_WARNED: Final[dict[str | tuple[str, type[Warning], int], int]] = {}  # what was shown; each warning is shown once


class RunOptions(TypedDict, total=False):
    """The options of `Graph.run` and `Graph.run_sync`.

    Attributes:
        limits: Limits that replace the graph's own.
        store: The path of a SQLite database, or a Store: the run can be inspected, resumed and branched later.
        run_id: The run's id; generated if not given.
        models: Models that replace agents' own, as in `Runner`.
        resources: Ready-made resources that replace the graph's own, by name.
        executors: Where heavy nodes run, by the names of `add_node(…, on=…)`, as in `Runner`.
    """

    limits: Limits | None
    store: str | PathLike[str] | Store | None
    run_id: str | None
    models: GivenModels | None
    resources: Mapping[str, object] | None
    executors: Mapping[str, Executor | Callable[[], Executor]] | None


async def run_once(  # noqa: PLR0913 - the run options
    graph: Graph[S],
    state: S | Mapping[str, object] | None,
    *,
    limits: Limits | None = None,
    store: str | PathLike[str] | Store | None = None,
    run_id: str | None = None,
    models: GivenModels | None = None,
    resources: Mapping[str, object] | None = None,
    executors: Mapping[str, Executor | Callable[[], Executor]] | None = None,
) -> Result[S]:
    """Run a graph once, and return its result. Raises: as `Run.result`."""
    for problem in graph.compile().warnings:
        text, file = f"graph {graph.name!r} compiles with a {problem}", problem.file or "<graph>"
        warnings.warn_explicit(text, UserWarning, file, problem.line or 1, registry=_WARNED)
    async with Runner(store, models=models, resources=resources, executors=executors) as runner:
        return await runner.start(graph, state, run_id=run_id, limits=limits).result()


def run_alone(function: Callable[[], Coroutine[Any, Any, T]], where: str) -> T:
    """Run what the function returns in an event loop of its own, and return its result.

    Raises:
        DefinitionError: An event loop is running here.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        is_running = False
    else:
        is_running = True
    if is_running:  # not in the `except`, so that errors of the run do not have a missing loop as their context
        message = "run_sync was called where an event loop is running"
        raise DefinitionError(message, where=where, repair="write: result = await graph.run(…), or use SyncRunner")
    return asyncio.run(function())

"""Runs that are started once for an id: started, gone on with, waited for, or over already."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from typing_extensions import TypeVar

from graphengine.errors import RunExists
from graphengine.kernel.inside import FINAL
from graphengine.records.same_start import check_same

if TYPE_CHECKING:
    from collections.abc import Mapping

    from graphengine.kernel.extension import GraphDefinition, Run, Runner

S = TypeVar("S")
Out_co = TypeVar("Out_co", covariant=True, default=object)


async def start_or_join(
    runner: Runner,
    graph: GraphDefinition[S, Out_co],
    state: S | Mapping[str, object] | None,
    *,
    resume: bool,
    **options: Any,  # noqa: ANN401 - those of `Runner.start`
) -> Run[S, Out_co]:
    """Start a run; of an id that exists, return a handle on that run, which goes on here if no other process has it.

    Args:
        runner: Drives it.
        graph: Its graph.
        state: The initial state.
        resume: Whether one that failed or was stopped is resumed.
        options: The options of `start`, with its `run_id`.

    Raises:
        CompileError, InputError; RunExists: The run with this id is of another graph, or began with another input.
    """
    run_id = options.get("run_id")
    if run_id is None:
        return runner.start(graph, state, **options)
    while True:
        info = next(iter(await runner.store.infos([run_id])), None)
        if info is None:
            run = runner.start(graph, state, **options)
            try:
                await run.begun()
            except RunExists:
                continue  # another caller was faster
            return run
        await check_same(runner.store, graph, state, info, is_sequel=options.get("after") is not None)
        is_over = info.status in FINAL or (info.status in ("failed", "stopped") and not resume)
        if is_over or info.queued:
            return runner.get(run_id, graph)
        return await runner.drive(run_id, graph, limits=options.get("limits"))


__all__ = ["start_or_join"]

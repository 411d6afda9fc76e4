"""Start a run once for an id. If the run already exists, join it: resume it, wait for it, or return its result."""

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
    """Start a run with the id in `options`, or join the run with this id if it already exists.

    If the existing run has not ended and no other process drives it, this process continues the run.

    Args:
        runner: The Runner that drives the run.
        graph: The graph of the run.
        state: The initial state.
        resume: Whether a run that has failed or was stopped is resumed.
        options: The options of `start`, including `run_id`.

    Raises:
        CompileError: The graph has problems.
        InputError: The state or an option is invalid.
        RunExists: The run with this id belongs to another graph, or began with another input.
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
                continue  # Another caller has started the run in the meantime.
            return run
        await check_same(runner.store, graph, state, info, is_sequel=options.get("after") is not None)
        is_over = info.status in FINAL or (info.status in ("failed", "stopped") and not resume)
        if is_over or info.queued:
            return runner.get(run_id, graph)
        return await runner.drive(run_id, graph, limits=options.get("limits"))


__all__ = ["start_or_join"]

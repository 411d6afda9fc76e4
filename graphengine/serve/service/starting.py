"""Starting a run once: a request that is sent again, with the same key and the same input, returns the run it started.

The key is a part of the run's id, so the store decides, also between processes and after a crash: a run and its key are
recorded by one transaction.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from graphengine.errors import RunExists
from graphengine.state.encoded import opened

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from graphengine.api.graph import Graph
    from graphengine.api.runner import Runner
    from graphengine.engine.plan import Plan


@dataclass(frozen=True, slots=True)
class Start:
    """A run to start: its graph and input, its id, if it has one, and its place in a queue."""

    graph: Graph[Any]
    state: Mapping[str, Any]
    run_id: str | None
    queue: str
    priority: int
    key: str | None
    tags: Sequence[str]


async def started(runner: Runner, start: Start) -> tuple[str, bool]:
    """Record a run in its queue; return its id, and whether it is new.

    Raises:
        RunExists: There is a run of this id with another graph or input.
        InputError: The input or the place is invalid.
    """
    run = runner.start(
        start.graph,
        start.state,
        run_id=start.run_id,
        queue=start.queue,
        priority=start.priority,
        key=start.key,
        tags=start.tags,
    )
    try:
        await run.result()
    except RunExists as error:
        if await _is_same(runner, start, run.id):
            return run.id, False
        raise RunExists(
            f"run {run.id} was started with another graph or input",
            where=f"run {run.id}",
            repair="send the input that it was started with, or use another key or run_id",
        ) from error
    return run.id, True


async def _is_same(runner: Runner, start: Start, run_id: str) -> bool:
    """Return whether a run was started as this one would be. Generated defaults, such as a time, do not count."""
    plan: Plan[Any] = start.graph.compile()
    if (await runner.info(run_id)).graph != plan.graph:
        return False
    new, recorded = plan.state.initial(start.state, f"run {run_id}"), await runner.state_at(run_id, 1)
    return all(
        opened(new.values[name]) == opened(recorded.get(name))
        for name, field in plan.state.fields.items()
        if name in new.given or field.info.default_factory is None
    )


__all__ = ["Start", "started"]

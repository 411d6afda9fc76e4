"""Check whether a second start with the id of a recorded run asks for the same run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from typing_extensions import TypeVar

from graphengine.errors import RunExists
from graphengine.kernel.extension import compiled
from graphengine.kernel.inside import begun_otherwise

if TYPE_CHECKING:
    from collections.abc import Mapping

    from graphengine.kernel.extension import GraphDefinition
    from graphengine.kernel.store import RunInfo, RunStore

S = TypeVar("S")


async def check_same(
    store: RunStore,
    graph: GraphDefinition[S, Any],
    state: S | Mapping[str, object] | None,
    info: RunInfo,
    *,
    is_sequel: bool,
) -> None:
    """Check that a second start of a run, under the id of a recorded run, asks for the same run.

    A second start returns the recorded run instead of starting another one. So the recorded run must have begun with
    the same graph and the same state.

    Args:
        store: The store of the run.
        graph: The graph of the second start.
        state: The initial state of the second start; None to accept any state.
        info: The recorded run.
        is_sequel: Whether the start continues the final state of an earlier run. Then states are not compared.

    Raises:
        RunExists: The recorded run began with another graph or another state.
    """
    plan, where = compiled(graph), f"run {info.id}"
    if info.graph != plan.graph:
        text = f"run {info.id!r} belongs to graph {info.graph!r}, not to {plan.graph!r}"
        repair = "give another run_id=, or start the graph of this run"
        raise RunExists(text, where=where, repair=repair)
    if state is None or is_sequel:  # The final state of the earlier run is not known here.
        return
    initial = plan.state.initial(state, f"graph {plan.graph}")
    others = await begun_otherwise(store, info.id, plan, initial)
    if not others:
        return
    first, *more = others
    rest = f", and with other values of {', '.join(repr(each.name) for each in more)}" if more else ""
    values = f"{first.name}={first.began}, not with {first.name}={first.given}"
    text = f"run {info.id!r} began with {f'another {first.name!r}' if first.is_secret else values}{rest}"
    repair = "to continue this run, give the same values or none; to start another run, give another run_id="
    raise RunExists(text, where=where, repair=repair)


__all__ = ["check_same"]

"""Debouncing: many starts with one key within a window become one run, with the input of the last.

There is a run for each key, which collects: it takes the first start, then waits until none came for the window, and
starts the run as its child. It is a run like any other: durable, in lists, continued by any worker that has its graph.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel, create_model

from graphengine.api.graph import Graph
from graphengine.kernel.extension import (
    END,
    START,
    Context,
    Limits,
    Retention,
)

if TYPE_CHECKING:
    from graphengine.kernel.extension import GraphDefinition, Seconds

TOPIC: Final = "start"
_KEPT_STEPS: Final = 1000


def debounced(graph: GraphDefinition[Any], *, seconds: Seconds, queue: str | None = None) -> Graph[BaseModel]:
    """Return a graph whose runs collect the starts of another one: `start_or_send` with a key as its run's id.

    Give workers both graphs. To end the run of a key, send it None.

    Args:
        graph: The graph to start.
        seconds: How long no other start with the key must have come.
        queue: The queue from which a worker takes the run; by default it is driven where its key's run is.

    Raises:
        DefinitionError: `seconds` is no time.

    Example:
        >>> class Page(BaseModel):
        ...     url: str = ""
        >>> index = Graph("index", Page)
        >>> index.add_node("read", lambda url: url, writes="url")
        >>> index.add_path(START, "read", END)
        >>> index_later = debounced(index, seconds=60)
        >>> index_later.name
        'index later'
    """
    given: Any = graph.state | None
    state = create_model("Collected", newest=(given, None), is_quiet=(bool, False))

    async def first(ctx: Context) -> Any:  # noqa: ANN401 - the graph's state
        return await ctx.receive(TOPIC, given)

    async def later(ctx: Context, newest: Any) -> dict[str, Any]:  # noqa: ANN401
        found = await ctx.receive(TOPIC, given, timeout_seconds=seconds, default=None)
        return {"newest": newest if found is None else found, "is_quiet": found is None}

    async def start(ctx: Context, newest: Any) -> None:  # noqa: ANN401
        await ctx.start(graph, newest, queue=queue, on_stop="leave")

    collecting = Graph(
        f"{graph.name} later", state, limits=Limits(visits=None), retention=Retention(keep_steps=_KEPT_STEPS)
    )
    collecting.add_node("first", first, writes="newest")
    collecting.add_node("later", later, writes=("newest", "is_quiet"))
    collecting.add_node("start", start)
    collecting.add_edge(START, "first")
    collecting.add_edge("first", END, when=lambda newest: newest is None, label="no more")
    collecting.add_edge("first", "later")
    collecting.add_edge("later", "start", when=lambda is_quiet: is_quiet, label="quiet")
    collecting.add_edge("later", "later")
    collecting.add_edge("start", "first")
    return collecting


__all__ = ["debounced"]

"""Debouncing: many starts with the same key within a time window become one run, with the last input.

For each key there is one run that collects. It receives the first start, waits until no other start has come for the
length of the window, and then starts the graph as a child run. Like any other run it is durable, appears in lists, and
is continued by any worker that has its graph.

The collecting run keeps an input as JSON, with the version of the graph for which it was sent. A deployment that
changes the state of that graph therefore does not affect the collecting run. The input is migrated by the graph's own
`migrate=` when the child run is started, and is then forgotten by the collecting run.
"""

from __future__ import annotations

import logging
from math import inf
from typing import TYPE_CHECKING, Annotated, Any, Final

from pydantic import AfterValidator, BaseModel

from graphengine.api.graph import Graph
from graphengine.errors import DefinitionError, GraphChanged, InputError
from graphengine.kernel.extension import (
    END,
    START,
    Context,
    Limits,
    Retention,
    compiled,
)
from graphengine.kernel.inside import RecordedInput

if TYPE_CHECKING:
    from graphengine.kernel.extension import GraphDefinition, JsonValue, Seconds

TOPIC: Final = "start"
_KEPT_STEPS: Final = 1000
_AGAIN_SECONDS: Final = 60.0
"""How long to keep an input that could not be started, before the next try. As a rule, the cause is that a deployment
changed the graph, so that a worker of another version, or a person, is needed."""

log = logging.getLogger("graphengine.runner")


class _Collected(BaseModel):
    """The state of a run that collects the inputs for one key, until they stop coming for the length of the window.

    Attributes:
        newest: The last input, as `RecordedInput.as_json` writes it; None once a run was started with it.
        is_quiet: Whether no other input came for the length of the window.
        trouble: Why the input could not be started, so that it is tried again later; "" if nothing is wrong.
        since: When the first input came that no run was started for, epoch seconds; 0 if it is not known.
    """

    newest: dict[str, Any] | None = None
    is_quiet: bool = False
    trouble: str = ""
    since: float = 0.0


def debounced(
    graph: GraphDefinition[Any], *, seconds: Seconds, max_seconds: Seconds | None = None, queue: str | None = None
) -> Graph[BaseModel]:
    """Make a graph that collects starts with the same key, and runs the given graph once they have stopped coming.

    Each run of the graph that `debounced` returns collects the starts of one key. To add a start, call `start_or_send`
    of the Runner, with the returned graph, and with the key as the id of the run. Give workers both graphs: the
    returned one and the one that it starts. To end the run of a key, send None to this run.

    An input for a `debounced` graph is checked when it is sent, if the sending process has the graph. Otherwise the
    input is checked when the run of its key receives it.

    An input for a `debounced` graph can become invalid while it waits, because the graph has been changed. The run of
    the key then keeps the input and tries it again every minute, until the graph accepts it. If another input is sent
    for the same key meanwhile, the new input replaces the one that was kept.

    Args:
        graph: The graph to start. Its state has no secret fields, because messages are kept in clear text.
        seconds: The length of the window: the run is started once no other start with the key has come for so long.
        max_seconds: How long the first start waits at most. Without it, starts that come again and again within
            `seconds` are never followed by a run.
        queue: The queue from which a worker takes the started run. By default, the process that drives the collecting
            run drives the started run, too.

    Raises:
        DefinitionError: `seconds` is not a valid time, or `max_seconds` is less than `seconds`.

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
    _check_seconds(seconds, max_seconds, graph.name)

    def record(given: dict[str, Any] | None) -> dict[str, Any] | None:
        """Convert an input to the form in which runs record it. An input without a version belongs to today's graph."""
        if given is None or RecordedInput.find(given) is not None:
            return given
        try:
            return RecordedInput.of(compiled(graph), given, f"graph {graph.name}").as_json()
        except InputError as error:
            raise ValueError(error.message) from error

    longest = inf if max_seconds is None else max_seconds
    given: Any = Annotated[dict[str, Any] | None, AfterValidator(record)]

    async def first(ctx: Context) -> dict[str, Any]:
        found = await ctx.receive(TOPIC, given)
        return {"newest": found, "since": ctx.now()}

    async def later(ctx: Context, newest: Any, trouble: str, since: float) -> dict[str, Any]:  # noqa: ANN401 - JSON
        began = since or ctx.now()
        window = max(seconds, _AGAIN_SECONDS) if trouble else min(seconds, began + longest - ctx.now())
        found = None if window <= 0 else await ctx.receive(TOPIC, given, timeout_seconds=window, default=None)
        if found is None:
            return {"newest": newest, "is_quiet": True, "trouble": trouble, "since": began}
        return {"newest": found, "is_quiet": False, "trouble": "", "since": ctx.now() if trouble else began}

    async def start(ctx: Context, newest: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
        try:
            await ctx.start(graph, RecordedInput.find(newest), queue=queue, on_stop="leave")
        except (InputError, GraphChanged) as error:
            log.error("the input that run %s has collected cannot be started: %s", ctx.run_id, error)  # noqa: TRY400 - for people
            return {"newest": newest, "is_quiet": False, "trouble": error.message}
        return {"newest": None, "is_quiet": False, "trouble": "", "since": 0.0}

    def keep_as_json(old: dict[str, JsonValue]) -> dict[str, JsonValue]:
        """Migrate a state of version 1. Its input has no version, and counts as an input for today's graph."""
        return {**old, "newest": old["newest"] and RecordedInput.of_state(old["newest"], graph.version).as_json()}

    collecting: Graph[BaseModel] = Graph(
        f"{graph.name} later",
        _Collected,
        limits=Limits(visits=None),
        retention=Retention(keep_steps=_KEPT_STEPS),
        version=2,
        migrate={1: keep_as_json},
    )
    collecting.collects[TOPIC] = graph
    collecting.add_node("first", first, writes=("newest", "since"))
    collecting.add_node("later", later, writes=("newest", "is_quiet", "trouble", "since"))
    collecting.add_node("start", start, writes=("newest", "is_quiet", "trouble", "since"))
    collecting.add_edge(START, "first")
    collecting.add_edge("first", END, when=lambda newest: newest is None, label="no more")
    collecting.add_edge("first", "later")
    collecting.add_edge("later", "start", when=lambda is_quiet: is_quiet, label="quiet")
    collecting.add_edge("later", "later")
    collecting.add_edge("start", "later", when=lambda trouble: trouble != "", label="not started")
    collecting.add_edge("start", "first")
    return collecting


def _check_seconds(seconds: float, max_seconds: float | None, name: str) -> None:
    if max_seconds is not None and max_seconds < seconds:
        message = f"max_seconds={max_seconds!r} is less than seconds={seconds!r}"
        repair = "give a max_seconds= that is at least seconds="
        raise DefinitionError(message, where=f"debounced {name}", repair=repair)


__all__ = ["debounced"]

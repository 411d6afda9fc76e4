"""The same graphs as a user of LangGraph writes them, and its SQLite saver. Needs what `.[bench]` installs.

To have a state that is validated, a LangGraph user makes it a pydantic model; the state that a node is handed is then
validated. The reducer of a list is `operator.add`. Graphs are compiled once, nodes are async, and `recursion_limit`
stands above the number of steps. In memory there is no checkpointer, which is its fastest way.
"""

from __future__ import annotations

import operator
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated, Any, TypedDict

import aiosqlite
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.graph import END, START, StateGraph
from pydantic import BaseModel

from benchmarks.ours import Counter

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping
    from pathlib import Path


class Tally(TypedDict):
    """The counter's fields, not validated."""

    count: int
    name: str
    ratio: float


class Pages(BaseModel):
    """The diary, with LangGraph's usual reducer for lists."""

    count: int = 0
    name: str = ""
    entries: Annotated[list[str], operator.add] = []


def counting(steps: int, saver: AsyncSqliteSaver | None = None) -> Any:  # noqa: ANN401 - langgraph's compiled graph
    """A node that counts, over a pydantic state."""

    async def increase(state: Counter) -> dict[str, int]:
        return {"count": state.count + 1}

    def ahead(state: Counter) -> str:
        return "__end__" if state.count >= steps else "increase"

    return _loop(Counter, increase, ahead, saver)


def counting_unvalidated(steps: int) -> Any:  # noqa: ANN401 - as above
    """A node that counts, over a TypedDict."""

    async def increase(state: Tally) -> dict[str, int]:
        return {"count": state["count"] + 1}

    def ahead(state: Tally) -> str:
        return "__end__" if state["count"] >= steps else "increase"

    return _loop(Tally, increase, ahead, None)


def writing(steps: int, entry: str, visited: Callable[[], object], saver: AsyncSqliteSaver | None = None) -> Any:  # noqa: ANN401
    """A node that counts its visits and appends to a list it does not read, over a pydantic state."""

    async def write(state: Pages) -> dict[str, object]:
        visited()
        return {"count": state.count + 1, "entries": [f"{entry} {state.count}"]}

    def ahead(state: Pages) -> str:
        return "__end__" if state.count >= steps else "write"

    return _loop(Pages, write, ahead, saver)


async def run(app: Any, state: Mapping[str, object], steps: int, **options: object) -> float:  # noqa: ANN401
    """Run it on a new thread; the seconds a step, from the call to the result."""
    config = {"recursion_limit": steps + 10, "configurable": {"thread_id": str(time.perf_counter_ns())}}
    began = time.perf_counter()
    await app.ainvoke(dict(state), config, **options)
    return (time.perf_counter() - began) / steps


@asynccontextmanager
async def saving(path: Path) -> AsyncIterator[AsyncSqliteSaver]:
    """Its SQLite saver over a file: in WAL mode, which is its own choice, with `synchronous = NORMAL`."""
    async with aiosqlite.connect(path) as connection:
        saver = AsyncSqliteSaver(connection)
        await saver.setup()
        await connection.execute("PRAGMA synchronous = NORMAL")
        yield saver


def _loop(state: type, node: Callable[..., object], ahead: Callable[..., str], saver: AsyncSqliteSaver | None) -> Any:  # noqa: ANN401
    graph = StateGraph(state)
    name = node.__name__
    graph.add_node(name, node)
    graph.add_edge(START, name)
    graph.add_conditional_edges(name, ahead, [name, END])
    return graph.compile(checkpointer=saver)

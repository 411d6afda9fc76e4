"""Graphs of one node, for tests that run the node by itself."""

from collections.abc import Callable
from typing import Annotated, Any

from pydantic import BaseModel, Field

from graphengine import END, START, Graph
from graphengine.reducers import add, append, extend, merge


class Review(BaseModel):
    score: int = Field(ge=1, le=10)


class Article(BaseModel):
    task: str
    source: str
    draft: str = ""
    approved: bool = False
    total: Annotated[int, add] = 0
    notes: Annotated[dict[str, str], merge] = {}
    scores: Annotated[list[int], extend] = []
    reviews: Annotated[list[Review], append] = []


def graph_of(runnable: Any, writes: Any = "draft", **options: Any) -> Graph[Article]:
    """Return a graph of one node `work`."""
    graph = Graph("article", Article)
    graph.add_node("work", runnable, writes=writes, **options)
    graph.add_path(START, "work", END)
    return graph


async def write(task: str) -> str:
    """Write about the task."""
    return f"on {task}"


def raising(error: Exception) -> Callable[..., Any]:
    """Return a node that raises this error."""

    async def work() -> str:
        raise error

    return work


def notes(error: BaseException) -> str:
    """Return the notes that Python prints after an exception."""
    return "\n".join(getattr(error, "__notes__", ()))

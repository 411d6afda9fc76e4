from typing import Annotated

from pydantic import BaseModel, Field

from graphengine import END, START, Agent, Graph, ended_with, failed, iterations, plateau, value
from graphengine.reducers import append
from graphengine.testing import EdgeCoverage, Ended, Items, walk
from tests.kit.scenario import work


class Review(BaseModel):
    score: int = Field(ge=1, le=10)


class Article(BaseModel):
    task: str = ""
    draft: str = ""
    facts: list[str] = []
    notes: dict[str, str] = {}
    approved: bool = False
    history: Annotated[list[Review], append] = []


def never(task):
    raise AssertionError(task)


def review_loop(**options):
    """Write and review until it is good, flat, or enough."""
    graph = Graph("review_loop", Article)
    graph.add_node("research", work, writes="facts", **options)
    graph.add_node("write", Agent("writer", model="openai:none", prompt="{task}"), writes="draft")
    graph.add_node("review", Agent("critic", prompt="{draft}", output=Review), writes="history")
    graph.add_path(START, "research", "write", "review")
    graph.add_edge("review", END, when=failed(Exception), label="accepted unreviewed")
    graph.add_edge("review", END, when=value("history[-1].score") >= 7, label="approved")
    graph.add_edge("review", END, when=plateau("history[-1].score"), label="no longer improving")
    graph.add_edge("review", END, when=iterations("review") >= 3, label="out of iterations")
    graph.add_edge("review", "write")
    return graph


def nested(**options):
    """A nested review loop whose end decides; with `each`, one for each fact."""
    graph = Graph("press", Article)
    options |= {"inputs": {"task": "fact"}, "writes": "notes[{fact}]"} if options else {"writes": "draft"}
    graph.add_node("article", review_loop().but(result="draft"), **options)
    graph.add_node("publish", work, writes="approved")
    graph.add_path(START, "article")
    if "each" not in options:
        graph.add_edge("article", "publish", when=ended_with("approved"), label="good")
        graph.add_edge("article", "publish", when=failed(OSError), label="without")
        graph.add_edge("article", END, label="bad")
    else:
        graph.add_edge("article", "publish")
    graph.add_edge("publish", END)
    return graph


def mapped():
    """A note for each fact, and a review for each."""
    graph = Graph("mapped", Article)
    graph.add_node("note", never, inputs={"task": "fact"}, writes="notes[{fact}]", each={"fact": "facts"}, fallback="?")
    graph.add_node("judge", Agent("judge", prompt="{fact}", output=Review), writes="history", each={"fact": "facts"})
    graph.add_path(START, "note", "judge", END)
    return graph


def one(work, name="write", **options):
    """Return a graph of one node."""
    graph = Graph("built", Article, resources={"engine": lambda: "engine"})
    graph.add_node(name, work, writes="draft", **options)
    graph.add_path(START, name, END)
    return graph


def scores(*given):
    return [{"history": {"score": score}} for score in given]


async def walked(graph=None, nodes=(), *given, **fields):
    """Return how a walk ended, and what of its state is not a default."""
    found = await walk(graph or review_loop(), dict(nodes), *given, **fields)
    lines = [f"{found.path}, {found.status} {found.label}".rstrip()]
    lines += [found.error.message] if found.error else []
    return "\n".join(
        [*lines, *(f"{name}: {value}" for name, value in found.state if value != getattr(Article(), name))]
    )

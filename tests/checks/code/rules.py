import asyncio
from typing import Literal

from pydantic import BaseModel

from graphengine import END, START, Graph, ask
from graphengine.testing import walk


class Post(BaseModel):
    topic: str
    score: int = 0
    kind: Literal["short", "long", "none"] = "short"
    done: bool = False


def desk(node="", **rule):
    graph = Graph("desk", Post)
    graph.add_node("write", lambda score: score, writes="score")
    graph.add_node("approve", lambda: True, writes="done")
    graph.add_node("publish", lambda score: score, writes="score")
    if node:
        graph.require(node, **rule)
    return graph


def refused(graph):
    """Run the test that the only error shows, and return the error: its stubs lead where the rule is broken."""
    (problem,) = [problem for problem in graph.check() if not problem.warning]
    assert problem.line is not None
    names = {"walk": walk, "graph": graph}
    exec(problem.message.partition(":\n")[2], names)
    (test,) = [names[name] for name in names if name.startswith("test_")]
    asyncio.run(test())
    return f"{problem.code} at {problem.where}: {problem.message}"


def asked(answer=bool, writes="done"):
    graph = Graph("desk", Post)
    graph.add_node("write", lambda score: score, writes="score")
    graph.add_node("approve", ask("Publish?", answer), writes=writes)
    graph.add_node("publish", lambda score: score, writes="score")
    graph.add_path(START, "write", "approve")
    graph.add_edge("publish", END)
    return graph


def hasty(score: int) -> bool:
    return score == 0


def published(score: int) -> None:
    raise AssertionError("published")


def undecided():
    graph = Graph("desk", Post)
    graph.add_node("write", lambda score: score, writes="score")
    graph.add_node("approve", lambda: True, writes="done")
    graph.add_node("publish", published)
    graph.require("approve", before="publish")
    graph.add_edge(START, "write")
    graph.add_edge("write", "publish", when=hasty)
    graph.add_path("write", "approve", "publish", END)
    return graph

from pydantic import BaseModel

from graphengine import END, START, Graph, value
from graphengine.graph.definition import Edge

published, broken = [], []


class Post(BaseModel):
    items: list[int] = [1, 2]
    hasty: bool = True
    approved: bool = False


def publish() -> None:
    published.append("post")


def write() -> None:
    if broken:
        raise ValueError(broken.pop())


def article(shape):
    """Return a graph that publishes: at once, after a node, in an arm, at a join, or in a graph inside it."""
    graph = Graph("article", Post)
    if shape == "deeper":
        graph.add_node("article", article("node"), inputs={}, writes={})
        graph.add_path(START, "article", END)
        return graph
    graph.add_node(publish, writes={})
    graph.add_edge("publish", END)
    if shape == "start":
        graph.add_edge(START, "publish")
        return graph
    graph.add_node(write, writes={})
    if shape == "node":
        graph.add_path(START, "write", "publish")
        return graph
    graph.add_node("look", lambda: None, writes={})
    if shape == "arm":
        graph.add_edge(START, "write")
        graph.add_fork("write", ["publish", "look"], join=END)
        graph.add_edge("look", END)
    else:
        graph.add_fork(START, ["write", "look"], join="publish")
        graph.add_edge("write", "publish")
        graph.add_edge("look", "publish")
    return graph


def desk(shape="node", place="node"):
    """Return a graph that approves, unless it is hasty, and then has the article: as a node, a map, or in an arm."""
    graph = Graph("desk", Post)
    graph.add_node("judge", lambda: None, writes={})
    graph.add_node("approve", lambda: True, writes="approved")
    graph.add_node("article", article(shape), inputs={}, writes={}, each={"item": "items"} if place == "map" else None)
    graph.add_node("begin")
    graph.add_edge(START, "judge")
    graph.add_edge("judge", "begin", when=value("hasty").is_true())
    graph.add_path("judge", "approve", "begin")
    if place == "arm":
        graph.add_node("aside", lambda: None, writes={})
        graph.add_fork("begin", ["aside", "article"], join=END)
        graph.add_edge("aside", END)
    else:
        graph.add_edge("begin", "article")
    graph.add_edge("article", END)
    graph.require("approve", before="article/article/publish" if shape == "deeper" else "article/publish")
    return graph


SHAPES, PLACES = ("start", "node", "arm", "join", "deeper"), ("node", "map", "arm")


def rules(graph):
    return [
        f"{each.code}{', a warning' * each.warning}: {each.message}" for each in graph.check() if "rule" in each.code
    ]


def surely(graph):
    graph.edges = [edge for edge in graph.edges if getattr(edge, "condition", None) is None]
    return graph


twice = Graph("desk", Post)
inner = article("node")
twice.add_node("approve", lambda: True, writes="approved")
twice.add_node("draft", inner, inputs={}, writes={})
twice.add_node("article", inner, inputs={}, writes={})
twice.add_path(START, "draft", "approve", "article", END)
twice.require("approve", before="article/publish")


def ending(node, *, hasty):
    """Return an article that must have visited a node when it ends."""
    graph = article("node")
    if hasty:
        graph.add_node("aside")
        graph.edges.insert(0, Edge("write", "aside", value("hasty").is_true(), ""))
        graph.add_edge("aside", END)
    graph.require(node, before=END)
    return graph


def problem_of(path):
    graph = desk()
    graph.require("approve", before=path)
    return "".join(each.message for each in graph.check() if each.code == "unknown_node")

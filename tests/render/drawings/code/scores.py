import asyncio

from pydantic import BaseModel

from graphengine import END, START, Graph, iterations, plateau, value
from graphengine.render.charts import scores
from graphengine.testing import FakeClock
from tests.kit.facts import altered, made_step
from tests.render.samples import done, edge, graph_spec, node, started
from tests.render.timed import BEGAN, history_of, paper_run


class Text(BaseModel):
    names: list[str] = ["a", "b"]
    score: int = 0
    cost: float = 0.0
    words: dict[str, int] = {}
    done: list[int] = []


def drafts(name="drafts"):
    """Return a loop that scores 3, 5, 7, …, until 7 is reached or a function's value has not grown."""

    def length(score: int) -> int:
        return -score

    graph = Graph(name, Text, result="score")
    graph.add_node("write", lambda score: score * 10, writes={"words": lambda result: {"n": result}})
    graph.add_node("rate", lambda score: (score or 1) + 2, writes="score")
    graph.add_path(START, "write", "rate")
    graph.add_edge("rate", END, when=(value("score") >= 7) & (iterations("rate") >= 2), label="good")
    graph.add_edge("rate", END, when=plateau(length, patience=5), label="worse")
    graph.add_edge("rate", "write")
    return graph


def around(name):
    graph = Graph("outer", Text)
    graph.add_node(name, drafts("inner"), writes="score")
    graph.add_path(START, name, END)
    return graph


def steps_of(graph, state=None):
    return asyncio.run(history_of(graph, state or Text(), FakeClock(BEGAN)))


def drawn(graph, *path):
    return scores(graph.compile().graph_spec, steps_of(graph), *path).text()


def loop(*conditions, state):
    spec = graph_spec([node("a")], [edge("START", "a"), *(edge("a", "END", each) for each in conditions)])
    return {**spec, "state": dict.fromkeys(state, "int")}


def arms():
    graph = Graph("arms", Text)
    graph.add_node("rate", lambda: 4, writes="score", thread=False)
    graph.add_node("pay", lambda: 0.5, writes="cost", thread=False)
    graph.add_node("end", lambda score: score + 1, writes="score", thread=False)
    graph.add_fork(START, ["rate", "pay"], join="end")
    graph.add_edge("rate", "end")
    graph.add_edge("pay", "end")
    graph.add_edge("end", END)
    return graph


def renamed():
    """Return the chart of a run whose node was renamed in its middle."""
    steps = steps_of(around("piece"))
    half = next(step.seq for step in steps if step.node == "rate")
    back = {"limits": {}, "fingerprint": "f", "renamed": {"": {"piece": "part"}}}
    resumed = made_step(half + 1, "resumed", steps[half].at, data=back)
    later = [
        altered(
            step,
            seq=step.seq + 1,
            frame=step.frame.replace("piece", "part"),
            node="part" if step.node == "piece" else step.node,
        )
        for step in steps[half:]
    ]
    return scores(around("part").compile().graph_spec, [*steps[:half], resumed, *later], "part/score")

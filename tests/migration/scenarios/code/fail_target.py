from pydantic import BaseModel

from graphengine import END, FAIL, START, Graph, value
from tests.kit.scenario import work


class State(BaseModel):
    ok: bool = True
    strict: bool = True


def build(fixed: bool) -> Graph:
    graph = Graph("fail", State)
    graph.add_node("check", work, writes="ok")
    if fixed:
        graph.add_edge(START, "check")
        graph.add_edge("check", END, label="printed all the same")
        return graph
    graph.add_edge(START, "check", when=value("strict") == False)  # noqa: E712 - a condition
    graph.add_edge(START, FAIL, label="too strict to begin")
    graph.add_edge("check", END, when=value("ok").is_true())
    graph.add_edge("check", FAIL, label="not fit to print")
    return graph


graph, fixed = build(False), build(True)

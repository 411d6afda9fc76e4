from pydantic import BaseModel

from graphengine import END, START, Graph, value
from tests.kit.scenario import work


class State(BaseModel):
    text: str = ""
    approved: bool = False


def desk():
    graph = Graph("desk", State)
    graph.add_node("approve", work, writes="approved")
    graph.add_node("write", work, writes="text")
    graph.add_node("publish", work, writes="text")
    graph.add_path(START, "approve", "write")
    graph.add_edge("write", "publish", when=lambda text: True)
    graph.add_edge("write", END)
    graph.add_edge("publish", END)
    return graph


graph = desk()
ruled = desk()
ruled.require("approve", before="publish", answered=value("approved").is_true())

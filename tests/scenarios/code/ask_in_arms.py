from pydantic import BaseModel

from graphengine import END, START, Graph, ask
from tests.kit.scenario import work


class State(BaseModel):
    one: str = ""
    two: str = ""
    three: str = ""


graph = Graph("arms", State)
graph.add_node("one", ask("First?"), writes="one")
graph.add_node("two", ask("Second?"), writes="two")
graph.add_node("three", work, writes="three")
graph.add_node("merge")
graph.add_fork(START, ["one", "two", "three"], join="merge")
graph.add_edge("one", "merge")
graph.add_edge("two", "merge")
graph.add_edge("three", "merge")
graph.add_edge("merge", END)

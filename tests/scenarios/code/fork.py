from typing import Annotated

from pydantic import BaseModel

from graphengine import END, START, Graph
from graphengine.reducers import append
from tests.kit.scenario import work


class State(BaseModel):
    task: str = ""
    facts: str = ""
    doubts: str = ""
    notes: Annotated[list[str], append] = []
    text: str = ""


graph = Graph("fork", State)
graph.add_node("plan", work, writes="task")
graph.add_node("facts", work, writes=("facts", "notes"))
graph.add_node("counter", work, writes=("doubts", "notes"))
graph.add_node("merge", work, writes="text")
graph.add_path(START, "plan")
graph.add_fork("plan", ["facts", "counter"], join="merge", label="both sides")
graph.add_edge("facts", "merge")
graph.add_edge("counter", "merge")
graph.add_edge("merge", END)

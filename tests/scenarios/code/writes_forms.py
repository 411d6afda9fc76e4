from pydantic import BaseModel

from graphengine import END, START, Graph
from tests.kit.scenario import work


class Verdict(BaseModel):
    score: int = 1
    notes: list[str] = []


class State(BaseModel):
    score: int = 0
    first: str | None = None
    verdict: Verdict | None = None
    sum: int = 0
    notes: list[str] = ["kept"]


graph = Graph("writes", State)
graph.add_node(
    "judge",
    work,
    writes={"score": "score", "first": "notes[0]", "verdict": ".", "sum": lambda result, sum: sum + result.score},
)
graph.add_node("update", work, writes=("score", "notes"))
graph.add_path(START, "judge", "update", END)

from typing import Annotated

from pydantic import BaseModel

from graphengine import END, START, Graph
from graphengine.reducers import append
from tests.kit.scenario import work


class State(BaseModel):
    scores: Annotated[list[int], append] = []
    weights: dict[str, int] = {}


def build(condition) -> Graph:
    graph = Graph("raises", State)
    graph.add_node("judge", work, writes="scores")
    graph.add_edge(START, "judge")
    graph.add_edge("judge", END, when=condition, label="heavy")
    graph.add_edge("judge", "judge")
    return graph


def heavy(scores, weights):
    return scores[-1] * weights["score"] > 5


def fixed_heavy(scores, weights):
    return scores[-1] * weights.get("score", 1) > 5


graph, fixed = build(heavy), build(fixed_heavy)

from typing import Annotated

from pydantic import BaseModel

from graphengine import END, START, Graph, iterations, plateau
from graphengine.reducers import append
from tests.kit.scenario import work


class State(BaseModel):
    history: Annotated[list[int], append] = []
    weights: list[int] = []


def build(score) -> Graph:
    graph = Graph("plateau", State)
    graph.add_node("judge", work)
    graph.add_edge(START, "judge")
    graph.add_edge("judge", "judge", when=iterations("judge") < 2, label="at least twice")
    graph.add_edge("judge", END, when=plateau(score), label="no longer improving")
    graph.add_edge("judge", "judge")
    return graph


def score(history, weights):
    return history[-1] * weights[0]


graph = build(score)


def fixed_score(history, weights):
    return history[-1] * (weights or [1])[0]


fixed_score.__name__ = "score"
fixed = build(fixed_score)

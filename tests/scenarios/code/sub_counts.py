from pydantic import BaseModel

from graphengine import END, START, Graph, changed, elapsed_seconds, ended_with, iterations, plateau, usage
from tests.kit.scenario import work


class Loop(BaseModel):
    goal: int
    score: int = 0
    text: str = ""


loop = Graph("loop", Loop, result="score")
loop.add_node("try_", work, writes=("score", "text"))
loop.add_edge(START, "try_")
loop.add_edge("try_", END, when=usage("calls") >= 100, label="spent")
loop.add_edge("try_", END, when=elapsed_seconds() >= 10, label="late")
loop.add_edge("try_", END, when=plateau("score", patience=2), label="flat")
loop.add_edge("try_", END, when=iterations("try_") >= 3, label="often")
loop.add_edge("try_", END, when=~changed("text"), label="same")
loop.add_edge("try_", "try_")


class State(BaseModel):
    goal: int = 1
    best: int = 50


graph = Graph("counts", State)
graph.add_node("loop", loop, writes="best")
graph.add_edge(START, "loop")
graph.add_edge("loop", "loop", when=ended_with("flat"), label="again")
graph.add_edge("loop", END)

from typing import Annotated

from pydantic import BaseModel

from graphengine import END, START, Graph, ask
from graphengine.reducers import append
from tests.kit.scenario import work


class Inner(BaseModel):
    topic: str
    ok: bool = False


inner = Graph("inner", Inner, result="ok")
inner.add_node("check", ask("Is {topic} fine?", bool), writes="ok")
inner.add_path(START, "check", END)


class State(BaseModel):
    topic: str = "t"
    oks: Annotated[list[bool], append] = []
    guess: str = ""


graph = Graph("ask_in_sub", State)
graph.add_node("first", inner, writes="oks")
graph.add_node("second", inner, writes="oks")
graph.add_node("guess", work, writes="guess")
graph.add_edge(START, "first")
graph.add_fork("first", ["second", "guess"], join=END, need=1)
graph.add_edge("second", END)
graph.add_edge("guess", END)

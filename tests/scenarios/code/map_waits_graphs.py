from pydantic import BaseModel

from graphengine import END, START, Graph, ask
from tests.kit.scenario import work


class Inner(BaseModel):
    letter: str = ""
    left: str = ""
    right: str = ""
    text: str = ""


inner = Graph("inner", Inner, result="text")
inner.add_node("left", work, writes="left")
inner.add_node("right", ask("Right of {letter}?", str), writes="right")
inner.add_node("both", work, writes="text")
inner.add_fork(START, ["left", "right"], join="both")
inner.add_edge("left", "both")
inner.add_edge("right", "both")
inner.add_edge("both", END)


class State(BaseModel):
    letters: list[str] = ["a", "b"]
    words: list[str] = []


graph = Graph("map_waits_graphs", State)
graph.add_node("look", inner, each={"letter": "letters"}, concurrency=1, writes="words")
graph.add_path(START, "look", END)

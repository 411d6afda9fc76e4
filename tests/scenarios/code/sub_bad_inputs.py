from pydantic import BaseModel, Field

from graphengine import END, START, Graph, Retry, failed
from tests.kit.scenario import work


class Inner(BaseModel):
    n: int = Field(ge=1)
    text: str = ""


inner = Graph("inner", Inner, result="text")
inner.add_node("a", work, writes="text")
inner.add_path(START, "a", END)


class State(BaseModel):
    n: int | None = None
    text: str = ""


graph = Graph("bad_inputs", State)
graph.add_node("inner", inner, inputs={"n": "n"}, writes="text", retry=Retry(attempts=3, initial_seconds=0))
graph.add_node("set_n", work, writes="n")
graph.add_edge(START, "inner")
graph.add_edge("inner", "set_n", when=failed(Exception))
graph.add_edge("inner", END)
graph.add_edge("set_n", "inner")

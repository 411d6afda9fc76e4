from pydantic import BaseModel

from graphengine import END, START, Graph, failed
from tests.kit.scenario import work


class Source(BaseModel):
    id: str
    n: int


class State(BaseModel):
    sources: list[Source] = [Source(id="x", n=1), Source(id="y", n=2), Source(id="x", n=3)]
    results: dict[str, int] = {}


def build(key: str, *, survive: bool = False) -> Graph[State]:
    made = Graph("duplicate", State)
    made.add_node("read", work, each={"source": "sources"}, writes=f"results[{key}]")
    made.add_edge(START, "read")
    if survive:
        made.add_edge("read", END, when=failed(Exception), label="survived")
    made.add_edge("read", END)
    return made


graph = build("{source.id}")
fixed = build("{source.id}", survive=True)

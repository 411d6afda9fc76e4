from typing import Any

from pydantic import BaseModel

from graphengine import END, START, Graph, Retry, failed
from tests.kit.scenario import work


class State(BaseModel):
    sources: list[str] | None = None
    weights: list[int] = [1]
    findings: list[str] = []


def build(*sources: Any, survive: bool = True) -> Graph[State]:
    made = Graph("bad_source", State)
    names = ("source", "weight")
    made.add_node(
        "research", work, each=dict(zip(names, sources)), writes="findings", fallback="nothing", retry=Retry(attempts=3)
    )
    made.add_edge(START, "research")
    if survive:
        made.add_edge("research", "research", when=failed(LookupError), label="again")
    made.add_edge("research", END)
    return made


def first(sources: list[str] | None, weights: list[int]) -> list[int]:
    return [weights[7]]


graph = build("sources")
zipped = build("sources", "weights")
raises = build(first)
fixed = build("weights")

"""A graph with whole numbers beyond 2**53: `--graph tests/serve/inspector/ids.py`."""

from typing import Any

from pydantic import BaseModel

from graphengine import END, START, Graph, ask, value

LARGE = 2**53 + 1
"""The least whole number that JavaScript rounds."""

LARGER = 10**30 + 1


class Ids(BaseModel):
    """Ids as other systems give them."""

    post: int = LARGE
    held: dict[str, Any] = {"id": LARGE, "text": str(LARGE), "part": 0.5}
    many: list[int] = [LARGE, -LARGER]
    chosen: int = 0


example = Ids()

graph = Graph("ids", Ids)
graph.add_node("pick", ask("Which id?", int), writes="chosen")
graph.add_edge(START, "pick")
graph.add_edge("pick", END, when=value("chosen") > LARGE, label="larger")
graph.add_edge("pick", END)

from typing import Annotated

from pydantic import BaseModel

from graphengine import END, START, Graph
from graphengine.reducers import add, append, extend, maximum, merge
from tests.kit.scenario import work


class Note(BaseModel):
    text: str
    weight: int = 1


def union(old: set[int], new: set[int]) -> set[int]:
    return old | new


def last_two(old: list[int], new: int) -> list[int]:
    return [*old, new][-2:]


class State(BaseModel):
    notes: Annotated[list[Note], append] = [Note(text="before")]
    many: Annotated[list[Note], extend] = []
    table: Annotated[dict[str, Note], merge] = {}
    views: dict[str, Note] = {}
    total: Annotated[int, add] = 1
    best: Annotated[int, maximum] = 3
    words: Annotated[set[int], union] = set()
    recent: Annotated[list[int], last_two] = [0]


everything = ("notes", "many", "table", "total", "best", "words", "recent")
graph = Graph("reducers", State)
graph.add_node("a", work, writes=everything)
graph.add_node("a2", work, writes={"views[a]": "note"})
graph.add_node("b", work, writes=everything)
graph.add_node("b2", work, writes="views[b]")
graph.add_node("merge")
graph.add_fork(START, ["a", "b"], join="merge")
graph.add_path("a", "a2", "merge")
graph.add_path("b", "b2", "merge", END)

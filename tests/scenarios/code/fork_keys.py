from typing import Annotated

from pydantic import BaseModel, Field, field_validator

from graphengine import END, START, Graph
from tests.kit.scenario import work


class State(BaseModel):
    few: Annotated[dict[str, int], Field(max_length=3)] = {"old": 0}
    plain: dict[str, int] = {"old": 0}
    checked: dict[str, int] = {"old": 0}

    @field_validator("checked")
    @classmethod
    def small(cls, value: dict[str, int]) -> dict[str, int]:
        return {key: min(number, 5) for key, number in value.items()}


graph = Graph("keys", State)
graph.add_node("a", work, writes={"few[a]": ".", "plain[a]": ".", "checked[a]": "."})
graph.add_node("b", work, writes={"few[b]": ".", "plain[b]": ".", "checked[b]": "."})
graph.add_node("merge")
graph.add_fork(START, ["a", "b"], join="merge")
graph.add_edge("a", "merge")
graph.add_edge("b", "merge")
graph.add_edge("merge", END)

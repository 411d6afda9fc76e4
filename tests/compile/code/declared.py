from dataclasses import dataclass
from typing import TypedDict

import pydantic

from graphengine import END, START, Graph


class Keys(TypedDict):
    text: str


def louder(text: str) -> str:
    return text + "!"


@dataclass
class Checked:
    text: str = ""

    def __post_init__(self) -> None:
        pass


@pydantic.dataclasses.dataclass
class Validated:
    text: str = ""


def of(state):
    graph = Graph("other", state)
    graph.add_edge(START, END)
    return graph

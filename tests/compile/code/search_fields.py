import enum
from datetime import date
from typing import Annotated, Literal

from pydantic import BaseModel

from graphengine import END, START, Graph, Secret

KEY = "0-0123456789-abcdefghijklmnopqrstuvwxyz"


class Kind(enum.Enum):
    NEW = "new"


class Order(BaseModel):
    country: str = "CH"
    lines: list[str] = []


class State(BaseModel):
    order: Order = Order()
    kind: Kind = Kind.NEW
    mood: Literal["good", "bad"] | None = None
    day: date | None = None
    amount: float = 0.0
    iban: Annotated[str, Secret] = ""
    parts: dict[str, object] = {}


def of(*names, **more):
    graph = Graph("orders", State, **{"secret_key": KEY, "search": [*names], **more})
    graph.add_edge(START, END)
    return graph


def names(*given, **more):
    return [f"{each.name} at {each.path.text}" for each in of(*given, **more).compile().search]

import enum
import json
import textwrap
from dataclasses import dataclass
from typing import Annotated, NewType

from pydantic import BaseModel, Field, RootModel, StringConstraints
from typing_extensions import TypeAliasType, TypedDict

from graphengine.agents.reading import Output
from graphengine.errors import GraphEngineError


class Review(BaseModel):
    score: int = Field(ge=1, le=10)
    approved: bool
    issues: list[str] = []


class Tree(BaseModel):
    kids: list["Tree"] = []


class Named(BaseModel):
    plain: int = Field(alias="plainAlias")


class Vote(enum.Enum):
    YES = "approve"


class Root(RootModel):
    root: list[int]


class Step(TypedDict):
    what: str


@dataclass
class Point:
    x: int


class Unknown:
    """A type for which pydantic has no schema."""


Word = NewType("Word", str)
Short = TypeAliasType("Short", Annotated[str, StringConstraints(max_length=5)])
GOOD = Review(score=8, approved=False, issues=["thin"])


def schema(output):
    """Return the name and the schema of a type, and whether it is put into an object."""
    made = Output(output)
    kind = "wrapped" if made.wrapped else "as it is"
    text = "a text" if made.schema is None else f"{made.name}, {kind}: {json.dumps(made.schema)}"
    return textwrap.fill(text, 116, break_long_words=False)


def told(output, content):
    """Return what a model is told of an answer."""
    made = Output(output, where="agent critic")
    try:
        return made.read(content)
    except GraphEngineError as error:
        return f"{made.feedback(error)}\nat: {error.where}"


def again(output, value):
    try:
        return Output(output).again(value)
    except GraphEngineError as error:
        return error.message.partition(": Pydantic")[0]


def refused(output):
    try:
        return Output(output)
    except GraphEngineError as error:
        return f"{error.message.partition(':')[0]}\nrepair: {error.repair}"

import json
import textwrap
from typing import Annotated, Literal

import jsonschema
from pydantic import BaseModel, ConfigDict, Field

from graphengine.models.anthropic_forms import can_be_held_to, has_room
from graphengine.models.openai_parts import DEEPEST, strict_schema


class Dog(BaseModel):
    kind: Literal["dog"]
    legs: int = Field(default=4, ge=0, le=5, description="how many")


class Cat(BaseModel):
    kind: Literal["cat"]
    name: Annotated[str, Field(min_length=2, pattern="^[a-z]+$")]
    owner: str | None = None


class Home(BaseModel):
    """A home with a pet."""

    pet: Annotated[Dog | Cat, Field(discriminator="kind")]
    first: Dog = Field(description="the first one")
    mood: Literal["good", "bad"] | None = None


class Tree(BaseModel):
    leaf: str
    below: list["Tree"] = []


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")
    name: str


class Part(BaseModel):
    ring: "Ring | None" = None


class Ring(BaseModel):
    part: Part | None = None


Part.model_rebuild()


def model(**named):
    """Return a type with these fields."""
    return type("Made", (BaseModel,), {"__annotations__": named})


def strict(given, optional=True):
    """Return a strict form, and check that it does not change what it is made of."""
    schema = given if isinstance(given, dict) else given.model_json_schema()
    before = json.dumps(schema)
    made = strict_schema(schema, optional=optional)
    assert json.dumps(schema) == before
    return "none" if made is None else textwrap.fill(json.dumps(made), 116, break_long_words=False)


def fits(kind, answer):
    """Return whether an answer fits the strict form of a type."""
    form = strict_schema(kind.model_json_schema(), optional=True)
    return jsonschema.Draft202012Validator(form).is_valid(answer)


def field(schema, **more):
    return strict({"type": "object", "properties": {"a": schema}, **more})


def deep(levels):
    schema = {"type": "string"}
    for _ in range(levels):
        schema = {"type": "object", "properties": {"in": schema}}
    return "none" if strict_schema(schema, optional=True) is None else "a strict form"


def enforced(kind):
    schema = kind.model_json_schema()
    return can_be_held_to(schema) and has_room(schema)


def wide(count, kind, **default):
    fields = {f"f{number}": Annotated[kind, Field(**default)] for number in range(count)}
    return model(**fields)

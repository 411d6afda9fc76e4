from typing import Annotated, Any, Literal

import jsonschema
import pytest
from pydantic import BaseModel, ConfigDict, Field, JsonValue

from graphengine.models.openai_parts import DEEPEST, strict_schema
from graphengine.models.received import JsonObject


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
    others: list[Dog | Cat] = []
    mood: Literal["good", "bad"] | None = None


class Tree(BaseModel):
    leaf: str
    below: list["Tree"] = []


def strict(model: type[BaseModel]) -> JsonObject:
    """Return the strict form of a type."""
    made = strict_schema(model.model_json_schema(), optional=True)
    assert made is not None
    return made


def objects(schema: JsonValue) -> list[JsonObject]:
    """Return every object schema inside a schema."""
    inside: list[JsonValue] = []
    if isinstance(schema, dict):
        inside = list(schema.values())
    elif isinstance(schema, list):
        inside = schema
    found = [each for item in inside for each in objects(item)]
    return [schema, *found] if isinstance(schema, dict) and schema.get("type") == "object" else found


@pytest.mark.parametrize("model", [Home, Tree, Cat])
def test_every_object_lists_all_it_has_and_takes_no_more(model: type[BaseModel]) -> None:
    """In the strict form each object requires all its properties and refuses others, at any depth."""
    made = strict(model)
    assert objects(made)
    for each in objects(made):
        properties = each["properties"]
        assert isinstance(properties, dict)
        assert each["required"] == list(properties)
        assert each["additionalProperties"] is False


def test_an_answer_that_fits_the_strict_form_fits_the_schema() -> None:
    """An answer that fits the strict form fits the type."""
    answers: list[JsonValue] = [
        {
            "pet": {"kind": "cat", "name": "tom", "owner": None},
            "first": {"kind": "dog", "legs": 3},
            "others": [{"kind": "dog", "legs": 4}],
            "mood": "bad",
        },
    ]
    for answer in answers:
        jsonschema.validate(answer, strict(Home))
        Home.model_validate(answer)


@pytest.mark.parametrize(
    "answer",
    [
        {"pet": {"kind": "cow"}, "first": {"kind": "dog", "legs": 3}, "others": [], "mood": None},
        {"pet": {"kind": "dog", "legs": 9}, "first": {"kind": "dog", "legs": 3}, "others": [], "mood": None},
        {"pet": {"kind": "dog", "legs": 1}, "first": {"kind": "dog", "legs": 3}, "others": [], "mood": "odd"},
    ],
)
def test_an_answer_that_does_not_fit_the_schema_does_not_fit_the_strict_form(answer: JsonValue) -> None:
    """Discriminated unions, bounds and literals still apply."""
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(answer, strict(Home))


def test_refused_keywords_move_into_the_description() -> None:
    """Refused keywords and defaults are appended to the description; null defaults are dropped."""
    cat, home = strict(Cat), strict(Home)
    assert cat["properties"] == {
        "kind": {"type": "string", "const": "cat", "title": "Kind"},
        "name": {"type": "string", "title": "Name", "pattern": "^[a-z]+$", "description": "minLength: 2"},
        "owner": {"anyOf": [{"type": "string"}, {"type": "null"}], "title": "Owner"},
    }
    assert "how many (default: 4)" in str(home["$defs"])


def test_a_reference_has_no_siblings() -> None:
    """A `$ref` has no siblings: they are moved around it."""
    made = strict(Home)
    assert isinstance(made["properties"], dict)
    assert made["properties"]["first"] == {"description": "the first one", "anyOf": [{"$ref": "#/$defs/Dog"}]}


def test_the_root_is_an_object_even_of_a_type_within_itself() -> None:
    """A schema whose root is only a reference becomes the object itself; references to it still resolve."""
    made = strict(Tree)
    assert made["type"] == "object"
    jsonschema.validate({"leaf": "a", "below": [{"leaf": "b", "below": []}]}, made)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"leaf": "a", "below": [{"leaf": 1, "below": []}]}, made)


def test_known_formats_and_patterns_are_kept() -> None:
    """A format that strict mode does not know, and a pattern with look-around, move into the description."""
    schema: JsonObject = {
        "type": "object",
        "properties": {
            "day": {"type": "string", "format": "date"},
            "page": {"type": "string", "format": "uri"},
            "word": {"type": "string", "pattern": "a(?=b)"},
        },
    }
    made = strict_schema(schema, optional=True)
    assert made is not None
    assert made["properties"] == {
        "day": {"type": "string", "format": "date"},
        "page": {"type": "string", "description": 'format: "uri"'},
        "word": {"type": "string", "description": 'pattern: "a(?=b)"'},
    }


class Free(BaseModel):
    scores: dict[str, int]


class Pair(BaseModel):
    pair: tuple[int, str]


class Anything(BaseModel):
    value: Any


class Mixed(BaseModel):
    value: Literal["good", 1]


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")
    name: str


@pytest.mark.parametrize("model", [Free, Pair, Anything, Mixed])
def test_schemas_beyond_strict_mode_have_no_strict_form(model: type[BaseModel]) -> None:
    """Free keys, tuples, arbitrary values and literals of several types have no strict form."""
    assert strict_schema(model.model_json_schema(), optional=True) is None


@pytest.mark.parametrize(
    "schema",
    [
        {"anyOf": [{"type": "object", "properties": {}}]},
        {"type": "object"},
        {"$ref": "#/$defs/None"},
        {"type": "object", "properties": {"a": {"not": {"type": "string"}}}},
        {"type": "object", "properties": {"a": {"oneOf": [{"type": "string"}, {"type": "null"}]}}},
        {"type": "object", "properties": {"a": {"allOf": [{"type": "string"}, {"minLength": 1}]}}},
        {"type": "object", "properties": {"a": {"$ref": "https://example.org/schema"}}},
        {"type": "object", "properties": {"a": True}},
        {"type": "object", "properties": {"a": {"enum": [[1]]}}},
        {"type": "object", "properties": {"a": {"type": "array"}}},
        {"type": "object", "properties": [], "$defs": []},
    ],
)
def test_third_party_schemas_may_have_no_strict_form(schema: JsonObject) -> None:
    """Schemas of third-party tools without a strict form are unchanged, and never raise."""
    assert strict_schema(schema, optional=True) is None


def test_extra_fields_are_dropped() -> None:
    """A type that accepts extra fields is limited to the declared ones."""
    assert strict(Open)["additionalProperties"] is False


def test_a_schema_that_is_too_deep_has_no_strict_form() -> None:
    """Strict mode limits the depth."""
    schema: JsonObject = {"type": "string"}
    for _ in range(DEEPEST):
        schema = {"type": "object", "properties": {"in": schema}}
    assert strict_schema(schema, optional=True) is not None
    assert strict_schema({"type": "object", "properties": {"in": schema}}, optional=True) is None


def test_optional_arguments_of_tools_have_no_strict_form() -> None:
    """A tool's argument with a default is optional, and a strict model would have to make up a value."""
    assert strict_schema(Dog.model_json_schema(), optional=False) is None
    every: JsonObject = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
    assert strict_schema(every, optional=False) == {**every, "additionalProperties": False}


def test_the_schema_is_not_modified() -> None:
    """The request's schema is not modified."""
    schema = Home.model_json_schema()
    strict_schema(schema, optional=True)
    assert schema == Home.model_json_schema()

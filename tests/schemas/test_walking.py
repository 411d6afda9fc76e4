"""How schemas are read, whatever their definitions are called, and wherever these are."""

from typing import Any, Final

import pytest
from hypothesis import given, settings
from jsonschema import Draft202012Validator
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from graphengine.schemas.examples import Values, example
from graphengine.schemas.walking import (
    is_recursive,
    kinds,
    part_at,
    references,
    resolve_reference,
    variants,
    walk,
    with_definitions,
)
from graphengine.schemas.words import choices, in_words, whats_wrong
from tests.kit.drawn_schemas import schema_pairs

Pair = tuple[dict[str, Any], dict[str, Any]]
FEW: Final = settings(max_examples=150, deadline=None)


def flat(schema: Any) -> list[Any]:
    """Return what variants say, but not of where their parts are."""
    return [(sorted(kinds(each)), each.get("title"), sorted(each.get("properties", ()))) for each in schema]


@FEW
@given(schema_pairs())
def test_a_reference_names_what_the_standards_library_says(pair: Pair) -> None:
    """Each reference of a schema leads to the part that `referencing` finds, escapes and depth included."""
    for schema in pair:
        lookup = Registry().with_resource("", DRAFT202012.create_resource(schema)).resolver().lookup
        named = references(schema, schema)
        assert {each["$ref"] for each in walk(schema) if "$ref" in each} <= {*named}
        for reference in named:
            assert part_at(schema, reference) == lookup(reference).contents


@FEW
@given(schema_pairs())
def test_where_definitions_are_changes_nothing(pair: Pair) -> None:
    """Words, choices, examples, the smallest value and the variants are those of the same schema in another order."""
    first, second = pair
    assert in_words(first) == in_words(second)
    assert choices(first) == choices(second)
    assert example(first) == example(second)
    assert is_recursive(first) == is_recursive(second)
    assert flat(variants(first, first)) == flat(variants(second, second))
    values = [Values(each, "text").smallest() for each in pair]
    assert values[0] == values[1]
    assert not any(whats_wrong(each, values[0]) for each in pair)


@FEW
@given(schema_pairs())
def test_a_part_keeps_the_definitions_that_it_needs(pair: Pair) -> None:
    """A list of what a schema describes is valid alone, and keeps no definition that nothing in it refers to."""
    for schema in pair:
        item = {key: each for key, each in schema.items() if key != "$defs"}
        made = with_definitions({"type": "array", "items": item}, schema)
        value = Values(schema, "text").smallest()
        assert Draft202012Validator(made).is_valid([value])
        assert "$defs" not in with_definitions({"type": "string"}, schema)
        assert with_definitions(made, made) == made


@pytest.mark.parametrize(
    ("schema", "found"),
    [
        ({"$ref": "#/$defs/a~1b~0", "$defs": {"a/b~": {"type": "null"}}}, "null"),
        ({"$ref": "#/%24defs/50%25", "$defs": {"50%": {"type": "null"}}}, "null"),
        ({"$ref": "#/$defs/A", "minimum": 3, "$defs": {"A": {"type": "integer"}}}, "a whole number of 3 or more"),
        ({"$ref": "#/$defs/A", "$defs": {"A": {"$ref": "#/$defs/B"}, "B": {"type": "null"}}}, "null"),
        ({"$ref": "#/properties/b/items/1", "properties": {"b": {"items": [{}, {"type": "null"}]}}}, "null"),
        ({"$ref": "#/$defs/A", "$defs": {"A": {"$ref": "#/$defs/A"}}}, "JSON"),
        ({"$ref": "#/$defs/B", "$defs": {"A": {"type": "null"}}}, "JSON"),
        ({"$ref": "other.json#/$defs/A", "$defs": {"A": {"type": "null"}}}, "JSON"),
        ({"$ref": "#A", "$defs": {"A": {"type": "null"}}}, "JSON"),
        ({"$ref": ["#"], "type": "null"}, "null"),
    ],
    ids=["escapes", "percents", "siblings", "twice", "a list", "itself", "nothing", "a file", "an anchor", "no text"],
)
def test_a_reference_is_followed_inside_its_schema(schema: dict[str, Any], found: str) -> None:
    """It may be written with escapes, and what stands beside it holds too; one that leads nowhere allows anything."""
    assert in_words(schema) == found
    assert "$ref" not in resolve_reference(schema, schema) or found == "null"


def test_what_is_no_schema_allows_anything() -> None:
    """A part out of a database or from another server can be anything."""
    for odd in (True, None, "text", ["a"]):
        assert resolve_reference(odd, {}) == {}
        assert variants(odd, {}) == [{}]
    assert [*walk({"properties": {"a": True, "b": {}}, "items": 3, "anyOf": {"x": {}}})][1:] == [{}]
    assert sorted(kinds({"enum": [1, 1.5, True, None, "a", [], {}]})) == sorted(
        ["integer", "number", "boolean", "null", "string", "array", "object"]
    )


WIDE: Final = {
    "$ref": "#/$defs/0",
    "$defs": {
        **{
            f"{level}": {
                "type": "object",
                "properties": {name: {"$ref": f"#/$defs/{level + 1}"} for name in "ab"},
                "required": ["a", "b"],
            }
            for level in range(60)
        },
        "60": {"type": "null"},
    },
}


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "array", "minItems": 10**9},
        {"type": "string", "minLength": 10**12},
        {"type": "object", "minProperties": 10**9},
        {"type": "string", "pattern": "^((a{99999}){99999}){99999}$"},
        WIDE,
    ],
    ids=["items", "characters", "properties", "repeats", "doublings"],
)
def test_no_schema_makes_an_example_without_end(schema: dict[str, Any]) -> None:
    """A schema out of a database that only a huge value fits has no example, and is told so at once."""
    assert example(schema) is None


def test_an_example_is_one_that_a_person_might_give() -> None:
    """Its own examples and defaults come first, if they fit; then what is neither null nor False."""
    assert example({"type": "string", "examples": ["why"]}) == "why"
    assert example({"type": "integer", "default": "no number", "minimum": 3}) == "3"
    assert example({"anyOf": [{"type": "null"}, {"type": "boolean"}]}) == "true"
    assert example({"type": "object", "properties": {"a": {"default": 1}}}) == '{"a":1}'

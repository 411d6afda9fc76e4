"""What models get of a schema, and what they write, whatever its definitions are called, and wherever these are."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from pydantic import BaseModel, Field

from graphengine.agents.arguments import BadArguments, Signature, misfits, with_defaults, without_nulls
from graphengine.agents.nested_texts import texts_read
from graphengine.models.anthropic_forms import can_be_held_to
from graphengine.models.tool_schemas import sent_schema
from graphengine.schemas.examples import Values
from tests.kit.drawn_schemas import schema_pairs


def as_texts(value: Any) -> Any:
    """Return a value whose lists and objects are texts of JSON, as some models write them."""
    return {name: json.dumps(each) if isinstance(each, (list, dict)) else each for name, each in value.items()}


@settings(max_examples=150, deadline=None)
@given(schema_pairs())
def test_where_definitions_are_changes_nothing_for_a_model(pair: tuple[dict[str, Any], dict[str, Any]]) -> None:
    """A provider gets the same form; texts are read, and defaults filled in, in the same places."""
    assert can_be_held_to(pair[0]) == can_be_held_to(pair[1])
    tools = [
        {"type": "object", "properties": {"of": each, "n": {}}, "required": ["of"], "$defs": each.pop("$defs", {})}
        for each in pair
    ]
    sent = [sent_schema(each).schema for each in tools]
    value = Values(sent[0], "text").smallest()
    assert value == Values(sent[1], "text").smallest()
    assert not any(misfits(each, value) for each in (*tools, *sent))
    written = [texts_read(as_texts(value), each) for each in tools]
    assert written[0] == written[1]
    assert with_defaults(tools[0], value) == with_defaults(tools[1], value)


def test_defaults_behind_a_reference_are_filled_in() -> None:
    """A default that leads to itself is filled in once."""
    node = {"properties": {"kind": {"default": "leaf"}, "next": {"$ref": "#/$defs/Node", "default": {}}}}
    schema: dict[str, Any] = {"properties": {"node": {"$ref": "#/$defs/Node"}}, "$defs": {"Node": node}}
    assert with_defaults(schema, {"node": {}}) == {"node": {"kind": "leaf", "next": {"kind": "leaf", "next": {}}}}


@pytest.mark.parametrize(
    ("number", "is_exact"),
    [("7", True), ("7.0", True), ("9007199254740991.0", True), ("9007199254740993", True), ("2.5", False),
     ("9007199254740993.0", False), ("2.5e18", False), ("-25122920421210000010e-1", False)],
)  # fmt: skip
@pytest.mark.parametrize("at", ["{}", '{{"ids": [{}]}}', "[[{}], {{}}]"])
def test_no_rounded_number_fits_a_declared_integer(number: str, at: str, *, is_exact: bool) -> None:
    """A float beyond 2**53 stands for several whole numbers; the model reads how to send the one that it means."""
    integers: dict[str, Any] = {"$ref": "#/$defs/Any", "$defs": {"Any": {"anyOf": [{"type": "integer"}]}}}
    if at != "{}":
        integers = {
            "properties": {"ids": {"items": {"type": "integer"}}},
            "items": {"items": {"type": "integer"}},
        }
    wrong = misfits(integers, json.loads(at.format(number)))
    assert (wrong == []) is is_exact
    if not is_exact and number != "2.5":
        assert "send it as a text" in wrong[0]


def test_null_is_left_out_where_only_the_default_fits() -> None:
    """Null that an argument accepts is a value, and null for an argument without a default is an error."""
    schema: dict[str, Any] = {
        "properties": {
            "limit": {"type": "integer", "default": 10},
            "named": {"$ref": "#/$defs/Name", "default": "x"},
            "maybe": {"type": ["integer", "null"], "default": 3},
            "wanted": {"type": "integer"},
        },
        "$defs": {"Name": {"type": "string"}},
    }
    given = dict.fromkeys(schema["properties"])
    assert without_nulls(schema, given) == {"maybe": None, "wanted": None}
    assert without_nulls(schema, {"limit": 0, "other": None}) == {"limit": 0, "other": None}
    places: dict[str, tuple[dict[str, Any], Any]] = {
        "inside": (schema, {}),
        "in a list": ({"type": "array", "items": schema}, [{}]),
        "in a pair": ({"type": "array", "prefixItems": [{}, schema]}, [None, {}]),
        "in a record": ({"type": "object", "additionalProperties": schema}, {"key": {}}),
        "or null": ({"anyOf": [schema, {"type": "null"}], "default": None}, {}),
        "in a list of unions": ({"type": "array", "items": {"oneOf": [{"type": "string"}, schema]}}, ["x", {}]),
    }
    for name, (around, shape) in places.items():
        outer: dict[str, Any] = {"properties": {"of": around}, "$defs": schema["$defs"]}
        text = json.dumps({"of": shape})
        asked = json.loads(text.replace("{}", json.dumps(given)))
        expected = json.loads(text.replace("{}", json.dumps({"maybe": None, "wanted": None})))
        assert without_nulls(outer, asked) == expected, name
    node: dict[str, Any] = {"properties": {"n": {"type": "integer", "default": 1}, "next": {"$ref": "#/$defs/Node"}}}
    tree: dict[str, Any] = {"properties": {"top": {"$ref": "#/$defs/Node"}}, "$defs": {"Node": node}}
    assert without_nulls(tree, {"top": {"n": None, "next": {"n": None}}}) == {"top": {"next": {}}}


class Line(BaseModel):
    """A line of an order."""

    name: str
    count: int = 1
    note: str | None = "none"
    tags: list[str] = Field(default_factory=lambda: ["new"])


class Order(BaseModel):
    """A nested argument."""

    lines: list[Line]
    first: Line | None = None
    either: Line | int = 0
    by_name: dict[str, Line] = {}
    counts: dict[str, int] = {}
    renamed: int = Field(default=5, alias="renamed-by")


def order(order: Order, at: tuple[Line, int] | None = None) -> str:
    """Order."""
    return repr((order, at))


LINE = {"name": "x", "count": None, "note": None, "tags": None}
FILLED = Line(name="x", note=None)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"order": {"lines": [LINE, LINE]}}, Order(lines=[FILLED, FILLED])),
        ({"order": {"lines": [], "first": LINE}}, Order(lines=[], first=FILLED)),
        ({"order": {"lines": [], "either": LINE}}, Order(lines=[], either=FILLED)),
        ({"order": {"lines": [], "either": None, "by_name": None}}, Order(lines=[])),
        ({"order": {"lines": [], "by_name": {"a": LINE}}}, Order(lines=[], by_name={"a": FILLED})),
        ({"order": {"lines": [], "renamed-by": None}, "at": None}, Order(lines=[])),
        ({"order": {"lines": [], "counts": {"a": None}}}, "order.counts.a: Input should be a valid integer"),
        ({"order": {"lines": None}}, "order.lines: Input should be a valid array"),
        ({"order": {"lines": [{**LINE, "name": None}]}}, "order.lines.0.name: Input should be a valid string"),
        ({"order": {"lines": [None]}}, "order.lines.0: Input should be"),
    ],
)
def test_null_for_a_field_with_a_default_is_the_default(arguments: dict[str, Any], expected: object) -> None:
    """Also inside nested models; null for a field without a default, or for a key of a record, is an error."""
    form = Signature.of(order, "order").form(())
    if isinstance(expected, str):
        with pytest.raises(BadArguments, match=expected):
            form.read(json.dumps(arguments))
    else:
        assert form.read(json.dumps(arguments))["order"] == expected


def test_null_in_a_pair_is_the_default() -> None:
    """A tuple has a schema for each of its items."""
    form = Signature.of(order, "order").form(())
    assert form.read(json.dumps({"order": {"lines": []}, "at": [LINE, 3]}))["at"] == (FILLED, 3)

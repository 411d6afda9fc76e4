"""What models get of a schema, and what they write, whatever its definitions are called, and wherever these are."""

import json
from typing import Any

from hypothesis import given, settings

from graphengine.agents.arguments import misfits, with_defaults
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

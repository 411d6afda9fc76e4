import asyncio
from collections.abc import Callable
from datetime import date
from typing import Annotated, Any, Literal, cast

import pytest
from pydantic import Field
from typing_extensions import TypedDict

from graphengine.agents.tools import Tool, tool
from tests.agents.tool_kits import Client, Colour, Point, Size, called, numpy, rest


class Options(TypedDict):
    deep: bool


def properties(made: Tool, *given: str) -> dict[str, Any]:
    """Return the properties of a tool's schema."""
    return cast("dict[str, Any]", made.spec(given).schema["properties"])


def test_a_spec_is_read_from_signature_and_docstring() -> None:
    """Name, description and schema come from the function; the docstring's sections describe the arguments."""

    def find(text: str, limit: int = 10) -> list[str]:
        """Find lines.

        The whole line has to match.

        Args:
            text: What is looked for.
            limit: How many at most.

        Returns:
            The lines.
        """
        return [text] * limit

    spec = tool(find).spec()
    assert (spec.name, spec.description) == ("find", "Find lines.\n\nThe whole line has to match.")
    assert spec.schema == {
        "type": "object",
        "properties": {
            "text": {"type": "string", "description": "What is looked for."},
            "limit": {"type": "integer", "default": 10, "description": "How many at most."},
        },
        "required": ["text"],
        "additionalProperties": False,
    }


@pytest.mark.parametrize("function", [rest, numpy])
def test_other_styles_of_docstrings_are_read(function: Callable[..., object]) -> None:
    """Docstrings in the styles of reST and NumPy describe arguments as well."""
    made = tool(function)
    assert made.description == "Find it."
    assert properties(made)["text"]["description"] == "What is looked for."


def test_a_field_describes_itself() -> None:
    """A description and bounds in an annotation take precedence over the docstring's."""

    def find(limit: Annotated[int, Field(gt=0, description="the field's")]) -> None:
        """Find.

        Args:
            limit: the docstring's
        """

    assert properties(tool(find))["limit"] == {"type": "integer", "exclusiveMinimum": 0, "description": "the field's"}


def test_types_of_every_kind_have_a_schema() -> None:
    """Models, dataclasses, TypedDicts, literals, enums, dates and unions have a JSON Schema and arrive typed."""

    def draw(  # type: ignore[no-untyped-def]  # noqa: PLR0913 - one of each kind
        point: Point,
        size: Size,
        options: Options,
        kind: Literal["a", "b"],
        colour: Colour,
        day: date,
        places: list[Point],
        anything,  # noqa: ANN001 - annotations are optional for tools
        note: str | None = None,
        *,
        fast: bool = False,
    ) -> str:
        return repr((point, size, options, kind, colour, day, places, anything, note, fast))

    schema = tool(draw).spec().schema
    assert schema["required"] == ["point", "size", "options", "kind", "colour", "day", "places", "anything"]
    assert cast("dict[str, Any]", schema["properties"])["kind"] == {"enum": ["a", "b"], "type": "string"}
    assert cast("dict[str, Any]", schema["properties"])["anything"] == {}
    outcome = asyncio.run(
        called(
            draw,
            {
                "point": {"x": 1},
                "size": {"width": 2},
                "options": {"deep": True},
                "kind": "b",
                "colour": "red",
                "day": "2026-01-02",
                "places": [{"x": 3, "y": 4}],
                "anything": [1, None],
            },
        )
    )
    point, other = "Point(x=1, y=0.0)", "Point(x=3, y=4.0)"
    assert outcome.text == (
        f"({point}, Size(width=2), {{'deep': True}}, 'b', <Colour.RED: 'red'>, datetime.date(2026, 1, 2), [{other}], "
        "[1, None], None, False)"
    )


def test_annotations_in_quotes_are_read() -> None:
    """Annotations under `from __future__ import annotations` are evaluated where the function is defined."""

    def far(points: "list[Point]", nested: dict[str, "Point"]) -> "int":
        return sum(point.x for point in (*points, *nested.values()))

    assert asyncio.run(called(far, {"points": [{"x": 1}], "nested": {"a": {"x": 2}}})).text == "3"


def test_names_of_fields_are_no_limit() -> None:
    """Arguments may have the names of pydantic's methods, or begin with an underscore."""

    def odd(schema: int, copy: int, model_dump: int, _hidden: int) -> int:
        return schema + copy + model_dump + _hidden

    assert asyncio.run(called(odd, {"schema": 1, "copy": 2, "model_dump": 3, "_hidden": 4})).text == "10"


def test_a_default_without_a_json_form_is_not_in_the_schema() -> None:
    """A default that has no JSON form is used but not in the schema."""
    unset = object()

    def find(text: Any = unset) -> str:
        return "unset" if text is unset else "set"

    assert properties(tool(find)) == {"text": {}}
    assert asyncio.run(called(find)).text == "unset"


def test_parameters_that_the_run_provides_are_not_in_the_schema() -> None:
    """Resources and the context are not arguments for a model, and are refused if it sends them."""

    async def find(text: str, client: Client, ctx: object = None) -> str:
        return f"{text} {type(client).__name__} {ctx}"

    made = tool(find)
    assert set(properties(made, "client", "ctx", "other")) == {"text"}
    assert set(properties(made, "client")) == {"text"}
    assert asyncio.run(called(made, {"text": "a"}, client=Client(), ctx="c")).text == "a Client c"
    assert asyncio.run(called(made, {"text": "a"}, client=Client())).text == "a Client None"
    invented = asyncio.run(called(made, {"text": "a", "client": 1}, client=Client(), ctx="c"))
    assert invented.is_error
    assert "- client: there is no such argument; find takes text" in invented.text


def test_a_spec_depends_on_what_is_given() -> None:
    """One tool in two graphs, only one of which has the resource, has two schemas."""

    def find(text: str, index: str) -> str:
        return text + index

    made = tool(find)
    assert set(properties(made, "index")) == {"text"}
    assert set(properties(made)) == {"text", "index"}
    assert made.spec(["index", "a"]).schema is made.spec(["index", "b"]).schema

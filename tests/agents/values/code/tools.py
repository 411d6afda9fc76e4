import asyncio
import dataclasses
import functools
import json
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any, Literal

from pydantic import Field
from typing_extensions import TypedDict

from graphengine import tool
from graphengine.agents.records import MAX_ERROR_CHARACTERS
from graphengine.agents.tools import MAX_RESULT_CHARACTERS, Tool, ToolOutcome, by_name, split_tools
from graphengine.errors import DefinitionError
from tests.agents.tool_kits import Client, Colour, Point, Size, called, in_thread, numpy, rest, yielding


class Options(TypedDict):
    deep: bool


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


def aliased(x: Annotated[int, Field(alias="user id")], y: Annotated[list[int], Field(alias="n°")] = []) -> str:
    """Find."""
    return f"{x} {y}"


def bounded(limit: Annotated[int, Field(gt=0, description="the field's")]) -> None:
    """Find.

    Args:
        limit: the docstring's
    """


def draw(
    point: Point,
    size: Size,
    options: Options,
    kind: Literal["a", "b"],
    colour: Colour,
    day: date,
    places: list[Point],
    anything,
    note: str | None = None,
    *,
    fast: bool = False,
) -> str:
    return repr((point, size, options, kind, colour, day, places, anything, note, fast))


DRAWN = {
    "point": {"x": 1},
    "size": {"width": 2},
    "options": {"deep": True},
    "kind": "b",
    "colour": "red",
    "day": "2026-01-02",
    "places": [{"x": 3, "y": 4}],
    "anything": [1, None],
}
UNSET = object()


def far(points: "list[Point]", nested: dict[str, "Point"]) -> "int":
    return sum(point.x for point in (*points, *nested.values()))


def odd(schema: int, copy: int, model_dump: int, _hidden: int) -> int:
    return schema + copy + model_dump + _hidden


def unset(text: Any = UNSET) -> str:
    return "unset" if text is UNSET else "set"


async def look(text: str, client: Client, ctx: object = None) -> str:
    return f"{text} {type(client).__name__} {ctx}"


def joined(first: str, second: str) -> str:
    """Joins."""
    return first + second


class Counter:
    def __call__(self, step: int) -> int:
        """Count."""
        return step + 1

    async def find(self, text: str) -> str:
        """Find it."""
        return text


def positional(text: str, /) -> None: ...
def many(*texts: str) -> None: ...
def named(**texts: str) -> None: ...
def größe() -> None: ...
def of_a_client(client: Client) -> None: ...
def of_a_call(value: Callable[[], int]) -> None: ...
def of_unknown(value: "Missing") -> None: ...  # type: ignore[name-defined]  # noqa: F821
def of_size(größe: int) -> None: ...
def of_ctx(ctx: object) -> None: ...


async def async_yielding():
    yield 1


def spec(function, *given):
    """Return name, description and schema of a tool, of which a run provides some parameters."""
    made = function if isinstance(function, Tool) else tool(function)
    found = made.spec(given)
    text = f"{found.name}: {found.description!r} {json.dumps(found.schema)}"
    return textwrap.fill(text, 116, break_long_words=False, break_on_hyphens=False)


def refused(function):
    """Return why a tool has no schema, without what pydantic says of that."""
    try:
        return spec(function)
    except DefinitionError as error:
        return ":".join(error.message.split(":")[:2]) + f"\nrepair: {error.repair}"


def options(made):
    return made.name, made.description, made.approve, made.timeout_seconds


def call(function, arguments="", **given):
    """Return what a model gets of a call."""
    found = asyncio.run(called(function, arguments, **given))
    return f"error: {found.text}" if found.is_error else found.text


def result(value, show=str):
    """Return what a model gets of a function that returns this, on the event loop or in a thread."""

    def give():
        return value() if callable(value) else value

    async def give_here():
        return give()

    found = [asyncio.run(called(tool(function, name="give"))) for function in (give, give_here)]
    assert found[0] == found[1], found
    return ("error: " if found[0].is_error else "") + show(found[0].text)


def raised(error):
    """Return what a model gets of a function that raises this, on the event loop or in a thread."""

    def fail():
        raise error

    async def fail_here():
        raise error

    found = [call(fail), call(tool(fail, timeout_seconds=10))]
    found += [] if isinstance(error, StopIteration) else [call(fail_here)]  # which a coroutine cannot raise
    assert len({*found}) == 1, found
    return found[0]


def circle():
    found = []
    found.append(found)
    return found


def deep():
    found = []
    for _ in range(10_000):
        found = [found]
    return found


def short(text):
    """Return a text without its filling, and whether it is short."""
    head = text.split("é", 1)[0]
    return f"{head}… in less than {max(len(text), 3000)} characters"


class Silent(Exception):
    def __str__(self):
        raise RuntimeError

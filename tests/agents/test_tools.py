import asyncio
import dataclasses
import threading
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, cast

import pytest

from graphengine.agents.tools import Tool, ToolSource, by_name, split_tools, tool
from graphengine.errors import DefinitionError
from tests.agents.tool_kits import Client, called, in_thread, numpy, rest, yielding

# --- refusals -----------------------------------------------------------------------------------------------------


def positional(text: str, /) -> None:
    """Take an argument without a name."""


def many(*texts: str) -> None:
    """Take any number of arguments."""


def named(**texts: str) -> None:
    """Take arguments of any name."""


async def async_yielding() -> Any:
    """Yield several results."""
    yield 1


def größe() -> None:  # noqa: PLC2401 - to be refused
    """Have a name that is not ASCII."""


class Shelf:
    def find(self, text: str) -> str:
        return text


@pytest.mark.parametrize(
    ("function", "problem", "repair"),
    [
        (positional, "positional-only", "name each argument"),
        (many, "'*texts: str' takes any number", "name each argument"),
        (named, "'**texts: str' takes any number", "name each argument"),
        (yielding, "yields its results", "return them all"),
        (async_yielding, "yields its results", "return them all"),
        (größe, "'größe' is not a name", "name it: tool("),
        (lambda: 1, "'<lambda>' is not a name", "name it: tool("),
        (Shelf.find, "an unbound method", "make the tool of a bound method"),
        (Shelf, "Shelf is a class", "give a function that makes one"),
        (min, "the signature of <built-in function min> cannot be read", "wrap it in a def"),
        (3, "a tool of 3", "give a function"),
    ],
)
def test_what_no_model_could_call_is_refused(function: Any, problem: str, repair: str) -> None:
    """A tool is refused when it is made, with a repair."""
    with pytest.raises(DefinitionError) as caught:
        tool(function)
    assert problem in caught.value.message
    assert (caught.value.repair or "").startswith(repair)


def of_a_client(client: Client) -> None:
    """Take a value that only a run provides."""


def of_unknown(value: "Missing") -> None:  # type: ignore[name-defined]  # noqa: F821
    """Take an argument of an undefined type."""


def of_a_call(value: Callable[[], int]) -> None:
    """Take a function."""


def of_size(größe: int) -> None:  # noqa: PLC2401 - to be refused
    """Take an argument whose name is not ASCII."""


def of_ctx(ctx: object) -> None:
    """Take the run's context."""


@pytest.mark.parametrize(
    ("function", "problem", "repair"),
    [
        (of_a_client, "'client' has no JSON Schema", "annotate it"),
        (of_a_call, "'value' has no JSON Schema", "annotate it"),
        (of_unknown, "'Missing'", "annotate it"),
        (of_size, "'größe' has a name that", "annotate it"),
        (of_ctx, "only in a run", "give the parameter a default (ctx=None)"),
    ],
)
def test_arguments_that_no_model_could_fill_in_are_refused(function: Any, problem: str, repair: str) -> None:
    """A parameter that the run does not provide must have a JSON type; `spec` checks that before any call."""
    made = tool(function)
    with pytest.raises(DefinitionError) as caught:
        made.spec()
    assert problem in caught.value.message
    assert (caught.value.repair or "").startswith(repair)
    assert made.spec(["client", "value", "größe", "ctx"]).schema["properties"] == {}


@pytest.mark.parametrize("seconds", [0, -1, float("nan")])
def test_a_timeout_is_above_nothing(seconds: float) -> None:
    """A timeout that would end every call is refused."""
    with pytest.raises(DefinitionError, match="timeout_seconds"):
        tool(lambda: 1, name="one", timeout_seconds=seconds)


def test_an_agents_tools_are_functions_tools_and_sources() -> None:
    """Functions become tools; tools and sources are unchanged."""

    class Source:
        name = "shelf"

        async def open(self) -> Sequence[Tool]:
            return []

        async def close(self) -> None: ...

    def find() -> None: ...

    source, made = Source(), tool(find, name="other")
    first, second, third = split_tools([find, made, source])[0]
    assert isinstance(first, Tool)
    assert first.name == "find"
    assert second is made
    assert third is source
    assert isinstance(source, ToolSource)


@pytest.mark.parametrize("items", [[3], ["find"], [Shelf], [None]])
def test_other_values_are_refused_as_tools(items: Any) -> None:
    """Other values are refused as tools, with the repair."""
    with pytest.raises(DefinitionError) as caught:
        split_tools(items)
    assert (caught.value.repair or "").startswith("give functions, tool(function")


def test_two_tools_of_one_name_are_refused() -> None:
    """A model could not distinguish them."""
    with pytest.raises(DefinitionError, match="two tools are called rest"):
        split_tools([rest, tool(numpy, name="rest")])
    assert list(by_name(cast("Any", split_tools([rest, numpy])[0]))) == ["rest", "numpy"]


# --- making and calling tools -------------------------------------------------------------------------------------


def test_a_tool_is_still_a_function() -> None:
    """Tests call a tool like its function; the decorator takes options or none."""

    @tool
    def add(a: int, b: int) -> int:
        return a + b

    @tool(name="plus", description="Adds.", approve=True, timeout_seconds=3)
    async def other(a: int) -> int:
        return a

    assert (add(2, 3), add.function(2, 3), add.approve, add.timeout_seconds) == (5, 5, False, None)
    assert (other.name, other.description, other.approve, other.timeout_seconds) == ("plus", "Adds.", True, 3)
    assert asyncio.run(other(4)) == 4


def test_a_tool_of_a_tool_has_the_changes() -> None:
    """Approval can be required for an existing tool; the rest is unchanged."""
    first = tool(rest, timeout_seconds=3)
    second = tool(first, approve=True, name="again")
    assert (second.name, second.description, second.approve, second.timeout_seconds) == ("again", "Find it.", True, 3)
    assert first.approve is False
    assert dataclasses.replace(second, name="rest").name == "rest"


class Counter:
    """A callable object that counts its calls."""

    def __call__(self, step: int) -> int:
        """Count."""
        return step + 1

    async def find(self, text: str) -> str:
        """Find it."""
        return text


def test_methods_objects_and_partials_are_tools() -> None:
    """Any callable with a signature can be a tool."""
    import functools  # noqa: PLC0415

    part = tool(functools.partial(rest_of, "a"), name="part")
    assert part.description == "Joins."
    assert asyncio.run(called(part, {"second": "b"})).text == "ab"
    assert asyncio.run(called(tool(Counter(), name="count"), {"step": 1})).text == "2"
    bound = tool(Counter().find)
    assert (bound.name, bound.description) == ("find", "Find it.")
    assert asyncio.run(called(bound, {"text": "b"})).text == "b"


def rest_of(first: str, second: str) -> str:
    """Joins."""
    return first + second


async def test_sync_functions_run_in_a_thread_and_async_ones_do_not() -> None:
    """Only blocking functions leave the event loop's thread; an awaitable that one returns is awaited on it."""
    here = threading.current_thread().name

    def sync() -> str:
        return threading.current_thread().name

    async def coroutine() -> str:
        return threading.current_thread().name

    def gives() -> Awaitable[str]:
        return coroutine()

    assert (await called(sync)).text != here
    assert (await called(coroutine)).text == here
    assert (await called(gives)).text == here


async def test_a_tool_with_a_schema_gets_the_object() -> None:
    """With a given schema, the function gets the model's arguments as one dict, and nothing is injected."""
    got: list[object] = []
    made = Tool(got.append, name="keep", schema={"type": "object"}, description="Keeps.")
    assert made.spec(["a"]).schema == {"type": "object"}
    assert not (await made.call('{"a": [1]}', {"a": 2}, in_thread)).is_error
    assert not (await made.call("", {}, in_thread)).is_error
    assert got == [{"a": [1]}, {}]
    assert (await made.call("[1]", {}, in_thread)).is_error
    assert (await made.call('{"a": NaN}', {}, in_thread)).is_error

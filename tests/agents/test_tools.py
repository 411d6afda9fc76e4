import asyncio
import dataclasses
import enum
import json
import threading
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any, Literal, cast

import pytest
from pydantic import BaseModel, Field
from typing_extensions import TypedDict

from graphengine.agents.outcomes import MAX_ERROR_CHARACTERS
from graphengine.agents.tools import MAX_RESULT_CHARACTERS, Tool, ToolOutcome, ToolSource, as_tools, by_name, tool
from graphengine.errors import DefinitionError, StoreFull


class Point(BaseModel):
    x: int
    y: float = 0.0


@dataclass
class Size:
    width: int


class Options(TypedDict):
    deep: bool


class Colour(enum.Enum):
    RED = "red"


class Client:
    """Something a run gives and no model could make."""


async def in_thread(function: Callable[[], object]) -> object:
    """As an agent that runs alone calls what blocks."""
    return await asyncio.to_thread(function)


async def called(function: object, arguments: object = "", **given: object) -> ToolOutcome:
    """What a tool gives for these arguments."""
    made = function if isinstance(function, Tool) else tool(cast("Callable[..., object]", function))
    text = arguments if isinstance(arguments, str) else json.dumps(arguments)
    return await made.call(text, given, in_thread)


def properties(made: Tool, *given: str) -> dict[str, Any]:
    """What a model is told of a tool's arguments."""
    return cast("dict[str, Any]", made.spec(given).schema["properties"])


# --- what a model is told --------------------------------------------------------------------------------------


def test_a_spec_is_read_from_signature_and_docstring() -> None:
    """Name, description and schema come from the function; the docstring's sections go to the arguments."""

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


def rest(text: str) -> None:
    """Find it.

    :param text: What is looked for.
    """


def numpy(text: str) -> None:
    """Find it.

    Parameters
    ----------
    text : str
        What is looked for.
    """


@pytest.mark.parametrize("function", [rest, numpy])
def test_other_styles_of_docstrings_are_read(function: Callable[..., object]) -> None:
    """Docstrings in the styles of reST and NumPy describe arguments as well."""
    made = tool(function)
    assert made.description == "Find it."
    assert properties(made)["text"]["description"] == "What is looked for."


def test_a_field_describes_itself() -> None:
    """A description and bounds of an annotation's go before the docstring's."""

    def find(limit: Annotated[int, Field(gt=0, description="the field's")]) -> None:
        """Find.

        Args:
            limit: the docstring's
        """

    assert properties(tool(find))["limit"] == {"type": "integer", "exclusiveMinimum": 0, "description": "the field's"}


def test_types_of_every_kind_have_a_schema() -> None:
    """Models, dataclasses, TypedDicts, literals, enums, dates and unions are told as JSON Schema and arrive typed."""

    def draw(  # type: ignore[no-untyped-def]  # noqa: PLR0913 - one of each kind
        point: Point,
        size: Size,
        options: Options,
        kind: Literal["a", "b"],
        colour: Colour,
        day: date,
        places: list[Point],
        anything,  # noqa: ANN001 - what a tool need not tell
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
    """What `from __future__ import annotations` makes of annotations is evaluated where the function is defined."""

    def far(points: "list[Point]", nested: dict[str, "Point"]) -> "int":
        return sum(point.x for point in (*points, *nested.values()))

    assert asyncio.run(called(far, {"points": [{"x": 1}], "nested": {"a": {"x": 2}}})).text == "3"


def test_a_tool_without_arguments_has_an_empty_schema() -> None:
    """No parameters make an object that may have nothing."""

    def now() -> str:
        return "now"

    assert tool(now).spec().schema == {"type": "object", "properties": {}, "additionalProperties": False}


def test_names_of_fields_are_no_limit() -> None:
    """Arguments may be called as methods of pydantic's are, or begin with a line."""

    def odd(schema: int, copy: int, model_dump: int, _hidden: int) -> int:
        return schema + copy + model_dump + _hidden

    assert asyncio.run(called(odd, {"schema": 1, "copy": 2, "model_dump": 3, "_hidden": 4})).text == "10"


def test_a_default_that_json_lacks_is_not_told() -> None:
    """A default that JSON cannot carry is used and not in the schema."""
    unset = object()

    def find(text: Any = unset) -> str:
        return "unset" if text is unset else "set"

    assert properties(tool(find)) == {"text": {}}
    assert asyncio.run(called(find)).text == "unset"


def test_what_the_run_gives_is_not_told() -> None:
    """Resources and the context are no arguments for a model, and one that it invents is refused."""

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
    """One tool in two graphs, of which only one has the resource, is told in two ways."""

    def find(text: str, index: str) -> str:
        return text + index

    made = tool(find)
    assert set(properties(made, "index")) == {"text"}
    assert set(properties(made)) == {"text", "index"}
    assert made.spec(["index", "a"]).schema is made.spec(["index", "b"]).schema


# --- what is refused -------------------------------------------------------------------------------------------


def positional(text: str, /) -> None:
    """Its argument has no name."""


def many(*texts: str) -> None:
    """It takes any number."""


def named(**texts: str) -> None:
    """It takes any name."""


def yielding() -> Any:
    """It gives several results."""
    yield 1


async def async_yielding() -> Any:
    """It gives several results, in time."""
    yield 1


def größe() -> None:  # noqa: PLC2401 - what is to be refused
    """Its name is not ASCII."""


class Shelf:
    def find(self, text: str) -> str:
        return text


@pytest.mark.parametrize(
    ("function", "problem"),
    [
        (positional, "positional-only"),
        (many, "'*texts: str' stands for any number"),
        (named, "'**texts: str' stands for any number"),
        (yielding, "yields its results"),
        (async_yielding, "yields its results"),
        (größe, "'größe' is no name"),
        (lambda: 1, "'<lambda>' is no name"),
        (Shelf.find, "method of no object"),
        (Shelf, "Shelf is a class"),
        (min, "the signature of <built-in function min> cannot be read"),
        (3, "a tool of 3"),
    ],
)
def test_what_no_model_could_call_is_refused(function: Any, problem: str) -> None:
    """A tool is refused when it is made, with what to do instead."""
    with pytest.raises(DefinitionError) as caught:
        tool(function)
    assert problem in caught.value.message
    assert caught.value.repair


def of_a_client(client: Client) -> None:
    """It takes what only a run has."""


def of_unknown(value: "Missing") -> None:  # type: ignore[name-defined]  # noqa: F821
    """It takes what nobody defined."""


def of_a_call(value: Callable[[], int]) -> None:
    """It takes a function."""


def of_size(größe: int) -> None:  # noqa: PLC2401 - what is to be refused
    """Its argument's name is not ASCII."""


def of_ctx(ctx: object) -> None:
    """It takes the run's context."""


@pytest.mark.parametrize(
    ("function", "problem"),
    [
        (of_a_client, "'client' has no JSON Schema"),
        (of_a_call, "'value' has no JSON Schema"),
        (of_unknown, "'Missing'"),
        (of_size, "'größe' has a name that"),
        (of_ctx, "only in a run"),
    ],
)
def test_arguments_that_no_model_could_fill_in_are_refused(function: Any, problem: str) -> None:
    """Where the run does not give it, a parameter must be one that JSON has; the spec says so before any call."""
    made = tool(function)
    with pytest.raises(DefinitionError) as caught:
        made.spec()
    assert problem in caught.value.message
    assert caught.value.repair
    assert made.spec(["client", "value", "größe", "ctx"]).schema["properties"] == {}


@pytest.mark.parametrize("seconds", [0, -1, float("nan")])
def test_a_timeout_is_above_nothing(seconds: float) -> None:
    """A timeout that would end each call is refused."""
    with pytest.raises(DefinitionError, match="timeout_seconds"):
        tool(lambda: 1, name="one", timeout_seconds=seconds)


def test_an_agents_tools_are_functions_tools_and_sources() -> None:
    """Functions become tools; tools and sources stay what they are."""

    class Source:
        name = "shelf"

        async def open(self) -> Sequence[Tool]:
            return []

        async def close(self) -> None: ...

    def find() -> None: ...

    source, made = Source(), tool(find, name="other")
    first, second, third = as_tools([find, made, source])
    assert isinstance(first, Tool)
    assert first.name == "find"
    assert second is made
    assert third is source
    assert isinstance(source, ToolSource)


@pytest.mark.parametrize("items", ["find", rest, tool(rest), 3, [3], ["find"], [Shelf], [None]])
def test_what_is_no_tool_is_refused(items: Any) -> None:
    """Anything else is refused, and what would do is said."""
    with pytest.raises(DefinitionError) as caught:
        as_tools(items)
    assert caught.value.repair


def test_two_tools_of_one_name_are_refused() -> None:
    """A model could not tell them apart."""
    with pytest.raises(DefinitionError, match="two tools are called rest"):
        as_tools([rest, tool(numpy, name="rest")])
    assert list(by_name(cast("Any", as_tools([rest, numpy])))) == ["rest", "numpy"]


# --- making and calling ----------------------------------------------------------------------------------------


def test_a_tool_is_still_a_function() -> None:
    """Tests call a tool as what it was made of; the decorator takes options or none."""

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
    """What another gave can be held to approval; the rest stays."""
    first = tool(rest, timeout_seconds=3)
    second = tool(first, approve=True, name="again")
    assert (second.name, second.description, second.approve, second.timeout_seconds) == ("again", "Find it.", True, 3)
    assert first.approve is False
    assert dataclasses.replace(second, name="rest").name == "rest"


class Counter:
    """Calls of a callable object."""

    def __call__(self, step: int) -> int:
        """Count on."""
        return step + 1

    async def find(self, text: str) -> str:
        """Find it."""
        return text


def test_methods_objects_and_partials_are_tools() -> None:
    """Whatever can be called and has a signature can be a tool."""
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
    """Only what blocks leaves the event loop's thread; what a sync function gives to be awaited is awaited on it."""
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
    """Where a schema is given, the function gets what the model wrote as one dict, and nothing is injected."""
    got: list[object] = []
    made = Tool(got.append, name="keep", schema={"type": "object"}, description="Keeps.")
    assert made.spec(["a"]).schema == {"type": "object"}
    assert not (await made.call('{"a": [1]}', {"a": 2}, in_thread)).is_error
    assert not (await made.call("", {}, in_thread)).is_error
    assert got == [{"a": [1]}, {}]
    assert (await made.call("[1]", {}, in_thread)).is_error
    assert (await made.call('{"a": NaN}', {}, in_thread)).is_error


# --- what models write -----------------------------------------------------------------------------------------


def add(a: int, b: int = 1) -> int:
    """Add two numbers."""
    return a + b


@pytest.mark.parametrize(
    ("arguments", "result"),
    [
        ('{"a": 2}', "3"),
        ('  {"a": "2", "b": 2.0}\n', "4"),
        ("{'a': 2, 'b': 5,}", "7"),
        ('```json\n{"a": 2}\n```', "3"),
        ('{"a": 2 "b": 4}', "6"),
        ('Here: {"a": 2}', "3"),
    ],
)
async def test_arguments_that_are_right_or_nearly_are_taken(arguments: str, result: str) -> None:
    """A trailing comma, single quotes, a fence or words before it are repaired where what comes out fits."""
    assert await called(add, arguments) == ToolOutcome(result)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("", "- a: missing"),
        ("{}", "- a: missing"),
        ('{"a": "x"}', "- a: Input should be a valid integer"),
        ('{"a": 1, "c": 2}', "- c: there is no such argument; add takes a, b"),
        ("[1]", "no JSON object: they begin with '[1]'"),
        ('"{}"', "no JSON object"),
        ("null", "no JSON object"),
        ("add 2 and 3", "no JSON object"),
        ('{"a": 2', "EOF while parsing"),
        ('{"a": 2, "b": 3} and more', "trailing characters"),
        ('{"a": ' + "[" * 50_000 + "}", "recursion limit"),
        ("{'a': " + "1" * 50_000 + "}", "no JSON object"),
        ("{'c': 1}", "- a: missing"),
    ],
)
async def test_arguments_that_do_not_fit_are_told_to_the_model(arguments: str, said: str) -> None:
    """What is wrong is told field by field, and the function is not called."""
    outcome = await called(add, arguments)
    assert outcome.is_error
    assert said in outcome.text


async def test_arguments_that_end_too_early_are_not_guessed() -> None:
    """Half a text is not written as if it were the whole."""
    written: list[str] = []

    def write(text: str) -> None:
        written.append(text)

    assert (await called(write, '{"text": "half of i')).is_error
    assert written == []


async def test_many_problems_are_told_in_part() -> None:
    """A model gets the first twenty problems, and how many more there are."""

    def total(numbers: list[int]) -> int:
        return sum(numbers)

    outcome = await called(total, {"numbers": ["x"] * 50})
    assert outcome.text.count("valid integer") == 20
    assert "- and 30 more" in outcome.text


@pytest.mark.parametrize("written", ['{"text": "a\\ud800b"}', '{"text": "a\ud800b"}', '{"text": "a\\ud800b",}'])
async def test_a_lone_surrogate_in_arguments_is_replaced(written: str) -> None:
    """What UTF-8 cannot carry reaches no function."""

    def show(text: str) -> str:
        return text

    assert await called(show, written) == ToolOutcome("a�b")


# --- what comes back -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("as it is", "as it is"),
        ("", ""),
        (None, "(done; there is no result)"),
        (3, "3"),
        (True, "true"),
        ([1, "ä"], '[1,"ä"]'),
        (Point(x=1), '{"x":1,"y":0.0}'),
        (Size(2), '{"width":2}'),
        ({"day": date(2026, 1, 2), "colour": Colour.RED}, '{"day":"2026-01-02","colour":"red"}'),
        (float("nan"), '"NaN"'),
        ("a\ud800b", "a�b"),
        ("\ud83d\ude00", "😀"),
        ({"a\ud800": ["\ud800"]}, '{"a�":["�"]}'),
        (ToolOutcome("no", is_error=False), "no"),
    ],
)
async def test_results_become_text(value: object, text: str) -> None:
    """Text stays, anything else becomes JSON, and what UTF-8 cannot carry is replaced."""

    async def give() -> object:
        return value

    def give_from_thread() -> object:
        return value

    assert await called(give) == ToolOutcome(text)
    assert await called(give_from_thread) == ToolOutcome(text)


def circle() -> list[object]:
    """A list that holds itself."""
    found: list[object] = []
    found.append(found)
    return found


def deep() -> list[object]:
    """A list in a list in a list, ten thousand times."""
    found: list[object] = []
    for _ in range(10_000):
        found = [found]
    return found


@pytest.mark.parametrize("make", [object, circle, deep, lambda: b"\xff", yielding, Client], ids=range(6))
async def test_results_that_json_cannot_carry_are_errors(make: Callable[[], object]) -> None:
    """The model is told that the work was done, and that its result cannot be told."""

    def give() -> object:
        return make()

    outcome = await called(give)
    assert outcome.is_error
    assert outcome.text.startswith("give did its work, but its result")


async def test_a_tool_may_say_itself_that_it_failed() -> None:
    """An outcome that a function gives is what the model gets."""

    def give() -> ToolOutcome:
        return ToolOutcome("full", is_error=True)

    assert await called(give) == ToolOutcome("full", is_error=True)


@pytest.mark.parametrize(
    "value", ["é" * 26_000_000, ["é" * 26_000_000], ToolOutcome("é" * (MAX_RESULT_CHARACTERS + 1))]
)
async def test_a_result_that_is_too_large_is_an_error(value: object) -> None:
    """Fifty megabytes go to no model; it is told how many, how many may be, and how they begin."""

    async def give() -> object:
        return value

    outcome = await called(give)
    assert outcome.is_error
    assert len(outcome.text) < 3_000
    assert "200,000 characters" in outcome.text
    assert "éééé" in outcome.text
    assert any(size in outcome.text for size in ("26,000,000 characters", "52,000,004 bytes", "200,001 characters"))


async def test_a_result_is_measured_in_characters() -> None:
    """As many characters as are allowed pass, however many bytes they are."""

    async def give(more: int) -> list[str]:
        return ["é" * (MAX_RESULT_CHARACTERS - 4 + more)]

    assert len((await called(give, {"more": 0})).text) == MAX_RESULT_CHARACTERS
    assert (await called(give, {"more": 1})).is_error


class Silent(Exception):
    """One whose text cannot be had."""

    def __str__(self) -> str:
        raise RuntimeError


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ValueError("no such file"), "ValueError: no such file"),
        (KeyError("a"), "KeyError: 'a'"),
        (AssertionError(), "AssertionError"),
        (StopIteration(3), "StopIteration: 3"),
        (TimeoutError("the server's"), "TimeoutError: the server's"),
        (ExceptionGroup("many", [ValueError("one")]), "ValueError: one"),
        (Silent(), "Silent: Silent without a text that can be read"),
        (ValueError("a\ud800"), "ValueError: a\\ud800"),
    ],
)
async def test_what_a_tool_raises_is_told_to_the_model(error: Exception, text: str) -> None:
    """The kind and the text go to the model, no traceback does, and the loop goes on."""

    def fail() -> None:
        raise error

    async def fail_here() -> None:
        raise error

    made = tool(fail, timeout_seconds=10)
    assert await called(fail) == ToolOutcome(text, is_error=True)
    assert await called(made) == ToolOutcome(text, is_error=True)
    if not isinstance(error, StopIteration):  # which a coroutine cannot raise
        assert await called(fail_here) == ToolOutcome(text, is_error=True)


async def test_an_endless_error_is_cut() -> None:
    """An exception's text is told up to a bound."""

    async def fail() -> None:
        raise ValueError("x" * 50_000_000)

    outcome = await called(fail)
    assert len(outcome.text) < MAX_ERROR_CHARACTERS + 100
    assert outcome.text.endswith("more characters)")


@pytest.mark.parametrize("error", [asyncio.CancelledError(), StoreFull("the disk is full")])
async def test_what_ends_the_run_passes_through(error: BaseException) -> None:
    """Cancellation and a store that failed are no texts for a model."""

    async def fail() -> None:
        raise error

    def fail_in_thread() -> None:
        raise error

    with pytest.raises(type(error)):
        await called(fail)
    with pytest.raises(type(error)):
        await called(fail_in_thread)


def test_an_interrupt_passes_through() -> None:
    """Ctrl-C in a tool ends the program, not the call."""

    async def fail() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        asyncio.run(called(fail))


# --- time ------------------------------------------------------------------------------------------------------


async def test_an_async_tool_that_hangs_is_cancelled() -> None:
    """The model is told that it took too long."""
    cancelled = asyncio.Event()

    async def hang() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    outcome = await called(tool(hang, timeout_seconds=0.01))
    assert outcome == ToolOutcome("hang gave no result within 0.01 seconds. It was cancelled.", is_error=True)
    assert cancelled.is_set()


async def test_a_sync_tool_that_hangs_is_left_alone() -> None:
    """The loop goes on without waiting for the thread, and what the function comes to is dropped."""
    release, ended = threading.Event(), threading.Event()

    def hang() -> None:
        release.wait()
        ended.set()
        raise ValueError

    outcome = await called(tool(hang, timeout_seconds=0.01))
    assert outcome.is_error
    assert outcome.text.startswith("hang gave no result within 0.01 seconds.")
    assert not ended.is_set()
    release.set()
    await asyncio.to_thread(ended.wait)


async def test_a_tool_that_is_quick_enough_is_not_timed_out() -> None:
    """A timeout that is not reached changes nothing."""
    assert await called(tool(add, timeout_seconds=60), {"a": 1}) == ToolOutcome("2")


async def test_a_cancelled_call_waits_for_its_thread_where_the_run_does() -> None:
    """Where the run waits for its threads, a cancelled call has left none behind, however often it is cancelled."""
    begun, release = threading.Event(), threading.Event()
    returned: list[bool] = []

    def work() -> None:
        begun.set()
        release.wait()
        returned.append(True)

    async def waiting(function: Callable[[], object]) -> object:
        thread = asyncio.ensure_future(asyncio.to_thread(function))
        while not thread.done():
            try:
                await asyncio.wait({thread})
            except asyncio.CancelledError:
                asyncio.get_running_loop().call_soon(release.set)
        return thread.result()

    task = asyncio.ensure_future(tool(work, timeout_seconds=60).call("", {}, waiting))
    await asyncio.to_thread(begun.wait)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert returned == [True]

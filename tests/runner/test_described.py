"""Every exception can be recorded as a failure, wherever it is raised: long chains and texts, deep groups, odd classes.

A run whose failure could not be described would stay interrupted, and each resume would end the same way.
"""

import re
from collections.abc import Callable
from typing import Annotated, Any

import msgspec
import pytest
from pydantic import BaseModel, field_validator

from graphengine import END, START, Context, Failure, Graph, Runner, ask
from graphengine.errors import InputError
from tests.kit.odd_errors import ERRORS, LINKS, LONGEST_TEXT, linked
from tests.kit.runs import alone, arms, failing
from tests.kit.waiting import answer_unchecked


class State(BaseModel):
    n: int = 0
    many: list[int] = [1, 2]
    joined: Annotated[int, lambda old, new: old + new] = 0


def at_node(fail: Callable[[], Any]) -> Graph[State]:
    """Return a graph whose node fails."""
    return alone(State, fail, "n")


def at_async_node(fail: Callable[[], Any]) -> Graph[State]:
    """Return a graph whose node fails on the event loop."""

    async def work() -> int:
        return int(fail())

    return alone(State, work, "n")


def at_item(fail: Callable[[], Any]) -> Graph[State]:
    """Return a graph in which each item of a map fails."""
    graph = Graph("items", State)
    graph.add_node("work", lambda item: fail(), each={"item": "many"}, writes="many")
    graph.add_path(START, "work", END)
    return graph


def at_condition(fail: Callable[[], Any]) -> Graph[State]:
    """Return a graph whose condition fails."""
    graph = Graph("conditional", State)
    graph.add_node("work", lambda: 1, writes="n")
    graph.add_path(START, "work")
    graph.add_edge("work", END, when=lambda n: fail())
    return graph


def at_reducer(fail: Callable[[], Any]) -> Graph[Any]:
    """Return a graph whose reducer fails."""

    class Joining(BaseModel):
        n: Annotated[int, lambda old, new: fail()] = 0

    return alone(Joining, lambda: 1, "n")


def at_validator(fail: Callable[[], Any]) -> Graph[Any]:
    """Return a graph whose state has a validator that fails."""

    class Validated(BaseModel):
        n: int = 0

        @field_validator("n")
        @classmethod
        def checked(cls, n: int) -> int:
            return int(fail()) if n else n

    return alone(Validated, lambda: 1, "n")


def at_fallback(fail: Callable[[], Any]) -> Graph[State]:
    """Return a graph whose node fails, and whose fallback fails too."""
    return alone(State, fail, "n", fallback=fail)


def at_resource(fail: Callable[[], Any]) -> Graph[State]:
    """Return a graph whose resource cannot be built."""
    return alone(State, lambda held: 1, "n", resources={"held": fail})


def at_call(fail: Callable[[], Any]) -> Graph[State]:
    """Return a graph in whose node a recorded call fails."""

    async def work(ctx: Context) -> int:
        return int(await ctx.call(fail, key="k"))

    return alone(State, work, "n")


def at_arm(fail: Callable[[], Any]) -> Graph[State]:
    """Return a graph of which one arm fails."""
    return arms(State, ("good", lambda: 1, "n"), ("bad", fail, "many"))


PLACES = [
    at_node, at_async_node, at_item, at_condition, at_reducer, at_validator, at_fallback, at_resource, at_call, at_arm,
]  # fmt: skip


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.__name__)
@pytest.mark.parametrize("make", ERRORS.values(), ids=ERRORS)
async def test_every_exception_is_recorded_wherever_it_is_raised(
    make: Callable[[], BaseException], place: Callable[[Callable[[], Any]], Graph[Any]]
) -> None:
    """The run fails, and its record, which is small, can be read."""

    def fail() -> Any:
        raise make()

    async with Runner() as runner:
        result = await failing(runner.start(place(fail), run_id="r").result())
        assert result.error.message
        assert (await runner.info("r")).status == "failed"
        steps = await runner.history("r")
    assert sum(len(msgspec.json.encode(step)) for step in steps) < 16 * LONGEST_TEXT


async def record_of(error: BaseException) -> Failure:
    """Return the failure of a node that raises this error."""

    def fail() -> Any:
        raise error

    async with Runner() as runner:
        result = await failing(runner.start(at_node(fail)).result())
    assert isinstance(result.error, Failure)
    return result.error


async def test_the_ends_of_a_long_chain_are_shown() -> None:
    """The traceback has the first and the last errors, and counts the others."""
    text = (await record_of(linked("__cause__"))).traceback
    shown = [int(number) for number in re.findall(r"^ConnectionError: attempt (\d+) failed$", text, re.MULTILINE)]
    assert shown == [*range(10), *range(LINKS - 10, LINKS)]
    assert f"\n… {LINKS - 20:,} more exceptions …\n" in text


async def test_a_chain_of_twenty_is_shown_whole() -> None:
    """Nothing is left out where it would save nothing."""
    error = first = ValueError(0)
    for number in range(1, 20):
        error.__cause__ = ValueError(number)
        error = error.__cause__
    text = (await record_of(first)).traceback
    assert [int(number) for number in re.findall(r"^ValueError: (\d+)$", text, re.MULTILINE)] == [*range(19, -1, -1)]
    assert "more exceptions" not in text


@pytest.mark.parametrize("text", ["A", "é\n", "\ud800"], ids=["one line", "lines", "surrogates"])
async def test_the_middle_of_a_long_text_is_left_out(text: str) -> None:
    """The message and the traceback keep how it begins and ends."""
    error = await record_of(ValueError(f"first {text * 100_000} last"))
    for kept in (error.message, error.traceback.partition("ValueError: ")[2].rstrip()):
        assert kept.startswith("first ")
        assert kept.endswith(" last")
        assert re.search(r" … \([\d,]+ more characters\) … ", kept)
    assert len(error.message.replace("\\ud800", "?")) < LONGEST_TEXT + 100


async def test_a_failure_that_cannot_be_described_says_why() -> None:
    """Its kind, by which edges and retries choose, and what is known of it are kept."""

    class Lost(ValueError):
        @property
        def __suppress_context__(self) -> bool:  # type: ignore[override]
            raise LookupError

    error = await record_of(Lost("what happened"))
    assert (error.kind.rpartition(".")[2], error.message) == ("Lost", "what happened")
    assert error.traceback == "could not be described: LookupError"


@pytest.mark.parametrize("in_node", [False, True], ids=["ask node", "ctx.ask"])
@pytest.mark.parametrize("name", ERRORS)
async def test_why_an_answer_is_refused_can_be_recorded(name: str, *, in_node: bool) -> None:
    """Whatever the code of its type raises, the person hears it; where nobody knows the type, they are asked again."""

    class Ruled(BaseModel):
        n: int

        @field_validator("n")
        @classmethod
        def even(cls, n: int) -> int:
            error = ERRORS[name]()
            raise error

    class Answered(BaseModel):
        given: Ruled | None = None

    async def work(ctx: Context) -> Ruled:
        return await ctx.ask("Which?", Ruled)

    graph = alone(Answered, work if in_node else ask("Which?", Ruled), "given")
    async with Runner() as runner:
        await runner.start(graph, run_id="r").result()
        with pytest.raises(InputError, match="this does not answer 'Which\\?'") as refused:
            await runner.answer("r", {"n": 1}, graph)
        assert len(str(refused.value)) < 2 * LONGEST_TEXT
        await answer_unchecked(runner, "r", {"n": 1})
        result = await runner.resume("r", graph).result()
        steps = await runner.history("r")
    assert result.status == "waiting"
    assert sum(len(msgspec.json.encode(step)) for step in steps) < 2 * LONGEST_TEXT

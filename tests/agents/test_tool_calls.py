import asyncio
import threading
from collections.abc import Callable
from datetime import date

import pytest

from graphengine.agents.records import MAX_ERROR_CHARACTERS
from graphengine.agents.tools import MAX_RESULT_CHARACTERS, ToolOutcome, tool
from graphengine.errors import StoreFull
from tests.agents.tool_kits import Client, Colour, Point, Size, called, yielding

# --- arguments ----------------------------------------------------------------------------------------------------


# --- results ------------------------------------------------------------------------------------------------------


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
    """Text is unchanged, other values become JSON, and lone surrogates are replaced."""

    async def give() -> object:
        return value

    def give_from_thread() -> object:
        return value

    assert await called(give) == ToolOutcome(text)
    assert await called(give_from_thread) == ToolOutcome(text)


def circle() -> list[object]:
    """Return a list that contains itself."""
    found: list[object] = []
    found.append(found)
    return found


def deep() -> list[object]:
    """Return a list nested ten thousand times."""
    found: list[object] = []
    for _ in range(10_000):
        found = [found]
    return found


@pytest.mark.parametrize("make", [object, circle, deep, lambda: b"\xff", yielding, Client], ids=range(6))
async def test_results_that_json_cannot_carry_are_errors(make: Callable[[], object]) -> None:
    """The model learns that the work was done, and that the result has no JSON form."""

    def give() -> object:
        return make()

    outcome = await called(give)
    assert outcome.is_error
    assert outcome.text.startswith("give did its work, but its result")


@pytest.mark.parametrize(
    "value", ["é" * 26_000_000, ["é" * 26_000_000], ToolOutcome("é" * (MAX_RESULT_CHARACTERS + 1))]
)
async def test_a_result_that_is_too_large_is_an_error(value: object) -> None:
    """Fifty megabytes are not passed to a model; it gets the size, the limit, and the beginning."""

    async def give() -> object:
        return value

    outcome = await called(give)
    assert outcome.is_error
    assert len(outcome.text) < 3_000
    assert "200,000 characters" in outcome.text
    assert "éééé" in outcome.text
    assert any(size in outcome.text for size in ("26,000,000 characters", "52,000,004 bytes", "200,001 characters"))


async def test_a_result_is_measured_in_characters() -> None:
    """The limit is in characters, however many bytes they take."""

    async def give(more: int) -> list[str]:
        return ["é" * (MAX_RESULT_CHARACTERS - 4 + more)]

    assert len((await called(give, {"more": 0})).text) == MAX_RESULT_CHARACTERS
    assert (await called(give, {"more": 1})).is_error


class Silent(Exception):
    """An error whose text raises."""

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
        (Silent(), "Silent: Silent, whose text cannot be read"),
        (ValueError("a\ud800"), "ValueError: a\\ud800"),
    ],
)
async def test_a_tools_exception_is_reported_to_the_model(error: Exception, text: str) -> None:
    """The type and the text go to the model, without a traceback, and the conversation continues."""

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
    """The text of an endless error is cut."""

    async def fail() -> None:
        raise ValueError("x" * 50_000_000)

    outcome = await called(fail)
    assert len(outcome.text) < MAX_ERROR_CHARACTERS + 100
    assert outcome.text.endswith("more characters)")


@pytest.mark.parametrize("error", [asyncio.CancelledError(), StoreFull("the disk is full")])
async def test_what_ends_the_run_passes_through(error: BaseException) -> None:
    """Cancellation and a store that failed are not texts for a model."""

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
    """The model learns that it took too long."""
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


async def test_a_sync_tool_that_hangs_is_abandoned() -> None:
    """The event loop does not wait for the thread, and the function's result is dropped."""
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


async def test_a_cancelled_call_waits_for_its_thread_if_the_run_does() -> None:
    """If the run waits for its threads, a cancelled call leaves none, however often it is cancelled."""
    begun, release = threading.Event(), threading.Event()
    returned: list[bool] = []

    def work() -> None:
        begun.set()
        release.wait()
        returned.append(True)

    async def waiting(function: Callable[[], object], _threads: object = None) -> object:
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

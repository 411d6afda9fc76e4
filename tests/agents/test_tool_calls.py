import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest

from graphengine.agents.records import NOT_KNOWN
from graphengine.agents.tools import Tool, ToolOutcome, ToolSource, split_tools, tool
from graphengine.errors import StoreFull
from tests.agents.tool_kits import called


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


def test_lists_as_texts_are_read_where_a_declared_schema_allows_no_text() -> None:
    """As for functions; where it allows one, or nothing is said, the text stays."""
    items = {"$ref": "#/$defs/Items"}
    properties: Any = {"tags": items, "note": {"type": ["string", "array"]}, "any": {}}
    tags: Any = {"type": "array", "items": {"type": "string"}}
    taken = Tool(print, schema={"type": "object", "properties": properties, "$defs": {"Items": tags}}, name="t")
    written = '{"tags": "[\\"a\\"]", "note": "[1]", "any": "[2]"}'
    assert taken.values(written, ()) == {"tags": ["a"], "note": "[1]", "any": "[2]"}
    assert taken.mismatch(written, {}) is None
    assert taken.mismatch('{"tags": "a, b"}', {}) is not None


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
    assert outcome == ToolOutcome(f"hang gave no result within 0.01 seconds. {NOT_KNOWN}", is_error=True)
    assert cancelled.is_set()


async def _hang() -> None:
    await asyncio.Event().wait()


def _hang_later() -> Any:
    return _hang()


@pytest.mark.parametrize("effect", [None, "idempotent"])
@pytest.mark.parametrize("hang", [_hang, _hang_later, threading.Event().wait])
async def test_the_model_is_told_that_a_late_call_may_have_acted(hang: Any, effect: Any) -> None:
    """Whatever kind of function it is: one that believes that nothing happened calls it again."""
    outcome = await called(tool(hang, name="hang", timeout_seconds=0.01, effect=effect), "{}")
    assert outcome.is_unknown
    assert "not known" in outcome.text or "may still happen" in outcome.text
    assert "was cancelled" not in outcome.text


async def test_a_tool_that_hangs_and_changes_nothing_may_be_called_again() -> None:
    """What it reads goes on nowhere; what another one has sent does."""
    outcome = await called(tool(asyncio.Event().wait, name="hang", timeout_seconds=0.01, effect="read"))
    assert outcome.text == "hang gave no result within 0.01 seconds. It changes nothing."


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

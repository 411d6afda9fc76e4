"""An abandoned stream is closed and awaited: no async generator of it is left for the garbage collector."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import pytest

from graphengine import ScriptedModel
from graphengine.models import RateLimiter, RecordedModel, Router, received
from graphengine.models.base import Model, Request
from graphengine.models.errors import ModelError
from graphengine.models.received import Event, EventReader, ServerEvents
from tests.conformance.model_kit import question
from tests.conformance.model_scenes import Fails, Says, Scene, Tears
from tests.models.adapters import PATHS, adapter
from tests.models.edge_server import EdgeServer, WireService


@pytest.fixture(params=[*PATHS, "router", "recorded", "scripted"])
def model(request: pytest.FixtureRequest, edge: EdgeServer, tmp_path: Path) -> Model:
    """Return a model of each adapter."""
    made: dict[str, Callable[[], Model]] = {
        "router": lambda: Router([adapter("/v1/responses", edge.url, limiter=RateLimiter())]),
        "recorded": lambda: RecordedModel(tmp_path / "r.json", model=adapter("/v1/responses", edge.url)),
        "scripted": lambda: ScriptedModel(["one two three"]),
    }
    return made[request.param]() if request.param in made else adapter(request.param, edge.url)


@pytest.fixture
def service(request: pytest.FixtureRequest, edge: EdgeServer) -> WireService:
    """Return the server of that adapter."""
    path = request.node.callspec.params["model"]
    return WireService(edge, path if path in PATHS else "/v1/responses")


@contextmanager
def generators() -> Iterator[list[AsyncGenerator[Any, Any]]]:
    """Collect the async generators that are begun; the references protect them from the garbage collector."""
    begun: list[AsyncGenerator[Any, Any]] = []
    before = sys.get_asyncgen_hooks()

    def first(generator: AsyncGenerator[Any, Any]) -> None:
        begun.append(generator)
        before.firstiter(generator)  # type: ignore[misc]

    sys.set_asyncgen_hooks(firstiter=first, finalizer=before.finalizer)
    try:
        yield begun
    finally:
        sys.set_asyncgen_hooks(*before)


async def abandoned(model: Model, act: Callable[[Request], Awaitable[object]]) -> None:
    """Run an action on a streamed call, and check that every generator of it has ended."""
    with generators() as begun:
        await act(Request("tester", "", [question()], on_text=lambda _: None))
    open_ones = [each for each in begun if getattr(each, "ag_frame", None) is not None]
    assert open_ones == []
    close = getattr(model, "close", None)
    if close is not None:
        await close()


def asked_of(model: Model) -> Callable[[Request], Awaitable[object]]:
    """Make a call, which may fail."""

    async def ask(request: Request) -> None:
        with pytest.raises(ModelError):
            await model.answer(request)

    return ask


@pytest.mark.parametrize("scene", [Fails("rate_limit", in_stream=True), Tears(), Tears(broken=True)])
@pytest.mark.parametrize("model", [*PATHS, "router", "recorded"], indirect=True)
async def test_a_stream_that_fails_is_closed(model: Model, service: WireService, scene: Scene) -> None:
    """An error during it, or a premature end, leaves nothing open."""
    service.play(scene)
    await abandoned(model, asked_of(model))


async def test_a_stream_whose_watcher_raises_is_closed(model: Model, service: WireService) -> None:
    """The caller's own error propagates, and the stream ends."""
    if not isinstance(model, ScriptedModel):
        service.play(Says("one two three"))

    def stop(_: str) -> NoReturn:
        raise KeyError("enough")

    async def ask(request: Request) -> None:
        with pytest.raises(KeyError):
            await model.answer(Request(request.agent, "", request.messages, on_text=stop))

    await abandoned(model, ask)


@pytest.mark.parametrize("model", [*PATHS, "router", "recorded"], indirect=True)
async def test_a_stream_that_is_cancelled_is_closed(model: Model, service: WireService) -> None:
    """A stream cancelled during an answer is closed; the provider sees that its caller has disconnected."""
    service.play(Says("one two three", held=True))
    received = asyncio.Event()

    async def ask(request: Request) -> None:
        watched = Request(request.agent, "", request.messages, on_text=lambda _: received.set())
        task = asyncio.ensure_future(model.answer(watched))
        await received.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    await abandoned(model, ask)
    await service.disconnected()


async def test_a_whole_stream_leaves_nothing_open(model: Model, service: WireService) -> None:
    """A whole stream leaves nothing open."""
    if not isinstance(model, ScriptedModel):
        service.play(Says("one two three"))
    await abandoned(model, model.answer)


class Body:
    """A streamed response that yields these chunks, and then does not end."""

    def __init__(self, *chunks: bytes) -> None:
        self.chunks = chunks
        self.log: list[str] = []

    async def aiter_bytes(self) -> AsyncIterator[bytes]:
        """Yield the chunks."""
        try:
            for chunk in self.chunks:
                yield chunk
            await asyncio.Event().wait()
        finally:
            self.log.append("read")

    aiter_raw = aiter_bytes

    async def aclose(self) -> None:
        """Close it."""
        self.log.append("closed")


async def test_a_reader_ends_before_its_response_is_closed() -> None:
    """The innermost read is cancelled and awaited first."""
    body = Body(b"data: 1\n\ndata: 2\n\n")
    found: list[Event] = []

    def take(event: Event) -> bool:
        found.append(event)
        return True

    async with ServerEvents(body) as events:
        assert await events.each(take) is None
    assert found == [Event("", "1")]
    assert body.log == ["read", "closed"]


WHOLE = 'event: a\r\ndata: {"x":\r\ndata: "ü\u2028"}\r\n\r\n: comment\n\ndata\n\nid: 3\rdata: 4\r\rdata: torn'.encode()


@pytest.mark.parametrize("size", [1, 2, 3, 5, 1000])
def test_events_do_not_depend_on_how_their_bytes_are_cut(size: int) -> None:
    """Lines may end in three ways, and a chunk anywhere, also inside a character."""
    reader = EventReader()
    chunks = [WHOLE[start : start + size] for start in range(0, len(WHOLE), size)]
    found = [event for chunk in chunks for event in reader.events(chunk)]
    assert found == [Event("a", '{"x":\n"ü\u2028"}'), Event("", ""), Event("", "4")]


def test_a_line_is_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time to read a line of many chunks grows with its length, not with its square."""
    looked_at = 0

    class Counting:
        """The expression of line ends, which counts the bytes that it is given."""

        def split(self, given: bytes) -> list[bytes]:
            nonlocal looked_at
            looked_at += len(given)
            return ends.split(given)

    ends = received._LINE_END  # noqa: SLF001 - the work of a reader is what it searches for line ends
    monkeypatch.setattr(received, "_LINE_END", Counting())
    reader, chunks = EventReader(), [b"data: ", *[b"x" * 1000] * 1000, b"\n\n"]
    assert [len(event.data) for chunk in chunks for event in reader.events(chunk)] == [1_000_000]
    assert looked_at == sum(map(len, chunks))

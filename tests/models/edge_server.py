"""The one model server of the tests. It answers every call as a provider would, and objects as the provider does.

It implements three wires (Anthropic Messages, OpenAI Responses, OpenAI Chat Completions), also at the paths of the
clouds, streaming and not, on a free port of 127.0.0.1 in a thread; every error, and every kind of broken answer.
`batch_server.py` adds the providers' batches. A test sets the answers to the next calls, as scenes of
`tests.conformance.model_scenes`, or as a `Raw`; then it checks the calls:

    edge.play(Fails("rate_limit", retry_after_seconds=2), Says("a draft"))
    …
    assert edge.received()[1].system == "be brief"

`edge.url` is the base_url for Anthropic's SDK, `edge.openai_url` the one for OpenAI's. A call without a scene, and one
that the provider would not accept (`objections`), is an error and fails the test at its end.
"""

import asyncio
import json
import re
import socket
import threading
import traceback
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final
from unittest import SkipTest

import uvicorn
from starlette.requests import ClientDisconnect, Request
from starlette.types import Receive, Scope, Send

from tests.conformance.model_scenes import Fails, Received, Scene
from tests.models.acts import Act, Raw, raw, stage
from tests.models.wire import Json, Wire
from tests.models.wire_chat import ChatWire
from tests.models.wire_messages import MessagesWire
from tests.models.wire_responses import ResponsesWire

WIRES: Final[Mapping[str, Wire]] = {wire.path: wire for wire in (MessagesWire(), ResponsesWire(), ChatWire())}
MODELS: Final = "/v1/models"
"""The list of a server's models, which is `EdgeServer.models`, if that is given."""
_OF_CLOUDS: Final = {
    re.compile(r"/v1/projects/.+/publishers/anthropic/models/[^/]+:(rawPredict|streamRawPredict)"): "/v1/messages",
    re.compile(r"/model/[^/]+/invoke"): "/v1/messages",
    re.compile(r"/openai/deployments/[^/]+/chat/completions"): "/v1/chat/completions",
}
"""The paths of Vertex AI, Bedrock and Azure."""
PATIENCE_SECONDS: Final = 60.0  # a program may have to load an SDK before it calls
_UNSCRIPTED: Final = Raw(418, {"error": {"type": "unscripted", "message": "no scene was played for this call"}})
_NOWHERE: Final = Raw(404, {"error": {"type": "not_found", "message": "nothing is served here"}})


def wire_at(path: str) -> Wire | None:
    """Return the wire of a path, None if there is none."""
    found = next((wire for pattern, wire in _OF_CLOUDS.items() if pattern.fullmatch(path)), path)
    return WIRES.get(found)


@dataclass(frozen=True, slots=True)
class Call:
    """A call as received.

    Attributes:
        path: The wire.
        target: The path and the query as they were called.
    """

    path: str
    target: str
    headers: Mapping[str, str]
    body: Json


class _Server(uvicorn.Server):
    """A server that reports when it has started."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()


class EdgeServer:
    """The server; the `Service` of the conformance suite, for the wire on which it is called."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wakers: set[asyncio.Event] = set()
        self._closing = False
        self.reset()

    # -- for tests

    def reset(self) -> None:
        """Remove all scenes, calls and passes."""
        with self._changed:
            self._scenes: deque[Scene | Raw] = deque()
            self._always: Scene | Raw | None = None
            self._by: Callable[[Received], Scene | Raw] | None = None
            self.calls: list[Call] = []
            self.unscripted: list[Call] = []
            self.models: object = None
            self._passes = 0
            self.objections: list[str] = []
            self.faults: list[str] = []
            self._gone = 0

    def play(self, *scenes: Scene | Raw) -> None:
        """Answer the next calls with these, in order."""
        with self._changed:
            self._scenes.extend(scenes)

    def always(self, scene: Scene | Raw) -> None:
        """Answer every call without a scene with this."""
        with self._changed:
            self._always = scene

    def answer(self, by: Callable[[Received], Scene | Raw]) -> None:
        """Answer every call without a scene by its content, for calls in no fixed order."""
        with self._changed:
            self._by = by

    def received(self) -> list[Received]:
        """Return all calls so far, read."""
        with self._changed:
            calls = list(self.calls)
        return [WIRES[call.path].read(call.headers, call.body) for call in calls]

    async def arrived(self, count: int) -> None:
        """Wait until this many calls have arrived."""
        await self._until(lambda: len(self.calls) >= count, f"{count} calls")

    async def disconnected(self) -> None:
        """Wait until a caller has disconnected before its answer was complete."""
        await self._until(lambda: self._gone > 0, "a caller that goes away")

    def release(self) -> None:
        """Release one held answer."""
        with self._changed:
            self._passes += 1
        self._wake()

    # -- start and stop

    def start(self) -> None:
        """Listen on a free port of 127.0.0.1."""
        # with the protocol named, asyncio sets TCP_NODELAY for accepted sockets; else a second write waits 40 ms
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        self._socket.bind(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.openai_url = f"{self.url}/v1"
        config = uvicorn.Config(
            self._serve, interface="asgi3", http="h11", ws="none", lifespan="off", log_config=None, log_level="critical"
        )
        self._server = _Server(config)
        self._thread = threading.Thread(target=self._server.run, args=([self._socket],), daemon=True)
        self._thread.start()
        assert self._server.ready.wait(PATIENCE_SECONDS), "the edge server did not start"

    def stop(self) -> None:
        """End every answer, close every connection, join the thread."""
        self._closing = True
        self._wake()
        self._server.should_exit = True
        self._thread.join(PATIENCE_SECONDS)
        self._socket.close()
        assert not self._thread.is_alive(), "the edge server did not stop"

    # -- in the server's thread

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._answer(scope, receive, send)
        except Exception:
            self.faults.append(traceback.format_exc())
            raise

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            body = await Request(scope, receive).body()
        except ClientDisconnect:
            self._note_leaving()
            return
        wire = wire_at(scope["path"])
        if wire is None:
            listed = scope["path"] == MODELS and self.models is not None
            await self._perform(raw(Raw(body=self.models) if listed else _NOWHERE), receive, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        query = scope["query_string"].decode()
        call = Call(wire.path, scope["path"] + (f"?{query}" if query else ""), headers, json.loads(body))
        scene = self._next(call)
        objection = wire.objection(call.body)
        if objection:
            self.objections.append(objection)
            scene = Fails("bad_request", objection)
        await self._perform(stage(scene, wire, wire.read(headers, call.body)), receive, send)

    def _next(self, call: Call) -> Scene | Raw:
        with self._changed:
            self.calls.append(call)
            if self._scenes:
                scene = self._scenes.popleft()
            elif self._always is not None:
                scene = self._always
            elif self._by is not None:
                scene = self._by(WIRES[call.path].read(call.headers, call.body))
            else:
                self.unscripted.append(call)
                scene = _UNSCRIPTED
            self._changed.notify_all()
        return scene

    async def _perform(self, act: Act, receive: Receive, send: Send) -> None:
        """Send an answer; a broken one is left without an end, and the server drops the connection."""
        begun = False
        for index, chunk in enumerate(act.chunks):
            if index == act.held_before and not await self._may_go_on(receive):
                return
            if not begun:
                await send({"type": "http.response.start", "status": act.status, "headers": act.raw_headers()})
                begun = True
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        if not act.broken:
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _may_go_on(self, receive: Receive) -> bool:
        """Wait for a pass; return False if the caller disconnects, or the server closes, before that."""
        waker = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._wakers.add(waker)
        leaving = asyncio.ensure_future(_disconnected(receive))
        leaving.add_done_callback(lambda _: waker.set())
        try:
            while not self._closing:
                if leaving.done():
                    self._note_leaving()
                    return False
                if self._take_pass():
                    return True
                await waker.wait()
                waker.clear()
            return False
        finally:
            self._wakers.discard(waker)
            leaving.cancel()

    def _take_pass(self) -> bool:
        with self._changed:
            if not self._passes:
                return False
            self._passes -= 1
            return True

    def _note_leaving(self) -> None:
        with self._changed:
            self._gone += 1
            self._changed.notify_all()

    # -- between the threads

    def _wake(self) -> None:
        if self._loop is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._wake_all)

    def _wake_all(self) -> None:
        for waker in self._wakers:
            waker.set()

    async def _until(self, true: Callable[[], bool], what: str) -> None:
        def wait() -> bool:
            with self._changed:
                return self._changed.wait_for(true, PATIENCE_SECONDS)

        assert await asyncio.to_thread(wait), f"the edge server waited in vain for {what}"


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


class WireService:
    """The edge server as one wire's `Service`: scenes that this wire cannot express are skipped."""

    def __init__(self, edge: EdgeServer, path: str) -> None:
        self._edge = edge
        self._wire = WIRES[path]
        self.received, self.arrived, self.disconnected, self.release = (
            edge.received,
            edge.arrived,
            edge.disconnected,
            edge.release,
        )

    def play(self, *scenes: Scene) -> None:
        """Answer the next calls with these, in order."""
        for scene in scenes:
            lacking = self._wire.lacks(scene)
            if lacking:
                raise SkipTest(lacking)
        self._edge.play(*scenes)

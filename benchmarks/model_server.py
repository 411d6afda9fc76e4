"""A server that answers like Anthropic's, at once or after a delay, and counts its connections.

It is a separate process, so that it takes no time of the measured event loop, and does as little as possible: every
request gets the same answer. `serving` starts it, and `Served.counted` returns its counts. Another module with its own
answers, such as `benchmarks.reading_server`, passes them to `serve`.
"""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

SAID: Final = "A draft of some words, as models write them."
ANSWER: Final = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-haiku-4-5",
    "content": [{"type": "text", "text": SAID}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {
        "input_tokens": 40,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "output_tokens": 12,
        "service_tier": "standard",
    },
}
_COUNTS: Final = b"GET /counts "
_LENGTH: Final = b"content-length:"


@dataclass(frozen=True, slots=True)
class Counted:
    """What the server has counted since it was last asked.

    Attributes:
        connections: The maximum number of connections that were open at one time.
        questions: The number of answered requests.
    """

    connections: int
    questions: int


@dataclass(frozen=True, slots=True)
class Served:
    """A server that runs in another process.

    Attributes:
        port: The port of the server on 127.0.0.1.
    """

    port: int

    @property
    def url(self) -> str:
        """The `base_url` for an SDK."""
        return f"http://127.0.0.1:{self.port}"

    async def counted(self) -> Counted:
        """Ask the server for its counts, which then begin at 0 again."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(_COUNTS + b"HTTP/1.1\r\n\r\n")
        body = (await reader.read()).partition(b"\r\n\r\n")[2]
        writer.close()
        await writer.wait_closed()
        return Counted(**json.loads(body))


@asynccontextmanager
async def serving(delay_seconds: float = 0.0, module: str = "benchmarks.model_server") -> AsyncIterator[Served]:
    """Run a server in another process during the block.

    Args:
        delay_seconds: How long the server waits before it answers a request.
        module: The module that is run as the server.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, str(delay_seconds), stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None  # noqa: S101 - a pipe
        yield Served(int(await process.stdout.readline()))
    finally:
        process.terminate()
        await process.communicate()


class _Counting:
    """Counts the open connections, their maximum, and the answered requests."""

    def __init__(self) -> None:
        self.open = self.most = self.questions = 0

    def response(self) -> bytes:
        """Return a response with the counts as JSON, and begin to count again."""
        body = json.dumps({"connections": self.most, "questions": self.questions}).encode()
        self.most, self.questions = self.open, 0
        return _with_head(body)


class _Connection(asyncio.Protocol):
    """One connection to the server, which answers its requests one after the other."""

    def __init__(self, counting: _Counting, delay_seconds: float, answer: Callable[[bytes], bytes]) -> None:
        self._counting = counting
        self._delay_seconds = delay_seconds
        self._answer = answer
        self._came = b""
        self._counts = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - of a TCP server
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._counting.open -= self._counts

    def data_received(self, data: bytes) -> None:
        self._came += data
        head, found, body = self._came.partition(b"\r\n\r\n")
        if not found:
            return
        if head.startswith(_COUNTS):
            self._transport.write(self._counting.response())
            self._transport.close()
            return
        if len(body) < _length(head):
            return
        self._came = b""
        self._note()
        answer = _with_head(self._answer(body))
        if self._delay_seconds:
            asyncio.get_running_loop().call_later(self._delay_seconds, self._transport.write, answer)
        else:
            self._transport.write(answer)

    def _note(self) -> None:
        counting = self._counting
        counting.questions += 1
        if not self._counts:  # connections that read the counts are not counted
            self._counts = True
            counting.open += 1
            counting.most = max(counting.most, counting.open)


def _with_head(body: bytes) -> bytes:
    head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


def _length(head: bytes) -> int:
    lines = [line for line in head.lower().split(b"\r\n") if line.startswith(_LENGTH)]
    return int(lines[0].removeprefix(_LENGTH)) if lines else 0


async def serve(delay_seconds: float, answer: Callable[[bytes], bytes]) -> None:
    """Serve on a free port until the process ends. The port is printed, so that the parent process can connect.

    Args:
        delay_seconds: How long the server waits before it answers a request.
        answer: Returns the body of the response to the body of a request.
    """
    counting = _Counting()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: _Connection(counting, delay_seconds, answer), "127.0.0.1", 0, backlog=2048
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    always = json.dumps(ANSWER).encode()
    asyncio.run(serve(float(sys.argv[1]), lambda _: always))

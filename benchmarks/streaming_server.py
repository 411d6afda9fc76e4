"""A server that streams like Anthropic's: as many pieces of text as `max_tokens` allows, each in its own packet."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

PIECE: Final = " word"
_PIECE: Final = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": PIECE}}
_MESSAGE: Final[Mapping[str, object]] = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-haiku-4-5",
    "content": [],
    "stop_reason": None,
    "stop_sequence": None,
    "usage": {"input_tokens": 40, "output_tokens": 1},
}
_HEAD: Final = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, pause_seconds: float) -> None:
    """Answer the requests of one connection. Streamed answers have a pause after each piece of text."""
    while head := await reader.readuntil(b"\r\n\r\n"):
        lines = dict(line.split(": ", 1) for line in head.decode().lower().split("\r\n")[1:] if line)
        asked = json.loads(await reader.readexactly(int(lines["content-length"])))
        pieces = asked["max_tokens"]
        if not asked.get("stream"):
            await asyncio.sleep(pieces * pause_seconds)
            writer.write(_whole(pieces))
            continue
        block = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
        writer.write(_HEAD + _event({"type": "message_start", "message": _MESSAGE}) + _event(block))
        loop = asyncio.get_running_loop()
        due = loop.time()
        for _ in range(pieces):
            due += pause_seconds
            await asyncio.sleep(max(0.0, due - loop.time()))
            writer.write(_event(_PIECE))
        usage = {"output_tokens": pieces - 1}  # as many as were allowed would be said to be cut off
        end = {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None}, "usage": usage}
        last = _event({"type": "content_block_stop", "index": 0}) + _event(end) + _event({"type": "message_stop"})
        writer.write(last + b"0\r\n\r\n")


def _whole(pieces: int) -> bytes:
    """Return a complete HTTP response with an answer that is not streamed."""
    content, usage = [{"type": "text", "text": PIECE * pieces}], {"input_tokens": 40, "output_tokens": pieces - 1}
    body = json.dumps({**_MESSAGE, "content": content, "stop_reason": "end_turn", "usage": usage}).encode()
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)


def _event(event: Mapping[str, object]) -> bytes:
    """Return a server-sent event as one chunk of an HTTP response."""
    body = f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()
    return f"{len(body):x}\r\n".encode() + body + b"\r\n"


async def serve(pause_seconds: float) -> None:
    """Serve on a free port until the process ends. The port is printed, so that the parent process can connect."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await answer(reader, writer, pause_seconds)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(float(sys.argv[1])))

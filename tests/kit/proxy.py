"""A TCP proxy in front of a PostgreSQL server, which a test drives: it cuts, freezes, and loses answers."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from tests.kit.postgres import PostgresServer

_CHUNK_BYTES = 1 << 16


class Proxy:
    """Passes connections on to the socket of a server. Use it as `async with`.

    Attributes:
        cuts: How many connections were cut.
    """

    def __init__(self, server: PostgresServer) -> None:
        self._socket = Path(server.folder) / ".s.PGSQL.5432"
        self._listening: asyncio.Server | None = None
        self._open: set[_Line] = set()
        self._moving = asyncio.Event()
        self._moving.set()
        self._lose_after: int | None = None
        self._cut_after: int | None = None
        self.cuts = 0

    async def __aenter__(self) -> Self:
        self._listening = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._listening is not None
        self._listening.close()
        self._moving.set()
        self.cut()
        while self._open:  # noqa: ASYNC110 - its connections end by themselves
            await asyncio.sleep(0.01)

    def address(self, schema: str) -> str:
        """Return the address of a schema behind the proxy."""
        assert self._listening is not None
        port = self._listening.sockets[0].getsockname()[1]
        return f"postgresql://tester@127.0.0.1:{port}/postgres?sslmode=disable&gssencmode=disable&schema={schema}"

    def cut(self) -> None:
        """Cut all connections now."""
        for line in list(self._open):
            self._cut(line)

    def cut_request(self, after_bytes: int) -> None:
        """Cut the next connection that sends so many bytes, before the server has the last of them."""
        self._cut_after = after_bytes

    def lose_answer(self, after_bytes: int) -> None:
        """Pass so many bytes on to the server, and cut the connection when it answers them."""
        self._lose_after = after_bytes

    def freeze(self) -> None:
        """Pass nothing on, and cut nothing: neither side can notice."""
        self._moving.clear()

    def thaw(self) -> None:
        """Pass on what was held, and everything else."""
        self._moving.set()

    def _cut(self, line: _Line) -> None:
        if line in self._open and not line.is_cut:
            self.cuts += 1
            line.is_cut = True
            for writer in line.writers:
                writer.transport.abort()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, back = await asyncio.open_unix_connection(self._socket)
        except OSError:  # the server is down
            writer.transport.abort()
            return
        line = _Line(writer, back)
        self._open.add(line)
        try:
            await asyncio.gather(self._requests(line, reader, back), self._answers(line, there, writer))
        finally:
            for each in line.writers:
                each.transport.abort()
            self._open.discard(line)

    async def _requests(self, line: _Line, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while chunk := await reader.read(_CHUNK_BYTES):
                await self._moving.wait()
                if self._cut_after is not None:
                    self._cut_after -= len(chunk)
                    if self._cut_after <= 0:
                        chunk, self._cut_after = chunk[: self._cut_after - 1], None
                        writer.write(chunk)
                        await writer.drain()
                        self._cut(line)
                        return
                if self._lose_after is not None:
                    self._lose_after -= len(chunk)
                    if self._lose_after <= 0:
                        line.is_deaf, self._lose_after = True, None
                writer.write(chunk)
                await writer.drain()
        writer.close()

    async def _answers(self, line: _Line, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while chunk := await reader.read(_CHUNK_BYTES):
                await self._moving.wait()
                if line.is_deaf:
                    self._cut(line)
                    return
                writer.write(chunk)
                await writer.drain()
        writer.close()


class _Line:
    """A connection through the proxy, as the writers to both sides."""

    def __init__(self, *writers: asyncio.StreamWriter) -> None:
        self.writers = writers
        self.is_deaf = False
        self.is_cut = False

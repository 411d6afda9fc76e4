"""Connections to models' servers: httpcore's connection pool over byte streams that can collect data before it is read.

A server that streams sends one token at a time, and each token passes through asyncio, anyio, httpcore and httpx before
it is read. While nobody watches an answer, its `Connection` therefore collects the bytes that arrive and passes them on
together. It passes them on in these cases:

- The end of the stream, an error, or a mark that the caller names has arrived.
- Many bytes have been collected.
- Some time has passed.
- Somebody begins to watch.

HTTP and the pool are still handled by httpcore, and the meaning of the bytes by the caller.

`Connections` is a transport of httpx. It only uses the public interfaces of httpx and httpcore, and does not support
proxies.
"""

from __future__ import annotations

import asyncio
import select
import socket
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final, cast

import httpcore2
import httpx2
from typing_extensions import override

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Collection, Iterable, Iterator

GATHERED_SECONDS: Final = 0.5
"""The longest time for which bytes are collected before they are read."""
_MOST_GATHERED: Final = 65_536
_ENOUGH: Final = 1_048_576
"""The number of unread bytes from which the connection stops reading, so that the server has to wait."""
_BUFFER_BYTES: Final = 16_384
_TAIL_BYTES: Final = 64
"""The number of last bytes that are kept, because a mark may begin in them. No mark is longer."""
_LAST_CHUNK: Final = b"\r\n0\r\n\r\n"
"""The end of a body with chunked encoding."""
_KEEP_ALIVE: Final = (
    ("SOL_SOCKET", "SO_KEEPALIVE", 1),
    ("IPPROTO_TCP", "TCP_KEEPIDLE", 60),
    ("IPPROTO_TCP", "TCP_KEEPINTVL", 60),
    ("IPPROTO_TCP", "TCP_KEEPCNT", 5),
)
"""The same options as in the SDKs, so that the loss of a silent server is noticed."""


class Connection(asyncio.BufferedProtocol, httpcore2.AsyncNetworkStream):
    """A connection to one server that can collect received bytes and pass them on together.

    It implements asyncio's protocol towards the socket and httpcore's stream towards the HTTP client.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._buffer = memoryview(bytearray(_BUFFER_BYTES))
        self._arrived: list[bytes] = []
        self._size = 0
        self._tail = b""
        self._is_over, self._is_held = False, False
        self._broke: Exception | None = None
        self._reader: asyncio.Future[None] | None = None
        self._writer: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._since, self._seconds = 0.0, 0.0
        self._marks: Collection[bytes] | None = None
        self._gathering: asyncio.TimerHandle | None = None

    # -- what is gathered

    def gather(self, marks: Collection[bytes] | None) -> None:
        """Hold received bytes back from now on, until one of these marks arrives, so that they are read together.

        A mark is a text that occurs only in an important event, such as the end of the answer. `gather(None)` switches
        this off: each piece is passed on at once.
        """
        self._marks = None if marks is None else (*marks, _LAST_CHUNK)
        if marks is None and self._arrived:
            self._wake()

    def _must_wake(self, data: bytes) -> bool:
        """Return whether to pass on the collected bytes now, because a mark has arrived or there are many bytes."""
        if self._marks is None or self._size >= _MOST_GATHERED:
            return True
        recent = self._tail + data
        self._tail = recent[-_TAIL_BYTES:]
        for mark in self._marks:  # noqa: SIM110 - for each packet, and a third of the time of any()
            if mark in recent:
                return True
        return False

    def _wake(self) -> None:
        """Wake the task that waits in `read`, so that it gets the bytes that have been collected."""
        if self._gathering is not None:
            self._gathering.cancel()
            self._gathering = None
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    # -- asyncio's side

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    @override
    def get_buffer(self, sizehint: int) -> memoryview:
        return self._buffer

    @override
    def buffer_updated(self, nbytes: int) -> None:
        data = bytes(self._buffer[:nbytes])
        self._arrived.append(data)
        self._size += nbytes
        if self._must_wake(data):
            self._wake()
        elif self._gathering is None:
            self._gathering = self._loop.call_later(GATHERED_SECONDS, self._wake)
        if self._size > _ENOUGH and self._transport is not None:
            self._is_held = True
            self._transport.pause_reading()
        if self._marks is not None:  # without marks, the time of the next read counts from the start of that read
            self._since = self._loop.time()

    @override
    def eof_received(self) -> None:
        self._is_over = True
        self._wake()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._is_over, self._broke = True, exc
        self._wake()
        self.resume_writing()

    @override
    def pause_writing(self) -> None:
        self._writer = self._loop.create_future()

    @override
    def resume_writing(self) -> None:
        if self._writer is not None and not self._writer.done():
            self._writer.set_result(None)
        self._writer = None

    # -- httpcore's side

    @override
    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        if not self._arrived and not self._is_over:
            await self._arrival(timeout)
        if not self._arrived:
            if self._broke is not None:
                raise httpcore2.ReadError
            return b""
        data = b"".join(self._arrived)
        rest = data[max_bytes:]
        self._arrived = [rest] if rest else []
        self._size = len(rest)
        if self._is_held and self._transport is not None:
            self._is_held = False
            self._transport.resume_reading()
        return data[:max_bytes] if rest else data

    async def _arrival(self, seconds: float | None) -> None:
        """Wait until bytes arrive on the connection, or until the server closes the connection.

        Raises:
            httpcore2.ReadTimeout: Nothing arrived within this many seconds.
        """
        self._reader = self._loop.create_future()
        if seconds is not None:
            self._seconds = seconds
            if self._marks is None or not self._since:
                self._since = self._loop.time()
            if self._timer is None or self._timer.when() > self._since + seconds:
                self._look_at(self._since + seconds)
        try:
            await self._reader
        finally:
            self._reader = None

    def _look_at(self, when: float) -> None:
        """Set a timer that checks, at the given time, whether the current read has taken too long.

        One timer serves many reads, because it would take too long to start a timer for each piece that arrives.
        """
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(when, self._look)

    def _look(self) -> None:
        self._timer = None
        if self._reader is None or self._reader.done():
            return
        if self._since + self._seconds > self._loop.time():
            self._look_at(self._since + self._seconds)
        elif self._arrived:
            self._wake()
        else:
            self._reader.set_exception(httpcore2.ReadTimeout())

    @override
    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        transport = self._transport
        if transport is None or transport.is_closing() or self._is_over:
            raise httpcore2.WriteError
        transport.write(buffer)
        if self._writer is not None:
            try:
                await asyncio.wait_for(asyncio.shield(self._writer), timeout)
            except asyncio.TimeoutError:  # noqa: UP041 - another class before Python 3.11 only
                raise httpcore2.WriteTimeout from None
            if self._is_over:
                raise httpcore2.WriteError

    @override
    async def aclose(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._is_over = True
        self._wake()
        if self._transport is not None:
            self._transport.abort()
            await asyncio.sleep(0)

    @override
    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.AsyncNetworkStream:
        transport = cast("asyncio.Transport", self._transport)
        try:
            async with asyncio.timeout(timeout):
                tls_transport = await self._loop.start_tls(
                    transport, self, ssl_context, server_hostname=server_hostname
                )
        except TimeoutError as error:
            await self.aclose()
            raise httpcore2.ConnectTimeout(error) from error
        except OSError as error:  # includes ssl.SSLError
            await self.aclose()
            raise httpcore2.ConnectError(error) from error
        self._transport = tls_transport
        return self

    @override
    def get_extra_info(self, info: str) -> Any:
        transport = cast("asyncio.Transport", self._transport)
        if info == "is_readable":
            return self._is_over or bool(self._arrived) or _is_readable(transport.get_extra_info("socket"))
        names = {"client_addr": "sockname", "server_addr": "peername"}
        return transport.get_extra_info(names.get(info, info))


def _is_readable(of: socket.socket | None) -> bool:
    """Return whether a read from this socket would return at once, with bytes or because the connection is closed."""
    place = -1 if of is None else of.fileno()
    if place < 0:
        return True
    if not hasattr(select, "poll"):
        return bool(select.select([place], [], [], 0)[0])
    asked = select.poll()
    asked.register(place, select.POLLIN)
    return bool(asked.poll(0))


class _Backend(httpcore2.AsyncNetworkBackend):
    """Opens a `Connection` each time httpcore's connection pool needs a new one."""

    @override
    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        try:
            async with asyncio.timeout(timeout):
                transport, connection = await asyncio.get_running_loop().create_connection(
                    Connection, host, port, happy_eyeballs_delay=0.25
                )
        except TimeoutError as error:
            raise httpcore2.ConnectTimeout(error) from error
        except socket.gaierror as error:
            raise httpcore2.ConnectError(error) from error
        except OSError as error:
            raise httpcore2.ConnectError("All connection attempts failed") from error
        opened: socket.socket | None = transport.get_extra_info("socket")
        for level, name, value in _KEEP_ALIVE:
            if opened is not None and hasattr(socket, name):
                with suppress(OSError):
                    opened.setsockopt(getattr(socket, level), getattr(socket, name), value)
        return connection

    @override
    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class Connections(httpx2.AsyncBaseTransport):
    """A transport for httpx clients whose connections can collect received bytes.

    Args:
        verify: The context that checks certificates.
        limits: The number of connections, and the number of idle connections that are kept open.
    """

    def __init__(self, verify: ssl.SSLContext, limits: httpx2.Limits) -> None:
        self._pool = httpcore2.AsyncConnectionPool(
            ssl_context=verify,
            max_connections=limits.max_connections,
            max_keepalive_connections=limits.max_keepalive_connections,
            keepalive_expiry=limits.keepalive_expiry,
            network_backend=_Backend(),
        )

    @override
    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        url = request.url
        asked = httpcore2.Request(
            request.method,
            httpcore2.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
            headers=request.headers.raw,
            content=cast("httpx2.AsyncByteStream", request.stream),
            extensions=request.extensions,
        )
        with _of_httpx():
            found = await self._pool.handle_async_request(asked)
        body = _Body(cast("Any", found.stream))
        return httpx2.Response(found.status, headers=found.headers, stream=body, extensions=found.extensions)

    @override
    async def aclose(self) -> None:
        with _of_httpx():
            await self._pool.aclose()


class _Body(httpx2.AsyncByteStream):
    def __init__(self, of: Any) -> None:  # noqa: ANN401 - a stream of httpcore
        self._of = of

    @override
    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _of_httpx():
            async for part in self._of:
                yield part

    @override
    async def aclose(self) -> None:
        await self._of.aclose()


@contextmanager
def _of_httpx() -> Iterator[None]:
    """Convert httpcore's exceptions to the exceptions of httpx with the same names, which the SDKs expect."""
    try:
        yield
    except Exception as error:
        kind: type[httpx2.HTTPError] | None = getattr(httpx2, type(error).__name__, None)
        if not type(error).__module__.startswith("httpcore") or kind is None:
            raise
        raise kind(str(error)) from error


def gatherer(response: httpx2.Response) -> Connection | None:
    """Return the connection over which a response arrives, if it can collect the bytes of the response; otherwise None.

    Bytes cannot be collected if the client uses another transport, for example because of a proxy, or if they are
    compressed.
    """
    found = response.extensions.get("network_stream")
    # Marks cannot be found in compressed bytes.
    is_plain = response.headers.get("content-encoding", "identity") == "identity"
    return found if isinstance(found, Connection) and is_plain else None


__all__ = ["GATHERED_SECONDS", "Connection", "Connections", "gatherer"]

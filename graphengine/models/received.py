"""Data that servers send: JSON that is read so that it cannot crash a run, numbers of tokens, and streams of events.

`ServerEvents` reads a streamed response so that no part of the stream stays open, however the stream is abandoned. The
SDKs read a stream through nested async generators. If a stream is abandoned (because of an error event, a callback that
raises, or an answer that is complete before the stream ends), the inner generators stay suspended, and the garbage
collector closes them later, in tasks that nobody awaits. An example:

1. A rate limit during a stream ends the outermost generator, and its exception keeps the inner generators alive.
2. The inner generators are collected while the next call runs in the same event loop.
3. They fail with "async generator already executing".

To avoid this, a separate task reads the bytes here and passes on their events without stopping in between. The task is
always suspended in the innermost read, so cancelling it ends every generator from the inside out. The format is
specified in https://html.spec.whatwg.org/multipage/server-sent-events.html.
"""

from __future__ import annotations

import asyncio
import json
import re
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol, TypeAlias

import msgspec

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Collection, Iterator
    from typing import Self

    import httpx2
    from pydantic import JsonValue

    class Body(Protocol):
        """The methods of an HTTP response that `ServerEvents` uses to read a stream."""

        def aiter_bytes(self) -> AsyncIterator[bytes]:
            """Yield the bytes of the body, decompressed."""
            ...

        def aiter_raw(self) -> AsyncIterator[bytes]:
            """Yield the bytes of the body as the server sent them."""
            ...

        async def aclose(self) -> None:
            """Give the connection back to the client's pool, or close it."""
            ...

    class Gathers(Protocol):
        """An interface of connections that can collect the received bytes of a response and pass them on together."""

        def gather(self, marks: Collection[bytes] | None) -> None:
            """Hold received bytes back from now on, until one of these marks arrives, so that they are read together.

            A mark is a text that occurs only in an important event, such as the end of the answer. `gather(None)`
            switches this off.
            """
            ...


JsonObject: TypeAlias = "dict[str, JsonValue]"


class Watch(Protocol):
    """Tells whether somebody is watching an answer while it arrives, such as a page that shows the growing text.

    While nobody watches, several pieces can be passed on together, which takes less time.
    """

    def is_watched(self) -> bool:
        """Return whether somebody is watching the answer now."""
        ...

    def when_watched(self, call: Callable[[], None] | None) -> None:
        """Set the function to call when somebody begins to watch; None to remove it.

        The function passes on the pieces that have been held back, so that the watcher sees the whole text so far.
        """
        ...


MOST_TOKENS: Final = 2**53
"""The largest number that every JSON reader keeps exactly."""


def inside(value: JsonValue, key: str) -> JsonObject:
    """Return the JSON object under a key of another JSON object; {} if there is none."""
    found = value.get(key) if isinstance(value, dict) else None
    return found if isinstance(found, dict) else {}


def list_at(value: JsonValue, key: str) -> list[JsonObject]:
    """Return the JSON objects in the list under a key of a JSON object; [] if there is no list.

    Items of the list that are not objects are left out.
    """
    found = value.get(key) if isinstance(value, dict) else None
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


def text(value: JsonValue, key: str) -> str:
    """Return the text under a key of a JSON object that a server has sent; "" if there is no text under this key.

    Integers are converted to texts, because some servers use numbers as error codes.
    """
    found = value.get(key) if isinstance(value, dict) else None
    return str(found) if isinstance(found, (str, int)) and not isinstance(found, bool) else ""


class NotThisApi(ValueError):
    """The server answered with status 200, but the body is not an answer of the expected API. The text states why."""


class NoCount(ValueError):
    """The server reported a token count that is not a number, so the usage of the call is unknown."""


def read_json(text: str | bytes) -> JsonValue:
    """Parse JSON. An integer with more digits than Python converts becomes the text of its digits.

    Raises:
        json.JSONDecodeError: The text is not JSON.
        UnicodeDecodeError: The bytes are not UTF-8.
        RecursionError: The value is nested too deeply.

    Example:
        >>> read_json('{"input_tokens": 12}')
        {'input_tokens': 12}
    """
    found: JsonValue
    try:
        found = msgspec.json.decode(text)
    # NaN, which servers send, or an integer with too many digits.
    except (msgspec.MsgspecError, ValueError, RecursionError):
        found = json.loads(text, parse_int=_integer)
    return found


def _integer(digits: str) -> int | str:
    try:
        return int(digits)
    except ValueError:
        return digits


def object_in(response: httpx2.Response) -> JsonObject:
    """Parse the body of a successful HTTP response, which must be a JSON object.

    Raises:
        NotThisApi: The body is not a JSON object, so the server does not implement this API.
        ValueError: The body is empty, or its JSON is cut off.
    """
    kind = response.headers.get("content-type", "")
    try:
        found = read_json(response.content)
    except ValueError:
        if response.content.strip() and "json" not in kind:
            raise NotThisApi(f"{kind or 'no content type'}: {response.text}") from None
        raise ValueError("the body is empty" if not response.content else "the body is incomplete JSON") from None
    if not isinstance(found, dict):
        raise NotThisApi(f"JSON, but not an object: {response.text}")
    return found


def is_count(value: JsonValue) -> bool:
    """Return whether a value can be a token count: None, or an integer that every JSON reader keeps exactly."""
    return value is None or (type(value) is int and 0 <= value <= MOST_TOKENS)


def count(value: JsonValue, key: str) -> int:
    """Return the token count at this key of a JSON object; 0 if the key is missing.

    Raises:
        NoCount: The value is not a token count.
    """
    found = value.get(key) if isinstance(value, dict) else None
    if found is None:
        return 0
    if type(found) is not int or not is_count(found):
        raise NoCount(key)
    return found


ENDS: Final = (b'"error"', b'"message"', b"[DONE]", b"message_stop")
"""Marks of an event that may be the last of a stream, or that does not belong to an answer.

The text of an answer cannot contain the first two marks, because quotes in a JSON text follow a backslash.
"""

REST_SECONDS: Final = 0.5
"""How long a server may take to end a stream after its answer is complete. Then the connection is closed."""

_DATA: Final = b"data: "
_EVENT: Final = b"event: "
_LINE_END: Final = re.compile(rb"\r\n|\n|\r")


class Event(NamedTuple):
    """One server-sent event. `kind` is the name of the event; "" if the server gave none."""

    kind: str
    data: str


class EventReader:
    r"""Parses server-sent events from bytes that arrive in arbitrary pieces.

    Example:
        >>> list(EventReader().events(b"event: a\ndata: 1\ndata: 2\n\ndata: torn"))
        [Event(kind='a', data='1\n2')]
    """

    def __init__(self) -> None:
        self._line: list[bytes] = []  # the parts of an unfinished line, each searched only once
        self._after_return = False  # whether a \n at the beginning of the next bytes belongs to the last \r
        self._kind = ""
        self._data: list[str] = []

    def events(self, chunk: bytes) -> Iterator[Event]:
        """Parse received bytes, and yield the events that are complete now.

        An incomplete event is kept for the next call.
        """
        if self._is_between and chunk.endswith(b"\n\n") and b"\r" not in chunk:  # nearly always true
            for block in chunk[:-2].split(b"\n\n"):
                first, line_end, second = block.partition(b"\n")
                if not line_end and first.startswith(_DATA):
                    yield Event("", first[6:].decode("utf-8", "replace"))
                elif first.startswith(_EVENT) and second.startswith(_DATA) and b"\n" not in second:
                    yield Event(first[7:].decode("utf-8", "replace"), second[6:].decode("utf-8", "replace"))
                else:
                    yield from self._lines(block + b"\n\n")
            return
        yield from self._lines(chunk)

    @property
    def _is_between(self) -> bool:
        """Whether the bytes so far end exactly at the end of an event, so that the next bytes begin a new event."""
        return not (self._data or self._kind or self._after_return or any(self._line))

    def _lines(self, chunk: bytes) -> Iterator[Event]:
        first, *more = _LINE_END.split(chunk.removeprefix(b"\n") if self._after_return else chunk)
        self._after_return = chunk.endswith(b"\r") if chunk else self._after_return
        self._line.append(first)
        for start in more:
            line = b"".join(self._line)
            self._line = [start]
            if line:
                self._field(line.decode("utf-8", "replace"))
                continue
            if self._data:
                yield Event(self._kind, "\n".join(self._data))
            self._kind, self._data = "", []

    def _field(self, line: str) -> None:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self._data.append(value)
        elif name == "event":
            self._kind = value


class ServerEvents:
    """Reads the server-sent events of one HTTP response. Leaving the `async with` block closes the response.

    Args:
        response: A response whose body has not been read yet.
        gathers: The connection of the response, if it can collect bytes and pass them on together; otherwise None.
        watch: Tells whether somebody watches the answer. While nobody does, bytes are collected. With None, every event
            is passed on as soon as it arrives.
    """

    def __init__(self, response: Body, gathers: Gathers | None = None, watch: Watch | None = None) -> None:
        self._response = response
        self._gathers, self._watch = gathers, watch
        self._is_watched = True
        self._reading: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._watch is not None:
            self._watch.when_watched(None)
        if self._gathers is not None:
            self._gathers.gather(None)
        if self._reading is not None:
            await _end_task_surely(self._reading)
        await self._response.aclose()

    async def each(self, take: Callable[[Event], bool]) -> Exception | None:
        """Read the response and call a function for each event, until the answer is complete or the stream ends.

        The function runs in the task that reads the response. Events that arrive together therefore need only one
        switch between tasks.

        Args:
            take: Receives an event, and returns True if the answer is now complete. It is then not called again,
                although the rest of the stream is still read.

        Returns:
            The exception with which reading the response failed; None if nothing failed.

        Raises:
            BaseException: The exception that `take` raised.
        """
        outcome: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()
        if self._watch is not None:
            self._watch.when_watched(self._hand_over)
        self._reading = asyncio.create_task(self._read(take, outcome))
        return await outcome

    async def rest(self) -> None:
        """Read what the server sends after the end of the answer, for at most half a second.

        HTTP allows the connection to be used for another call only if the response was read to its end.
        """
        if self._reading is not None:
            await asyncio.wait({self._reading}, timeout=REST_SECONDS)

    async def _read(self, take: Callable[[Event], bool], outcome: asyncio.Future[Exception | None]) -> None:
        reader = EventReader()
        broken: Exception | None = None
        try:
            self._gather()
            # Only uncompressed bytes are collected, and these need no decoder.
            chunks = self._response.aiter_bytes() if self._gathers is None else self._response.aiter_raw()
            async for chunk in chunks:
                if not outcome.done():
                    _hand_on(reader, chunk, take, outcome)
                    self._gather()
        except Exception as error:  # noqa: BLE001 - returned by `each`
            broken = error
        finally:
            if not outcome.done():  # the task may have been cancelled
                outcome.set_result(broken)

    def _hand_over(self) -> None:
        """Pass on the bytes collected so far, because somebody has begun to watch."""
        self._is_watched = True
        if self._gathers is not None:
            self._gathers.gather(None)

    def _gather(self) -> None:
        """Tell the connection to collect bytes if nobody watches the answer, or to stop collecting if somebody does.

        This is called before each read, because watchers come and go while an answer arrives.
        """
        if self._gathers is not None and self._watch is not None:
            is_watched = self._watch.is_watched()
            if is_watched or self._is_watched:
                self._gathers.gather(None if is_watched else ENDS)
            self._is_watched = is_watched


def _hand_on(
    reader: EventReader, chunk: bytes, take: Callable[[Event], bool], outcome: asyncio.Future[Exception | None]
) -> None:
    """Parse received bytes, and call `take` for each event that is now complete.

    If an event completes the answer, `outcome` is set to None. If `take` raises an exception, `outcome` gets the
    exception.
    """
    try:
        for event in reader.events(chunk):
            if take(event):
                outcome.set_result(None)
                return
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # noqa: BLE001 - raised by `each`
        outcome.set_exception(error)


async def _end_task_surely(task: asyncio.Task[None]) -> None:
    """Cancel a task and wait until the task has ended, even if the caller is itself cancelled while it waits."""
    task.cancel()
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError as error:
            cancelled = error
    with suppress(asyncio.CancelledError):
        task.result()
    if cancelled is not None:
        raise cancelled


__all__ = [
    "REST_SECONDS",
    "Event",
    "EventReader",
    "JsonObject",
    "NoCount",
    "NotThisApi",
    "ServerEvents",
    "count",
    "inside",
    "is_count",
    "list_at",
    "object_in",
    "read_json",
    "text",
]

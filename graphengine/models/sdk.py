"""What the adapters over a provider's SDK share, so that each tells its provider's ways and nothing else.

An SDK loads when it is first used, in a thread (`load`); its client is made there too, one for each model object and
running event loop, and takes no more calls at a time than it has connections (`Clients`). The API key stays in `Key`,
which shows it to nobody else. Texts that come from outside go into errors through `Failures`, which hides keys and
shortens. Texts that go out, or that come in to be recorded, are made such that UTF-8 can carry them (`sound`).
"""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import re
import threading
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from math import isfinite
from typing import TYPE_CHECKING, Final, Generic, Protocol, TypeVar
from urllib.parse import urlsplit, urlunsplit
from weakref import WeakKeyDictionary

from graphengine.errors import (
    AnswerTorn,
    BadRequest,
    ContextFull,
    DefinitionError,
    ModelError,
    ModelOverloaded,
    ModelTimeout,
    ModelUnavailable,
    ModelUnreachable,
    NoModelServer,
    NotAuthenticated,
    QuotaExceeded,
    RateLimited,
    UnknownModel,
)
from graphengine.models.hiding import struck

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping
    from types import ModuleType

    import httpx2
    from pydantic import JsonValue

    from graphengine.models.base import Request

CONNECTIONS: Final = 100
"""The most calls that one model object has in flight in one event loop; the others wait for their turn."""

CONNECT_SECONDS: Final = 10.0
"""The longest that it may take to reach a server."""

LONGEST_WAIT_SECONDS: Final = 3600.0
"""What a provider's wish to be left alone is cut to; a longer one comes of a clock that is wrong."""

SHOWN_CHARACTERS: Final = 600
"""How much of a text from outside an error shows."""

SHORTEST_KEY: Final = 4
"""What is shorter is a placeholder for a server that wants no key, and a piece of many a word."""

LONGEST_KEY: Final = 400
"""How much of the end of a text that was cut may be the first part of a key."""

_loaded: dict[str, ModuleType] = {}
_loading = threading.Lock()  # SDKs share packages: two imports of them at once may each see half a module


async def load(module: str, extra: str) -> ModuleType:
    """An SDK's module, loaded once, in a thread.

    Args:
        module: Its name, as `anthropic`.
        extra: The extra of graphengine that brings it.

    Raises:
        ModelUnavailable: It is not installed, or cannot be loaded.
    """
    found = _loaded.get(module)
    return found if found is not None else await asyncio.to_thread(_load, module, extra)


def _load(module: str, extra: str) -> ModuleType:
    install = f"pip install 'graphengine[{extra}]'"
    with _loading:
        try:
            _loaded[module] = importlib.import_module(module)
        except ModuleNotFoundError as error:
            missing = error.name or module
            raise ModelUnavailable(f"this model needs the package {missing}", repair=install) from error
        except ImportError as error:
            raise ModelUnavailable(f"the package {module} cannot be loaded: {error}", repair=install) from error
        return _loaded[module]


def http_client(sdk: ModuleType, timeout_seconds: float) -> httpx2.AsyncClient:
    """An HTTP client for an SDK's client, with as many connections as there are turns. Making it takes some 50 ms.

    Args:
        sdk: The SDK's module, whose own settings it has otherwise (proxies, keep-alive).
        timeout_seconds: For how long a server may send nothing.
    """
    import httpx2  # noqa: PLC0415 - comes with the SDKs, and is as heavy

    client: httpx2.AsyncClient = sdk.DefaultAsyncHttpxClient(
        limits=httpx2.Limits(max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS, keepalive_expiry=30),
        timeout=httpx2.Timeout(timeout_seconds, connect=min(timeout_seconds, CONNECT_SECONDS), pool=None),
    )
    return client


def http_address(given: str) -> str:
    """An address that a user gave as `base_url`, without a slash at its end.

    Raises:
        DefinitionError: It is no http or https address.
    """
    address = given.strip().rstrip("/")
    try:
        parts = urlsplit(address)
        sensible = parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        sensible, parts = False, urlsplit("")
    if not sensible:
        told = struck(given) if "://" in given else struck(f"://{given}").removeprefix("://")
        raise DefinitionError(f"base_url={told!r}", repair="give an address such as http://127.0.0.1:8080")
    if parts.query or parts.fragment:  # the path of each call is put after it
        repair = "leave out the ? or # and what follows it; a key is given as api_key="
        raise DefinitionError(f"base_url={struck(given)!r} has more than a path", repair=repair)
    return address


def shown_address(address: str) -> str:
    """An address as it may be shown and recorded: without a user, a password, a query and a fragment, which hold keys.

    Example:
        >>> shown_address("https://me:secret@example.com/v1?key=secret")
        'https://example.com/v1'
    """
    parts = urlsplit(address)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment=""))


def schema_in_words(request: Request) -> str:
    """What tells a model of the schema that its answer must fit, where it cannot be held to it natively."""
    schema = json.dumps(request.schema, ensure_ascii=False)
    return (
        f"Answer with one JSON object, the {request.output}, and nothing else: no words around it, no code fence.\n"
        f"It must fit this JSON Schema:\n{schema}"
    )


class _Client(Protocol):
    async def close(self) -> None: ...


C = TypeVar("C", bound=_Client)


@dataclass(slots=True)
class _Place(Generic[C]):
    """What one event loop has: at most one client, and so many turns."""

    making: asyncio.Lock = field(default_factory=asyncio.Lock)
    turns: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(CONNECTIONS))
    client: C | None = None


class Clients(Generic[C]):
    """The clients of one model object, one for each event loop that uses it.

    Args:
        make: Gives a new client. It runs in a thread, and may take its time.

    Example:
        >>> async def main() -> None:
        ...     clients = Clients(lambda: "a client of the provider's SDK")
        ...     async with clients.turn() as client:
        ...         print(client)
        >>> asyncio.run(main())
        a client of the provider's SDK
    """

    def __init__(self, make: Callable[[], C]) -> None:
        self._make = make
        self._places: WeakKeyDictionary[asyncio.AbstractEventLoop, _Place[C]] = WeakKeyDictionary()
        self._guard = threading.Lock()

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[C]:
        """The running loop's client, when one of its connections is free. Waiting for that is no call's timeout."""
        place = self._place()
        async with place.turns:
            yield place.client if place.client is not None else await self._made(place)

    async def close(self) -> None:
        """Close the running loop's client, if there is one. The next turn makes another."""
        with self._guard:
            place = self._places.pop(asyncio.get_running_loop(), None)
        if place is not None and place.client is not None:
            await place.client.close()

    async def _made(self, place: _Place[C]) -> C:
        async with place.making:
            if place.client is None:
                place.client = await asyncio.to_thread(self._make)
            return place.client

    def _place(self) -> _Place[C]:
        loop = asyncio.get_running_loop()
        with self._guard:
            place = self._places.get(loop)
            if place is None:
                for ended in [other for other in self._places if other.is_closed()]:
                    del self._places[ended]  # its connections hold the loop, so nothing else would ever drop it
                place = self._places[loop] = _Place()
            return place


class Key:
    """Where an API key comes from. Its `repr` does not show it.

    Args:
        given: The key itself; None to read it from the environment, each time, when it is wanted.
        variable: The environment variable that has it otherwise.
        unless: What to use where there is none; None where that is an error.
    """

    __slots__ = ("_given", "_unless", "variable")

    def __init__(self, given: str | None, variable: str, *, unless: str | None = None) -> None:
        self._given = given
        self._unless = unless
        self.variable = variable

    def __repr__(self) -> str:
        return f"Key({self.variable})"

    def value(self, model: str) -> str:
        """The key.

        Args:
            model: What the error calls the model.

        Raises:
            ModelUnavailable: There is none, or what there is cannot be one.
        """
        key = self._found() or self._unless
        if not key:
            raise ModelUnavailable(
                f"{model} needs an API key, and {self.variable} is not set",
                where=f"model {model}",
                repair=f"set {self.variable}, pass api_key=…, run with --model offline where the agents have "
                "stand-ins, or take another model",
            )
        if not key.isascii() or not key.isprintable() or " " in key:
            raise ModelUnavailable(
                f"the API key for {model} has a space, a line break or another character that no key has",
                where=f"model {model}",
                repair=f"copy it again into {self.variable} or api_key=",
            )
        return key

    def known(self) -> tuple[str, ...]:
        """The key, if there is one, for who hides it."""
        return tuple(key for key in (self._found(), self._given) if key)

    def _found(self) -> str:
        return (self._given if self._given is not None else os.environ.get(self.variable, "")).strip()


_READ_CHARACTERS: Final = 10 * SHOWN_CHARACTERS
_LOOKS_SECRET = re.compile(r"\bsk-[\w*.\-]{6,}|(?<=Bearer )[\w*.\-~+/=]{6,}", re.IGNORECASE)


def hidden(text: str, *keys: str) -> str:
    """The text without these keys, and without anything that looks like one.

    Example:
        >>> hidden("Incorrect API key provided: sk-ant-12345678")
        'Incorrect API key provided: [key]'
    """
    for key in keys:
        if len(key) >= SHORTEST_KEY:
            text = text.replace(key, "[key]")
    return _LOOKS_SECRET.sub("[key]", text)


def shown(text: object, *keys: str) -> str:
    """What an error may show of a text from outside: on one line, shortened, without keys, and UTF-8 can carry it."""
    whole = str(text)
    start = hidden(sound(whole[:_READ_CHARACTERS]), *keys)  # a page of megabytes costs nothing
    if len(whole) > _READ_CHARACTERS:
        start = start[:-LONGEST_KEY]
    line = " ".join(start.split())
    return line if len(line) <= SHOWN_CHARACTERS else f"{line[: SHOWN_CHARACTERS - 1]}…"


def sound(text: str) -> str:
    r"""The text, where half a surrogate pair becomes U+FFFD: UTF-8 cannot carry it, and no provider takes it.

    Example:
        >>> sound("a\ud800b") == "a\ufffdb"
        True
    """
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def sound_json(value: JsonValue, *, levels: int | None = None) -> JsonValue:
    """A JSON value with every text in it `sound`, keys included.

    Args:
        value: The value.
        levels: How deep it may be nested; None for as deep as Python goes, which differs from version to version.

    Raises:
        RecursionError: It is nested deeper.
    """
    if levels is not None and levels < 0:
        raise RecursionError
    less = None if levels is None else levels - 1
    if isinstance(value, str):
        return sound(value)
    if isinstance(value, dict):
        return {sound(key): sound_json(item, levels=less) for key, item in value.items()}
    if isinstance(value, list):
        return [sound_json(item, levels=less) for item in value]
    return value


def retry_after(headers: Mapping[str, str]) -> float | None:
    """For how many seconds a server asks to be left alone, by `retry-after-ms` or `retry-after`; None if it does not.

    Args:
        headers: A response's. Names are compared as this mapping compares them.
    """
    seconds = _number(headers.get("retry-after-ms"))
    if seconds is not None:
        seconds /= 1000
    else:
        said = headers.get("retry-after")
        seconds = _number(said)
        if seconds is None:
            seconds = _seconds_until(said)
    return None if seconds is None else min(max(seconds, 0.0), LONGEST_WAIT_SECONDS)


def _number(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if isfinite(number) else None


def _seconds_until(date: str | None) -> float | None:
    try:
        moment = parsedate_to_datetime(date or "")
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - datetime.now(UTC)).total_seconds()


_BY_STATUS: Final[dict[int, type[ModelError]]] = {
    401: NotAuthenticated,
    402: QuotaExceeded,
    403: NotAuthenticated,
    404: UnknownModel,
    405: NoModelServer,
    408: ModelTimeout,
    409: ModelOverloaded,
    425: ModelOverloaded,
    429: RateLimited,
    501: BadRequest,
    504: ModelTimeout,
}


def kind_of_status(status: int) -> type[ModelError]:
    """The kind of error that an HTTP status stands for, where nothing more is known."""
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    return ModelOverloaded if status >= 500 else BadRequest  # noqa: PLR2004 - HTTP's own border


def nothing_used(cause: BaseException | None) -> dict[str, float | None] | None:
    """What a call used whose connection failed: nothing if it was never made, else that is not known."""
    import httpx2  # noqa: PLC0415 - loaded with the SDK whose call failed

    never_made = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.ProxyError)
    return {} if isinstance(cause, never_made) else None


_TOO_LONG = re.compile(
    r"prompt is too long|context[ _-]*(?:length|window|size|limit)|maximum context|too many (?:input )?tokens"
    r"|input (?:is )?too long|exceeds? .{0,40}\bcontext\b",
    re.IGNORECASE,
)


def says_too_long(text: str) -> bool:
    """Whether a provider's words for a request it refused mean that the question is larger than the context window."""
    return _TOO_LONG.search(text) is not None


_REPAIR: Final[dict[type[ModelError], str]] = {
    AnswerTorn: "try again; if it stays so, look at what stands between you and {address}",
    BadRequest: "change what the provider names; the agent's settings and output type are in the request",
    ContextFull: "send less: a shorter prompt, fewer messages in memory, smaller results of tools; or take a model "
    "with a larger window",
    ModelOverloaded: "try again later, or let another model step in: Router([...])",
    ModelTimeout: "try again, give timeout_seconds= more, or ask for less",
    ModelUnreachable: "is the server running, and can it be reached from here? The address is {address}",
    NoModelServer: "check base_url=; the address is {address}",
    NotAuthenticated: "check the API key in {variable} or api_key=, and what it may be used for",
    QuotaExceeded: "look at the account's credit and limits; trying again does not help",
    RateLimited: "fewer calls at a time, or let another model step in: Router([...])",
    UnknownModel: "check the model's name, and whether this account may use it",
}


@dataclass(frozen=True, slots=True)
class Failures:
    """Makes the errors of one model object: what happened, the provider's own words, a repair, and never a key.

    Args:
        model: What the model is called, as `anthropic:claude-…`.
        address: Where its server is.
        key: What must not be seen.
    """

    model: str
    address: str
    key: Key

    def of(
        self, kind: type[ModelError], what: str, said: object = "", *, retry_after_seconds: float | None = None
    ) -> ModelError:
        """An error to be raised.

        Args:
            kind: Its class.
            what: What happened, in our words, without the model's name: `is overloaded (HTTP 529)`.
            said: What the provider said, "" for nothing.
            retry_after_seconds: For how long it asks to be left alone.
        """
        keys = (*self.key.known(), *filter(None, (urlsplit(self.address).password,)))
        words = shown(said, *keys)
        address = shown(shown_address(self.address), *keys)
        repair = _REPAIR.get(kind, "").format(address=address, variable=self.key.variable)
        return kind(
            f"{self.model} {what}" + (f": {words}" if words else ""),
            where=f"model {self.model}",
            repair=repair,
            retry_after_seconds=retry_after_seconds,
        )


__all__ = [
    "CONNECTIONS",
    "CONNECT_SECONDS",
    "Clients",
    "Failures",
    "Key",
    "hidden",
    "http_address",
    "http_client",
    "kind_of_status",
    "load",
    "nothing_used",
    "retry_after",
    "says_too_long",
    "schema_in_words",
    "shown",
    "shown_address",
    "sound",
    "sound_json",
]

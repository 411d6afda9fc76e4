"""Code that the adapters over providers' SDKs share.

An SDK is loaded on first use, in a thread (`load`). Its client is made there too, one for each model object and running
event loop (`Clients`), with as many connections as its limiter allows calls. `Key` holds the API key and does not
show it. `Failures` puts texts from outside into errors, with keys hidden, and shortened. `sound_json` makes JSON
that is sent or recorded encodable as UTF-8.
"""

from __future__ import annotations

import asyncio
import functools
import hashlib
import importlib
import json
import os
import re
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from math import isfinite
from typing import TYPE_CHECKING, Final, Generic, ParamSpec, Protocol, TypeVar
from urllib.parse import urlsplit, urlunsplit
from weakref import WeakKeyDictionary

from graphengine.errors import (
    AnswerRefused,
    AnswerTorn,
    BadRequest,
    ContextFull,
    DefinitionError,
    ModelBusy,
    ModelError,
    ModelOverloaded,
    ModelTimeout,
    ModelTransient,
    ModelUnavailable,
    ModelUnreachable,
    NoModelServer,
    NotAuthenticated,
    QuotaExceeded,
    RateLimited,
    UnknownModel,
    install_command,
)
from graphengine.models.base import usage_of_failure
from graphengine.models.limiter import LEFT
from graphengine.state.hiding import hidden, struck
from graphengine.state.json_values import clipped, utf8_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import ModuleType, TracebackType

    import httpx2
    from pydantic import JsonValue

    from graphengine.models.base import Request
    from graphengine.models.limiter import Left

CALLS_AT_ONCE: Final = 100
"""The most calls that a limiter of these models has in flight if none is given; further calls wait."""

KEPT_OPEN: Final = 100
"""The most idle connections kept for later calls: at each call the pool asks the system about every idle one."""

CONNECT_SECONDS: Final = 10.0
"""The longest time to connect to a server."""

LONGEST_WAIT_SECONDS: Final = 3600.0
"""The limit of `retry-after`; a longer time is the result of a wrong clock."""

SHOWN_CHARACTERS: Final = 600
"""The most characters of a text from outside that an error shows."""

LONGEST_KEY: Final = 400
"""How many characters at the end of a cut text may be the first part of a key."""

_MOST_SCHEMAS: Final = 256

P = ParamSpec("P")
R = TypeVar("R")

_loaded: dict[str, ModuleType] = {}
_loading = threading.Lock()  # SDKs share packages: two concurrent imports could each see a half-loaded module


async def load(module: str, extra: str) -> ModuleType:
    """Return an SDK's module. It is loaded once, in a thread.

    Args:
        module: Its name, as `anthropic`.
        extra: The extra of graphengine that installs it.

    Raises:
        ModelUnavailable: It is not installed, or cannot be loaded.
    """
    found = _loaded.get(module)
    return found if found is not None else await asyncio.to_thread(_load, module, extra)


def _load(module: str, extra: str) -> ModuleType:
    install = install_command(extra)
    with _loading:
        try:
            _loaded[module] = importlib.import_module(module)
        except ModuleNotFoundError as error:
            missing = error.name or module
            raise ModelUnavailable(f"this model needs the package {missing}", repair=install) from error
        except ImportError as error:
            raise ModelUnavailable(f"the package {module} cannot be loaded: {error}", repair=install) from error
        return _loaded[module]


def http_client(sdk: ModuleType, timeout_seconds: float, connections: int | None) -> httpx2.AsyncClient:
    """Return an HTTP client for an SDK's client. Making it takes about 50 ms.

    Args:
        sdk: The SDK's module, whose defaults apply otherwise (proxies, keep-alive).
        timeout_seconds: How long a server may send nothing.
        connections: As many as there are calls at a time, None for no limit; a call that waits for one does not time
            out.
    """
    import httpx2  # noqa: PLC0415 - comes with the SDKs, and is as heavy

    client: httpx2.AsyncClient = sdk.DefaultAsyncHttpxClient(
        limits=httpx2.Limits(max_connections=connections, max_keepalive_connections=KEPT_OPEN, keepalive_expiry=30),
        timeout=httpx2.Timeout(timeout_seconds, connect=min(timeout_seconds, CONNECT_SECONDS), pool=None),
        event_hooks={"response": [_note_limits]},
    )
    return client


async def _note_limits(response: httpx2.Response) -> None:
    """Pass a response's headers on to the limiter of the call, for the limits that they state."""
    note = LEFT.get()
    if note is not None:
        note(*limits_stated(response.headers))


def http_address(given: str) -> str:
    """Return an address that a user gave as `base_url`, without a slash at its end.

    Raises:
        DefinitionError: It is not an http or https address.
    """
    address = given.strip().rstrip("/")
    try:
        parts = urlsplit(address)
        valid = parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        valid, parts = False, urlsplit("")
    if not valid:
        safe = struck(given) if "://" in given else struck(f"://{given}").removeprefix("://")
        raise DefinitionError(f"base_url={safe!r}", repair="give an address such as http://127.0.0.1:8080")
    if parts.query or parts.fragment:  # the path of each call is appended to it
        repair = "leave out the ? or # and what follows it; pass a key as api_key="
        raise DefinitionError(f"base_url={struck(given)!r} has a query or a fragment", repair=repair)
    return address


def shown_address(address: str) -> str:
    """Return an address that is safe to show and record: without user, password, query and fragment, which hold keys.

    Example:
        >>> shown_address("https://me:secret@example.com/v1?key=secret")
        'https://example.com/v1'
    """
    parts = urlsplit(address)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment=""))


def schema_in_words(request: Request) -> str:
    """Return the instruction to fit the schema, for a model without native support for schemas."""
    schema = json.dumps(request.schema, ensure_ascii=False)
    return (
        f"Answer with one JSON object, the {request.output}, and nothing else: no words around it, no code fence.\n"
        f"It must fit this JSON Schema:\n{schema}"
    )


def kept_by_schema(make: Callable[P, R]) -> Callable[P, R]:
    """Keep what a function makes of a JSON Schema, its first argument: one agent sends the same in every call.

    It is kept by the schema's text. The callers share the result, and must not change it.
    """

    @functools.lru_cache(_MOST_SCHEMAS)
    def kept(text: str, *options: object, **named: object) -> R:
        return make(json.loads(text), *options, **named)  # type: ignore[arg-type]

    @functools.wraps(make)
    def made(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            text = json.dumps(args[0])
        except (TypeError, ValueError, RecursionError):  # no JSON, or nested too deeply
            return make(*args, **kwargs)
        return kept(text, *args[1:], **kwargs)  # type: ignore[arg-type]

    return made


class _Client(Protocol):
    async def close(self) -> None: ...


C = TypeVar("C", bound=_Client)


@dataclass(slots=True)
class _LoopClient(Generic[C]):
    """One event loop's client, if made."""

    making: asyncio.Lock = field(default_factory=asyncio.Lock)
    client: C | None = None


class Clients(Generic[C]):
    """The clients of one model object, one for each event loop that uses it.

    Args:
        make: Makes a new client. It runs in a thread, and may take long.

    Example:
        >>> async def main() -> None:
        ...     clients = Clients(lambda: "a client of the provider's SDK")
        ...     print(await clients.get())
        >>> asyncio.run(main())
        a client of the provider's SDK
    """

    def __init__(self, make: Callable[[], C]) -> None:
        self._make = make
        self._places: WeakKeyDictionary[asyncio.AbstractEventLoop, _LoopClient[C]] = WeakKeyDictionary()
        self._guard = threading.Lock()

    async def get(self) -> C:
        """Return the running loop's client."""
        place = self._place()
        return place.client if place.client is not None else await self._made(place)

    async def close(self) -> None:
        """Close the running loop's client, if there is one. The next `get` makes another."""
        with self._guard:
            place = self._places.pop(asyncio.get_running_loop(), None)
        if place is not None and place.client is not None:
            await place.client.close()

    async def _made(self, place: _LoopClient[C]) -> C:
        async with place.making:
            if place.client is None:
                place.client = await asyncio.to_thread(self._make)
            return place.client

    def _place(self) -> _LoopClient[C]:
        loop = asyncio.get_running_loop()
        with self._guard:
            place = self._places.get(loop)
            if place is None:
                for ended in [other for other in self._places if other.is_closed()]:
                    del self._places[ended]  # its client references the loop, so its weak key would never expire
                place = self._places[loop] = _LoopClient()
            return place


class Translates:
    """A block that raises exceptions of an SDK as `ModelError`s; it may be entered any number of times at once.

    The errors do not have the originals as their cause: those hold the request with its key.

    Args:
        translated: Returns the error for an exception, None for one that is raised unchanged.
    """

    __slots__ = ("_translated",)

    def __init__(self, translated: Callable[[Exception], ModelError | None]) -> None:
        self._translated = translated

    def __enter__(self) -> None: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, Exception) and not isinstance(error, ModelError):
            found = self._translated(error)
            if found is not None:
                raise found from None


class Key:
    """The source of an API key. Its `repr` does not show the key.

    Args:
        given: The key itself; None to read it from the environment each time it is needed.
        variable: The environment variable that holds it otherwise.
        unless: The value to use if there is no key; None if that is an error.
    """

    __slots__ = ("_given", "_unless", "variable")

    def __init__(self, given: str | None, variable: str, *, unless: str | None = None) -> None:
        self._given = given
        self._unless = unless
        self.variable = variable

    def __repr__(self) -> str:
        return f"Key({self.variable})"

    def value(self, model: str) -> str:
        """Return the key.

        Args:
            model: The model's name in the error.

        Raises:
            ModelUnavailable: There is no key, or it is malformed.
        """
        key = self._found() or self._unless
        if not key:
            raise ModelUnavailable(
                f"{model} needs an API key, and {self.variable} is not set",
                where=f"model {model}",
                repair=f"set {self.variable}, pass api_key=…, run with --model offline if the agents have "
                "stand-ins, or use another model",
            )
        if not key.isascii() or not key.isprintable() or " " in key:
            raise ModelUnavailable(
                f"the API key for {model} has a space, a line break or another invalid character",
                where=f"model {model}",
                repair=f"copy it again into {self.variable} or api_key=",
            )
        return key

    def known(self) -> tuple[str, ...]:
        """Return the keys to hide in texts."""
        return tuple(key for key in (self._found(), self._given) if key)

    @property
    def identity(self) -> str:
        """A text that two sources of the same key have in common, and that does not show it."""
        if self._given is None:
            return self.variable
        return hashlib.blake2b(self._given.encode(errors="replace"), digest_size=9).hexdigest()

    def _found(self) -> str:
        return (self._given if self._given is not None else os.environ.get(self.variable, "")).strip()


_READ_CHARACTERS: Final = 10 * SHOWN_CHARACTERS


def shown(text: object, *keys: str) -> str:
    """Return a text from outside as an error may show it: one line, shortened, without keys, encodable as UTF-8.

    Example:
        >>> shown("Incorrect API key provided: sk-ant-12345678")
        'Incorrect API key provided: [secret]'
    """
    whole = str(text)
    start = hidden(utf8_text(whole[:_READ_CHARACTERS]), known=keys)  # cut first: the text may have megabytes
    if len(whole) > _READ_CHARACTERS:
        start = start[:-LONGEST_KEY]
    return clipped(" ".join(start.split()), SHOWN_CHARACTERS)


def sound_json(value: JsonValue, *, levels: int | None = None) -> JsonValue:
    """Return a JSON value with every text in it encodable as UTF-8, keys included.

    Args:
        value: The value.
        levels: The deepest nesting allowed; None for Python's own limit, which differs between versions.

    Raises:
        RecursionError: It is nested deeper.
    """
    if levels is not None and levels < 0:
        raise RecursionError
    less = None if levels is None else levels - 1
    if isinstance(value, str):
        return utf8_text(value)
    if isinstance(value, dict):
        return {utf8_text(key): sound_json(item, levels=less) for key, item in value.items()}
    if isinstance(value, list):
        return [sound_json(item, levels=less) for item in value]
    return value


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return how many seconds a server asks to wait, by `retry-after-ms` or `retry-after`; None if neither is set.

    Args:
        headers: A response's headers. The mapping decides whether names are case-sensitive.
    """
    seconds = _number(headers.get("retry-after-ms"))
    if seconds is not None:
        seconds /= 1000
    else:
        text = headers.get("retry-after")
        seconds = _number(text)
        if seconds is None:
            seconds = _seconds_until(text)
    return None if seconds is None else min(max(seconds, 0.0), LONGEST_WAIT_SECONDS)


def advised(error: ModelError, headers: Mapping[str, str]) -> ModelError:
    """Return the error for a refusal with these headers: how long the server asks to wait, and whether to try again.

    `x-should-retry` decides, also against the status, unless the error's class says why another try cannot help.
    """
    error.retry_after_seconds = retry_after(headers)
    advice = headers.get("x-should-retry")
    kind: type[ModelError] | None = None
    if advice == "false" and isinstance(error, ModelTransient):
        kind = ModelBusy
    elif advice == "true" and type(error) in {BadRequest, ModelError}:
        kind = ModelTransient
    if kind is None:
        return error
    asks = f"; the server asks {'' if advice == 'true' else 'not '}to try again"
    found = kind(error.message + asks, where=error.where, repair=error.repair)
    found.retry_after_seconds, found.usage = error.retry_after_seconds, usage_of_failure(error)
    return found


_DURATION: Final = re.compile(r"(?:(\d+)h)?(?:(\d+)m(?!s))?(?:([\d.]+)s)?(?:([\d.]+)ms)?")
_STATED: Final = {  # what is left, and when it is whole again; of Anthropic, and of OpenAI and servers like it
    what: (
        (f"anthropic-ratelimit-{what}-remaining", f"anthropic-ratelimit-{what}-reset"),
        (f"x-ratelimit-remaining-{what}", f"x-ratelimit-reset-{what}"),
    )
    for what in ("requests", "tokens")
}


def limits_stated(headers: Mapping[str, str]) -> tuple[Left, Left]:
    """Return how many requests and tokens a server still allows, each with the seconds until it allows more.

    None for what its headers do not state.
    """
    return _stated(headers, "requests"), _stated(headers, "tokens")


def _stated(headers: Mapping[str, str], what: str) -> Left:
    for left_name, reset_name in _STATED[what]:
        left = headers.get(left_name)
        number = None if left is None else _number(left)
        seconds = None if number is None else _until_reset(headers.get(reset_name))
        if number is not None and seconds is not None:
            return int(number), min(max(seconds, 0.0), LONGEST_WAIT_SECONDS)
    return None


def _until_reset(text: str | None) -> float | None:
    """Return the seconds until a time such as `2026-11-21T17:05:00Z`, or those of a duration such as `6m0s`."""
    given = (text or "").strip()
    found = _DURATION.fullmatch(given)
    if found is not None and given:
        hours, minutes, seconds, milliseconds = (float(part or 0) for part in found.groups())
        return hours * 3600 + minutes * 60 + seconds + milliseconds / 1000
    try:
        moment = datetime.fromisoformat(given)
    except ValueError:
        return None
    return (moment - datetime.now(UTC)).total_seconds() if moment.tzinfo is not None else None


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
    """Return the error class for an HTTP status, if nothing more is known."""
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    return ModelOverloaded if status >= 500 else BadRequest  # noqa: PLR2004 - HTTP's own border


_TOO_LONG = re.compile(
    r"prompt is too long|context[ _-]*(?:length|window|size|limit)|maximum context|too many (?:input )?tokens"
    r"|input (?:is )?too long|exceeds? .{0,40}\bcontext\b",
    re.IGNORECASE,
)


def says_too_long(text: str) -> bool:
    """Return whether a provider's error message means that the question is larger than the context window."""
    return _TOO_LONG.search(text) is not None


WHAT: Final[dict[type[ModelError], str]] = {
    AnswerRefused: "refused to answer",
    AnswerTorn: "returned an answer that is incomplete or unreadable",
    BadRequest: "does not accept the request",
    ContextFull: "has no room for a question of this length",
    ModelOverloaded: "is overloaded, or has an internal error",
    ModelTimeout: "did not answer in time",
    ModelUnreachable: "cannot be reached, or the connection broke",
    NoModelServer: "is not at this address: another server answers there",
    NotAuthenticated: "does not accept the API key, or not for this request",
    QuotaExceeded: "refuses the request, since the account has no credit or quota left",
    RateLimited: "limits the rate of calls",
    UnknownModel: "is not a model that the server knows",
}
"""What happened, by the error's class; for `Failures.of`."""

_REPAIR: Final[dict[type[ModelError], str]] = {
    AnswerRefused: "change the prompt, or use another model",
    AnswerTorn: "try again; if it happens again, check the proxies between this machine and {address}",
    BadRequest: "change what the provider names; the agent's settings and output type are in the request",
    ContextFull: "send less: a shorter prompt, fewer messages in memory, smaller results of tools; or use a model "
    "with a larger window",
    ModelOverloaded: "try again later, or add another model: Router([...])",
    ModelTimeout: "try again, increase timeout_seconds=, or ask for less",
    ModelUnreachable: "check that the server runs and can be reached from here; the address is {address}",
    NoModelServer: "check base_url=; the address is {address}",
    NotAuthenticated: "check the API key in {variable} or api_key=, and its permissions",
    QuotaExceeded: "check the account's credit and limits; trying again does not help",
    RateLimited: "make fewer calls at a time, or add another model: Router([...])",
    UnknownModel: "check the model's name, and whether this account may use it",
}


@dataclass(frozen=True, slots=True)
class Failures:
    """Makes the errors of one model object: what happened, the provider's message, a repair, and never a key.

    Args:
        model: The model's name, as `anthropic:claude-…`.
        address: The server's address.
        key: The key to hide.
        timeout_seconds: How long the server may send nothing.
    """

    model: str
    address: str
    key: Key
    timeout_seconds: float

    def of(self, kind: type[ModelError], what: str, text: object = "") -> ModelError:
        """Return an error to raise.

        Args:
            kind: Its class.
            what: What happened, without the model's name: `is overloaded (HTTP 529)`.
            text: The provider's message, "" for none.
        """
        keys = (*self.key.known(), *filter(None, (urlsplit(self.address).password,)))
        words = shown(text, *keys)
        address = shown(shown_address(self.address), *keys)
        repair = _REPAIR.get(kind, "").format(address=address, variable=self.key.variable)
        message = f"{self.model} {what}" + (f": {words}" if words else "")
        return kind(message, where=f"model {self.model}", repair=repair)

    def lost(self, cause: BaseException | None, *, began: bool = False) -> ModelError:
        """Return the error for a connection that failed or broke.

        Args:
            cause: The HTTP client's exception.
            began: Whether a part of the answer had arrived.
        """
        import httpx2  # noqa: PLC0415 - loaded with the SDK whose call failed

        if isinstance(cause, httpx2.TimeoutException) and not isinstance(cause, httpx2.ConnectTimeout):
            return self.of(ModelTimeout, f"sent nothing for {self.timeout_seconds:g} s")
        words = "" if cause is None else f"{type(cause).__name__}: {cause}".removesuffix(": ")
        if began:
            return self.of(AnswerTorn, "broke off its answer", words)
        error = self.of(ModelUnreachable, WHAT[ModelUnreachable], words)
        if isinstance(cause, (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.ProxyError)):
            error.usage = {}  # no request was sent
        return error


__all__ = [
    "CALLS_AT_ONCE",
    "CONNECT_SECONDS",
    "WHAT",
    "Clients",
    "Failures",
    "Key",
    "Translates",
    "advised",
    "http_address",
    "http_client",
    "kept_by_schema",
    "kind_of_status",
    "limits_stated",
    "load",
    "retry_after",
    "says_too_long",
    "schema_in_words",
    "shown",
    "shown_address",
    "sound_json",
]

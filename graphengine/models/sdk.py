"""One provider's server, called with its SDK: the SDK, its clients, the key, the calls and their errors.

An SDK is loaded on first use, in a thread (`load`). Its client is also made there, one for each model object and
running event loop (`Clients`). For many calls at once it is copied, and each copy has its own connections (`Pools`).
`Key` contains the API key and does not show it. `Server` makes the calls.

The SDK makes the call (connections, headers, its own errors), but does not read the answer, for three reasons:

- Its classes accept any JSON unchecked, so their types promise things that a local server may not keep.
- Native content must be kept exactly as it arrived.
- Making its objects would take a quarter of the CPU time of a call.

The adapters therefore receive JSON and check it themselves.
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
from contextlib import asynccontextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final, Generic, ParamSpec, TypeVar, cast
from urllib.parse import urlsplit, urlunsplit
from urllib.request import getproxies

from graphengine.addresses import is_http
from graphengine.errors import DefinitionError
from graphengine.kernel.extension import is_seconds, utf8_text
from graphengine.kernel.inside import install_command
from graphengine.models.errors import (
    AnswerTorn,
    BadRequest,
    ModelError,
    ModelTimeout,
    ModelUnavailable,
    ModelUnreachable,
    NoModelServer,
)
from graphengine.models.hiding import struck
from graphengine.models.limiter import limiter_for
from graphengine.models.received import NotThisApi, ServerEvents, object_in, read_json
from graphengine.models.refusals import (
    REPAIRS,
    WHAT,
    advised,
    complaint,
    kind_of,
    repaired,
    shorten_outside_text,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence
    from contextlib import AbstractContextManager
    from types import ModuleType, TracebackType

    import httpx2
    from pydantic import JsonValue

    from graphengine.models.base import Request, Watch
    from graphengine.models.limiter import RateLimiter
    from graphengine.models.received import Event, JsonObject

CALLS_AT_ONCE: Final = 100
"""The default limit on calls in flight at a provider's own address. Further calls wait."""
_PROVIDERS: Final = (".anthropic.com", ".openai.com", ".azure.com", ".amazonaws.com", ".googleapis.com")
"""The ends of the host names of providers and clouds."""

KEPT_OPEN: Final = 100
"""The largest number of idle connections that are kept for later calls."""

KEPT_SECONDS: Final = 30.0
"""How long an idle connection is kept."""

POOL: Final = 10
"""The number of calls in flight with which a pool of connections is full.

At each call, a pool asks the system about every idle connection, which takes longer than the call itself if there are a
hundred of them.
"""

CONNECT_SECONDS: Final = 10.0
"""The longest time to connect to a server."""

LONGEST_NAME: Final = 64
"""The longest name of a tool, and of an answer's schema, that every API accepts."""

_PROXIED: Final = ("all", "http", "https")
"""The schemes for which the SDKs use proxies of the environment or the system."""

_NOT_IN_NAMES: Final = re.compile(r"[^a-zA-Z0-9_-]")
_MOST_SCHEMAS: Final = 256

P = ParamSpec("P")
R = TypeVar("R")
J = TypeVar("J")

_loaded: dict[str, ModuleType] = {}
# SDKs share packages: without this lock, two concurrent imports could each see a half-loaded module.
_loading = threading.Lock()


async def load(module: str, extra: str) -> ModuleType:
    """Import a package on first use, in a thread, so that the event loop is not blocked meanwhile.

    Args:
        module: The name of the module, such as `anthropic`.
        extra: The extra of graphengine that installs the module.

    Raises:
        ModelUnavailable: The module is not installed, or cannot be loaded.
    """
    found = _loaded.get(module)
    return found if found is not None else await asyncio.to_thread(_import_package, module, extra)


def _import_package(module: str, extra: str) -> ModuleType:
    install = install_command(extra)
    with _loading:
        try:
            _loaded[module] = importlib.import_module(module)
        except ModuleNotFoundError as error:
            missing = error.name or module
            text = f"the model needs the package {missing!r}, which is not installed"
            raise ModelUnavailable(text, repair=install) from error
        except ImportError as error:
            text = f"the package {module!r}, which the model needs, cannot be loaded: {error}"
            raise ModelUnavailable(text, repair=install) from error
        return _loaded[module]


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # the package that contains the module is not installed
        return False


def http_address(given: str) -> str:
    """Check an address that a user passed as `base_url`, and return it without a slash at its end.

    Raises:
        DefinitionError: The text is not an http or https address, or it has a query or a fragment.
    """
    address = given.strip().rstrip("/")
    if not is_http(address):
        safe = struck(given) if "://" in given else struck(f"://{given}").removeprefix("://")
        text = f"base_url={safe!r} is not an http or https address"
        raise DefinitionError(text, repair="give an address, as in base_url='http://127.0.0.1:8080'")
    parts = urlsplit(address)
    if parts.query or parts.fragment:  # the path of each call is appended to the address
        repair = "leave out the ? or #, and the text after the ? or #. Pass a key as api_key="
        text = f"base_url={struck(given)!r} has a query (? …) or a fragment (# …), which is not allowed"
        raise DefinitionError(text, repair=repair)
    return address


def shown_address(address: str) -> str:
    """Remove the parts of an address that may contain secrets: user, password, query and fragment.

    The result can be shown and recorded.

    Example:
        >>> shown_address("https://me:secret@example.com/v1?key=secret")
        'https://example.com/v1'
    """
    parts = urlsplit(address)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment=""))


def calls_at_once(address: str) -> int | None:
    """Return how many calls may be in flight at an address by default; None for no limit.

    At a provider's address the limit is 100. A private server decides itself how many calls it answers at once. There,
    the limit only keeps the process from running out of open files, since each call needs a connection.

    Example:
        >>> calls_at_once("https://api.anthropic.com")
        100
    """
    if f".{urlsplit(address).hostname}".endswith(_PROVIDERS):
        return CALLS_AT_ONCE
    try:
        import resource  # noqa: PLC0415 - not on every system
    except ModuleNotFoundError:
        return None
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if files == resource.RLIM_INFINITY else max(CALLS_AT_ONCE, files // 2)


def schema_in_words(request: Request) -> str:
    """Write the instruction that makes a model answer with JSON of this schema, for APIs that accept no schemas."""
    schema = json.dumps(request.schema, ensure_ascii=False)
    return (
        f"Answer with one JSON object, the {request.output}, and nothing else: no words around it, no code fence.\n"
        f"It must fit this JSON Schema:\n{schema}"
    )


def kept_by_schema(make: Callable[P, R]) -> Callable[P, R]:
    """Cache the results of a function whose first argument is a JSON Schema.

    An agent sends the same schema in every call. The cache is searched by the text of the schema. Callers share the
    result and must not change it.
    """

    @functools.lru_cache(_MOST_SCHEMAS)
    def kept(text: str, *options: object, **named: object) -> R:
        return make(json.loads(text), *options, **named)  # type: ignore[arg-type]

    @functools.wraps(make)
    def made(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            text = json.dumps(args[0])
        except (TypeError, ValueError, RecursionError):  # not JSON, or nested too deeply
            return make(*args, **kwargs)
        return kept(text, *args[1:], **kwargs)  # type: ignore[arg-type]

    return made


C = TypeVar("C")


class Clients(Generic[C]):
    """Keeps the SDK's clients of one model object: one client for each event loop that calls the model.

    Args:
        make: Makes a new client. It is called in a thread, because it may take long.

    Example:
        >>> async def main() -> None:
        ...     clients = Clients(lambda: "a client of the provider's SDK")
        ...     print(await clients.get())
        >>> asyncio.run(main())
        a client of the provider's SDK
    """

    def __init__(self, make: Callable[[], C]) -> None:
        self._make = make
        self._making: dict[asyncio.AbstractEventLoop, asyncio.Task[C]] = {}
        self._guard = threading.Lock()

    async def get(self) -> C:
        """Return the client of the running event loop, and make the client first if necessary.

        Concurrent callers wait for the same new client. A caller that is cancelled while it waits does not stop the
        making of the client.
        """
        loop = asyncio.get_running_loop()
        making = self._making.get(loop)
        if making is None or (making.done() and not _is_made(making)):
            with self._guard:
                for ended in [other for other in self._making if other.is_closed()]:
                    del self._making[ended]
                making = self._making[loop] = asyncio.ensure_future(asyncio.to_thread(self._make))
        return making.result() if making.done() else await asyncio.shield(making)

    async def close(self) -> None:
        """Close the client that the running event loop uses. The next call of `get` makes a new client."""
        with self._guard:
            making = self._making.pop(asyncio.get_running_loop(), None)
        if making is not None and _is_made(making):
            client: Any = making.result()
            await client.close()


def _now() -> float:
    return asyncio.get_running_loop().time()


def _is_made(making: asyncio.Task[Any]) -> bool:
    return making.done() and not making.cancelled() and making.exception() is None


class Pool:
    """A client of a provider's SDK that has its own connections, with the number of calls that use the client.

    Attributes:
        client: The client.
        calls: The number of calls in flight.
        left: When the last call ended, by the event loop's time.
    """

    __slots__ = ("calls", "client", "left")

    def __init__(self, client: Any) -> None:  # noqa: ANN401 - of any SDK
        self.client = client
        self.calls, self.left = 0, 0.0


class Pools:
    """Distributes the calls of one event loop over several clients of the SDK, each with at most 10 calls at once.

    A call uses the first client that has fewer than 10 calls. A few concurrent calls therefore share a few connections,
    and only bursts of calls use the last clients.

    Args:
        first: The first client.
        copy: Returns a copy of the first client with its own connections. Its argument is the number of idle
            connections that the copy keeps.
    """

    def __init__(self, first: Any, copy: Callable[[int], Any]) -> None:  # noqa: ANN401 - of any SDK
        self._all, self._copy = [Pool(first)], copy

    @property
    def first(self) -> Any:  # noqa: ANN401 - as above
        """The client that is used first. Further clients are copies of it."""
        return self._all[0].client

    async def take(self) -> Pool:
        """Choose the client for a call, and count the call as in flight.

        The caller subtracts it when the call has ended.

        This is the first client with fewer than 10 calls. A last client that has not been used for 30 seconds is
        closed.
        """
        last = self._all[-1]
        if not last.calls and last is not self._all[0] and _now() - last.left > KEPT_SECONDS:
            self._all.remove(last)
            await last.client.close()
        pool = next((each for each in self._all if each.calls < POOL), None)
        if pool is None:
            pool = Pool(self._copy(POOL if len(self._all) < KEPT_OPEN // POOL else 0))
            self._all.append(pool)
        pool.calls += 1
        return pool

    async def close(self) -> None:
        """Close the connections of all clients."""
        for each in self._all:
            await each.client.close()


class Key:
    """The API key of a model, given by the user or read from the environment. Its `repr` does not show the key.

    Args:
        given: The key itself; None to read it from the environment each time it is needed.
        variable: The environment variable that contains the key if none is given.
        unless: The value to use if there is no key; None if a missing key is an error.
    """

    __slots__ = ("_given", "_unless", "variable")

    def __init__(self, given: str | None, variable: str, *, unless: str | None = None) -> None:
        self._given = given
        self._unless = unless
        self.variable = variable

    def __repr__(self) -> str:
        return f"Key({self.variable})"

    def value(self, model: str, needs: Sequence[tuple[str, str]] = ()) -> str:
        """Return the key, read anew from the environment if the user gave none.

        Args:
            model: The model's name in the error.
            needs: The modules that the model also needs, with the extras that install them.

        Raises:
            ModelUnavailable: There is no key, or it is malformed.
        """
        key = self._find_key() or self._unless
        if not key:
            lacking = dict.fromkeys(extra for module, extra in needs if not _is_installed(module))
            install = "".join(f", and {install_command(extra)}" for extra in lacking)
            raise ModelUnavailable(
                f"the model {model!r} needs an API key, but the environment variable {self.variable} is not set",
                where=f"model {model}",
                repair=f"set {self.variable}, or give the agent an object of the model's class, which takes api_key=…"
                f"{install}. Without a key, 'placeholder' answers any agent, and 'rules' an agent that has by_rules=: "
                "--model rules, or Runner(models='rules')",
            )
        if not key.isascii() or not key.isprintable() or " " in key:
            raise ModelUnavailable(
                f"the API key for the model {model!r} has a space, a line break or another invalid character",
                where=f"model {model}",
                repair=f"copy the key again into the environment variable {self.variable} or into api_key=",
            )
        return key

    def known(self) -> tuple[str, ...]:
        """Return the API keys that must not appear in a text, such as an error message."""
        return tuple(key for key in (self._find_key(), self._given) if key)

    @property
    def identity(self) -> str:
        """A text that identifies the key without showing it: the name of the variable, or a digest of the given key.

        Models with the same identity share a rate limiter.
        """
        if self._given is None:
            return self.variable
        return hashlib.blake2b(self._given.encode(errors="replace"), digest_size=9).hexdigest()

    def _find_key(self) -> str:
        return (self._given if self._given is not None else os.environ.get(self.variable, "")).strip()


def plain_arguments(written: str) -> str:
    """Return the arguments of a tool call as the model wrote them; "{}" if it wrote nothing or null."""
    return "{}" if written.strip() in {"", "null", "None"} else written


def called_name(name: str) -> str:
    """Replace the characters of a called tool's name that not every API accepts. A model may have invented the name."""
    return _NOT_IN_NAMES.sub("_", name)[:LONGEST_NAME] or "unnamed"


def sound_json(value: J, *, levels: int | None = None) -> J:
    """Return a copy of a JSON value in which every text can be encoded as UTF-8.

    A model may send half of a surrogate pair, which Python accepts in a text, but which cannot be stored or sent.

    Args:
        value: The value.
        levels: The deepest nesting allowed; None for Python's own limit, which differs between versions.

    Raises:
        RecursionError: The value is nested more deeply.
    """
    if levels is not None and levels < 0:
        raise RecursionError
    less = None if levels is None else levels - 1
    found: Any = value
    if isinstance(value, str):
        found = utf8_text(value)
    elif isinstance(value, dict):
        found = {utf8_text(key): sound_json(item, levels=less) for key, item in value.items()}
    elif isinstance(value, (list, tuple)):
        found = [sound_json(item, levels=less) for item in value]
    return cast("J", found)


class _Failing:
    """A context manager that converts exceptions of the provider's SDK to errors of graphengine.

    Several calls may be inside its `with` block at the same time.

    Args:
        translated: Returns the error for an exception, or None if the exception is to be raised unchanged.
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


_DONE: Final = "[DONE]"
"""The text that some APIs send after the last event of a stream."""
_MALFORMED: Final = (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)
"""The errors that the SDK or the reader of an answer raises for a malformed answer."""


FORBID: Final = "GRAPHENGINE_FORBID_MODELS"
"""The environment variable that forbids calls of providers. The pytest plugin sets it; child processes inherit it."""
_LOCAL: Final = ("localhost", "127.0.0.1", "::1")


class ModelForbidden(ModelError):
    """A test called the model of a provider although tests must not, because such calls cost money and vary."""

    code = "model_forbidden"
    of_set_up = True


def check_allowed(model: str, address: str | None) -> None:
    """Raise an error if calls of providers are forbidden, as in tests, and the model's server is not on this machine.

    Args:
        model: The model's name, for the error.
        address: The address of the model's server; None if it has none.

    Raises:
        ModelForbidden: Calling this model is forbidden.
    """
    if address and os.environ.get(FORBID) and urlsplit(address).hostname not in _LOCAL:
        raise ModelForbidden(
            f"a test called the model {model!r} of a provider, which is forbidden in tests",
            where=f"model {model}",
            repair="give the Runner a ScriptedModel or recordings(…), or mark the test @pytest.mark.real_models",
        )


class Server:
    """The server of one model object: calls it with the provider's SDK, and converts failures to `ModelError`s.

    Args:
        model: The model's name in errors, such as `anthropic:claude-…`.
        address: The server's address.
        key: The API key.
        timeout_seconds: How long the server may send nothing before a call fails with `ModelTimeout`.
        limiter: The rate limiter; None for the limiter that all models with this name, address and key share.
        make: Makes a client of the SDK from the SDK's module and the common arguments of all clients. It runs in a
            thread.
        needs: The modules to load, the SDK's first, each with the extra of graphengine that installs it.

    Raises:
        DefinitionError: An argument is invalid.
    """

    def __init__(  # noqa: PLR0913 - each is a separate setting of the server
        self,
        model: str,
        address: str,
        key: Key,
        *,
        timeout_seconds: float,
        limiter: RateLimiter | None,
        make: Callable[[Any, dict[str, Any]], Any],
        needs: Sequence[tuple[str, str]],
    ) -> None:
        if not model.partition(":")[2].strip():
            text = f"the name {model!r} contains no model after the colon"
            raise DefinitionError(text, repair=f"write the name of a model: {model.strip()}MODEL")
        if not is_seconds(timeout_seconds):
            text = f"timeout_seconds={timeout_seconds!r}: the time limit must be a number of seconds greater than 0"
            raise DefinitionError(text, where=f"model {model}", repair="write timeout_seconds=60")
        self.model, self.address, self.key = model, address, key
        self.limiter = limiter or limiter_for((model, address, key.identity), calls_at_once(address))
        self._timeout_seconds = float(timeout_seconds)
        self._new = make
        self._needs = needs
        self._clients: Clients[Pools] = Clients(self._make_clients)
        self._failing = tuple(
            _Failing(functools.partial(self._translate_error, began=began)) for began in (False, True)
        )

    @property
    def place(self) -> str:
        """The server's host name and port, such as `api.openai.com:443`, for `Response.server`.

        The result is "" if the address has no host.
        """
        there = urlsplit(self.address)
        return f"{there.hostname}:{there.port or (80 if there.scheme == 'http' else 443)}" if there.hostname else ""

    def check_set_up(self) -> None:
        """Check that there is a key and that the packages are installed, without loading them or calling the server.

        Raises:
            ModelForbidden: A test must not call this server.
            ModelUnavailable: The key or a package is missing.
        """
        check_allowed(self.model, self.address)
        self.key.value(self.model, self._needs)
        for module, extra in self._needs:
            if module not in _loaded and not _is_installed(module):
                text = f"the model {self.model!r} needs the package {module!r}, which is not installed"
                raise ModelUnavailable(text, where=f"model {self.model}", repair=install_command(extra))

    async def client(self) -> Any:  # noqa: ANN401 - of any SDK
        """Return the SDK's client, and make it first if necessary."""
        return (await self._pools()).first

    async def _pools(self) -> Pools:
        self.check_set_up()
        for module, extra in self._needs:
            await load(module, extra)
        return await self._clients.get()

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[Any]:
        """Provide a client of the SDK for one call, and count the call as in flight until the `with` block ends."""
        pool = await (await self._pools()).take()
        try:
            yield pool.client
        finally:
            pool.calls -= 1
            pool.left = _now()

    async def close(self) -> None:
        """Close the connections of the running event loop."""
        await self._clients.close()

    async def whole(self, path: str, body: JsonObject, headers: Mapping[str, str]) -> JsonObject:
        """Make a call whose answer is not streamed, and return the JSON object that the server sends.

        Args:
            path: The path of the API's endpoint.
            body: The body of the request.
            headers: The headers of the request, in addition to those of the SDK.

        Raises:
            ModelError: The call failed; the class states how.
        """
        async with self.connected() as client:
            import httpx2  # noqa: PLC0415 - loaded by now

            options = {"headers": dict(headers)}
            with self.failing():
                response = await client.post(path, cast_to=httpx2.Response, body=body, options=options)
                return object_in(response)

    async def stream(
        self,
        path: str,
        body: JsonObject,
        headers: Mapping[str, str],
        take: Callable[[JsonObject], bool],
        watch: Watch | None = None,
    ) -> JsonObject | None:
        """Make a call whose answer is streamed, and pass each event to `take`.

        Args:
            path: The path of the API's endpoint.
            body: The body of the request.
            headers: The headers of the request, in addition to those of the SDK.
            take: Receives an event, and returns True if the answer is now complete, so that no further event is
                awaited.
            watch: Tells whether somebody watches the answer. Events that nobody watches are read together, which takes
                less time. None to read each event as soon as it arrives.

        Returns:
            The complete answer, if the server sent it as one JSON object; None if the answer was streamed.

        Raises:
            ModelError: The call failed; the class states how.
        """
        async with self.connected() as client:
            import httpx2  # noqa: PLC0415 - loaded by now

            from graphengine.models.connections import gatherer  # noqa: PLC0415 - as above

            kind: Any = self._sdk.AsyncStream[object]
            options = {"headers": dict(headers)}
            with self.failing():
                response: httpx2.Response = await client.post(
                    path, cast_to=httpx2.Response, body=body, options=options, stream=True, stream_cls=kind
                )
            content = response.headers.get("content-type", "")
            if "json" in content or "html" in content:  # the server does not stream, or is not a model's server
                try:
                    with self.failing():
                        await response.aread()
                        return object_in(response)
                finally:
                    await response.aclose()
            began = False

            def take_next(received: Event) -> bool:
                nonlocal began
                event = self._event(received.data, response.headers, began=began)
                is_last = event is None or take(event)
                began = True
                return is_last

            async with ServerEvents(response, gatherer(response), watch) as events:
                broken = await events.each(take_next)
                if broken is not None:
                    with self.failing(began=began):
                        raise broken
                await events.rest()
            return None

    def _event(self, data: str, headers: Mapping[str, str], *, began: bool) -> JsonObject | None:
        """Parse an event of a streamed answer; None if the event only marks the end of the stream."""
        if data.startswith(_DONE):
            return None
        try:
            event = read_json(data)
        except (ValueError, RecursionError):
            with self.failing(began=began):
                raise
        if isinstance(event, list) and len(event) == 1:  # an error of Gemini's endpoint
            event = event[0]
        if not isinstance(event, dict):
            with self.failing(began=began):
                raise ValueError(f"an event is not a JSON object: {data}")
        if event.get("error"):
            raise self.refused(event["error"], headers=headers)
        return event

    def _make_clients(self) -> Pools:
        """Make the SDK's first client, and the function that copies it. This takes about 50 ms, so it runs in a thread.

        The SDK's defaults for proxies and keep-alive apply. A call that waits for a free connection does not time out.
        """
        import httpx2  # noqa: PLC0415 - comes with the SDKs, and is as heavy

        from graphengine.models.connections import Connections  # noqa: PLC0415 - as above

        sdk, seconds, most = self._sdk, self._timeout_seconds, self.limiter.calls_at_once
        timeout = httpx2.Timeout(seconds, connect=min(seconds, CONNECT_SECONDS), pool=None)
        verify = httpx2.create_ssl_context()  # takes most of the 50 ms

        def connections(kept: int) -> Any:  # noqa: ANN401 - a client of httpx2
            limits = httpx2.Limits(max_connections=most, max_keepalive_connections=kept, keepalive_expiry=KEPT_SECONDS)
            if any(map(getproxies().get, _PROXIED)):
                return sdk.DefaultAsyncHttpxClient(limits=limits, timeout=timeout, verify=verify)
            return sdk.DefaultAsyncHttpxClient(timeout=timeout, transport=Connections(verify, limits))

        common = {"base_url": self.address, "timeout": timeout, "max_retries": 0, "http_client": connections(POOL)}
        first = self._new(sdk, {"api_key": self.key.value(self.model), **common})
        return Pools(first, lambda kept: first.with_options(http_client=connections(kept)))

    @property
    def _sdk(self) -> Any:  # noqa: ANN401 - a module
        return _loaded[self._needs[0][0]]

    # -- errors

    def error(self, kind: type[ModelError], what: str, text: object = "") -> ModelError:
        """Build an error for this server, with advice for the user. Keys are hidden in all texts.

        Args:
            kind: The class of the error.
            what: What happened, without the model's name, such as `is overloaded (HTTP 529)`.
            text: The provider's message; "" if there is none.
        """
        keys = (*self.key.known(), *filter(None, (urlsplit(self.address).password,)))
        words = shorten_outside_text(text, *keys)
        address = shorten_outside_text(shown_address(self.address), *keys)
        repair = REPAIRS.get(kind, "").format(address=address, variable=self.key.variable)
        message = f"{self.model} {what}" + (f": {words}" if words else "")
        return kind(message, where=f"model {self.model}", repair=repair)

    def refused(self, body: object, status: int = 0, headers: Mapping[str, str] | None = None) -> ModelError:
        """Build the error for a refusal by the provider, from the error object that it sent.

        Args:
            body: The error object, or an object that contains it as `error`.
            status: The HTTP status; 0 if the error was inside an answer.
            headers: The response's headers.
        """
        report = complaint(_error_in(body), status)
        kind = kind_of(report)
        request_id = (headers or {}).get("request-id") or (headers or {}).get("x-request-id")
        how = [f"HTTP {report.status}"] if report.status else []
        how += [f"request {request_id}"] if request_id else []
        what = WHAT[kind] + (f" ({', '.join(how)})" if how else "")
        error = self.error(kind, what, "a page of HTML" if report.is_page else report.message)
        error = advised(repaired(error, report), headers or {}, report)
        error.unread_call = report.call
        return error

    def unknown_end(self, reason: str) -> ModelError:
        """Build the error for an answer that ended for a reason that graphengine does not know.

        Such an answer is not used, because it may be incomplete.
        """
        error = self.error(ModelError, "ended its answer for a reason that graphengine does not know", reason)
        error.repair = "ask the provider what the reason means. The answer is not used, because it may be incomplete"
        return error

    def failing(self, *, began: bool = False) -> AbstractContextManager[None]:
        """Return a context manager that converts exceptions of the SDK, and of reading its answers, to `ModelError`s.

        The original exception is not kept as the cause, because it contains the request with its key.

        Args:
            began: Whether a part of the answer had arrived.
        """
        return self._failing[began]

    def _translate_error(self, error: Exception, *, began: bool) -> ModelError | None:
        """Convert an exception of the provider's SDK to a `ModelError`.

        Returns None for an exception that has nothing to do with the call.
        """
        import httpx2  # noqa: PLC0415 - loaded with the SDK

        sdk = self._sdk
        if isinstance(error, sdk.APIStatusError):
            failed: Any = error
            return self.refused(failed.body, failed.status_code, failed.response.headers)
        if isinstance(error, (sdk.APIConnectionError, httpx2.HTTPError)):
            # The SDK's own message is general, and the details are in its cause. During a stream, the SDK does not wrap
            # errors.
            return self._error_of_lost_connection(
                error if isinstance(error, httpx2.HTTPError) else error.__cause__, began=began
            )
        if isinstance(error, UnicodeEncodeError):
            what = "cannot be called: a name or schema has a lone surrogate, which UTF-8 cannot encode"
            return self.error(BadRequest, what, repr(error.object[error.start : error.end]))
        if isinstance(error, NotThisApi):
            return self.error(NoModelServer, WHAT[NoModelServer], error)
        if isinstance(error, (sdk.APIError, *_MALFORMED)):
            return self.error(AnswerTorn, WHAT[AnswerTorn], f"{type(error).__name__}: {error}")
        is_sdks = isinstance(error, sdk.APIError.__base__)
        return self.error(ModelError, "failed in the provider's SDK", error) if is_sdks else None

    def _error_of_lost_connection(self, cause: BaseException | None, *, began: bool) -> ModelError:
        """Build the error for a connection that failed, broke or timed out."""
        import httpx2  # noqa: PLC0415 - loaded with the SDK whose call failed

        if isinstance(cause, httpx2.TimeoutException) and not isinstance(cause, httpx2.ConnectTimeout):
            return self.error(ModelTimeout, f"sent nothing for {self._timeout_seconds:g} s")
        words = "" if cause is None else f"{type(cause).__name__}: {cause}".removesuffix(": ")
        if began:
            return self.error(AnswerTorn, "broke off its answer", words)
        error = self.error(ModelUnreachable, WHAT[ModelUnreachable], words)
        if isinstance(cause, (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.ProxyError)):
            error.usage = {}  # no request was sent
        return error


def _error_in(body: object) -> JsonValue:
    """Find the object that describes the error in the body of an error response; None if the body contains none."""
    if isinstance(body, list) and len(body) == 1:  # Gemini's endpoint
        body = body[0]
    inner = body.get("error") if isinstance(body, dict) else None
    found = inner if isinstance(inner, dict) else body
    return cast("JsonValue", found) if isinstance(found, (dict, list, str, int, float)) else None


__all__ = [
    "CALLS_AT_ONCE",
    "CONNECT_SECONDS",
    "LONGEST_NAME",
    "Clients",
    "Key",
    "Server",
    "called_name",
    "http_address",
    "kept_by_schema",
    "load",
    "plain_arguments",
    "schema_in_words",
    "shown_address",
    "sound_json",
]

"""The inspector's server: its routes, its event streams, and the program around them."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass
from functools import cache, partial
from importlib.resources import files
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final, Protocol
from urllib.parse import urlsplit

import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import Response, StreamingResponse

from graphengine.api.places import store_at
from graphengine.databases.addresses import shown
from graphengine.serve.callers import CallersStore
from graphengine.serve.callers_runner import CallersRunner
from graphengine.serve.guard import AccessMiddleware, PageAccess, SharedPageAccess
from graphengine.serve.inspector.streams import RunStream, list_events
from graphengine.serve.inspector.token import kept_token
from graphengine.serve.listening import HOST, Server, listen, listen_near, url_of
from graphengine.serve.messages import STREAM_HEADERS, json_answer
from graphengine.serve.read_documents import Drivable, Session
from graphengine.serve.reads.run_cache import RunCache
from graphengine.serve.reads.views import Views
from graphengine.serve.requests import StreamParameters, parameters_of
from graphengine.serve.router import Router
from graphengine.serve.routes import DOWNLOADS, DRIVES, FILES, READS, STREAM, WRITES

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
    from pathlib import Path

    from starlette.requests import Request

    from graphengine.kernel.store import RunInfo, Store
    from graphengine.serve.inspector.driving import Driver, Drives
    from graphengine.serve.inspector.live import LiveRun
    from graphengine.serve.users import Users
    from graphengine.wings import Table

_FILES: Final = {"app.js": "text/javascript", "app.css": "text/css", "index.html": "text/html"}
_LEVEL: Final = 6
"""The level of compression of answers, which is the default of `gzip`. Event streams are not compressed."""
PORT: Final = 8765
"""The default port. It is always the same, so that a saved link works after a restart."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of `graphengine inspect`.

    Attributes:
        database: The path of the database, or its address.
        reader: The database as a store that is only read, not yet opened.
        command: Returns a command line to paste, given a run or None, the command and its further words.
        version: The version of this package.
        port: The port; 0 for a free port; None for `PORT`, or the next free port if `PORT` is taken.
        host: The address to listen on.
        users: The users who can open the page, from any machine; None if everybody on this machine who has the token
            can.
        token_file: The file that keeps the token from one start to the next; None for a new token at each start.
        is_read_only: Whether runs cannot be answered, sent to, stopped or tagged. A read-only inspector does not drive
            runs either.
        drives: The graphs whose runs the page can start, resume and branch; None if there are none.
        busy_timeout_seconds: How long a write waits for another program's lock of a SQLite file.
        tables: Functions that return the tables of extensions for a tenant, or for callers who see all runs if the
            tenant is None.
    """

    database: Path | str
    reader: Store
    command: Callable[..., str]
    version: str
    port: int | None = 0
    host: str = HOST
    users: Users | None = None
    token_file: Path | None = None
    is_read_only: bool = False
    drives: Drives | None = None
    busy_timeout_seconds: float = 10.0
    tables: Sequence[Callable[[Store, str | None], Awaitable[Iterable[Table]]]] = ()


class Signals(Protocol):
    """The interface of an object that tells an inspector when it must end, for example because of Ctrl-C.

    `graphengine.cli.driving.Stopper` is such an object.
    """

    def opens(self) -> None:
        """Let a signal cancel the current asyncio task, because the database is still being opened."""

    def drives(self, stop: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Let a signal call `stop` from now on, because the server accepts requests."""


def serve(settings: Settings, opened: Callable[[str], object], signals: Signals) -> Sequence[RunInfo]:
    """Serve the inspector page until a signal such as Ctrl-C arrives.

    Returns:
        The runs that this process drove and that are not finished.

    Args:
        settings: The settings.
        opened: Called with the URL of the page as soon as requests are accepted.
        signals: Handles signals, and is informed about what a signal should stop.

    Raises:
        InputError: The port is taken.
        StoreError: The database cannot be read.
        CancelledError: A signal arrived while the database was being opened.
    """
    listening = listen(settings.port, settings.host) if settings.port is not None else listen_near(PORT, settings.host)
    port, users = listening.getsockname()[1], settings.users
    token = kept_token(settings.token_file) if users is None else "TOKEN"
    app = application(settings)
    access = PageAccess(port, token) if users is None else SharedPageAccess(port, users)
    guarded = AccessMiddleware(app, access)
    server = Server(
        uvicorn.Config(guarded, log_level="critical", lifespan="off", timeout_graceful_shutdown=1, ws="none")
    )

    async def stop() -> None:
        server.should_exit = True

    async def whole() -> None:
        signals.opens()
        try:
            await settings.reader.open()
            async with app.router.lifespan_context(app):
                signals.drives(stop)
                opened(f"{url_of(listening)}/#token={token}")  # the port is open, so early requests wait
                await server.serve([listening])
        finally:
            await settings.reader.close()

    with listening:  # closed even if the database cannot be read
        asyncio.run(whole())
    driver: Driver | None = app.state.driver
    return () if driver is None else driver.released


def application(settings: Settings) -> Starlette:
    """Return the ASGI application that answers the requests of the inspector page.

    The application does not check credentials: see `AccessMiddleware`.
    """
    store = settings.reader
    writer = partial(store_at, settings.database, busy_timeout_seconds=settings.busy_timeout_seconds)
    books = RunCache(store)
    driver = drivable = None
    if (drives := settings.drives) is not None:
        from graphengine.serve.inspector import driving  # noqa: PLC0415 - the page opens without this module

        driver = driving.Driver(drives, writer, store, books)
        drivable = Drivable(sorted(drives.graphs), [*drives.left_out])
    callers_store = CallersStore.of(store)
    about = Session(settings.version, shown(settings.database), settings.is_read_only, drivable)
    tables = [partial(each, store) for each in settings.tables]
    graphs = {} if driver is None else driver.fingerprints
    views = Views(callers_store, books, settings.command, about, tables, graphs, settings.users)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with driver.opened() if driver is not None else nullcontext():
            yield

    acting = partial(_acts, writer, callers_store) if driver is None else driver.acting
    stream = _build_events_endpoint(views, books, store, {} if driver is None else driver.live)
    own = SimpleNamespace(page=_serve_index, static=_static, provider=_provider(settings.users), events=stream)
    reads: list[Callable[[], object]] = [lambda: views, *([lambda: driver] if driver is not None else [])]
    rows = [*FILES, *READS, *DOWNLOADS, STREAM, *(() if settings.is_read_only else WRITES)]
    routes = Router(own, reads, acting).routes([*rows, *(DRIVES if driver is not None else ())])
    app = Starlette(routes=routes, lifespan=lifespan, middleware=[Middleware(GZipMiddleware, compresslevel=_LEVEL)])
    app.state.driver = driver
    return app


@asynccontextmanager
async def _acts(writer: Callable[[], Store], seen: Store, run_id: str | None) -> AsyncIterator[CallersRunner]:
    """Provide a Runner for a single request that changes a run, in an inspector that does not drive runs.

    A new Runner is opened for each request. The inspector therefore never holds the lease of a run, and does not
    migrate an old database before a person changes something.
    """
    from graphengine.api.runner import Runner  # noqa: PLC0415 - the page opens without it

    if run_id is not None:
        await seen.info(run_id)
    async with Runner(writer()) as runner:
        yield CallersRunner(runner, {}, through="page")


async def _serve_index(_: Request) -> Response:
    return _build_file_response("index.html")


def _provider(users: Users | None) -> Callable[[Request], Awaitable[Response]]:
    """Return the endpoint that tells the sign-in page whether and where users can sign in at an OpenID provider."""

    async def answer(_: Request) -> Response:
        found = None if users is None else users.signs_in
        return json_answer({"name": None if found is None else urlsplit(found.settings.issuer).netloc})

    return answer


async def _static(request: Request) -> Response:
    return _build_file_response(request.path_params["name"])


def _build_file_response(name: str) -> Response:
    """Answer with one of the page's files. Only known names are allowed, so that no path can leave the folder."""
    if name not in _FILES:
        return Response("not found", 404)
    return Response(_read_page_file(name), media_type=_FILES[name], headers={"Cache-Control": "no-cache"})


@cache
def _read_page_file(name: str) -> bytes:
    return (files("graphengine.serve.inspector") / "static" / name).read_bytes()


def _build_events_endpoint(
    views: Views, books: RunCache, store: Store, live: Mapping[str, LiveRun]
) -> Callable[[Request], Awaitable[Response]]:
    """Return the endpoint that streams changes to the page.

    A request with a `run_id` gets the changes of this run; a request without gets the changes of the list of runs.
    """

    async def answer(request: Request) -> Response:
        asked = parameters_of(request, StreamParameters, ignores_others=True)
        run_id, after = asked.run_id, asked.after
        after = request.headers.get("last-event-id") or after  # a browser that reconnects repeats the address as well
        if run_id is None:
            events = list_events(views, store)
        else:
            events = RunStream(views, books, store, live, run_id, after).events()
        return StreamingResponse(events, media_type="text/event-stream", headers=STREAM_HEADERS)

    return answer


__all__ = ["HOST", "PORT", "Settings", "application", "listen", "serve"]

"""The server: routes, streams of events, and the program around them."""

from __future__ import annotations

import asyncio
import signal
from contextlib import asynccontextmanager, nullcontext, suppress
from dataclasses import dataclass
from functools import cache, partial
from importlib.resources import files
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import uvicorn
from starlette.applications import Starlette
from starlette.responses import Response, StreamingResponse

from graphengine.api.places import store_at
from graphengine.databases.addresses import shown
from graphengine.kernel import GraphEngineError, status_of
from graphengine.serve.callers import CallersStore, caller
from graphengine.serve.callers_runner import CallersRunner
from graphengine.serve.guard import AccessMiddleware, PageAccess, SharedPageAccess
from graphengine.serve.inspector.feed import Feed
from graphengine.serve.inspector.token import kept_token
from graphengine.serve.listening import HOST, Server, listen, listen_near, url_of
from graphengine.serve.messages import HEARTBEAT, HEARTBEAT_SECONDS, STREAM_HEADERS, json_answer, stream_event
from graphengine.serve.read_documents import Drivable, Session
from graphengine.serve.reads.run_cache import RunCache
from graphengine.serve.reads.views import Views
from graphengine.serve.requests import StreamParameters, parameters_of
from graphengine.serve.router import Router
from graphengine.serve.routes import DOWNLOADS, DRIVES, FILES, READS, STREAM, WRITES

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from starlette.requests import Request

    from graphengine.kernel import RunInfo, Store
    from graphengine.serve.inspector.driving import Driver, Drives
    from graphengine.serve.inspector.live import LiveRun
    from graphengine.serve.users import Users
    from graphengine.wings import Table

_FILES: Final = {"app.js": "text/javascript", "app.css": "text/css", "index.html": "text/html"}
PORT: Final = 8765
"""Where the page is by default, so that a saved link leads to it after a restart."""
_LIST_SECONDS: Final = 0.2
_MOST_BEHIND: Final = 2000


@dataclass(frozen=True, slots=True)
class Settings:
    """What an inspector shows.

    Attributes:
        database: The path of the database, or its address.
        reader: The same as a store that is only read, not open yet.
        command: Returns a command line to paste, given a run or None, the command and its further words.
        version: This package's version.
        port: The port; 0 for a free one, None for `PORT` or, if that is taken, the next that is free.
        host: The address to listen on.
        users: Who can open it, from any machine; None for those who have the token, on this one.
        token_file: Where the token is kept from one start to the next; None for a new one at each start.
        is_read_only: Whether nothing can be answered, sent, stopped or tagged; it then drives nothing either.
        drives: The graphs whose runs the page can start, resume and branch; None for none.
        busy_timeout_seconds: How long a write waits for another program's lock of a SQLite file.
        tables: Return the tables that wings show to a tenant, or to those who see all if it is None.
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


class _Server(Server):
    """A server that ends without an error at Ctrl-C and SIGTERM; its handlers are there before the URL is printed."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        loop = asyncio.get_running_loop()
        with suppress(NotImplementedError, RuntimeError, ValueError):  # on Windows, and in other threads
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.add_signal_handler(number, self.handle_exit, number, None)


def serve(settings: Settings, opened: Callable[[str], object]) -> Sequence[RunInfo]:
    """Serve until interrupted; return the runs that were driven here, and released.

    Args:
        settings: What to serve.
        opened: Called with the URL once requests are accepted.

    Raises:
        InputError: The port is taken.
        StoreError: The database cannot be read.
    """
    listening = listen(settings.port, settings.host) if settings.port is not None else listen_near(PORT, settings.host)
    port, users = listening.getsockname()[1], settings.users
    token = kept_token(settings.token_file) if users is None else "TOKEN"
    app = application(settings)
    access = PageAccess(port, token) if users is None else SharedPageAccess(port, users)
    guarded = AccessMiddleware(app, access)
    config = uvicorn.Config(guarded, log_level="critical", lifespan="on", timeout_graceful_shutdown=1, ws="none")

    async def whole() -> None:
        await settings.reader.open()
        try:
            server = _Server(config)
            opened(f"{url_of(listening)}/#token={token}")  # the port is open: early requests wait
            await server.serve([listening])
        finally:
            await settings.reader.close()

    with listening:  # also if the database cannot be read
        asyncio.run(whole())
    driver: Driver | None = app.state.driver
    return () if driver is None else driver.released


def application(settings: Settings) -> Starlette:
    """Return the application, without its guard."""
    store = settings.reader
    writer = partial(store_at, settings.database, busy_timeout_seconds=settings.busy_timeout_seconds)
    books, feed = RunCache(store), Feed(store)
    driver = drivable = None
    if (drives := settings.drives) is not None:
        from graphengine.serve.inspector import driving  # noqa: PLC0415 - the page opens without it

        driver = driving.Driver(drives, writer, store, books, feed)
        drivable = Drivable(sorted(drives.graphs), [*drives.left_out])
    seen = CallersStore.of(store)
    about = Session(settings.version, shown(settings.database), settings.is_read_only, drivable)
    tables = [partial(each, store) for each in settings.tables]
    graphs = {} if driver is None else driver.fingerprints
    views = Views(seen, books, settings.command, about, tables, graphs, settings.users)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        watching = asyncio.create_task(feed.watch(), name="graphengine inspector feed")
        try:
            async with driver.opened() if driver is not None else nullcontext():
                yield
        finally:
            watching.cancel()
            with suppress(asyncio.CancelledError):
                await watching

    acting = partial(_acts, writer, seen) if driver is None else driver.acting
    stream = _events(views, books, feed, {} if driver is None else driver.live)
    own = SimpleNamespace(page=_page, static=_static, provider=_provider(settings.users), events=stream)
    reads: list[Callable[[], object]] = [lambda: views, *([lambda: driver] if driver is not None else [])]
    rows = [*FILES, *READS, *DOWNLOADS, STREAM, *(() if settings.is_read_only else WRITES)]
    routes = Router(own, reads, acting, _done).routes([*rows, *(DRIVES if driver is not None else ())])
    app = Starlette(routes=routes, lifespan=lifespan)
    app.state.driver = driver
    return app


@asynccontextmanager
async def _acts(writer: Callable[[], Store], seen: Store, run_id: str | None) -> AsyncIterator[CallersRunner]:
    """Provide what changes runs, opened for each change: the page holds no lease, and migrates nothing before."""
    from graphengine.api.runner import Runner  # noqa: PLC0415 - the page opens without it

    if run_id is not None:
        await seen.info(run_id)
    async with Runner(writer()) as runner:
        yield CallersRunner(runner, {}, through="page")


async def _done(run_id: str, _: int) -> Response:
    return json_answer({"id": run_id})


async def _page(_: Request) -> Response:
    return _file("index.html")


def _provider(users: Users | None) -> Callable[[Request], Awaitable[Response]]:
    """Return the endpoint with the name of the OpenID provider that signs users in, which the sign-in page shows."""

    async def answer(_: Request) -> Response:
        found = None if users is None else users.signs_in
        return json_answer({"name": None if found is None else urlsplit(found.settings.issuer).netloc})

    return answer


async def _static(request: Request) -> Response:
    return _file(request.path_params["name"])


@cache
def _file(name: str) -> Response:
    """Return one of the page's files: only these names exist, so no path leaves the folder."""
    if name not in _FILES:
        return Response("not found", 404)
    content = (files("graphengine.serve.inspector") / "static" / name).read_bytes()
    return Response(content, media_type=_FILES[name], headers={"Cache-Control": "no-cache"})


def _events(
    views: Views, books: RunCache, feed: Feed, live: Mapping[str, LiveRun]
) -> Callable[[Request], Awaitable[Response]]:
    """Return the endpoint of the streams: of one run with `id`, else of the list of runs."""

    async def answer(request: Request) -> Response:
        asked = parameters_of(request, StreamParameters, STREAM.names, ignores_others=True)
        run_id, after = asked.run_id, asked.after
        last = request.headers.get("last-event-id", "")
        after = max(after, int(last)) if last.isdecimal() and len(last) < len(str(1 << 32)) else after
        if run_id is not None and not caller().sees_all and not await views.store.infos([run_id]):
            run_id = ""  # which no run has
        now = _Now(feed, live, run_id or "")
        stream = _list_events(views, feed) if run_id is None else _run_events(views, books, now, after)
        return StreamingResponse(stream, media_type="text/event-stream", headers=STREAM_HEADERS)

    return answer


class _Now:
    """What a run does between two steps, for one stream: it sends each text once, in pieces."""

    def __init__(self, feed: Feed, live: Mapping[str, LiveRun], run_id: str) -> None:
        self.feed = feed
        self.run_id = run_id
        self._live = live
        self._sent: dict[int, int] = {}
        self._run: LiveRun | None = None
        self._was_shown = False

    def document(self) -> Mapping[str, Any] | None:
        """Return what is new; None if the run is not driven here."""
        run = self._live.get(self.run_id)
        if run is not self._run:
            self._run, self._sent = run, {}
        if run is None and not self._was_shown:
            return None
        self._was_shown = run is not None
        if run is None:
            return {"nodes": [], "texts": [], "trouble": None, "here": False}
        found = run.document(self._sent)
        self._sent = {each["number"]: each["at"] + len(each["text"]) for each in found["texts"]}
        return found


async def _list_events(views: Views, feed: Feed) -> AsyncIterator[bytes]:
    """Yield an event when a run changes; to a caller with a tenant, when one of theirs does."""
    yield stream_event({}, name="hello")
    shown: object = None
    with feed.listener(None) as listener:
        while True:
            if await listener.changed(HEARTBEAT_SECONDS):
                trouble = listener.trouble
                if not caller().sees_all and not trouble:
                    found = [
                        (info.id, info.seq, status_of(info), info.tags) for info in await views.store.runs(limit=200)
                    ]
                    if found == shown:
                        continue
                    shown = found
                yield stream_event(trouble or listener.version, name="trouble" if trouble else "changed")
                await asyncio.sleep(_LIST_SECONDS)
            else:
                yield HEARTBEAT


async def _run_events(views: Views, books: RunCache, now: _Now, after: int) -> AsyncIterator[bytes]:
    """Yield each step after a seq once, in order, and where the run is; a page far behind gets `reset` and reloads."""
    yield b"retry: 500\n\n"
    shown: object = None
    with now.feed.listener(now.run_id) as listener:
        while True:
            if not await listener.changed(HEARTBEAT_SECONDS):
                yield HEARTBEAT
                continue
            if listener.trouble or listener.info is None:
                yield stream_event(listener.trouble, name="trouble" if listener.trouble else "gone")
                continue
            info: RunInfo = listener.info
            try:
                book = await books.book(info)
                if info.seq - after > _MOST_BEHIND:
                    yield stream_event({}, name="reset", number=info.seq)
                    after = info.seq
                for row in book.rows[after : info.seq]:
                    yield stream_event(row, name="step", number=row.account.seq)
                after = max(after, info.seq)
                head = views.head(info, book, await views.store.inbox([info.id]))
                standing = (info, status_of(info), [*book.visits.snapshot.posted])
                if standing != shown:
                    shown = standing
                    yield stream_event(head, name="stands")
                if (fresh := now.document()) is not None:
                    yield stream_event(fresh, name="now")
            except GraphEngineError as error:
                yield stream_event(error.message, name="trouble")


__all__ = ["HOST", "PORT", "Settings", "application", "listen", "serve"]

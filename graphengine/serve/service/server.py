"""The program of `graphengine serve`: it opens a Runner, a worker in this process, and the server or MCP over stdio."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import uvicorn
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from graphengine.api.places import store_at
from graphengine.api.runner import Runner
from graphengine.errors import InputError
from graphengine.kernel.extension import Retention, is_tag
from graphengine.serve.approvers import Approvers
from graphengine.serve.guard import PAGES, AccessMiddleware, TokenAccess
from graphengine.serve.listening import HOST, Server, listen, url_of
from graphengine.serve.service.app import Service, cancelled
from graphengine.serve.service.doors import Opening, doors
from graphengine.serve.service.public import PublicAccess
from graphengine.wings.delivery import deliver
from graphengine.worker.worker import Worker

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Mapping, Sequence
    from concurrent.futures import Executor
    from pathlib import Path

    from starlette.routing import BaseRoute

    from graphengine.api.graph import Graph
    from graphengine.kernel.extension import Extension
    from graphengine.models.base import Model
    from graphengine.telemetry import Telemetry
    from graphengine.worker.worker import WorkerEvent

_DEFAULT_QUEUE: Final = "default"
"""The queue of runs that do not name a queue. The worker in this process takes runs from this queue."""

_GRACE_SECONDS: Final = 5


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of a service.

    Attributes:
        database: The path of the database, or its address.
        graphs: The graphs by name.
        access: The check of each request's token.
        version: The version of this package.
        queue: The queue for workers in other processes; None if this process drives the runs.
        host: The address to listen on.
        port: The port; 0 for a free port.
        concurrency: The maximum number of runs that this process drives at a time.
        poll_seconds: How long the worker waits before it looks again for runs that other processes made due.
        models: The models that replace agents' own.
        on_event: Called with each event of the worker.
        executors: The executors of heavy nodes.
        telemetry: Makes spans and metrics of the runs; None for no telemetry.
        extensions: Further objects that act in the runs.
        busy_timeout_seconds: How long to wait for another program's lock of a SQLite file.
        doors: The names of the doors that are open besides HTTP; see `doors`.
        a2a_root: The graph whose A2A agent represents the host; None if there is only one graph.
        live_text: Whether chat completions stream each piece of text at once, although it may be replaced later.
        pages: A folder with the files of a front end, which everybody may read; `access.has_pages` must be set too.
        retention: How long runs of graphs without their own `retention=` are kept, if this process drives the runs;
            None to keep them for ever.
    """

    database: Path | str
    graphs: Mapping[str, Graph[Any]]
    access: TokenAccess
    version: str
    queue: str | None = None
    host: str = HOST
    port: int = 0
    concurrency: int = 16
    poll_seconds: float = 1.0
    models: Mapping[str, Model | str] = field(default_factory=dict)
    on_event: Callable[[WorkerEvent], object] = lambda _: None
    executors: Mapping[str, Callable[[], Executor]] = field(default_factory=dict)
    telemetry: Telemetry | None = None
    extensions: Sequence[Extension] = ()
    busy_timeout_seconds: float = 10.0
    doors: Collection[str] = ()
    a2a_root: str | None = None
    live_text: bool = False
    pages: Path | None = None
    retention: Retention | None = field(default_factory=Retention)

    def __post_init__(self) -> None:
        if self.queue is not None and not is_tag(self.queue):
            repair = "use 1 to 100 printable characters, not only blanks"
            raise InputError(f"{self.queue!r} cannot be the name of a queue", where="--queue", repair=repair)

    @property
    def start_queue(self) -> str:
        """The queue in which runs are started, unless a request names another queue."""
        return _DEFAULT_QUEUE if self.queue is None else self.queue


class Serving:
    """The program of `graphengine serve`, which serves requests until it is stopped."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._service: Service | None = None
        self._worker: Worker | None = None
        self._server: Server | None = None

    async def stop(self) -> None:
        """Stop the service: refuse new requests, end the open streams, and release the driven runs.

        Nodes that are running finish first, and another process can then resume the runs.
        """
        if self._service is not None:
            self._service.stop()
        if self._server is not None:
            self._server.should_exit = True
        if self._worker is not None:
            self._worker.stop()

    async def run(self, opened: Callable[[Mapping[str, str]], object]) -> None:
        """Serve HTTP requests until `stop` is called.

        Runs that are driven here are released before this method returns.

        Args:
            opened: Called when requests are accepted, with the URL for each protocol, `http` first.

        Raises:
            InputError: The port is taken.
            StoreError: The database cannot be used.
        """
        settings = self._settings
        async with AsyncExitStack() as stack:
            listening = stack.enter_context(listen(settings.port, settings.host))
            service = await stack.enter_async_context(self._open_service())
            url = url_of(listening)
            urls, secret = {"http": url}, settings.access.token or str(settings.database)
            routes: list[BaseRoute] = []
            for door in doors():
                if door.name in settings.doors:
                    place = settings.access, settings.version, secret, stack, settings.a2a_root, settings.live_text
                    routes += await door.open(Opening(service, *place))
                    urls[door.name] = url + door.path
            if settings.pages is not None:
                routes.append(Mount(PAGES, StaticFiles(directory=settings.pages, html=True)))
                urls["pages"] = url + PAGES
            config = uvicorn.Config(
                AccessMiddleware(service.application(*routes), PublicAccess.of(settings.access, routes)),
                log_level="critical",
                lifespan="off",
                ws="none",
                server_header=False,
                proxy_headers=False,
                timeout_graceful_shutdown=_GRACE_SECONDS,
            )
            self._server = Server(config)
            opened(urls)
            await self._serve(self._server.serve([listening]))

    async def run_stdio(self, talk: Callable[[Service], Coroutine[Any, Any, None]]) -> None:
        """Serve one MCP client over stdin and stdout, until the client disconnects or `stop` is called.

        Args:
            talk: The function that exchanges messages with the client until the client disconnects.

        Raises:
            StoreError: The database cannot be used.
        """
        async with self._open_service() as service:
            talking = asyncio.create_task(talk(service), name="graphengine stdio")
            try:
                await self._serve(service.in_time(talking, None))
            finally:
                await cancelled(talking)

    @asynccontextmanager
    async def _open_service(self) -> AsyncIterator[Service]:
        settings, users = self._settings, self._settings.access.users
        unopened = Runner(
            store_at(settings.database, busy_timeout_seconds=settings.busy_timeout_seconds),
            models=settings.models,
            executors=settings.executors,
            telemetry=settings.telemetry,
            extensions=[*settings.extensions, *([Approvers(users)] if users is not None else ())],
        )
        async with unopened as runner, AsyncExitStack() as stack:
            await deliver(settings.extensions, runner, stack)
            if settings.queue is None:
                self._worker = Worker(
                    runner,
                    *settings.graphs.values(),
                    queues=(settings.start_queue,),
                    concurrency=settings.concurrency,
                    poll_seconds=settings.poll_seconds,
                    on_event=settings.on_event,
                    retention=settings.retention,
                )
            self._service = Service(
                runner,
                settings.graphs,
                queue=settings.start_queue,
                worker=self._worker,
                version=settings.version,
                takes_webhooks=settings.access.webhook_secret is not None,
            )
            yield self._service

    async def _serve(self, door: Coroutine[Any, Any, None]) -> None:
        """Serve requests and drive runs at the same time. When one of the two ends, the other is stopped, too."""
        tasks = [asyncio.create_task(door, name="graphengine serve")]
        if self._worker is not None:
            tasks.append(asyncio.create_task(self._worker.run(), name="graphengine serve worker"))
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await self.stop()
            await asyncio.gather(*tasks)


__all__ = ["Serving", "Settings"]

"""The program around the endpoints: the Runner, the worker in this process, and the server."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import uvicorn

from graphengine.api.places import store_at
from graphengine.api.runner import Runner
from graphengine.errors import InputError
from graphengine.graph.options import is_tag
from graphengine.serve.guard import AccessMiddleware, TokenAccess
from graphengine.serve.listening import HOST, Server, listen
from graphengine.serve.service.app import Service
from graphengine.worker.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from concurrent.futures import Executor
    from pathlib import Path
    from socket import socket

    from graphengine.api.graph import Graph
    from graphengine.models.base import Model
    from graphengine.telemetry import Telemetry
    from graphengine.worker.worker import WorkerEvent

_DEFAULT_QUEUE: Final = "default"
"""The queue of runs that name no other one, which the worker in this process takes from."""

_GRACE_SECONDS: Final = 5


@dataclass(frozen=True, slots=True)
class Settings:
    """What a service serves.

    Attributes:
        database: The path of the database, or its address.
        graphs: The graphs by name.
        access: Who can use it.
        version: This package's version.
        queue: The queue for workers elsewhere; None if this process drives the runs.
        host: The address to listen on.
        port: The port; 0 for a free one.
        concurrency: The most runs that this process drives at a time.
        poll_seconds: How long its worker waits before the next poll for runs that other processes made due.
        models: The models that replace agents' own.
        on_event: Called with each event of the worker.
        executors: The executors of heavy nodes.
        telemetry: Makes spans and metrics of the runs; none if not given.
        busy_timeout_seconds: How long it waits for another program's lock of a SQLite file.
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
    busy_timeout_seconds: float = 10.0

    def __post_init__(self) -> None:
        if self.queue is not None and not is_tag(self.queue):
            repair = "use 1 to 100 printable characters, not only blanks"
            raise InputError(f"{self.queue!r} cannot be the name of a queue", where="--queue", repair=repair)

    @property
    def start_queue(self) -> str:
        """The queue in which runs are started."""
        return _DEFAULT_QUEUE if self.queue is None else self.queue


class Serving:
    """A service that runs until it is stopped."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._parts: tuple[Service, Server, Worker | None] | None = None

    async def stop(self) -> None:
        """Accept no more requests, end streams, and release the runs after their nodes in flight."""
        if self._parts is not None:
            service, server, worker = self._parts
            service.stop()
            server.should_exit = True
            if worker is not None:
                worker.stop()

    async def run(self, opened: Callable[[str], object]) -> None:
        """Serve until `stop` is called; the runs that are driven here are released before this returns.

        Args:
            opened: Called with the URL once requests are accepted.

        Raises:
            InputError: The port is taken.
            StoreError: The database cannot be used.
        """
        settings = self._settings
        async with AsyncExitStack() as stack:
            listening = stack.enter_context(listen(settings.port, settings.host))
            given = Runner(
                store_at(settings.database, busy_timeout_seconds=settings.busy_timeout_seconds),
                models=settings.models,
                executors=settings.executors,
                telemetry=settings.telemetry,
            )
            runner = await stack.enter_async_context(given)
            worker = None
            if settings.queue is None:
                worker = Worker(
                    runner,
                    *settings.graphs.values(),
                    queues=(settings.start_queue,),
                    concurrency=settings.concurrency,
                    poll_seconds=settings.poll_seconds,
                    on_event=settings.on_event,
                )
            takes_webhooks = settings.access.webhook_key is not None
            service = Service(
                runner,
                settings.graphs,
                queue=settings.start_queue,
                worker=worker,
                version=settings.version,
                takes_webhooks=takes_webhooks,
            )
            config = uvicorn.Config(
                AccessMiddleware(service.application(), settings.access),
                log_level="critical",
                lifespan="off",
                ws="none",
                server_header=False,
                proxy_headers=False,
                timeout_graceful_shutdown=_GRACE_SECONDS,
            )
            self._parts = service, Server(config), worker
            address, port = listening.getsockname()[:2]
            opened(f"http://{f'[{address}]' if ':' in address else address}:{port}")
            await self._serve(self._parts[1], worker, listening)

    async def _serve(self, server: Server, worker: Worker | None, listening: socket) -> None:
        """Serve, and drive; the end of one ends the other."""
        tasks = [asyncio.create_task(server.serve([listening]), name="graphengine serve")]
        if worker is not None:
            tasks.append(asyncio.create_task(worker.run(), name="graphengine serve worker"))
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await self.stop()
            await asyncio.gather(*tasks)


__all__ = ["Serving", "Settings"]

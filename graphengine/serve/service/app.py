"""The endpoints of the HTTP service. A `Worker`, in this process or in another one, drives the runs.

Each endpoint is a row of the table in `serve.routes`. Endpoints that read are methods of `Views`; endpoints that change
a run are methods of `CallersRunner`.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import aclosing, asynccontextmanager, suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, TypeVar

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import Response, StreamingResponse

from graphengine.errors import GraphEngineError, InputError, StoreError
from graphengine.kernel.extension import RunEnded, StatusChanged, StepRecorded, did_you_mean
from graphengine.kernel.reader import OVER
from graphengine.records.base_documents import Trouble, refusal_of
from graphengine.records.event_json import line_of
from graphengine.records.step_document import for_clients
from graphengine.serve.callers import CallersStore
from graphengine.serve.callers_runner import CallersRunner
from graphengine.serve.connections import until_gone
from graphengine.serve.health import Health, health_of
from graphengine.serve.messages import (
    HEARTBEAT,
    HEARTBEAT_SECONDS,
    STREAM_HEADERS,
    RequestInvalid,
    json_answer,
    refused,
    shown_error,
    stream_event,
)
from graphengine.serve.requests import (
    EventParameters,
    ListParameters,
    RunParameters,
    ServiceFailed,
    ValueParameters,
    parameters_of,
)
from graphengine.serve.router import FAILED, Router
from graphengine.serve.routes import API
from graphengine.serve.service.following import Rests
from graphengine.serve.service.openapi import description

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Mapping

    from starlette.requests import Request
    from starlette.routing import BaseRoute

    from graphengine.api.graph import Graph
    from graphengine.api.runner import Runner
    from graphengine.kernel.extension import Event
    from graphengine.kernel.store import RunInfo
    from graphengine.serve.callers import Right
    from graphengine.serve.reads.views import Views
    from graphengine.worker.worker import Worker

    T = TypeVar("T")

_LOG: Final = logging.getLogger("graphengine")
_MOST_GATHERED: Final = 64
"""The number of events that are read ahead of a client that reads slowly."""
_LAST: Final = ".ended"


class Service:
    """The HTTP service: its endpoints, and the operations on runs that other protocols use.

    The part of the service that speaks another protocol, such as A2A or MCP, is called a *door*. The doors call the
    methods without a `Request` parameter. These methods check the rights of the current caller, and find only the runs
    that the caller may see: see `graphengine.serve.callers`.

    Attributes:
        runner: A Runner that is limited to the rights of the current caller.
        graphs: The graphs whose runs are served, by name. Other runs of the database are not served.
        rests: A cache of the snapshots of runs that were shown last and that wait or have ended.
        unguarded: The Runner without limits, for the service's own work.

    Args:
        runner: An open Runner.
        graphs: The graphs whose runs are served, by name.
        queue: The queue in which runs are started, unless a request names another queue.
        worker: The worker that drives the runs of this queue in this process; None if other processes drive them.
        version: The version of this package.
        takes_webhooks: Whether requests may have a signature instead of a token.
    """

    def __init__(  # noqa: PLR0913 - what a service is made of
        self,
        runner: Runner,
        graphs: Mapping[str, Graph[Any]],
        *,
        queue: str,
        worker: Worker | None,
        version: str,
        takes_webhooks: bool,
    ) -> None:
        self.runner = CallersRunner(
            runner, graphs, drives=worker is not None, sees=graphs, look=self.wake_worker, queue=queue
        )
        self.rests = Rests()
        self.graphs = graphs
        self.unguarded = runner
        self._worker = worker
        self._version = version
        self._stopping = asyncio.Event()
        self._openapi = description(graphs, version, takes_webhooks=takes_webhooks)

    def stop(self) -> None:
        """End the open streams and the waiting requests, because the server shuts down."""
        self._stopping.set()

    @property
    def is_stopping(self) -> bool:
        """Whether `stop` was called."""
        return self._stopping.is_set()

    def application(self, *doors: BaseRoute) -> Starlette:
        """Return the ASGI application that answers the requests to the service.

        The application does not check credentials: see `AccessMiddleware`.

        Args:
            doors: The routes of the other protocols that the service speaks.
        """
        router = Router(self, [lambda: self._views], self._provide_runner)
        return Starlette(routes=[*doors, *router.routes(API)], exception_handlers={HTTPException: _no_endpoint})

    @asynccontextmanager
    async def _provide_runner(self, run_id: str | None) -> AsyncIterator[CallersRunner]:
        del run_id
        yield self.runner

    @cached_property
    def _views(self) -> Views:
        from graphengine.serve.read_documents import Session  # noqa: PLC0415 - a start needs none of these
        from graphengine.serve.reads.run_cache import RunCache  # noqa: PLC0415
        from graphengine.serve.reads.views import Views  # noqa: PLC0415

        store = self.unguarded.store
        about = Session(self._version, "", read_only=False, drives=None)
        return Views(CallersStore.of(store, self.graphs), RunCache(store), None, about)

    async def health(self, request: Request) -> Response:
        """Answer a health check.

        Health checks need no token, so the answer contains no names of runs.
        """
        del request
        health = Health("working", None)
        if self._worker is not None:
            health = health_of(self._worker)
        else:
            try:
                await self.unguarded.runs(limit=1)
            except StoreError as failed:
                health = Health("failing", failed.code)
        return json_answer(health, health.http_status)

    async def openapi(self, request: Request) -> Response:
        """Answer with the OpenAPI description of the service. The caller needs a token, but no particular right."""
        del request
        return json_answer(self._openapi)

    def graph_of(self, name: str) -> Graph[Any]:
        """Return a graph that the service serves.

        Raises:
            GraphNotFound: The service does not serve a graph with this name.
        """
        return self.runner.graph_of(name)

    async def begin(
        self,
        graph: Graph[Any],
        state: Mapping[str, Any],
        run_id: str | None,
        **place: Any,  # noqa: ANN401 - options of `CallersRunner.begin`
    ) -> tuple[str, bool]:
        """Start a run for the caller, or find the run that an earlier copy of the same request started.

        See `CallersRunner.begin`.
        """
        return await self.runner.begin(graph, state, run_id, **place)

    def wake_worker(self) -> None:
        """Let this process look at once for runs that it can drive, instead of waiting for its next regular search.

        This has an effect only if the process has a worker.

        If this process drives a run, clients also get the live events of the run.
        """
        if self._worker is not None:
            self._worker.look_now()

    async def list_runs(self, request: Request) -> Response:
        """Answer with a page of the list of runs. Only runs of the graphs that this service serves are listed."""
        asked = parameters_of(request, ListParameters)
        if asked.graph is not None and asked.graph not in self.graphs:
            near = did_you_mean(asked.graph, self.graphs)
            raise InputError(f"this service has no graph {asked.graph!r}", where="parameter graph", repair=near)
        return json_answer(await self._views.list_runs(asked))

    async def get_run(self, request: Request) -> Response:
        """Answer with the document of a run.

        With the parameter `wait`, answer when the run has ended or waits, or when the time is over.
        """
        query = parameters_of(request, RunParameters)
        info = await self._info(request)
        seconds, after = query.wait, info.seq_in(query.after)
        if seconds and not (info.seq > after and info.status in (*OVER, "waiting")):
            following = asyncio.create_task(self._wait_until_settled(info, after))
            try:
                await self.in_time(following, seconds)
            finally:
                await cancelled(following)
            return await self._now(info.id)
        return await self._now(info)

    async def published(self, request: Request) -> Response:
        """Answer with the newest value that a run has published. With the parameter `wait`, wait for a newer value."""
        query = parameters_of(request, ValueParameters)
        info = await self._info(request)
        reading = asyncio.create_task(
            self.runner.published(info, query.name, after=query.after, item=query.item, timeout_seconds=query.wait)
        )
        try:
            await self.in_time(reading, None)
            found = reading.result() if reading.done() else None
        finally:
            await cancelled(reading)
        return Response(status_code=204) if found is None else json_answer(for_clients(found))

    async def events(self, request: Request) -> Response:
        """Answer with a stream of the events of a run, after the last event that the client already has."""
        query = parameters_of(request, EventParameters)
        info = await self._info(request)
        last = request.headers.get("last-event-id")
        if last is None:
            after = info.seq_in(query.after)
        else:
            try:
                after = info.seq_in(last.removesuffix(_LAST))
            except InputError as error:
                repair = "send the id of the last event that was received"
                raise InputError(f"{last!r} is not an event id", where="header Last-Event-ID", repair=repair) from error
            if last.endswith(_LAST) and after == info.seq and info.status in OVER:
                return Response(status_code=204)  # a browser does not connect again after this status
        return self.stream(self._documents(info, after), info.id, _encode_trouble)

    async def _info(self, request: Request) -> RunInfo:
        """Return the row in the store of the run that the path of a request names."""
        return await self.info_of(request.path_params["run_id"])

    async def info_of(self, run_id: str, right: Right = "read") -> RunInfo:
        """Return a run's entry in the store, after checking that the caller has a right and may see the run.

        Args:
            run_id: The id of the run, or its identity (`RunInfo.identity`), which also contains the run's nonce. An
                identity does not match a later run with the same id.
            right: The right that the caller needs.

        Raises:
            NotAllowed: The caller does not have the right.
            UnknownRun: The run does not exist, or the caller cannot see it.
            RunReplaced: The identity belongs to an earlier run with the same id.
        """
        own_id, _, nonce = run_id.partition(" ")
        info = await self.runner.info(own_id, right)
        info.check_nonce(nonce, "the id in this request")
        return info

    async def _now(self, run: str | RunInfo) -> Response:
        """Answer with the current document of a run. If `run` is a row, it must have been read just before."""
        return json_answer(for_clients(await self.runner.now(run)))

    async def _wait_until_settled(self, info: RunInfo, after: int) -> None:
        """Wait until a run has ended or waits, and has recorded a step after the one with the number `after`."""
        last = info.seq
        events = self.runner.watch(info, after=last, live=False)
        async with aclosing(events):
            async for event in events:
                if isinstance(event, StepRecorded):
                    last = event.seq
                waits = isinstance(event, StatusChanged) and event.status == "waiting" and last > after
                if waits or isinstance(event, RunEnded):
                    return

    async def in_time(self, work: asyncio.Task[Any], seconds: float | None) -> None:
        """Wait until a task has ended, but at most some seconds.

        The wait also ends when the client disconnects or the service stops. If the task has failed, its error is
        raised. A task that has not ended is not cancelled.

        Args:
            work: The task.
            seconds: The maximum time; None for no limit.
        """
        stopped = asyncio.create_task(self.stopped())
        try:
            await asyncio.wait((work, stopped), timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                work.result()
        finally:
            await cancelled(stopped)

    async def stopped(self) -> None:
        """Wait until either the service begins to stop, or the client of the current request disconnects."""
        tasks = [asyncio.create_task(each) for each in (self._stopping.wait(), until_gone())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()

    async def _documents(self, info: RunInfo, after: int) -> AsyncGenerator[bytes, None]:
        """Yield the events of a run, encoded as server-sent events, until the run has ended."""
        yield b"retry: 1000\n\n"
        async with aclosing(self.runner.watch(info, after=after)) as events:
            async for event in events:
                yield stream_event(for_clients(line_of(event, info)), number=_read_event_id(event, info))

    def stream(
        self,
        events: AsyncGenerator[bytes, None],
        run_id: str,
        trouble: Callable[[GraphEngineError], bytes],
        headers: Mapping[str, str] = STREAM_HEADERS,
        *,
        says_stop: bool = False,
    ) -> Response:
        """Return an answer that streams server-sent events, with heartbeats while there are none.

        The stream ends with the events, or when the service stops. If an error ends it, the error is the last event.

        Args:
            events: The events.
            run_id: The id of the run, for the log.
            trouble: Converts the error that ended the stream to its last event.
            headers: Headers of the answer.
            says_stop: Whether a stop of the service is sent as an error, too. Otherwise the stream just ends.
        """

        async def sent() -> AsyncGenerator[bytes, None]:
            try:
                async with aclosing(self._gather_events(events)) as gathered:
                    async for each in gathered:
                        yield each
            except GraphEngineError as error:
                if says_stop or not self.is_stopping:
                    yield trouble(shown_error(error))
            except Exception:  # noqa: BLE001 - as for a request; the server's own log is off
                _LOG.exception("the stream of run %s failed", run_id)
                yield trouble(ServiceFailed(FAILED, where=f"run {run_id!r}"))

        return StreamingResponse(sent(), media_type="text/event-stream", headers=headers)

    async def unless_stopped(self, work: Coroutine[Any, Any, T]) -> T:
        """Wait for the result of a coroutine, and cancel the coroutine if the service stops or the client disconnects.

        Raises:
            ServiceFailed: The service stops, or the client has disconnected.
        """
        working = asyncio.create_task(work)
        try:
            await self.in_time(working, None)
            if not working.done():
                raise _build_stop_error()
            return working.result()
        finally:
            await cancelled(working)

    async def until_stopped(self, events: AsyncGenerator[T, None]) -> AsyncGenerator[T, None]:
        """Yield the events of a generator, until the service stops or the client of the current request disconnects.

        Raises:
            ServiceFailed: The service stops, or the client has disconnected.
        """
        stopped, following = asyncio.create_task(self.stopped()), asyncio.create_task(_await_next_event(events))
        try:
            while True:
                await asyncio.wait((following, stopped), return_when=asyncio.FIRST_COMPLETED)
                if stopped.done():
                    raise _build_stop_error()
                event = following.result()
                if event is None:
                    return
                yield event
                # Ask for the next event only now: until here the reader uses the last event, such as the snapshot of a
                # run.
                following = asyncio.create_task(_await_next_event(events))
        finally:
            await cancelled(following, stopped)
            await events.aclose()

    async def _gather_events(self, events: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
        """Collect the encoded events of a stream, and yield them in larger pieces.

        All events that have arrived since the last piece are sent as one piece, because each piece is a separate chunk
        of the HTTP answer. While there are no events, a heartbeat is yielded every few seconds.

        Raises:
            ServiceFailed: The service stops.
        """
        found, news, room = list[bytes](), asyncio.Event(), asyncio.Event()

        async def gather() -> None:
            async for event in events:
                found.append(event)
                news.set()
                if len(found) >= _MOST_GATHERED:  # the client reads slowly
                    room.clear()
                    await room.wait()

        gathering, stopped = asyncio.create_task(gather()), asyncio.create_task(self.stopped())
        for each in (gathering, stopped):
            each.add_done_callback(lambda _: news.set())
        try:
            while True:
                with suppress(TimeoutError):
                    async with asyncio.timeout(HEARTBEAT_SECONDS):
                        await news.wait()
                if stopped.done():
                    raise _build_stop_error()
                if gathering.done():
                    if not found:
                        gathering.result()
                        return
                else:
                    news.clear()
                piece = b"".join(found) or HEARTBEAT
                found.clear()
                room.set()
                yield piece
        finally:
            await cancelled(gathering, stopped)
            await events.aclose()


def _encode_trouble(error: GraphEngineError) -> bytes:
    return stream_event(Trouble(error=refusal_of(error)))


def _build_stop_error() -> ServiceFailed:
    message = "the service is being stopped, and did not finish this request"
    return ServiceFailed(message, where="the service", repair="send the same request again")


async def _await_next_event(events: AsyncGenerator[T, None]) -> T | None:
    return await anext(events, None)


def _read_event_id(event: Event, info: RunInfo) -> str | None:
    """Return the id from which a client continues after this event; None for a live event, which is not recorded."""
    if isinstance(event, StepRecorded):
        return info.cursor_at(event.seq)
    return f"{info.cursor_at(event.result.seq)}{_LAST}" if isinstance(event, RunEnded) else None


async def cancelled(*tasks: asyncio.Task[Any]) -> None:
    """Cancel tasks, and wait until they have ended."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _no_endpoint(request: Request, error: Exception) -> Response:
    """Answer a request whose path does not exist, or whose path does not allow the method, with an error."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    what = f"the method {request.method} is not allowed" if status == 405 else "there is nothing"  # noqa: PLR2004
    message, repair = f"{what} at {request.url.path}", "GET /openapi.json lists the endpoints"
    answer = refused(RequestInvalid(message, status=status, where=request.url.path, repair=repair))
    answer.headers.update(getattr(error, "headers", None) or {})  # 405: the methods that are allowed
    return answer


__all__ = ["Service", "cancelled"]

"""The AG-UI door: a front end starts a run, follows it, answers it, and comes back to it (`serve --ag-ui`).

A thread is one run of the engine, `GRAPH@THREAD`, and nothing else is kept. The first request of a thread starts the
run with the request's `state`; each later one follows the same run, whatever `runId` and `state` it has:

1. A page starts a run, and is reloaded, or the server dies.
2. It sends the thread again, to any process: recorded steps are shown again, and then what happens.

A question ends the stream with an interrupt; `resume` answers it. Pieces of text, reasoning and tool calls are live:
they come from the process that drives the run. Else the text of a turn is shown whole once it is recorded. A turn that
was not recorded when its process died is asked again.
"""

from __future__ import annotations

import asyncio
import logging
import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from ag_ui import core
from pydantic import ValidationError
from pydantic_core import to_jsonable_python
from starlette.responses import Response, StreamingResponse

from graphengine.agents.live_events import AnswerReset, TextDelta, ThinkingDelta, ToolCalled, ToolReturned
from graphengine.engine.steps import Recorded
from graphengine.errors import AnsweredAlready, GraphEngineError, GraphNotFound, InputError, UnknownRun
from graphengine.history.load import load_snapshot, wait_of
from graphengine.records.event_json import event_document
from graphengine.records.json_document import run_now_document
from graphengine.records.step_document import plain
from graphengine.runner.run_events import Emitted, LiveEvent, NodeBegan, RunEnded, StatusChanged, StepRecorded
from graphengine.serve.messages import HEARTBEAT, HEARTBEAT_SECONDS, STREAM_HEADERS, stream_event
from graphengine.serve.service.app import FAILED, cancelled
from graphengine.serve.service.requests import json_body
from graphengine.state.path import did_you_mean

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping

    from starlette.requests import Request

    from graphengine.history.load import Wait
    from graphengine.runner.result import Result
    from graphengine.runner.run_events import Event
    from graphengine.serve.service.app import Service
    from graphengine.stores.base import RunInfo

PATH: Final = "/agui"

_LOG: Final = logging.getLogger("graphengine")
_BLANKS: Final = re.compile(r"\s+")


class AgUiDoor:
    """The endpoint of AG-UI.

    Args:
        service: What starts, follows and answers runs.
    """

    def __init__(self, service: Service) -> None:
        self._service = service

    async def run(self, request: Request) -> Response:
        """Start, answer or follow the run of a thread."""
        service, name = self._service, request.path_params["graph"]
        graph = service.graphs.get(name)
        if graph is None:
            near = did_you_mean(name, service.graphs)
            raise GraphNotFound(f"this service has no graph {name!r}", where=request.url.path, repair=near)
        try:
            given = core.RunAgentInput.model_validate(await json_body(request))
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"])) or "body"
            raise InputError(first["msg"], where=where, repair="send a RunAgentInput of AG-UI 1.0") from error
        run_id = f"{_BLANKS.sub('-', name)}@{given.thread_id}"
        after = 0
        try:
            info = await service.info_of(run_id)
            after = info.seq if given.resume else 0
        except UnknownRun:
            if given.resume:
                raise
            await service.begin(graph, given.state or {}, run_id)
            info = await service.info_of(run_id)
        await self._answer(info, given.resume or [])
        answered = {each.interrupt_id for each in given.resume or []}
        stream = self._stream(self._events(given, info, after, answered), run_id)
        return StreamingResponse(stream, media_type="text/event-stream", headers=STREAM_HEADERS)

    async def _waits(self, run_id: str) -> Mapping[str, Wait]:
        """Return the waits of a run that an answer ends, by id."""
        snapshot = await load_snapshot(self._service.runner.store, run_id, None)
        found = {w.id: wait_of(name, w) for frame in snapshot.frames.values() for name, w in frame.waits.items()}
        return {key: wait for key, wait in found.items() if wait.answerable}

    async def _answer(self, info: RunInfo, entries: list[core.ResumeEntry]) -> None:
        """Record answers, or stop the run; those that were answered before are skipped."""
        waits = await self._waits(info.id) if entries else {}
        for entry in entries:
            wait = waits.get(entry.interrupt_id)
            if wait is None:
                continue
            if entry.status == "cancelled":
                await self._service.runner.stop(info.id, f"{wait.name} was cancelled")
                return
            with suppress(AnsweredAlready):
                await self._service.runner.answer(info.id, entry.payload, question=wait.name)

    async def _events(
        self, given: core.RunAgentInput, info: RunInfo, after: int, answered: set[str]
    ) -> AsyncGenerator[core.BaseEvent, None]:
        """Yield the events of AG-UI until the run is over, or waits for an answer."""
        place: dict[str, Any] = {"thread_id": given.thread_id, "run_id": given.run_id}
        service, steps, texts = self._service, dict[str, None](), _Texts()
        yield core.RunStartedEvent(**place, protocol_version=core.PROTOCOL_VERSION)
        yield await self._state(info, None)
        events = service.runner.watch(info.id, service.graphs[info.graph], after=after)
        try:
            async for event in events:
                for each in _stepped(event, steps):
                    yield each
                for each in texts.of(event):
                    yield each
                if isinstance(event, StepRecorded) and event.seq > info.seq:
                    yield await self._state(info, event.seq)
                if isinstance(event, LiveEvent | Emitted) and not isinstance(event, TextDelta):
                    yield _live(event, info)
                if isinstance(event, RunEnded) or (isinstance(event, StatusChanged) and event.status == "waiting"):
                    result = event.result if isinstance(event, RunEnded) else None
                    waits = {} if result is not None else await self._waits(info.id)
                    if result is None and not waits.keys() - answered:
                        continue  # it waits for something else, or takes the answer soon
                    for name in steps:
                        yield core.StepFinishedEvent(step_name=name)
                    yield _ended(place, result, waits)
                    return
        finally:
            await events.aclose()

    async def _state(self, info: RunInfo, seq: int | None) -> core.BaseEvent:
        snapshot = await load_snapshot(self._service.runner.store, info.id, seq)
        return core.StateSnapshotEvent(snapshot=plain(run_now_document(info, snapshot).state))

    async def _stream(self, events: AsyncGenerator[core.BaseEvent, None], run_id: str) -> AsyncIterator[bytes]:
        """Yield events as server-sent ones, with heartbeats, until they end or the service stops."""
        stopped = asyncio.create_task(self._service.stopped())
        following = asyncio.create_task(_next(events))
        try:
            while not stopped.done():
                tasks = following, stopped
                await asyncio.wait(tasks, timeout=HEARTBEAT_SECONDS, return_when=asyncio.FIRST_COMPLETED)
                if not following.done():
                    yield HEARTBEAT
                    continue
                event = following.result()
                if event is None:
                    return
                following = asyncio.create_task(_next(events))
                yield _encoded(event)
        except GraphEngineError as error:
            yield _encoded(core.RunErrorEvent(message=f"{error}", code=error.code))
        except Exception:  # noqa: BLE001 - as of a request; the server's own log is off
            _LOG.exception("the stream of run %s failed", run_id)
            yield _encoded(core.RunErrorEvent(message=FAILED, code="service_failed"))
        finally:
            await cancelled(following, stopped)
            await events.aclose()


async def _next(events: AsyncGenerator[core.BaseEvent, None]) -> core.BaseEvent | None:
    return await anext(events, None)


def _encoded(event: core.BaseEvent) -> bytes:
    return stream_event(event.model_dump(mode="json", by_alias=True))


def _live(event: LiveEvent | Emitted, info: RunInfo) -> core.BaseEvent:
    """Return a live event. Chunks are what clients expand to the start, pieces and end of a message."""
    if isinstance(event, ThinkingDelta):
        key = f"{event.call}:{event.turn}:thinking"
        return core.ReasoningMessageChunkEvent(message_id=key, delta=event.text)
    if isinstance(event, ToolCalled):
        return core.ToolCallChunkEvent(tool_call_id=event.id, tool_call_name=event.tool, delta=event.arguments)
    if isinstance(event, ToolReturned):
        return core.ToolCallResultEvent(message_id=f"{event.id}:result", tool_call_id=event.id, content=event.text)
    return core.CustomEvent(name=event.event, value=plain(event_document(event, info)))


class _Texts:
    """The texts of agents: live pieces, or the recorded text of a turn whose pieces were not seen here."""

    def __init__(self) -> None:
        self._shown: set[str] = set()
        self._resets: dict[str, int] = {}

    def of(self, event: Event) -> Iterator[core.BaseEvent]:
        """Yield the piece that an event has."""
        if isinstance(event, AnswerReset):
            turn = f"{event.call}:{event.turn}"
            self._resets[turn] = self._resets.get(turn, 0) + 1  # what comes now is another message
        elif isinstance(event, TextDelta):
            turn = f"{event.call}:{event.turn}"
            key = f"{turn}:{self._resets.get(turn, 0)}"
            self._shown.add(key)
            yield core.TextMessageChunkEvent(message_id=key, role="assistant", delta=event.text)
        elif isinstance(event, StepRecorded) and isinstance(done := event.step.data, Recorded) and done.name == "turn":
            call, _, rest = done.key.rpartition("/turn|")
            turn = f"{call}:{rest.partition('|')[0]}"
            key, text = f"{turn}:{self._resets.get(turn, 0)}", done.value
            text = text.get("text") if isinstance(text, dict) else None
            if key not in self._shown and isinstance(text, str) and text:
                yield core.TextMessageChunkEvent(message_id=key, role="assistant", delta=text)


def _stepped(event: Event, steps: dict[str, None]) -> Iterator[core.BaseEvent]:
    """Yield that a node began or ended; `steps` has those that began. One that another process drives begins late."""
    if isinstance(event, NodeBegan | StepRecorded):
        node = event if isinstance(event, NodeBegan) else event.step
        name = f"{node.path}#{node.visit}"
        if node.node and name not in steps:
            steps[name] = None
            yield core.StepStartedEvent(step_name=name)
        if node.node and isinstance(event, StepRecorded):
            del steps[name]
            yield core.StepFinishedEvent(step_name=name)


def _ended(place: dict[str, Any], result: Result[Any] | None, waits: Mapping[str, Wait]) -> core.BaseEvent:
    """Return the last event: the result, the failure, or what is asked."""
    if result is None:
        asked = [
            core.Interrupt(id=key, reason=wait.kind, message=wait.question, response_schema=dict(wait.schema or {}))
            for key, wait in waits.items()
        ]
        return core.RunFinishedEvent(**place, outcome=core.RunFinishedInterruptOutcome(interrupts=asked))
    if result.status == "failed":
        message = result.error.message if result.error is not None else result.status
        code = result.error.kind if result.error is not None else result.status
        return core.RunErrorEvent(message=f"{message}; {result.repair}" if result.repair else message, code=code)
    if result.status == "stopped":
        return core.RunFinishedEvent(**place, outcome=core.RunFinishedCancelledOutcome())
    output = to_jsonable_python(result.output, by_alias=False, fallback=str)
    return core.RunFinishedEvent(**place, result=output, outcome=core.RunFinishedSuccessOutcome())


__all__ = ["PATH", "AgUiDoor"]

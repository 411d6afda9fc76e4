"""The AG-UI door: a front end starts a run, follows it, answers its questions, and can reconnect (`serve --ag-ui`).

A thread is one run; see `graphengine.serve.service.front_end`. The first request of a thread starts the run with the
request's `state`. Each later request follows the same run, whatever `runId` and `state` it contains. `messages` are the
messages that the front end already has, so the answer contains only the rest. The newest message of a person is the
next message of a chat:

1. A page starts a run. Then the page is reloaded, or the server dies.
2. The page sends the thread again, possibly to another process, with the messages that it still has. The page gets the
   missing events, and then the new events.

A question ends the stream with an interrupt, which `resume` answers. The call of a tool that another program executes
ends the stream as a call without a result. The front end executes the call, and its next request contains the result as
a message.
"""

from __future__ import annotations

from collections import Counter
from contextlib import aclosing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from ag_ui import core
from pydantic import ValidationError
from starlette.routing import Route

from graphengine.errors import InputError
from graphengine.serve.messages import stream_event
from graphengine.serve.requests import json_body
from graphengine.serve.router import answering
from graphengine.serve.service.front_end import Thread, check_text
from graphengine.serve.service.shown import (
    Asked,
    Called,
    Dropped,
    Ended,
    Have,
    Returned,
    Said,
    Shown,
    State,
    Text,
    Unanswered,
    Visited,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence

    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute

    from graphengine.errors import GraphEngineError
    from graphengine.serve.service.app import Service
    from graphengine.serve.service.doors import Opening
    from graphengine.serve.service.shown import FrontEvent, Question

PATH: Final = "/agui"

_RESULT: Final = ":result"


async def routes(opening: Opening) -> Sequence[BaseRoute]:
    return [Route(f"{PATH}/{{graph}}", answering(AgUiDoor(opening.service).run), methods=["POST"])]


class AgUiDoor:
    """Speaks the AG-UI protocol, with which front ends show runs. Each graph of the service has an endpoint.

    Args:
        service: The service that starts, follows and answers runs.
    """

    def __init__(self, service: Service) -> None:
        self._service = service

    async def run(self, request: Request) -> Response:
        """Answer a request of a front end, by streaming the events of the run that belongs to its thread.

        Before that, the run is started, gets a message, or gets answers to its questions, as the request demands.
        """
        thread_of = request.path_params["graph"]
        try:
            run_input = core.RunAgentInput.model_validate(await json_body(request))
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"])) or "body"
            raise InputError(first["msg"], where=where, repair="send a RunAgentInput of AG-UI 1.0") from error
        if not isinstance(run_input.state or {}, dict):
            raise InputError("the state is not a JSON object", where="state", repair="send the fields of the input")
        thread = Thread(self._service, thread_of, run_input.thread_id)
        if run_input.resume:
            after = await self._answer(thread, run_input.resume)
        elif await thread.results(_collect_tool_results(run_input.messages)):
            after = 0
        else:
            after = await thread.begin(_find_newest_said(run_input.messages), run_input.state or {})
        return self._service.stream(_stream_ag_ui_events(run_input, thread, after), thread.run_id, _encode_run_error)

    async def _answer(self, thread: Thread, entries: Sequence[core.ResumeEntry]) -> int:
        """Handle the answers in a request: record them, or stop the run if the person cancelled a question.

        Returns:
            The number of the run's last step before the answers. The front end has not seen any later events.

        Raises:
            InputError: An id is sent twice, or is not the id of a question of this thread. Nothing was recorded in this
                case.
        """
        info = await thread.existing()
        ids = Counter(each.interrupt_id for each in entries)
        for twice in (each for each, number in ids.items() if number > 1):
            repair = "send one answer to each interrupt, which is either resolved or cancelled"
            raise InputError(f"the interrupt {twice!r} is answered twice", where="resume", repair=repair)
        await thread.check_asked(ids)
        cancelled = [each.interrupt_id for each in entries if each.status == "cancelled"]
        await thread.answer({each.interrupt_id: each.payload for each in entries if each.status == "resolved"})
        if cancelled:
            await thread.cancel(cancelled)
        return info.seq


async def _stream_ag_ui_events(given: core.RunAgentInput, thread: Thread, after: int) -> AsyncGenerator[bytes, None]:
    """Yield the AG-UI events of a run, encoded as server-sent events, until it has ended or waits for a person."""
    writer = _AgUiWriter(given)
    yield _encode_event(core.RunStartedEvent(**writer.place, protocol_version=core.PROTOCOL_VERSION))
    async with aclosing(thread.events(after, _find_shown(given.messages))) as events:
        async for event in events:
            for each in writer.of(event):
                yield _encode_event(each)


def _encode_event(event: core.BaseEvent) -> bytes:
    return stream_event(event.model_dump(mode="json", by_alias=True))


def _encode_run_error(error: GraphEngineError) -> bytes:
    return _encode_event(core.RunErrorEvent(message=f"{error}", code=error.code))


def _read_message_text(message: Any) -> str:  # noqa: ANN401 - one of many types
    """Return the text of a message, whose content can be a text or a list of parts."""
    content = getattr(message, "content", None) or ""
    return content if isinstance(content, str) else "".join(getattr(part, "text", None) or "" for part in content)


def _find_newest_said(messages: Sequence[Any]) -> Said | None:
    """Return the newest message that a person has written, from the messages in a request; None if there is none.

    Raises:
        InputError: The message has a part that is not a text.
    """
    found = [each for each in messages if each.role == "user"]
    if found and not isinstance(found[-1].content, str):
        check_text("messages", [part.type for part in found[-1].content if getattr(part, "text", None) is None])
    return Said(found[-1].id, _read_message_text(found[-1])) if found else None


def _collect_tool_results(messages: Sequence[Any]) -> Mapping[str, object]:
    """Return the results of tools that the front end has executed, by the ids of their calls.

    They are the last messages in a request.
    """
    found: dict[str, object] = {}
    for each in reversed(messages):
        if each.role != "tool":
            break
        found[each.tool_call_id] = {"error": each.error} if each.error else _read_message_text(each)
    return found


def _find_shown(messages: Sequence[Any]) -> Have:
    """Return what a front end already shows, according to the messages in its request."""
    calls = frozenset(call.id for each in messages for call in getattr(each, "tool_calls", None) or ())
    results = frozenset(each.tool_call_id for each in messages if each.role == "tool")
    return Have({each.id: _read_message_text(each) for each in messages if hasattr(each, "content")}, calls, results)


class _AgUiWriter:
    """Converts the events of a run to events of the AG-UI protocol, for one request of a front end.

    Args:
        given: The request.

    Attributes:
        place: The ids of the thread and of the request, which several AG-UI events contain.
    """

    def __init__(self, given: core.RunAgentInput) -> None:
        self.place: dict[str, Any] = {"thread_id": given.thread_id, "run_id": given.run_id}
        self._state: Mapping[str, Any] | None = None
        # A snapshot of the messages replaces all messages, so it must contain the messages of the request too.
        self._messages = {each.id: each.model_dump(by_alias=False, exclude_none=True) for each in given.messages}

    def of(self, event: FrontEvent) -> Iterator[core.BaseEvent]:  # noqa: C901 - a case for each
        """Convert an event of the run to the events of the AG-UI protocol that show it.

        Texts and calls are sent as chunks. Clients expand a chunk to the start, the content and the end of a message.
        """
        match event:
            case Said(key, text):
                yield self._text(key, "user", text)
            case Text(key, piece, is_thinking):
                yield self._text(key, "reasoning" if is_thinking else "assistant", piece)
            case Dropped(key):
                self._messages.pop(key, None)
                yield core.MessagesSnapshotEvent.model_validate({"messages": list(self._messages.values())})
            case Called(key, tool, arguments, text):
                yield self._call(key, tool, arguments, text)
            case Returned(key, text):
                message = {"id": f"{key}{_RESULT}", "role": "tool", "tool_call_id": key, "content": text}
                self._messages[message["id"]] = message
                yield core.ToolCallResultEvent(message_id=message["id"], tool_call_id=key, content=text)
            case Visited(name, is_over):
                kind = core.StepFinishedEvent if is_over else core.StepStartedEvent
                yield kind(step_name=name)
            case State(values):
                yield from self._iter_state_changes(values)
            case Shown(name, data):
                yield core.CustomEvent(name=name, value=data)
            case Unanswered():
                yield self._build_unanswered_event(event)
            case Asked(_, trouble) if trouble is not None:
                yield core.RunErrorEvent(message=trouble[0], code=trouble[1])
            case Asked(questions):
                yield self._end_with_questions(questions)
            case Ended():
                yield self._build_end_event(event)

    def _build_unanswered_event(self, event: Unanswered) -> core.BaseEvent:
        """Return the AG-UI event that tells a person that their message got no reply, because the turn failed.

        The event is a message that clients show but do not send to models.
        """
        kind, content = "unanswered", event.content
        message = core.ActivityMessage(id=event.id, activity_type=kind, content=content)
        self._messages[event.id] = message.model_dump(by_alias=False, exclude_none=True)
        return core.ActivitySnapshotEvent(message_id=event.id, activity_type=kind, content=content)

    def _text(self, key: str, role: Any, piece: str) -> core.BaseEvent:  # noqa: ANN401 - a literal
        message = self._messages.setdefault(key, {"id": key, "role": role, "content": ""})
        message["content"] = f"{message.get('content') or ''}{piece}"
        if role == "reasoning":
            return core.ReasoningMessageChunkEvent(message_id=key, delta=piece)
        return core.TextMessageChunkEvent(message_id=key, role=role, delta=piece)

    def _call(self, key: str, tool: str, arguments: str, text: str) -> core.BaseEvent:
        """Return the AG-UI event that shows a tool call.

        If the model wrote a text in the same turn, the call becomes a part of the message with this text.
        """
        around = text if text in self._messages else key
        call = {"id": key, "type": "function", "function": {"name": tool, "arguments": arguments}}
        message = self._messages.setdefault(around, {"id": around, "role": "assistant"})
        message.setdefault("tool_calls", []).append(call)
        return core.ToolCallChunkEvent(tool_call_id=key, tool_call_name=tool, parent_message_id=around, delta=arguments)

    def _iter_state_changes(self, values: Mapping[str, Any]) -> Iterator[core.BaseEvent]:
        """Yield the AG-UI event for a new state of the run: the whole state at first, and later only the changes."""
        before, self._state = self._state, values
        if before is None:
            yield core.StateSnapshotEvent(snapshot=values)
        elif before != values:
            yield core.StateDeltaEvent.model_validate({"delta": list(changes(before, values, ""))})

    def _end_with_questions(self, questions: Sequence[Question]) -> core.BaseEvent:
        """Return the last AG-UI event of a run that waits.

        It contains an interrupt for each open question to a person.
        """
        asked = [
            core.Interrupt(
                id=each.id,
                reason="tool_approval" if each.call else each.wait.kind,
                message=each.wait.question,
                tool_call_id=each.call or None,
                response_schema=dict(each.wait.schema or {}),
                expires_at=_moment(each.wait.due_at),
            )
            for each in questions
            if each.wait.kind != "tool"
        ]
        if not asked:
            return core.RunFinishedEvent(**self.place, outcome=core.RunFinishedSuccessOutcome())
        return core.RunFinishedEvent(**self.place, outcome=core.RunFinishedInterruptOutcome(interrupts=asked))

    def _build_end_event(self, event: Ended) -> core.BaseEvent:
        trouble = event.trouble
        if trouble is not None:
            return core.RunErrorEvent(message=trouble[0], code=trouble[1])
        if event.result.status in ("stopped", "cancelled"):
            return core.RunFinishedEvent(**self.place, outcome=core.RunFinishedCancelledOutcome())
        return core.RunFinishedEvent(**self.place, result=event.output, outcome=core.RunFinishedSuccessOutcome())


def _moment(seconds: float | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat()


def changes(before: Any, now: Any, path: str) -> Iterator[dict[str, Any]]:  # noqa: ANN401 - JSON
    """Yield the operations of a JSON Patch (RFC 6902) that change `before` to `now`.

    If a list has only grown, its new items are added. Any other changed list is replaced.

    >>> list(changes({"a": [1], "b": 2}, {"a": [1, 5]}, ""))
    [{'op': 'remove', 'path': '/b'}, {'op': 'add', 'path': '/a/-', 'value': 5}]
    """
    if isinstance(before, dict) and isinstance(now, dict):
        yield from ({"op": "remove", "path": _join_json_pointer(path, name)} for name in before if name not in now)
        for name, value in now.items():
            if name not in before:
                yield {"op": "add", "path": _join_json_pointer(path, name), "value": value}
            else:
                yield from changes(before[name], value, _join_json_pointer(path, name))
    elif isinstance(before, list) and isinstance(now, list) and now[: len(before)] == before:
        yield from ({"op": "add", "path": f"{path}/-", "value": value} for value in now[len(before) :])
    elif before != now or type(before) is not type(now):  # 1 == True
        yield {"op": "replace", "path": path, "value": now}


def _join_json_pointer(path: str, name: str) -> str:
    return f"{path}/{name.replace('~', '~0').replace('/', '~1')}"


__all__ = ["PATH", "AgUiDoor", "changes"]

"""The door for the AI SDK: `useChat` starts, follows and answers runs by its UI message stream (`serve --ai-sdk`).

A chat of the AI SDK is a thread; see `graphengine.serve.service.front_end`. Everything that the run does after a
message of a person is one message of the assistant. The id of this message is the same on every connection and in every
process:

1. `POST /ai-sdk/GRAPH` starts the run, sends the newest message to its chat, or answers its questions.
2. `GET /ai-sdk/GRAPH/CHAT` returns the recorded messages, for a page that was reloaded.
3. `GET /ai-sdk/GRAPH/CHAT/stream` replays the newest message of the assistant from its start, and follows it. With
   `resume: true`, `useChat` sends this request, and replaces its message with this id by the replay.

The part `reset-step`, which the AI SDK knows since version 7, lets a page forget a text that is no longer valid. A page
of an earlier version names its version in the header `X-AI-SDK-Version`. Such a page gets a mark in the metadata of the
text's part instead.

A question is sent as a part `data-question` with its schema. A question about a tool's call is also sent as a request
for the call's approval.
"""

from __future__ import annotations

import json
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Final, Literal

from pydantic import BaseModel, ValidationError
from starlette.responses import Response
from starlette.routing import Route

from graphengine.errors import InputError
from graphengine.serve.messages import STREAM_HEADERS, json_answer, stream_event
from graphengine.serve.requests import json_body
from graphengine.serve.router import answering
from graphengine.serve.service.front_end import Thread, check_text
from graphengine.serve.service.shown import (
    NOTHING,
    Asked,
    Called,
    Dropped,
    Ended,
    Returned,
    Said,
    Shown,
    State,
    Text,
    Unanswered,
    Visited,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping, Sequence

    from starlette.requests import Request
    from starlette.routing import BaseRoute

    from graphengine.errors import GraphEngineError
    from graphengine.serve.service.app import Service
    from graphengine.serve.service.doors import Opening
    from graphengine.serve.service.shown import FrontEvent, Question

PATH: Final = "/ai-sdk"
_HEADERS: Final = {**STREAM_HEADERS, "x-vercel-ai-ui-message-stream": "v1"}
_DONE: Final = b"data: [DONE]\n\n"
_VERSION: Final = "x-ai-sdk-version"
"""The header in which a page names the major version of its AI SDK."""
_NEWEST: Final = 7
"""The first version that knows the part `reset-step`. Earlier versions end the stream with an error at this part."""
Chunk = dict[str, Any]


async def routes(opening: Opening) -> Sequence[BaseRoute]:
    door, chat = AiSdkDoor(opening.service), f"{PATH}/{{graph}}/{{chat}}"
    return [
        Route(f"{PATH}/{{graph}}", answering(door.send), methods=["POST"]),
        Route(f"{chat}/stream", answering(door.resume), methods=["GET"]),
        Route(chat, answering(door.messages), methods=["GET"]),
    ]


class _SdkMessage(BaseModel):
    """A message in a request of the AI SDK.

    Attributes:
        id: The id of the message.
        role: The author of the message.
        parts: The parts of the message.
    """

    id: str
    role: Literal["system", "user", "assistant"]
    parts: list[dict[str, Any]]

    @property
    def text(self) -> str:
        """The text of the message, without its other parts."""
        return "".join(str(part.get("text", "")) for part in self.parts if part.get("type") == "text")


class _Sent(BaseModel):
    """The body of a request that `useChat` sends.

    Attributes:
        id: The id of the chat.
        messages: The messages of the chat.
        trigger: Whether the person sent a message or wants the last reply to be generated again.
        state: Fields of the graph's input, which the page sets in the option `body` of `useChat`.
        answers: Answers by the ids of their questions, which the page sets in the option `body`.
    """

    id: str
    messages: list[_SdkMessage]
    trigger: Literal["submit-message", "regenerate-message"] = "submit-message"
    state: dict[str, Any] = {}
    answers: dict[str, Any] = {}


class AiSdkDoor:
    """Speaks the protocol of the AI SDK, with which web pages show a chat.

    It has endpoints to send to a chat, to read the messages of the chat, and to reconnect.

    Args:
        service: The service that starts, follows and answers runs.
    """

    def __init__(self, service: Service) -> None:
        self._service = service

    async def send(self, request: Request) -> Response:
        """Start the run of a chat, send it a message, or answer its questions; then stream the assistant's message."""
        try:
            sent = _Sent.model_validate(await json_body(request))
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"])) or "body"
            raise InputError(first["msg"], where=where, repair="send what useChat of the AI SDK sends") from error
        if sent.trigger == "regenerate-message":
            repair = "send another message, or branch the run with `graphengine branch`"
            raise InputError("the recorded answer of a run cannot be generated again", where="trigger", repair=repair)
        forgets = _knows_reset(request)  # checked before anything is started
        thread = Thread(self._service, request.path_params["graph"], sent.id)
        last = sent.messages[-1] if sent.messages else None
        approvals = dict(_approvals(last.parts)) if last is not None and last.role == "assistant" else {}
        if last is None or last.role != "assistant":
            message = Said(last.id, last.text) if last is not None and last.role == "user" else None
            if last is not None:
                check_text("messages", [str(part.get("type")) for part in last.parts if part.get("type") == "file"])
            await thread.answer(sent.answers)
            after = await thread.begin(message, sent.state)
            if thread.is_chat and not after:
                after = (await thread.newest())[1]
            key = _answer_id(thread, last.id if last is not None else "")
            return self._follow_thread(thread, _ChunkWriter(key, forgets=forgets), after)
        answers = {key: value for key, (_, value) in approvals.items()} | sent.answers
        after = (await thread.existing()).seq
        await thread.results(dict(_iter_tool_results(last.parts)))
        await thread.answer(answers)
        denied = [call for call, value in approvals.values() if value is not True]
        return self._follow_thread(
            thread, _ChunkWriter(last.id, answered=answers, denied=denied, forgets=forgets), after
        )

    async def messages(self, request: Request) -> Response:
        """Answer with the recorded messages of a chat; with an empty list if the chat does not exist yet."""
        thread = self._thread(request)
        if await thread.info() is None:
            return json_answer([])
        return json_answer(_build_sdk_messages(thread, await thread.recorded()))

    async def resume(self, request: Request) -> Response:
        """Answer a page that reconnects: stream the newest message of the assistant from its start.

        If the chat does not exist yet, the answer has the status 204.
        """
        thread = self._thread(request)
        if await thread.info() is None:
            return Response(status_code=204)
        turn, after = await thread.newest()
        return self._follow_thread(thread, _ChunkWriter(_answer_id(thread, turn), forgets=_knows_reset(request)), after)

    def _thread(self, request: Request) -> Thread:
        return Thread(self._service, request.path_params["graph"], request.path_params["chat"])

    def _follow_thread(self, thread: Thread, writer: _ChunkWriter, after: int) -> Response:
        return self._service.stream(_chunks(thread, writer, after), thread.run_id, _encode_stream_error, _HEADERS)


def _knows_reset(request: Request) -> bool:
    """Return whether the page's version of the AI SDK can remove texts that it has already shown.

    Versions from 7 on know the part `reset-step`, which removes the texts of the current step.

    Raises:
        InputError: The header does not contain a version.
    """
    version = request.headers.get(_VERSION, str(_NEWEST)).strip()
    if not version.partition(".")[0].isdecimal():
        repair = "send the major version of the package 'ai', such as 6, or leave out the header for 7 and later"
        raise InputError(f"{version!r} is not a version of the AI SDK", where=_VERSION, repair=repair)
    return int(version.partition(".")[0]) >= _NEWEST


def _answer_id(thread: Thread, turn: str) -> str:
    """Return the id of the assistant's message that replies to the person's message with the id `turn`."""
    return f"{turn}:answer" if thread.is_chat else thread.run_id


def _approvals(parts: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, tuple[str, Any]]]:
    """Yield the answers of a person to requests for approval of tool calls, from a message that a page has sent.

    Yields:
        The id of the question, with the id of the tool call and the answer: True for an approval, False or a reason for
        a denial.
    """
    for part in parts:
        approval = part.get("approval")
        if part.get("state") == "approval-responded" and isinstance(approval, dict):
            refused = {"refuse": approval["reason"]} if approval.get("reason") else False
            answer = True if approval.get("approved") is True else refused
            yield str(approval.get("id")), (str(part.get("toolCallId")), answer)


def _iter_tool_results(parts: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, object]]:
    """Yield the tool results that a page's message contains, with the ids of their calls.

    A message can contain both results of tools that the page executed and results of tools that the server executed.
    """
    for part in parts:
        if part.get("state") == "output-available":
            yield str(part.get("toolCallId")), part.get("output")
        elif part.get("state") == "output-error":
            yield str(part.get("toolCallId")), {"error": str(part.get("errorText"))}


async def _chunks(thread: Thread, writer: _ChunkWriter, after: int) -> AsyncGenerator[bytes, None]:
    """Yield the chunks of the assistant's message, encoded as server-sent events.

    The chunks end when the run has ended or waits for a person.
    """
    for each in writer.begin(thread.run_id):
        yield stream_event(each)
    async with aclosing(thread.events(after, NOTHING)) as events:
        async for event in events:
            for each in writer.of(event):
                yield stream_event(each)
    yield _DONE


def _encode_stream_error(error: GraphEngineError) -> bytes:
    return stream_event({"type": "error", "errorText": f"{error}"})


def _parse_json_or_text(text: str) -> Any:  # noqa: ANN401 - any JSON
    """Decode a text that may be JSON, such as the arguments of a tool call. Another text is returned unchanged."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


class _ChunkWriter:
    """Converts the events of a run that a front end shows to the chunks of one assistant's message in the AI SDK.

    Args:
        key: The id of the message.
        answered: The ids of the questions that this request answered.
        denied: The ids of the calls whose approval this request denied.
        forgets: Whether the page knows the part `reset-step`, which removes texts that the page has shown.
    """

    def __init__(
        self, key: str, *, answered: Iterable[str] = (), denied: Sequence[str] = (), forgets: bool = True
    ) -> None:
        self.key = key
        self._forgets = forgets
        self._answered = answered
        self._denied = denied
        self._open: dict[str, str] = {}
        self._sent: list[tuple[str, Chunk]] = []  # each chunk with the id of its text
        self._data: dict[str, Chunk] = {}

    def begin(self, run_id: str) -> Iterator[Chunk]:
        """Yield the chunks with which a message of the assistant begins in the AI SDK's protocol.

        All content of the message is in one step of the AI SDK, because `reset-step` can remove the content of a step.
        """
        yield {"type": "start", "messageId": self.key, "messageMetadata": {"runId": run_id}}
        for key in self._answered:
            yield {"type": "data-question", "id": key, "data": {"id": key, "answered": True}}
        for key in self._denied:
            yield {"type": "tool-output-denied", "toolCallId": key}
        yield {"type": "start-step"}

    def of(self, event: FrontEvent) -> Iterator[Chunk]:
        """Yield the chunks for an event of the run.

        The chunks are also remembered, in case the page must remove a text and show the rest again.
        """
        if isinstance(event, Dropped):
            yield from self._drop_part(event.id)
            return
        text = event.id if isinstance(event, Text) else ""
        for each in self._chunks_of_event(event):
            if "data" not in each:
                self._sent.append((text, each))
            elif not each.get("transient"):
                self._data[each["id"]] = each
            yield each
        if isinstance(event, Asked | Ended):
            yield from self._finish_turn(event)

    def _chunks_of_event(self, event: FrontEvent) -> Iterator[Chunk]:  # noqa: C901, PLR0912 - a case for each
        match event:
            case Text(key, piece, is_thinking):
                kind = "reasoning" if is_thinking else "text"
                if not is_thinking:
                    yield from self._end_part(f"{key}:thinking")
                if key not in self._open:
                    self._open[key] = kind
                    yield {"type": f"{kind}-start", "id": key}
                yield {"type": f"{kind}-delta", "id": key, "delta": piece}
            case Called(key, tool, arguments, text):
                yield from self._end_part(f"{text}:thinking")
                yield from self._end_part(text)
                yield {
                    "type": "tool-input-available",
                    "toolCallId": key,
                    "toolName": tool,
                    "input": _parse_json_or_text(arguments),
                }
            case Returned(key, text, is_error) if key not in self._denied:
                more = {"errorText": text} if is_error else {"output": _parse_json_or_text(text)}
                yield {"type": f"tool-output-{'error' if is_error else 'available'}", "toolCallId": key, **more}
            case Visited(name, is_over):
                data = {"name": name, "isOver": is_over}
                yield {"type": "data-step", "id": name, "data": data, "transient": True}
            case State(values):
                yield {"type": "data-state", "id": "state", "data": values}
            case Shown(name, data):
                yield {"type": f"data-{name}", "data": data, "transient": True}
            case Unanswered():
                yield from self._close()
                yield {"type": "data-unanswered", "id": event.id, "data": event.content}
            case Asked(questions):
                yield from self._close()
                for each in questions:
                    yield from _question_chunks(each)
            case Ended():
                yield from self._close()
                if event.result.status == "finished":
                    yield {"type": "data-output", "id": "output", "data": event.output}
            case _:
                pass

    def _end_part(self, key: str) -> Iterator[Chunk]:
        kind = self._open.pop(key, None)
        if kind is not None:
            yield {"type": f"{kind}-end", "id": key}

    def _close(self) -> Iterator[Chunk]:
        for key in list(self._open):
            yield from self._end_part(key)

    def _drop_part(self, key: str) -> Iterator[Chunk]:
        """Yield the chunks that remove a text from the page.

        Everything that this stream has sent is reset, and sent again without the text. A page that does not know
        `reset-step` is told that the text is no longer valid, by a mark in the text's part, or by a separate part if
        the text's part has ended.
        """
        kind = self._open.pop(key, None)
        if not self._forgets:
            mark = {"dropped": True}
            if kind is not None:
                yield {"type": f"{kind}-end", "id": key, "providerMetadata": {"graphengine": mark}}
            else:
                yield {"type": "data-dropped", "id": f"dropped:{key}", "data": {"id": key}}
            return
        self._sent = [(text, each) for text, each in self._sent if text != key]
        yield {"type": "reset-step"}
        yield from (each for _, each in self._sent)
        yield from self._data.values()

    def _finish_turn(self, event: Asked | Ended) -> Iterator[Chunk]:
        yield {"type": "finish-step"}
        if (trouble := event.trouble) is not None:
            yield {"type": "error", "errorText": trouble[0]}
        elif isinstance(event, Ended) and event.result.status in ("stopped", "cancelled"):
            yield {"type": "abort", "reason": f"the run was {event.result.status}"}
        else:
            is_asked = isinstance(event, Asked) and bool(event.questions)
            yield {"type": "finish", "finishReason": "tool-calls" if is_asked else "stop"}


def _question_chunks(question: Question) -> Iterator[Chunk]:
    """Yield the AI SDK's chunks for an open question: the text and the schema of the answer.

    If the question is whether a tool may be called, a second chunk requests the approval.
    """
    wait = question.wait
    data = {"id": question.id, "question": wait.question, "schema": wait.schema, "toolCallId": question.call or None}
    yield {"type": "data-question", "id": question.id, "data": data}
    if question.call and wait.kind != "tool":
        yield {"type": "tool-approval-request", "approvalId": question.id, "toolCallId": question.call}


# --- Recorded messages -----------------------------------------------------------------------------------------------


def _build_sdk_messages(thread: Thread, events: Iterable[FrontEvent]) -> list[dict[str, Any]]:
    """Build all messages of a chat from its recorded events, for a page that was loaded again."""
    found: list[dict[str, Any]] = []
    writer, parts = _ChunkWriter(_answer_id(thread, "")), _MessageParts()
    for event in events:
        if isinstance(event, Said):
            found.append({"id": event.id, "role": "user", "parts": [{"type": "text", "text": event.text}]})
        if isinstance(event, Said) or not found:
            writer, parts = _ChunkWriter(_answer_id(thread, found[-1]["id"] if found else "")), _MessageParts()
            found.append({"id": writer.key, "role": "assistant", "parts": parts.found})
        for chunk in writer.of(event):
            parts.add(chunk)
    return [each for each in found if each["parts"]]


class _MessageParts:
    """Builds the parts of a chat message from its chunks, in the same way as the AI SDK does in a page.

    The service needs this to show a recorded chat to a page that was loaded again.

    Attributes:
        found: The parts so far.
    """

    def __init__(self) -> None:
        self.found: list[dict[str, Any]] = []
        self._by_id: dict[str, dict[str, Any]] = {}

    def add(self, chunk: Chunk) -> None:
        kind, key = chunk["type"], chunk.get("id") or chunk.get("toolCallId") or ""
        part = self._by_id.get(key)
        if kind == "text-delta":
            (part or self._new(key, {"type": "text", "text": "", "state": "done"}))["text"] += chunk["delta"]
        elif kind == "tool-input-available":
            named = {"type": f"tool-{chunk['toolName']}", "toolCallId": key, "state": "input-available"}
            self._new(key, {**named, "input": chunk["input"]})
        elif kind in ("tool-output-available", "tool-output-error") and part is not None:
            part["state"] = kind.removeprefix("tool-")
            part.update((name, chunk[name]) for name in ("output", "errorText") if name in chunk)
        elif kind == "tool-approval-request" and part is not None:
            part |= {"state": "approval-requested", "approval": {"id": chunk["approvalId"]}}
        elif kind.startswith("data-") and not chunk.get("transient"):
            part = part or self._new(key, {"type": kind, "id": key})
            part["data"] = chunk["data"]
        elif kind == "reset-step":
            self.found.clear()
            self._by_id.clear()

    def _new(self, key: str, part: dict[str, Any]) -> dict[str, Any]:
        self.found.append(part)
        self._by_id[key] = part
        return part


__all__ = ["PATH", "AiSdkDoor"]

r"""Repairs of messages from MCP servers that violate the protocol, so that the `mcp` package can read them.

The package reads a message completely or not at all. Without repairs, small mistakes of a server have large
consequences:

- If one tool of a list has a description that is not a text, all tools are missing.
- If a result contains one block of an unknown type, or structured content that the declared schema does not allow, the
  call fails although it took effect.
- If a line is not UTF-8 (`"\ud83d"` is half of an emoji), is nested too deeply, or lacks `jsonrpc`, the caller waits
  until its time is over.

`Repairs` processes the messages between the transport and the package, and changes only the parts that are wrong. This
module is loaded together with the package.
"""

from __future__ import annotations

import json
import re
from contextlib import asynccontextmanager, suppress
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, Generic, Protocol, TypeAlias, TypeVar

from mcp import types
from mcp.shared.message import SessionMessage
from mcp_types import jsonrpc_message_adapter
from mcp_types.methods import validate_server_result
from pydantic import ValidationError

from graphengine.models.received import inside
from graphengine.models.sdk import sound_json

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator
    from types import TracebackType
    from typing import Self

    import httpx2
    from mcp.client import Transport
    from mcp.client._transport import ReadStream, TransportStreams, WriteStream
    from pydantic import JsonValue

    from graphengine.models.received import JsonObject

_REVISION: Final = "2025-11-25"
"""The revision that defines the form of tools and blocks. Later revisions use the same form."""
_SESSION: Final = "mcp-session-id"
_SESSION_CODES: Final = (types.INVALID_REQUEST, types.INTERNAL_ERROR, -32000, -32001)
_UNKNOWN: Final = "not found|unknown|expired|invalid|terminated|closed|no valid|no such|not exist"
_NO_SESSION: Final = re.compile(f"session.*({_UNKNOWN})|({_UNKNOWN}).*session", re.IGNORECASE)
"""The codes and words with which servers report an unknown session. Each code also has other uses."""
SESSION_LOST: Final = "the server does not know this session any more, so it did not take "
_DEEPEST: Final = 150
"""How deeply a message may be nested. pydantic can read 200 levels."""
_OPEN_ENDED: Final = ("input_required", "task")
"""The types of answers to a call that do not contain its result yet."""


class Repairs:
    """Repairs the messages of one connection to an MCP server, so that the `mcp` package can read them.

    Attributes:
        unusable: The names of the listed tools that cannot be read, each with the reason.
        outputs: The JSON Schema that a tool declares for its structured results, by the name of the tool.
    """

    def __init__(self) -> None:
        self.unusable: dict[str, str] = {}
        self.outputs: dict[str, JsonObject] = {}
        self._methods: dict[str | int, str] = {}

    @asynccontextmanager
    async def of(self, transport: Transport) -> AsyncIterator[TransportStreams]:
        async with transport as (reading, writing):
            yield _Reading(reading, self), _Writing(writing, self)

    def sent(self, message: SessionMessage) -> None:
        """Adjust a message that is about to be sent, and remember the method of a request.

        In `initialize`, the statement that this client can ask a person is removed. A server that receives `initialize`
        speaks an older revision. It would ask during a call and would need the answer in the same process. A server of
        the revision 2026-07-28 instead ends the call with its questions, see `graphengine.agents.mcp_input`.
        """
        request = message.message
        if isinstance(request, types.JSONRPCRequest):
            self._methods[request.id] = request.method
            if request.method == "initialize" and request.params is not None:
                request.params["capabilities"].pop("elicitation", None)

    def received(self, item: SessionMessage | Exception) -> SessionMessage | Exception:
        """Repair a message that was received from the server, so that the `mcp` package can read it.

        A message that cannot be repaired is returned unchanged.
        """
        if isinstance(item, ValidationError):
            with suppress(ValueError, StopIteration):
                line = readable(_extract_unread_line(item))
                item = SessionMessage(jsonrpc_message_adapter.validate_json(line, by_name=False))
        if isinstance(item, SessionMessage) and isinstance(item.message, types.JSONRPCResponse):
            method, result = self._methods.pop(item.message.id, ""), item.message.result
            if method == "tools/list":
                self._list(result)
            elif method == "tools/call" and result.get("resultType") not in _OPEN_ENDED:
                item.message.result = _repair_result(result)
        return item

    def _list(self, result: JsonObject) -> None:
        """Repair one page of the list of tools that a server sent.

        The schemas of results are removed from the list and kept in `outputs`, because the `mcp` package would refuse
        results that differ from them.
        """
        tools = result.get("tools")
        kept: list[JsonObject] = []
        for number, given in enumerate(tools if isinstance(tools, list) else [], 1):
            name = given.get("name") if isinstance(given, dict) else None
            if not isinstance(given, dict) or not isinstance(name, str):
                self.unusable[f"tool {number}"] = "it has no name"
                continue
            declared = given.get("inputSchema")
            schema = _of_object(declared if isinstance(declared, dict) else {})
            if schema is None:
                self.unusable[name] = "its arguments are not an object"
                continue
            self.unusable.pop(name, None)
            output = given.pop("outputSchema", None)
            self.outputs.pop(name, None)
            if isinstance(output, dict):
                self.outputs[name] = output
            kept.append({**given, "inputSchema": schema})
        result["tools"] = [*kept]
        try:
            validate_server_result("tools/list", _REVISION, {"tools": kept})
        except ValidationError:
            result["tools"] = [*map(_repair_tool, kept)]


def readable(text: str) -> str:
    """Repair a message that is nearly valid JSON-RPC. Any other text is returned unchanged."""
    try:
        jsonrpc_message_adapter.validate_json(text, by_name=False)
    except ValueError:
        with suppress(ValueError, RecursionError, TypeError):
            message = _shallow(sound_json(json.loads(text)), _DEEPEST)
            if isinstance(message, dict) and _is_response(message):
                return json.dumps(_repair_response(message))
    return text


def _extract_unread_line(error: ValidationError) -> str:
    """Return the text of the message that the `mcp` package could not read, taken from its error.

    Raises:
        StopIteration: The error does not contain the line.
    """
    found = error.errors(include_url=False)
    whole = (each["input"] for each in found if each["type"] in ("json_invalid", "missing"))
    # If the line is JSON, the input is the object. The adapter also tries to read it as a request and then reports a
    # missing method.
    line: object = next(whole)
    return line if isinstance(line, str) else json.dumps(line)


def _shallow(value: JsonValue, levels: int) -> JsonValue:
    """Replace the parts of a message that are nested too deeply by a sentence that says so."""
    if not isinstance(value, (dict, list)):
        return value
    if levels == 0:
        return "[nested too deeply, and not passed on]"
    if isinstance(value, list):
        return [_shallow(each, levels - 1) for each in value]
    return {key: _shallow(each, levels - 1) for key, each in value.items()}


async def read_soundly(response: httpx2.Response) -> None:
    """Make a server's HTTP response repair its JSON-RPC messages while the client reads them.

    The response contains a single message or a stream of events.
    """
    streams = response.headers.get("content-type", "").lower().startswith("text/event-stream")
    whole = response.aiter_bytes

    async def repaired(chunk_size: int | None = None) -> AsyncGenerator[bytes]:
        pieces: list[bytes] = []
        async for piece in whole(chunk_size):
            pieces.append(piece)
            if streams and (b"\n" in piece or b"\r" in piece):
                lines = b"".join(pieces).splitlines(keepends=True)
                pieces = [lines.pop()] if not lines[-1].endswith((b"\n", b"\r")) else []
                yield b"".join(map(_repair_line, lines))
        rest = b"".join(pieces)
        yield b"".join(map(_repair_line, rest.splitlines(keepends=True))) if streams else _repair_body(rest)

    setattr(response, "aiter_bytes", repaired)  # noqa: B010 - the client reads all content by it, decoded
    request = response.request
    if response.status_code == HTTPStatus.NOT_FOUND and request.method == "POST" and _SESSION in request.headers:
        answer = _not_found(b"".join([each async for each in repaired()]).decode(), json.loads(request.content))

        async def answered(chunk_size: int | None = None) -> AsyncGenerator[bytes]:
            del chunk_size
            yield json.dumps(answer).encode()

        setattr(response, "aiter_bytes", answered)  # noqa: B010 - as above
        response.headers["content-type"] = "application/json"
        response.status_code = HTTPStatus.OK  # with another status, the client would only read an error


def _not_found(body: str, asked: JsonObject) -> JsonObject:
    """Return the JSON-RPC message to read from a response with the HTTP status 404.

    This is the server's own answer, if the body contains one. Otherwise it is an error that reports a lost session.
    """
    lines = [line.removeprefix("data:") for line in body.splitlines() if line.startswith("data:")]
    for text in (body, *lines):
        with suppress(ValueError, RecursionError):
            found = json.loads(text)
            for each in found if isinstance(found, list) else [found]:
                message = json.loads(readable(json.dumps(each)))
                if isinstance(message, dict) and _is_response(message) and _answers(message, asked.get("id")):
                    return {**message, "id": asked.get("id")}
    method = asked.get("method")
    # The first code means that the call had no effect.
    code = types.INVALID_REQUEST if method == "tools/call" else types.INTERNAL_ERROR
    return {"jsonrpc": "2.0", "id": asked.get("id"), "error": {"code": code, "message": f"{SESSION_LOST}{method}"}}


def _answers(message: JsonObject, identity: JsonValue) -> bool:
    """Return whether a message is the server's answer to the request with this id.

    An error that reports a lost session is not such an answer.
    """
    error = inside(message, "error")
    if not error or error.get("code") == types.METHOD_NOT_FOUND:
        return True
    is_of_session = error.get("code") in _SESSION_CODES and _NO_SESSION.search(str(error.get("message"))) is not None
    return str(message["id"]) == str(identity) and not is_of_session


def _repair_line(line: bytes) -> bytes:
    field, colon, value = line.partition(b":")
    if field != b"data" or not value.strip():
        return line
    end = line[len(line.rstrip(b"\r\n")) :]
    return field + colon + b" " + _repair_body(value.strip()) + end


def _repair_body(body: bytes) -> bytes:
    return readable(body.decode("utf-8", "replace")).encode()


def _is_response(message: JsonObject) -> bool:
    """Return whether a JSON object is meant as a JSON-RPC response. It may also be a line of the server's log."""
    is_ours = message.get("jsonrpc") == "2.0" or message.keys() <= {"error", "id", "result"}
    return is_ours and "id" in message and ("result" in message or "error" in message)


def _repair_response(message: JsonObject) -> JsonObject:
    """Add the missing parts of a JSON-RPC response, such as the code of an error."""
    repaired: JsonObject = {"jsonrpc": "2.0", "id": message["id"]}
    error, result = message.get("error"), message.get("result")
    if error is None:
        repaired["result"] = result if isinstance(result, dict) else {"content": result}
        return repaired
    given: JsonObject = error if isinstance(error, dict) else {"message": error}
    code = given.get("code")
    text = _ensure_text(given.get("message", given))
    repaired["error"] = {"code": code if type(code) is int else types.INTERNAL_ERROR, "message": text}
    return repaired


def _of_object(schema: JsonObject) -> JsonObject | None:
    """Repair the JSON Schema of a tool's arguments so that it describes an object, and return it.

    Returns None if the schema clearly describes something else, such as a list. The tool cannot be used then.
    """
    kind = schema.get("type", "object")
    if kind is not None and "object" not in (kind if isinstance(kind, list) else [kind]):
        return None
    repaired: JsonObject = {**schema, "type": "object"}
    properties, required = schema.get("properties"), schema.get("required")
    if "properties" in schema:
        named = properties.items() if isinstance(properties, dict) else ()
        repaired["properties"] = {name: each if isinstance(each, (dict, bool)) else True for name, each in named}
    if "required" in schema:
        repaired["required"] = (
            [each for each in required if isinstance(each, str)] if isinstance(required, list) else []
        )
    if not isinstance(schema.get("$schema", ""), str):
        del repaired["$schema"]
    return repaired


def _repair_tool(given: JsonObject) -> JsonObject:
    """Remove the parts of a listed tool that the `mcp` package cannot read."""
    try:
        validate_server_result("tools/list", _REVISION, {"tools": [given]})
    except ValidationError as error:
        wrong = {str(each["loc"][2]) for each in error.errors(include_url=False, include_input=False)}
        return {key: value for key, value in given.items() if key not in wrong}
    return given


def _repair_result(result: JsonObject) -> JsonObject:
    """Replace each part of a tool's result that cannot be read by a text that says so."""
    repaired = dict(result)
    content = repaired.get("content", repaired.pop("toolResult", None))
    items = content if isinstance(content, list) else [] if content is None else [content]
    repaired["content"] = [*map(_block, items)]
    structured = repaired.get("structuredContent")
    if not isinstance(structured, dict):
        repaired.pop("structuredContent", None)
        if structured is not None and not items:
            repaired["content"] = [{"type": "text", "text": _ensure_text(structured)}]
    failed = repaired.get("isError", False)
    repaired["isError"] = failed.strip().lower() == "true" if isinstance(failed, str) else bool(failed)
    if not isinstance(repaired.get("_meta", {}), dict):
        del repaired["_meta"]
    return repaired


def _block(block: JsonValue) -> JsonValue:
    try:
        validate_server_result("tools/call", _REVISION, {"content": [block]})
    except ValidationError:
        if isinstance(block, dict) and not isinstance(block.get("text"), str) and "type" in block:
            text = f"[{_ensure_text(block['type'])}: this content cannot be read, and is not passed on]"
        else:
            text = _ensure_text(block.get("text") if isinstance(block, dict) and "text" in block else block)
        return {"type": "text", "text": text}
    return block


def _ensure_text(value: JsonValue) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


class _SdkStream(Protocol):
    async def aclose(self) -> None: ...
    async def __aenter__(self) -> object: ...
    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc_val: BaseException | None, exc_tb: TracebackType | None
    ) -> bool | None: ...


T_stream = TypeVar("T_stream", bound=_SdkStream)
_Received: TypeAlias = "ReadStream[SessionMessage | Exception]"
_Sent: TypeAlias = "WriteStream[SessionMessage]"


class _Stream(Generic[T_stream]):
    """Wraps a stream of the `mcp` package, and repairs the messages of the server before the package reads them."""

    def __init__(self, inner: T_stream, repairs: Repairs) -> None:
        self._inner = inner
        self._repairs = repairs

    async def aclose(self) -> None:
        await self._inner.aclose()

    async def __aenter__(self) -> Self:
        await self._inner.__aenter__()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc_val: BaseException | None, exc_tb: TracebackType | None
    ) -> bool | None:
        return await self._inner.__aexit__(exc_type, exc_val, exc_tb)


class _Reading(_Stream[_Received]):
    @property
    def last_context(self) -> Any:  # noqa: ANN401 - the package's own
        """The context of the last message, if the transport provides one."""
        return getattr(self._inner, "last_context", None)

    async def receive(self) -> SessionMessage | Exception:
        return self._repairs.received(await self._inner.receive())

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> SessionMessage | Exception:
        return self._repairs.received(await self._inner.__anext__())


class _Writing(_Stream[_Sent]):
    async def send(self, item: SessionMessage, /) -> None:
        self._repairs.sent(item)
        await self._inner.send(item)


__all__ = ["Repairs", "read_soundly", "readable"]

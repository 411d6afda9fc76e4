"""Read the bodies of requests, and write answers in JSON and server-sent events."""

from __future__ import annotations

import logging
import secrets
from typing import TYPE_CHECKING, ClassVar, Final

from msgspec import to_builtins
from pydantic_core import to_json
from starlette.responses import Response

from graphengine.errors import (
    GraphChanged,
    GraphEngineError,
    GraphNotFound,
    InputError,
    NotPublished,
    RunExists,
    RunIsDriven,
    RunnerClosed,
    RunNotResumable,
    RunReplaced,
    StoreError,
    UnknownRun,
    UnknownStep,
)
from graphengine.records.base_documents import error_document
from graphengine.serve.callers import NotAllowed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.types import Message, Receive, Send

_LOG: Final = logging.getLogger("graphengine")
_OUTCOMES: Final = frozenset(("run_failed", "run_stopped", "run_cancelled", "turn_failed"))

BODY_BYTES: Final = 1 << 20
"""The maximum size of the body of a request, in bytes."""


class RequestInvalid(GraphEngineError):
    """A request to a server is not acceptable: its path, method, content type, or body is wrong, or it comes too often.

    Args:
        status: The HTTP status of the answer.
    """

    code = "invalid_request"

    def __init__(self, message: str, *, status: int = 400, where: str = "", repair: str = "") -> None:
        super().__init__(message, where=where, repair=repair)
        self.status = status


class NotAuthorized(GraphEngineError):
    """A request has no token, signature or cookie, or an invalid one."""

    code = "not_authorized"
    status: ClassVar[int] = 401


def _encode_document(content: object) -> bytes:
    return to_json(to_builtins(content), inf_nan_mode="null")


def is_same(given: str, expected: str) -> bool:
    """Compare two texts in constant time, so that nobody can guess a secret by measuring the time of the comparison."""
    return secrets.compare_digest(given.encode("utf-8", "surrogatepass"), expected.encode())


async def body_of(receive: Receive, most: int = BODY_BYTES) -> bytes:
    """Read the body of a request, but not much more than `most` bytes.

    Reading stops as soon as the body is longer than `most`, so that a huge body does not fill the memory. The caller
    must then refuse the request.
    """
    body = bytearray()
    while len(body) <= most:
        message = await receive()
        body += message.get("body", b"")
        if message["type"] != "http.request" or not message.get("more_body"):
            break
    return bytes(body)


def replayed(body: bytes, receive: Receive) -> Receive:
    """Return an ASGI `receive` function that passes on a request body which was already read from the client.

    The function first returns `body`, and then calls `receive`.
    """
    pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Message:
        return pending.pop() if pending else await receive()

    return again


def with_headers(send: Send, headers: Sequence[tuple[bytes, bytes]]) -> Send:
    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", ()), *headers]
        await send(message)

    return send_with_headers


def json_answer(content: object, status: int = 200) -> Response:
    """Return an HTTP answer with a JSON body, which caches must not store."""
    body = _encode_document(content)
    return Response(body, status, media_type="application/json", headers={"Cache-Control": "no-store"})


def is_outcome(error: GraphEngineError) -> bool:
    """Return whether an error means that a run or a turn of a chat failed, although the request itself was correct.

    A client should not repeat such a request, because it would get the same error.
    """
    return error.code in _OUTCOMES


def shown_error(error: GraphEngineError) -> GraphEngineError:
    """Return the error to send to a client instead of the error that was raised.

    Details of a database error, such as the path, are only logged, and the client gets a general message. Other errors
    are returned unchanged.
    """
    if not error.code.startswith("store_"):
        return error
    _LOG.warning("%s: %s", error.code, error)
    repair = "try again; the log of the service contains the cause"
    found = GraphEngineError("the service cannot use its database at present", repair=repair)
    found.code = error.code
    return found


def refused(error: GraphEngineError, other: int = 500, document: object = None) -> Response:
    """Convert an error to the HTTP answer of the request that failed with it.

    Clients automatically repeat requests that were answered with the status 408, 409, 425, 429 or 5xx. Therefore a
    failed, stopped or cancelled run is answered with 422, so that clients do not repeat the request.

    Args:
        error: The error.
        other: The HTTP status for errors of a kind that has no status of its own.
        document: The body of the answer in the form of another protocol; None for the service's own form.
    """
    is_later = isinstance(error, StoreError | RunnerClosed) or error.code == "provider_unreachable"
    status = 503 if is_later else other
    if isinstance(error, RequestInvalid | NotAuthorized):
        status = error.status
    elif isinstance(error, NotAllowed):
        status = 403
    elif isinstance(error, UnknownRun | UnknownStep | GraphNotFound | NotPublished):
        status = 404
    elif isinstance(error, RunExists | RunIsDriven | RunNotResumable | RunReplaced | GraphChanged):
        status = 409
    elif isinstance(error, InputError) or is_outcome(error):
        status = 413 if error.code == "too_large" else 422
    answer = json_answer(error_document(shown_error(error)) if document is None else document, status)
    if is_outcome(error):
        answer.headers["x-should-retry"] = "false"  # the official clients of OpenAI and Anthropic read this header
    return answer


STREAM_HEADERS: Final = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
"""The headers of an event stream: caches do not store it, and proxies do not buffer it."""

HEARTBEAT_SECONDS: Final = 15.0
"""How often an event stream sends something, so that a broken connection is noticed."""

HEARTBEAT: Final = b": still here\n\n"


def stream_event(content: object, *, name: str = "", number: int | str | None = None) -> bytes:
    """Encode one server-sent event.

    Args:
        content: The data of the event, which is encoded as JSON.
        name: The type of the event; "" if the event has no type.
        number: The id of the event, which a client sends when it reconnects; None if the event has no id.
    """
    head = f"id: {number}\n" if number is not None else ""
    kind = f"event: {name}\n" if name else ""
    return f"{head}{kind}data: ".encode() + _encode_document(content) + b"\n\n"


__all__ = [
    "BODY_BYTES",
    "HEARTBEAT",
    "HEARTBEAT_SECONDS",
    "STREAM_HEADERS",
    "NotAuthorized",
    "RequestInvalid",
    "body_of",
    "is_outcome",
    "is_same",
    "json_answer",
    "refused",
    "replayed",
    "shown_error",
    "stream_event",
    "with_headers",
]

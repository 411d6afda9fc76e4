"""What a request gives: its parameters and its body, checked, and the errors of requests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

from pydantic_core import from_json

from graphengine.errors import GraphEngineError, InputError
from graphengine.graph.options import is_tag
from graphengine.state.path import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from starlette.datastructures import QueryParams
    from starlette.requests import Request


SIGNED: Final = "graphengine.signed"
"""In the scope of a request: it was let in because of its signature, not of a token."""


class NotAuthorized(GraphEngineError):
    """A request has no token or signature, or a wrong one."""

    code = "not_authorized"
    status: ClassVar[int] = 401


class RequestInvalid(GraphEngineError):
    """A request has an unknown path, a method or content type that does not fit, or a body that is not JSON.

    Args:
        status: The status of the answer.
    """

    code = "invalid_request"

    def __init__(self, message: str, *, status: int = 400, where: str = "", repair: str = "") -> None:
        super().__init__(message, where=where, repair=repair)
        self.status = status


class ServiceFailed(GraphEngineError):
    """The HTTP service failed for a reason other than the request."""

    code = "service_failed"


class Parameters:
    """The parameters of a request's address.

    Args:
        given: The parameters.
        known: The names that are allowed.

    Raises:
        InputError: One is unknown.
    """

    def __init__(self, given: QueryParams, known: Sequence[str]) -> None:
        self._given = given
        for name in given:
            if name not in known:
                near = did_you_mean(name, known) if known else "leave it out"
                raise InputError(f"unknown parameter {name!r}", where=f"parameter {name}", repair=near)

    def text(self, name: str) -> str | None:
        """Return a text; None if it is not given."""
        found = self._given.getlist(name)
        if len(found) > 1 or found == [""]:
            what = "empty" if len(found) == 1 else "given more than once"
            raise InputError(f"{name} is {what}", where=f"parameter {name}", repair="give it once, with a value")
        return found[0] if found else None

    def texts(self, name: str) -> Sequence[str]:
        """Return every text that is given under this name."""
        return self._given.getlist(name)

    def number(self, name: str, default: int, least: int, most: int) -> int:
        """Return an integer in a range."""
        text = self.text(name)
        if text is None:
            return default
        digits = text.removeprefix("-")
        number = int(text) if digits.isdecimal() and digits.isascii() and len(digits) <= len(str(1 << 32)) else None
        if number is None or not least <= number <= most:
            message = f"{name}={text!r} is not an integer from {least} to {most}"
            raise InputError(message, where=f"parameter {name}", repair=f"give one, such as {max(least, 1)}")
        return number


async def json_body(request: Request, default: object = ...) -> Any:  # noqa: ANN401 - JSON
    """Return the body as JSON values; the default if it is empty.

    Raises:
        RequestInvalid: It is not JSON, or has another content type.
    """
    body = await request.body()
    if not body and default is not ...:
        return default
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json" and not kind.endswith("+json"):
        raise RequestInvalid(
            f"the content type is {kind or 'missing'}",
            status=415,
            where="header Content-Type",
            repair="send JSON with Content-Type: application/json",
        )
    try:
        return from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise RequestInvalid(f"the body is not JSON: {error}", where="body", repair="send a JSON text") from error


def is_signed(request: Request) -> bool:
    """Return whether a request was let in because of its signature."""
    return bool(request.scope.get(SIGNED))


def fields_of(body: object, *, required: Sequence[str] = (), optional: Sequence[str] = ()) -> Mapping[str, Any]:
    """Return a body that is a JSON object with these fields.

    Raises:
        InputError: It is something else.
    """
    if not isinstance(body, dict):
        names = ", ".join(f'"{name}": …' for name in (*required, *optional))
        raise InputError("the body is not a JSON object", where="body", repair=f"send {{{names}}}")
    known = (*required, *optional)
    for name in body:
        if name not in known:
            raise InputError(f"unknown field {name!r}", where=f"body, {name}", repair=did_you_mean(name, known))
    for name in required:
        if name not in body:
            raise InputError(f"{name} is missing", where="body", repair=f'add "{name}"')
    return body


def text_in(body: Mapping[str, Any], name: str) -> str | None:
    """Return a text field of a body; None if it is missing or null."""
    found = body.get(name)
    if found is None or isinstance(found, str):
        return found
    raise InputError(f"{name} is not a text", where=f"body, {name}", repair=f'write "{name}": "…"')


def flag_in(body: Mapping[str, Any], name: str) -> bool:
    """Return true or false of a body; false if it is missing or null."""
    found = body.get(name)
    if found is None or isinstance(found, bool):
        return bool(found)
    raise InputError(f"{name} is not true or false", where=f"body, {name}", repair=f'write "{name}": true')


def delivery_of(request: Request) -> str | None:
    """Return the key that is the same when a request is sent again; None if it has none.

    It is `Idempotency-Key`, the `webhook-id` of Standard Webhooks, or the `X-GitHub-Delivery` of GitHub. Who has no
    token but a signed request of somebody else can change what the signature does not cover. So the key of a signed
    request is the `webhook-id` of Standard Webhooks, which it covers, or GitHub's signature of the body.

    Raises:
        InputError: It cannot be a part of the id of a run.
    """
    names: Sequence[str] = ("idempotency-key", "webhook-id", "x-github-delivery")
    if is_signed(request):
        names = ["webhook-id" if "webhook-signature" in request.headers else "x-hub-signature-256"]
    for name in names:
        key = request.headers.get(name)
        if key is not None:
            key = key.strip().removeprefix('"').removesuffix('"').removeprefix("sha256=")
            if not is_tag(key) or any(map(str.isspace, key)):
                repair = "use 1 to 100 printable characters without blanks, such as a UUID"
                raise InputError(f"{key!r} cannot be a key", where=f"header {name}", repair=repair)
            return key
    return None


__all__ = [
    "SIGNED",
    "NotAuthorized",
    "Parameters",
    "RequestInvalid",
    "ServiceFailed",
    "delivery_of",
    "fields_of",
    "flag_in",
    "is_signed",
    "json_body",
    "text_in",
]

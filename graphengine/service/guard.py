"""The guard in front of every request: it needs the token, or the signature of a webhook, and a body of limited size.

A browser sends neither by itself, so a page of another site can do nothing here. A signature only starts runs.
"""

from __future__ import annotations

import asyncio
import re
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from starlette.datastructures import Headers

from graphengine.history.json_document import error_document
from graphengine.service.requests import SIGNED, NotAuthorized, RequestInvalid
from graphengine.service.signatures import has_signature, is_signed
from graphengine.web.messages import BODY_BYTES, body_of, is_same, replayed, send_json, with_headers

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

_OPEN: Final = "/health"
_STARTS: Final = re.compile(r"/graphs/[^/]+/runs")
_BODY_SECONDS: Final = 30.0
_HEADERS: Final = ((b"x-content-type-options", b"nosniff"),)


@dataclass(frozen=True, slots=True)
class Access:
    """Who can use a service.

    Attributes:
        token: What `Authorization: Bearer …` must have.
        webhook_key: The key of webhooks' signatures; None if signatures are not accepted.
        body_bytes: The largest body of a request.
    """

    token: str = field(repr=False)
    webhook_key: bytes | None = field(default=None, repr=False)
    body_bytes: int = BODY_BYTES


class Guard:
    """An ASGI application that passes on the requests it lets through."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or pass it on."""
        send = with_headers(send, _HEADERS)
        try:
            body = await self._let_in(scope, receive)
        except (NotAuthorized, RequestInvalid) as error:
            headers = [(b"www-authenticate", b"Bearer")] if error.status == NotAuthorized.status else []
            await send_json(send, error.status, error_document(error), headers)
            return
        await self._app(scope, replayed(body, receive), send)

    async def _let_in(self, scope: Scope, receive: Receive) -> bytes:
        """Return the body of a request.

        Raises:
            NotAuthorized, RequestInvalid: The request is refused.
        """
        headers, path, method = Headers(scope=scope), scope["path"], scope["method"]
        if path == _OPEN:
            return b""
        key = self._access.webhook_key
        if "authorization" in headers or key is None or not has_signature(headers):
            self._check_token(headers.get("authorization"))
            return await self._body(headers, receive) if method not in ("GET", "HEAD") else b""
        if method != "POST" or _STARTS.fullmatch(path) is None:
            message = "a signature only starts runs: POST /graphs/GRAPH/runs"
            raise NotAuthorized(message, where=path, repair="send the token for anything else")
        body = await self._body(headers, receive)
        if not is_signed(headers, body, key, time.time()):
            repair = "compare the secret of the sender with that of this service, and their clocks"
            raise NotAuthorized("the signature does not fit the body", where=path, repair=repair)
        scope[SIGNED] = True
        return body

    def _check_token(self, given: str | None) -> None:
        scheme, _, token = (given or "").partition(" ")
        where, repair = "header Authorization", "send Authorization: Bearer TOKEN, with the token of this service"
        if scheme.lower() != "bearer":
            raise NotAuthorized("the request has no token", where=where, repair=repair)
        if not is_same(token.strip(), self._access.token):
            raise NotAuthorized("this is not the token of this service", where=where, repair=repair)

    async def _body(self, headers: Headers, receive: Receive) -> bytes:
        most, declared = self._access.body_bytes, headers.get("content-length", "")
        size = int(declared) if declared.isdecimal() else None
        repair = "send less, or start the service with a larger --body-bytes"
        too_large = RequestInvalid(f"the body has more than {most} bytes", status=413, where="body", repair=repair)
        if size is not None and size > most:
            raise too_large
        try:
            async with asyncio.timeout(_BODY_SECONDS):
                body = await body_of(receive, most)
        except TimeoutError:
            text = f"the body did not arrive within {_BODY_SECONDS:g} seconds"
            raise RequestInvalid(text, status=408, where="body", repair="send it again") from None
        if len(body) > most:
            raise too_large
        if size is not None and len(body) != size:
            raise RequestInvalid("the body is not complete", where="body", repair="send it again")
        return body


__all__ = ["Access", "Guard"]

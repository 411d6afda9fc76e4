"""Check every request before it is served: a service asks for its token, a local page for its cookie.

Two kinds of servers have different enemies:

`TokenAccess`, for a service: anybody may reach its port. A request needs the token, or the signature of a webhook,
which only starts runs. A browser sends neither by itself, so a page of another site can do nothing here.

`PageAccess`, for a local page: any program and any web page on this machine can send requests to a local port. So:

1. Only connections from this machine are served, and only requests that name this server by a local name: a foreign
   name that resolves to 127.0.0.1 (DNS rebinding) is refused.
2. Data needs a cookie, which the page gets in exchange for the token in the URL's fragment. A fragment is in no
   request, log or `Referer`. The cookie is not sent along with requests from other sites, and scripts cannot read it.
3. A write also needs this server's `Origin`, a header that a form of another site cannot set, and JSON.
4. The page may load and run only files of this server, so that a text that reached the page as HTML would do nothing.
"""

from __future__ import annotations

import asyncio
import json
import re
import secrets
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from typing import TYPE_CHECKING, ClassVar, Final

from starlette.datastructures import Headers

from graphengine.serve.messages import (
    BODY_BYTES,
    NotAuthorized,
    RequestInvalid,
    body_of,
    is_same,
    json_answer,
    refused,
    replayed,
    with_headers,
)
from graphengine.serve.signatures import has_signature, is_signed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.responses import Response
    from starlette.types import ASGIApp, Receive, Scope, Send

SIGNED: Final = "graphengine.signed"
"""In the scope of a request: it was let in because of its signature, not of a token."""
SESSION: Final = "/api/session"
"""Where a page swaps the token for the cookie, and learns whether it has one."""

PAGES: Final = "/pages/"
"""Where a service has the files of a front end."""

_READS: Final = ("GET", "HEAD")
_BODY_SECONDS: Final = 30.0
_STARTS: Final = re.compile(r"/graphs/[^/]+/runs")
_LOCAL: Final = ("127.0.0.1", "::1")
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
_NO_SNIFFING: Final = (b"x-content-type-options", b"nosniff")
_PAGE_HEADERS: Final = (
    (b"content-security-policy", _POLICY.encode()),
    _NO_SNIFFING,
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
)


class Access(ABC):
    """Who can use a server.

    Attributes:
        body_bytes: The largest body of a request.
        send_less: The repair for a larger one.
        headers: Headers of every answer.
    """

    body_bytes: int = BODY_BYTES
    send_less: ClassVar[str] = "send less"
    headers: ClassVar[Sequence[tuple[bytes, bytes]]] = (_NO_SNIFFING,)

    @abstractmethod
    def check(self, scope: Scope, headers: Headers) -> None:
        """Check a request before its body is read.

        Raises:
            NotAuthorized, RequestInvalid: It is refused.
        """

    @abstractmethod
    def answer(self, scope: Scope, headers: Headers, body: bytes) -> Response | None:
        """Check the body of a request; return the answer if it is a request of the guard's own, else None.

        Raises:
            NotAuthorized, RequestInvalid: It is refused.
        """


class AccessMiddleware:
    """An ASGI application that passes on the requests it lets through."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or pass it on."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        send, headers, body = with_headers(send, self._access.headers), Headers(scope=scope), b""
        try:
            self._access.check(scope, headers)
            answer = None
            if scope["method"] not in _READS:
                body = await self._body(headers, receive)
                answer = self._access.answer(scope, headers, body)
        except (NotAuthorized, RequestInvalid) as error:
            answer = refused(error)
            if error.status == NotAuthorized.status:
                answer.headers["WWW-Authenticate"] = "Bearer"
        if answer is not None:
            await answer(scope, receive, send)
        else:
            await self._app(scope, receive if scope["method"] in _READS else replayed(body, receive), send)

    async def _body(self, headers: Headers, receive: Receive) -> bytes:
        most, declared = self._access.body_bytes, headers.get("content-length", "")
        size = int(declared) if declared.isdecimal() else None
        message = f"the body has more than {most} bytes"
        too_large = RequestInvalid(message, status=413, where="body", repair=self._access.send_less)
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


@dataclass(frozen=True)
class TokenAccess(Access):
    """A service that anybody may reach.

    Attributes:
        token: What `Authorization: Bearer …` must have.
        webhook_key: The key of webhooks' signatures; None if signatures are not accepted.
        body_bytes: The largest body of a request.
        has_pages: Whether the files below `PAGES` are read without the token: pages get it in the URL's fragment.
    """

    token: str = field(repr=False)
    webhook_key: bytes | None = field(default=None, repr=False)
    body_bytes: int = BODY_BYTES
    has_pages: bool = False
    send_less: ClassVar[str] = "send less, or start the service with a larger --body-bytes"

    def check(self, scope: Scope, headers: Headers) -> None:
        """Check the token of a request that has no signature; to read /health, or pages, needs none."""
        is_page = self.has_pages and scope["path"].startswith(PAGES)
        if (scope["path"] == "/health" or is_page) and scope["method"] in _READS:
            return
        if not self._is_by_signature(headers):
            scheme, _, token = headers.get("authorization", "").partition(" ")
            where, repair = "header Authorization", "send Authorization: Bearer TOKEN, with the token of this service"
            if scheme.lower() != "bearer":
                raise NotAuthorized("the request has no token", where=where, repair=repair)
            if not is_same(token.strip(), self.token):
                raise NotAuthorized("this is not the token of this service", where=where, repair=repair)
        elif scope["method"] != "POST" or _STARTS.fullmatch(scope["path"]) is None:
            message = "a signature only starts runs: POST /graphs/GRAPH/runs"
            raise NotAuthorized(message, where=scope["path"], repair="send the token for anything else")

    def answer(self, scope: Scope, headers: Headers, body: bytes) -> None:
        """Check the signature of a body."""
        if self.webhook_key is None or not self._is_by_signature(headers):
            return
        if not is_signed(headers, body, self.webhook_key, time.time()):
            repair = "compare the secret of the sender with that of this service, and their clocks"
            raise NotAuthorized("the signature does not fit the body", where=scope["path"], repair=repair)
        scope[SIGNED] = True

    def _is_by_signature(self, headers: Headers) -> bool:
        return self.webhook_key is not None and "authorization" not in headers and has_signature(headers)


class PageAccess(Access):
    """A page that is served to this machine only.

    Args:
        port: The port of the server.
        token: The token in the URL that the user opens.
    """

    headers = _PAGE_HEADERS

    def __init__(self, port: int, token: str) -> None:
        self._hosts = {f"{name}:{port}" for name in ("127.0.0.1", "localhost", "[::1]")}
        self._token = token
        self._cookie = f"graphengine-{port}"  # cookies do not distinguish ports
        self._secret = secrets.token_urlsafe(32)

    def check(self, scope: Scope, headers: Headers) -> None:
        """Check where a request comes from, and its cookie if it asks for data."""
        client, method, path = scope.get("client"), scope["method"], scope["path"]
        given = {name: ", ".join(headers.getlist(name)) for name in headers}  # two headers of one name are neither
        is_post, host = method == "POST", given.get("host", "")
        is_data = path.startswith("/api/") and not (path == SESSION and is_post)
        content, site = given.get("content-type", "").partition(";")[0].strip(), given.get("sec-fetch-site", "none")
        origin = given.get("origin", "").removeprefix("http://")
        has_cookie = self._has_cookie(given.get("cookie", ""))
        checks = (
            (client is None or client[0] not in _LOCAL, 403, "the inspector serves only this machine"),
            (host not in self._hosts, 421, "the inspector does not serve this host"),
            (method not in (*_READS, "POST"), 405, "the method must be GET or POST"),
            (is_post and origin != host, 403, "the request comes from a page of another origin"),
            (is_post and given.get("x-graphengine") != "1", 403, "the header X-Graphengine is missing"),
            (is_post and content != "application/json", 415, "the body is not JSON"),
            (is_data and site not in ("same-origin", "none"), 403, "the request comes from another site"),
            (is_data and not has_cookie, 401, "open the URL that `graphengine inspect` printed"),
        )
        for is_refused, status, why in checks:
            if is_refused:
                raise RequestInvalid(why, status=status)

    def _has_cookie(self, text: str) -> bool:
        """Return whether a Cookie header has this server's cookie."""
        try:
            found = SimpleCookie(text).get(self._cookie)
        except CookieError:
            return False
        return found is not None and is_same(found.value, self._secret)

    def answer(self, scope: Scope, headers: Headers, body: bytes) -> Response | None:  # noqa: ARG002 - as its base
        """Swap the token for the cookie."""
        if scope["path"] != SESSION:
            return None
        try:
            given = json.loads(body)
            token = given.get("token") if isinstance(given, dict) else None
        except (ValueError, RecursionError):
            token = None
        if not isinstance(token, str) or not is_same(token, self._token):
            message = "this is not the token of this inspector; open the URL that `graphengine inspect` printed"
            raise NotAuthorized(message)
        answer = json_answer({})
        answer.headers["Set-Cookie"] = f"{self._cookie}={self._secret}; HttpOnly; SameSite=Strict; Path=/"
        return answer


__all__ = ["PAGES", "SESSION", "SIGNED", "AccessMiddleware", "PageAccess", "TokenAccess"]

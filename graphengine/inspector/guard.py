"""The guard in front of every request: only pages of this server, opened with this server's token, are served.

Any program and any web page on this machine can send requests to a local port. So:

1. Only connections from this machine are served, and only requests that name this server by a local name: a foreign
   name that resolves to 127.0.0.1 (DNS rebinding) is refused.
2. Data needs a cookie, which the page gets in exchange for the token in the URL's fragment. A fragment is in no
   request, log or `Referer`. The cookie is not sent along with requests from other sites, and scripts cannot read it.
3. A write also needs this server's `Origin`, a header that a form of another site cannot set, and JSON.
4. The page may load and run only files of this server, so that a text that reached the page as HTML would do nothing.
"""

from __future__ import annotations

import json
import secrets
from http.cookies import CookieError, SimpleCookie
from typing import TYPE_CHECKING, Final, NamedTuple

from graphengine.web.messages import BODY_BYTES, body_of, is_same, replayed, send_json, with_headers

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

SESSION: Final = "/api/session"
"""Where a page swaps the token for the cookie, and learns whether it has one."""

_LOCAL: Final = ("127.0.0.1", "::1")
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
_HEADERS: Final = (
    (b"content-security-policy", _POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
)


class _Refusal(NamedTuple):
    status: int
    why: str


class Guard:
    """An ASGI application that passes on the requests it lets through.

    Args:
        app: Where they go.
        port: The port of this server.
        token: The token in the URL that the user opens.
    """

    def __init__(self, app: ASGIApp, *, port: int, token: str) -> None:
        self._app = app
        self._hosts = {f"{name}:{port}" for name in ("127.0.0.1", "localhost", "[::1]")}
        self._token = token
        self._cookie = f"graphengine-{port}"  # cookies do not distinguish ports
        self._secret = secrets.token_urlsafe(32)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or pass it on."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        send = with_headers(send, _HEADERS)
        headers: dict[str, str] = {}
        for key, value in scope["headers"]:
            name = key.decode("latin-1")
            headers[name] = (
                f"{headers[name]}, {value.decode('latin-1')}" if name in headers else value.decode("latin-1")
            )
        refusal = self._refusal(scope, headers)
        body = b""
        if refusal is None and scope["method"] == "POST":
            body = await body_of(receive)
            if len(body) > BODY_BYTES:
                refusal = _Refusal(413, f"the body has more than {BODY_BYTES} bytes")
        if refusal is not None:
            await send_json(send, refusal.status, {"error": {"code": "refused", "message": refusal.why}})
        elif scope["path"] == SESSION and scope["method"] == "POST":
            await self._open_session(body, send)
        else:
            await self._app(scope, replayed(body, receive) if scope["method"] == "POST" else receive, send)

    def _refusal(self, scope: Scope, headers: dict[str, str]) -> _Refusal | None:
        """Return the first reason to refuse a request; None if there is none."""
        client, method, path = scope.get("client"), scope["method"], scope["path"]
        is_post, host = method == "POST", headers.get("host", "")
        is_data = path.startswith("/api/") and not (path == SESSION and is_post)
        content, site = headers.get("content-type", "").partition(";")[0].strip(), headers.get("sec-fetch-site", "none")
        origin = headers.get("origin", "").removeprefix("http://")
        unknown = "open the URL that `graphengine inspect` printed"
        checks = (
            (client is None or client[0] not in _LOCAL, _Refusal(403, "the inspector serves only this machine")),
            (host not in self._hosts, _Refusal(421, "the inspector does not serve this host")),
            (method not in ("GET", "HEAD", "POST"), _Refusal(405, "the method must be GET or POST")),
            (is_post and origin != host, _Refusal(403, "the request comes from a page of another origin")),
            (is_post and headers.get("x-graphengine") != "1", _Refusal(403, "the header X-Graphengine is missing")),
            (is_post and content != "application/json", _Refusal(415, "the body is not JSON")),
            (is_data and site not in ("same-origin", "none"), _Refusal(403, "the request comes from another site")),
            (is_data and not self._has_cookie(headers.get("cookie", "")), _Refusal(401, unknown)),
        )
        return next((refusal for is_refused, refusal in checks if is_refused), None)

    def _has_cookie(self, text: str) -> bool:
        """Return whether a Cookie header has this server's cookie."""
        try:
            found = SimpleCookie(text).get(self._cookie)
        except CookieError:
            return False
        return found is not None and is_same(found.value, self._secret)

    async def _open_session(self, body: bytes, send: Send) -> None:
        try:
            given = json.loads(body)
            token = given.get("token") if isinstance(given, dict) else None
        except (ValueError, RecursionError):
            token = None
        if not isinstance(token, str) or not is_same(token, self._token):
            message = "this is not the token of this inspector; open the URL that `graphengine inspect` printed"
            await send_json(send, 401, {"error": {"code": "refused", "message": message}})
            return
        cookie = f"{self._cookie}={self._secret}; HttpOnly; SameSite=Strict; Path=/"
        await send_json(send, 200, {}, [(b"set-cookie", cookie.encode())])

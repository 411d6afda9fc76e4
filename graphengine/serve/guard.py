"""Check every request before it is served: a service asks for its token, a local page for its cookie.

There are two kinds of servers, which must resist different attacks:

`TokenAccess` is for a service, whose port anybody may reach. A request needs the token of the service or of a user, or
the signature of a webhook, which can only start runs. A browser does not send a token by itself, so a page of another
site cannot do anything here. A page whose host name resolves to this machine (DNS rebinding) is also refused because of
its `Origin`, at every door.

`PageAccess` is for a local page. Any program and any web page on this machine can send requests to a local port.
Therefore:

1. Only connections from this machine are served, and only requests that name this server by a local name. A foreign
   name that resolves to 127.0.0.1 (DNS rebinding) is refused.
2. Requests for data need a cookie. The page gets the cookie in exchange for the token in the URL's fragment, which is
   not part of any request, log or `Referer`. Browsers do not send the cookie with requests from other sites, and
   scripts cannot read the cookie.
3. A write also needs this server's `Origin`, a header that a form of another site cannot set, and a JSON body.
4. The page may only load and run files of this server, so a text that is inserted into the page as HTML cannot run
   scripts.

Both determine the caller of a request: see `graphengine.serve.callers`. The rows in `graphengine.serve.routes` list the
credentials that each route accepts. A cookie is only accepted for the rows of the page. On the page's server, the
caller of every other request is `NOBODY`.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import time
from abc import ABC, abstractmethod
from contextlib import ExitStack
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, ClassVar, Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.routing import compile_path

from graphengine.addresses import is_number
from graphengine.errors import GraphEngineError
from graphengine.kernel.extension import clipped
from graphengine.records.whole_characters import with_whole_characters
from graphengine.serve.callers import NOBODY, Caller, acting
from graphengine.serve.connections import RETRY_SECONDS, Shares, most_connections, watched
from graphengine.serve.messages import (
    BODY_BYTES,
    NotAuthorized,
    RequestInvalid,
    body_of,
    is_same,
    json_answer,
    refused,
    with_headers,
)
from graphengine.serve.routes import API, OF_PAGE, SIGNED_IN
from graphengine.serve.signatures import SIGNED, has_signature, is_signed, secret_for

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from starlette.responses import Response
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from graphengine.serve.routes import Endpoint
    from graphengine.serve.users import Users

CALLER: Final = "graphengine.caller"
"""The key in the scope of a request that contains its caller."""
SESSION: Final = "/api/session"
"""The path at which a page exchanges the token for the cookie, and finds out whether it has a cookie."""
SIGN_OUT: Final = "/api/sign_out"
"""The path at which a page deletes its cookie."""

PAGES: Final = "/pages/"
"""The path of a front end's files in a service."""

_READS: Final = ("GET", "HEAD")
_SHOWN: Final = 100
"""The maximum number of characters of a method, a host or an origin that a refusal shows."""
_BODY_SECONDS: Final = 30.0
_OPEN: Final = frozenset(row.path for row in API if "none" in row.credentials)
_SIGNED: Final = tuple(compile_path(row.path)[0] for row in API if "signature" in row.credentials)
_ROWS: Final = [(row, compile_path(row.route)[0]) for row in OF_PAGE if "none" not in row.credentials]
_IN_COOKIES: Final = re.compile(r"[A-Za-z0-9._~+/=-]+")
_STAY_SECONDS: Final = 14 * 86_400
"""How long a browser keeps the cookie if the user wants to stay signed in."""
_KEPT: Final = "graphengine-way-in"
_KEPT_SECONDS: Final = 900
"""How long a browser may stay at an OpenID provider. The cookie `_KEPT` is kept for this time."""
_LOCAL: Final = ("127.0.0.1", "::1")
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
_BY_URL: Final = "open the URL that `graphengine inspect` printed"
_BY_PAGE: Final = "send the request from the inspector's own page"
_AS_JSON: Final = "send JSON with Content-Type: application/json"
_FOR_OTHERS: Final = "start `graphengine inspect --shared --users FILE` to serve other machines"
_NO_HEADER: Final = ("the header X-Graphengine is missing", "send X-Graphengine: 1, as the inspector's own page does")
_WEBHOOK: Final = Caller("webhook", None, frozenset(("start", "read")))
_NO_SNIFFING: Final = (b"x-content-type-options", b"nosniff")
_PAGE_HEADERS: Final = (
    (b"content-security-policy", _POLICY.encode()),
    _NO_SNIFFING,
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
)


class Access(ABC):
    """Decides which requests to a server are accepted. Each kind of server has a subclass.

    Attributes:
        body_bytes: The maximum size of a request's body.
        send_less: The repair in the error message for a larger body.
        headers: Headers that are added to every answer.
        users: The users of the server; None if the server has no users.
    """

    body_bytes: int = BODY_BYTES
    users: Users | None = None
    send_less: ClassVar[str] = "send less"
    headers: ClassVar[Sequence[tuple[bytes, bytes]]] = (_NO_SNIFFING,)

    @abstractmethod
    async def check(self, scope: Scope, headers: Headers) -> Caller:
        """Check the credentials of a request before its body is read, and return the caller.

        Raises:
            GraphEngineError: The request is refused.
        """

    @abstractmethod
    async def answer(self, scope: Scope, headers: Headers, body: bytes) -> Response | None:
        """Check the body of a request, or answer the request if it belongs to the guard, such as a request to sign in.

        Returns:
            The answer of the guard; None if the application must answer.

        Raises:
            NotAuthorized: The request is refused because of its credentials.
            RequestInvalid: The request is refused because of its content.
        """


class AccessMiddleware:
    """An ASGI middleware that checks the credentials of each request before the application gets the request.

    An `Access` contains the rules. The application finds the user who sent the request with `caller()`.
    """

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._access = access
        self._shares = Shares(most_connections())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check a request, and answer it or pass it on to the application.

        A request without valid credentials is refused. Requests that the access rules answer themselves, such as a
        request to sign in, do not reach the application.
        """
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        send, headers, body = with_headers(send, self._access.headers), Headers(scope=scope), b""
        who, answer, holding = NOBODY, None, ExitStack()
        try:
            who = await self._access.check(scope, headers)
            holding.enter_context(self._shares.held(who))  # before the body is read, which may take long
            if scope["method"] not in _READS:
                body = await self._body(headers, receive)
                answer = await self._access.answer(scope, headers, body)
        except GraphEngineError as error:
            answer = refused(error)
            if answer.status_code == NotAuthorized.status:
                answer.headers["WWW-Authenticate"] = "Bearer"
            if answer.status_code == HTTPStatus.TOO_MANY_REQUESTS:
                answer.headers["Retry-After"] = RETRY_SECONDS
        if answer is not None:
            with holding:
                await answer(scope, receive, send)
            return
        body = with_whole_characters(body)
        users = self._access.users if who.name and SIGNED not in scope else None
        ending = send if users is None else _EndingStream(send, users, who)
        with holding, acting(who), watched(body, receive) as receiving:
            scope[CALLER] = who
            try:
                await self._app(scope, receiving, ending)
            except Exception:
                if not (isinstance(ending, _EndingStream) and ending.has_ended):
                    raise

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
            raise RequestInvalid(text, status=408, where="body", repair="send the request again") from None
        if len(body) > most:
            raise too_large
        if size is not None and len(body) != size:
            message = f"the body has {len(body)} bytes, and Content-Length names {size}"
            raise RequestInvalid(message, where="body", repair="send the whole request again")
        return body


class _EndingStream:
    """An ASGI `send` function that ends a stream of events when the user who reads the stream loses access.

    A user loses access when the user is removed or gets other rights, or when the user's token expires. A stream can
    last for days, but it sends at least a heartbeat every few seconds, and the user is checked each time.
    """

    def __init__(self, send: Send, users: Users, who: Caller) -> None:
        self._send, self._users, self._who = send, users, who
        self.has_ended = False

    async def __call__(self, message: Message) -> None:
        """Send a part of an answer to the client. If the client's user has lost access, end the stream instead.

        Raises:
            OSError: The stream was ended. The application sees the same error as if the client had disconnected.
        """
        if message.get("more_body") and not self._users.still_has(self._who):
            self.has_ended = True
            await self._send({"type": "http.response.body"})
            text = f"{self._who.name} is no user any more, has other rights, or a token that is over"
            raise OSError(text)
        await self._send(message)


@dataclass(frozen=True)
class TokenAccess(Access):
    """The access rules of a service whose port anybody may reach. Requests need a token or a webhook's signature.

    Attributes:
        token: The token with all rights; "" if only users have tokens.
        webhook_secret: The secret from which the secrets of webhooks are derived, one for each address; None if
            signatures are not accepted.
        body_bytes: The maximum size of a request's body.
        has_pages: Whether the files below `PAGES` can be read without a token. These pages get the token from the
            fragment of their URL.
        users: The users; None if only the service's own token is accepted.
        origins: The origins (`https://name[:port]`) from which web pages may send requests. Pages of this machine may
            always do so, and pages at the numeric address of the server.
    """

    token: str = field(repr=False)
    webhook_secret: str | None = field(default=None, repr=False)
    body_bytes: int = BODY_BYTES
    has_pages: bool = False
    users: Users | None = None
    origins: frozenset[str] = frozenset()
    send_less: ClassVar[str] = "send less, or start the service with a larger --body-bytes"

    async def check(self, scope: Scope, headers: Headers) -> Caller:
        """Return the caller whose token a request contains.

        Requests to `/health` and for the files of a page need no token. The signature of a webhook is checked later, in
        `answer`, because the signature covers the body.
        """
        origin = headers.get("origin")
        if origin is not None and origin.lower() not in self.origins and not _is_own_page(origin, headers):
            page, host = clipped(origin, _SHOWN), clipped(headers.get("host", "no host"), _SHOWN)
            repair = f"if {page} is a page of yours, start the service with --origin {page}"
            message = f"the service does not accept requests from pages of {page}, or for the host {host}"
            raise RequestInvalid(message, status=403, where="header Origin", repair=repair)
        is_page = self.has_pages and scope["path"].startswith(PAGES)
        if (scope["path"] in _OPEN or is_page) and scope["method"] in _READS:
            return NOBODY
        if not self._is_by_signature(headers):
            return await caller_of(headers, self.token, self.users)
        if scope["method"] != "POST" or not any(each.match(scope["path"]) for each in _SIGNED):
            message = "a request that is signed can only start runs, by POST /graphs/GRAPH/runs"
            raise NotAuthorized(message, where=scope["path"], repair="send the token, which allows other requests")
        return _WEBHOOK

    async def answer(self, scope: Scope, headers: Headers, body: bytes) -> None:
        """Check the signature of a request, if a sender of webhooks has signed it.

        The check needs the whole body, because the signature covers the body.

        Raises:
            NotAuthorized: The signature does not fit the body at this address.
        """
        if self.webhook_secret is None or not self._is_by_signature(headers):
            return
        query = scope["query_string"].decode("latin-1")
        if not is_signed(headers, body, secret_for(self.webhook_secret, scope["path"], query), time.time()):
            repair = (
                "give the sender the secret that `graphengine webhook-secret` prints for this address, and compare "
            )
            repair += "the clocks of both machines"
            message = "the signature does not match the body and the address of the request"
            raise NotAuthorized(message, where=scope["path"], repair=repair)
        scope[SIGNED] = True

    def _is_by_signature(self, headers: Headers) -> bool:
        return self.webhook_secret is not None and "authorization" not in headers and has_signature(headers)


def _is_own_page(origin: str, headers: Headers) -> bool:
    """Return whether the page that sent a request was loaded from this machine or from this server.

    This is the case if both the page and the server have a local name, such as `localhost`, or if the page has the same
    numeric address and port as the server. A page of another site could otherwise use a name that it lets point to this
    server.
    """
    try:
        page, here = urlsplit(origin), urlsplit(f"//{headers.get('host', '')}")
        names = page.hostname or "", here.hostname or ""
    except ValueError:
        return False
    if page.scheme not in ("http", "https"):
        return False
    is_address = page.netloc.lower() == here.netloc.lower() and is_number(names[0])
    return is_address or all(name in (*_LOCAL, "localhost") for name in names)


async def caller_of(headers: Headers, token: str, users: Users | None) -> Caller:
    """Return the caller to whom the token in the `Authorization` header belongs.

    Raises:
        NotAuthorized: The request has no token, or its token is unknown or invalid.
    """
    scheme, _, sent_token = headers.get("authorization", "").partition(" ")
    where, repair = "header Authorization", "send Authorization: Bearer TOKEN, with the token of this service"
    if scheme.lower() != "bearer":
        raise NotAuthorized("the request has no token", where=where, repair=repair)
    found = await known(sent_token.strip(), token, users)
    if found is None:
        repair += " or of a user" if users is not None else ""
        raise NotAuthorized("the token of the request is not valid for this service", where=where, repair=repair)
    return found


async def known(given: str, token: str, users: Users | None) -> Caller | None:
    """Return the caller to whom a token belongs; None if the token is unknown.

    Args:
        given: The token of a request.
        token: The token of the server; "" if the server has none.
        users: The users of the server.

    Raises:
        NotAuthorized: The token is an invalid token of an OpenID provider.
    """
    if token and is_same(given, token):
        return Caller("")
    return None if users is None else await users.caller_of(given)


class PageAccess(Access):
    """The access rules of an inspector page that is served only to this machine.

    Args:
        port: The port of the server.
        token: The token in the URL that the user opens.
    """

    headers = _PAGE_HEADERS
    _schemes: ClassVar[Sequence[str]] = ("http",)
    _way_in: ClassVar[tuple[str, str]] = ("this browser has not signed in", _BY_URL)
    _unknown: ClassVar[tuple[str, str]] = ("this is not the token of this inspector", _BY_URL)

    def __init__(self, port: int, token: str) -> None:
        self._hosts = {f"{name}:{port}" for name in ("127.0.0.1", "localhost", "[::1]")}
        self._token = token
        self._cookie = f"graphengine-{port}"  # the port is part of the name, because cookies do not distinguish ports
        self._secret = hashlib.sha256(f"cookie {token}".encode()).hexdigest()  # the same after a restart

    async def check(self, scope: Scope, headers: Headers) -> Caller:
        """Check a request to the page before its body is read, and return the caller.

        The checks find out whether the request comes from this page and not from another site. If the request asks for
        data, the caller is found by the cookie.
        """
        client, method = scope.get("client"), scope["method"]
        # A header that is sent twice is joined, so that it matches no allowed value.
        joined = {name: ", ".join(headers.getlist(name)) for name in headers}
        is_post, host = method == "POST", joined.get("host", "")
        row = _row_of(scope)
        is_data = row is not None and "cookie" in row.credentials
        content, site = joined.get("content-type", "").partition(";")[0].strip(), joined.get("sec-fetch-site", "none")
        is_own = joined.get("origin", "") in [f"{scheme}://{host}" for scheme in self._schemes]
        checks = (
            *self._of_place(client, host),
            (method not in (*_READS, "POST"), 405, f"the method is {clipped(method, _SHOWN)}", "use GET or POST"),
            (is_post and not is_own, 403, "the request comes from a page of another origin", _BY_PAGE),
            (is_post and joined.get("x-graphengine") != "1", 403, *_NO_HEADER),
            (is_post and content != "application/json", 415, "the body is not JSON", _AS_JSON),
            (is_data and site not in ("same-origin", "none"), 403, "the request comes from another site", _BY_PAGE),
        )
        for is_refused, status, why, repair in checks:
            if is_refused:
                raise RequestInvalid(why, status=status, repair=repair)
        if not is_data:
            return NOBODY
        found = await self._caller_of(_cookie_of(joined.get("cookie", ""), self._cookie))
        if found is None:
            message, repair = self._way_in
            raise RequestInvalid(message, status=401, repair=repair)
        return found

    def _of_place(self, client: tuple[str, int] | None, host: str) -> Sequence[tuple[bool, int, str, str]]:
        """Return checks that refuse a request which comes from another machine, or names another host than this server.

        Each check is a tuple: whether the request is refused, the HTTP status, the reason, and the repair.
        """
        return (
            (client is None or client[0] not in _LOCAL, 403, "the inspector serves only this machine", _FOR_OTHERS),
            (host not in self._hosts, 421, f"the inspector does not serve the host {clipped(host, _SHOWN)!r}", _BY_URL),
        )

    async def _caller_of(self, cookie: str) -> Caller | None:
        """Return the caller to whom a cookie belongs; None if the cookie is unknown."""
        return Caller("") if is_same(cookie, self._secret) else None

    async def _cookie_for(self, token: str) -> str | None:
        """Return the value of the cookie for a token; None if the token is not valid."""
        return self._secret if is_same(token, self._token) else None

    async def answer(self, scope: Scope, headers: Headers, body: bytes) -> Response | None:
        """Answer a request to sign in or to sign out; return None for any other request.

        Signing in exchanges the token in the body for a cookie. Signing out removes the cookie.
        """
        if scope["path"] == SIGN_OUT:
            return self._keep_cookie("", headers, 0)
        if scope["path"] != SESSION:
            return None
        try:
            decoded = json.loads(body)
        except (ValueError, RecursionError):
            decoded = None
        return await self._answer_sign_in(decoded if isinstance(decoded, dict) else {}, headers)

    async def _answer_sign_in(self, given: Mapping[str, Any], headers: Headers) -> Response:
        """Answer a request to sign in, which sends the token from the page's URL, by setting the cookie.

        A `state` in the body means that an OpenID provider has signed the user in. Only `SharedPageAccess` accepts such
        a body.
        """
        token, stays = None if "state" in given else given.get("token"), given.get("stay") is True
        cookie = await self._cookie_for(token) if isinstance(token, str) else None
        if cookie is None:
            raise NotAuthorized(self._unknown[0], repair=self._unknown[1])
        return self._keep_cookie(cookie, headers, _STAY_SECONDS if stays else None)

    def _keep_cookie(self, cookie: str, headers: Headers, seconds: int | None) -> Response:
        """Return an empty answer that sets the sign-in cookie of the page.

        Args:
            cookie: The value of the cookie.
            headers: The headers of the request.
            seconds: How long the browser keeps the cookie; 0 removes it. None keeps it until the browser is closed.
        """
        answer = json_answer({})
        _set_cookie(answer, headers, f"{self._cookie}={cookie}", seconds)
        return answer


def _row_of(scope: Scope) -> Endpoint | None:
    """Return the entry of the endpoint that a request asks for, from the table of all endpoints of the page's server.

    The result is None if the table has no such endpoint. For example, it has no endpoint to sign in, because the access
    rules answer such a request themselves.
    """
    method, path = "GET" if scope["method"] in _READS else scope["method"], scope["path"]
    return next((row for row, places in _ROWS if row.method == method and places.match(path)), None)


def _cookie_of(text: str, wanted: str) -> str:
    for each in text.split(";"):
        name, _, value = each.strip().partition("=")
        if name == wanted and _IN_COOKIES.fullmatch(value):
            return value
    return ""


def _set_cookie(answer: Response, headers: Headers, cookie: str, seconds: int | None, path: str = "/") -> None:
    secure = "; Secure" if headers.get("origin", "").startswith("https:") else ""
    age = "" if seconds is None else f"; Max-Age={seconds}"
    answer.headers.append("Set-Cookie", f"{cookie}; HttpOnly; SameSite=Strict; Path={path}{age}{secure}")


class SharedPageAccess(PageAccess):
    """The access rules of an inspector page for users on other machines, behind a proxy that adds TLS.

    Users sign in with their tokens. The cookie contains the token, so that every process behind the proxy accepts the
    cookie, and so that the cookie becomes invalid together with the token.

    There are two other ways to sign in:

    - A proxy that signs users in can send the header `Authorization` instead of the cookie.
    - An OpenID provider can sign users in. The page asks this server for the provider's address. The provider leads the
      browser back to `SIGNED_IN`, and the page exchanges the parameters of this address for the cookie.

    The host name of a request is the proxy's name, which this server does not know. It need not be checked: a page of
    another site has no cookie for this host, even if its name resolves to this server.

    Args:
        port: The port of the server.
        users: The users.
    """

    _schemes = ("http", "https")
    _way_in = ("sign in with your token", "those who run this server make one: graphengine users add NAME")
    _unknown = ("this token is not known here, or is over", _way_in[1])

    def __init__(self, port: int, users: Users) -> None:
        super().__init__(port, "")
        self._cookie = "graphengine"  # one cookie for all processes behind the proxy's name
        self.users = self._users = users

    async def check(self, scope: Scope, headers: Headers) -> Caller:
        """Return the caller of a request to the shared page.

        The caller is found by the token in the `Authorization` header, if the request has this header, otherwise by the
        cookie.
        """
        row = _row_of(scope)
        if "authorization" not in headers or row is None or "token" not in row.credentials:
            return await super().check(scope, headers)
        if (scope["method"] not in _READS) and headers.get("x-graphengine") != "1":
            why, repair = _NO_HEADER
            raise RequestInvalid(why, status=403, repair=repair)
        return await caller_of(headers, "", self._users)

    def _of_place(self, client: tuple[str, int] | None, host: str) -> Sequence[tuple[bool, int, str, str]]:
        del client, host
        return ()

    async def _caller_of(self, cookie: str) -> Caller | None:
        return await known(cookie, "", self._users) if cookie else None

    async def _answer_sign_in(self, given: Mapping[str, Any], headers: Headers) -> Response:
        provider, back = self._users.signs_in, f"{headers.get('origin', '')}{SIGNED_IN}"
        is_begun = "state" in given
        if provider is None or (not is_begun and "token" in given):
            return await super()._answer_sign_in(given, headers)
        if not is_begun:
            address, kept = await provider.way_in(back)
            answer = json_answer({"address": address})
            _set_cookie(answer, headers, f"{_KEPT}={kept}", _KEPT_SECONDS, SESSION)
            return answer
        token, until = await provider.signed_in(given, _cookie_of(headers.get("cookie", ""), _KEPT), back)
        if _IN_COOKIES.fullmatch(token) is None:
            raise NotAuthorized(self._unknown[0], repair=self._unknown[1])
        answer = self._keep_cookie(token, headers, max(int(until - time.time()), 0))
        _set_cookie(answer, headers, f"{_KEPT}=", 0, SESSION)
        return answer

    async def _cookie_for(self, token: str) -> str | None:
        is_fit = _IN_COOKIES.fullmatch(token) is not None
        return token if is_fit and await known(token, "", self._users) is not None else None


__all__ = [
    "CALLER",
    "PAGES",
    "SESSION",
    "SIGN_OUT",
    "AccessMiddleware",
    "PageAccess",
    "SharedPageAccess",
    "TokenAccess",
]

"""The protocol of a site that posts are published on, and what its adapters over HTTP share.

Most services do not know idempotency keys. A post is therefore created as a draft with a name made of the key, looked
up by that name, and only then published: a draft that a dead process left, or that arrives late, is never visible.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from typing import TYPE_CHECKING, Any, Final, Protocol

from graphengine.briefs.web.search import client_library, trusted
from graphengine.errors import GraphEngineError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from graphengine.briefs.publishing.post import Post, Published, Site

TIMEOUT_SECONDS: Final = 30.0
MARK_CHARACTERS: Final = 12
_SLUG_CHARACTERS: Final = 60
_CLIENT_ERROR, _BUSY, _SERVER_ERROR = 400, 429, 500
_OURS: Final = frozenset(["localhost", "127.0.0.1", "::1"])


class PublishFailed(GraphEngineError):
    """A site refused a post, or cannot be used as it is configured. Nothing is published, and a retry does not help."""

    code = "publish_failed"


class PublishUnavailable(GraphEngineError, ConnectionError):
    """A site did not answer, or not now.

    Attributes:
        is_sent: Whether the request may have been carried out.
    """

    code = "publish_unavailable"
    is_sent: bool = True


class Cms(Protocol):
    """A site.

    Attributes:
        finds: Whether a post can be found by its key, so that `put` may be repeated after a crash. If not, the caller
            must not repeat a call whose outcome is unknown; `publish_once` asks a person.
    """

    finds: bool

    async def look(self) -> Site:
        """Return the titles and tags of the site, as far as it names them. May be repeated.

        Raises:
            PublishUnavailable, PublishFailed: It cannot be read.
        """
        ...

    async def put(self, post: Post, key: str) -> Published:
        """Publish a post. If `finds`, calls with one key publish one post, also in parallel and after a kill.

        Args:
            post: The post.
            key: A unique key of this publication, for example a node's `ctx.idempotency_key`.

        Raises:
            PublishUnavailable: It may be tried again; `is_sent` if the post may be there.
            PublishFailed: It is not published.
        """
        ...


def mark_of(key: str) -> str:
    """Return a short name of a key, fit for an address."""
    return hashlib.sha256(key.encode()).hexdigest()[:MARK_CHARACTERS]


def slug_for(title: str, key: str) -> str:
    """Return the name of a post in its address: its title in ASCII, and the mark of its key.

    >>> slug_for("Gezeiten & Über-Fluten", "run/publish/1")
    'gezeiten-uber-fluten-afec80030e6a'
    """
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode().casefold()
    words = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:_SLUG_CHARACTERS].rstrip("-") or "post"
    return f"{words}-{mark_of(key)}"


def checked_address(address: str, name: str) -> str:
    """Return the address of a service without a slash at its end.

    Raises:
        PublishFailed: It is none, or would send a password in clear over a network.
    """
    httpx = client_library()
    try:
        url = httpx.URL(address)
    except httpx.InvalidURL as error:
        raise PublishFailed(f"{name}: {error}", where=address, repair="give an https:// address") from error
    if url.userinfo or not url.host or not (url.scheme == "https" or (url.scheme == "http" and url.host in _OURS)):
        message = f"{name} needs an https:// address without a user in it"
        raise PublishFailed(message, where=address, repair="give an https:// address; secrets are in the environment")
    return address.rstrip("/")


class Service:
    """Calls of one service over HTTP, with errors that never show its address if that holds a secret.

    Args:
        name: Its name in errors.
        base: The beginning of all addresses.
        where: How errors name it.
    """

    def __init__(self, name: str, base: str, where: str = "") -> None:
        self._name = name
        self._base = base
        self._where = where or base

    async def call(  # noqa: PLR0913 - a request
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: object = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        allowed: tuple[int, ...] = (),
    ) -> tuple[int, Any]:
        """Return the status and the JSON of an answer; a status in `allowed` is not an error.

        Raises:
            PublishUnavailable, PublishFailed: As for `Cms`.
        """
        httpx = client_library()
        given = {"json": body} if body is not None else {"content": content}
        try:
            async with httpx.AsyncClient(timeout=TIMEOUT_SECONDS, trust_env=False, verify=trusted(httpx)) as client:
                answer = await client.request(
                    method, self._base + path, params=dict(query or {}), headers=dict(headers or {}), **given
                )
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise self.unavailable(f"cannot be reached: {type(error).__name__}", is_sent=False) from None
        except httpx.HTTPError as error:
            raise self.unavailable(f"did not answer: {type(error).__name__}", is_sent=True) from None
        status = int(answer.status_code)
        if status < 300 or status in allowed:  # noqa: PLR2004 - successes
            return status, _json(answer)
        if status == _BUSY or status >= _SERVER_ERROR:
            raise self.unavailable(f"answered with status {status}", is_sent=status >= _SERVER_ERROR)
        raise self.failed(status, _json(answer))

    def unavailable(self, what: str, *, is_sent: bool) -> PublishUnavailable:
        """Return the error of a service that does not answer now."""
        error = PublishUnavailable(f"{self._name} {what}", where=self._where, repair="resume the run later")
        error.is_sent = is_sent
        return error

    def failed(self, status: int, found: Any) -> PublishFailed:  # noqa: ANN401 - any JSON
        """Return the error of a refusal, with the service's own words."""
        said = _said(found)
        message = f"{self._name} refused with status {status}" + (f": {said}" if said else "")
        repairs = {401: "check its password or key", 403: "give its user the right to publish"}
        repair = repairs.get(status, "fix what it names, then resume the run")
        if status < _CLIENT_ERROR:
            repair = "name the address that it redirects to"
        return PublishFailed(message, where=self._where, repair=repair)


def _json(answer: Any) -> Any:  # noqa: ANN401 - any JSON
    try:
        return answer.json()
    except ValueError:
        return None


def _said(found: Any) -> str:  # noqa: ANN401 - any JSON
    """Return the message of an error: `message`, `description`, or that of the first of `errors`."""
    if not isinstance(found, dict):
        return ""
    errors = found.get("errors")
    if isinstance(errors, list) and errors:
        return _said(errors[0])
    return str(found.get("message") or found.get("description") or "")[:300]


__all__ = ["Cms", "PublishFailed", "PublishUnavailable", "Service", "checked_address", "mark_of", "slug_for"]

"""Fetching pages: within limits, as robots.txt allows, and never from a private network.

A page is refused if its address, or that of a redirect, is not public: a model that reads hostile pages must not reach
the services of this machine or network. The connection is made to the address that was checked, so that a second answer
of the name server cannot change it.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from typing import TYPE_CHECKING, Any, Final, Self
from urllib.parse import unquote, urlsplit
from urllib.robotparser import RobotFileParser

from pydantic import ValidationError

from graphengine.agents.sources.document_process import DocumentProcess
from graphengine.agents.sources.kinds import read_bytes
from graphengine.briefs.web.search import TIMEOUT_SECONDS, client_library, trusted
from graphengine.errors import GraphEngineError, SourceUnreadable
from graphengine.media import Media, TextFile

if TYPE_CHECKING:
    from collections.abc import Collection
    from types import TracebackType

AGENT: Final = "graphengine"
MOST_BYTES: Final = 5_000_000
MOST_MEDIA_BYTES: Final = 20_000_000
MOST_CHARACTERS: Final = 200_000  # of the text of a page; the rest is left out
MOST_REDIRECTS: Final = 5
ROBOTS_BYTES: Final = 500_000
_ENDINGS: Final = {
    "text/html": ".html",
    "application/xhtml+xml": ".html",
    "application/pdf": ".pdf",
    "text/csv": ".csv",
    "text/plain": ".txt",
    "text/markdown": ".md",
    "text/x-markdown": ".md",
}
_SCHEMES: Final = ("http", "https")
_GLOBAL_UNICAST: Final = ipaddress.IPv6Network("2000::/3")
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
_CLIENT_ERROR, _SERVER_ERROR = 400, 500


class PageRefused(GraphEngineError):
    """A page that is not fetched: private, forbidden by robots.txt, too large, unreadable, or not there."""

    code = "page_refused"


class Web:
    """Fetches pages; each at most once in its life.

    Args:
        private: Hosts to fetch from although their addresses are private, for a server of your own.
    """

    def __init__(self, private: Collection[str] = ()) -> None:
        self._private = frozenset(private)
        self._pages: dict[str, TextFile] = {}
        self._robots: dict[str, RobotFileParser] = {}
        self._client: Any = None

    async def __aenter__(self) -> Self:
        """Open the client."""
        httpx = client_library()
        unshared = httpx.Limits(max_keepalive_connections=0)  # hosts of one number must not share a connection
        self._client = httpx.AsyncClient(
            timeout=TIMEOUT_SECONDS, follow_redirects=False, trust_env=False, limits=unshared, verify=trusted(httpx)
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the client."""
        await self._client.aclose()

    async def fetch(self, url: str) -> TextFile:
        """Return a page as a text whose path is its address, HTML as Markdown.

        Raises:
            PageRefused: It cannot be fetched, or must not be.
        """
        if url not in self._pages:
            kind, content = await self._fetched(url, MOST_BYTES)
            with DocumentProcess() as process:  # ends what the thread reads, should this be cancelled
                self._pages[url] = await asyncio.to_thread(_text, url, kind, content, process)
        return self._pages[url]

    async def media(self, url: str) -> Media:
        """Return a picture, a PDF document or a piece of sound, named after the last part of its address.

        A node or `ctx.step` that returns it fetches it once: the run records it, and models are sent what was there.

        Raises:
            PageRefused: It cannot be fetched, must not be, or is something else.
        """
        _, content = await self._fetched(url, MOST_MEDIA_BYTES)
        try:
            return Media(data=content, name=unquote(urlsplit(url).path.rpartition("/")[2]))
        except ValidationError as error:
            repair = "name a PNG, JPEG, GIF, WebP, PDF, WAV or MP3 file"
            raise PageRefused("it is not a picture, document or sound", where=url, repair=repair) from error

    async def _fetched(self, url: str, most_bytes: int) -> tuple[str, bytes]:
        """Return the type and the content at an address."""
        at = url
        for _ in range(MOST_REDIRECTS + 1):
            await self._check_robots(at)
            status, headers, content = await self._get(at, most_bytes)
            if "location" in headers and status // 100 == 3:  # noqa: PLR2004 - the class of redirects
                at = str(_address(headers["location"], at))
                continue
            if status >= _CLIENT_ERROR:
                raise PageRefused(f"the server answered with status {status}", where=at, repair="name another page")
            return headers.get("content-type", ""), content
        raise PageRefused(f"it redirects more than {MOST_REDIRECTS} times", where=url, repair="name another page")

    async def _get(self, url: str, most_bytes: int) -> tuple[int, dict[str, str], bytes]:
        """Return status, headers and content of one answer, without following redirects."""
        httpx = client_library()
        target, extensions, host = await self._checked(url)
        headers = {"User-Agent": f"{AGENT} (durable-graphengine)", "Host": host}
        try:
            async with (
                asyncio.timeout(TIMEOUT_SECONDS),
                self._client.stream("GET", target, headers=headers, extensions=extensions) as answer,
            ):
                content = b""
                async for piece in answer.aiter_bytes():
                    content += piece
                    if len(content) > most_bytes:
                        message = f"it has more than {most_bytes:,} bytes"
                        raise PageRefused(message, where=url, repair="name another page")
                return answer.status_code, {name.lower(): text for name, text in answer.headers.items()}, content
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
            message = f"it could not be fetched: {type(error).__name__}: {error}"
            raise PageRefused(message, where=url, repair="name another page") from error

    async def _checked(self, url: str) -> tuple[Any, dict[str, str], str]:
        """Return the address to connect to, with the host as a checked number, and the name to ask for.

        Raises:
            PageRefused: The address is not one of the public web.
        """
        parsed = _address(url)
        if parsed.scheme not in _SCHEMES or not parsed.host or parsed.userinfo:
            message = "only http and https addresses without a user are fetched"
            raise PageRefused(message, where=url, repair="name a page of the web")
        port = parsed.port or {"http": 80, "https": 443}[parsed.scheme]
        try:
            found = await asyncio.get_running_loop().getaddrinfo(parsed.host, port, type=socket.SOCK_STREAM)
        except (OSError, ValueError) as error:  # UnicodeError: a label is empty or too long
            raise PageRefused(f"there is no host {parsed.host}", where=url, repair="name another page") from error
        numbers = [str(each[4][0]) for each in found]
        if parsed.host not in self._private and not all(is_public(number) for number in numbers):
            message = f"{parsed.host} is an address of a private network"
            raise PageRefused(message, where=url, repair="name a page of the public web, or give the file as a source")
        host = parsed.netloc.decode("ascii")
        return parsed.copy_with(host=numbers[0]), {"sni_hostname": parsed.host}, host

    async def _check_robots(self, url: str) -> None:
        """Ask the robots.txt of a host, by RFC 9309: without one all is allowed, on errors nothing.

        Raises:
            PageRefused: It forbids the page.
        """
        parsed = _address(url)
        origin = f"{parsed.scheme}://{parsed.netloc.decode('ascii')}"
        if origin not in self._robots:
            self._robots[origin] = await self._read_robots(origin)
        page = f"{parsed.scheme}://host{parsed.raw_path.decode('ascii')}"  # only the path counts, and a name can be odd
        if not self._robots[origin].can_fetch(AGENT, page):
            raise PageRefused(f"{origin}/robots.txt forbids it", where=url, repair="name another page")

    async def _read_robots(self, origin: str) -> RobotFileParser:
        rules = RobotFileParser()
        status, _, content = await self._get(f"{origin}/robots.txt", ROBOTS_BYTES)
        if status >= _SERVER_ERROR:
            rules.parse(["User-agent: *", "Disallow: /"])
        else:
            is_there = status // 100 == 2  # noqa: PLR2004 - the class of successes
            rules.parse(content.decode("utf-8", "replace").splitlines() if is_there else [])
        return rules


def is_public(number: str) -> bool:
    """Return whether an IP address belongs to the public internet.

    An IPv6 address that carries an IPv4 one is judged by that. Of the others only those are public that the internet
    uses (2000::/3).

    >>> is_public("93.184.216.34"), is_public("127.0.0.1"), is_public("10.0.0.1"), is_public("::ffff:10.0.0.1")
    (True, False, False, False)
    """
    address = ipaddress.ip_address(number.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)
        if address in _NAT64:
            inner = ipaddress.IPv4Address(address.packed[-4:])
        if inner is not None:
            return is_public(str(inner))
        if address not in _GLOBAL_UNICAST:
            return False
    return address.is_global and not address.is_multicast


def _address(url: str, base: str = "") -> Any:  # noqa: ANN401 - a class of the library that is loaded on first use
    """Return an address of httpx, joined to the one of the page that names it."""
    httpx = client_library()
    try:
        return httpx.URL(base).join(url) if base else httpx.URL(url)
    except httpx.InvalidURL as error:
        raise PageRefused(f"it is not an address: {error}", where=url, repair="name a page of the web") from error


def _text(url: str, content_type: str, content: bytes, process: DocumentProcess) -> TextFile:
    kind = content_type.partition(";")[0].strip().lower()
    if kind not in _ENDINGS:
        message = f"it is of the kind {kind or 'unknown'}, which cannot be read"
        raise PageRefused(message, where=url, repair=f"supported: {', '.join(_ENDINGS)}")
    try:
        found = read_bytes(f"page{_ENDINGS[kind]}", content, process)
    except SourceUnreadable as error:
        raise PageRefused(error.message, where=url, repair=error.repair) from error
    return TextFile(path=url, text=found.text[:MOST_CHARACTERS])

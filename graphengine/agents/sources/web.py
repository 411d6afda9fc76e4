"""Pages of the web as sources, and pictures, documents and sound as `Media`: within limits, never of a private network.

An address is refused if its host, or that of a redirect, is not public, so that an address that a model or a stranger
wrote does not reach the services of this machine or network. The connection is made to the number that was checked: a
second answer of the name server cannot change it. Pages are not crawled; models search with tools of their providers.
"""

from __future__ import annotations

import http.client
import io
import ipaddress
import socket
import ssl
import time
from functools import cache
from typing import TYPE_CHECKING, Final, NamedTuple, cast
from urllib.parse import quote, unquote, urljoin, urlsplit

from pydantic import ValidationError

from graphengine.agents.errors import SourceUnreadable
from graphengine.agents.sources.kinds import source_from_bytes
from graphengine.kernel import GraphEngineError
from graphengine.media import Media, TextFile

if TYPE_CHECKING:
    from typing_extensions import Buffer

MAX_PAGE_BYTES: Final = 5_000_000
MAX_MEDIA_BYTES: Final = 20_000_000
MAX_CHARACTERS: Final = 200_000  # of the text of a page; the rest is left out
MAX_REDIRECTS: Final = 5
MAX_SECONDS: Final = 20.0
PRIVATE: Final[set[str]] = set()
"""Hosts that are read although their addresses are private; a test adds its own server."""
_ENDINGS: Final = {
    "text/html": ".html",
    "application/xhtml+xml": ".html",
    "application/pdf": ".pdf",
    "text/csv": ".csv",
    "text/plain": ".txt",
    "text/markdown": ".md",
    "text/x-markdown": ".md",
}
_PIECE_BYTES: Final = 65_536
_IN_ADDRESSES: Final = "%/:?#[]@!$&'()*+,;="  # what is no part of a name, or is encoded already
_PORTS: Final = {"http": 80, "https": 443}
_GLOBAL_UNICAST: Final = ipaddress.IPv6Network("2000::/3")
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
_REDIRECTS: Final = (301, 302, 303, 307, 308)
_CLIENT_ERROR: Final = 400


class PageRefused(GraphEngineError):
    """A page that is not fetched: private, too large, unreadable, or not there."""

    code = "page_refused"


def read_page(url: str) -> TextFile:
    """Return a page as a text whose path is its address, HTML as Markdown. In async code call it in a thread.

    Raises:
        PageRefused: It cannot be fetched or read, or must not be.
    """
    content_type, content = _fetched(url, MAX_PAGE_BYTES)
    kind = content_type.partition(";")[0].strip().lower()
    if kind not in _ENDINGS:
        message = f"it is of the kind {kind or 'unknown'}, which cannot be read"
        raise PageRefused(message, where=url, repair=f"supported: {', '.join(_ENDINGS)}")
    try:
        found = source_from_bytes(f"page{_ENDINGS[kind]}", content)
    except SourceUnreadable as error:
        raise PageRefused(error.message, where=url, repair=error.repair) from error
    return TextFile(path=url, text=found.text[:MAX_CHARACTERS])


def read_media(url: str) -> Media:
    """Return a picture, a PDF document or a piece of sound, named after the last part of its address.

    A node or `ctx.call` that returns it fetches it once: the run records it, and models are sent what was there. In
    async code call it in a thread.

    Raises:
        PageRefused: It cannot be fetched, must not be, or is something else.
    """
    _, content = _fetched(url, MAX_MEDIA_BYTES)
    try:
        return Media(data=content, name=unquote(urlsplit(url).path.rpartition("/")[2]))
    except ValidationError as error:
        repair = "name a PNG, JPEG, GIF, WebP, PDF, WAV or MP3 file"
        raise PageRefused("it is not a picture, document or sound", where=url, repair=repair) from error


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


class _Answer(NamedTuple):
    """What a server answered; `target` is the address to which it redirects."""

    status: int
    content_type: str
    target: str
    content: bytes


def _fetched(url: str, max_bytes: int) -> tuple[str, bytes]:
    """Return the type and the content at an address."""
    at, deadline = url, time.monotonic() + MAX_SECONDS
    for _ in range(MAX_REDIRECTS + 1):
        try:
            answer = _answer(at, max_bytes, deadline)
        except (OSError, http.client.HTTPException, ValueError) as error:
            message = f"it could not be fetched: {type(error).__name__}: {error}"
            raise PageRefused(message, where=at, repair="name another page") from error
        if answer.status in _REDIRECTS and answer.target:
            at = answer.target
            continue
        if answer.status >= _CLIENT_ERROR:
            message = f"the server answered with status {answer.status}"
            raise PageRefused(message, where=at, repair="name another page")
        return answer.content_type, answer.content
    raise PageRefused(f"it redirects more than {MAX_REDIRECTS} times", where=url, repair="name another page")


def _answer(url: str, max_bytes: int, deadline: float) -> _Answer:
    """Return one answer, without following redirects."""
    parsed = urlsplit(url)
    if parsed.scheme not in ("http", "https") or not parsed.hostname or parsed.username is not None:
        message = "only http and https addresses without a user are fetched"
        raise PageRefused(message, where=url, repair="name a page of the web")
    port = parsed.port or _PORTS[parsed.scheme]
    used = socket.create_connection((number_of(url), port), timeout=_left(deadline))
    connection = http.client.HTTPConnection(parsed.hostname, port)
    try:
        if parsed.scheme == "https":
            used = _trusted().wrap_socket(used, server_hostname=parsed.hostname)  # the plain one is empty from here on
        connection.sock = used
        target = parsed._replace(scheme="", netloc="", fragment="", path=parsed.path or "/").geturl()
        host = parsed.netloc.encode("idna").decode()
        headers = {"User-Agent": "graphengine (durable-graphengine)", "Host": host}
        connection.request("GET", quote(target, _IN_ADDRESSES), headers=headers)
        answer = http.client.HTTPResponse(cast("socket.socket", _Until(used, deadline)), method="GET")
        answer.begin()
        content = bytearray()
        while piece := answer.read1(_PIECE_BYTES):
            content += piece
            if len(content) > max_bytes:
                raise PageRefused(f"it has more than {max_bytes:,} bytes", where=url, repair="name another page")
        found = quote(answer.getheader("Location", "").encode("latin-1"), _IN_ADDRESSES)
        target = urljoin(url, found) if found else ""
        return _Answer(answer.status, answer.getheader("Content-Type", ""), target, bytes(content))
    finally:
        connection.close()
        used.close()


class _Until(io.RawIOBase):
    """Reads from a connection until a deadline; a limit on each read would never end a server that sends bit by bit."""

    def __init__(self, used: socket.socket, deadline: float) -> None:
        self._used, self._deadline = used, deadline

    def makefile(self, mode: str) -> io.BufferedReader:  # noqa: ARG002 - as `http.client` calls a socket's
        """Return a file to read from."""
        return io.BufferedReader(self)

    def readable(self) -> bool:
        """Return that it can be read."""
        return True

    def readinto(self, buffer: Buffer) -> int:
        """Read what has arrived.

        Raises:
            TimeoutError: The deadline is over.
        """
        self._used.settimeout(_left(self._deadline))
        return self._used.recv_into(buffer)


def number_of(url: str) -> str:
    """Return the number of the host of an address.

    Raises:
        PageRefused: There is no such host, or it is not one of the public web.
    """
    parsed = urlsplit(url)
    host, port = parsed.hostname or "", parsed.port or _PORTS[parsed.scheme]
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, ValueError) as error:  # UnicodeError: a label is empty or too long
        raise PageRefused(f"there is no host {host}", where=url, repair="name another page") from error
    numbers = [str(each[4][0]) for each in found]
    if host not in PRIVATE and not all(is_public(number) for number in numbers):
        message = f"{host} is an address of a private network"
        repair = "name a page of the public web, or give the file as a source"
        raise PageRefused(message, where=url, repair=repair)
    return numbers[0]


def _left(deadline: float) -> float:
    """Return the seconds that are left.

    Raises:
        TimeoutError: None are.
    """
    if (left := deadline - time.monotonic()) <= 0:
        message = f"it took longer than {MAX_SECONDS:g} seconds"
        raise TimeoutError(message)
    return left


@cache
def _trusted() -> ssl.SSLContext:
    """Return the authorities that the system trusts. Reading them takes 20 ms."""
    return ssl.create_default_context()

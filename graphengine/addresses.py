"""Decide which web addresses the program may call, and call them.

The decision depends on who wrote the address:

- The author or the operator of the program wrote the address in code or settings: it is called without a check, even if
  it is in a private network.
- Anybody else wrote the address, such as a model, a page that redirects, or a user of the service: it is only called if
  its host belongs to the public internet, so that strangers cannot reach the services of this machine or network. The
  connection is made to the IP address that was checked, so a second answer of the name server cannot change the
  destination.
"""

from __future__ import annotations

import io
import ipaddress
import selectors
import socket
import ssl
import time
from functools import cache
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, cast
from urllib.parse import quote, urlsplit

from graphengine.errors import GraphEngineError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from http.client import HTTPResponse

    from typing_extensions import Buffer

PRIVATE: Final[set[str]] = set()
"""Hosts that may be called although their addresses are private. Tests add their own servers."""
QUOTED: Final = "%/:?#[]@!$&'()*+,;="
"""Characters that separate the parts of an address, or that show that a part is already encoded."""
_PORTS: Final = {"http": 80, "https": 443}
_SPECIAL: Final = tuple(
    map(
        ipaddress.ip_network,
        (
            *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
            *("192.0.0.0/24", "192.0.2.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24"),
            *("224.0.0.0/4", "240.0.0.0/4", "2001::/23", "2001:db8::/32", "3fff::/20"),
        ),
    )
)
"""The networks that are not part of the public internet, by IANA's registries of addresses for special purposes.

The exceptions in 192.0.0.0/24 and 2001::/23 are left out, because nobody fetches pages from there. `is_global` of
Python is not used, because its answer for some addresses depends on the release of Python.
"""
_GLOBAL_UNICAST: Final = ipaddress.IPv6Network("2000::/3")
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")


class AddressRefused(GraphEngineError):
    """An address may not be called: it is no http or https address, or a stranger gave a private address."""

    code = "address_refused"


def is_http(url: str) -> bool:
    """Return whether a text is an http or https address with a host.

    >>> is_http("https://example.org/a"), is_http("ftp://example.org"), is_http("http://"), is_http("http://a:b/")
    (True, False, False, False)
    """
    try:
        parts = urlsplit(url)
        return parts.scheme in _PORTS and bool(parts.hostname) and parts.port != 0
    except ValueError:  # the port is not a number, or a bracket is not closed
        return False


def is_number(host: str) -> bool:
    """Return whether a host is an IP address, which no name server has to look up."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def is_public(number: str) -> bool:
    """Return whether an IP address belongs to the public internet.

    If an IPv6 address contains an IPv4 address, the IPv4 address decides. Other IPv6 addresses are public only if they
    belong to 2000::/3, the part that the internet uses.

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
    return not any(address in network for network in _SPECIAL)


def number_of(url: str) -> str:
    """Look up the IP address of a web address that a stranger gave, and make sure that it is public.

    Raises:
        AddressRefused: The address is not an http or https address, contains a user, or its host is not in the public
            internet.
        OSError: The host does not exist.
    """
    if not is_http(url) or "@" in urlsplit(url).netloc:
        text = "the address is not an http or https address, or contains the name of a user"
        repair = "give an address such as https://HOST/PATH"
        raise AddressRefused(text, where=url, repair=repair)
    parsed = urlsplit(url)
    host = parsed.hostname or ""
    try:
        found = socket.getaddrinfo(host, parsed.port or _PORTS[parsed.scheme], type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:  # UnicodeError: a label is empty or too long
        message = f"the host {host!r} cannot be found"
        raise OSError(message) from error
    numbers = [str(each[4][0]) for each in found]
    if host not in PRIVATE and not all(is_public(number) for number in numbers):
        message = f"the host {host!r} is in a private network, which requests must not reach"
        raise AddressRefused(message, where=url, repair="give a public address")
    return numbers[0]


def request(  # noqa: PLR0913 - the parts of a request
    method: str, url: str, headers: Mapping[str, str], body: bytes = b"", *, seconds: float, is_own: bool = False
) -> HTTPResponse:
    """Send an HTTP request and return the response, which the caller reads and closes. Redirects are not followed.

    Args:
        method: The method of the request.
        url: The address to call.
        headers: The headers, without `Host`.
        body: The body.
        seconds: The time limit for the whole exchange, until the last byte of the response is read.
        is_own: Whether the author or the operator of the program gave the address.

    Raises:
        AddressRefused: The address may not be called; see `number_of`.
        OSError: The host does not exist, or there is no connection. Reading the response can raise TimeoutError.
        HTTPException: The response is not HTTP.
    """
    import http.client  # noqa: PLC0415 - code that only checks an address does not need this module

    parsed, deadline = urlsplit(url), time.monotonic() + seconds
    number = (parsed.hostname or "") if is_own else number_of(url)
    port = parsed.port or _PORTS[parsed.scheme]
    connection = http.client.HTTPConnection(parsed.hostname or "", port)
    used = socket.create_connection((number, port), timeout=left(deadline))
    try:
        if parsed.scheme == "https":
            used = _trusted().wrap_socket(used, server_hostname=parsed.hostname, do_handshake_on_connect=False)
            _shake_hands(used, deadline)
        target = parsed._replace(scheme="", netloc="", fragment="", path=parsed.path or "/").geturl()
        host = parsed.netloc.rpartition("@")[2].encode("idna").decode()
        connection.sock = there = cast("socket.socket", _Until(used, deadline))
        connection.request(method, quote(target, QUOTED), body or None, {**headers, "Host": host})
        answer = http.client.HTTPResponse(there, method=method)
        answer.begin()
        while HTTPStatus.CONTINUE < answer.status < HTTPStatus.OK:  # such as 103: the real answer follows
            answer.headers = None  # type: ignore[assignment]  # else `begin` takes it for the answer
            answer.begin()
    except BaseException:
        used.close()
        raise
    return answer


def left(deadline: float) -> float:
    """Return how many seconds are left until the deadline of a request, which is a time of `time.monotonic`.

    Raises:
        TimeoutError: The deadline has passed.
    """
    if (found := deadline - time.monotonic()) <= 0:
        message = "the request took longer than its time limit"
        raise TimeoutError(message)
    return found


class _Until(io.RawIOBase):
    """A connection to a server with one deadline for all reads and writes of a request together.

    A limit on each read would not be enough: a server that sends one byte at a time would never reach it.
    """

    def __init__(self, used: socket.socket, deadline: float) -> None:
        self._used, self._deadline = used, deadline

    def sendall(self, data: Buffer) -> None:
        self._used.settimeout(left(self._deadline))
        self._used.sendall(data)

    def makefile(self, mode: str) -> io.BufferedReader:  # noqa: ARG002 - the signature that `http.client` expects
        return io.BufferedReader(self)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Buffer) -> int:
        self._used.settimeout(left(self._deadline))
        return self._used.recv_into(buffer)

    def close(self) -> None:
        self._used.close()
        super().close()


def _shake_hands(used: ssl.SSLSocket, deadline: float) -> None:
    """Do the TLS handshake of a connection before a deadline.

    The deadline holds even if the server sends its part of the handshake in small pieces.
    """
    used.settimeout(0.0)
    while True:
        try:
            used.do_handshake()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError) as error:
            wants_read = isinstance(error, ssl.SSLWantReadError)
            with selectors.DefaultSelector() as selector:  # `select` cannot watch descriptors above 1,024
                selector.register(used, selectors.EVENT_READ if wants_read else selectors.EVENT_WRITE)
                selector.select(left(deadline))
        else:
            return


@cache
def _trusted() -> ssl.SSLContext:
    """Return the TLS context with which servers are checked: it trusts the certificate authorities of the system.

    The context is cached, because loading it takes 20 ms.
    """
    return ssl.create_default_context()


__all__ = ["PRIVATE", "QUOTED", "AddressRefused", "is_http", "is_number", "is_public", "left", "number_of", "request"]

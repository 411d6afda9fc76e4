"""Addresses of the web: which are called, and how. Who wrote one decides.

- The author or the operator of the program, in its code or its settings: it is called as it is, in a private network
  too.
- Anybody else, such as a model, a page that redirects, or a user of the service: it is called if its host is of the
  public internet, so that it does not reach the services of this machine or network. The connection is made to the
  number that was checked: a second answer of the name server cannot change it.
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
"""Hosts that are called although their addresses are private; a test adds its own server."""
QUOTED: Final = "%/:?#[]@!$&'()*+,;="
"""What is no part of a name in an address, or is encoded already."""
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
"""What is not of the public internet, by IANA's registries of addresses for special purposes, without the exceptions in
192.0.0.0/24 and 2001::/23, which nobody fetches from. `is_global` says of some another on each release of Python."""
_GLOBAL_UNICAST: Final = ipaddress.IPv6Network("2000::/3")
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")


class AddressRefused(GraphEngineError):
    """An address that is not called: none of http or https, or one of a private network that a stranger gave."""

    code = "address_refused"


def is_http(url: str) -> bool:
    """Return whether a text is an address of http or https.

    >>> is_http("https://example.org/a"), is_http("ftp://example.org"), is_http("http://"), is_http("http://a:b/")
    (True, False, False, False)
    """
    try:
        parts = urlsplit(url)
        return parts.scheme in _PORTS and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is none, or a bracket without the other one
        return False


def is_number(host: str) -> bool:
    """Return whether a host is a number, which no name server looks up."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


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
    return not any(address in network for network in _SPECIAL)


def number_of(url: str) -> str:
    """Return the number of the host of an address that a stranger gave.

    Raises:
        AddressRefused: It is no address of http or https, has a user, or its host is not of the public internet.
        OSError: There is no such host.
    """
    if not is_http(url) or "@" in urlsplit(url).netloc:
        text, repair = "only http and https addresses without a user are called", "give https://HOST/PATH"
        raise AddressRefused(text, where=url, repair=repair)
    parsed = urlsplit(url)
    host = parsed.hostname or ""
    try:
        found = socket.getaddrinfo(host, parsed.port or _PORTS[parsed.scheme], type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:  # UnicodeError: a label is empty or too long
        message = f"there is no host {host}"
        raise OSError(message) from error
    numbers = [str(each[4][0]) for each in found]
    if host not in PRIVATE and not all(is_public(number) for number in numbers):
        raise AddressRefused(f"{host} is an address of a private network", where=url, repair="give a public address")
    return numbers[0]


def request(  # noqa: PLR0913 - the parts of a request
    method: str, url: str, headers: Mapping[str, str], body: bytes = b"", *, seconds: float, is_own: bool = False
) -> HTTPResponse:
    """Send a request, and return the answer, to be read and closed. Redirects are not followed.

    Args:
        method: Its method.
        url: Where it goes.
        headers: Its headers, besides `Host`.
        body: What is sent.
        seconds: How long all of it may take, to the last byte of the answer that is read.
        is_own: Whether the author or the operator of the program gave the address.

    Raises:
        AddressRefused, OSError: As `number_of`; OSError also if there is no connection. Reading raises TimeoutError.
        HTTPException: The answer is no HTTP.
    """
    import http.client  # noqa: PLC0415 - who only checks an address needs none

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
        while HTTPStatus.CONTINUE < answer.status < HTTPStatus.OK:  # such as 103: the answer itself comes after it
            answer.headers = None  # type: ignore[assignment]  # else `begin` takes it for the answer
            answer.begin()
    except BaseException:
        used.close()
        raise
    return answer


def left(deadline: float) -> float:
    """Return the seconds until a time of `time.monotonic`.

    Raises:
        TimeoutError: There are none.
    """
    if (found := deadline - time.monotonic()) <= 0:
        message = "it took longer than it may"
        raise TimeoutError(message)
    return found


class _Until(io.RawIOBase):
    """A connection until a deadline; a limit on each read would never end a server that sends bit by bit."""

    def __init__(self, used: socket.socket, deadline: float) -> None:
        self._used, self._deadline = used, deadline

    def sendall(self, data: Buffer) -> None:
        """Send all of it."""
        self._used.settimeout(left(self._deadline))
        self._used.sendall(data)

    def makefile(self, mode: str) -> io.BufferedReader:  # noqa: ARG002 - as `http.client` calls a socket's
        """Return a file to read from."""
        return io.BufferedReader(self)

    def readable(self) -> bool:
        """Return that it can be read."""
        return True

    def readinto(self, buffer: Buffer) -> int:
        """Read what has arrived. Raises: TimeoutError: The deadline is over."""
        self._used.settimeout(left(self._deadline))
        return self._used.recv_into(buffer)

    def close(self) -> None:
        """Close the connection."""
        self._used.close()
        super().close()


def _shake_hands(used: ssl.SSLSocket, deadline: float) -> None:
    """Begin TLS before a deadline, however small the pieces are in which the server does its part."""
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
    """Return the authorities that the system trusts. Reading them takes 20 ms."""
    return ssl.create_default_context()


__all__ = ["PRIVATE", "QUOTED", "AddressRefused", "is_http", "is_number", "is_public", "left", "number_of", "request"]

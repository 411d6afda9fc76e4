"""Addresses: one that a stranger gave is called if it is of the public internet; there is one rule, and one place."""

import ast
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import pytest

from graphengine import addresses
from graphengine.addresses import AddressRefused, is_public, number_of, request
from tests.kit.pages import Page, serving
from tests.kit.syntax import walked

PACKAGE: Final = Path(addresses.__file__).parent
CALLERS: Final = {
    "addresses.py": "the place",
    "agents/a2a.py": "the author names remote agents, and the SDK talks to them",
    "agents/mcp_connection.py": "the author names servers, and the SDK talks to them",
    "models/connections.py": "the author names models, and the SDKs call them",
    "cli/models.py": "asks servers of this machine which models they have",
    "serve/listening.py": "listens",
}
"""The files that connect to an address, and who gave it. The SDKs of models call those that the author names."""
CLIENTS: Final = {"AsyncClient", "HTTPConnection", "HTTPSConnection", "build_opener", "urlopen"}
CONNECTS: Final = CLIENTS | {"create_connection", "getaddrinfo", "ip_address"}


def connects(path: Path) -> bool:
    """Return whether a file looks hosts up, or makes a client of HTTP."""
    found = [node for node in walked(path.read_text(encoding="utf-8"), CONNECTS) if isinstance(node, ast.Call)]
    names = {call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "") for call in found}
    return bool(names & CONNECTS)


def test_one_place_connects_to_addresses_of_strangers() -> None:
    """What else connects does so to an address that the author or the operator of the program gave."""
    assert {path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py") if connects(path)} == {*CALLERS}


def test_pages_the_outbox_and_keys_alone_send_requests() -> None:
    """What goes out to webhooks goes through one outbox."""
    texts = {path: path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py")}
    users = [path for path, text in texts.items() if re.search(r"addresses import .*\brequest\b", text)]
    assert {path.relative_to(PACKAGE).as_posix() for path in users} == {
        "agents/sources/web.py",
        "serve/notifications.py",
        "serve/oidc.py",
    }


@pytest.mark.parametrize("number", ["8.8.8.8", "2606:4700::1111", "64:ff9b::808:808"])
def test_a_number_of_the_internet_is_public(number: str) -> None:
    """Also behind a translator of addresses."""
    assert is_public(number)


@pytest.mark.parametrize(
    "number",
    [
        "169.254.169.254",  # the metadata of clouds
        *("192.168.0.1", "100.64.0.1", "224.0.0.1", "0.0.0.0", "fec0::1", "fe80::1%eth0", "fd00::1"),  # noqa: S104
        *("::ffff:127.0.0.1", "2002:7f00:1::", "64:ff9b::7f00:1"),  # 127.0.0.1: mapped, in 6to4, behind a translator
        *("64:ff9b:1::808:808", "2001:0:0:0:0:0:80ff:fffe"),  # behind one of a private network, and in Teredo
        *("::7f00:1", "::ffff:0:7f00:1"),
    ],
)
def test_a_number_is_not_public_if_it_is_or_contains_a_private_one(number: str) -> None:
    """Numbers of clouds, of private networks, and of this machine in the forms of IPv6."""
    assert not is_public(number)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1/", "http://localhost:1/", "http://[::1]:1/", "http://0.0.0.0:1/", "http://2130706433/"]
)
def test_an_address_of_a_stranger_in_a_private_network_is_refused(url: str) -> None:
    """By number and by name; nothing is asked of it."""
    with pytest.raises((AddressRefused, OSError), match=r"private network|no host"):
        request("GET", url, {}, seconds=1)


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "tides", "http://", "http://a:b/", "http://[::1/", "http://a@b/"]
)
def test_what_is_no_address_of_http_is_refused(url: str) -> None:
    """So is one with a user, whose password would be sent."""
    with pytest.raises(AddressRefused, match="is not an http or https address, or contains"):
        number_of(url)


def test_a_name_with_one_private_number_among_others_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name server can give several."""
    rows = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (number, 80)) for number in ("93.184.216.34", "10.0.0.5")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: rows)
    with pytest.raises(AddressRefused, match=r"'example\.org' is in a private network"):
        number_of("http://example.org/")


def test_the_number_that_was_checked_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server sees the name; an address of the operator is called without a check."""
    with serving({"/tides": Page("The moon.")}) as site:
        port = site.address.rpartition(":")[2]
        with request("GET", f"{site.address}/tides", {}, seconds=5, is_own=True) as answer:
            assert (answer.status, answer.read()) == (200, b"The moon.")
        monkeypatch.setattr(addresses, "number_of", lambda _: "127.0.0.1")
        with request("GET", f"http://tides.example:{port}/tides?a=1#b", {}, seconds=5) as answer:
            assert answer.status == 200
        assert (site.asked[-1], site.headers[-1]["host"]) == ("/tides?a=1", f"tides.example:{port}")


@contextmanager
def trickling(first: bytes) -> Iterator[int]:
    """Serve on a port whose server sends some bytes at once, and then one by one for as long as it is read."""
    listening, ends = socket.create_server(("127.0.0.1", 0)), threading.Event()

    def serve() -> None:
        used, _ = listening.accept()
        with used, suppress(OSError):
            used.sendall(first)
            while not ends.wait(0.01):
                used.sendall(b"x")

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield listening.getsockname()[1]
    finally:
        ends.set()
        thread.join()
        listening.close()


@pytest.mark.parametrize(
    ("scheme", "first"),
    [
        ("http", b""),
        ("http", b"HTTP/1.1 200 OK\r\nX-Long: "),
        ("http", b"HTTP/1.1 103 Early Hints\r\n\r\n"),
        ("http", b"HTTP/1.1 200 OK\r\n\r\n"),
        ("https", b"\x16\x03\x03\x40\x00\x02"),  # a record of TLS that begins the server's part
    ],
)
def test_a_server_that_sends_bit_by_bit_is_left_in_time(scheme: str, first: bytes) -> None:
    """In its part of TLS, in the head of its answer, and in the body: the time is that of the whole request."""
    with (
        trickling(first) as port,
        pytest.raises(TimeoutError),
        request("GET", f"{scheme}://127.0.0.1:{port}/", {}, seconds=0.2, is_own=True) as answer,
    ):
        answer.read()


def test_what_a_server_says_before_its_answer_is_not_the_answer() -> None:
    """Such as 103, after which the answer comes on the same connection."""
    early = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone"
    with trickling(early) as port, request("GET", f"http://127.0.0.1:{port}/", {}, seconds=5, is_own=True) as answer:
        assert (answer.status, answer.read()) == (200, b"done")

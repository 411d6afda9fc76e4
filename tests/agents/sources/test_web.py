"""Pages of the web as texts: limits and private addresses."""

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest

from graphengine import Media, addresses
from graphengine.agents.sources import web
from graphengine.agents.sources.web import PageRefused, read_media, read_page
from tests.kit.pages import Page, Site, serving

HTML = """<html><head><title>Tides</title></head><body><nav>Home</nav><h1>Tides</h1>
<p>The moon pulls the water of the sea towards itself.</p></body></html>"""


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """Serve pages, and allow their host."""
    monkeypatch.setattr(addresses, "PRIVATE", {"127.0.0.1"})
    with serving({"/tides": Page(HTML), "/plain": Page("The moon.", "text/plain")}) as found:
        yield found


def test_a_page_becomes_a_text_whose_path_is_its_address(site: Site) -> None:
    """HTML is Markdown; navigation is left out, and the client says who it is."""
    pytest.importorskip("html_to_markdown")
    page = read_page(f"{site.address}/tides?part=1#moon")
    assert page.path == f"{site.address}/tides?part=1#moon"
    assert page.text == "# Tides\n\nThe moon pulls the water of the sea towards itself.\n"
    assert site.asked == ["/tides?part=1"]
    assert site.headers[0]["user-agent"].startswith("graphengine ")
    assert site.headers[0]["host"] == site.address.removeprefix("http://")


def test_a_picture_is_fetched_as_media(site: Site) -> None:
    """A picture is named after its address; a file other than a picture, document or sound is refused."""
    site.pages["/a%20report.pdf"] = Page("%PDF-1.7", "application/octet-stream")
    assert read_media(f"{site.address}/a%20report.pdf?size=1") == Media(data=b"%PDF-1.7", name="a report.pdf")
    with pytest.raises(PageRefused, match="the file is not a picture, document or sound"):
        read_media(f"{site.address}/tides")


def test_redirects_are_followed(site: Site) -> None:
    """Relative ones too; the path of the text is the address that was given."""
    site.pages["/away"] = Page(status=301, headers={"Location": "plain"})
    assert read_page(f"{site.address}/away").text == "The moon."


def test_a_redirect_to_a_private_address_is_refused(site: Site) -> None:
    """The name of the target counts, not that of the page."""
    site.pages["/away"] = Page(status=302, headers={"Location": site.address.replace("127.0.0.1", "localhost")})
    with pytest.raises(PageRefused, match="'localhost' is in a private network"):
        read_page(f"{site.address}/away")


@pytest.mark.parametrize(
    "url",
    ["file:///etc/passwd", "ftp://example.org/a", "tides", "http://a:b@127.0.0.1/", "http://", "http://[::1/", "//["],
)
def test_other_addresses_are_refused(site: Site, url: str) -> None:
    """Only pages of the web are read, and no password is sent; the same holds for targets of redirects."""
    with pytest.raises(PageRefused):
        read_page(url)
    site.pages["/away"] = Page(status=302, headers={"Location": url.replace("tides", "tides:")})
    with pytest.raises(PageRefused):
        read_page(f"{site.address}/away")


def test_a_large_page_is_refused_before_it_is_read_whole(site: Site) -> None:
    """A long text is cut."""
    site.pages["/large"] = Page(b"x" * (web.MAX_PAGE_BYTES + 1), kind="text/plain")
    site.pages["/long"] = Page("word " * web.MAX_CHARACTERS, kind="text/plain")
    with pytest.raises(PageRefused, match="more than 5,000,000 bytes"):
        read_page(f"{site.address}/large")
    assert len(read_page(f"{site.address}/long").text) == web.MAX_CHARACTERS


@pytest.mark.parametrize(
    ("page", "why"),
    [
        (Page("", status=404), "status 404"),
        (Page(b"\x89PNG", kind="image/png"), "has the content type 'image/png', which cannot be read"),
        (Page(b"\xff\xfe\xff", kind="text/plain"), "is not UTF-8 text"),
        (Page(status=302, headers={"Location": "/tides2"}), "redirects more than 5 times"),
    ],
)
def test_what_is_no_page_is_refused_with_the_reason(site: Site, page: Page, why: str) -> None:
    """With the reason and the address."""
    site.pages["/tides2"] = page
    with pytest.raises(PageRefused, match=why) as refused:
        read_page(f"{site.address}/tides2")
    assert refused.value.where


def test_a_server_that_is_slow_or_not_there_is_reported(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the kind of failure."""
    with serving({}) as gone:
        address = gone.address
    with pytest.raises(PageRefused, match="could not be fetched: ConnectionRefusedError"):
        read_page(f"{address}/tides")
    monkeypatch.setattr(web, "MAX_SECONDS", 0)
    with pytest.raises(PageRefused, match="could not be fetched within 0 seconds"):
        read_page(f"{site.address}/tides")


def test_a_page_is_read_over_tls(monkeypatch: pytest.MonkeyPatch) -> None:
    """In several pieces. The server has no certificate here: both sides take a cipher that needs none."""

    def context(side: int) -> ssl.SSLContext:
        made = ssl.SSLContext(side)
        made.check_hostname, made.verify_mode = False, ssl.CERT_NONE
        made.maximum_version = ssl.TLSVersion.TLSv1_2
        try:
            made.set_ciphers("AECDH-AES128-SHA:@SECLEVEL=0")
        except ssl.SSLError:
            pytest.skip("this OpenSSL has no cipher without certificates")
        return made

    long = "The moon. " * 10_000

    def answer() -> None:
        with context(ssl.PROTOCOL_TLS_SERVER).wrap_socket(listening.accept()[0], server_side=True) as used:
            used.recv(10_000)
            head = f"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {len(long)}\r\n\r\n"
            used.sendall(f"{head}{long}".encode())

    monkeypatch.setattr(addresses, "PRIVATE", {"127.0.0.1"})
    monkeypatch.setattr(addresses, "_trusted", lambda: context(ssl.PROTOCOL_TLS_CLIENT))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = threading.Thread(target=answer, daemon=True)
        server.start()
        assert read_page(f"https://127.0.0.1:{listening.getsockname()[1]}/").text == long
        server.join()


def test_a_server_that_never_comes_to_the_point_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit is for all of an answer: each piece of this one arrives in time."""

    def answer() -> None:
        used = listening.accept()[0]
        with used, suppress(OSError):
            while True:
                used.sendall(b"HTTP/1.1 100 Continue\r\n\r\n" * 100)

    monkeypatch.setattr(addresses, "PRIVATE", {"127.0.0.1"})
    monkeypatch.setattr(web, "MAX_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = threading.Thread(target=answer, daemon=True)
        server.start()
        # Newer versions of Python 3.14 count the answers that come before the answer.
        with pytest.raises(PageRefused, match=r"could not be fetched within 0\.2 seconds|100 interim responses"):
            read_page(f"http://127.0.0.1:{listening.getsockname()[1]}/")
        server.join()


@pytest.mark.parametrize("path", ["Flut\u00e4ler", "Flut%C3%A4ler", "away"])
def test_addresses_may_have_other_characters(site: Site, path: str) -> None:
    """They are sent as browsers send them, also those of a redirect, which are UTF-8."""
    site.pages["/Flut%C3%A4ler"] = Page("The moon.", "text/plain")
    site.pages["/away"] = Page(status=301, headers={"Location": "/Flut\u00c3\u00a4ler"})
    assert read_page(f"{site.address}/{path}").text == "The moon."
    assert site.asked[-1] == "/Flut%C3%A4ler"

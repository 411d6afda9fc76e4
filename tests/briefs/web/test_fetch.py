"""Pages of the web as texts: limits, robots.txt, private addresses."""

import socket
from collections.abc import Iterator

import pytest

from graphengine.briefs.text.passages import read
from graphengine.briefs.web import PageRefused, Web
from graphengine.briefs.web.fetch import MOST_BYTES, MOST_CHARACTERS, MOST_REDIRECTS, is_public
from graphengine.media import Media
from tests.kit.pages import Page, Site, serving

pytest.importorskip("html_to_markdown")

HTML = """<html><head><title>Tides</title></head><body><nav>Home</nav><h1>Tides</h1>
<p>The moon pulls the water of the sea towards itself.</p></body></html>"""
OURS = {"127.0.0.1"}


@pytest.fixture
def site() -> Iterator[Site]:
    """Serve pages."""
    with serving({"/tides": Page(HTML)}) as found:
        yield found


async def test_a_page_becomes_a_text_whose_path_is_its_address(site: Site) -> None:
    """HTML is Markdown, so that its sentences can be quoted with their lines; navigation is left out."""
    async with Web(OURS) as web:
        page = await web.fetch(f"{site.address}/tides")
    assert page.path == f"{site.address}/tides"
    (statement,) = read(page)
    assert statement.text == "The moon pulls the water of the sea towards itself."
    assert (statement.file, statement.headings) == (page.path, ("Tides",))
    assert "Home" not in page.text


async def test_a_page_is_fetched_once_and_the_client_says_who_it_is(site: Site) -> None:
    """The second time it is in memory, as robots.txt is for all pages of a host."""
    site.pages["/waves"] = Page(HTML)
    async with Web(OURS) as web:
        for path in ("/tides", "/tides", "/waves"):
            await web.fetch(site.address + path)
    assert site.asked == ["/robots.txt", "/tides", "/waves"]
    assert all(one["user-agent"].startswith("graphengine ") for one in site.headers)
    assert all(one["host"] == site.address.removeprefix("http://") for one in site.headers)


async def test_a_picture_is_fetched_as_media(site: Site) -> None:
    """A picture is named after its address; a file other than a picture, document or sound is refused."""
    site.pages["/a%20report.pdf"] = Page("%PDF-1.7", "application/octet-stream")
    async with Web(OURS) as web:
        found = await web.media(f"{site.address}/a%20report.pdf?size=1")
        assert found == Media(data=b"%PDF-1.7", name="a report.pdf")
        with pytest.raises(PageRefused, match="it is not a picture, document or sound"):
            await web.media(f"{site.address}/tides")


@pytest.mark.parametrize(
    ("robots", "allowed"),
    [
        (Page("User-agent: *\nDisallow: /tides"), False),
        (Page("User-agent: graphengine\nDisallow: /"), False),
        (Page("User-agent: *\nDisallow: /private"), True),
        (Page("User-agent: other\nDisallow: /"), True),
        (Page("", status=404), True),
        (Page("", status=403), True),
        (Page("", status=503), False),
    ],
)
async def test_robots_txt_is_kept(site: Site, robots: Page, allowed: bool) -> None:  # noqa: FBT001
    """Without the file all is allowed; if its server fails nothing is, as RFC 9309 says."""
    site.pages["/robots.txt"] = robots
    async with Web(OURS) as web:
        if allowed:
            await web.fetch(f"{site.address}/tides")
        else:
            with pytest.raises(PageRefused, match=r"robots\.txt forbids it"):
                await web.fetch(f"{site.address}/tides")
    assert ("/tides" in site.asked) is allowed


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1/", "http://localhost:1/", "http://[::1]:1/", "http://0.0.0.0:1/", "http://2130706433/"]
)
async def test_private_addresses_are_refused(url: str) -> None:
    """Private addresses are refused, and nothing is asked of them."""
    async with Web() as web:
        with pytest.raises(PageRefused, match=r"private network|no host"):
            await web.fetch(url)


async def test_a_redirect_to_a_private_address_is_refused(site: Site) -> None:
    """The name of the target counts, not that of the page."""
    site.pages["/away"] = Page(status=302, headers={"Location": site.address.replace("127.0.0.1", "localhost")})
    async with Web(OURS) as web:
        with pytest.raises(PageRefused, match="localhost is an address of a private network"):
            await web.fetch(f"{site.address}/away")


@pytest.mark.parametrize("target", ["http://a..b/", "http://[::1/", "//["])
async def test_a_redirect_to_what_is_no_address_is_refused(site: Site, target: str) -> None:
    """As any other page that cannot be fetched."""
    site.pages["/away"] = Page(status=302, headers={"Location": target})
    async with Web(OURS) as web:
        with pytest.raises(PageRefused, match=r"no host|not an address"):
            await web.fetch(f"{site.address}/away")


async def test_a_host_with_an_encoded_bracket_is_asked_for_its_rules(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name server can answer for such a name, which the parser of robots.txt decodes."""
    site.pages["/robots.txt"] = Page("User-agent: *\nDisallow: /tides")
    rows = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 80))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: rows)
    async with Web({"a%5b.example"}) as web:
        with pytest.raises(PageRefused, match=r"robots\.txt forbids it"):
            await web.fetch(f"http://a%5B.example:{site.address.rpartition(':')[2]}/tides")


async def test_a_name_with_one_private_address_among_others_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name server can give several."""
    rows = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (number, 80)) for number in ("93.184.216.34", "10.0.0.5")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: rows)
    async with Web() as web:
        with pytest.raises(PageRefused, match=r"example\.org is an address of a private network"):
            await web.fetch("http://example.org/")


@pytest.mark.parametrize(
    ("number", "public"),
    [
        ("8.8.8.8", True),
        ("2606:4700::1111", True),
        ("169.254.169.254", False),  # the metadata of clouds
        ("192.168.0.1", False),
        ("100.64.0.1", False),
        ("::ffff:127.0.0.1", False),
        ("2002:7f00:1::", False),  # 127.0.0.1 in 6to4
        ("64:ff9b::7f00:1", False),  # 127.0.0.1 behind a translator of addresses
        ("64:ff9b::808:808", True),
        ("64:ff9b:1::808:808", False),  # a translator of a private network
        ("2001:0:0:0:0:0:80ff:fffe", False),  # 127.0.0.1 in Teredo
        ("::7f00:1", False),
        ("::ffff:0:7f00:1", False),
        ("fec0::1", False),
        ("fe80::1%eth0", False),
        ("fd00::1", False),
        ("224.0.0.1", False),
        ("0.0.0.0", False),  # noqa: S104
    ],
)
def test_which_addresses_are_public(number: str, public: bool) -> None:  # noqa: FBT001
    """An address is public unless it is, or contains, a private one."""
    assert is_public(number) is public


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "ftp://example.org/a", "tides", "http://a:b@example.org/", "http://"]
)
async def test_other_addresses_are_refused(url: str) -> None:
    """Only pages of the web are read, and no password is sent."""
    async with Web(OURS) as web:
        with pytest.raises(PageRefused):
            await web.fetch(url)


async def test_a_large_page_is_refused_before_it_is_read_whole(site: Site) -> None:
    """The limit counts unpacked bytes; a long text is cut."""
    site.pages["/large"] = Page(b"x" * (MOST_BYTES + 1), kind="text/plain")
    site.pages["/long"] = Page("word " * MOST_CHARACTERS, kind="text/plain")
    async with Web(OURS) as web:
        with pytest.raises(PageRefused, match="more than 5,000,000 bytes"):
            await web.fetch(f"{site.address}/large")
        assert len((await web.fetch(f"{site.address}/long")).text) == MOST_CHARACTERS


@pytest.mark.parametrize(
    ("page", "why"),
    [
        (Page("", status=404), "status 404"),
        (Page(b"\x89PNG", kind="image/png"), "of the kind image/png, which cannot be read"),
        (Page("<p></p>"), "no text"),
        (Page(status=302, headers={"Location": "/tides2"}), f"redirects more than {MOST_REDIRECTS} times"),
    ],
)
async def test_what_is_no_page_is_refused_with_the_reason(site: Site, page: Page, why: str) -> None:
    """A file that is not a page is refused, with the reason and the address."""
    site.pages["/tides2"] = page
    async with Web(OURS) as web:
        with pytest.raises(PageRefused, match=why) as refused:
            await web.fetch(f"{site.address}/tides2")
    assert refused.value.where


async def test_a_server_that_is_not_there_is_reported() -> None:
    """The error names the kind of failure."""
    with serving({}) as gone:
        address = gone.address
    async with Web(OURS) as web:
        with pytest.raises(PageRefused, match="could not be fetched: ConnectError"):
            await web.fetch(f"{address}/tides")

"""Read web pages as sources, and pictures, documents and sound from the web as `Media`.

The size of a download and its time are limited. An address is refused if its host, or the host of a redirect, is not
public, so that no private network can be read; see `graphengine.addresses`. Pages are not crawled; models search the
web with tools of their providers.
"""

from __future__ import annotations

import time
from contextlib import closing
from http.client import HTTPException
from typing import Final, NamedTuple
from urllib.parse import quote, unquote, urljoin, urlsplit

from pydantic import ValidationError

from graphengine.addresses import QUOTED, AddressRefused, left, request
from graphengine.agents.errors import SourceUnreadable
from graphengine.agents.sources.kinds import source_from_bytes
from graphengine.errors import GraphEngineError
from graphengine.media import Media, TextFile

MAX_PAGE_BYTES: Final = 5_000_000
MAX_MEDIA_BYTES: Final = 20_000_000
MAX_CHARACTERS: Final = 200_000  # of the text of a page; the rest is left out
MAX_REDIRECTS: Final = 5
MAX_SECONDS: Final = 20.0
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
_REDIRECTS: Final = (301, 302, 303, 307, 308)
_CLIENT_ERROR: Final = 400


class PageRefused(GraphEngineError):
    """A page is not fetched, because it is private, too large, unreadable or missing."""

    code = "page_refused"


def read_page(url: str) -> TextFile:
    """Return a page as a text whose path is its address; HTML becomes Markdown. In async code, call it in a thread.

    Raises:
        PageRefused: The page cannot be fetched or read, or must not be fetched.
    """
    content_type, content = _fetch_address(url, MAX_PAGE_BYTES)
    kind = content_type.partition(";")[0].strip().lower()
    if kind not in _ENDINGS:
        message = f"the page has the content type {kind or 'unknown'!r}, which cannot be read"
        raise PageRefused(message, where=url, repair=f"name a page of one of these types: {', '.join(_ENDINGS)}")
    try:
        found = source_from_bytes(f"page{_ENDINGS[kind]}", content)
    except SourceUnreadable as error:
        raise PageRefused(error.message, where=url, repair=error.repair) from error
    return TextFile(path=url, text=found.text[:MAX_CHARACTERS])


def read_media(url: str) -> Media:
    """Return a picture, a PDF document or a sound, named after the last part of its address.

    If a node or a `ctx.call` returns the result of `read_media`, the content is fetched only once. The run records the
    content, and models receive the recorded content, also when the run is resumed. `read_media` blocks until the
    content has arrived, so async code should call it in a thread, for example with `asyncio.to_thread`.

    Raises:
        PageRefused: The medium cannot be fetched, must not be fetched, or is of another kind.
    """
    _, content = _fetch_address(url, MAX_MEDIA_BYTES)
    try:
        return Media(data=content, name=unquote(urlsplit(url).path.rpartition("/")[2]))
    except ValidationError as error:
        repair = "name a PNG, JPEG, GIF, WebP, PDF, WAV or MP3 file"
        raise PageRefused("the file is not a picture, document or sound", where=url, repair=repair) from error


class _Answer(NamedTuple):
    """The response of a web server to a request for a page. For a redirect, `target` is the new address."""

    status: int
    content_type: str
    target: str
    content: bytes


def _fetch_address(url: str, max_bytes: int) -> tuple[str, bytes]:
    """Download the content at an address, following redirects, and return its content type and its bytes."""
    at, deadline = url, time.monotonic() + MAX_SECONDS
    for _ in range(MAX_REDIRECTS + 1):
        try:
            answer = _fetch_once(at, max_bytes, deadline)
        except AddressRefused as error:
            raise PageRefused(error.message, where=at, repair="name a page of the public web") from error
        except (OSError, HTTPException, ValueError) as error:
            message = f"the page could not be fetched: {type(error).__name__}: {error}"
            if isinstance(error, TimeoutError):
                message = f"the page could not be fetched within {MAX_SECONDS:g} seconds"
            raise PageRefused(message, where=at, repair="name another page") from error
        if answer.status in _REDIRECTS and answer.target:
            at = answer.target
            continue
        if answer.status >= _CLIENT_ERROR:
            message = f"the server of the page answered with the HTTP status {answer.status}"
            raise PageRefused(message, where=at, repair="name another page")
        return answer.content_type, answer.content
    raise PageRefused(f"the page redirects more than {MAX_REDIRECTS} times", where=url, repair="name another page")


def _fetch_once(url: str, max_bytes: int, deadline: float) -> _Answer:
    headers = {"User-Agent": "graphengine (durable-graphengine)"}
    with closing(request("GET", url, headers, seconds=left(deadline))) as answer:
        content = bytearray()
        while piece := answer.read1(_PIECE_BYTES):
            content += piece
            if len(content) > max_bytes:
                raise PageRefused(f"the page has more than {max_bytes:,} bytes", where=url, repair="name another page")
        found = quote(answer.getheader("Location", "").encode("latin-1"), QUOTED)
        target = urljoin(url, found) if found else ""
        return _Answer(answer.status, answer.getheader("Content-Type", ""), target, bytes(content))

"""Searching the web: one protocol, and adapters for a SearXNG server and for the search API of Brave.

Source: https://docs.searxng.org/dev/search_api.html, https://api-dashboard.search.brave.com/app/documentation.
"""

from __future__ import annotations

import os
from functools import cache
from typing import Any, Final, Protocol

from pydantic import BaseModel, ValidationError

from graphengine.errors import GraphEngineError, install_command

TIMEOUT_SECONDS: Final = 20.0
MOST_HITS: Final = 20
BRAVE_ADDRESS: Final = "https://api.search.brave.com"


class SearchFailed(GraphEngineError):
    """No search engine is configured, or it did not answer."""

    code = "search_failed"


class Hit(BaseModel):
    """A result of a search.

    Args:
        url: The address of the page.
        title: Its title.
        snippet: A sentence or two of it, as the search shows them.
    """

    url: str
    title: str = ""
    snippet: str = ""


class SearchEngine(Protocol):
    """Finds pages. A search has no effects and may be repeated."""

    async def search(self, query: str, count: int) -> list[Hit]:
        """Return at most `count` pages, the best first.

        Raises:
            SearchFailed: The search did not answer.
        """
        ...


class SearXNG:
    """A SearXNG server, which must have `json` among its `search.formats`.

    Args:
        address: Its address, such as http://localhost:8080.
    """

    def __init__(self, address: str) -> None:
        self._address = address.rstrip("/")

    async def search(self, query: str, count: int) -> list[Hit]:
        """Return the pages that the server finds."""
        found = await _json(f"{self._address}/search", {"q": query, "format": "json"}, {}, "SearXNG")
        return _hits(found.get("results"), "content", count)


class Brave:
    """The search API of Brave.

    Args:
        key: The key of a subscription.
        address: The address of the API.
    """

    def __init__(self, key: str, address: str = BRAVE_ADDRESS) -> None:
        self._key = key
        self._address = address.rstrip("/")

    async def search(self, query: str, count: int) -> list[Hit]:
        """Return the pages that the API finds."""
        wanted = {"q": query, "count": str(min(count, MOST_HITS))}
        headers = {"X-Subscription-Token": self._key}
        found = await _json(f"{self._address}/res/v1/web/search", wanted, headers, "Brave")
        return _hits((found.get("web") or {}).get("results"), "description", count)


def engine_from_environment() -> SearchEngine:
    """Return the search that the environment names: SEARXNG_URL, otherwise BRAVE_API_KEY.

    Raises:
        SearchFailed: It names none.
    """
    if address := os.environ.get("SEARXNG_URL", "").strip():
        return SearXNG(address)
    if key := os.environ.get("BRAVE_API_KEY", "").strip():
        return Brave(key)
    raise SearchFailed(
        "there are no sources, and no search is configured",
        where="the environment",
        repair="give sources, as --input sources=@file.md, or set SEARXNG_URL (the address of a SearXNG server) or "
        "BRAVE_API_KEY",
    )


async def _json(address: str, query: dict[str, str], headers: dict[str, str], name: str) -> dict[str, Any]:
    httpx = client_library()
    try:
        async with httpx.AsyncClient(timeout=TIMEOUT_SECONDS) as client:
            answer = await client.get(address, params=query, headers={"Accept": "application/json", **headers})
    except httpx.HTTPError as error:
        message = f"{name} did not answer: {type(error).__name__}: {error}"
        raise SearchFailed(message, where=address, repair="check its address and the network") from error
    if answer.status_code != httpx.codes.OK:
        hints = {401: "check its key", 403: "check its key; a SearXNG server needs `json` in search.formats"}
        hints |= {429: "wait, or use another search"}
        message = f"{name} answered with status {answer.status_code}"
        raise SearchFailed(message, where=address, repair=hints.get(answer.status_code, "try again later"))
    try:
        found = answer.json()
    except ValueError as error:
        message = f"{name} answered with something that is not JSON"
        raise SearchFailed(message, where=address, repair="check its address") from error
    return found if isinstance(found, dict) else {}


def _hits(rows: object, snippet: str, count: int) -> list[Hit]:
    found: dict[str, Hit] = {}
    for row in rows if isinstance(rows, list) else []:
        try:
            hit = Hit(url=row["url"], title=row.get("title") or "", snippet=row.get(snippet) or "")
        except (AttributeError, KeyError, TypeError, ValidationError):
            continue  # a row of another form, such as an answer box
        found.setdefault(hit.url, hit)
    return list(found.values())[:count]


def client_library() -> Any:  # noqa: ANN401 - a module
    """Import the HTTP client, which the SDKs of models bring.

    Raises:
        SearchFailed: It is not installed.
    """
    try:
        import httpx2  # noqa: PLC0415 - only if the web is used
    except ModuleNotFoundError as error:
        message = f"{error}; reading the web needs it"
        raise SearchFailed(message, repair=install_command("workflows")) from error
    return httpx2


@cache
def trusted(httpx: Any) -> Any:  # noqa: ANN401 - the module, an SSL context
    """Return the authorities that the system trusts. Reading them takes 20 ms, so clients share them."""
    return httpx.create_ssl_context(trust_env=False)

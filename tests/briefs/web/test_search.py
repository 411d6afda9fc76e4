"""Searches of the web over the forms of two services, against a local server."""

import json

import pytest

from graphengine.briefs.web import Brave, Hit, SearchFailed, SearXNG, engine_from_environment
from tests.kit.pages import Page, serving

ROWS = [
    {"url": "https://a.org/1", "title": "One", "content": "First.", "description": "First."},
    {"url": "https://a.org/1", "title": "One again"},
    {"infobox": "no page"},
    {"url": "https://a.org/2", "title": None},
    {"url": "https://a.org/3", "title": "Three"},
]
FOUND = [Hit(url="https://a.org/1", title="One", snippet="First."), Hit(url="https://a.org/2")]


async def test_searxng_is_asked_for_json() -> None:
    """Pages come once, in order, at most as many as wanted."""
    with serving({"/search": Page(json.dumps({"results": ROWS}), "application/json")}) as site:
        assert await SearXNG(site.address + "/").search("high tides", 2) == FOUND
    assert site.asked == ["/search?q=high+tides&format=json"]


async def test_brave_gets_its_key_in_a_header() -> None:
    """Brave gets its key in a header, and never in the address."""
    with serving({"/res/v1/web/search": Page(json.dumps({"web": {"results": ROWS}}), "application/json")}) as site:
        assert await Brave("secret", site.address).search("tides", 2) == FOUND
    assert site.asked == ["/res/v1/web/search?q=tides&count=2"]
    assert site.headers[0]["x-subscription-token"] == "secret"


@pytest.mark.parametrize(
    ("page", "why", "repair"),
    [
        (Page("{}", status=401), "status 401", "check its key"),
        (Page("", status=403), "status 403", "search.formats"),
        (Page("", status=429), "status 429", "wait"),
        (Page("<html>"), "not JSON", "check its address"),
    ],
)
async def test_a_search_that_does_not_answer_says_why(page: Page, why: str, repair: str) -> None:
    """A search that does not answer raises an error with the reason and a repair."""
    with serving({"/search": page}) as site, pytest.raises(SearchFailed, match=why) as failed:
        await SearXNG(site.address).search("tides", 2)
    assert repair in failed.value.repair


@pytest.mark.parametrize("body", ["[]", "{}", '{"results": null}', '{"results": "x"}'])
async def test_an_answer_without_results_is_no_hit(body: str) -> None:
    """An answer without results gives no hits, and raises nothing."""
    with serving({"/search": Page(body, "application/json")}) as site:
        assert await SearXNG(site.address).search("tides", 2) == []


def test_the_environment_names_the_search(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server of one's own comes first; without any the error says what to set."""
    for name in ("SEARXNG_URL", "BRAVE_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(SearchFailed, match="no search is configured") as failed:
        engine_from_environment()
    assert all(name in failed.value.repair for name in ("--input sources=", "SEARXNG_URL", "BRAVE_API_KEY"))
    monkeypatch.setenv("BRAVE_API_KEY", "k")
    assert isinstance(engine_from_environment(), Brave)
    monkeypatch.setenv("SEARXNG_URL", "http://localhost:8080")
    assert isinstance(engine_from_environment(), SearXNG)

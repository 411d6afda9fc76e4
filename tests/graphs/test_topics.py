"""A topic without sources: each workflow searches the web, and quotes the pages like files."""

import functools
import json
from collections.abc import Iterator
from typing import Any

import pytest

from graphengine import Runner
from graphengine.briefs.web import Web
from graphs import blackboard, content_pipeline, event_bus, handoff, orchestrator, parallel_research
from nodes.briefing import gathering
from tests.kit.pages import Page, Site, serving

pytest.importorskip("html_to_markdown")

TOPIC = "What makes the tides"
SENTENCES = (
    "The moon makes the tides by pulling the water of the sea twice a day.",
    "Spring tides come when the sun and the moon pull in one line.",
    "The tides are weak where the sea is small, as in the Baltic.",
    "Most coasts have two high tides and two low tides in a day.",
)
HTML = f"<html><head><title>Tides</title></head><body><h1>Tides</h1><p>{' '.join(SENTENCES)}</p></body></html>"
WORKFLOWS = [
    (blackboard, "task"),
    (content_pipeline, "topic"),
    (event_bus, "task"),
    (handoff, "topic"),
    (orchestrator, "task"),
    (parallel_research, "task"),
]


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """Serve a search and a page, and let the workflows use them."""
    with serving({"/tides": Page(HTML)}) as found:
        rows = [{"url": f"{found.address}/tides", "title": "Tides"}]
        found.pages["/search"] = Page(json.dumps({"results": rows}), "application/json")
        monkeypatch.setenv("SEARXNG_URL", found.address)
        monkeypatch.setattr(gathering, "Web", functools.partial(Web, {"127.0.0.1"}))
        yield found


@pytest.mark.parametrize(("module", "field"), WORKFLOWS, ids=lambda each: getattr(each, "__name__", ""))
async def test_a_topic_alone_is_searched_for(module: Any, field: str, site: Site) -> None:
    """By rules the first result becomes the source, and the text rests on it."""
    async with Runner() as runner:
        result = await runner.start(module.graph, {field: TOPIC}).result()
    assert result.status in ("finished", "waiting"), result.error
    assert [source.path for source in result.state.sources] == [f"{site.address}/tides"]
    assert SENTENCES[0] in str(result.values)
    assert sum(path.startswith("/search") for path in site.asked) == 1


@pytest.mark.parametrize(("module", "field"), WORKFLOWS, ids=lambda each: getattr(each, "__name__", ""))
async def test_with_sources_nothing_is_searched_for(module: Any, field: str, site: Site) -> None:
    """The web is for topics without sources."""
    source = {"path": "tides.md", "text": "# Tides\n\n" + "\n".join(SENTENCES)}
    async with Runner() as runner:
        await runner.start(module.graph, {field: TOPIC, "sources": [source]}).result()
    assert site.asked == []

"""A topic in, an article out: the review loop without sources, against a local search and local pages."""

import functools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

from graphengine import RunFailed, Runner, ScriptedModel
from graphengine.briefs.article import Fact, Findings
from graphengine.briefs.web import Web
from graphengine.errors import ModelUnavailable
from graphengine.models.scripted import Script, calls
from graphs.review_loop import graph
from nodes.review import gathering
from tests.graphs.review_kit import AGAINST, judged
from tests.kit.pages import Page, Site, serving

pytest.importorskip("html_to_markdown")

TASK = "What makes the tides"
SENTENCE = "The moon makes the tides by pulling the water of the sea twice a day."
HTML = f"<html><head><title>Tides</title></head><body><h1>Tides</h1><p>{SENTENCE}</p></body></html>"
NOTHING = AGAINST.model_copy(update={"limits": [], "objections": []})


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """Serve a search and two pages, and let the loop use them."""
    robots = Page("User-agent: *\nDisallow: /secret", "text/plain")
    with serving({"/tides": Page(HTML), "/secret": Page(HTML), "/robots.txt": robots}) as found:
        rows = [{"url": f"{found.address}/{name}", "title": name} for name in ("secret", "tides", "gone")]
        found.pages["/search"] = Page(json.dumps({"results": rows}), "application/json")
        monkeypatch.setenv("SEARXNG_URL", found.address)
        monkeypatch.setattr(gathering, "Web", functools.partial(Web, {"127.0.0.1"}))
        yield found


def script(site: Site, **others: Script) -> dict[str, Script]:
    """Return the answers of a team that searches, looks at a page and quotes it."""
    url = f"{site.address}/tides"
    fact = Fact(text=SENTENCE, file=url, line=3)
    found = Findings(key_areas=["Cause"], key_terms=["moon"], facts={"Cause": [fact]}, sources=[url])
    usual: dict[str, Script] = {
        "librarian": [
            calls(("web_search", {"query": "tides cause"}), ("fetch_page", {"url": url})),
            {"urls": [url, f"{site.address}/gone"]},
        ],
        "researcher": [found],
        "sceptic": [NOTHING],
        "writer": [f"# Tides\n\nThe moon makes the tides [{url}:3]."],
        "reviewer": [judged(8)],
    }
    return {**usual, **others}


async def test_a_model_searches_reads_and_quotes_pages(site: Site) -> None:
    """The pages become sources; the quotations are checked against them like those of files."""
    wrong = Findings(
        key_areas=["Cause"], facts={"Cause": [Fact(text="Tides are oak.", file=f"{site.address}/tides", line=3)]}
    )
    answers = script(site)
    answers["researcher"] = [wrong, *cast("list[object]", answers["researcher"])]
    with ScriptedModel(answers) as model:
        async with Runner(models={"*": model}) as runner:
            result = await runner.start(graph, {"task": TASK}).result()
    assert result.label == "approved"
    assert [source.path for source in result.state.sources] == [f"{site.address}/tides"]
    assert SENTENCE in result.state.sources[0].text
    tools = [message.text for request in model.requests for message in request.messages if message.role == "tool"]
    assert f"{site.address}/tides" in tools[0]
    assert SENTENCE in tools[1]
    asked = [request.messages[-1].text for request in model.requests if request.agent == "researcher"]
    assert "is nowhere in" in asked[1]


async def test_by_rules_the_first_results_are_read(site: Site) -> None:
    """What robots.txt forbids, and what is not there, is left out."""
    result = await graph.run({"task": TASK})
    assert [source.path for source in result.state.sources] == [f"{site.address}/tides"]
    assert "[tides:3]" in result.state.article or "/tides:3]" in result.state.article
    assert "/secret" not in site.asked


async def test_searches_are_recorded_and_not_made_again(site: Site, tmp_path: Path) -> None:
    """A run whose model fails after a search continues after it, in another process too."""
    answers = script(site)
    first, second = cast("list[object]", answers["librarian"])
    broken = script(site, librarian=[first, ModelUnavailable("no key")])
    async with Runner(tmp_path / "runs.db", models={"*": ScriptedModel(broken)}) as runner:
        with pytest.raises(RunFailed):
            await runner.start(graph, {"task": TASK}, run_id="r").result()
    rest = ScriptedModel(script(site, librarian=[second]))
    async with Runner(tmp_path / "runs.db", models={"*": rest}) as runner:
        result = await runner.resume(graph, "r").result()
    assert result.label == "approved"
    assert sum(path.startswith("/search") for path in site.asked) == 1


async def test_without_sources_and_without_a_search_the_run_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without sources and without a search the run says what to do, and makes nothing up."""
    for name in ("SEARXNG_URL", "BRAVE_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(RunFailed, match="there are no sources, and no search is configured") as failed:
        await graph.run({"task": TASK})
    assert "SEARXNG_URL" in str(failed.value)


async def test_pages_that_cannot_be_read_fail_the_run_with_the_reasons(site: Site) -> None:
    """Pages that cannot be read fail the run with a reason for each."""
    del site.pages["/tides"]
    with pytest.raises(RunFailed, match=r"forbids it.*status 404"):
        await graph.run({"task": TASK})

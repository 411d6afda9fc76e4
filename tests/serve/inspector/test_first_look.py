"""A graph at first look: whole where its text can be read, else folded, else scrolled to where the run is."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from graphengine import Runner
from graphengine.records.export import import_run, parse
from tests.serve.inspector.conftest import ROOT, Opened, served
from tests.serve.inspector.graphs import halls, record

FILES = sorted((ROOT / "checkpoints" / "gallery").glob("*.json"))
DRAWN = """() => {
  const canvas = [...document.querySelectorAll(".canvas")].find((each) => each.getBoundingClientRect().width);
  const svg = canvas.querySelector("svg");
  const [drawn, frame] = [svg.getBoundingClientRect(), canvas.getBoundingClientRect()];
  const {width, height} = svg.viewBox.baseVal;
  const isWhole = drawn.left >= frame.left && drawn.right <= frame.right + 1 && drawn.bottom <= frame.bottom + 1;
  return {isWhole, text: 11 * Math.min(drawn.width / width, drawn.height / height)};
}"""
"""Whether the picture is whole, and the height of its smallest text in pixels."""


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a database with a run of each bundled workflow, and one of a large graph that failed in its middle."""
    path = tmp_path_factory.mktemp("gallery") / "runs.db"

    async def write() -> None:
        async with Runner(path) as runner:
            for file in FILES:
                await import_run(runner.store, parse(file.read_text(encoding="utf-8"), str(file)))
            await record(runner, halls("middle"), "halls")

    with ThreadPoolExecutor(1) as apart:  # Chromium's loop counts as running in this thread
        apart.submit(asyncio.run, write()).result()
    return path


def drawn(page: Page) -> Any:
    """Return how the picture is drawn, once it is so that its text can be read."""
    expect(page.locator(".canvas > svg:visible .lit-done").first).to_be_visible()
    for _ in range(100):
        if (found := page.evaluate(DRAWN))["text"] >= 7.69:
            return found
        page.wait_for_timeout(50)  # it is sized anew where it did not fit
    raise AssertionError(page.url)


@pytest.mark.parametrize(("wide", "high", "shown"), [(1440, 850, ""), (1024, 768, "&tab=graph")])
def test_a_bundled_graph_is_whole(gallery: Path, visit: Opened, wide: int, high: int, shown: str) -> None:
    """Each of them at once, with a text of 7.7 pixels at least, beside the trace and in a tab of a narrow window."""
    parts = []
    with served(gallery, "--read-only") as url:
        for file in FILES:
            page = visit(url, f"/run?id={file.stem}{shown}")
            page.set_viewport_size({"width": wide, "height": high})
            page.reload()  # it is sized once, for the window in which it is opened
            if not drawn(page)["isWhole"]:
                parts.append(file.stem)
    assert parts == []


def test_a_graph_that_would_be_too_small_is_folded(gallery: Path, visit: Opened) -> None:
    """Where also its graphs as boxes do not fit, it is scrolled to where the run is; `fit` shows all of it."""
    with served(gallery, "--read-only") as url:
        page = visit(url, "/run?id=halls")
        expect(page.locator(".canvas .cluster")).to_have_count(1)
        page.set_viewport_size({"width": 1440, "height": 520})
        expect(page.locator(".canvas .cluster")).to_have_count(0)
        page.set_viewport_size({"width": 1440, "height": 300})
        expect(page.locator(".picture h2")).to_contain_text("shown")
        expect(page.locator(".canvas .lit-failed")).to_be_in_viewport()
        page.get_by_role("button", name="fit", exact=True).click()
        expect(page.locator(".picture h2")).not_to_contain_text("shown")

"""A story of a run from the page."""

import asyncio
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from playwright.sync_api import Browser

from graphengine import Runner
from graphengine.records.export import import_run, parse
from graphengine.render.story import story_of
from tests.serve.inspector.conftest import ROOT, Opened, served


def test_a_story_is_one_file_that_prints_on_two_pages(
    recorded: Path, visit: Opened, browser: Browser, tmp_path: Path
) -> None:
    """It is downloaded from a run, and from a comparison; opened from the disk it is not wider than a phone."""
    with served(recorded, "--read-only") as url:
        page = visit(url, "/run?id=items")
        with page.expect_download() as download:
            page.get_by_role("link", name="Story to send").click()
        download.value.save_as(tmp_path / "story.html")
        page = visit(url, "/compare?a=five&b=other")
        with page.expect_download() as download:
            page.get_by_role("link", name="Story to send").click()
        download.value.save_as(tmp_path / "two.html")
    with browser.new_page(viewport={"width": 390, "height": 844}) as reader:
        for name, words in (("story", "How it came to this"), ("two", "Where they part")):
            reader.goto(f"file://{tmp_path / name}.html")
            assert words in reader.inner_text("main")
            assert reader.evaluate("document.documentElement.scrollWidth") <= 390
            assert len(re.findall(rb"/Type\s*/Page[^s]", reader.pdf(prefer_css_page_size=True))) <= 2


def test_the_story_of_each_bundled_workflow_prints_on_two_pages(browser: Browser, tmp_path: Path) -> None:
    """And is not wider than a phone, by day and by night, without an error of its policy."""

    async def write() -> None:
        async with Runner() as runner:
            for file in sorted((ROOT / "checkpoints" / "gallery").glob("*.json")):
                await import_run(runner.store, parse(file.read_text(encoding="utf-8"), str(file)))
                page = await story_of(runner.store, file.stem, None, 0.0)
                (tmp_path / f"{file.stem}.html").write_text(page, encoding="utf-8")

    with ThreadPoolExecutor(1) as apart:  # Chromium's loop counts as running in this thread
        apart.submit(asyncio.run, write()).result()
    said: list[str] = []
    with browser.new_page(viewport={"width": 390, "height": 844}, color_scheme="dark") as reader:
        reader.on("console", lambda message: said.append(message.text))
        for file in sorted(tmp_path.glob("*.html")):
            reader.goto(f"file://{file}")
            assert reader.evaluate("document.documentElement.scrollWidth") <= 390, file
            assert len(re.findall(rb"/Type\s*/Page[^s]", reader.pdf(prefer_css_page_size=True))) <= 2, file
    assert said == []

"""A story of a run from the page."""

import re
from pathlib import Path

from playwright.sync_api import Browser

from tests.serve.inspector.conftest import Opened, served


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
        for name, words in (("story", "How it came to this"), ("two", "Where the ways part")):
            reader.goto(f"file://{tmp_path / name}.html")
            assert words in reader.inner_text("main")
            assert reader.evaluate("document.documentElement.scrollWidth") <= 390
            assert len(re.findall(rb"/Type\s*/Page[^s]", reader.pdf(prefer_css_page_size=True))) <= 2

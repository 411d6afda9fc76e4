"""Failures below a run: in the list, on its page, and the way up."""

import asyncio
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from playwright.sync_api import expect

from graphengine import Runner
from tests.serve.inspector.accessible import check_accessible
from tests.serve.inspector.conftest import Opened, served
from tests.serve.inspector.graphs import Place, survey


def recorded(path: Path) -> None:
    """Record runs of three levels, of which two of the last fail."""

    async def record() -> None:
        async with Runner(path) as runner:
            await runner.start(survey(), Place(name="top"), run_id="top").result()

    with ThreadPoolExecutor(1) as apart:  # Chromium's loop counts as running in this thread
        apart.submit(asyncio.run, record()).result()


def test_failures_below_are_seen_from_the_root(visit: Opened, tmp_path: Path) -> None:
    """The list has the root alone, with how many below failed; its page leads to the leaf, and the leaf to it."""
    recorded(tmp_path / "runs.db")
    with served(tmp_path / "runs.db", "--read-only") as url:
        page = visit(url, "/")
        rows = page.locator(".row[data-run]")
        expect(rows).to_have_count(1)
        expect(rows.first).to_contain_text("2 of 20 runs below failed")
        page.get_by_role("button", name="20 runs below").click()
        expect(rows).to_have_count(3)
        expect(rows.nth(1)).to_contain_text("1 of 9 runs below failed")
        expect(rows.nth(1)).to_contain_text("top.0")
        page.get_by_role("link", name="top", exact=True).click()
        expect(page.locator(".outcome")).to_contain_text("2 of 20 runs below failed")
        calls = page.locator(".tr.call")
        expect(calls).to_have_count(2)
        calls.nth(1).locator(".fold").click()
        expect(calls).to_have_count(5)
        calls.nth(4).locator(".fold").click()
        expect(calls).to_have_count(7)
        check_accessible(page)
        expect(calls.nth(4)).to_contain_text("1 of 2 failed")
        wrong = page.locator(".events li")
        expect(wrong).to_have_count(2)
        expect(wrong.nth(1)).to_contain_text(re.compile(r"top\.1 . top\.1\.2 . top\.1\.2\.1"))
        wrong.nth(1).get_by_role("link").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("top.1.2.1")
        way = page.locator("header").get_by_role("navigation", name="Runs above").get_by_role("link")
        expect(way).to_have_text(["top", "top.1", "top.1.2"])
        way.nth(1).click()
        expect(page.locator(".outcome")).to_contain_text("1 of 9 runs below failed")


def test_a_search_finds_runs_below_too(visit: Opened, tmp_path: Path) -> None:
    """What a filter finds is shown, not folded below a run that it finds too."""
    recorded(tmp_path / "runs.db")
    with served(tmp_path / "runs.db", "--read-only") as url:
        page = visit(url, "/?status=failed")
        expect(page.locator(".row[data-run]")).to_have_count(2)
        expect(page.locator(".row[data-run]").first).to_contain_text("started by")

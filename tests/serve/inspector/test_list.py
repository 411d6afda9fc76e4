"""The list of runs: where it was is found again."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from playwright.sync_api import expect

from graphengine import Runner
from tests.serve.inspector.conftest import Opened, served
from tests.serve.inspector.graphs import State, counter


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An inspector of 450 runs, which are more than two pages."""
    path: Path = tmp_path_factory.mktemp("many") / "runs.db"

    async def record() -> None:
        async with Runner(path) as runner:
            for number in range(450):
                await runner.start(counter(1), State(text=f"number {number}"), run_id=f"r{number}").result()

    with ThreadPoolExecutor(1) as pool:  # the browser's event loop may be in this thread
        pool.submit(asyncio.run, record()).result()
    with served(path, "--read-only") as found:
        yield found


def test_back_finds_the_list_where_it_was(url: str, visit: Opened) -> None:
    """Scrolled over several pages, with its filters; an address that is opened anew begins at the top."""
    page = visit(url, "/?graph=counter")
    rows = page.locator(".list")
    for number in (250, 40):
        expect(page.locator(".list .row").first).to_be_visible()
        row = page.locator(f".row[data-run=r{number}]")
        for _ in range(100):
            if row.count():
                break
            rows.evaluate("list => list.scrollBy(0, 600)")
            page.wait_for_timeout(30)
        row.scroll_into_view_if_needed()
        place = row.bounding_box()
        page.wait_for_timeout(200)  # what is scrolled to is kept a tenth of a second later
        row.locator(".name").click()
        expect(page.locator("h1")).to_contain_text(f"number {number}")
        page.go_back()
        expect(row).to_be_visible()
        page.wait_for_timeout(100)
        assert row.bounding_box() == place
        assert page.url.endswith("/?graph=counter")
    page.locator(".list .row .name").first.click()
    page.get_by_role("link", name="to the list of runs").click()
    expect(page.locator(".filter", has_text="counter")).to_be_visible()
    page = visit(url, "/")
    expect(page.locator(".row[data-run=r449]")).to_be_visible()

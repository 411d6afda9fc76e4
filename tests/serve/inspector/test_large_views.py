"""The page with runs of large values, in a browser: each view is small, and each value is whole after two clicks."""

import asyncio
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from playwright.sync_api import Page, Response, expect

from graphengine.api.places import store_at
from tests.serve.inspector.conftest import Opened, served
from tests.serve.inspector.large import SIZES, write_run
from tests.serve.inspector.test_browser import AXE, RUN_AXE

CHARACTERS, BYTES = 300_000, 1_000_000
"""What the document of a view contains, and what a view fetches: the page itself is in both, compressed."""
VIEWS = [
    *("/", "/today", "/questions", "/graphs", "/graph?graph=archive", "/compare?a=big&b=big-done"),
    *("/run?id=big", "/run?id=big-done", "/run?id=big&at=4&field=again", "/run?id=big&tab=branches"),
    *("/run?id=big&tab=state", "/run?id=big&tab=scores", "/run?id=big&tab=cost", "/run?id=big&at=1"),
    *("/run?id=big&at=2", "/run?id=big&at=4&sub=changes", "/run?id=big&at=4&sub=raw", "/run?id=big&at=6&sub=talk"),
    "/run?id=big&at=7&sub=raw",
]


@pytest.fixture(scope="module", params=["10 MB", "100,000 records"])
def shown(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """An inspector of a database with the runs of one size, and that size."""
    path = tmp_path_factory.mktemp("large") / "runs.db"
    with ThreadPoolExecutor(1) as apart:  # Chromium's loop counts as running in this thread
        apart.submit(asyncio.run, write_run(store_at(path), "big", request.param)).result()
    with served(path, "--read-only") as url:
        yield url, request.param


def wait_until_read(page: Page) -> None:
    """Wait until a view has what it reads at first."""
    page.wait_for_load_state("networkidle" if "/run?" not in page.url else "load")  # that of a run follows a stream
    page.wait_for_selector("main > *, main .row, .panel .body > *")
    expect(page.locator("[aria-busy=true]")).to_have_count(0)


def test_every_view_is_small(shown: tuple[str, str], visit: Opened) -> None:
    """Neither the characters of a view nor the bytes that it fetches follow the size of the run."""
    url, _ = shown
    fetched: list[int] = []

    def note(response: Response) -> None:
        fetched.append(int(response.headers.get("content-length", 0)))

    page = visit(url, "/graphs")
    page.on("response", note)
    for view in VIEWS:
        fetched.clear()
        page = visit(url, view, is_refused=True)
        wait_until_read(page)
        assert page.evaluate("document.documentElement.textContent.length") < CHARACTERS, view
        assert 50_000 < sum(fetched) < BYTES, view
    page.remove_listener("response", note)


def test_a_value_is_whole_after_two_clicks(shown: tuple[str, str], visit: Opened) -> None:
    """The tab *State*, and the button of the value."""
    url, size = shown
    page = visit(url, "/run?id=big")
    page.get_by_role("tab", name="State").click()
    wait_until_read(page)
    text, rows = SIZES[size].get("text", ""), SIZES[size].get("rows", [])
    buttons = page.get_by_role("button", name="show all")
    expect(buttons).to_have_count(3 if len(text) > 100_000 else 1 if len(rows) > 1000 else 0)
    if buttons.count():
        buttons.first.click()
        whole = page.get_by_role("region", name="the whole value")
        expect(whole).to_be_visible()
        found = whole.evaluate("(part) => part.textContent")
        if text:
            assert found.replace("\n", "") == text.replace("\n", "")
        else:
            assert json.loads(found) == [{**each, "paid": True} for each in rows]
        if AXE.is_file():
            page.evaluate(AXE.read_text(encoding="utf-8"))
            assert page.evaluate(RUN_AXE) == []

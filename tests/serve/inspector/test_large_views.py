"""The page with runs of large values, in a browser: each view is small, and each value is whole after two clicks."""

import asyncio
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from playwright.sync_api import Page, Response, expect

from graphengine.api.places import store_at
from tests.serve.inspector.accessible import serious_findings
from tests.serve.inspector.conftest import Opened, served
from tests.serve.inspector.large import SIZES, write_run

CHARACTERS, BYTES = 300_000, 1_000_000
"""What the document of a view contains, and what a view fetches: the page itself is in both, compressed."""
OF_ALL = ("/", "/today", "/questions", "/graphs", "/graph?graph=archive")
"""The views that show runs of all sizes at once."""
OF_ONE = [
    *("/run?id=RUN", "/run?id=RUN-done", "/run?id=RUN&at=4&field=again", "/run?id=RUN&tab=branches"),
    *("/run?id=RUN&tab=state", "/run?id=RUN&tab=scores", "/run?id=RUN&tab=cost", "/run?id=RUN&at=1"),
    *("/run?id=RUN&at=2", "/run?id=RUN&at=4&sub=changes", "/run?id=RUN&at=4&sub=raw", "/run?id=RUN&at=6&sub=talk"),
    *("/run?id=RUN&at=7&sub=raw", "/run?id=RUN&tab=why&edge=0", "/compare?a=RUN&b=RUN-done"),
]
"""The views of one run."""


def run_of(size: str) -> str:
    """Return the id of the run of a size."""
    return size.replace(" ", "-").replace(",", "")


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An inspector of a database with the runs of all sizes."""
    path = tmp_path_factory.mktemp("large") / "runs.db"

    async def write() -> None:
        for size in SIZES:
            await write_run(store_at(path), run_of(size), size)

    with ThreadPoolExecutor(1) as apart:  # Chromium's loop counts as running in this thread
        apart.submit(asyncio.run, write()).result()
    with served(path, "--read-only") as found:
        yield found


def wait_until_read(page: Page) -> None:
    """Wait until a view has what it reads at first."""
    page.wait_for_load_state("networkidle" if "/run?" not in page.url else "load")  # that of a run follows a stream
    page.wait_for_selector("main > *, main .row, .panel .body > *")
    expect(page.locator("[aria-busy=true]")).to_have_count(0)


@pytest.mark.parametrize("size", ["", *SIZES])
def test_every_view_is_small(url: str, visit: Opened, size: str) -> None:
    """Neither the characters of a view nor the bytes that it fetches follow the size of the run."""
    fetched: list[int] = []

    def note(response: Response) -> None:
        fetched.append(int(response.headers.get("content-length", 0)))

    page = visit(url, "/graphs")
    page.on("response", note)
    for view in [each.replace("RUN", run_of(size)) for each in OF_ONE] if size else OF_ALL:
        fetched.clear()
        page = visit(url, view, is_refused=True)
        wait_until_read(page)
        assert page.evaluate("document.documentElement.textContent.length") < CHARACTERS, view
        assert 50_000 < sum(fetched) < BYTES, view
    page.remove_listener("response", note)


def whole_value(page: Page) -> str:
    """Return the text of the value that the page shows whole."""
    whole = page.get_by_role("region", name="the whole value").first
    expect(whole).to_be_visible()
    assert serious_findings(page) == []
    return str(whole.evaluate("(part) => part.textContent"))


@pytest.mark.parametrize("size", SIZES)
def test_a_value_is_whole_after_two_clicks(url: str, visit: Opened, size: str) -> None:
    """The first click chooses the tab *State*, and the second the button of the value."""
    page = visit(url, f"/run?id={run_of(size)}")
    page.get_by_role("tab", name="State").click()
    wait_until_read(page)
    text, rows = SIZES[size].get("text", ""), SIZES[size].get("rows", [])
    buttons = page.get_by_role("button", name="show all")
    expect(buttons).to_have_count(3 if len(text) > 100_000 else 1 if len(rows) > 1000 else 0)
    if buttons.count():
        buttons.first.click()
        found = whole_value(page)
        if text:
            assert found.replace("\n", "") == text.replace("\n", "")
        else:
            assert json.loads(found) == [{**each, "paid": True} for each in rows]


def test_a_record_is_whole_after_two_clicks(url: str, visit: Opened) -> None:
    """The first click chooses a step, and the second its tab *Raw*, which says how much there is to read."""
    page = visit(url, "/run?id=1-MB")
    page.locator(".trace .tr.visit", has_text="change").click()
    page.get_by_role("tab", name="Raw, 1.0 MB").click()
    assert SIZES["1 MB"]["text"].upper().replace("\n", "") == whole_value(page).replace("\n", "")

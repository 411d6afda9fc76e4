"""A loop of many rounds in the trace of a run."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import parse_qs, urlparse

import pytest
from playwright.sync_api import Route, expect

from graphengine import END, START, Graph, Runner, value
from tests.serve.inspector.conftest import Opened, served
from tests.serve.inspector.graphs import State

ROUNDS = 200


def looping() -> Graph[State]:
    """Return a graph of which two nodes follow each other until a number is reached."""

    def more(n: int) -> int:
        return n + 1

    def judge(n: int) -> str:
        return f"round {n}"

    graph = Graph("looping", State)
    graph.add_node("draft", more, writes="n", thread=False)
    graph.add_node("judge", judge, writes="text", thread=False)
    graph.add_node("report", judge, writes="text", thread=False)
    graph.add_path(START, "draft", "judge")
    graph.add_edge("judge", "report", when=value("n") >= ROUNDS, label="enough")
    graph.add_edge("judge", "draft", label="again")
    graph.add_edge("report", END)
    return graph


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An inspector of a run of it."""
    path: Path = tmp_path_factory.mktemp("loops") / "runs.db"

    async def record() -> None:
        async with Runner(path, deploy="v7") as runner:
            await runner.start(looping(), run_id="loop").result()

    with ThreadPoolExecutor(1) as pool:  # the browser's event loop may be in this thread
        pool.submit(asyncio.run, record()).result()
    with served(path, "--read-only") as found:
        yield found


def test_a_loop_is_one_line_with_the_number_that_its_exit_compares(url: str, visit: Opened) -> None:
    """It opens to its rounds; a step of a round that is selected is the loop's while that is folded."""
    page = visit(url, "/run?id=loop")
    lines = page.locator(".list .tr")
    expect(lines).to_have_count(3)
    loop = page.locator(".tr.loop")
    expect(loop).to_contain_text(f"draft → judge{ROUNDS} rounds, n 1 → {ROUNDS}")
    points = loop.locator("polyline").get_attribute("points") or ""
    assert len(points.split()) == ROUNDS
    loop.locator(".fold").click()
    expect(page.locator(".trace .lines")).to_have_text(f"{3 + 2 * ROUNDS} lines")
    page.locator(".list .tr", has_text="draft 200").click()
    expect(page.locator(".tr.selected")).to_have_count(1)
    expect(page.locator(".tr.selected")).to_contain_text("draft 200")
    page.keyboard.press("ArrowLeft")
    expect(lines).to_have_count(3)
    expect(loop).to_have_attribute("aria-selected", "true")


def test_a_very_long_run_has_its_newest_steps_first(url: str, visit: Opened) -> None:
    """The page says which steps are here, reads earlier ones when asked, and counts visits once it has all steps."""

    def cut(route: Route) -> None:
        before = int(parse_qs(urlparse(route.request.url).query).get("before", ["0"])[0]) or 2 * ROUNDS + 3
        rows = [row for row in route.fetch().json() if row["account"]["seq"] < before]
        route.fulfill(json=rows[-ROUNDS:])

    page = visit(url, "/graphs")
    page.route("**/api/rows?*", cut)
    visit(url, f"/run?id=loop&at={2 * ROUNDS}")
    note = page.locator(".trace .earlier")
    expect(note).to_have_text(f"The last {ROUNDS} of {2 * ROUNDS + 2} steps are here. read earlier steps")
    expect(page.locator(".trace .selected")).to_contain_text("judge → draft")
    expect(page.locator(".g .picture").get_by_text("\N{MULTIPLICATION SIGN}")).to_have_count(0)
    for _ in range(2):
        note.get_by_role("button").click()
    expect(note).to_have_count(0)
    expect(page.locator(".trace .lines")).to_have_text("3 lines")
    expect(page.locator(".g .picture").get_by_text("\N{MULTIPLICATION SIGN}")).to_have_count(2)


def test_a_run_says_with_which_version_it_began(url: str, visit: Opened) -> None:
    """It leads to the other runs of that version."""
    page = visit(url, "/run?id=loop")
    page.get_by_role("link", name="v7").click()
    expect(page.get_by_label("Search", exact=True)).to_have_value('version:"v7"')
    expect(page.locator(".list .row")).to_have_count(1)

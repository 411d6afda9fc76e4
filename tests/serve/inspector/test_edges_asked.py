"""An edge of a run's picture is asked why it was not taken, by a click or by the keyboard."""

import asyncio
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from playwright.sync_api import expect

from graphengine import END, START, Graph, Runner, iterations, value
from tests.serve.inspector.accessible import check_accessible, needs_axe
from tests.serve.inspector.conftest import Opened, served
from tests.serve.inspector.graphs import counter, record
from tests.serve.inspector.reviewed import Paper, reviewed


def twice_labelled() -> Graph[Paper]:
    """Return a graph with two edges to one node, which the picture draws as one line with two labels."""
    graph = Graph("twice", Paper)
    graph.add_node("review", lambda score: score, writes="score", thread=False)
    graph.add_node("publish", lambda score: score, writes="score", thread=False)
    graph.add_edge(START, "review")
    graph.add_edge("review", "publish", when=value("score") >= 7, label="good enough")
    graph.add_edge("review", "publish", when=iterations("review") >= 3, label="out of rounds")
    graph.add_edge("review", "review", label="again")
    graph.add_edge("publish", END)
    return graph


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An inspector of three runs of `reviewed`, which it drives, and one of `counter`."""
    path = tmp_path_factory.mktemp("asked") / "runs.db"

    async def write() -> None:
        async with Runner(path) as runner:
            for number, score in enumerate((6.5, 8.0, 7.0)):
                await runner.start(reviewed(), Paper(score=score), run_id=f"r{number}").result()
            await record(runner, counter(5), "five")
            await runner.start(twice_labelled(), Paper(score=8.0), run_id="twice").result()

    with ThreadPoolExecutor(1) as apart:  # Chromium's loop counts as running in this thread
        apart.submit(asyncio.run, write()).result()
    with served(path, "--drive", "--graph", f"{Path(__file__).parent / 'reviewed.py'}") as found:
        yield found


def test_an_edge_is_asked_by_the_keyboard_and_taken_in_a_branch(url: str, visit: Opened) -> None:
    """What it compared, how often others took it, and a branch whose form has what the condition needs."""
    page = visit(url, "/run?id=r0", is_refused=True)
    edge = page.locator(".g").get_by_role("button", name=re.compile("why: .*good enough"))
    edge.focus()
    edge.press("Enter")
    expect(page).to_have_url(re.compile("tab=why&.*edge="))
    panel = page.locator(".why-not")
    expect(panel).to_contain_text("did not hold: score is 6.5, at least 7.0 is needed: 0.5 too little")
    expect(panel).to_contain_text("Taken in 2 of the last 3 runs of this graph.")
    page.get_by_role("button", name="Branch as if it had been").click()
    expect(page.get_by_label("Preview")).to_contain_text(re.compile("score.*6.5.*→.*7"))
    page.get_by_role("button", name="Begin the branch").click()
    expect(page.locator(".outcome .ends")).to_contain_text("finished")
    expect(page.locator(".trace")).to_contain_text("publish")


def test_an_edge_is_asked_by_a_click(url: str, visit: Opened) -> None:
    """One that was never tried says which came first; the address leads to the same answer."""
    page = visit(url, "/run?id=r1", is_refused=True)
    page.locator(".g .edge text", has_text="leave it").click()
    panel = page.locator(".why-not")
    expect(panel).to_contain_text("good enough came first: score is 8.0, at least 7.0 was needed")
    expect(panel).to_contain_text("is tried before it, and held")
    page.reload()
    expect(panel).to_contain_text("good enough came first")
    page.locator(".g .node", has_text="review").click()
    expect(page.get_by_role("tab", name="review")).to_have_attribute("aria-selected", "true")


def test_the_name_of_an_edge_contains_what_is_written_on_it(url: str, visit: Opened) -> None:
    """In one piece, also where one line has two labels, so that an edge is found by its label when it is spoken."""
    page = visit(url, "/run?id=twice")
    edge = page.locator(".g .edge", has_text="good enough")
    expect(edge).to_be_visible()
    labels = edge.locator("text").all_text_contents()
    assert len(labels) > 1
    expect(page.locator(".g").get_by_role("button", name=" ".join(labels))).to_be_visible()
    check_accessible(page)


@needs_axe
@pytest.mark.parametrize("width", [390, 1440])
def test_axe_finds_nothing_wrong_with_the_answer(url: str, visit: Opened, width: int) -> None:
    """Its names, roles and contrasts, and those of the edges, on a phone and on a wide screen, by day and by night."""
    page = visit(url, "/run?id=five&at=4&tab=why&edge=2,3,4")
    page.set_viewport_size({"width": width, "height": 844})
    expect(page.locator(".why-not")).to_have_count(3)
    check_accessible(page)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")

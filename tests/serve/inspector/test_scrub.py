"""The slider below a run's graph: each stop is an address, and is the run as of that step."""

import asyncio
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from graphengine import Runner
from graphengine.databases.sqlite import SQLiteStore
from graphengine.records.export import import_run, parse
from tests.serve.inspector.accessible import check_accessible, needs_axe
from tests.serve.inspector.conftest import ROOT, Opened, served
from tests.serve.inspector.graphs import Walk, counter, record, walked

TOKENS = """() => [...document.querySelectorAll(".g .tokens > .token")].map(
  (token) => token.dataset.at + (token.textContent ? ` ${token.textContent}` : "")
).sort()"""
"""The nodes at which tokens are, each with how many if they are several."""


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a database of runs: one of forks, maps and a graph inside, one with a draft, a long and a short one."""
    path = tmp_path_factory.mktemp("scrub") / "runs.db"

    async def write() -> None:
        store = SQLiteStore(path)
        await store.open()
        async with Runner() as runner:
            for times, run_id in ((7333, "long"), (100, "short")):
                await record(runner, counter(times), run_id)
                info, steps = await runner.info(run_id), await runner.store.steps(run_id)
                await store.create(info, steps, await runner.store.graph_spec(info.fingerprint) or {"graph": ""})
        async with Runner(store) as runner:
            await runner.start(walked(), Walk(), run_id="walked").result()
            file = ROOT / "checkpoints" / "gallery" / "review_loop.json"
            await import_run(runner.store, parse(file.read_text(encoding="utf-8"), str(file)))

    with ThreadPoolExecutor(1) as apart:  # Chromium's loop counts as running in this thread
        apart.submit(asyncio.run, write()).result()
    return path


@pytest.fixture(scope="module")
def url(database: Path) -> Iterator[str]:
    """An inspector of it."""
    with served(database, "--read-only") as found:
        yield found


def slider(page: Page) -> Any:
    """Return the slider, once the page has every step."""
    found = page.locator(".g").get_by_role("slider")
    expect(found).to_be_visible()
    expect(page.locator(".g .tokens > .token").first).to_be_attached()
    return found


def test_the_head_of_the_graph_is_one_line(url: str, visit: Opened) -> None:
    """In its narrowest column all of its buttons fit beside each other."""
    page = visit(url, "/run?id=walked")
    page.set_viewport_size({"width": 1440, "height": 900})
    buttons = page.locator(".g .head .btn")
    expect(buttons).to_have_count(6)
    assert len({box["y"] for each in buttons.all() if (box := each.bounding_box()) is not None}) == 1


def test_keys_move_the_run_step_by_step(url: str, visit: Opened) -> None:
    """`s` leads to the slider, ← and → make a step; the address follows at rest, and leads to the same stop."""
    page = visit(url, "/run?id=walked&at=2")
    expect(slider(page)).to_have_value("2")
    page.keyboard.press("s")
    expect(slider(page)).to_be_focused()
    assert page.evaluate(TOKENS) == ["inner", "list"]
    seen = {}
    for step in range(3, 28):
        page.keyboard.press("ArrowRight")
        expect(page).to_have_url(re.compile(f"at={step}(&|$)"))
        expect(page.locator(".g .caption")).to_contain_text(f"{step} of 27")
        seen[step] = page.evaluate(TOKENS)
    assert seen[27] == ["END"]
    assert all(seen.values()), seen
    assert ["inner/draft", "look 3"] in seen.values()
    page.keyboard.press("ArrowLeft")
    expect(page).to_have_url(re.compile("at=26"))
    for step in (9, 14, 26):
        again = visit(url, f"/run?id=walked&at={step}")
        slider(again)
        assert again.evaluate(TOKENS) == seen[step]


def test_a_field_is_followed_word_by_word(url: str, visit: Opened) -> None:
    """The chosen field is in the address; what a step changed of it is marked, else it is pale."""
    page = visit(url, "/run?id=review_loop&at=5")
    slider(page)
    page.locator(".g").get_by_label("follow a field").select_option("draft")
    expect(page).to_have_url(re.compile("at=5&field=draft"))
    box = page.locator(".g .followed")
    expect(box.locator("ins")).to_have_count(0)
    expect(box).to_contain_text("How a write-ahead log")
    slider(page).press("ArrowRight")
    expect(page).to_have_url(re.compile("at=6&field=draft"))
    expect(box.locator("ins").first).to_be_visible()
    expect(box.locator("del").first).to_be_visible()
    page.reload()
    expect(box.locator("ins").first).to_be_visible()


def test_tokens_walk_along_the_edges_unless_motion_is_unwanted(url: str, visit: Opened) -> None:
    """A dot goes along each edge that the step takes, back when one goes back; under reduced motion none does."""
    page = visit(url, "/run?id=review_loop&at=3")
    step = slider(page)
    page.evaluate("""() => {
      window.walked = 0;
      const look = (found) => found.forEach((one) => one.addedNodes.forEach((part) => {
        if (part.classList?.contains("walking")) window.walked += 1;
      }));
      new MutationObserver(look).observe(document, {childList: true, subtree: true});
    }""")
    for count, (key, at) in enumerate((("ArrowRight", 4), ("ArrowLeft", 3)), 1):
        step.press(key)
        expect(page).to_have_url(re.compile(f"at={at}"))
        assert page.evaluate("window.walked") == count
        expect(page.locator(".g .walking")).to_have_count(0)
    page.emulate_media(reduced_motion="reduce")
    step.press("ArrowRight")
    expect(page).to_have_url(re.compile("at=4"))
    expect(page.locator(".g .tokens > .token")).to_have_attribute("data-at", "research")
    assert page.evaluate("window.walked") == 2
    page.emulate_media(reduced_motion="null")


def test_a_stop_among_ten_thousand_steps_costs_what_one_among_few_does(url: str, visit: Opened) -> None:
    """The script of a stop takes as long in a long run as in a short one: in both it draws the same."""

    def spent(run_id: str, at: int, stops: int, pause: int) -> float:
        """Return the milliseconds of script per stop."""
        page = visit(url, f"/run?id={run_id}&at={at}&field=score")
        step = slider(page)
        session = page.context.new_cdp_session(page)
        session.send("Performance.enable", {"timeDomain": "threadTicks"})

        def script() -> float:
            found = {each["name"]: each["value"] for each in session.send("Performance.getMetrics")["metrics"]}
            return float(found["ScriptDuration"]) * 1000

        began = script()
        for _ in range(stops):
            step.press("ArrowRight")
            page.wait_for_timeout(pause)
        expect(page).to_have_url(re.compile(f"at={at + stops}"))
        return (script() - began) / stops

    for stops, pause in ((60, 20), (10, 350)):
        short, long = spent("short", 50, stops, pause), spent("long", 5000, stops, pause)
        assert long <= 2 * short + 1


@needs_axe
@pytest.mark.parametrize("width", [390, 1440])
def test_axe_finds_nothing_wrong_with_the_slider(url: str, visit: Opened, width: int) -> None:
    """Its names, roles and contrasts, on a phone and on a wide screen, by day and by night."""
    page = visit(url, "/run?id=walked&at=9&field=text&pane=graph")
    page.set_viewport_size({"width": width, "height": 844})
    slider(page)
    check_accessible(page)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")

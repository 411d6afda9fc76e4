import asyncio
import re
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import pytest
from playwright.sync_api import Page, expect

from graphengine import Runner
from graphengine.stores.sqlite import SQLiteStore
from tests.inspector.conftest import Opened, served
from tests.inspector.graphs import HOSTILE, HOSTILE_ID, counter, record
from tests.inspector.test_events import driving

PATIENT = 15_000
"""Milliseconds for what another process does, on a machine that does much else."""


@pytest.fixture(scope="module")
def url(recorded: Path) -> Iterator[str]:
    """An inspector of a run of each kind."""
    with served(recorded) as found:
        yield found


def opened_run(page: Page) -> Page:
    """Wait until a run's page has every step."""
    expect(page.locator(".steps .soft").first).to_contain_text("line")
    return page


def test_the_list_opens_a_run(url: str, visit: Opened) -> None:
    """The list shows how each run stands and why; a click opens it, and the browser's button returns."""
    page = visit(url)
    expect(page.locator(".row[data-run=broken]")).to_contain_text("failed at boom: it broke")
    expect(page.locator(".row[data-run=asks]")).to_contain_text("asks Publish this draft?")
    expect(page.locator(".row[data-run=five]")).to_contain_text("nightly")
    assert "token" not in page.url
    page.locator(".row[data-run=broken]").click()
    expect(page.locator("h1")).to_contain_text("broken")
    page.go_back()
    expect(page.locator("h1")).to_have_text("Runs")


def test_a_branch_is_below_its_parent(url: str, visit: Opened) -> None:
    """A branch is indented below the run it was branched from, and can be folded away."""
    page = visit(url)
    rows = page.locator(".list .row")
    expect(rows.nth(6)).to_have_attribute("data-run", "other")
    expect(rows.nth(5)).to_have_attribute("data-run", "five")
    rows.nth(5).locator("button.fold").click()
    expect(rows).to_have_count(6)


def test_filters_are_in_the_address(url: str, visit: Opened) -> None:
    """Status, search and graph select runs, and the address keeps them."""
    page = visit(url)
    page.get_by_role("tab", name="failed").click()
    expect(page.locator(".list .row")).to_have_count(2)
    assert "status=failed" in page.url
    page.goto(page.url)
    expect(page.locator(".list .row")).to_have_count(2)
    page.get_by_role("tab", name="all").click()
    page.get_by_label("Search", exact=True).fill("tag:nightly")
    page.keyboard.press("Enter")
    expect(page.locator(".list .row")).to_have_count(1)


def test_the_keyboard_is_enough(url: str, visit: Opened) -> None:
    """Runs are selected, ticked, compared and opened, and steps walked through, without a pointer."""
    page = visit(url)
    expect(page.locator(".row[data-run=five]")).to_be_visible()
    for key in ("j", "x", "k", "j", "j", "x"):
        page.keyboard.press(key)
    page.keyboard.press("c")
    expect(page.locator("h1")).to_have_text("Compare")
    page.keyboard.press("g")
    expect(page.locator("h1")).to_have_text("Runs")
    page.keyboard.press("/")
    page.keyboard.type("broken")
    page.keyboard.press("Enter")
    expect(page.locator(".list .row")).to_have_count(1)
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    opened_run(page)
    page.keyboard.press("f")
    expect(page.locator(".step.selected")).to_have_attribute("data-seq", "2")
    page.keyboard.press("f")
    page.keyboard.press("f")
    expect(page.locator(".step.selected")).to_have_attribute("data-seq", "5")
    expect(page.locator(".trouble")).to_contain_text("RuntimeError: it broke")
    page.keyboard.press("?")
    expect(page.get_by_label("Keys")).to_be_visible()


def test_the_picture_is_lit_as_at_the_selected_step(url: str, visit: Opened) -> None:
    """At a step, nodes done, the node where the run is, and the edge just taken are marked; later ones are pale."""
    page = opened_run(visit(url, "/run?id=five"))
    expect(page.locator(".picture .lit-unused")).to_have_count(0)
    page.locator(".step[data-seq='2']").click()
    expect(page.locator(".picture .lit-here")).to_contain_text("work")
    expect(page.locator(".picture .edge.lit-now")).to_have_count(1)
    expect(page.locator(".picture .node.lit-unused", has_text="boost")).to_have_count(1)
    expect(page.locator(".panel .tried tr.taken")).to_contain_text("again")
    expect(page.locator(".panel .tried")).to_contain_text("score 0 >= 7: no")
    expect(page.locator(".panel .changes")).to_contain_text("n0→1")
    page.keyboard.press("ArrowRight")
    expect(page.locator(".picture .lit-here")).to_contain_text("boost")
    assert page.url.endswith("at=3")
    page.locator(".picture .node", has_text="work").click()
    expect(page.locator(".step.selected")).to_have_attribute("data-seq", "2")


def test_a_failed_run_shows_its_attempts(url: str, visit: Opened) -> None:
    """Retries are flagged; the step that succeeded lists the attempts before it."""
    page = opened_run(visit(url, "/run?id=broken&at=4"))
    expect(page.locator(".attempts li")).to_have_count(3)
    page.get_by_label("only failures").check()
    expect(page.locator(".list .step")).to_have_count(3)
    expect(page.locator(".acts")).to_contain_text("Commands")


def test_items_of_a_map_are_folded(url: str, visit: Opened) -> None:
    """Twelve items are one line until they are unfolded."""
    page = opened_run(visit(url, "/run?id=items"))
    fold = page.locator(".step.folded")
    expect(fold).to_contain_text("double[…]")
    fold.click()
    expect(page.locator(".list .step", has_text="double[")).not_to_have_count(0)


def test_two_runs_are_compared_on_one_picture(url: str, visit: Opened) -> None:
    """The edges that only one of them took, the step where they part and the fields that differ are shown."""
    page = visit(url, "/compare?a=five&b=other")
    expect(page.locator(".parted").first).to_contain_text("parts here")
    expect(page.locator(".picture svg")).to_be_visible()
    expect(page.locator(".changes")).to_be_visible()


def test_hostile_texts_are_only_text(url: str, visit: Opened) -> None:
    """Ids, tags, questions and errors with markup appear as they are, and run nothing."""
    page = visit(url)
    expect(page.locator(".list")).to_contain_text(HOSTILE_ID)
    expect(page.locator(".list")).to_contain_text("<b>x</b>")
    page.get_by_text(HOSTILE_ID).click()
    expect(page.locator("h1")).to_contain_text(HOSTILE_ID)
    expect(page.locator(".asked").first).to_have_text(HOSTILE)
    opened_run(page)
    page.goto(page.url.partition("/run")[0] + "/run?id=hostile-failure")
    expect(page.locator(".trouble")).to_contain_text(HOSTILE)
    for path in ("/graph?graph=review", f"/run?id={quote(HOSTILE_ID, safe='')}"):
        page.goto(page.url.partition("/run")[0].partition("/graph")[0] + path)
        page.wait_for_selector(".picture svg")
    assert page.evaluate("window.hit") is None
    assert page.locator("img").count() == 0
    assert page.locator("b b, .tag b").count() == 0


def test_a_page_without_the_cookie_shows_nothing(url: str, visit: Opened) -> None:
    """Another browser that knows only the port sees how to open the page."""
    base = url.partition("/#")[0]
    page = visit(url).context.browser.new_context().new_page()  # type: ignore[union-attr]
    page.goto(base)
    expect(page.get_by_role("alert")).to_contain_text("open the URL that `graphengine inspect` printed")
    assert "five" not in page.content()
    page.context.close()


@pytest.mark.parametrize(("width", "scheme"), [(360, "light"), (830, "dark"), (1600, "light")])
def test_no_page_is_wider_than_its_window(url: str, visit: Opened, width: int, scheme: str) -> None:
    """On a phone, in a README's width and on a wide screen, by day and by night, nothing is cut off at the side."""
    page = visit(url, viewport={"width": width, "height": 800}, color_scheme=scheme)
    base = url.partition("/#")[0]
    for path in (
        "/",
        "/run?id=five&at=3",
        "/run?id=asks",
        "/run?id=broken",
        "/compare?a=five&b=other",
        "/graph?graph=review",
    ):
        page.goto(base + path)
        page.wait_for_selector(".list .row, .picture svg")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
        paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert paper == ("rgb(255, 255, 255)" if scheme == "light" else "rgb(13, 17, 23)")


def test_a_question_is_answered_by_a_form(database: Path, visit: Opened) -> None:
    """A form made from the schema takes only what fits; the answer is recorded, and a resumed run has it."""
    with served(database) as url:
        page = visit(url, "/run?id=asks")
        form = page.locator("form.question")
        send = form.get_by_role("button", name="Send the answer")
        expect(send).to_be_disabled()
        form.get_by_role("radio", name="publish").click()
        form.get_by_label("stars").fill("4")
        form.get_by_label("remarks").fill("good <b>work</b>")
        send.click()
        expect(form).to_contain_text("the answer is recorded")
        expect(form.locator(".command")).to_contain_text("resume asks")
    with closing(sqlite3.connect(database)) as connection:
        (payload,) = connection.execute("SELECT payload FROM inbox WHERE kind = 'answer'").fetchone()
    assert '"decision":"publish"' in payload
    assert '"stars":4' in payload


def test_a_run_is_stopped_and_tagged(database: Path, visit: Opened) -> None:
    """Stop asks once more; tags are added and removed; the page follows what was written."""
    with served(database) as url:
        page = opened_run(visit(url, "/run?id=asks"))
        page.get_by_label("New tag").fill("seen")
        page.keyboard.press("Enter")
        expect(page.locator(".acts .tag")).to_contain_text("seen", timeout=PATIENT)
        page.get_by_role("button", name="Stop", exact=True).click()
        page.get_by_role("button", name="Stop it now").click()
        expect(page.locator("header .ends")).to_contain_text("stopped", timeout=PATIENT)
        expect(page.locator("form.question")).to_have_count(0)


def test_a_read_only_page_offers_no_action(recorded: Path, visit: Opened) -> None:
    """With --read-only there is no form, no stop and no tag."""
    with served(recorded, "--read-only") as url:
        page = opened_run(visit(url, "/run?id=asks"))
        expect(page.locator("main")).to_contain_text("this inspector is read-only")
        assert page.get_by_role("button", name=re.compile("Stop|Send")).count() == 0


def test_a_run_of_another_process_is_seen_live(tmp_path: Path, visit: Opened) -> None:
    """Its steps appear as they are recorded; when its driver is killed, the page shows it as interrupted."""
    path = tmp_path / "runs.db"
    with driving(path) as driver, served(path) as url:
        page = visit(url, "/run?id=driven")
        expect(page.locator(".live")).to_contain_text("live", timeout=PATIENT)
        steps = page.locator("header.bar .soft")
        expect(steps).to_contain_text(re.compile(r"\b[3-9]\d steps|\d{3} steps"), timeout=PATIENT)
        expect(page.locator("header .ends")).to_contain_text("running")
        shown = [int(each) for each in page.locator(".list .step").evaluate_all("all => all.map((e) => e.dataset.seq)")]
        assert shown == list(range(shown[0], shown[0] + len(shown)))
        listed = visit(url)
        expect(listed.locator(".row[data-run=driven]")).to_contain_text("running", timeout=PATIENT)
        driver.kill()
        expect(page.locator("header .ends")).to_contain_text("interrupted", timeout=PATIENT)
        expect(listed.locator(".row[data-run=driven]")).to_contain_text("interrupted", timeout=PATIENT)


async def record_long(path: Path) -> None:
    """Record a run of 10,000 steps: in memory, which is quick, and from there into the database in one write."""
    store = SQLiteStore(path)
    await store.open()
    async with Runner() as runner:
        await record(runner, counter(7333), "long")
        info, steps = await runner.info("long"), await runner.store.steps("long")
        await store.create(info, steps, await runner.store.outline(info.fingerprint) or {"graph": ""})
    await store.close()


def test_a_run_of_ten_thousand_steps_opens(tmp_path: Path, visit: Opened) -> None:
    """Its last steps come at once, then all; the list has few elements, and jumping to any step works."""
    with ThreadPoolExecutor() as pool:  # the browser's event loop is in this thread
        pool.submit(asyncio.run, record_long(tmp_path / "runs.db")).result()
    with served(tmp_path / "runs.db") as url:
        page = visit(url, "/run?id=long")
        expect(page.locator(".steps .soft").first).to_contain_text("line", timeout=PATIENT)
        assert page.locator(".list .step").count() < 80
        page.get_by_label("Search in steps").fill("5000 ")
        page.keyboard.press("Escape")
        page.locator(".step").first.click()
        expect(page.locator(".panel .changes")).to_be_visible(timeout=PATIENT)
        expect(page.locator(".timeline canvas")).to_be_visible(timeout=PATIENT)

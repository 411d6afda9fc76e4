import asyncio
import re
import shutil
import sqlite3
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path
from typing import Literal
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, Page, expect

from graphengine import Runner
from graphengine.budgets import Budget
from graphengine.budgets.ledger import Hold, Ledger, Place, window_of
from graphengine.databases.sqlite import SQLiteStore
from graphengine.records.words import clean
from graphengine.runner import RunFailed
from tests.serve.inspector import driven
from tests.serve.inspector.accessible import check_accessible, needs_axe, serious_findings
from tests.serve.inspector.conftest import Opened, served
from tests.serve.inspector.graphs import (
    HOSTILE,
    HOSTILE_ID,
    UNREADABLE,
    State,
    calling,
    checked,
    counter,
    flaky,
    halls,
    losing,
    mailing,
    record,
)
from tests.serve.inspector.test_events import driving
from tests.worker.test_trimming import pass_over, rounds


@pytest.fixture(scope="module")
def url(recorded: Path) -> Iterator[str]:
    """An inspector of a run of each kind, which is only read."""
    with served(recorded, "--read-only") as found:
        yield found


@pytest.fixture(scope="module")
def written(recorded: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the database to write to, with a run of 10,000 steps and one of `essay` that failed."""
    folder = tmp_path_factory.mktemp("written")
    path = Path(shutil.copy(recorded, folder / "runs.db"))
    with ThreadPoolExecutor() as pool:  # the browser's event loop is in this thread
        pool.submit(asyncio.run, record_more(path, folder / "boat")).result()
    return path


@pytest.fixture(scope="module")
def acting(written: Path) -> Iterator[str]:
    """An inspector of that copy, which drives runs of `essay`."""
    with served(written, "--drive", "--graph", "tests/serve/inspector/driven.py") as found:
        yield found


async def record_more(path: Path, gate: Path) -> None:
    """Record a run of 10,000 steps, first in memory, which is quick, and three of `essay`: failed, waiting, queued."""
    store = SQLiteStore(path)
    await store.open()
    async with Runner() as runner:
        await record(runner, counter(7333), "long")
        info, steps = await runner.info("long"), await runner.store.steps("long")
        await store.create(info, steps, await runner.store.graph_spec(info.fingerprint) or {"graph": ""})
    async with Runner(store) as runner:
        with suppress(RunFailed):
            await runner.start(driven.graph, {"topic": "storms", "gate": str(gate)}, run_id="storms").result()
        await runner.start(driven.graph, driven.example, run_id="draft").result()
        await runner.start(driven.graph, driven.example, run_id="lined-up", queue="night").result()
        await record(runner, mailing(), "mails")
        await record(runner, calling(), "calls")
        await runner.start(checked(), State(text="tides"), run_id="checked").result()
        await record(runner, flaky(UNREADABLE), "unreadable")
        await record(runner, losing(), "losses")


def opened_run(page: Page) -> Page:
    """Wait until a run's page has every step, and takes keys: its listeners come after it is painted."""
    expect(page.locator(".trace .lines")).to_contain_text("line")
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => setTimeout(done, 0)))")
    return page


def test_the_list_opens_a_run(url: str, visit: Opened) -> None:
    """The list shows how each run stands and why; a click opens it, and the browser's button returns."""
    page = visit(url)
    expect(page.locator(".row[data-run=broken]")).to_contain_text("failed 2 retries at boom: RuntimeError: it broke")
    expect(page.locator(".row[data-run=asks]")).to_contain_text("asks approve: Publish this draft?")
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
    page.get_by_role("tab", name="Failed").click()
    expect(page.locator(".list .row")).to_have_count(2)
    assert "status=failed" in page.url
    page.goto(page.url)
    expect(page.locator(".list .row")).to_have_count(2)
    page.get_by_role("tab", name="All").click()
    expect(page.locator(".list .row")).to_have_count(7)
    search = page.get_by_label("Search", exact=True)
    for words, count in (("tag:nightly", 1), ("before:2001-01-01", 0), ("status:failed BROKE", 1), ("since:99w", 7)):
        search.fill(words)
        page.keyboard.press("Enter")
        expect(page.locator(".list .row")).to_have_count(count)
        if not count:
            expect(page.locator("main")).to_contain_text("No run ")
    assert "text=since%3A99w" in page.url
    page.reload()
    expect(search).to_have_value("since:99w")


def test_a_search_that_goes_on_is_not_called_empty(url: str, visit: Opened) -> None:
    """While older pages are still searched, the list does not report that no run fits."""
    page = visit(url)
    page.route(re.compile(r"/api/runs\?.*before="), lambda _: None)  # the next page takes long
    page.route(re.compile(r"/api/runs\?(?!.*before=)"), lambda route: route.fulfill(json={"runs": [], "next": "five"}))
    page.get_by_label("Search", exact=True).fill("cost>9")
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_contain_text("Older runs are searched")
    expect(page.locator("main")).not_to_contain_text("No run ")


def test_the_keyboard_is_enough(url: str, visit: Opened) -> None:
    """Runs are selected, ticked, compared and opened, and steps walked through, without a pointer."""
    page = visit(url)
    expect(page.locator(".row[data-run=five]")).to_be_visible()
    for key in ("j", "x", "k", "j", "j", "x"):
        page.keyboard.press(key)
    page.keyboard.press("c")
    expect(page.locator("h1")).to_have_text("Compare")
    page.keyboard.press("g")
    expect(page.locator(".row[data-run=five]")).to_be_visible()  # then the list takes keys
    page.keyboard.press("/")
    page.keyboard.type("broken")
    page.keyboard.press("Enter")
    expect(page.locator(".list .row")).to_have_count(1)
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    opened_run(page)
    expect(page.locator(".tr[data-seq='5']")).to_be_visible()  # then the trace takes keys
    page.keyboard.press("f")
    expect(page).to_have_url(re.compile("at=2$"))
    expect(page.locator(".tr.selected")).to_contain_text("shaky")
    page.keyboard.press("f")
    page.keyboard.press("f")
    expect(page.locator(".tr.selected")).to_have_attribute("data-seq", "5")
    expect(page.locator(".trouble")).to_contain_text("RuntimeError: it broke")
    page.keyboard.press("3")
    expect(page.get_by_role("tab", name="State")).to_have_attribute("aria-selected", "true")
    page.keyboard.press("k")
    expect(page).to_have_url(re.compile("at=4&tab=state"))
    page.keyboard.press("?")
    expect(page.get_by_label("Keys")).to_be_visible()
    check_accessible(page)
    page.keyboard.press("Escape")
    expect(page.get_by_label("Keys")).to_have_count(0)


def test_the_picture_is_lit_as_at_the_selected_step(url: str, visit: Opened) -> None:
    """At a step, nodes done, the node where the run is, and the edge just taken are marked; later ones are pale."""
    page = opened_run(visit(url, "/run?id=five"))
    expect(page.locator(".picture .lit-unused")).to_have_count(0)
    page.locator(".tr[data-seq='2']").click()
    expect(page.locator(".picture .lit-here")).to_contain_text("work")
    expect(page.locator(".picture .edge.lit-now")).to_have_count(1)
    expect(page.locator(".picture .node.lit-unused", has_text="boost")).to_have_count(1)
    expect(page.locator(".panel .change")).to_contain_text(re.compile("n.*0 → 1"))
    page.get_by_role("tab", name="Why this way").click()
    expect(page.locator(".panel .tried tr.taken")).to_contain_text("again")
    expect(page.locator(".panel .tried")).to_contain_text("score 0 >= 7: no")
    page.keyboard.press("j")
    expect(page.locator(".picture .lit-here")).to_contain_text("boost")
    assert page.url.endswith("at=3&sub=why")
    page.reload()
    expect(page.get_by_role("tab", name="Why this way")).to_have_attribute("aria-selected", "true")
    page.locator(".picture .node", has_text="work").click()
    expect(page.locator(".tr.selected")).to_have_attribute("data-seq", "2")


def test_a_failed_run_shows_its_attempts(url: str, visit: Opened) -> None:
    """The visit that succeeded lists the attempts before it, with their errors; problems can be shown alone."""
    page = opened_run(visit(url, "/run?id=broken&at=4"))
    expect(page.locator(".attempt")).to_have_count(2)
    expect(page.locator(".attempt").first).to_contain_text(re.compile(r"attempt 1 failed.*\d+ ms"))
    expect(page.locator(".attempt").first).to_contain_text("ConnectionError: 503 at try 1")
    expect(page.locator(".talk")).to_contain_text("attempt 3 succeeded")
    expect(page.locator(".tr", has_text="shaky").locator(".bar.bad")).to_have_count(2)
    page.get_by_role("button", name="problems 3").click()
    expect(page.locator(".list .tr")).to_have_count(2)
    assert "only=problems" in page.url


def test_a_run_opens_on_its_result(acting: str, visit: Opened) -> None:
    """The tab Run has the result as it is read, why it ended, what went wrong, and the input."""
    page = opened_run(visit(acting, "/run?id=checked"))
    expect(page.locator(".card.result h3")).to_have_text("Tides")
    expect(page.locator(".card.result li")).to_have_count(2)
    expect(page.locator(".card.result img, .card.result script, .card.result a")).to_have_count(0)
    expect(page.locator(".events li")).to_contain_text("the answer of writer was rejected")
    page.locator(".outcome .chip", has_text="1 answer rejected").click()
    expect(page.locator(".list .tr")).to_have_count(2)


def test_a_step_is_the_conversation_with_the_model(acting: str, visit: Opened) -> None:
    """Instructions, the question as sent, the rejected answer, why it was sent back, and the next answer, in order."""
    page = opened_run(visit(acting, "/run?id=checked&at=4"))
    said = page.locator(".talk .msg")
    expect(said.locator("header b")).to_have_text(["system", "user", "writer", "rejected", "writer"])
    expect(said.nth(0)).to_contain_text("Write for")
    expect(said.nth(1).locator(".tagged")).to_have_text(["topic", "rules"])
    expect(said.nth(2)).to_have_class(re.compile("thrown"))
    expect(said.nth(3)).to_contain_text("no word of the moon")
    page = opened_run(visit(acting, "/run?id=calls&at=5"))
    expect(page.locator(".msg.error")).to_contain_text("look failed; the model gets this message")
    expect(page.locator(".callbox")).to_have_text("look({})")


def test_a_long_error_leaves_the_page_in_place(acting: str, visit: Opened) -> None:
    """The header shows the beginning of an error, and the step's panel all of it, in a part that scrolls."""
    page = opened_run(visit(acting, "/run?id=unreadable"))
    expect(page.locator(".trouble .message")).to_contain_text("the end")
    for width, height in ((1400, 900), (830, 900)):
        page.set_viewport_size({"width": width, "height": height})
        for part, most in (("header", height / 4), (".trouble .message", height / 3)):
            assert page.eval_on_selector(part, "part => part.clientHeight") < most


def test_text_is_shown_as_a_terminal_shows_it(acting: str, visit: Opened) -> None:
    """Control codes and marks that reverse the direction of a text are escaped by the rule of the command line."""
    page = opened_run(visit(acting, "/run?id=unreadable"))
    shown = page.locator(".trouble .message").text_content()
    assert shown == f"RuntimeError: {clean(UNREADABLE)}"
    assert not re.search("[\u2028-\u202e\u2066-\u2069]", page.locator("main").text_content() or "")


def test_a_map_is_one_line_with_its_items_as_cells(url: str, visit: Opened) -> None:
    """Twelve items are one line until they are unfolded; each has a cell, which opens it with its value and result."""
    page = opened_run(visit(url, "/run?id=items"))
    line = page.locator(".tr.map")
    expect(line).to_contain_text("12 items")
    line.click()
    cells = page.locator(".cells .cell")
    expect(cells).to_have_count(12)
    cells.nth(5).click()
    expect(page.locator(".panel .card")).to_contain_text(re.compile("item.*5.*items.*10.*1..*done", re.DOTALL))
    expect(cells.nth(5)).to_have_class(re.compile("chosen"))
    line.locator(".fold").click()
    expect(page.locator(".list .tr", has_text="double[")).to_have_count(12)
    line.locator(".fold").click()
    expect(page.locator(".list .tr", has_text="double[")).to_have_count(0)
    line.click()
    page.keyboard.press("ArrowRight")
    expect(page.locator(".list .tr", has_text="double[")).to_have_count(12)
    page.keyboard.press("ArrowLeft")
    expect(page.locator(".list .tr", has_text="double[")).to_have_count(0)


def test_two_runs_are_compared_on_one_picture(url: str, visit: Opened) -> None:
    """What was changed, the step where they part, what differs and the edges that only one took are shown."""
    page = visit(url, "/compare?a=five&b=other")
    expect(page.locator(".change").first).to_contain_text(re.compile("n.*2 → 3"))
    expect(page.locator(".parted").first).to_contain_text("parts here")
    expect(page.locator(".canvas svg")).to_be_visible()
    expect(page.locator(".vs")).to_contain_text("visits since")


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


def test_a_page_without_the_cookie_shows_nothing(url: str, browser: Browser) -> None:
    """Another browser that knows only the port sees how to open the page, and can be given its token."""
    base = url.partition("/#")[0]
    page = browser.new_context().new_page()
    page.goto(base)
    expect(page.get_by_text("open the URL that `graphengine inspect` printed")).to_be_visible()
    assert "five" not in page.content()
    page.get_by_label("Token", exact=True).fill(url.partition("#token=")[2])
    page.keyboard.press("Enter")
    expect(page.locator(".row[data-run=five]")).to_be_visible()
    page.context.close()


PAGES = (
    "/",
    "/run?id=five&at=3",
    "/run?id=asks",
    "/run?id=broken",
    "/compare?a=five&b=other",
    "/run?id=items&at=3",
    "/run?id=broken&at=4",
    "/questions",
    "/today",
    "/graph?graph=review",
    "/graphs",
)
WINDOWS = ((360, "light"), (830, "dark"), (1600, "light"), (2560, "dark"))
AXE_WIDTHS = (830, 1600)
_CONTRASTS = """() => {
  const rgb = (colour) => colour.match(/[0-9.]+/g).slice(0, 3).map(Number);
  const linear = (part) => (part / 255 <= 0.04045 ? part / 255 / 12.92 : ((part / 255 + 0.055) / 1.055) ** 2.4);
  const light = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
  const on = (part, below) => {
    let { fill, opacity } = getComputedStyle(part);
    let around = part;
    while ((around = around.parentElement).nodeName !== "svg") opacity *= getComputedStyle(around).opacity;
    return fill === "none" ? below : rgb(fill).map((each, at) => opacity * each + (1 - opacity) * below[at]);
  };
  const paper = rgb(getComputedStyle(document.body).backgroundColor);
  return [...document.querySelectorAll(".lit-unused text")].map((text) => {
    const shape = text.parentElement.matches(".edge") ? null : text.parentElement.querySelector("rect, path, ellipse");
    const below = shape ? on(shape, paper) : paper;
    const [dark, bright] = [light(on(text, below)), light(below)].sort((one, other) => one - other);
    return [text.textContent, (bright + 0.05) / (dark + 0.05)];
  });
}"""
"""The pale texts of the picture, and their contrasts with what is below them, as WCAG defines it."""


@pytest.mark.parametrize("path", PAGES)
def test_no_page_is_wider_than_its_window(url: str, visit: Opened, path: str) -> None:
    """From a phone to a very wide screen, by day and by night, nothing is cut off, and axe-core finds nothing serious.

    axe-core checks contrast, names, roles and structure; where it is not installed, only the width is tested.
    """
    page = visit(url, path)
    page.wait_for_selector(".list .row, .picture svg, main.graphs table, .asking, .gets-worse")
    for width, scheme in WINDOWS:
        page.set_viewport_size({"width": width, "height": 800})
        page.emulate_media(color_scheme="light" if scheme == "light" else "dark")
        page.wait_for_function("document.documentElement.scrollWidth <= innerWidth")
        paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert paper == ("rgb(255, 255, 255)" if scheme == "light" else "rgb(13, 17, 23)")
        if width in AXE_WIDTHS:
            assert serious_findings(page) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_what_was_never_visited_can_be_read(url: str, visit: Opened, scheme: Literal["light", "dark"]) -> None:
    """The words of nodes and edges that a run did not reach have a contrast of 4.5:1 at least, with all opacity."""
    page = visit(url, "/run?id=five&at=1")
    page.emulate_media(color_scheme=scheme)
    opened_run(page)
    expect(page.locator(".picture .edge.lit-unused text", has_text="high enough")).to_have_count(1)
    expect(page.locator(".picture .node.lit-unused text", has_text="boost")).to_have_count(1)
    assert {text: contrast for text, contrast in page.evaluate(_CONTRASTS) if contrast < 4.5} == {}


@needs_axe
def test_axe_finds_what_is_wrong(url: str, visit: Opened) -> None:
    """The check can fail: a button without a name and text without contrast are found."""
    page = visit(url)
    page.evaluate("""() => {
      const text = document.createElement("p");
      text.style.cssText = "color: #ddd; background: #fff";
      text.append("pale", document.createElement("button"));
      document.querySelector("main").append(text);
    }""")
    assert [each.partition(":")[0] for each in serious_findings(page)] == ["button-name", "color-contrast"]


def test_columns_are_as_wide_as_they_were_left(url: str, visit: Opened) -> None:
    """A line between columns is dragged, or moved by keys; the widths and the theme are kept."""
    page = opened_run(visit(url, "/run?id=five"))
    graph, line = page.locator(".cols > .g"), page.get_by_role("separator", name="width of the graph")
    wide = graph.evaluate("part => part.clientWidth")
    place = line.bounding_box()
    assert place is not None
    page.mouse.move(place["x"] + 4, 400)
    page.mouse.down()
    page.mouse.move(place["x"] + 64, 400)
    page.mouse.up()
    assert abs(graph.evaluate("part => part.clientWidth") - wide - 60) <= 4
    line.focus()
    page.keyboard.press("ArrowRight")
    moved = graph.evaluate("part => part.clientWidth")
    assert abs(moved - wide - 76) <= 4
    page.get_by_role("button", name="light or dark").click()
    opened_run(visit(url, "/run?id=other"))
    assert graph.evaluate("part => part.clientWidth") == moved
    expect(page.locator(":root")).to_have_attribute("data-theme", "dark")


def test_a_preview_names_the_calls_that_are_kept(acting: str, visit: Opened) -> None:
    """A visit in flight keeps its recorded calls; calls after the step are made again, or not at all."""
    page = opened_run(visit(acting, "/run?id=draft&at=3&branch=3"))
    preview = page.get_by_label("Preview")
    expect(preview).to_contain_text("Steps 1 to 3 are shared, with 1 model call (unknown cost), not made again.")
    expect(preview).to_contain_text("used again if asked the same: writer asked slow at write.")
    page.goto(page.url.replace("branch=3", "branch=4"))
    expect(preview).to_contain_text("Steps 1 to 4 are shared, with 1 model call (unknown cost), not made again.")
    expect(preview).not_to_contain_text("used again")
    page.goto(page.url.replace("branch=4", "branch=2"))
    expect(preview).to_contain_text("Steps 1 to 2 are shared. ")
    expect(preview).to_contain_text("left out: 1 model call (unknown cost) last time.")


def test_a_question_is_answered_by_a_form(acting: str, written: Path, visit: Opened) -> None:
    """A form made from the schema takes only what fits; the answer is recorded, and the next command is shown."""
    page = visit(acting, "/run?id=asks")
    form = page.locator("form.question")
    send = form.get_by_role("button", name="Send the answer")
    expect(send).to_be_disabled()
    form.get_by_role("radio", name="publish").click()
    form.get_by_label("stars").fill("4")
    form.get_by_label("remarks").fill("good <b>work</b>")
    send.click()
    form.get_by_role("button", name="Send now").click()
    expect(form).to_contain_text("the answer is recorded")
    expect(form.locator(".command")).to_contain_text("resume asks")
    expect(page.locator(".more")).to_contain_text("This inspector drives runs of essay.")
    with closing(sqlite3.connect(written)) as connection:
        (payload,) = connection.execute("SELECT payload FROM inbox WHERE payload LIKE '%decision%'").fetchone()
    assert '"decision":"publish"' in payload
    assert '"stars":4' in payload


def test_a_question_that_another_person_answered_has_no_form(recorded: Path, visit: Opened, tmp_path: Path) -> None:
    """The page of the run and that of the question say who did; the number of open questions is less."""
    path = Path(shutil.copy(recorded, tmp_path / "runs.db"))

    async def answer() -> None:
        async with Runner(path) as runner:
            await runner.answer("asks", {"decision": "publish", "stars": 4}, by="ada", through="cli")

    with served(path) as address, ThreadPoolExecutor(1) as pool:  # the browser's event loop is in this thread
        page = visit(address, "/")
        number = page.get_by_role("tab", name="Needs me").locator("b")
        expect(number).to_have_text(re.compile(r"[1-9]\d*"))
        before = int(number.inner_text())
        pool.submit(asyncio.run, answer()).result()
        expect(number).to_have_text(str(before - 1))
        page = visit(address, "/run?id=asks")
        question = page.locator(".question")
        expect(question).to_contain_text("answered by ada")
        expect(question).to_contain_text("waits for a worker or a resume")
        expect(page.get_by_role("button", name="Send the answer")).to_have_count(0)
        page = visit(address, "/questions?id=asks")
        expect(page.locator(".way")).to_contain_text("by ada")
        expect(page.locator(".way")).to_contain_text("waits for a worker or a resume")
        expect(page.locator("form.question")).to_have_count(0)


def test_the_arguments_of_a_tool_call_are_changed_by_a_form(acting: str, written: Path, visit: Opened) -> None:
    """The question shows them as a table; yes and no take one click; other answers have their forms."""
    page = visit(acting, "/run?id=mails")
    form = page.locator("form.question")
    expect(form.locator(".asked")).to_have_text("May clerk call mail?")
    expect(form.locator(".proposed td")).to_have_text(["Ada", "Dear Ada,\nhello"])
    expect(form.get_by_role("button")).to_have_text(["No…", "Yes"])
    expect(form.get_by_role("radio")).to_have_text(["refuse with a reason", "change the arguments"])
    form.get_by_role("radio", name="refuse with a reason").click()
    expect(form.get_by_label("refuse", exact=True)).to_be_visible()
    form.get_by_role("radio", name="change the arguments").click()
    expect(form.get_by_label("text", exact=True)).to_have_value("Dear Ada,\nhello")
    form.get_by_label("to", exact=True).fill("Bob")
    form.get_by_role("button", name="Send the answer").click()
    form.get_by_role("button", name="Send now").click()
    expect(form).to_contain_text("the answer is recorded")
    with closing(sqlite3.connect(written)) as connection:
        query = "SELECT payload FROM inbox WHERE kind = 'answer' AND payload LIKE '%arguments%'"
        (payload,) = connection.execute(query).fetchone()
    assert '"arguments":{"to":"Bob","text":"Dear Ada,\\nhello"}' in payload


def test_a_link_leads_to_one_question(acting: str, visit: Opened) -> None:
    """It leads to all, too; a question that is no longer open is said to be so."""
    page = visit(acting, "/questions?id=mails")
    expect(page.locator(".asking")).to_have_count(1)
    expect(page.locator(".asking header").first).to_contain_text("mails")
    page.get_by_role("link", name="All questions").click()
    expect(page.locator(".asking", has_text="May it be published?")).to_be_visible()
    for path in ("/questions?id=mails&wait=other", "/questions?id=broken"):
        page = visit(acting, path)
        expect(page.locator(".empty")).to_contain_text("No longer open")
        expect(page.locator("form.question")).to_have_count(0)


def test_the_budgets_of_the_project_are_shown(database: Path, tmp_path: Path, visit: Opened) -> None:
    """Each limit has a line with what is spent of it, by key; a narrow window has room for it."""
    settings = '[[tool.graphengine.budgets]]\nname = "days"\nby = "tenant"\ncost_usd = 5\ncalls = 1000\n'
    (tmp_path / "pyproject.toml").write_text(f'{settings}[[tool.graphengine.budgets]]\nname = "all"\ntokens = 7\n')
    account = Place(Budget(name="days", by="tenant", cost_usd=5), "acme", window_of("day", time.time())[0])
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, _spend(database, account)).result()
    with served(database, folder=tmp_path) as url:
        page = visit(url, "/today")
        rows = page.get_by_role("table", name="Budgets").locator("tbody tr")
        expect(rows).to_have_count(3)
        expect(rows.nth(0)).to_contain_text("daysacme$0.2500 of $5.0000unknown")
        expect(rows.nth(1)).to_contain_text("daysacme1 of 1,000 calls1 calls")
        expect(rows.nth(2)).to_have_text(re.compile(r"allall0 of 7 tokens.* 00:00wait"))
        page.set_viewport_size({"width": 360, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= 360


async def _spend(path: Path, account: Place) -> None:
    """Let an account have a call that was made, and one in flight whose cost is not known."""
    store = SQLiteStore(path)
    await store.open()
    ledger = Ledger(store)
    assert await ledger.reserve([account], Hold("one", amounts={"calls": 1})) is None
    await ledger.settle([account], Hold("one", amounts={"calls": 1}), {"calls": 1, "cost_usd": 0.25})
    assert await ledger.reserve([account], Hold("two", amounts={"calls": 1})) is None
    await store.close()


def test_removed_steps_are_one_line(database: Path, visit: Opened) -> None:
    """What retention took from the log of an endless run is no row for each step, and says what is left."""

    async def trimmed() -> None:
        async with Runner(database) as runner:
            await rounds(runner, 1)
            await pass_over(runner)

    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, trimmed()).result()
    with served(database) as url:
        page = visit(url, "/run?id=r&at=50", is_refused=True)
        expect(page.locator(".tr.selected")).to_contain_text(re.compile(r"steps 2 to \d+ removed"))
        expect(page.locator(".panel")).to_contain_text("choose step 1, or one of the later steps that are left")


def test_a_run_is_stopped_and_tagged(acting: str, visit: Opened) -> None:
    """Stop asks once more; tags and notes are added; the page follows what was written."""
    page = opened_run(visit(acting, f"/run?id={quote(HOSTILE_ID, safe='')}"))
    page.get_by_label("New tag").fill("seen")
    page.keyboard.press("Enter")
    expect(page.locator(".more")).to_contain_text("seen")
    page.get_by_role("tab", name="Step").click()
    page.get_by_label("Note on this step").fill("odd <i>markup</i>")
    page.keyboard.press("Enter")
    expect(page.locator(".tr .note")).to_contain_text("odd <i>markup</i>")
    page.get_by_role("button", name="notes 1").click()
    expect(page.locator(".list .tr")).to_have_count(1)
    page.get_by_label("remove the note odd <i>markup</i>").click()
    expect(page.locator(".note")).to_have_count(0)
    page.get_by_role("button", name="Stop", exact=True).click()
    page.get_by_role("button", name="Stop it now").click()
    expect(page.locator(".outcome .ends")).to_contain_text("stopped")
    page.get_by_role("button", name="Cancel", exact=True).click()
    page.get_by_role("button", name="Cancel for good").click()
    expect(page.locator(".outcome .ends")).to_contain_text("cancelled")
    expect(page.locator("form.question")).to_have_count(0)


def test_a_read_only_page_offers_no_action(url: str, visit: Opened) -> None:
    """With --read-only there is no form, no stop, no tag and no note."""
    page = opened_run(visit(url, "/run?id=asks"))
    expect(page.locator("main")).to_contain_text("this inspector is read-only")
    assert page.get_by_role("button", name=re.compile("Stop|Cancel|Send|Branch|Resume")).count() == 0
    assert page.get_by_label(re.compile("New tag|Note on")).count() == 0


def test_a_run_is_started_and_its_text_is_streamed(acting: str, tmp_path: Path, visit: Opened) -> None:
    """A form made from the state starts a run; its answer appears while it is written; the answered run continues."""
    gate = tmp_path / "gate"
    page = visit(acting, "/graphs", is_refused=True)
    page.get_by_role("link", name="start a run").click()
    form = page.locator("form.start")
    expect(form.get_by_label("topic")).to_have_value("tides")
    form.get_by_text("6 more fields").click()
    form.get_by_label("gate").fill(str(gate))
    form.get_by_label("stars").fill("4")
    form.get_by_label("run id").fill("five")
    form.get_by_role("button", name="Start the run").click()
    expect(form.get_by_role("alert")).to_contain_text("five")
    form.get_by_label("run id").fill("tides")
    form.get_by_role("button", name="Start the run").click()
    text = page.locator("[data-live=writer]")
    expect(text).to_contain_text("Tides")
    expect(text).not_to_contain_text("day")
    expect(page.get_by_label("Running now")).to_contain_text("write")
    gate.touch()
    expect(page.locator("form.question")).to_contain_text("Is it good?")
    expect(text).to_have_count(0)
    page.locator("form.question").get_by_role("button", name="Yes").click()
    expect(page.locator(".outcome .ends")).to_contain_text("finished")


def test_a_failed_run_is_branched_and_retried(acting: str, written: Path, visit: Opened) -> None:
    """A branch shows what it changes and keeps before it begins; a failed run is retried in place."""
    page = opened_run(visit(acting, "/run?id=storms&at=1", is_refused=True))
    page.get_by_role("button", name="Branch at step 1").click()
    drawer = page.get_by_role("dialog")
    drawer.get_by_role("button", name="change topic").click()
    drawer.get_by_label("topic", exact=True).fill("calm sea")
    expect(drawer.get_by_label("Preview").locator(".changes")).to_contain_text("storms→calm sea")
    expect(drawer.get_by_label("Preview")).to_contain_text("Steps 1 to 1 are shared")
    drawer.get_by_role("button", name="change stars").click()
    drawer.get_by_label("stars", exact=True).fill("7")
    expect(drawer.get_by_role("alert")).to_contain_text("stars")
    expect(drawer.get_by_role("button", name="Begin the branch")).to_be_disabled()
    drawer.get_by_role("button", name="keep stars").click()
    drawer.get_by_label("id of the branch").fill("calm")
    drawer.get_by_role("button", name="Begin the branch").click()
    expect(page.locator("header .id")).to_have_text("calm")
    (written.parent / "boat").touch()
    expect(page.locator(".outcome")).to_contain_text("branch of storms at 1")
    expect(page.locator(".outcome .ends")).to_contain_text("waiting")  # what a run shows while it runs moves the link
    page.get_by_role("link", name="storms at 1").click()
    expect(page.locator("header h1")).to_have_text("storms")
    page.get_by_role("button", name="Retry").click()
    expect(page.locator(".outcome .ends")).to_contain_text("waiting")


def test_a_prompt_is_changed_and_the_runs_compared(acting: str, visit: Opened) -> None:
    """From a call the agent's instructions are edited; the branch runs the visit again with them, and is compared."""
    page = opened_run(visit(acting, "/run?id=draft"))
    page.locator(".tr.call", has_text="writer").click()
    page.get_by_role("button", name="Change, run from here").click()
    drawer = page.get_by_role("dialog")
    expect(drawer.get_by_label("instructions of writer")).to_have_value("Be brief.")
    drawer.get_by_label("instructions of writer").fill("Be long.")
    expect(drawer.locator("ins, del")).to_have_text(["brief.", "long."])
    drawer.get_by_label("id of the branch").fill("long-draft")
    expect(drawer.get_by_label("Preview")).to_contain_text("Steps 1 to 2 are shared")
    check_accessible(page)
    drawer.get_by_role("button", name="Run, and compare").click()
    expect(page.locator(".setup")).to_contain_text("instructions of writer: replaced")
    told = page.locator(".change", has_text="instructions of writer")
    expect(told.locator("ins, del")).to_have_text(["brief.", "long."])  # once the branch, which still runs, has asked
    check_accessible(page)
    page.get_by_role("link", name="long-draft").first.click()
    expect(page.locator(".outcome .ends")).to_have_text("waiting")


def test_a_step_is_run_again_several_times(acting: str, visit: Opened) -> None:
    """One click begins three branches; beside the run they are listed with how they ended and how far they spread."""
    page = opened_run(visit(acting, "/run?id=draft&at=3&branch=2"))
    drawer = page.get_by_role("dialog")
    expect(drawer.get_by_label("Preview")).to_contain_text("are shared")
    drawer.get_by_label("how often").fill("3")
    drawer.get_by_label("id of the branch").fill("again")
    drawer.get_by_role("button", name="Begin 3 branches").click()
    tries = page.get_by_role("region", name="branches at step 2").filter(has_text="again-1")
    names = ["this run", "3 branches", "again-1 · compare", "again-2 · compare", "again-3 · compare"]
    expect(tries.locator("tbody th")).to_have_text(names)
    expect(tries.locator(".spread")).to_contain_text(re.compile(r"3 waiting.*\d m?s", re.DOTALL))
    expect(page.locator(".panel h2 .chip")).to_contain_text(["again"])  # the tag by which they are found
    check_accessible(page)
    tries.get_by_role("link", name="compare").first.click()
    expect(page.locator("h1")).to_have_text("Compare")


def test_words_typed_at_once_after_a_click_are_kept(url: str, visit: Opened) -> None:
    """A tab changes the filters of the list, not the words that are typed before the list has come."""
    page = visit(url)
    expect(page.locator(".list .row")).to_have_count(7)
    page.evaluate("""() => {
        document.querySelector("[role=tab]:nth-child(3)").click();
        const field = document.querySelector("input[type=search]");
        field.focus();
        document.execCommand("insertText", false, "broke");
    }""")
    expect(page.get_by_role("tab", name="Failed")).to_have_attribute("aria-selected", "true")
    expect(page.locator(".list .row")).to_have_count(2)
    expect(page.get_by_label("Search", exact=True)).to_have_value("broke")
    page.keyboard.press("Enter")
    expect(page.locator(".list .row")).to_have_count(1)


def test_what_is_lost_is_counted_at_its_node(acting: str, visit: Opened) -> None:
    """In a map of 300 with failures, the node, its line and its cells say how many items failed and fell back."""
    page = opened_run(visit(acting, "/run?id=losses"))
    expect(page.locator(".badge-lost")).to_have_text(["30 lost", "10 lost"])
    expect(page.locator(".tr.map .end")).to_have_text(["30 failed", "10 fell back"])
    expect(page.locator(".outcome .chip").last).to_contain_text("30 items failed, 10 fallbacks, 15 retries")
    page.locator(".tr.map").first.click()
    expect(page.locator(".cells .cell")).to_have_count(300)
    expect(page.locator(".cells .failed")).to_have_count(30)
    expect(page.locator(".group").first).to_contain_text(re.compile("30 items.*30 lost.*cannot double", re.DOTALL))


def test_a_branch_is_made_with_the_keyboard(acting: str, visit: Opened) -> None:
    """The drawer takes the focus, keys of the page do nothing in it, Escape closes it, and Enter begins the branch."""
    page = opened_run(visit(acting, "/run?id=draft&at=2"))
    page.get_by_role("button", name="Branch at step 2").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_be_focused()
    page.keyboard.press("j")
    expect(page.get_by_role("dialog")).to_contain_text("Branch draft at step 2")
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Branch at step 2")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_label("Preview")).to_contain_text("are shared")
    page.get_by_label("id of the branch").focus()
    page.keyboard.type("typed")
    page.keyboard.press("Enter")
    expect(page.locator("header .id")).to_have_text("typed")


def test_scores_searches_and_exports(acting: str, visit: Opened) -> None:
    """Scores are drawn with their thresholds, a search finds what the trace leaves out, and a run is downloaded."""
    page = opened_run(visit(acting, "/run?id=five&at=6&tab=scores"))
    chart = page.locator(".panel .chart")
    expect(chart).to_contain_text(re.compile("≥ 7.*high enough"))
    expect(chart.locator(".here title")).to_have_text(["work 4 at step 6: 4", "work 4 at step 6: 10"])
    chart.locator("[data-seq='3']").first.click()
    expect(page).to_have_url(re.compile("at=3&tab=scores"))
    expect(chart.locator(".here title")).to_have_text(["work 2 at step 3: 2", "work 2 at step 3: 7"])
    page.get_by_role("tab", name="Run", exact=True).click()
    with page.expect_download() as download:
        page.get_by_role("link", name="Export the run as a file").click()
    assert download.value.suggested_filename == "five.json"
    page.goto(page.url.partition("/run")[0] + "/run?id=broken")
    opened_run(page).get_by_label("Search in steps").fill("raise ConnectionError")
    expect(page.locator(".list .tr")).to_have_count(1)
    expect(page.locator(".list .tr")).to_contain_text("shaky")


def test_a_graph_has_its_problems_and_unused_edges(url: str, acting: str, visit: Opened) -> None:
    """A graph's page lists the edges that no run took; what `check` finds if the code is there, else the command."""
    page = visit(url, "/graph?graph=flaky")
    expect(page.locator(".unused")).to_contain_text("boom → END")
    expect(
        page.get_by_role("heading", name=re.compile("^Edges not taken in the [0-9]+ counted runs?$"))
    ).to_be_visible()
    expect(page.locator(".command")).to_contain_text("check flaky")
    page = visit(acting, "/graph?graph=essay")
    expect(page.locator("main")).to_contain_text("`check` finds none in tests/serve/inspector/driven.py")


def test_a_large_graph_opens_where_its_run_is(database: Path, visit: Opened) -> None:
    """Graphs inside are a box each, but the one in which the run failed; others open; all can be read, enlarged."""

    async def fail() -> None:
        async with Runner(database) as runner:
            with suppress(RunFailed):
                await runner.start(halls("middle"), State(), run_id="halls").result()

    with ThreadPoolExecutor() as pool:
        pool.submit(asyncio.run, fail()).result()
    with served(database, "--read-only") as url:
        page = opened_run(visit(url, "/run?id=halls"))
        nodes = page.locator(".picture .node > text")
        expect(page.locator(".picture h2")).to_have_text("18 nodes")
        expect(page.locator(".picture .lit-failed", has_text="middle_4")).to_be_visible()
        expect(nodes.filter(has_text="north_")).to_have_count(0)
        page.locator(".picture .node", has_text="south").click()
        expect(nodes.filter(has_text="south_")).to_have_count(5)
        expect(nodes.filter(has_text="middle_")).to_have_count(0)
        page.keyboard.press("o")
        expect(nodes.filter(has_text="_")).to_have_count(0)
        expect(page.locator(".picture .lit-failed", has_text="middle")).to_be_visible()
        page.keyboard.press("e")
        expect(nodes.filter(has_text="_")).to_have_count(15)
        page.wait_for_function("""() => {
            const svg = document.querySelector(".canvas svg");
            return svg.getBoundingClientRect().height / svg.viewBox.baseVal.height >= 7.7 / 11; // pixels to a point
        }""")
        page.keyboard.press("Escape")
        expect(nodes.filter(has_text="_")).to_have_count(0)
        expect(page.locator(".legend")).to_contain_text("a click opens it")


def test_a_run_of_another_process_is_seen_live(acting: str, written: Path, visit: Opened) -> None:
    """Its steps appear as they are recorded; when its driver is killed, the page shows it as interrupted."""
    with driving(written) as driver:
        page = visit(acting, "/run?id=driven")
        expect(page.locator(".now")).to_contain_text("Another process drives this run")
        expect(page.locator(".live")).to_contain_text("live")
        steps = page.locator(".outcome .facts")
        expect(steps).to_contain_text(re.compile(r"\b[3-9]\d steps|\d{3} steps"))
        expect(page.locator(".outcome .ends")).to_contain_text("running")
        shown = [int(each) for each in page.locator(".list .tr").evaluate_all("all => all.map((e) => e.dataset.seq)")]
        assert shown == list(range(shown[0], shown[0] + len(shown)))
        listed = visit(acting, is_second=True)
        expect(listed.locator(".row[data-run=driven]")).to_contain_text("running")
        driver.kill()
        expect(page.locator(".outcome .ends")).to_contain_text("interrupted")
        expect(listed.locator(".row[data-run=driven]")).to_contain_text("interrupted")


def test_a_run_of_ten_thousand_steps_opens(acting: str, visit: Opened) -> None:
    """Its last steps come at once, then all; the list has few elements, and jumping to any step works."""
    page = visit(acting, "/run?id=long")
    expect(page.locator(".trace .lines")).to_contain_text(re.compile(r"\d,\d{3} lines"))
    assert page.locator(".list .tr").count() < 80
    page.get_by_label("Search in steps").fill("5000 ")
    page.keyboard.press("Escape")
    page.locator(".tr").first.click()
    expect(page.locator(".panel .change").first).to_be_visible()
    for _ in range(5):
        page.keyboard.press("j")
    expect(page.locator(".tr.selected")).to_have_count(1)


def test_the_list_is_sorted_by_its_columns(url: str, visit: Opened) -> None:
    """A click sorts by a column, the greatest first, a second one from the other end; the address keeps it."""
    page = visit(url)
    rows = page.locator(".list .row")
    expect(rows).to_have_count(7)
    page.get_by_role("button", name="how it stands").click()
    expect(rows.first).to_contain_text("asks")
    assert "sort=status" in page.url
    page.get_by_role("button", name="how it stands").click()
    expect(rows.first).to_contain_text("failed")
    page.reload()
    expect(rows.first).to_contain_text("failed")
    page.get_by_role("button", name="took").click()
    expect(page.get_by_role("button", name="took")).to_have_attribute("aria-pressed", "true")
    page.get_by_role("button", name="begun").click()
    page.wait_for_url(re.compile(r"/\?$"))


def test_searches_are_saved_with_what_they_find(url: str, visit: Opened) -> None:
    """A search is saved under a name as an address, shows how many runs it finds, and can be forgotten."""
    page = visit(url)
    expect(page.get_by_role("tab", name="With losses")).to_contain_text("0")
    page.goto(f"{url.partition('/#')[0]}/?text=tag%3Anightly")
    page.once("dialog", lambda dialog: dialog.accept("Nightly"))
    page.get_by_role("button", name="Save this search").click()
    saved = page.get_by_role("tab", name="Nightly")
    expect(saved).to_contain_text("1")
    page.get_by_role("tab", name="All").click()
    page.goto(url.partition("/#")[0])
    saved.click()
    expect(page.locator(".list .row")).to_have_count(1)
    page.get_by_role("button", name="forget Nightly").click()
    expect(saved).to_have_count(0)


def test_ticked_runs_are_changed_after_a_preview(database: Path, visit: Opened) -> None:
    """What would be done is shown first: to how many of those that are ticked or found, and why not to the others."""
    with served(database) as url:
        page = visit(url)
        for name in ("broken", "asks"):
            page.get_by_label(f"tick {name}", exact=True).check()
        page.get_by_role("button", name="Tag…").click()
        page.locator("dialog").get_by_label("Tag").fill("looked at")
        page.get_by_role("button", name="Tag 2", exact=True).click()
        expect(page.get_by_text("Tag: done for 2 runs.")).to_be_visible()
        expect(page.locator(".row", has_text="looked at")).to_have_count(2)
        page.get_by_label("tick broken", exact=True).check()
        page.get_by_role("button", name="take all 7 found").click()
        expect(page.locator(".bulk")).to_contain_text("all 7 found")
        page.get_by_role("button", name="Stop…").click()
        expect(page.locator("dialog")).to_contain_text("2 runs of 7; 5 are left as they are.")
        expect(page.locator("dialog code")).to_have_text("graphengine bulk stop since:9999d")
        page.keyboard.press("Escape")
        page.get_by_role("button", name="Prune…").click()
        prune = page.get_by_role("button", name="Prune 5, leave 2")
        expect(prune).to_be_disabled()
        page.locator("dialog").get_by_role("textbox").fill("prune 5")
        prune.click()
        expect(page.locator(".list .row")).to_have_count(2)
        expect(page.locator(".bulk")).to_have_count(0)


def test_who_may_only_read_is_offered_no_change(url: str, visit: Opened) -> None:
    """Ticks of a read-only page lead to a comparison only."""
    page = visit(url)
    for name in ("five", "other"):
        page.get_by_label(f"tick {name}", exact=True).check()
    expect(page.locator(".bulk").get_by_role("button")).to_have_text(["take all 7 found a", "untick", "Compare c"])

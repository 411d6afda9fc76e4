"""Stories as readers see them: from the page, and opened from the disk without a network."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page
from pydantic import BaseModel

from graphengine import END, START, Graph, Runner
from graphengine.records.export import import_run, parse
from graphengine.render.story import story_of
from tests.render import stories
from tests.serve.inspector.conftest import ROOT, Opened, served

FILES = [
    *sorted((ROOT / "checkpoints" / "gallery").glob("*.json")),
    *sorted((ROOT / "checkpoints" / "format_3").glob("*.json")),
    *(ROOT / "checkpoints" / "kept_2" / "runs" / f"{name}.json" for name in ("asked", "chat", "items", "tool", "turn")),
]
INTERNAL = re.compile(r"__|\bnull\b|\{\s*[\"']|\[-?\d+\]\.|undefined|NaN|\[object")
"""What no reader should see: marks and paths of records, and JSON."""


def written(told: Callable[[Runner], Awaitable[str]], path: Path) -> Path:
    """Write a story. Chromium's loop counts as running in this thread, so that another one does."""

    async def write() -> str:
        async with Runner() as runner:
            return await told(runner)

    with ThreadPoolExecutor(1) as apart:
        path.write_text(apart.submit(asyncio.run, write()).result(), encoding="utf-8")
    return path


def pages_of(page: Page) -> int:
    """Return on how many sheets of paper a story is printed."""
    return len(re.findall(rb"/Type\s*/Page[^s]", page.pdf(prefer_css_page_size=True)))


@pytest.fixture
def reader(browser: Browser) -> Iterator[Page]:
    """Provide a phone at night without a network; an error or a refusal of the policy fails the test."""
    said: list[str] = []
    context = browser.new_context(viewport={"width": 390, "height": 844}, color_scheme="dark", offline=True)
    page = context.new_page()
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: said.append(request.url) if not request.url.startswith("file:") else None)
    yield page
    context.close()
    assert said == []


@pytest.fixture
def words(reader: Page, tmp_path: Path) -> Callable[[Callable[[Runner], Awaitable[str]]], str]:
    """Return the words of a story as a reader sees them."""

    def read(told: Callable[[Runner], Awaitable[str]]) -> str:
        reader.goto(f"file://{written(told, tmp_path / 'story.html')}")
        found = " ".join(reader.inner_text("main").split())
        assert not INTERNAL.search(found), found
        return found

    return read


def test_a_story_is_one_file_that_prints_on_two_pages(
    recorded: Path, visit: Opened, reader: Page, tmp_path: Path
) -> None:
    """It is downloaded from a run, and from a comparison; opened from the disk it is not wider than a phone."""
    with served(recorded, "--read-only") as url:
        for name, address in (("story", "/run?id=items"), ("two", "/compare?a=five&b=other")):
            page = visit(url, address)
            with page.expect_download() as download:
                page.get_by_role("link", name="Story to send").click()
            download.value.save_as(tmp_path / f"{name}.html")
    for name, part in (("story", "How it came to this"), ("two", "Where they part")):
        reader.goto(f"file://{tmp_path / name}.html")
        assert part in reader.inner_text("main")
        assert reader.evaluate("document.documentElement.scrollWidth") <= 390
        assert pages_of(reader) <= 2


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}-{file.stem}")
def test_no_story_shows_what_is_inside_of_a_record(file: Path, reader: Page, tmp_path: Path) -> None:
    """Every run has a title and its way on two pages, without marks and paths of the state, and without JSON."""

    async def told(runner: Runner) -> str:
        await import_run(runner.store, parse(file.read_text(encoding="utf-8"), str(file)))
        (info,) = await runner.store.runs()
        return await story_of(runner.store, info.id, None, 0.0)

    reader.goto(f"file://{written(told, tmp_path / 'story.html')}")
    shown = reader.inner_text("main")
    assert not INTERNAL.search(shown), [shown[m.start() - 60 : m.end() + 60] for m in INTERNAL.finditer(shown)]
    assert "The way it took" in shown
    assert "How it came to this" in shown
    assert reader.locator("figure svg").count() == 1
    assert reader.evaluate("document.documentElement.scrollWidth") <= 390
    assert pages_of(reader) <= 2


def test_it_is_dark_by_night_and_light_on_paper(reader: Page, tmp_path: Path) -> None:
    """As the reader's system is."""
    reader.goto(f"file://{written(stories.tides, tmp_path / 'story.html')}")
    colours = ["getComputedStyle(document.body).backgroundColor", "getComputedStyle(document.body).color"]
    night = [reader.evaluate(each) for each in colours]
    reader.emulate_media(color_scheme="light")
    day = [reader.evaluate(each) for each in colours]
    reader.emulate_media(color_scheme="dark", media="print")
    assert [reader.evaluate(each) for each in colours] == day
    assert night != day


def test_it_is_read_without_a_script(browser: Browser, tmp_path: Path) -> None:
    """The question, the result and the losses are plain text."""
    path = written(stories.tides, tmp_path / "story.html")
    with browser.new_page(java_script_enabled=False) as page:
        page.goto(f"file://{path}")
        shown = " ".join(page.inner_text("body").split())
    assert "The question tides The answer The moon pulls. Losses 1 answer rejected, 1 tool call failed" in shown


Told = Callable[[Callable[[Runner], Awaitable[str]]], str]


def test_the_story_of_a_run_says_what_happened(words: Told) -> None:
    """What was rejected, what failed, the result and the losses; a cost that is not known is said to be."""
    said = words(stories.tides)
    assert "failed: ValueError: nothing at <b>the pier</b>" in said
    assert "Rejected and sent back: Your answer cannot be used: no word of the moon" in said
    assert "The question" not in said, "its only field is the title"
    assert "The answer text The moon pulls." in said
    assert "finished 1 answer rejected, 1 tool call failed" in said
    assert "Losses 1 answer rejected, 1 tool call failed" in said
    assert "writer 1 12 3 unknown cost" in words(stories.unpriced)


def test_what_is_open_has_its_question(words: Told) -> None:
    """With what can be answered, and with the conversation and the call that it is about."""
    said = words(stories.asking)
    assert "waiting for an answer" in said
    assert "approve asks Publish this draft?" in said
    assert "What to do publish or revise With the draft as it is. Stars a whole number" in said
    said = words(stories.chat)
    assert said.index("Hi desk Hello! My lamp is broken. find") < said.index("May desk call refund?")
    assert "May desk call refund? Number A-1 Amount 12.5 Reason damaged" in said


def test_the_story_of_two_says_what_was_changed_and_why_each_ended(words: Told) -> None:
    """In its first lines: the field, the visit at which the ways part, the reasons, and how much less that took."""
    said = words(stories.shorter)
    assert "Changed B branched off A after review, with another draft." in said
    assert (
        "Parted at review 2: A went on to review last score is 5.0, at least 7.0 is needed: 2 too little "
        "B ended, good enough last score is 8.0, at least 7.0 was needed "
        "Ended A B both finished: Good enough (last score is 8.0, at least 7.0 was needed) Saved" in said
    )
    assert "made 1 visit fewer than A since they part." in said
    assert "They share their first 1 visit. Nothing after that is alike." in said
    assert "Draft" not in said.partition("What came of it")[2], "what was changed is told above"
    assert "Its last score is 8, in A 7.4." in words(stories.worse), "less time with a lower score is not all"


@pytest.mark.parametrize(("price", "label"), [(0.01, "Saved"), (0.9, "Took")], ids=["cheaper", "dearer"])
def test_only_what_is_less_in_all_is_saved(price: float, label: str, words: Told) -> None:
    """A branch of fewer visits that cost more took it."""
    said = words(stories.priced(price))
    assert f"{label} B cost ${abs(price - 0.1):.4f} {'less' if price < 0.1 else 'more'}" in said
    assert "made 1 visit fewer than A" in said


def test_what_failed_saved_nothing(words: Told) -> None:
    """A branch that failed early is not praised for the time, and its failure is told in the first lines."""
    said = words(stories.failing)
    assert "B failed at first: ValueError: nothing to work on" in said
    assert "Saved" not in said


class Long(BaseModel):
    text: str = ""
    items: list[dict[str, object]] = []


TEXT = (
    "# Head\n\n**bold** <img src=x onerror=alert(1)>\n\n[go](javascript:alert(1)) ![p](https://x.example/p.png) "
    "[web](https://x.example) [notes.md:12]\n\n"
    + "\n\n".join(f"Paragraph {number} is here." * 9 for number in range(20))
)


def test_texts_are_set_and_no_markup(reader: Page, tmp_path: Path) -> None:
    """HTML is text, an image loads nothing, and a link leads to the web only; the end of what is long is folded."""

    async def told(runner: Runner) -> str:
        graph = Graph("long", Long)
        items = [{"text": "The moon pulls.", "file": f"{number}.md", "line": number} for number in range(9)]
        graph.add_node("write", lambda: {"text": TEXT, "items": items})
        graph.add_path(START, "write", END)
        await runner.start(graph, run_id="long").result()
        return await story_of(runner.store, "long", None, 0.0)

    reader.goto(f"file://{written(told, tmp_path / 'story.html')}")
    assert reader.locator("main img").count() == 0
    assert [each.get_attribute("href") for each in reader.locator("main a").all()] == ["https://x.example"]
    assert reader.locator(".cite").inner_text() == "notes.md:12"
    assert reader.locator(".read h3").first.inner_text() == "Head"
    rest = reader.get_by_text(re.compile(r"the rest, \d+ words"))
    assert not reader.get_by_text("Paragraph 19 is here.").first.is_visible()
    rest.click()
    assert reader.get_by_text("Paragraph 19 is here.").first.is_visible()
    reader.get_by_text("Items · 9").click()
    assert reader.get_by_text("file: 0.md · line: 0").is_visible()
    assert reader.get_by_text("and 4 more").is_visible()

"""A run's page: what went wrong in words, children as rows, the cost of its own steps, and the step to branch at."""

import asyncio
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from graphengine import END, START, Agent, Context, Graph, Retry, Runner, ScriptedModel
from graphengine.models.scripted import calls
from graphengine.runner import RunFailed
from tests.serve.inspector import driven
from tests.serve.inspector.client import read
from tests.serve.inspector.conftest import Opened, opened, served
from tests.serve.inspector.graphs import State, calling, checked, counter, flaky, losing, record


def starting() -> Graph[State]:
    """Return a graph whose node starts two runs, of which one fails."""

    async def both(ctx: Context) -> int:
        well = await ctx.start(counter(3), {}, run_id="well")
        badly = await ctx.start(flaky("no boat goes out"), {}, run_id="badly")
        with suppress(Exception):
            await badly.result()
        return (await well.result()).state.n

    graph = Graph("starting", State)
    graph.add_node("both", both, writes="n")
    graph.add_path(START, "both", END)
    return graph


def falling_back() -> Graph[State]:
    """Return a graph whose node is tried three times before its fallback stands for it."""

    def shaky() -> int:
        raise ConnectionError("503")

    graph = Graph("falling_back", State)
    retry = Retry(attempts=3, initial_seconds=0.001, jitter=0)
    graph.add_node("shaky", shaky, writes="n", retry=retry, fallback=7, thread=False)
    graph.add_path(START, "shaky", END)
    return graph


def look(place: str) -> str:
    """Look at a place."""
    return f"{place} is dry"


async def record_all(path: Path) -> None:
    """Record a run of each, and a conversation of two turns."""
    model = ScriptedModel([calls(("look", {"place": "the bed"})), "**Water it** tonight.", "Every second day."])
    gardener = Agent("gardener", system="You know gardens.", tools=[look])
    async with Runner(path, models=model) as runner:
        for said in ("Look at my bed", "How often then?"):
            await runner.run(gardener, chat="garden", question=said)
    async with Runner(path) as runner:
        for name, graph in (("checked", checked()), ("calls", calling()), ("losses", losing())):
            await record(runner, graph, name)
        await record(runner, falling_back(), "fallen")
        await runner.start(starting(), run_id="parent").result()
        with suppress(RunFailed):
            await runner.start(driven.graph, driven.example, run_id="essay").result()
            await (await runner.answer("essay", value=True, graph=driven.graph)).result()


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a database with them."""
    path = tmp_path_factory.mktemp("runs") / "runs.db"
    with ThreadPoolExecutor(1) as pool:  # the browser's event loop may be in this thread
        pool.submit(asyncio.run, record_all(path)).result()
    return path


@pytest.fixture(scope="module")
def at(runs: Path) -> Iterator[str]:
    """An inspector of it, which drives runs of `essay`."""
    with served(runs, "--drive", "--graph", "tests/serve/inspector/driven.py") as found:
        yield found


def test_what_went_wrong_is_said(at: str, visit: Opened) -> None:
    """Why an answer was rejected, and what a tool failed with; attempts before a fallback are part of it."""
    page = visit(at, "/run?id=checked")
    expect(page.locator(".events li")).to_contain_text("was rejected: Your answer cannot be used: no word of the moon")
    page = visit(at, "/run?id=calls")
    expect(page.locator(".events li")).to_contain_text("look ValueError: nothing to see")
    page = visit(at, "/run?id=fallen")
    expect(page.locator(".events li")).to_have_count(1)
    expect(page.locator(".events li")).to_contain_text("fell back after 3 attempts")


def test_a_child_is_one_row(at: str, visit: Opened) -> None:
    """With how it stands, and a link; one that failed is among what went wrong, and in the header."""
    page = visit(at, "/run?id=parent")
    rows = page.locator(".trace .tr.call")
    expect(rows).to_have_text(["well counter ", "badly flaky "])
    expect(rows.nth(1).get_by_label("failed")).to_be_visible()
    expect(page.locator(".trace")).not_to_contain_text("ge:end")
    expect(page.locator(".events li")).to_contain_text("badly boom: RuntimeError: no boat goes out")
    expect(page.locator(".outcome")).to_contain_text("1 child run failed")
    rows.nth(1).get_by_role("link").click()
    expect(page.locator("h1")).to_have_text("badly")


def test_a_finished_run_is_branched_before_its_last_step(at: str, runs: Path, visit: Opened) -> None:
    """There nothing is left to run: the first button, and the key, name the step before it."""

    async def last() -> Any:
        async with opened(runs) as app:
            return (await read(app, "run", run_id="essay"))["seq"]

    with ThreadPoolExecutor(1) as pool:
        seq = pool.submit(asyncio.run, last()).result()
    page = visit(at, "/run?id=essay")
    page.get_by_role("button", name=f"Branch at step {seq - 1}").click()
    expect(page.get_by_label("Preview")).to_contain_text(f"Steps 1 to {seq - 1} are shared")
    expect(page.locator(".failure")).to_have_count(0)


def test_the_cells_of_a_map_can_be_hit(at: str, visit: Opened) -> None:
    """Each is 24 pixels wide and high."""
    page = visit(at, "/run?id=losses")
    page.locator(".tr.map").first.click()
    cell = page.locator(".cells .cell").first
    expect(cell).to_have_css("width", "24px")
    expect(cell).to_have_css("height", "24px")


def test_a_page_is_printed_without_what_is_only_for_a_screen(at: str, visit: Opened) -> None:
    """The graph, the trace and the buttons are left out; the result is not cut off."""
    page = visit(at, "/run?id=checked")
    expect(page.locator(".events li")).to_be_visible()
    page.emulate_media(media="print")
    for hidden in ("section.t", "section.g", ".tabs", ".more"):
        expect(page.locator(hidden)).to_be_hidden()
    expect(page.locator(".events li")).to_be_visible()
    page.emulate_media(media="screen")


def test_a_conversation_is_shown_as_one(at: str, visit: Opened) -> None:
    """Tools are a line with their result; a turn is one line of the trace; its name is its title."""
    page = visit(at, "/run?id=ge:chat:garden")
    expect(page.locator("h1")).to_have_text("garden")
    chat = page.get_by_label("Conversation")
    expect(chat.locator(".said.user")).to_have_text(["Look at my bed", "How often then?"])
    expect(chat.locator(".said.assistant b")).to_have_text("Water it")
    expect(chat.locator(".did summary")).to_have_text(re.compile(r"^\w+\(.*\) → \w"))
    turns = page.locator(".trace .tr", has_text="turn ")
    expect(turns).to_have_text(["turn 1 Look at my bed", "turn 2 How often then?"])
    replies = page.locator(".trace .tr.visit .l b", has_text="reply")
    expect(replies).to_have_count(0)
    turns.first.locator(".fold").click()
    expect(replies).to_have_count(1)


def test_the_list_has_the_last_message_of_a_conversation(at: str, visit: Opened) -> None:
    """A run that listens asks nothing: its row has what was said last."""
    page = visit(at, "/")
    row = page.locator('.row[data-run="ge:chat:garden"]')
    expect(row).to_contain_text("garden")
    expect(row).to_contain_text("listens “Every second day.”")

"""What the page says of runs is what their records know: the result, what a text was before, and how a run stands."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from playwright.sync_api import expect
from pydantic import BaseModel

from graphengine import END, START, Graph, Runner, ask
from tests.serve.inspector.conftest import Opened, served

OLD = "The LAMP-5 is back in oak. It lights a desk evenly and uses 6 W.\n\nTen cost 1235.90 EUR, delivered in a week."
NEW = "Libraries asked for a lamp that guests cannot break: meet the LAMP-5.\n\nTen cost 1244.90 EUR, with a spare foot."


class Mail(BaseModel):
    audience: str = "hotels"
    old: str = OLD
    text: str = ""
    ok: bool = False
    sent: str = ""


def _letter() -> Graph[Mail]:
    graph = Graph("letter", Mail, result="text", title="Letter to {audience}")
    graph.add_node("write", lambda: OLD, writes="text", thread=False)
    graph.add_node("send", lambda: "sent to 1 reader", writes="sent", thread=False)
    graph.add_path(START, "write", "send", END)
    return graph


def _mail(text: str) -> Graph[Mail]:
    graph = Graph("mail", Mail)
    graph.add_node("write", lambda: text, writes="text", thread=False)
    graph.add_node("approve", ask("Send this mail?", bool, proposed="text", was="old"), writes="ok")
    graph.add_path(START, "write", "approve", END)
    return graph


async def _record(path: Path) -> None:
    async with Runner(path) as runner:
        await runner.start(_letter(), run_id="letter").result()
        for run_id, text in (("rewritten", NEW), ("changed", OLD.replace("1235.90", "1244.90"))):
            await runner.start(_mail(text), run_id=run_id).result()


@pytest.fixture(scope="module")
def at(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An inspector of these runs."""
    path = tmp_path_factory.mktemp("labels") / "runs.db"
    with ThreadPoolExecutor(1) as pool:  # the browser's event loop may be in this thread
        pool.submit(asyncio.run, _record(path)).result()
    with served(path) as found:
        yield found


def test_the_result_is_the_declared_field(at: str, visit: Opened) -> None:
    """What a later node wrote stands below it, under another name."""
    page = visit(at, "/run?id=letter")
    expect(page.get_by_role("heading", name="Result text")).to_be_visible()
    expect(page.locator(".card.result")).to_contain_text("The LAMP-5 is back in oak.")
    expect(page.get_by_role("heading", name="Written last")).to_be_visible()
    expect(page.locator(".fields.card")).to_have_text("sentsent to 1 reader")


def test_a_rewritten_text_is_read_in_one_piece(at: str, visit: Opened) -> None:
    """The old one is folded below; a switch shows the new text, the changes or the old text."""
    page = visit(at, "/questions?id=rewritten")
    proposed = page.locator("section.proposed")
    expect(proposed.get_by_role("tab", selected=True)).to_have_text("new")
    expect(proposed.locator(".read").first).to_have_text(NEW.replace("\n\n", ""))
    expect(proposed.locator("ins, del")).to_have_count(0)
    proposed.locator("summary").click()
    expect(proposed.locator("details .read")).to_have_text(OLD.replace("\n\n", ""))
    proposed.get_by_role("tab", name="changes").click()
    assert all(len(each.split()) > 1 for each in proposed.locator("ins").all_inner_texts())
    proposed.get_by_role("tab", name="old").click()
    expect(proposed.locator(".read")).to_have_text(OLD.replace("\n\n", ""))


def test_a_changed_word_is_marked(at: str, visit: Opened) -> None:
    """In the approval and in the comparison: a text most of which is the same shows what changed."""
    for path in ("/questions?id=changed", "/compare?a=letter&b=changed"):
        shown = visit(at, path).locator("section", has_text="1235.90").locator(".diff").first
        expect(shown.locator("del")).to_have_text("1235.90")
        expect(shown.locator("ins")).to_have_text("1244.90")
        expect(shown).to_contain_text("1235.90 1244.90")
    rewritten = visit(at, "/compare?a=letter&b=rewritten").locator(".change", has_text="Libraries")
    expect(rewritten.locator(".read").first).to_have_text(NEW.replace("\n\n", ""))

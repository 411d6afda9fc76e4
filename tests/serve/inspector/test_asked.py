"""Ask me: what the one who answers sees, what is sent when, and what became of it."""

import asyncio
import json
import re
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.sync_api import Page, expect
from pydantic import BaseModel

from graphengine import END, START, Context, Graph, Runner, ask
from graphengine.serve.users import User, Users, UsersFile, write_users
from tests.serve.inspector.client import read
from tests.serve.inspector.conftest import Opened, opened, served
from tests.serve.inspector.graphs import counter


class To(BaseModel):
    amount: float = 180.0
    to: str = "card 4402"


class Refund(BaseModel):
    title: str = "Refund 4711, 180.00 EUR"
    customer: str = "Ines Duarte"
    proposal: To = To()
    asked_for: To = To(amount=219.8, to="voucher")
    letter: str = "Please pay until 9 December, or we charge interest from that day on."
    before: str = "Please pay as soon as possible, or we charge interest from that day on."
    agreed: bool | None = None
    how: Literal["send", "hold"] | None = None


def refunds() -> Graph[Refund]:
    """Return a graph that asks whether to refund, with its facts, and then how to go on."""
    graph = Graph("refunds", Refund)
    question = "Refund {proposal.amount} EUR to {customer}?"
    shown: Any = {"facts": ["customer", "proposal.to"], "proposed": "proposal", "was": "asked_for"}
    graph.add_node("approve_refund", ask(question, bool, **shown), writes="agreed")
    letter = ask("Send this letter?", Literal["send", "hold"], proposed="letter", was="before")
    graph.add_node("sign", letter, writes="how")
    graph.add_path(START, "approve_refund", "sign", END)
    return graph


def listening() -> Graph[Refund]:
    """Return a graph that waits for a message, as a chat does."""

    async def listen(ctx: Context) -> str:
        return str(await ctx.receive("said"))

    graph = Graph("listening", Refund)
    graph.add_node("listen", listen, writes="letter")
    graph.add_path(START, "listen", END)
    return graph


async def ask_all(path: Path) -> None:
    """Record two runs that ask, and one that waits for a message."""
    async with Runner(path) as runner:
        await runner.start(refunds(), run_id="refund-4711").result()
        await runner.start(refunds(), {"title": "Refund 4712"}, run_id="refund-4712").result()
        await runner.start(listening(), run_id="chat").result()


async def go_on(path: Path, run_id: str) -> None:
    """Let a run go on with what was answered."""
    async with Runner(path) as runner:
        await runner.resume(run_id, refunds()).result()


@pytest.fixture
def asking(tmp_path: Path) -> Path:
    """Return a database with them."""
    path = tmp_path / "runs.db"
    with ThreadPoolExecutor(1) as pool:  # the browser's event loop may be in this thread
        pool.submit(asyncio.run, ask_all(path)).result()
    return path


@pytest.fixture
def at(asking: Path) -> Iterator[str]:
    """An inspector of it."""
    with served(asking) as found:
        yield found


async def test_open_questions_and_answers_are_apart(asking: Path) -> None:
    """An answer is done, with who and when, whether or not a run went on with it; a chat that listens asks nothing."""
    async with opened(asking) as app:
        assert (await read(app, "overview"))["questions"] == 2
        async with Runner(asking) as runner:
            await runner.answer("refund-4711", value=False, by="ada", reason="a duplicate", wait="approve_refund")
            found = await read(app, "questions")
            assert [run["run_id"] for run in found["runs"]] == ["refund-4712"]
            (done,) = found["done"]
            assert (done["value"], done["by"], done["reason"], done["is_taken"]) == (False, "ada", "a duplicate", False)
            await runner.resume("refund-4711", refunds()).result()
        found = await read(app, "questions", run_id="refund-4711")
        assert [wait["name"] for run in found["runs"] for wait in run["waits"]] == ["sign"]
        (done,) = found["done"]
        assert (done["question"], done["is_taken"], done["status"]) == (
            "Refund 180.0 EUR to Ines Duarte?",
            True,
            "waiting",
        )
        assert (await read(app, "overview"))["questions"] == 2


async def test_an_answer_stays_done_behind_many_newer_runs(asking: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether the run waits again, or ended since the page showed what it asked, also if that was long before."""
    with closing(sqlite3.connect(asking)) as connection, connection:
        connection.execute("UPDATE steps SET at = at - 864000")
    monkeypatch.setattr("graphengine.serve.reads.asked._NEWEST", 3)
    async with opened(asking) as app, Runner(asking) as runner:
        assert len((await read(app, "questions"))["runs"]) == 2
        for n in range(8):
            await runner.start(counter(1), run_id=f"newer-{n}").result()
        for run_id in ("refund-4711", "refund-4712"):
            await runner.answer(run_id, value=True, wait="approve_refund")
            await runner.resume(run_id, refunds()).result()
        await runner.answer("refund-4711", value="send", wait="sign")
        assert (await runner.resume("refund-4711", refunds()).result()).status == "finished"
        found = [(each["run_id"], each["wait"], each["is_taken"]) for each in (await read(app, "questions"))["done"]]
        assert sorted(found) == [
            ("refund-4711", "approve_refund", True),
            ("refund-4711", "sign", True),
            ("refund-4712", "approve_refund", True),
        ]


async def test_the_facts_are_recorded_with_the_question(asking: Path) -> None:
    """By path; what is proposed, and what it would replace, beside them."""
    async with Runner(asking) as runner:
        wait = next(each for each in await runner.waits(graph="refunds") if each.run_id == "refund-4711")
    assert wait.facts == {"customer": "Ines Duarte", "proposal.to": "card 4402"}
    assert (wait.proposed["amount"], wait.old["amount"]) == (180.0, 219.8)


async def test_those_without_the_right_learn_who_may(asking: Path, tmp_path: Path) -> None:
    """The names of the users who see the run and may answer; what they may do themselves is in the session."""
    file = tmp_path / "users.json"
    rights = {"ada": ["answer"], "bob": ["read"], "cy": ["all"]}
    users = [User(name, given, sha256=f"{at:064x}") for at, (name, given) in enumerate(rights.items())]
    write_users(file, UsersFile(users))
    async with opened(asking, users=Users(file)) as app:
        assert (await read(app, "questions"))["answerers"] == ["ada", "cy"]


def sides(page: Page) -> tuple[dict[str, float], dict[str, float]]:
    """Return the boxes of No and Yes."""
    found = [page.get_by_role("button", name=name).bounding_box() for name in ("No…", "Yes")]
    return found[0] or {}, found[1] or {}  # type: ignore[return-value]


def test_a_question_on_a_phone(at: str, visit: Opened) -> None:
    """The facts, what is proposed against what was, and two large buttons that are far from each other."""
    page = visit(at, "/questions?id=refund-4711&wait=approve_refund%402")
    page.set_viewport_size({"width": 390, "height": 844})
    card = page.locator(".asking")
    expect(card.get_by_role("heading")).to_have_text("Refund 4711, 180.00 EUR")
    expect(card).to_contain_text("approve refund asks")
    expect(card.locator(".facts-of dt")).to_have_text(["customer", "to"])
    expect(card.locator(".proposed tbody tr").first).to_have_text("amount219.8180")
    no, yes = sides(page)
    assert min(no["height"], yes["height"]) >= 44
    assert yes["x"] - no["x"] - no["width"] >= 24


def test_nothing_is_sent_while_it_can_be_taken_back(at: str, asking: Path, visit: Opened) -> None:
    """No asks why; undo takes it back; after some seconds it is sent, and the card says what becomes of it."""
    page = visit(at, "/questions")
    page.clock.install()
    expect(page.locator(".asking")).to_have_count(2)
    card = page.locator(".asking", has_text="Refund 4711")
    card.get_by_role("button", name="No…").click()
    card.get_by_label("Why not?").fill("the amount is wrong")
    card.get_by_role("button", name="Send No").click()
    expect(card).to_contain_text("is sent in 10 s")
    card.get_by_role("button", name="Undo").click()
    posts: list[str] = []
    page.on("request", lambda sent: posts.append(sent.url) if sent.method == "POST" else None)
    for _ in range(11):
        page.clock.run_for(1000)
    assert posts == []
    card.get_by_role("button", name="Send No").click()
    for left in range(9, 0, -1):
        page.clock.run_for(1000)
        expect(card).to_contain_text(f"is sent in {left} s")
    assert posts == []
    page.clock.run_for(1000)
    way = page.locator(".way")
    expect(way).to_contain_text("approve refund answered No by a person")
    expect(way).to_contain_text("“the amount is wrong”")
    expect(way).to_contain_text("waits for a worker or a resume")
    expect(page.get_by_label("Done")).to_contain_text("the answer is kept")
    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, go_on(asking, "refund-4711")).result()
    expect(way).to_contain_text("taken up, the run goes on")
    sign = page.locator(".asking", has_text="Send this letter?")
    expect(sign.locator(".proposed ins").first).to_be_visible()
    sign.get_by_role("button", name="send").click()
    sign.get_by_role("button", name="Send now").click()
    expect(page.locator(".way", has_text="sign answered send")).to_be_visible()
    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, go_on(asking, "refund-4711")).result()
    expect(page.locator(".way", has_text="sign answered send").locator("li").last).to_have_text("finished")


def test_keys_go_on_from_the_question_that_was_answered(at: str, visit: Opened) -> None:
    """Also after *Undo*, and after an answer was sent: the next question is then where the answered one was."""
    page = visit(at, "/questions")
    cards = page.locator(".asking[tabindex]")
    expect(cards).to_have_count(2)
    second = page.locator(".asking", has_text="Refund 4712")
    page.keyboard.press("j")
    page.keyboard.press("j")
    expect(second).to_be_focused()
    second.get_by_role("button", name="Yes").press("Enter")
    expect(second.get_by_role("button", name="Undo")).to_be_focused()
    page.keyboard.press("Enter")
    expect(second).to_be_focused()
    page.keyboard.press("k")
    expect(cards.first).to_be_focused()
    cards.first.get_by_role("button", name="Yes").press("Enter")
    cards.first.get_by_role("button", name="Send now").press("Enter")
    expect(page.locator(".way")).to_be_visible()
    expect(cards).to_have_count(1)
    page.keyboard.press("j")
    expect(second).to_be_focused()


@pytest.mark.parametrize("way", ["a link", "another address"])
def test_what_was_answered_is_sent_by_who_leaves(at: str, visit: Opened, way: str) -> None:
    """Within the seconds for undoing: by a link of the page, or as a tab that goes elsewhere."""
    page = visit(at, "/questions")
    page.clock.install()
    card = page.locator(".asking", has_text="Refund 4711")
    card.get_by_role("button", name="Yes").click()
    expect(card).to_contain_text("is sent in 10 s")
    if way == "a link":
        page.get_by_role("link", name="runs").first.click()
    else:
        page.goto("about:blank")
    page = visit(at, "/questions")
    expect(page.get_by_label("Done")).to_contain_text("the answer is kept")


def test_those_without_the_right_see_no_button(at: str, visit: Opened) -> None:
    """They read the facts, and who may answer."""
    page = visit(at, "/")
    session = {"version": "", "database": "", "read_only": False, "drives": None, "user": "bob", "rights": ["read"]}
    found = json.loads(page.evaluate("fetch('/api/questions').then((found) => found.text())"))
    body = json.dumps({**found, "answerers": ["ada", "cy"]})
    page.route(re.compile("/api/session[?]"), lambda route: route.fulfill(body=json.dumps(session)))
    page.route(re.compile("/api/questions[?]"), lambda route: route.fulfill(body=body))
    page = visit(at, "/questions")
    card = page.locator(".asking").first
    expect(card).to_contain_text("You can read this, bob, and not answer it. ada and cy may.")
    expect(card).to_contain_text("Ines Duarte")
    expect(card.get_by_role("button")).to_have_count(0)

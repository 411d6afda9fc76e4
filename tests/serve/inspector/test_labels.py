"""What the page says of runs is what their records know: the result, what a text was before, and how a run stands."""

import asyncio
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
from playwright.sync_api import Route, expect
from pydantic import BaseModel

from graphengine import END, START, Agent, Budget, Budgets, Context, Graph, Runner, ScriptedModel, ask
from graphengine.models import Response
from graphengine.models.errors import RateLimited
from graphengine.models.limiter import runs_at_limiters
from graphengine.runner import RunFailed
from graphengine.serve.reads.asked import QuestionLog
from graphengine.serve.reads.retried import RetryLog
from graphengine.serve.reads.today import TodayBook
from graphengine.testing import FakeClock
from tests.kit.runs import SOON
from tests.serve.inspector.accessible import check_accessible
from tests.serve.inspector.client import read
from tests.serve.inspector.conftest import Opened, opened, served

OLD = "The LAMP-5 is back in oak. It lights a desk evenly and uses 6 W.\n\nTen cost 1235.90 EUR, delivered in a week."
NEW = "Libraries asked for a lamp that guests cannot break: the LAMP-5.\n\nTen cost 1244.90 EUR, with a spare foot."


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


def _waiting() -> Graph[Mail]:
    async def nap(ctx: Context) -> str:
        await ctx.sleep(86_400)
        return "awake"

    graph = Graph("waiting", Mail, result="text")
    graph.add_node("nap", nap, writes="text")
    graph.add_path(START, "nap", END)
    return graph


def _paid() -> Graph[Mail]:
    graph = Graph("paid", Mail, result="text")
    graph.add_node("write", Agent("writer", prompt="Write to {audience}."), writes="text")
    graph.add_path(START, "write", END)
    return graph


async def _record(path: Path) -> None:
    paid = Response("Dear hotels", model="anthropic:claude-haiku-5-5", cost_usd=0.02)
    budgets = Budgets(Budget(name="mails of a day", by="agent", window="day", cost_usd=0.01, over="wait"))
    async with Runner(path, models=ScriptedModel([paid] * 2), extensions=[budgets]) as runner:
        await runner.start(_paid(), run_id="paid").result()
        await runner.start(_paid(), run_id="over-budget", wait_out=False).result()
        await runner.start(_waiting(), run_id="asleep", wait_out=False).result()
    async with Runner(path) as runner:
        await runner.start(_letter(), run_id="letter").result()
        await runner.branch("letter", _letter(), at="write:1", update={"audience": "huts"}, run_id="huts").result()
        await runner.branch("huts", _letter(), at=3, update={"old": "older"}, run_id="huts-again").result()
        changed, spaced = OLD.replace("1235.90", "1244.90"), OLD.replace(". ", ".  ")
        for run_id, text in (("rewritten", NEW), ("changed", changed), ("spaced", spaced)):
            await runner.start(_mail(text), run_id=run_id).result()


class Order(BaseModel):
    n: int = 0
    done: str = ""


async def test_today_keeps_what_was_retried(tmp_path: Path) -> None:
    """As the logs have it: with what they failed, from when to when, and what became of them; in each later reading."""
    is_broken = [True]

    def charge(n: int) -> str:
        if is_broken[0] or n == 2:
            raise KeyError("vat_rate" if n else "other")
        return "charged"

    graph = Graph("checkout", Order)
    graph.add_node("charge", charge, writes="done", thread=False)
    graph.add_path(START, "charge", END)
    now = time.time()
    clock = FakeClock(start=now - 600)
    async with Runner(tmp_path / "runs.db", clock=clock) as runner:
        for n in range(1, 4):
            clock.move(60)
            with suppress(RunFailed):
                await runner.start(graph, Order(n=n), run_id=f"r{n}").result()
        book = TodayBook(runner.store)
        assert (await book.today(None, now - 3600, "graph")).retried == []
        is_broken[0] = False
        clock.move(120)
        for n in range(1, 4):
            with suppress(RunFailed):
                await runner.resume(f"r{n}", graph).result()
        (found,) = (await TodayBook(runner.store).today(None, now - 3600, "graph")).retried
    assert (found.graph, found.example, found.runs) == ("checkout", "charge: KeyError: 'vat_rate'", 3)
    assert (found.since, found.last) == pytest.approx((now - 540, now - 420), abs=2)
    assert found.statuses == {"finished": 2, "failed": 1}


async def test_approvals_hide_no_runs_that_were_retried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What one reading does not look at, the next one does: also a run that began before midnight and waits now."""
    monkeypatch.setattr("graphengine.serve.reads.retried._READ", 2)
    is_broken = [True]

    def charge() -> str:
        if is_broken[0]:
            raise KeyError("vat_rate")
        return "charged"

    graph = Graph("checkout", Order)
    graph.add_node("charge", charge, writes="done", thread=False)
    graph.add_node("agree", ask("Send?", str), writes="done")
    graph.add_path(START, "charge", "agree", END)
    now = time.time()
    clock = FakeClock(start=now - 7200)
    async with Runner(tmp_path / "runs.db", clock=clock) as runner:
        with suppress(RunFailed):
            await runner.start(graph, run_id="old").result()
        is_broken[0] = False
        for n in range(5):
            await runner.start(graph, run_id=f"r{n}").result()
        clock.move(6000)
        await runner.resume("old", graph).result()
        for n in range(5):
            await runner.answer(f"r{n}", value="yes")
            await runner.resume(f"r{n}", graph).result()
        book = RetryLog(runner.store)
        found = [await book.load(None, now - 3600) for _ in range(3)]
    assert found[:2] == [[], []]
    ((again,),) = found[2:]
    assert (again.graph, again.runs, again.statuses) == ("checkout", 1, {"waiting": 1})
    assert again.since == pytest.approx(now - 7200, abs=2)


async def test_done_has_every_answer_of_seven_days(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also those of runs that are not among the newest: of each graph that asks, the newest runs are looked at."""
    monkeypatch.setattr("graphengine.serve.reads.asked._NEWEST", 4)
    async with Runner(tmp_path / "runs.db") as runner:
        for n in range(3):
            await runner.start(_mail("Hi"), run_id=f"mail-{n}").result()
            await runner.answer(f"mail-{n}", value=True)
            await runner.resume(f"mail-{n}", _mail("Hi")).result()
        for n in range(3):
            await runner.start(_letter(), run_id=f"letter-{n}").result()
        found = await QuestionLog(runner.store).questions(None, ())
    assert {each.run_id for each in found.done} == {"mail-0", "mail-1", "mail-2"}
    assert found.looked_at == 6


async def test_the_list_says_that_a_model_call_waits_for_its_limiter(tmp_path: Path) -> None:
    """Of a run that this process drives, while the call waits; a wait for a limiter is not recorded."""
    path = tmp_path / "runs.db"
    model = ScriptedModel([RateLimited("slow down", retry_after_seconds=90), Response("Dear hotels")])
    async with Runner(path, models=model) as runner, opened(path) as app:
        run = runner.start(_paid(), run_id="busy")
        async with asyncio.timeout(SOON):
            while not runs_at_limiters():  # noqa: ASYNC110 - a limiter has no event
                await asyncio.sleep(0.01)
        assert (await read(app, "lines", run_id="busy"))["busy"]["at"] == ["write (waits for a model's rate limiter)"]
        await run.stop(now=True)
        assert not runs_at_limiters()


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
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    proposed.locator("summary").click()
    expect(proposed.locator("details .read")).to_have_text(OLD.replace("\n\n", ""))
    check_accessible(page)
    proposed.get_by_role("tab", name="changes").click()
    check_accessible(page)
    assert all(len(each.split()) > 1 for each in proposed.locator("ins").all_inner_texts())
    proposed.get_by_role("tab", name="old").click()
    expect(proposed.locator(".read")).to_have_text(OLD.replace("\n\n", ""))


def test_changed_blanks_are_named(at: str, visit: Opened) -> None:
    """A text of which only blanks changed is shown before and after, and the page says what differs."""
    proposed = visit(at, "/questions?id=spaced").locator("section.proposed")
    expect(proposed).to_contain_text("only blanks and line breaks differ")
    shown = [each.strip() for each in proposed.locator("pre.plain").all_inner_texts()]
    assert shown == [OLD.replace(". ", ".  ").strip(), OLD.strip()]


def test_a_changed_word_is_marked(at: str, visit: Opened) -> None:
    """In the approval and in the comparison: a text most of which is the same shows what changed."""
    for path in ("/questions?id=changed", "/compare?a=letter&b=changed"):
        shown = visit(at, path).locator("section", has_text="1235.90").locator(".diff").first
        expect(shown.locator("del")).to_have_text("1235.90")
        expect(shown.locator("ins")).to_have_text("1244.90")
        expect(shown).to_contain_text("1235.90 1244.90")
    rewritten = visit(at, "/compare?a=letter&b=rewritten").locator(".change", has_text="Libraries")
    expect(rewritten.locator(".read").first).to_have_text(NEW.replace("\n\n", ""))


@pytest.mark.parametrize(
    ("run", "words"),
    [
        ("over-budget", r"waits for budget 'mails of a day' until "),
        ("asleep", r"waits until "),
        ("rewritten", r"asks approve: Send this mail\?"),
    ],
)
def test_the_list_says_what_a_run_waits_for(at: str, visit: Opened, run: str, words: str) -> None:
    """A budget and its end, a time, or a person."""
    row = visit(at, f"/?text={run}").locator(f"[data-run={run}]")
    expect(row.locator(".why")).to_have_text(re.compile(words.replace(" ", r"\s+")))


def test_a_run_that_was_retried_waits_for_a_worker(tmp_path: Path, visit: Opened) -> None:
    """Its process did not die: somebody asked for the retry, and no process has taken the run up yet."""
    path = tmp_path / "runs.db"

    def charge() -> str:
        raise KeyError("vat_rate")

    async def record() -> None:
        graph = Graph("checkout", Order)
        graph.add_node("charge", charge, writes="done", thread=False)
        graph.add_path(START, "charge", END)
        async with Runner(path) as runner:
            with suppress(RunFailed):
                await runner.start(graph, run_id="order").result()
        async with Runner(path) as runner:
            assert (await runner.admin.bulk("retry", "id:order", graphs=[graph])).runs == ["order"]

    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, record()).result()
    with served(path) as url:
        words = "waits for a worker or a resume"
        expect(visit(url).locator("[data-run=order] .why")).to_contain_text(words)
        page = visit(url, "/run?id=order")
        expect(page.locator("main").first).to_contain_text(words)
        expect(page.locator("main").first).not_to_contain_text("died")


def test_a_branch_has_its_own_title_and_input(at: str, visit: Opened) -> None:
    """With what it changed of its parent's input. A branch that changes no field of the title keeps the title."""
    for run, title, old in (("huts", "Letter to huts", OLD), ("huts-again", "Letter to huts", "older")):
        page = visit(at, f"/?text={run}")
        expect(page.locator(f"[data-run={run}]").get_by_role("link")).to_have_text(title)
        page = visit(at, f"/run?id={run}")
        expect(page.get_by_role("heading", level=1)).to_have_text(title)
        fields = page.locator("h3", has_text="Input").locator("+ dl")
        expect(fields).to_have_text(re.compile(f"audiencehuts.*{old[:5]}"))


def test_branches_are_the_whole_tree(at: str, visit: Opened) -> None:
    """From each of its runs, with the runs above it and those below."""
    for run in ("letter", "huts", "huts-again"):
        page = visit(at, f"/run?id={run}&tab=branches")
        tree = page.get_by_label("The original run and its branches").get_by_role("listitem")
        expect(tree).to_have_count(3)
        expect(tree.locator("b")).to_have_count(1)
        expect(tree.filter(has_text="this run")).to_have_count(1)
        check_accessible(page)


def test_a_number_counts_what_its_link_shows(at: str, visit: Opened) -> None:
    """The open questions are those of the page that the link leads to, whatever is searched for."""
    page = visit(at, "/?text=graph:letter")
    expect(page.get_by_role("tab", name="All")).to_have_text("All3")
    expect(page.get_by_role("link", name="ask me")).to_have_text("ask me 3")
    expect(page.get_by_role("tab", name="Needs me")).to_have_text("Needs me 3")
    page.get_by_role("link", name="ask me").click()
    expect(page.locator(".asking")).to_have_count(3)


def test_numbers_are_dashes_until_they_are_known(at: str, visit: Opened) -> None:
    """Before the first answer of the server nothing is said to be 0."""
    page = visit(at, "/today")
    held = list[Route]()
    page.route("**/api/overview?**", lambda route: held.append(route))  # noqa: PLW0108 - it wants a function
    page.get_by_role("link", name="runs").first.click()
    for name in ("All", "Needs me", "Failed"):
        expect(page.get_by_role("tab", name=name)).to_have_text(re.compile(f"^{name} ?\u2013$"))
    for route in held:
        route.continue_()
    page.unroute("**/api/overview?**")
    expect(page.get_by_role("tab", name="All")).to_have_text("All9")


def test_keys_are_listed_where_they_work(at: str, visit: Opened) -> None:
    """Each page lists its own; in the inbox, j and k go from question to question, and an answer is near."""
    listed = {}
    page = visit(at, "/")
    for path in ("/", "/run?id=letter", "/questions"):
        page = visit(at, path)
        expect(page.get_by_role("heading", level=1)).to_be_visible()
        page.keyboard.press("?")
        listed[path] = page.get_by_label("Keys").locator("kbd").all_inner_texts()
        page.keyboard.press("Escape")
    assert "x" in listed["/"]
    assert "x" not in listed["/run?id=letter"]
    assert "b" not in listed["/run?id=letter"], "nothing can be driven here"
    assert listed["/questions"] == ["j k", "g", "q", "Esc", "?"]
    expect(page.locator(".asking")).to_have_count(3)
    page.keyboard.press("j")
    expect(page.locator(".asking").first).to_be_focused()
    page.keyboard.press("j")
    expect(page.locator(".asking").nth(1)).to_be_focused()
    page = visit(at, "/questions")
    expect(page.locator(".asking")).to_have_count(3)
    near = list[bool]()
    for _ in range(5):
        page.keyboard.press("Tab")
        near.append(page.evaluate("document.activeElement.closest('.proposed') !== null"))
    assert any(near)

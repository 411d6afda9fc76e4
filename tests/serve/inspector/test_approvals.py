"""What whoever is asked for leave is shown: the last message, what the agent found, the call, and what is different."""

import asyncio
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from graphengine import END, START, Graph, Runner
from graphengine.agents.approval import Approval
from graphengine.models.scripted import calls
from graphengine.serve.users import User, UsersFile, hash_of, write_users
from tests.serve.inspector.client import read
from tests.serve.inspector.conftest import Opened, opened, served
from tests.serve.inspector.desks import ORDER, REFUND, Chat, desk, record_desks, say
from tests.serve.two_tenants import place, request, token_of


@pytest.fixture(scope="module")
def desks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a database of runs that wait for leave."""
    path = tmp_path_factory.mktemp("desks") / "runs.db"
    with ThreadPoolExecutor(1) as pool:  # the browser's event loop may be in this thread
        pool.submit(asyncio.run, record_desks(path)).result()
    return path


@pytest.fixture(scope="module")
def at(desks: Path) -> Iterator[str]:
    """An inspector of it."""
    with served(desks) as found:
        yield found


async def about_of(path: Path) -> dict[str, list[dict[str, Any]]]:
    """Return what is known of the open questions, by run."""
    async with opened(path) as app:
        found: dict[str, list[dict[str, Any]]] = (await read(app, "questions"))["about"]
        return found


async def test_a_question_has_what_led_to_it(desks: Path) -> None:
    """The page of questions and that of the run have the same."""
    (known,) = (await about_of(desks))["ge:chat:ada"]
    async with opened(desks) as app:
        assert (await read(app, "run", run_id="ge:chat:ada"))["about"] == [known]
    assert (known["agent"], known["said"]) == ("desk", "My lamp A-1042 arrived broken.")
    assert known["found"] == [
        {"tool": "order", "arguments": {"number": "A-1042"}, "text": ORDER, "is_error": False},
    ]
    assert (known["tool"], known["arguments"], known["words"]) == ("refund", REFUND, "")


async def test_each_question_is_about_its_own_call(tmp_path: Path) -> None:
    """Also if a turn has several calls of one tool, also if what is shown of them is the same."""
    path = tmp_path / "runs.db"
    both = calls(("refund", REFUND), ("refund", {**REFUND, "amount": 5.0}))
    for approve in (True, Approval(show=lambda number: f"It is about {number}.")):
        async with Runner(path) as runner:
            await say(runner, desk(both, approve=approve), f"two-{approve is True}", ["Pay both."])
    found = await about_of(path)
    for run_id, words in (("ge:chat:two-True", ""), ("ge:chat:two-False", "It is about A-1042.")):
        assert sorted(each["arguments"]["amount"] for each in found[run_id]) == [5.0, 124.99]
        assert [each["words"] for each in found[run_id]] == [words, words]


async def test_keys_in_a_call_are_struck(tmp_path: Path) -> None:
    """As in the conversation, also where a call is shown before it is made."""
    path, key = tmp_path / "runs.db", "ghp_A1b2C3d4E5f6G7h8I9j0"
    with_key = {**REFUND, "reason": f"paid with {key}"}
    async with Runner(path) as runner:
        await say(runner, desk(calls(("refund", with_key))), "key", ["Pay it."])
    (known,) = (await about_of(path))["ge:chat:key"]
    assert known["arguments"] == {**REFUND, "reason": "paid with [secret]"}
    assert key not in f"{known}"


async def test_what_asks_the_same_has_what_is_different(desks: Path) -> None:
    """Fields of the state that are not the same, without secrets; nothing where the cards differ already."""
    found = await about_of(desks)
    assert {run: each[0]["differs"] for run, each in found.items()} == {
        "pay-0": {"amount": 10.0},
        "pay-1": {"amount": 11.0},
        "own": {},
        "ge:chat:ada": {},
        "ge:chat:ben": {},
    }


async def test_others_learn_nothing_of_a_question(tmp_path: Path) -> None:
    """What led to it is for who may read, of their own tenant; who may only answer has no reads."""
    graph = Graph("desk", Chat)
    graph.add_node("reply", desk(calls(("refund", REFUND))).but(prompt="{said}"), writes="answer")
    graph.add_path(START, "reply", END)
    async with place(tmp_path, tmp_path / "runs.db", {"desk": graph}) as here:
        rights: dict[str, tuple[list[Any], str]] = {
            "all": (["all"], "acme"),
            "reads": (["read"], "acme"),
            "answers": (["answer"], "acme"),
            "other": (["all"], "globex"),
        }
        users = [User(name, given, tenant, hash_of(token_of(name))) for name, (given, tenant) in rights.items()]
        write_users(here.users, UsersFile(users))
        await here.send("all", "POST", "/graphs/desk/runs?run_id=acme/r", {"said": "the hunter's lamp"})
        await here.send("all", "GET", "/runs/acme/r?wait=30")
        told = dict[str, bool]()
        for name in rights:
            for path in ("/api/questions", "/api/questions?run_id=acme/r", "/api/run?run_id=acme/r"):
                answer = await request(here.inspector, token_of(name), "GET", path)
                told[name] = told.get(name, False) or "hunter" in answer.text
                assert (answer.status == 403) == (name == "answers"), answer.text
    assert told == {"all": True, "reads": True, "answers": False, "other": False}


def card_of(page: Page, run: str) -> Any:
    """Return the card of a run's question."""
    return page.locator(".asking", has=page.get_by_role("link", name=run, exact=True))


@pytest.mark.parametrize("width", [390, 1440])
def test_no_two_cards_are_alike(at: str, visit: Opened, width: int) -> None:
    """Each has who asks about what, the message, what was found, and the call as a table."""
    page = visit(at, "/questions")
    page.set_viewport_size({"width": width, "height": 900})
    expect(page.locator(".asking")).to_have_count(5)
    texts = [re.sub(r"\S*(pay-\d|ge:chat:\w+|own)\S*", "", each) for each in page.locator(".asking").all_inner_texts()]
    assert len(set(texts)) == 5
    card = card_of(page, "ge:chat:ben")
    expect(card.get_by_role("heading")).to_have_text("ben")
    expect(card.locator(".said.user")).to_have_text("Where is my lamp A-1042? Pay it back.")
    expect(card.get_by_label("What the agent found")).to_contain_text(ORDER)
    expect(card.locator(".asked")).to_have_text("May desk call refund?")
    expect(card.locator(".proposed tr")).to_have_text(["numberA-1042", "amount124.99", "reasonlamp arrived broken"])
    expect(card_of(page, "pay-1").locator(".facts-of")).to_have_text("amount11")
    page.wait_for_function("document.documentElement.scrollWidth <= innerWidth")


def test_changed_arguments_are_shown_beside_the_old_ones(at: str, visit: Opened) -> None:
    """While they are changed, and until they are sent."""
    page = visit(at, "/questions")
    card = card_of(page, "ge:chat:ada")
    card.get_by_role("radio", name="change the arguments").click()
    card.get_by_label("amount").fill("100")
    expect(card.locator(".proposed tbody tr").nth(1)).to_have_text("amount124.99100")
    expect(card.get_by_role("button", name="Yes", exact=True)).to_have_count(0)  # it would send the old ones
    card.get_by_role("button", name="Send the answer").click()
    expect(card.get_by_label("Not sent yet")).to_contain_text("Yes, with")
    expect(card.get_by_label("Not sent yet")).to_contain_text("amount: 100")
    expect(card.locator(".proposed tbody tr").nth(1)).to_have_text("amount124.99100")
    card.get_by_role("button", name="Undo").click()


@pytest.mark.parametrize("run", ["ge:chat:ada", "own"])
def test_a_chat_has_the_turn_that_waits_with_its_question(at: str, visit: Opened, run: str) -> None:
    """In its place, after what was said; also in a conversation with steps of its own, whose turns are lines."""
    page = visit(at, f"/run?id={run}")
    chat = page.get_by_label("Conversation")
    expect(chat.locator(".said")).to_have_text(["Hello", "deskHello!", "My lamp A-1042 arrived broken."])
    expect(chat.get_by_label("What the agent found")).to_contain_text(ORDER)
    expect(chat.get_by_label("Questions").locator(".proposed")).to_contain_text("124.99")
    places = [chat.locator(each).last.bounding_box() for each in (".said", ".found", ".question")]
    tops = [each["y"] for each in places if each is not None]
    assert tops == sorted(tops)
    assert len(tops) == 3
    expect(page.locator(".outcome .because")).to_have_text("May desk call refund?")
    expect(page.locator(".tr", has_text="turn 2")).to_contain_text("My lamp A-1042")

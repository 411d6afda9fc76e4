import asyncio
import re
import sqlite3
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from graphengine import Runner
from tests.serve.inspector import exact
from tests.serve.inspector.conftest import Opened, served
from tests.serve.inspector.exact import LARGE, LARGER


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a database with a run that asks for an id, one that was given one, and one with a patch."""
    path = tmp_path_factory.mktemp("exact") / "runs.db"

    async def record() -> None:
        async with Runner(path) as runner:
            await runner.start(exact.graph, {}, run_id="asks").result()
            await runner.start(exact.patching, {}, run_id="patch").result()
            await runner.start(exact.graph, {}, run_id="done").result()
            await runner.answer("done", LARGER)
            await (await runner.drive("done", exact.graph)).result()

    with ThreadPoolExecutor(1) as pool:  # the browser's event loop is in this thread
        pool.submit(asyncio.run, record()).result()
    return path


@pytest.fixture(scope="module")
def url(database: Path) -> Iterator[str]:
    """An inspector that drives the graph."""
    with served(database, "--drive", "--graph", str(exact.__file__)) as found:
        yield found


def state(path: Path, run_id: str) -> Mapping[str, Any]:
    """Return the recorded state of a run."""

    async def read() -> Mapping[str, Any]:
        async with Runner(path) as runner:
            return await runner.state_at(run_id)

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, read()).result()


def holds(value: str) -> re.Pattern[str]:
    """Return a pattern for JSON that is shown with other space."""
    return re.compile(r"\s*".join(map(re.escape, value.split())))


def test_numbers_are_shown_with_all_digits(url: str, visit: Opened) -> None:
    """The state, alone or in lists and objects, the input, and what a step changed have the recorded numbers."""
    page = visit(url, "/run?id=done&tab=state")
    held = f'{{ "id": {LARGE}, "text": "{LARGE}", "part": 0.5 }}'
    many = f"[ {LARGE}, -{LARGER} ]"
    expect(page.locator("dl.fields dd")).to_have_text([str(LARGE), holds(held), holds(many), str(LARGER)])
    page = visit(url, "/run?id=done")
    expect(page.locator(".outcome")).to_contain_text(str(LARGER))
    page = visit(url, "/compare?a=asks&b=done")
    expect(page.locator(".change", has_text="chosen")).to_contain_text(f"0 → {LARGER}")


def test_a_typed_number_is_recorded_as_typed(url: str, database: Path, visit: Opened) -> None:
    """The form of a question sends the digits, and the answered question shows them."""
    page = visit(url, "/run?id=asks")
    form = page.locator("form.question")
    form.get_by_label("answer").press_sequentially(str(LARGE))
    form.get_by_role("button", name="Send the answer").click()
    expect(page.locator(".outcome .ends")).to_have_text("finished")
    assert state(database, "asks")["chosen"] == LARGE


def test_a_message_and_an_input_are_recorded_as_typed(url: str, database: Path, visit: Opened) -> None:
    """A payload and the fields of a new run keep their digits."""
    page = visit(url, "/graphs")
    page.get_by_role("link", name="start a run").first.click()
    form = page.locator("form.start")
    expect(form.get_by_label("post")).to_have_value(str(LARGE))
    form.get_by_label("post").fill(str(LARGE + 2))
    form.get_by_label("many, as JSON").fill(f"[{LARGER}, 1]")
    form.get_by_label("run id").fill("started")
    form.get_by_role("button", name="Start the run").click()
    expect(page.locator("form.question")).to_contain_text("Which id?")
    assert state(database, "started") == {**exact.example.model_dump(), "post": LARGE + 2, "many": [LARGER, 1]}
    page.get_by_text("Send a message").click()
    page.get_by_label("topic").fill("news")
    page.get_by_label("payload").fill(f'{{"id": {LARGE}}}')
    page.get_by_role("button", name="Send", exact=True).click()
    expect(page.locator(".more")).to_contain_text("the message is sent")
    with closing(sqlite3.connect(database)) as connection:
        (payload,) = connection.execute("SELECT payload FROM inbox WHERE payload LIKE '%news%'").fetchone()
    assert f'{{"id":{LARGE}}}' in payload


def branch(page: Page, name: str, asked: str = "Which id?") -> None:
    """Begin a branch, and wait until it asks. Its heading is its id only until the first line of its input has come."""
    page.get_by_role("dialog").get_by_label("id of the branch").fill(name)
    page.get_by_role("button", name="Begin the branch").click()
    expect(page).to_have_url(re.compile(rf"\bid={name}\b"))
    expect(page.locator("form.question")).to_contain_text(asked)


def test_a_branch_has_what_was_recorded_and_typed(url: str, database: Path, visit: Opened) -> None:
    """A change of one member of an object keeps the digits of the others, and a typed number its own."""
    page = visit(url, "/run?id=done&at=1&branch=1")
    drawer = page.get_by_role("dialog")
    expect(drawer.get_by_label("Preview")).to_contain_text("are shared")
    previews: list[Route] = []
    page.route("**/api/runs/*/branches/preview", lambda route: previews.append(route))  # noqa: PLW0108 - it wants a function
    with page.expect_request("**/api/runs/*/branches/preview"):
        drawer.get_by_role("button", name="change held").click()
    held = drawer.get_by_label("held, as JSON")
    expect(held).to_have_value(holds(f'{{ "id": {LARGE}, "text": "{LARGE}", "part": 0.5 }}'))
    held.fill(held.input_value().replace("0.5", "0.25"))
    with page.expect_response("**/api/runs/*/branches/preview"):
        previews[0].continue_()
    page.unroute_all()
    expect(held).to_have_value(re.compile("0.25"))  # the form, drawn again, keeps what is typed
    drawer.get_by_role("button", name="change post").click()
    expect(drawer.get_by_label("post", exact=True)).to_have_value(str(LARGE))
    drawer.get_by_label("post", exact=True).press_sequentially("0")
    expect(drawer.get_by_label("Preview").locator(".changes")).to_contain_text(f"{LARGE}→{LARGE}0")
    branch(page, "typed")
    made = {"id": LARGE, "text": str(LARGE), "part": 0.25}
    assert state(database, "typed") == {**exact.example.model_dump(), "held": made, "post": LARGE * 10}
    form = page.locator("form.question")
    form.get_by_label("answer").fill(str(LARGE + 2))
    form.get_by_role("button", name="Send the answer").click()
    expect(page.locator(".outcome .ends")).to_have_text("finished")
    page = visit(url, "/run?id=done&tab=branches")
    tries = page.get_by_role("region", name="branches at step 1")
    expect(tries.get_by_role("row", name="typed")).to_contain_text(str(LARGE + 2))
    expect(tries.get_by_role("row", name="this run")).to_contain_text(str(LARGER))


ZONED = "2026-10-25T02:30:00+01:00[Europe/Berlin][_fold=1]"


def test_the_guide_says_how_scripts_keep_digits(url: str, visit: Opened) -> None:
    """Its two functions read and write what a script of a page gets."""
    text = (Path(__file__).resolve().parents[3] / "docs" / "use" / "json.md").read_text(encoding="utf-8")
    code = text.split("```js\n")[1].split("```")[0]
    given = f'{{"id":{LARGE},"many":[-{LARGER},1.5,12,null,{{}}],"text":"{LARGE}"}}'
    page = visit(url, "/run?id=done")
    assert page.evaluate(f"(given) => {{ {code}; return [write(read(given)), typeof read(given).id] }}", given) == [
        given,
        "bigint",
    ]


def test_set_fields_are_dim(url: str, visit: Opened) -> None:
    """The state has them and the zone as recorded; the summary of the first step names only the model's fields."""
    page = visit(url, "/run?id=patch&tab=state")
    person = '{ "name": "Ada", "phone": null, "__fields_set__": [ "name" ] }'
    expect(page.locator("dl.fields dd")).to_have_text([holds(person), ZONED, "no"])
    expect(page.locator("dl.fields .soft")).to_have_text(holds('"__fields_set__": [ "name" ]'))
    expect(page.locator(".tr", has_text="input")).to_contain_text('person = {"name": "Ada", "phone": null}')


def test_a_branch_keeps_set_fields_and_zones(url: str, database: Path, visit: Opened) -> None:
    """What a form does not change is sent back as it was; a field that it changes is one of the set fields."""
    page = visit(url, "/run?id=patch&at=1&branch=1")
    drawer = page.get_by_role("dialog")
    drawer.get_by_role("button", name="change person").click()
    drawer.get_by_label("name", exact=True).fill("Eve")
    drawer.get_by_role("button", name="change at", exact=True).click()
    expect(drawer.get_by_label("at", exact=True)).to_have_value(ZONED)
    drawer.get_by_label("at", exact=True).fill(ZONED.replace("02:30", "02:45"))
    expect(drawer.get_by_label("Preview").locator(".changes dt")).to_have_text(["person.name", "at"])
    branch(page, "eve", "Patch?")
    person = {"name": "Eve", "phone": None, "__fields_set__": ["name"]}
    assert state(database, "eve") == {"person": person, "at": ZONED.replace("02:30", "02:45"), "agreed": False}

    page = visit(url, "/run?id=patch&at=1&branch=1")
    drawer.get_by_role("button", name="change person").click()
    drawer.get_by_label("phone", exact=True).fill("7")
    expect(drawer.get_by_label("Preview").locator(".changes .soft", has_text="person.__fields_set__")).to_be_visible()
    branch(page, "phone", "Patch?")
    assert state(database, "phone")["person"] == {"name": "Ada", "phone": "7"}  # all fields are set

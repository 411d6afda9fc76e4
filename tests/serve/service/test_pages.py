"""The pages of docs/use/front_ends.md in Chromium, with the official clients of both protocols.

The page of the AI SDK is the one that `graphengine new --from chat_app` copies, built.
"""

import re
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from playwright.sync_api import Browser, Page, expect

from graphengine.cli.main import main
from graphengine.cli.new import project_files
from scripts import chat_app_page
from tests.serve.inspector.conftest import browser  # noqa: F401 - a fixture
from tests.serve.service.client import TOKEN, Service
from tests.serve.service.front_ends import FLOWS

pytest.importorskip("ag_ui.core")
DOCS = (chat_app_page.ROOT / "docs" / "use" / "front_ends.md").read_text(encoding="utf-8")
(SDK_PAGE,) = re.findall(r"^```jsx\n(.*?)^```", DOCS, re.DOTALL | re.MULTILINE)
(AG_UI_PAGE,) = re.findall(r"^```js\n(.*?)^```", DOCS, re.DOTALL | re.MULTILINE)
has_clients = pytest.mark.skipif(not (chat_app_page.CLIENTS / "node_modules").exists(), reason="needs `make servers`")
AROUND = """<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,">
<main></main><output></output><form><input name="text"></form><script type="module" src="page.js"></script>"""


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the page of the AI SDK, as a new project has it, and that of AG-UI below it."""
    folder = tmp_path_factory.mktemp("pages")
    for path, text in project_files("chat", "chat_app").items():
        if path.startswith("app/built/"):
            (folder / Path(path).name).write_text(text, encoding="utf-8")
    (folder / "ag_ui").mkdir()
    (folder / "ag_ui" / "index.html").write_text(AROUND, encoding="utf-8")
    if (chat_app_page.CLIENTS / "node_modules").exists():
        (folder / "ag_ui" / "page.js").write_text(chat_app_page.built(AG_UI_PAGE), encoding="utf-8")
    return folder


@pytest.fixture
def serve(tmp_path: Path, pages: Path) -> Iterator[Callable[..., Service]]:
    """Start a server with the pages; it is killed at the end."""
    found: list[Service] = []
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]

    def start(text: str = "The tide is high.") -> Service:
        words = ("--ag-ui", "--ai-sdk", "--pages", str(pages), "--port", str(port))
        env = {"GATE": str(tmp_path / "gate"), "TEXT": text, "CALLS": str(tmp_path / "calls")}
        found.append(Service(tmp_path / "runs.db", *words, graphs=FLOWS, **env))
        return found[-1]

    yield start
    for service in found:
        if service.process.poll() is None:
            service.end(signal.SIGKILL)


@pytest.fixture(params=["", "ag_ui/"])
def opened(request: pytest.FixtureRequest, browser: Browser) -> Iterator[Callable[[Service], Page]]:  # noqa: F811
    """Open the page of a protocol in a browser that has seen none."""
    if request.param and not (chat_app_page.CLIENTS / "node_modules").exists():
        pytest.skip("needs `make servers`")
    context = browser.new_context()
    page = context.new_page()
    page.set_default_timeout(20_000)

    def open_page(service: Service) -> Page:
        page.goto(f"{service.opened['doors']['pages']}{request.param}#{TOKEN}")
        return page

    yield open_page
    context.close()


def say(page: Page, text: str) -> None:
    """Say something, once the turn before is over: until then the page keeps what is typed."""
    page.locator("input[name=text]").fill(text)
    expect(page.locator("form button:disabled", has_text="Send")).to_have_count(0)
    page.locator("input[name=text]").press("Enter")


def texts(page: Page) -> Any:
    """Return the texts of the assistant."""
    return page.locator("section.assistant p:not(.reasoning)")


def test_a_page_is_reloaded_and_its_server_killed_in_the_middle_of_a_text(
    serve: Callable[..., Service], opened: Callable[[Service], Page], tmp_path: Path
) -> None:
    """It shows the text as it comes, after a reload too; after a kill it goes on, and shows each text once."""
    service = serve()
    page = opened(service)
    say(page, "tide?")
    expect(texts(page)).to_have_text(["The tide"])
    page.reload()
    expect(texts(page)).to_have_text(["The tide"])
    expect(page.locator("section.user")).to_have_text(["tide?"])
    service.end(signal.SIGKILL)
    (tmp_path / "gate").touch()
    service = serve()
    again = page.get_by_role("button", name="Connect again")
    if "ag_ui" not in page.url:
        again.click()
    expect(texts(page)).to_have_text(["The tide is high."])
    say(page, "and now?")
    expect(texts(page)).to_have_text(["The tide is high."] * 2)
    page.reload()
    expect(texts(page)).to_have_text(["The tide is high."] * 2)
    expect(page.locator("section.user")).to_have_text(["tide?", "and now?"])


def test_a_person_approves_a_call_after_a_reload(
    serve: Callable[..., Service], opened: Callable[[Service], Page], tmp_path: Path
) -> None:
    """The question comes with the call, also to the reloaded page; the answer is taken, and the call made once."""
    (tmp_path / "gate").touch()
    page = opened(serve())
    say(page, "pay her")
    expect(page.get_by_text("May assistant call pay")).to_be_visible()
    page.reload()
    expect(page.get_by_text("May assistant call pay")).to_be_visible()
    page.get_by_role("button", name="Yes").click()
    expect(texts(page).last).to_have_text("Paid.")
    expect(page.get_by_role("button", name="Yes")).to_have_count(0)
    assert (tmp_path / "calls").read_text() == "paid Ada\n"
    page.reload()
    expect(texts(page)).to_have_text(["I will pay.", "Paid."])
    expect(page.locator("code")).to_have_count(1)


def test_a_second_tab_of_a_chat_is_live(
    serve: Callable[..., Service],
    browser: Browser,  # noqa: F811
    tmp_path: Path,
) -> None:
    """What is said in one tab, and its answer, are in the other one, too, each once; there is a button to send."""
    (tmp_path / "gate").touch()
    address = f"{serve().opened['doors']['pages']}#{TOKEN}"
    context = browser.new_context(color_scheme="dark")
    one, other = context.new_page(), context.new_page()
    for page in (one, other):
        page.goto(address)
        expect(page.get_by_role("heading")).to_have_text("Assistant")
    for number, page in enumerate((one, other, one), 1):
        page.get_by_label("Message").fill(f"tide {number}?")
        page.get_by_role("button", name="Send").click()
        for tab in (one, other):
            expect(texts(tab)).to_have_text(["The tide is high."] * number)
            expect(tab.locator("section.user")).to_have_text([f"tide {each}?" for each in range(1, number + 1)])
    assert one.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(13, 17, 23)"
    context.close()


def test_what_is_typed_during_a_turn_is_kept(
    serve: Callable[..., Service], opened: Callable[[Service], Page], tmp_path: Path
) -> None:
    """Enter sends it only once the turn is over, so that no word is lost and no turn meets another one."""
    page = opened(serve())
    if "ag_ui" in page.url:
        pytest.skip("its page has no button to send")
    say(page, "tide?")
    expect(texts(page)).to_have_text(["The tide"])
    page.get_by_label("Message").fill("and now?")
    page.get_by_label("Message").press("Enter")
    expect(page.get_by_label("Message")).to_have_value("and now?")
    expect(page.locator("section.user")).to_have_text(["tide?"])
    (tmp_path / "gate").touch()
    expect(page.get_by_role("button", name="Send")).to_be_enabled()
    page.get_by_label("Message").press("Enter")
    expect(texts(page)).to_have_text(["The tide is high."] * 2)


def test_pages_are_read_without_the_token_and_nothing_else(serve: Callable[..., Service]) -> None:
    """Neither what is outside of the folder nor a door."""
    service = serve()
    bare = {"Authorization": ""}
    for path in ("/pages/../runs", "/pages/%2e%2e/runs.db", "/ai-sdk/assistant-chat/a", "/runs"):
        assert service.request("GET", path, headers=bare)[0] in (401, 404), path
    assert service.request("POST", "/pages/index.html", b"{}", bare)[0] == 401


def test_pages_that_are_not_there_are_refused(tmp_path: Path) -> None:
    """The error names the folder."""
    done = CliRunner().invoke(main, ["serve", FLOWS, "--pages", str(tmp_path / "none")])
    assert (done.exit_code, f"the folder '{tmp_path / 'none'}' does not exist" in done.output) == (2, True)


@has_clients
def test_the_built_page_is_the_one_of_the_docs() -> None:
    """The page of the docs, the source that a project gets, and what is built of it, agree; both have few lines."""
    files = project_files("chat", "chat_app")
    assert files["app/chat.jsx"] == SDK_PAGE
    assert {
        name: (chat_app_page.APP / "built" / name).read_text(encoding="utf-8") for name in chat_app_page.files()
    } == (chat_app_page.files())
    assert max(len(SDK_PAGE.splitlines()), len(AG_UI_PAGE.splitlines())) <= 85

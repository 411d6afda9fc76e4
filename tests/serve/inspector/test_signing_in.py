"""The way into the page, and that its links and tabs go on after a restart."""

import os
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from graphengine.errors import InputError
from graphengine.serve.inspector.token import kept_token
from graphengine.serve.listening import listen, listen_near
from graphengine.serve.users import User, UsersFile, hash_of, write_users
from tests.serve.inspector.accessible import check_accessible
from tests.serve.inspector.conftest import Opened, served
from tests.serve.openid_provider import SECRET, provided

TOKEN = "ge_of-ada"  # noqa: S105 - of no real user


@pytest.fixture
def shared(recorded: Path, tmp_path: Path) -> Iterator[str]:
    """A shared inspector with the user ada, who may read and answer."""
    file = tmp_path / "users.json"
    write_users(file, UsersFile([User("ada", ["read", "answer"], sha256=hash_of(TOKEN))]))
    with served(recorded, "--shared", "--users", str(file)) as found:
        yield found.partition("/#")[0]


@pytest.fixture
def stranger(browser: Browser) -> Iterator[Page]:
    """A page of a browser without a cookie, of the size of a phone."""
    page = browser.new_context(viewport={"width": 390, "height": 844}).new_page()
    yield page
    page.context.close()


def test_a_link_asks_for_the_token_and_then_leads_on(shared: str, stranger: Page) -> None:
    """An approver's link shows the name of the question, never its text; a wrong token is refused, the right one opens.

    The address stays as it was all the time, and has no token. Signed out, the same address asks again.
    """
    link = f"{shared}/questions?id=asks"
    stranger.goto(link)
    expect(stranger.locator("main")).to_contain_text("Then you come back to the question asks.")
    assert "Publish this draft?" not in stranger.content()
    check_accessible(stranger)
    assert stranger.evaluate("document.documentElement.scrollWidth <= innerWidth")
    stranger.get_by_role("button", name="Sign in with the token").click()
    expect(stranger.locator(".failure")).to_contain_text("Paste the token first.")
    stranger.get_by_label("Token", exact=True).fill("ge_guess")
    stranger.keyboard.press("Enter")
    expect(stranger.locator(".failure")).to_contain_text("this token is not known here, or is over")
    stranger.get_by_label("Token", exact=True).fill(f" {TOKEN} ")
    stranger.keyboard.press("Enter")
    expect(stranger.locator("main")).to_contain_text("Publish this draft?")
    assert stranger.url == link
    (cookie,) = stranger.context.cookies()
    assert cookie["httpOnly"]
    assert cookie["sameSite"] == "Strict"
    assert cookie["expires"] > 0
    stranger.get_by_label("account of ada").click()
    expect(stranger.locator(".account")).to_contain_text("may answer, read")
    check_accessible(stranger)
    stranger.get_by_role("button", name="Sign out").click()
    expect(stranger.locator("h1")).to_have_text("Sign in")
    assert stranger.context.cookies() == []
    assert stranger.url == link


def test_a_provider_signs_in(recorded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stranger: Page) -> None:
    """One comes back to where one was going, whatever a script has kept instead, until the token is over."""
    monkeypatch.setenv("PAGE_SECRET", SECRET)
    users = tmp_path / "users.json"
    with provided(users) as provider, served(recorded, "--shared", "--users", str(users)) as found:
        link = f"{found.partition('/#')[0]}/run?id=five"
        stranger.goto(link)
        button = stranger.get_by_role("button", name=f"Sign in with {provider.issuer.partition('//')[2]}")
        button.wait_for()
        check_accessible(stranger)
        button.click()
        expect(stranger.locator("h1").first).to_contain_text("five")
        assert stranger.url == link
        (cookie,) = stranger.context.cookies()
        assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
        assert 0 < cookie["expires"] - time.time() <= 100
        stranger.get_by_label("account of oidc:ada").click()
        stranger.get_by_role("button", name="Sign out").click()
        provider.claims["nonce"] = "of another sign-in"
        button.click()
        expect(stranger.get_by_role("alert")).to_contain_text("the token was made for another sign-in")
        assert (stranger.url, [each["name"] for each in stranger.context.cookies()]) == (link, ["graphengine-way-in"])
        stranger.evaluate("sessionStorage.setItem('/signed_in', '//evil.example/run?id=five')")
        with stranger.expect_request(lambda request: request.method == "POST") as sent:
            stranger.goto(link.replace("/run?id=five", "/signed_in?state=guessed&code=stolen&token=of-another&stay=1"))
        assert sent.value.post_data_json == {"state": "guessed", "code": "stolen", "error": ""}
        expect(stranger.get_by_role("alert")).to_contain_text("this sign-in was started in another browser")
        assert stranger.url == link


def test_no_address_leads_elsewhere(shared: str, stranger: Page) -> None:
    """One comes back to the address that was opened: parameters that name another site are not read."""
    stranger.goto(f"{shared}/?to=//evil.example&next=https://evil.example")
    stranger.get_by_label("Token", exact=True).fill(TOKEN)
    stranger.get_by_label("Stay signed in").uncheck()
    stranger.keyboard.press("Enter")
    expect(stranger.locator("h1")).to_have_text("Runs")
    assert stranger.url.startswith(f"{shared}/")
    (cookie,) = stranger.context.cookies()
    assert cookie["expires"] == -1  # until the browser is closed


def test_a_tab_recovers_after_a_restart(database: Path, visit: Opened) -> None:
    """A server that is gone is said with the time of the last sight; once it is back, the tab goes on by itself."""
    with listen(0) as free:
        port = free.getsockname()[1]
    words = ("--port", str(port))
    with served(database, *words) as url:
        page = visit(url)
        expect(page.locator(".live")).to_have_text("● live")
        page.clock.install()
    expect(page.get_by_role("alert")).to_contain_text(re.compile(r"does not answer\. Last seen .*\d\d:\d\d"))
    expect(page.locator("html.is-gone")).to_have_count(1)
    expect(page.locator(".row[data-run=five]")).to_be_visible()
    page.set_viewport_size({"width": 390, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    with served(database, *words) as again:
        assert again == url
        page.clock.fast_forward(60_000)
        expect(page.locator("html.is-gone")).to_have_count(0)
        expect(page.locator(".live")).to_have_text("● live")
        page.reload()
        expect(page.locator(".row[data-run=five]")).to_be_visible()


def test_the_token_is_kept_for_its_owner_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The file has mode 600, and the same token the next time; one that others can read is not used."""
    path = tmp_path / "new" / "inspect.token"
    token = kept_token(path)
    assert kept_token(path) == token != kept_token(None)
    assert [each.name for each in path.parent.iterdir()] == ["inspect.token"]
    if os.name == "posix":
        assert path.stat().st_mode & 0o777 == 0o600
        path.chmod(0o644)
        assert kept_token(path) != token
        assert "can read or write the file" in caplog.text
        assert token not in caplog.text


@pytest.mark.skipif(os.name != "posix", reason="links need no right there")
def test_a_token_is_not_read_through_a_link(tmp_path: Path) -> None:
    """A link in a folder that others can write to would lead to a token of theirs."""
    theirs, path = tmp_path / "theirs", tmp_path / "inspect.token"
    token = kept_token(theirs)
    path.symlink_to(theirs)
    assert kept_token(path) != token


def test_what_is_no_token_is_left_alone(tmp_path: Path) -> None:
    """A file with something else is neither used nor overwritten."""
    path = tmp_path / "inspect.token"
    path.write_text("short\n", encoding="utf-8")
    path.chmod(0o600)
    assert kept_token(path) != "short"
    assert path.read_text(encoding="utf-8") == "short\n"


def test_the_next_port_is_taken_if_one_is_not_free() -> None:
    """A port in use leads to one after it; only if a port was asked for is that an error."""
    with listen(0) as taken:
        port = taken.getsockname()[1]
        with listen_near(port) as found:
            assert found.getsockname()[1] != port
        with pytest.raises(InputError, match=f"port {port} cannot be used"):
            listen(port)

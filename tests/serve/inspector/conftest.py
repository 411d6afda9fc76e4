import json
import os
import shutil
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, ViewportSize, expect, sync_playwright
from starlette.types import ASGIApp

from graphengine.api.places import store_at
from graphengine.serve.callers import Caller, acting
from graphengine.serve.guard import AccessMiddleware, PageAccess
from graphengine.serve.inspector.server import Settings, application
from graphengine.stores.base import status_of
from tests.kit import forks
from tests.kit.machine import IS_BARE
from tests.serve.inspector.client import PORT, TOKEN
from tests.serve.inspector.graphs import write_some

ROOT = Path(__file__).resolve().parents[3]
NAMED = os.environ.get("CHROMIUM") if not IS_BARE else None
CHROMIUM = NAMED or shutil.which("chromium") or shutil.which("chromium-browser")
Opened: TypeAlias = Callable[..., Page]
WINDOW: ViewportSize = {"width": 1400, "height": 900}
PATIENT = 20_000
"""Milliseconds for what a page or another process does, on a machine that does much else."""


@pytest.fixture(scope="session")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a database with a run of each kind, which tests only read."""
    path = tmp_path_factory.mktemp("inspector") / "runs.db"
    write_some(path)
    return path


@pytest.fixture
def database(recorded: Path, tmp_path: Path) -> Path:
    """Return a copy of it to write to."""
    return Path(shutil.copy(recorded, tmp_path / "runs.db"))


@pytest.fixture(autouse=True)
def whoever() -> Iterator[None]:
    """Let tests call what a guard is before, as whoever has the URL."""
    with acting(Caller("")):
        yield


def command(info: Any, *words: str) -> str:
    """Return a command to paste, as the command line would."""
    if info is None:
        return " ".join(["graphengine", *words])
    return " ".join(["graphengine", words[0], info.id, *words[1:], status_of(info)])


@pytest.fixture
async def app(database: Path) -> AsyncIterator[ASGIApp]:
    """Return the guarded application over the database."""
    async with opened(database) as found:
        yield found


@pytest.fixture
async def read_only(database: Path) -> AsyncIterator[ASGIApp]:
    """Return the same application, read-only."""
    async with opened(database, is_read_only=True) as found:
        yield found


@asynccontextmanager
async def opened(path: Path | str, **more: Any) -> AsyncIterator[ASGIApp]:
    """Open an application over a database."""
    store = store_at(path, read_only=True)
    await store.open()
    try:
        app = application(Settings(path, store, command, "1.2.3", **more))
        async with app.router.lifespan_context(app):
            yield AccessMiddleware(app, PageAccess(PORT, TOKEN))
    finally:
        await store.close()


@contextmanager
def served(path: Path, *words: str, folder: Path = ROOT) -> Iterator[str]:
    """Run `graphengine inspect` as a program, in a folder; yield the URL that it prints."""
    port = () if "--port" in words else ("--port", "0")
    given = ["inspect", "--store", str(path), "--no-open", "--json", *port, *words]
    process = forks.start("graphengine", *given, folder=folder, loads=forks.INSPECTOR)
    try:
        yield json.loads(process.stdout.readline())["url"]
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(10)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Provide the distribution's Chromium. Its event loop counts as running in this thread until the module is done."""
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed: apt-get install chromium, or name it in CHROMIUM")
    expect.set_options(timeout=PATIENT)
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


def is_problem(said: ConsoleMessage, expected: str) -> bool:
    """Return whether a page reports a problem: not that its server ended first, or refused what it had to refuse."""
    return said.type in ("error", "warning") and "net::ERR_" not in said.text and expected not in said.text


class Tab:
    """A page that each test of a module uses from its beginning: opening another one takes a third of a second.

    Attributes:
        problems: What its pages reported as errors.
        expected: What one of them may report.
    """

    def __init__(self, browser: Browser) -> None:
        self._context = browser.new_context(viewport=WINDOW)
        self.problems: list[str] = []
        self.expected = ""
        self.page = self.another()

    def another(self) -> Page:
        """Open one more page, whose errors are problems, too."""
        page = self._context.new_page()
        page.set_default_timeout(PATIENT)
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.on("console", self._note)
        return page

    def _note(self, said: ConsoleMessage) -> None:
        """Note what a page reports as a problem, with the address that it is about."""
        if is_problem(said, self.expected):
            self.problems.append(f"{said.text} {said.location['url']}")

    def leave(self) -> None:
        """Forget what a test did, so that the next one finds a page as in a new browser."""
        for other in self._context.pages:
            if other is not self.page:
                other.close()
        self.page.evaluate("history.replaceState(null, '', '/left')")  # the next address is then another document's
        self.page.evaluate("localStorage.clear()")
        self.page.unroute_all()
        self.page.set_viewport_size(WINDOW)
        self.page.emulate_media(color_scheme="null")
        self.problems.clear()


@pytest.fixture(scope="module")
def tab(browser: Browser) -> Tab:
    """Provide the page of this module."""
    return Tab(browser)


@pytest.fixture
def visit(tab: Tab) -> Iterator[Opened]:
    """Open a page of an inspector; whatever it reports as an error fails the test."""

    def open_page(url: str, path: str = "/", *, is_refused: bool = False, is_second: bool = False) -> Page:
        page = tab.another() if is_second else tab.page
        tab.expected = "status of 4" if is_refused else "net::ERR_"
        base, _, token = url.partition("/#")
        page.goto(f"{base}{path}#{token}")
        page.wait_for_selector("main")
        return page

    yield open_page
    problems = list(tab.problems)
    tab.leave()
    assert problems == []

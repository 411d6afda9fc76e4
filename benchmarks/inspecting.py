"""The inspector: how soon its pages show something, how large they are, and what it costs while nothing happens."""

from __future__ import annotations

import asyncio
import gzip
import http.client
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import asynccontextmanager, contextmanager
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from pydantic import BaseModel

from benchmarks.measure import MILLI, Figure, Outcome, Settings
from graphengine import END, START, Graph, Limits, Runner, value
from graphengine.databases.sqlite import SQLiteStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Iterator

UP = "`graphengine inspect`, until its page is served"
UP_BUSY = "the same, processor time: what remains of it on a machine with nothing else to do"
LIST = "the list of 1,000 runs"
HEAD = "the head and last steps of a run of 10,000 steps"
ROWS = "a row for each of its steps, folded already"
PAINT = "first paint of that run in Chromium, the page and the picture loaded before"
PAGE = "the page's files, compressed"
IDLE = "processor time while a page looks at a run that waits"
CHROMIUM: Final = shutil.which("chromium") or shutil.which("chromium-browser")
ROOT: Final = Path(__file__).resolve().parents[1]
_IDLE_SECONDS: Final = 5


class Count(BaseModel):
    """A counter, and a score that changes with it."""

    n: int = 0
    score: int = 0


def counting(most: int, pause: float = 0.0) -> Graph[Count]:
    """Return a graph that counts. With `pause`, each visit first sleeps for this many seconds."""
    graph = Graph("count", Count, limits=Limits(visits=2 * most + 9))

    async def slowly(n: int) -> dict[str, int]:
        await asyncio.sleep(pause)
        return {"n": n + 1, "score": n % 11}

    if pause:
        graph.add_node("more", slowly, writes=["n", "score"])
    else:
        graph.add_node("more", lambda n: {"n": n + 1, "score": n % 11}, writes=["n", "score"], thread=False)
    graph.add_edge(START, "more")
    graph.add_edge("more", END, when=value("n") >= most, label="enough")
    graph.add_edge("more", "more")
    return graph


class Server(NamedTuple):
    """An inspector that runs in another process."""

    url: str
    pid: int
    up_ms: float

    @property
    def host(self) -> str:
        """The host and port of the inspector's address."""
        return self.url.removeprefix("http://").partition("/")[0]


async def inspecting(settings: Settings) -> Outcome:
    """This program measures the inspector on a database with one run of 10,000 steps and 1,000 short runs.

    The inspector is another process. The times of its JSON documents are measured by a client without a browser. First
    paint is the time from the click on the run to its first steps on the screen. It is left out if Playwright or
    Chromium is not installed.
    """
    if find_spec("starlette") is None or find_spec("uvicorn") is None:
        return Outcome("The inspector", {})
    steps, runs = settings.count(10_000, 50), settings.count(1000, 5)
    rounds = settings.count(9, 1)
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "runs.db"
        await _record(path, steps, runs)
        starts = [await asyncio.to_thread(_once, path) for _ in range(rounds)]
        found = {UP: [each[0] for each in starts], UP_BUSY: [each[1] for each in starts]}
        with served(path) as server:
            cookie = cookie_of(server)
            for side, address in (
                (LIST, f"/api/runs?limit={runs}&waits=false"),
                (HEAD, "/api/run?run_id=long"),
                (ROWS, "/api/rows?run_id=long"),
            ):
                times = [await asyncio.to_thread(_get, server, cookie, address) for _ in range(rounds + 1)]
                found[side] = times[1:]
            if CHROMIUM is not None and find_spec("playwright") is not None:
                found[PAINT] = await _paints(server, rounds)
            idle = await asyncio.to_thread(_idle, server, cookie, settings.count(_IDLE_SECONDS, 1))
    figures = {side: Figure(side, "ms", tuple(times)) for side, times in found.items()}
    figures[PAGE] = Figure(PAGE, "KB", (_page_kilobytes(),))
    figures[IDLE] = Figure(IDLE, "%", (max(idle, 0.01),))
    return Outcome("The inspector", figures)


async def _record(path: Path, steps: int, runs: int) -> None:
    async with Runner(SQLiteStore(path, synchronous="NORMAL")) as runner:
        await runner.start(counting(steps), run_id="long").result()
        for _ in range(runs // 20):
            await asyncio.gather(*(runner.start(counting(2)).result() for _ in range(20)))


@contextmanager
def served(path: Path) -> Iterator[Server]:
    """Run an inspector of a database in another process during the block."""
    words = [sys.executable, "-m", "graphengine", "inspect", "--store", str(path), "--no-open", "--json"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    began = time.perf_counter()
    with subprocess.Popen(words, stdout=subprocess.PIPE, env=environment, text=True) as process:  # noqa: S603 - our own
        try:
            line = process.stdout.readline() if process.stdout is not None else ""
            server = Server(json.loads(line)["url"], process.pid, 0.0)
            connection = http.client.HTTPConnection(server.host, timeout=10)
            connection.request("GET", "/")
            connection.getresponse().read()
            connection.close()
            yield server._replace(up_ms=(time.perf_counter() - began) * MILLI)
        finally:
            process.terminate()


def _once(path: Path) -> tuple[float, float]:
    """Start an inspector. Return the milliseconds until it serves a page, and its CPU time until then."""
    with served(path) as server:
        return server.up_ms, MILLI * processor_seconds(server.pid)


def cookie_of(server: Server) -> str:
    """Exchange the token of the inspector's address for a cookie, as a browser does."""
    base, _, token = server.url.partition("/#token=")
    connection = http.client.HTTPConnection(server.host, timeout=10)
    headers = {"Origin": base, "X-Graphengine": "1", "Content-Type": "application/json"}
    connection.request("POST", "/api/session", json.dumps({"token": token}), headers)
    found = str(connection.getresponse().headers["set-cookie"]).partition(";")[0]
    connection.close()
    return found


def _get(server: Server, cookie: str, address: str) -> float:
    connection = http.client.HTTPConnection(server.host, timeout=60)
    began = time.perf_counter()
    connection.request("GET", address, headers={"Cookie": cookie})
    connection.getresponse().read()
    took = (time.perf_counter() - began) * MILLI
    connection.close()
    return took


def _idle(server: Server, cookie: str, seconds: float) -> float:
    """Return the CPU use of the server while a stream is open and nothing happens, in per cent of one core."""
    connection = http.client.HTTPConnection(server.host, timeout=60)
    connection.request("GET", "/api/events?run_id=long&after=100000", headers={"Cookie": cookie})
    response = connection.getresponse()
    response.readline()
    time.sleep(1)
    before = processor_seconds(server.pid)
    time.sleep(seconds)
    used = processor_seconds(server.pid) - before
    connection.close()
    return 100 * used / seconds


def processor_seconds(pid: int) -> float:
    """Return the CPU time that a process has used so far; 0 if the system is not Linux."""
    stat = Path(f"/proc/{pid}/stat")
    if not stat.exists():  # no Linux: not measured
        return 0.0
    fields = stat.read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def _paints(server: Server, rounds: int) -> list[float]:
    """Open the page of the long run several times, and return how long each opening took."""
    async with _page(server) as open_run:
        times = [await open_run() for _ in range(rounds + 2)]
    return times[2:]


@asynccontextmanager
async def _page(server: Server) -> AsyncIterator[Callable[[], Coroutine[None, None, float]]]:
    from playwright.async_api import async_playwright  # noqa: PLC0415 - not in every environment

    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = await browser.new_page(viewport={"width": 1440, "height": 900})
        await page.goto(server.url)
        await page.wait_for_selector(".list .row")

        async def open_run() -> float:
            await page.evaluate(
                "history.pushState(null, '', '/?text=long'); dispatchEvent(new PopStateEvent('popstate'))"
            )
            await page.wait_for_selector(".row[data-run=long]")
            await page.wait_for_timeout(300)
            took: float = await page.evaluate(_PAINT)
            return took

        yield open_run
        await browser.close()


_PAINT: Final = """
() => new Promise((done) => {
  const began = performance.now();
  const seen = () => (document.querySelector(".picture svg") && document.querySelector(".list .tr")
    ? requestAnimationFrame(() => done(performance.now() - began)) : requestAnimationFrame(seen));
  document.querySelector(".row[data-run=long]").click();
  seen();
})
"""


def _page_kilobytes() -> float:
    """Return the size of the page's files as a server would send them, compressed, in kilobytes."""
    folder = files("graphengine.serve.inspector") / "static"
    every = [file for file in folder.iterdir() if file.is_file()]
    shown = [file for file in every if not file.name.endswith(".txt")]
    return sum(len(gzip.compress(file.read_bytes())) for file in shown) / 1000

"""The inspector while another process drives a run: how soon a step is seen, and what looking costs the driver."""

from __future__ import annotations

import asyncio
import http.client
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from benchmarks.inspecting import CHROMIUM, ROOT, Server, cookie_of, counting, processor_seconds, served
from benchmarks.measure import MILLI, Figure, Outcome, Settings
from graphengine import Runner
from graphengine.runner import StepRecorded

if TYPE_CHECKING:
    from collections.abc import Iterator

PIXEL: Final = "a step of another process, from its commit to the screen"
PIXEL_95: Final = "the same, the slowest of 20"
SLOWER: Final = "processor time of a driver while a page looks at its run, of that without a page"
LOOKING: Final = "processor time of the inspector meanwhile, for each second"
_PAUSE_SECONDS: Final = 0.05
_JOINED: Final = 10


async def watching(settings: Settings) -> Outcome:
    """This program measures the inspector while another process drives a run in the same SQLite database.

    - The first figure is how soon a step is seen. A step is seen when the page lists the step and Chromium then shows a
      frame. The time begins when the driving process is notified that the step is durable. Both moments are taken from
      the clock of the machine. The time therefore includes how long the processes wait for a core, and means little on
      a busy machine.
    - The second figure is how much the driving process is slowed down. It compares the CPU time for 2,000 steps with
      and without a reader of the run's stream, because other work on the machine changes CPU time less than elapsed
      time. The two kinds of runs alternate, and the figure is the median of the ratios of neighbouring runs.
    """
    if find_spec("starlette") is None or find_spec("uvicorn") is None:
        return Outcome("The inspector, looking at a run", {})
    figures: dict[str, Figure] = {}
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "runs.db"
        await asyncio.to_thread(_drive, path, "first", 1, 0.0)
        with served(path) as server:
            if CHROMIUM is not None and find_spec("playwright") is not None:
                times = await _pixels(server, path, settings.count(300, 40))
            else:
                times = []
            if len(times) > 1:  # a quick run may be over before the page shows it
                figures[PIXEL] = Figure(PIXEL, "ms", tuple(times))
                slowest = statistics.quantiles(times, n=20)[-1]
                figures[PIXEL_95] = Figure(PIXEL_95, "ms", (slowest,))
            steps, rounds = settings.count(2000, 30), settings.count(9, 1)
            slower, looking = await asyncio.to_thread(_slowdown, server, path, steps, rounds)
    figures[SLOWER] = Figure(SLOWER, "%", tuple(slower))
    figures[LOOKING] = Figure(LOOKING, "ms", tuple(looking))
    return Outcome("The inspector, looking at a run", figures)


def _slowdown(server: Server, path: Path, steps: int, rounds: int) -> tuple[list[float], list[float]]:
    """Measure runs with and without a reader of their stream.

    Returns:
        For each round, the driving process's CPU time with a reader in per cent of that without, and the inspector's
        CPU time.
    """
    slower, looking = [], []
    for number in range(rounds):
        plain = _drive(path, f"plain{number}", steps, 0.0)
        before, began = processor_seconds(server.pid), time.perf_counter()
        with _reader(server, f"read{number}"):
            read = _drive(path, f"read{number}", steps, 0.0)
        took = time.perf_counter() - began
        looking.append(max(0.01, MILLI * (processor_seconds(server.pid) - before) / took))
        slower.append(100 * read["processor"] / plain["processor"])
    return slower, looking


def _drive(path: Path, run_id: str, steps: int, pause: float) -> dict[str, Any]:
    """Drive a run in another process. Return its CPU time, and when each step was durable."""
    words = [sys.executable, "-m", "benchmarks.watching", str(path), run_id, str(steps), str(pause)]
    done = subprocess.run(words, stdout=subprocess.PIPE, cwd=ROOT, text=True, check=True)  # noqa: S603 - our own
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@contextmanager
def _reader(server: Server, run_id: str) -> Iterator[None]:
    """During the block, read the stream of a run as a page does. Reading begins before the run."""
    connection = http.client.HTTPConnection(server.host, timeout=60)
    connection.request("GET", f"/api/events?run_id={run_id}", headers={"Cookie": cookie_of(server)})
    response = connection.getresponse()
    reading = threading.Thread(target=_drain, args=(response,), daemon=True)
    reading.start()
    try:
        yield
    finally:
        if connection.sock is not None:
            connection.sock.shutdown(2)
        reading.join(10)
        connection.close()


def _drain(response: http.client.HTTPResponse) -> None:
    try:
        while response.readline():
            pass
    except (OSError, ValueError, http.client.HTTPException):
        return  # it was closed


async def _pixels(server: Server, path: Path, steps: int) -> list[float]:
    """Return for each step how many milliseconds passed from its commit to a frame that shows it."""
    from playwright.async_api import async_playwright  # noqa: PLC0415 - not in every environment

    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = await browser.new_page()
        await page.goto(server.url)
        await page.wait_for_selector(".list .row")
        driving = asyncio.create_task(asyncio.to_thread(_drive, path, "seen", steps, _PAUSE_SECONDS))
        await page.wait_for_selector(".row[data-run=seen]", timeout=60_000)
        await page.click(".row[data-run=seen]")
        await page.wait_for_selector(".trace .tr[data-seq]")
        await page.evaluate(_OBSERVE)
        commits = (await driving)["commits"]
        await page.wait_for_timeout(1000)
        seen: dict[str, float] = await page.evaluate("window.seen")
        await browser.close()
    first = min((int(seq) for seq in seen), default=0) + _JOINED
    # Not below 0: a driver that has to wait for a processor can be notified after the page.
    return [max(0.01, seen[str(seq)] - at * MILLI) for seq, at in commits if seq > first and str(seq) in seen]


_OBSERVE: Final = """
() => {
  window.seen = {};
  const known = new Set([...document.querySelectorAll(".trace .tr[data-seq]")].map((each) => each.dataset.seq));
  new MutationObserver(() => {
    const shown = [...document.querySelectorAll(".trace .tr[data-seq]")].map((each) => each.dataset.seq);
    const fresh = shown.filter((seq) => !known.has(seq));
    fresh.forEach((seq) => known.add(seq));
    if (fresh.length) requestAnimationFrame(() => fresh.forEach((seq) => (window.seen[seq] = Date.now())));
  }).observe(document.querySelector(".trace"), { childList: true, subtree: true, attributes: true });
}
"""


async def _main(path: str, run_id: str, steps: int, pause: float) -> None:
    """Drive a run, and print its CPU time and when each step was durable."""
    commits: list[tuple[int, float]] = []
    async with Runner(path) as runner:
        before = time.process_time()
        run = runner.start(counting(steps, pause), run_id=run_id)
        if pause:
            commits += [(each.seq, time.time()) async for each in run.events() if isinstance(each, StepRecorded)]
        await run.result()
        used = time.process_time() - before
    print(json.dumps({"processor": used, "commits": commits}))


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])))

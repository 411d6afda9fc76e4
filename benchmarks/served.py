"""The service over HTTP, beside a bare application: requests, turns of a conversation, and streams that rest."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple, Self

from benchmarks.inspecting import ROOT, processor_seconds
from benchmarks.measure import MICRO, MILLI, Figure, Outcome, Settings

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

OURS, BARE = "graphengine", "bare Starlette"
START, READ = "start a run, CPU", "read a run, CPU"
TURN, TURN_TIME = "a turn of a conversation, CPU", "the same, until it is answered"
IDLE, BESIDE = "streams that rest, of a core", "the slowest of 100 starts beside them"
ALONE: Final = "the slowest of 100 starts without them"
_TOKEN: Final = "t" * 32
_UNITS: Final = {START: "µs", READ: "µs", TURN: "ms", TURN_TIME: "ms", IDLE: "%", ALONE: "ms", BESIDE: "ms"}
_SECONDS: Final = 5


class _Served(NamedTuple):
    host: str
    pid: int


async def served(settings: Settings) -> Outcome:
    """This program compares `graphengine serve --openai` with a bare web application that only writes rows.

    Each of the two services is a process of its own over a SQLite file, and they take turns.

    - The service of graphengine checks each request, records a run with all its steps at FULL, and drives the run.
    - The bare application is made of Starlette and uvicorn. It records one row for a run and two rows for a turn, also
      at FULL, and drives nothing. Its figures are what a service costs at least.

    In this benchmark, the rows with "CPU" show the CPU time of the server's process for one request or one turn. In the
    last two rows, 500 clients follow waiting runs, each over an open stream. The row "streams that rest" shows how much
    of one core the server uses for these streams during 5 seconds in which nothing is written. For the last row, 100
    runs are then started one after the other, and the figure is the time of the slowest start. The row "without them"
    shows the same time before the streams are opened.
    """
    title, names = "A service over HTTP", ("starlette", "uvicorn", "openai")
    if any(find_spec(name) is None for name in names):
        return Outcome(title, {})
    found: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(settings.count(3, 1)):
            for side in (OURS, BARE):
                with _serving(side, Path(folder) / f"{side[:4]}{number}.db") as server:
                    for name, figure in (await _measured(server, settings)).items():
                        found.setdefault(f"{name}: {side}", []).append(max(figure, 0.01))
    figures = {side: Figure(side, _UNITS[side.partition(":")[0]], tuple(each)) for side, each in found.items()}
    compared = {f"{name}: {BARE}": f"{name}: {OURS}" for name in _UNITS}
    ratios = {
        f"{side}: {BESIDE}, against without": figures[f"{BESIDE}: {side}"].against(figures[f"{ALONE}: {side}"])
        for side in (OURS, BARE)
    }
    return Outcome(title, figures, ratios, compared)


@contextmanager
def _serving(side: str, path: Path) -> Iterator[_Served]:
    words = [sys.executable, "-m", "benchmarks.served_bare", str(path)]
    if side == OURS:
        flows = str(ROOT / "benchmarks" / "served_flows.py")
        words = [sys.executable, "-m", "graphengine", "serve", flows, "--openai", "--port", "0", "--store", str(path)]
        words.append("--json")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "GRAPHENGINE_TOKEN": _TOKEN}
    with subprocess.Popen(words, stdout=subprocess.PIPE, env=environment, text=True) as process:  # noqa: S603 - our own
        lines: Iterable[str] = process.stdout or ()
        url = json.loads(next(iter(lines)))["url"]
        reading = threading.Thread(target=deque, args=(lines, 0))  # a line for each run: the pipe must not get full
        reading.start()
        try:
            yield _Served(url.removeprefix("http://").partition("/")[0], process.pid)
        finally:
            process.terminate()
            reading.join()


async def _measured(server: _Served, settings: Settings) -> Mapping[str, float]:
    """Return all figures of one server by name."""
    requests, streams = settings.count(300, 3), settings.count(500, 3)
    found = await asyncio.to_thread(_requests, server, requests)
    waiting = await asyncio.to_thread(_started, server, streams)
    await asyncio.sleep(settings.count(2, 0))  # the last of them begin to wait
    found[ALONE] = await asyncio.to_thread(_slowest, server, settings.count(100, 3))
    writers = []
    for run_id in waiting:
        reader, writer = await asyncio.open_connection(*server.host.rsplit(":", 1))
        writer.write(_head("GET", f"/runs/{run_id}/events"))
        await reader.readuntil(b"retry: 1000")
        writers.append(writer)
    await asyncio.sleep(settings.count(2, 0))
    seconds = settings.count(_SECONDS, 1)
    before = processor_seconds(server.pid)
    await asyncio.sleep(seconds)
    found[IDLE] = 100 * (processor_seconds(server.pid) - before) / seconds
    found[BESIDE] = await asyncio.to_thread(_slowest, server, settings.count(100, 3))
    for writer in writers:
        writer.close()
    await asyncio.gather(*(writer.wait_closed() for writer in writers), return_exceptions=True)
    return found


def _head(method: str, path: str) -> bytes:
    lines = (f"{method} {path} HTTP/1.1", "Host: localhost", f"Authorization: Bearer {_TOKEN}", "", "")
    return "\r\n".join(lines).encode()


class _Client:
    """An HTTP client with one connection."""

    def __init__(self, server: _Served) -> None:
        self._connection = http.client.HTTPConnection(server.host, timeout=60)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def ask(self, method: str, path: str, body: object = None) -> dict[str, object]:
        head = {"Authorization": f"Bearer {_TOKEN}", "Content-Type": "application/json", "X-Conversation-Id": "one"}
        self._connection.request(method, path, None if body is None else json.dumps(body), head)
        response = self._connection.getresponse()
        found: dict[str, object] = json.loads(response.read())
        if response.status >= http.client.BAD_REQUEST:
            message = f"{method} {path} was answered {response.status}: {found}"
            raise RuntimeError(message)
        return found


def _requests(server: _Served, count: int) -> dict[str, float]:
    """Return the server's CPU time for starting a run, reading a run and a turn, and the median time of a turn."""
    with _Client(server) as client:
        run_id = client.ask("POST", "/graphs/short/runs", {})["run_id"]
        before = processor_seconds(server.pid)
        for _ in range(count):
            client.ask("POST", "/graphs/short/runs", {})
        time.sleep(min(0.5, count / 100))  # the last of them end
        started = processor_seconds(server.pid)
        for _ in range(count):
            client.ask("GET", f"/runs/{run_id}")
        read = processor_seconds(server.pid)
        times, said = list[float](), list[dict[str, str]]()
        for number in range(count // 6 + 1):
            said.append({"role": "user", "content": f"question {number}"})
            began = time.perf_counter()
            client.ask("POST", "/v1/chat/completions", {"model": "assistant-chat", "messages": said})
            times.append(MILLI * (time.perf_counter() - began))
        replied = processor_seconds(server.pid)
    return {
        START: MICRO * (started - before) / count,
        READ: MICRO * (read - started) / count,
        TURN: MILLI * (replied - read) / len(times),
        TURN_TIME: statistics.median(times),
    }


def _started(server: _Served, count: int) -> list[str]:
    """Start runs that wait for a person, and return their ids."""
    with _Client(server) as client:
        return [str(client.ask("POST", "/graphs/asks/runs", {})["run_id"]) for _ in range(count)]


def _slowest(server: _Served, count: int) -> float:
    """Start runs one after the other, and return the longest time of a start in milliseconds."""
    times = []
    with _Client(server) as client:
        for _ in range(count):
            began = time.perf_counter()
            client.ask("POST", "/graphs/short/runs", {})
            times.append(MILLI * (time.perf_counter() - began))
            time.sleep(0.005)
    return max(times)

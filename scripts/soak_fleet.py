"""Let idle and busy workers share one SQLite file for an hour, and print what grows: `make fleet SECONDS=3600`.

Idle workers take from a queue in which nothing is ever put. Busy workers drive the runs that this program starts at a
steady pace, and remove them later, so that the database itself has no reason to grow for ever. At the start, in the
middle and at the end the program prints the lengths of the database and of its write-ahead log, and the memory, the
file descriptors and the threads of each process. It works on Linux, where `/proc` has these figures.

The exit code is 1 if the log was ever longer than its bound, if a worker ended, if a run was lost, or if memory,
descriptors or threads of a process grew from the middle to the end.
"""

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from graphengine import Runner
from graphengine.databases.sqlite.checkpoints import longest_log

ROOT = Path(__file__).resolve().parent.parent
PAGES_A_MINUTE = 20
"""How many pages of the log each process may add between two looks at its length, besides what is counted."""
GROWTH = 1.25
"""By which factor the memory of a process may grow in the second half."""
LOOK_SECONDS = 0.5
MOST_OPEN = 50
"""No more runs are started while so many are not finished."""
FLOW = """
import asyncio
from pydantic import BaseModel
from graphengine import END, START, Graph, Limits, Retention, value

class Count(BaseModel):
    n: int = 0
    text: str = ""

async def more(n: int) -> int:
    await asyncio.sleep(0.01)
    return n + 1

graph = Graph("count", Count, limits=Limits(visits=None), retention=Retention(keep_days=5 / 86400))
graph.add_node("more", more, writes="n")
graph.add_edge(START, "more")
graph.add_edge("more", END, when=value("n") >= 20)
graph.add_edge("more", "more")
"""


class Figures(NamedTuple):
    """The memory, the file descriptors and the threads of a process."""

    kilobytes: int
    descriptors: int
    threads: int


def figures_of(pid: int) -> Figures:
    """Ask the kernel for the figures of a process."""
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    descriptors = len(os.listdir(f"/proc/{pid}/fd"))  # noqa: PTH208 - names are enough
    return Figures(int(status["VmRSS"].split()[0]), descriptors, int(status["Threads"]))


class Fleet:
    """Worker processes that share one database, and what was measured of them so far."""

    def __init__(self, folder: Path, idle: int, busy: int) -> None:
        (folder / "flow.py").write_text(FLOW)
        self.database = folder / "runs.db"
        queues = [("idle", "nothing")] * idle + [("busy", "work")] * busy
        self.workers = [(kind, self._start(folder, queue)) for kind, queue in queues]
        self.longest = 0
        self.seen: list[list[Figures]] = []

    def _start(self, folder: Path, queue: str) -> "subprocess.Popen[bytes]":
        words = ["worker", "--graph", "flow.py", "--queue", queue, "--store", str(self.database)]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        with (folder / "out.txt").open("ab") as out:
            command = [sys.executable, "-m", "graphengine", *words]
            return subprocess.Popen(command, cwd=folder, env=environment, stdout=out, stderr=out)

    def log_bytes(self) -> int:
        """Return the length of SQLite's write-ahead log in bytes."""
        log = self.database.with_name("runs.db-wal")
        return log.stat().st_size if log.exists() else 0

    def show(self, when: str) -> None:
        """Measure all workers now, print the figures, and keep them for the comparison at the end."""
        lengths = f"database {self.database.stat().st_size:,}, log {self.log_bytes():,}, at most {self.longest:,} bytes"
        print(f"{when}: {lengths}")
        here = [figures_of(worker.pid) for _, worker in self.workers]
        for (kind, worker), found in zip(self.workers, here, strict=True):
            shown = f"{found.kilobytes:,} KB, {found.descriptors} descriptors, {found.threads} threads"
            print(f"  {kind} worker {worker.pid}: {shown}", flush=True)
        self.seen.append(here)

    def faults(self) -> Sequence[str]:
        """Return a sentence about each figure that has grown too much between the middle and the end."""
        bound = longest_log() * 2 + len(self.workers) * PAGES_A_MINUTE * 4096
        found = [f"the log had {self.longest:,} bytes, more than {bound:,}"] if self.longest > bound else []
        for (kind, worker), middle, end in zip(self.workers, self.seen[1], self.seen[2], strict=True):
            if end.kilobytes > GROWTH * middle.kilobytes or end.descriptors > middle.descriptors + 2:
                found.append(f"{kind} worker {worker.pid} grew from {middle} to {end}")
            elif end.threads > middle.threads + 2:
                found.append(f"{kind} worker {worker.pid} has {end.threads} threads, after {middle.threads}")
        return found

    def end(self) -> Sequence[str]:
        """Stop the workers. Return a sentence about each worker that ended with another exit code than 0."""
        for _, worker in self.workers:
            worker.terminate()
        codes = [(kind, worker.pid, worker.wait(60)) for kind, worker in self.workers]
        return [f"{kind} worker {pid} ended with code {code}" for kind, pid, code in codes if code]


async def soak(fleet: Fleet, seconds: float, pace: float) -> Sequence[str]:
    """Start runs in regular intervals until the time is over, and return a sentence about each fault."""
    sys.path.insert(0, str(fleet.database.parent))
    from flow import graph  # type: ignore[import-not-found]  # noqa: PLC0415 - it was just written

    started, shown = 0, 0
    async with Runner(fleet.database) as runner:
        while sum(each.role is not None for each in await runner.store.owners()) < len(fleet.workers):  # noqa: ASYNC110
            await asyncio.sleep(LOOK_SECONDS)
        began = time.monotonic()
        while (passed := time.monotonic() - began) < seconds:
            fleet.longest = max(fleet.longest, fleet.log_bytes())
            if any(worker.poll() is not None for _, worker in fleet.workers):
                return ["a worker ended"]
            open_runs = sum(each.queued + each.driven for each in await runner.store.queue_counts())
            for _ in range(int(passed * pace) - started if open_runs < MOST_OPEN else 0):
                await runner.start(graph, {"text": "x" * 500}, run_id=f"r{started}", queue="work").result()
                started += 1
            if passed >= (0.1, 0.5)[min(shown, 1)] * seconds and shown < len((0.1, 0.5)):
                fleet.show(f"after {passed:.0f} s, {started} runs")
                shown += 1
            await asyncio.sleep(LOOK_SECONDS)
        fleet.show(f"after {time.monotonic() - began:.0f} s, {started} runs")
        failed = len(await runner.runs(status="failed"))
    return [*fleet.faults(), *([f"{failed} runs failed"] if failed else [])]


def main() -> int:
    """Run the fleet for the given time. Return 1 if something has grown or a worker has failed, else 0."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--seconds", type=float, default=3600.0, help="how long to continue")
    parser.add_argument("--idle", type=int, default=3, help="how many workers have nothing to do")
    parser.add_argument("--busy", type=int, default=2, help="how many workers drive runs")
    parser.add_argument("--pace", type=float, default=3.0, help="how many runs are started in a second")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="graphengine-soak-") as folder:
        fleet = Fleet(Path(folder), given.idle, given.busy)
        try:
            faults = asyncio.run(soak(fleet, given.seconds, given.pace))
        finally:
            ended = fleet.end()
    for fault in [*faults, *ended]:
        print(fault)
    print("FAILED" if faults or ended else "nothing grew")
    return 1 if faults or ended else 0


if __name__ == "__main__":
    sys.exit(main())

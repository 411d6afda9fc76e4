"""A program of real processes: `python -m tests.sim.victim`, with a `Life` in each line of its stdin.

It has loaded everything and opened nothing, and forks a process for each line. That one drives a run in a SQLite file
as it is ordered, and kills itself with SIGKILL at the crash point that the life names: the n-th of all that it passes.
Then a line of stdout says how it ended, and how much CPU time was used so far. What it does outside is a line in the
file `acts`. If it survives, `passed` has how many points it passed, and its time; if it fails, `errors` has why.

Time is that of the event loop, which jumps, and the threads of the store take turns of the loop, so that a life is the
same whenever it is lived again.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import resource
import signal
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel

from graphengine import Runner
from graphengine.databases.sqlite import SQLiteStore
from graphengine.errors import GraphEngineError
from tests.kit.crash_points import CrashPoints
from tests.sim.build import graph_of
from tests.sim.disk import patched
from tests.sim.program import of_children, read, starts
from tests.sim.runner import Orders, obey, runner_of, speak
from tests.sim.world import ENDS, RUN, Loop

MOST_SECONDS: Final = 60
"""A process that takes longer hangs."""
CALLS: Final = ("create", "claim", "append", "release", "post", "commit", "task")
"""The points that count are before and after these: those of calls that only read change nothing."""


class Life(BaseModel):
    """The life of a process.

    Attributes:
        folder: The folder of its files.
        program: The program, as it is written.
        orders: What it does.
        die_at: The number of the point at which it dies; 0 to survive.
        stops: When the run is stopped by it, by the number of a point, and whether for good.
        now: The time when it begins.
        turns: How many turns of the loop its threads take.
    """

    folder: Path
    program: str
    orders: tuple[Any, ...]
    die_at: int
    stops: list[tuple[int, bool]]
    now: float
    turns: list[int]


class Points(CrashPoints):
    """The points that a process passes; at some of them the run is stopped, and at one it dies."""

    def __init__(self, life: Life) -> None:
        super().__init__()
        self._life = life
        self._stops = list(life.stops)
        self._stopping: set[asyncio.Task[None]] = set()
        self.runner: Runner | None = None
        self.number = 0

    def passes(self, name: str) -> None:
        """Pass a point; do not return if the process is to die there."""
        if name.partition(" ")[2] not in CALLS or self.runner is None:
            return
        self.number += 1
        if self.number == self._life.die_at:
            os.kill(os.getpid(), signal.SIGKILL)
        while self._stops and self._stops[0][0] <= self.number:
            task = asyncio.get_running_loop().create_task(_stop(self.runner, final=self._stops.pop(0)[1]))
            self._stopping.add(task)


async def _stop(runner: Runner, *, final: bool) -> None:
    """Stop the run, which may have ended."""
    with suppress(GraphEngineError):
        await runner.stop(RUN, final=final)


class Acts:
    """What is done outside: lines that outlive the process."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "acts"

    async def act(self, key: str) -> str:
        """Act."""
        await asyncio.sleep(0)
        file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.write(file, f"{key}\n".encode())
        os.close(file)
        return "acted"

    async def tell(self, to: str, text: str) -> None:
        """Send nothing: the programs of real processes have no messages between runs."""

    def begins(self, run_id: str) -> None:
        """Begin a turn of an agent: which are in flight is not counted here."""

    def fails(self, run_id: str) -> None:
        """End a turn of an agent that cost nothing."""


def live(life: Life) -> None:
    """Live a life, and say how far it came."""
    program, orders, loop, acts = read(life.program), Orders(*life.orders), Loop(life.now), Acts(life.folder)
    graph = graph_of(program.graph, acts, changes=tuple(orders.changes))
    changes = of_children(orders.changes)
    children = {op.name: graph_of(op.graph, acts, op.name, changes) for op in starts(program.graph)}
    patches, threads = patched(loop, life.turns)
    points = Points(life)

    async def lived() -> None:
        store = SQLiteStore(
            life.folder / "runs.db", synchronous="NORMAL", lease_seconds=10 * ENDS, clock=loop.time
        )  # fmt: skip
        async with runner_of(points.watched(store), program) as runner:
            points.runner = runner
            await speak(runner, orders)
            await obey(runner, graph, children, dict(program.begins), orders)

    with patches, points.installed():
        loop.run_until_complete(lived())
        (life.folder / "passed").write_text(json.dumps([points.number, loop.now]), encoding="utf-8")
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(loop.shutdown_asyncgens())
        threads.end()
        loop.close()


def forked(life: Life) -> int:
    """Let a process of its own live a life. Return its exit code, minus the signal that ended it."""
    pid = os.fork()
    if pid:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    code = 1
    try:
        signal.alarm(MOST_SECONDS)
        live(life)
        code = 0
    except BaseException:  # noqa: BLE001 - the parent reads it
        (life.folder / "errors").write_text(traceback.format_exc(), encoding="utf-8")
    finally:
        os._exit(code)


def main(lines: Sequence[str] | Any) -> None:
    """Live a life for each line."""
    logging.disable()
    for line in lines:
        code = forked(Life.model_validate_json(line))
        used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        seconds = sum(each.ru_utime + each.ru_stime for each in used)
        sys.stdout.write(f"{code} {seconds:.3f}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.stdin)

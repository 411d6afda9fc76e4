"""A process that drives one run: `holder.py DATABASE FOLDER LEASE_SECONDS DO [OPTION…]`.

DO is `start`, `resume`, `insist`: resume as soon as no other process drives it, or `work`: start it and another run `s`
for a Worker here, and print each of its events; SIGTERM ends it. Options: `blocking`, the second node blocks the event
loop; `late=SECONDS`, the clock of the process is off by that; `user=NAME`, who starts it. The run is `r`, with three
nodes; the second waits for a file named `gate` in the folder. When a node begins it writes `PID NAME` to a file named
`effects` there, and its name to stdout. The last line is the run's result, or `error CODE` and a text.
"""

import asyncio
import os
import signal
import sys
import time
from pathlib import Path

from pydantic import BaseModel

from graphengine import END, START, Graph, Runner
from graphengine.databases.addresses import is_postgres
from graphengine.databases.postgres import PostgresStore
from graphengine.databases.sqlite import SQLiteStore
from graphengine.errors import GraphEngineError, RunIsDriven
from graphengine.runner import held_loops
from graphengine.runner.clock import SystemClock
from graphengine.stores.base import Store
from graphengine.worker.worker import Refused, RunOutcome, Worker, WorkerEvent

DATABASE, FOLDER, LEASE_SECONDS, DO = sys.argv[1], Path(sys.argv[2]), float(sys.argv[3]), sys.argv[4]
OPTIONS: dict[str, str] = {option.partition("=")[0]: option.partition("=")[2] for option in sys.argv[5:]}
USER = OPTIONS.get("user")
LATE_SECONDS = float(OPTIONS.get("late", 0))
POLL_SECONDS = 0.01
TURN_SECONDS = 0.2


class Work(BaseModel):
    """The results of the nodes."""

    first: int = 0
    second: int = 0
    third: int = 0


def begin(name: str) -> int:
    """Report that a node began, and in which process."""
    with (FOLDER / "effects").open("a") as effects:
        effects.write(f"{os.getpid()} {name}\n")
    write_line(f"in {name}")
    return os.getpid()


def write_line(line: str) -> None:
    """Write a line immediately."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


async def first() -> int:
    """Return at once."""
    return begin("first")


async def second() -> int:
    """Wait for the gate."""
    pid = begin("second")
    while not (FOLDER / "gate").exists():
        if "blocking" in OPTIONS:
            time.sleep(POLL_SECONDS)  # noqa: ASYNC251 - it must block
        else:
            await asyncio.sleep(POLL_SECONDS)
    return pid


async def third() -> int:
    """Return at once."""
    return begin("third")


graph = Graph("work", Work)
for each in (first, second, third):
    graph.add_node(each.__name__, each, writes=each.__name__)
graph.add_path(START, "first", "second", "third", END)


async def drive(runner: Runner) -> str:
    """Start or resume the run. Return its result."""
    while True:
        try:
            run = (
                runner.start(graph, run_id="r", user=OPTIONS.get("user"))
                if DO == "start"
                else runner.resume("r", graph)
            )
            return (await run.result()).status
        except RunIsDriven as error:
            if DO != "insist":
                raise
            write_line(f"driven {error.expires_at}")
            await asyncio.sleep(POLL_SECONDS)


async def work(runner: Runner) -> str:
    """Let a worker drive run r, and then run s."""
    for run_id in ("r", "s"):
        await runner.start(graph, run_id=run_id, queue="default").result()

    def tell(event: WorkerEvent) -> None:
        if isinstance(event, Refused):
            write_line(f"refused {event.error}".splitlines()[0])
        elif isinstance(event, RunOutcome):
            write_line(f"{event.info.id} {event.result.status}")

    worker = Worker(runner, graph, concurrency=1, poll_seconds=POLL_SECONDS, on_event=tell)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, worker.stop)
    await worker.run()
    return "stopped"


class _Clock(SystemClock):
    """A clock that is off."""

    def now(self) -> float:
        """Return the time."""
        return super().now() + LATE_SECONDS


def _file() -> SQLiteStore:
    return SQLiteStore(DATABASE, lease_seconds=LEASE_SECONDS, clock=lambda: time.time() + LATE_SECONDS)


async def main() -> None:
    """Drive it, and report."""
    store: Store = PostgresStore(DATABASE, lease_seconds=LEASE_SECONDS) if is_postgres(DATABASE) else _file()
    async with Runner(store, clock=_Clock()) as runner:
        try:
            write_line(await (work if DO == "work" else drive)(runner))
        except GraphEngineError as error:
            write_line(f"error {error.code} {error}")


setattr(held_loops, "TURN_SECONDS", TURN_SECONDS)  # noqa: B010 - it is Final for other code
asyncio.run(main())

"""A process that drives one run: `holder.py DATABASE LEASE_SECONDS DO [OPTION…]`.

DO is `start`, `resume`, or `insist`: resume as soon as nobody else drives it. Options: `blocking`, the second node
blocks the event loop; `late=SECONDS`, the store's clock goes wrong by so much. The run is `r`, of three nodes; the
second one waits for a file named `gate` beside the database. When a node begins it writes `PID NAME` to a file named
`effects` there, and its name to stdout. The last line is what the run came to, or `error CODE` and the text.
"""

import asyncio
import os
import sys
import time
from pathlib import Path

from pydantic import BaseModel

from graphengine import END, START, Graph, Runner
from graphengine.errors import GraphEngineError, RunIsDriven
from graphengine.runner import loop_watchdog as watch
from graphengine.stores.sqlite import SQLiteStore

DATABASE, LEASE_SECONDS, DO = Path(sys.argv[1]), float(sys.argv[2]), sys.argv[3]
OPTIONS = dict(option.partition("=")[::2] for option in sys.argv[4:])
POLL_SECONDS = 0.01
BLOCKED_SECONDS = 0.8
LOOK_SECONDS = 0.1


class Work(BaseModel):
    """What the nodes leave."""

    first: int = 0
    second: int = 0
    third: int = 0


def begin(name: str) -> int:
    """Tell that a node began, and who does it."""
    with DATABASE.with_name("effects").open("a") as effects:
        effects.write(f"{os.getpid()} {name}\n")
    say(f"in {name}")
    return os.getpid()


def say(line: str) -> None:
    """Write a line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


async def first() -> int:
    """Pass at once."""
    return begin("first")


async def second() -> int:
    """Wait for the gate."""
    pid = begin("second")
    while not DATABASE.with_name("gate").exists():
        if "blocking" in OPTIONS:
            time.sleep(POLL_SECONDS)  # noqa: ASYNC251 - that is what it is for
        else:
            await asyncio.sleep(POLL_SECONDS)
    return pid


async def third() -> int:
    """Pass at once."""
    return begin("third")


graph = Graph("work", Work)
for each in (first, second, third):
    graph.add_node(each.__name__, each, writes=each.__name__)
graph.add_path(START, "first", "second", "third", END)


async def drive(runner: Runner) -> str:
    """Start or resume the run; what it came to."""
    while True:
        try:
            run = runner.start(graph, run_id="r") if DO == "start" else runner.resume(graph, "r")
            return (await run.result()).status
        except RunIsDriven as error:
            if DO != "insist":
                raise
            say(f"driven {error.expires_at}")
            await asyncio.sleep(POLL_SECONDS)


async def main() -> None:
    """Drive it, and tell."""
    late_seconds = float(OPTIONS.get("late", 0))
    store = SQLiteStore(DATABASE, lease_seconds=LEASE_SECONDS, clock=lambda: time.time() + late_seconds)
    async with Runner(store) as runner:
        try:
            say(await drive(runner))
        except GraphEngineError as error:
            say(f"error {error.code} {error}")


setattr(watch, "BLOCKED_SECONDS", BLOCKED_SECONDS)  # noqa: B010 - it is Final for everybody else
setattr(watch, "_LOOK_SECONDS", LOOK_SECONDS)  # noqa: B010
asyncio.run(main())

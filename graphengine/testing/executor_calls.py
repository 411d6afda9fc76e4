"""The nodes that `ExecutorConformance` runs. Other processes import this module too.

The nodes write lines to files in a shared folder, so that the tests can see when a node began and worked.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from pathlib import Path
from typing import Final

from pydantic import BaseModel

from graphengine.kernel.extension import Context  # noqa: TC001 - the engine reads the annotations of nodes

TICK_SECONDS: Final = 0.05


class Work(BaseModel):
    """The state of the graphs with which executors are tested: what the nodes have to do, and their results."""

    folder: str = ""
    number: int = 0
    seconds: float = 0
    result: int = 0
    facts: list[str] = []


def noted(folder: str, what: str) -> int:
    """Append the current time to a file as a line, and return how many lines the file then has.

    A node may run in another process. The tests read these files to find out when and how often the node worked.
    """
    path = Path(folder, what)
    with path.open("a", encoding="utf-8") as file:
        file.write(f"{time.time()}\n")
    return len(path.read_text(encoding="utf-8").splitlines())


def double(number: int) -> int:
    return number * 2


async def double_later(number: int) -> int:
    """Double a number in a coroutine function."""
    await asyncio.sleep(0)
    return number * 2


def facts_of_call(ctx: Context) -> list[str]:
    """Return what a node can read from its context about its run and attempt."""
    numbers = [ctx.run_id, ctx.node, ctx.visit, ctx.attempt, ctx.idempotency_key, ctx.now(), ctx.random.random()]
    return [str(number) for number in numbers]


def fails(number: int) -> int:
    """Raise a LookupError, to test how an executor transmits exceptions."""
    message = f"no such number: {number}"
    raise LookupError(message)


def returns_a_lock() -> object:
    """Return a lock, which cannot be pickled, to test how an executor reports such a result."""
    return threading.Lock()


def works(folder: str, seconds: float) -> int:
    """Work for some seconds, and append the time to a file every `TICK_SECONDS`, so that tests see when it ended."""
    noted(folder, "begun")
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        noted(folder, "ticks")
        time.sleep(TICK_SECONDS)
    return 1


def works_long_at_first(folder: str, seconds: float) -> int:
    """Work for some seconds in the first attempt, so that it times out, and return at once in the second attempt."""
    return works(folder, seconds) if not Path(folder, "begun").exists() else noted(folder, "again")


def dies_at_first(folder: str) -> int:
    """End the process in the first attempt, and return 1 in later attempts."""
    if noted(folder, "begun") == 1:
        os._exit(3)
    return 1

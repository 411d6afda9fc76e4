"""The nodes of `ExecutorConformance`, in a module that the other processes import too.

They write what they do into a folder that all of them see.
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
    """What the nodes get and write."""

    folder: str = ""
    number: int = 0
    seconds: float = 0
    result: int = 0
    facts: list[str] = []


def noted(folder: str, what: str) -> int:
    """Add a line to a ledger, and return how many it has."""
    path = Path(folder, what)
    with path.open("a", encoding="utf-8") as file:
        file.write(f"{time.time()}\n")
    return len(path.read_text(encoding="utf-8").splitlines())


def double(number: int) -> int:
    """Double a number."""
    return number * 2


async def double_later(number: int) -> int:
    """Double a number in an event loop."""
    await asyncio.sleep(0)
    return number * 2


def facts_of_call(ctx: Context) -> list[str]:
    """Return what a node knows of its attempt."""
    numbers = [ctx.run_id, ctx.node, ctx.visit, ctx.attempt, ctx.idempotency_key, ctx.now(), ctx.random.random()]
    return [str(number) for number in numbers]


def fails(number: int) -> int:
    """Raise."""
    message = f"no such number: {number}"
    raise LookupError(message)


def returns_a_lock() -> object:
    """Return what cannot be pickled."""
    return threading.Lock()


def works(folder: str, seconds: float) -> int:
    """Work for some seconds, with a line for each moment."""
    noted(folder, "begun")
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        noted(folder, "ticks")
        time.sleep(TICK_SECONDS)
    return 1


def works_long_at_first(folder: str, seconds: float) -> int:
    """Work for some seconds at the first attempt, and end at once at the next."""
    return works(folder, seconds) if not Path(folder, "begun").exists() else noted(folder, "again")


def dies_at_first(folder: str) -> int:
    """End the process at the first attempt."""
    if noted(folder, "begun") == 1:
        os._exit(3)
    return 1

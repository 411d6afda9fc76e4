"""Functions of heavy nodes, in a module that other processes can import."""

import asyncio
import importlib
import os
import signal
import sys
import time
from pathlib import Path

from pydantic import BaseModel

from graphengine import Agent, Context, ScriptedModel
from graphengine.errors import DefinitionError
from tests.kit.odd_errors import ERRORS


class Job(BaseModel):
    n: int = 1
    folder: str = ""
    pid: int = 0
    facts: list[str] = []
    out: int = 0


class Odd(Exception):
    """An exception that cannot be pickled."""

    def __init__(self, one: int, two: int) -> None:
        super().__init__(f"{one} and {two}")
        self.part = lambda: one


def double(n: int) -> int:
    """Double a number."""
    return n * 2


async def double_later(n: int) -> int:
    """Double a number in an event loop."""
    await asyncio.sleep(0)
    return n * 2


def own_pid() -> int:
    """Return the id of the process."""
    return os.getpid()


def facts_of(ctx: Context) -> list[str]:
    """Return what the context knows."""
    numbers = [ctx.run_id, ctx.node, ctx.path, ctx.visit, ctx.attempt, ctx.idempotency_key, ctx.now()]
    return [*map(str, numbers), str(ctx.random.random())]


async def calls_there(ctx: Context) -> int:
    """Use the functions of the context that need the run."""
    return await ctx.call(double, 2)


def refused_there(ctx: Context) -> list[str]:
    """Return the errors of the functions of the context that need the run."""
    found = []
    for name in ("step", "ask", "receive", "sleep", "sleep_until", "send", "runs", "emit"):
        try:
            getattr(ctx, name)
        except DefinitionError as error:
            found.append(str(error))
    return found


def fail(n: int) -> int:
    """Raise."""
    deeper = {"n": n}
    return int(deeper["missing"])


def fail_as(folder: str) -> int:
    """Raise one of the exceptions that are hard to describe."""
    error = ERRORS[folder]()
    raise error


def fail_oddly(n: int) -> int:
    """Raise an exception that cannot be pickled."""
    raise Odd(n, 2)


def exits(n: int) -> int:
    """Raise SystemExit."""
    raise SystemExit(n)


def returns_a_lambda() -> object:
    """Return a value that cannot be pickled."""
    return lambda: 1


def dies_at_first(folder: str) -> int:
    """Kill the process; a later attempt returns at once."""
    mark = Path(folder, "died")
    if not mark.exists():
        mark.write_text(str(os.getpid()))
        os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))
    return os.getpid()


def exits_at_sigterm() -> None:
    """Exit at SIGTERM by an exception, as many servers do, and the workers of Ray."""

    def leave(*_: object) -> None:
        sys.exit(1)

    signal.signal(signal.SIGTERM, leave)


def is_terminated_at_first(folder: str) -> int:
    """Be sent SIGTERM; a later attempt returns at once."""
    mark = Path(folder, "terminated")
    if not mark.exists():
        mark.write_text(str(os.getpid()))
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(600)
    return os.getpid()


def write_pid(folder: str) -> None:
    """Write the id of the process to a file."""
    place = Path(folder, "pid.new")
    place.write_text(str(os.getpid()))
    place.replace(Path(folder, "pid"))


def sleeps_at_first(folder: str) -> int:
    """Write the pid and hang; a later attempt returns at once."""
    if Path(folder, "pid").exists():
        return os.getpid()
    write_pid(folder)
    time.sleep(600)
    return 0


def notes_its_key(ctx: Context, folder: str) -> int:
    """Note the key of the attempt; hang if there is a file `hang`."""
    with Path(folder, "keys").open("a") as file:
        file.write(f"{ctx.idempotency_key}\n")
    if Path(folder, "hang").exists():
        write_pid(folder)
        time.sleep(600)
    return 7


async def asks_an_agent() -> int:
    """Call an agent."""
    await Agent("writer", model=ScriptedModel(["x"]), prompt="write").run()
    return 0


def ray_node() -> list[str]:
    """Return the id of the process, and the node of the Ray cluster."""
    ray = importlib.import_module("ray")

    return [str(os.getpid()), ray.get_runtime_context().get_node_id()]

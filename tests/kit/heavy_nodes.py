"""Functions of heavy nodes, in a module that other processes can import."""

import asyncio
import importlib
import os
import signal
import time
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from graphengine import Agent, Context, ScriptedModel


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


async def steps_there(ctx: Context) -> int:
    """Use the functions of the context that need the run."""
    return await ctx.step(double, 2)


def fail(n: int) -> int:
    """Raise."""
    deeper = {"n": n}
    return int(deeper["missing"])


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


class Size(BaseModel):
    """A value that is recorded as a model."""

    width: int


class Wrong(Exception):
    """What a recorded call raises."""


def mark(folder: str, text: str) -> None:
    """Add a line to the file of what was done."""
    with Path(folder, "done").open("a") as file:
        file.write(f"{text}\n")


def measured(width: int) -> Size:
    """Return a model."""
    return Size(width=width)


async def outer(ctx: Context, n: int) -> int:
    """Record work, and send and show something, inside recorded work."""
    ctx.send("news", n)
    ctx.emit({"n": n}, record=True)
    return await ctx.step(double, n) + await ctx.step(double, n)


async def works(ctx: Context, n: int) -> list[str]:
    """Record work one after the other, at once, nested, with a lambda and with a key."""
    found = [ctx.now(), await ctx.step(double, n), await ctx.step(double_later, n)]
    found += await asyncio.gather(*(ctx.step(double, number) for number in (1, 2, 2, 3)))
    found += [await ctx.step(outer, ctx, n, key="outer"), (await ctx.step(measured, 3)).width]
    add = 5
    found.append(await ctx.step(lambda: n + add))
    found.append(await ctx.receive("news", int))
    found.append(len(await ctx.runs("heavy", 3)))
    return [str(each) for each in [*found, ctx.now()]]


async def asks(ctx: Context, folder: str) -> list[str]:
    """Ask twice at once, sleep, and wait in vain; note each beginning and each end."""
    mark(folder, f"begin {os.getpid()}")
    try:
        await ctx.step(mark, folder, "once")
        answers = await asyncio.gather(ctx.ask("How many?", int, name="many"), ctx.ask("How wide?", Size, name="wide"))
        await ctx.sleep(60)
        silence = await ctx.receive("silence", str, timeout_seconds=5, default="nothing")
        return [str(each) for each in (*answers, silence)]
    finally:
        mark(folder, "end")


async def races(ctx: Context, n: int) -> int:
    """Let recorded work win against a question."""
    question: asyncio.Future[Any] = asyncio.ensure_future(ctx.ask("Which?"))
    work: asyncio.Future[Any] = asyncio.ensure_future(ctx.step(double_later, n))
    done, left = await asyncio.wait({question, work}, return_when=asyncio.FIRST_COMPLETED)
    for each in left:
        each.cancel()
    return int(done.pop().result())


async def fails_in_work(ctx: Context, folder: str) -> int:
    """Record one call; the second one raises at first."""
    await ctx.step(mark, folder, "once")
    return await ctx.step(raises_at_first, folder)


def raises_at_first(folder: str) -> int:
    """Raise in the first call."""
    mark(folder, "tried")
    if Path(folder, "done").read_text().count("tried") == 1:
        text = "at first"
        raise Wrong(text)
    return 3


async def forgets(ctx: Context) -> int:
    """Do not await recorded work."""
    ctx.step(double, 1)  # type: ignore[unused-coroutine]
    return 1


async def leaves(ctx: Context) -> int:
    """Return before recorded work has ended."""
    left = asyncio.ensure_future(ctx.step(asyncio.sleep, 600, key="left"))
    await ctx.step(double, 1)
    return left.done() + 1


async def records_a_set(ctx: Context) -> int:
    """Record what JSON cannot represent."""
    await ctx.step(returns_a_lambda)
    return 1


async def sends_a_lambda(ctx: Context) -> int:
    """Send what JSON cannot represent."""
    ctx.send("news", {"n": object})
    return 1


async def asks_inside_work(ctx: Context) -> int:
    """Ask inside recorded work."""
    return await ctx.step(asks_number, ctx, key="asks")


async def asks_number(ctx: Context) -> int:
    """Ask."""
    return await ctx.ask("How many?", int)


def steps_in_a_thread(ctx: Context) -> int:
    """Send and show in a sync node, which cannot await recorded work."""
    ctx.send("news", 1)
    ctx.emit("seen", record=True)
    return asyncio.run(ctx.step(double, 1))


async def dies_between(ctx: Context, folder: str) -> int:
    """Record work, die at first, and record more work."""
    await ctx.step(mark, folder, "one")
    if not Path(folder, "died").exists():
        dies_at_first(folder)
    await ctx.step(mark, folder, "two")
    return 2


async def hangs_in_work(ctx: Context, folder: str) -> int:
    """Record work, then hang in recorded work while the folder has a file `hang`."""
    await ctx.step(mark, folder, "one")
    await ctx.step(hang, folder)
    await ctx.step(mark, folder, "two")
    return 2


def hang(folder: str) -> None:
    """Hang, if the folder has a file `hang`, which is removed."""
    if Path(folder, "hang").exists():
        Path(folder, "hang").unlink()
        write_pid(folder)
        time.sleep(600)


async def asks_after_work(ctx: Context, folder: str) -> int:
    """Record work, and ask."""
    await ctx.step(mark, folder, "once")
    return await ctx.ask("How many?", int)

"""A run with eight effects that must not be repeated, which is cut off: `DATABASE RUN LEDGER [NAME NUMBER [CUT]]`.

The effects are nodes, recorded calls and calls of tools: a person is asked about some, the ledger
about others, and one is approved first. An effect is a line in LEDGER with its idempotency key, on disk when
it is written. The process kills itself at the point of that name and number; besides the points of the store,
each effect passes "begun" when its beginning is durable, "before effect" and "after effect". As a person would, it
looks into the ledger before it answers.

CUT is what happens there instead of the kill. `full`: the disk is full until the run has got the error, and is resumed
then by the same Runner. `freeze`: the process writes `frozen`, and hangs until it can read a line.
"""

import asyncio
import os
import resource
import sys
from collections.abc import Awaitable
from pathlib import Path

from pydantic import BaseModel

from graphengine import END, START, Agent, Context, Graph, GraphEngineError, NotDone, Once, RunFailed, Runner, tool
from graphengine.databases.addresses import is_postgres
from graphengine.databases.postgres import PostgresStore
from graphengine.databases.sqlite import SQLiteStore
from graphengine.errors import RunExists, RunIsDriven, StoreFull
from graphengine.history.load import Wait
from graphengine.models.base import Request, Response
from graphengine.models.scripted import calls
from graphengine.runner.result import Result
from graphengine.stores.base import Append, Store
from tests.kit.crash_points import CrashPoints, Point

DATABASE, RUN, LEDGER = sys.argv[1], sys.argv[2], Path(sys.argv[3])
CUT = sys.argv[6] if len(sys.argv) > 6 else ""
LEASE_SECONDS = 0.5
POLL_SECONDS = 0.01
NO_LIMIT = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)


def fill_disk() -> None:
    """Let no file become larger than SQLite's log is now."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (Path(f"{DATABASE}-wal").stat().st_size, resource.RLIM_INFINITY))


def freeze() -> None:
    """Hang until somebody writes a line."""
    sys.stdout.write("frozen\n")
    sys.stdout.flush()
    sys.stdin.readline()


POINTS = CrashPoints(
    Point(sys.argv[4], int(sys.argv[5])) if len(sys.argv) > 4 else None, {"full": fill_disk, "freeze": freeze}.get(CUT)
)


class State(BaseModel):
    """What was done."""

    first: str = ""
    second: str = ""
    calls: list[str] = []
    told: str = ""


def act(name: str, idempotency_key: str) -> str:
    """Do an effect: a line in the ledger."""
    POINTS.passes("before effect")
    line = f"{name} {idempotency_key}\n".encode()
    file = os.open(LEDGER, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.write(file, line)
    os.fsync(file)
    os.close(file)
    POINTS.passes("after effect")
    return f"{name} done"


def found(name: str, idempotency_key: str) -> str:
    """Return what the ledger says of an effect."""
    known = LEDGER.read_text(encoding="utf-8").splitlines() if LEDGER.exists() else []
    if f"{name} {idempotency_key}" in known:
        return f"{name} done"
    raise NotDone("the ledger has no such line")


def first(ctx: Context) -> str:
    """Be an effect that a person knows about."""
    return act("first", ctx.idempotency_key)


def second(ctx: Context) -> str:
    """Be an effect that can be found out."""
    return act("second", ctx.idempotency_key)


def of_second(idempotency_key: str) -> str:
    """Return what became of it."""
    return found("second", idempotency_key)


async def several(ctx: Context) -> list[str]:
    """Record three effects, two of them at the same time; not if the process is suspended while one of them may act."""
    sure = Once(reconcile=found)
    two = [ctx.call(act, "third", effect="once"), ctx.call(act, "fourth", effect=sure)]
    done = [await each for each in two] if CUT == "freeze" else await asyncio.gather(*two)
    return [*done, await ctx.call(act, "fifth", effect="once")]


class Clerk:
    """A model that calls the three tools, one in each turn."""

    name = "acme:clerk"

    async def answer(self, request: Request) -> Response:
        """Return the next call."""
        turn = sum(message.role == "assistant" for message in request.messages)
        return calls((NAMES[turn], {"name": NAMES[turn]})) if turn < len(NAMES) else Response("done")


NAMES = ("sixth", "seventh", "eighth")
TOOLS = [
    tool(act, name="sixth", description="Do it.", effect="once"),
    tool(act, name="seventh", description="Do it.", effect=Once(reconcile=found)),
    tool(act, name="eighth", description="Do it.", effect="once", approve=True),
]
graph = Graph("effects", State, result="told")
graph.add_node("first", first, writes="first", effect="once")
graph.add_node("second", second, writes="second", effect=Once(reconcile=of_second))
graph.add_node("several", several, writes="calls")
graph.add_node("serve", Agent("clerk", model=Clerk(), prompt="Go", tools=TOOLS), writes="told")
graph.add_path(START, "first", "second", "several", "serve", END)


def decision(wait: Wait) -> object:
    """Return a person's answer: yes to an approval; what the ledger says of an effect."""
    if wait.kind == "ask":
        return True
    name = (
        wait.name
        if wait.name in ("first", "second")
        else next(word for word in ("third", "fourth", "fifth", *NAMES) if word in wait.question)
    )
    lines = LEDGER.read_text(encoding="utf-8").splitlines() if LEDGER.exists() else []
    return {"result": f"{name} done"} if any(line.startswith(f"{name} ") for line in lines) else "rerun"


def marked(store: Store) -> Store:
    """Return the store with a point after each append that makes the beginning of an effect durable."""
    append = store.append

    async def passing(written: Awaitable[None]) -> None:
        await written
        POINTS.passes("begun")

    def appending(batch: Append) -> Awaitable[None] | None:
        written = append(batch)
        if not any(step.kind == "begun" for step in batch.steps):
            return written
        if written is not None:
            return passing(written)
        POINTS.passes("begun")
        return None

    setattr(store, "append", appending)  # noqa: B010 - a method
    return store


async def result_of(runner: Runner) -> Result[State]:
    """Start or resume the run: once more if it has failed, as soon as nobody else drives it or the disk has room."""
    started = False
    while True:
        try:
            run = runner.resume(RUN, graph) if started else runner.start(graph, run_id=RUN)
            started = True
            return await run.result()
        except RunExists:
            started = True
        except RunFailed:  # it was killed three times in a row in one node
            sys.stdout.write("failed ")
        except RunIsDriven:
            await asyncio.sleep(POLL_SECONDS)
        except StoreFull:
            sys.stdout.write("full ")
            resource.setrlimit(resource.RLIMIT_FSIZE, NO_LIMIT)


async def live() -> None:
    """Drive the run, and answer until it is finished."""
    made: type[PostgresStore | SQLiteStore] = PostgresStore if is_postgres(DATABASE) else SQLiteStore
    store: Store = made(DATABASE, lease_seconds=LEASE_SECONDS)
    async with Runner(marked(POINTS.watched(store))) as runner:
        result = await result_of(runner)
        while result.status == "waiting":
            for wait in result.waits:
                await runner.answer(RUN, decision(wait), wait=wait)
            result = await result_of(runner)
        state = result.state
        sys.stdout.write(" ".join([result.status, state.first, state.second, *state.calls, state.told]))


async def main() -> None:
    """Live; if it was frozen, report why it may not go on."""
    try:
        await live()
    except GraphEngineError as error:
        if CUT != "freeze":
            raise
        sys.stdout.write(f"error {error.code}")


if __name__ == "__main__":
    with POINTS.installed():
        asyncio.run(main())
    LEDGER.with_suffix(".points").write_text(
        "\n".join(f"{point.name}:{point.number}" for point in POINTS.passed), encoding="utf-8"
    )

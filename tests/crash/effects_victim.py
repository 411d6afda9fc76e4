"""A run with eight effects that must not be repeated, which is killed: `DATABASE RUN LEDGER [NAME NUMBER]`.

The effects are nodes, recorded calls and calls of tools: a person is asked about some, the ledger
about others, and one is approved first. An effect is a line in LEDGER with its idempotency key, on disk when
it is written. The process kills itself at the point of that name and number; besides the points of the store,
each effect passes "before effect" and "after effect". As a person would, it looks into the ledger before it answers.
"""

import asyncio
import os
import sys
from pathlib import Path

from pydantic import BaseModel

from graphengine import END, START, Agent, Context, Graph, NotDone, Once, RunFailed, Runner, tool
from graphengine.api.places import store_at
from graphengine.errors import RunExists
from graphengine.models.base import Request, Response
from graphengine.models.scripted import calls
from graphengine.runner.result import Wait
from tests.kit.crash_points import CrashPoints, Point

RUN, LEDGER = sys.argv[2], Path(sys.argv[3])
POINTS = CrashPoints(Point(sys.argv[4], int(sys.argv[5])) if len(sys.argv) > 4 else None)


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
    """Record three effects, two of them at the same time."""
    sure = Once(reconcile=found)
    two = [ctx.call(act, "third", effect="once"), ctx.call(act, "fourth", effect=sure)]
    return [*await asyncio.gather(*two), await ctx.call(act, "fifth", effect="once")]


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
        if wait.name == "first"
        else next(word for word in ("third", "fifth", *NAMES) if word in wait.question)
    )
    lines = LEDGER.read_text(encoding="utf-8").splitlines() if LEDGER.exists() else []
    return {"result": f"{name} done"} if any(line.startswith(f"{name} ") for line in lines) else "rerun"


async def live() -> None:
    """Start or resume the run, and answer until it is finished."""
    async with Runner(POINTS.watched(store_at(sys.argv[1]))) as runner:
        try:
            result = await runner.start(graph, run_id=RUN).result()
        except RunExists:
            try:
                result = await runner.resume(RUN, graph).result()
            except RunFailed:  # it was killed three times in a row in one node
                result = await runner.resume(RUN, graph).result()
        while result.status == "waiting":
            for wait in result.waits:
                await runner.answer(RUN, decision(wait), question=wait.name)
            result = await runner.resume(RUN, graph).result()
        state = result.state
        sys.stdout.write(" ".join([result.status, state.first, state.second, *state.calls, state.told]))


if __name__ == "__main__":
    with POINTS.installed():
        asyncio.run(live())
    LEDGER.with_suffix(".points").write_text(
        "\n".join(f"{point.name}:{point.number}" for point in POINTS.passed), encoding="utf-8"
    )

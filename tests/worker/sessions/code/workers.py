from typing import Annotated

from pydantic import BaseModel

from graphengine import Context, Worker, ask
from graphengine.reducers import append
from tests.kit.runs import alone, row
from tests.kit.workers import let_work

WEEK = 7 * 86_400.0


class Log(BaseModel):
    seen: Annotated[list[str], append] = []
    ok: bool = False


async def nap(ctx: Context) -> str:
    await ctx.sleep(WEEK)
    return "awake"


async def hear(ctx: Context) -> str:
    return await ctx.receive("news", str)


async def twice(ctx: Context) -> str:
    await ctx.sleep(3600)
    await ctx.sleep_until(1e15)
    return "awake"


async def bad() -> str:
    raise ValueError("no luck")


naps, hears, tired = (
    alone(Log, nap, "seen", name="naps"),
    alone(Log, hear, "seen", name="hears"),
    alone(Log, twice, "seen", name="tired"),
)
asks, fails = alone(Log, ask("Continue?", bool), "ok", name="asks"), alone(Log, bad, "seen", name="fails")
steps = row(Log, ("first", lambda: "first", "seen"), ("second", lambda: "second", "seen"), name="steps")
other = row(Log, ("first", lambda: "other", "seen"), name="other")


async def orphan(runner, graph, run_id):
    """Leave a run that was released before its first node."""
    run = runner.start(graph, run_id=run_id)
    await runner.release(run_id)
    return (await run.result()).status


runners = []


async def leave(ctx: Context) -> str:
    await runners[0].release(ctx.run_id)
    return "left"


leaves = row(Log, ("leave", leave, "seen"), ("more", lambda: "more", "seen"))

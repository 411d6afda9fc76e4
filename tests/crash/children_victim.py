"""A run that starts children, which dies at a point: `DATABASE RUN [NAME NUMBER]`.

Each of its children is started by a node, a call of a node's tool, or an item of a map; one fails at first, one sleeps.
The process kills itself at the point of that name and number, if one is given; else it writes how the run ended.
"""

import asyncio
import sys
from pathlib import Path

from pydantic import BaseModel

from graphengine import END, START, ChildFailed, Context, Graph, Retry, Runner
from graphengine.databases.addresses import is_postgres
from graphengine.databases.postgres import PostgresStore
from graphengine.databases.sqlite import SQLiteStore
from graphengine.errors import RunExists, RunIsDriven
from graphengine.runner import Result, RunFailed
from graphengine.stores.base import Store
from tests.kit.crash_points import CrashPoints, Point
from tests.kit.runs import alone

DATABASE, RUN = sys.argv[1], sys.argv[2]
POINTS = CrashPoints(Point(sys.argv[3], int(sys.argv[4])) if len(sys.argv) > 3 else None)
LEASE_SECONDS = 0.5


class Word(BaseModel):
    """A word and its length."""

    word: str = ""
    length: int = 0


class Words(BaseModel):
    """Words and their lengths."""

    words: list[str] = ["bee", "sleeps", "fails"]
    more: list[str] = ["ant", "wasp"]
    lengths: int = 0
    each: list[int] = []
    told: int = 0


async def measure(ctx: Context, word: str) -> int:
    """Return a length; fail in the first run of this word, whose file is the proof."""
    if word == "sleeps":
        await ctx.sleep(0.02)
    if word == "fails":
        proof = Path.cwd() / f"{ctx.run_id}.failed"
        if not proof.exists():
            proof.touch()
            raise ValueError(word)
    return len(word)


child = alone(Word, measure, "length", name="measures", node="measure")


async def all_at_once(ctx: Context, words: list[str]) -> int:
    """Return the sum of the lengths."""
    runs = [await ctx.start(child, {"word": word}) for word in words]
    return sum([(await run.result()).state.length for run in runs])


async def one(ctx: Context, word: str) -> int:
    """Return one length."""
    return (await (await ctx.start(child, {"word": word})).result()).state.length


async def begin(ctx: Context) -> int:
    """Start one that reports."""
    await ctx.start(child, {"word": "moth"}, topic="lengths")
    return 0


async def hear(ctx: Context) -> int:
    """Return what it reports."""
    told = await ctx.receive("lengths")
    return int(told["state"]["length"])


graph = Graph("starts", Words)
graph.add_node("begin", begin, writes="told")
graph.add_node(
    "all_at_once", all_at_once, writes="lengths", retry=Retry(attempts=3, initial_seconds=0.0, on=(ChildFailed,))
)
graph.add_node("one", one, each={"word": "more"}, writes="each")
graph.add_node("hear", hear, writes="told")
graph.add_path(START, "begin", "all_at_once", "one", "hear", END)


async def result_of(runner: Runner) -> Result[Words]:
    """Start or resume the run: once more if it has failed, and as soon as nobody else drives it."""
    run = runner.start(graph, run_id=RUN)
    while True:
        try:
            return await run.result()
        except (RunExists, RunFailed):
            run = runner.resume(RUN, graph)
        except RunIsDriven:
            await asyncio.sleep(0.01)
            run = runner.resume(RUN, graph)


async def main() -> None:
    """Drive the run to its end, or die."""
    made: type[PostgresStore | SQLiteStore] = PostgresStore if is_postgres(DATABASE) else SQLiteStore
    store: Store = made(DATABASE, lease_seconds=LEASE_SECONDS)
    async with Runner(POINTS.watched(store)) as runner:
        result = await result_of(runner)
        state = result.state
        kids = [info.status for info in await runner.store.runs(starter=RUN)]
        sys.stdout.write(f"{result.status} {state.lengths} {state.each} {state.told} {sorted(kids)} {result.waits}")


if __name__ == "__main__":
    with POINTS.installed():
        asyncio.run(main())
    Path(f"{RUN}.points").write_text("\n".join(f"{p.name}:{p.number}" for p in POINTS.passed), encoding="utf-8")

"""Runs and their branches in a store, for charts. A fake clock makes them reproducible."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from graphengine import Runner
from graphengine.testing import FakeClock
from tests.render.timed import BEGAN, Paper, Round, paper


@asynccontextmanager
async def relatives() -> AsyncIterator[Runner]:
    """Provide a run that waits for a person, three branches of it, and a branch of a branch."""
    clock = FakeClock(BEGAN)
    graph = paper(clock)
    async with Runner(clock=clock) as runner:
        await runner.start(graph, Paper(), run_id="tides").result()
        steps = list(await runner.history("tides"))
        drafted, reviewed = (
            next(s.seq for s in steps if (s.kind, s.node) == ("node", name)) for name in ("write", "review")
        )
        await runner.branch("tides", graph, drafted, update={"draft": "Mine."}, run_id="mine").result()
        worse = {"history": Round(score=2)}
        await runner.branch("tides", graph, reviewed, update=worse, run_id="harsh").result()
        await runner.branch("mine", graph, drafted + 1, run_id="again").result()
        await runner.answer("again", value=True)
        await runner.resume("again", graph).result()
        await runner.branch("tides", graph, 1, run_id="anew").result()
        await runner.stop("anew")
        yield runner

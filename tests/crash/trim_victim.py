"""A program that kills itself while it removes old steps of a run, at many points: `trim_victim.py DATABASE`.

Each time a child process begins to remove the steps, in several transactions, and is killed with SIGKILL: before, in
and after the writes of a transaction. Then the run must read as before, from its snapshot and from its first step, the
doctor must find nothing, and the next process removes the rest. Prints how many kills there were, and how many of them
left some of the steps.
"""

import asyncio
import sys
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from graphengine import END, START, Graph, Limits, Runner, iterations
from graphengine.databases.postgres import doctor as postgres_doctor
from graphengine.databases.postgres import removal as postgres_removal
from graphengine.databases.sqlite import doctor as sqlite_doctor
from graphengine.databases.sqlite import removal as sqlite_removal
from graphengine.records.visits import load_visits
from tests.crash.in_turn import dies

PLACE = sys.argv[1]
IS_SERVER = PLACE.startswith("postgresql:")
VISITS, KEPT, BITE, EVERY = 290, 20, 140, 60


class State(BaseModel):
    n: int = 0
    notes: list[str] = []


def counting() -> Graph[State]:
    """Return a graph whose run writes long texts too."""

    def more(n: int) -> dict[str, Any]:
        return {"n": n + 1, "notes": ["x" * 5000] if n % 40 == 0 else []}

    graph = Graph("counting", State, limits=Limits(visits=1000))
    graph.add_node("more", more, writes=("n", "notes"))
    graph.add_edge(START, "more")
    graph.add_edge("more", END, when=iterations("more") >= VISITS)
    graph.add_edge("more", "more")
    return graph


async def seen(run_id: str) -> tuple[Any, Any, int]:
    """Return the run's state by its snapshot and by its log, and how many steps are removed."""
    async with Runner(PLACE) as runner:
        steps = await runner.store.steps(run_id)
        by_log = (await load_visits(runner.store, run_id)).snapshot.root.values
        return await runner.state_at(run_id), by_log, sum(step.kind == "removed" for step in steps)


async def trimmed(run_id: str) -> None:
    """Remove the steps."""
    async with Runner(PLACE) as runner:
        while await runner.store.trim(run_id, KEPT, BITE):
            pass


async def build(run_id: str) -> None:
    """Record a run."""
    async with Runner(PLACE) as runner:
        await runner.start(counting(), run_id=run_id).result()


def main() -> None:
    """Kill at one point after the other until a removal survives."""
    examine = partial(postgres_doctor.examine, PLACE) if IS_SERVER else partial(sqlite_doctor.examine, Path(PLACE))
    removal: Any = postgres_removal if IS_SERVER else sqlite_removal
    names = ("trim", "replace_steps") if IS_SERVER else ("trim", "_replace")
    kills = halves = 0
    for kill_at in range(1, 10_000, 1 if IS_SERVER else EVERY):
        run_id = f"r{kill_at}"
        asyncio.run(build(run_id))
        state, by_log, _ = asyncio.run(seen(run_id))
        assert state == by_log
        if not dies(kill_at, removal, names, partial(trimmed, run_id)):
            break
        kills += 1
        after, log_after, removed = asyncio.run(seen(run_id))
        assert after == log_after == state, kill_at
        assert not examine().faults, (kill_at, examine().faults)
        asyncio.run(trimmed(run_id))
        *both, whole = asyncio.run(seen(run_id))
        assert both == [state, state], kill_at
        halves += 0 < removed < whole
    assert not examine().faults
    print(f"{kills} kills, {halves} of them half-way")  # noqa: T201 - the test reads it


if __name__ == "__main__":
    main()

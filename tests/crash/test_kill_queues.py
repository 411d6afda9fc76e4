"""Workers that are killed while they take queued runs: each run is driven to its end, and no step is recorded twice."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import accumulate
from pathlib import Path

from graphengine import Runner
from graphengine.stores.base import QueueLimits
from tests.crash.queue_worker import NODES, flow
from tests.kit import forks

RUNS = 40
KILLS = 4
MOST = 4


def worker(database: str, file: Path) -> forks.Started:
    """Start a worker, and return when it has opened the database."""
    loads = ["graphengine.databases.postgres", "graphengine.worker.worker"]
    started = forks.start("tests.crash.queue_worker", database, str(file), loads=loads)
    assert started.stdout.readline() == "ready\n"
    return started


async def test_killed_workers_lose_no_queued_run(database: str, tmp_path: Path) -> None:
    """Two workers are killed at random moments and replaced; a limit holds at every moment."""
    notes = tmp_path / "notes"
    chance = random.Random(7)  # noqa: S311 - not a secret
    async with Runner(database) as runner:
        await runner.admin.limit_queue("work", QueueLimits(concurrency=MOST))
        for number in range(RUNS):
            await runner.start(
                flow(), {"name": f"r{number}"}, run_id=f"r{number}", queue="work", tenant=f"k{number % 3}"
            ).result()
        workers = [await asyncio.to_thread(worker, database, notes) for _ in range(2)]
        deaths: dict[int, float] = {}
        try:
            for _ in range(KILLS):
                await asyncio.sleep(chance.uniform(0.05, 0.3))
                killed = workers.pop(0)
                deaths[killed.pid] = time.monotonic()
                killed.kill()
                killed.end()
                workers.append(await asyncio.to_thread(worker, database, notes))
            async with asyncio.timeout(60):
                while sum(each.runs for each in await runner.store.counts() if each.status == "finished") < RUNS:  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
        finally:
            for each in workers:
                each.kill()
                each.end()
        for number in range(RUNS):
            result = await runner.get(f"r{number}", flow()).result()
            assert (result.status, result.state.seen) == ("finished", list(range(NODES)))
    lines = [line.split() for line in notes.read_text().splitlines()]
    done = Counter((name, number) for moment, name, number, *_ in lines if moment == "begins")
    assert len(done) == RUNS * NODES
    again = sum(count - 1 for count in done.values())
    assert again <= KILLS * MOST  # at most what a killed worker had in flight
    assert most_at_once(lines, deaths) <= MOST


def most_at_once(lines: Sequence[Sequence[str]], deaths: Mapping[int, float]) -> int:
    """Return how many nodes were at work at the same time; those of a killed worker until its death."""
    begun: dict[tuple[str, str, int], float] = {}
    moments: list[tuple[float, int]] = []
    for moment, name, number, pid, at in lines:
        node = name, number, int(pid)
        if moment == "begins":
            begun[node] = float(at)
        else:
            moments += [(begun.pop(node), 1), (float(at), -1)]
    for (_, _, died), since in begun.items():
        moments += [(since, 1), (max(since, deaths[died]), -1)]
    return max(accumulate(change for _, change in sorted(moments)))

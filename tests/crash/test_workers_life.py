"""Three workers share a database; one after another is killed at random, and all runs finish.

`RUNS=300 KILLS=60 SEED=7 pytest -s tests/crash/test_workers_life.py` is the full size, and prints the cost.
"""

import asyncio
import os
import sys
import time
from collections import Counter, defaultdict, deque
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Final

import pytest

from graphengine import Runner
from graphengine.engine.snapshot import CRASHES
from graphengine.engine.steps import Step
from tests.crash.deaths import done
from tests.crash.life_of_workers import CONCURRENCY, EFFECTS, WORK_SECONDS, small
from tests.kit import forks
from tests.kit.facts import said
from tests.kit.postgres import PostgresServer, execute

PROGRAM: Final = Path(__file__).with_name("life_of_workers.py")
RUNS: Final = int(os.environ.get("RUNS", "16"))
KILLS: Final = int(os.environ.get("KILLS", "3"))
SEED: Final = int(os.environ.get("SEED", "3"))
WORKERS: Final = 3
PATIENCE_SECONDS: Final = 60.0
"""Without any progress for this long, something hangs."""


class Workers:
    """The workers at work, and two more that have loaded everything and wait."""

    def __init__(self, database: str, effects: Path) -> None:
        self._words = [database, str(effects)]
        self.dead: set[int] = set()
        self._spares = deque(self._load() for _ in range(WORKERS + 2))
        for spare in self._spares:
            assert spare.stdout.readline() == "ready\n"
        self.at_work = [self._enter() for _ in range(WORKERS)]

    def kill(self, chosen: int) -> int:
        """Kill one with SIGKILL, and return its process id; another one takes its place."""
        worker = self.at_work[chosen]
        assert worker.poll() is None, "a worker ended by itself"
        self.dead.add(worker.pid)
        self._end(worker)
        self.at_work[chosen] = self._enter()
        return worker.pid

    def close(self) -> None:
        """End them all."""
        for worker in (*self.at_work, *self._spares):
            self._end(worker)

    def _enter(self) -> forks.Started:
        worker = self._spares.popleft()
        self._spares.append(self._load())
        worker.stdin.write("go\n")  # a worker that has not loaded yet finds the line later
        worker.stdin.flush()
        return worker

    def _load(self) -> forks.Started:
        return forks.start(PROGRAM, *self._words, loads=["graphengine.databases.postgres"])

    @staticmethod
    def _end(worker: forks.Started) -> None:
        worker.kill()
        worker.end()


@pytest.fixture(params=["sqlite", "postgres"])
def server(request: pytest.FixtureRequest) -> Iterator[PostgresServer | None]:
    """The server of the runs, if they are not in a file: one that keeps what was committed when it is killed."""
    if request.param == "sqlite":
        yield None
        return
    template: PostgresServer = request.getfixturevalue("postgres_server")
    made = PostgresServer(template.template, is_safe=True)
    yield made
    made.remove()


@pytest.fixture
def database(server: PostgresServer | None, tmp_path: Path) -> str:
    """Where the runs are."""
    return str(tmp_path / "runs.db") if server is None else server.address()


@pytest.fixture
async def workers(database: str, tmp_path: Path) -> AsyncIterator[Workers]:
    """Three workers over a database with many orphaned runs."""
    async with Runner(database) as runner:
        for number in range(RUNS):
            runner.start(small(), run_id=f"r{number}")
            await runner.release(f"r{number}")  # before any node begins
    workers = Workers(database, tmp_path / "effects")
    yield workers
    workers.close()


async def test_all_runs_end_whichever_worker_is_killed(
    tmp_path: Path, workers: Workers, database: str, server: PostgresServer | None
) -> None:
    """Each step is recorded once, and only work in flight at a kill is repeated. The server dies too."""
    random = Random(SEED)  # noqa: S311 - repeatable, not for security
    began = time.monotonic()
    effects = tmp_path / "effects"
    moments = sorted(random.randrange(RUNS * EFFECTS) for _ in range(KILLS))
    async with Runner(database) as runner:
        for number, moment in enumerate(moments):
            await reach(effects, moment)
            await asyncio.sleep(random.uniform(0, WORK_SECONDS))
            last, _ = done(effects)[-1]  # a process with a recent effect has work in flight
            busy = [each for each, worker in enumerate(workers.at_work) if worker.pid == last]
            if server is not None and number % 2 == 0:
                server.kill()
                await asyncio.to_thread(server.start)
            dead = workers.kill(busy[0] if busy and random.random() < 0.5 else random.randrange(WORKERS))
            if server is not None:  # its lease counts if the server died with it; those of the living are long
                execute(database, f"UPDATE graphengine.owners SET expires_at = 0 WHERE pid = {dead}")  # noqa: S608
        await all_over(runner, effects, workers.dead)
        logs = [await runner.history(f"r{number}") for number in range(RUNS)]
    again = check(done(effects), logs, workers.dead)
    text = f"{RUNS} runs, {KILLS} kills of {WORKERS} workers in {time.monotonic() - began:.1f} s, SEED={SEED}: "
    steps = sum(map(len, logs))
    sys.stdout.write(f"{text}{steps} steps recorded once each, {again} of {RUNS * EFFECTS} works done twice\n")
    assert again <= KILLS * CONCURRENCY * 2, "more work was repeated than can have been in flight"


async def reach(effects: Path, lines: int) -> None:
    """Wait until this many lines of work are written."""
    give_up_at = time.monotonic() + PATIENCE_SECONDS
    while len(done(effects)) <= lines:
        assert time.monotonic() < give_up_at, "the workers make no progress"
        await asyncio.sleep(0.002)


async def all_over(runner: Runner, effects: Path, dead: set[int]) -> None:
    """Wait until every run is finished; let workers continue one that failed since three of its processes were killed.

    1. Near the end few runs are left, so the kills at works 69 and 75 often hit the same one.
    2. The first kill hit it too, and no node of it ended in between: its node fails as a crash loop, as it should.
    """
    give_up_at, seen = time.monotonic() + PATIENCE_SECONDS, 0
    while True:
        left = [info for info in await runner.store.runs(limit=RUNS) if info.status != "finished"]
        if not left:
            return
        for info in left:
            assert info.status != "stopped"
            if info.status == "failed":
                assert info.summary is not None
                assert "died 3 times in a row" in info.summary.reason
                assert len(dead) >= CRASHES
                runner.resume(info.id, small())
                await runner.release(info.id)  # before any node begins
        if len(done(effects)) > seen:
            give_up_at, seen = time.monotonic() + PATIENCE_SECONDS, len(done(effects))
        assert time.monotonic() < give_up_at, f"no worker resumes {left}"
        await asyncio.sleep(0.02)


def check(
    effects: Sequence[tuple[int, str]], logs: Sequence[Sequence[Step]], dead: set[int], works: int = RUNS * EFFECTS
) -> int:
    """Check that all work is recorded once and no recorded work is repeated. Return how much was repeated."""
    known: dict[str, int] = {}
    for steps in logs:
        assert [step.seq for step in steps] == list(range(1, len(steps) + 1)), "the log is not dense"
        ended = [s for s in steps if s.kind in _COMPLETIONS and said(s).get("status") != "failed"]  # a fork can fail
        rows = Counter((s.kind, s.frame, s.node, s.visit, said(s).get("key")) for s in ended)
        assert set(rows.values()) == {1}, "something was recorded twice"
        known |= recorded_workers(steps)
    doers: dict[str, list[int]] = defaultdict(list)
    for pid, what in effects:
        doers[what].append(pid)
    assert doers.keys() == known.keys()
    assert len(known) == works
    for what, pids in doers.items():
        assert known[what] == pids[-1], f"{what} was recorded by {known[what]}, and repeated: {pids}"
        assert len(set(pids)) == len(pids), f"{what} was done twice by one process"
        assert set(pids[:-1]) <= dead, f"{what} was repeated, although its process survived"
    return sum(len(pids) - 1 for pids in doers.values())


_COMPLETIONS: Final = ("recorded", "node", "joined", "left")


def recorded_workers(steps: Sequence[Step]) -> dict[str, int]:
    """Return which process did each work, according to the log: its results name the process."""
    found: dict[str, int] = {}
    for step in steps:
        lines = [said(step)["value"]] if step.kind == "recorded" else []
        if step.kind == "node" and step.node in ("left", "right", "end"):
            lines = [operation[2] for operation in step.update or said(step).get("raw", ())]
        for line in lines:
            pid, _, what = line.partition(" ")
            assert what not in found, f"{what} was recorded twice"
            found[what] = int(pid)
    return found

"""Kills while a run waits, while it sleeps, and of workers that resume it."""

import asyncio
import os
from collections import defaultdict
from pathlib import Path
from random import Random

from graphengine import Runner
from tests.crash.deaths import POLL_SECONDS, Death, Employed, Ideal, Trial, done, never_recorded, staged
from tests.crash.life import RUN
from tests.kit.facts import said

SEED = int(os.environ.get("SEED", "3"))
WORKER_KILLS = max(2, int(os.environ.get("KILLS", "6")) // 4)
NAP_SECONDS = 0.3


async def test_a_kill_while_a_run_waits_costs_nothing(tmp_path: Path) -> None:
    """The holder of the waiting run dies at every wait; the questions stay open, and recorded work is not repeated."""
    async with staged() as stage:
        ideal = await Ideal.of(tmp_path / "undisturbed", stage)
        (tmp_path / "killed").mkdir()
        async with Runner(tmp_path / "killed" / "runs.db") as runner:
            trial = Trial(tmp_path / "killed", runner, stage)
            while await trial.status() != "finished":
                killed = await trial.process(Death("waiting"))
                assert killed == (await trial.status() == "waiting")
                if killed:
                    await trial.answer()
            assert len(trial.books.kills) >= 4
            assert all(map(never_recorded, trial.books.lost))
            await ideal.check(trial)
            ideal.check_costs(trial)


async def test_a_kill_while_a_run_sleeps_does_not_make_it_sleep_longer(tmp_path: Path) -> None:
    """The time at which it wakes up is unchanged; work before the sleep is not repeated."""
    async with staged() as stage:
        ideal = await Ideal.of(tmp_path / "undisturbed", stage, NAP_SECONDS)
        (tmp_path / "killed").mkdir()
        async with Runner(tmp_path / "killed" / "runs.db") as runner:
            trial = Trial(tmp_path / "killed", runner, stage, NAP_SECONDS)
            naps = 0
            while await trial.status() != "finished":
                if await trial.process(Death("asleep")):
                    (nap,) = await runner.waits(RUN)
                    naps += 1
                    assert not await trial.process(Death("never"))
                    woken = [step.at for step in await trial.steps() if said(step).get("by") == "time"]
                    assert len(woken) == naps
                    assert nap.due_at is not None
                    assert woken[-1] >= nap.due_at
                await trial.answer()
            assert naps == 2
            await ideal.check(trial)
            ideal.check_costs(trial)


async def test_workers_that_are_killed_are_replaced_by_others(tmp_path: Path) -> None:
    """Two workers share a run; one or the other dies, another continues, and only the dead one's work is repeated."""
    random = Random(SEED)  # noqa: S311 - repeatable, not for security
    async with staged() as stage:
        ideal = await Ideal.of(tmp_path / "undisturbed", stage)
        (tmp_path / "killed").mkdir()
        async with Runner(tmp_path / "killed" / "runs.db") as runner:
            trial = Trial(tmp_path / "killed", runner, stage)
            await trial.process(Death("durable", 5))
            dead = {pid for pid, _ in done(trial.lines)}
            workers = [await trial.employ(what="work") for _ in range(2)]
            for _ in range(WORKER_KILLS):
                await watch(trial, workers, random.uniform(0, ideal.seconds))
                chosen = random.randrange(2)
                dead.add(workers[chosen].pid)
                await workers[chosen].end()
                workers[chosen] = await trial.employ(what="work")
            while await trial.status() != "finished":
                await watch(trial, workers, POLL_SECONDS)
            for worker in workers:
                code, errors = await worker.end()
                assert code in (0, -9), errors
            await ideal.check(trial)
            doers: dict[str, list[int]] = defaultdict(list)
            for pid, what in done(trial.lines):
                doers[what].append(pid)
            for what, pids in doers.items():
                if not never_recorded(what):
                    assert len(set(pids)) == len(pids), f"{what} was done twice by one process"
                    assert set(pids[:-1]) <= dead, f"{what} was repeated, although its process survived"


async def watch(trial: Trial, workers: list[Employed], seconds: float) -> None:
    """Answer for this long, and until interrupted work is over: a third crash during it would give it up."""
    loop = asyncio.get_running_loop()
    ends = loop.time() + seconds
    while loop.time() < ends or await trial.at_risk():
        await asyncio.wait([worker.over for worker in workers], timeout=POLL_SECONDS)
        for worker in workers:
            if worker.over.done() and await trial.status() != "finished":
                code, errors = await worker.end()
                message = f"a worker ended with {code} before the run did: {errors}"
                raise AssertionError(message)
        await trial.answer()
        if await trial.status() == "finished":
            return

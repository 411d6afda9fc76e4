"""Kills while a run waits, and while it sleeps."""

from pathlib import Path

from graphengine import Runner
from tests.crash.deaths import Death, Ideal, Trial, never_recorded, staged
from tests.crash.life import RUN
from tests.kit.facts import said

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

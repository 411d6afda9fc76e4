"""A run that uses the whole language is killed at random points, and ends like an undisturbed one.

`KILLS=100 SEED=7 pytest -s tests/crash/test_kill_life.py` kills more often, and prints where. Every failure shows the
seed.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from random import Random
from time import monotonic

from graphengine import Runner
from tests.crash.deaths import Death, Ideal, Trial, staged

KILLS = int(os.environ.get("KILLS", "6"))
SEED = int(os.environ.get("SEED", "3"))


def where_killed(kills: Sequence[tuple[Death, int]], ideal: Ideal) -> str:
    """Describe where the kills happened, a line for each tenth of the life."""
    rows = sum(ideal.rows.values())
    tenths: list[list[str]] = [[] for _ in range(11)]
    for death, seen in kills:
        tenths[10 * seen // rows].append(death.moment)
    lines = [f"{at:2}/10: {' '.join(moments)}" for at, moments in enumerate(tenths) if moments]
    return "\n".join(lines)


async def test_a_run_that_is_killed_again_and_again_ends_as_one_that_is_not(tmp_path: Path) -> None:
    """State and log equal those of the undisturbed run; a death costs the work in flight, once."""
    random = Random(SEED)  # noqa: S311 - repeatable, not for security
    began = monotonic()
    kills: list[tuple[Death, int]] = []
    trials = lost = 0
    async with staged() as stage:
        ideal = await Ideal.of(tmp_path / "undisturbed", stage)
        while len(kills) < KILLS:
            trials += 1
            folder = tmp_path / str(trials)
            folder.mkdir()
            async with Runner(folder / "runs.db") as runner:
                trial = Trial(folder, runner, stage)
                try:
                    while await trial.status() != "finished" and len(kills) + len(trial.books.kills) < KILLS:
                        if await trial.status() == "waiting":
                            await trial.answer()
                        spare = await trial.at_risk()
                        await trial.process(Death.drawn(random, ideal.seconds, spares=bool(spare)), spare)
                    await trial.live_on()
                    await ideal.check(trial)
                    ideal.check_costs(trial)
                except AssertionError as error:
                    error.add_note(f"SEED={SEED} KILLS={KILLS}, run {trials}, kills {trial.books.kills}")
                    raise
            kills += trial.books.kills
            lost += sum(trial.books.lost.values())
    text = f"{len(kills)} kills of {trials} runs in {monotonic() - began:.1f} s, SEED={SEED}; {lost} works done twice"
    sys.stdout.write(f"{text}; where in the log:\n{where_killed(kills, ideal)}\n")
    assert len(kills) >= KILLS

"""The search: programs from a seed, those first that cross what was crossed least, until one fails.

    CROSSINGS=5000 SEED=7 python -m tests.crossing.hunt

prints the matrix, or the smallest program found that fails in the same way.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from dataclasses import dataclass, field, replace

from tests.crossing import program as p
from tests.crossing.draw import Draw, shrunk
from tests.crossing.drive import Play
from tests.crossing.matrix import FEATURES, crossed, features_of, happenings, table
from tests.crossing.world import Wrong

CANDIDATES = 20
"""Of so many programs the one is played that crosses what was crossed least."""
ON_FILES = 9
"""One in so many programs has its runs in a SQLite file: it takes three times as long."""
TREES = 16
"""One in so many programs is a tree of child runs."""
SPENDING = 14
"""One in so many programs spends under a limit and a budget."""
LARGE = 150
"""One in so many programs is large: it takes seconds."""


@dataclass
class Hunt:
    """A search.

    Args:
        seed: Where it begins.
        shrinks: Whether a program that fails is made smaller.

    Attributes:
        counts: How often each pair of features was crossed.
        played: How many programs were played.
    """

    seed: int
    shrinks: bool = True
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    played: int = 0

    def program(self, number: int) -> p.Program:
        """Return the program of a number."""
        first, turn = Draw(f"{self.seed} {number}"), number + 1
        if turn % LARGE == 0:
            return first.large()
        disk: p.Disk = "" if turn % ON_FILES else first.one("NORMAL", "FULL")
        if turn % TREES == 0:
            return replace(first.tree(), disk=disk)
        if turn % SPENDING == 0:
            return replace(first.spending(), disk=disk)
        drawn = [replace(Draw(f"{self.seed} {number} {each}").program(), disk=disk) for each in range(CANDIDATES)]
        return max(drawn, key=lambda program: sum(2.0 ** -self.counts[pair] for pair in crossed(features_of(program))))

    def play(self, number: int) -> None:
        """Play the program of a number. Raises: Wrong, with the program made small."""
        program = self.program(number)
        play = Play(program)
        self.played += 1
        try:
            play.run()
        except Exception as error:
            if not self.shrinks:
                raise
            raise Wrong(told(program, error, f"seed {self.seed}, program {number}")) from error
        around = happenings(program) | play.world.happened
        for features in play.world.features.values():
            self.counts.update(crossed(features & {*FEATURES} | around))


def outcome(program: p.Program) -> str:
    """Return how a program fails, "" if it does not: the first words, which stay the same while it gets smaller."""
    try:
        Play(program).run()
    except Exception as error:  # noqa: BLE001 - any failure counts
        return f"{type(error).__name__} {str(error).partition(':')[0]}"
    return ""


def told(program: p.Program, error: Exception, where: str) -> str:
    """Return a failure with the smallest program that was found for it."""
    how = f"{type(error).__name__} {str(error).partition(':')[0]}"
    small = shrunk(program, lambda smaller: outcome(smaller) == how)
    return f"{where}: {error}\nthe program:\n{p.written(program)}\na smaller one:\n{p.written(small)}"


def main() -> None:
    """Search as the environment says."""
    hunt = Hunt(int(os.environ.get("SEED", "1")))
    for number in range(int(os.environ.get("CROSSINGS", "1000"))):
        hunt.play(number)
    sys.stdout.write(f"{table(hunt.counts)}\n{hunt.played} programs crossed\n")


if __name__ == "__main__":
    main()

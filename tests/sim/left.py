"""Play programs, and print what is left in memory of their runs: nothing, however they ended.

python -m tests.sim.left PROGRAMS SEED
"""

import gc
import sys
from collections import Counter

from graphengine.runner.attempt import Attempt
from graphengine.runner.driving import Driving
from graphengine.runner.life import Life
from tests.sim.hunt import Hunt
from tests.sim.runner import Running


def main() -> None:
    """Do so."""
    programs, seed = sys.argv[1:]
    hunt = Hunt(seed, "runner", shrinks=False)
    while hunt.played < int(programs):
        found = hunt.next()
        assert not found.page, found.page
    gc.collect()
    left = Counter(type(each).__name__ for each in gc.get_objects() if type(each) in (Running, Life, Driving, Attempt))
    sys.stdout.write(f"{dict(left)}\n")


if __name__ == "__main__":
    main()

"""Play programs until one fails, make it small, and print it as a page.

python -m tests.sim [--seconds N | --programs N] [--seed S] [--medium engine|runner|sqlite|kill|all]
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from typing import get_args

from tests.sim.hunt import Hunt, HuntAll, Medium


def main() -> int:
    """Hunt as the command line says."""
    parser = argparse.ArgumentParser(prog="python -m tests.sim")
    parser.add_argument("--seconds", type=float, default=0.0, help="seconds of CPU time")
    parser.add_argument("--programs", type=int, default=0)
    parser.add_argument("--seed", default="1")
    parser.add_argument("--medium", choices=[*get_args(Medium), "all"], default="engine")
    given = parser.parse_args()
    most = given.programs or (10**9 if given.seconds else 1000)
    hunt = HuntAll(given.seed) if given.medium == "all" else Hunt(given.seed, given.medium)
    began = hunt.seconds
    ends: Counter[str] = Counter()
    while hunt.played < most and (not given.seconds or hunt.seconds - began < given.seconds):
        found = hunt.next()
        if found.page:
            sys.stdout.write(found.page)
            return 1
        ends[found.end] += 1
    seconds = hunt.seconds - began
    sys.stdout.write(f"{hunt.played} programs in {seconds:.0f} s of CPU: {dict(ends.most_common())}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

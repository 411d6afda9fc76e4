"""Try for a set time to make the engine lose something: `make soak SECONDS=600`.

The tests that search at random are run in turns, each with a seed of its own and as much to do as fits its share of the
time: state machines of the stores and of runs, random nests of graphs against a second interpreter, processes that are
killed, hostile input. How much fits is learned from the turns before. The first failure ends it: its output is shown
with the command that repeats it, and the exit code is 1. Without one, a summary tells what was tried.
"""

import argparse
import os
import re
import secrets
import shlex
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MOST_SHARE_SECONDS = 60.0
LEAST_SHARE_SECONDS = 4.0
CAREFUL_GROWTH = 4.0
"""How many times as much as before a turn may be given at most: what one costs is known roughly only."""
PATIENCE_SECONDS = 600.0
"""How long a turn may take beyond its share before it counts as hanging."""
SHOWN_LINES = 80


@dataclass
class Search:
    """Something that searches at random.

    Attributes:
        name: What people call it.
        tests: Arguments of pytest.
        unit: What it counts.
        amount: How much of that to do in the first turn; 0 where it does one thing only, once.
        variable: Which environment variable tells it how much.
        extra: More variables: `{seed}`, `{amount}` and `{done}` (in all turns before) are put in.
        done: How much it did.
        seconds: How long that took.
    """

    name: str
    tests: Sequence[str]
    unit: str
    amount: int
    variable: str
    extra: Mapping[str, str] = field(default_factory=dict)
    done: int = 0
    seconds: float = 0.0

    @property
    def is_there(self) -> bool:
        """Whether its tests are."""
        return (ROOT / self.tests[0]).exists()

    @property
    def is_once(self) -> bool:
        """Whether it is tried in one turn only."""
        return not self.amount

    def fitting(self, seconds: float) -> int:
        """How much fits into so many seconds."""
        if self.is_once or not self.done:
            return self.amount
        wanted = seconds * self.done / self.seconds
        return max(1, int(min(wanted, CAREFUL_GROWTH * self.done)))


SEED = {"SEED": "{seed}"}
MACHINES = {"COMMANDS": "50"}
SEARCHES = (
    Search(
        "stores in memory", ("tests/stateful/test_stores.py", "-k", "Memory"), "examples", 100, "EXAMPLES", MACHINES
    ),
    Search("stores in a file", ("tests/stateful/test_stores.py", "-k", "File"), "examples", 20, "EXAMPLES", MACHINES),
    Search("runs in memory", ("tests/stateful/test_runs.py", "-k", "Memory"), "examples", 40, "EXAMPLES", MACHINES),
    Search("runs in a file", ("tests/stateful/test_runs.py", "-k", "File"), "examples", 10, "EXAMPLES", MACHINES),
    Search("random nests", ("tests/core/test_random_nests.py",), "scenes", 300, "SCENES", {"FIRST": "{done}"}),
    Search("one life, killed", ("tests/crash/test_kill_life.py",), "kills", 4, "KILLS", SEED),
    Search("workers, killed", ("tests/crash/test_workers_life.py",), "kills", 5, "KILLS", {**SEED, "RUNS": "30"}),
    Search("hostile input", ("tests/fuzz",), "bad inputs", 500, "FUZZ", SEED),
    Search("crash points", ("tests/crash/test_crash_points.py",), "sweeps", 0, "CRASH_POINTS"),
)


def main() -> int:
    """Search until the time is over; 1 at the first failure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=600.0, help="how long to go on")
    parser.add_argument(
        "--seed", type=int, default=secrets.randbelow(10**9), help="of the first turn; the next has one more"
    )
    parser.add_argument("--only", default="", help="searches whose name holds this")
    given = parser.parse_args()
    began = time.monotonic()
    searches = [search for search in SEARCHES if search.is_there and given.only in search.name]
    if not searches:
        print(f"no search is called {given.only!r}: {', '.join(search.name for search in SEARCHES)}")
        return 2
    print(f"soaking for {given.seconds:g} s, from seed {given.seed}: {', '.join(each.name for each in searches)}")
    turns = 0
    fair_seconds = max(LEAST_SHARE_SECONDS, given.seconds / 3 / len(searches))
    while (left := began + given.seconds - time.monotonic()) > 0:
        share = min(MOST_SHARE_SECONDS, fair_seconds, left)
        search = searches.pop(0)
        if not turn(search, share, given.seed + turns, began):
            return 1
        turns += 1
        if not search.is_once:
            searches.append(search)
        if not searches:
            break
    summary(turns, given.seed, time.monotonic() - began)
    return 0


def turn(search: Search, share: float, seed: int, began: float) -> bool:
    """Let one search work for its share of the time; whether it found nothing."""
    amount = search.fitting(share)
    values = {"seed": str(seed), "amount": str(amount), "done": str(search.done)}
    environment = {search.variable: str(amount or "all")}
    environment |= {name: text.format_map(values) for name, text in search.extra.items()}
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *search.tests]
    command.append(f"--hypothesis-seed={seed}")
    started = time.monotonic()
    try:
        ended = subprocess.run(
            command, cwd=ROOT, env=os.environ | environment, capture_output=True, text=True, check=False,
            timeout=share + PATIENCE_SECONDS,
        )  # fmt: skip
        output, code = ended.stdout + ended.stderr, ended.returncode
    except subprocess.TimeoutExpired as expired:
        output = f"{expired.stdout!r}\nit hangs"
        code = -1
    seconds = time.monotonic() - started
    how = "" if code == 0 else "   FAILED"
    count = f"{amount} {search.unit}" if amount else "all of it"
    at = time.monotonic() - began
    print(f"{at:6.0f} s  {search.name:17} {count:>16} in {seconds:5.1f} s, seed {seed}{how}", flush=True)
    if code != 0:
        print("\n".join(output.splitlines()[-SHOWN_LINES:]))
        variables = " ".join(f"{name}={shlex.quote(text)}" for name, text in environment.items())
        print(f"\nto have it again: {variables} {shlex.join([*command[:4], *command[6:]])}")
        return False
    search.seconds += seconds
    search.done += amount or passed(output)
    return True


def passed(output: str) -> int:
    """How many tests passed, as pytest says."""
    found = re.search(r"(\d+) passed", output)
    return int(found[1]) if found else 0


def summary(turns: int, seed: int, seconds: float) -> None:
    """Tell what was tried."""
    counts: Counter[str] = Counter()
    for search in SEARCHES:
        counts[search.unit] += search.done
    tried = ", ".join(f"{count} {unit}" for unit, count in counts.items() if count)
    print(f"{turns} turns in {seconds:.0f} s, seeds {seed} to {seed + turns - 1}: {tried}; steps lost: 0")


if __name__ == "__main__":
    sys.exit(main())

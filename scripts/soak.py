"""Search for a set time for failures of the engine: `make soak SECONDS=600`.

The random tests run in turns, each with its own seed and as much work as fits its share of the time: the simulator,
killed processes, killed prunes, hostile input, damaged and cut-off files. Earlier turns show how much fits. The first
failure ends the search: its output is shown with the command that repeats it, and the exit code is 1. Otherwise, a
summary lists what was tried, as counted by the tests themselves.

No turn starts that would end too late, and one that takes far longer than its share is cut short, so a slow machine
tries less. A search that is cut short twice in a row counts as a failure, since it probably hangs.
"""

import argparse
import math
import os
import re
import secrets
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
MOST_SHARE_SECONDS = 60.0
LEAST_SHARE_SECONDS = 4.0
ROUNDS = 3
"""The intended number of turns of each search."""
CAREFUL_GROWTH = 4.0
"""The largest factor by which the work of a turn grows, since its cost is only known roughly."""
LONGEST = 4.0
"""How many times its share a turn can take before it is cut short, but at least `LEAST_LIMIT_SECONDS`."""
LEAST_LIMIT_SECONDS = 60.0
OVERTIME_SECONDS = 90.0
"""The longest time that the last turn can exceed the total time."""
GRACE_SECONDS = 5.0
SHOWN_LINES = 80
HANGS = "it was cut short twice in a row: it hangs"


@dataclass
class Search:
    """A random search for failures: tests that are run again and again with other seeds.

    Attributes:
        name: The name in the output.
        tests: The arguments of pytest.
        counts: For each unit, such as kills, a pattern for the output. Its first group is a number; all matches are
            added.
        variable: The environment variable that sets the amount of work; "" if the amount is fixed.
        least: The smallest amount of work, which the first turn has.
        extra: Further environment variables, in which `{seed}` is replaced.
        given: The amount of work of the last turn.
        seconds: How long the last turn took.
        shortest_seconds: The shortest time of a turn so far.
        is_stuck: Whether the last turn was cut short because it took too long.
    """

    name: str
    tests: Sequence[str]
    counts: Mapping[str, str]
    variable: str = ""
    least: int = 1
    extra: Mapping[str, str] = field(default_factory=dict)
    given: int = 0
    seconds: float = 0.0
    shortest_seconds: float = 0.0
    is_stuck: bool = False

    def fitting(self, seconds: float) -> int:
        """Return the amount of work that probably fits into this many seconds, judging by the last turn."""
        if self.is_stuck or not self.given:
            return self.least
        wanted = min(seconds * self.given / self.seconds, CAREFUL_GROWTH * self.given)
        return max(self.least, int(wanted))

    def took(self, amount: int, seconds: float) -> None:
        """Remember the amount of work and the time of a turn."""
        self.given, self.seconds, self.is_stuck = amount, seconds, False
        self.shortest_seconds = min(self.shortest_seconds or math.inf, seconds)

    def counted(self, output: str) -> Counter[str]:
        """Return what a turn has tried, by unit, from its output."""
        found: Counter[str] = Counter()
        for unit, pattern in self.counts.items():
            found[unit] = sum(int(number) for number in re.findall(pattern, output))
        return found


SEED = {"SEED": "{seed}"}
KILLS = {"kills": r"(\d+) kills"}
DAMAGES = {"damages": r"(?:flipped|truncations|repaired): (\d+)"}
CUTS = {"cuts": r"'cuts [a-z ]+': (\d+)", "damages": r"bytes of the log flipped: (\d+)"}
DAMAGED = ("tests/databases/test_sqlite_damage.py", "-k", "flipped_byte or cut_off or repair_loses")


def searches() -> Sequence[Search]:
    return (
        Search("one life, killed", ("tests/crash/test_kill_life.py",), KILLS, "KILLS", 4, SEED),
        Search("workers, killed", ("tests/crash/test_workers_life.py",), KILLS, "KILLS", 5, {**SEED, "RUNS": "30"}),
        Search("connections, cut", ("tests/crash/test_postgres_cuts.py", "-k", "cut"),
               {"cuts": r"(\d+) connections were cut"}, "CUTS", 12, SEED),
        Search("crash points", ("tests/crash/test_crash_points.py",), KILLS, "CRASH_POINTS", 10, SEED),
        Search("prunes, killed", ("tests/crash/test_kill_prune.py",), {"kills": r"(\d+) kills,"}, extra=SEED),
        Search("damaged files", DAMAGED, DAMAGES, "DAMAGE", 150, SEED),
        Search("power cuts", ("tests/databases/test_sqlite_power.py", "-k", "cut or damaged"), CUTS,
               extra={**SEED, "CUTS": "all"}),
        Search("hostile input", ("tests/fuzz",), {"bad inputs": r"(\d+) bad inputs"}, "FUZZ", 60),
        Search("the simulator", ("tests/sim", "-k", "given_seed"), {"programs": r"(\d+) programs played"}, "PROGRAMS",
               100, SEED),
    )  # fmt: skip


class Outcome(NamedTuple):
    """The outcome of a command: its output, and its exit code. The code is None if the command was cut short."""

    code: int | None
    output: str


class Soak:
    """Runs several searches in turns, until the time is over or a search fails.

    Args:
        waiting: The searches.
        seconds: How long to continue.
        seed: The seed of the first turn. Each turn adds 1 to the seed.
        launch: Runs a command with environment variables, for at most the given number of seconds.
        now: Returns the time in seconds.
        say: Prints a line.
    """

    def __init__(  # noqa: PLR0913 - the last three are replaced in tests
        self,
        waiting: Sequence[Search],
        seconds: float,
        seed: int,
        launch: Callable[[Sequence[str], Mapping[str, str], float], Outcome],
        now: Callable[[], float] = time.monotonic,
        say: Callable[[str], object] = print,
    ) -> None:
        self._waiting = deque(waiting)
        self._share = max(LEAST_SHARE_SECONDS, min(MOST_SHARE_SECONDS, seconds / ROUNDS / len(waiting)))
        self._launch, self._now, self._say = launch, now, say
        self._began = now()
        self._seconds = seconds
        self._seed = seed
        self.turns = 0
        self.done: Counter[str] = Counter()

    @property
    def left(self) -> float:
        """The number of seconds that are left."""
        return self._began + self._seconds - self._now()

    def go(self) -> int:
        """Run searches in turns until the time is over. Return 1 at the first failure, else 0."""
        while (search := self._next()) is not None:
            found = self._turn(search)
            if found:
                self._say(found)
                self._summary("1 failure")
                return 1
        self._summary("steps lost: 0")
        return 0

    def _next(self) -> Search | None:
        """Return the search for the next turn: among those that can end in time, the one that has waited longest."""
        for search in self._waiting:
            if self.left > search.shortest_seconds:
                self._waiting.remove(search)
                self._waiting.append(search)
                return search
        return None

    def _turn(self, search: Search) -> str:
        """Run one turn of a search. Return a description of the failure, or ""."""
        share, seed = min(self._share, self.left), self._seed + self.turns
        amount = search.fitting(share)
        limit_seconds = min(max(LONGEST * share, LEAST_LIMIT_SECONDS), self.left + OVERTIME_SECONDS)
        variables = {name: text.format(seed=seed) for name, text in search.extra.items()}
        variables |= {search.variable: str(amount)} if search.variable else {}
        command = ["-m", "pytest", "-q", "-x", "-s", *search.tests, f"--hypothesis-seed={seed}"]
        started = self._now()
        code, output = self._launch(command, {**variables, "SHRINK": "0"}, limit_seconds)
        seconds = self._now() - started
        self.turns += 1
        counts = search.counted(output) if code == 0 else Counter[str]()
        text = ", ".join(f"{count} {unit}" for unit, count in counts.items())
        how = text or ("cut short" if code is None else "FAILED")
        self._say(f"{self._now() - self._began:6.0f} s  {search.name:17} {how:>24} in {seconds:5.1f} s, seed {seed}")
        if code is None and not search.is_stuck:
            search.is_stuck = True
            return ""
        if code != 0 or not counts.total():
            reason = {0: "it passed, and did nothing that it counts", None: HANGS}.get(code, "")
            words = " ".join(f"{name}={shlex.quote(text)}" for name, text in variables.items())
            shown = "\n".join(output.splitlines()[-SHOWN_LINES:])
            again = f"{words} {shlex.join([sys.executable, *command])}".strip()
            return f"{shown}\n{reason}\nto have it again: {again}"
        search.took(amount, seconds)
        self.done += counts
        return ""

    def _summary(self, end: str) -> None:
        """Print how long the searches ran and what they tried."""
        tried = "".join(f"{count} {unit}, " for unit, count in self.done.items())
        stuck = [search.name for search in self._waiting if search.is_stuck]
        cut = f"cut short and not tried again: {', '.join(stuck)}; " if stuck else ""
        began = f"{self.turns} turns in {self._now() - self._began:.0f} s"
        seeds = f"seeds {self._seed} to {self._seed + self.turns - 1}"
        self._say(f"{began}, {seeds}: {tried.rstrip(', ')}; {cut}{end}")


def launched(command: Sequence[str], variables: Mapping[str, str], limit_seconds: float) -> Outcome:
    """Run Python with these arguments. If this takes too long, kill the process and its child processes."""
    with tempfile.TemporaryDirectory(prefix="graphengine-soak-") as folder, tempfile.TemporaryFile() as output:
        Path(folder).chmod(0o711)  # another user runs PostgreSQL, if this one is root
        options = ("-p", "no:cacheprovider", "-o", "faulthandler_timeout=0")  # the limit is here
        process = subprocess.Popen(
            [sys.executable, *command, *options], cwd=ROOT, stdout=output, stderr=subprocess.STDOUT,
            env={**os.environ, **variables, "TMPDIR": folder}, start_new_session=True,
        )  # fmt: skip
        code: int | None = None
        try:
            code = process.wait(limit_seconds)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGINT)  # it prints the location
            with suppress(subprocess.TimeoutExpired):
                process.wait(GRACE_SECONDS)
        finally:
            if code is None:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        output.seek(0)
        return Outcome(code, output.read().decode(errors="replace"))


def main() -> int:
    """Run the searches that the options select until the time is over. Return 1 at the first failure, else 0."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--seconds", type=float, default=600.0, help="how long to continue")
    parser.add_argument(
        "--seed",
        type=int,
        default=secrets.randbelow(10**9),
        help="the seed of the first turn; each next one is one more",
    )
    parser.add_argument("--only", default="", help="only searches whose name contains this")
    given = parser.parse_args()
    chosen = [search for search in searches() if given.only in search.name]
    if not chosen:
        print(f"no search has {given.only!r} in its name: {', '.join(search.name for search in searches())}")
        return 2
    print(f"soaking for {given.seconds:g} s, from seed {given.seed}: {', '.join(each.name for each in chosen)}")
    return Soak(chosen, given.seconds, given.seed, launched, say=lambda text: print(text, flush=True)).go()


if __name__ == "__main__":
    sys.exit(main())

"""Kill the main job with SIGKILL at random moments, resume it, and compare with an undisturbed run.

    .venv/bin/python scripts/kill_review_loop.py [--kills 20] [--seed 1]

Prints a line for each kill: after how many seconds, at which seq of the log, and the outcome of the resumed run. Exits
with 1 if any resumed run differs from the undisturbed one in its state or in its recorded visits, or if fewer than
three quarters of the kills happened between the first and the last recorded step.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).resolve().parent.parent
GRAPH = ROOT / "scripts" / "slow_review_loop.py"


@dataclass(frozen=True)
class Outcome:
    """What a run ended with: its status, its state, its completed visits, and the number of its last step."""

    status: str
    state: Any
    visits: list[tuple[str, int]]
    last_seq: int


def begin(*words: str) -> subprocess.Popen[str]:
    """Start a command of graphengine without waiting for its end. The caller can read its stderr."""
    words = (sys.executable, "-m", "graphengine", *words)
    return subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, cwd=ROOT)


def call(*words: str) -> subprocess.CompletedProcess[str]:
    """Run a command of graphengine to its end."""
    words = (sys.executable, "-m", "graphengine", *words)
    return subprocess.run(words, capture_output=True, text=True, cwd=ROOT, check=False)


def start(run_id: str, database: Path) -> subprocess.Popen[str]:
    """Start a run of the review loop, and return once its first step is durable and its first node has begun."""
    process = begin("run", str(GRAPH), "--run-id", run_id, "--store", str(database))
    for line in process.stderr or ():
        if "research" in line:
            break
    return process


def recorded(run_id: str, database: Path) -> Outcome:
    """Read what is recorded about a run."""
    document = json.loads(call("show", run_id, "--json", "--store", str(database)).stdout)
    steps = document["steps"]
    visits = sorted((step["path"], step["visit"]) for step in steps if step["kind"] == "node")
    return Outcome(document["status"], document["state"], visits, steps[-1]["seq"])


def resume(run_id: str, database: Path) -> None:
    """Resume a run whose process was killed."""
    call("resume", run_id, "--graph", str(GRAPH), "--store", str(database)).check_returncode()


def undisturbed(database: Path) -> tuple[Outcome, float]:
    """Run the review loop without killing it.

    Returns:
        The outcome, and the seconds from the first step to the end.
    """
    process = start("undisturbed", database)
    began = time.monotonic()
    seconds = 0.0
    for line in process.stderr or ():
        if line.startswith("finished"):
            seconds = time.monotonic() - began
    process.communicate()
    return recorded("undisturbed", database), seconds


def killed(run_id: str, after_seconds: float, database: Path) -> tuple[int, bool, Outcome]:
    """Start a run, kill its process after this time, and resume the run.

    Returns:
        The number of the last step before the kill, whether the kill interrupted the run, and the outcome.
    """
    process = start(run_id, database)
    time.sleep(after_seconds)
    process.kill()
    process.communicate()
    before = recorded(run_id, database)
    was_cut = before.status == "interrupted"
    if was_cut:
        resume(run_id, database)
    return before.last_seq, was_cut, recorded(run_id, database)


def main(arguments: Sequence[str] | None = None) -> int:
    """Kill and resume as many runs as `--kills` says, and compare each with a run that was not killed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))  # noqa: S311
    given = parser.parse_args(arguments)
    chance = random.Random(given.seed)  # noqa: S311
    with tempfile.TemporaryDirectory() as folder:
        database = Path(folder) / "runs.db"
        wanted, seconds = undisturbed(database)
        print(f"undisturbed: {wanted.last_seq} steps in {seconds:.1f} s, visits {wanted.visits}; seed {given.seed}")
        wrong = between = 0
        for number in range(1, given.kills + 1):
            after = chance.uniform(0, seconds)
            seq, running, outcome = killed(f"kill-{number}", after, database)
            same = (outcome.status, outcome.state, outcome.visits) == (wanted.status, wanted.state, wanted.visits)
            wrong += not same
            between += running
            text = "resumed to the same end" if same and running else "had ended" if same else "DIFFERS"
            print(f"kill {number:2}: after {after:4.2f} s, at seq {seq} of {wanted.last_seq}: {text}")
        print(f"{between} of {given.kills} kills between the first and the last step; {wrong} outcomes differ")
        return int(wrong > 0 or between < 0.75 * given.kills)


if __name__ == "__main__":
    sys.exit(main())

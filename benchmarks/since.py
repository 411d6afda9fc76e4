"""What short runs cost now and at earlier commits, so that nothing gets slower in silence.

    python -m benchmarks.since COMMIT [COMMIT …]           CPU time and operations, of each row
    python -m benchmarks.since COMMIT --instructions       also instructions, if valgrind is installed (minutes)
    python -m benchmarks.since COMMIT --rows "take and drive"
    python -m benchmarks.since COMMIT --commands           instructions of whole processes; needs valgrind

Each side is a process of its own over the package as it was at that commit (`git archive`), with the libraries and the
programs of today. The sides take turns. CPU time is the least of all rounds, since other work only adds to it.
Operations of the interpreter and instructions of the processor are counted once: whatever else the machine does, they
hardly change. Operations leave out what is written in C, and a call of a function, which is dear, counts as one.
Instructions have all of that, but neither caches nor the kernel.
"""

from __future__ import annotations

import argparse
import io
import os
import re
import subprocess
import sys
import tarfile
import tempfile
from contextlib import ExitStack
from pathlib import Path
from shutil import which
from typing import TYPE_CHECKING, Final, Self

from benchmarks.measure import Figure, amount
from benchmarks.since_commands import commands
from benchmarks.since_rows import READY, ROWS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ROOT: Final = Path(__file__).parents[1]
NOW: Final = "now"
VALGRIND: Final = ("valgrind", "-q", "--tool=callgrind", "--instr-atstart=no")
UNITS: Final[Mapping[str, str]] = {"cpu": "µs", "operations": "", "instructions": ""}


def main() -> None:
    """Compare the cost of short runs at some commits with their cost in the working tree."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.since", description=main.__doc__)
    parser.add_argument("commits", nargs="+", metavar="COMMIT")
    parser.add_argument("--rows", nargs="+", default=list(ROWS), choices=ROWS, metavar="ROW", help="; ".join(ROWS))
    parser.add_argument("--rounds", type=int, default=15, help="rounds of CPU time (15)")
    parser.add_argument("--instructions", action="store_true", help="count instructions too, by valgrind")
    parser.add_argument("--commands", action="store_true", help="count the instructions of commands alone")
    given = parser.parse_args()
    if (given.instructions or given.commands) and which("callgrind_control") is None:
        parser.error("--instructions and --commands need valgrind")
    with tempfile.TemporaryDirectory() as folder:
        trees = {commit: tree_of(commit, Path(folder) / commit.replace("/", "_")) for commit in given.commits}
        trees[NOW] = ROOT
        if given.commands:
            print(table("instructions", commands(trees)))
            return
        print(table("cpu", compared(trees, given.rows, "cpu", given.rounds)))
        print(table("operations", compared(trees, given.rows, "operations")))
        if given.instructions:
            print(table("instructions", compared(trees, given.rows, "instructions")))


def tree_of(commit: str, folder: Path) -> Path:
    """Write the package as it was at a commit into a folder, and return the folder."""
    command = ["git", "archive", commit, "graphengine"]
    packed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True)  # noqa: S603 - of this repository
    with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as archive:
        archive.extractall(folder, filter="data")
    return folder


def compared(
    trees: Mapping[str, Path], rows: Sequence[str], measure: str, rounds: int = 1, share: float = 1.0
) -> dict[str, dict[str, Figure]]:
    """Measure the rows on all sides, which take turns in every round. Return the figures by row and side."""
    with ExitStack() as stack:
        sides = {name: stack.enter_context(Process(tree, measure)) for name, tree in trees.items()}
        found: dict[str, dict[str, Figure]] = {}
        for row in rows:
            print(f"{measure}: {row}", file=sys.stderr)
            turns = [{name: side.round(row, share) for name, side in sides.items()} for _ in range(rounds)]
            found[row] = {name: Figure(name, UNITS[measure], tuple(turn[name] for turn in turns)) for name in sides}
    return found


def table(measure: str, found: Mapping[str, Mapping[str, Figure]]) -> str:
    """Return a table with the smallest figure of each side, and the ratio of the last side to each other side."""
    names = list(next(iter(found.values())))
    *earlier, now = names
    head = [f"{measure}, a run", *names, *(f"{now} / {name}" for name in earlier)]
    lines = [head, ["---"] * len(head)]
    for row, figures in found.items():
        least = {name: min(figure.rounds) for name, figure in figures.items()}
        shown = [amount(least[name], figures[name].unit) for name in names]
        lines.append([row, *shown, *(f"{least[now] / least[name]:.3f}" for name in earlier)])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


class Process:
    """A process that measures the rows with the package of one side.

    Args:
        tree: The folder from which the process imports `graphengine`.
        measure: What the process measures: `cpu`, `operations` or `instructions`.
    """

    def __init__(self, tree: Path, measure: str) -> None:
        self._measure = measure
        self._folder = tempfile.TemporaryDirectory()
        self._counts = Path(self._folder.name) / "counts"
        words = [sys.executable, "-P", "-m", "benchmarks.since_rows"]
        if measure == "instructions":
            words = [
                "valgrind",
                "-q",
                "--tool=callgrind",
                "--instr-atstart=no",
                f"--callgrind-out-file={self._counts}",
                *words,
            ]
        paths = {"PYTHONPATH": os.pathsep.join(map(str, (tree, ROOT))), "PYTHONHASHSEED": "0"}
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(words, stdin=pipe, stdout=pipe, text=True, env=os.environ | paths)  # noqa: S603

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()
        self._folder.cleanup()

    def round(self, row: str, share: float = 1.0) -> float:
        """Run one round of a row in the process. Return the cost per run."""
        runs = max(int(ROWS[row][1] * share), 1)
        if self._ask(f"{self._measure}\t{share}\t{row}") != READY:
            message = f"{row!r} does not run there"
            raise RuntimeError(message)
        if self._measure != "instructions":
            return float(self._ask(""))
        self._control("--instr=on")
        self._ask("")
        self._control("--dump")
        self._control("--instr=off")
        newest = max(self._counts.parent.iterdir(), key=lambda path: path.stat().st_mtime_ns)
        return int(re.findall(r"^totals: (\d+)", newest.read_text(encoding="utf-8"), re.MULTILINE)[0]) / runs

    def _ask(self, line: str) -> str:
        assert self._process.stdin is not None  # noqa: S101 - made so above
        assert self._process.stdout is not None  # noqa: S101 - as above
        print(line, file=self._process.stdin, flush=True)
        return self._process.stdout.readline().rstrip("\n")

    def _control(self, word: str) -> None:
        command = ["callgrind_control", word, str(self._process.pid)]
        subprocess.run(command, check=True, capture_output=True)  # noqa: S603 - our own process


if __name__ == "__main__":
    main()

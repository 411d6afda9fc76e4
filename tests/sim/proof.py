"""Proof that the simulator finds faults: known ones and drawn ones are put into a copy of the package, one by one.

    python -m tests.sim.proof [--seconds N] [--seed S] [--mutants N] [--reverts]

prints for each fault after how many programs and seconds of CPU time the simulator and the crossing find it, or that
they do not within N seconds. The known faults are the repairs that `tests/crossing/reverts.py` undoes. The drawn ones
are made of the syntax tree of the engine, without anybody's choice: one comparison, `and`, `not` or small number is
turned into another. Some of them change nothing that can be seen, so neither side finds them.

With seed 1, the programs until a known fault is found, within 15 s of CPU time; the first half of it is the pure
engine's, which plays most of them. The crossing's were counted before, within 10 to 15 s:

                                           simulator  crossing
    waits in an effect                          1413        24
    items that wait                               29         1
    effects by their record                     1530     > 117
    turns that fail for good                       -         8
    calls after the limit                          -        14
    trees that are stopped                         -        96
    children that are needed                    1518        26
    decisions by their record                      -     > 131
    conversations by what they are given        1608        65
    edges by the spec in force                  1549         1
    answers by the id of their question        hangs        14

With seed 2, and a tenth of the time in the pure engine, the decisions are found after 391 programs; with seed 3 they
are not. The simulator draws no chats, and no deep tree of child runs that is stopped while it grows: those are the
drawings to add. Agents that spend side by side under a limit are drawn too seldom for the calls after it. Of 20 drawn
faults, within 5 s each, an earlier simulator found 14 and the crossing 11; neither found 6.
"""

from __future__ import annotations

import argparse
import ast
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from random import Random
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).resolve().parents[2]
MOST_SECONDS: Final = 60
"""After so many seconds of CPU time a process hangs."""
PARTS: Final = (
    "fold*.py", "ready*.py", "decide*.py", "rules/*.py", "frame_tree.py", "phases.py", "map_items.py", "open_waits.py",
    "routing.py", "trackers.py", "field_ops.py",
)  # fmt: skip
"""What of `graphengine/engine` moves a run."""
TURNED: Final[Mapping[type[ast.cmpop], str]] = {
    ast.Eq: "!=", ast.NotEq: "==", ast.Lt: "<=", ast.LtE: "<", ast.Gt: ">=", ast.GtE: ">", ast.Is: "is not",
    ast.IsNot: "is", ast.In: "not in", ast.NotIn: "in",
}  # fmt: skip
_OURS: Final = """
import sys, time
from tests.sim.hunt import Hunt
began, seconds, played = time.process_time(), float(sys.argv[2]), 0
for medium, until in (("engine", seconds * float(sys.argv[3])), ("runner", seconds)):
    hunt = Hunt(sys.argv[1], medium, shrinks=False)
    while time.process_time() - began < until:
        found = hunt.next()
        if found.page:
            print(f"{played + hunt.played} programs, {time.process_time() - began:.1f} s, {medium}: {found.end[1:60]}")
            sys.exit()
    played += hunt.played
print(f"not within {played} programs")
"""
_THEIRS: Final = """
import sys, time
from tests.crossing.hunt import Hunt
began, seconds = time.process_time(), float(sys.argv[2])
hunt = Hunt(int(sys.argv[1]), shrinks=False)
while time.process_time() - began < seconds:
    try:
        hunt.play(hunt.played)
    except Exception as error:
        print(f"{hunt.played} programs, {time.process_time() - began:.1f} s: {str(error).splitlines()[0][:60]}")
        break
else:
    print(f"not within {hunt.played} programs")
"""


class Edit(NamedTuple):
    """A change of one file of the package, at a place in its text."""

    file: str
    at: int
    old: str
    new: str


def mutants(seed: object, number: int) -> Iterator[tuple[str, tuple[Edit, ...]]]:
    """Yield so many changes, drawn among all that can be made."""
    engine = ROOT / "graphengine" / "engine"
    found = [edit for part in PARTS for path in sorted(engine.glob(part)) for edit in edits(path)]
    for edit in Random(str(seed)).sample(found, number):  # noqa: S311 - no secret
        line = (ROOT / "graphengine" / edit.file).read_text(encoding="utf-8")[: edit.at].count("\n") + 1
        yield f"{edit.file.removeprefix('engine/')}:{line} {edit.old} -> {edit.new}", (edit,)


def edits(path: Path) -> Iterator[Edit]:
    """Yield all changes of a file that can be made."""
    text = path.read_text(encoding="utf-8")
    file = str(path.relative_to(ROOT / "graphengine"))
    starts = [0]
    for line in text.encode().splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    is_plain = len(text) == len(text.encode())
    for node in ast.walk(ast.parse(text)) if is_plain else ():
        for end, begin, new in turns(node):
            first = starts[end[0] - 1] + end[1]
            old = text[first : starts[begin[0] - 1] + begin[1]]
            word = old.strip(" ()\n")
            if word and "\n" not in old:
                yield Edit(file, first + old.index(word), word, new)


Place = tuple[int, int]


def turns(node: ast.AST) -> Iterator[tuple[Place, Place, str]]:
    """Yield between which two places of a file a word can be replaced, and by what."""
    if isinstance(node, ast.Compare) and len(node.ops) == 1:
        yield _end(node.left), _begin(node.comparators[0]), TURNED[type(node.ops[0])]
    elif isinstance(node, ast.BoolOp):
        yield _end(node.values[0]), _begin(node.values[1]), "or" if isinstance(node.op, ast.And) else "and"
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield _begin(node), _begin(node.operand), "not not"
    elif isinstance(node, ast.Constant) and type(node.value) is int and node.value < 10:
        yield _begin(node), _end(node), str(node.value + 1)


def _begin(node: ast.expr) -> Place:
    return node.lineno, node.col_offset


def _end(node: ast.expr) -> Place:
    return node.end_lineno or 0, node.end_col_offset or 0


def reverts() -> Iterator[tuple[str, tuple[Edit, ...]]]:
    """Yield the repairs that the crossing undoes."""
    from tests.crossing.reverts import REVERTS  # noqa: PLC0415 - it may be gone some day

    for name, revert in REVERTS.items():
        texts = {file: (ROOT / "graphengine" / file).read_text(encoding="utf-8") for file, _, _ in revert.edits}
        yield name, tuple(Edit(file, texts[file].index(has), has, had) for file, has, had in revert.edits)


def said(edits: tuple[Edit, ...], code: str, *given: str) -> str:
    """Return what a program prints where these changes are made."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        ignored = shutil.ignore_patterns("node_modules", "__pycache__", "page")
        shutil.copytree(ROOT / "graphengine", copy / "graphengine", ignore=ignored)
        (copy / "tests").symlink_to(ROOT / "tests")
        for edit in sorted(edits, key=lambda edit: -edit.at):
            path = copy / "graphengine" / edit.file
            text = path.read_text(encoding="utf-8")
            path.write_text(text[: edit.at] + edit.new + text[edit.at + len(edit.old) :], encoding="utf-8")
        environment = {**os.environ, "PYTHONPATH": folder, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONWARNINGS": "ignore"}
        command = [sys.executable, "-c", code, *given]
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, check=False, preexec_fn=_limited
        )  # fmt: skip
    if done.returncode < 0:
        return "it hangs"
    return done.stdout.strip() or f"0 programs: {(done.stderr.strip().splitlines() or ['nothing said'])[-1][:60]}"


def _limited() -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (MOST_SECONDS, MOST_SECONDS))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.sim.proof")
    parser.add_argument("--seconds", type=float, default=20.0, help="seconds of CPU time for each fault and side")
    parser.add_argument("--share", type=float, default=0.5, help="the share of them in the pure engine")
    parser.add_argument("--seed", default="1")
    parser.add_argument("--mutants", type=int, default=0)
    parser.add_argument("--reverts", action="store_true")
    given = parser.parse_args()
    faults = [*(reverts() if given.reverts else ()), *mutants(given.seed, given.mutants)]
    counts = [0, 0]
    for name, changes in faults:
        sides = [
            said(changes, _OURS, given.seed, str(given.seconds), str(given.share)),
            said(changes, _THEIRS, given.seed, str(given.seconds)),
        ]
        counts = [count + (not side.startswith("not ")) for count, side in zip(counts, sides, strict=True)]
        sys.stdout.write(f"{name}\n  simulator  {sides[0]}\n  crossing   {sides[1]}\n")
        sys.stdout.flush()
    sys.stdout.write(f"of {len(faults)} faults: simulator {counts[0]}, crossing {counts[1]}\n")


if __name__ == "__main__":
    main()

"""Proof that the simulator finds faults: known ones and drawn ones are put into a copy of the package, one by one.

    python -m tests.sim.proof [--seconds N] [--seed S] [--mutants N] [--parts PART …] [--reverts] [--kept FILE]

prints for each fault whether the simulator finds it within N seconds of CPU time, or else which of its kept pages does;
at the end a table. With `--kept` a run that was ended goes on where it was. The known faults are those of `faults`. The
drawn ones are made of the syntax tree of the engine, the claim and the stores, a third in each, without anybody's
choice: one comparison, `and`, `not` or small number is turned into another. Many of them change nothing that can be
seen, so nobody finds them. A program that hangs counts as found.

Before the older simulators left, all of them were measured on 2026-11-30, beside other work, with 5 s a side: the
crossing, which also played programs through a Runner; state machines of runs and of stores under random commands; and
random graphs, forks and nests against a second interpreter of the engine's rules. An older one was asked for what the
simulator and its pages had not found:

                                 put in  simulator  its pages  crossing  state machines  random graphs  nobody
    seed 20261130: engine            20          9          1         0               0              0      10
    seed 20261130: claim             19          6          1         0               1              0      11
    seed 20261130: stores            19         15          1         0               0              0       3
    seed 20261201: engine             7          4          0         0    not measured              0       3

These are the first 58 of 120 and 7 of 50 faults; the time was over then. The fault that only the state machines found
is in `Life.deliver`: messages do not reach a run that is driven here. `tests/databases/runs/test_final_stops.py` finds
it. Of the known faults the older ones alone had found these, which no program shows and a plain test finds:

- "tasks that fall asleep": `tests/runner/waits/test_at_limits.py`
- "visits of several arms": the page `fork_marks` of `tests/scenarios`
- "trees that are stopped": `tests/worker/test_run_trees.py`
- "questions by their record": `tests/agents/runs/test_decisions_kept.py`

Pages of `tests/scenarios` also find known faults that neither the simulator nor random graphs found: "items that were
settled", "questions of items", "slots of failed items" and "outermost limits".

What programs cannot show: usage of a graph inside, limits of tokens and seconds, validators of the whole state,
reducers but those of `build.State`, approvals of calls that are made at once, effects of the kinds `idempotent` and
`reconcile`, writes of several threads at the same moment, callers that are cancelled, rates of queues, damaged files.
Owners that command stores and runs that a Runner drives do not meet in one file.

What nobody finds: ends of children in special states (trimmed, of a retried graph, under another input), mail that
comes beside a time, stops of what has ended, claims that are cancelled, nodes that begin in a process that lost its
run.

These figures are from before programs had peers, messages between runs, `after=`, workers (`beside`), branches, full
stores, deployments of a child's code, migrations and transactions. Of these, few programs have the last five: their
known faults are found by pages, and seldom within seconds.

The simulator draws no `choose`, no pauses, no chats with hand-overs and no effects among tools called at once. It draws
trims, limits of queues and tenants as commands to stores alone. The migrations that it draws rename all nodes
and add a field; it draws no migration that moves a run or that is refused. It draws transactions in memory alone.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Final, NamedTuple

from tests.sim.faults import FAULTS

ROOT: Final = Path(__file__).resolve().parents[2]
MORE_SECONDS: Final = 30
"""A process that takes so many seconds of CPU time more than it is given hangs."""
WAITS_SECONDS: Final = 300
"""So does one that takes so long in all."""
PARTS: Final[Mapping[str, Sequence[str]]] = {
    "engine": (
        "engine/fold*.py", "engine/ready*.py", "engine/machine*.py", "engine/session.py", "engine/rules/*.py",
        "engine/frame_tree.py", "engine/phases.py", "engine/map_items.py", "engine/open_waits.py", "engine/routing.py",
        "engine/trackers.py", "engine/field_ops.py",
    ),
    "claim": (
        "engine/claim.py", "runner/life.py", "runner/driving.py", "runner/opening.py", "runner/recorded_work.py",
        "runner/once_effects.py", "runner/attempt.py", "runner/scope.py", "runner/answers.py", "runner/run.py",
        "runner/shared.py", "runner/call_records.py", "runner/context.py",
    ),
    "stores": (
        "databases/sqlite/store.py", "databases/sqlite/writes.py", "databases/sqlite/commits.py",
        "databases/sqlite/direct.py", "databases/sqlite/owners.py", "databases/sqlite/reads.py",
        "databases/sqlite/worker.py", "databases/sqlite/checkpoints.py", "databases/sql.py", "databases/snapshots.py",
        "databases/long_texts.py", "stores/memory.py", "records/kept_children.py", "records/retention.py",
    ),
}  # fmt: skip
"""What of the package moves a run, claims it and stores it; a third of the drawn faults is in each."""
TURNED: Final[Mapping[type[ast.cmpop], str]] = {
    ast.Eq: "!=", ast.NotEq: "==", ast.Lt: "<=", ast.LtE: "<", ast.Gt: ">=", ast.GtE: ">", ast.Is: "is not",
    ast.IsNot: "is", ast.In: "not in", ast.NotIn: "in",
}  # fmt: skip
_OURS: Final = """
import sys, time
from tests.sim.hunt import HuntAll
began, seconds = time.process_time(), float(sys.argv[2])
hunt = HuntAll(sys.argv[1], shrinks=False)
while time.process_time() - began < seconds:
    found = hunt.next()
    if found.page:
        where = found.page.partition(":")[0].split()[-1]
        print(f"{hunt.played} programs, {time.process_time() - began:.1f} s, {where}: {found.end[1:60]}")
        break
else:
    print(f"not within {hunt.played} programs")
"""
_PAGES: Final = """
import sys
from tests.sim.hunt import kept, wrong
for stem, program, medium in kept():
    why = wrong(program, medium) or ""
    if why.startswith("!"):
        print(f"page {stem}: {why[1:60]}")
        break
else:
    print("not on a page")
"""
SIDES: Final[Mapping[str, str]] = {"simulator": _OURS, "pages": _PAGES}
"""Who looks for a fault, each if those before it do not find it: a program that is given a seed and seconds, and says
what it found."""


class Edit(NamedTuple):
    """A change of one file of the package, at a place in its text."""

    file: str
    at: int
    old: str
    new: str


def mutants(seed: object, number: int) -> Iterator[tuple[str, tuple[Edit, ...]]]:
    """Yield so many changes, drawn among all that can be made, a third of them in each part."""
    package, random = ROOT / "graphengine", Random(str(seed))  # noqa: S311 - no secret
    for place, (part, names) in enumerate(PARTS.items()):
        found = [edit for name in names for path in sorted(package.glob(name)) for edit in edits(path)]
        for edit in random.sample(found, number // len(PARTS) + (place < number % len(PARTS))):
            line = (package / edit.file).read_text(encoding="utf-8")[: edit.at].count("\n") + 1
            yield f"{part}: {edit.file}:{line} {edit.old} -> {edit.new}", (edit,)


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


def known() -> Iterator[tuple[str, tuple[Edit, ...]]]:
    """Yield the known faults."""
    for name, fault in FAULTS.items():
        texts = {file: (ROOT / "graphengine" / file).read_text(encoding="utf-8") for file, _, _ in fault.edits}
        yield name, tuple(Edit(file, texts[file].index(has), has, had) for file, has, had in fault.edits)


@contextlib.contextmanager
def changed(edits: Sequence[Edit]) -> Iterator[str]:
    """Provide a folder with a copy of the package where these changes are made."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        ignored = shutil.ignore_patterns("node_modules", "__pycache__", "page")
        shutil.copytree(ROOT / "graphengine", copy / "graphengine", ignore=ignored)
        (copy / "tests").symlink_to(ROOT / "tests")
        for edit in sorted(edits, key=lambda edit: -edit.at):
            path = copy / "graphengine" / edit.file
            text = path.read_text(encoding="utf-8")
            path.write_text(text[: edit.at] + edit.new + text[edit.at + len(edit.old) :], encoding="utf-8")
        yield folder


def asked(folder: str, code: str, seed: str, seconds: float) -> str:
    """Return what a program prints that is given a seed and seconds of CPU time."""
    environment = {**os.environ, "PYTHONPATH": folder, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONWARNINGS": "ignore"}
    most = int(seconds) + MORE_SECONDS
    command = [sys.executable, "-c", code, seed, str(seconds)]
    try:
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, check=False,
            timeout=WAITS_SECONDS, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CPU, (most, most)),
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return "it hangs"
    if done.returncode < 0:
        return "it hangs"
    return done.stdout.strip() or f"0 programs: {(done.stderr.strip().splitlines() or ['nothing said'])[-1][:60]}"


def main() -> None:
    """Print who finds each fault, and at the end who finds what."""
    parser = argparse.ArgumentParser(prog="python -m tests.sim.proof")
    parser.add_argument("--seconds", type=float, default=20.0, help="seconds of CPU time for each fault")
    parser.add_argument("--seed", default="1")
    parser.add_argument("--mutants", type=int, default=0, help="so many drawn faults")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=[*PARTS], help="only drawn faults of these parts")
    parser.add_argument("--reverts", action="store_true", help="the known faults")
    parser.add_argument("--kept", type=Path, help="a file with what was said, which is not measured again")
    given = parser.parse_args()
    said: dict[str, dict[str, str]] = {}
    if given.kept and given.kept.exists():
        said = json.loads(given.kept.read_text(encoding="utf-8"))
    drawn = [each for each in mutants(given.seed, given.mutants) if each[0].partition(":")[0] in given.parts]
    faults = [*(known() if given.reverts else ()), *drawn]
    for name, changes in faults:
        with changed(changes) as folder:
            for side, code in SIDES.items():
                if side not in said.setdefault(name, {}):
                    said[name][side] = asked(folder, code, given.seed, given.seconds)
                    sys.stdout.write(f"{name}\n  {side:10}{said[name][side]}\n")
                    sys.stdout.flush()
                if not said[name][side].startswith("not "):
                    break
        if given.kept:
            given.kept.write_text(json.dumps(said, indent=1), encoding="utf-8")
    sys.stdout.write(table({name: said[name] for name, _ in faults}))


def table(said: Mapping[str, Mapping[str, str]]) -> str:
    """Return which faults are found by the same sides, those that the most find first."""
    by: dict[tuple[str, ...], list[str]] = {}
    for name, sides in said.items():
        finders = tuple(side for side, what in sides.items() if not what.startswith("not "))
        by.setdefault(finders, []).append(name)
    groups = sorted(by.items(), key=lambda each: (-len(each[0]), each[0]))
    return "".join(
        f"{len(names)} of {len(said)} are found by {', '.join(finders) or 'nobody'}: {'; '.join(names)}\n"
        for finders, names in groups
    )


if __name__ == "__main__":
    main()

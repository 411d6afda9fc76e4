"""Compare what each command costs at several commits, in instructions of its whole process.

`benchmarks.since --commands` prints the table.

Every side has a project of its own with one graph and one run that waits for an answer. Each command is run once before
it is counted, so that compiled files exist. The hashes of texts are fixed.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks.measure import Figure

if TYPE_CHECKING:
    from collections.abc import Mapping

COMMANDS: Final = ("--help", "runs", "show r", "resume r --graph asked.py", "run asked.py --run-id {}")
_GRAPH: Final = """
from pydantic import BaseModel
from graphengine import END, START, Graph, ask, value

class Draft(BaseModel):
    text: str = ""
    verdict: str = ""

async def write(verdict: str) -> str:
    return "draft " + verdict

graph = Graph("asked", Draft)
graph.add_node("write", write, writes="text")
graph.add_node("approve", ask("Send this?\\n{text}", str), writes="verdict")
graph.add_path(START, "write", "approve")
graph.add_edge("approve", END, when=value("verdict") == "yes")
graph.add_edge("approve", "write")
"""
_WAITS: Final = 3
"""The exit code of a command whose run waits."""


def commands(trees: Mapping[str, Path]) -> dict[str, dict[str, Figure]]:
    """Return the number of instructions of each command on each side."""
    with ExitStack() as stack:
        sides = {name: _Project(tree, stack) for name, tree in trees.items()}
        return {
            f"`graphengine {line.format('NEW')}`": {name: side.instructions(line) for name, side in sides.items()}
            for line in COMMANDS
        }


class _Project:
    """A project that uses the package of one commit, with one run that waits."""

    def __init__(self, tree: Path, stack: ExitStack) -> None:
        self._tree = tree
        self._folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        self._runs = 0
        (self._folder / "asked.py").write_text(_GRAPH, encoding="utf-8")
        self._run("run asked.py --run-id r")

    def instructions(self, line: str) -> Figure:
        """Run a command twice, and count the instructions of the second process."""
        self._run(line)
        counted = ("valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", "--log-file=count")
        self._run(line, *counted)
        text = (self._folder / "count").read_text(encoding="utf-8", errors="replace")
        found = re.search(r"Collected : (\d+)", text)
        assert found is not None, text  # noqa: S101 - as valgrind ends
        return Figure(line, "", (float(found[1]),))

    def _run(self, line: str, *before: str) -> None:
        self._runs += 1
        words = [*before, sys.executable, "-m", "graphengine", *line.format(f"new{self._runs}").split()]
        environment = {**os.environ, "PYTHONPATH": str(self._tree), "PYTHONHASHSEED": "0"}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)  # else each process compiles what it imports
        ran = subprocess.run(words, cwd=self._folder, env=environment, capture_output=True, text=True, check=False)  # noqa: S603 - our own
        assert ran.returncode in (0, _WAITS), ran.stderr  # noqa: S101 - the commands of all sides

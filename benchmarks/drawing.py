"""Whole processes: a graph of 200 nodes declared, compiled and drawn into a file."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks.measure import MILLI, Outcome, Settings, alternate

if TYPE_CHECKING:
    from benchmarks.measure import Side

NODES: Final = 200
DECLARE: Final = f"""\
import sys
from pydantic import BaseModel
from graphengine import END, START, Graph, failed, iterations, value

class State(BaseModel):
    count: int = 0

def step(count: int) -> int:
    return count + 1

graph = Graph("big", State)
for i in range({NODES}):
    graph.add_node(f"step_{{i}}", step, writes="count")
graph.add_edge(START, "step_0")
for i in range({NODES}):
    following = f"step_{{i + 1}}" if i < {NODES - 1} else END
    if i % 10 == 3:
        graph.add_edge(f"step_{{i}}", END, when=failed(Exception), label="gave up")
    if i % 5 == 4:
        graph.add_edge(f"step_{{i}}", following, when=iterations(f"step_{{i}}") >= 3, label="out of iterations")
        graph.add_edge(f"step_{{i}}", f"step_{{i - 3}}", when=value("count") < 7, label="again")
    graph.add_edge(f"step_{{i}}", following)
"""
COMPILE: Final = DECLARE + "graph.compile()\n"
DRAW: Final = DECLARE + "graph.render(sys.argv[1])\n"
PICTURE: Final = "into an SVG file"


async def drawing(settings: Settings) -> Outcome:
    """This program measures whole processes that declare, compile and draw a graph of 200 nodes.

    The graph has loops and edges after failures. `PATH` contains no program, so that no external program can draw the
    graph. Compiled files exist, and each process runs once before the measurement. Declaring and compiling the graph
    without drawing it is shown for comparison.
    """
    with tempfile.TemporaryDirectory() as folder:
        sides = {
            "declared and compiled": _process(COMPILE, folder, ""),
            "into a Mermaid file": _process(DRAW, folder, "big.mmd"),
            PICTURE: _process(DRAW, folder, "big.svg"),
            "into an HTML page": _process(DRAW, folder, "big.html"),
        }
        found = await alternate(sides, "ms", settings.count(11, 1))
    return Outcome(f"A graph of {NODES} nodes drawn, in a new process", found)


def _process(code: str, folder: str, name: str) -> Side:
    async def run() -> float:
        began = time.perf_counter()
        command = [sys.executable, "-c", code, str(Path(folder, name))]
        subprocess.run(command, check=True, env={"PATH": folder, "PYTHONPATH": _here()})  # noqa: ASYNC221, S603 - this wait is measured
        return (time.perf_counter() - began) * MILLI

    return run


def _here() -> str:
    """Return the folder of this project, for processes in which the project is not installed."""
    return str(Path(__file__).parents[1])

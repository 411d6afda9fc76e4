"""Whole processes: the cost of importing the package, and of commands."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks.measure import MILLI, Outcome, Settings, alternate

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmarks.measure import Side

BASE, IMPORT, HELP = "import pydantic, asyncio", "import graphengine", "graphengine --help"
PYDANTIC = "from pydantic import BaseModel; import asyncio"
USED = "from graphengine import END, START, Graph, Runner, value"
_ROOT: Final = Path(__file__).resolve().parents[1]

_READS: Final = ("completion bash", "runs", "show r", "show r --json", "diff r r --at 1", "doctor", "export r")
"""Commands that read a database, or nothing: neither a graph's file nor the runner is loaded."""
_TAB: Final = "Tab after `graphengine show`"
_LOADS: Final = ("graphs", "check")
"""Commands that run the files of a project's graphs, which import pydantic and graphengine themselves."""
_DRIVES: Final = ("prune --keep-last 999 --dry-run", "run count --json")
"""Commands that write, for which the runner is loaded."""

_GRAPH: Final = """
from pydantic import BaseModel
from graphengine import END, START, Graph, value

class Count(BaseModel):
    n: int = 0

graph = Graph("count", Count)
graph.add_node("more", lambda n: n + 1, writes="n", thread=False)
graph.add_edge(START, "more")
graph.add_edge("more", END, when=value("n") >= 3)
graph.add_edge("more", "more")
"""


async def startup(settings: Settings) -> Outcome:
    """This program measures whole processes, from the start of Python to the end of the process.

    Compiled files exist, and each command runs once before the measurement. Both pydantic and graphengine load their
    names when they are first used, so the cost of a user's first lines is shown too. The commands run in a project with
    one graph of one node, and one recorded run.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _project(folder)
        sides = {
            BASE: _process("-c", BASE),
            IMPORT: _process("-c", IMPORT),
            PYDANTIC: _process("-c", PYDANTIC),
            USED: _process("-c", USED),
            HELP: _command(folder, "--help"),
            **{f"graphengine {line}": _command(folder, line) for line in (*_READS, *_LOADS, *_DRIVES)},
            _TAB: _command(
                folder, "", {"_GRAPHENGINE_COMPLETE": "bash_complete", "COMP_WORDS": "g show ", "COMP_CWORD": "2"}
            ),
        }
        found = await alternate(sides, "ms", settings.count(15, 1))
    base, used = found[BASE], found[USED]
    ratios = {
        f"`{IMPORT}`, against importing pydantic and asyncio": found[IMPORT].against(base),
        f"`{HELP}`, against the same": found[HELP].against(base),
        **{f"`graphengine {line}`, against the same": found[f"graphengine {line}"].against(base) for line in _READS},
        f"{_TAB}, against the same": found[_TAB].against(base),
        **{
            f"`graphengine {line}`, against `{USED}`": found[f"graphengine {line}"].against(used)
            for line in (*_LOADS, *_DRIVES)
        },
    }
    return Outcome("`import graphengine`, and the commands", found, ratios)


WINGS: Final[Mapping[str, str]] = {
    "the core": "graphengine.runner.runner",
    "the API": "graphengine.api.graph",
    "databases.sqlite": "graphengine.databases.sqlite",
    "databases.postgres": "graphengine.databases.postgres",
    "checks": "graphengine.checks.whole",
    "records": "graphengine.records.records",
    "migration": "graphengine.migration",
    "worker": "graphengine.worker.worker",
    "models": "graphengine.models.base",
    "agents": "graphengine.agents.agent",
    "memory": "graphengine.memory.kept",
    "render": "graphengine.render.svg",
    "executors": "graphengine.executors.processes",
    "telemetry": "graphengine.telemetry",
    "evaluation": "graphengine.testing.evaluation",
    "cli": "graphengine.cli.main",
}
"""The module that does the work of each wing."""


async def wings(settings: Settings) -> Outcome:
    """This program measures the CPU time of the first import of each wing, each in a new process.

    A wing is a part of graphengine that the core does not need, such as agents or the HTTP service. The time of its
    import includes all modules that the wing imports, but not the start of the interpreter. The modules are already
    compiled to byte code. If the extra that a wing needs is not installed, the table does not list the wing.
    `tests/test_wings.py` lists which wings import other wings.
    """
    sides: dict[str, Side] = {name: _import(module) for name, module in {"pydantic": "pydantic.main", **WINGS}.items()}
    for name in list(sides):
        try:
            await sides[name]()
        except subprocess.CalledProcessError:
            del sides[name]
    return Outcome("The first import of each wing", await alternate(sides, "ms", settings.count(5, 1)))


_TIMED: Final = """
import importlib, sys, time
began = time.process_time()
importlib.import_module(sys.argv[1])
print(time.process_time() - began)
"""


def _import(module: str) -> Side:
    async def run() -> float:
        words = [sys.executable, "-c", _TIMED, module]
        ran = subprocess.run(words, check=True, capture_output=True, text=True, env=_environment())  # noqa: ASYNC221, S603 - as below
        return float(ran.stdout) * MILLI

    return run


def _project(folder: Path) -> None:
    """Create a project with a graph and a recorded run."""
    (folder / "flows").mkdir()
    (folder / "pyproject.toml").write_text('[tool.graphengine]\ngraphs = ["flows"]\n')
    (folder / "flows" / "count.py").write_text(_GRAPH)
    words = [sys.executable, "-m", "graphengine", "run", "count", "--run-id", "r"]
    subprocess.run(words, check=True, capture_output=True, cwd=folder, env=_environment())  # noqa: S603 - our own


def _command(folder: Path, line: str, more: dict[str, str] | None = None) -> Side:
    return _process("-m", "graphengine", *line.split(), folder=folder, more=more)


def _environment(more: dict[str, str] | None = None) -> dict[str, str]:
    path = os.pathsep.join([str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**os.environ, "PYTHONPATH": path, **(more or {})}


def _process(*arguments: str, folder: Path | None = None, more: dict[str, str] | None = None) -> Side:
    environment = _environment(more)
    quiet = subprocess.DEVNULL

    async def run() -> float:
        words = [sys.executable, *arguments]
        began = time.perf_counter()
        subprocess.run(words, check=True, stdout=quiet, stderr=quiet, cwd=folder, env=environment)  # noqa: ASYNC221, S603 - this wait is measured
        return (time.perf_counter() - began) * MILLI

    return run

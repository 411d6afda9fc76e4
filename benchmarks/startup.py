"""Whole processes: what it costs to import the package, and to ask the command line for help."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import TYPE_CHECKING

from benchmarks.measure import MILLI, Outcome, Settings, Target, alternate

if TYPE_CHECKING:
    from benchmarks.measure import Side

BASE, IMPORT, HELP = "import pydantic, asyncio", "import graphengine", "graphengine --help"
PYDANTIC = "from pydantic import BaseModel; import asyncio"
USED = "from graphengine import END, START, Graph, Runner, value"


async def startup(settings: Settings) -> Outcome:
    """From starting a Python process to its end. Compiled files exist; one round beforehand does not count.

    Both pydantic and graphengine load their names when they are first used, so what a user's first lines cost stands
    beside it.
    """
    sides = {
        BASE: _process("-c", BASE),
        IMPORT: _process("-c", IMPORT),
        PYDANTIC: _process("-c", PYDANTIC),
        USED: _process("-c", USED),
        HELP: _process("-m", "graphengine", "--help"),
    }
    found = await alternate(sides, "ms", settings.count(15, 1))
    base = found[BASE]
    targets = [
        Target(f"`{IMPORT}`, against importing pydantic and asyncio", found[IMPORT].against(base), "≤", 1.3),
        Target(f"`{HELP}`, against the same", found[HELP].against(base), "≤", 2.0),
    ]
    return Outcome("`import graphengine` and `graphengine --help`", found, targets)


def _process(*arguments: str) -> Side:
    async def run() -> float:
        began = time.perf_counter()
        subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)  # noqa: ASYNC221, S603 - waiting for it is what is measured
        return (time.perf_counter() - began) * MILLI

    return run

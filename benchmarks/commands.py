"""A command of `graphengine` as a process of its own: its CPU time and its peak memory.

`python -m benchmarks.commands FILE COMMAND …` runs a command, and writes both into a file when it ends. Wall time says
little on a machine that does other work, and the system's account of a process includes the memory of the one that
started it.
"""

from __future__ import annotations

import atexit
import os
import re
import runpy
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final, NamedTuple

_STATUS: Final = Path("/proc/self/status")
_PEAK: Final = re.compile(r"VmHWM:\s+(\d+)")


class Cost(NamedTuple):
    """The cost of a command: the CPU time of its process and of the processes it started, and its peak memory."""

    cpu_ms: float
    peak_mb: float


def cost_of(path: Path, *words: str) -> Cost:
    """Run a command on a database, and return its cost."""
    with tempfile.TemporaryDirectory() as name:
        report = Path(name) / "cost"
        command = [sys.executable, "-m", "benchmarks.commands", str(report), *words, "--store", str(path)]
        subprocess.run(command, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # noqa: S603 - ours
        cpu_ms, peak_mb = report.read_text(encoding="utf-8").split()
    return Cost(float(cpu_ms), float(peak_mb))


def _write(report: Path) -> None:
    """Write the cost of this process so far to a file. The peak is 0 if the system does not report it."""
    status = _STATUS.read_text(encoding="utf-8") if _STATUS.exists() else ""
    peak = _PEAK.search(status)
    mega = int(peak[1]) * 1024 / 1e6 if peak is not None else 0.0
    started = os.times()
    seconds = time.process_time() + started.children_user + started.children_system
    report.write_text(f"{seconds * 1000} {mega}", encoding="utf-8")


if __name__ == "__main__":
    atexit.register(_write, Path(sys.argv.pop(1)))
    runpy.run_module("graphengine", run_name="__main__", alter_sys=True)

"""The two commands of the README without make, as on Windows: `python -m scripts run` and `python -m scripts test`.

    python -m scripts run --input "task=How our backups work" --input sources=@backups.md
    python -m scripts test -k plateau

Each sets up a virtual environment in .venv first, if there is none that fits.
"""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
FOLDER: Final = ROOT / ".venv"
BIN: Final = FOLDER / ("Scripts" if os.name == "nt" else "bin")
SETTINGS: Final = {"PIP_CONSTRAINT": "constraints.txt", "PIP_BUILD_CONSTRAINT": "constraints.txt", "SCENES": "150"}


def steps(target: str, more: list[str]) -> list[list[str]]:
    """Return the commands that `run` or `test` executes after the environment is set up, as the Makefile does.

    The first word of each command is the name of a program in the environment.
    """
    if target == "run":
        return [["graphengine", "run", "review_loop", *(more or ["--output", "brief.md"])]]
    return [
        ["ruff", "check"],
        ["ruff", "format", "--check"],
        ["lint-imports", "--no-logo"],
        ["mypy"],
        ["basedpyright", "--pythonpath", str(BIN / "python")],
        ["pytest", "-q", "-n", "auto", "--dist", "worksteal", *more],
    ]


def main(words: list[str]) -> int:
    """Set up the environment if necessary, and run the commands of `run` or `test`.

    Returns:
        The exit code of the first command that fails, or 0.
    """
    if not words or words[0] not in {"run", "test"}:
        sys.exit(__doc__)
    target, *more = words
    given = {**SETTINGS, **os.environ}
    ready = FOLDER / f"ready-{target}"
    inputs = [ROOT / "pyproject.toml", ROOT / "constraints.txt"]
    if not ready.exists() or ready.stat().st_mtime < max(each.stat().st_mtime for each in inputs):
        if not BIN.exists():
            venv.create(FOLDER, with_pip=True)
        what = ["inspect"] if target == "run" else ["--group", "dev"]
        done = subprocess.run([BIN / "python", "scripts/install.py", *what], cwd=ROOT, env=given, check=False)
        if done.returncode:
            return done.returncode
        ready.touch()
    for program, *rest in steps(target, more):
        print("\n==", program, *rest, flush=True)
        done = subprocess.run([BIN / program, *rest], cwd=ROOT, env=given, check=False)
        if done.returncode:
            return done.returncode
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

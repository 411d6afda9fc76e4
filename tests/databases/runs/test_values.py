"""What a node writes is what every process reads, whatever it does with the run."""

import os
import subprocess
import sys
from pathlib import Path

PROGRAM = Path(__file__).with_name("values_program.py")
SEEN = """{'phone': '1'}
{'name': 'Ada'}
{}
{'phone': '2'}
2026-10-25T02:30:00+01:00 1 Europe/Berlin
2026-10-25T02:30:00+02:00 0 Europe/Berlin
2026-10-25T02:30:00 1 None
2026-10-26T02:30:00+01:00 0 Europe/Berlin"""


def run(database: Path, what: str, seed: str) -> str:
    """Run a part of the program in a process with another order of sets; return what it prints."""
    words = [sys.executable, str(PROGRAM), str(database), what]
    env = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)}
    done = subprocess.run(words, capture_output=True, text=True, env=env, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_values_are_the_same_in_each_process_and_in_each_form_of_the_run(tmp_path: Path) -> None:
    """Set fields, zones, `fold` and sets survive a node, a process, a branch, an export, an import and a replay."""
    database = tmp_path / "runs.db"
    run(database, "start", "1")
    lines = run(database, "rest", "2").splitlines()
    assert "\n".join(lines[:8]) == SEEN
    assert lines[-1] == "True"

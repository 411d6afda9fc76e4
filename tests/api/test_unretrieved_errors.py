"""Errors of runs whose results nobody retrieves: each is logged once, with the traceback of the user's code."""

import subprocess
import sys
from pathlib import Path

SCRIPT = """
from pydantic import BaseModel
from graphengine import END, START, Graph, SyncRunner

class State(BaseModel):
    n: int = 0

def broken() -> int:
    raise ValueError("no tides today")

graph = Graph("g", State)
graph.add_node("a", broken, writes="n")
graph.add_path(START, "a", END)
with SyncRunner("runs.db") as runner:
    run = runner.start(graph, run_id="r")
    while run.status() != "failed":
        pass
    again = runner.start(graph, run_id="r")
    again.status()
"""


def test_a_script_that_never_asks_shows_the_errors_at_its_end(tmp_path: Path) -> None:
    """On stderr, without a configuration of the log; each once."""
    (tmp_path / "flow.py").write_text(SCRIPT)
    done = subprocess.run([sys.executable, "flow.py"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stderr.count("ValueError: no tides today\n  at: ") == 1
    assert done.stderr.count("in broken") == 1
    assert done.stderr.count("RunExists") == 1

"""Exceptions that do not inherit from Exception: if code of a graph raises one, only its node or run fails."""

import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

PROGRAM = """
import asyncio, signal, sys
from pydantic import BaseModel
from graphengine import END, START, Graph, Runner

class State(BaseModel):
    n: int = 0

async def work(n: int) -> int:
    print("in node", flush=True)
    while True:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            raise

def spin(n: int) -> int:
    print("in node", flush=True)
    while not any(task.cancelling() for task in asyncio.all_tasks()):
        pass
    print("asked to end", flush=True)
    while True:
        pass

graph = Graph("g", State)
node = spin if sys.argv[2] == "spin" else work
graph.add_node("a", node, writes="n", thread=False if node is spin else None)
graph.add_path(START, "a", END)

async def main() -> None:
    async with Runner(sys.argv[1]) as runner:
        await runner.start(graph, run_id="r").result()

asyncio.run(main())
"""


@pytest.mark.parametrize("node", ["wait", "spin"])
def test_ctrl_c_still_ends_a_script(tmp_path: Path, node: str) -> None:
    """One suffices while a node waits; two are needed if it blocks the loop, since asyncio's first one only asks."""
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(PROGRAM))
    process = subprocess.Popen(
        [sys.executable, script, tmp_path / "runs.db", node], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "in node\n"
    process.send_signal(signal.SIGINT)
    if node == "spin":
        assert process.stdout.readline() == "asked to end\n"
        process.send_signal(signal.SIGINT)
    _, error_output = process.communicate(timeout=60)
    assert process.returncode not in (0, None)
    assert error_output.rstrip().endswith("KeyboardInterrupt")

"""What differs between releases of CPython, imitated on the one that runs the tests."""

import subprocess
import sys

import pytest

RUN = """
from pydantic import BaseModel
from graphengine import END, START, Agent, Graph, ScriptedModel

class Counter(BaseModel):
    n: int = 0
    text: str = ""

inner = Graph("inner", Counter)
inner.add_node("up", lambda n: n + 1, writes="n")
inner.add_path(START, "up", END)
outer = Graph("outer", Counter)
outer.add_node("inner", inner, inputs={"n": "n"}, writes={"n": "n"})
outer.add_node("write", Agent("writer", prompt="Write."), writes="text")
outer.add_path(START, "inner", "write", END)
state = outer.run_sync(Counter(n=1), models=ScriptedModel(["done"])).state
print(state.n, state.text)
"""

# CPython 3.12.3 (Ubuntu 24.04) and 3.13.0a6 find a slot for weak references in Generic, which has none (gh-105866,
# repaired by gh-118033), so that `dataclass(slots=True, weakref_slot=True)` adds none to its subclasses.
GENERIC_SEEMS_TO_HAVE_A_WEAK_REFERENCE = """
import dataclasses, typing

found = dataclasses._get_slots
dataclasses._get_slots = lambda cls: iter(["__weakref__"]) if cls is typing.Generic else found(cls)
"""

# Pyodide, CPython in a browser, has the name of this clock and cannot read it.
NO_CLOCK_THAT_COUNTS_WHILE_SUSPENDED = """
import time

time.CLOCK_BOOTTIME = 12345
"""


@pytest.mark.parametrize(
    "difference",
    [
        pytest.param("", id="none"),
        pytest.param(GENERIC_SEEMS_TO_HAVE_A_WEAK_REFERENCE, id="3.12.3"),
        pytest.param(NO_CLOCK_THAT_COUNTS_WHILE_SUSPENDED, id="Pyodide"),
    ],
)
def test_a_nested_graph_with_an_agent_runs(difference: str) -> None:
    """A run with a graph inside it and an agent ends as on every other release."""
    ran = subprocess.run([sys.executable, "-c", difference + RUN], capture_output=True, text=True, check=False)
    assert (ran.stdout, ran.stderr) == ("2 done\n", "")

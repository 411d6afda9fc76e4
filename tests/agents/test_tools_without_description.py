"""A model that is told nothing of a tool is said: by `check`, and in the log when the agent is first called."""

import json
import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from graphengine import Agent, Graph, ScriptedModel, tool
from graphengine.agents.conversation import _warn_without_description
from graphengine.agents.tools import Tool

CODE = "tool_without_description"
FLOW = '''
from graphengine import Agent, Graph, ScriptedModel, tool

def bare(city: str) -> str:
    return city

def written(city: str) -> str:
    """Return the weather of a city."""
    return city

tools = [bare, written, tool(written, name="described", description="Return the weather.")]
flow = Graph.of(Agent("clerk", model=ScriptedModel(["x"]), tools=tools))
'''


def bare(city: str) -> str:
    return city


def written(city: str) -> str:
    """Return the weather of a city."""
    return city


SCHEMA: Any = {"type": "object", "properties": {"city": {"type": "string"}}}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (bare, 1),
        (tool(bare, approve=True), 1),
        (Tool(bare, name="own", schema=SCHEMA), 1),
        (lambda city: city, 1),
        (written, 0),
        (tool(bare, description="Return the weather."), 0),
        (Tool(bare, name="own", schema=SCHEMA, description="Return the weather."), 0),
    ],
    ids=["function", "tool", "schema", "lambda", "docstring", "description", "schema and description"],
)
async def test_every_kind_of_tool_without_a_description_is_said(
    given: Any, said: int, caplog: pytest.LogCaptureFixture
) -> None:
    """`check` warns of it, and the log says it once, however often the agent is called."""
    _warn_without_description.cache_clear()
    if getattr(given, "__name__", "") == "<lambda>":
        given = tool(given, name="short")
    agent = Agent("clerk", model=ScriptedModel(lambda _: "Done."), tools=[given])
    found = [problem for problem in Graph.of(agent).check() if problem.code == CODE]
    assert len(found) == said
    assert all(problem.warning and "description=" in problem.repair for problem in found)
    assert all(("-OO" in problem.repair) == (not isinstance(given, Tool) or given.schema is None) for problem in found)
    with caplog.at_level(logging.WARNING, "graphengine.agents"):
        for _ in range(2):
            await agent.run("Hello")
    assert len([line for line in caplog.messages if line.startswith(CODE)]) == said


def test_python_without_docstrings_is_named_as_the_cause(tmp_path: Path) -> None:
    """With -OO each function loses its docstring: `check` warns of it, except where `description=` says it."""
    (tmp_path / "flow.py").write_text(FLOW)
    words = [sys.executable, "-OO", "-m", "graphengine", "check", "flow.py", "--json"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    problems = [each for each in json.loads(done.stdout)["graphs"][0]["problems"] if each["code"] == CODE]
    assert [problem["message"].split()[2] for problem in problems] == ["'bare'", "'written'"], done.stderr
    assert all("without -OO" in problem["repair"] for problem in problems)

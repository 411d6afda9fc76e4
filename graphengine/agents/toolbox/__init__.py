"""Ready tools for agents: a calculator, SQL that only reads, Python in a sandbox, and Agent Skills.

analyst = Agent("analyst", prompt="{question}", tools=[calculate, sql_reader("sales.db"), run_python])

A ready tool is a function, or a function that returns tools: `calculate` and `run_python` are passed to an agent
directly, while `sql_reader(…)` and `skills(…)` are called with a database or a folder first.
"""

from __future__ import annotations

from graphengine.agents.toolbox.calculator import calculate
from graphengine.agents.toolbox.sandbox import run_python
from graphengine.agents.toolbox.skills import skills
from graphengine.agents.toolbox.sql import sql_reader
from graphengine.doors import check_arguments

__all__ = ["calculate", "run_python", "skills", "sql_reader"]

check_arguments(__name__)

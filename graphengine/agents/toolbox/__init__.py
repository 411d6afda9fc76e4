"""Ready tools for agents: a calculator, SQL that only reads, Python in a sandbox, and Agent Skills.

analyst = Agent("analyst", prompt="{question}", tools=[calculate, sql_reader("sales.db"), run_python])
"""

from __future__ import annotations

from graphengine.agents.toolbox.calculator import calculate
from graphengine.agents.toolbox.sandbox import run_python
from graphengine.agents.toolbox.skills import skills
from graphengine.agents.toolbox.sql import sql_reader
from graphengine.doors import check_arguments

__all__ = ["calculate", "run_python", "skills", "sql_reader"]

check_arguments(__name__)

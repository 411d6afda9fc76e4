"""Ready tools for agents: a calculator, SQL that only reads, and Python in a sandbox.

analyst = Agent("analyst", prompt="{question}", tools=[calculate, sql_reader("sales.db"), run_python])
"""

from __future__ import annotations

from graphengine.agents.toolbox.calculator import calculate
from graphengine.agents.toolbox.sandbox import run_python
from graphengine.agents.toolbox.sql import sql_reader

__all__ = ["calculate", "run_python", "sql_reader"]

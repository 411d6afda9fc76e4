"""Executors for heavy nodes: child processes whose work can be ended, and tasks of a Ray cluster.

graph.add_node("embed", embed, writes="vectors", on="gpu")
Runner("runs.db", executors={"gpu": RayExecutor(num_gpus=1)})
"""

from __future__ import annotations

from graphengine.executors.base import NodeExecutor
from graphengine.executors.processes import ProcessExecutor
from graphengine.executors.ray_tasks import RayExecutor

__all__ = ["NodeExecutor", "ProcessExecutor", "RayExecutor"]

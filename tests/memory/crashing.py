"""A node whose process ends after it has read and written a memory, for the process that runs it and the one after."""

from __future__ import annotations

import os
from typing import Any

from pydantic import BaseModel

from graphengine import END, START, Graph
from graphengine.memory import Memory


class Seen(BaseModel):
    """What the node saw."""

    text: str = ""


async def look(memory: Memory) -> str:
    """Read, write, and die if this is the first process."""
    found = await memory.get("users/ada", "drink")
    await memory.put("users/ada", "seen", found.value if found else None)
    if "DIES" in os.environ:
        os._exit(9)
    return found.text if found else ""


def crashing(place: str) -> Graph[Any]:
    """Return the graph of that node."""
    graph = Graph("crashing", Seen, resources={"memory": lambda: Memory(place)})
    graph.add_node("look", look, writes="text")
    graph.add_path(START, "look", END)
    return graph

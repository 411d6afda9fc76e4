"""Graphs inside graphs at compile time. What is refused is in the pages of this folder."""

from graphengine import (
    END,
    START,
    Agent,
    Graph,
)
from tests.compile.test_nested import State


async def test_an_agent_can_be_a_fallback() -> None:
    """It runs like a function, with the fields that its prompt reads."""

    async def breaks() -> str:
        raise ValueError

    cheap = Agent("cheap", prompt="{kind}", by_rules=lambda kind: f"cheap {kind}")
    graph = Graph("g", State)
    graph.add_node("b", breaks, writes="task", fallback=cheap)
    graph.add_path(START, "b", END)
    assert (await graph.run()).state.task == "cheap a"

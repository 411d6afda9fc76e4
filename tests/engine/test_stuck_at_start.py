"""A run that fails at START is like any other: recorded, released by its driver, resumed with a repaired graph."""

import pytest
from pydantic import BaseModel

from graphengine import END, START, Graph, RunFailed, Runner, value


class State(BaseModel):
    """A topic to write about."""

    topic: str = ""


def graph(*, repaired: bool) -> Graph[State]:
    """Return a graph without an edge from START for an empty topic, unless it is repaired."""
    made = Graph("start", State)
    made.add_node("write", lambda topic: f"{topic}!", writes="topic", thread=False)
    made.add_edge(START, "write", when=value("topic").is_true())
    if repaired:
        made.add_edge(START, END, label="nothing to do")
    made.add_edge("write", END)
    return made


async def test_a_run_stuck_at_start_can_be_resumed_at_once() -> None:
    """It fails again with the same message, since nothing was repaired."""
    async with Runner() as runner:
        run = runner.start(graph(repaired=False))
        with pytest.raises(RunFailed):
            await run.result()
        with pytest.raises(RunFailed, match="no edge out of node 'START'"):
            await runner.resume(run.id, graph(repaired=False)).result()

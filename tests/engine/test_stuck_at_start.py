"""A run that fails at START is a run like any other: recorded, given up by its driver, resumed with a mended graph."""

import pytest
from pydantic import BaseModel

from graphengine import END, START, Graph, RunFailed, Runner, value


class State(BaseModel):
    """What there is to write about."""

    topic: str = ""


def graph(*, mended: bool) -> Graph[State]:
    """A graph that does not know where to begin without a topic, unless it is mended."""
    made = Graph("start", State)
    made.add_node("write", lambda topic: f"{topic}!", writes="topic", thread=False)
    made.add_edge(START, "write", when=value("topic").is_true())
    if mended:
        made.add_edge(START, END, label="nothing to do")
    made.add_edge("write", END)
    return made


async def test_it_can_be_resumed_at_once() -> None:
    """It fails again in the same words, since nothing was mended."""
    async with Runner() as runner:
        run = runner.start(graph(mended=False))
        with pytest.raises(RunFailed):
            await run.result()
        with pytest.raises(RunFailed, match="no way out of START"):
            await runner.resume(graph(mended=False), run.id).result()


async def test_a_branch_under_a_mended_graph_finds_its_way() -> None:
    """START is in every graph."""
    async with Runner() as runner:
        run = runner.start(graph(mended=False))
        with pytest.raises(RunFailed):
            await run.result()
        result = await runner.branch(graph(mended=True), run.id, at=1).result()
        assert result.stop is not None
        assert result.stop.label == "nothing to do"

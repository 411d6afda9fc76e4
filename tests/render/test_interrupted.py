"""A picture of a run that no process drives says so: its steps alone cannot."""

from pathlib import Path

from pydantic import BaseModel

from graphengine import END, START, Graph, Runner
from graphengine.kernel.reader import Step
from graphengine.render.charts import timeline
from graphengine.render.drawing import draw_graph


class State(BaseModel):
    n: int = 0


async def _begun(folder: Path) -> tuple[Graph[State, object], list[Step]]:
    """Return a graph, and the steps of a run of it as they were while its second node ran."""
    seen: list[Step] = []
    graph = Graph[State, object]("cut", State)

    async def second() -> int:
        seen.extend(await runner.store.steps("r1"))
        return 2

    graph.add_node("first", lambda: 1, writes="n")
    graph.add_node(second, writes="n")
    graph.add_path(START, "first", "second", END)
    async with Runner(folder / "runs.db") as runner:
        await runner.run(graph, run_id="r1")
    return graph, seen


async def test_a_picture_says_what_the_store_knows(tmp_path: Path) -> None:
    """The status of the run's row stands where the steps only say that it goes on."""
    graph, steps = await _begun(tmp_path)
    spec = graph.compile().graph_spec
    assert "running after 1 visit" in draw_graph(spec, steps).title
    assert "interrupted after 1 visit" in draw_graph(spec, steps, status="interrupted").title
    assert "interrupted after 1 visit" in timeline(steps, "interrupted").title

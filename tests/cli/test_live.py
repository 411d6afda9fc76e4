"""The live display in a program: `graphengine.show`."""

import io

import pytest
from pydantic import BaseModel

from graphengine import END, START, Graph, RunFailed, Runner, ask, show, value
from graphengine.errors import RunExists, UnknownRun


class State(BaseModel):
    n: int = 0
    xs: list[int] = list(range(20))
    out: list[int] = []


def counting() -> Graph[State]:
    """Return a graph with a map, of which two items fail, and a loop."""

    def item(x: int) -> int:
        if x % 10 == 3:
            raise OSError("no such item")
        return x

    graph = Graph("counting", State)
    graph.add_node("each", item, each={"x": "xs"}, writes="out", fallback=0)
    graph.add_node("more", lambda n: n + 1, writes="n")
    graph.add_path(START, "each", "more")
    graph.add_edge("more", END, when=value("n") >= 2)
    graph.add_edge("more", "more")
    return graph


async def test_a_run_is_shown_and_its_result_returned() -> None:
    """Nodes with their edges and why, the count of a map with its fallbacks, and how the run ended."""
    screen = io.StringIO()
    async with Runner() as runner:
        run = runner.start(counting(), run_id="r")
        result = await show(run, stream=screen)
        assert result == await run.result()
    lines = screen.getvalue().splitlines()
    assert "items    each: 20 of 20 items done, 2 by fallback" in lines
    assert "         n 1 >= 2: no; otherwise" in lines
    assert lines[-1] == "finished r: n 2 >= 2: yes"


async def test_a_failed_run_is_shown_and_raised(capsys: pytest.CaptureFixture[str]) -> None:
    """A failed run is shown on stderr by default and raised; nothing is written to stdout."""

    def breaks(n: int) -> int:
        raise ValueError("broken")

    graph = Graph("breaks", State)
    graph.add_node("a", breaks, writes="n")
    graph.add_path(START, "a", END)
    async with Runner() as runner:
        with pytest.raises(RunFailed) as caught:
            await show(runner.start(graph, run_id="r"))
    assert isinstance(caught.value.__cause__, ValueError)
    written = capsys.readouterr()
    assert "failed   a (visit 1)" in written.err
    assert written.err.splitlines()[-1] == "failed r: broken"
    assert written.out == ""


async def test_any_handle_can_be_shown() -> None:
    """One that only reads shows what is recorded; a run that waits shows its question."""
    graph = Graph("asking", State)
    graph.add_node("a", ask("Which?", int), writes="n")
    graph.add_path(START, "a", END)
    screen = io.StringIO()
    async with Runner() as runner:
        await runner.start(graph, run_id="r").result()
        result = await show(runner.get("r"), stream=screen)
        assert result.status == "waiting"
        with pytest.raises(UnknownRun):
            await show(runner.get("missing"), stream=screen)
        with pytest.raises(RunExists):
            await show(runner.start(graph, run_id="r"), stream=screen)
    assert [line for line in screen.getvalue().splitlines() if "Which?" in line] == ["waits    a: Which?"]

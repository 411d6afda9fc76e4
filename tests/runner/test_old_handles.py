"""Handles of runs that were continued after the handle's own start had come to rest."""

from contextlib import aclosing
from pathlib import Path

import pytest
from pydantic import BaseModel

from graphengine import END, START, Graph, Runner, ask
from graphengine.runner import RunEnded
from tests.runner.test_requests import shop


class Draft(BaseModel):
    verdict: str = ""


def approving() -> Graph[Draft]:
    """Return a graph that asks a person."""
    graph = Graph("approving", Draft)
    graph.add_node("approve", ask("Publish?", str), writes="verdict")
    graph.add_path(START, "approve", END)
    return graph


async def test_the_result_is_that_of_a_run_that_was_answered_here(runner: Runner) -> None:
    """Whoever has the handle of the start sees what became of the run, in its result and in its events."""
    run = runner.start(approving(), run_id="r")
    assert (await run.result()).status == "waiting"
    assert (await run.result()).status == "waiting"
    await (await runner.answer("r", "yes", approving())).result()
    assert (await run.result()).state == Draft(verdict="yes")
    async with aclosing(run.events()) as events:
        ends = [event.result.status async for event in events if isinstance(event, RunEnded)]
    assert ends == ["finished"]


async def test_the_result_is_that_of_a_run_that_replied_to_requests(runner: Runner) -> None:
    """A request of the handle itself continues the run."""
    run = runner.start(shop(visits=2), run_id="r")
    assert (await run.result()).state.n == 0
    for number in (3, 4):
        assert await run.request("is_even", number, bool) is (number == 4)
    result = await run.result()
    assert (result.status, result.state.n) == ("finished", 2)


async def test_the_result_of_a_run_that_goes_on_is_waited_for(tmp_path: Path) -> None:
    """A second Runner answers and drives the run. The handle of the first one waits for its end."""
    async with Runner(tmp_path / "runs.db") as runner, Runner(tmp_path / "runs.db") as other:
        run = runner.start(approving(), run_id="r")
        await run.result()
        await (await other.answer("r", "yes", approving())).begun()
        assert (await run.result()).state == Draft(verdict="yes")


@pytest.mark.usefixtures("drawn_nonces")
async def test_the_result_is_not_that_of_another_run_with_the_id(runner: Runner) -> None:
    """The handle of a run that was removed still has the result of this run."""
    run = runner.start(approving(), run_id="r")
    await run.result()
    await runner.stop("r", "no longer wanted", final=True)
    assert await runner.store.remove([await runner.store.info("r")]) == {}
    later = runner.start(approving(), run_id="r")
    await later.result()
    await (await runner.answer("r", "yes", approving())).result()
    assert (await run.result()).status == "waiting"


async def test_a_closed_runner_has_the_last_result(tmp_path: Path) -> None:
    """What a handle has seen does not need the store."""
    async with Runner(tmp_path / "runs.db") as runner:
        run = runner.start(approving(), run_id="r")
        await run.result()
    assert (await run.result()).status == "waiting"

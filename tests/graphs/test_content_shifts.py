"""Stages on one database: each a run of its own, at its own time, that continues what earlier runs left."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from graphengine import Result, RunFailed, Runner, ScriptedModel
from graphengine.errors import BadRequest, RunExists
from graphs.content_shifts import Shift, Stage, example, graph
from tests.graphs.press_kit import ANSWERS, EDITED, FOUND, GIVEN, LISTED, WRITTEN, by_role
from tests.models.edge_server import EdgeServer


def label(result: Result[Shift]) -> str:
    """Return the last label of a run."""
    return result.label


async def shift(database: Path, stage: Stage, answers: Mapping[str, Sequence[object]] = ANSWERS) -> Result[Shift]:
    """Run a stage with a Runner of its own, like a separate process."""
    async with Runner(database, models={"*": ScriptedModel(answers)}) as runner:
        return await runner.start(graph, {"stage": stage, **(GIVEN if stage == "research" else {})}).result()


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """Return the shared database."""
    return tmp_path / "runs.db"


async def test_each_stage_continues_from_the_previous_one(database: Path) -> None:
    """A piece is identified by the run that researched it; the result of one stage is the input of the next."""
    found = await shift(database, "research")
    assert (label(found), found.state.piece, found.state.findings) == ("research done", found.run_id, FOUND)
    written = await shift(database, "write")
    edited = await shift(database, "edit")
    listed = await shift(database, "list")
    assert [each.state.piece for each in (written, edited, listed)] == [found.run_id] * 3
    assert (listed.state.manuscript, listed.state.edited, listed.state.listing) == (WRITTEN, EDITED, LISTED)
    assert [each.usage.calls for each in (found, written, edited, listed)] == [1, 1, 1, 1]


@pytest.mark.parametrize("stage", ["write", "edit", "list"])
async def test_a_stage_without_due_work_reports_it(database: Path, stage: Stage) -> None:
    """This holds for an empty database, and for a piece that needs another stage first; no model is called."""
    for each in ("write", "edit", "list"):  # a run that found nothing is not continued
        assert label(await shift(database, each)) == "nothing due"
    await shift(database, "research")
    if stage != "write":
        assert label(await shift(database, stage)) == "nothing due"


async def test_the_oldest_is_first_and_none_is_taken_twice(database: Path) -> None:
    """Two runs write two pieces, and a third one finds none."""
    first, second = [(await shift(database, "research")).run_id for _ in range(2)]
    written = [await shift(database, "write") for _ in range(3)]
    assert [each.state.piece for each in written] == [first, second, ""]
    assert label(written[2]) == "nothing due"


async def test_a_stage_that_failed_leaves_the_piece_for_the_next(database: Path) -> None:
    """The failed run can be resumed too."""
    found = await shift(database, "research")
    with pytest.raises(RunFailed):
        await shift(database, "write", {"writer": [BadRequest("no")]})
    assert (await shift(database, "write")).state.piece == found.run_id


async def test_a_named_piece_is_continued_and_claimed_once(database: Path) -> None:
    """`after=` names the run; an id can be used only once."""
    first, second = [(await shift(database, "research")).run_id for _ in range(2)]
    async with Runner(database, models={"*": ScriptedModel(ANSWERS)}) as runner:
        claim = f"{second}.write"
        done = await runner.start(graph, {"stage": "write"}, after=second, run_id=claim).result()
        with pytest.raises(RunExists):
            await runner.start(graph, {"stage": "write"}, after=second, run_id=claim).result()
    assert (done.state.piece, done.state.manuscript, label(done)) == (second, WRITTEN, "write done")
    assert (await shift(database, "write")).state.piece == first


async def test_rules_do_the_work_without_a_model(database: Path) -> None:
    """It runs on the example, then each stage."""
    async with Runner(database) as runner:
        await runner.start(graph, example()).result()
        results = [await runner.start(graph, {"stage": stage}).result() for stage in ("write", "edit", "list")]
    assert [label(result) for result in results] == ["write done", "edit done", "list done"]
    assert results[-1].state.listing is not None


async def test_through_a_server(provider: EdgeServer, database: Path) -> None:
    """Each run through a server has the cost of its own stage."""
    provider.answer(by_role)
    async with Runner(database, models={"*": "anthropic:claude-haiku-4-5"}) as runner:
        for given in (GIVEN, {"stage": "write"}):
            result = await runner.start(graph, given).result()
            assert result.usage.cost_usd == pytest.approx(500 * 1e-6 + 500 * 0.1e-6 + 50 * 5e-6)


def test_the_graph_has_no_problems() -> None:
    """The check reports no problems."""
    assert graph.check() == []

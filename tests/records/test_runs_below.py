"""The runs below a run, at any depth."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

import pytest

from graphengine import Runner
from graphengine.kernel.store import RunInfo, RunStore
from graphengine.records.runs_below import CountsBelow, failed_words, runs_above, runs_below
from graphengine.records.spending import load_spent_below
from tests.serve.inspector.graphs import Place, survey


@dataclass
class Counting:
    """A store that counts how often it is asked for the children of runs."""

    store: RunStore
    asked: list[Sequence[str]] = field(default_factory=list)

    async def started(self, run_ids: Sequence[str]) -> Sequence[RunInfo]:
        self.asked.append(run_ids)
        return await self.store.started(run_ids)


@pytest.fixture
async def runner() -> AsyncIterator[Runner]:
    """Provide runs of three levels below `top`, of which two of the last failed, and a run without any."""
    async with Runner() as runner:
        await runner.start(survey(), Place(name="top"), run_id="top").result()
        await runner.start(survey((), ("alone",)), Place(name="alone"), run_id="alone").result()
        yield runner


async def test_a_failure_is_counted_at_each_run_above_it(runner: Runner) -> None:
    """Of a leaf three levels down the root, its region and its town have it; those beside them do not."""
    ids = {info.title: info.id for info in await runner.store.runs(limit=100)}
    below = await runs_below(runner.store, [*ids.values()])
    counts = {title: below.counts(run_id) for title, run_id in ids.items()}
    assert counts["top"] == CountsBelow(20, 2)
    assert counts["top.0"] == counts["top.1"] == CountsBelow(9, 1)
    assert counts["top.1.2"] == CountsBelow(2, 1)
    assert counts["top.1.0"] == CountsBelow(2, 0)
    assert counts["top.1.2.1"] == counts["alone"] == CountsBelow()
    assert [info.title for info in below.failed("top")] == ["top.0.2.1", "top.1.2.1"]
    assert failed_words(counts["top"]) == "2 of 20 runs below failed"
    assert (await load_spent_below(runner.store, "top")).failed == 2


async def test_each_level_is_asked_for_once(runner: Runner) -> None:
    """However many runs are in the store, and whether or not they are in one tree: no run is read alone."""
    store = Counting(runner.store)
    await runs_below(store, ["top", "alone"])  # type: ignore[arg-type]
    assert [len(each) for each in store.asked] == [2, 2, 6, 12]


async def test_the_way_up_begins_at_the_top(runner: Runner) -> None:
    """It ends above the run; a run that no node started has none."""
    ids = {info.title: info.id for info in await runner.store.runs(limit=100)}
    leaf = await runner.store.info(ids["top.1.2.1"])
    assert [info.title for info in await runs_above(runner.store, leaf)] == ["top", "top.1", "top.1.2"]
    assert await runs_above(runner.store, await runner.store.info("top")) == []

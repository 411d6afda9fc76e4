"""The filter `id:` finds exactly one run, over every store."""

import pytest
from pydantic import BaseModel

from graphengine import Graph, Runner
from graphengine.records.search import wanted_of
from graphengine.records.selection import Wanted
from graphengine.records.trends import trends
from tests.kit.runs import alone

IDS = ("order-7", "order-70", "7", "daily@20261121T060000Z", "7-order", "_-.")


class State(BaseModel):
    n: int = 0


def counting() -> Graph[State]:
    """Return a graph of one node."""
    return alone(State, lambda n: n + 1, "n", name="counting", thread=False)


@pytest.mark.parametrize("run_id", [*IDS, "acme/order-7"])
async def test_an_id_finds_the_run_that_has_it(runner: Runner, run_id: str) -> None:
    """A word also finds runs whose id contains it or begins like it."""
    for each in IDS:
        await runner.start(counting(), run_id=each).result()
    await runner.start(counting(), run_id="acme/order-7", tenant="acme").result()
    search = f'id:"{run_id}"'
    assert [info.id for info in await runner.runs(search)] == [run_id]
    assert [info.id for info in await runner.runs(f"{search} status:finished counting")] == [run_id]
    assert await runner.runs(f"{search} status:failed") == []
    assert sum(each.runs for each in (await trends(runner.store, search, every_seconds=3600.0)).trends) == 1


async def test_an_act_on_an_id_is_on_one_run(runner: Runner) -> None:
    """As `graphengine bulk prune id:order-7` does."""
    for each in IDS:
        await runner.start(counting(), run_id=each).result()
    await runner.admin.bulk("prune", "id:order-7")
    assert {info.id for info in await runner.runs()} == {*IDS} - {"order-7"}
    await runner.admin.bulk("prune", "id:order")
    assert {info.id for info in await runner.runs()} == {*IDS} - {"order-7"}


def test_two_ids_are_refused() -> None:
    """No run has two ids."""
    with pytest.raises(Exception, match="id is given twice"):
        wanted_of("id:a id:b", Wanted(1))

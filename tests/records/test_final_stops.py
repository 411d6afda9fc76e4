"""Final stops: a run that is cancelled has ended, and nothing continues it; branches of it can begin."""

from graphengine import Runner
from graphengine.graph.options import Retention
from graphengine.records.export import export_run
from graphengine.records.retention import rules_of
from graphengine.testing import replay
from tests.runner.test_final_stops import asking


async def test_a_cancelled_run_replays(runner: Runner) -> None:
    """A replay decides the same step again."""
    await runner.start(asking, run_id="r", wait_out=False).result()
    await runner.stop("r", "enough", final=True)
    assert replay(asking, await export_run(runner.store, "r")).same


async def test_cancelled_runs_are_found_counted_pruned_and_cancelled_in_bulk(runner: Runner) -> None:
    """`status:cancelled` finds them; retention keeps them as long as finished ones."""
    for number in range(3):
        await runner.start(asking, run_id=f"r{number}", wait_out=False).result()
    await runner.stop("r0")
    done = await runner.admin.bulk("cancel", "graph:asking", why="all wrong")
    assert sorted(done.runs) == ["r0", "r1", "r2"]
    assert (await runner.admin.bulk("cancel", "graph:asking")).runs == []
    assert len(await runner.runs(status="cancelled")) == 3
    assert [(each.status, each.runs) for each in await runner.store.counts()] == [("cancelled", 3)]
    assert "cancelled" in next(rule for rule in rules_of(None, Retention()) if "finished" in rule.statuses).statuses
    assert len((await runner.admin.bulk("prune", "status:cancelled")).runs) == 3

"""Runs that begin with the state that another one ended with, over each store: what they share, and what they check."""

from graphengine import Runner
from graphengine.records.export import export_run, import_run
from graphengine.stores.memory import InMemoryStore
from tests.runner.test_after import TOKEN, talk, talking, text_of


async def test_runs_that_others_began_after_can_be_removed(runner: Runner) -> None:
    """A run keeps all that it began with when the runs before it are removed."""
    await talk(runner, 30)
    pruned = await runner.admin.prune(keep_last=1)
    assert len(pruned.runs) == 29
    result = await runner.start(talking(), {"said": "last"}, after="r29").result()
    assert [entry.text for entry in result.state.entries] == [*map(text_of, range(30)), "last"]
    assert result.state.token == TOKEN
    exported = await export_run(runner.store, "r29")
    other = InMemoryStore()
    await other.open()
    assert await import_run(other, exported)
    assert await other.steps("r29") == await runner.store.steps("r29")

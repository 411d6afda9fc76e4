"""What is kept of the beginning of an effect: in a renamed node, in a graph that is retried, and if it did nothing."""

from pathlib import Path

import pytest

from graphengine import Migration, RunFailed, Runner
from graphengine.graph.effect import Effect
from tests.runner.recorded_work.test_effects_kept import Bank, both


@both
@pytest.mark.parametrize("effect", ["once", "idempotent"])
async def test_a_renamed_node_keeps_the_keys_of_its_effects(tmp_path: Path, effect: Effect, *, is_call: bool) -> None:
    """An unknown effect is asked about also under the node's new name; a receiver sees the same key."""
    bank = Bank(OSError("the line broke"))
    async with Runner(tmp_path / "runs.db") as runner:
        with pytest.raises(RunFailed):
            await runner.start(bank.graph("pay", is_call=is_call, effect=effect), run_id="r").result()
    renamed = bank.graph("charge", is_call=is_call, effect=effect)
    renamed.version, renamed.migrate = 2, {1: Migration(renamed={"pay": "charge"})}
    async with Runner(tmp_path / "runs.db") as runner:
        result = await runner.resume("r", renamed).result()
        assert [wait.kind for wait in result.waits] == (["unknown"] if effect == "once" else [])
        assert len(set(bank.keys)) == 1
        if effect == "once":
            await runner.answer("r", "rerun")
            result = await runner.resume("r", renamed).result()
    assert (result.state.paid, len(bank.keys), len(set(bank.keys))) == (7, 2, 1)

"""Values that nodes pass on share objects between fields: no node can change what another one reads, or the record."""

from graphengine import Runner
from tests.runner.test_passed_on import GIVEN, Desk, chain, pass_on, texts


async def test_changes_of_a_result_reach_no_record_and_no_other_result() -> None:
    """The caller owns the state of a result: a second result, and a branch of the run, have the recorded values."""
    async with Runner() as runner:
        handle = runner.start(chain(("pass", pass_on, "kept"), ("n", lambda: 2, "n")), Desk(docs=GIVEN), run_id="one")
        first = await handle.result()
        first.state.kept[0]["text"] = "spoilt"
        assert first.values["kept"] == GIVEN
        assert (await handle.result()).state is first.state or (await handle.result()).state.kept == GIVEN
        branch = await runner.branch(
            "one", chain(("pass", pass_on, "kept"), ("n", texts, "seen"), n={"docs": "kept"}), 2
        ).result()
    assert branch.state.seen == "a b"

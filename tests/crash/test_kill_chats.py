"""A conversation with a turn that fails for good, killed at each write to the store."""

from pathlib import Path

from tests.crash.in_turn import printed


def test_a_kill_while_a_turn_fails_for_good_changes_no_outcome(database: str, tmp_path: Path) -> None:
    """Each message has its outcome once; a refusal that was recorded is not asked for again."""
    form = r"(\d+) kills, (\d+) questions\n"
    kills, questions = printed(form, "chat_victim.py", database, str(tmp_path / "ledger"))
    assert kills >= 30
    assert questions - kills <= 6  # the points between the question and the record of its refusal

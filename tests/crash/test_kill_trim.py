"""The removal of old steps of a run, killed at many of its points."""

from tests.crash.in_turn import printed


def test_a_kill_anywhere_in_a_removal_of_steps_loses_nothing_else(database: str) -> None:
    """Whatever the point of death, the run is the same and sound, and the next process removes the rest."""
    kills, halves = printed(r"(\d+) kills, (\d+) of them half-way\n", "trim_victim.py", database)
    assert (kills >= 8, halves >= 3) == (True, True)

"""A retry of many runs that is killed at any of its points, and repeated."""

from tests.crash.in_turn import printed


def test_a_retry_that_was_killed_anywhere_is_repeated(database: str) -> None:
    """The second call does what is left; each run is resumed once, and due for workers."""
    (kills,) = printed(r"(\d+) kills\n", "bulk_victim.py", database)
    assert kills >= 9

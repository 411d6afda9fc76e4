"""Pauses between the attempts of a node."""

import pytest

from graphengine import Retry
from graphengine.graph.options import pause_of

RETRY = Retry(attempts=9, initial_seconds=1, max_seconds=30, jitter=0.1)


def test_the_longest_pause_has_jitter_too() -> None:
    """Runs that failed at the same moment do not call again at the same moment, and nobody waits beyond the maximum."""
    pauses = [RETRY.pause_seconds(8, chance / 1000) for chance in range(1001)]
    assert len({round(pause, 3) for pause in pauses}) > 900
    assert (24.5 < min(pauses) < 24.6, max(pauses)) == (True, 30)
    assert Retry(attempts=9, jitter=0).pause_seconds(20) == 30


def test_a_recorded_pause_stays_as_it_was_decided() -> None:
    """A chance below 1 was recorded when a pause was cut after its jitter had been added."""
    assert [pause_of(RETRY, 8, chance) for chance in (0.0, 0.5, 1.0)] == pytest.approx([30, 30, 27 / 1.1])
    assert [RETRY.pause_seconds(2, chance) for chance in (0.0, 0.5, 1.0)] == [1.8, 2.0, 2.2]
    assert [pause_of(RETRY, 2, chance) for chance in (0.0, 0.5)] == [1.8, 2.0]

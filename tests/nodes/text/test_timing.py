"""Minutes split over the parts of an episode."""

import pytest

from nodes.text.timing import in_shares, split_minutes, when_acts_end


@pytest.mark.parametrize("minutes", [10, 22, 42, 43, 58, 240])
@pytest.mark.parametrize("beats", [[1, 0], [0, 0, 0, 0, 0], [1, 3, 1, 4, 2], [1] * 9])
def test_parts_add_up(minutes: int, beats: list[int]) -> None:
    """They add up to the minute, each has at least one, and a short cold open comes first."""
    spans = split_minutes(minutes, beats)
    assert (len(spans), sum(spans)) == (len(beats), minutes)
    assert min(spans) >= 1
    assert spans[0] == max(1, round(minutes * 0.08))


def test_more_beats_are_more_time() -> None:
    """Equal parts differ by at most one minute, the longer ones first."""
    assert split_minutes(42, [1, 1, 1, 1, 1]) == [3, 10, 10, 10, 9]
    spans = split_minutes(42, [1, 1, 5, 1, 1])
    assert spans[2] == max(spans) > spans[1]


def test_shares_are_kept() -> None:
    """They are as exact as whole minutes allow; an episode that is too short still has one minute per part."""
    assert in_shares(40, [1, 3]) == [11, 29]
    assert in_shares(1, [1, 1]) == [1, 1]


def test_when_acts_end() -> None:
    """The cumulative sum."""
    assert when_acts_end([3, 10, 10]) == [3, 13, 23]

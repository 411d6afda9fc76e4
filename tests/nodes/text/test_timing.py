"""Minutes split over the parts of an episode."""

import pytest

from nodes.text.timing import in_shares, split_minutes, when_acts_end


@pytest.mark.parametrize("minutes", [10, 22, 42, 43, 58, 240])
@pytest.mark.parametrize("beats", [[1, 0], [0, 0, 0, 0, 0], [1, 3, 1, 4, 2], [1] * 9])
def test_parts_add_up(minutes: int, beats: list[int]) -> None:
    """To the minute, none without a minute, a short cold open first."""
    spans = split_minutes(minutes, beats)
    assert (len(spans), sum(spans)) == (len(beats), minutes)
    assert min(spans) >= 1
    assert spans[0] == max(1, round(minutes * 0.08))


def test_more_beats_are_more_time() -> None:
    """And equal parts differ by one minute at most, the earlier ones first."""
    assert split_minutes(42, [1, 1, 1, 1, 1]) == [3, 10, 10, 10, 9]
    spans = split_minutes(42, [1, 1, 5, 1, 1])
    assert spans[2] == max(spans) > spans[1]


def test_shares_are_kept() -> None:
    """As well as whole minutes can; an episode too short has a minute a part all the same."""
    assert in_shares(40, [1, 3]) == [11, 29]
    assert in_shares(1, [1, 1]) == [1, 1]


def test_when_acts_end() -> None:
    """The sum so far."""
    assert when_acts_end([3, 10, 10]) == [3, 13, 23]

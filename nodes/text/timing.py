"""Minutes: splitting an episode's length over its parts."""

from collections.abc import Sequence
from itertools import accumulate

COLD_OPEN_SHARE = 0.08  # three minutes and a half of 42
BEAT_WEIGHT = 0.15  # a part gets this much more for each beat than one without


def split_minutes(minutes: int, beats: Sequence[int]) -> list[int]:
    """Split a length over the cold open and the acts, in whole minutes that add up to it.

    Args:
        minutes: The length; at least the number of parts.
        beats: The number of beats of the cold open and of each act, in order.
    """
    cold_open = max(1, round(minutes * COLD_OPEN_SHARE))
    return [cold_open, *in_shares(minutes - cold_open, [1 + BEAT_WEIGHT * count for count in beats[1:]])]


def in_shares(minutes: int, weights: Sequence[float]) -> list[int]:
    """Split a length by weights, in whole minutes of at least 1 that add up to it if there are enough of them.

    The rest goes to the largest remainders, the earlier part first (the method of Hare and Niemeyer).
    """
    spare = max(0, minutes - len(weights))
    exact = [spare * weight / sum(weights) for weight in weights]
    spans = [int(share) for share in exact]
    by_remainder = sorted(range(len(exact)), key=lambda at: (spans[at] - exact[at], at))
    for at in by_remainder[: spare - sum(spans)]:
        spans[at] += 1
    return [1 + span for span in spans]


def when_acts_end(spans: Sequence[int]) -> list[int]:
    """Return the minute at which each part ends."""
    return list(accumulate(spans))

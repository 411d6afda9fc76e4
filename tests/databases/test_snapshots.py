"""The policy that decides when a snapshot is worth its bytes."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from graphengine.databases.snapshots import Tail
from graphengine.stores.base import MIN_ROWS


def drive(
    count: int, row_bytes: int, state_bytes: Callable[[int], int], *, claimed: bool = False
) -> tuple[list[tuple[int, int]], int, Tail]:
    """Return the snapshots written, as (seq, bytes), the bytes of all that were made, and the tail.

    A run that waits after each step is `claimed` before each.
    """
    tail = Tail()
    written: list[tuple[int, int]] = []
    made_bytes = 0
    for seq in range(1, count + 1):
        if claimed:
            tail = Tail.of_claimed(tail.rows, tail.row_bytes, written[-1][1] if written else 0)
        if tail.grow(1, row_bytes):
            size = state_bytes(seq)
            made_bytes += size
            if tail.settle(size):
                written.append((seq, size))
    return written, made_bytes, tail


STATES: dict[str, Callable[[int], int]] = {
    "constant and small": lambda _: 300,
    "constant and large": lambda _: 1_000_000,
    "grows as fast as the log": lambda seq: 1000 * seq,
    "grows slower than the log": lambda seq: 300 * seq,
    "shrinks and grows": lambda seq: 100_000 if seq // 500 % 2 else 500,
}


@pytest.mark.parametrize("claimed", [False, True])
@pytest.mark.parametrize("name", STATES)
def test_snapshots_cost_less_than_the_log(name: str, *, claimed: bool) -> None:
    """All snapshots take at most half the bytes of the log, and the cost of making them is bounded by the log too."""
    count, row_bytes = 20_000, 1300
    written, made_bytes, _ = drive(count, row_bytes, STATES[name], claimed=claimed)
    assert 2 * sum(size for _, size in written) <= count * row_bytes
    assert made_bytes <= 3 * count * row_bytes


@pytest.mark.parametrize(("claimed", "growth"), [(False, 1.0), (True, 1.5)])
@pytest.mark.parametrize("name", ["constant and small", "constant and large", "shrinks and grows"])
def test_the_tail_is_bounded_by_the_state(name: str, growth: float, *, claimed: bool) -> None:
    """If the state does not grow with the log, the steps to read after a snapshot do not either."""
    _, _, tail = drive(20_000, 1300, STATES[name], claimed=claimed)
    assert tail.row_bytes <= growth * max(MIN_ROWS * 1300, 2 * 1_000_000 + 1300)


def test_there_is_no_snapshot_before_the_minimum_of_steps() -> None:
    """A short run writes none, however small its state."""
    assert drive(MIN_ROWS - 1, 5000, lambda _: 10)[1] == 0
    assert drive(MIN_ROWS, 5000, lambda _: 10)[0] == [(MIN_ROWS, 10)]

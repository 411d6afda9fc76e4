"""Rates of queues: however runs arrive and workers look, no span of the rate's length has more begins."""

from hypothesis import example, given
from hypothesis import strategies as st

from graphengine.stores.base import QueueLimits
from graphengine.stores.dispatch import Candidate, Load, choose

SECONDS = 60.0


@given(
    st.integers(1, 12),
    st.lists(st.tuples(st.floats(0.0, SECONDS * 1.5), st.integers(1, 30)), max_size=60),
)
@example(10, [(SECONDS / 10, 1)] * 9 + [(SECONDS / 20, 30)] * 20)
def test_no_span_of_time_has_more_begins_than_the_rate(count: int, looks: list[tuple[float, int]]) -> None:
    """Workers look at any times, and find any number of runs."""
    limits = {"mail": QueueLimits(rate=(count, SECONDS))}
    now, begun = 1000.0, list[float]()
    rates: dict[tuple[str, str], float] = {}
    for pause, found in looks:
        now += pause
        waiting = [Candidate(number, "mail", "", 0, is_queued=True, place=number) for number in range(found)]
        chosen = choose(waiting, found, Load(limits, {}, rates), now)
        rates = {**rates, **chosen.rates}
        begun += [now] * len(chosen.ids)
    for first, after in zip(begun, begun[count:], strict=False):
        assert after - first >= SECONDS - 1e-3


def test_a_pause_gives_the_whole_rate_and_frequent_looks_use_it_up() -> None:
    """After a pause all begin at once; then a worker that looks whenever one may begin lets as many begin."""
    limits = {"mail": QueueLimits(rate=(10, SECONDS))}
    waiting = [Candidate(number, "mail", "", 0, is_queued=True, place=number) for number in range(500)]
    rates: dict[tuple[str, str], float] = {}
    begun = []
    for look in range(31):
        chosen = choose(waiting, 500, Load(limits, {}, rates), 1000.0 + look * SECONDS / 10)
        rates.update(chosen.rates)
        begun.append(len(chosen.ids))
    assert begun == [10, *[0] * 9, *[1] * 21]

"""When calls may begin: given limits, limits learned from refusals, and the circuit breaker; no clock is involved."""

from __future__ import annotations

import math
from collections import deque

from graphengine.models.errors import ModelOverloaded, RateLimited
from graphengine.models.limiter import RateLimiter
from graphengine.models.rates import Permit, RateController

NO_ROOM = RateLimited("slow down")
DOWN = ModelOverloaded("overloaded")


def served(
    rates: RateController, calls: int, *, allowed: int, seconds: float = 1.0, asks: float | None = 1.0
) -> tuple[float, int]:
    """Make calls of a server that allows so many in any span; return when the last is answered, and its refusals."""
    now, refused = 0.0, 0
    accepted: deque[float] = deque()
    while calls:
        at = rates.free_at(now, 1)
        assert at < math.inf
        now = max(now, at)
        permit = rates.begin(now, 1)
        while accepted and accepted[0] <= now - seconds:
            accepted.popleft()
        if len(accepted) < allowed:
            accepted.append(now)
            rates.answered(permit, now)
            calls -= 1
        else:
            rates.refused(permit, now, NO_ROOM, asks)
            refused += 1
        rates.end(permit)
    return now, refused


def burst(answered: int, refused: int) -> RateController:
    """Make calls at once, of which the server answers some, and refuses the others for a second."""
    rates = RateController(RateLimiter())
    permits = [rates.begin(0.0, 1) for _ in range(answered + refused)]
    for permit in permits[:answered]:
        rates.answered(permit, 0.1)
        rates.end(permit)
    for permit in permits[answered:]:
        assert rates.refused(permit, 0.1, NO_ROOM, 1.0) == 1.0
        rates.end(permit)
    return rates


def test_forty_calls_at_once_are_refused_once_and_then_paced() -> None:
    """The refusals of one burst count as one; from then on as many begin in a span as were answered."""
    rates = burst(answered=5, refused=35)
    begun = 0
    while rates.free_at(1.2, 1) <= 1.2:
        rates.begin(1.2, 1)
        begun += 1
    assert begun == 5
    assert 2.2 < rates.free_at(1.2, 1) < 2.4


def test_a_limit_that_was_raised_is_found_again() -> None:
    """Each answer raises the number, by a fifth in each span, until the next refusal."""
    last, refused = served(burst(answered=0, refused=2), 1000, allowed=100_000)
    assert (refused, 20 < last < 40) == (0, True)


def test_a_learned_limit_is_forgotten_after_ten_spans_without_a_call() -> None:
    """A limit that others used up once does not slow down the calls of hours later."""
    rates = burst(answered=0, refused=2)
    rates.begin(2.0, 1)
    assert rates.free_at(2.1, 1) > 3.0
    for _ in range(5):
        assert rates.free_at(13.0, 1) == -math.inf
        rates.begin(13.0, 1)


def test_a_single_refusal_teaches_no_limit() -> None:
    """A lone caller waits as the server asks, and then calls as before: others may have used the limit."""
    rates = burst(answered=1, refused=1)
    assert rates.free_at(0.1, 1) == 1.1
    for _ in range(5):
        assert rates.free_at(1.1, 1) == -math.inf
        rates.begin(1.1, 1)


def test_without_a_time_from_the_server_pauses_double() -> None:
    """Refusals of calls that began before a pause do not prolong the next one."""
    rates = RateController(RateLimiter())
    late = rates.begin(0.0, 1)
    now = 0.0
    for pause in (1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0):
        assert rates.refused(rates.begin(now, 1), now, NO_ROOM, None) == pause
        now += pause
    rates.refused(late, now, NO_ROOM, None)
    rates.answered(rates.begin(now, 1), now)
    assert rates.refused(rates.begin(now, 1), now, NO_ROOM, None) == 1.0


def test_given_limits_hold_in_any_minute() -> None:
    """Given limits on requests and tokens hold in any minute; an answered call counts with the tokens that it took."""
    rates = RateController(RateLimiter(requests_per_minute=2, tokens_per_minute=100))
    first = rates.begin(0.0, 60)
    assert rates.free_at(1.0, 50) == 60.0
    rates.answered(first, 1.0, tokens=10)
    assert rates.free_at(1.0, 50) == -math.inf
    rates.begin(10.0, 50)
    assert rates.free_at(11.0, 1) == 60.0
    assert rates.free_at(61.0, 51) == 70.0


def test_tokens_are_counted_rightly_when_the_clock_is_set_back() -> None:
    """What a call took replaces its estimate as long as it counts, and does not change the sum of other calls."""
    rates = RateController(RateLimiter(tokens_per_minute=100))
    rates.begin(1000.0, 10)
    early = rates.begin(500.0, 50)
    rates.answered(early, 501.0, 5)
    assert rates.free_at(2000.0, 100) == -math.inf
    rates.begin(2000.0, 10)
    assert rates.free_at(2000.0, 90) == -math.inf
    assert rates.free_at(2000.0, 91) == 2060.0


def test_a_call_larger_than_the_limit_goes_alone() -> None:
    """A call larger than the limit goes alone, since it would wait forever otherwise."""
    rates = RateController(RateLimiter(tokens_per_minute=100))
    assert rates.free_at(0.0, 500) == -math.inf
    rates.begin(0.0, 500)
    assert rates.free_at(1.0, 1) == 60.0


def test_no_more_calls_are_in_flight_than_allowed() -> None:
    """The next one begins when one ends."""
    rates = RateController(RateLimiter(calls_at_once=2))
    first, _ = rates.begin(0.0, 1), rates.begin(0.0, 1)
    assert rates.free_at(0.0, 1) == math.inf
    rates.end(first)
    assert rates.free_at(0.0, 1) == -math.inf
    rates.begin(0.0, 1)
    assert rates.free_at(0.0, 1) == math.inf


def failing(rates: RateController, now: float) -> Permit:
    """Make a call that fails."""
    permit = rates.begin(now, 1)
    rates.failed(permit, now, DOWN, None)
    rates.end(permit)
    return permit


def test_after_failures_in_a_row_one_call_at_a_time_is_tried() -> None:
    """After failures in a row one call at a time is tried, with doubling pauses; its answer, even begun, ends that."""
    rates = RateController(RateLimiter(failures=3, pause_seconds=3))
    for _ in range(3):
        assert not failing(rates, 0.0).is_trial
    assert rates.closed_until(0.0) == 1.0
    now = 1.0
    for pause in (2.0, 3.0, 3.0):
        assert failing(rates, now).is_trial
        now += pause
        assert rates.closed_until(now - 0.1) == now
    trial = rates.begin(now, 1)
    assert rates.free_at(now, 1) == math.inf
    rates.begun(trial)
    assert rates.free_at(now, 1) == -math.inf
    assert not rates.begin(now, 1).is_trial


def test_concurrent_failures_count_up_to_the_pause_that_they_begin() -> None:
    """Forty calls that fail together make one short pause."""
    rates = RateController(RateLimiter())
    for permit in [rates.begin(0.0, 1) for _ in range(40)]:
        rates.failed(permit, 0.5, DOWN, None)
        rates.end(permit)
    assert rates.closed_until(0.5) == 1.5

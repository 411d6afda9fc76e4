"""When a model may be called: limits that are given, limits learned from the server's refusals, and a circuit breaker.

Nothing here waits or reads a clock: every method gets the time. `graphengine.models.limiter` waits.

A server that refuses a call states how long to wait, but not its limit. The limit is learned: of the calls
that began within that time before the refusal, those that were not refused are as many as it allows. From then on no
more begin in any such span. One refusal alone teaches nothing, as others may use the limit too, and a call that waits
alone needs no limit. Each answer raises the learned limit by a fifth of a call, so that one that was raised, or was low
because others used it too, is found again.
Source: the congestion avoidance of TCP (RFC 5681), with a span in place of a round trip.

Example, with a server that allows five calls a second: forty calls begin at 0.0 s. Five are answered; the others are
refused, with the advice to wait 1 s. From 1.06 s on five calls, and sometimes one more, begin every 1.06 s.
"""

from __future__ import annotations

import math
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING, Final, NamedTuple

from graphengine.kernel.extension import Retry

if TYPE_CHECKING:
    from graphengine.models.limiter import RateLimiter

MINUTE_SECONDS: Final = 60.0
PAUSES: Final = Retry(initial_seconds=1.0, max_seconds=30.0)
"""The pauses after failures if the server names none."""
_SLACK: Final = 1.05
_SLACK_SECONDS: Final = 0.01
"""How much longer than the server's span ours is: calls take different times to arrive, and the server counts
arrivals."""
_GROWTH: Final = 0.2
"""By how much an answer raises a learned limit: by a fifth in each span that is used up."""
_FORGOTTEN_SPANS: Final = 10
"""After so many spans without a call, a learned limit is forgotten: others may have used it up, and be gone."""
_KEPT: Final = 2_000
"""The most calls that are remembered to learn a limit from."""


class PastFailure(NamedTuple):
    """What is known of a call that failed. The exception itself would keep its frames, and so all of its run.

    Attributes:
        kind: The class of the exception.
        text: Its message; the name of its class if it has none, or it cannot be read.
    """

    kind: type[Exception]
    text: str

    @classmethod
    def of(cls, error: Exception) -> PastFailure:
        """Return what is known of a failure."""
        text = ""
        with suppress(Exception):  # a __str__ of the user's
            text = str(getattr(error, "message", "") or error)
        return cls(type(error), text or type(error).__name__)


@dataclass(slots=True, eq=False)
class Permit:
    """One call.

    Attributes:
        began: When it began.
        era: The number of pauses before it.
        is_trial: Whether it is the only one that may be in flight, since the calls before it failed.
        units: The tokens that it is expected to take, then those that it took.
        refused: Whether the server refused it.
        has_begun: Whether a part of its answer has arrived.
    """

    began: float
    era: int
    is_trial: bool
    units: int
    refused: bool = False
    has_begun: bool = False


class RateController:
    """Decides when the next call of a model may begin.

    Args:
        limits: The limits that are known.
    """

    def __init__(self, limits: RateLimiter) -> None:
        self._limits = limits
        self._in_flight = 0
        self._trial: Permit | None = None
        self._paused_until = -math.inf
        self._pauses = 0  # without an answer between them
        self._refusals = 0  # that began the last pause
        self._failures = 0  # in a row
        self._era = 0
        self._recent: deque[Permit] = deque(maxlen=_KEPT)
        self._requests = _SpanLimit(limits.requests_per_minute, MINUTE_SECONDS)
        self._tokens = _SpanLimit(limits.tokens_per_minute, MINUTE_SECONDS, counts_tokens=True)
        self._learned = _SpanLimit(None, 0.0)
        self.last_answer = -math.inf
        self.last_failure: PastFailure | None = None

    @property
    def is_full(self) -> bool:
        """Whether as many calls are in flight as may be."""
        most = self._limits.calls_at_once
        return most is not None and self._in_flight >= most

    def closed_until(self, now: float) -> float:
        """Return when calls may begin again: infinity while one of them is tried, minus infinity if they may now."""
        if self._trial is not None:
            return math.inf
        return self._paused_until if self._paused_until > now else -math.inf

    def free_at(self, now: float, tokens: int) -> float:
        """Return when a call may begin, infinity if another one has to end first."""
        if self._trial is not None or self.is_full:
            return math.inf
        if self._recent and now - self._recent[-1].began > _FORGOTTEN_SPANS * self._learned.seconds:
            self._learned = _SpanLimit(None, 0.0)
        spans = self._requests.free_at(now, 1), self._tokens.free_at(now, tokens), self._learned.free_at(now, 1)
        return max(self.closed_until(now), *spans)

    def begin(self, now: float, tokens: int) -> Permit:
        """Begin a call."""
        permit = Permit(now, self._era, self._failures >= self._limits.failures, tokens)
        if permit.is_trial:
            self._trial = permit
        self._in_flight += 1
        self._recent.append(permit)
        for span in (self._requests, self._tokens, self._learned):
            span.add(permit)
        return permit

    def begun(self, permit: Permit) -> None:
        """Note that the answer to a call has begun: if it was a trial, others may be tried too."""
        if self._trial is permit:
            self._trial = None
            self._failures = 0

    def is_tried(self, permit: Permit) -> bool:
        """Return whether a call is a trial whose answer has not begun."""
        return self._trial is permit

    def answered(self, permit: Permit, now: float, tokens: int | None = None) -> None:
        """Note an answer, and how many tokens the call took if that is known.

        The answer to a call that began before the last pause does not end the row of failures.
        """
        self.last_answer = now
        if tokens is not None:
            self._tokens.correct(permit, tokens)
        if permit.era == self._era:
            self._failures = self._pauses = 0
            self._learned.most += _GROWTH

    def refused(self, permit: Permit, now: float, failure: PastFailure, seconds: float | None) -> float:
        """Note that the server has no room now; return for how long no call begins.

        Args:
            permit: The call.
            now: The time.
            failure: The server's answer.
            seconds: How long it asks to wait; None if it does not state it.
        """
        self.last_failure = failure
        permit.refused = True
        begins_pause = permit.era == self._era
        if seconds is None:
            self._pauses += begins_pause
            seconds = PAUSES.pause_seconds(max(self._pauses, 1))
        if begins_pause:
            self._failures = 0  # it is up
            self._era += 1
            self._refusals = 0
        self._refusals += 1
        if self._refusals > 1:
            self._learn(permit, now, max(seconds, _SLACK_SECONDS))
        self._paused_until = max(self._paused_until, now + seconds)
        return seconds

    def failed(self, permit: Permit, now: float, failure: PastFailure, seconds: float | None) -> None:
        """Note that a call failed because the server is down, or overloaded, for all calls or for this one.

        After some failures in a row, calls are tried one at a time, with a pause before each. Calls that began before
        such a pause do not prolong it.
        """
        self.last_failure = failure
        if seconds:
            self._paused_until = max(self._paused_until, now + seconds)
        if permit.era != self._era:
            return
        self._failures += 1
        over = self._failures - self._limits.failures
        if over >= 0:
            pause = min(PAUSES.pause_seconds(over + 1), self._limits.pause_seconds)
            self._paused_until = max(self._paused_until, now + pause)
        if over >= 0 or seconds:
            self._era += 1

    def end(self, permit: Permit) -> None:
        """End a call, whatever its outcome; after a cancelled trial the next call is the trial."""
        self._in_flight -= 1
        if self._trial is permit:
            self._trial = None

    def _learn(self, permit: Permit, now: float, seconds: float) -> None:
        """Learn how many calls the server allows in a span of this many seconds, or of a longer one known before."""
        seconds = max(seconds, (self._learned.seconds - _SLACK_SECONDS) / _SLACK)
        since = min(permit.began, now) - seconds
        recent = takewhile(lambda each: each.began > since, reversed(self._recent))
        allowed = [each for each in recent if not each.refused]
        self._learned = _SpanLimit(max(1, len(allowed)), seconds * _SLACK + _SLACK_SECONDS)
        for each in reversed(allowed):
            self._learned.add(each)


class _SpanLimit:
    """At most so many calls, or tokens, in any span of so many seconds.

    Attributes:
        most: The limit; infinity for none.
        seconds: The length of the span.
    """

    def __init__(self, most: int | None, seconds: float, *, counts_tokens: bool = False) -> None:
        self.most = math.inf if most is None else float(most)
        self.seconds = seconds
        self._counts_tokens = counts_tokens
        self._permits: deque[Permit] = deque()
        self._taken = 0

    def add(self, permit: Permit) -> None:
        """Count a call."""
        if self.most < math.inf:
            self._permits.append(permit)
            self._taken += self._units(permit)

    def correct(self, permit: Permit, tokens: int) -> None:
        """Count a call with the tokens that it took, if it still counts."""
        if self._permits and permit.began >= self._permits[0].began:
            self._taken += tokens - permit.units
            permit.units = tokens

    def free_at(self, now: float, units: int) -> float:
        """Return when this many units are free. A call that is larger than the whole span goes alone."""
        while self._permits and self._permits[0].began + self.seconds <= now:
            self._taken -= self._units(self._permits.popleft())
        over = self._taken + units - self.most
        free = -math.inf
        for permit in self._permits:
            if over <= 0:
                break
            over -= self._units(permit)
            free = permit.began + self.seconds
        return free

    def _units(self, permit: Permit) -> int:
        return permit.units if self._counts_tokens else 1


__all__ = ["PAUSES", "PastFailure", "Permit", "RateController"]

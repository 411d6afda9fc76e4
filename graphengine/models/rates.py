"""When a model may be called: given limits, limits learned from the server's refusals, and a circuit breaker.

No code in this module waits or reads a clock: every method receives the time. `graphengine.models.limiter` waits.

**Learned limits.** A server that refuses a call states how long to wait, but not its limit. The limit is learned from
the calls that began within that time before the refusal: the server evidently allows as many calls as it did not refuse
among them. From then on, no more calls begin in any span of this length. A single refusal teaches nothing, because
other programs may use the limit, too, and because a call that waits alone needs no limit. Each answer raises the
learned limit by a fifth of a call. If the server's limit is raised, or was only low because other programs used it, the
new limit is found in this way. Source: the congestion avoidance of TCP (RFC 5681), with a span in place of a round
trip.

Example, with a server that allows five calls a second: forty calls begin at 0.0 s. Five are answered, and the others
are refused with the advice to wait 1 s. From 1.06 s on, five calls, and sometimes one more, begin every 1.06 s.
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
"""The pauses after failures if the server does not ask for a certain pause."""
_SLACK: Final = 1.05
_SLACK_SECONDS: Final = 0.01
"""How much longer than the server's span the span here is.

Calls take different times to arrive, and the server counts arrivals.
"""
_GROWTH: Final = 0.2
"""How much one answer raises a learned limit. In each span that is used up, the limit grows by a fifth."""
_FORGOTTEN_SPANS: Final = 10
"""After so many spans without a call, a learned limit is forgotten.

Other programs may have used up the server's limit then, and may be gone now.
"""
_KEPT: Final = 2_000
"""The largest number of calls that are remembered to learn a limit from."""


class PastFailure(NamedTuple):
    """What is kept of an exception with which a call failed: its class and its message.

    The exception itself is not kept, because its traceback would keep the whole run in memory.

    Attributes:
        kind: The class of the exception.
        text: The message of the exception; the name of its class if it has no message, or the message cannot be read.
    """

    kind: type[Exception]
    text: str

    @classmethod
    def of(cls, error: Exception) -> PastFailure:
        text = ""
        with suppress(Exception):  # a user's `__str__` may raise any error
            text = str(getattr(error, "message", "") or error)
        return cls(type(error), text or type(error).__name__)


@dataclass(slots=True, eq=False)
class Permit:
    """A call that the limiter has allowed to begin.

    Attributes:
        began: When the call began.
        era: How many times calls had been paused when this call began. A failure makes calls pause only if the failed
            call began after the last pause.
        is_trial: Whether this is the single call that tests whether a server that failed is working again.
        units: The number of tokens that the call is expected to use; after the call, the number that it used.
        refused: Whether the server refused the call because of a rate limit.
        has_begun: Whether a part of the answer has arrived.
    """

    began: float
    era: int
    is_trial: bool
    units: int
    refused: bool = False
    has_begun: bool = False


class RateController:
    """Decides when the next call of a model may begin, by the user's limits, the learned limit and a circuit breaker.

    Args:
        limits: The limits that the user has set.
    """

    def __init__(self, limits: RateLimiter) -> None:
        self._limits = limits
        self._in_flight = 0
        self._trial: Permit | None = None
        self._paused_until = -math.inf
        self._pauses = 0  # pauses without an answer between them
        self._refusals = 0  # refusals since the last pause began
        self._failures = 0  # failures in a row
        self._era = 0
        self._recent: deque[Permit] = deque(maxlen=_KEPT)
        self._requests = _SpanLimit(limits.requests_per_minute, MINUTE_SECONDS)
        self._tokens = _SpanLimit(limits.tokens_per_minute, MINUTE_SECONDS, counts_tokens=True)
        self._learned = _SpanLimit(None, 0.0)
        self.last_answer = -math.inf
        self.last_failure: PastFailure | None = None

    @property
    def is_full(self) -> bool:
        most = self._limits.calls_at_once
        return most is not None and self._in_flight >= most

    def closed_until(self, now: float) -> float:
        """Return the time until which the server must not be called.

        The result is minus infinity if calls may begin now. It is infinity while a single call, the trial, tests
        whether a server that failed is working again.
        """
        if self._trial is not None:
            return math.inf
        return self._paused_until if self._paused_until > now else -math.inf

    def free_at(self, now: float, tokens: int) -> float:
        """Return the earliest time at which a call that uses this many tokens may begin.

        The result is infinity if that depends on another call, which has to end first.
        """
        if self._trial is not None or self.is_full:
            return math.inf
        if self._recent and now - self._recent[-1].began > _FORGOTTEN_SPANS * self._learned.seconds:
            self._learned = _SpanLimit(None, 0.0)
        spans = self._requests.free_at(now, 1), self._tokens.free_at(now, tokens), self._learned.free_at(now, 1)
        return max(self.closed_until(now), *spans)

    def begin(self, now: float, tokens: int) -> Permit:
        permit = Permit(now, self._era, self._failures >= self._limits.failures, tokens)
        if permit.is_trial:
            self._trial = permit
        self._in_flight += 1
        self._recent.append(permit)
        for span in (self._requests, self._tokens, self._learned):
            span.add(permit)
        return permit

    def begun(self, permit: Permit) -> None:
        """Record that the answer to a call has begun to arrive.

        If the call was the trial, which tests a server that failed, other calls may begin now.
        """
        if self._trial is permit:
            self._trial = None
            self._failures = 0

    def is_tried(self, permit: Permit) -> bool:
        """Return whether this call tests at the moment, alone, if a server that failed is working again (the trial)."""
        return self._trial is permit

    def answered(self, permit: Permit, now: float, tokens: int | None = None) -> None:
        """Record that a call was answered.

        The answer ends a series of failures only if the call began after the last pause. Otherwise it does not show
        that the server is working again.

        Args:
            permit: The call.
            now: The time.
            tokens: The number of tokens that the call used; None if it is unknown.
        """
        self.last_answer = now
        if tokens is not None:
            self._tokens.correct(permit, tokens)
        if permit.era == self._era:
            self._failures = self._pauses = 0
            self._learned.most += _GROWTH

    def refused(self, permit: Permit, now: float, failure: PastFailure, seconds: float | None) -> float:
        """Record that the server refused a call because of a rate limit.

        Returns for how many seconds no call may begin.

        Args:
            permit: The call.
            now: The time.
            failure: The server's refusal.
            seconds: How long the server asks to wait; None if it does not ask.
        """
        self.last_failure = failure
        permit.refused = True
        begins_pause = permit.era == self._era
        if seconds is None:
            self._pauses += begins_pause
            seconds = PAUSES.pause_seconds(max(self._pauses, 1))
        if begins_pause:
            self._failures = 0  # the server is up
            self._era += 1
            self._refusals = 0
        self._refusals += 1
        if self._refusals > 1:
            self._learn(permit, now, max(seconds, _SLACK_SECONDS))
        self._paused_until = max(self._paused_until, now + seconds)
        return seconds

    def failed(self, permit: Permit, now: float, failure: PastFailure, seconds: float | None) -> None:
        """Record that a call failed because the server is down or overloaded.

        After several failures in a row, calls are sent one at a time, with a pause before each of them. The failure of
        a call that began before such a pause does not make the pause longer.

        Args:
            permit: The call.
            now: The time.
            failure: The failure.
            seconds: How long the server asks to wait; None if it does not ask.
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
        """Record that a call is over, whether it was answered, failed or was cancelled.

        If the call was the trial, which tests a server that failed, it may have been cancelled before it had an
        outcome. The next call is then the trial.
        """
        self._in_flight -= 1
        if self._trial is permit:
            self._trial = None

    def _learn(self, permit: Permit, now: float, seconds: float) -> None:
        """Learn from a refusal how many calls the server allows within this many seconds.

        If a longer span was learned before, that span is kept.
        """
        seconds = max(seconds, (self._learned.seconds - _SLACK_SECONDS) / _SLACK)
        since = min(permit.began, now) - seconds
        recent = takewhile(lambda each: each.began > since, reversed(self._recent))
        allowed = [each for each in recent if not each.refused]
        self._learned = _SpanLimit(max(1, len(allowed)), seconds * _SLACK + _SLACK_SECONDS)
        for each in reversed(allowed):
            self._learned.add(each)


class _SpanLimit:
    """Limits the number of calls, or of tokens, within any span of some seconds (a sliding window).

    Attributes:
        most: The limit; infinity if there is no limit.
        seconds: The length of the span.
    """

    def __init__(self, most: int | None, seconds: float, *, counts_tokens: bool = False) -> None:
        self.most = math.inf if most is None else float(most)
        self.seconds = seconds
        self._counts_tokens = counts_tokens
        self._permits: deque[Permit] = deque()
        self._taken = 0

    def add(self, permit: Permit) -> None:
        if self.most < math.inf:
            self._permits.append(permit)
            self._taken += self._units(permit)

    def correct(self, permit: Permit, tokens: int) -> None:
        """Replace the estimated tokens of a call by the tokens that it used, if the call still counts for the limit."""
        if self._permits and permit.began >= self._permits[0].began:
            self._taken += tokens - permit.units
            permit.units = tokens

    def free_at(self, now: float, units: int) -> float:
        """Return the earliest time at which this many further calls or tokens are within the limit.

        A call that is larger than the whole limit may begin when no other call counts towards the limit.
        """
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

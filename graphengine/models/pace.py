"""When a model may be called: limits that are given, limits learned from the server's refusals, and a circuit breaker.

Nothing here waits or reads a clock: every method gets the time. `graphengine.models.lane` waits.

A server that refuses a call states how long to wait, but not its limit. The limit is learned: of the calls
that began within that time before the refusal, those that were not refused are as many as it allows. From then on no
more begin in any such span. One refusal alone teaches nothing, as others may use the limit too, and a call that waits
alone needs no limit. The number doubles after each span that was used up without a refusal, and after the next refusal
it grows by a tenth, so that a limit that was raised, or was low because others used it too, is found again.
Source: the slow start and congestion avoidance of TCP (RFC 5681), with a span in place of a round trip.

Example, with a server that allows five calls a second: forty calls begin at 0.0 s. Five are answered; the others are
refused, with the advice to wait 1 s. From 1.06 s on five calls begin every 1.06 s.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from itertools import takewhile
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

MINUTE_SECONDS: Final = 60.0
FIRST_PAUSE_SECONDS: Final = 1.0
"""The first pause if the server names none; each further one is twice as long."""
LONGEST_PAUSE_SECONDS: Final = 30.0
"""The longest pause that no server named."""
_SLACK: Final = 1.05
_SLACK_SECONDS: Final = 0.01
"""How much longer than the server's span ours is: calls take different times to arrive, and the server counts
arrivals."""
_KEPT: Final = 2_000
"""The most calls that are remembered to learn a limit from."""
_FORGOTTEN_SPANS: Final = 10
"""After so many spans without a call, a learned limit is forgotten."""


@dataclass(frozen=True, slots=True)
class Rates:
    """Limits on the calls of one model.

    Attributes:
        calls_at_once: The most calls in flight; None for no limit.
        requests_per_minute: The most calls that begin in any minute; None for no limit.
        tokens_per_minute: The most tokens of the calls that begin in any minute; None for no limit.
        failures: The number of failures in a row after which calls are tried one at a time.
        pause_seconds: The longest pause between such tries.
    """

    calls_at_once: int | None = None
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    failures: int = 3
    pause_seconds: float = LONGEST_PAUSE_SECONDS


@dataclass(slots=True, eq=False)
class Turn:
    """One call.

    Attributes:
        began: When it began.
        era: The number of pauses before it.
        is_trial: Whether it is the only one that may be in flight, since the calls before it failed.
        refused: Whether the server refused it.
        over: Whether it has ended.
    """

    began: float
    era: int
    is_trial: bool
    refused: bool = False
    over: bool = False


class Pace:
    """Decides when the next call of a model may begin.

    Args:
        rates: The limits that are known.
    """

    def __init__(self, rates: Rates) -> None:
        self._rates = rates
        self._in_flight = 0
        self._trial: Turn | None = None
        self._paused_until = -math.inf
        self._pauses = 0  # without an answer between them
        self._refusals = 0  # that began the last pause
        self._failures = 0  # in a row
        self._era = 0
        self._recent: deque[Turn] = deque(maxlen=_KEPT)
        self._requests = _Span(rates.requests_per_minute, MINUTE_SECONDS)
        self._tokens = _Span(rates.tokens_per_minute, MINUTE_SECONDS)
        self._learned: _Learned | None = None
        self._left = math.inf  # how many calls the server's headers allow until `_left_until`
        self._left_until = -math.inf
        self._tokens_until = -math.inf  # until when its headers allow no tokens
        self.last_answer = -math.inf
        self.last_failure: Exception | None = None

    def closed_until(self, now: float) -> float:
        """Return when calls may begin again: infinity while one of them is tried, minus infinity if they may now."""
        if self._trial is not None:
            return math.inf
        return self._paused_until if self._paused_until > now else -math.inf

    def free_at(self, now: float, tokens: int) -> float:
        """Return when a call may begin, infinity if another one has to end first."""
        most = self._rates.calls_at_once
        if self._trial is not None or (most is not None and self._in_flight >= most):
            return math.inf
        learned = self._learned
        if learned is not None and learned.is_old(now):
            learned = self._learned = None
        return max(
            self.closed_until(now),
            self._requests.free_at(now, 1),
            self._tokens.free_at(now, tokens),
            -math.inf if learned is None else learned.span.free_at(now, 1),
            self.held_until(now),
        )

    def held_until(self, now: float) -> float:
        """Return until when the server's headers allow no call; minus infinity if they allow one now."""
        until = max(self._left_until if self._left < 1 else -math.inf, self._tokens_until)
        return until if until > now else -math.inf

    def begin(self, now: float, tokens: int) -> Turn:
        """Begin a call."""
        turn = Turn(now, self._era, is_trial=self._failures >= self._rates.failures)
        if turn.is_trial:
            self._trial = turn
        self._in_flight += 1
        self._left -= 1
        self._recent.append(turn)
        self._requests.add(turn, 1)
        self._tokens.add(turn, tokens)
        if self._learned is not None:
            self._learned.begin(turn)
        return turn

    def begun(self, turn: Turn) -> None:
        """Note that the answer to a call has begun: if it was a trial, others may be tried too."""
        if self._trial is turn:
            self._trial = None
            self._failures = 0

    def is_tried(self, turn: Turn) -> bool:
        """Return whether a call is a trial whose answer has not begun."""
        return self._trial is turn

    def answered(self, turn: Turn, now: float, tokens: int | None = None) -> None:
        """Note an answer, and how many tokens the call took if that is known.

        The answer to a call that began before the last pause does not end the row of failures.
        """
        self.last_answer = now
        if tokens is not None:
            self._tokens.correct(turn, tokens)
        if turn.era == self._era:
            self._failures = self._pauses = 0

    def refused(self, turn: Turn, now: float, error: Exception, seconds: float | None) -> float:
        """Note that the server has no room now; return for how long no call begins.

        Args:
            turn: The call.
            now: The time.
            error: The server's answer.
            seconds: How long it asks to wait; None if it does not state it.
        """
        self.last_failure = error
        turn.refused = True
        if seconds is None:
            if turn.era == self._era:
                self._pauses += 1
            seconds = self._backoff(self._pauses)
        if turn.era == self._era:
            self._failures = 0  # it is up
            self._era += 1
            self._refusals = 0
        self._refusals += 1
        if self._refusals > 1:
            self._learn(turn, now, max(seconds, _SLACK_SECONDS))
        self._paused_until = max(self._paused_until, now + seconds)
        return seconds

    def failed(self, turn: Turn, now: float, error: Exception, seconds: float | None) -> None:
        """Note that a call failed because the server is down, or overloaded, for all calls or for this one.

        After some failures in a row, calls are tried one at a time, with a pause before each. Calls that began before
        such a pause do not prolong it.
        """
        self.last_failure = error
        if seconds:
            self._paused_until = max(self._paused_until, now + seconds)
        if turn.era != self._era:
            return
        self._failures += 1
        over = self._failures - self._rates.failures
        if over >= 0:
            pause = min(FIRST_PAUSE_SECONDS * 2.0**over, self._rates.pause_seconds)
            self._paused_until = max(self._paused_until, now + pause)
        if over >= 0 or seconds:
            self._era += 1

    def end(self, turn: Turn) -> None:
        """End a call, whatever its outcome; after a cancelled trial the next call is the trial."""
        if not turn.over:
            turn.over = True
            self._in_flight -= 1
            if self._trial is turn:
                self._trial = None

    def limit_calls(self, now: float, left: int, seconds: float) -> None:
        """Note that the server allows this many more calls for this many seconds."""
        self._left = min(self._left, left) if now < self._left_until else left
        self._left_until = max(self._left_until, now + seconds)

    def limit_tokens(self, now: float, seconds: float) -> None:
        """Note that the server allows no more tokens for this many seconds."""
        self._tokens_until = max(self._tokens_until, now + seconds)

    def _learn(self, turn: Turn, now: float, seconds: float) -> None:
        """Learn how many calls the server allows in a span of this many seconds."""
        known = self._learned
        if known is not None:
            seconds = max(seconds, known.seconds)
        since = min(turn.began, now) - seconds
        allowed = [
            each for each in takewhile(lambda each: each.began > since, reversed(self._recent)) if not each.refused
        ]
        rises = known is None or (known.is_rising and known.learned_in == self._era)
        self._learned = _Learned(max(1, len(allowed)), seconds, now, learned_in=self._era, is_rising=rises)
        self._learned.span.take(reversed(allowed))

    def _backoff(self, pauses: int) -> float:
        return float(min(FIRST_PAUSE_SECONDS * 2.0 ** max(pauses - 1, 0), LONGEST_PAUSE_SECONDS))


@dataclass(slots=True)
class _Span:
    """At most this many units in any span of this many seconds; None for no limit."""

    most: int | None
    seconds: float
    _taken: deque[tuple[Turn, list[int]]] = field(default_factory=deque)
    _sum: int = 0

    def free_at(self, now: float, units: int) -> float:
        """Return when this many units are free. A call that is larger than the whole span goes alone."""
        if self.most is None:
            return -math.inf
        while self._taken and self._taken[0][0].began + self.seconds <= now:
            self._sum -= self._taken.popleft()[1][0]
        over = self._sum + units - self.most
        for turn, taken in self._taken:
            if over <= 0:
                break
            over -= taken[0]
            if over <= 0 or taken is self._taken[-1][1]:
                return turn.began + self.seconds
        return -math.inf

    def add(self, turn: Turn, units: int) -> None:
        """Take units for a call."""
        if self.most is not None:
            self._taken.append((turn, [units]))
            self._sum += units

    def take(self, turns: Iterable[Turn]) -> None:
        """Take one unit for each of several calls."""
        for turn in turns:
            self.add(turn, 1)

    def correct(self, turn: Turn, units: int) -> None:
        """Replace the units that a call was expected to take by those that it took."""
        for known, taken in reversed(self._taken):
            if known is turn:
                self._sum += units - taken[0]
                taken[0] = units
                return


class _Learned:
    """A limit on calls that was learned from refusals.

    Attributes:
        seconds: The server's span, as it named it.
        span: The calls that began within it, somewhat longer.
        learned_in: The pause before which it was learned.
        is_rising: Whether the number doubles after each span without a refusal; else it grows by a tenth.
    """

    __slots__ = ("_count", "_last", "_since", "is_rising", "learned_in", "seconds", "span")

    def __init__(self, most: int, seconds: float, now: float, *, learned_in: int, is_rising: bool) -> None:
        self.seconds = seconds
        self.learned_in = learned_in
        self.span = _Span(most, seconds * _SLACK + _SLACK_SECONDS)
        self.is_rising = is_rising
        self._since = self._last = now
        self._count = 0

    def is_old(self, now: float) -> bool:
        """Return whether no call has begun for so long that the limit may have changed."""
        return now - self._last > _FORGOTTEN_SPANS * self.span.seconds

    def begin(self, turn: Turn) -> None:
        """Count a call; raise the limit if the span before it was used up."""
        most = self.span.most or 1
        if turn.began >= self._since + self.span.seconds:
            if self._count >= most:
                self.span.most = 2 * most if self.is_rising else most + max(1, most // 10)
            self._since, self._count = turn.began, 0
        self._last = turn.began
        self._count += 1
        self.span.add(turn, 1)


__all__ = ["FIRST_PAUSE_SECONDS", "LONGEST_PAUSE_SECONDS", "Pace", "Rates", "Turn"]

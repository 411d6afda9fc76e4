"""Rate limiters: all calls of one model in this process wait in one queue.

A server counts the calls of all agents, runs and items together, so they also wait together. A `RateLimiter` limits how
many calls are in flight and how many begin per minute. If the server refuses a call, all calls wait, and the oldest
call goes first. The limiter also stops calling a server that is down. `graphengine.models.rates` decides when a call
may begin; this module waits.

`limited` calls a model through its limiter. A refused call used nothing, so it is not recorded: it waits and is made
again, for as long as the limiter's patience lasts. Any other failure is raised, because the call may have to be paid,
so that the run records it.
"""

from __future__ import annotations

import asyncio
import bisect
import itertools
import logging
import math
import random
import re
import threading
import time
import weakref
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary, WeakValueDictionary

from graphengine.errors import DefinitionError, RunText
from graphengine.kernel.extension import is_seconds
from graphengine.models.base import UNKNOWN_USAGE, Response, estimate_tokens, usage_of_failure
from graphengine.models.errors import BadRequest, ModelBusy, ModelError, ModelOverloaded, ModelTransient, RateLimited
from graphengine.models.rates import PAUSES, PastFailure, RateController

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator

    from pydantic import PositiveInt

    from graphengine.kernel.extension import Clock, Seconds
    from graphengine.models.base import CallerWait, Model, Request, Watch
    from graphengine.models.rates import Permit

log = logging.getLogger("graphengine.models")

PATIENCE_SECONDS: Final = 300.0
"""How long a call is repeated while the server refuses it."""
CACHED_SECONDS: Final = 240.0
"""How long the beginning of a question counts as cached after a call; somewhat less than the actual five minutes."""
_MOST_BEGINNINGS: Final = 1000
"""The number of beginnings from which expired beginnings are removed."""
_LONG_WAIT_SECONDS: Final = 5.0
"""Pauses that are at least this long are logged."""
_IS_MISSING: Final = (
    r"(?:\b(?:without|missing|must|need|require|never|unknown|undefined|undeclared|unregistered|unrecogni|unavailable)"
    r"|(?:\bnot|n't) (?:\w+ ){0,2}(?:defin|declar|provid|found|availab|includ|given|present|known|list|offer|regist"
    r"|exist))"
)
_NAMES_TOOLS: Final = re.compile(
    r"\b(?:tools|functions)\b|tool_?config|tool_?spec|function[ _]?declaration|\btool (?:definition|description|list)"
    rf"|\b(?:tool|function)\b.*{_IS_MISSING}|{_IS_MISSING}.*\b(?:tool|function)\b",
    re.IGNORECASE | re.DOTALL,
)
"""Matches a refusal that may ask for the descriptions of tools.

The pattern is only used for a request that lacks the description of a tool which the conversation calls. Therefore any
text about the tools of the request is enough.
"""
_NAMES_CALLS: Final = re.compile(
    r"\btool[ _]choice\b|call_?id\b|\btool_?use_?id|\btool[ _]?(?:use|call)s?\W* ids?\b|\bmust be followed\b"
    r"|\bmust be a response\b|\bcorresponding \W?tool_?(?:use|call|result)|\bat the beginning of\b"
    r"|\btools?\W?[.\[]\W?\d|\bduplicate|\bunique\b"
    r"|\b(?:output|result|response)s? .{0,20}\bfor (?:\w+ )?(?:function|tool) call"
    r"|\bsupport(?:s|ed)? (?:tools|functions|function calling)\b",
    re.IGNORECASE,
)
"""Matches a refusal that descriptions of tools do not change.

Such refusals concern the pairs of calls and results, one of the described tools, or a model that cannot call tools.
"""


class _MachineClock:
    """A clock by which calls wait. It is not affected when the time of the machine is changed."""

    def now(self) -> float:
        return time.monotonic()

    async def sleep_until(self, when: float) -> None:
        await asyncio.sleep(max(0.0, when - time.monotonic()))


MACHINE_CLOCK: Final[Clock] = _MachineClock()


@dataclass(frozen=True)
class PlainWaits:
    """Decides how a call waits for its rate limiter if the call is made outside a run.

    Such a call simply waits, because no run can be stopped meanwhile.

    Attributes:
        clock: The clock by which to wait; the machine's clock by default.
    """

    clock: Clock = MACHINE_CLOCK

    async def first_of(self, *awaited: asyncio.Future[Any]) -> None:
        await asyncio.wait(awaited, return_when=asyncio.FIRST_COMPLETED)


PLAIN_WAITS: Final = PlainWaits()


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class RateLimiter:
    """Limits the calls of one model in this process, and repeats calls that the server refused.

    A `RateLimiter` applies to all agents, runs and map items of the process that use the model. Every model has a
    `RateLimiter`, even if you give it none. By default, the `RateLimiter` learns the limits of the server from the
    requests that the server refuses. If you set the limits yourself, the server refuses fewer requests.

    Models with the same address, name and key share one `RateLimiter`. Other models share one if you give them the same
    `RateLimiter` object.

    Even without a `RateLimiter` of your own, a model that is called over HTTP has a limited number of calls in flight.
    At the address of a known provider, the limit is 100 calls. At another address, it is half the number of files that
    the process may open, because each connection counts as an open file. The first time that a call waits for other
    calls, a message in the log says so.

    Args:
        calls_at_once: The largest number of calls in flight; None for no limit.
        requests_per_minute: The largest number of calls that begin in any minute; None if the limit is unknown.
        tokens_per_minute: The largest number of tokens of questions and answers in any minute; None if the limit is
            unknown.
        patience_seconds: How long a call is repeated while the server refuses it, before it fails with `ModelBusy`. The
            call fails when either of two times exceeds `patience_seconds`: the time in which no call of the limiter was
            answered, or the sum of the waits of this call. With `math.inf` the call is repeated for ever.
        failures: The number of failures in a row after which calls are tried one at a time. Meanwhile a Router calls
            other models.
        pause_seconds: The longest pause between such tries. The first pause is 1 second, and each further pause is
            twice as long.

    Raises:
        DefinitionError: An argument is out of range.

    Example:
        >>> RateLimiter(requests_per_minute=50, calls_at_once=8)
        RateLimiter(calls_at_once=8, requests_per_minute=50)
    """

    calls_at_once: PositiveInt | None = None
    requests_per_minute: PositiveInt | None = None
    tokens_per_minute: PositiveInt | None = None
    patience_seconds: float = PATIENCE_SECONDS
    failures: PositiveInt = 3
    pause_seconds: Seconds = PAUSES.max_seconds
    _queues: WeakKeyDictionary[Clock, WaitQueue] = field(default_factory=WeakKeyDictionary, init=False)
    _making: threading.Lock = field(default_factory=threading.Lock, init=False)

    def __post_init__(self) -> None:
        if not (is_seconds(self.patience_seconds) or self.patience_seconds == math.inf):
            seconds = self.patience_seconds
            text = f"RateLimiter(patience_seconds={seconds!r}): the seconds must be a number greater than 0"
            repair = "write patience_seconds=120, or patience_seconds=math.inf to wait without a limit"
            raise DefinitionError(text, where="RateLimiter", repair=repair)

    def __repr__(self) -> str:
        shown = (f"{each.name}={getattr(self, each.name)}" for each in fields(self) if self._is_given(each))
        return f"RateLimiter({', '.join(shown)})"

    def _is_given(self, option: Any) -> bool:  # noqa: ANN401 - a field of a dataclass
        return bool(option.init and getattr(self, option.name) != option.default)

    def queue(self, clock: Clock) -> WaitQueue:
        """Return the queue for calls that measure time by this clock.

        Real runs use the machine's clock, tests a simulated one.
        """
        with self._making:
            queue = self._queues.get(clock)
            if queue is None:
                queue = self._queues[clock] = WaitQueue(self, clock)
            return queue


class _Waiter:
    """A call that waits in the queue of a rate limiter.

    Each waiting call has a number. The call with the lowest number is next.
    """

    __slots__ = ("awake", "loop", "number", "shared")

    def __init__(self, number: int = 0) -> None:
        self.number = number
        self.loop = asyncio.get_running_loop()
        self.awake: asyncio.Future[None] = self.loop.create_future()
        self.shared: Exception | None = None  # the failure of the trial for which the call waited

    def wake(self) -> None:
        """Wake the waiting call. Any thread may call this method, because the call may wait in another event loop."""
        with suppress(RuntimeError):  # the event loop is closed, and the call has ended with it
            self.loop.call_soon_threadsafe(_set_if_waiting, self.awake)


def _set_if_waiting(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


_AT_LIMITERS: Final[dict[object, str]] = {}
"""The model calls of runs that wait for a rate limiter of this process now, each with the identity of its run."""


@contextmanager
def at_limiter(run: str) -> Iterator[None]:
    """Note, while the block runs, that a model call of a run waits for its rate limiter.

    Args:
        run: The identity of the run, as `RunInfo.identity`.
    """
    call = object()
    _AT_LIMITERS[call] = run
    try:
        yield
    finally:
        del _AT_LIMITERS[call]


def runs_at_limiters() -> frozenset[str]:
    """Return the identities of the runs with a model call that waits for a rate limiter now.

    Only runs that this process drives are included, because such waits are not recorded.
    """
    return frozenset([*_AT_LIMITERS.values()])  # the list is made in one step, while other threads add calls


class WaitQueue:
    """The queue of one rate limiter: the calls that wait for their turn, and the calls that are in flight.

    The methods may be called from any thread.

    Args:
        limits: The rate limiter.
        clock: The clock by which calls wait.
    """

    def __init__(self, limits: RateLimiter, clock: Clock) -> None:
        self._rates = RateController(limits)
        self._limits, self._said_full = limits, False
        self._lock = threading.RLock()
        self._waiting: list[_Waiter] = []
        self._numbers = itertools.count()
        self._now = clock.now
        self._cached: dict[str, float] = {}
        self._first: dict[str, list[_Waiter]] = {}

    def number(self) -> int:
        """Return the next place in the queue. A call keeps its place while it is refused and repeated."""
        return next(self._numbers)

    @contextmanager
    def rates(self) -> Iterator[tuple[RateController, float]]:
        """Give a `with` block exclusive access to the rate controller of the queue, together with the current time.

        After the block the first waiting call is woken, because the block may have changed the limits so that this call
        can begin.
        """
        with self._lock:
            yield self._rates, self._now()
            if self._waiting:
                self._waiting[0].wake()

    def closed_seconds(self) -> float:
        """Return how many seconds the server will not be called, because it refused calls or is down.

        The result is 0.0 if calls may begin now. It is infinite while a single call, the trial, tests whether the
        server is working again.
        """
        now = self._now()
        with self._lock:
            return max(0.0, self._rates.closed_until(now) - now)

    def is_free(self, tokens: int) -> bool:
        with self._lock:
            now = self._now()
            return not self._waiting and self._rates.free_at(now, tokens) <= now

    @property
    def last_failure(self) -> PastFailure | None:
        return self._rates.last_failure

    async def begin(self, call: PacedCall) -> Permit:
        """Wait until the limits allow this call, and count it as being in flight.

        Raises:
            ModelBusy: The wait for the server would exceed the limiter's patience.
            ModelError: The call waited for a trial call (which tests whether the server is working again), and the
                trial failed.
        """
        with self._lock:
            if self.is_free(call.tokens):
                return self._rates.begin(self._now(), call.tokens)
            waiter = _Waiter(call.number)
            bisect.insort(self._waiting, waiter, key=lambda each: each.number)
        try:
            while True:
                with self._lock:
                    if waiter.shared is not None:
                        raise _error_of_unmade_call(waiter.shared)
                    waiter.awake = waiter.loop.create_future()
                    now = self._now()
                    when = self._rates.free_at(now, call.tokens) if self._waiting[0] is waiter else math.inf
                    if when <= now:
                        return self._rates.begin(now, call.tokens)
                    is_full = self._rates.is_full
                    if is_full and not self._said_full:
                        self._said_full = True
                        call.say_full(self._limits)
                    closed = self._rates.closed_until(now)
                    call.check(closed if closed < math.inf else now, self._rates.last_answer)
                await until(when, waiter.awake, call.waits)
                if is_full:
                    call.held_seconds += max(0.0, self._now() - now)  # the clock of a run may be set back
        finally:
            with self.rates():
                self._waiting.remove(waiter)

    def failed(self, permit: Permit, error: Exception) -> None:
        """Record that a call failed.

        If the call was the trial that tests whether the server is working again, the calls that waited for its outcome
        fail with the same error without being sent. They go on waiting only if the server was overloaded.
        """
        failure, seconds = PastFailure.of(error), _find_asked_seconds(error)
        with self.rates() as (rates, now):
            was_tried = rates.is_tried(permit)
            rates.failed(permit, now, failure, seconds)
            if was_tried and not isinstance(error, ModelOverloaded):
                for waiter in self._waiting:
                    waiter.shared = error
                    waiter.wake()

    # Beginnings of questions that the provider caches.

    async def is_first(self, beginning: str, waits: CallerWait) -> bool:
        """Return whether this call has to write the start of its prompt to the provider's cache.

        Of several calls whose prompts start alike, the first one writes the cache. The others wait in this method until
        `release` is called for that start, and then read the cache.
        """
        with self._lock:
            if beginning not in self._first:
                if self._is_cached(beginning):
                    return False
                self._first[beginning] = []
                return True
            waiter = _Waiter()
            self._first[beginning].append(waiter)
        await waits.first_of(waiter.awake)
        return False

    def cached(self, beginning: str) -> None:
        """Record that the provider's cache now contains this start of a prompt, so that other calls can use it."""
        with self._lock:
            self._cached[beginning] = self._now()
            if len(self._cached) > _MOST_BEGINNINGS:
                self._cached = {each: at for each, at in self._cached.items() if self._is_cached(each)}

    def release(self, beginning: str) -> None:
        """Wake the calls that wait until another call has written this start of a prompt to the provider's cache."""
        with self._lock:
            for waiter in self._first.pop(beginning, ()):
                waiter.wake()

    def _is_cached(self, beginning: str) -> bool:
        return self._now() - self._cached.get(beginning, -math.inf) < CACHED_SECONDS


@dataclass(frozen=True, slots=True)
class _UntilBegun:
    """Makes a connection pass on the first piece of an answer at once, even if nobody watches the answer.

    While nobody watches, the pieces of an answer are collected and passed on together. The first piece is an exception,
    because the queue of the rate limiter has to learn at once that the server has begun to answer.

    Attributes:
        watch: The real watch of the answer, which is asked once the answer has begun.
        permit: The permission with which the call was made. It records whether the answer has begun.
    """

    watch: Watch
    permit: Permit

    def is_watched(self) -> bool:
        return not self.permit.has_begun or self.watch.is_watched()

    def when_watched(self, call: Callable[[], None] | None) -> None:
        self.watch.when_watched(call)


class PacedCall:
    """One call of a model by an agent, which the rate limiter may delay and repeat.

    Args:
        model: The model to call.
        limiter: The rate limiter of the model.
        request: The request. Its `waits` determines how the call waits, and its `on_spent` receives the token usage of
            each failed attempt.
        failures: The classes of errors which mean that the server is down or has no capacity.

    Attributes:
        queue: The queue of the calls that share the limiter.
        held_seconds: How long the call waited because too many calls were in flight.
        pause: After an attempt that the server refused: the seconds to wait before the next attempt. Otherwise None.
    """

    def __init__(
        self,
        model: Model,
        limiter: RateLimiter,
        request: Request,
        failures: tuple[type[Exception], ...] = (ModelTransient,),
    ) -> None:
        self._model, self._limiter = model, limiter
        self._patience_seconds = limiter.patience_seconds
        self._request = request
        self._failures = failures
        self.waits: CallerWait = request.waits or PLAIN_WAITS
        self.queue = limiter.queue(self.waits.clock)
        self.number = self.queue.number()
        self.tokens = estimate_tokens(request)
        # Such as a Router, whose models have limiters that know these limits.
        self._limits_others = getattr(model, "reports_usage", False)
        self._entered = self.waits.clock.now()
        self._waited: list[float] = []
        self._tries = 0
        self.held_seconds = 0.0
        self.pause: float | None = None

    async def once(self, request: Request | None = None, *, writes: str = "") -> Response:
        """Wait until the rate limiter allows the call, and send it once.

        Args:
            request: The request to send; None for the request with which the object was made.
            writes: The start of the prompt that this call writes to the provider's cache; "" if it writes none.

        Raises:
            ModelBusy: The server has refused calls for longer than the limiter's patience.
            ModelError: The call failed. If the server refused it and it can be sent again, `pause` is set.
        """
        queue, self.pause = self.queue, None
        permit = await queue.begin(self)
        asked = self._note_begin_in(request or self._request, permit, writes)
        try:
            with reset_if_failed(self._model, asked):
                response = await _answer_with_tool_names(self._model, asked, self._limiter)
        except BaseException as error:
            used = usage_of_failure(error) or (UNKNOWN_USAGE if permit.has_begun else {})
            if used and self._request.on_spent is not None and not self._limits_others:
                self._request.on_spent(used)
            if isinstance(error, Exception):
                self._note(permit, error, may_repeat=not used)
            raise
        else:
            with queue.rates() as (rates, now):
                rates.answered(permit, now, _tokens_of(response))
            return self._note_hold_in(response)
        finally:
            with queue.rates() as (rates, _):
                rates.end(permit)

    def _note_hold_in(self, response: Response) -> Response:
        """Store in the answer how long the call waited because too many calls were in flight.

        A user's own model may return something that is not a `Response`. Such a value is returned unchanged, and the
        agent reports it.
        """
        held = round(self.held_seconds, 3)
        return replace(response, held_seconds=held) if held and isinstance(response, Response) else response

    def _note_begin_in(self, request: Request, permit: Permit, writes: str) -> Request:
        """Return a copy of the request that reports to the queue when the answer begins to arrive.

        From the beginning of an answer, the queue knows that a server that was down is working again, and that the
        provider's cache has been written.
        """
        queue, on_text = self.queue, request.on_text

        def begin() -> None:
            if permit.has_begun:
                return
            permit.has_begun = True
            with queue.rates() as (rates, _):
                rates.begun(permit)
            if writes:
                queue.cached(writes)
                queue.release(writes)

        def passed_on(text: str) -> None:
            begin()
            if on_text is not None:
                on_text(text)

        if permit.is_trial or writes:  # only these reasons justify streaming an answer that nobody listens to
            watch = None if request.watch is None else _UntilBegun(request.watch, permit)
            request = replace(request, on_begin=begin, watch=watch)
        return request if on_text is None else replace(request, on_text=passed_on)

    def _note(self, permit: Permit, error: Exception, *, may_repeat: bool) -> None:
        """Record in the queue that an attempt to call the model failed.

        If the request can be sent again, `pause` is set to the seconds to wait before that.
        """
        if isinstance(error, ModelBusy) or not isinstance(error, self._failures):
            if isinstance(error, ModelError):
                with self.queue.rates() as (rates, now):
                    rates.answered(permit, now)  # the server is working
        elif isinstance(error, RateLimited) and not self._limits_others:
            failure, seconds = PastFailure.of(error), _find_asked_seconds(error)
            with self.queue.rates() as (rates, now):
                pause = rates.refused(permit, now, failure, seconds)
            self.pause = pause if may_repeat else None
        else:
            self.queue.failed(permit, error)
            if may_repeat and isinstance(error, (RateLimited, ModelOverloaded)):
                self._tries += 1
                chance = random.random()  # noqa: S311 - to spread the calls of several processes
                self.pause = _find_asked_seconds(error) or PAUSES.pause_seconds(self._tries, chance)

    async def wait_after(self, error: ModelError) -> None:
        """Wait before a refused call is sent again.

        Raises:
            ModelBusy: The waits of this call together exceed the limiter's patience.
        """
        pause = self.pause or 0.0
        self._waited.append(pause)
        if sum(self._waited) > self._patience_seconds:
            raise self._busy(f"the server asked to wait for {_format_wait(sum(self._waited))} in all") from error
        if pause >= _LONG_WAIT_SECONDS:
            log.warning("%s: a call waits %s: %s", self._model.name, _format_wait(pause), RunText(error.message))
        # After a RateLimited error, all calls wait in the queue instead.
        if self._limits_others or not isinstance(error, RateLimited):
            await until(self.waits.clock.now() + pause, asyncio.get_running_loop().create_future(), self.waits)

    def say_full(self, limits: RateLimiter) -> None:
        """Log that calls wait because the limit on calls in flight is reached.

        The message is a warning if graphengine chose the limit, because the user may not know about it.
        """
        own = any(limits is each for each in [*_NAMED.values()])
        more = "pass the model limiter=RateLimiter(calls_at_once=…) for more, RateLimiter() for no limit"
        words = "%s: %d calls are in flight, the most that its limiter allows, and further ones wait for them; %s"
        log.log(logging.WARNING if own else logging.INFO, words, self._model.name, limits.calls_at_once, more)

    def check(self, closed_until: float, last_answer: float) -> None:
        """Check that the limiter's patience allows the call to wait until the server may be called again.

        Raises:
            ModelBusy: The wait would exceed the limiter's patience.
        """
        if closed_until - max(self._entered, last_answer) > self._patience_seconds:
            now = self.waits.clock.now()
            since = now - max(self._entered, last_answer)
            what = [f"the server has answered no call for {_format_wait(since)}"] if since >= 1 else []
            what += [f"the next call is due in {_format_wait(closed_until - now)}"] if closed_until > now else []
            raise self._busy(", and ".join(what) or "the server answers no call")

    def _busy(self, what: str) -> ModelBusy:
        last = self.queue.last_failure
        words = "" if last is None else f". The last failure: {last.text}"
        waits = (
            f" ({len(self._waited)} refusals, the last with a wait of {_format_wait(self._waited[-1])})"
            if self._waited
            else ""
        )
        return ModelBusy(
            f"the model {self._model.name!r} was too busy for this call: {what}{waits}{words}",
            where=f"model {self._model.name}",
            repair="make fewer calls: limiter=RateLimiter(calls_at_once=…, requests_per_minute=…). Or wait longer than "
            f"{self._patience_seconds:g} s: RateLimiter(patience_seconds=…). Or add another model: Router([...])",
        )


async def limited(model: Model, request: Request, *, beginning: str = "") -> Response:
    """Call a model when its rate limiter allows it, and repeat the call while the server has no capacity.

    Args:
        model: The model to call.
        request: The request. Its `waits` determines how the call waits, and its `on_spent` receives the token usage of
            each failed attempt.
        beginning: Identifies the start of the prompt, which the provider caches; "" if the provider caches nothing. Of
            several calls whose prompts start alike, one goes first and fills the cache. The others follow when its
            answer begins or when it fails.

    Raises:
        ModelBusy: The server refused the call for too long.
        ModelError: The call failed.
    """
    limiter = limiter_of(model)
    if limiter is None:
        with reset_if_failed(model, request):
            return await _answer_with_tool_names(model, request, None)
    call = PacedCall(model, limiter, request)
    while True:
        writes = beginning if beginning and await call.queue.is_first(beginning, call.waits) else ""
        try:
            response = await call.once(writes=writes)
        except ModelError as error:
            if call.pause is None:
                raise
            refusal = error
        else:
            if beginning:
                call.queue.cached(beginning)
            return response
        finally:
            if writes:
                call.queue.release(beginning)
        await call.wait_after(refusal)


async def _answer_with_tool_names(model: Model, request: Request, limiter: RateLimiter | None) -> Response:
    """Call the model. If the server demands a description of every tool in the conversation, add them and call again.

    A conversation can contain calls of tools that the agent no longer has. This happens after a deployment that removed
    the tools, or after a hand-over to an agent without tools. If the model calls such a tool again, the call is
    answered like the call of an unknown tool.

    The limiter remembers that the server needs the descriptions, so that later calls send them at once.
    """
    if limiter is not None and limiter in _WANT_TOOL_NAMES:
        request = request.with_tool_names()
    try:
        return await model.answer(request)
    except BadRequest as error:
        named = request.with_tool_names()
        text = error.message
        if named is request or _NAMES_CALLS.search(text) or not _NAMES_TOOLS.search(text):
            raise
        refusal = error
    try:
        response = await model.answer(named)
    except BadRequest:
        raise refusal from None  # the descriptions were not what the server missed
    if limiter is not None:
        _WANT_TOOL_NAMES.add(limiter)
    return response


@contextmanager
def reset_if_failed(model: Model, request: Request) -> Iterator[None]:
    """If the model fails in this `with` block, tell the caller to discard the text that was streamed so far.

    Raises:
        ModelError: The model's own code cancelled the call, although the calling task was not cancelled.
    """
    try:
        yield
    except Exception as error:
        if request.on_reset is not None:
            request.on_reset(getattr(error, "message", "") or str(error) or type(error).__name__)
        raise
    except asyncio.CancelledError as error:
        if request.on_reset is not None:
            request.on_reset("the call was cancelled")
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        message = f"the call of the model {model.name!r} was cancelled by the model's own code"
        repair = "check the class of the model for code that raises CancelledError or cancels its own task"
        raise ModelError(message, where=f"agent {request.agent}", repair=repair) from error


_WANT_TOOL_NAMES: Final[weakref.WeakSet[RateLimiter]] = weakref.WeakSet()
"""The limiters of servers that require a description of each tool that a conversation names."""
_NAMED: Final[WeakValueDictionary[Hashable, RateLimiter]] = WeakValueDictionary()
_OF_OBJECTS: Final[dict[int, RateLimiter]] = {}  # by id, because an object may not be hashable
_GUARD: Final = threading.Lock()


def limiter_for(key: Hashable, calls_at_once: int | None) -> RateLimiter:
    """Return the limiter that all model objects of this process with the same key share.

    Args:
        key: The provider, address, model and account, without secrets.
        calls_at_once: The largest number of calls in flight; None for no limit.
    """
    with _GUARD:
        limiter = _NAMED.get(key)
        if limiter is None:
            limiter = _NAMED[key] = RateLimiter(calls_at_once=calls_at_once)
        return limiter


def limiter_of(model: Model) -> RateLimiter | None:
    """Return the rate limiter of a model, or None if the model has none because it only calls other models.

    A model object without the attribute `limiter` gets a limiter without limits, which is kept for this object.
    """
    own = getattr(model, "limiter", ...)
    if own is None or isinstance(own, RateLimiter):
        return own
    with _GUARD:
        found = _OF_OBJECTS.get(id(model))
        if found is None:
            found = RateLimiter()
            try:
                weakref.finalize(model, _OF_OBJECTS.pop, id(model), None)
            except TypeError:  # the object does not support weak references, so its limiter is not kept
                return found
            _OF_OBJECTS[id(model)] = found
        return found


async def until(when: float, awake: asyncio.Future[None], waits: CallerWait) -> None:
    """Wait until the given time, or until the future `awake` is done, whichever comes first."""
    if when == math.inf:
        await waits.first_of(awake)
        return
    asleep = asyncio.ensure_future(waits.clock.sleep_until(when))
    try:
        await waits.first_of(awake, asleep)
    finally:
        asleep.cancel()
        await asyncio.gather(asleep, return_exceptions=True)


def _find_asked_seconds(error: Exception) -> float | None:
    seconds = getattr(error, "retry_after_seconds", None)
    return float(seconds) if seconds is not None and is_seconds(seconds) else None


def _error_of_unmade_call(error: Exception) -> Exception:
    """Return the error for a call that was never sent, because the trial call for which it waited failed.

    After a server has failed, a single trial call tests whether the server is working again. All other calls wait for
    it.
    """
    if not isinstance(error, ModelError) or type(error).__init__ is not ModelError.__init__:
        return error
    message = f"the model was not called, because the previous call failed: {error.message}"
    found = type(error)(message, where=error.where, repair=error.repair, retry_after_seconds=error.retry_after_seconds)
    found.usage = {}
    return found


def _tokens_of(response: Response) -> int | None:
    """Return how many tokens a call used.

    Returns None if the answer contains no token counts, for example because a user's own model returned another object.
    """
    tokens = getattr(response, "input_tokens", None), getattr(response, "output_tokens", None)
    return sum(each for each in tokens if type(each) is int) or None


def _format_wait(seconds: float) -> str:
    return f"{seconds:.3g} s" if seconds < 100 else f"{seconds:.0f} s"  # noqa: PLR2004 - three digits


__all__ = [
    "MACHINE_CLOCK",
    "PLAIN_WAITS",
    "PacedCall",
    "PlainWaits",
    "RateLimiter",
    "WaitQueue",
    "at_limiter",
    "limited",
    "limiter_for",
    "limiter_of",
    "runs_at_limiters",
    "until",
]

"""Lanes: all calls of one model in this process, in one line.

A server counts the calls of all agents, runs and items together, so they wait together too. A `Lane` limits how many
calls are in flight and begin per minute, makes all of them wait if the server refuses one, lets the oldest go first,
and stops calling a server that is down. `graphengine.models.pace` decides when a call may begin; this module waits.

`paced` calls a model through its lane. A refused call waits and is made again, for as long as the lane is patient: it
took nothing, so it is not recorded. Any other failure is raised: the call may have to be paid, so the run records it.
"""

from __future__ import annotations

import asyncio
import logging
import math
import random
import threading
import weakref
from contextvars import ContextVar
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final
from weakref import WeakKeyDictionary, WeakValueDictionary

from graphengine.errors import (
    DefinitionError,
    ModelBusy,
    ModelError,
    ModelOverloaded,
    ModelTransient,
    RateLimited,
)
from graphengine.graph.options import is_seconds
from graphengine.models.base import UNKNOWN_USAGE, usage_of_failure
from graphengine.models.line import PLAIN, Line, asked_seconds, until
from graphengine.models.pace import FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS, Pace, Rates

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from graphengine.media import Media
    from graphengine.models.base import Message, Model, Request, Response
    from graphengine.models.line import Clock, Left, Waits
    from graphengine.models.pace import Turn

log = logging.getLogger("graphengine.models")

PATIENCE_SECONDS: Final = 300.0
"""How long a call waits for a server that refuses it."""
CACHED_CHARACTERS: Final = 4096
"""Shorter beginnings, of about 1,024 tokens, are not cached. Source: Anthropic's documentation of prompt caching."""
_LONG_WAIT_SECONDS: Final = 5.0
"""Pauses from this length on are logged."""
_SHOWN_WAITS: Final = 6
_CHARACTERS_PER_TOKEN: Final = 4
PICTURE_TOKENS: Final = 1600
"""The most tokens of a picture, to which Anthropic scales larger ones."""
_BYTES_PER_TOKEN: Final = 30
"""About, in documents: a page with text and its picture has 3,000 tokens and 90 KB."""
_JITTER: Final = 0.1


LEFT: Final[ContextVar[Callable[[Left, Left], None] | None]] = ContextVar("graphengine_left", default=None)
"""Gets the limits on requests and tokens that a response to the call being made states; adapters' clients call it."""


class Lane:
    """The calls of one model in this process, of all agents, runs and items that use it.

    Every model has a lane. By default it learns the server's limits from its refusals; give limits to be refused less.
    Models with the same address, name and key share a lane, and so do models that get the same object.

    Args:
        calls_at_once: The most calls in flight; None for no limit.
        requests_per_minute: The most calls that begin in any minute; None if it is unknown.
        tokens_per_minute: The most tokens in any minute, of questions and answers; None if it is unknown.
        patience_seconds: How long a call that the server refuses is made again before it fails with `ModelBusy`: the
            time in which no call of the lane was answered, or the sum of the waits of this call. Calls also wait no
            longer than this for a time in a server's rate-limit headers. `math.inf` for ever.
        failures: The number of failures in a row after which calls are tried one at a time; a Router calls other models
            meanwhile.
        pause_seconds: The longest pause between such tries; the first is 1 s, and each further one twice as long.

    Raises:
        DefinitionError: An argument is out of range.

    Example:
        >>> Lane(requests_per_minute=50, calls_at_once=8)
        Lane(calls_at_once=8, requests_per_minute=50)
    """

    def __init__(  # noqa: PLR0913 - independent limits
        self,
        *,
        calls_at_once: int | None = None,
        requests_per_minute: int | None = None,
        tokens_per_minute: int | None = None,
        patience_seconds: float = PATIENCE_SECONDS,
        failures: int = 3,
        pause_seconds: float = LONGEST_PAUSE_SECONDS,
    ) -> None:
        self.rates = Rates(calls_at_once, requests_per_minute, tokens_per_minute, failures, float(pause_seconds))
        for name in ("calls_at_once", "requests_per_minute", "tokens_per_minute", "failures"):
            number = getattr(self.rates, name)
            if number is None and name != "failures":
                continue
            if type(number) is not int or number < 1:
                raise DefinitionError(f"Lane({name}={number!r})", repair="give a whole number, 1 or more")
        for name, seconds in (("patience_seconds", patience_seconds), ("pause_seconds", pause_seconds)):
            if not is_seconds(seconds) and not (name == "patience_seconds" and seconds == math.inf):
                raise DefinitionError(f"Lane({name}={seconds!r})", repair="give seconds, more than 0")
        self.patience_seconds = float(patience_seconds)
        self._lines: WeakKeyDictionary[Clock, Line] = WeakKeyDictionary()
        self._making = threading.Lock()

    def __repr__(self) -> str:
        given = {
            "calls_at_once": self.rates.calls_at_once,
            "requests_per_minute": self.rates.requests_per_minute,
            "tokens_per_minute": self.rates.tokens_per_minute,
        }
        return f"Lane({', '.join(f'{name}={value}' for name, value in given.items() if value is not None)})"

    def line(self, clock: Clock) -> Line:
        """Return the state of the lane by a clock: the machine's, or one that a test sets."""
        with self._making:
            line = self._lines.get(clock)
            if line is None:
                line = self._lines[clock] = Line(Pace(self.rates), clock, self.patience_seconds)
            return line


class Call:
    """One call of a model, with all its tries.

    Args:
        model: The model.
        lane: Its lane.
        request: The request; `waits` is how to wait, and `on_spent` gets what each failed try used.
        failures: The errors that mean that the server is down, or has no room.

    Attributes:
        line: The calls before and after it.
        pause: After a try that the server refused: the seconds until the next one; None after any other.
    """

    def __init__(
        self, model: Model, lane: Lane, request: Request, failures: tuple[type[Exception], ...] = (ModelTransient,)
    ) -> None:
        self._model = model
        self._lane = lane
        self._request = request
        self._failures = failures
        self.waits: Waits = request.waits or PLAIN
        self.line = lane.line(self.waits.clock)
        self.number = self.line.number()
        self.tokens = estimated_tokens(request)
        self._paces_others = getattr(model, "reports_usage", False)  # as a Router: its models' lanes know their limits
        self._entered = self.waits.clock.now()
        self._waited: list[float] = []
        self._tries = 0
        self.pause: float | None = None

    async def once(self, request: Request | None = None, *, writes: str = "") -> Response:
        """Wait in line, and make the call once.

        Args:
            request: The request, if it changed.
            writes: The beginning that this call writes to the provider's cache, "" for none.

        Raises:
            ModelBusy: The lane has been closed for too long.
            ModelError: It failed, or was refused; then `pause` is set.
        """
        line, self.pause = self.line, None
        turn = line.begin_now(self.tokens) or await line.begin(self.number, self.tokens, self.waits, self._check)
        watched = _Watched(line, turn, request or self._request, writes)
        token = LEFT.set(line.note_limits)
        try:
            response = await asked(self._model, watched.request)
        except BaseException as error:
            used = usage_of_failure(error) or (UNKNOWN_USAGE if watched.has_begun else {})
            if used and self._request.on_spent is not None and not self._paces_others:
                self._request.on_spent(used)
            if isinstance(error, Exception):
                self._note(turn, error, may_repeat=not used and not watched.has_begun)
            raise
        else:
            line.answered(turn, _tokens_of(response))
            return response
        finally:
            LEFT.reset(token)
            line.end(turn)

    def _note(self, turn: Turn, error: Exception, *, may_repeat: bool) -> None:
        """Note a failure."""
        if isinstance(error, ModelBusy) or not isinstance(error, self._failures):
            if isinstance(error, ModelError):
                self.line.answered(turn, None)  # the server is up
        elif isinstance(error, RateLimited) and not self._paces_others:
            pause = self.line.refused(turn, error)
            self.pause = pause if may_repeat else None
        else:
            self.line.failed(turn, error)
            if may_repeat and isinstance(error, (RateLimited, ModelOverloaded)):
                self.pause = asked_seconds(error) or self._own_pause()

    async def refused(self, error: ModelError) -> None:
        """Wait after a try that the server refused.

        Raises:
            ModelBusy: The waits of this call have become too long.
        """
        pause = self.pause or 0.0
        self._waited.append(pause)
        if sum(self._waited) > self._lane.patience_seconds:
            raise self._busy(f"has asked it to wait for {_seconds(sum(self._waited))} in all") from error
        if pause >= _LONG_WAIT_SECONDS:
            log.warning("%s: a call waits %s: %s", self._model.name, _seconds(pause), error.message)
        if self._paces_others or not isinstance(error, RateLimited):  # else the whole lane waits, in line
            await until(self.waits.clock.now() + pause, asyncio.get_running_loop().create_future(), self.waits)

    def _check(self, until: float, last_answer: float) -> None:
        """Check that the server may be waited for until a time. Log a long wait that its headers ask for.

        Raises:
            ModelBusy: That is too long.
        """
        held = self.line.held_seconds(_LONG_WAIT_SECONDS)
        if held:
            log.warning(
                "%s: calls wait %s, as the server's headers leave none until then", self._model.name, _seconds(held)
            )
        if until - max(self._entered, last_answer) > self._lane.patience_seconds:
            now = self.waits.clock.now()
            since = now - max(self._entered, last_answer)
            what = [f"has answered no call for {_seconds(since)}"] if since >= 1 else []
            what += [f"is not called for {_seconds(until - now)} more"] if until > now else []
            raise self._busy(", and ".join(what) or "answers no call")

    def _own_pause(self) -> float:
        """Return how long this call alone waits after a failure for which the server named no time."""
        self._tries += 1
        pause = min(FIRST_PAUSE_SECONDS * 2.0 ** (self._tries - 1), LONGEST_PAUSE_SECONDS)
        return pause * (1 + _JITTER * random.random())  # noqa: S311 - to spread calls

    def _busy(self, what: str) -> ModelBusy:
        last = self.line.last_failure
        words = "" if last is None else f". The last failure: {getattr(last, 'message', '') or last}"
        shown = ", ".join(_seconds(wait) for wait in self._waited[-_SHOWN_WAITS:])
        dots = "…, " if len(self._waited) > _SHOWN_WAITS else ""
        waits = f" ({len(self._waited)} refusals, with waits of {dots}{shown})" if shown else ""
        return ModelBusy(
            f"{self._model.name} has no room for this call: it {what}{waits}{words}",
            where=f"model {self._model.name}",
            repair="make fewer calls: lane=Lane(calls_at_once=…, requests_per_minute=…); wait longer than "
            f"{self._lane.patience_seconds:g} s: Lane(patience_seconds=…); or add another model: Router([...])",
        )


async def paced(model: Model, request: Request, *, beginning: str = "") -> Response:
    """Call a model when its lane lets it, and again if the server has no room.

    Args:
        model: The model.
        request: The request; `waits` is how to wait, and `on_spent` gets what each failed try used.
        beginning: The identity of the part of the request that the provider caches, "" for none. Of the calls with a
            beginning that is not cached yet, one goes first; the others follow when its answer begins or it fails.

    Raises:
        ModelBusy: The server refused the call for too long.
        ModelError: The call failed.
    """
    lane = lane_of(model)
    if lane is None:
        return await asked(model, request)
    call = Call(model, lane, request)
    while True:
        writes = beginning if beginning and await _is_first(call, beginning) else ""
        try:
            response = await call.once(writes=writes)
        except ModelError as error:
            if call.pause is None:
                raise
            refusal = error
        else:
            if beginning:
                call.line.cached(beginning)
            return response
        finally:
            if writes:
                call.line.release(beginning)
        await call.refused(refusal)


async def _is_first(call: Call, beginning: str) -> bool:
    """Return whether this call is the first with its beginning; wait for the first one if it is not."""
    found = call.line.first_with(beginning)
    if isinstance(found, bool):
        return found
    await call.waits.first_of(found)
    return False


class _Watched:
    """Notes when an answer begins.

    Attributes:
        request: The request, changed so that this is noted.
        has_begun: Whether it has.
    """

    def __init__(self, line: Line, turn: Turn, request: Request, writes: str) -> None:
        self._line = line
        self._turn = turn
        self._writes = writes
        self._on_text = request.on_text
        self.has_begun = False
        wanted = request.on_begin
        if turn.is_trial or writes:  # the only reasons to stream an answer without a listener
            wanted = self._begin
        self.request = request
        if wanted is not request.on_begin or self._on_text is not None:
            self.request = replace(request, on_begin=wanted, on_text=None if self._on_text is None else self._text)

    def _begin(self) -> None:
        if not self.has_begun:
            self.has_begun = True
            self._line.begun(self._turn)
            if self._writes:
                self._line.cached(self._writes)
                self._line.release(self._writes)

    def _text(self, text: str) -> None:
        self._begin()
        if self._on_text is not None:
            self._on_text(text)


async def asked(model: Model, request: Request) -> Response:
    """Return a model's answer.

    Raises:
        ModelError: The model's code was cancelled from within. Errors of the model are raised too.
    """
    try:
        return await model.answer(request)
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
        message = f"{model.name} was cancelled by its own code"
        raise ModelError(message, where=f"agent {request.agent}", repair="check the model's code") from error


_NAMED: Final[WeakValueDictionary[Hashable, Lane]] = WeakValueDictionary()
_OF_OBJECTS: Final[dict[int, tuple[weakref.ref[Model], Lane]]] = {}  # by id, as an object may have no hash
_GUARD: Final = threading.Lock()


def lane_for(key: Hashable, calls_at_once: int) -> Lane:
    """Return the lane that all models of this process with the same key share.

    Args:
        key: The provider, address, model and account, without secrets.
        calls_at_once: The most calls in flight.
    """
    with _GUARD:
        lane = _NAMED.get(key)
        if lane is None:
            lane = _NAMED[key] = Lane(calls_at_once=calls_at_once)
        return lane


def lane_of(model: Model) -> Lane | None:
    """Return a model's `lane` attribute, including None; if it has none, a lane made for this object."""
    given = getattr(model, "lane", ...)
    if given is None or isinstance(given, Lane):
        return given
    with _GUARD:
        found = _OF_OBJECTS.get(id(model))
        if found is None or found[0]() is not model:
            try:
                ref = weakref.ref(model, partial(_forget, id(model)))
            except TypeError:  # it can have no weak references, so nothing is kept for it
                return Lane()
            found = _OF_OBJECTS[id(model)] = ref, Lane()
        return found[1]


def _forget(key: int, ref: weakref.ref[Model]) -> None:
    """Remove the lane of an object that is gone, if its id was not given to another one."""
    if _OF_OBJECTS.get(key, (None,))[0] is ref:
        del _OF_OBJECTS[key]


def estimated_tokens(request: Request) -> int:
    """Return about how many tokens a question has."""
    return characters(request) // _CHARACTERS_PER_TOKEN + 1


def characters(request: Request) -> int:
    """Return how many characters a question has."""
    return len(request.system) + sum(_characters_of(message) for message in request.messages)


def _characters_of(message: Message) -> int:
    calls = sum(len(call.arguments) for call in message.calls)
    return len(message.text) + calls + sum(media_tokens(one) * _CHARACTERS_PER_TOKEN for one in message.media)


def media_tokens(one: Media) -> int:
    """Return about how many tokens a medium has: those of a large picture, or by its size."""
    return PICTURE_TOKENS if one.kind == "image" else max(PICTURE_TOKENS, one.size_bytes // _BYTES_PER_TOKEN)


def _tokens_of(response: Response) -> int | None:
    """Return how many tokens a call took; None if that is unknown, as of an invalid answer."""
    tokens = getattr(response, "input_tokens", None), getattr(response, "output_tokens", None)
    return sum(each for each in tokens if type(each) is int) or None


def _seconds(seconds: float) -> str:
    return f"{seconds:.3g} s" if seconds < 100 else f"{seconds:.0f} s"  # noqa: PLR2004 - three digits


__all__ = [
    "CACHED_CHARACTERS",
    "LEFT",
    "Call",
    "Lane",
    "asked",
    "characters",
    "estimated_tokens",
    "lane_for",
    "lane_of",
    "media_tokens",
    "paced",
]

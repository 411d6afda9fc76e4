"""A model over other models: if the first is overloaded or unreachable, the next one is called.

Each model has a circuit breaker. After some failures in a row the model is skipped for a while, so that a run does not
wait at every call for a provider that is down. Then one call tries it again, while concurrent calls still skip it.
Errors that do not pass with time (a bad request, a wrong key) are raised at once: another model would only hide them.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from graphengine.errors import DefinitionError, ModelError, ModelOverloaded, ModelTransient
from graphengine.graph.options import is_seconds
from graphengine.models.base import Closes, KnowsPrices, usage_of_failure
from graphengine.models.names import as_model

if TYPE_CHECKING:
    from collections.abc import Callable

    from graphengine.models.base import Model, Request, Response


class Router:
    """Calls several models in order until one answers.

    The answer's `model` names the one that answered. If none answers, the error is that of the model that can be called
    again soonest. Its message lists the outcome of each model, and its `retry_after_seconds` is the time to wait.

    Streamed text comes from one model only: if a model fails after it has begun to stream, no further text of this call
    is streamed. The returned answer is always the complete answer of one model.

    Args:
        models: The models in the order of calls, as objects or names.
        failures: The number of failures in a row after which a model is skipped.
        pause_seconds: How long it is skipped, or longer if the provider asks for it.
        on: The errors after which the next model is called; by default those that pass with time.
        clock: A monotonic clock, in seconds.

    Raises:
        DefinitionError: No model is given, or a setting is invalid.

    Example:
        >>> Router(["offline", "recorded:answers.json"]).name
        'router(offline, recorded:answers.json)'
    """

    def __init__(
        self,
        models: Iterable[Model | str],
        *,
        failures: int = 3,
        pause_seconds: float = 30.0,
        on: type[Exception] | tuple[type[Exception], ...] = (ModelTransient,),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if isinstance(models, str) or not isinstance(models, Iterable):
            raise DefinitionError(f"Router({models!r})", repair="give a list: Router(['anthropic:…', 'openai:…'])")
        self._on = on if isinstance(on, tuple) else (on,)
        self._places = [_Place(as_model(model), _Breaker(failures, pause_seconds, clock)) for model in models]
        if not self._places:
            raise DefinitionError("Router([]) has no model", repair="give it one model or more")
        if type(failures) is not int or failures < 1:
            raise DefinitionError(f"Router(failures={failures!r})", repair="give a whole number, 1 or more")
        if not is_seconds(pause_seconds):
            raise DefinitionError(f"Router(pause_seconds={pause_seconds!r})", repair="give seconds, more than 0")
        given: tuple[object, ...] = self._on
        wrong = [kind for kind in given if not (isinstance(kind, type) and issubclass(kind, Exception))]
        if wrong:
            repair = "give exceptions, as on=(ModelTransient, QuotaExceeded)"
            raise DefinitionError(f"Router(on={wrong[0]!r})", repair=repair)

    @property
    def name(self) -> str:
        """`router(…)` with the names of its models."""
        return f"router({', '.join(place.model.name for place in self._places)})"

    async def answer(self, request: Request) -> Response:
        """Return the answer of the first model that gives one.

        Raises:
            ModelError: An error that `on` does not name, unchanged; or no model answered.
        """
        watched = _Watched(request.on_text)
        failed: list[tuple[_Place, Exception]] = []
        for place in self._places:
            turn = place.breaker.begin()
            if turn is None:
                continue
            try:
                response = await watched.call(place.model, request)
            except self._on as error:
                turn.failed(error)
                failed.append((place, error))
                if request.on_spent is not None and usage_of_failure(error):
                    request.on_spent(usage_of_failure(error))
            except ModelError:
                turn.answered()  # its provider is available
                raise
            else:
                turn.answered()
                return replace(response, model=response.model or place.model.name)
            finally:
                turn.end()
        raise self._no_answer(failed)

    async def knows_price(self) -> bool:
        """Return whether every model that implements `KnowsPrices` knows its price."""
        models = [place.model for place in self._places]
        return all([await model.knows_price() for model in models if isinstance(model, KnowsPrices)])

    async def close(self) -> None:
        """Close every model's connections, also if closing another one fails."""
        closing = [place.model.close() for place in self._places if isinstance(place.model, Closes)]
        results = await asyncio.gather(*closing, return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result

    def _no_answer(self, failed: list[tuple[_Place, Exception]]) -> Exception:
        """Return the error of a call that no model answered."""
        errors = {id(place): error for place, error in failed}
        lines: list[str] = []
        kinds: list[tuple[bool, float, int, Exception | None]] = []
        for number, place in enumerate(self._places):
            back = place.breaker.back_in_seconds
            error = errors.get(id(place)) or place.breaker.last
            lines.append(f"  {place.model.name}: {_outcome(error, back, called=id(place) in errors)}")
            kinds.append((not isinstance(error, ModelTransient), back, -number, error))
        _, back, _, chosen = min(kinds, key=lambda kind: kind[:3])
        message = "no model of the router answered:\n" + "\n".join(lines)
        if chosen is not None and not isinstance(chosen, ModelError):
            chosen.add_note(message)
            return chosen
        kind = type(chosen) if chosen is not None and type(chosen).__init__ is ModelError.__init__ else ModelOverloaded
        repair = "add a model to the router, or try again later"
        error = kind(message, where=self.name, repair=repair, retry_after_seconds=back if back > 0 else None)
        error.usage = {}  # what each call used was reported when it failed
        return error


@dataclass(frozen=True, slots=True)
class _Place:
    """A model and its breaker."""

    model: Model
    breaker: _Breaker


class _Breaker:
    """Decides whether a model may be called.

    Closed, it lets every call through and counts failures in a row. Open, it lets none through until its pause is over.
    Then it is half open: one call goes through, and closes it or opens it again. Calls that began before its last
    change have no effect. No method awaits between checking and deciding.
    """

    def __init__(self, failures: int, pause_seconds: float, clock: Callable[[], float]) -> None:
        self._most = failures
        self._pause_seconds = pause_seconds
        self._clock = clock
        self._failures = 0
        self._open_until: float | None = None
        self._trial: _Turn | None = None
        self.last: Exception | None = None
        self.era = 0

    @property
    def back_in_seconds(self) -> float:
        """The seconds until it lets a call through, 0.0 for now."""
        return 0.0 if self._open_until is None else max(0.0, self._open_until - self._clock())

    def begin(self) -> _Turn | None:
        """Begin a call; return None if the model is to be skipped."""
        if self._open_until is None:
            return _Turn(self, self.era)
        if self._trial is not None or self._clock() < self._open_until:
            return None
        self._trial = _Turn(self, self.era)
        return self._trial

    def answered(self, turn: _Turn) -> None:
        """Record that the model answered."""
        if turn.era == self.era:
            if self._open_until is not None:
                self.era += 1
            self._failures, self._open_until = 0, None

    def failed(self, turn: _Turn, error: Exception) -> None:
        """Record that the model failed, or asked the caller to wait."""
        self.last = error
        wanted = getattr(error, "retry_after_seconds", None)
        wait = wanted if is_seconds(wanted) else 0.0
        if turn.era != self.era:
            if self._open_until is not None and wait:
                self._open_until = max(self._open_until, self._clock() + wait)
            return
        self._failures += 1
        pause_seconds = max(wait, self._pause_seconds if self._failures >= self._most else 0.0)
        if pause_seconds or self._open_until is not None:
            self._open_until = self._clock() + pause_seconds if pause_seconds else None
            self.era += 1

    def end(self, turn: _Turn) -> None:
        """End a call, whatever its outcome; after a cancelled trial the next call is the trial."""
        if self._trial is turn:
            self._trial = None


@dataclass(frozen=True, slots=True, eq=False)
class _Turn:
    """One call that a breaker let through."""

    breaker: _Breaker
    era: int

    def answered(self) -> None:
        self.breaker.answered(self)

    def failed(self, error: Exception) -> None:
        self.breaker.failed(self, error)

    def end(self) -> None:
        self.breaker.end(self)


class _Watched:
    """Passes on the text of one model: the first that streams any."""

    def __init__(self, on_text: Callable[[str], None] | None) -> None:
        self._on_text = on_text
        self._streamed = False

    async def call(self, model: Model, request: Request) -> Response:
        """Return the model's answer. Pass on its text if no earlier model streamed any, until the call ends."""
        if self._on_text is None or self._streamed:
            return await model.answer(replace(request, on_text=None))
        on_text, over = self._on_text, False

        def passed_on(text: str) -> None:
            if not over:
                self._streamed = True
                on_text(text)

        try:
            return await model.answer(replace(request, on_text=passed_on))
        finally:
            over = True


def _outcome(error: Exception | None, back_in_seconds: float, *, called: bool) -> str:
    """Return the outcome of one model, in a line."""
    text = "no answer yet" if error is None else (getattr(error, "message", "") or str(error) or type(error).__name__)
    later = f"; called again in {math.ceil(back_in_seconds)} s at the earliest" if back_in_seconds > 0 else ""
    return f"{text}{later}" if called else f"skipped after: {text}{later or '; another call is trying it'}"


__all__ = ["Router"]

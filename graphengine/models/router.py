"""A model over other models: the first answers, and where it is overloaded or away, the next one does.

Each model has a breaker. After some failures in a row it is passed over for a while, so that a run does not wait for a
provider that is down at every call; then one call tries it again, while those beside it still go past. What is no
matter of another moment (a bad request, a wrong key) is raised at once, since asking elsewhere would only hide it.
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
    """Asks several models in order until one answers.

    The answer's `model` says which one it was. If none answers, the error is that of the model that can be asked again
    soonest, with what became of each, and its `retry_after_seconds` tells when that is.

    Text that is streamed comes from one model only: once a model has begun to speak and then fails, whoever watches
    hears no more of this call. The answer that is returned is always one model's, and whole.

    Args:
        models: Who is asked, in this order, as objects or names.
        failures: After so many in a row a model is passed over.
        pause_seconds: For how long. A provider that asks to be left alone for longer is.
        on: Only these errors have the next model asked: those that pass, if not given.
        clock: Tells seconds that never go back.

    Raises:
        DefinitionError: There is no model, or a number that makes no sense.

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
        """The answer of the first model that gives one.

        Raises:
            ModelError: One that `on` does not name, as it is; or none answered.
        """
        watched = _Watched(request.on_text)
        failed: list[tuple[_Place, Exception]] = []
        for place in self._places:
            turn = place.breaker.begin()
            if turn is None:
                continue
            try:
                response = await watched.ask(place.model, request)
            except self._on as error:
                turn.failed(error)
                failed.append((place, error))
                if request.on_spent is not None and usage_of_failure(error):
                    request.on_spent(usage_of_failure(error))
            except ModelError:
                turn.answered()  # its provider is there
                raise
            else:
                turn.answered()
                return replace(response, model=response.model or place.model.name)
            finally:
                turn.end()
        raise self._none(failed)

    async def knows_price(self) -> bool:
        """Whether every model that can tell knows its price."""
        asked = [place.model for place in self._places]
        return all([await model.knows_price() for model in asked if isinstance(model, KnowsPrices)])

    async def close(self) -> None:
        """Close what its models have open, every one even if another cannot be closed."""
        closing = [place.model.close() for place in self._places if isinstance(place.model, Closes)]
        results = await asyncio.gather(*closing, return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result

    def _none(self, failed: list[tuple[_Place, Exception]]) -> Exception:
        """The error of a call that nobody answered."""
        errors = {id(place): error for place, error in failed}
        lines: list[str] = []
        kinds: list[tuple[bool, float, int, Exception | None]] = []
        for number, place in enumerate(self._places):
            back = place.breaker.back_in_seconds
            error = errors.get(id(place)) or place.breaker.last
            lines.append(f"  {place.model.name}: {_became(error, back, asked=id(place) in errors)}")
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
    """Whether a model may be asked.

    Closed, it lets every call through and counts failures in a row. Open, it lets none through until its time has come.
    Then it is half open: one call goes through, which closes it or opens it anew. Calls that began before it last
    changed decide nothing any more. Nothing is awaited between looking and deciding.
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
        """When it lets a call through, 0.0 for now."""
        return 0.0 if self._open_until is None else max(0.0, self._open_until - self._clock())

    def begin(self) -> _Turn | None:
        """A call that may be made now; None if the model is passed over."""
        if self._open_until is None:
            return _Turn(self, self.era)
        if self._trial is not None or self._clock() < self._open_until:
            return None
        self._trial = _Turn(self, self.era)
        return self._trial

    def answered(self, turn: _Turn) -> None:
        """The model is there."""
        if turn.era == self.era:
            if self._open_until is not None:
                self.era += 1
            self._failures, self._open_until = 0, None

    def failed(self, turn: _Turn, error: Exception) -> None:
        """The model is not there, or asks to be left alone."""
        self.last = error
        asked = getattr(error, "retry_after_seconds", None)
        alone = asked if is_seconds(asked) else 0.0
        if turn.era != self.era:
            if self._open_until is not None and alone:
                self._open_until = max(self._open_until, self._clock() + alone)
            return
        self._failures += 1
        pause_seconds = max(alone, self._pause_seconds if self._failures >= self._most else 0.0)
        if pause_seconds or self._open_until is not None:
            self._open_until = self._clock() + pause_seconds if pause_seconds else None
            self.era += 1

    def end(self, turn: _Turn) -> None:
        """The call is over, whatever came of it; one that was cancelled leaves the trial to the next."""
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
    """Passes on the text of one model: the first that says any."""

    def __init__(self, on_text: Callable[[str], None] | None) -> None:
        self._on_text = on_text
        self._spoken = False

    async def ask(self, model: Model, request: Request) -> Response:
        """The model's answer, its text passed on while nobody spoke before and the call is under way."""
        if self._on_text is None or self._spoken:
            return await model.answer(replace(request, on_text=None))
        tell, over = self._on_text, False

        def passed_on(text: str) -> None:
            if not over:
                self._spoken = True
                tell(text)

        try:
            return await model.answer(replace(request, on_text=passed_on))
        finally:
            over = True


def _became(error: Exception | None, back_in_seconds: float, *, asked: bool) -> str:
    """What became of one model, in a line."""
    told = "no answer yet" if error is None else (getattr(error, "message", "") or str(error) or type(error).__name__)
    later = f"; asked again in {math.ceil(back_in_seconds)} s at the earliest" if back_in_seconds > 0 else ""
    return f"{told}{later}" if asked else f"passed over after: {told}{later or '; another call is trying it'}"


__all__ = ["Router"]

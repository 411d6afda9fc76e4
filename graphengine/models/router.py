"""A model over several models: if the first model is overloaded or unreachable, the next one is called.

A model whose limiter has no capacity is skipped in favour of the next model whose limiter has some. A model whose
limiter is closed is not called at all, because its server asked to wait, or failed several times in a row. When the
pause is over, one call tries the model again, while concurrent calls still skip it. Permanent errors (a bad request, a
wrong key) are raised at once, because calling another model would only hide them.
"""

from __future__ import annotations

import asyncio
import math
import sys
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from graphengine.errors import DefinitionError
from graphengine.models.base import Closes, Compacts, EstimatesCosts, HasKeys, KnowsPrices, KnowsWindow
from graphengine.models.errors import ModelError, ModelOverloaded, ModelTransient
from graphengine.models.hosted import lacking
from graphengine.models.limiter import PLAIN_WAITS, PacedCall, RateLimiter, limiter_of
from graphengine.models.names import as_model
from graphengine.models.rates import PastFailure
from graphengine.models.settings import ChecksSettings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from graphengine.models.base import Model, Request, Response
    from graphengine.models.hosted import HostedTool
    from graphengine.models.settings import Settings


class OverModels:
    """Base of a model that calls other models, such as a router.

    The model supports a setting or a tool only if all of the models that it may call support it.
    """

    _models: Sequence[Model]

    def __keys__(self) -> Sequence[str]:
        return [key for model in self._models if isinstance(model, HasKeys) for key in model.__keys__()]

    async def knows_price(self) -> bool:
        """Return whether the cost of an answer will be known, whichever model answers."""
        return all([await model.knows_price() for model in self._models if isinstance(model, KnowsPrices)])

    def lacks(self, settings: Settings) -> Mapping[str, str]:
        """Return which of an agent's settings one of the models does not support, each with advice on what to do."""
        found: dict[str, str] = {}
        for model in self._models:
            if isinstance(model, ChecksSettings):
                found |= {name: f"for {model.name}, {repair}" for name, repair in model.lacks(settings).items()}
        return found

    def lacks_tool(self, tool: HostedTool) -> str:
        """Return advice for an agent with a hosted tool that one of the models cannot run; "" if all of them can."""
        found = (f"{message}: {repair}" for model in self._models for message, repair in lacking(model, [tool]))
        return next(found, "")

    async def window_tokens(self) -> int | None:
        """Return the smallest context window of the models, in tokens; None if no window is known."""
        windows = [await model.window_tokens() for model in self._models if isinstance(model, KnowsWindow)]
        return min((window for window in windows if window), default=None)

    async def price_of(self, input_tokens: int, output_tokens: int) -> float | None:
        """Return the cost of these numbers of tokens at the most expensive of the models.

        Returns None if the price of one of the models is unknown.
        """
        prices = [
            await model.price_of(input_tokens, output_tokens) if isinstance(model, EstimatesCosts) else None
            for model in self._models
        ]
        known_prices = [price for price in prices if price is not None]
        return max(known_prices, default=0.0) if len(known_prices) == len(prices) else None

    async def close(self) -> None:
        """Close the connections of all models, even if closing one of them fails."""
        closing = [model.close() for model in self._models if isinstance(model, Closes)]
        results = await asyncio.gather(*closing, return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result


class Router(OverModels):
    """A model that calls several models in order until one of them answers.

    The attribute `model` of an answer names the model that answered. If none of the models answers, the `Router` raises
    the error of the model that can be called again soonest. The message of this error lists what happened at each
    model, and its `retry_after_seconds` is the time to wait.

    The `Router` raises `ModelOverloaded` instead if this model was skipped because of an earlier exception that is not
    a `ModelError`.

    A `Router` streams the text of only one model for each call, so that readers do not see a mixture of two answers. If
    a model fails after it has begun to stream, no further text of this call is streamed, even if the next model
    answers. The answer that the `Router` returns is always the complete answer of one model.

    Args:
        models: The models in the order of calls, as objects or names. The limiter of each model decides when the model
            is skipped: see `RateLimiter(failures=…, pause_seconds=…)`.
        on: The errors after which the next model is called; by default the temporary errors.

    Raises:
        DefinitionError: No model is given, or a setting is invalid.

    Attributes:
        reports_usage: True, because the router reports the usage of each of its calls, so its caller must not.

    Example:
        >>> Router(["rules", "recorded:answers.json"]).name
        'router(rules, recorded:answers.json)'
    """

    reports_usage: Final = True

    def __init__(
        self,
        models: Iterable[Model | str],
        *,
        on: type[Exception] | tuple[type[Exception], ...] = (ModelTransient,),
    ) -> None:
        if isinstance(models, str) or not isinstance(models, Iterable):
            text = f"Router({models!r}): the models must be a list of names or of model objects"
            raise DefinitionError(text, where="Router", repair="write Router(['anthropic:…', 'openai:…'])")
        self._on = on if isinstance(on, tuple) else (on,)
        self._models = [as_model(model) for model in models]
        self.limiter = RateLimiter(
            failures=sys.maxsize
        )  # if no model has capacity, calls wait here; the circuit breaker is in each model's limiter
        if not self._models:
            raise DefinitionError("Router([]) has no model", repair="give at least one model: Router(['anthropic:…'])")
        kinds: tuple[object, ...] = self._on
        wrong = [kind for kind in kinds if not (isinstance(kind, type) and issubclass(kind, Exception))]
        if wrong:
            text = f"Router(on={wrong[0]!r}): on must contain only classes of exceptions"
            raise DefinitionError(text, where="Router", repair="write on=(ModelTransient, QuotaExceeded)")

    @property
    def name(self) -> str:
        """The text `router(…)` with the names of the models."""
        return f"router({', '.join(model.name for model in self._models)})"

    async def answer(self, request: Request) -> Response:
        """Return the answer of the first model that answers.

        Raises:
            ModelError: No model answered, or a model raised an error that `on` does not name, after which no other
                model may be called.
        """
        watched = _TextRelay(request)
        failed: dict[int, Exception] = {}
        for waits in (False, True):  # first the models that can be called now, then the models with a queue
            for number, model in enumerate(self._models):
                limiter = limiter_of(model)
                call = None if limiter is None else PacedCall(model, limiter, request, self._on)
                if number in failed or (call is not None and not _may_call(call, waits=waits)):
                    continue
                try:
                    response = await watched.call(model, call, request)
                except self._on as error:
                    failed[number] = error
                else:
                    return replace(response, model=response.model or model.name)
        raise self._no_answer(failed, request)

    def compacts(self, tokens: int) -> bool:
        """Return whether every model's provider can itself replace older messages by a shorter form."""
        return all(isinstance(model, Compacts) and model.compacts(tokens) for model in self._models)

    def _no_answer(self, failed: Mapping[int, Exception], request: Request) -> Exception:
        """Build the error for a call that no model answered. The message lists what happened at each model."""
        lines: list[str] = []
        kinds: list[tuple[bool, float, int, PastFailure | None]] = []
        for number, model in enumerate(self._models):
            limiter = limiter_of(model)
            queue = None if limiter is None else limiter.queue((request.waits or PLAIN_WAITS).clock)
            closed = 0.0 if queue is None else queue.closed_seconds()
            back = 0.0 if closed == math.inf else closed  # another call is trying the model
            own = failed.get(number)
            failure = (None if queue is None else queue.last_failure) if own is None else PastFailure.of(own)
            lines.append(f"  {model.name}: {_format_outcome(failure, back, called=own is not None)}")
            kinds.append((failure is None or not issubclass(failure.kind, ModelTransient), back, -number, failure))
        _, back, place, chosen = min(kinds, key=lambda kind: kind[:3])
        message = "no model of the router answered:\n" + "\n".join(lines)
        own = failed.get(-place)
        if own is not None and not isinstance(own, ModelError):
            own.add_note(message)
            return own
        kind: type[ModelError] = ModelOverloaded
        if chosen is not None and issubclass(chosen.kind, ModelError) and chosen.kind.__init__ is ModelError.__init__:
            kind = chosen.kind
        repair = "add a model to the router, or try again later"
        error = kind(message, where=self.name, repair=repair, retry_after_seconds=back if back > 0 else None)
        error.usage = {}  # the usage of each call was reported when it failed
        return error


class _TextRelay:
    """Streams the text of only one of a router's models, so that a watcher does not see the beginnings of two answers.

    This is the first model that streams any text. If the caller can discard text that was already shown (`on_reset`),
    the text of every model is streamed instead.
    """

    def __init__(self, request: Request) -> None:
        self._on_text = request.on_text
        self._streams_one = request.on_reset is None
        self._streamed = False

    async def call(self, model: Model, call: PacedCall | None, request: Request) -> Response:
        """Call one of the router's models, and stream its text if no earlier model has streamed any.

        Text that arrives after the call has ended is dropped.
        """
        call_model = model.answer if call is None else call.once  # through the model's limiter if it has one
        if self._on_text is None or self._streamed:
            return await call_model(replace(request, on_text=None, on_thinking=None))
        on_text, over = self._on_text, False

        def passed_on(text: str) -> None:
            if not over:
                self._streamed = self._streams_one
                on_text(text)

        try:
            return await call_model(replace(request, on_text=passed_on))
        finally:
            over = True


def _may_call(call: PacedCall, *, waits: bool) -> bool:
    """Return whether the router should call this model now.

    With `waits=False`, the model is called only if the call can begin at once. With `waits=True`, the call may also
    wait until other calls of the model have ended, but not while the server refuses calls.
    """
    return not call.queue.closed_seconds() if waits else call.queue.is_free(call.tokens)


def _format_outcome(failure: PastFailure | None, back_in_seconds: float, *, called: bool) -> str:
    """Describe on one line of an error message what happened when this model was called, or why it was skipped."""
    text = "no answer yet" if failure is None else failure.text
    later = f"; called again in {math.ceil(back_in_seconds)} s at the earliest" if back_in_seconds > 0 else ""
    return f"{text}{later}" if called else f"skipped after: {text}{later or '; another call is trying this model'}"


__all__ = ["OverModels", "Router"]

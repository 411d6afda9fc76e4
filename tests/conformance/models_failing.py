"""Requirements for models if the provider, the server or the connection fails; part of `models.py`.

Each kind of failure has its own subclass of `ModelError`, so that an agent knows whether to retry. The model itself
never retries. No error shows the API key, even if the server sent it back.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from graphengine.models.errors import (
    AnswerTorn,
    BadRequest,
    ContextFull,
    ModelError,
    ModelOverloaded,
    ModelTimeout,
    ModelTransient,
    ModelUnreachable,
    NoModelServer,
    NotAuthenticated,
    QuotaExceeded,
    RateLimited,
    UnknownModel,
)
from tests.conformance.model_kit import ADD, KEY, ModelSuite, ask, call, closing, failure, scenario, text_of, watched
from tests.conformance.model_scenes import Babbles, Fails, Says, Tears

if TYPE_CHECKING:
    from collections.abc import Mapping

    from graphengine.models.base import Model
    from tests.conformance.model_scenes import Scene, Service, Trouble

SHORT_SECONDS = 0.2
"""A short timeout."""


FAILURES: Mapping[Trouble, tuple[type[ModelError], ...]] = {
    "bad_request": (BadRequest,),
    "wrong_key": (NotAuthenticated,),
    "forbidden": (NotAuthenticated,),
    "no_credit": (QuotaExceeded,),
    "no_quota": (QuotaExceeded,),  # though some providers use status 429 for it, as for a rate limit
    "unknown_model": (UnknownModel,),
    "too_large": (BadRequest, ContextFull),
    "context_full": (ContextFull,),
    "timeout": (ModelTimeout,),
    "server_error": (ModelOverloaded,),
    "unavailable": (ModelOverloaded,),
    "overloaded": (ModelOverloaded,),
}


class FailingModels(ModelSuite):
    """Tests of all errors."""

    # -- errors of the provider

    @scenario
    async def test_each_error_of_a_provider_has_its_own_class(self, service: Service, model: Model) -> None:
        """An error has the server's message, without the key that the server sent back, and is not retried here."""
        for trouble, kinds in FAILURES.items():
            service.play(Fails(trouble, "so it is with {key}", retry_after_seconds=3))
            error = await failure(model.answer(ask()), *kinds)
            assert "so it is with" in str(error), trouble
            assert trouble != "unknown_model" or model.name in str(error)
            assert trouble != "unavailable" or error.retry_after_seconds == 3.0
        assert len(service.received()) == len(FAILURES)

    @scenario
    async def test_a_rate_limit_has_its_delay(self, service: Service, model: Model) -> None:
        """The delay that the provider requests is reported in seconds, whatever its unit."""
        service.play(
            Fails("rate_limit", retry_after_seconds=2),
            Fails("rate_limit", retry_after_seconds=1.5, in_milliseconds=True),
            Fails("rate_limit"),
        )
        waits = [(await failure(model.answer(ask()), RateLimited)).retry_after_seconds for _ in range(3)]
        assert waits in ([2.0, 1.5, None], [2.0, None, None])

    @scenario
    async def test_a_failure_does_not_affect_the_next_call(self, service: Service, model: Model) -> None:
        """After each kind of failure the next call is answered."""
        for scene in (Fails("rate_limit"), Tears(broken=True), Babbles("html")):
            await _next_works(service, model, scene)

    # -- within a stream

    @scenario
    async def test_a_stream_may_fail_before_it_begins(self, service: Service, model: Model) -> None:
        """An error instead of a stream is the same error as without streaming."""
        service.play(Fails("rate_limit", retry_after_seconds=2), Fails("wrong_key"))
        error = await failure(watched(model, ask()), RateLimited)
        assert error.retry_after_seconds == 2.0
        await failure(watched(model, ask()), NotAuthenticated)

    @scenario
    async def test_an_error_within_a_stream_has_its_own_class(self, service: Service, model: Model) -> None:
        """An error after status 200 and the first words is classified by its content."""
        kinds: Mapping[Trouble, type[ModelError]] = {
            "overloaded": ModelOverloaded,
            "server_error": ModelOverloaded,
            "rate_limit": RateLimited,
            "no_quota": QuotaExceeded,
            "context_full": ContextFull,
        }
        for trouble, kind in kinds.items():
            service.play(Fails(trouble, in_stream=True))
            await failure(watched(model, ask()), kind)

    # -- incomplete answers

    @scenario
    async def test_half_an_answer_is_an_error(self, service: Service, model: Model) -> None:
        """A body that ends in the middle is an error, whether or not the connection breaks."""
        service.play(Tears(), Tears(broken=True))
        await failure(model.answer(ask()), AnswerTorn)
        await failure(model.answer(ask()), AnswerTorn, ModelUnreachable)

    @scenario
    async def test_half_a_stream_is_an_error(self, service: Service, model: Model) -> None:
        """A stream that ends early is an error, even if it looks complete to an SDK."""
        service.play(Tears(), Tears(broken=True))
        await failure(watched(model, ask()), AnswerTorn)
        await failure(watched(model, ask()), AnswerTorn, ModelUnreachable)

    @scenario
    async def test_half_a_call_is_an_error(self, service: Service, model: Model) -> None:
        """A tool is never called with half of its arguments."""
        torn = Tears("", (call("c1", a=1, b=2), call("c2", a=3, b=4)))
        service.play(torn, torn)
        await failure(watched(model, ask(tools=[ADD])), AnswerTorn)
        await failure(model.answer(ask(tools=[ADD])), AnswerTorn)

    # -- responses that are not answers

    @scenario
    async def test_a_web_page_is_not_a_model(self, service: Service, model: Model) -> None:
        """A web page with status 200 means that the address is not a model's."""
        service.play(Babbles("html"), Babbles("html"))
        await failure(model.answer(ask()), NoModelServer)
        await failure(watched(model, ask()), NoModelServer)

    @scenario
    async def test_a_gateways_page_can_be_retried(self, service: Service, model: Model) -> None:
        """A web page with status 502 is from a gateway that cannot reach the provider; the error omits the page."""
        service.play(Babbles("html_502"), Babbles("html_502"))
        error = await failure(model.answer(ask()), ModelTransient)
        assert len(str(error)) < 2000
        await failure(watched(model, ask()), ModelTransient)

    @scenario
    async def test_garbage_is_an_error(self, service: Service, model: Model) -> None:
        """JSON that ends in the middle, and an empty body, cannot be parsed."""
        service.play(Babbles("torn_json"), Babbles("no_body"))
        await failure(model.answer(ask()), AnswerTorn)
        await failure(model.answer(ask()), AnswerTorn, NoModelServer)

    @scenario
    async def test_a_stream_of_garbage_is_an_error(self, service: Service, model: Model) -> None:
        """The same is true of a stream."""
        service.play(Babbles("torn_json"), Babbles("no_body"))
        await failure(watched(model, ask()), AnswerTorn, NoModelServer)
        await failure(watched(model, ask()), AnswerTorn, NoModelServer)

    @scenario
    async def test_an_answer_without_content_is_empty_or_an_error(self, service: Service, model: Model) -> None:
        """An answer without a message, or with a null message, is an empty text or raises AnswerTorn."""
        service.play(Babbles("no_answer"), Babbles("null_content"))
        for _ in range(2):
            try:
                response = await model.answer(ask())
            except AnswerTorn:
                continue
            assert (text_of(response), response.calls) == ("", ())

    # -- no server

    def test_a_server_that_does_not_exist_is_unreachable(self) -> None:
        """A call fails with ModelUnreachable if nothing listens at the address."""
        model = self.make_lost_model(key=KEY)

        async def main() -> None:
            async with closing(model):
                await failure(model.answer(ask()), ModelUnreachable)
                await failure(watched(model, ask()), ModelUnreachable)

        asyncio.run(main())

    def test_a_server_that_does_not_answer_is_a_timeout(self) -> None:
        """A call fails if the server does not answer in time, before the first word or within a stream."""
        service = self.make_service()
        model = self.make_model(service, key=KEY, timeout_seconds=SHORT_SECONDS)
        service.play(Says("never", held=True), Says("one two", held=True))

        async def main() -> None:
            async with closing(model):
                await failure(model.answer(ask()), ModelTimeout)
                await failure(watched(model, ask()), ModelTimeout)

        asyncio.run(main())

    def test_a_model_does_not_show_its_key(self) -> None:
        """Neither the model's `str`, nor its `repr`, nor its name, nor what it holds shows the key."""
        model = self.make_model(self.make_service(), key=KEY, timeout_seconds=SHORT_SECONDS)
        assert KEY not in f"{model!r} {model} {model.name} {vars(model)}"


async def _next_works(service: Service, model: Model, scene: Scene) -> None:
    service.play(scene, Says("yes"))
    await failure(model.answer(ask()), ModelError)
    assert (await model.answer(ask())).content == "yes"

"""Requirements for models if the provider, the server or the connection fails; part of `models.py`.

Each kind of failure has its own subclass of `ModelError`, so that an agent knows whether to retry. The model itself
never retries. No error shows the API key, even if the server sent it back.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from graphengine.errors import (
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
    from graphengine.models.base import Model
    from tests.conformance.model_scenes import Scene, Service

SHORT_SECONDS = 0.2
"""A short timeout."""


class FailingModels(ModelSuite):
    """Tests of all errors."""

    # -- errors of the provider

    @scenario
    async def test_a_bad_request_has_its_own_error(self, service: Service, model: Model) -> None:
        """A request that the provider rejects fails with the provider's message."""
        service.play(Fails("bad_request", "tools.0: no such field"))
        error = await failure(model.answer(ask()), BadRequest)
        assert "no such field" in str(error)

    @scenario
    async def test_a_wrong_key_has_its_own_error(self, service: Service, model: Model) -> None:
        """A key that is not accepted is not shown, though the server sends it back."""
        service.play(Fails("wrong_key", "Incorrect API key provided: {key}."))
        await failure(model.answer(ask()), NotAuthenticated)

    @scenario
    async def test_a_forbidden_request_is_an_error_of_the_key(self, service: Service, model: Model) -> None:
        """A request that the key does not permit raises NotAuthenticated."""
        service.play(Fails("forbidden"))
        await failure(model.answer(ask()), NotAuthenticated)

    @scenario
    async def test_an_unpaid_account_has_its_own_error(self, service: Service, model: Model) -> None:
        """An account that must be paid first raises QuotaExceeded, which is not retried."""
        service.play(Fails("no_credit"))
        await failure(model.answer(ask()), QuotaExceeded)

    @scenario
    async def test_a_used_up_quota_is_not_a_rate_limit(self, service: Service, model: Model) -> None:
        """An account without quota is not retried, though some providers use status 429 for both."""
        service.play(Fails("no_quota", retry_after_seconds=1))
        await failure(model.answer(ask()), QuotaExceeded)

    @scenario
    async def test_an_unknown_model_has_its_own_error(self, service: Service, model: Model) -> None:
        """The error for a model that the provider does not have contains its name."""
        service.play(Fails("unknown_model"))
        error = await failure(model.answer(ask()), UnknownModel)
        assert model.name in str(error)

    @scenario
    async def test_a_body_that_is_too_large_has_its_own_error(self, service: Service, model: Model) -> None:
        """A request with too many bytes is not retried."""
        service.play(Fails("too_large"))
        await failure(model.answer(ask()), BadRequest, ContextFull)

    @scenario
    async def test_a_question_beyond_the_context_window_has_its_own_error(self, service: Service, model: Model) -> None:
        """A question that exceeds the context window is distinguished from other bad requests."""
        service.play(Fails("context_full"))
        await failure(model.answer(ask()), ContextFull)

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
    async def test_a_slow_server_is_a_timeout(self, service: Service, model: Model) -> None:
        """A timeout that the server reports is a timeout of the model."""
        service.play(Fails("timeout"))
        await failure(model.answer(ask()), ModelTimeout)

    @scenario
    async def test_a_servers_own_error_can_be_retried(self, service: Service, model: Model) -> None:
        """A server's internal error, or an overloaded server, may be retried."""
        service.play(Fails("server_error"), Fails("unavailable", retry_after_seconds=3), Fails("overloaded"))
        errors = [await failure(model.answer(ask()), ModelOverloaded) for _ in range(3)]
        assert errors[1].retry_after_seconds == 3.0

    @scenario
    async def test_no_second_attempt_is_made(self, service: Service, model: Model) -> None:
        """A call that fails sends one request: the caller decides on retries, and counts them."""
        service.play(Fails("overloaded"), Says("this must not be requested"))
        await failure(model.answer(ask()), ModelOverloaded)
        assert len(service.received()) == 1

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
        service.play(Fails("overloaded", in_stream=True), Fails("server_error", in_stream=True))
        await failure(watched(model, ask()), ModelOverloaded)
        await failure(watched(model, ask()), ModelOverloaded)

    @scenario
    async def test_a_rate_limit_within_a_stream_is_recognised(self, service: Service, model: Model) -> None:
        """A rate limit after status 200 is distinguished from a used-up quota."""
        service.play(Fails("rate_limit", in_stream=True), Fails("no_quota", in_stream=True))
        await failure(watched(model, ask()), RateLimited)
        await failure(watched(model, ask()), QuotaExceeded)

    @scenario
    async def test_a_full_context_window_within_a_stream_is_recognised(self, service: Service, model: Model) -> None:
        """A question that exceeds the context window is reported as such, even after status 200."""
        service.play(Fails("context_full", in_stream=True))
        await failure(watched(model, ask()), ContextFull)

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

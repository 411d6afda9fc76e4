"""What every model must do when its provider, its server or the connection fails; part of `model_conformance.py`.

Each way to fail has an error of its own below `ModelError`, so that an agent knows whether to try again. The model
itself never does. No error shows the API key, not even where the server said it back.
"""
# ruff: noqa: S101  # these are tests, though they are part of the product

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
from graphengine.testing.model_kit import ADD, KEY, ModelSuite, ask, call, closing, failure, scenario, text_of, watched
from graphengine.testing.model_scenes import Babbles, Fails, Says, Tears

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from graphengine.models.base import Model, Request, Response
    from graphengine.testing.model_scenes import Scene, Service

SHORT_SECONDS = 0.2
"""A timeout that is over soon."""


class FailingModels(ModelSuite):
    """Tests of every error."""

    # -- what a provider complains of

    @scenario
    async def test_a_bad_request_is_named(self, service: Service, model: Model) -> None:
        """A request that the provider does not accept fails with its words."""
        service.play(Fails("bad_request", "tools.0: no such field"))
        error = await failure(model.answer(ask()), BadRequest)
        assert "no such field" in str(error)

    @scenario
    async def test_a_wrong_key_is_named(self, service: Service, model: Model) -> None:
        """A key that is not accepted is not shown, though the server says it back."""
        service.play(Fails("wrong_key", "Incorrect API key provided: {key}."))
        await failure(model.answer(ask()), NotAuthenticated)

    @scenario
    async def test_what_is_not_allowed_is_named(self, service: Service, model: Model) -> None:
        """A key that may not do this is a matter of the key."""
        service.play(Fails("forbidden"))
        await failure(model.answer(ask()), NotAuthenticated)

    @scenario
    async def test_an_unpaid_account_is_named(self, service: Service, model: Model) -> None:
        """An account that must be paid first is not tried again."""
        service.play(Fails("no_credit"))
        await failure(model.answer(ask()), QuotaExceeded)

    @scenario
    async def test_a_spent_quota_is_no_rate_limit(self, service: Service, model: Model) -> None:
        """An account with nothing left is not tried again, though some providers call both 429."""
        service.play(Fails("no_quota", retry_after_seconds=1))
        await failure(model.answer(ask()), QuotaExceeded)

    @scenario
    async def test_an_unknown_model_is_named(self, service: Service, model: Model) -> None:
        """A model that the provider does not have is said so, with its name."""
        service.play(Fails("unknown_model"))
        error = await failure(model.answer(ask()), UnknownModel)
        assert model.name in str(error)

    @scenario
    async def test_a_body_that_is_too_large_is_named(self, service: Service, model: Model) -> None:
        """A request of too many bytes is not tried again."""
        service.play(Fails("too_large"))
        await failure(model.answer(ask()), BadRequest, ContextFull)

    @scenario
    async def test_a_question_beyond_the_window_is_named(self, service: Service, model: Model) -> None:
        """A question that is larger than the context window is told apart from other bad requests."""
        service.play(Fails("context_full"))
        await failure(model.answer(ask()), ContextFull)

    @scenario
    async def test_a_rate_limit_says_how_long(self, service: Service, model: Model) -> None:
        """For how long the provider wants to be left alone is told in seconds, however it said so."""
        service.play(
            Fails("rate_limit", retry_after_seconds=2),
            Fails("rate_limit", retry_after_seconds=1.5, in_milliseconds=True),
            Fails("rate_limit"),
        )
        waits = [(await failure(model.answer(ask()), RateLimited)).retry_after_seconds for _ in range(3)]
        assert waits in ([2.0, 1.5, None], [2.0, None, None])

    @scenario
    async def test_a_slow_server_is_a_timeout(self, service: Service, model: Model) -> None:
        """A server that gave up waiting by itself is one that did not answer in time."""
        service.play(Fails("timeout"))
        await failure(model.answer(ask()), ModelTimeout)

    @scenario
    async def test_a_servers_own_error_passes(self, service: Service, model: Model) -> None:
        """An error of the server's own, or one that has too much to do, may be tried again."""
        service.play(Fails("server_error"), Fails("unavailable", retry_after_seconds=3), Fails("overloaded"))
        errors = [await failure(model.answer(ask()), ModelOverloaded) for _ in range(3)]
        assert errors[1].retry_after_seconds == 3.0  # noqa: PLR2004 - as played

    @scenario
    async def test_no_second_attempt_is_made(self, service: Service, model: Model) -> None:
        """A call that fails was one call: who asks decides on attempts, and counts them."""
        service.play(Fails("overloaded"), Says("this must not be asked for"))
        await failure(model.answer(ask()), ModelOverloaded)
        assert len(service.heard()) == 1

    @scenario
    async def test_the_next_call_is_not_hurt(self, service: Service, model: Model) -> None:
        """After each kind of failure the next call is answered."""
        for scene in (Fails("rate_limit"), Tears(broken=True), Babbles("html")):
            await _next_works(service, model, scene)

    # -- amid a stream

    @scenario
    async def test_a_stream_may_fail_before_it_begins(self, service: Service, model: Model) -> None:
        """An error instead of a stream is what it is without one."""
        service.play(Fails("rate_limit", retry_after_seconds=2), Fails("wrong_key"))
        error = await failure(_watch(model), RateLimited)
        assert error.retry_after_seconds == 2.0  # noqa: PLR2004 - as played
        await failure(_watch(model), NotAuthenticated)

    @scenario
    async def test_an_error_amid_a_stream_is_of_its_kind(self, service: Service, model: Model) -> None:
        """An error that comes after status 200 and the first words is told by what it says."""
        service.play(Fails("overloaded", in_stream=True), Fails("server_error", in_stream=True))
        await failure(_watch(model), ModelOverloaded)
        await failure(_watch(model), ModelOverloaded)

    @scenario
    async def test_a_limit_amid_a_stream_is_one(self, service: Service, model: Model) -> None:
        """So is a rate limit, and a spent quota is told apart from it there too."""
        service.play(Fails("rate_limit", in_stream=True), Fails("no_quota", in_stream=True))
        await failure(_watch(model), RateLimited)
        await failure(_watch(model), QuotaExceeded)

    @scenario
    async def test_a_full_window_amid_a_stream_is_one(self, service: Service, model: Model) -> None:
        """A question that turns out to be too large after status 200 is told as such."""
        service.play(Fails("context_full", in_stream=True))
        await failure(_watch(model), ContextFull)

    # -- answers that end too early

    @scenario
    async def test_half_an_answer_is_none(self, service: Service, model: Model) -> None:
        """A body that ends in the middle, with or without the connection, is no answer."""
        service.play(Tears(), Tears(broken=True))
        await failure(model.answer(ask()), AnswerTorn)
        await failure(model.answer(ask()), AnswerTorn, ModelUnreachable)

    @scenario
    async def test_half_a_stream_is_none(self, service: Service, model: Model) -> None:
        """A stream that just ends looks whole to an SDK; it is not."""
        service.play(Tears(), Tears(broken=True))
        await failure(_watch(model), AnswerTorn)
        await failure(_watch(model), AnswerTorn, ModelUnreachable)

    @scenario
    async def test_half_a_call_is_none(self, service: Service, model: Model) -> None:
        """A tool is never called with half of its arguments."""
        torn = Tears("", (call("c1", a=1, b=2), call("c2", a=3, b=4)))
        service.play(torn, torn)
        await failure(watched(model, ask(tools=[ADD])), AnswerTorn)
        await failure(model.answer(ask(tools=[ADD])), AnswerTorn)

    # -- what is no answer at all

    @scenario
    async def test_a_page_is_no_model(self, service: Service, model: Model) -> None:
        """A web page with status 200 means that something else answers there."""
        service.play(Babbles("html"), Babbles("html"))
        await failure(model.answer(ask()), NoModelServer)
        await failure(_watch(model), NoModelServer)

    @scenario
    async def test_a_gateways_page_passes(self, service: Service, model: Model) -> None:
        """A web page with status 502 is a server in between that cannot reach the provider; its page is not told."""
        service.play(Babbles("html_502"), Babbles("html_502"))
        error = await failure(model.answer(ask()), ModelTransient)
        assert len(str(error)) < 2000  # noqa: PLR2004 - a screen
        await failure(_watch(model), ModelTransient)

    @scenario
    async def test_garbage_is_no_answer(self, service: Service, model: Model) -> None:
        """JSON that ends in the middle, and a body without anything, cannot be read."""
        service.play(Babbles("torn_json"), Babbles("no_body"))
        await failure(model.answer(ask()), AnswerTorn)
        await failure(model.answer(ask()), AnswerTorn, NoModelServer)

    @scenario
    async def test_a_stream_of_garbage_is_no_answer(self, service: Service, model: Model) -> None:
        """The same where a stream was asked for."""
        service.play(Babbles("torn_json"), Babbles("no_body"))
        await failure(_watch(model), AnswerTorn, NoModelServer)
        await failure(_watch(model), AnswerTorn, NoModelServer)

    @scenario
    async def test_an_answer_that_holds_nothing_is_empty_or_torn(self, service: Service, model: Model) -> None:
        """An answer without a message, or with null in it, is an empty text or an error of ours."""
        service.play(Babbles("no_answer"), Babbles("null_content"))
        for _ in range(2):
            try:
                response = await model.answer(ask())
            except AnswerTorn:
                continue
            assert (text_of(response), response.calls) == ("", ())

    # -- no server

    def test_a_server_that_is_not_there_is_unreachable(self) -> None:
        """Where nothing listens, the address is part of what is said."""
        model = self.make_lost_model(key=KEY)

        async def main() -> None:
            async with closing(model):
                await failure(model.answer(ask()), ModelUnreachable)
                await failure(_watch(model), ModelUnreachable)

        asyncio.run(main())

    def test_a_server_that_says_nothing_is_a_timeout(self) -> None:
        """A server that does not answer in time fails the call, before the first word and amid a stream."""
        service = self.make_service()
        model = self.make_model(service, key=KEY, timeout_seconds=SHORT_SECONDS)
        service.play(Says("never", held=True), Says("one two", held=True))

        async def main() -> None:
            async with closing(model):
                await failure(model.answer(ask()), ModelTimeout)
                await failure(_watch(model), ModelTimeout)

        asyncio.run(main())

    def test_a_model_does_not_show_its_key(self) -> None:
        """Neither its text nor what it holds in plain sight has the key."""
        model = self.make_model(self.make_service(), key=KEY, timeout_seconds=SHORT_SECONDS)
        assert KEY not in f"{model!r} {model} {model.name}"


def _watch(model: Model, request: Request | None = None) -> Coroutine[None, None, tuple[Response, list[str]]]:
    return watched(model, ask() if request is None else request)


async def _next_works(service: Service, model: Model, scene: Scene) -> None:
    service.play(scene, Says("yes"))
    await failure(model.answer(ask()), ModelError)
    assert (await model.answer(ask())).content == "yes"

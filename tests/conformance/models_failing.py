"""Requirements for models if the provider, the server or the connection fails; part of `models.py`.

Each kind of failure has its own subclass of `ModelError`, so that an agent knows whether to retry. The model itself
never retries. No error shows the API key, even if the server sent it back.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, ClassVar, TypeAlias

import pytest

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

    Kinds: TypeAlias = tuple[type[ModelError], ...]

SHORT_SECONDS = 0.2
"""A short timeout."""


FAILURES: Mapping[Trouble, Kinds] = {
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


TORN_CALL = Tears("", (call("c1", a=1, b=2), call("c2", a=3, b=4)))
TORN: Kinds = (AnswerTorn,)
UNREADABLE: Kinds = (AnswerTorn, NoModelServer)
BROKEN: Kinds = (AnswerTorn, ModelUnreachable)

NO_ANSWERS: Mapping[str, tuple[Scene, Kinds, Kinds]] = {  # the errors of a whole answer, and of a stream
    "half an answer": (Tears(), TORN, TORN),
    "half an answer on a broken connection": (Tears(broken=True), BROKEN, BROKEN),
    "half a call": (TORN_CALL, TORN, TORN),
    "a web page": (Babbles("html"), (NoModelServer,), (NoModelServer,)),
    "the web page of a gateway": (Babbles("html_502"), (ModelTransient,), (ModelTransient,)),
    "half a JSON document": (Babbles("torn_json"), TORN, UNREADABLE),
    "no body": (Babbles("no_body"), UNREADABLE, UNREADABLE),
}
"""What servers send that is not a whole answer. A tool is never called with half of its arguments. A web page says that
another server is at the address, but that of a gateway can be retried; an error does not repeat such a page."""


class FailingModels(ModelSuite):
    """Tests of all errors.

    Attributes:
        other_errors: The errors of a model that differ from the table, by their rows.
    """

    other_errors: ClassVar[Mapping[str, Kinds]] = {}

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

    # -- what is no answer

    @pytest.mark.parametrize("name", NO_ANSWERS)
    @pytest.mark.parametrize("streamed", [False, True])
    def test_what_is_no_answer_is_an_error(self, name: str, streamed: bool) -> None:  # noqa: FBT001 - a column
        """What is not a whole answer raises an error of the table, streamed or not."""
        scene, whole, stream = NO_ANSWERS[name]
        scenario(_is_an_error)(self, scene, self.other_errors.get(name, stream if streamed else whole), streamed)

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


async def _is_an_error(
    _: FailingModels,
    service: Service,
    model: Model,
    scene: Scene,
    kinds: Kinds,
    streamed: bool,  # noqa: FBT001 - a row
) -> None:
    service.play(scene)
    asked = ask(tools=[ADD])
    error = await failure(watched(model, asked) if streamed else model.answer(asked), *kinds)
    assert len(str(error)) < 2000


async def _next_works(service: Service, model: Model, scene: Scene) -> None:
    service.play(scene, Says("yes"))
    await failure(model.answer(ask()), ModelError)
    assert (await model.answer(ask())).content == "yes"

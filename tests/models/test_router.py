"""The router: which model is called, which is skipped and for how long, and the error if none answers."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest

from graphengine.models import (
    Closes,
    KnowsPrices,
    Message,
    Model,
    RateLimiter,
    Request,
    Response,
    Router,
    ScriptedModel,
)
from graphengine.models.errors import (
    AnswerTorn,
    BadRequest,
    ModelError,
    ModelOverloaded,
    ModelTimeout,
    ModelTransient,
    ModelUnreachable,
    NotAuthenticated,
    QuotaExceeded,
    RateLimited,
)
from graphengine.models.limiter import PlainWaits, limited
from graphengine.testing import FakeClock

ASKED = Request("writer", "", [Message(role="user", text="?")])
DOWN = ModelOverloaded("overloaded")


class Named:
    """A model with a name whose answers are set by the test."""

    def __init__(self, name: str, *does: object, always: object = None, limiter: RateLimiter | None = None) -> None:
        self.name = name
        self.limiter = limiter or RateLimiter()
        self.does = list(does)
        self.always = always
        self.calls = 0
        self.closed = 0
        self.fails_to_close = False
        self.knows = True

    async def answer(self, request: Request) -> Response:
        self.calls += 1
        done = self.does.pop(0) if self.does else self.always
        if callable(done):
            done = await done(request)
        if isinstance(done, BaseException):
            raise done
        return done if isinstance(done, Response) else Response(done or f"{self.name} says")

    async def knows_price(self) -> bool:
        return self.knows

    async def close(self) -> None:
        if self.fails_to_close:
            raise OSError(self.name)
        for _ in range(5):
            await asyncio.sleep(0)
        self.closed += 1


@pytest.fixture
def clock() -> FakeClock:
    """Return a clock that a test moves."""
    return FakeClock(1000.0, jumps=False)


async def text_of(router: Model, clock: FakeClock | None = None) -> str:
    """Return its answer."""
    return str((await router.answer(asked(clock))).content)


async def failed(router: Model, clock: FakeClock | None = None) -> ModelError:
    """Return its failure."""
    with pytest.raises(ModelError) as caught:
        await router.answer(asked(clock))
    return caught.value


def asked(clock: FakeClock | None) -> Request:
    """Return a request whose limiters use this clock."""
    return ASKED if clock is None else replace(ASKED, waits=PlainWaits(clock))


@pytest.mark.parametrize(
    "error",
    [DOWN, ModelUnreachable("away"), ModelTimeout("late"), RateLimited("slow"), AnswerTorn("torn")],
    ids=lambda error: error.code,
)
async def test_after_a_transient_error_the_next_model_is_called(error: ModelError) -> None:
    """The answer has the name of the model that gave it."""
    first, second = Named("a:1", error), Named("b:2")
    router = Router([first, second])
    response = await router.answer(ASKED)
    assert (response.content, response.model) == ("b:2 says", "b:2")
    assert router.name == "router(a:1, b:2)"
    assert first.calls == 1


async def test_the_first_that_answers_is_the_last_asked() -> None:
    """A model that reports another name keeps it."""
    first, second = Named("a:1", Response("x", model="a:1-20261101")), Named("b:2")
    assert (await Router([first, second]).answer(ASKED)).model == "a:1-20261101"
    assert second.calls == 0


@pytest.mark.parametrize(
    "error", [BadRequest("no"), NotAuthenticated("who"), QuotaExceeded("broke"), KeyError("bug")], ids=repr
)
async def test_a_permanent_error_is_raised_unchanged(error: Exception) -> None:
    """Calling another model would hide it."""
    second = Named("b:2")
    with pytest.raises(type(error)) as caught:
        await Router([Named("a:1", error), second]).answer(ASKED)
    assert caught.value is error
    assert second.calls == 0


async def test_on_decides_which_errors_call_the_next_model() -> None:
    """`on` names one class or several, and only these errors call the next model."""
    kinds = (ModelTransient, QuotaExceeded, OSError)
    for error in (QuotaExceeded("broke"), OSError("x"), DOWN):
        assert await text_of(Router([Named("a:1", error), Named("b:2")], on=kinds)) == "b:2 says"
    assert await text_of(Router([Named("a:1", QuotaExceeded("broke")), Named("b:2")], on=ModelError)) == "b:2 says"
    with pytest.raises(ModelOverloaded):
        await Router([Named("a:1", DOWN), Named("b:2")], on=QuotaExceeded).answer(ASKED)


async def test_a_model_that_failed_often_is_skipped_for_a_while(clock: FakeClock) -> None:
    """Failures in a row count; then one call tries it again, and success resets it."""
    first, second = Named("a:1", DOWN, "fine", DOWN, DOWN, limiter=RateLimiter(failures=2)), Named("b:2")
    router = Router([first, second])
    assert [await text_of(router, clock) for _ in range(4)] == ["b:2 says", "fine", "b:2 says", "b:2 says"]
    assert first.calls == 4
    clock.move(0.9)
    assert await text_of(router, clock) == "b:2 says"
    assert first.calls == 4
    clock.move(0.2)
    assert await text_of(router, clock) == "a:1 says"
    first.does = [DOWN]
    assert [await text_of(router, clock), await text_of(router, clock)] == ["b:2 says", "a:1 says"]


async def test_only_one_of_concurrent_calls_is_a_trial(clock: FakeClock) -> None:
    """The others skip it meanwhile, and call it again after it answered."""
    gate = asyncio.Event()

    async def slowly(request: Request) -> Response:
        await gate.wait()
        return Response("back")

    first, second = Named("a:1", DOWN, slowly, limiter=RateLimiter(failures=1)), Named("b:2")
    router = Router([first, second])
    await text_of(router, clock)
    clock.move(31)
    trial = asyncio.create_task(text_of(router, clock))
    await asyncio.sleep(0)
    assert await asyncio.gather(*(text_of(router, clock) for _ in range(20))) == ["b:2 says"] * 20
    assert first.calls == 2
    gate.set()
    assert await trial == "back"
    assert await text_of(router, clock) == "a:1 says"


async def test_a_trial_that_is_cancelled_leaves_the_next_call_to_try(clock: FakeClock) -> None:
    """After a cancelled trial the next call tries; otherwise no call would ever try again."""
    first = Named("a:1", DOWN, lambda request: asyncio.Event().wait(), "back", limiter=RateLimiter(failures=1))
    router = Router([first, Named("b:2")])
    await text_of(router, clock)
    clock.move(31)
    trial = asyncio.create_task(text_of(router, clock))
    await asyncio.sleep(0)
    trial.cancel()
    with pytest.raises(asyncio.CancelledError):
        await trial
    assert await text_of(router, clock) == "back"


async def test_an_error_that_does_not_pass_shows_that_the_provider_is_there(clock: FakeClock) -> None:
    """The trial is over, and the breaker closed."""

    async def slowly(request: Request) -> Response:
        await asyncio.sleep(0)
        return Response("a:1 says")

    first = Named("a:1", DOWN, BadRequest("no"), always=slowly, limiter=RateLimiter(failures=1))
    router = Router([first, Named("b:2")])
    await text_of(router, clock)
    clock.move(31)
    assert isinstance(await failed(router, clock), BadRequest)
    assert list(await asyncio.gather(text_of(router, clock), text_of(router, clock))) == ["a:1 says"] * 2


async def test_late_results_of_earlier_calls_have_no_effect(clock: FakeClock) -> None:
    """Neither late answers nor late failures change which model is called now."""
    gates = [asyncio.Event(), asyncio.Event()]

    def after(gate: asyncio.Event, then: Response | Exception) -> Callable[[Request], object]:
        async def wait(request: Request) -> object:
            await gate.wait()
            return then

        return wait

    limiter = RateLimiter(failures=1)
    first = Named("a:1", after(gates[0], Response("late")), after(gates[1], DOWN), DOWN, limiter=limiter)
    router = Router([first, Named("b:2")])
    late = [asyncio.create_task(text_of(router, clock)) for _ in range(2)]
    await asyncio.sleep(0)
    assert await text_of(router, clock) == "b:2 says"
    gates[0].set()
    assert await late[0] == "late"
    assert await text_of(router, clock) == "b:2 says"
    clock.move(0.9)
    gates[1].set()
    assert await late[1] == "b:2 says"
    clock.move(0.2)
    assert await text_of(router, clock) == "a:1 says"


async def test_a_provider_that_asks_to_wait_is_skipped(clock: FakeClock) -> None:
    """A provider that asks to wait is skipped at once and exactly for that time, regardless of the other settings."""
    first = Named("a:1", RateLimited("slow", retry_after_seconds=5))
    router = Router([first, Named("b:2")])
    assert [await text_of(router, clock), await text_of(router, clock)] == ["b:2 says"] * 2
    clock.move(4.9)
    assert await text_of(router, clock) == "b:2 says"
    clock.move(0.2)
    assert await text_of(router, clock) == "a:1 says"
    clock.move(90)
    first.does = [RateLimited("slow", retry_after_seconds=90)] * 3
    for _ in range(3):
        await text_of(router, clock)
        clock.move(89)
        assert await text_of(router, clock) == "b:2 says"
        clock.move(1)
    assert await text_of(router, clock) == "a:1 says"


async def test_a_model_without_room_is_skipped_for_one_with_room(clock: FakeClock) -> None:
    """If none has room, the call waits in the line of the first."""
    gate = asyncio.Event()

    async def slowly(request: Request) -> Response:
        await gate.wait()
        return Response("a:1 says")

    first, second = (Named(name, always=slowly, limiter=RateLimiter(calls_at_once=1)) for name in ("a:1", "b:2"))
    router = Router([first, second])
    calls = [asyncio.create_task(text_of(router, clock)) for _ in range(3)]
    await asyncio.sleep(0)
    assert (first.calls, second.calls) == (1, 1)
    gate.set()
    await asyncio.gather(*calls)
    assert (first.calls, second.calls) == (2, 1)


async def test_if_no_model_answers_each_is_listed(clock: FakeClock) -> None:
    """The error is that of the model that is back soonest, with its time."""
    first = Named(
        "a:1", always=ModelUnreachable("cannot be reached", retry_after_seconds=30), limiter=RateLimiter(failures=1)
    )
    second = Named("b:2", always=RateLimited("slow down", retry_after_seconds=25))
    router = Router([first, second])
    error = await failed(router, clock)
    assert type(error) is RateLimited
    assert error.retryable
    assert error.retry_after_seconds == 25
    assert "a:1: cannot be reached; called again in 30 s at the earliest" in str(error)
    assert "b:2: slow down; called again in 25 s at the earliest" in str(error)
    clock.move(10)
    again = await failed(router, clock)
    assert again.retry_after_seconds == 15
    assert "a:1: skipped after: cannot be reached; called again in 20 s" in str(again)
    assert (first.calls, second.calls) == (1, 1)


async def test_the_soonest_back_gives_the_error(clock: FakeClock) -> None:
    """A transient error takes precedence over others."""
    models = [Named("a:1", RateLimited("slow", retry_after_seconds=9)), Named("b:2", ModelTimeout("late"))]
    error = await failed(Router(models), clock)
    assert (type(error), error.retry_after_seconds) == (ModelTimeout, None)
    models = [Named("a:1", RateLimited("slow", retry_after_seconds=9)), Named("b:2", QuotaExceeded("broke"))]
    error = await failed(Router(models, on=ModelError), clock)
    assert (type(error), error.retry_after_seconds) == (RateLimited, 9)


async def test_an_agent_waits_for_a_router_of_which_no_model_has_room(clock: FakeClock) -> None:
    """An agent waits for a router without room as long as the first of its models asks."""
    moving = FakeClock(1000.0)
    first = Named("a:1", RateLimited("slow", retry_after_seconds=9))
    second = Named("b:2", RateLimited("slow", retry_after_seconds=20))
    answer = await limited(Router([first, second]), asked(moving))
    assert (answer.content, moving.now()) == ("a:1 says", 1009.0)


async def test_other_exceptions_are_raised_unchanged() -> None:
    """Other exceptions are raised unchanged, with the outcomes of the others as a note."""
    with pytest.raises(OSError, match="own") as caught:
        await Router([Named("a:1", OSError("own"))], on=OSError).answer(ASKED)
    assert "a:1: own" in caught.value.__notes__[0]


async def test_no_model_answers_while_another_call_tries_the_only_one(clock: FakeClock) -> None:
    """A call fails with a transient error while another one tries the only model."""
    gate = asyncio.Event()
    first = Named("a:1", DOWN, lambda request: gate.wait(), limiter=RateLimiter(failures=1))
    router = Router([first])
    await failed(router, clock)
    clock.move(31)
    trial = asyncio.create_task(router.answer(asked(clock)))
    await asyncio.sleep(0)
    error = await failed(router, clock)
    assert (type(error), error.retry_after_seconds) == (ModelOverloaded, None)
    assert "skipped after: overloaded; another call is trying it" in str(error)
    gate.set()
    await trial


async def test_text_of_one_model_only_is_passed_on() -> None:
    """After a part of one answer no other is streamed; if nothing was streamed, the next one is."""

    async def breaks(request: Request) -> Exception:
        assert request.on_text is not None
        request.on_text("half an ")
        kept.append(request.on_text)
        return AnswerTorn("torn")

    kept: list[Callable[[str], None]] = []
    received: list[str] = []
    request = Request("writer", "", [], on_text=received.append)
    router = Router([Named("a:1", breaks, DOWN), ScriptedModel(["a whole answer", "another one"])])
    assert (await router.answer(request)).content == "a whole answer"
    kept[0]("late")
    assert received == ["half an "]
    received.clear()
    await router.answer(request)
    assert "".join(received) == "another one"


async def test_closing_closes_every_model() -> None:
    """Closing closes every model, also after one that cannot be closed; models without connections need no close."""
    first, second = Named("a:1"), Named("b:2")
    first.fails_to_close = True
    router = Router([first, "rules", second])
    assert isinstance(router, Closes)
    with pytest.raises(OSError, match="a:1"):
        await router.close()
    assert (first.closed, second.closed) == (0, 1)


async def test_a_price_is_known_if_every_model_knows_its_own() -> None:
    """A price is known if every model knows its own, since any of them may answer."""
    first, second = Named("a:1"), Named("b:2")
    router = Router([first, second, "rules"])
    assert isinstance(router, KnowsPrices)
    assert await router.knows_price()
    second.knows = False
    assert not await router.knows_price()


async def test_a_router_may_contain_a_router() -> None:
    """The answer has the model's name, not the router's."""
    inner = Router([Named("a:1", DOWN), Named("b:2", DOWN)])
    response = await Router([inner, Named("c:3")]).answer(ASKED)
    assert response.model == "c:3"
    assert (await Router([inner]).answer(ASKED)).model == "a:1"

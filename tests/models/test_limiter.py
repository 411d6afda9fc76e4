"""Rate limiters: calls of one model wait together, are made again if the server refuses them, and give up in time."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass, replace

import pytest

from graphengine.models import Message, Model, RateLimiter, Request, Response, ScriptedModel
from graphengine.models.anthropic import AnthropicModel
from graphengine.models.errors import (
    AnswerTorn,
    BadRequest,
    ModelBusy,
    ModelError,
    ModelOverloaded,
    ModelTransient,
    ModelUnreachable,
    RateLimited,
)
from graphengine.models.limiter import PlainWaits, limited, limiter_of
from graphengine.models.openai import OpenAIModel
from graphengine.models.openai_chat import OpenAIChatModel
from graphengine.models.recorded import RecordedModel
from graphengine.testing import FakeClock
from tests.kit.runs import SOON


@pytest.fixture
def clock() -> FakeClock:
    """Return a clock whose time passes when nothing else happens."""
    return FakeClock(1000.0)


def question(clock: FakeClock, text: str = "?") -> Request:
    """Return a request whose limiter uses this clock."""
    return Request("writer", "", [Message(role="user", text=text)], waits=PlainWaits(clock))


class Counter:
    """A server that allows some calls in any span, and states how long to wait."""

    name = "counter"

    def __init__(
        self, clock: FakeClock, allowed: int, seconds: float = 1.0, limiter: RateLimiter | None = None
    ) -> None:
        self.clock, self.allowed, self.seconds = clock, allowed, seconds
        self.answered: list[float] = []
        self.refused = 0
        self.order: list[str] = []
        self.limiter = limiter or RateLimiter()

    async def answer(self, request: Request) -> Response:
        now = self.clock.now()
        await asyncio.sleep(0)
        if sum(at > now - self.seconds for at in self.answered) >= self.allowed:
            self.refused += 1
            raise RateLimited("slow down", retry_after_seconds=self.seconds)
        self.answered.append(now)
        self.order.append(request.prompt)
        return Response(request.prompt, input_tokens=3, output_tokens=2)


async def test_forty_calls_share_what_a_server_allows(clock: FakeClock) -> None:
    """None fails; they take about as long as they must, and few are refused after the first burst."""
    server = Counter(clock, allowed=5)
    answers = await asyncio.gather(*(limited(server, question(clock, str(number))) for number in range(40)))
    assert [answer.content for answer in answers] == [str(number) for number in range(40)]
    assert clock.now() - 1000.0 <= 1.3 * 8
    assert server.refused <= 35 + 10


async def test_a_refused_call_keeps_its_place(clock: FakeClock) -> None:
    """It goes before calls that came later."""
    server = Counter(clock, allowed=1)
    first = asyncio.create_task(limited(server, question(clock, "a")))
    second = asyncio.create_task(limited(server, question(clock, "b")))
    await first
    third = asyncio.create_task(limited(server, question(clock, "c")))
    await asyncio.gather(second, third)
    assert server.order == ["a", "b", "c"]


async def test_a_server_that_refuses_for_too_long_is_reported(clock: FakeClock) -> None:
    """A server that refuses for too long is reported with its words, the waits and the repair, and not retried."""
    model = ScriptedModel([RateLimited("slow down, please", retry_after_seconds=40)] * 9)
    model.limiter = RateLimiter(patience_seconds=100)  # type: ignore[attr-defined]
    with pytest.raises(ModelBusy) as caught:
        await limited(model, question(clock))
    text = str(caught.value)
    assert "has asked it to wait for 120 s in all (3 refusals, the last with a wait of 40 s)" in text
    assert "slow down, please" in text
    assert "RateLimiter(patience_seconds=…)" in text
    assert isinstance(caught.value, ModelTransient)
    assert not caught.value.retryable
    assert isinstance(caught.value.__cause__, RateLimited)


async def test_calls_give_up_together_if_no_call_is_answered(clock: FakeClock) -> None:
    """They do not wait one after the other for as long as the limiter is patient."""
    model = ScriptedModel(lambda _: RateLimited("closed", retry_after_seconds=10))
    model.limiter = RateLimiter(patience_seconds=60)  # type: ignore[attr-defined]
    calls = (limited(model, question(clock)) for _ in range(10))
    found = await asyncio.gather(*calls, return_exceptions=True)
    assert {type(error) for error in found} == {ModelBusy}
    assert clock.now() - 1000.0 <= 100
    assert any("has answered no call for" in str(error) for error in found)


async def test_a_long_line_is_not_a_refusal(clock: FakeClock) -> None:
    """The hundredth call waits far longer than the limiter is patient, since the calls before it are answered."""
    server = Counter(clock, allowed=1, seconds=10, limiter=RateLimiter(patience_seconds=60, requests_per_minute=6))
    await asyncio.gather(*(limited(server, question(clock)) for _ in range(100)))
    assert len(server.answered) == 100


@pytest.mark.parametrize("error", [ModelUnreachable("away"), AnswerTorn("torn"), BadRequest("no"), KeyError("bug")])
async def test_what_may_have_to_be_paid_is_not_repeated_here(clock: FakeClock, error: Exception) -> None:
    """The run records it, and its node tries again."""
    model = ScriptedModel([error, "fine"])
    with pytest.raises(type(error)):
        await limited(model, question(clock))
    assert len(model.requests) == 1


async def test_an_overloaded_server_is_called_again(clock: FakeClock) -> None:
    """An overloaded server is called again after the pause it names, or after pauses that double."""
    model = ScriptedModel(
        [ModelOverloaded("busy"), ModelOverloaded("busy"), ModelOverloaded("busy", retry_after_seconds=9), "ok"]
    )
    assert (await limited(model, question(clock))).content == "ok"
    assert 11.7 <= clock.now() - 1000.0 <= 12.3


async def test_calls_of_an_overloaded_server_are_not_made_again_at_once(clock: FakeClock) -> None:
    """Calls that failed together wait for different times, also in several processes, which share no limiter."""
    ended: list[float] = []

    async def call() -> None:
        await limited(ScriptedModel([ModelOverloaded("busy"), "ok"]), question(clock))
        ended.append(clock.now() - 1000.0)

    await asyncio.gather(*(call() for _ in range(5)))
    assert len(set(ended)) > 1
    assert 0.9 <= min(ended) <= max(ended) <= 1.1


async def test_an_answer_that_has_begun_is_not_repeated(clock: FakeClock) -> None:
    """An answer that has begun is not repeated, since its text was shown already."""

    class Breaks:
        """A model that is overloaded in the middle of its answer."""

        name = "breaks"
        calls = 0

        async def answer(self, request: Request) -> Response:
            self.calls += 1
            request.emit_text("half")
            raise ModelOverloaded("busy")

    pieces: list[str] = []
    model = Breaks()
    with pytest.raises(ModelOverloaded):
        await limited(model, replace(question(clock), on_text=pieces.append))
    assert (model.calls, pieces) == (1, ["half"])


async def test_calls_that_wait_for_a_trial_fail_with_it(clock: FakeClock) -> None:
    """A server that cannot be reached is called once, not by every waiting call; none of the others used anything."""

    class Away:
        """A server that cannot be reached."""

        name = "away"
        calls = 0

        async def answer(self, request: Request) -> Response:
            self.calls += 1
            await asyncio.sleep(0)
            error = ModelUnreachable("no server there")
            error.usage = {}
            raise error

    model = Away()

    async def twenty() -> list[object]:
        calls = (limited(model, question(clock)) for _ in range(20))
        return list(await asyncio.gather(*calls, return_exceptions=True))

    await twenty()
    assert model.calls == 20
    found = await twenty()
    assert model.calls == 21
    assert all(isinstance(error, ModelUnreachable) for error in found)
    assert (
        sum("it was not called, since the call before this one failed: no server there" in str(e) for e in found) == 19
    )


async def test_a_call_that_is_cancelled_while_it_waits_used_nothing(clock: FakeClock) -> None:
    """One that was in flight may have to be paid. The next in line goes in both cases."""
    gate = asyncio.Event()
    spent: list[object] = []

    async def held(request: Request) -> Response:
        await gate.wait()
        return Response(request.prompt)

    model = ScriptedModel(held)
    model.limiter = RateLimiter(calls_at_once=1)  # type: ignore[attr-defined]
    request = replace(question(clock), on_spent=spent.append)
    in_flight, waiting, last = (asyncio.create_task(limited(model, request)) for _ in range(3))
    for _ in range(3):
        await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert spent == []
    in_flight.cancel()
    await asyncio.gather(in_flight, return_exceptions=True)
    assert len(spent) == 1
    gate.set()
    async with asyncio.timeout(SOON):
        assert (await last).content == "?"


def test_a_lane_serves_several_event_loops() -> None:
    """Calls of two threads do not overlap if one is allowed at a time."""
    inside, most = 0, 0

    class Slow:
        """A model that counts its calls in flight."""

        name = "slow"
        limiter = RateLimiter(calls_at_once=1)

        async def answer(self, request: Request) -> Response:
            nonlocal inside, most
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0.001)
            inside -= 1
            return Response("ok")

    async def calls() -> None:
        await asyncio.gather(*(limited(model, Request("a", "", [])) for _ in range(10)))

    model = Slow()
    threads = [threading.Thread(target=lambda: asyncio.run(calls())) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SOON)
    assert (most, inside) == (1, 0)


def test_models_with_the_same_address_name_and_key_share_a_lane() -> None:
    """Others have their own, and so has every object of another kind."""
    one = AnthropicModel("claude-haiku-4-5", api_key="sk-1")
    assert one.limiter is AnthropicModel("claude-haiku-4-5", api_key="sk-1").limiter
    others: list[AnthropicModel | OpenAIModel | OpenAIChatModel] = [
        AnthropicModel("claude-haiku-4-5", api_key="sk-2"),
        AnthropicModel("claude-haiku-4-5"),
        AnthropicModel("claude-sonnet-5-5", api_key="sk-1"),
        AnthropicModel("claude-haiku-4-5", api_key="sk-1", base_url="http://127.0.0.1:1"),
        OpenAIModel("gpt-5-mini"),
        OpenAIChatModel("gpt-5-mini"),
        AnthropicModel("claude-haiku-4-5", api_key="sk-1", limiter=RateLimiter()),
    ]
    assert len({id(model.limiter) for model in [one, *others]}) == len(others) + 1
    script = ScriptedModel(["a"])
    assert limiter_of(script) is limiter_of(script)
    assert limiter_of(script) is not limiter_of(ScriptedModel(["a"]))


def test_a_recording_uses_the_lane_of_its_model() -> None:
    """A recording uses the limiter of its model; replayed answers wait for nothing."""
    inner = AnthropicModel("claude-haiku-4-5", api_key="sk-1")
    assert RecordedModel("answers.json", model=inner).limiter is inner.limiter
    assert RecordedModel("answers.json").limiter is None


def test_a_model_without_a_hash_has_one_lane() -> None:
    """A model without a hash, such as a plain dataclass, has one limiter."""

    @dataclass
    class Plainest:
        name: str = "plain"

        async def answer(self, request: Request) -> Response:
            raise NotImplementedError

    model: Model = Plainest()
    assert limiter_of(model) is limiter_of(model)
    assert limiter_of(Plainest()) is not limiter_of(model)


class Hall:
    """A model that counts concurrent calls, and answers after a few turns of the loop."""

    name = "hall"

    def __init__(self, *, fails: int = 0, error: ModelError | None = None) -> None:
        self.inside = 0
        self.peaks: list[int] = []
        self.fails = fails
        self.error = error

    async def answer(self, request: Request) -> Response:
        self.inside += 1
        self.peaks.append(self.inside)
        for _ in range(50):
            await asyncio.sleep(0)
        self.inside -= 1
        if self.fails and self.error is not None:
            self.fails -= 1
            raise self.error
        return Response("ok")


async def test_the_first_call_with_a_beginning_goes_alone_and_the_rest_together(clock: FakeClock) -> None:
    """While the provider caches a beginning, calls with it go together; before and after that, one goes alone."""
    hall = Hall()

    async def eight() -> int:
        hall.peaks.clear()
        await asyncio.gather(*(limited(hall, question(clock), beginning="b") for _ in range(8)))
        return hall.peaks.count(1)

    assert (await eight(), max(hall.peaks)) == (2, 7)
    assert (await eight(), max(hall.peaks)) == (1, 8)
    clock.move(241)
    assert (await eight(), max(hall.peaks)) == (2, 7)


async def test_other_beginnings_do_not_wait(clock: FakeClock) -> None:
    """Calls with other beginnings, or without one, do not wait."""
    hall = Hall()
    await asyncio.gather(*(limited(hall, question(clock), beginning=name) for name in ("a", "b", "", "")))
    assert max(hall.peaks) == 4


@pytest.mark.parametrize("error", [BadRequest("no"), ModelUnreachable("away")])
async def test_after_a_first_call_that_fails_the_rest_go_together(clock: FakeClock, error: ModelError) -> None:
    """Twenty calls that fail take as long as two: they do not fail one after the other."""
    hall = Hall(fails=20, error=error)
    calls = (limited(hall, question(clock), beginning="b") for _ in range(20))
    await asyncio.gather(*calls, return_exceptions=True)
    assert max(hall.peaks) == 19


async def test_the_rest_go_when_the_first_answer_begins(clock: FakeClock) -> None:
    """The cache can be read from then on, however long the answer is."""
    done = asyncio.Event()
    others = 0

    class Slow:
        """A model whose first answer begins, and ends when the others have theirs."""

        name = "slow"

        async def answer(self, request: Request) -> Response:
            nonlocal others
            if request.on_begin is not None:
                request.began()
                await done.wait()
            else:
                others += 1
                if others == 7:
                    done.set()
            return Response("ok")

    async with asyncio.timeout(SOON):
        await asyncio.gather(*(limited(model, question(clock), beginning="b") for model in [Slow()] for _ in range(8)))


async def test_a_cancelled_first_call_releases_the_rest(clock: FakeClock) -> None:
    """The others do not wait for ever."""
    model = ScriptedModel(lambda request: asyncio.Event().wait() if request.prompt == "hangs" else "ok")
    first = asyncio.create_task(limited(model, question(clock, "hangs"), beginning="b"))
    await asyncio.sleep(0)
    second = asyncio.create_task(limited(model, question(clock), beginning="b"))
    for _ in range(5):
        await asyncio.sleep(0)
    assert len(model.requests) == 1
    first.cancel()
    async with asyncio.timeout(SOON):
        assert (await second).content == "ok"

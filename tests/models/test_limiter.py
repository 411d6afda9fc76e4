"""Limiters of threads, models and clocks; `calls/limiter.txt` and `calls/rates.txt` show how long calls wait."""

from __future__ import annotations

import asyncio
import gc
import math
import resource
import threading
import weakref
from contextlib import suppress
from dataclasses import dataclass

import pytest

from graphengine.kernel.fake_clock import FakeClock
from graphengine.models import Model, RateLimiter, Request, Response, ScriptedModel
from graphengine.models.anthropic import AnthropicModel
from graphengine.models.errors import ModelUnreachable
from graphengine.models.limiter import PlainWaits, limited, limiter_for, limiter_of
from graphengine.models.openai import OpenAIModel
from graphengine.models.openai_chat import OpenAIChatModel
from graphengine.models.rates import PastFailure, RateController
from graphengine.models.recorded import RecordedModel
from graphengine.models.sdk import calls_at_once
from tests.kit.runs import SOON


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


def test_tokens_are_counted_rightly_when_the_clock_is_set_back() -> None:
    """What a call took replaces its estimate as long as it counts, and does not change the sum of other calls."""
    rates = RateController(RateLimiter(tokens_per_minute=100))
    rates.begin(1000.0, 10)
    early = rates.begin(500.0, 50)
    rates.answered(early, 501.0, 5)
    assert rates.free_at(2000.0, 100) == -math.inf
    rates.begin(2000.0, 10)
    assert rates.free_at(2000.0, 90) == -math.inf
    assert rates.free_at(2000.0, 91) == 2060.0


@pytest.mark.parametrize("of_named", [True, False])
async def test_the_log_says_once_that_calls_wait_for_others(of_named: bool, caplog: pytest.LogCaptureFixture) -> None:  # noqa: FBT001 - a parameter
    """The limit that a model has by itself is worth a warning, one that was set is not, and each is named once."""
    limits = limiter_for(("a", "place"), 1) if of_named else RateLimiter(calls_at_once=1)

    class Full:
        """A model with this limiter."""

        name = "full"
        limiter = limits

        async def answer(self, request: Request) -> Response:
            await asyncio.sleep(0)
            return Response("ok")

    model = Full()
    with caplog.at_level("INFO", logger="graphengine.models"):
        await asyncio.gather(*(limited(model, Request("a", "", [])) for _ in range(5)))
    said = [(each.levelname, each.getMessage()) for each in caplog.records]
    assert [level for level, _ in said] == ["WARNING" if of_named else "INFO"]
    assert said[0][1].startswith("full: 1 calls are in flight")
    assert "RateLimiter(calls_at_once=…)" in said[0][1]


async def test_a_clock_that_is_set_back_makes_no_wait_negative() -> None:
    """An answer that was paid for is not refused for it."""

    class Back:
        """A clock that goes back at each look."""

        def __init__(self) -> None:
            self.time = 1000.0

        def now(self) -> float:
            self.time -= 1
            return self.time

        async def sleep_until(self, when: float) -> None:
            await asyncio.sleep(0)

    class Full:
        """A model that has one call in flight at a time."""

        name = "full"
        limiter = RateLimiter(calls_at_once=1)

        async def answer(self, request: Request) -> Response:
            await asyncio.sleep(0)
            return Response("ok")

    model, waits = Full(), PlainWaits(Back())
    answers = await asyncio.gather(*(limited(model, Request("a", "", [], waits=waits)) for _ in range(3)))
    assert [each.held_seconds for each in answers] == [0.0, 0.0, 0.0]


async def test_a_failure_does_not_keep_its_call() -> None:
    """Its limiter lives as long as the model; only what the failure was is kept for the calls after it."""
    held: weakref.WeakSet[object] = weakref.WeakSet()

    class Down:
        """A model that cannot be reached."""

        name = "down"
        limiter = RateLimiter(failures=1)

        async def answer(self, request: Request) -> Response:
            here = asyncio.Event()
            held.add(here)
            raise ModelUnreachable(f"nobody is there: {here.is_set()}")

    async def call() -> Model:
        model, clock = Down(), FakeClock()
        with suppress(ModelUnreachable):
            await limited(model, Request("a", "", [], waits=PlainWaits(clock)))
        failure = model.limiter.queue(clock).last_failure
        assert failure == PastFailure(ModelUnreachable, "nobody is there: False")
        return model

    model = await call()
    gc.collect()
    assert (model.name, len(held)) == ("down", 0)


def test_only_the_addresses_of_providers_have_a_limit_by_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a server of one's own answers at once only it knows; the files of this process bound the connections."""
    monkeypatch.setattr("resource.getrlimit", lambda _: (5000, 5000))
    own = OpenAIChatModel("m", base_url="http://10.0.0.1:8000/v1"), AnthropicModel("m", base_url="http://gpu:8000")
    theirs = (
        OpenAIModel("gpt-5-mini"),
        AnthropicModel("claude-haiku-4-5"),
        OpenAIModel("m", base_url="https://eu.api.openai.com/v1"),
    )
    assert [each.limiter.calls_at_once for each in own] == [2500, 2500]
    assert [each.limiter.calls_at_once for each in theirs] == [100, 100, 100]
    assert calls_at_once("http://api.openai.com.example.org") == 2500
    monkeypatch.setattr("resource.getrlimit", lambda _: (64, 64))
    assert calls_at_once("http://gpu:8000") == 100
    monkeypatch.setattr("resource.getrlimit", lambda _: (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert calls_at_once("http://gpu:8000") is None

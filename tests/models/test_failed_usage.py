"""A failed call is recorded with the usage that its provider had reported, else as unknown; never as free."""

from __future__ import annotations

import json

import pytest

from graphengine import Agent, Limits, Retry, Runner, ScriptedModel, Settings
from graphengine.models import Price, Request, Response, Router
from graphengine.models.base import usage_of_failure
from graphengine.models.errors import ModelError, ModelTimeout, ModelUnreachable, RateLimited
from graphengine.models.scripted import calls
from graphengine.testing import FakeClock
from tests.agents.run_kits import Stuck, one, within
from tests.conformance.model_kit import question
from tests.conformance.model_scenes import Counted, Says, Tears
from tests.kit.runs import WEEK
from tests.models.acts import Raw
from tests.models.adapters import PATHS, Made, adapter
from tests.models.edge_server import WIRES, EdgeServer, WireService
from tests.models.test_conformance import free_address

PRICE = Price(input_usd=1.0, output_usd=2.0)
UNKNOWN = {"calls": 1, "offline_calls": 0, "input_tokens": 0, "output_tokens": 0, "unknown_calls": 1, "cost_usd": None}


def priced(path: str, url: str, seconds: float = 30.0) -> Made:
    """Return a model with a price."""
    return adapter(path, url, timeout_seconds=seconds, price=PRICE)


async def failed(path: str, url: str, *, seconds: float = 30.0, streams: bool = True) -> ModelError:
    """Return the error of one call."""
    model = priced(path, url, seconds)
    request = Request("tester", "", [question()], on_text=(lambda _: None) if streams else None)
    with pytest.raises(ModelError) as caught:
        await model.answer(request)
    await model.close()
    return caught.value


async def test_a_torn_answer_stops_a_run_under_a_limit_on_costs(edge: EdgeServer) -> None:
    """Its tokens were streamed and are billed, but not counted: six of them cost more than the limit."""
    edge.always(Tears("word " * 10_000))
    model = priced("/v1/messages", edge.url)
    graph = one(Agent("writer", prompt="{task}", settings=Settings(max_tokens=30_000)))  # so long ones are streamed
    async with Runner(models={"writer": model}, clock=FakeClock()) as runner:
        result = await within(runner.start(graph, limits=Limits(cost_usd=0.32)))
    assert (result.status, result.usage.unknown_calls, result.usage.cost_usd) == ("stopped", 1, None)
    assert len(edge.calls) == 1


@pytest.mark.parametrize("streams", [True, False])
@pytest.mark.parametrize("path", PATHS)
async def test_usage_that_is_no_number_of_tokens_is_unknown(edge: EdgeServer, path: str, *, streams: bool) -> None:
    """The answer counts; its cost is unknown, not nothing."""
    wire, says = WIRES[path], Says("fine", counted=Counted(12, output_tokens=98765))
    model = priced(path, edge.url)
    request = Request("tester", "", [question()], on_text=(lambda _: None) if streams else None)
    for number in ("-7", '"12"', "12.0", "true", "1" + "0" * 30, "9" * 5_000, "[]", "Infinity"):
        events = tuple(each._replace(data=each.text.replace("98765", number)) for each in wire.events(says))
        body = json.dumps(wire.whole(says)).replace("98765", number).encode()
        edge.play(Raw(events=events) if streams else Raw(body=body))
        response = await model.answer(request)
        assert (response.content, response.cost_usd, response.output_tokens) == ("fine", None, 0), number[:40]
    await model.close()


@pytest.mark.parametrize("streams", [True, False])
@pytest.mark.parametrize("path", PATHS)
async def test_a_call_that_reached_no_server_used_nothing(path: str, *, streams: bool) -> None:
    """A server that is down does not make the cost unknown."""
    error = await failed(path, free_address(), streams=streams)
    assert isinstance(error, ModelUnreachable)
    assert usage_of_failure(error) == {}


@pytest.mark.parametrize("path", PATHS)
async def test_a_call_that_timed_out_is_unknown(edge: EdgeServer, path: str) -> None:
    """The provider may have answered, and bill the call."""
    WireService(edge, path).play(Says("late", held=True))
    error = await failed(path, edge.url, seconds=0.5, streams=False)  # not too short to connect
    await edge.disconnected()  # else a call that the server has still to read would belong to the next test
    assert isinstance(error, ModelTimeout)
    assert usage_of_failure(error) == UNKNOWN


def torn(tokens: int) -> ModelError:
    """Return a call that was torn off after its provider had reported this many tokens."""
    error = ModelTimeout("late")
    error.usage = {"calls": 1, "offline_calls": 0, "input_tokens": tokens, "output_tokens": 0, "cost_usd": 0.5}
    return error


ANSWER = Response("so", input_tokens=10, output_tokens=10, cost_usd=0.25, model="acme:big")


async def test_failed_attempts_count_with_their_known_usage() -> None:
    """A run's usage, and its limit of tokens, include them."""
    model = ScriptedModel([torn(50_000), torn(50_000), ANSWER])
    async with Runner(models={"writer": model}, clock=FakeClock()) as runner:
        graph = one(Agent("writer", prompt="{task}"))
        result = await within(runner.start(graph, limits=Limits(tokens=99_000)))
        assert result.status == "stopped"
        assert (result.usage.input_tokens, result.usage.cost_usd) == (100_000, 1.0)
        result = await within(runner.resume(result.run_id, graph, limits=Limits(tokens=None)))
    assert (result.usage.calls, result.usage.input_tokens, result.usage.cost_usd) == (3, 100_010, 1.25)


async def test_a_call_of_unknown_cost_stops_a_run_under_a_limit_on_costs() -> None:
    """The remaining budget is unknown; `unknown_cost=True` lets the run continue."""
    model = ScriptedModel([ModelTimeout("late"), ANSWER])
    graph = one(Agent("writer", prompt="{task}"))
    async with Runner(models={"writer": model}, clock=FakeClock()) as runner:
        result = await within(runner.start(graph, limits=Limits(cost_usd=5)))
        assert (result.status, result.usage.unknown_calls, result.usage.cost_usd) == ("stopped", 1, None)
        assert result.ending is not None
        assert "what a failed call used is not known" in result.ending.why
        result = await within(runner.resume(result.run_id, graph, limits=Limits(cost_usd=5, unknown_cost=True)))
    assert (result.status, result.usage.priced_usd, result.usage.calls) == ("finished", 0.25, 2)


async def test_a_call_that_is_cancelled_by_a_timeout_is_unknown() -> None:
    """A call cancelled by a timeout is unknown, as when a node, or a tool that calls an agent, takes too long."""
    graph = one(Agent("writer", prompt="{task}"), timeout_seconds=WEEK, fallback="nothing")
    async with Runner(models={"writer": Stuck([], at=1, is_late=True)}) as runner:
        result = await within(runner.start(graph))
    assert (result.usage.calls, result.usage.unknown_calls, result.usage.cost_usd) == (1, 1, None)


async def test_a_router_books_the_calls_that_failed_before_the_answer() -> None:
    """The answer's record has its own usage, the attempt that of the others; each counts once."""
    router = Router([ScriptedModel([torn(100)]), ScriptedModel([RateLimited("later")]), ScriptedModel([ANSWER])])
    async with Runner(models={"writer": router}) as runner:
        result = await within(runner.start(one(Agent("writer", prompt="{task}"))))
    assert (result.usage.calls, result.usage.input_tokens, result.usage.cost_usd) == (2, 110, 0.75)


async def test_a_router_without_an_answer_records_each_call_once() -> None:
    """The router's own error is not counted as a call."""
    router = Router([ScriptedModel([torn(100)]), ScriptedModel([torn(200)])])
    model = ScriptedModel({"writer": [calls(("consult", {})), ANSWER]})

    async def consult() -> str:
        """Ask."""
        return await Agent("inner", prompt="?", model=router).run()

    graph = one(Agent("writer", prompt="{task}", tools=[consult]), retry=Retry(attempts=1))
    async with Runner(models={"writer": model}) as runner:
        run = runner.start(graph)
        with pytest.raises(Exception, match="no model of the router answered"):
            await within(run)
        usage = (await runner.spending(run.id))[-1].usage
    assert usage["input_tokens"] == 300

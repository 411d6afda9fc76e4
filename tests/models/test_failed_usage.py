"""A failed call has the usage that its provider reported, or is unknown; `spent.txt` of agents shows what counts."""

from __future__ import annotations

import json

import pytest

from graphengine import Agent, Limits, Runner, Settings
from graphengine.models import Price, Request
from graphengine.models.base import usage_of_failure
from graphengine.models.errors import ModelError, ModelOverloaded, ModelTimeout, ModelUnreachable
from graphengine.testing import FakeClock
from tests.agents.run_kits import one, within
from tests.conformance.model_kit import question
from tests.conformance.model_scenes import Counted, Says, Tears
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
async def test_an_error_in_place_of_an_answer_has_its_own_class(edge: EdgeServer, path: str, *, streams: bool) -> None:
    """With status 200 and nothing around it, as some proxies send it."""
    edge.play(Raw(body={"error": {"message": "model not loaded", "type": "server_error"}}))
    error = await failed(path, edge.url, streams=streams)
    assert (type(error), "model not loaded" in error.message) == (ModelOverloaded, True)


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

"""Routers and recordings over the adapters of providers, each with a real server at the other end."""

import json
from pathlib import Path

import pytest

from graphengine import Agent
from graphengine.agents import result_of
from graphengine.models import Closes, Message, Model, RecordedModel, Request, Response, Router, ToolCall, model_of
from tests.conformance.model_scenes import Fails, Says, Tears
from tests.models.adapters import PATHS, named
from tests.models.edge_server import EdgeServer

KEY = "sk-test-0123456789abcdef"


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set a key for each provider."""
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


async def answered(model: Model, *turns: Message, received: list[str] | None = None) -> Response:
    """Return one answer, and close the connections."""
    request = Request("writer", "be brief", turns, on_text=None if received is None else received.append)
    try:
        return await model.answer(request)
    finally:
        if isinstance(model, Closes):
            await model.close()


async def test_a_router_goes_from_provider_to_provider(edge: EdgeServer) -> None:
    """Past one that is overloaded and one whose answer is torn."""
    edge.play(Fails("overloaded"), Tears("half of it"), Says("whole"))
    response = await answered(Router([named(path, edge.url) for path in PATHS]), Message(role="user", text="go"))
    assert (response.content, response.model.partition(":")[0]) == ("whole", "openai-chat")
    assert len(edge.received()) == 3


@pytest.mark.parametrize("path", PATHS)
async def test_a_conversation_is_recorded_once_and_can_be_continued_anywhere(
    path: str, edge: EdgeServer, tmp_path: Path
) -> None:
    """A replay has the native form, so that the provider can continue it; the file has no key."""
    file = tmp_path / "answers.json"
    question = Message(role="user", text=f"2+3? My key is {KEY}.")
    call = ToolCall(id="call_1", name="add", arguments='{"a":2,"b":3}')

    async def talk(model: Model) -> list[Response]:
        first = await answered(model, question)
        reply = Message(role="assistant", text=str(first.content), calls=first.calls, native=first.native)
        return [first, await answered(model, question, reply, Message(role="tool", call_id="call_1", text="5"))]

    edge.play(Says(calls=(call,), thinking="sealed"), Says("five"))
    live = await talk(RecordedModel(file, named(path, edge.url)))
    again = await talk(RecordedModel(file))
    assert len(edge.received()) == 2
    for was, now in zip(live, again, strict=True):
        assert (now.content, now.calls, now.stop, now.native) == (was.content, was.calls, was.stop, was.native)
        assert (now.model, now.input_tokens, now.output_tokens) == (was.model, was.input_tokens, was.output_tokens)
    assert live[0].calls[0].arguments.replace(" ", "") == call.arguments
    assert KEY not in file.read_text(encoding="utf-8")
    edge.play(Says("and on"))
    reply = Message(role="assistant", text=str(again[0].content), calls=again[0].calls, native=again[0].native)
    later = Message(role="tool", call_id="call_1", text="6")
    onward = model_of(named(path, edge.url))
    assert (await answered(onward, question, reply, later)).content == "and on"


@pytest.mark.parametrize("path", PATHS)
async def test_a_function_makes_the_answer(path: str, edge: EdgeServer) -> None:
    """Each API is held to the schema of its arguments, and told what it refused."""

    def double(euros: int, name: str = "Ada") -> str:
        if euros > 10:
            raise ValueError("at most 10 euros")
        return f"{name}: {2 * euros}"

    edge.play(Says('{"euros": 11, "name": "Ada"}'), Says('{"euros": 4, "name": "Bo"}'))
    agent = Agent("payer", prompt="Pay.", model=named(path, edge.url), output=result_of(double))
    assert await agent.run() == "Bo: 8"
    first, second = (json.dumps(each.body) for each in edge.received())
    assert '"euros": {"type": "integer"' in first.replace("\\", "")  # in words, or in the API's own form
    assert "at most 10 euros" in second

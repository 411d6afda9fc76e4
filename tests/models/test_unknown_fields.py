"""Unknown fields of an answer go back to the server that wrote it, with the results of its calls."""

from __future__ import annotations

from typing import Any, Final

from pydantic import JsonValue

from graphengine import Agent, Runner
from graphengine.models import Request, Response
from graphengine.models.anthropic import AnthropicModel
from graphengine.models.openai import OpenAIModel
from graphengine.models.openai_chat import OpenAIChatModel
from tests.agents.run_kits import add, one, within
from tests.conformance.model_kit import question
from tests.conformance.model_scenes import Says
from tests.kit.facts import said
from tests.models.acts import Raw
from tests.models.edge_server import EdgeServer
from tests.models.wire import Event

SIGNED: Final[JsonValue] = {"google": {"thought_signature": "c2lnbmVk"}}
CALL: Final[dict[str, JsonValue]] = {
    "id": "call_1",
    "type": "function",
    "function": {"name": "add", "arguments": '{"first": 2, "second": 3}'},
    "extra_content": SIGNED,
}
MESSAGE: Final[dict[str, JsonValue]] = {
    "role": "assistant",
    "content": None,
    "reasoning_content": "I add them up.",
    "refusal": None,
    "annotations": [],
    "tool_calls": [CALL],
}


def piece(**delta: JsonValue) -> Event:
    """Return a chunk of a stream."""
    return Event({"choices": [{"index": 0, "delta": delta}]})


STREAM: Final = (
    piece(role="assistant", reasoning_content="I add "),
    piece(reasoning_content="them up."),
    piece(tool_calls=[{**CALL, "index": 0, "function": {"name": "add", "arguments": '{"first": 2,'}}]),
    piece(tool_calls=[{"index": 0, "function": {"arguments": ' "second": 3}'}}]),
    Event({"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]}),
    Event("[DONE]"),
)


def chat(edge: EdgeServer) -> OpenAIChatModel:
    """Return a model of the server."""
    return OpenAIChatModel("deepseek-chat", base_url=edge.openai_url)


def whole(message: JsonValue) -> Raw:
    """Return a completion with this message."""
    return Raw(body={"choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}]})


async def first_turn(model: Any, *, streams: bool = False, thinking: list[str] | None = None) -> Response:
    """Call the model once."""
    heard = None if thinking is None else thinking.append
    try:
        answer: Response = await model.answer(
            Request("tester", "", [question()], on_text=(lambda _: None) if streams else None, on_thinking=heard)
        )
    finally:
        await model.close()
    return answer


async def test_thinking_is_streamed(edge: EdgeServer) -> None:
    """Thinking is streamed by each API under its own name."""
    thought = {"type": "response.reasoning_summary_text.delta", "delta": "hm"}
    done = {"type": "response.completed", "response": {"status": "completed", "output": []}}
    heard: list[str] = []
    edge.play(Raw(events=STREAM), Raw(events=(Event(thought), Event(done))), Says("yes", thinking="sealed"))
    for model in (
        chat(edge),
        OpenAIModel("gpt-5", base_url=edge.openai_url),
        AnthropicModel("claude-haiku-4-5", api_key="key-for-tests", base_url=edge.url),
    ):
        await first_turn(model, thinking=heard)
        heard.append("|")
    assert "".join(heard) == "I add them up.|hm|hm|"


async def test_it_is_recorded_and_survives_a_new_process(edge: EdgeServer) -> None:
    """A run that is resumed after the call sends it too: it is in the record of the turn."""
    edge.play(whole(MESSAGE), Says("5"))
    async with Runner() as runner:
        run = runner.start(one(Agent("writer", prompt="{task}", tools=[add], model=chat(edge))))
        assert (await within(run)).state.draft == "5"
        (turn, _) = [said(step)["value"] for step in await runner.history(run.id) if said(step).get("name") == "turn"]
    assert turn["native"]["content"]["message"] == {"reasoning_content": "I add them up."}
    assert edge.calls[1].body["messages"][-2]["reasoning_content"] == "I add them up."

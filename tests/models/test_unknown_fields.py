"""Unknown fields of an answer go back to the server that wrote it, with the results of its calls."""

from __future__ import annotations

from typing import Any, Final

import pytest
from pydantic import JsonValue

from graphengine import Agent, Runner
from graphengine.models import Message, Request, Response
from graphengine.models.anthropic import AnthropicModel
from graphengine.models.openai import OpenAIModel
from graphengine.models.openai_chat import OpenAIChatModel
from graphengine.models.parts import Text, Thinking
from tests.agents.run_kits import add, one, within
from tests.conformance.model_kit import question, result
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


async def second_turn(model: Any, response: Response) -> None:
    """Send the answer back with the result of its call."""
    (call,) = response.calls
    answer = Message(role="assistant", text=str(response.content), calls=response.calls, native=response.native)
    try:
        await model.answer(Request("tester", "", [question(), answer, result(call.id, "5")]))
    finally:
        await model.close()


@pytest.mark.parametrize("streams", [True, False])
async def test_a_chat_servers_own_fields_are_sent_back(edge: EdgeServer, *, streams: bool) -> None:
    """DeepSeek requires its thinking back with a tool's result, Gemini a call's signature; else both return 400."""
    edge.play(Raw(events=STREAM) if streams else whole(MESSAGE), Says("5"))
    model = chat(edge)
    response = await first_turn(model, streams=streams)
    await second_turn(model, response)
    sent = edge.calls[1].body["messages"][1]
    assert sent == {"role": "assistant", "content": None, "reasoning_content": "I add them up.", "tool_calls": [CALL]}


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


async def test_another_server_does_not_get_it(edge: EdgeServer) -> None:
    """Another server does not get the field, since it may refuse unknown ones."""
    edge.play(whole(MESSAGE), Says("5"))
    response = await first_turn(chat(edge))
    assert response.native is not None
    elsewhere = Response("", response.calls, native={**response.native, "provider": "openai-chat http://other/v1"})
    await second_turn(chat(edge), elsewhere)
    sent = edge.calls[1].body["messages"][1]
    assert "reasoning_content" not in sent
    assert "extra_content" not in sent["tool_calls"][0]


async def test_thoughts_of_an_answer_without_calls_are_not_sent_back(edge: EdgeServer) -> None:
    """DeepSeek's first reasoning models refuse it, and no server needs it; they are only recorded."""
    body = {"choices": [{"message": {"content": "5", "reasoning_content": "hm"}, "finish_reason": "stop"}]}
    edge.play(Raw(body=body), Says("6"))
    response = await first_turn(chat(edge))
    answer = Message(role="assistant", text="5", native=response.native)
    assert answer.parts == (Thinking("hm"), Text("5"))
    model = chat(edge)
    await model.answer(Request("tester", "", [question(), answer, question()]))
    await model.close()
    assert edge.calls[1].body["messages"][1] == {"role": "assistant", "content": "5"}


async def test_the_address_in_a_native_form_has_no_credentials(edge: EdgeServer) -> None:
    """It is recorded with the run."""
    edge.play(whole(MESSAGE))
    address = edge.openai_url.replace("http://", "http://me:secret@")
    response = await first_turn(OpenAIChatModel("m", base_url=address))
    assert response.native is not None
    assert "secret" not in str(response.native)


async def test_unknown_fields_of_the_responses_api_go_back(edge: EdgeServer) -> None:
    """A call with unknown fields is sent back unchanged."""
    item = {"type": "function_call", "call_id": "c", "name": "add", "arguments": "{}", "signature": "s"}
    edge.play(Raw(body={"status": "completed", "output": [item]}), Says("5"))
    model = OpenAIModel("gpt-5-mini", api_key="sk-test-12345678", base_url=edge.openai_url)
    await second_turn(model, await first_turn(model))
    assert edge.calls[1].body["input"][1] == item


async def test_unknown_fields_of_the_messages_api_go_back(edge: EdgeServer) -> None:
    """A block with unknown fields is sent back unchanged."""
    block = {"type": "tool_use", "id": "c", "name": "add", "input": {}, "caller": {"type": "direct"}}
    body = {"type": "message", "role": "assistant", "content": [block], "stop_reason": "tool_use"}
    edge.play(Raw(body=body), Says("5"))
    model = AnthropicModel("claude-haiku-4-5", api_key="sk-test-12345678", base_url=edge.url)
    await second_turn(model, await first_turn(model))
    assert edge.calls[1].body["messages"][1]["content"] == [block]

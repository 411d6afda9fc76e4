"""The edge server behaves as the providers do: their SDKs understand it without any adapter."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from graphengine.models.base import ToolCall
from tests.conformance.model_scenes import Counted, Says
from tests.models.edge_server import EdgeServer

if TYPE_CHECKING:
    import anthropic
    import httpx2
    import openai

COUNTED = Counted(3084, 1024, 2048, 70, 30)
ADD = ToolCall(id="call_1", name="add", arguments='{"a": 2, "b": 3}')
FULL = Says("hello you there", (ADD,), counted=COUNTED, thinking="sealed")


@pytest.fixture(autouse=True, scope="module")
def _sdks() -> None:
    """Load the SDKs when the first of these tests runs: they take 1.5 s, of each process that collects them."""
    global anthropic, httpx2, openai  # noqa: PLW0603
    import anthropic  # noqa: PLC0415
    import httpx2  # noqa: PLC0415
    import openai  # noqa: PLC0415


def claude(edge: EdgeServer) -> anthropic.AsyncAnthropic:
    """Return Anthropic's client, without retries."""
    return anthropic.AsyncAnthropic(api_key="sk-secret", base_url=edge.url, max_retries=0)


def gpt(edge: EdgeServer) -> openai.AsyncOpenAI:
    """Return OpenAI's client, without retries."""
    return openai.AsyncOpenAI(api_key="sk-secret", base_url=edge.openai_url, max_retries=0)


async def ask_claude(edge: EdgeServer) -> anthropic.types.Message:
    """Request one message, not streamed."""
    async with claude(edge) as client:
        return await client.messages.create(model="m", max_tokens=9, messages=[{"role": "user", "content": "hi"}])


async def ask_gpt(edge: EdgeServer) -> object:
    """Request one response, not streamed."""
    async with gpt(edge) as client:
        return await client.responses.create(model="m", input="hi")


async def test_messages_are_understood(edge: EdgeServer) -> None:
    """Anthropic's SDK reads thinking, text, calls and usage, whole and as a stream."""
    edge.play(FULL, FULL)
    whole = await ask_claude(edge)
    async with (
        claude(edge) as client,
        client.messages.stream(model="m", max_tokens=9, messages=[{"role": "user", "content": "hi"}]) as stream,
    ):
        streamed = await stream.get_final_message()

    for message in (whole, streamed):
        thinking, text, call = message.content
        assert thinking.type == "thinking"
        assert thinking.signature == "sealed"
        assert text.type == "text"
        assert text.text == "hello you there"
        assert call.type == "tool_use"
        assert call.input == {"a": 2, "b": 3}
        assert message.stop_reason == "tool_use"
        usage = message.usage
        assert (usage.input_tokens, usage.cache_read_input_tokens, usage.cache_creation_input_tokens) == (
            12,
            1024,
            2048,
        )
        assert usage.output_tokens == 70
        assert usage.output_tokens_details is not None
        assert usage.output_tokens_details.thinking_tokens == 30


async def test_responses_are_understood(edge: EdgeServer) -> None:
    """OpenAI's SDK reads a response, whole and as a stream."""
    edge.play(FULL, FULL)
    async with gpt(edge) as client:
        whole = await client.responses.create(model="m", input="hi")
        async with client.responses.stream(model="m", input="hi") as stream:
            streamed = await stream.get_final_response()

    for response in (whole, streamed):
        assert [item.type for item in response.output] == ["reasoning", "message", "function_call"]
        assert response.output_text == "hello you there"
        assert response.output[2].type == "function_call"
        assert json.loads(response.output[2].arguments) == {"a": 2, "b": 3}
        assert response.usage is not None
        assert response.usage.input_tokens_details.cache_write_tokens == 2048
        assert response.usage.output_tokens_details.reasoning_tokens == 30


async def test_chat_is_understood(edge: EdgeServer) -> None:
    """OpenAI's SDK reads a chat completion, whole and as a stream."""
    edge.play(FULL, FULL)
    async with gpt(edge) as client:
        whole = await client.chat.completions.create(model="m", messages=[{"role": "user", "content": "hi"}])
        async with client.chat.completions.stream(
            model="m", messages=[{"role": "user", "content": "hi"}], stream_options={"include_usage": True}
        ) as stream:
            streamed = await stream.get_final_completion()

    for completion in (whole, streamed):
        message = completion.choices[0].message
        assert message.content == "hello you there"
        assert message.tool_calls
        assert message.tool_calls[0].type == "function"
        assert json.loads(message.tool_calls[0].function.arguments) == {"a": 2, "b": 3}
        assert completion.usage is not None
        assert completion.usage.prompt_tokens_details is not None
        assert completion.usage.prompt_tokens_details.cache_write_tokens == 2048


async def test_a_call_without_a_scene_is_noted() -> None:
    """A call without a scene fails, and is recorded separately."""
    edge = EdgeServer()
    edge.start()
    try:
        with pytest.raises(openai.APIStatusError, match="no scene was played"):
            await ask_gpt(edge)
        assert len(edge.unscripted) == 1
    finally:
        edge.stop()


async def test_a_call_that_a_provider_refuses_is_refused() -> None:
    """Whatever the scene, and it is noted for its test; `values/objections.txt` has what is refused."""
    edge = EdgeServer()
    edge.start()
    edge.always(Says("yes"))
    try:
        async with httpx2.AsyncClient() as client:
            body = {"messages": [{"role": "assistant", "content": "hi"}]}
            answer = await client.post(f"{edge.openai_url}/messages", json=body)
        assert (answer.status_code, edge.objections) == (400, ["the first message must be a user's"])
    finally:
        edge.stop()

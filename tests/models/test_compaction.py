"""Conversations that the provider compacts itself."""

from __future__ import annotations

from typing import Any

from pydantic import JsonValue

from graphengine import Agent, ScriptedModel, Window
from graphengine.models import AnthropicModel, Message, OpenAIModel, Request, Router
from graphengine.models.base import Compacts, Model
from tests.conformance.model_kit import question
from tests.conformance.model_scenes import Says
from tests.models.acts import Raw
from tests.models.edge_server import EdgeServer
from tests.models.wire import Event

SUMMARY: dict[str, JsonValue] = {"type": "compaction", "content": "the sea", "encrypted_content": "sealed"}


async def again(model: Model, edge: EdgeServer, **more: Any) -> tuple[Any, Any]:
    """Ask twice, the second time with the first answer, and return that answer and what was sent."""
    first = await model.answer(Request("tester", "", [question()], compact_from=60_000, **more))
    kept = Message(role="assistant", text=str(first.content), native=first.native)
    edge.play(Says("and so on"))
    await model.answer(Request("tester", "", [question(), kept, question("Go on.")], compact_from=60_000))
    return first, [call.body for call in edge.calls]


async def test_anthropic_compacts_and_gets_its_summary_back(edge: EdgeServer) -> None:
    """Its tokens are counted, though the provider reports them apart; streamed or not, the block is kept."""
    usage: dict[str, JsonValue] = {
        "input_tokens": 10, "output_tokens": 2,
        "iterations": [
            {"type": "compaction", "input_tokens": 60_000, "output_tokens": 500},
            {"type": "message", "input_tokens": 10, "output_tokens": 2},
        ],
    }  # fmt: skip
    text: dict[str, JsonValue] = {"type": "text", "text": "tides"}
    end: dict[str, JsonValue] = {"stop_reason": "end_turn"}
    start: dict[str, JsonValue] = {"type": "message", "role": "assistant", "model": "claude-opus-4-6", "content": []}
    events: list[dict[str, JsonValue]] = [
        {"type": "message_start", "message": {**start}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "compaction", "content": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {**SUMMARY, "type": "compaction_delta"}},
        {"type": "content_block_stop", "index": 0},
        {"type": "content_block_start", "index": 1, "content_block": {**text, "text": "tides"}},
        {"type": "content_block_stop", "index": 1},
        {"type": "message_delta", "delta": end, "usage": usage},
        {"type": "message_stop"},
    ]
    whole: dict[str, JsonValue] = {**start, **end, "content": [SUMMARY, text], "usage": usage}
    for scene, more in (
        (Raw(body=whole), {}),
        (Raw(events=tuple(Event(event, str(event["type"])) for event in events)), {"on_text": lambda _: None}),
    ):
        edge.reset()
        edge.play(scene)
        model = AnthropicModel("claude-opus-4-6", api_key="key-for-tests", base_url=edge.url)
        first, sent = await again(model, edge, **more)
        await model.close()
        assert (first.content, first.input_tokens, first.output_tokens) == ("tides", 60_010, 502)
        edit = {"type": "compact_20260112", "trigger": {"type": "input_tokens", "value": 60_000}}
        assert [each["context_management"] for each in sent] == [{"edits": [edit]}] * 2
        assert edge.calls[0].headers["anthropic-beta"] == "compact-2026-01-12"
        assert sent[1]["messages"][1]["content"] == [SUMMARY, text]


async def test_openai_compacts_and_earlier_messages_are_not_sent_again(edge: EdgeServer, own_url: str) -> None:
    """OpenAI's compaction replaces earlier messages, which are not sent again."""
    item: dict[str, JsonValue] = {"type": "compaction", "id": "c", "encrypted_content": "sealed"}
    said: JsonValue = {
        "type": "message", "id": "m", "role": "assistant", "status": "completed",
        "content": [{"type": "output_text", "text": "tides", "annotations": []}],
    }  # fmt: skip
    edge.play(Raw(body={"object": "response", "status": "completed", "output": [item, said]}))
    model = OpenAIModel("gpt-5", api_key="key-for-tests", base_url=own_url)
    first, sent = await again(model, edge)
    await model.close()
    assert first.content == "tides"
    assert sent[0]["context_management"] == [{"type": "compaction", "compact_threshold": 60_000}]
    assert sent[1]["input"] == [item, said, {"role": "user", "content": "Go on."}]


async def test_a_window_is_used_where_the_provider_cannot_compact() -> None:
    """A window is used with other servers' models, and with Anthropic's below 50,000 tokens."""

    class Native(ScriptedModel):
        def compacts(self, tokens: int) -> bool:
            return tokens >= 50

    memory = [Message(role="user", text="word " * 200), Message(role="assistant", text="yes")]
    for most, models in ((60, ["native"]), (40, ["summary", "turn"])):
        model = Native(["in short", "done"] if len(models) > 1 else ["done"])
        agent = Agent("chat", model=model, prompt="go", memory="messages", window=Window(most, keep=1, native=True))
        assert await agent.run(messages=memory) == "done"
        assert [request.compact_from for request in model.requests][-1] == (None if len(models) > 1 else 60)
        assert len(model.requests) == len(models)
    own, other = AnthropicModel("claude-opus-4-6"), AnthropicModel("x", base_url="http://127.0.0.1:1")
    assert isinstance(own, Compacts)
    assert (own.compacts(50_000), own.compacts(49_999), other.compacts(50_000)) == (True, False, False)
    assert (Router([own]).compacts(50_000), Router([own, ScriptedModel([])]).compacts(50_000)) == (True, False)

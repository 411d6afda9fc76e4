"""Conversations that the provider compacts itself."""

from __future__ import annotations

from graphengine import Agent, ScriptedModel, Window
from graphengine.models import AnthropicModel, Message, Router
from graphengine.models.base import Compacts


async def test_a_window_is_used_where_the_provider_cannot_compact() -> None:
    """A window is used with other servers' models, and with Anthropic's below 50,000 tokens."""

    class Native(ScriptedModel):
        def compacts(self, tokens: int) -> bool:
            return tokens >= 50

    memory = [Message(role="user", text="word " * 200), Message(role="assistant", text="yes")]
    for most, models in ((60, ["native"]), (40, ["summary", "turn"])):
        model = Native(["in short", "done"] if len(models) > 1 else ["done"])
        agent = Agent("chat", model=model, prompt="go", messages="messages", window=Window(most, keep=1, native=True))
        assert await agent.run(messages=memory) == "done"
        assert [request.compact_from for request in model.requests][-1] == (None if len(models) > 1 else 60)
        assert len(model.requests) == len(models)
    own, other = AnthropicModel("claude-opus-4-6"), AnthropicModel("x", base_url="http://127.0.0.1:1")
    assert isinstance(own, Compacts)
    assert (own.compacts(50_000), own.compacts(49_999), other.compacts(50_000)) == (True, False, False)
    assert (Router([own]).compacts(50_000), Router([own, ScriptedModel([])]).compacts(50_000)) == (True, False)

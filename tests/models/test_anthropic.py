from typing import Any

from graphengine.models.anthropic import AnthropicModel
from graphengine.models.anthropic_forms import conversation
from graphengine.models.base import Message, ToolCall
from graphengine.models.prices import Price
from graphengine.models.router import Router

ASKED = Message(role="user", text="hello")


async def test_the_window_of_a_listed_model_is_known() -> None:
    """It is in the same tables; a router has that of its smallest model."""
    known, own = AnthropicModel("claude-haiku-4-5"), AnthropicModel("my-own", price=Price(1, 2))
    assert (await known.window_tokens(), await own.window_tokens()) == (200_000, None)
    assert await Router([own, known, "openai:gpt-4o", "rules"]).window_tokens() == 128_000


def test_arguments_that_are_too_deep_are_sent_unchanged() -> None:
    """The model sees its own text, next to the tool's error."""
    call = ToolCall(id="t", name="add", arguments="[" * 100_000)
    told = Message(role="tool", call_id="t", text="not JSON", is_error=True)
    made: Any = conversation([ASKED, Message(role="assistant", calls=(call,)), told])
    assert made[1]["content"][0]["input"] == {"unreadable": call.arguments}

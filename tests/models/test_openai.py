from typing import Any, Final

import pytest
from pydantic import JsonValue

from graphengine.models.base import Message, Request, Response, ToolCall
from graphengine.models.errors import AnswerTorn
from graphengine.models.openai import OpenAIModel
from tests.conformance.model_scenes import Says
from tests.models.acts import Raw
from tests.models.edge_server import EdgeServer

ADD: Final = ToolCall(id="call_1", name="add", arguments='{"a": 2, "b": 3}')
ASK: Final = Message(role="user", text="hi")


def asked(*messages: Message, **more: Any) -> Request:
    """Return a question, or a conversation."""
    return Request("writer", "be brief", messages or (ASK,), **more)


async def answers(edge: EdgeServer, *scenes: Says | Raw, request: Request | None = None) -> list[Response]:
    """Return a model's answers to these scenes."""
    edge.play(*scenes)
    model = OpenAIModel("gpt-5-mini", base_url=edge.openai_url, api_key="sk-0123456789")
    try:
        return [await model.answer(request or asked()) for _ in scenes]
    finally:
        await model.close()


def message(text: str, **more: JsonValue) -> JsonValue:
    """Return a message with this text."""
    return {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": text}], **more}


def of_answer(found: Response, **more: Any) -> Message:
    """Return an answer as a message of the conversation."""
    message = Message(role="assistant", text=str(found.content), calls=found.calls, native=found.native)
    return message.model_copy(update=more)


SEALED: Final[JsonValue] = {"type": "reasoning", "id": "rs_1", "encrypted_content": "sealed"}
OPENED: Final[JsonValue] = {"type": "reasoning", "id": "rs_1"}


@pytest.mark.parametrize(
    "change",
    [
        {"native": {"provider": "anthropic", "content": [SEALED]}},
        {"native": {"provider": "openai", "content": [SEALED, message("well")]}, "calls": ()},
        {"text": "what a guard made of it"},
        {"calls": (ADD.model_copy(update={"id": "other"}),)},
        {"native": {"provider": "HERE", "content": "?"}},
        {"native": {"provider": "HERE", "content": [OPENED, message("well")]}, "calls": ()},
    ],
    ids=["other provider", "other server", "other text", "other calls", "no list", "no seal"],
)
async def test_foreign_native_forms_are_not_sent(edge: EdgeServer, change: dict[str, Any]) -> None:
    """Another server's form, one that differs from the message, and reasoning that lost its seal are omitted."""
    [found] = await answers(edge, Says("well", (ADD,), thinking="sealed"))
    assert found.native is not None
    if change.get("native", {}).get("provider") == "HERE":
        change = {**change, "native": {**change["native"], "provider": found.native["provider"]}}
    message = of_answer(found, **change)
    results = [Message(role="tool", text="5", call_id=call.id) for call in message.calls]
    await answers(edge, Says("5"), request=asked(ASK, message, *results))
    received = edge.received()[1].turns[1]
    assert (received.text, received.calls, received.thinking) == (message.text, message.calls, ())


@pytest.mark.parametrize("body", [b"[" * 100_000, b'{"output": [{"a": ' + b"[" * 800 + b"]" * 800 + b"}]}"])
async def test_an_answer_that_is_too_deep_is_torn(edge: EdgeServer, body: bytes) -> None:
    """No version of Python reads one of them further than the other."""
    with pytest.raises(AnswerTorn):
        await answers(edge, Raw(body=body))

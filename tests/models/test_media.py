"""Media in the wire formats of Messages, Responses and Chat Completions."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import pytest
from pydantic import TypeAdapter

from graphengine import Media
from graphengine.models import Message, OpenAIChatModel, Request, ToolCall
from graphengine.models.base import estimated_tokens
from graphengine.models.errors import BadRequest
from tests.conformance.model_scenes import Says
from tests.models.adapters import Made, api
from tests.models.edge_server import EdgeServer

PHOTO = Media(data=b"\x89PNG\r\n\x1a\n", name="photo.png")
REPORT = Media(data=b"%PDF-1.7")
SOUND = Media(data=b"RIFF\x00\x00\x00\x00WAVEfmt ")
TWO = (
    Message(role="user", text="Look."),
    Message(role="assistant", calls=(ToolCall(id="c1", name="shoot"), ToolCall(id="c2", name="add"))),
    Message(role="tool", text="[media 1: photo.png]", media=(PHOTO,), call_id="c1"),
    Message(role="tool", text="3", call_id="c2"),
)


@cache
def forms() -> dict[str, Any]:
    """Return the types of messages; only here, since the SDKs take 1.5 s, of each process that collects these tests."""
    from anthropic.types import MessageParam  # noqa: PLC0415
    from openai.types.chat import ChatCompletionMessageParam  # noqa: PLC0415
    from openai.types.responses import ResponseInputItemParam  # noqa: PLC0415

    return {
        "anthropic": list[MessageParam],
        "openai": list[ResponseInputItemParam],
        "openai-chat": list[ChatCompletionMessageParam],
    }


async def sent(model: Made, edge: EdgeServer, *messages: Message) -> list[Mapping[str, Any]]:
    """Return the messages of a call, which the types of the provider's SDK accept."""
    edge.play(Says("yes"))
    await model.answer(Request("writer", "", messages))
    body = edge.received()[-1].body
    found: Any = body["input" if api(model) == "openai" else "messages"]
    TypeAdapter(forms()[api(model)]).validate_python(found)
    messages_sent: list[Mapping[str, Any]] = found
    return messages_sent


async def test_a_question_shows_pictures_and_documents(model: Made, edge: EdgeServer) -> None:
    """Each picture comes after the text that stands for it in the question."""
    question = Message(role="user", text="Compare [media 1: photo.png] and [media 2].", media=(PHOTO, REPORT))
    (message,) = await sent(model, edge, question)
    photo, report = f"data:image/png;base64,{PHOTO.data}", f"data:application/pdf;base64,{REPORT.data}"
    assert message["role"] == "user"
    assert (
        message["content"]
        == {
            "anthropic": [
                {"type": "text", "text": question.text},
                {"type": "text", "text": "[media 1: photo.png]"},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PHOTO.data}},
                {
                    "type": "document",
                    "source": {"type": "base64", "media_type": "application/pdf", "data": REPORT.data},
                    "title": "[media 2: application/pdf]",
                },
            ],
            "openai": [
                {"type": "input_text", "text": question.text},
                {"type": "input_text", "text": "[media 1: photo.png]"},
                {"type": "input_image", "image_url": photo, "detail": "auto"},
                {"type": "input_text", "text": "[media 2: application/pdf]"},
                {"type": "input_file", "filename": "document.pdf", "file_data": report},
            ],
            "openai-chat": [
                {"type": "text", "text": question.text},
                {"type": "text", "text": "[media 1: photo.png]"},
                {"type": "image_url", "image_url": {"url": photo}},
                {"type": "text", "text": "[media 2: application/pdf]"},
                {"type": "file", "file": {"filename": "document.pdf", "file_data": report}},
            ],
        }[api(model)]
    )


async def test_a_result_of_a_tool_shows_a_picture(model: Made, edge: EdgeServer) -> None:
    """Chat Completions has no media in results: they follow all results of the turn, in a question."""
    messages = await sent(model, edge, *TWO)
    if api(model) == "anthropic":
        result = messages[2]["content"][0]
        assert result["tool_use_id"] == "c1"
        assert [block["type"] for block in result["content"]] == ["text", "text", "image"]
        assert messages[2]["content"][1]["tool_use_id"] == "c2"
    elif api(model) == "openai":
        result = next(item for item in messages if item.get("type") == "function_call_output")
        assert [part["type"] for part in result["output"]] == ["input_text", "input_text", "input_image"]
    else:
        assert [message["role"] for message in messages] == ["user", "assistant", "tool", "tool", "user"]
        texts = [part.get("text") for part in messages[-1]["content"]]
        assert texts == ["Shown by the result of call c1:", "[media 1: photo.png]", None]


async def test_a_result_without_text_shows_a_picture_alone(model: Made, edge: EdgeServer) -> None:
    """A result without text shows a picture alone, since Anthropic refuses empty texts."""
    call = Message(role="assistant", calls=(ToolCall(id="c1", name="shoot"),))
    result = Message(role="tool", media=(PHOTO,), call_id="c1")
    messages = await sent(model, edge, Message(role="user", text="Look."), call, result)
    if api(model) == "anthropic":
        assert [block["type"] for block in messages[2]["content"][0]["content"]] == ["text", "image"]


async def test_media_of_earlier_turns_stay_with_their_results(edge: EdgeServer) -> None:
    """Media stay with their results; in Chat Completions they come before the next answer."""
    model = OpenAIChatModel("m", base_url=edge.openai_url)
    messages = await sent(model, edge, *TWO, Message(role="assistant", text="A boat."), Message(role="user", text="?"))
    await model.close()
    assert [message["role"] for message in messages][3:] == ["tool", "user", "assistant", "user"]


async def test_sound_is_taken_by_chat_completions_alone(model: Made, edge: EdgeServer) -> None:
    """The others refuse it before the call, with the repair."""
    question = Message(role="user", text="What is said?", media=(SOUND,))
    if api(model) == "openai-chat":
        (message,) = await sent(model, edge, question)
        assert message["content"][-1] == {"type": "input_audio", "input_audio": {"data": SOUND.data, "format": "wav"}}
        return
    with pytest.raises(BadRequest, match="takes no audio/wav") as caught:
        await model.answer(Request("writer", "", [question]))
    assert "another model" in caught.value.repair
    assert not edge.received()


def test_media_count_as_tokens() -> None:
    """A picture as the largest one, a document by its size; both for limiters and for limits."""
    plain = Request("a", "", [Message(role="user", text="x" * 40)])
    large = Media(data=b"%PDF-" + bytes(300_000))
    shown = Request("a", "", [Message(role="user", text="x" * 40, media=(PHOTO, large))])
    assert estimated_tokens(shown) - estimated_tokens(plain) == 1600 + 10_000

"""Media in the wire formats of Messages, Responses and Chat Completions."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import pytest
from pydantic import TypeAdapter

from graphengine import Media
from graphengine.models import Message, Request, ToolCall
from graphengine.models.base import estimate_tokens
from tests.conformance.model_scenes import Says
from tests.models.adapters import PATHS, adapter
from tests.models.edge_server import EdgeServer

PHOTO = Media(data=b"\x89PNG\r\n\x1a\n", name="photo.png")
REPORT = Media(data=b"%PDF-1.7")
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
        "/v1/messages": list[MessageParam],
        "/v1/responses": list[ResponseInputItemParam],
        "/v1/chat/completions": list[ChatCompletionMessageParam],
    }


async def sent(path: str, edge: EdgeServer, *messages: Message) -> list[Mapping[str, Any]]:
    """Return the messages of a call, which the types of the provider's SDK accept."""
    model = adapter(path, edge.url)
    edge.play(Says("yes"))
    await model.answer(Request("writer", "", messages))
    await model.close()
    body = edge.received()[-1].body
    found: Any = body["input" if path == "/v1/responses" else "messages"]
    TypeAdapter(forms()[path]).validate_python(found)
    messages_sent: list[Mapping[str, Any]] = found
    return messages_sent


@pytest.mark.parametrize("path", PATHS)
async def test_media_have_the_forms_of_the_providers_sdks(path: str, edge: EdgeServer) -> None:
    """In questions, and in results of tools."""
    question = Message(role="user", text="Compare [media 1: photo.png] and [media 2].", media=(PHOTO, REPORT))
    assert await sent(path, edge, question)
    assert await sent(path, edge, *TWO)


def test_media_count_as_tokens() -> None:
    """A picture as the largest one, a document by its size; both for limiters and for limits."""
    plain = Request("a", "", [Message(role="user", text="x" * 40)])
    large = Media(data=b"%PDF-" + bytes(300_000))
    shown = Request("a", "", [Message(role="user", text="x" * 40, media=(PHOTO, large))])
    assert estimate_tokens(shown) - estimate_tokens(plain) == 1600 + 10_000

"""The parts of messages, read from the forms of Messages, Responses and Chat Completions."""

from __future__ import annotations

from typing import Final

from graphengine import Media
from graphengine.models import Message, ToolCall
from graphengine.models.parts import Native, Text, ToolResult

ADD: Final = ToolCall(id="c1", name="add", arguments='{"first": 2, "second": 3}')


def test_parts_of_other_messages() -> None:
    """Media follow the text; a result can be an error; an unknown provider's form is not read."""
    photo = Media(data=b"\x89PNG\r\n\x1a\n")
    assert Message(role="user", text="Look.", media=(photo,)).parts == (Text("Look."), photo)
    failed = Message(role="tool", text="no", call_id="c1", is_error=True, media=(photo,))
    assert failed.parts == (ToolResult("c1", "no", is_error=True), photo)
    other = Message(role="assistant", text="a", calls=(ADD,), native={"provider": "other", "content": [1]})
    assert other.parts == (Text("a"), ADD)
    assert Message(role="assistant", native={"provider": "anthropic", "content": [1, {}]}).parts == (Native("", {}),)

from typing import Any

import pytest
from pydantic import BaseModel, Field, JsonValue

from graphengine.models.anthropic_forms import can_be_held_to, conversation, read
from graphengine.models.base import Message, ToolCall

ASKED = Message(role="user", text="hello")


def use(call_id: str, written: JsonValue) -> JsonValue:
    """Return a block that calls the tool `add`."""
    return {"type": "tool_use", "id": call_id, "name": "add", "input": written}


def text(content: str) -> JsonValue:
    """Return a block of text."""
    return {"type": "text", "text": content}


class TestConversation:
    @pytest.mark.parametrize("written", ['{"a": ', "[1]", "", '{"a": NaN}', "[" * 100_000])
    def test_arguments_that_are_not_an_object_are_sent_unchanged(self, written: str) -> None:
        """The model sees its own text, next to the tool's error."""
        call = ToolCall(id="t", name="add", arguments=written)
        made = conversation([ASKED, Message(role="assistant", calls=(call,))])
        assert made[1]["content"] == [use("t", {"unreadable": written})]


class Leaf(BaseModel):
    score: int = Field(ge=1)
    note: str | None = None
    kinds: list[str] = []


class Plain(BaseModel):
    leaf: Leaf
    leaves: list[Leaf]


class Named(BaseModel):
    leaves: list[dict[str, Leaf]]


class Free(BaseModel):
    anything: dict[str, Any]


class Pair(BaseModel):
    pair: tuple[int, str]


class Tree(BaseModel):
    below: list["Tree"] = []


class Ring(BaseModel):
    inner: "RingPart | None" = None


class RingPart(BaseModel):
    outer: Ring | None = None


class Empty(BaseModel):
    pass


class TestSchemas:
    @pytest.mark.parametrize(
        ("kind", "can"),
        [
            (Leaf, True),
            (Plain, True),
            (Empty, True),
            (Named, False),
            (Free, False),
            (Pair, False),
            (Tree, False),
            (Ring, False),
        ],
    )
    def test_schemas_that_the_api_does_not_enforce_go_into_the_prompt(
        self, *, kind: type[BaseModel], can: bool
    ) -> None:
        """A dict with free keys would always come back as {}, so its schema goes into the instructions."""
        assert can_be_held_to(kind.model_json_schema()) is can


def message(*content: JsonValue, **more: JsonValue) -> dict[str, JsonValue]:
    """Return a message as the API sends it."""
    return {
        "type": "message",
        "model": "claude-x",
        "content": list(content),
        "stop_reason": "end_turn",
        "usage": {"input_tokens": 3, "output_tokens": 4},
        **more,
    }


class TestReading:
    def test_input_tokens_are_all_of_them(self) -> None:
        """The API counts cached tokens separately; here a question has one size."""
        usage: JsonValue = {
            "input_tokens": 3,
            "cache_read_input_tokens": 10,
            "cache_creation_input_tokens": 30,
            "cache_creation": {"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 20},
            "output_tokens": 7,
            "output_tokens_details": {"thinking_tokens": 5},
        }
        found, spent = read(message(text("yes"), usage=usage))
        assert (found.input_tokens, found.cache_read_tokens, found.cache_write_tokens) == (43, 10, 30)
        assert (found.output_tokens, found.reasoning_tokens) == (7, 5)
        assert spent is not None
        assert spent.cache_write_1h_tokens == 20

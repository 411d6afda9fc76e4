import json
from typing import Any

import pytest
from pydantic import BaseModel, Field, JsonValue

from graphengine.models.anthropic_forms import Unreadable, body, can_be_held_to, conversation, read
from graphengine.models.base import Message, Request, ToolCall, ToolSpec
from graphengine.models.received import NotThisApi
from graphengine.models.settings import Settings

ADD = ToolCall(id="toolu_1", name="add", arguments='{"a": 2}')
ASKED = Message(role="user", text="hello")


def user(*content: JsonValue) -> dict[str, JsonValue]:
    """Return a user's message."""
    return {"role": "user", "content": list(content)}


def use(call_id: str, written: JsonValue) -> JsonValue:
    """Return a block that calls the tool `add`."""
    return {"type": "tool_use", "id": call_id, "name": "add", "input": written}


def text(content: str) -> JsonValue:
    """Return a block of text."""
    return {"type": "text", "text": content}


class TestConversation:
    def test_results_of_one_turn_come_in_one_message(self) -> None:
        """The API requires the results of all calls of a turn right after it, together."""
        second = ToolCall(id="toolu_2", name="add", arguments="{}")
        made = conversation(
            [
                ASKED,
                Message(role="assistant", text="I add.", calls=(ADD, second)),
                Message(role="tool", text="5", call_id="toolu_1"),
                Message(role="tool", text="no numbers", call_id="toolu_2", is_error=True),
                Message(role="user", text="and now?"),
            ]
        )
        assert made == [
            user(text("hello")),
            {
                "role": "assistant",
                "content": [
                    text("I add."),
                    use("toolu_1", {"a": 2}),
                    use("toolu_2", {}),
                ],
            },
            user(
                {"type": "tool_result", "tool_use_id": "toolu_1", "content": "5"},
                {"type": "tool_result", "tool_use_id": "toolu_2", "content": "no numbers", "is_error": True},
                text("and now?"),
            ),
        ]

    @pytest.mark.parametrize("written", ['{"a": ', "[1]", "", '{"a": NaN}', "[" * 100_000])
    def test_arguments_that_are_not_an_object_are_sent_unchanged(self, written: str) -> None:
        """The model sees its own text, next to the tool's error."""
        call = ToolCall(id="t", name="add", arguments=written)
        made = conversation([ASKED, Message(role="assistant", calls=(call,))])
        assert made[1]["content"] == [use("t", {"unreadable": written})]


class TestBody:
    def test_only_requested_settings_are_sent(self) -> None:
        """A plain question has a model, a limit and messages."""
        assert body("m", Request("a", "", [ASKED]), None) == {
            "model": "m",
            "max_tokens": 16_384,
            "messages": [user(text("hello"))],
        }

    def test_instructions_and_tools_are_marked_for_the_cache(self) -> None:
        """The mark is on the last block of each: everything before it is cached with it."""
        schema: dict[str, JsonValue] = {"properties": {}}
        tools = [ToolSpec("one", "first", schema), ToolSpec("two", "second", schema)]
        made = body("m", Request("a", "be brief", [ASKED], tools=tools, settings=Settings(cache=True)), None)
        mark = {"cache_control": {"type": "ephemeral"}}
        assert made["system"] == [{"type": "text", "text": "be brief"} | mark]
        assert made["tools"] == [
            {"name": "one", "description": "first", "input_schema": {"type": "object", "properties": {}}},
            {"name": "two", "description": "second", "input_schema": {"type": "object", "properties": {}}} | mark,
        ]
        assert "cache_control" not in json.dumps(body("m", Request("a", "be brief", [ASKED], tools=tools), None))


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

    @pytest.mark.parametrize("usage", [None, {}, "many", {"service_tier": "standard"}])
    def test_a_server_that_does_not_count_leaves_the_cost_unknown(self, usage: JsonValue) -> None:
        """Missing usage is not zero usage."""
        response, spent = read(message(text("yes"), usage=usage))
        assert spent is None
        assert response.input_tokens == 0

    @pytest.mark.parametrize(
        ("reason", "stop"),
        [
            ("end_turn", "end"),
            ("stop_sequence", "end"),
            ("tool_use", "end"),
            ("max_tokens", "cut"),
            ("refusal", "refused"),
            ("model_context_window_exceeded", "full"),
            ("something_new", "end"),
        ],
    )
    def test_each_reason_to_stop_is_one_of_ours(self, reason: str, stop: str) -> None:
        """Unknown reasons end an answer as usual."""
        assert read(message(text("yes"), stop_reason=reason))[0].stop == stop

    def test_calls_of_an_answer_that_was_cut_are_not_made(self) -> None:
        """Its last arguments may be incomplete."""
        call: JsonValue = use("t", {"a": 1})
        assert read(message(call, stop_reason="max_tokens"))[0].calls == ()
        assert read(message(call, stop_reason="end_turn"))[0].stop == "tools"

    def test_a_refusal_has_its_explanation(self) -> None:
        """The provider's explanation, or at least its category."""
        explained: JsonValue = {"category": "cyber", "explanation": "That is malware."}
        assert read(message(stop_reason="refusal", stop_details=explained))[0].why == "That is malware."
        assert read(message(stop_reason="refusal", stop_details={"category": "bio"}))[0].why == "bio"
        assert read(message(stop_reason="refusal"))[0].why == ""

    def test_the_native_form_is_kept_only_if_it_has_more_than_text_and_calls(self) -> None:
        """A record does not hold every answer twice."""
        call: JsonValue = use("t", {})
        thought: JsonValue = {"type": "thinking", "thinking": "hm", "signature": "s"}
        quoted: JsonValue = {"type": "text", "text": "yes", "citations": [{"type": "page_location"}]}
        assert read(message(text("yes"), call))[0].native is None
        for content in ([thought, text("yes")], [quoted], [call, text("yes")], [text("a"), text("b")]):
            assert read(message(*content))[0].native == {"provider": "anthropic", "content": content}

    @pytest.mark.parametrize("found", [{}, {"type": "list"}, {"choices": []}])
    def test_other_objects_are_not_messages(self, found: dict[str, JsonValue]) -> None:
        """Another API answers with other objects."""
        with pytest.raises(NotThisApi):
            read(found)

    @pytest.mark.parametrize("bad", [{"content": None}, {"content": "yes"}, {"content": [1]}, {"stop_reason": None}])
    def test_a_message_with_a_hole_is_unreadable(self, bad: dict[str, JsonValue]) -> None:
        """Content and a stop reason are required."""
        with pytest.raises(Unreadable):
            read(message(text("yes")) | bad)

"""The parts of messages, read from the forms of Messages, Responses and Chat Completions."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import pytest
from pydantic import JsonValue

from graphengine import Agent, Media
from graphengine.models import AnthropicModel, Message, OpenAIChatModel, OpenAIModel, Request, Response, ToolCall
from graphengine.models.parts import Citation, HostedCall, Native, Part, Text, Thinking, ToolResult
from tests.agents.run_kits import add
from tests.models.acts import Raw
from tests.models.edge_server import EdgeServer
from tests.models.wire import Event

URL: Final = "https://tides.example"
ADD: Final = ToolCall(id="c1", name="add", arguments='{"first": 2, "second": 3}')

CITED: Final = {"type": "web_search_result_location", "cited_text": "Tides rise.", "title": "Tides", "url": URL}
SEARCH: Final[dict[str, JsonValue]] = {
    "type": "server_tool_use",
    "id": "s1",
    "name": "web_search",
    "input": {"query": "tides"},
}
MESSAGES: Final = (
    {
        "stop_reason": "tool_use",
        "content": [
            {"type": "thinking", "thinking": "I search.", "signature": "s"},
            SEARCH,
            {"type": "tool_use", "id": "c1", "name": "add", "input": {"first": 2, "second": 3}},
        ],
    },
    {"stop_reason": "end_turn", "content": [{"type": "text", "text": "They rise.", "citations": [CITED]}]},
)

URL_CITED: Final = {"type": "url_citation", "url": URL, "title": "Tides", "start_index": 0, "end_index": 4}
SEARCHED: Final[dict[str, JsonValue]] = {"type": "web_search_call", "id": "ws_1", "status": "completed"}
SUMMARY: Final = {"type": "summary_text", "text": "I search."}
RESPONSES: Final = (
    [
        {
            "type": "reasoning",
            "id": "rs_1",
            "encrypted_content": "x",
            "summary": [{"type": "summary_text", "text": "I search."}],
        },
        SEARCHED,
        {"type": "function_call", "call_id": "c1", "name": "add", "arguments": ADD.arguments},
    ],
    [
        {
            "type": "message",
            "role": "assistant",
            "content": [{"type": "output_text", "text": "They rise.", "annotations": [URL_CITED]}],
        }
    ],
)

CHAT_CITED: Final = {"type": "url_citation", "url_citation": {"url": URL, "title": "Tides"}}
CHAT: Final[tuple[dict[str, Any], ...]] = (
    {
        "reasoning_content": "I search.",
        "search": {"query": "tides"},
        "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "add", "arguments": ADD.arguments}}],
    },
    {"content": "They rise.", "annotations": [CHAT_CITED]},
)


def cited(native: Any, text: str = "", end: int | None = None) -> Citation:
    """Return the citation of every answer here."""
    start = None if end is None else 0
    return Citation(text=text, title="Tides", url=URL, start=start, end=end, native=native)


class Streaming:
    """A model whose answers are streamed."""

    limiter = None

    def __init__(self, model: OpenAIChatModel) -> None:
        self.name = model.name
        self.close = model.close
        self._model = model

    async def answer(self, request: Request) -> Response:
        """Return the answer."""
        return await self._model.answer(replace(request, on_text=lambda _: None))


async def turns(model: Any) -> tuple[list[Part], list[Part]]:
    """Return the parts of the two answers in a conversation with a tool."""
    answer = await Agent("a", prompt="{task}", tools=[add], model=model).answer(task="x")
    await model.close()
    question, first, result, second = (message.parts for message in answer.messages)
    assert [type(part) for part in question] == [Text]
    assert result == (ToolResult("c1", "5"),)
    for message in answer.messages:
        assert Message.model_validate_json(message.model_dump_json()).parts == message.parts
    return list(first), list(second)


async def test_parts_of_messages(edge: EdgeServer) -> None:
    """Thinking, a search that only Anthropic knows, a call; then a text with its citation."""
    edge.play(*(Raw(body={"type": "message", "role": "assistant", **each}) for each in MESSAGES))
    first, second = await turns(AnthropicModel("claude-sonnet-5-5", api_key="k", base_url=edge.url))
    assert first == [Thinking("I search."), HostedCall("s1", "web_search", {"query": "tides"}), ADD]
    assert second == [Text("They rise."), cited(CITED, "Tides rise.", 10)]


async def test_parts_of_responses(edge: EdgeServer) -> None:
    """Parts of Responses are read as those of Messages; the thinking is a summary."""
    edge.play(*(Raw(body={"status": "completed", "output": output}) for output in RESPONSES))
    first, second = await turns(OpenAIModel("gpt-6", base_url=edge.openai_url))
    assert first == [Thinking("I search."), HostedCall("ws_1", "web_search", {}), ADD]
    assert second == [Text("They rise."), cited(URL_CITED, end=4)]


@pytest.mark.parametrize("streamed", [False, True])
async def test_parts_of_chat_completions(edge: EdgeServer, *, streamed: bool) -> None:
    """Parts of Chat Completions are read too; fields that only the server knows are parts by their names."""
    for message, reason in zip(CHAT, ("tool_calls", "stop"), strict=True):
        choice = {"index": 0, "finish_reason": reason}
        if streamed:
            events = (Event({"choices": [{**choice, "delta": message}]}), Event("[DONE]"))
            edge.play(Raw(events=events))
        else:
            edge.play(Raw(body={"choices": [{**choice, "message": message}]}))
    model = OpenAIChatModel("m", base_url=edge.openai_url)
    first, second = await turns(Streaming(model) if streamed else model)
    assert first == [Thinking("I search."), ADD, Native("search", {"query": "tides"})]
    assert second == [Text("They rise."), cited(CHAT_CITED["url_citation"])]


def test_parts_of_other_messages() -> None:
    """Media follow the text; a result can be an error; an unknown provider's form is not read."""
    photo = Media(data=b"\x89PNG\r\n\x1a\n")
    assert Message(role="user", text="Look.", media=(photo,)).parts == (Text("Look."), photo)
    failed = Message(role="tool", text="no", call_id="c1", is_error=True, media=(photo,))
    assert failed.parts == (ToolResult("c1", "no", is_error=True), photo)
    other = Message(role="assistant", text="a", calls=(ADD,), native={"provider": "other", "content": [1]})
    assert other.parts == (Text("a"), ADD)
    assert Message(role="assistant", native={"provider": "anthropic", "content": [1, {}]}).parts == (Native("", {}),)

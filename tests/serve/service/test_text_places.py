"""Where the text of a client's message goes: the same place at every door, or a refusal that says what to change."""

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any, Final

import httpx
import pytest
from pydantic import BaseModel, StringConstraints

from graphengine import END, START, Agent, Context, Graph, Runner, ScriptedModel, ask
from graphengine.kernel.extension import compiled
from graphengine.serve.service.text_places import text_field

pytest.importorskip("a2a")
pytest.importorskip("ag_ui.core")
pytest.importorskip("mcp")
from tests.serve.service.test_removed_runs import MCP_HEADERS_AND_TYPES, MCP_META, rpc, serving

TEXT: Final = "hi-there"
ECHO: Final = "echo<hi-there>"
LOOKED: Final[list[str]] = []


class Required(BaseModel):
    about: str
    question: str = ""
    answer: str = ""


class Question(BaseModel):
    other: str = ""
    question: str = ""
    answer: str = ""


class Only(BaseModel):
    message: str = ""
    answer: str = ""


class Optional(BaseModel):
    message: str | None = None
    n: int = 0
    answer: str = ""


class TwoRequired(BaseModel):
    left: str
    question: str
    answer: str = ""


class AlsoNumbers(BaseModel):
    ids: list[int]
    question: str = ""
    answer: str = ""


class Anything(BaseModel):
    about: Path
    answer: str = ""


class Several(BaseModel):
    left: str = ""
    right: str = ""
    answer: str = ""


class Number(BaseModel):
    question: int = 0
    answer: str = ""


class Written(BaseModel):
    answer: str = ""


def echoing(model: type[BaseModel], field: str) -> Graph[Any]:
    """Return a graph that writes what a field has."""
    graph = Graph(model.__name__.lower(), model, result="answer")
    graph.add_node("say", lambda text: f"echo<{text}>", inputs={"text": field}, writes="answer", thread=False)
    graph.add_path(START, "say", END)
    return graph


async def receive(ctx: Context) -> str:
    """Receive a text."""
    return f"echo<{await ctx.receive('text', str)}>"


async def receive_later(ctx: Context) -> str:
    """Receive a text in another function."""
    return await receive(ctx)


async def look(ctx: Context) -> str:
    """Receive nothing, though this function could."""
    LOOKED.append(ctx.run_id)
    return f"echo<> by {ctx.run_id}"


def one_node(name: str, node: Any) -> Graph[Any]:
    """Return a graph of one node that writes the answer."""
    graph = Graph(name, Written, result="answer")
    graph.add_node("say", node, writes="answer")
    graph.add_path(START, "say", END)
    return graph


def chatting(**options: Any) -> Graph[Any]:
    """Return a chat that repeats what is said."""
    model = ScriptedModel(lambda request: f"echo<{request.messages[-1].text}>")
    return Graph.chat(Agent("chat", model=model, **options))


chat = chatting()
SHAPES: Final[dict[str, tuple[Graph[Any], dict[str, Any], str | None, bool]]] = {
    "the required text": (echoing(Required, "about"), {}, "about", True),
    "question among several": (echoing(Question, "question"), {}, "question", True),
    "the only text that no node writes": (echoing(Only, "message"), {}, "message", True),
    "a text or None": (echoing(Optional, "message"), {}, "message", True),
    "question among required": (echoing(TwoRequired, "question"), {"left": "x"}, "question", False),
    "question beside required numbers": (echoing(AlsoNumbers, "question"), {"ids": [1]}, "question", False),
    "a required value that a text can be": (echoing(Anything, "about"), {}, "about", True),
    "several texts": (echoing(Several, "left"), {}, None, False),
    "a number": (echoing(Number, "question"), {}, None, False),
    "a text that a node writes": (one_node("written", lambda: "echo<>"), {}, None, False),
    "a question": (one_node("asks", ask("What?")), {}, None, False),
    "a message that a node receives": (one_node("receives", receive), {}, None, True),
    "a function of a node that receives a message": (one_node("receives", receive_later), {}, None, True),
    "a node that receives no message": (one_node("looks", look), {}, None, False),
    "a chat": (chat, {}, "question", True),
    "a chat with another input": (chatting(prompt="{task}"), {}, "task", True),
    "a chat with two other inputs": (chatting(prompt="{task}{topic}"), {}, None, False),
}
"""Graphs, with the state that they need besides a text, the place of a text, and whether they are models."""
Post = Callable[..., Awaitable[httpx.Response]]


async def by_chat(post: Post, name: str, state: dict[str, Any], field: str | None) -> httpx.Response:
    """Send a chat completion."""
    del state, field
    return await post("/v1/chat/completions", {"model": name, "messages": [{"role": "user", "content": TEXT}]})


async def by_responses(post: Post, name: str, state: dict[str, Any], field: str | None) -> httpx.Response:
    """Ask for a response."""
    del state, field
    return await post("/v1/responses", {"model": name, "input": TEXT})


async def by_ag_ui(post: Post, name: str, state: dict[str, Any], field: str | None) -> httpx.Response:
    """Begin a thread."""
    del field
    message = {"id": "m", "role": "user", "content": TEXT}
    body = {"threadId": f"a{name}", "runId": "r", "messages": [message], "tools": [], "context": [], "state": state}
    return await post(f"/agui/{name}", body)


async def by_ai_sdk(post: Post, name: str, state: dict[str, Any], field: str | None) -> httpx.Response:
    """Begin a chat."""
    del field
    message = {"id": "m", "role": "user", "parts": [{"type": "text", "text": TEXT}]}
    return await post(f"/ai-sdk/{name}", {"id": f"s{name}", "messages": [message], "state": state})


async def by_a2a(post: Post, name: str, state: dict[str, Any], field: str | None) -> httpx.Response:
    """Send a message."""
    del field
    parts = [{"text": TEXT}, *([{"data": state}] if state else [])]
    message = {"messageId": f"m{name}", "role": "ROLE_USER", "parts": parts}
    return await post(f"/a2a/{name}", rpc("SendMessage", message=message), {"a2a-version": "1.0"})


async def by_mcp(post: Post, name: str, state: dict[str, Any], field: str | None) -> httpx.Response:
    """Call a tool: the text is an argument."""
    meta = {**MCP_META, "graphengine/run_id": f"mcp-{name}"}
    params = {"name": name, "arguments": {field or "text": TEXT, **state}, "_meta": meta}
    return await post("/mcp", rpc("tools/call", **params), {**MCP_HEADERS_AND_TYPES, "mcp-name": name})


DOORS: Final = [by_chat, by_responses, by_ag_ui, by_ai_sdk, by_a2a, by_mcp]


@pytest.mark.parametrize("shape", SHAPES)
async def test_a_text_is_read_or_refused_at_every_door(shape: str, tmp_path: Path) -> None:
    """The text reaches the graph where it has a place; else no door answers as if it had been read."""
    graph, state, field, is_model = SHAPES[shape]
    LOOKED.clear()
    assert text_field(compiled(graph)) == field
    async with Runner(tmp_path / "runs.db") as runner, serving(runner, graph) as client:

        async def post(path: str, body: Any, headers: dict[str, str] | None = None) -> httpx.Response:
            return await client.post(path, json=body, headers=headers)

        models = [each["id"] for each in (await client.get("/v1/models")).json()["data"]]
        assert models == [graph.name] * is_model
        for door in DOORS:
            answer = await door(post, graph.name, state, field)
            is_read = ECHO in answer.text.replace("\\u003c", "<").replace("\\u003e", ">")
            told = answer.text.replace('"error":null', "")
            is_refused = answer.status_code >= 400 or '"error"' in told or '"isError":true' in told
            has_place = field is not None or graph.name == "receives"
            if door in (by_chat, by_responses):
                has_place = has_place and is_model
            elif door is by_mcp:
                has_place = field is not None and graph.name != chat.name
            assert (is_read, is_refused) == (has_place, not has_place), (door.__name__, answer.text)
    assert not LOOKED  # a refused text starts no run


@pytest.mark.parametrize("door", [by_ag_ui, by_ai_sdk])
async def test_a_thread_that_is_no_chat_refuses_another_message(door: Any, tmp_path: Path) -> None:
    """The message that began its run can be sent again, as when a page is reloaded; another one would not be read."""
    graph = echoing(Only, "message")
    async with Runner(tmp_path / "runs.db") as runner, serving(runner, graph) as client:
        sent = ["first", "first", "second"]

        async def post(path: str, body: Any) -> httpx.Response:
            return await client.post(path, json=json.loads(json.dumps(body).replace(TEXT, sent.pop(0))))

        answers = [await door(post, graph.name, {}, "message") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 422]
    assert "echo<first>" in answers[1].text
    assert "another thread" in answers[2].text


class Stripped(BaseModel):
    message: Annotated[str, StringConstraints(strip_whitespace=True, to_lower=True)] = ""
    answer: str = ""


@pytest.mark.parametrize("door", [by_ag_ui, by_ai_sdk])
async def test_a_reloaded_page_sends_a_text_that_the_state_changes(door: Any, tmp_path: Path) -> None:
    """The message is compared as it is recorded; another message is refused."""
    graph = echoing(Stripped, "message")
    async with Runner(tmp_path / "runs.db") as runner, serving(runner, graph) as client:
        sent = [" First ", " First ", "first", "second "]

        async def post(path: str, body: Any) -> httpx.Response:
            return await client.post(path, json=json.loads(json.dumps(body).replace(TEXT, sent.pop(0))))

        answers = [await door(post, graph.name, {}, "message") for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 422]
    assert all("echo<first>" in answer.text for answer in answers[:3])


async def test_a_text_and_data_for_one_field_are_refused(tmp_path: Path) -> None:
    """Neither of the two is dropped; a state that a page sends with its message gives way to the message."""
    graph = echoing(Only, "message")
    async with Runner(tmp_path / "runs.db") as runner, serving(runner, graph) as client:
        message = {"messageId": "m", "role": "ROLE_USER", "parts": [{"text": TEXT}, {"data": {"message": "other"}}]}
        body = rpc("SendMessage", message=message)
        refused = await client.post(f"/a2a/{graph.name}", json=body, headers={"a2a-version": "1.0"})
        assert "send only one of them" in refused.json()["error"]["message"]

        async def post(path: str, body: Any) -> httpx.Response:
            return await client.post(path, json=body)

        assert ECHO in (await by_ag_ui(post, graph.name, {"message": ""}, "message")).text

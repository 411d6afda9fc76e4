"""The three wires and the doors in front of a real server with a real model.

What it cannot show: this model calls no tools, and its server takes any model's name, seals no reasoning and compacts
nothing. What servers say of these is in `tests/models`, and lists of tools are in `tests/agents/test_mcp_lists.py`.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from graphengine import Agent, RunFailed, Runner, Settings, Window
from graphengine.models import AnthropicModel, OpenAIChatModel, OpenAIModel
from graphengine.models.base import Model
from tests.real_model.conftest import SECONDS, Server, Servers
from tests.real_model.test_real_model import whole
from tests.serve.service.client import Service

WIRES: dict[str, Callable[[str], Model]] = {
    "chat": lambda at: OpenAIChatModel("smol", base_url=f"{at}/v1", timeout_seconds=SECONDS),
    "messages": lambda at: AnthropicModel("smol", base_url=at, api_key="none", timeout_seconds=SECONDS),
    "responses": lambda at: OpenAIModel("smol", base_url=f"{at}/v1", api_key="none", timeout_seconds=SECONDS),
}


@pytest.fixture(scope="module")
def narrow(servers: Servers) -> Server:
    """A server with 512 tokens for each of its slots."""
    return servers(1024)


@whole
@pytest.mark.parametrize("wire", WIRES)
async def test_a_request_that_is_too_long_is_said_by_each_wire(narrow: Server, wire: str) -> None:
    """It is context_full, after one call, which is not repeated; a shorter one is answered."""
    model = WIRES[wire](f"http://127.0.0.1:{narrow.port}")
    agent = Agent("a", model=model, settings=Settings(max_tokens=16), on_cut="keep")
    async with Runner() as runner:
        with pytest.raises(RunFailed, match="context_full") as failed:
            await runner.run(agent, question="tide " * 900)
        assert failed.value.result.usage.calls <= 1
        assert await runner.run(agent, question="What is a tide?")


@whole
@pytest.mark.parametrize("wire", WIRES)
async def test_a_chat_goes_on_where_the_window_is_larger_than_the_models(narrow: Server, wire: str) -> None:
    """Each turn has an answer, although the conversation has several times the room of the model."""
    model = WIRES[wire](f"http://127.0.0.1:{narrow.port}")
    agent = Agent("a", model=model, settings=Settings(max_tokens=16), on_cut="keep", window=Window(50_000, keep=2))
    async with Runner() as runner:
        for number in range(6):
            assert await runner.run(agent, chat="c", question=f"{number}: " + "tide " * 150)


FLOWS = """
from graphengine import Agent, Graph, Settings
from graphengine.models import OpenAIChatModel

model = OpenAIChatModel("smol", base_url="ADDRESS", timeout_seconds=300)

def look_up(order: str, tenant: str) -> str:
    '''Look an order up.'''
    return order

agent = Agent("real", model=model, settings=Settings(max_tokens=24), on_cut="keep", tools=[look_up])
talk = Graph.chat(agent, resources={"tenant": lambda: "acme"})
"""


@whole
def test_each_door_ends_with_what_is_recorded(server: Server, tmp_path: Path) -> None:
    """Completions, responses and the AI SDK have, at the end of their streams, the text that is read later."""
    (tmp_path / "flows.py").write_text(FLOWS.replace("ADDRESS", f"http://127.0.0.1:{server.port}/v1"))
    service = Service(tmp_path / "runs.db", "--openai", "--ai-sdk", graphs=str(tmp_path / "flows.py"))

    def sent(path: str, body: dict[str, Any], **headers: str) -> list[dict[str, Any]]:
        text = service.answer("POST", path, json.dumps(body).encode(), headers).text
        return [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: {")]

    asked = {"model": "real-chat", "stream": True}
    thread = {"messages": [{"role": "user", "content": "What is a tide?"}], "metadata": {"conversation_id": "c"}}
    for headers in ({}, {"X-Text": "live"}):
        chunks = sent("/v1/chat/completions", {**asked, **thread}, **headers)
        said = "".join(each["choices"][0]["delta"].get("content") or "" for each in chunks)
        whole_ = json.dumps({**asked, **thread, "stream": False}).encode()
        later = service.request("POST", "/v1/chat/completions", whole_)[1]["choices"][0]["message"]["content"]
        assert said.strip() == later.strip() != ""
    done = sent("/v1/responses", {**asked, "input": "What is a tide?"})[-1]["response"]
    later = service.request("GET", f"/v1/responses/{done['id']}")[1]
    assert done["output"] == later["output"]
    parts = [{"type": "text", "text": "What is a tide?"}]
    chat = {"id": "u", "messages": [{"id": "m", "role": "user", "parts": parts}]}
    events = sent("/ai-sdk/real-chat", chat, **{"X-AI-SDK-Version": "6"})
    text = "".join(each.get("delta", "") for each in events if each["type"] == "text-delta")
    (_, answer) = service.request("GET", "/ai-sdk/real-chat/u")[1]
    assert [part["text"] for part in answer["parts"] if part["type"] == "text"] == [text]
    assert service.end() == 0

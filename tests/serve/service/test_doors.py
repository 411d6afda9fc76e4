"""What holds for every door: a run waits for days, on two databases, and another server has its question."""

import json
import time
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from graphengine import Runner

pytest.importorskip("a2a")
pytest.importorskip("ag_ui.core")
pytest.importorskip("mcp")
from tests.serve.service.test_removed_runs import serving

DAYS = 30 * 86400


def events(answer: httpx.Response) -> list[Any]:
    """Return the events of a stream."""
    assert answer.status_code == 200, answer.text
    return [json.loads(line[6:]) for line in answer.text.splitlines() if line.startswith("data: {")]


async def by_ag_ui(client: httpx.AsyncClient, asked: Any) -> Any:
    """Return the question, or what came of its answer."""
    body: dict[str, Any] = {"threadId": "t", "runId": "r", "messages": [], "tools": [], "context": []}
    body["state"] = {"title": "Tides"}
    if asked is not None:
        body["resume"] = [{"interruptId": asked["id"], "status": "resolved", "payload": True}]
    end = events(await client.post("/agui/posts", json=body))[-1]
    return end["result"] if asked is not None else end["outcome"]["interrupts"][0]


async def by_ai_sdk(client: httpx.AsyncClient, asked: Any) -> Any:
    """Return the question, or what came of its answer."""
    body: dict[str, Any] = {"id": "t", "messages": [], "state": {"title": "Tides"}}
    if asked is not None:
        body = {"id": "t", "answers": {asked["id"]: True}, "messages": [{"id": "a", "role": "assistant", "parts": []}]}
    kind = "data-output" if asked is not None else "data-question"
    return next(each["data"] for each in events(await client.post("/ai-sdk/posts", json=body)) if each["type"] == kind)


async def by_openai(client: httpx.AsyncClient, asked: Any) -> Any:
    """Return the question, or what came of its answer."""
    texts = ["Tides"] if asked is None else ["Tides", "yes"]
    body = {"model": "posts", "messages": [{"role": "user", "content": text} for text in texts]}
    answer = await client.post("/v1/chat/completions", json=body, headers={"X-Conversation-Id": "t"})
    return answer.json()["choices"][0]["message"]["content"]


async def by_a2a(client: httpx.AsyncClient, asked: Any) -> Any:
    """Return the question, or what came of its answer."""
    message = {"messageId": "m1" if asked is None else "m2", "role": "ROLE_USER", "parts": [{"text": "Tides"}]}
    if asked is not None:
        message |= {"taskId": asked["id"], "parts": [{"text": "yes"}]}
    body = {"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": {"message": message}}
    answer = await client.post("/a2a/posts", json=body, headers={"A2A-Version": "1.0"})
    task = answer.json()["result"]["task"]
    return task["artifacts"][0]["parts"][0]["text"] if asked is not None else task


@pytest.mark.parametrize("ask", [by_ag_ui, by_ai_sdk, by_openai, by_a2a])
async def test_a_run_waits_for_days(
    database: Any, monkeypatch: pytest.MonkeyPatch, ask: Callable[[httpx.AsyncClient, Any], Awaitable[Any]]
) -> None:
    """A month later another server has the question still, and its answer, sent twice, is given once."""
    async with Runner(database) as runner, serving(runner) as client:
        asked = await ask(client, None)
    today = time.time()
    monkeypatch.setattr(time, "time", lambda: today + DAYS)
    async with Runner(database) as runner, serving(runner) as client:
        assert "Publish Tides?" in json.dumps(await ask(client, None))
        for _ in range(2):
            assert await ask(client, asked) == "All about Tides"
        runs = (await client.get("/runs")).json()["runs"]
    assert [(run["status"], run["graph"]) for run in runs] == [("finished", "posts")]

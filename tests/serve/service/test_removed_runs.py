"""What a run gave out at each door before it was removed: no later run with its id is taken for that run."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import httpx
import pytest

from graphengine import Graph, Runner, Worker
from graphengine.errors import UnknownRun
from graphengine.kernel.extension import OwnId
from graphengine.serve.callers import Caller, acting
from graphengine.serve.guard import CALLER, TokenAccess
from graphengine.serve.notifications import News
from graphengine.serve.service.doors import DOORS, Opening

pytest.importorskip("ag_ui.core")
pytest.importorskip("mcp")
pytest.importorskip("a2a")
from a2a.types import TaskPushNotificationConfig

from graphengine.serve.service.a2a_door import A2aDoor
from tests.serve.service.client import service_of
from tests.serve.service.openai_flows import posts

pytestmark = pytest.mark.usefixtures("drawn_nonces")

Given = dict[str, Any]
MCP_HEADERS: Final = {"mcp-method": "tools/call", "mcp-name": "posts", "mcp-protocol-version": "2026-07-28"}
MCP_HEADERS_AND_TYPES: Final = {**MCP_HEADERS, "accept": "application/json, text/event-stream"}
MCP_META: Final = {
    "io.modelcontextprotocol/clientInfo": {"name": "c", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {"elicitation": {"form": {}}},
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "graphengine/run_id": "order",
}


class Request(NamedTuple):
    """A request of a client; `{cursor}` and the like in it is what the first life gave out."""

    method: str
    path: str
    body: Any = None
    headers: Mapping[str, str] = MappingProxyType({})

    async def sent(self, client: httpx.AsyncClient, given: Given) -> httpx.Response:
        """Send it with what was given out."""

        def filled(value: Any) -> Any:
            if isinstance(value, dict):
                return {filled(name): filled(each) for name, each in value.items()}
            if isinstance(value, list):
                return [filled(each) for each in value]
            return value.format_map(given) if isinstance(value, str) else value

        body, headers = filled(self.body), filled({**self.headers})
        return await client.request(self.method, filled(self.path), json=body, headers=headers)


class Door(NamedTuple):
    """A door: what begins a run, what that gives out, and what is done with it later."""

    begin: Request
    read: Callable[[httpx.AsyncClient, httpx.Response], Awaitable[Given]]
    uses: list[Request]
    code: object


def rpc(method: str, **params: Any) -> dict[str, Any]:
    """Return a request of JSON-RPC."""
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}


def mcp_call(**more: Any) -> Request:
    """Return a call of the tool."""
    params = {"name": "posts", "arguments": {"title": "Tides"}, "_meta": MCP_META, **more}
    return Request("POST", "/mcp", rpc("tools/call", **params), MCP_HEADERS_AND_TYPES)


def a2a_call(method: str, **params: Any) -> Request:
    """Return a call of the agent."""
    return Request("POST", "/a2a/posts", rpc(method, **params), {"a2a-version": "1.0"})


def a2a_message(**more: Any) -> Request:
    """Return a message to the agent."""
    said = {"messageId": "m1", "role": "ROLE_USER", "parts": [{"text": "Tides"}], **more}
    return a2a_call("SendMessage", message=said)


def ag_ui(**more: Any) -> Request:
    """Return a request of AG-UI."""
    body = {"threadId": "t", "runId": "r", "messages": [], "tools": [], "context": [], "state": {"title": "Tides"}}
    return Request("POST", "/agui/posts", {**body, **more})


def ai_sdk(**more: Any) -> Request:
    """Return a request of the AI SDK."""
    return Request("POST", "/ai-sdk/posts", {"id": "t", "messages": [], "state": {"title": "Tides"}, **more})


def lines(answer: httpx.Response) -> list[Any]:
    """Return the events of a stream."""
    return [json.loads(line[6:]) for line in answer.text.splitlines() if line.startswith("data: {")]


async def of_http(client: httpx.AsyncClient, answer: httpx.Response) -> Given:
    """Return the run's place once it asks."""
    run = (await client.get(f"/runs/{answer.json()['run_id']}?wait=30")).json()
    return {"run": run["run_id"], "cursor": run["cursor"], "wait": run["waits"][0]["id"]}


async def of_openai(client: httpx.AsyncClient, answer: httpx.Response) -> Given:
    """Return the id of the response."""
    del client
    return {"run": answer.json()["metadata"]["run_id"], "response": answer.json()["id"]}


async def of_a2a(client: httpx.AsyncClient, answer: httpx.Response) -> Given:
    """Return the id of the task."""
    del client
    task = answer.json()["result"]["task"]["id"]
    return {"run": task.partition(" ")[0], "task": task}


async def of_mcp(client: httpx.AsyncClient, answer: httpx.Response) -> Given:
    """Return the state of the call."""
    del client
    found = answer.json() if answer.text.startswith("{") else lines(answer)[-1]
    return {"run": "order", "state": found["result"]["requestState"]}


async def of_ag_ui(client: httpx.AsyncClient, answer: httpx.Response) -> Given:
    """Return the id of the interrupt."""
    del client
    return {"run": "ge:thread:posts:t", "wait": lines(answer)[-1]["outcome"]["interrupts"][0]["id"]}


async def of_ai_sdk(client: httpx.AsyncClient, answer: httpx.Response) -> Given:
    """Return the id of the question."""
    del client
    asked = next(each["data"] for each in lines(answer) if each["type"] == "data-question")
    return {"run": "ge:thread:posts:t", "wait": asked["id"]}


NOT_FOUND: Final = -32001
"""The error of A2A for a task that does not exist."""
RESPOND: Final = Request("POST", "/v1/responses", {"model": "posts", "input": "Tides", "conversation": "c"})
DOORS_OF: Final = {
    "http": Door(
        Request("POST", "/graphs/posts/runs?run_id=order", {"title": "Tides"}),
        of_http,
        [
            Request("GET", "/runs/{run}?after={cursor}"),
            Request("GET", "/runs/{run}?after={cursor}&wait=1"),
            Request("GET", "/runs/{run}/events?after={cursor}"),
            Request("GET", "/runs/{run}/events", None, {"last-event-id": "{cursor}"}),
            Request("GET", "/runs/{run}/values/draft?after={cursor}"),
            Request("POST", "/runs/{run}/answer", {"id": "{wait}", "value": True}),
        ],
        "run_replaced",
    ),
    "openai": Door(
        RESPOND,
        of_openai,
        [
            Request("GET", "/v1/responses/{response}"),
            Request("GET", "/v1/responses/{response}/input_items"),
            Request("POST", "/v1/responses/{response}/cancel", {}),
            Request("DELETE", "/v1/responses/{response}"),
            Request("POST", "/v1/responses", {"model": "posts", "input": "yes", "previous_response_id": "{response}"}),
        ],
        "run_replaced",
    ),
    "a2a": Door(
        a2a_message(),
        of_a2a,
        [
            a2a_call("GetTask", id="{task}"),
            a2a_call("CancelTask", id="{task}"),
            a2a_call("ListTaskPushNotificationConfigs", taskId="{task}"),
            a2a_call("CreateTaskPushNotificationConfig", taskId="{task}", url="http://127.0.0.1:9", id="p"),
            a2a_message(messageId="m2", taskId="{task}", parts=[{"text": "yes"}]),
        ],
        NOT_FOUND,
    ),
    "mcp": Door(
        mcp_call(),
        of_mcp,
        [mcp_call(requestState="{state}", inputResponses={})],
        "run_replaced",
    ),
    "ag_ui": Door(
        ag_ui(),
        of_ag_ui,
        [
            ag_ui(resume=[{"interruptId": "{wait}", "status": "resolved", "payload": True}]),
            ag_ui(resume=[{"interruptId": "{wait}", "status": "cancelled"}]),
        ],
        "run_replaced",
    ),
    "ai_sdk": Door(
        ai_sdk(),
        of_ai_sdk,
        [ai_sdk(answers={"{wait}": True}, messages=[{"id": "a", "role": "assistant", "parts": []}])],
        "run_replaced",
    ),
}
"""For each door what a client keeps of a run, and where the client sends it again."""


@pytest.fixture(params=["memory", "sqlite", "postgres"])
async def runner(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Runner]:
    """A Runner in memory, then over a file, then over a server."""
    stores: dict[str, Callable[[], Any]] = {
        "memory": list,
        "sqlite": lambda: [tmp_path / "runs.db"],
        "postgres": lambda: [request.getfixturevalue("postgres")],
    }
    async with Runner(*stores[request.param]()) as made:
        yield made


@asynccontextmanager
async def serving(runner: Runner, graph: Graph[Any] = posts) -> AsyncIterator[httpx.AsyncClient]:
    """Serve a graph by all doors, without a socket."""
    async with AsyncExitStack() as stack:
        worker = Worker(runner, graph, queues=["default"], poll_seconds=0.01)
        service = service_of(runner, graph, worker=worker)
        access = TokenAccess("a token of these tests")
        routes = [
            route for door in DOORS for route in await door.open(Opening(service, access, "1", access.token, stack))
        ]
        working = asyncio.create_task(worker.run())
        stack.push_async_callback(asyncio.wait, [working])
        stack.callback(worker.stop)
        stack.callback(service.stop)
        application = service.application(*routes)

        async def called(scope: Any, receive: Any, send: Any) -> None:
            await application({**scope, CALLER: Caller("")}, receive, send)

        transport = httpx.ASGITransport(called)
        yield await stack.enter_async_context(httpx.AsyncClient(transport=transport, base_url="http://server"))


async def remove(runner: Runner, run_id: str) -> None:
    """Remove a run, as a prune does."""
    await runner.stop(run_id, final=True)
    assert await runner.store.remove([await runner.info(run_id)]) == {}


def code_of(answer: httpx.Response) -> object:
    """Return the code of a refusal, wherever the protocol has it; None for none."""
    found = answer.json() if answer.text.startswith("{") else (lines(answer) or [{}])[-1]
    if "result" in found:  # of MCP
        return str(found["result"]["content"][0]["text"]).partition(":")[0] if "content" in found["result"] else None
    assert answer.status_code in (200, 409), answer.text
    return (found.get("error") or found).get("code")


@pytest.mark.parametrize("door", DOORS_OF)
async def test_what_a_removed_run_gave_out_is_refused(runner: Runner, door: str) -> None:
    """The later run with the id goes on untouched, and what it gave out itself is taken."""
    begin, read, uses, code = DOORS_OF[door]
    async with serving(runner) as client:
        first = await read(client, await begin.sent(client, {}))
        await remove(runner, first["run"])
        second = await read(client, await begin.sent(client, {}))
        assert first["run"] == second["run"]
        assert {*first.values()} & {*second.values()} == {first["run"]}
        there = await runner.info(second["run"])
        for use in uses:
            assert code_of(await use.sent(client, first)) == code, use
        assert await runner.info(second["run"]) == there
        assert code_of(await uses[0].sent(client, second)) is None


@pytest.mark.parametrize("door", ["ag_ui", "ai_sdk"])
async def test_a_question_of_another_thread_is_not_valid(runner: Runner, door: str) -> None:
    """The other thread lives, so that the answer was sent to the wrong one: nothing is recorded in either."""
    begin, read, uses, _ = DOORS_OF[door]
    other = begin._replace(body={**begin.body, **({"threadId": "u"} if door == "ag_ui" else {"id": "u"})})
    async with serving(runner) as client:
        mine = await read(client, await begin.sent(client, {}))
        theirs = await read(client, await other.sent(client, {}))
        assert mine["wait"] != theirs["wait"]
        there = [await runner.info(f"ge:thread:posts:{name}") for name in "tu"]
        for use in uses:
            answer = await use.sent(client, theirs)
            assert (answer.status_code, answer.json()["error"]["code"]) == (422, "invalid_input"), use
        if door == "ag_ui":
            both = [{"interruptId": "{wait}", "status": "resolved", "payload": True}]
            both += [{**both[0], "interruptId": mine["wait"]}]
            assert (await ag_ui(resume=both).sent(client, theirs)).status_code == 422
        assert [await runner.info(f"ge:thread:posts:{name}") for name in "tu"] == there
        await remove(runner, "ge:thread:posts:u")  # now nobody knows whose question it was
        assert code_of(await uses[0].sent(client, theirs)) == "run_replaced"
        assert code_of(await uses[0].sent(client, mine)) is None


async def test_a_place_of_a_removed_task_gets_no_news_of_another(runner: Runner) -> None:
    """A push of the later task goes where its own client wants it, once, and is not taken for that of the first."""
    service = service_of(runner, posts)
    pushes = A2aDoor(service, "1").pushes
    place = TaskPushNotificationConfig(url="http://127.0.0.1:9/", id="p")

    async def begun() -> Any:
        await runner.start(posts, {"title": "Tides"}, run_id=OwnId("ge:thread:posts:m1")).result()
        return await runner.info("ge:thread:posts:m1")

    async def news() -> list[News]:
        every = await runner.runs(graph="a2a notification")
        return [News.model_validate(await runner.state_at(info.id, 1)) for info in every]

    with acting(Caller("")):
        first = await begun()
        await pushes.begin(first, place)
        assert await pushes.hand_on(runner) == 1
        await remove(runner, first.id)
        second = await begun()
        assert (second.id, second.seq) == (first.id, first.seq)
        assert await pushes.hand_on(runner) == 0
        assert await pushes.of_task(second) == []
        with pytest.raises(UnknownRun):
            await pushes.read(second, "p")
        assert [each.nonce for each in await news()] == [first.nonce]
        assert await pushes.post_of((await news())[0], "1") is None
        await pushes.begin(second, place)
        assert await pushes.hand_on(runner) == 1
        assert [each.nonce for each in await news()] == [second.nonce, first.nonce]
        assert await pushes.post_of((await news())[0], "1") is not None

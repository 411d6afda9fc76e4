"""Nobody comes to another person's conversation: each way to name one or a run, by users of two tenants and of none.

Every way of every door has a row here that says who comes to the same run by it. The routes, the fields of requests and
the headers that the service reads are counted: one without a row fails a test.
"""

import ast
import asyncio
import json
import re
from base64 import urlsafe_b64decode
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote
from uuid import uuid4

import pytest
from a2a import types as a2a
from ag_ui import core
from mcp import types as mcp
from pydantic import BaseModel
from starlette.datastructures import Headers

from graphengine import END, START, Agent, Graph
from graphengine.runner.ids import OwnId
from graphengine.serve import requests
from graphengine.serve.service import ai_sdk_door, conversations, openai_door
from graphengine.serve.users import UsersFile, write_users
from tests.kit.runs import SOON
from tests.serve.exchanges import Answer
from tests.serve.two_tenants import Place, desk, place, token_of, user
from tests.serve.two_tenants import request as requested

TENANT: Final[Mapping[str, str | None]] = {"ada": "acme", "ann": "acme", "bob": "globex", "chief": None, "cleo": None}
"""The users, and the tenant of each."""
TOKEN: Final = "the token of the server"  # noqa: S105 - a word of these tests
"""Who has it is no user: it can be anybody."""
CALLERS: Final = ("ada", "ada", "ann", "bob", "ann", "chief", "chief", TOKEN, "cleo", TOKEN)
"""Who sends the same, one after the other."""
CHAT, FORM = "helper-chat", "desk"

# --- Who comes to the same run ---------------------------------------------------------------------------------------

Rule = Callable[[int, str], object]
"""Returns of the number of a request and its caller what is equal for requests that come to the same run."""


def tenants(number: int, who: str) -> object:
    """A name is the tenant's: to have none is to be one more."""
    del number
    return str(TENANT.get(who))


def callers(number: int, who: str) -> object:
    """A request with a key is sent again by its own caller."""
    del number
    return who


def users(number: int, who: str) -> object:
    """A request without a key is sent again by its own caller, if that is a user."""
    return number if who == TOKEN else who


def nobody(number: int, who: str) -> object:
    """What is no identity begins anew."""
    del who
    return number


def first_callers(number: int, who: str) -> object:
    """The key is a part of the run's id: the first caller of a tenant has it, others of that tenant are refused."""
    first = next(other for other in CALLERS if tenants(0, other) == tenants(0, who))
    return who if who == first else f"refused {number}"


# --- Requests --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Way:
    """A way to name a conversation or a run.

    Attributes:
        route: The route.
        fields: The fields of the request that it is.
        rule: Who comes to the same run by it.
        body: The body; `VALUE` is what all callers call it, `NEW` what is new each time.
        path: The path, if it differs from the route.
        headers: Headers.
    """

    route: str
    fields: str
    rule: Rule
    body: Any
    path: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Its name."""
        return f"{self.route} {self.fields}"


COMPLETION: Final = {"model": CHAT, "messages": [{"role": "user", "content": "Hi VALUE"}]}
RESPONSE: Final = {"model": CHAT, "input": "Hi VALUE"}
META: Final[Mapping[str, Any]] = {
    f"io.modelcontextprotocol/{name}": value
    for name, value in (
        ("clientInfo", {"name": "c", "version": "1"}),
        ("clientCapabilities", {"elicitation": {"form": {}}}),
        ("protocolVersion", "2026-07-28"),
    )
}
OF_MCP: Final = {
    "mcp-method": "tools/call",
    "mcp-name": FORM,
    "mcp-protocol-version": "2026-07-28",
    "accept": "application/json, text/event-stream",
}
OF_A2A: Final = {"a2a-version": "1.0"}


def tool(**more: Any) -> dict[str, Any]:
    """Return a call of the tool of the form."""
    params = {"name": FORM, "arguments": {"text": "mine"}, "_meta": {**META}, **more}
    return {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}


def message(**more: Any) -> dict[str, Any]:
    """Return a message to the agent of the chat."""
    said = {"messageId": "NEW", "role": "ROLE_USER", "parts": [{"text": "Hi"}], **more}
    return {"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": {"message": said}}


def thread(**more: Any) -> dict[str, Any]:
    """Return a request of a front end by AG-UI."""
    said = {"id": "NEW", "role": "user", "content": "Hi"}
    return {"threadId": "NEW", "runId": "NEW", "messages": [said], "tools": [], "context": [], "state": {}, **more}


def chat(**more: Any) -> dict[str, Any]:
    """Return a request of a front end by the AI SDK."""
    return {"id": "NEW", "messages": [{"id": "NEW", "role": "user", "parts": [{"type": "text", "text": "Hi"}]}], **more}


START_, COMPLETE, RESPOND = "POST /graphs/{graph}/runs", "POST /v1/chat/completions", "POST /v1/responses"
AG_UI, AI_SDK, A2A, MCP = "POST /agui/{graph}", "POST /ai-sdk/{graph}", f"POST /a2a/{CHAT}", "ANY /mcp"
RUNS: Final = f"/graphs/{FORM}/runs"
KEYS: Final = ("idempotency-key", "webhook-id", "x-github-delivery")
NO_NAMES: Final = ("x-client-request-id", "x-request-id", "x-openwebui-user-id", "x-stainless-retry-count: 0")
"""Headers of clients that look like identities, and are none."""
RETRY: Final = {"x-stainless-retry-count": "1"}


def row(route: str, fields: str, rule: Rule, body: Any, *, path: str = "", **headers: str) -> Way:
    """Return a way, with headers whose names have underscores."""
    return Way(route, fields, rule, body, path, {name.replace("_", "-"): text for name, text in headers.items()})


def header(route: str, name: str, rule: Rule, body: Any, *, path: str = "") -> Way:
    """Return a way that is a header."""
    name, _, text = name.partition(": ")
    return Way(route, name, rule, body, path, {name: text or "VALUE"})


BEGINS: Final[Sequence[Way]] = [
    row(START_, "", nobody, {"text": "mine"}, path=RUNS),
    row(START_, "run_id", tenants, {"text": "mine"}, path=f"{RUNS}?run_id=VALUE"),
    row(START_, "tag", nobody, {"text": "mine"}, path=f"{RUNS}?tag=conversation:VALUE"),
    *(header(START_, each, first_callers, {"text": "mine"}, path=RUNS) for each in KEYS),
    *(header(START_, each, nobody, {"text": "mine"}, path=RUNS) for each in NO_NAMES),
    row(COMPLETE, "", nobody, COMPLETION),
    row(COMPLETE, "metadata", tenants, COMPLETION | {"metadata": {"conversation_id": "VALUE"}}),
    row(COMPLETE, "metadata of others", nobody, COMPLETION | {"metadata": {"user_id": "VALUE", "thread": "VALUE"}}),
    row(COMPLETE, "a retry", users, COMPLETION, x_stainless_retry_count="1"),
    *(header(COMPLETE, each, tenants, COMPLETION) for each in ("x-conversation-id", "x-openwebui-chat-id")),
    *(header(COMPLETE, each, callers, COMPLETION) for each in KEYS),
    *(header(COMPLETE, each, nobody, COMPLETION) for each in NO_NAMES),
    *(
        row(COMPLETE, each, nobody, COMPLETION | {each: "VALUE"})
        for each in ("user", "prompt_cache_key", "safety_identifier")
    ),
    row(RESPOND, "", nobody, RESPONSE),
    row(RESPOND, "conversation", tenants, RESPONSE | {"conversation": "VALUE"}),
    row(RESPOND, "conversation.id", tenants, RESPONSE | {"conversation": {"id": "VALUE"}}),
    row(RESPOND, "metadata", nobody, RESPONSE | {"metadata": {"conversation_id": "VALUE"}}),
    row(RESPOND, "a retry", users, RESPONSE, x_stainless_retry_count="1"),
    row(RESPOND, "a retry of a stream", users, RESPONSE | {"stream": True}, x_stainless_retry_count="2"),
    row(
        RESPOND, "a retry in a conversation", tenants, RESPONSE | {"conversation": "VALUE"}, x_stainless_retry_count="1"
    ),
    *(header(RESPOND, each, tenants, RESPONSE) for each in ("x-conversation-id", "x-openwebui-chat-id")),
    *(header(RESPOND, each, callers, RESPONSE) for each in KEYS),
    *(header(RESPOND, each, nobody, RESPONSE) for each in NO_NAMES),
    *(
        row(RESPOND, each, nobody, RESPONSE | {each: "VALUE"})
        for each in ("user", "prompt_cache_key", "safety_identifier")
    ),
    row(AG_UI, "thread_id", tenants, thread(threadId="VALUE"), path=f"/agui/{CHAT}"),
    row(AG_UI, "run_id", nobody, thread(runId="VALUE"), path=f"/agui/{CHAT}"),
    row(AG_UI, "parent_run_id", nobody, thread(parentRunId="VALUE"), path=f"/agui/{CHAT}"),
    row(
        AG_UI,
        "thread_id of a graph",
        tenants,
        thread(threadId="VALUE", state={"text": "NEW"}, messages=[]),
        path=f"/agui/{FORM}",
    ),
    row(AI_SDK, "id", tenants, chat(id="VALUE"), path=f"/ai-sdk/{CHAT}"),
    row(AI_SDK, "id of a graph", tenants, chat(id="VALUE", state={"text": "a"}), path=f"/ai-sdk/{FORM}"),
    row(A2A, "message_id", first_callers, message(messageId="VALUE"), path=f"/a2a/{CHAT}", **OF_A2A),
    row(A2A, "context_id", nobody, message(contextId="VALUE"), path=f"/a2a/{CHAT}", **OF_A2A),
    row(MCP, "", nobody, tool(), path="/mcp", **OF_MCP),
    row(MCP, "meta", tenants, tool(_meta={**META, "graphengine/run_id": "VALUE"}), path="/mcp", **OF_MCP),
]
"""The ways to begin, or to come to, a run by what a client calls it."""

BY_ID: Final[Sequence[Way]] = [
    row("GET /runs/{run_id:path}", "id", tenants, None, path="/runs/RUN"),
    row("GET /runs/{run_id:path}/events", "id", tenants, None, path="/runs/RUN/events"),
    row("POST /runs/{run_id:path}/answer", "id", tenants, {"id": "approve@3", "value": "a"}, path="/runs/RUN/answer"),
    row("POST /runs/{run_id:path}/messages", "id", tenants, {"topic": "a", "payload": 1}, path="/runs/RUN/messages"),
    row(RESPOND, "previous_response_id", tenants, RESPONSE | {"input": "NEW", "previous_response_id": "TURN"}),
    row("GET /v1/responses/{id}", "id", tenants, None, path="/v1/responses/TURN"),
    row("GET /v1/responses/{id}", "id of a stream", tenants, None, path="/v1/responses/TURN?stream=true"),
    row("GET /v1/responses/{id}/input_items", "id", tenants, None, path="/v1/responses/TURN/input_items"),
    row("POST /v1/responses/{id}/cancel", "id", tenants, {}, path="/v1/responses/TURN/cancel"),
    row("DELETE /v1/responses/{id}", "id", tenants, None, path="/v1/responses/TURN"),
    row(A2A, "task_id", tenants, message(taskId="RUN"), path=f"/a2a/{CHAT}", **OF_A2A),
    *(
        row(
            A2A,
            each,
            tenants,
            {"jsonrpc": "2.0", "id": 1, "method": each, "params": {"id": "RUN"}},
            path=f"/a2a/{CHAT}",
            **OF_A2A,
        )
        for each in ("GetTask", "SubscribeToTask", "CancelTask")
    ),
    row(MCP, "request_state", tenants, tool(requestState="STATE", inputResponses={}), path="/mcp", **OF_MCP),
    row("POST /runs/{run_id:path}/stop", "id", tenants, {}, path="/runs/RUN/stop"),
    row("POST /runs/{run_id:path}/resume", "id", tenants, {}, path="/runs/RUN/resume"),
    row("POST /runs/{run_id:path}/tags", "id", tenants, {"add": ["a"]}, path="/runs/RUN/tags"),
    row("POST /runs/{run_id:path}/branches", "id", tenants, {"at": 1}, path="/runs/RUN/branches"),
    row("POST /runs/{run_id:path}/branches/preview", "id", tenants, {"at": 1}, path="/runs/RUN/branches/preview"),
    row("GET /runs/{run_id:path}/state", "id", tenants, None, path="/runs/RUN/state"),
    row("GET /runs/{run_id:path}/values/{name}", "id", tenants, None, path="/runs/RUN/values/far"),
    row("GET /runs/{run_id:path}/steps/{seq}", "id", tenants, None, path="/runs/RUN/steps/1"),
    row("GET /runs/{run_id:path}/usage", "id", tenants, None, path="/runs/RUN/usage"),
    row("GET /runs/{run_id:path}/below", "id", tenants, None, path="/runs/RUN/below"),
    row("GET /runs/{run_id:path}/compare", "id", tenants, None, path="/runs/RUN/compare?other=RUN"),
    row("GET /runs/{run_id:path}/story", "id", tenants, None, path="/runs/RUN/story"),
]
"""The ways to come to a run by an id that the service gave out: who sees it comes to it."""
OF_CHATS: Final[Sequence[Way]] = [
    row("GET /ai-sdk/{graph}/{chat}", "chat", tenants, None, path=f"/ai-sdk/{CHAT}/VALUE"),
    row("GET /ai-sdk/{graph}/{chat}/stream", "chat", tenants, None, path=f"/ai-sdk/{CHAT}/VALUE/stream"),
]
"""The ways to read a chat by what a page calls it."""
NAME_NO_RUN: Final = {
    *("GET /health", "GET /openapi.json", "GET /runs", "GET /v1/models", "GET /v1/models/{name:path}"),
    *("GET /trends", "GET /sums", "GET /in_common", "GET /today"),  # those that are found exist for the caller
    *("GET /questions", "POST /bulk"),
    *("GET /a2a/{graph}/.well-known/agent-card.json", "GET /.well-known/agent-card.json", "POST /a2a/desk"),
}

# --- A service and its callers ---------------------------------------------------------------------------------------


@asynccontextmanager
async def opened(folder: Path, database: Path | str | None = None, **more: Graph[Any]) -> AsyncIterator[Place]:
    """Provide a service with a chat and a form, for the users above."""
    helper = Graph.chat(Agent("helper", by_rules=lambda question: f"You said: {question}"))
    graphs = {CHAT: helper, FORM: desk(), **more}
    async with place(folder, database or folder / "runs.db", graphs) as here:
        write_users(here.users, UsersFile([user(name, tenant=tenant) for name, tenant in TENANT.items()]))
        yield here


async def sent(here: Place, who: str, way: Way, names: Mapping[str, str], **headers: str) -> Answer:
    """Send a request of a caller."""

    def named(text: str) -> str:
        for word, name in {"NEW": f"n-{uuid4().hex}", **names}.items():
            text = text.replace(word, name)
        return text

    body = None if way.body is None else json.loads(named(json.dumps(way.body)))
    path = way.path or way.route.partition(" ")[2]
    for word, name in names.items():
        path = path.replace(word, quote(name, safe=""))
    method = "POST" if way.route.startswith("ANY") else way.route.partition(" ")[0]
    given = {name.replace("-", "_"): named(text) for name, text in {**way.headers, **headers}.items()}
    token = "the-token-of-everything" if who == TOKEN else token_of(who)
    # A stream that begins with what is not an error has found its run; some do not end.
    ends = partial(re.search, r"\n\n.*\n\n", flags=re.DOTALL) if "/events" in path else None
    until = None if ends is None else lambda text: ends(text) is not None
    return await requested(here.service, token, method, path, body, until=until, **given)


def is_refused(answer: Answer) -> bool:
    """Return whether an answer, which can be one of JSON-RPC or a stream, says that there is nothing for the caller."""
    trouble = r'"isError":\s*true|"error":\s*\{|"type":\s*"(error|RUN_ERROR)"|event: error'
    return answer.status >= 400 or answer.status == 204 or re.search(trouble, answer.text) is not None


async def reached(here: Place, who: str, way: Way, value: str) -> str:
    """Send a request; return the run to which it came, or why to none.

    Answers have its id, but for those of AG-UI: each message there is new, so that the run of a chat has a new step,
    and that of a graph still has the text of the first.
    """
    before = {info.id: info.seq for info in await here.runner.runs()}
    answer = await sent(here, who, way, {"VALUE": value})
    if is_refused(answer):
        return f"refused: {answer.status} {answer.text[:300]}"
    if way.route == AG_UI:
        text = re.search(r'"snapshot":\{"text":"([^"]*)"', answer.text)
        changed = [info.id for info in await here.runner.runs() if before.get(info.id) != info.seq]
        return text[1] if text is not None else changed[0]
    if way.route == COMPLETE:
        name = answer.json["id"].removeprefix("chatcmpl-")
        return urlsafe_b64decode(name + "=" * (-len(name) % 4)).decode().split(":", 2)[2]
    found = re.search(r'"(?:run_id|runId|graphengine/run_id)":\s*"([^"]*)"', answer.text)
    if found is None:
        return str(answer.json["result"]["task"]["id"]).partition(" ")[0]  # of A2A
    return found[1]


def groups(names: Sequence[object]) -> Sequence[int]:
    """Return of each name where the same name came first: equal for equal partitions."""
    return [names.index(each) for each in names]


# --- The law ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kept", ["sqlite", "postgres"])
async def test_who_names_the_same_comes_to_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: str, request: pytest.FixtureRequest
) -> None:
    """By every way of every door; every header that the service reads on the way has a row, or names nothing."""
    read = set[str]()
    get = Headers.__getitem__

    def getting(self: Headers, key: str) -> str:
        read.add(key.lower())
        return get(self, key)

    monkeypatch.setattr(Headers, "__getitem__", getting)
    wrong = list[str]()
    database = request.getfixturevalue("postgres") if kept == "postgres" else None
    async with opened(tmp_path, database) as here:
        for way in BEGINS:
            value = uuid4().hex
            found = [await reached(here, who, way, value) for who in CALLERS]
            expected = [way.rule(number, who) for number, who in enumerate(CALLERS)]
            refused = [str(each).startswith("refused") for each in expected]
            if [each.startswith("refused: ") for each in found] != refused:
                wrong += [way.name, *found]
                continue
            found = [f"{each} {number}" if refused[number] else each for number, each in enumerate(found)]
            if groups(found) != groups(expected):
                wrong += [way.name, *(f"{who}: {each}" for who, each in zip(CALLERS, found, strict=True))]
            owner = {info.id: info.tenant for info in await here.runner.runs(limit=20)}
            whose = [(owner[each], TENANT.get(who)) for who, each in zip(CALLERS, found, strict=True) if each in owner]
            wrong += [f"{way.name}: {one}'s run, {other}'s caller" for one, other in whose if one != other]
    assert not wrong, "\n".join(wrong)
    known = {name for way in (*BEGINS, *BY_ID) for name in way.headers}
    assert read - known <= NAMELESS


NAMELESS: Final = {
    *("host", "origin", "x-graphengine", "authorization", "content-type", "content-encoding", "content-length"),
    *("x-text", "x-ai-sdk-version"),  # how an answer is sent
    "mcp-session-id",  # of a client that is told what happens: the SDK serves it only to the user who began it
}
"""Headers that the service reads, and that name neither a run nor a request."""


async def test_an_id_leads_whoever_sees_its_run_to_it(tmp_path: Path) -> None:
    """Users of the tenant, and those who see all; a user of another tenant is answered as for none."""
    wrong = list[str]()
    async with opened(tmp_path) as here:
        for way in BY_ID:
            for who in ("bob", "ada", "ann", "chief", TOKEN):
                names = await begun(here, way)
                answer = await sent(here, who, way, names)
                if is_lost(answer) != (who == "bob"):
                    wrong.append(f"{way.name} {who}: {answer.status} {answer.text[:300]}")
    assert not wrong, "\n".join(wrong)


def is_lost(answer: Answer) -> bool:
    """Return whether an answer is that there is no such run; any other refusal has found it."""
    lost = r"has no run|TaskNotFound|-32001|Task not found"
    return answer.status == 404 or re.search(lost, answer.text) is not None


async def begun(here: Place, way: Way) -> Mapping[str, str]:
    """Begin a run of a user of a tenant; return what the service calls it."""
    if way.route == MCP:
        asked = (await sent(here, "ada", row(MCP, "", nobody, tool(), path="/mcp", **OF_MCP), {})).text
        return {"STATE": json.loads(asked[asked.index("{") :].splitlines()[0])["result"]["requestState"]}
    if way.route == A2A:
        first = row(A2A, "", nobody, message(), path=f"/a2a/{CHAT}", **OF_A2A)
        return {"RUN": (await sent(here, "ada", first, {})).json["result"]["task"]["id"]}
    first = (await sent(here, "ada", row(RESPOND, "", nobody, RESPONSE), {})).json
    return {"TURN": first["id"], "RUN": first["metadata"]["run_id"]}


async def test_a_chat_is_read_by_its_own_tenant(tmp_path: Path) -> None:
    """By the name that a page has for it; to all others there is none, also to those who see the runs of all."""
    async with opened(tmp_path) as here:
        for first, own in (("ada", {"ada", "ann"}), ("chief", {"chief", "cleo", TOKEN})):
            value = uuid4().hex
            said = row(AI_SDK, "id", tenants, chat(id="VALUE"), path=f"/ai-sdk/{CHAT}")
            await sent(here, first, said, {"VALUE": value})
            for way in OF_CHATS:
                answers = {who: await sent(here, who, way, {"VALUE": value}) for who in CALLERS}
                assert {who for who, each in answers.items() if "You said" in each.text} == own, way.name


async def test_every_route_has_a_row(tmp_path: Path) -> None:
    """A door that is added fails here until its ways have one."""
    async with opened(tmp_path) as here:
        routes = {way.route for way in (*BEGINS, *BY_ID, *OF_CHATS)}
        assert here.routes["service"] - NAME_NO_RUN == routes


FIELDS: Final[Mapping[str, tuple[Any, set[str]]]] = {
    # Of each door what it reads of a request, and what of that names neither a conversation nor a run.
    START_: (requests.StartParameters.__struct_fields__, {"field", "queue", "priority", "tenant", "user"}),
    COMPLETE: (
        openai_door._ChatRequest.__struct_fields__,  # noqa: SLF001 - what the door reads
        {
            *("model", "messages", "stream", "stream_options", "n", "response_format", "tool_choice"),
            *("function_call", "modalities", "logprobs"),
        },
    ),
    RESPOND: (
        openai_door._ResponseRequest.__struct_fields__,  # noqa: SLF001 - what the door reads
        {"model", "input", "stream", "background", "instructions", "text", "tool_choice", "prompt"},
    ),
    AG_UI: (
        core.RunAgentInput.model_fields,
        {"state", "messages", "tools", "context", "forwarded_props", "resume", "protocol_version"},
    ),
    AI_SDK: (ai_sdk_door._Sent.model_fields, {"messages", "trigger", "state", "answers"}),  # noqa: SLF001
    A2A: (a2a.Message.DESCRIPTOR.fields_by_name, {"role", "parts", "metadata", "extensions", "reference_task_ids"}),
    MCP: (mcp.CallToolRequestParams.model_fields, {"name", "arguments", "input_responses", "task"}),
}


@pytest.mark.parametrize("route", FIELDS)
def test_every_field_of_a_request_has_a_row_or_names_nothing(route: str) -> None:
    """A way that is added fails here until it has one."""
    fields, others = FIELDS[route]
    rows = {way.fields for way in (*BEGINS, *BY_ID) if way.route == route}
    assert {*fields} - others <= rows
    assert not others & rows


# --- Requests that are sent again ------------------------------------------------------------------------------------


class Slow(BaseModel):
    text: str
    done: str = ""


@dataclass
class Gate:
    """What a node of a graph waits for, unless it is to fail."""

    opens: asyncio.Event = field(default_factory=asyncio.Event)
    began: asyncio.Event = field(default_factory=asyncio.Event)
    fails: bool = False
    calls: int = 0

    def graph(self) -> Graph[Slow]:
        """Return the graph, which one text can start."""

        async def wait(text: str) -> str:
            self.calls += 1
            self.began.set()
            if self.fails:
                raise ValueError(text)
            await asyncio.wait_for(self.opens.wait(), SOON)
            return f"{text} is done"

        graph = Graph("slow", Slow, result="done")
        graph.add_node("wait", wait, writes="done")
        graph.add_path(START, "wait", END)
        return graph


async def respond(here: Place, who: str, headers: Mapping[str, str] | None = None, **body: Any) -> Any:
    """Ask for a response; return it."""
    way = Way(RESPOND, "", nobody, {"model": "slow", "input": "Hi", **body}, headers=headers or {})
    answer = await sent(here, who, way, {})
    assert answer.status == 200, answer.text
    return answer.json


def run_of(response: Any) -> str:
    """Return the id of the run of a response."""
    return str(response["metadata"]["run_id"])


async def conversation_of(here: Place, response: Any) -> str:
    """Return the name of the conversation of a response."""
    (tag,) = [each for each in (await here.runner.info(run_of(response))).tags if each.startswith("ge:conversation:")]
    return tag.removeprefix("ge:conversation:")


@pytest.mark.parametrize("key", [{}, {"idempotency-key": "k"}], ids=["a user", "a key"])
async def test_a_request_that_comes_again_joins_its_run_at_work(tmp_path: Path, key: Mapping[str, str]) -> None:
    """That is what retries are for: its client has waited as long as it wanted. The node is called once."""
    gate = Gate()
    async with opened(tmp_path, slow=gate.graph()) as here:
        first = asyncio.create_task(respond(here, "ada", key))
        await asyncio.wait_for(gate.began.wait(), SOON)
        again = asyncio.create_task(respond(here, "ada", {**RETRY, **key}))
        other = asyncio.create_task(respond(here, "ann", {**RETRY, **key}))
        gate.opens.set()
        one, two, three = [await each for each in (first, again, other)]
        assert one["id"] == two["id"] != three["id"]
        assert one["output"][0]["content"][0]["text"] == "Hi is done"
        assert gate.calls == 2


@pytest.mark.parametrize("key", [{}, {"idempotency-key": "k"}], ids=["a user", "a key"])
async def test_a_request_that_comes_again_after_a_failure_gets_it(tmp_path: Path, key: Mapping[str, str]) -> None:
    """What failed was recorded: it is not done anew behind the back of who resumes it."""
    gate = Gate(fails=True)
    async with opened(tmp_path, slow=gate.graph()) as here:
        first, again = [await respond(here, "ada", {**more, **key}) for more in ({}, RETRY)]
        assert [each["status"] for each in (first, again)] == ["failed", "failed"]
        assert (first["id"], gate.calls) == (again["id"], 1)


@pytest.mark.parametrize("model", [CHAT, "slow"])
async def test_a_request_without_a_key_is_known_while_its_reply_may_be_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: str
) -> None:
    """Not once its conversation went on, if there are two such, by another body, or long after the reply.

    A chat goes on in the same run, another graph in a run after it.
    """
    gate = Gate()
    gate.opens.set()
    async with opened(tmp_path, slow=gate.graph()) as here:

        async def said(who: str, headers: Mapping[str, str] | None = None, **body: Any) -> str:
            return await conversation_of(here, await respond(here, who, headers, model=model, **body))

        response = await respond(here, "ada", model=model)
        first = await conversation_of(here, response)
        assert await said("ada", RETRY, stream=False) == first
        others: list[dict[str, Any]] = [{"user": "a customer"}, {"instructions": "Be brief."}, {"metadata": {"a": "b"}}]
        assert first not in [await said("ada", RETRY, **each) for each in others]
        assert await said("ada", RETRY) == first
        assert await said("ada", input="on", previous_response_id=response["id"]) == first
        second = await said("ada", RETRY)
        third = await said("ada")  # the same is said twice, without a word of a retry
        assert len({first, second, third, await said("ada", RETRY)}) == 4
        ours = await said("ann")
        assert await said("ann", RETRY) == ours
        monkeypatch.setattr(conversations, "RETRY_SECONDS", 0.0)
        assert await said("ann", RETRY) != ours


async def test_a_key_is_of_one_request(tmp_path: Path) -> None:
    """Another body with it is another request; how it is answered does not count. No client can name what it begins."""
    gate = Gate()
    gate.opens.set()
    async with opened(tmp_path, slow=gate.graph()) as here:
        key = {"idempotency-key": "k"}
        first = await respond(here, "ada", key)
        name = await conversation_of(here, first)
        assert run_of(await respond(here, "ada", key, background=True)) == run_of(first)
        others = [await respond(here, "ada", key, input="Ho")]
        others += [await respond(here, "ada", conversation=each) for each in ("k", name)]
        assert name not in [await conversation_of(here, each) for each in others]


async def test_two_servers_get_the_same_request_at_once(tmp_path: Path) -> None:
    """The id of the run comes from the request, so that the store decides: one run, one reply."""
    gate = Gate()
    gate.opens.set()
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    database = tmp_path / "runs.db"
    servers = [opened(tmp_path / name, database, slow=gate.graph()) for name in ("a", "b")]
    async with servers[0] as one, servers[1] as other:
        asking = (respond(here, who, {"idempotency-key": "k"}) for who in ("ada", TOKEN) for here in (one, other))
        found = [run_of(each) for each in await asyncio.gather(*asking)]
    assert groups(found) == [0, 0, 2, 2]
    assert gate.calls == 2


# --- Whose a run is --------------------------------------------------------------------------------------------------


async def test_a_conversation_that_is_continued_by_its_id_stays_its_tenants(tmp_path: Path) -> None:
    """An operator without a tenant follows a response of one: the run after it is that tenant's, who finds it."""
    gate = Gate()
    gate.opens.set()
    async with opened(tmp_path, slow=gate.graph()) as here:
        first = await respond(here, "ada", conversation="support")
        await respond(here, "chief", conversation="support")
        after = await respond(here, "chief", input="more", previous_response_id=first["id"])
        info = await here.runner.info(run_of(after))
        assert (info.tenant, info.user, info.id.split("/")[0]) == ("acme", "chief", "acme")
        assert run_of(after) != run_of(first)
        assert run_of(await respond(here, "ann", input="even more", previous_response_id=after["id"])) != run_of(after)
        assert {each.tenant for each in await here.runner.runs(tag="ge:conversation:support")} == {"acme", None}


async def test_the_ids_of_a_response_tell_nothing_of_its_run(tmp_path: Path) -> None:
    """An application may pass them on, so nobody can read the tenant, the graph or the conversation in them."""
    gate = Gate()
    gate.opens.set()
    async with opened(tmp_path, slow=gate.graph()) as here:
        first = await respond(here, "ada", conversation="support")
        for name in (first["id"], first["output"][0]["id"]):
            text = urlsafe_b64decode(f"{name.partition('_')[2]}==").decode()
            assert not [word for word in ("acme", "ge:", "slow", "support") if word in text]
        other = await here.send("bob", "GET", f"/v1/responses/{first['id']}")
        assert (other.status, "acme" in other.text) == (404, False)


async def test_a_conversation_of_no_tenant_is_found_below_those_of_many(tmp_path: Path) -> None:
    """However many newer ones tenants have of the same name."""
    gate = Gate()
    gate.opens.set()
    async with opened(tmp_path, slow=gate.graph()) as here:
        await respond(here, "chief", conversation="support")
        for number in range(3):
            await respond(here, "ada", conversation="support", input=f"{number}")
        again = await respond(here, "cleo", conversation="support", input="again")
        assert (await here.runner.info(run_of(again))).id.startswith("ge:thread:slow:support:")  # the second of two


async def test_a_key_of_one_tenant_starts_nothing_for_another(tmp_path: Path) -> None:
    """A program without a tenant that starts runs for many gets no run of one as that of another, nor of a user."""
    async with opened(tmp_path) as here:
        for name, text in (("tenant", "another tenant"), ("user", "another user")):
            key = {"idempotency-key": name}
            ways = [Way(START_, "", nobody, {"text": "a"}, f"{RUNS}?{name}={each}", key) for each in "aab"]
            answers = [await sent(here, TOKEN, way, {}) for way in ways]
            assert [each.status for each in answers] == [201, 200, 409]
            assert f"was started with {text}" in answers[2].text


async def test_a_name_is_not_taken_for_the_id_of_a_tenants_run(tmp_path: Path) -> None:
    """A program can start a run for a tenant under any id; a thread of none with this id is refused."""
    async with opened(tmp_path) as here:
        run = here.runner.start(desk(), {"text": "a"}, run_id=OwnId(f"ge:thread:{FORM}:x"), tenant="acme")
        assert (await run.result()).status == "waiting"
        for route, body in (
            (AG_UI, thread(threadId="x", state={"text": "a"})),
            (AI_SDK, chat(id="x", state={"text": "a"})),
        ):
            way = row(route, "", nobody, body, path=route.partition(" ")[2].replace("{graph}", FORM))
            assert "was started with another tenant" in (await sent(here, "chief", way, {})).text
        way = row(OF_CHATS[0].route, "", nobody, None, path=f"/ai-sdk/{FORM}/x")
        assert (await sent(here, "chief", way, {})).json == []


async def test_the_id_of_a_message_is_of_one_message(tmp_path: Path) -> None:
    """Of A2A: other words with it are refused, and do not reach the task that it began."""
    async with opened(tmp_path) as here:
        texts = list[str]()
        for each in ("Hi", "Hi", "my PIN is 4711"):
            said = message(messageId="m", parts=[{"text": each}])
            texts.append((await sent(here, "ada", row(A2A, "", nobody, said, path=f"/a2a/{CHAT}", **OF_A2A), {})).text)
        assert "You said: Hi" in texts[0]
        assert texts[0] == texts[1]
        assert "began with another message" in texts[2]


# --- One place -------------------------------------------------------------------------------------------------------

SEARCHES: Final = {
    "service/conversations.py": "finds what a client names",
    "service/app.py": "asks whether the store works",
    "service/a2a_door.py": "lists tasks, and looks at places for push notifications",
}
"""The files of the service that search for runs, and for what; this list only shrinks."""
NAMES: Final = {
    "service/conversations.py": "the runs of a conversation",
    "service/front_end.py": "the run of a thread or chat",
    "service/mcp_door.py": "a run's own id",
    "service/a2a_door.py": "the id of a message, and places for push notifications",
}
"""The files of the service that make the id of a run of a name."""
DOORS: Final = {"service/openai_door.py", "service/front_end.py"}
"""The doors with conversations, those of AG-UI and the AI SDK by `Thread`. All others begin a run by its id."""


def calls_of(source: str, *names: str) -> bool:
    """Return whether a source calls one of these functions or methods."""
    calls = [node.func for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    return any(getattr(each, "attr", getattr(each, "id", "")) in names for each in calls)


def test_one_function_finds_conversations() -> None:
    """Else a door would look for one by a tag, or in another way of its own, and forget whose it is."""
    serve = Path(conversations.__file__).parents[1]
    texts = {path.relative_to(serve).as_posix(): path.read_text("utf-8") for path in (serve / "service").rglob("*.py")}
    assert {name for name, text in texts.items() if calls_of(text, "runs", "infos")} == {*SEARCHES}
    assert {
        name for name, text in texts.items() if calls_of(text, "derive_id", "derived_id", "own_id", "tenants_id")
    } == {*NAMES}
    imports = "from graphengine.serve.service.conversations import "
    finding = {name for name, text in texts.items() if imports in text and re.search(r"\bawait find\(", text)}
    assert finding == DOORS

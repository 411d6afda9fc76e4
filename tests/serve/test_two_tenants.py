"""Nobody sees or reaches a run of another tenant: both tenants try every route of the service, its doors and the page.

The list of routes is made from the applications: a route without a case here fails a test.
"""

import json
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from graphengine import END, START, Context, Graph
from graphengine.budgets.ledger import Hold, Ledger, window_of
from graphengine.budgets.ledger import Place as Account
from graphengine.serve.users import UsersFile, write_users
from tests.serve.exchanges import Answer
from tests.serve.two_tenants import BUDGETS, MARK, TENANTS, Place, Post, desk, place, request, token_of, user

KEY = "k1"
"""What both tenants call their runs, threads, chats and conversations."""
RUN, NONE = f"acme/ge:key:desk:{KEY}", f"acme/ge:key:desk:{KEY[0]}2"
"""A run of the first tenant, and none of anybody."""
NOBODYS = "@nobodys"
pytestmark = pytest.mark.parametrize("kept", ["sqlite", "postgres"])


@dataclass(frozen=True)
class Try:
    """A request about a run, or one that is the same for every tenant.

    Attributes:
        path: The path; `RUN` is the run.
        body: The body; None for a GET.
        is_about_run: Whether it is about a run: to another tenant it is answered as for a run that does not exist.
        waits: Whether the answer to the run's own tenant is a stream that does not end.
        method: The method, if it is not GET or POST.
    """

    path: str
    body: Any = None
    is_about_run: bool = True
    waits: bool = False
    method: str = ""

    @property
    def shows(self) -> bool:
        """Whether it shows its own tenant what the run was started with; some reads show other things of it."""
        blind = (
            *("before=", "/lines", "/branches", "/below", "/usage", "/find", "/scores", "/why_not"),
            *("cancel", "compare?other", "/values/"),
        )
        return (
            self.is_about_run and self.body is None and not self.method and not any(text in self.path for text in blind)
        )

    def of(self, run_id: str) -> tuple[str, str, Any]:
        """Return the method, path and body of a request about a run."""
        body = json.loads(json.dumps(self.body).replace("RUN", run_id)) if self.body is not None else None
        method = self.method or ("GET" if self.body is None else "POST")
        return method, self.path.replace("RUN", quote(run_id, safe="")), body


def plain(path: str, body: Any = None) -> Try:
    """Return a request that is not about a run: its answer to a tenant has nothing of the other one."""
    return Try(path, body, is_about_run=False)


STARTED = {"text": "mine"}
TALK: dict[str, Any] = {"model": "desk", "messages": [{"role": "user", "content": "mine"}]}
AG_UI = {"threadId": KEY, "runId": "r", "messages": [], "tools": [], "context": [], "state": STARTED}
SERVICE: Mapping[str, list[Try]] = {
    "GET /health": [plain("/health")],
    "GET /openapi.json": [plain("/openapi.json")],
    "POST /graphs/{graph}/runs": [plain("/graphs/desk/runs?run_id=RUN", STARTED), plain("/graphs/desk/runs", STARTED)],
    "GET /runs": [
        plain("/runs"),
        plain("/runs?tag=secret"),
        plain("/runs?graph=desk&status=waiting"),
        plain("/runs?text=hunter"),
        plain("/runs?text=tenant:acme"),
        plain("/runs?text=user:acme&limit=1"),
        Try("/runs?before=RUN"),
    ],
    "GET /trends": [
        plain("/trends"),
        plain("/trends?by=tag"),
        plain("/trends?text=tenant:acme"),
        plain("/trends?text=hunter"),
    ],
    "GET /sums": [plain("/sums"), plain("/sums?text=tenant:acme"), plain("/sums?text=hunter")],
    "GET /today": [plain("/today"), plain("/today?by=tenant"), plain("/today?by=version")],
    "GET /questions": [plain("/questions"), Try("/questions?run_id=RUN")],
    "POST /bulk": [
        plain("/bulk", {"action": "tag", "tag": "seen", "ids": ["RUN"]}),
        plain("/bulk", {"action": "stop", "where": {}}),
        plain("/bulk", {"action": "cancel", "where": {"text": "tenant:acme"}}),
        plain("/bulk", {"action": "prune", "where": {"text": "hunter"}}),
        plain("/bulk", {"action": "retry", "where": {"tag": "secret"}}),
    ],
    "GET /runs/{run_id:path}/state": [Try("/runs/RUN/state"), Try("/runs/RUN/state?at=1")],
    "GET /in_common": [plain("/in_common"), plain("/in_common?text=tenant:acme")],
    "GET /runs/{run_id:path}/usage": [Try("/runs/RUN/usage")],
    "GET /runs/{run_id:path}/below": [Try("/runs/RUN/below")],
    "GET /runs/{run_id:path}/steps/{seq}": [Try("/runs/RUN/steps/1")],
    "GET /runs/{run_id:path}/compare": [Try("/runs/RUN/compare?other=RUN")],
    "GET /runs/{run_id:path}/story": [Try("/runs/RUN/story"), Try("/runs/RUN/story?other=RUN")],
    "POST /runs/{run_id:path}/resume": [Try("/runs/RUN/resume", {}), Try("/runs/RUN/resume", {"no": 1})],
    "POST /runs/{run_id:path}/tags": [Try("/runs/RUN/tags", {"add": ["seen"], "remove": ["secret"]})],
    "POST /runs/{run_id:path}/branches": [
        Try("/runs/RUN/branches", {"at": 1}),
        Try("/runs/RUN/branches", {"at": 1, "child": "mine"}),
        Try("/runs/RUN/branches", {"at": 99}),
    ],
    "POST /runs/{run_id:path}/branches/preview": [
        Try("/runs/RUN/branches/preview", {"at": 1, "update": {"text": "b"}})
    ],
    "GET /runs/{run_id:path}/values/{name}": [Try("/runs/RUN/values/far"), Try("/runs/RUN/values/far?wait=1&after=9")],
    "GET /runs/{run_id:path}": [Try("/runs/RUN"), Try("/runs/RUN?wait=1&after=90")],
    "POST /runs/{run_id:path}/answer": [
        Try("/runs/RUN/answer", {"id": "approve@3", "value": True}),
        Try("/runs/RUN/answer", {"no": 1}),
    ],
    "POST /runs/{run_id:path}/messages": [Try("/runs/RUN/messages", {"topic": "a", "payload": 1})],
    "POST /runs/{run_id:path}/stop": [Try("/runs/RUN/stop", {})],
    "GET /runs/{run_id:path}/events": [Try("/runs/RUN/events", waits=True)],
    "POST /agui/{graph}": [plain("/agui/desk", AG_UI)],
    "POST /ai-sdk/{graph}": [plain("/ai-sdk/desk", {"id": KEY, "messages": [], "state": STARTED})],
    "GET /ai-sdk/{graph}/{chat}": [plain(f"/ai-sdk/desk/{KEY}"), plain("/ai-sdk/desk/RUN")],
    "GET /ai-sdk/{graph}/{chat}/stream": [plain(f"/ai-sdk/desk/{KEY}/stream"), plain("/ai-sdk/desk/RUN/stream")],
    "GET /v1/models": [plain("/v1/models")],
    "GET /v1/models/{name:path}": [plain("/v1/models/desk")],
    "POST /v1/chat/completions": [plain("/v1/chat/completions", TALK | {"metadata": {"conversation_id": KEY}})],
    "POST /v1/responses": [
        plain("/v1/responses", {"model": "desk", "input": "mine", "conversation": KEY}),
        Try("/v1/responses", {"model": "desk", "input": "mine", "previous_response_id": "TURN"}),
    ],
    "GET /v1/responses/{id}": [Try("/v1/responses/TURN"), Try("/v1/responses/TURN?stream=true", waits=True)],
    "GET /v1/responses/{id}/input_items": [plain("/v1/responses/TURN/input_items")],
    "POST /v1/responses/{id}/cancel": [Try("/v1/responses/TURN/cancel", {})],
    "DELETE /v1/responses/{id}": [Try("/v1/responses/TURN", method="DELETE")],
    "GET /a2a/{graph}/.well-known/agent-card.json": [plain("/a2a/desk/.well-known/agent-card.json")],
    "GET /.well-known/agent-card.json": [plain("/.well-known/agent-card.json")],
    "POST /a2a/desk": [],  # each method of the protocol: see below
    "ANY /mcp": [],
}
OF_SERVICE = (
    *("POST /graphs/{graph}/runs", "GET /runs", "GET /sums", "GET /today", "GET /questions", "POST /bulk"),
    *("GET /in_common", "GET /runs/{run_id:path}/usage", "GET /runs/{run_id:path}/below"),
    *("GET /runs/{run_id:path}/state", "GET /runs/{run_id:path}/steps/{seq}", "GET /runs/{run_id:path}/story"),
    *("POST /runs/{run_id:path}/answer", "POST /runs/{run_id:path}/messages", "POST /runs/{run_id:path}/stop"),
    *("POST /runs/{run_id:path}/resume", "POST /runs/{run_id:path}/tags", "POST /runs/{run_id:path}/branches"),
    "POST /runs/{run_id:path}/branches/preview",
)
"""The routes of the service that the page has below `/api`."""
READS = (
    *("branches", "run", "rows", "find&text=a", "scores&path=text", "export", "fields", "lines"),
    *("moments&field=text", "why_not&edge=0"),
)
LISTS = (
    *("overview", "tally", "tables", "all_graphs", "session", "form&graph=desk", "problems&graph=desk"),
    *("graph&graph=desk", "picture&fingerprint=PRINT", "in_results&text=false"),
)
PAGES = ("/", "/run", "/compare", "/graph", "/graphs", "/questions", "/today")
INSPECTOR: Mapping[str, list[Try]] = {
    **{f"GET {page}": [plain(page)] for page in PAGES},
    "GET /static/{name:path}": [plain("/static/app.js")],
    "GET /signed_in": [plain("/signed_in")],
    "GET /provider": [plain("/provider")],
    **{
        each.replace(" ", " /api"): [replace(one, path=f"/api{one.path}") for one in SERVICE[each]]
        for each in OF_SERVICE
    },
    **{
        f"GET /api/{name.partition('&')[0]}": [
            Try(f"/api/{name.partition('&')[0]}?run_id=RUN&{name.partition('&')[2]}")
        ]
        for name in READS
    },
    **{
        f"GET /api/{name.partition('&')[0]}": [plain(f"/api/{name.partition('&')[0]}?{name.partition('&')[2]}")]
        for name in LISTS
    },
    "GET /api/compare": [Try("/api/compare?run_id=RUN&other=RUN")],
    "GET /api/events": [Try("/api/events?run_id=RUN", waits=True)],
}


@pytest.fixture
def database(kept: str, tmp_path: Path, request: pytest.FixtureRequest) -> Path | str:
    """Return a database."""
    found: Path | str = request.getfixturevalue("postgres") if kept == "postgres" else tmp_path / "runs.db"
    return found


@asynccontextmanager
async def opened(folder: Path, database: Path | str) -> AsyncIterator[Place]:
    """Provide both servers, with a run of the first tenant that waits, and its tag."""
    async with place(folder, database, {"desk": desk()}) as found:
        begun = await found.send("acme", "POST", "/graphs/desk/runs?tag=secret", {"text": MARK}, idempotency_key=KEY)
        assert begun.json["run_id"] == RUN
        assert MARK in (await found.send("acme", "GET", f"/runs/{RUN}?wait=30")).text
        yield found


async def turn_of(here: Place) -> str:
    """Return the name of a response of the first tenant."""
    asked = {"model": "desk", "input": f"{MARK} says", "conversation": "talk"}
    answer = (await here.send("acme", "POST", "/v1/responses", asked)).json
    assert MARK in json.dumps(answer)
    return str(answer["id"])


def _has(word: str, text: str) -> bool:
    return word in text


async def both(here: Place, each: Try, turn: str, other_turn: str, print_: str) -> tuple[Answer, Answer]:
    """Return what the other tenant is answered about the run, and about one that does not exist."""
    found = []
    for run_id, name in ((RUN, turn), (NONE, other_turn)):
        method, path, body = each.of(run_id)
        path = path.replace("TURN", name).replace("PRINT", print_)
        body = json.loads(json.dumps(body).replace("TURN", name)) if body is not None else None
        until = "gone" if each.waits and path.startswith("/api") else "\n\n\n"
        app = here.of(path) if path.partition("?")[0] not in PAGES else here.inspector
        found.append(
            await request(
                app, token_of("globex"), method, path, body, until=partial(_has, until), origin="http://localhost"
            )
        )
        found[-1].text = (
            found[-1]
            .text.replace(run_id, "RUN")
            .replace(quote(run_id, safe=""), "RUN")
            .replace(name, "TURN")
            .replace(NOBODYS, "@talk")
        )
    return found[0], found[1]


def other(turn: str) -> str:
    """Return the name of the same turn of a run that does not exist."""
    kind, _, text = turn.partition("_")
    step, late, run, nonce = urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode().split(":")
    read = ":".join((step, late, run[::-1], nonce))
    return f"{kind}_{urlsafe_b64encode(read.encode()).decode().rstrip('=')}"


async def test_every_route_has_a_case(tmp_path: Path, database: Path | str) -> None:
    """A new route fails here until it has one."""
    async with opened(tmp_path, database) as here:
        assert here.routes["service"] == set(SERVICE)
        assert here.routes["inspector"] == set(INSPECTOR)


async def test_another_tenant_finds_nothing_anywhere(tmp_path: Path, database: Path | str) -> None:
    """No answer has anything of the run, and what is about it is answered as if it did not exist; it stays as it is."""
    async with opened(tmp_path, database) as here:
        turn = await turn_of(here)
        before = await here.runner.history(RUN)
        wrong = []
        (spec,) = {info.fingerprint for info in await here.runner.runs()}
        for each in (each for cases in (*SERVICE.values(), *INSPECTOR.values()) for each in cases):
            about, about_none = await both(here, each, turn, other(turn), spec)
            if MARK in about.text or (
                each.is_about_run and (about.status, about.text) != (about_none.status, about_none.text)
            ):
                wrong += [each.path, f"{about.status} {about.text}", f"{about_none.status} {about_none.text}"]
        assert not wrong, "\n".join(wrong)
        assert await here.runner.history(RUN) == before
        assert (await here.runner.info(RUN)).user == "acme"
        assert (await here.runner.info(RUN)).tags == ("secret",)
        assert await here.runner.store.branches([RUN]) == []
        assert {info.tenant for info in await here.runner.runs()} == {*TENANTS}


async def test_a_tenant_sees_its_own_account_of_a_budget_alone(tmp_path: Path, database: Path | str) -> None:
    """Only budgets by tenant have keys that say whose they are. A user without a tenant sees all accounts."""
    async with opened(tmp_path, database) as here:
        ledger, places = Ledger(here.runner.store), []
        for budget, key in zip((BUDGETS[0], BUDGETS[0], BUDGETS[1]), (*TENANTS, "acme"), strict=True):
            places.append(Account(budget, key, window_of("day", time.time())[0]))
        hold = Hold("a call", amounts={"calls": 1})
        assert await ledger.reserve(places, hold) is None
        await ledger.settle(places[:1], hold, {"calls": 1})
        seen = {}
        for who in ("acme", "globex", "chief"):
            got = (await request(here.inspector, token_of(who), "GET", "/api/tables", origin="http://localhost")).json
            (table,) = got["tables"]
            seen[who] = [tuple(row[:4]) for row in table["rows"]]
        own = [("tenants", "acme", "1 of 9 calls", ""), ("tenants", "globex", "0 of 9 calls", "1 calls")]
        people = ("people", "acme", "0 of 9 tokens", "unknown")
        assert seen == {"acme": own[:1], "globex": own[1:], "chief": [*own, people]}


async def test_no_user_starts_a_run_in_the_name_of_another(tmp_path: Path, database: Path | str) -> None:
    """Else it would count for the other's budget; a run knows who started it."""
    async with opened(tmp_path, database) as here:
        path = "/graphs/desk/runs?user=bob"
        got = await request(here.of(path), token_of("acme"), "POST", path, STARTED, origin="http://localhost")
        assert "acme cannot start a run in the name of 'bob'" in got.text
        assert {info.user for info in await here.runner.runs()} == {"acme"}


async def test_no_tag_makes_a_run_the_child_of_another_tenants_run(tmp_path: Path, database: Path | str) -> None:
    """Which runs a run has started is recorded by the engine alone, and `child-of:` reads this record and no tags."""
    async with opened(tmp_path, database) as here:
        tag = f"child-of:{RUN}"
        started = f"/graphs/desk/runs?tag={quote(tag, safe='')}"
        own = (await here.send("globex", "POST", started, {"text": "own"})).json["run_id"]
        assert (await here.runner.info(own)).tags == (tag,)
        for who in ("acme", "globex", "chief"):
            found = await here.send(who, "GET", f"/runs?text={quote(tag, safe='')}")
            assert (found.status, found.json["runs"]) == (200, [])


async def test_the_own_tenant_finds_it_by_the_same_requests(tmp_path: Path, database: Path | str) -> None:
    """Otherwise the test above would prove nothing."""
    async with opened(tmp_path, database) as here:
        turn = await turn_of(here)
        wrong = []
        for each in (each for cases in (*SERVICE.values(), *INSPECTOR.values()) for each in cases if each.shows):
            method, path, body = each.of(RUN)
            path = path.replace("TURN", turn)
            got = await request(here.of(path), token_of("acme"), method, path, body, until=lambda text: MARK in text)
            wrong += [] if got.status == 200 and MARK in got.text else [each.path, f"{got.status} {got.text}"]
        assert not wrong, "\n".join(wrong)


async def test_a_user_of_a_tenant_sees_no_traceback(tmp_path: Path, database: Path | str) -> None:
    """Neither of a node nor of a tool: they have paths of the server. Who sees all tenants sees them."""

    def failed_tool() -> dict[str, str]:
        return {"text": "no", "traceback": f"File {MARK}.py"}

    async def breaks(ctx: Context) -> str:
        await ctx.call(failed_tool)
        raise ValueError(MARK)

    graph = Graph("desk", Post)
    graph.add_node("break", breaks, writes="text")
    graph.add_path(START, "break", END)
    async with place(tmp_path, database, {"desk": graph}) as here:
        write_users(here.users, UsersFile([user("acme", tenant="acme"), user("chief", tenant=None)]))
        run = (await here.send("acme", "POST", "/graphs/desk/runs", {"text": "a"})).json["run_id"]
        await here.send("acme", "GET", f"/runs/{run}?wait=30")
        for who, is_shown in (("acme", False), ("chief", True)):
            texts = ""
            for seq in range(1, 5):
                path = f"/api/runs/{run}/steps/{seq}"
                texts += (await request(here.inspector, token_of(who), "GET", path, origin="http://localhost")).text
            assert MARK in texts
            assert ('"traceback":' in texts, f"{MARK}.py" in texts) == (is_shown, is_shown)
            served = [await here.send(who, "GET", f"/runs/{run}/steps/{seq}") for seq in range(1, 5)]
            served += [await here.send(who, "GET", f"/runs/{run}/{each}") for each in ("story", f"compare?other={run}")]
            assert {each.status for each in served} == {200}
            assert not [each.text for each in served if '"traceback":' in each.text or f"{MARK}.py" in each.text]


PUSH = {"url": "http://127.0.0.1:9/", "id": "p"}
OF_TASKS: Mapping[str, Any] = {
    "GetTask": {"id": "RUN"},
    "CancelTask": {"id": "RUN"},
    "SubscribeToTask": {"id": "RUN"},
    "SendMessage": {"message": {"messageId": "m", "role": "ROLE_USER", "taskId": "RUN", "parts": [{"text": "yes"}]}},
    "ListTasks": {"contextId": "RUN"},
    "CreateTaskPushNotificationConfig": {"taskId": "RUN", **PUSH},
    "GetTaskPushNotificationConfig": {"taskId": "RUN", "id": "p"},
    "ListTaskPushNotificationConfigs": {"taskId": "RUN"},
    "DeleteTaskPushNotificationConfig": {"taskId": "RUN", "id": "p"},
}
"""The methods of A2A that name a task."""


async def about_task(here: Place, who: str, method: str, run_id: str) -> str:
    """Return what a user is answered by a method of A2A, with one name for the run."""
    params = json.loads(json.dumps(OF_TASKS[method]).replace("RUN", run_id))
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    until = partial(_has, "\n\n")
    answer = await here.send(who, "POST", "/a2a/desk", body, until=until, a2a_version="1.0")
    return answer.text.replace(run_id, "RUN")


async def test_no_method_of_a2a_finds_a_task_of_another_tenant(tmp_path: Path, database: Path | str) -> None:
    """Each answers as for a task that does not exist, and changes nothing; its own tenant gets the task."""
    async with opened(tmp_path, database) as here:
        before = await here.runner.history(RUN)
        for method in OF_TASKS:
            about = await about_task(here, "globex", method, RUN)
            assert MARK not in about, method
            assert about == await about_task(here, "globex", method, NONE), method
        assert await here.runner.history(RUN) == before
        assert MARK in await about_task(here, "acme", "GetTask", RUN)


async def called(here: Place, who: str, **params: Any) -> str:
    """Return what a user is answered by a call of the tool of the graph."""
    client = {"clientInfo": {"name": "c", "version": "1"}, "clientCapabilities": {"elicitation": {"form": {}}}}
    meta = {f"io.modelcontextprotocol/{name}": value for name, value in client.items()}
    meta["io.modelcontextprotocol/protocolVersion"] = "2026-07-28"
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "desk", "_meta": meta, **params}}
    names = {"mcp_method": "tools/call", "mcp_name": "desk", "mcp_protocol_version": "2026-07-28"}
    accept = "application/json, text/event-stream"
    return (await here.send(who, "POST", "/mcp", body, accept=accept, **names)).text


async def test_a_call_of_mcp_is_continued_by_its_own_tenant_alone(tmp_path: Path, database: Path | str) -> None:
    """The state that a client gets to ask again is of no use to another tenant, and the run stays as it is."""
    async with opened(tmp_path, database) as here:
        given = {"text": f"{MARK} calls"}
        asked = await called(here, "acme", arguments=given)
        assert MARK in asked, asked
        found = json.loads(asked[asked.index("{") :].splitlines()[0])["result"]
        (name,) = found["inputRequests"]
        runs = {info.id: info.seq for info in await here.runner.runs()}
        yes = {name: {"action": "accept", "content": {"answer": True, "value": True}}}
        others = await called(here, "globex", arguments=given, requestState=found["requestState"], inputResponses=yes)
        assert MARK not in others
        assert "error" in others.lower()
        assert {info.id: info.seq for info in await here.runner.runs()} == runs
        own = await called(here, "acme", arguments=given, requestState=found["requestState"], inputResponses={})
        assert MARK in own

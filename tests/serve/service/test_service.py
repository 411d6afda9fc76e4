import asyncio
import base64
import hmac
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from pydantic import BaseModel
from starlette.requests import Request

from graphengine import END, START, Graph, Runner
from graphengine.cli.documents import Serving
from graphengine.engine.snapshot import Snapshot
from graphengine.history.load import load_snapshot
from graphengine.serve.callers import Caller, acting
from graphengine.serve.service import app
from tests.kit.runs import SOON
from tests.serve.service import flows
from tests.serve.service.client import SECRET, TOKEN, Service


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that drives its runs, over SQLite."""
    folder = tmp_path_factory.mktemp("service")
    words = ["--webhook-secret-env", "HOOK", "--body-bytes", "2000", "--poll", "60"]
    found = Service(folder / "runs.db", *words, HOOK=SECRET)
    yield found
    assert found.end() == 0


def test_a_run_is_started_answered_and_returned(service: Service) -> None:
    """Its end has the output; the worker sees starts and answers at once, although it polls once a minute."""
    assert set(service.opened) == {"schema", *Serving.__struct_fields__}
    assert service.opened["token"] is None
    assert service.call("GET", "/health", Authorization="") == (200, {"status": "working", "error": None})
    assert service.call("POST", "/health", {}, Authorization="")[0] == 401  # before its body is read
    status, run = service.start("posts", {"title": "Tides"}, "?run_id=a/b&priority=3&tenant=ann&tag=x&tag=y")
    assert (status, run["run_id"], run["priority"], run["tenant"], run["tags"]) == (201, "a/b", 3, "ann", ["x", "y"])
    waiting = service.settled("a/b")
    assert [wait["schema"] for wait in waiting["waits"]] == [{"type": "boolean"}]
    assert service.call("POST", "/runs/a/b/answer", {"value": True, "question": "approve"})[0] == 202
    run = service.settled("a/b", waiting["seq"])
    assert (run["status"], run["ending"]["label"], run["output"]) == ("finished", "published", "All about Tides")
    assert (run["state"]["approved"], "output" in waiting) == (True, False)


def test_an_answer_does_not_wait_for_the_rest_of_the_run(service: Service, tmp_path: Path) -> None:
    """It returns once it is recorded, however long the run continues."""
    _, run = service.start("press", {"file": str(tmp_path / "go")})
    waiting = service.settled(run["run_id"])
    path = f"/runs/{run['run_id']}/answer"
    assert service.call("POST", path, {"value": True})[0] == 202
    refused = service.call("POST", path, {"value": True})[1]["error"]["code"]
    assert refused in ("answered_already", "asks_nothing")  # the second once the run has taken the answer
    (tmp_path / "go").touch()
    assert service.settled(run["run_id"], waiting["seq"])["state"]["done"] == 1


def test_runs_are_listed(service: Service) -> None:
    """The newest first, by graph, status and tag; a waiting one has its questions."""
    ids = [service.start("posts", {"title": title}, "?tag=listed")[1]["run_id"] for title in ("One", "Two")]
    for run_id in ids:
        service.settled(run_id)
    found = service.call("GET", "/runs?tag=listed&status=waiting&graph=posts")[1]["runs"]
    assert ([run["run_id"] for run in found], found[0]["waits"][0]["question"]) == (ids[::-1], "Publish Two?")
    (last,) = service.call("GET", "/runs?tag=listed&limit=1")[1]["runs"]
    rest = service.call("GET", f"/runs?tag=listed&before={last['run_id']}")[1]["runs"]
    assert [last["run_id"], *(run["run_id"] for run in rest)] == ids[::-1]
    assert service.call("GET", "/runs?before=nowhere")[0] == 404
    assert service.call("GET", "/runs?tag=nowhere")[1]["runs"] == []


def test_a_request_that_is_sent_again_starts_no_second_run(service: Service) -> None:
    """The key is a part of the id. Generated defaults do not count, other input does."""
    first = service.start("posts", {"Title": "Moon"}, Idempotency_Key='"k1"')
    again = service.start("posts", {"title": "Moon"}, Idempotency_Key="k1")
    assert (first[0], again[0], again[1]["run_id"]) == (201, 200, "posts@k1")
    other = service.start("posts", {"title": "Sun"}, Idempotency_Key="k1")
    assert (other[0], other[1]["error"]["code"]) == (409, "run_exists")
    assert service.start("vault", {"token": "abc"}, "?run_id=posts@k1")[0] == 409
    assert service.start("vault", {"token": "abc-def"}, Idempotency_Key="k1")[0] == 201
    assert service.start("vault", {"token": "abc-def"}, Idempotency_Key="k1")[0] == 200
    assert service.start("vault", {"token": "other"}, Idempotency_Key="k1")[0] == 409


def test_a_message_with_a_key_is_sent_once(service: Service) -> None:
    """The run that receives two gets the first and the third."""
    _, run = service.start("news desk", {"event": {}})
    path = f"/runs/{run['run_id']}/messages"
    for key, payload in (("a", 1), ("a", 1), ("b", 2)):
        status, run = service.call("POST", path, {"topic": "tips", "payload": payload}, Idempotency_Key=key)
        assert status == 202
    while (run := service.settled(run["run_id"], run["seq"]))["status"] != "finished":
        pass
    assert run["state"]["heard"] == [1, 2]


def test_events_continue_after_the_last_one(service: Service) -> None:
    """Each step comes once over all connections; the stream shows a wait, and ends with the run."""
    _, run = service.start("posts", {"title": "Stars"})
    found: list[str] = []
    for number, event in service.events(run["run_id"]):
        found += [number] if number else []
        if event["event"] == "stands" and event["status"] == "waiting":
            break
    service.call("POST", f"/runs/{run['run_id']}/answer", {"value": False})
    rest = list(service.events(run["run_id"], found[-1]))
    found += [number for number, _ in rest if number]
    assert found == [*map(str, range(1, 7)), "6.ended"]
    assert (rest[-1][1]["event"], rest[-1][1]["ending"]["label"]) == ("ended", "refused")
    assert list(service.events(run["run_id"], "6.ended")) == []


async def test_a_fault_of_a_stream_is_logged(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """Its client gets an event without the cause; the server has no log of its own."""

    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(app, "event_document", broken)
    async with Runner() as runner:
        run = runner.start(flows.vault, {"token": "hunter-2-hunter"})
        await run.result()
        served = app.Service(
            runner, {"vault": flows.vault}, queue="default", worker=None, version="", takes_webhooks=False
        )
        info = await runner.info(run.id)
        answer: Any = served.stream(served._documents(info, 0), run.id, app._trouble)  # noqa: SLF001 - without a server
        last = [event async for event in answer.body_iterator][-1]
    assert b'"service_failed"' in last
    errors = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert errors == [f"the stream of run {run.id} failed"]


def test_a_run_is_stopped(service: Service, tmp_path: Path) -> None:
    """A run is stopped at once if it waits, else after the node in flight; the reason is recorded."""
    _, run = service.start("posts", {"title": "Rain"})
    waiting = service.settled(run["run_id"])
    assert service.call("POST", f"/runs/{run['run_id']}/stop")[0] == 202
    run = service.settled(run["run_id"], waiting["seq"])
    assert (run["status"], run["ending"]["reason"]) == ("stopped", "asked")
    run_id = service.begun(tmp_path / "go")
    assert service.call("POST", f"/runs/{run_id}/stop", {"why": "no longer needed"})[1]["status"] == "running"
    (tmp_path / "go").touch()
    run = service.settled(run_id)
    assert (run["status"], run["state"]["done"]) == ("stopped", 1)
    assert "no longer needed" in run["ending"]["why"]
    run_id = service.begun(tmp_path / "never")
    assert service.call("POST", f"/runs/{run_id}/stop", {"now": "yes"})[0] == 422
    assert service.call("POST", f"/runs/{run_id}/stop", {"now": True})[0] == 202
    assert service.settled(run_id)["status"] == "stopped"


async def test_a_stop_that_takes_longer_than_its_answer_is_not_lost(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The answer has the run as it is by then."""
    monkeypatch.setattr(app, "_STOP_SECONDS", 0.0)

    async def receive() -> dict[str, str]:
        return {"type": "http.request"}

    async with Runner(tmp_path / "runs.db") as runner:
        await runner.start(flows.posts, {"title": "Rain"}, run_id="r").result()
        served = app.Service(
            runner, {"posts": flows.posts}, queue="default", worker=None, version="", takes_webhooks=False
        )
        scope = {"type": "http", "method": "POST", "path_params": {"run_id": "r"}, "query_string": b"", "headers": []}
        with acting(Caller("")):
            assert (await served.stop_run(Request(scope, receive))).status_code == 202
        async with asyncio.timeout(SOON):
            _ = [event async for event in runner.watch("r")]
        assert (await runner.info("r")).status == "stopped"


def test_no_secret_is_shown(service: Service) -> None:
    """No secret is shown in the state, the steps, or an error about it."""
    _, run = service.start("vault", {"token": "hunter-2-hunter"})
    ended = service.settled(run["run_id"])
    assert ended["output"] == "Hello"
    _, refused = service.start("vault", {"token": ["hunter-2-hunter"]})
    shown = json.dumps([ended, refused, *service.events(run["run_id"])])
    assert "hunter" not in shown
    assert refused["error"]["code"] == "invalid_input"


def signed(body: bytes, secret: str = SECRET, at: float | None = None, number: str = "msg_1") -> dict[str, str]:
    """Return the headers of a webhook, as Standard Webhooks."""
    stamp = str(int(time.time() if at is None else at))
    mac = hmac.digest(secret.encode(), f"{number}.{stamp}.".encode() + body, "sha256")
    signature = "v1,AAAA v1," + base64.b64encode(mac).decode()
    head = {"webhook-id": number, "webhook-timestamp": stamp, "webhook-signature": signature}
    return {"Authorization": "", **head}


def test_a_signed_webhook_starts_one_run_with_its_body_in_a_field(service: Service) -> None:
    """A webhook signed by GitHub or Standard Webhooks starts one run; a wrong or old signature is refused."""
    body, path = b'{"action": "opened", "number": 7}', "/graphs/news%20desk/runs?field=event"
    status, run = service.request("POST", path, body, signed(body))
    assert (status, run["run_id"], run["state"]["event"]["number"]) == (201, "news-desk@msg_1", 7)
    assert service.request("POST", path, body, signed(body))[0] == 200
    github = "sha256=" + hmac.digest(SECRET.encode(), body, "sha256").hex()
    headers = {"Authorization": "", "X-Hub-Signature-256": github, "X-GitHub-Delivery": "d-1"}
    assert service.request("POST", path, body, headers)[1]["run_id"] == f"news-desk@{github[7:]}"
    wrong = [
        ("POST", path, body + b" ", signed(body)),
        ("POST", path, body, signed(body, "another secret")),
        ("POST", path, body, signed(body, at=time.time() - 3600)),
        ("POST", path, body, {**headers, "X-Hub-Signature-256": github[:-1]}),
        ("POST", path, body, {**signed(body), "Authorization": "Bearer wrong"}),
        ("GET", "/runs", None, signed(b"")),
        ("POST", "/runs/posts@k1/stop", body, signed(body)),
    ]
    for request in wrong:
        status, answer = service.request(*request)
        assert (status, answer["error"]["code"]) == (401, "not_authorized"), request


def test_a_captured_webhook_starts_no_other_run(service: Service) -> None:
    """What chooses the run is covered by the signature: no other header or parameter leads to a second run."""
    body, path = b'{"action": "captured"}', "/graphs/news%20desk/runs?field=event"
    github = "sha256=" + hmac.digest(SECRET.encode(), body, "sha256").hex()
    hub = {"Authorization": "", "X-Hub-Signature-256": github}
    for headers in (signed(body, number="msg_2"), hub):
        first = service.request("POST", path, body, headers)[1]["run_id"]
        for more in ({"Idempotency-Key": "other"}, {"X-GitHub-Delivery": "other"}, {"X-Hub-Signature-256": github}):
            status, again = service.request("POST", path, body, {**headers, **more})
            assert (status, again["run_id"]) == (200, first), more
        status, refused = service.request("POST", f"{path}&run_id=other", body, headers)
        assert (status, refused["error"]["where"]) == (422, "parameter run_id")
    status, again = service.request("POST", path, body, {**hub, "webhook-id": "other"})
    assert (status, again["run_id"]) == (200, f"news-desk@{github[7:]}")


def test_the_description_is_valid(service: Service) -> None:
    """The description is valid OpenAPI 3.1; the inputs are those of the graphs, and secret fields are write-only."""
    from openapi_spec_validator import OpenAPIV31SpecValidator  # noqa: PLC0415 - for this test alone, it takes long

    description = service.description
    OpenAPIV31SpecValidator(description).validate()
    path = description["paths"]["/graphs/vault/runs"]["post"]
    schema = {**path["requestBody"]["content"]["application/json"]["schema"], "components": description["components"]}
    jsonschema.validate({"token": "x"}, schema)
    for wrong in ({}, {"token": "x", "tokn": "y"}, {"token": 5}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(wrong, schema, cls=jsonschema.Draft202012Validator)
    assert description["components"]["schemas"]["input.Account"]["properties"]["token"]["writeOnly"] is True
    assert set(description["components"]["securitySchemes"]) == {"token", "webhook", "github"}


POSTS = "/graphs/posts/runs"
MISTAKES: list[tuple[str, str, bytes | None, dict[str, str], int, str, str]] = [
    ("GET", "/runs", None, {"Authorization": ""}, 401, "not_authorized", "no token"),
    ("GET", "/runs", None, {"Authorization": f"Basic {TOKEN}"}, 401, "not_authorized", "no token"),
    ("GET", "/runs", None, {"Authorization": f"Bearer {TOKEN}x"}, 401, "not_authorized", "not the token"),
    ("GET", "/openapi.json", None, {"Authorization": "Bearer "}, 401, "not_authorized", "not the token"),
    ("GET", "/rnus", None, {}, 404, "invalid_request", "/openapi.json"),
    ("DELETE", "/runs/x", None, {}, 405, "invalid_request", "DELETE is not allowed"),
    ("POST", "/graphs/post/runs", b"{}", {}, 404, "graph_not_found", "did you mean 'posts'"),
    ("POST", POSTS, b"{", {}, 400, "invalid_request", "the body is not JSON"),
    ("POST", POSTS, b'{"title": NaN}', {}, 400, "invalid_request", "the body is not JSON"),
    ("POST", POSTS, b"[" * 1900, {}, 400, "invalid_request", "the body is not JSON"),
    ("POST", POSTS, b"title=x", {"Content-Type": "text/plain"}, 415, "invalid_request", "application/json"),
    ("POST", POSTS, b"[]", {}, 422, "invalid_input", "?field=NAME"),
    ("POST", POSTS, None, {}, 422, "invalid_input", "Field required"),
    ("POST", POSTS, b'{"titel": "x"}', {}, 422, "invalid_input", "did you mean 'title'"),
    ("POST", POSTS, b'{"title": 5}', {}, 422, "invalid_input", "title"),
    ("POST", POSTS + "?field=x", b"5", {}, 422, "invalid_input", "unknown field 'x'"),
    ("POST", POSTS + "?priorty=1", b"{}", {}, 422, "invalid_input", "did you mean 'priority'"),
    ("POST", POSTS + "?priority=x", b"{}", {}, 422, "invalid_input", "Expected `int`"),
    ("POST", POSTS + "?run_id=a&run_id=b", b"{}", {}, 422, "invalid_input", "more than once"),
    ("POST", POSTS + "?run_id=a%20b", b'{"title": "x"}', {}, 422, "invalid_input", "cannot be a run's id"),
    ("POST", POSTS + "?queue=%00", b'{"title": "x"}', {}, 422, "invalid_input", "name of a queue"),
    ("POST", POSTS, b'{"title": "x"}', {"Idempotency-Key": "a b"}, 422, "invalid_input", "such as a UUID"),
    ("POST", POSTS + "?run_id=x", b"{}", {"Idempotency-Key": "a"}, 422, "invalid_input", "leave one out"),
    ("POST", POSTS, b'{"title": "' + b"x" * 2000 + b'"}', {}, 413, "invalid_request", "--body-bytes"),
    ("GET", "/runs?status=done", None, {}, 422, "invalid_input", "no run has the status"),
    ("GET", "/runs?graph=post", None, {}, 422, "invalid_input", "did you mean 'posts'"),
    ("GET", "/runs?limit=0", None, {}, 422, "invalid_input", ">= 1"),
    ("GET", "/runs/none", None, {}, 404, "unknown_run", "none"),
    ("GET", "/runs/none/events", None, {}, 404, "unknown_run", "none"),
    ("GET", "/runs/wrong/events", None, {"Last-Event-ID": "x"}, 422, "invalid_input", "Last-Event-ID"),
    ("GET", "/runs/wrong?wait=61", None, {}, 422, "invalid_input", "<= 60"),
    ("POST", "/runs/none/answer", b'{"value": 1}', {}, 404, "unknown_run", "none"),
    ("POST", "/runs/wrong/answer", b"", {}, 400, "invalid_request", "the body is not JSON"),
    ("POST", "/runs/wrong/answer", b"[]", {}, 422, "invalid_input", '"value"'),
    ("POST", "/runs/wrong/answer", b"{}", {}, 422, "invalid_input", "missing required field `value`"),
    ("POST", "/runs/wrong/answer", b'{"value": 1, "qestion": "x"}', {}, 422, "invalid_input", "did you mean"),
    (
        "POST",
        "/runs/wrong/answer",
        b'{"value": 1, "question": 5}',
        {},
        422,
        "invalid_input",
        "question is 5: Expected",
    ),
    ("POST", "/runs/wrong/answer", b'{"value": "perhaps"}', {}, 422, "invalid_input", "approve"),
    ("POST", "/runs/wrong/messages", b'{"topic": "", "payload": 1}', {}, 422, "invalid_input", "topic is ''"),
    ("POST", "/runs/wrong/stop", b'{"because": 1}', {}, 422, "invalid_input", "unknown field 'because'"),
]


def test_every_mistake_is_a_clear_error(service: Service) -> None:
    """Every mistake has a status, a stable code, and the repair; nothing is recorded."""
    service.start("posts", {"title": "Wrong"}, "?run_id=wrong")
    for run in service.call("GET", "/runs?limit=1000")[1]["runs"]:  # those of other tests may still be going
        service.settled(run["run_id"])
    before = service.call("GET", "/runs?limit=1000")[1]["runs"]
    for method, path, body, headers, status, code, words in MISTAKES:
        found, answer = service.request(method, path, body, headers)
        case = f"{method} {path} {body!r} {headers}: {answer}"
        assert (found, answer["error"]["code"]) == (status, code), case
        assert words in json.dumps(answer).replace('\\"', '"'), case
        assert answer["error"]["repair"] or code == "invalid_input", case
        service.check("Failed", answer)
    assert service.call("GET", "/runs?limit=1000")[1]["runs"] == before


async def test_the_output_is_that_of_the_run_while_a_request_tries_to_start_it_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The other request gets RunExists, and not this one."""

    class Count(BaseModel):
        n: int = 0

    graph = Graph("count", Count, result="n")
    graph.add_node("more", lambda n: n + 1, writes="n")
    graph.add_path(START, "more", END)
    async with Runner() as runner:
        await runner.start(graph, run_id="r").result()

        async def load(*args: Any) -> Snapshot:
            runner.start(graph, run_id="r", queue="default")
            return await load_snapshot(*args)

        monkeypatch.setattr(app, "load_snapshot", load)
        served = app.Service(runner, {"count": graph}, queue="default", worker=None, version="0", takes_webhooks=False)
        with acting(Caller("")):
            answer = await served._now("r")  # noqa: SLF001 - what each endpoint of a run returns
        assert json.loads(bytes(answer.body))["output"] == 1

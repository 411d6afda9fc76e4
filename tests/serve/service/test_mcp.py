import asyncio
import json
import time
from base64 import b64decode
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import jsonschema
import mcp_types as types
import pytest
from mcp import Client, MCPError

from graphengine import Graph, Runner
from graphengine.serve.service import mcp_door
from graphengine.serve.service.mcp_door import ERROR, RUN_ID, McpDoor
from graphengine.serve.service.turns import output
from graphengine.worker.worker import Worker
from tests.serve.service import mcp_flows as flows
from tests.serve.service.client import exists, service_of

SECRET = "a secret of these tests"  # noqa: S105 - of no real service
Answer = Callable[[str, dict[str, Any]], "types.ElicitResult | Awaitable[types.ElicitResult]"]


def named(run_id: object) -> Any:
    """Return what a call names its run with."""
    return {RUN_ID: run_id}


def accepted(**content: Any) -> types.ElicitResult:
    """Return an answer."""
    return types.ElicitResult(action="accept", content=content)


class Strict(Client):
    """A client that reads results as the official TypeScript SDK does: one that breaks the tool's schema is refused."""

    async def call_tool(self, name: str, *args: Any, **words: Any) -> Any:
        """Return a result, which fits what the tool was listed with."""
        result: Any = await super().call_tool(name, *args, **words)
        schemas = {tool.name: tool.output_schema for tool in (await self.list_tools()).tools}
        if isinstance(result, types.CallToolResult) and result.structured_content is not None:
            jsonschema.validate(result.structured_content, schemas[name] or {})
        return result


class Tools:
    """An MCP server in this process, and its clients."""

    def __init__(self, runner: Runner, *graphs: Graph[Any]) -> None:
        self.runner = runner
        self.worker = Worker(runner, *graphs, queues=["default"], poll_seconds=0.01)
        self.service = service_of(runner, *graphs, worker=self.worker)
        self.door = McpDoor(self.service, "1", SECRET)
        self.asked: list[Any] = []

    def client(self, answer: Answer | None = None, mode: str = "auto") -> Client:
        """Return a client whose person answers so; without an answer it cannot ask one."""

        async def ask(context: Any, params: Any) -> types.ElicitResult:
            self.asked.append((params.message, params.requested_schema))
            assert answer is not None
            found = answer(params.message, params.requested_schema)
            return found if isinstance(found, types.ElicitResult) else await found

        return Strict(self.door.server, mode=mode, elicitation_callback=None if answer is None else ask)


@asynccontextmanager
async def serving(*graphs: Graph[Any], store: Any = None) -> AsyncIterator[Tools]:
    """Serve graphs as tools, and drive their runs."""
    async with Runner(store) as runner:
        tools = Tools(runner, *graphs)
        working = asyncio.create_task(tools.worker.run())
        try:
            yield tools
        finally:
            tools.service.stop()
            tools.worker.stop()
            await working


def error_of(result: Any) -> Any:
    """Return the document of the error of a tool."""
    return result.meta[ERROR]["error"]


def code_of(result: Any) -> str:
    """Return the code of the error of a tool."""
    assert result.is_error
    error = error_of(result)
    assert result.content[0].text.startswith(error["code"])
    assert error["repair"] in result.content[0].text
    return str(error["code"])


BOTH = pytest.mark.parametrize("mode", ["auto", "legacy"])
TOPIC = {"topic": "tides"}


async def test_a_graph_is_a_tool() -> None:
    """Its input is what no node writes and what has no default, its output the result, or the state without secrets.

    A chat is none.
    """
    async with serving(flows.publish, flows.nested, flows.chat) as tools, tools.client() as client:
        publish, nested = (await client.list_tools()).tools
    assert (publish.name, publish.title) == ("publish_it", "publish it")
    assert publish.description == "Run the graph publish it. Something to write about.\n\nA paragraph more."
    assert publish.input_schema["properties"].keys() == {"topic", "tone"}
    assert (publish.input_schema["required"], publish.input_schema["additionalProperties"]) == (["topic"], False)
    assert "$defs" not in publish.input_schema
    assert publish.output_schema is not None
    assert publish.output_schema["properties"]["result"]["type"] == "string"
    assert nested.output_schema is not None
    assert nested.output_schema["properties"].keys() == {"drafts", "left", "right"}
    assert nested.output_schema["$defs"].keys() == {"Draft", "Tone"}
    assert nested.input_schema["properties"]["token"]["writeOnly"]


async def test_a_host_gets_pictures_as_pictures() -> None:
    """A medium of the result is content of its own kind, with a mark in the text; the structure has it whole."""
    async with serving(flows.report) as tools, tools.client() as client:
        found: Any = await client.call_tool("report", {"text": "Tides"})
    text, picture, sound, document, link = found.content
    assert json.loads(text.text) == [
        "Tides",
        "[media 1: tides.png]",
        "[media 2: audio/wav]",
        "[media 3: tides and more.pdf]",
        "[media 4: image/png]",
    ]
    assert (picture.type, picture.mime_type, b64decode(picture.data)) == ("image", "image/png", b"a picture")
    assert (sound.type, sound.mime_type, b64decode(sound.data)) == ("audio", "audio/wav", b"a sound")
    assert (document.type, document.resource.mime_type) == ("resource", "application/pdf")
    assert (b64decode(document.resource.blob), document.resource.uri) == (
        b"a document",
        "graphengine:tides%20and%20more.pdf",
    )
    assert (link.type, link.uri) == ("resource_link", "https://example.com/tides.png")
    assert len(found.structured_content["result"]) == 5


async def test_the_text_of_a_reply_has_no_bytes() -> None:
    """Where a reply is a text, as by OpenAI's API, a mark stands for each medium, and not its base64."""
    async with Runner() as runner:
        run = runner.start(flows.report, {"text": "Tides"})
        found, media = output(flows.report, await run.result())
    assert found[:2] == ["Tides", "[media 1: tides.png]"]
    assert len(media) == 4


def test_choices_have_their_titles() -> None:
    """A form shows them: one of several texts, or several of them; choices without titles are as before."""
    titled = [{"const": "r", "title": "Red"}, {"const": "g", "title": "Green"}]
    one = {"oneOf": titled, "title": "Colour", "default": "r"}
    schema: Any = {"type": "object", "properties": {"one": one, "some": {"type": "array", "items": {"anyOf": titled}}}}
    found = mcp_door._list_form_fields(schema)  # noqa: SLF001
    assert found["one"] == {"type": "string", **one}
    assert found["some"] == {"type": "array", "items": {"anyOf": titled}}
    assert mcp_door._list_form_fields({"properties": {"one": {"oneOf": [{"type": "null"}, *titled]}}}) == {}  # noqa: SLF001
    types.ElicitRequestFormParams(message="?", requested_schema={"type": "object", "properties": found})


def test_two_graphs_are_not_one_tool() -> None:
    """Names that become the same are numbered."""
    graphs = {name: flows.slow.but(name=name) for name in ("a b", "a_b", "a/b")}
    assert [*mcp_door._build_tools(graphs)] == ["a_b", "a_b_2", "a_b_3"]  # noqa: SLF001


@BOTH
async def test_a_run_asks_through_its_client(mode: str) -> None:
    """A question is a form, progress names the run and its nodes, the result has the run's id."""
    seen: list[str] = []
    numbers: list[float] = []

    async def report(progress: float, total: float | None, message: str | None) -> None:
        seen.append(message or "")
        numbers.append(progress)

    async with serving(flows.publish) as tools:
        async with tools.client(lambda *_: accepted(ok=True, tone="loud"), mode) as client:
            result = await client.call_tool("publish_it", TOPIC, progress_callback=report)
        (info,) = await tools.runner.runs()
    assert not result.is_error
    assert result.structured_content == {"result": "draft about tides: True loud None"}
    assert (result.meta or {})[RUN_ID] == info.id
    assert numbers == sorted(set(numbers))
    assert seen[0] == f"run {info.id}: write"
    assert seen[-1] == f"run {info.id}: approve"
    ((message, schema),) = tools.asked
    assert (message, schema["required"]) == ("Publish it?", ["ok"])
    assert schema["properties"]["ok"]["type"] == "boolean"
    assert schema["properties"]["tone"]["enum"] == ["calm", "loud"]
    assert schema["properties"]["note"]["type"] == "string"


@BOTH
async def test_a_nested_answer_is_json_in_one_field(mode: str) -> None:
    """The form says what fits. What does not fit is asked again, with the reason; secrets are in no result."""
    answers = iter([accepted(answer="one, please"), accepted(answer='[{"text": "a", "words": 1}]')])
    async with serving(flows.nested) as tools, tools.client(lambda *_: next(answers), mode) as client:
        result = await client.call_tool("nested", {})
    drafts = [{"text": "a", "words": 1, "tone": "calm"}]
    assert result.structured_content == {"drafts": drafts, "left": False, "right": False}
    (first, schema), (again, _) = tools.asked
    assert schema["properties"]["answer"]["type"] == "string"
    assert schema["properties"]["answer"]["description"].startswith("JSON: a list")
    assert (first, again.endswith(first), "this does not answer" in again) == ("Which drafts?", True, True)


@BOTH
@pytest.mark.parametrize("action", ["decline", "cancel"])
async def test_a_declined_question_stays_open(mode: str, action: Any) -> None:
    """The run is not stopped. Its id leads back to it, and what else was answered is recorded."""

    def person(message: str, _: object) -> types.ElicitResult:
        return types.ElicitResult(action=action) if message == "Left?" else accepted(answer=True)

    async with serving(flows.both) as tools:
        async with tools.client(person, mode) as client:
            result = await client.call_tool("both", {}, meta=named("r"))
            assert code_of(result) == "question_open"
            assert "call the tool again" in result.content[0].text  # type: ignore[union-attr]
            assert (await tools.runner.info("r")).status in ("waiting", "running")
        async with tools.client(lambda *_: accepted(answer=True), mode) as client:
            result = await client.call_tool("both", {}, meta=named("r"))
        asked = [message for message, _ in tools.asked]
    assert result.structured_content == {"drafts": [], "left": True, "right": True}
    # An old client is asked one after the other, and every question of a round before any answer is recorded.
    assert sorted(asked) == ["Left?", "Left?", "Right?"]


@BOTH
async def test_a_client_that_cannot_ask_is_told_so(mode: str) -> None:
    """The error has the question and the run, which somebody else can answer."""
    async with serving(flows.publish) as tools, tools.client(None, mode) as client:
        result = await client.call_tool("publish_it", TOPIC, meta=named("r"))
        assert code_of(result) == "question_open"
        assert "Publish it?" in error_of(result)["message"]
        assert "graphengine answer r VALUE" in error_of(result)["repair"]
        await tools.runner.answer("r", {"ok": False})
        result = await client.call_tool("publish_it", TOPIC, meta=named("r"))
    assert result.structured_content == {"result": "draft about tides: False calm None"}


@BOTH
async def test_errors_have_a_code_and_a_repair(mode: str, tmp_path: Path) -> None:
    """Of runs that fail or are stopped, of arguments and ids; an unknown tool is an error of the protocol."""
    async with serving(flows.broken, flows.slow) as tools, tools.client(None, mode) as client:
        result = await client.call_tool("broken", {"file": "here"})
        assert code_of(result) == "run_failed"
        assert "ValueError: no here" in result.content[0].text  # type: ignore[union-attr]
        assert code_of(await client.call_tool("broken", {"file": 3})) == "invalid_input"
        assert code_of(await client.call_tool("broken", {})) == "invalid_input"
        assert code_of(await client.call_tool("broken", {"file": "a", "done": 1})) == "invalid_input"
        assert code_of(await client.call_tool("broken", {"file": "a"}, meta=named("a b"))) == "invalid_input"
        with pytest.raises(MCPError, match="no tool 'brocken'; did you mean 'broken'"):
            await client.call_tool("brocken", {})
        file = str(tmp_path / "go")
        calling = asyncio.create_task(client.call_tool("slow", {"file": file}, meta=named("s")))
        await exists(f"{file}.began")
        stopping = asyncio.create_task(tools.runner.stop("s", "enough", now=True))
        result = await calling
        await stopping
        assert code_of(result) == "run_stopped"
        assert "enough" in result.content[0].text  # type: ignore[union-attr]
        assert code_of(await client.call_tool("slow", {"file": "other"}, meta=named("s"))) == "run_exists"


async def test_a_fault_is_logged_and_not_shown(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The client gets a code."""

    def broken(*_: object) -> None:
        raise ZeroDivisionError("of a secret")

    monkeypatch.setattr(mcp_door, "_read_call_arguments", broken)
    async with serving(flows.broken) as tools, tools.client() as client:
        result = await client.call_tool("broken", {"file": "here"})
    assert code_of(result) == "service_failed"
    assert "secret" not in str(result)
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == [
        "the tool broken failed with ZeroDivisionError"
    ]


@BOTH
async def test_a_call_that_is_sent_again_starts_no_second_run(mode: str, tmp_path: Path) -> None:
    """With a run's id in `_meta`; without one each call is a run."""
    file = str(tmp_path / "go")
    Path(file).touch()
    async with serving(flows.slow) as tools, tools.client(None, mode) as client:
        for _ in range(2):
            result = await client.call_tool("slow", {"file": file}, meta=named("once"))
            assert result.structured_content == {"result": 1}
        assert len(await tools.runner.runs()) == 1
        await client.call_tool("slow", {"file": file})
        assert len(await tools.runner.runs()) == 2


@BOTH
async def test_a_cancelled_call_leaves_its_run(mode: str, tmp_path: Path) -> None:
    """A client cancels also when it loses patience; with the run's id it comes back."""
    file = str(tmp_path / "go")
    async with serving(flows.slow) as tools, tools.client(None, mode) as client:
        calling = asyncio.create_task(client.call_tool("slow", {"file": file}, meta=named("r")))
        await exists(f"{file}.began")
        calling.cancel()
        await asyncio.wait([calling])
        assert (await tools.runner.info("r")).status == "running"
        Path(file).touch()
        assert (await client.call_tool("slow", {"file": file}, meta=named("r"))).structured_content == {"result": 1}


async def test_a_run_that_takes_longer_than_a_request_is_asked_for_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What is sent in between has no questions, only the sealed state."""
    monkeypatch.setattr(mcp_door, "_FIRST_SECONDS", 0.0)
    monkeypatch.setattr(mcp_door, "_HOLD_SECONDS", 0.0)
    file = str(tmp_path / "go")
    async with serving(flows.slow) as tools, tools.client() as client:
        first = await client.session.call_tool("slow", {"file": file}, allow_input_required=True)
        assert isinstance(first, types.InputRequiredResult)
        assert first.input_requests is None
        assert first.request_state is not None
        assert (first.meta or {})[RUN_ID] not in first.request_state
        monkeypatch.setattr(mcp_door, "_HOLD_SECONDS", 60.0)
        Path(file).touch()
        last = await client.session.call_tool(
            "slow", {"file": file}, request_state=first.request_state, allow_input_required=True
        )
    assert isinstance(last, types.CallToolResult)
    assert last.structured_content == {"result": 1}


async def test_an_old_client_keeps_its_request_open(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """However long the run takes."""
    monkeypatch.setattr(mcp_door, "_FIRST_SECONDS", 0.01)
    file = str(tmp_path / "go")
    async with serving(flows.slow) as tools, tools.client(None, "legacy") as client:
        calling = asyncio.create_task(client.call_tool("slow", {"file": file}))
        await exists(f"{file}.began")
        await asyncio.wait([calling], timeout=0.1)
        assert not calling.done()
        Path(file).touch()
        assert (await calling).structured_content == {"result": 1}


async def asked(client: Client, name: str, given: dict[str, Any]) -> types.InputRequiredResult:
    """Call a tool up to its first question."""
    found = await client.session.call_tool(name, given, allow_input_required=True)
    assert isinstance(found, types.InputRequiredResult)
    assert found.input_requests
    return found


async def test_a_run_waits_for_days(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was sealed a month ago is still good; nothing is held for the run meanwhile."""
    async with serving(flows.publish) as tools, tools.client(lambda *_: accepted()) as client:
        first = await asked(client, "publish_it", TOPIC)
        today = time.time()
        monkeypatch.setattr(time, "time", lambda: today + 30 * 86400)
        answers: Any = dict.fromkeys(first.input_requests or {}, accepted(ok=True))
        last: Any = await client.session.call_tool(
            "publish_it",
            TOPIC,
            input_responses=answers,
            request_state=first.request_state,
            allow_input_required=True,
        )
    assert last.structured_content == {"result": "draft about tides: True calm None"}


async def test_an_answer_that_is_sent_again_is_not_taken_twice() -> None:
    """Answers name the wait that they end: a request that is repeated later answers no later question of that name."""
    async with serving(flows.again) as tools, tools.client(lambda *_: accepted()) as client:
        first = await asked(client, "again", {})
        (key,) = first.input_requests or {}
        yes: Any = {key: accepted(answer=True)}
        found: Any = None
        for _ in range(3):
            found = await client.session.call_tool(
                "again", {}, input_responses=yes, request_state=first.request_state, allow_input_required=True
            )
            assert [*found.input_requests] != [key]
        no: Any = dict.fromkeys(found.input_requests, accepted(answer=False))
        found = await client.session.call_tool(
            "again", {}, input_responses=no, request_state=found.request_state, allow_input_required=True
        )
    assert found.structured_content == {"result": ["asked", "asked"]}


async def test_many_questions_are_asked_at_once() -> None:
    """Each answer is that of its question, in whatever order a client sends them."""
    async with serving(flows.each) as tools, tools.client(lambda *_: accepted()) as client:
        first = await asked(client, "each", {"words": ["a", "b", "c"]})
        questions: Any = first.input_requests
        said = {key: accepted(answer="b" not in each.params.message) for key, each in questions.items()}
        answers: Any = dict(reversed(said.items()))
        last: Any = await client.session.call_tool(
            "each",
            {"words": ["a", "b", "c"]},
            input_responses=answers,
            request_state=first.request_state,
            allow_input_required=True,
        )
    assert last.structured_content == {"result": [True, False, True]}


async def test_foreign_state_is_refused() -> None:
    """State that was changed, of another secret, or of another call: one clear error, the same for each."""
    async with serving(flows.both, flows.nested) as tools, tools.client(lambda *_: accepted()) as client:
        state = (await asked(client, "both", {})).request_state or ""
        other = McpDoor(tools.service, "1", SECRET + "!")
        async with Client(other.server, elicitation_callback=lambda *_: None) as stranger:  # type: ignore[arg-type]
            foreign = (await asked(stranger, "both", {})).request_state or ""
        changed = f"{state[:-9]}{'B' if state[-9] == 'A' else 'A'}{state[-8:]}"  # the last has bits that mean nothing
        calls = [("both", changed), ("both", foreign), ("both", "b1093eb8"), ("nested", state)]
        for name, given in calls:
            with pytest.raises(MCPError, match="Invalid or expired requestState"):
                await client.session.call_tool(name, {}, request_state=given, allow_input_required=True)


async def test_a_run_that_was_removed_is_unknown() -> None:
    """Its state leads nowhere."""
    async with serving(flows.both) as tools, tools.client(lambda *_: accepted()) as client:
        first = await asked(client, "both", {})
        await tools.runner.stop((first.meta or {})[RUN_ID])
        await tools.runner.store.remove(await tools.runner.runs())
        result = await client.session.call_tool(
            "both", {}, request_state=first.request_state, allow_input_required=True
        )
    assert code_of(result) == "unknown_run"


async def test_sessions_of_clients_that_went_away_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each half an hour after its last request, and the longest idle of a user at once when they begin too many."""
    monkeypatch.setattr(mcp_door, "_MOST_SESSIONS", 2)
    client: Any = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "c", "version": "1"}}
    async with serving(flows.both) as tools, tools.door.over_http(1 << 20) as app:
        place: Any = {"transport": httpx2.ASGITransport(app), "base_url": "http://here"}
        async with httpx2.AsyncClient(**place, headers={"accept": "application/json, text/event-stream"}) as http:

            async def asked(method: str, session: str = "", **params: Any) -> httpx2.Response:
                body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
                return await http.post("/mcp", json=body, headers={"mcp-session-id": session} if session else {})

            first, second = [(await asked("initialize", **client)).headers["mcp-session-id"] for _ in range(2)]
            refused = {"mcp-session-id": second, "mcp-protocol-version": "2026-07-28"}
            assert (await http.delete("/mcp", headers=refused)).status_code == 405
            assert (await asked("ping", first)).status_code == 200
            third = (await asked("initialize", **client)).headers["mcp-session-id"]
            assert [(await asked("ping", each)).status_code for each in (first, second, third)] == [200, 404, 200]
            loop = asyncio.get_running_loop()
            now = loop.time
            monkeypatch.setattr(loop, "time", lambda: now() + 1800)
            for _ in range(100):  # turns of the event loop, in which the time-out is noticed
                await asyncio.sleep(0)
            assert [(await asked("ping", each)).status_code for each in (first, third)] == [404, 404]

"""Tools of servers that nobody here has written: whatever they list or answer, a call costs itself alone at most."""

import asyncio
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
from click.testing import CliRunner
from pydantic import BaseModel

from graphengine import END, START, Agent, Graph, Runner, ScriptedModel, mcp
from graphengine.agents.mcp_servers import McpServer
from graphengine.agents.tools import ToolOutcome
from graphengine.cli.main import main
from graphengine.models import Response
from graphengine.models.scripted import calls
from tests.agents.tool_kits import in_thread
from tests.agents.wild_mcp_server import Wild

pytest.importorskip("mcp")

SERVER = Path(__file__).with_name("wild_mcp_server.py")


OBJECT = {"type": "object"}
OUTPUT = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
DONE = "\n\n[The tool declares structured content, and answered without it.]"
HALF = '"text": "half \\ud83d here, whole \\ud83d\\ude00, written \\\\ud83d"'


def write(file: Path, *names: str, tools: Sequence[object] = (), **answers: Any) -> None:
    """Write what a server has: these tools with any arguments, and more tools, with answers and lines."""
    plain = [{"name": name, "inputSchema": OBJECT} for name in names]
    file.write_text(json.dumps({"tools": [*plain, *tools], **answers}))


def server(file: Path, *names: str, **more: Any) -> McpServer:
    """Return a server over stdio that has this."""
    options = {name: more.pop(name) for name in ("approve", "effect", "timeout_seconds") if name in more}
    write(file, *names, **more)
    return mcp([sys.executable, "-S", str(SERVER), str(file)], **options)


def called(file: Path) -> list[str]:
    """Return the calls that a server got."""
    log = Path(f"{file}.log")
    lines = log.read_text().splitlines() if log.exists() else []
    return [line for line in lines if not line.startswith("initialize")]


class Sessions(set[str]):
    """The sessions that a server knows; `N ended` is added for one that the client has ended."""

    def __init__(self, status: int = 200) -> None:
        self.status = status  # of answers in them
        self.may_end = Event()  # which is waited for


@contextmanager
def served(file: Path, *, streams: bool = False, lost: str = "", sessions: Sessions | None = None) -> Iterator[str]:
    """Serve it over HTTP, and return the address; a stream comes in pieces of a few bytes.

    With `sessions` each `initialize` begins one of them, and 404 with the text `lost` answers requests of others.
    """
    wild, begun = Wild(file), count()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            request = self.rfile.read(int(self.headers["content-length"])).decode()
            session, is_lost, found = self.headers.get("mcp-session-id"), False, 200
            if sessions is not None and '"initialize"' in request:
                sessions.add(session := str(next(begun)))
            elif sessions is not None and session is not None:
                is_lost, found = session not in sessions, sessions.status if '"tools/list"' not in request else 200
            identity = json.dumps(json.loads(request).get("id")) if request else ""
            answer = lost.replace("ID", identity) if is_lost else wild.answer(request)
            body = f"event: message\r\ndata: {answer}\r\n\r\n" if streams and answer else answer
            self.send_response(404 if is_lost else found if answer else 202)
            if session is not None:
                self.send_header("mcp-session-id", session)
            self.send_header("content-type", "text/event-stream" if streams and answer else "application/json")
            self.send_header("content-length", str(len(body.encode())))
            self.end_headers()
            for start in range(0, len(body.encode()), 7):
                self.wfile.write(body.encode()[start : start + 7])
                self.wfile.flush()

        def do_DELETE(self) -> None:
            if sessions is not None:
                sessions.may_end.wait()
                sessions.add(f"{self.headers['mcp-session-id']} ended")
            self.send_response(204)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            """Log nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        Thread(target=http.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{http.server_address[1]}/mcp"
        http.shutdown()


async def outcome(source: McpServer, name: str) -> ToolOutcome:
    """Return the outcome of a call of a server's tool."""
    (tool,) = [each for each in await source.open() if each.origin == name]
    try:
        return await tool.call("{}", {}, in_thread)
    finally:
        await source.close()


class Desk(BaseModel):
    """The state."""

    said: str = ""


def desk(model: ScriptedModel, *sources: McpServer) -> Graph[Desk]:
    """Return a graph of one agent with these tools."""
    graph = Graph("desk", Desk, result="said")
    graph.add_node("clerk", Agent("clerk", model=model, prompt="Serve.", tools=sources), writes="said")
    graph.add_path(START, "clerk", END)
    return graph


# --- names --------------------------------------------------------------------------------------------------------


async def test_a_name_stays_a_tools_own_while_its_run_waits(tmp_path: Path) -> None:
    """A server that lists another tool later, whose name is the one that was made, does not get the call."""
    file = tmp_path / "tools.json"
    model = ScriptedModel(lambda request: calls(("a_b", {})) if len(request.messages) < 2 else Response("done"))
    graph = desk(model, server(file, "a.b", approve=["a.b"]))
    async with Runner(tmp_path / "runs.db") as runner:
        assert (await runner.start(graph, run_id="r").result()).status == "waiting"
    write(file, "a_b", "a.b")
    async with Runner(tmp_path / "runs.db") as runner:
        await runner.answer("r", True)  # noqa: FBT003 - the answer
        assert (await runner.resume("r", graph).result()).output == "done"
    assert called(file) == ["a.b"]
    assert [tool.name for tool in model.requests[-1].tools] == ["a_b_31f8aaeb", "a_b"]


async def test_two_servers_may_have_tools_of_one_name(tmp_path: Path) -> None:
    """The second one's gets another name, and each call goes where it belongs."""
    files = [tmp_path / "one.json", tmp_path / "two.json"]

    def say(request: Any) -> Response:
        names = [tool.name for tool in request.tools]
        return calls(*((name, {}) for name in names)) if len(request.messages) < 2 else Response(" ".join(names))

    graph = desk(ScriptedModel(say), *(server(file, "search") for file in files))
    async with Runner() as runner:
        names = str((await runner.start(graph).result()).output).split()
    assert (names[0], names[1].rpartition("_")[0], len(set(names))) == ("search", "search", 2)
    assert [called(file) for file in files] == [["search"], ["search"]]


def test_check_lists_what_no_model_can_call(tmp_path: Path) -> None:
    """With --servers: each tool with its server and the reason, and a server that does not start."""
    server(
        tmp_path / "tools.json",
        "fine",
        tools=[{"name": "twin", "title": t, "inputSchema": {"type": "object"}} for t in "ab"],
    )
    (tmp_path / "desk.py").write_text(
        "from graphengine import END, START, Agent, Graph, mcp\n"
        "from pydantic import BaseModel\n"
        "class Desk(BaseModel):\n    said: str = ''\n"
        "graph = Graph('desk', Desk)\n"
        f"command = [{sys.executable!r}, '-S', {str(SERVER)!r}, {str(tmp_path / 'tools.json')!r}]\n"
        "tools = [mcp(command), mcp('no-such-program')]\n"
        "graph.add_node('clerk', Agent('clerk', prompt='Serve.', tools=tools), writes='said')\n"
        "graph.add_path(START, 'clerk', END)\n"
    )
    plain = CliRunner().invoke(main, ["check", str(tmp_path / "desk.py"), "--strict"])
    assert plain.exit_code == 0, plain.output
    found = CliRunner().invoke(main, ["check", str(tmp_path / "desk.py"), "--servers", "--strict", "--json"])
    assert found.exit_code == 2, found.output
    problems = json.loads(found.stdout)["graphs"][0]["problems"]
    assert [each["code"] for each in problems] == ["tool_left_out", "tools_unavailable"]
    assert "'twin' of the MCP server" in problems[0]["message"]
    assert "two different tools of this name" in problems[0]["message"]
    assert "no program 'no-such-program'" in problems[1]["message"]


# --- answers ------------------------------------------------------------------------------------------------------

ANSWERS: dict[str, tuple[str, str, bool]] = {
    "text in place of the declared output": ('{"content": [{"type": "text", "text": "sent"}]}', f"sent{DONE}", False),
    "nothing at all": ("{}", DONE, False),
    "another output than declared": (
        '{"content": [{"type": "text", "text": "sent"}], "structuredContent": {"a": "x"}}',
        'sent\n{"a":"x"}\n\n[The structured content of this answer is not what the tool declares: WRONG.]'.replace(
            "WRONG", "a: 'x' is not of type 'integer'"
        ),
        False,
    ),
    "an error without the declared output": ('{"content": [], "isError": true}', "", True),
    "an output that is no object": ('{"content": [], "structuredContent": [1, 2]}', f"[1, 2]{DONE}", False),
    "an unknown block": (
        '{"content": [{"type": "hologram", "x": 1}, {"type": "text", "text": "after"}], "structuredContent": {"a": 1}}',
        '[hologram: this content cannot be read, and is not passed on]\nafter\n{"a":1}',
        False,
    ),
    "a picture without data": (
        '{"content": [{"type": "image"}, {"type": "text", "text": "after"}], "structuredContent": {"a": 1}}',
        '[image: this content cannot be read, and is not passed on]\nafter\n{"a":1}',
        False,
    ),
    "blocks that are texts": ('{"content": ["one", 2, {"text": "three"}]}', f"one\n2\nthree{DONE}", False),
    "a text in place of the list": ('{"content": "sent"}', f"sent{DONE}", False),
    "null in place of the list": ('{"content": null, "structuredContent": {"a": 1}, "_meta": 1}', '{"a":1}', False),
    "a word for the error": ('{"content": "no", "isError": "true"}', "no", True),
    "the first revision's result": ('{"toolResult": {"sent": 1}}', f'{{"sent": 1}}{DONE}', False),
    "a text in place of a result": ('"sent"', f"sent{DONE}", False),
    "half of an emoji": (
        f'{{"content": [{{"type": "text", {HALF}}}], "structuredContent": {{"a": 1}}}}',
        'half \ufffd here, whole \U0001f600, written \\ud83d\n{"a":1}',
        False,
    ),
    "nested deeply": (
        '{"content": [{"type": "text", "text": "sent"}], "more": ' + "[" * 250 + "]" * 250 + "}",
        f"sent{DONE}",
        False,
    ),
}
"""Results of a tool that acts and declares an output: each with the text for the model, and whether it is an error."""


@pytest.mark.parametrize("transport", ["stdio", "json", "events"])
async def test_what_a_server_answers_is_passed_on(transport: str, tmp_path: Path) -> None:
    """Whatever it looks like, at once, and without a second call: the tool has acted."""
    file = tmp_path / "tools.json"
    tools = [{"name": name, "inputSchema": OBJECT, "outputSchema": OUTPUT} for name in ANSWERS]
    source = server(file, tools=tools, answers={name: answer for name, (answer, _, _) in ANSWERS.items()})
    with nullcontext("") if transport == "stdio" else served(file, streams=transport == "events") as url:
        source = mcp(url=url) if url else source
        await source.open()
        for name, (_, text, is_error) in ANSWERS.items():
            assert (await outcome(source, name)) == ToolOutcome(text, is_error), name
        await source.close()
    assert called(file) == [*ANSWERS]


LINES = {
    "without jsonrpc": ('{"id": ID, "result": {"content": [{"type": "text", "text": "sent"}]}}', "sent", False),
    "both, one null": ('{"jsonrpc": "2.0", "id": ID, "result": {"content": []}, "error": null}', "", False),
    "an error that is a text": ('{"jsonrpc": "2.0", "id": ID, "error": "locked"}', "MCPError: locked", True),
    "an error without a code": ('{"id": ID, "error": {"message": "locked"}}', "MCPError: locked", True),
}
"""Messages that are not JSON-RPC."""


@pytest.mark.parametrize("transport", ["stdio", "json", "events"])
async def test_a_message_that_is_nearly_one_is_read(transport: str, tmp_path: Path) -> None:
    """The caller does not wait in vain for one that the protocol has."""
    file = tmp_path / "tools.json"
    source = server(file, *LINES, lines={name: line for name, (line, _, _) in LINES.items()})
    with nullcontext("") if transport == "stdio" else served(file, streams=transport == "events") as url:
        source = mcp(url=url) if url else source
        await source.open()
        for name, (_, text, is_error) in LINES.items():
            found = await outcome(source, name)
            assert (found.text, found.is_error) == (text, is_error), name
        await source.close()


@pytest.mark.parametrize(
    "lost",
    [
        "",
        "gone",
        '{"jsonrpc": "2.0", "id": "x", "error": {"code": -32001, "message": "?"}}',
        '{"jsonrpc": "2.0", "id": ID, "error": {"code": -32000, "message": "Session not found"}}',
    ],
)
async def test_a_session_that_a_server_has_lost_is_begun_anew(lost: str, tmp_path: Path) -> None:
    """Calls that it refused are made then, once each, also several at a time; what it lists is listed."""
    file, sessions = tmp_path / "tools.json", Sessions()
    sessions.may_end.set()
    write(file, "go")
    with served(file, lost=lost, sessions=sessions) as url:
        source = mcp(url=url)
        (tool,) = await source.open()
        for _ in range(2):
            sessions.clear()
            found = await asyncio.gather(*(tool.call(f'{{"x": {each}}}', {}, in_thread) for each in range(3)))
            assert [each.text for each in found] == [f'go {{"x": {each}}}' for each in range(3)]
        sessions.clear()
        assert [each.name for each in await source.open()] == ["go"]
        for uris in (["a:b"], []):
            sessions.clear()
            assert not isinstance((await source.read(uris))["a:b"], str)
        await source.close()
        await source.close()
    assert called(file) == ["go"] * 6


async def test_a_call_does_not_wait_for_the_end_of_a_lost_session_and_closing_does(tmp_path: Path) -> None:
    """A server that is slow to end what it has lost makes no call's result late, and nothing is left open."""
    file, sessions = tmp_path / "tools.json", Sessions()
    write(file, "go")
    with served(file, sessions=sessions) as url:
        source = mcp(url=url, timeout_seconds=5)
        (tool,) = await source.open()
        sessions.clear()
        try:
            found = await tool.call("{}", {}, in_thread)
            assert sessions == {"1"}
        finally:
            sessions.may_end.set()
            await source.close()
    assert (found.text, found.is_unknown, called(file)) == ("go {}", False, ["go"])
    assert sessions == {"1", "0 ended", "1 ended"}


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize(
    ("part", "text", "is_unknown"),
    [
        ('"error": {"code": -32000, "message": "paid, no receipt"}', "MCPError: paid, no receipt", True),
        ('"error": {"code": -32001, "message": "session timed out"}', "MCPError: session timed out", True),
        ('"error": {"code": -32602, "message": "no such purse"}', "MCPError: no such purse", False),
        ('"result": {"content": [{"type": "text", "text": "paid"}]}', "paid", False),
    ],
)
async def test_what_answers_a_call_with_status_404_is_its_answer(
    *, part: str, text: str, is_unknown: bool, streams: bool, tmp_path: Path
) -> None:
    """It is shown as the server wrote it, and the call, which the server took, is not made again."""
    file, sessions = tmp_path / "tools.json", Sessions(status=404)
    sessions.may_end.set()
    missing = '{"jsonrpc": "2.0", "id": ID, "error": {"code": -32002, "message": "there is no such a:b"}}'
    write(file, "go", lines={"go": f'{{"jsonrpc": "2.0", "id": ID, {part}}}', "resources/read": missing})
    with served(file, streams=streams, sessions=sessions) as url:
        source = mcp(url=url)
        found = await outcome(source, "go")
        await source.open()
        assert await source.read(["a:b"]) == {"a:b": "MCPError: there is no such a:b"}
        await source.close()
    assert (found.text, found.is_unknown, called(file)) == (text, is_unknown, ["go"])


async def test_one_tool_of_a_list_that_cannot_be_read_takes_no_other_away(tmp_path: Path) -> None:
    """What cannot be read of a tool is left out of it; a tool is left out only if no model could call it."""
    odd = [
        {"name": "no schema"},
        {"name": "null", "inputSchema": None, "description": None, "title": 1, "annotations": "x", "icons": {}},
        {"name": "no type", "inputSchema": {"properties": {"a": None, "b": True}, "required": None}},
        {"name": "or null", "inputSchema": {"type": ["object", "null"], "$schema": 7}},
        {"name": "list", "inputSchema": {"type": "array"}},
        {"inputSchema": OBJECT},
        "a tool",
        {"name": "x", "inputSchema": OBJECT, "outputSchema": 1, "execution": {"taskSupport": "sometimes"}, "_meta": []},
    ]
    source = server(tmp_path / "tools.json", "fine", tools=odd)
    assert [tool.origin for tool in await source.open()] == ["fine", "no schema", "null", "no type", "or null", "x"]
    await source.close()
    assert await source.left_out() == {
        "list": "its arguments are not an object",
        "tool 7": "it has no name",
        "tool 8": "it has no name",
    }


async def test_a_server_without_a_list_has_no_tools(tmp_path: Path) -> None:
    """As some answer that have none."""
    source = server(tmp_path / "tools.json")
    (tmp_path / "tools.json").write_text('{"tools": null}')
    assert await source.open() == []
    await source.close()


@pytest.mark.parametrize("effect", [None, "once"])
async def test_a_tool_that_acted_is_not_called_again(effect: Any, tmp_path: Path) -> None:
    """An answer that is not what it declares is no failure, neither for the model nor for an effect."""
    file = tmp_path / "tools.json"
    tools = [{"name": "mail", "inputSchema": OBJECT, "outputSchema": OUTPUT}]
    answers = {"mail": '{"content": [{"type": "text", "text": "sent"}, {"type": "receipt"}]}'}
    model = ScriptedModel(
        lambda request: Response("done") if request.messages[-1].role == "tool" else calls(("mail", {}))
    )
    async with Runner() as runner:
        found = await runner.start(desk(model, server(file, tools=tools, answers=answers, effect=effect))).result()
    assert (found.output, called(file)) == ("done", ["mail"])


async def test_a_server_that_is_initialized_is_not_promised_a_person(tmp_path: Path) -> None:
    """It asks while a call is made, which no wait of a run can carry; one of a later revision ends the call."""
    source = server(tmp_path / "tools.json", "fine")
    await source.open()
    await source.close()
    (line,) = Path(f"{tmp_path / 'tools.json'}.log").read_text().splitlines()
    assert "elicitation" not in json.loads(line.removeprefix("initialize "))

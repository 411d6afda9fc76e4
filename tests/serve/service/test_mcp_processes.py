import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
import mcp_types as types
import pytest
from click.testing import CliRunner
from mcp import Client, StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client

from graphengine import Runner
from graphengine.cli.main import main
from graphengine.serve.service.mcp_door import ERROR, RUN_ID
from tests.kit import forks
from tests.serve.service.client import TOKEN, Service, exists
from tests.serve.service.conftest import Services

ROOT = Path(__file__).resolve().parents[3]
FLOWS = ROOT / "tests" / "serve" / "service" / "mcp_flows.py"
PUBLISH = f"{FLOWS}:publish"
SLOW = f"{FLOWS}:slow"
TOPIC = {"topic": "tides"}
NAMED: Any = {RUN_ID: "r"}
DONE = {"result": "draft about tides: True calm fine"}
YES = types.ElicitResult(action="accept", content={"ok": True, "note": "fine"})
INSPECTOR = Path(__file__).parent / "mcp_inspector" / "node_modules" / ".bin" / "mcp-inspector"
BOTH = pytest.mark.parametrize("mode", ["auto", "legacy"])


@asynccontextmanager
async def connected(url: str, answer: Any = None, mode: str = "auto") -> AsyncIterator[Client]:
    """Connect a client to a server."""
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with httpx2.AsyncClient(headers=headers, timeout=60) as http:
        transport = streamable_http_client(url, http_client=http)
        async with Client(transport, mode=mode, elicitation_callback=answer) as client:
            yield client


@pytest.fixture
def serve(services: Services, tmp_path: Path) -> Services:
    """Start a server with the door of MCP."""
    return partial(services, "--mcp", graphs=PUBLISH, CALLS=str(tmp_path / "calls"))


def port_of(service: Service) -> str:
    """Return the port of a server."""
    return str(service.host.rpartition(":")[2])


async def test_a_server_is_killed_while_a_person_thinks(
    serve: Callable[..., Service], database: Any, tmp_path: Path
) -> None:
    """The client goes on with the next one and notices nothing; the recorded work is done once."""
    service = await asyncio.to_thread(serve, database)
    port = port_of(service)

    async def answer(*_: object) -> types.ElicitResult:
        service.process.kill()
        await asyncio.to_thread(service.process.communicate)
        await asyncio.to_thread(serve, database, "--port", port)
        return YES

    async with connected(service.opened["doors"]["mcp"], answer) as client:
        result = await client.call_tool("publish_it", TOPIC)
    assert (result.structured_content, (tmp_path / "calls").read_text()) == (DONE, "x")
    async with Runner(database) as runner:
        assert len(await runner.runs()) == 1


@BOTH
async def test_a_server_is_killed_in_the_middle_of_a_request(
    serve: Callable[..., Service], database: Any, tmp_path: Path, mode: str
) -> None:
    """The call fails; the same call with the run's id, to the next server, gets the result of the same run."""
    file, call = str(tmp_path / "go"), NAMED
    service = await asyncio.to_thread(serve, database, graphs=SLOW)
    with pytest.raises(Exception):  # noqa: B017, PT011, PT012 - whatever the SDK raises
        async with connected(service.opened["doors"]["mcp"], None, mode) as client:
            calling = asyncio.create_task(client.call_tool("slow", {"file": file}, meta=call))
            await exists(f"{file}.began")
            service.process.kill()
            async with asyncio.timeout(30):
                await calling
    service = await asyncio.to_thread(serve, database, graphs=SLOW)
    async with connected(service.opened["doors"]["mcp"], None, mode) as client:
        calling = asyncio.create_task(client.call_tool("slow", {"file": file}, meta=call))
        Path(file).touch()
        assert (await calling).structured_content == {"result": 1}
    async with Runner(database) as runner:
        assert len(await runner.runs()) == 1


async def test_two_servers_are_one(serve: Callable[..., Service], database: Any, tmp_path: Path) -> None:
    """Each request of a call may go to another one with the same token; what is sent twice is done once."""
    services = [await asyncio.to_thread(serve, database) for _ in range(2)]
    first, second = (service.opened["doors"]["mcp"] for service in services)

    async def nobody(*_: object) -> types.ElicitResult:
        raise AssertionError

    async with connected(first, nobody) as one, connected(second, nobody) as two:
        found: Any = await one.session.call_tool("publish_it", TOPIC, allow_input_required=True)
        while not found.input_requests:
            found = await two.session.call_tool(
                "publish_it", TOPIC, request_state=found.request_state, allow_input_required=True
            )
        answers: Any = dict.fromkeys(found.input_requests, YES)
        sent = {"input_responses": answers, "request_state": found.request_state, "allow_input_required": True}
        results = await asyncio.gather(*(each.session.call_tool("publish_it", TOPIC, **sent) for each in (one, two)))
    assert [result.structured_content for result in results] == [DONE, DONE]
    assert (tmp_path / "calls").read_text() == "x"


@BOTH
async def test_workers_elsewhere_drive_the_runs(serve: Callable[..., Service], postgres: str, mode: str) -> None:
    """With --queue the server records runs and answers; a process that drives runs of the queue continues them."""
    front = await asyncio.to_thread(serve, postgres, "--queue", "mail")
    assert front.opened["queue"] == "mail"

    async def answer(*_: object) -> types.ElicitResult:
        return YES

    back = asyncio.create_task(asyncio.to_thread(worked, postgres))
    async with connected(front.opened["doors"]["mcp"], answer, mode) as client:
        assert (await client.call_tool("publish_it", TOPIC)).structured_content == DONE
    worker = await back
    worker.terminate()
    worker.communicate(timeout=60)


def worked(database: str) -> subprocess.Popen[str]:
    """Start a worker."""
    words = [sys.executable, "-m", "graphengine", "worker", "--graph", PUBLISH, "--store", database, "--queue", "mail"]
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)


def test_the_guard_is_that_of_the_service(serve: Callable[..., Service], tmp_path: Path) -> None:
    """Without the token nothing is served; a body has a largest size; a signature does not start a tool."""
    service = serve(tmp_path / "runs.db", "--body-bytes", "1000", "--webhook-secret-env", "HOOK", HOOK="a secret")
    assert service.opened["doors"] == {"http": service.opened["url"], "mcp": service.opened["url"] + "/mcp"}
    for method in ("GET", "POST", "DELETE"):
        assert service.request(method, "/mcp", b"{}", {"Authorization": ""})[0] == 401
    assert service.request("POST", "/mcp", b"{}", {"Authorization": "", "X-Hub-Signature-256": "sha256=00"})[0] == 401
    status, answer = service.request("POST", "/mcp", b" " * 1001)
    assert (status, answer["error"]["where"]) == (413, "body")
    modern = {"MCP-Protocol-Version": "2026-07-28", "Accept": "application/json, text/event-stream"}
    assert service.request("POST", "/mcp", b"not JSON", modern)[0] == 400
    assert service.request("POST", "/mcp", b"[]", modern)[0] == 400


@BOTH
async def test_a_server_that_ends_lets_its_clients_go(serve: Callable[..., Service], tmp_path: Path, mode: str) -> None:
    """SIGTERM ends the requests that are held and the streams of old clients; the run is left to the next one."""
    service = await asyncio.to_thread(serve, tmp_path / "runs.db", graphs=SLOW)
    file = str(tmp_path / "go")
    async with connected(service.opened["doors"]["mcp"], None, mode) as client:
        calling = asyncio.create_task(
            client.session.call_tool("slow", {"file": file}, meta=NAMED, allow_input_required=True)
        )
        await exists(f"{file}.began")
        service.process.send_signal(signal.SIGTERM)
        result: Any = await calling
        Path(file).touch()
        began = time.monotonic()
        assert await asyncio.to_thread(service.process.wait, 60) == 0
        assert time.monotonic() - began < 4  # seconds; what is left open is cut off after 5
    if mode == "legacy":
        assert result.meta[ERROR]["error"]["code"] == "service_failed"
    else:
        assert isinstance(result, types.InputRequiredResult)


def test_the_doors_are_printed_at_the_start(tmp_path: Path) -> None:
    """In text each door has a line with its address, and those that are not open are named."""
    words = [
        sys.executable,
        "-m",
        "graphengine",
        "serve",
        "--mcp",
        SLOW,
        "--store",
        str(tmp_path / "r.db"),
        "--port",
        "0",
    ]
    env = {**os.environ, "GRAPHENGINE_TOKEN": TOKEN}
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT, env=env
    ) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(3)]
        process.terminate()
        _, said = process.communicate(timeout=60)
    url = lines[-2].strip()
    assert "options that add other protocols: --ag-ui, --ai-sdk, --a2a, --openai\n" in said
    assert url.startswith("http://127.0.0.1:")
    assert lines[-1] == f"MCP: {url}/mcp\n"


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the SDK the error names what to install."""
    monkeypatch.setitem(sys.modules, "graphengine.serve.service.mcp_door", None)
    done = CliRunner().invoke(main, ["serve", "--mcp", SLOW])
    assert (done.exit_code, "durable-graphengine[serve,mcp]" in done.output) == (2, True)
    done = CliRunner().invoke(main, ["mcp", SLOW])
    assert (done.exit_code, "durable-graphengine[serve,mcp]" in done.output) == (2, True)


# --- stdio -----------------------------------------------------------------------------------------------------------


def command(database: Any, *words: str, graphs: str = PUBLISH) -> list[str]:
    """Return the command of a server over stdio."""
    return [sys.executable, "-m", "graphengine", "mcp", graphs, "--store", str(database), *words]


def over_stdio(words: list[str], answer: Any, mode: str, **env: str) -> Client:
    """Return a client that starts a server."""
    program, *arguments = words
    variables = {**os.environ, "PYTHONPATH": str(ROOT), **env}
    started = StdioServerParameters(command=program, args=arguments, env=variables)
    nowhere: Any = subprocess.DEVNULL
    return Client(stdio_client(started, errlog=nowhere), mode=mode, elicitation_callback=answer)


@BOTH
async def test_a_run_asks_over_stdio(database: Any, tmp_path: Path, mode: str) -> None:
    """The client ends, and the next one, of a new server, answers the same run: its work is done once."""

    async def answer(*_: object) -> types.ElicitResult:
        return YES

    calls = {"CALLS": str(tmp_path / "calls")}
    async with over_stdio(command(database), None, mode, **calls) as client:
        result: Any = await client.call_tool("publish_it", TOPIC, meta=NAMED)
        assert result.meta[ERROR]["error"]["code"] == "question_open"
    async with over_stdio(command(database), answer, mode, **calls) as client:
        result = await client.call_tool("publish_it", TOPIC, meta=NAMED)
    assert (result.structured_content, Path(calls["CALLS"]).read_text()) == (DONE, "x")


async def test_the_seal_is_the_same_in_each_process_of_a_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a token it is made from the database; one that is named by another path is the same."""
    monkeypatch.delenv("GRAPHENGINE_TOKEN", raising=False)

    async def nobody(*_: object) -> types.ElicitResult:
        raise AssertionError

    found: Any = None
    for store in (tmp_path / "runs.db", tmp_path / "." / ".." / tmp_path.name / "runs.db"):
        async with over_stdio(command(store), nobody, "auto") as client:
            state = found.request_state if found is not None else None
            found = await client.session.call_tool("publish_it", TOPIC, request_state=state, allow_input_required=True)
            while not found.input_requests:
                found = await client.session.call_tool(
                    "publish_it", TOPIC, request_state=found.request_state, allow_input_required=True
                )
    async with Runner(tmp_path / "runs.db") as runner:
        assert len(await runner.runs()) == 1


INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}},
}


@pytest.mark.parametrize("words", [[], ["--json"], ["--log-format", "json"]])
def test_stdout_has_nothing_but_the_protocol(tmp_path: Path, words: list[str]) -> None:
    """What graphs' files and nodes print goes to stderr, also with --json; the end of stdin ends the server."""
    called = {"name": "publish_it", "arguments": {"topic": "cut \ud83d"}}  # half a character, as JavaScript writes it
    lines = [
        INITIALIZE,
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": called},
    ]
    process = forks.start("graphengine", "mcp", PUBLISH, "--store", str(tmp_path / "runs.db"), *words, loads=forks.MCP)
    process.stdin.write("not JSON\n" + "".join(json.dumps(line) + "\n" for line in lines))
    process.stdin.flush()
    shown: list[Any] = []
    while 2 not in [line.get("id") for line in shown]:
        shown.append(json.loads(process.stdout.readline()))
    out, err = process.communicate(timeout=60)
    assert (out, process.returncode) == ("", 0), err
    assert all(line["jsonrpc"] == "2.0" for line in shown)
    assert shown[-1]["result"]["_meta"][ERROR]["error"]["code"] == "question_open"
    assert "a graph's file writes to stdout" in err
    assert "a node writes to stdout" in err
    assert "waiting" in err
    assert "Publish it?" not in err


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGTERM")
def test_sigterm_ends_a_server_whose_client_stays(tmp_path: Path) -> None:
    """It does not wait for another line of stdin."""
    process = subprocess.Popen(
        command(tmp_path / "runs.db"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps(INITIALIZE).encode() + b"\n")
    process.stdin.flush()
    assert json.loads(process.stdout.readline())["id"] == 1
    process.terminate()
    assert process.wait(60) == 0
    process.communicate()


@pytest.mark.parametrize(
    ("words", "env", "problem"),
    [
        (["nowhere.py"], {}, "nowhere.py does not exist"),
        ([SLOW, "--store", "postgresql://"], {}, "postgresql://"),
        ([SLOW, "--queue", "\x07"], {}, "name of a queue"),
        ([SLOW], {"GRAPHENGINE_TOKEN": "short"}, "at least 16"),
    ],
)
def test_every_mistake_at_the_start_is_a_clear_error(
    words: list[str], env: dict[str, str], problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ends with an exit code and names the repair."""
    monkeypatch.chdir(tmp_path)
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    done = CliRunner().invoke(main, ["mcp", "--store", "runs.db", *words, "--json"])
    assert done.exit_code in (2, 5), done.output
    assert problem in done.output


# --- The reference inspector -----------------------------------------------------------------------------------------


@pytest.mark.skipif(shutil.which("node") is None, reason="the inspector needs Node.js, which is not on PATH")
@pytest.mark.skipif(
    not INSPECTOR.exists(),
    reason="the inspector is not installed: npm ci --prefix tests/serve/service/mcp_inspector --ignore-scripts",
)
@pytest.mark.parametrize("era", ["modern", "legacy"])
def test_the_reference_inspector_finds_no_fault(serve: Callable[..., Service], tmp_path: Path, era: str) -> None:
    """It lists the tools, whose schemas are portable, and calls one, over HTTP."""
    service = serve(tmp_path / "runs.db", graphs=str(FLOWS))
    Path(tmp_path / "go").touch()

    def inspected(*words: str) -> Any:
        given = ["node", str(INSPECTOR), "--cli", "--server-url", service.opened["doors"]["mcp"], "--transport", "http"]
        given += ["--header", f"Authorization: Bearer {TOKEN}", "--protocol-era", era, "--quiet", "--method", *words]
        env = {**os.environ, "MCP_CATALOG_PATH": str(tmp_path / "catalog.json")}
        done = subprocess.run(given, capture_output=True, text=True, timeout=60, check=False, env=env)
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout)

    tools = inspected("tools/list", "--strict")["tools"]
    assert {tool["name"] for tool in tools} == {
        "publish_it",
        "nested",
        "both",
        "again",
        "each",
        "slow",
        "broken",
        "report",
    }
    result = inspected("tools/call", "--tool-name", "slow", "--tool-arg", f"file={tmp_path / 'go'}")
    assert result["structuredContent"] == {"result": 1}

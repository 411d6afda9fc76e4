import asyncio
import itertools
import json
import logging
import os
import socket
import sys
import threading
from collections.abc import AsyncIterator, Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from mcp.types import CallToolResult, ResourceLink, TextContent
from pydantic import BaseModel

from graphengine import END, START, Agent, Graph, Retry, Runner
from graphengine.agents import mcp_connection
from graphengine.agents.mcp_servers import McpServer, mcp, text_of_result
from graphengine.agents.records import NOT_KNOWN
from graphengine.agents.tools import Tool, ToolOutcome, ToolSource, ToolsUnavailable
from graphengine.errors import DefinitionError
from graphengine.models import ScriptedModel
from graphengine.models.base import ToolSpec
from graphengine.models.scripted import calls
from tests.agents.tool_kits import in_thread
from tests.kit import forks
from tests.kit.runs import SOON

HERE = Path(__file__).parent
SHELF = [sys.executable, str(HERE / "mcp_server.py")]
TOKEN = "shelf-token-12345"  # noqa: S105 - not a real one


def odd(kind: str, *more: str, **options: Any) -> McpServer:
    """Return a server with odd behavior."""
    return mcp([sys.executable, "-S", str(HERE / "odd_mcp_server.py"), kind, *more], **options)


async def called(tool: Tool, **arguments: object) -> ToolOutcome:
    """Return the outcome of a server's tool."""
    return await tool.call(json.dumps(arguments), {}, in_thread)


async def text_of(tool: Tool, **arguments: object) -> str:
    """Return the text of a successful tool call."""
    outcome = await called(tool, **arguments)
    assert not outcome.is_error, outcome.text
    return outcome.text


async def opened(source: McpServer) -> dict[str, Tool]:
    """Return the source's tools by name."""
    return {tool.name: tool for tool in await source.open()}


def is_gone(pid: int) -> bool:
    """Return whether no process has this id."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


@pytest.fixture(autouse=True)
def _whole_output(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for all that a server has written, however late the thread that reads it is."""
    monkeypatch.setattr(mcp_connection, "_JOIN_SECONDS", SOON)


# --- the reference server, started once for these tests -----------------------------------------------------------

SHARED = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(scope="module")
def shelf_source() -> McpServer:
    """The mcp package's own server, with a secret in its environment."""
    return mcp(SHELF, env={"SHELF_TOKEN": TOKEN, "SHELF_ROOM": "north"}, approve=["add"])


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shelf(shelf_source: McpServer) -> AsyncIterator[dict[str, Tool]]:
    """Return its tools."""
    yield await opened(shelf_source)
    await shelf_source.close()


@SHARED
async def test_a_servers_tools_are_tools(shelf: dict[str, Tool], shelf_source: McpServer) -> None:
    """Name, description and schema are the server's; names of the graph's resources do not matter."""
    assert isinstance(shelf_source, ToolSource)
    spec = shelf["add"].spec(["a", "ctx"])
    assert (spec.name, spec.description) == ("add", "Add two numbers.")
    assert set(spec.schema["properties"]) == {"a", "b"}  # type: ignore[arg-type]
    assert (shelf["add"].approve, shelf["pid"].approve, shelf["pid"].timeout_seconds) == (True, False, 60)


@SHARED
async def test_a_call_gives_text(shelf: dict[str, Tool]) -> None:
    """Values arrive as the server sends them; structured content is used if there is no text."""
    assert await text_of(shelf["add"], a=2, b=3) == "5"
    assert json.loads(await text_of(shelf["find"], title="Emma")) == {"title": "Emma", "pages": 3}
    assert await text_of(shelf["bare"]) == '{"pages":3}'


@SHARED
async def test_content_that_is_not_text_is_described(shelf: dict[str, Tool]) -> None:
    """Images and other binary content are replaced by a line that describes them."""
    assert (await text_of(shelf["mixed"])).splitlines() == [
        "first",
        "[image, image/png, about 300 bytes: not passed on]",
        "[resource shelf://note]",
        "a note",
        "[resource shelf://scan, image/tiff, about 600 bytes: not passed on]",
        "[resource shelf://book, book, a book]",
        "last",
    ]


@SHARED
async def test_errors_of_a_servers_tool_are_reported_to_the_model(shelf: dict[str, Tool]) -> None:
    """Invalid arguments, an exception, and a result that the server marks as an error."""
    wrong = await called(shelf["add"], a="x")
    assert wrong.is_error
    assert "- a: 'x' is not of type 'integer'" in wrong.text
    assert (await called(shelf["fail"])).is_error
    assert await called(shelf["refuse"]) == ToolOutcome("the shelf is locked", is_error=True)
    assert (await shelf["add"].call("[1]", {}, in_thread)).is_error


@SHARED
async def test_a_result_that_is_too_large_is_an_error_too(shelf: dict[str, Tool]) -> None:
    """A server's result is limited as any tool's result is."""
    outcome = await called(shelf["large"], characters=300_000)
    assert outcome.is_error
    assert "300,000 characters" in outcome.text
    assert len(outcome.text) < 3_000


@SHARED
async def test_a_server_gets_few_variables(shelf: dict[str, Tool]) -> None:
    """It gets the package's default variables and those of env=; secrets are struck out of its texts."""
    lines = dict(line.split("=", 1) for line in (await text_of(shelf["set_env"])).splitlines())
    assert lines["SHELF_TOKEN"] == "[secret]"  # noqa: S105 - struck out
    assert lines["SHELF_ROOM"] == "north"
    assert set(lines) <= {"SHELF_TOKEN", "SHELF_ROOM", "HOME", "LOGNAME", "PATH", "SHELL", "TERM", "USER", "LC_CTYPE"}


@SHARED
async def test_a_server_that_hangs_is_left_waiting(shelf: dict[str, Tool]) -> None:
    """A call that takes too long is an error for the model, and the same server answers the next one."""
    pid = await text_of(shelf["pid"])
    outcome = await called(replace(shelf["hang"], timeout_seconds=0.2))
    assert outcome == ToolOutcome(f"hang gave no result within 0.2 seconds. {NOT_KNOWN}", is_error=True)
    assert await text_of(shelf["pid"]) == pid


@SHARED
async def test_calls_run_concurrently(shelf: dict[str, Tool]) -> None:
    """A waiting call delays no other, and may be cancelled."""
    waiting = asyncio.ensure_future(called(shelf["hang"]))
    sums = await asyncio.gather(*(text_of(shelf["add"], a=n) for n in range(20)))
    assert sums == [str(n + 1) for n in range(20)]
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


@SHARED
async def test_a_server_that_dies_is_started_anew(shelf: dict[str, Tool]) -> None:
    """The call in which it died is an error with its last output; the next one gets another server."""
    pid = await text_of(shelf["pid"])
    outcome = await called(shelf["die"])
    assert outcome.is_error
    assert "ended; its last output: " in outcome.text
    assert "the shelf fell over; SHELF_TOKEN was [secret]" in outcome.text
    assert TOKEN not in outcome.text
    assert is_gone(int(pid))
    assert await text_of(shelf["pid"]) != pid


async def test_calls_have_an_order_show_media_and_raise_if_wanted() -> None:
    """Serial tools have the server's names; a call without a result raises, an error of the server does not.

    Media of types that not every provider takes are still described.
    """
    source = mcp(SHELF, serial=["die"], on_error="raise", media=True)
    tools = await opened(source)
    assert [name for name, tool in tools.items() if tool.serial] == ["die"]
    shown = await called(tools["mixed"])
    assert [one.type for one in shown.media] == ["image/png"]
    assert "[media 1: image/png]" in shown.text
    assert "image/tiff, about 600 bytes: not passed on" in shown.text
    assert (await called(tools["refuse"])).is_error
    with pytest.raises(TimeoutError, match="hang gave no result"):
        await called(replace(tools["hang"], timeout_seconds=0.2))
    with pytest.raises(ToolsUnavailable, match="ended; its last output: "):
        await called(tools["die"])
    await source.close()
    with pytest.raises(ToolsUnavailable, match="is closed"):
        await called(tools["add"], a=1)


@SHARED
async def test_an_opening_lists_anew(shelf: dict[str, Tool], shelf_source: McpServer) -> None:
    """A tool that the server added meanwhile is listed when it is opened again, by the same server."""
    assert await text_of(shelf["grow"]) == "grown"
    again = await opened(shelf_source)
    assert again.keys() - shelf.keys() == {"grown"}
    assert await text_of(again["pid"]) == await text_of(shelf["pid"])
    await shelf_source.close()
    assert await text_of(again["grown"], a=1) == "2"


# --- starting and stopping ----------------------------------------------------------------------------------------


async def test_closing_leaves_no_process() -> None:
    """The last close ends the server; a call after that is an error."""
    source = odd("plain")
    tools, again = await opened(source), await opened(source)
    pid = int(await text_of(tools["act"]))
    await source.close()
    assert await text_of(again["act"]) == str(pid)
    await source.close()
    assert is_gone(pid)
    after = await called(tools["act"])
    assert after.is_error
    assert after.text.endswith("is closed")
    await source.close()


RUBBISH = """
import asyncio, sys
from graphengine.agents.mcp_servers import mcp

async def once():
    source = mcp([sys.executable, "-S", sys.argv[1], "rubbish"])
    (act,) = await source.open()
    assert (await act.call("", {}, asyncio.to_thread)).text.isdigit()
    await source.close()

asyncio.run(once())
"""


def test_what_a_server_writes_is_not_on_our_terminal(tmp_path: Path) -> None:
    """A server that writes invalid lines, and to standard error, can be used without output on the terminal."""
    program = tmp_path / "program.py"
    program.write_text(RUBBISH, encoding="utf-8")
    done = forks.run(program, str(HERE / "odd_mcp_server.py"), loads=["mcp"])
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_an_event_loop_that_ends_leaves_no_process() -> None:
    """A source left open is closed with its event loop; another loop gets its own server."""
    source = odd("plain")

    async def once() -> int:
        return int(await text_of((await opened(source))["act"]))

    first = asyncio.run(once())
    assert is_gone(first)
    assert asyncio.run(once()) != first


def test_concurrent_event_loops_have_separate_servers() -> None:
    """Two threads with a loop each share a source, but not a connection."""
    source = odd("plain")
    meet = threading.Barrier(2)
    pids: list[str] = []

    async def once() -> None:
        tools = await opened(source)
        await asyncio.to_thread(meet.wait)
        pids.append(await text_of(tools["act"]))
        await source.close()

    threads = [threading.Thread(target=asyncio.run, args=(once(),)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(pids)) == 2


async def test_openings_at_once_start_one_server() -> None:
    """Agents that start together share the server."""
    source = odd("plain")
    several = await asyncio.gather(*(opened(source) for _ in range(4)))
    assert len({await text_of(tools["act"]) for tools in several}) == 1
    for _ in several:
        await source.close()


async def test_a_servers_log_is_ours_when_debugging(caplog: pytest.LogCaptureFixture) -> None:
    """Its standard error goes into our log, without secrets."""
    source = odd("plain", env={"ODD_TOKEN": TOKEN})
    others = set(threading.enumerate())
    with caplog.at_level(logging.DEBUG, logger="graphengine.agents"):
        await text_of((await opened(source))["act"])
        await source.close()
        for thread in {each for each in threading.enumerate() if each.name == "mcp stderr"} - others:
            await asyncio.to_thread(thread.join)
    assert "called with ODD_TOKEN=[secret]" in caplog.text
    assert TOKEN not in caplog.text


@pytest.mark.parametrize(
    ("command", "why"),
    [
        (["/no/such/program"], "there is no program '/no/such/program'"),
        (
            ["sh", "-c", "echo the shelf is locked >&2; exit 3"],
            "it ended before it answered; its last output: the shelf",
        ),
        (
            ["sh", "-c", "echo welcome; read request"],
            "it ended before it answered; it wrote a line that is not a message: 'welcome'",
        ),
        ("true", "it ended before it answered"),
    ],
)
async def test_a_server_that_cannot_be_started_is_an_error_with_the_cause(command: Any, why: str) -> None:
    """Opening it fails with its output and a repair; a later open tries again."""
    source = mcp(command)
    for _ in range(2):
        with pytest.raises(ToolsUnavailable) as caught:
            await source.open()
        assert why in caught.value.message
        assert "run the command by hand" in caught.value.repair


async def test_a_server_that_does_not_answer_is_ended() -> None:
    """A server that takes too long to start is reported, and stopped."""
    with pytest.raises(ToolsUnavailable, match=r"did not answer within 0\.3 seconds"):
        await odd("silent", timeout_seconds=0.3).open()


async def test_a_server_that_ignores_the_first_request_is_named(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The error says which requests it had no answer to; if it answers the second, a warning says what that costs."""
    from mcp.client import session  # noqa: PLC0415 - loading it is under test

    with pytest.raises(ToolsUnavailable, match=r"server/discover.* initialize only after 10, .*timeout_seconds="):
        await odd("deaf", timeout_seconds=0.3).open()
    monkeypatch.setattr(session, "DISCOVER_TIMEOUT_SECONDS", 0.1)
    with pytest.raises(ToolsUnavailable, match="neither server/discover nor initialize"):
        await odd("silent", timeout_seconds=0.3).open()
    assert "server/discover" not in caplog.text
    source = odd("deaf")
    assert list(await opened(source)) == ["act"]
    await source.close()
    assert "does not answer server/discover, and is asked initialize after 0.1 seconds at each start" in caplog.text


async def test_a_cancelled_open_leaves_no_process(tmp_path: Path) -> None:
    """The cancelled open waits until the server has ended."""
    pid_file = tmp_path / "pid"
    os.mkfifo(pid_file)
    opening = asyncio.ensure_future(mcp(["sh", "-c", f"read line; echo $$ > {pid_file}; cat > /dev/null"]).open())
    pid = int(await asyncio.to_thread(pid_file.read_text))
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    assert is_gone(pid)


async def test_the_end_of_a_server_is_not_broken_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that closes its output and stays is waited for and killed, despite cancellations."""
    from mcp.client import stdio  # noqa: PLC0415 - loading it is under test

    monkeypatch.setattr(stdio, "PROCESS_TERMINATION_TIMEOUT", 0.3)
    pid_file = tmp_path / "pid"
    os.mkfifo(pid_file)
    script = f"read line; exec >&-; echo $$ > {pid_file}; exec sleep 60"
    opening = asyncio.ensure_future(mcp(["sh", "-c", script]).open())
    pid = int(await asyncio.to_thread(pid_file.read_text))
    for _ in range(100):  # until the end of the output is noticed, and the process is waited for
        await asyncio.sleep(0)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    assert is_gone(pid)


async def test_a_server_that_does_not_start_again_is_an_error_of_the_call(tmp_path: Path) -> None:
    """Each call after the server's death tries to start it, and reports the outcome to the model, until it works."""
    flag = tmp_path / "flag"
    source = odd("once", str(flag))
    tools = await opened(source)
    first, second = await called(tools["act"]), await called(tools["act"])
    assert "ended" in first.text
    assert second.is_error
    assert "cannot be used: it ended before it answered; its last output: it is there already" in second.text
    flag.unlink()
    assert "It is not known whether the call took effect" in (await called(tools["act"])).text
    flag.unlink()
    assert [tool.name for tool in await source.open()] == ["act"]
    await source.close()
    await source.close()


@pytest.mark.parametrize("on_error", ["report", "raise"])
async def test_an_effect_whose_server_dies_is_not_repeated(on_error: Any, tmp_path: Path) -> None:
    """Its end is unknown: the model is not told of an error, and no second server is started, but a person is asked."""

    class Desk(BaseModel):
        said: str = ""

    source = odd("once", str(tmp_path / "flag"), effect="once", on_error=on_error)
    agent = Agent("clerk", model=ScriptedModel([calls(("act", {})), "done"]), prompt="Act.", tools=[source])
    graph = Graph("desk", Desk, result="said")
    graph.add_node("serve", agent, writes="said", retry=Retry(attempts=2, initial_seconds=0))
    graph.add_path(START, "serve", END)
    async with Runner() as runner:
        (wait,) = (await runner.start(graph, run_id="r").result()).waits
        assert wait.kind == "unknown"
        assert "It is not known whether the call took effect" in wait.question
        await runner.answer("r", {"result": "acted"})
        (tmp_path / "flag").unlink()
        assert (await runner.resume("r", graph).result()).output == "done"


async def test_an_opening_starts_a_server_that_has_died() -> None:
    """A server that ended between calls is started again when it is opened again."""
    source = odd("plain")
    pid = int(await text_of((await opened(source))["act"]))
    os.kill(pid, 9)
    assert await text_of((await opened(source))["act"]) != str(pid)
    await source.close()
    await source.close()


async def test_the_package_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the mcp package, the error says what to install."""
    monkeypatch.setitem(sys.modules, "mcp", None)
    with pytest.raises(ToolsUnavailable) as caught:
        await mcp(SHELF).open()
    assert caught.value.repair == 'install the package: pip install "durable-graphengine[mcp]"'


# --- lists, names and messages ------------------------------------------------------------------------------------


async def test_all_pages_are_listed() -> None:
    """A paged list is read to its end; a title replaces a missing description."""
    source = odd("pages")
    tools = await opened(source)
    assert list(tools) == ["one", "two", "three"]
    assert tools["two"].description == "The two"
    await source.close()


async def test_an_endless_list_is_ended() -> None:
    """A page that links to itself is not read a third time."""
    source = odd("circle")
    assert list(await opened(source)) == ["after-None", "after-again"]
    await source.close()


async def test_names_are_made_to_fit() -> None:
    """Characters that providers do not accept in a name become an underscore; the server gets its own name."""
    source = odd("names", prefix="x_", only=["read.file", "größe"])
    tools = await opened(source)
    assert list(tools) == ["x_read_file", "x_gr__e"]
    assert (await text_of(tools["x_read_file"])).isdigit()
    await source.close()
    source = odd("clash")
    assert list(await opened(source)) == ["read_file_fa55d997", "read_file"]
    await source.close()
    source = odd("long", prefix="x")
    (name,) = await opened(source)
    assert (len(name), name[:3]) == (64, "xxx")
    await source.close()
    with pytest.raises(DefinitionError, match="prefix='my shelf '"):
        odd("plain", prefix="my shelf ")


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        (odd("pages", only=["one", "four"]), "has no tool 'four'"),
        (odd("pages", approve=["four"]), "has no tool 'four'"),
        (odd("pages", serial=["four"]), "has no tool 'four'"),
    ],
    ids=range(3),
)
async def test_unavailable_tools_are_reported(source: McpServer, problem: str) -> None:
    """Names that are unknown fail the open, with a repair."""
    with pytest.raises(DefinitionError, match=problem) as caught:
        await source.open()
    assert caught.value.repair


async def test_a_name_that_a_server_lists_twice_is_its_mistake(caplog: pytest.LogCaptureFixture) -> None:
    """One that is the same both times counts once; two different ones are left out, with one warning."""
    source = odd("again")
    assert list(await opened(source)) == ["act"]
    await source.close()
    source = odd("twice")
    for _ in range(2):
        assert list(await opened(source)) == ["look"]
    await source.close()
    await source.close()
    (warned,) = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    why = "the server lists two different tools of this name"
    assert warned == f"the tool 'act' of the MCP server {source.name} is left out: {why}"


async def test_the_event_loop_goes_on_while_many_tools_are_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another task runs each time that a hundred are made, and again as an agent describes them to its model."""
    source, turns, made = odd("many"), [0], list[int]()
    make = McpServer._tool  # noqa: SLF001 - when a tool is made is visible nowhere else

    def noting(server: McpServer, spec: Any, name: str, shared: Any) -> Tool:
        made.append(turns[0])
        return make(server, spec, name, shared)

    async def ticks() -> None:
        while True:
            turns[0] += 1
            await asyncio.sleep(0)

    monkeypatch.setattr(McpServer, "_tool", noting)
    ticking = asyncio.ensure_future(ticks())
    await source.open()
    assert len(made) == 2_000
    assert all(later > earlier for earlier, later in itertools.pairwise(made[::100]))
    described, spec = list[int](), Tool.spec

    def noting_too(tool: Tool, given: Collection[str] = ()) -> ToolSpec:
        described.append(turns[0])
        return spec(tool, given)

    monkeypatch.setattr(Tool, "spec", noting_too)
    await Agent("a", prompt="go", tools=[source], model=ScriptedModel(["done"])).run()
    assert len(described) == 2_000
    assert all(later > earlier for earlier, later in itertools.pairwise(described[::100]))
    ticking.cancel()
    await source.close()


@pytest.mark.parametrize(
    ("kind", "problem"),
    [("number", "MCPError: the shelf is locked"), ("closing", " ended")],
)
async def test_an_invalid_result_is_an_error(kind: str, problem: str) -> None:
    """A protocol error, and no answer at all, are reported to the model."""
    source = odd(kind)
    tools = await opened(source)
    outcome = await called(tools["act"])
    assert outcome.is_error
    assert problem in outcome.text
    await source.close()


def test_a_command_is_split_as_a_shell_would() -> None:
    """Quotes keep words together; nothing else of a shell applies."""
    assert mcp("serve '/a b' $HOME").address.command == ("serve", "/a b", "$HOME")


def test_what_a_source_is_called_has_no_secrets() -> None:
    """Neither its name nor its repr shows logins, options that are keys, or values of env and headers."""
    shown = []
    for source in (
        mcp("serve --api-key=abc123 --token abc123 pg://me:abc123@host/db", env={"A": "abc123"}),
        mcp(url="http://me:abc123@host/mcp?key=abc123", headers={"Authorization": "Bearer abc123"}),
    ):
        shown.append(source.name)
        assert "abc123" not in source.name
    assert shown == ["serve --api-key=[secret] --token [secret] pg://[secret]@host/db", "http://[secret]@host/mcp"]


# --- over HTTP -------------------------------------------------------------------------------------------------


async def test_a_server_that_runs_already_is_reached_by_its_url() -> None:
    """A server that runs already is reached over HTTP; while it is down, calls are errors."""
    with socket.socket() as kept:  # so that no other process gets the port while the server is down
        kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        kept.bind(("127.0.0.1", 0))
        await _used_while_up_and_down(kept.getsockname()[1])


async def _used_while_up_and_down(port: int) -> None:
    """Call a server on this port before it runs, while it runs, after it has died, and when it runs again."""
    source = mcp(url=f"http://127.0.0.1:{port}/mcp", headers={"Authorization": f"Bearer {TOKEN}"})
    with pytest.raises(ToolsUnavailable, match="ConnectError"):
        await source.open()
    server = _serving(port)
    tools = await opened(source)
    assert await text_of(tools["add"], a=1) == "2"
    assert "ended" in (await called(tools["die"])).text
    server.end()
    assert "ConnectError" in (await called(tools["pid"])).text
    server = _serving(port)
    assert await text_of(tools["pid"]) == str(server.pid)
    await source.close()
    server.kill()
    server.end()


def _serving(port: int) -> forks.Started:
    """Run the reference server on this port, once it answers."""
    server = forks.start(HERE / "mcp_server.py", str(port), loads=["mcp.server.mcpserver", "uvicorn"])
    while "running on" not in (line := server.stderr.readline()):
        assert line, "the server ended"
    return server


@pytest.mark.parametrize(
    ("texts", "structured", "text"),
    [
        (['{"a": 1}'], {"a": 1}, '{"a": 1}'),
        (["22 degrees"], {"result": "22 degrees"}, "22 degrees"),
        (["22"], {"result": 22}, "22"),
        (["bye"], {"content": "bye"}, "bye"),
        (["1", "2"], {"result": [1, 2]}, "1\n2"),
        (["one", "two"], {"result": ["one", "two"]}, "one\ntwo"),
        (["5", "6"], {"result": ["5", "6"]}, "5\n6"),
        (["Done.", '{"a": 1}'], {"a": 1}, 'Done.\n{"a": 1}'),
        ([], {"a": 1}, '{"a":1}'),
        (["It is warm."], {"degrees": 22}, 'It is warm.\n{"degrees":22}'),
        (["1"], {"result": [1, 2]}, '1\n{"result":[1,2]}'),
    ],
)
def test_structured_content_that_the_texts_do_not_say_is_kept(
    texts: list[str], structured: dict[str, Any], text: str
) -> None:
    """What the texts say already is not repeated."""
    content: list[Any] = [TextContent(text=each) for each in texts]
    assert text_of_result(CallToolResult(content=content, structured_content=structured)) == text


def test_a_link_to_a_resource_keeps_its_title_and_type() -> None:
    """A model chooses by them."""
    link = ResourceLink(name="r7", title="Report of May", uri="shelf://r7", mime_type="application/pdf")
    assert text_of_result(CallToolResult(content=[link])) == "[resource shelf://r7, Report of May, application/pdf]"

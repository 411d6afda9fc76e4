"""Tools of servers that nobody here has written: whatever they list or answer, a call costs itself alone at most."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from pydantic import BaseModel

from graphengine import END, START, Agent, Graph, Runner, ScriptedModel, mcp
from graphengine.agents.mcp_servers import McpServer
from graphengine.cli.main import main
from graphengine.models import Response
from graphengine.models.scripted import calls

pytest.importorskip("mcp")

SERVER = Path(__file__).with_name("wild_mcp_server.py")


def server(file: Path, *names: str, answers: Any = None, tools: Any = (), **options: Any) -> McpServer:
    """Return a server that lists these tools."""
    file.write_text(
        json.dumps(
            {
                "tools": [*({"name": n, "inputSchema": {"type": "object"}} for n in names), *tools],
                "answers": answers or {},
            }
        )
    )
    return mcp([sys.executable, "-S", str(SERVER), str(file)], **options)


def called(file: Path) -> list[str]:
    """Return the calls that a server got."""
    log = Path(f"{file}.log")
    return log.read_text().splitlines() if log.exists() else []


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
    server(file, "a_b", "a.b")
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

"""Tools of MCP servers that require input: a question or a wait of the run, after which the same call continues."""

import signal
import sys
from pathlib import Path

import pytest
from pydantic import BaseModel

from graphengine import END, START, Agent, Graph, Runner, ScriptedModel, mcp
from graphengine.agents.errors import SourceUnreadable
from graphengine.agents.mcp_servers import McpServer
from graphengine.agents.sources import read_resources
from graphengine.errors import InputError
from graphengine.models import Response
from graphengine.models.scripted import calls
from tests.agents.tool_kits import in_thread
from tests.kit import forks
from tests.kit.facts import said

pytest.importorskip("mcp")

SERVER = Path(__file__).with_name("asking_mcp_server.py")


class Desk(BaseModel):
    """The state."""

    said: str = ""


def source(folder: Path) -> McpServer:
    """Return the server's tools."""
    return mcp([sys.executable, str(SERVER), str(folder / "calls.log")])


def graph_of(folder: Path, tool: str) -> tuple[Graph[Desk], ScriptedModel]:
    """Return a graph whose agent calls a tool once, and its model."""
    model = ScriptedModel(lambda request: calls((tool, {})) if len(request.messages) < 2 else Response("done"))
    graph = Graph("cafe", Desk, result="said")
    graph.add_node("serve", Agent("clerk", model=model, prompt="Serve.", tools=[source(folder)]), writes="said")
    graph.add_path(START, "serve", END)
    return graph, model


def log(folder: Path) -> list[str]:
    """Return the calls that the server got."""
    return (folder / "calls.log").read_text().splitlines()


def result(model: ScriptedModel) -> str:
    """Return what the model got."""
    return model.requests[-1].messages[-1].text


@pytest.mark.parametrize(("answer", "told"), [({"size": "L"}, "ordered L"), ("decline", "not ordered: decline")])
async def test_what_a_server_asks_is_a_question_of_the_run(tmp_path: Path, answer: object, told: str) -> None:
    """The run waits; another Runner, with another process of the server, continues the call with the answer."""
    graph, model = graph_of(tmp_path, "order")
    async with Runner(tmp_path / "runs.db") as runner:
        waiting = await runner.start(graph, run_id="r").result()
        assert (waiting.status, waiting.waits[0].question) == ("waiting", "Which size?")
        with pytest.raises(InputError):
            await runner.answer("r", {"size": "XXL"})
    async with Runner(tmp_path / "runs.db") as runner:
        await runner.answer("r", answer)
        assert (await runner.resume("r", graph).result()).output == "done"
    assert result(model) == told
    assert log(tmp_path) == ["order None []", "order sealed ['size']"]


async def test_a_server_that_needs_time_is_asked_again(tmp_path: Path) -> None:
    """The run sleeps in between, and the work is begun once."""
    graph, model = graph_of(tmp_path, "brew")
    async with Runner(tmp_path / "runs.db") as runner:
        assert (await runner.start(graph, run_id="r").result()).output == "done"
    assert result(model) == "brewed"
    assert log(tmp_path) == ["brew None []", "brew 1 []", "brew 2 []"]


@pytest.mark.parametrize(
    ("killed_at", "then"),
    [
        ("order None []", ["order None []", "order None []", "order sealed ['size']"]),  # nothing was recorded
        ("order sealed ['size']", ["order None []", "order sealed ['size']", "order sealed ['size']"]),
    ],
)
def test_a_killed_client_continues_the_call(tmp_path: Path, killed_at: str, then: list[str]) -> None:
    """What the server required is recorded, and the answer: after a kill it is not begun again, but continued."""
    (tmp_path / "calls.kill").write_text(killed_at)
    program = Path(__file__).with_name("mcp_cafe.py")
    ran = [forks.run(program, str(tmp_path), verb) for verb in ("start", "answer", "answer", "answer")]
    assert sorted(each.returncode for each in ran) == [-signal.SIGKILL, 0, 0, 0], [each.stderr for each in ran]
    assert ran[-1].stdout == "done\n"
    assert log(tmp_path) == then


@pytest.mark.parametrize(
    ("tool", "why"),
    [("sample", "'sampling/createMessage', which is not supported"), ("pay", "must not be repeated")],
)
async def test_what_cannot_be_given_is_an_error_for_the_model(tmp_path: Path, tool: str, why: str) -> None:
    """Sampling; and a question inside an effect that must not be repeated, which was not done then."""
    graph, model = graph_of(tmp_path, tool)
    async with Runner(tmp_path / "runs.db") as runner:
        assert (await runner.start(graph, run_id="r").result()).output == "done"
    assert why in result(model)


async def test_a_call_that_becomes_a_task_is_followed(tmp_path: Path) -> None:
    """The run sleeps between looks, and keeps its slot in a map; what a task requires is asked, and given once."""
    graph, model = graph_of(tmp_path, "decorate")
    async with Runner(tmp_path / "runs.db") as runner:
        waiting = await runner.start(graph, run_id="r").result()
        assert (waiting.status, waiting.waits[0].question) == ("waiting", "Which size?")
    async with Runner(tmp_path / "runs.db") as runner:
        await runner.answer("r", {"size": "L"})
        assert (await runner.resume("r", graph).result()).output == "done"
        waits = [wait for step in await runner.history("r") for wait in said(step).get("waits", {}).values()]
    assert {wait.get("keeps_slot", False) for wait in waits if wait["kind"] == "sleep"} == {True}
    assert result(model) == "decorate done"
    assert log(tmp_path) == ["decorate", "get decorate", "update decorate ['size']", "get decorate"]


@pytest.mark.parametrize(
    ("killed_at", "then"),
    [
        ("bake", ["bake", "bake", "get bake", "get bake"]),  # nothing was recorded
        ("get bake", ["bake", "get bake", "get bake"]),
    ],
)
def test_a_killed_client_follows_the_same_task(tmp_path: Path, killed_at: str, then: list[str]) -> None:
    """The id of the task is recorded: no other one is begun."""
    (tmp_path / "calls.kill").write_text(killed_at)
    program = Path(__file__).with_name("mcp_cafe.py")
    ran = [forks.run(program, str(tmp_path), verb, "bake") for verb in ("start", "answer", "answer")]
    assert sorted(each.returncode for each in ran) == [-signal.SIGKILL, 0, 0], [each.stderr for each in ran]
    assert ran[-1].stdout == "done\n"
    assert log(tmp_path) == then


@pytest.mark.parametrize(
    ("tool", "told"), [("burn", "task 'burn' of the MCP server is failed: it burned"), ("deliver", "deliver done")]
)
async def test_a_task_that_fails_or_must_not_be_repeated(tmp_path: Path, tool: str, told: str) -> None:
    """A failure is an error for the model; a task inside an effect is waited for in this process."""
    graph, model = graph_of(tmp_path, tool)
    async with Runner(tmp_path / "runs.db") as runner:
        assert (await runner.start(graph, run_id="r").result()).output == "done"
    assert told in result(model)
    assert log(tmp_path).count(tool) == 1


async def test_a_task_is_followed_outside_a_run_too(tmp_path: Path) -> None:
    """By looking at it until it is over."""
    served = source(tmp_path)
    tools = {tool.name: tool for tool in await served.open()}
    outcome = await tools["bake"].call("{}", {}, in_thread)
    await served.close()
    assert (outcome.text, outcome.is_error) == ("bake done", False)


async def test_resources_are_sources(tmp_path: Path) -> None:
    """All, or those that are named; what cannot be read is left out with the reason."""
    found = await read_resources(source(tmp_path))
    assert [(each.path, each.text) for each in found.files] == [
        ("menu://today", "Soup."),
        ("menu://drinks.md", "# Tea"),
    ]
    assert "'menu://none' cannot be read: MCPError: there is no such menu" in found.left_out[0]
    (one,) = (await read_resources(source(tmp_path), "menu://drinks.md")).files
    assert one.text == "# Tea"
    with pytest.raises(SourceUnreadable, match="has no readable file"):
        await read_resources(source(tmp_path), "menu://none")

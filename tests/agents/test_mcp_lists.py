"""Servers of tools are deployed anew while a Runner lives: what later calls of an agent are offered."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from graphengine import Agent, Runner, ScriptedModel, mcp
from graphengine.agents import toolset
from graphengine.agents.mcp_servers import McpServer
from graphengine.models import Response, calls
from tests.agents.tool_kits import called

pytest.importorskip("mcp")

SERVER = Path(__file__).with_name("listing_mcp_server.py")


def server(file: Path, kind: str, *names: str, **options: Any) -> McpServer:
    """Return a server of this kind that has these tools."""
    file.write_text(" ".join(names))
    return mcp([sys.executable, "-S", str(SERVER), str(file), kind], **options)


def listings(file: Path) -> int:
    """Return how often a server was asked for its tools."""
    return len(Path(f"{file}.log").read_text().splitlines())


async def offered(runner: Runner, agent: Agent[str], model: ScriptedModel) -> Sequence[Sequence[str]]:
    """Run an agent, and return what its model was offered, by turn."""
    before = len(model.requests)
    await runner.run(agent, question="x")
    return [sorted(tool.name for tool in request.tools) for request in model.requests[before:]]


@pytest.mark.parametrize(
    ("kind", "seen", "asked"),
    [("tells", ["a"], 1), ("mute", ["a", "b"], 3), ("stale", ["a", "b"], 3), ("kept", ["a"], 1)],
)
async def test_a_list_is_read_anew_at_the_beginning_of_a_call(
    tmp_path: Path, kind: str, seen: Sequence[str], asked: int
) -> None:
    """It is, unless the server says when it changes, or for how long it may be kept."""
    model = ScriptedModel(["1", "2", "3"])
    agent = Agent("a", model=model, tools=[server(tmp_path / "s", kind, "a")])
    async with Runner() as runner:
        assert await offered(runner, agent, model) == [["a"]]
        (tmp_path / "s").write_text("a b")
        assert await offered(runner, agent, model) == [seen]
        await offered(runner, agent, model)
    assert listings(tmp_path / "s") == asked


@pytest.mark.parametrize("is_set", [False, True], ids=["server", "toolset"])
async def test_a_turn_is_offered_what_the_server_says_during_a_call(tmp_path: Path, *, is_set: bool) -> None:
    """The turn after a call that adds a tool is offered it; a server that is not asked again is not."""
    for kind, then in (("tells", ["t_grow", "t_grown"]), ("mute", ["t_grow"])):
        source = server(tmp_path / kind, kind, "grow", prefix="" if is_set else "t_")
        model = ScriptedModel([calls(("t_grow", {})), "Done.", "Again."])
        agent = Agent("a", model=model, tools=toolset(source, prefix="t_") if is_set else [source])
        async with Runner() as runner:
            assert await offered(runner, agent, model) == [["t_grow"], then]
            assert await offered(runner, agent, model) == [["t_grow", "t_grown"]]


async def test_a_server_that_ended_is_listed_when_it_is_started_again(tmp_path: Path) -> None:
    """Also one that says when its list changes: it could not say so while it was gone."""
    source = server(tmp_path / "s", "tells", "quit")
    model = ScriptedModel([calls(("quit", {})), "1"])
    async with Runner() as runner:
        assert await offered(runner, Agent("a", model=model, tools=[source]), model) == [["quit"], ["b", "quit"]]


async def test_a_server_that_cannot_be_listed_again_keeps_its_tools(tmp_path: Path) -> None:
    """Its calls say what is wrong with it; a call of the agent does not fail for the list alone."""
    source = server(tmp_path / "s", "mute", "a")
    model = ScriptedModel(["1", calls(("a", {})), lambda request: Response(request.messages[-1].text)])
    agent = Agent("a", model=model, tools=[source])
    async with Runner() as runner:
        await runner.run(agent, question="x")
        (tmp_path / "s").unlink()
        assert await offered(runner, agent, model) == [["a"], ["a"]]


async def test_progress_lets_a_call_take_longer(tmp_path: Path) -> None:
    """The time counts from the last report of progress, up to the most of a call."""
    source = server(tmp_path / "s", "mute", "work", timeout_seconds=0.5)
    (work,) = await source.open()
    assert (await called(work, '{"times": 10}')).text == "work is done"
    await source.close()
    bounded = server(tmp_path / "t", "mute", "work", timeout_seconds=0.5, max_seconds=1.0)
    (work,) = await bounded.open()
    outcome = await called(work, '{"times": 30}')
    assert outcome.is_unknown
    assert outcome.text.startswith("work gave no result within 1 seconds.")
    await bounded.close()

"""Sources of tools of one's own: which function a call runs once what they list has changed, or the run has waited."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from graphengine import END, START, Agent, Graph, Runner, ScriptedModel, tool
from graphengine.agents import Tool
from graphengine.errors import DefinitionError
from graphengine.models import Response
from graphengine.models.scripted import calls


class Desk(BaseModel):
    """The state."""

    said: str = ""


@dataclass
class Listed:
    """A source, with what it lists now."""

    name: str
    tools: Sequence[Tool[Any, Any]] = field(default_factory=tuple)

    async def open(self) -> Sequence[Tool[Any, Any]]:
        """Return its tools."""
        return self.tools

    async def close(self) -> None:
        """Do nothing."""


def named(name: str, *, by: str = "", origin: str = "", approve: bool = False) -> Tool[Any, Any]:
    """Return a tool that says who made the call."""

    def said() -> str:
        """Say it."""
        return by or name

    return Tool(said, name=name, origin=origin, approve=approve)


def desk(model: ScriptedModel, *sources: Listed) -> Graph[Desk]:
    """Return a graph of one agent with these sources."""
    graph = Graph("desk", Desk, result="said")
    graph.add_node("clerk", Agent("clerk", model=model, prompt="Serve.", tools=sources), writes="said")
    graph.add_path(START, "clerk", END)
    return graph


def calling(name: str) -> ScriptedModel:
    """Return a model that calls a tool once, and answers with its result and the names of the tools."""

    def say(request: Any) -> Response:
        if len(request.messages) < 2:
            return calls((name, {}))
        return Response(f"{request.messages[-1].text} of {', '.join(each.name for each in request.tools)}")

    return ScriptedModel(say)


async def approved(store: Path, graph: Graph[Desk]) -> str:
    """Resume the run that waits there in another process, with a person's yes; return its result."""
    async with Runner(store) as runner:
        await runner.answer("r", True)  # noqa: FBT003 - the answer
        return str((await runner.resume("r", graph).result()).output)


async def waits(store: Path, graph: Graph[Desk]) -> None:
    """Start a run that waits for a person."""
    async with Runner(store) as runner:
        assert (await runner.start(graph, run_id="r").result()).status == "waiting"


async def test_the_call_that_a_person_approved_is_made(tmp_path: Path) -> None:
    """Of several tools of a source of one's own, none of which has another name at its origin."""
    source = Listed("own", [named("search", approve=True), named("delete", approve=True)])
    graph = desk(calling("delete"), source)
    await waits(tmp_path / "runs.db", graph)
    assert await approved(tmp_path / "runs.db", graph) == "delete of search, delete"


@pytest.mark.parametrize("origin", ["search", ""])
async def test_no_other_source_gets_a_call_that_waits(origin: str, tmp_path: Path) -> None:
    """One that lists a tool of the same name meanwhile: it gets another name."""
    first, second = Listed("first"), Listed("second", [named("search", by="second", origin=origin, approve=True)])
    graph = desk(calling("search"), first, second)
    await waits(tmp_path / "runs.db", graph)
    first.tools = [named("search", by="first", origin=origin)]
    said = await approved(tmp_path / "runs.db", graph)
    assert said.startswith("second of search_")
    assert said.endswith(", search")


async def test_another_tool_of_a_source_gets_no_call_that_waits(tmp_path: Path) -> None:
    """One that is listed in the place of a tool that is gone, under the name that it had for models."""
    source = Listed("own", [named("read_file", origin="read_file", approve=True)])
    graph = desk(calling("read_file"), source)
    await waits(tmp_path / "runs.db", graph)
    source.tools = [named("read_file", origin="read.file")]
    assert "There is no tool 'read_file'" in await approved(tmp_path / "runs.db", graph)


async def test_a_source_lists_no_tool_twice() -> None:
    """A call of a tool that cannot be told from another could be made by either."""
    source = Listed("own", [tool(named("search"), description="One."), named("search")])
    with pytest.raises(DefinitionError, match="two tools have the same name 'search'"):
        await Agent("a", model=ScriptedModel(["done"]), tools=[source]).run(question="x")


async def test_a_source_lists_no_tool_that_writes_fields() -> None:
    """The compiler, which checks fields, their types and conflicts, does not see it; no model is called."""
    model = ScriptedModel(["done"])
    source = Listed("own", [tool(named("search"), writes="said")])
    with pytest.raises(DefinitionError, match="the tool 'search' of 'own' writes the field 'said'"):
        await Agent("a", model=model, tools=[source]).run(question="x")
    assert not model.requests

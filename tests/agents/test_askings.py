"""What an agent asks a person, or another program, is answered by the id of its asking."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from graphengine import END, START, Agent, Graph, Runner, ScriptedModel, tool, value
from graphengine.agents.external_tools import external_tool
from graphengine.errors import AmbiguousWait, AnsweredAlready
from graphengine.models.base import Response, ToolCall


class State(BaseModel):
    n: int = 0
    text: str = ""


async def mail(to: str) -> str:
    """Send a mail."""
    return f"sent to {to}"


async def look(to: str) -> str:
    """Look something up."""
    raise NotImplementedError


def graph_of(given: Any) -> Graph[State]:
    """Return a graph in which an agent calls a tool, three times."""
    graph = Graph("mails", State)
    graph.add_node("count", lambda n: n + 1, writes="n")
    graph.add_node("agent", Agent("agent", prompt="Mail {n}.", tools=[given]), writes="text")
    graph.add_path(START, "count", "agent")
    graph.add_edge("agent", END, when=value("n") >= 3)
    graph.add_edge("agent", "count")
    return graph


@pytest.mark.parametrize("is_external", [False, True], ids=["approval", "external tool"])
async def test_each_call_is_a_question_of_its_own(tmp_path: Path, is_external: bool) -> None:  # noqa: FBT001 - a parameter
    """An answer to the first call is none to the next, which has the same name; nor by that name."""
    graph = graph_of(external_tool(look) if is_external else tool(mail, approve=True))
    name, answer = ("look", "found") if is_external else ("mail", True)
    said = [
        each
        for n in range(3)
        for each in (
            Response("", (ToolCall(id=f"c{n}", name=name, arguments='{"to": "ada"}'),)),
            "done",
        )
    ]
    async with Runner(tmp_path / "runs.db", models=ScriptedModel(said)) as runner:
        (first,) = (await runner.start(graph, run_id="r").result()).waits
        (second,) = (await (await runner.answer("r", answer, graph, wait=first)).result()).waits
        assert (first.name, first.id != second.id) == (second.name, True)
        with pytest.raises(AnsweredAlready, match=first.id):
            await runner.answer("r", answer, graph, wait=first)
        with pytest.raises(AmbiguousWait, match=second.id):
            await runner.answer("r", answer, graph, wait=second.name)
        (third,) = (await (await runner.answer("r", answer, graph)).result()).waits
        result = await (await runner.answer("r", answer, graph, wait=third.id)).result()
        assert result.status == "finished"
        found = [getattr(step.data, "answer", None) for step in await runner.history("r")]
        assert [each.id for each in found if each is not None and each.id] == [first.id, second.id, third.id]

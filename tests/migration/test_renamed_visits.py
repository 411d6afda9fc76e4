"""A branch begins after a visit under the name that the visit is shown with: its present one."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from graphengine import END, START, Graph, Migration, Runner, ask
from graphengine.errors import UnknownStep


class Text(BaseModel):
    """A state."""

    text: str = ""
    ok: bool = False


def graph_with(name: str, **options: Any) -> Graph[Text]:
    """Return a graph whose first node, a graph, has this name."""
    inner = Graph("inner", Text, result="text")
    inner.add_node("add", lambda text: f"{text}!", writes="text")
    inner.add_path(START, "add", END)
    graph = Graph("texts", Text, **options)
    graph.add_node(name, inner, inputs={"text": "text"}, writes="text")
    graph.add_node("ask", ask("Go on?", bool), writes="ok")
    graph.add_path(START, name, "ask", END)
    return graph


async def test_a_visit_before_a_migration_has_its_present_name(tmp_path: Path) -> None:
    """So has a visit inside a graph that is renamed; the old name is unknown."""
    renamed = graph_with("write", version=2, migrate={1: Migration(renamed={"draft": "write"})})
    async with Runner(tmp_path / "runs.db") as runner:
        await runner.start(graph_with("draft"), Text(), run_id="r").result()
        await runner.answer("r", value=True)
        await runner.resume("r", renamed).result()
        for node in ("write", "write/add"):
            assert (await runner.branch("r", renamed, (node, 1)).result()).status == "waiting"
        with pytest.raises(UnknownStep, match="'draft'"):
            await runner.branch("r", renamed, ("draft", 1)).result()

"""Graphs that change while their runs wait: runs that fit continue and record the change, others are left unchanged.

`UPDATE_PAGES=1` rewrites the pages.
"""

import enum
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, create_model

from graphengine import END, START, Agent, Graph, Migration, Runner, ScriptedModel, ask
from graphengine.errors import GraphChanged
from tests.kit.facts import said
from tests.kit.runs import row
from tests.migration.page import check_page

PAGES = sorted((Path(__file__).parent / "pages").glob("*.txt"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
async def test_a_run_takes_a_change_as_its_page_says(runner: Runner, page: Path) -> None:
    """It continues and records the change, or is left as it was and continues in the graph that it fits."""
    await check_page(page, runner)


class Desk(BaseModel):
    draft: str = "all about Ants"
    ok: bool = False


async def test_a_changed_prompt_is_recorded_with_the_old_one(runner: Runner) -> None:
    """Old and new text are cut around their difference; the next call has the new one."""
    model = ScriptedModel(["x"])

    def graph(prompt: str) -> Graph[Any]:
        teller = Agent("teller", model=model, prompt=prompt)
        return row(Desk, ("approve", ask("Print it?", bool), "ok"), ("publish", teller, "draft"))

    await runner.start(graph("Tell of this: {draft}"), run_id="r").result()
    await runner.answer("r", value=True)
    await runner.resume("r", graph("Tell of this: {draft}" + " and be kind" * 20)).result()
    resumed = next(step for step in await runner.history("r") if step.kind == "resumed")
    (line,) = said(resumed)["changes"]
    assert line.startswith("node publish: prompt '…ell of this: {draft}' → '…ell of this: {draft} and be kind")
    assert len(line) < 200
    assert model.requests[0].prompt == "Tell of this: all about Ants" + " and be kind" * 20


async def test_what_changed_inside_an_enum_is_found(runner: Runner) -> None:
    """Its members are part of the graph: every value is checked before anything is recorded, with a version or not."""

    def graph(*words: str, **options: Any) -> Graph[Any]:
        kind = enum.StrEnum("Kind", {word: word for word in words})  # type: ignore[misc]
        made: Graph[Any] = Graph("kinds", create_model("S", kind=(kind, "red"), ok=(bool, False)), **options)
        made.add_node("ask", ask("Well?", bool), writes="ok")
        made.add_node("look", lambda kind: {"ok": bool(kind)})
        made.add_path(START, "ask", "look", END)
        return made

    await runner.start(graph("red", "blue"), {"kind": "blue"}, run_id="r").result()
    with pytest.raises(GraphChanged, match="holds 'blue'"):
        await runner.answer("r", value=True, graph=graph("red", version=2, migrate={1: Migration()}))
    with pytest.raises(GraphChanged, match="type Kind: blue is gone: 'blue'"):
        await runner.answer("r", value=True, graph=graph("red"))
    assert (await runner.info("r")).status == "waiting"
    with pytest.raises(GraphChanged, match="holds 'blue'"):
        await runner.resume("r", graph("red")).result()
    wider = graph("red", "blue", "green")
    assert (await (await runner.answer("r", value=True, graph=wider)).result()).status == "finished"
    (resumed,) = [step for step in await runner.history("r") if step.kind == "resumed"]
    assert said(resumed)["changes"] == ["type Kind: green is new: 'green'"]

"""Branches that give agents other instructions: recorded in their first step, for resumes, branches and replays."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel, SecretStr

from graphengine import END, START, Agent, Graph, Limits, Runner, ScriptedModel
from graphengine.agents.asked import turn_of
from graphengine.engine.steps import Branched
from graphengine.errors import InputError
from graphengine.history.load import graph_spec_of, load_snapshot
from graphengine.models import Request
from graphengine.records.replay.replay import replay
from tests.agents.run_kits import one

KEY = "0-0123456789-abcdefghijklmnopqrstuvwxyz"


class Piece(BaseModel):
    task: str = "tides"
    draft: str = ""
    final: str = ""


def asked(request: Request) -> str:
    """Return the instructions that the model got."""
    return request.system


def graph(model: Any = asked, system: Any = "Write short.") -> Graph[Piece]:
    """Return a writer, and an editor who has instructions of its own."""
    made = Graph("write", Piece)
    scripted = ScriptedModel(model)
    made.add_node("draft", Agent("writer", system=system, prompt="On {task}", model=scripted), writes="draft")
    made.add_node("edit", Agent("editor", system="Edit.", prompt="Edit {draft}", model=scripted), writes="final")
    made.add_path(START, "draft", "edit", END)
    return made


async def test_a_branch_replaces_the_instructions_of_one_agent(runner: Runner) -> None:
    """The editor keeps its own; the parent is unchanged; the replay of the branch is the same."""
    flow = graph()
    await runner.start(flow, run_id="first").result()
    other = await runner.branch("first", flow, 1, run_id="other", instructions={"writer": "Write long."}).result()
    assert (other.state.draft[:11], other.state.final[:5]) == ("Write long.", "Edit.")
    step = next(each for each in await runner.history("other") if isinstance(each.data, Branched))
    assert step.data.instructions == {"writer": "Write long."}  # type: ignore[union-attr]
    assert replay(flow, await runner.history("other")).same
    assert (await runner.get("first", flow).result()).state.draft.startswith("Write short.")


async def test_a_resume_and_a_branch_of_the_branch_have_them_too(runner: Runner) -> None:
    """They are part of the run, as its limits are; a branch of the branch adds to them."""
    flow = graph()
    await runner.start(flow, run_id="first").result()
    cut = await runner.branch(
        "first", flow, 1, run_id="cut", limits=Limits(visits=1), instructions={"edit": "Cut it."} | {"writer": "Long."}
    ).result()
    assert cut.status == "stopped"
    whole = await runner.resume("cut", flow, limits=Limits(visits=9)).result()
    assert (whole.state.draft[:5], whole.state.final[:7]) == ("Long.", "Cut it.")
    again = await runner.branch("cut", flow, "draft:1", instructions={"edit": "Keep it."}, run_id="again").result()
    assert (again.state.draft[:5], again.state.final[:8]) == ("Long.", "Keep it.")


async def test_the_record_has_what_the_model_was_told(runner: Runner) -> None:
    """The spec of the graph has the old instructions: the turn records the new ones, and readers show them."""
    flow = graph()
    await runner.start(flow, run_id="first").result()
    await runner.branch("first", flow, 1, run_id="other", instructions={"writer": "On {task}, long."}).result()
    store = runner.store
    steps = await runner.history("other")
    turn = next(each for each in steps if each.kind == "recorded")
    snapshot = await load_snapshot(store, "other", turn.seq)
    shown = turn_of(turn, snapshot, await graph_spec_of(store, snapshot.fingerprint))
    assert shown is not None
    assert [word for word in ("tides", "long.", "short") if word in shown.system] == ["tides", "long."]


async def test_turns_recorded_under_other_instructions_are_not_used(runner: Runner) -> None:
    """1. The writer has answered; 2. the branch begins after its turn, within the visit; 3. it asks anew."""
    for system in ("Write short.", lambda task: f"Write of {task}."):
        name = f"of-{callable(system)}"
        flow = graph(system=system)
        await runner.start(flow, run_id=name).result()
        turn = next(each.seq for each in await runner.history(name) if each.kind == "recorded")
        other = await runner.branch(name, flow, turn, instructions={"writer": "Write long."}).result()
        assert other.state.draft.startswith("Write long.")
        same = await runner.branch(name, flow, turn).result()
        assert not same.state.draft.startswith("Write long.")


async def test_unknown_agents_are_refused_at_once(runner: Runner) -> None:
    """The error names the nearest agent, and nothing is recorded."""
    flow = graph()
    await runner.start(flow, run_id="first").result()
    with pytest.raises(InputError, match="unknown agent 'writter'") as caught:
        runner.branch("first", flow, 1, instructions={"writter": "Write long."})
    assert "did you mean 'writer'" in (caught.value.repair or "")
    assert (await runner.runs())[0].id == "first"


async def test_instructions_with_a_secret_of_the_run_are_refused(runner: Runner) -> None:
    """They are recorded in clear text."""

    class Held(BaseModel):
        key: SecretStr
        draft: str = ""

    flow = Graph("held", Held, secret_key=KEY)
    model = ScriptedModel(asked)
    flow.add_node("draft", Agent("writer", system="Short.", prompt="Go", model=model), writes="draft")
    flow.add_path(START, "draft", END)
    await runner.start(flow, {"key": "s3cret-token-1234"}, run_id="held").result()
    run = runner.branch("held", flow, 1, run_id="leak", instructions={"writer": "Use s3cret-token-1234."})
    with pytest.raises(InputError, match="instructions contains the clear text of a secret field"):
        await run.result()
    assert [info.id for info in await runner.runs()] == ["held"]


async def test_a_run_without_agents_refuses_them(runner: Runner) -> None:
    """No agent would read them."""
    plain = one(lambda: "x")
    await runner.start(plain, run_id="plain").result()
    with pytest.raises(InputError, match="unknown agent"):
        runner.branch("plain", plain, 1, instructions={"writer": "x"})

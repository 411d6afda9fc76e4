"""Agents that know events and not each other."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from pydantic_core import to_json

from graphengine import Graph, Limits, Result, Runner, ScriptedModel
from graphengine.kernel.inside import read_json
from graphengine.models import Request
from graphs.event_bus import LETTERS, MEMBERS, Letter, Member, Office, event_bus, graph
from nodes.review.agents import Review
from tests.cli.programs import ROOT, call, document, start
from tests.conformance.model_scenes import Received, Says
from tests.graphs.review_kit import BRIEF, FOUND, PAGE, TIDES, judged
from tests.graphs.scenes import LIMITED, OFFICE
from tests.models.edge_server import EdgeServer

GIVEN = Office(task=TIDES.task, sources=[PAGE])
BAD, GOOD = judged(4, "Say more."), judged(8)
SCRIPT, SECOND = OFFICE, LIMITED

HEARD = {
    "researcher": ["task_given", "closed"],
    "writer": ["research_complete", "please_mend", "closed"],
    "reviewer": ["research_complete", "draft_ready", "draft_ready", "closed"],
}
"""The events of each agent in a run of that script, in this order."""


async def played(made: Graph[Office], script: Mapping[str, Any], given: Office = GIVEN) -> Result[Office]:
    """Run a graph with scripted models; check that every answer is used."""
    result, _ = await heard(made, script, given)
    return result


async def heard(
    made: Graph[Office], script: Mapping[str, Any], given: Office = GIVEN
) -> tuple[Result[Office], dict[str, list[Letter]]]:
    """Run a graph in the same way; return the letters of each agent too, from the run's record."""
    with ScriptedModel(script) as model:
        async with Runner(models={"*": model}) as runner:
            run = runner.start(made, given)
            result = await run.result()
            return result, letters_in(await runner.history(run.id))


def letters_in(steps: Any) -> dict[str, list[Letter]]:
    """Return the letters that each agent opened, in order."""
    found: dict[str, list[Letter]] = {}
    for step in steps:
        for _, field, value in step.update:
            if field == "letter" and step.path.endswith("/inbox"):
                found.setdefault(step.path.split("/")[0], []).append(
                    read_json(Letter.model_validate_json, to_json(value))
                )
    return found


def events(letters: Mapping[str, list[Letter]]) -> dict[str, list[str]]:
    """Return the events of each agent's letters."""
    return {name: [letter.event for letter in got] for name, got in letters.items()}


async def test_events_wake_those_who_subscribed_to_them() -> None:
    """Each agent gets its events once, in order; those of several subscribers are the same, others are for one."""
    result, letters = await heard(graph, SCRIPT)
    assert (result.output, events(letters)) == (SECOND, HEARD)
    for_writer, for_reviewer = letters["writer"][0], letters["reviewer"][0]
    assert for_writer == for_reviewer
    assert [found.place for found in for_writer.findings] == ["tides.md:3", "tides.md:8"]
    direct = {name: [letter.event for letter in got if letter.to] for name, got in letters.items()}
    assert direct == {"researcher": [], "writer": ["please_mend"], "reviewer": []}
    assert letters["writer"][1].review == BAD


async def test_a_new_member_is_one_more_row() -> None:
    """The sender does not know of it, and the others get the same events."""
    drafts: list[str] = []

    def keep(draft: str) -> str:
        drafts.append(draft)
        return draft

    archive = Member(keep, {}, ["draft_ready"], lambda desk: Letter(event="filed", draft=desk.draft))
    result, letters = await heard(event_bus({**MEMBERS, "archive": archive}), SCRIPT)
    assert events(letters) == {**HEARD, "archive": ["draft_ready", "draft_ready", "closed"]}
    assert (drafts, result.output) == ([BRIEF, SECOND], SECOND)


async def test_members_who_write_to_each_other_for_ever_are_stopped() -> None:
    """After the maximum number of letters one of them closes the office."""
    ping = Member(lambda draft: f"{draft}.", {"draft": "."}, ["task_given", "pong"], lambda _: Letter(event="ping"))
    pong = Member(lambda: "heard", {}, ["ping"], lambda _: Letter(event="pong"))
    result, letters = await heard(event_bus({"ping": ping, "pong": pong}), {})
    assert (result.status, result.output) == ("finished", "." * LETTERS)
    assert len(letters["ping"]) == LETTERS + 1
    assert letters["pong"][-1].event == "closed"


# -- stopped, killed, and from outside


async def test_stopped_after_any_step_each_letter_is_delivered_once(tmp_path: Path) -> None:
    """Another Runner continues on the same database, and no call is repeated."""
    whole = await played(graph, SCRIPT)
    for steps in range(1, whole.visits, 2):
        with ScriptedModel(SCRIPT) as model:
            async with Runner(tmp_path / "runs.db", models={"*": model}) as runner:
                stopped = await runner.start(graph, GIVEN, limits=Limits(visits=steps)).result()
            assert stopped.status == "stopped"
            async with Runner(tmp_path / "runs.db", models={"*": model}) as runner:
                done = await runner.resume(stopped.run_id, graph, limits=Limits()).result()
                letters = letters_in(await runner.history(stopped.run_id))
        assert (done.output, events(letters)) == (SECOND, HEARD), steps


async def test_after_a_kill_each_letter_is_delivered_once(
    provider: EdgeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After kill -9 while the reviewer has an open letter, another process calls only the reviewer again."""
    monkeypatch.setenv("ANTHROPIC_BASE_URL", provider.url)
    asked: list[str] = []

    def answer(received: Received) -> Says:
        text = received.turns[-1].text
        opening = received.system[:14]
        asked.append(opening)
        if opening == "You review the":
            return Says((GOOD if SECOND in text else BAD).model_dump_json(), held=asked.count(opening) == 1)
        return Says(FOUND.model_dump_json() if opening == "You find what " else SECOND if "Say more" in text else BRIEF)

    provider.answer(answer)
    (tmp_path / "tides.md").write_text(PAGE.text, encoding="utf-8")
    office, claude = str(ROOT / "graphs" / "event_bus.py"), ("--model", "anthropic:claude-haiku-4-5")
    given = ("--input", f"task={TIDES.task}", "--input", "sources=@tides.md")
    process = start(tmp_path, "run", office, *given, *claude, "--run-id", "r", "--store", "runs.db")
    await provider.arrived(3)
    process.kill()
    process.communicate()
    done = call(tmp_path, "resume", "r", "--graph", office, *claude, "--store", "runs.db", "--json")
    assert done.returncode == 0, done.stderr
    assert document(done.stdout)["state"]["draft"] == SECOND
    assert (len(asked), asked.count("You review the")) == (6, 3)


async def test_a_letter_can_be_sent_from_outside() -> None:
    """A letter sent to the run before its agent starts is the first one that it reads."""
    twice = asyncio.Event()

    def second(request: Request) -> str:
        assert "Say more." not in request.prompt
        twice.set()
        return BRIEF

    async def late(request: Request) -> Review:
        await twice.wait()
        return GOOD

    script = {"researcher": [FOUND], "writer": ["# From outside", second], "reviewer": [late]}
    async with Runner(models={"*": ScriptedModel(script)}) as runner:
        run = runner.start(graph, GIVEN, pause_before=["begin"])
        await run.result()
        await runner.send(run.id, "writer", Letter(event="please_mend", to="writer"))
        await runner.answer(run.id, value=True)
        await runner.resume(run.id, graph, pause_before=[]).result()
        letters = letters_in(await runner.history(run.id))
    assert events(letters)["writer"] == ["please_mend", "research_complete", "closed"]

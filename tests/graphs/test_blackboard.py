"""Specialists at a shared board: who runs when, what they read and write, and what becomes of failures."""

from pathlib import Path
from typing import Any

import pytest

from graphengine import Limits, Result, RunFailed, Runner, ScriptedModel
from graphengine.models.errors import BadRequest, ModelUnavailable
from graphengine.patterns import Subscriber
from graphs.blackboard import MODELS, ROUNDS, SPECIALISTS, Commission, Research, example, graph, research_board
from nodes.board.agents import MOST_DRAFTS, wishes
from nodes.citing import Quotations
from nodes.review.agents import Review
from tests.conformance.model_scenes import Received, Says
from tests.graphs.review_kit import BRIEF, FOUND, MOON, PAGE, TIDES, WIND, judged
from tests.models.edge_server import EdgeServer
from tests.patterns.scripted import Played, play

FIRST = Quotations(quotations=[MOON])
SECOND = Quotations(quotations=[WIND])
LIMITED = f"{BRIEF}\n\nIt does not know the wind [tides.md:8]."
GAP = "the wind"
SCRIPT: dict[str, Any] = {
    "researcher": [FIRST, SECOND],
    "surveyor": [[GAP], []],
    "writer": [BRIEF, LIMITED],
    "reviewer": [judged(8), judged(9)],
}
"""One gap is found and closed; the writer begins before it is, and writes again after it."""
WRITTEN = [
    (1, "scout", "findings"),
    (2, "surveyor", "gaps"),
    (2, "writer", "draft"),
    (3, "reviewer", "reviews"),
    (3, "scout", "findings"),
    (4, "editor", "wishes"),
    (4, "surveyor", "gaps"),
    (4, "writer", "draft"),
    (5, "reviewer", "reviews"),
    (5, "scout", "findings"),
    (6, "editor", "wishes"),
]
GIVEN = {"task": TIDES.task, "sources": [PAGE]}


async def run(made: Any = graph, **answers: Any) -> Played[Commission]:
    """Run the board with these answers, and the usual ones."""
    return await play(made, GIVEN, {**SCRIPT, **answers})


def board(result: Result[Commission]) -> Research:
    """Return the board in the end."""
    assert result.state.board is not None
    return result.state.board


def test_it_has_no_problems_and_is_drawn(tmp_path: Path) -> None:
    """The picture has every specialist."""
    assert graph.check() == []
    graph.render(tmp_path / "graph.mmd")
    drawn = (tmp_path / "graph.mmd").read_text("utf-8")
    assert all(name in drawn for name in (*SPECIALISTS, "report", "nothing written"))


async def test_specialists_run_when_what_they_watch_changes_until_nothing_does() -> None:
    """Those of a round run in parallel; every write has its author, its round and its time."""
    done = board((await run()).result)
    assert sorted((entry.round, entry.author, entry.field) for entry in done.entries) == WRITTEN
    assert all(entry.at > 0 for entry in done.entries)
    assert [found.place for found in done.findings] == ["tides.md:3", "tides.md:8"]


async def test_a_gap_sends_the_scout_out_again() -> None:
    """It is told what is missing, and what was found before."""
    asked = (await run()).asked("researcher")[1]
    assert f"- {GAP}" in asked
    assert f"[{MOON.place}] {MOON.text}" in asked


async def test_findings_are_sent_as_lines_and_sources_to_the_scout_alone() -> None:
    """No prompt has JSON in it."""
    played = await run()
    assert not any('"quotations"' in request.prompt or '"file"' in request.prompt for request in played.requests)
    others = [each.prompt for each in played.requests if each.agent != "researcher"]
    assert not any("Harbours publish" in prompt for prompt in others)


async def test_the_report_is_the_draft_with_what_is_open() -> None:
    """What no source answers stays open."""
    played = await run(surveyor=[[GAP], [GAP]])
    assert played.output == f"{LIMITED}\n\n## Still open\n\n- {GAP}\n"


async def test_a_revision_is_asked_for_until_it_is_good_enough() -> None:
    """The writer reads the review; a good one ends it, and does not wake the writer again."""
    answers: dict[str, Any] = {"researcher": [FOUND], "surveyor": [[]], "writer": [BRIEF, LIMITED]}
    played = await run(**answers, reviewer=[judged(4, "Name the limits."), judged(8)])
    assert "Name the limits." in played.asked("writer")[1]
    assert played.output == f"{LIMITED}\n"


@pytest.mark.parametrize(
    ("scores", "asks"), [((4,), True), ((7,), False), ((4, 4), False), ((4, 5), True), ((2, 3, 4), False)]
)
def test_the_editor_asks_while_it_helps(scores: tuple[float, ...], asks: bool) -> None:  # noqa: FBT001 - a parameter
    """Not after a good review, one that is no better, or the third."""
    assert bool(wishes([Review(score=score, issues=["More."]) for score in scores])) == asks
    assert len(scores) <= MOST_DRAFTS


async def test_one_that_fails_writes_nothing_and_is_named() -> None:
    """The others continue, and the report says who did not do their part."""
    answers = {"surveyor": [BadRequest("no time")], "writer": [BRIEF], "reviewer": [BadRequest("away")]}
    played = await run(researcher=[FOUND], **answers)
    assert played.output == f"{BRIEF}\n\n## Not done\n\n- surveyor: no time\n- reviewer: away\n"


async def test_one_more_specialist_is_one_more_row() -> None:
    """The others do not know of it."""
    title = Subscriber(lambda draft: draft.splitlines()[0], watches=["draft"], writes="notes[title]")
    done = board((await run(research_board({**SPECIALISTS, "titler": title}))).result)
    assert done.notes == {"title": "# Tides"}
    assert [entry for entry in WRITTEN if entry not in [(e.round, e.author, e.field) for e in done.entries]] == []


async def test_specialists_who_trigger_each_other_for_ever_are_stopped() -> None:
    """The draft so far is in the report."""
    drafts = iter(range(99))
    nag = Subscriber(lambda draft: [f"More than {draft}."], watches=["draft"], writes="wishes")
    endless = {"writer": lambda _: f"{BRIEF} {next(drafts)}", "reviewer": lambda _: judged(8)}
    made = research_board({**SPECIALISTS, "nag": nag}, rounds=9)
    played = await run(made, researcher=[FOUND], surveyor=[[]], **endless)
    assert played.calls["writer"] == 4
    assert played.output.startswith(f"{BRIEF} 3")


async def test_a_board_without_a_draft_fails() -> None:
    """With a label that says so; a model that cannot be called fails it too, and it can be resumed."""
    with pytest.raises(RunFailed, match="nothing written"):
        await play(graph, GIVEN, {"researcher": [BadRequest("away")]})
    with pytest.raises(RunFailed, match="no key"):
        await play(graph, GIVEN, {"researcher": [ModelUnavailable("no key")]})


async def test_without_a_model_it_is_a_dry_run() -> None:
    """Placeholders answer, until the rounds are used up, since they find something new each time."""
    async with Runner(models=MODELS["default"]) as runner:
        result = await runner.start(graph, example()).result()
    assert str(result.output).startswith("[placeholder: writer, call ")
    assert board(result).entries[-1].round == ROUNDS


async def test_stopped_after_any_step_it_has_the_same_result(tmp_path: Path) -> None:
    """Another Runner continues on the same database, and no call is repeated."""
    whole = await run()
    for steps in range(1, whole.result.visits, 3):
        with ScriptedModel(SCRIPT) as model:
            async with Runner(tmp_path / "runs.db", models={"*": model}) as runner:
                stopped = await runner.start(graph, GIVEN, limits=Limits(visits=steps)).result()
            async with Runner(tmp_path / "runs.db", models={"*": model}) as runner:
                done = await runner.resume(stopped.run_id, graph, limits=Limits()).result()
        assert done.output == whole.output, steps


async def test_it_runs_with_models_of_two_providers(provider: EdgeServer) -> None:
    """The calls of each specialist are charged separately, though they ran in parallel."""
    answers = {
        "You find what sources say": FOUND.model_dump_json(),
        "You look for what is missing": '{"answer": []}',
        "You write briefs": BRIEF,
        "You review the draft": judged(8).model_dump_json(),
    }

    def answer(call: Received) -> Says:
        return Says(next(text for opening, text in answers.items() if call.system.startswith(opening)))

    provider.answer(answer)
    async with Runner(models={"*": "openai-chat:gpt-5-mini", "writer": "anthropic:claude-haiku-4-5"}) as runner:
        run = runner.start(graph, GIVEN)
        result = await run.result()
        spent = {row.agent: row.usage.get("calls") for row in await runner.spending(run.id)}
    assert (result.output, spent) == (f"{BRIEF}\n", dict.fromkeys(("researcher", "surveyor", "writer", "reviewer"), 1))

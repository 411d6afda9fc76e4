"""The orchestrator: plans, parallel steps, verdicts, attempts, and the answer."""

from pathlib import Path
from typing import Any

import pytest

from graphengine import Limits, RunFailed, Runner, ScriptedModel
from graphengine.agents.reading import Output
from graphengine.models import Request, model_of
from graphengine.models.base import KnowsPrices
from graphengine.models.errors import BadRequest, ModelUnavailable
from graphengine.patterns import Step
from graphs.orchestrator import MODELS, Assignment, example, graph, orchestrator
from nodes.citing import FROM_KNOWLEDGE, KNOWLEDGE, Quotations
from nodes.orchestration.agents import Verdict
from nodes.orchestration.workers import WORKERS
from tests.conformance.model_scenes import Received, Says
from tests.graphs.orchestrator_kit import (
    ACCEPT,
    FIND,
    FOUND,
    GIVEN,
    LINES,
    MENDED,
    PLAN,
    SOURCE,
    TEXT,
    WRITE,
    retry,
    team,
)
from tests.models.edge_server import EdgeServer
from tests.patterns.scripted import Played, play

AGAIN = Step(id="write_2", role="writer", input="Longer.", needs=["find"])


async def run(**answers: Any) -> Played[Assignment]:
    """Run the workflow with these answers, and the usual ones."""
    return await play(graph, GIVEN, team(**answers))


async def failing(made: Any = graph, **answers: Any) -> RunFailed:
    """Run the workflow in the same way, and expect it to fail."""
    with pytest.raises(RunFailed) as caught:
        await play(made, GIVEN, team(**answers))
    return caught.value


def test_it_has_no_problems_and_is_drawn(tmp_path: Path) -> None:
    """The picture has every node and the labels of the ends."""
    assert graph.check() == []
    graph.render(tmp_path / "graph.mmd")
    drawn = (tmp_path / "graph.mmd").read_text("utf-8")
    for name in (*WORKERS, "make_plan", "validate", "synthesise", "no answer yet", "out of attempts", "no synthesis"):
        assert name in drawn


async def test_without_a_model_it_is_a_dry_run() -> None:
    """Placeholders plan one step, do it, judge it, and answer."""
    async with Runner(models=MODELS["default"]) as runner:
        result = await runner.start(graph, example()).result()
    assert result.output == "[placeholder: synthesiser, call 1]"
    assert [step.role for step in result.state.plan] == ["researcher"]


# -- the plan


async def test_the_planner_knows_the_workers_and_the_names_of_the_sources() -> None:
    """It sees what each worker does, and no text of a source."""
    (asked,) = (await run()).asked("planner")
    assert all(f"- {name}: " in asked for name in WORKERS)
    assert "Sources: tides.md" in asked
    assert SOURCE.text not in asked


async def test_a_worker_reads_its_step_the_task_and_the_results_it_needs_as_lines() -> None:
    """Findings are sent as lines with their places, never as JSON."""
    played = await run()
    (asked,) = played.asked("writer")
    assert "A paragraph." in asked
    assert "What makes tides?" in asked
    assert f"<result_of_find>{LINES}</result_of_find>" in asked
    assert not any('"quotations"' in request.prompt or '\\"' in request.prompt for request in played.requests)
    assert SOURCE.text not in "".join(played.asked("validator") + played.asked("synthesiser"))


@pytest.mark.parametrize(
    ("plan", "problem"),
    [
        ([Step(id="a", role="cook", input="")], "there is no worker 'cook'"),
        ([Step(id="a", role="writer", input="", needs=["b"])], "needs 'b', which is not a step"),
        ([FIND, FIND], "'find' is the id of several steps"),
        ([], "the plan has no steps"),
    ],
)
async def test_a_plan_that_makes_no_sense_goes_back_to_the_planner(plan: list[Step], problem: str) -> None:
    """Nothing is done by it; the planner gets the problem and plans again."""
    played = await run(planner=[plan, PLAN])
    assert problem in played.requests[1].prompt
    assert played.state.plan == PLAN


async def test_steps_that_do_not_need_each_other_are_done_at_the_same_time() -> None:
    """Both researchers are asked before the writer, whatever the order of the plan."""
    both = [FIND, Step(id="sun", role="researcher", input="The sun."), WRITE]
    played = await run(planner=[both], researcher=[FOUND, FOUND])  # either may be asked first
    assert [request.agent for request in played.requests][1:4] == ["researcher", "researcher", "writer"]
    assert played.state.results["sun"].text == played.state.results["find"].text == LINES


async def test_a_step_that_names_sources_has_only_these_read() -> None:
    """So several researchers do not each pay for all of them."""
    wind = {"path": "wind.md", "text": "The wind raises waves."}
    step = FIND.model_copy(update={"input": "What tides.md says."})
    played = await play(graph, {**GIVEN, "sources": [SOURCE, wind]}, team(planner=[[step, WRITE]]))
    (asked,) = played.asked("researcher")
    assert SOURCE.text.strip() in asked
    assert wind["text"] not in asked


def test_the_plans_schema_has_the_workers() -> None:
    """So a model whose provider keeps to schemas cannot name another."""
    planner: Any = orchestrator({"cook": lambda task: task}).compile().nodes["attempt"].call
    body = planner.graph.nodes["make_plan"].call.body
    assert '"enum":["cook"]' in str(Output(body.agent.output, where="").schema).replace("'", '"').replace(" ", "")


async def test_a_worker_of_a_new_name_needs_no_change_in_the_others() -> None:
    """The planner learns of it, and its result is used like any other."""
    made = orchestrator({**WORKERS, "analyst": lambda needed: f"{len(needed)} results"})
    count = Step(id="count", role="analyst", input="Count.", needs=["find"])
    played = await play(made, GIVEN, team(planner=[[*PLAN, count]]))
    assert "- analyst: " in played.asked("planner")[0]
    assert "<count>1 results</count>" in played.asked("synthesiser")[0]


# -- without sources


async def test_a_key_and_a_task_are_enough() -> None:
    """Without sources the researcher searches, or gives what the model knows, which the text then cites."""

    def searched(request: Request) -> object:
        if request.hosted:
            raise BadRequest("no search")
        return Quotations(quotations=[FOUND.quotations[0].model_copy(update={"file": "anything"})])

    answer = f"# Tides\n\nThe moon raises them [{KNOWLEDGE}]."
    script = team(searcher=searched, writer=[answer], synthesiser=[answer])
    del script["researcher"]
    played = await play(graph, {"task": "What makes tides?"}, script)
    assert played.output == f"{answer}\n\n> {FROM_KNOWLEDGE}\n"
    assert played.state.results["find"].text == f"[{KNOWLEDGE}] {FOUND.quotations[0].text}"


# -- attempts


async def test_results_that_are_no_answer_are_planned_again_and_those_that_count_are_kept() -> None:
    """The planner gets the reasons and the steps with a result; only the new step is done."""
    played = await run(planner=[PLAN, [*PLAN, AGAIN]], writer=[TEXT, MENDED], validator=[retry("Too short."), ACCEPT])
    assert played.calls["researcher"] == 1
    second = played.asked("planner")[1]
    assert "Too short." in second
    assert "- write (writer): A paragraph." in second
    assert played.state.results["write_2"].text == MENDED


async def test_steps_to_redo_and_steps_that_failed_are_done_again() -> None:
    """A step whose result must not be used has none in the next attempt."""
    plans = [PLAN, PLAN]
    answers = {"writer": [TEXT, MENDED], "validator": [retry("It is wrong.", "write"), ACCEPT]}
    assert (await run(planner=plans, **answers)).state.results["write"].text == MENDED
    first: list[object] = [BadRequest("away"), TEXT]
    played = await run(planner=plans, writer=first, validator=[retry("There is no text."), ACCEPT])
    assert played.state.results["write"].text == TEXT


async def test_a_verdict_without_reasons_goes_back() -> None:
    """Nothing can be planned from it."""
    played = await run(
        planner=[PLAN, [*PLAN, AGAIN]],
        writer=[TEXT, MENDED],
        validator=[Verdict(outcome="retry"), retry("Too short."), ACCEPT],
    )
    assert "without reasons" in played.asked("validator")[1]


async def test_it_fails_at_once_if_no_plan_would_help() -> None:
    """The reasons are in the state."""
    never = Verdict(outcome="give up", reasons=["The sources are about tides."])
    failed = await failing(validator=[never], synthesiser=[])
    assert "it cannot be answered" in str(failed)
    assert failed.result.state.verdicts == [never]


async def test_it_fails_when_its_attempts_are_used_up() -> None:
    """After five by default, with the reasons of each in the state."""
    plans = [[*PLAN, AGAIN.model_copy(update={"id": f"write_{number}"})] for number in (2, 3)]
    failed = await failing(
        orchestrator(attempts=2), planner=plans, writer=[TEXT] * 3, validator=[retry("a"), retry("b")], synthesiser=[]
    )
    assert "out of attempts" in str(failed)
    assert [verdict.reasons for verdict in failed.result.state.verdicts] == [["a"], ["b"]]


# -- failures


async def test_a_step_that_fails_leaves_the_others_and_is_named_in_the_questions() -> None:
    """Steps that need it are skipped; the validator and the synthesiser read why."""
    code = Step(id="code", role="coder", input="Code.")
    plan = [*PLAN, code, Step(id="sum", role="summarizer", input="Sum up.", needs=["code"])]
    played = await run(planner=[plan], coder=[BadRequest("away")])
    (asked,) = played.asked("synthesiser")
    assert "- code: away" in asked
    assert "- sum: it needs code, which failed" in asked
    assert played.output == MENDED


async def test_nothing_is_accepted_if_every_step_failed() -> None:
    """Such a verdict goes back; the attempt is judged, and can be planned again."""
    never = Verdict(outcome="give up", reasons=["Nothing was done."])
    failed = await failing(researcher=[BadRequest("away")], writer=[], validator=[ACCEPT, never], synthesiser=[])
    assert "it cannot be answered" in str(failed)


@pytest.mark.parametrize("answers", [[BadRequest("away")], ["I'm sorry, but I can't help with that."] * 3])
async def test_without_a_synthesis_the_accepted_text_is_the_answer(answers: list[object]) -> None:
    """The writer's text was accepted, so a synthesis that fails or is a refusal loses nothing."""
    played = await run(synthesiser=answers)
    assert played.output == TEXT
    assert [failure.path for failure in played.state.errors] == ["synthesise"]


async def test_a_refusal_is_no_text() -> None:
    """It goes back to the writer, and is never a result."""
    played = await run(writer=["I'm sorry, but I can't help with that.", TEXT])
    assert "no brief on the findings" in played.asked("writer")[1]
    assert played.state.results["write"].text == TEXT


async def test_a_text_cites_only_what_was_found() -> None:
    """Another place goes back to the writer."""
    played = await run(writer=["# Tides\n\nThe wind raises them [wind.md:1].", TEXT])
    assert "nothing was found at wind.md:1" in played.asked("writer")[1]


@pytest.mark.parametrize("agent", ["planner", "writer", "validator", "synthesiser"])
async def test_a_run_whose_model_cannot_be_called_continues_with_another(agent: str, tmp_path: Path) -> None:
    """It fails, also at the synthesis, and what was done before is not done again."""
    gone = ScriptedModel(team(**{agent: [ModelUnavailable("no key")]}))
    async with Runner(tmp_path / "runs.db", models={"*": gone}) as runner:
        with pytest.raises(RunFailed):
            await runner.start(graph, GIVEN, run_id="r").result()
    done = {request.agent for request in gone.requests} - {agent}
    with ScriptedModel({name: answers for name, answers in team().items() if name not in done}) as model:
        async with Runner(tmp_path / "runs.db", models={"*": model}) as runner:
            assert (await runner.resume("r", graph).result()).output == MENDED


async def test_stopped_after_any_step_it_repeats_no_call(tmp_path: Path) -> None:
    """Another Runner continues on the same database."""
    whole = await run()
    for steps in range(1, whole.result.visits):
        with ScriptedModel(team()) as model:
            async with Runner(tmp_path / "runs.db", models={"*": model}) as runner:
                stopped = await runner.start(graph, GIVEN, limits=Limits(visits=steps)).result()
            async with Runner(tmp_path / "runs.db", models={"*": model}) as runner:
                result = await runner.resume(stopped.run_id, graph, limits=Limits()).result()
        assert result.output == MENDED, steps


# -- models


async def test_the_prices_of_its_models_are_known() -> None:
    """So a limit on costs refuses none of them."""
    pytest.importorskip("genai_prices")
    for name in {name for key, models in MODELS.items() if key != "default" for name in models.values()}:
        model = model_of(name)
        assert isinstance(model, KnowsPrices)
        assert await model.knows_price(), name


async def test_it_runs_over_two_wires(provider: EdgeServer) -> None:
    """Calls and costs are those of the servers; an unknown cost is not 0."""
    answers = {
        "You lead a team": '{"answer": [%s, %s]}' % (FIND.model_dump_json(), WRITE.model_dump_json()),  # noqa: UP031
        "You find what sources say": FOUND.model_dump_json(),
        "You are the writer": TEXT,
        "You say whether the results": ACCEPT.model_dump_json(),
        "You make one answer": MENDED,
    }

    def answer_of(received: Received) -> Says:
        return Says(next(text for opening, text in answers.items() if received.system.startswith(opening)))

    provider.answer(answer_of)
    models = {"*": "anthropic:claude-haiku-4-5", "planner": "openai-chat:some-model"}
    async with Runner(models=models) as runner:
        run = runner.start(graph, GIVEN)
        result = await run.result()
        costs = {row.agent: row.usage.get("cost_usd") for row in await runner.spending(run.id)}
    assert (result.output, result.usage.calls, result.usage.cost_usd) == (MENDED, 5, None)
    assert costs.pop("planner") is None
    assert all(costs.values())
    assert {received.max_tokens for received in provider.received()} == {2048, 4096, 8192}

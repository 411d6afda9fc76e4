import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from graphengine import Agent, Limits, RunFailed, Runner, ScriptedModel, TextFile
from graphengine.errors import BadRequest, ModelUnavailable
from graphengine.models import KnowsPrices, Request
from graphengine.models.names import model_of
from graphengine.patterns import Step
from graphengine.testing.model_scenes import Heard, Says
from graphs.orchestrator import MODELS, example, graph, line, line_of, orchestrator
from nodes.orchestration.agents import WORKERS
from nodes.orchestration.handover import Role, Verdict
from tests.graphs.orchestrator_kit import (
    ACCEPT,
    FIND,
    FIRST,
    FOUND,
    GIVEN,
    PLAN,
    REVIEW,
    SOURCE,
    WRITE,
    failing,
    label,
    once,
    prompts,
    retry,
    run,
)
from tests.models.edge_server import EdgeServer

ROOT = Path(__file__).resolve().parents[2]


class TestWithoutAModel:
    def test_the_example_is_planned_worked_and_answered(self) -> None:
        """Two questions are looked up apart, code and a summary are there since the task asks for them."""
        result = graph.run_sync(example())
        assert label(result) == "answered"
        roles = [step.role for step in result.state.plan]
        assert [roles.count(role) for role in (Role.RESEARCHER, Role.CODER)] == [2, 1]
        assert "[recovery.md:" in result.state.output
        assert "## Code" in result.state.output
        assert "## In short" in result.state.output
        assert (result.usage.offline_calls, result.usage.cost_usd) == (result.usage.calls, 0)

    def test_a_text_of_anybodys_is_answered_from_its_own_words(self) -> None:
        """Every claim cites a line of the source; a second attempt mends the first."""
        text = (ROOT / "tests/nodes/texts/gears.md").read_text(encoding="utf-8")
        given = {"task": "How bicycle gears work", "sources": [TextFile(path="gears.md", text=text)]}
        result = graph.run_sync(given)
        assert label(result) == "answered"
        assert "[gears.md:" in result.state.output
        scores = [verdict.score for verdict in result.state.verdicts]
        assert len(scores) > 1
        assert scores == sorted(scores)

    def test_sources_that_do_not_speak_of_the_task_are_given_up(self) -> None:
        """Though a fine text could be made of them: it would be no answer."""
        text = (ROOT / "tests/nodes/texts/gears.md").read_text(encoding="utf-8")
        given = {"task": "Quantum chromodynamics", "sources": [TextFile(path="gears.md", text=text)]}
        with pytest.raises(RunFailed, match="it cannot be answered") as caught:
            graph.run_sync(given)
        assert "Quantum" in caught.value.result.state.reasons[0]

    def test_equal_input_gives_equal_output(self) -> None:
        """Also where researchers work side by side in threads."""
        first, second = (graph.run_sync(example()) for _ in range(2))
        assert first.output == second.output


class TestThePlan:
    @pytest.mark.parametrize(
        ("plan", "told"),
        [
            ([FIND.model_copy(update={"role": "poet"})], "find: there is no worker 'poet', only researcher, coder"),
            ([FIND.model_copy(update={"input": " "})], "find: its input is empty"),
            ([FIND.model_copy(update={"needs": ["write"]}), WRITE], "these need one another: "),
            ([WRITE], "write: needs 'find', which is no step"),
            ([FIND.model_copy(update={"id": f"f{number}"}) for number in range(25)], "25 steps, and 24 is the most"),
            ([], "the plan has no steps"),
        ],
    )
    async def test_a_plan_that_makes_no_sense_goes_back_to_the_planner(self, plan: list[Step], told: str) -> None:
        """With what is wrong with it; nobody works by it, and the mended one is worked by."""
        script = {"planner": [plan, PLAN], "researcher": [FOUND], "writer": ["Tides."], "validator": [ACCEPT]}
        result, model = await run({**script, "synthesiser": ["The moon."]})
        assert result.output == "The moon."
        assert told in prompts(model, "planner")[1]

    async def test_a_plan_that_stays_bad_is_another_attempt(self) -> None:
        """After two chances to mend it; what was wrong stands among the reasons and before the next plan."""
        bad = [FIND.model_copy(update={"role": "poet"})]
        script = {"planner": [bad, bad, bad, PLAN], "researcher": [FOUND], "writer": ["Tides."], "validator": [ACCEPT]}
        result, model = await run({**script, "synthesiser": ["The moon."]})
        assert result.output == "The moon."
        assert len(result.state.reasons) == 1
        assert "no worker 'poet'" in result.state.reasons[0]
        assert "no worker 'poet'" in prompts(model, "planner")[3].partition("what_was_wrong")[2]
        assert [error.kind for error in result.state.errors] == ["bad_answer"]

    async def test_the_planner_knows_the_workers_and_the_sources_by_name(self) -> None:
        """What they are good for, and no text of a source: that is the workers' to read."""
        script = {"planner": [PLAN], "researcher": [FOUND], "writer": ["Tides."], "validator": [ACCEPT]}
        _, model = await run({**script, "synthesiser": ["The moon."]})
        asked = prompts(model, "planner")[0]
        assert "tides.md" in asked
        assert all(role in asked for role in WORKERS)
        assert "twice a day" not in asked

    async def test_steps_that_do_not_need_each_other_run_side_by_side(self) -> None:
        """Those of one role and those of another: each waits here for all of them."""
        met = asyncio.Barrier(3)

        async def meet(request: Request) -> object:
            await met.wait()
            return FOUND if request.agent == "researcher" else "```\nx\n```"

        steps = [FIND, FIND.model_copy(update={"id": "more"}), Step(id="code", role="coder", input="Some code.")]
        script: dict[str, Any] = {"planner": [steps], "researcher": [meet, meet], "coder": [meet]}
        async with asyncio.timeout(20):
            result, _ = await run({**script, "validator": [ACCEPT], "synthesiser": ["All."]})
        assert result.output == "All."

    async def test_a_worker_reads_its_step_the_job_and_the_results_it_needs(self) -> None:
        """And no others: contexts stay short. A researcher reads the sources that its step names."""
        other = TextFile(path="winds.md", text="Winds blow.\n")
        step = FIND.model_copy(update={"input": "What stands in tides.md"})
        code = Step(id="code", role="coder", input="Some code.")
        script = {"planner": [[step, code, WRITE]], "researcher": [FOUND], "coder": ["CODE"], "writer": ["Tides."]}
        given = {**GIVEN, "sources": [SOURCE, other]}
        _, model = await run({**script, "validator": [ACCEPT], "synthesiser": ["The moon."]}, given)
        (researcher,), (written,) = prompts(model, "researcher"), prompts(model, "writer")
        assert "Winds blow." not in researcher
        assert "What makes tides?" in written
        assert "A paragraph." in written
        assert "twice a day" in written
        assert "CODE" not in written


class TestAttempts:
    async def test_a_verdict_that_wants_more_has_only_the_rest_done(self) -> None:
        """What has a result is kept and can be needed; the reason and the kept steps are told to the planner."""
        more = Step(id="sun", role="researcher", input="What the sun does.")
        again = Step(id="whole", role="writer", input="Both.", needs=["find", "sun"])
        script = {
            "planner": [PLAN, [FIND, more, again]],
            "researcher": [FOUND, FOUND],
            "writer": ["Tides.", "More tides."],
            "validator": [retry("The sun is missing."), ACCEPT],
            "synthesiser": ["Moon and sun."],
        }
        result, model = await run(script)
        assert result.output == "Moon and sun."
        assert result.state.reasons == ["attempt 1: The sun is missing."]
        assert "The sun is missing." in prompts(model, "planner")[1]
        assert list(result.state.results) == ["find", "write", "sun", "whole"]

    async def test_results_that_do_not_count_are_made_again(self) -> None:
        """The verdict names their steps; a step that counts may not become another one."""
        changed = [FIND.model_copy(update={"input": "Something else."}), WRITE]
        script = {
            "planner": [PLAN, changed, PLAN],
            "researcher": [FOUND],
            "writer": ["Winds.", "Tides."],
            "validator": [retry("It is about winds.", "write"), ACCEPT],
            "synthesiser": ["The moon."],
        }
        result, model = await run(script)
        assert result.state.results["write"].text == "Tides."
        assert "find: it has a result already" in prompts(model, "planner")[2]

    async def test_after_five_attempts_it_fails_with_all_the_reasons(self) -> None:
        """The label says so, the state has the reasons and what was done; nothing is synthesised."""
        plans = [[FIND, *(WRITE.model_copy(update={"id": f"w{n}"}) for n in range(count + 1))] for count in range(5)]
        script = {
            "planner": plans,
            "researcher": [FOUND],
            "writer": [f"text {count}" for count in range(5)],
            "validator": [retry(f"lacks {count}") for count in range(5)],
        }
        result, _ = await failing(script)
        assert label(result) == "out of attempts"
        assert result.state.reasons == [f"attempt {count + 1}: lacks {count}" for count in range(5)]
        assert len(result.state.results) == 6
        assert result.state.output == ""

    async def test_how_many_attempts_there_are_is_an_argument(self) -> None:
        """One is enough for who does not want to pay for more."""
        script = {"planner": [PLAN], "researcher": [FOUND], "writer": ["Tides."], "validator": [retry("No.")]}
        result, _ = await failing(script, orchestrator(attempts=1))
        assert label(result) == "out of attempts"

    async def test_what_cannot_be_answered_is_given_up_at_once(self) -> None:
        """Further attempts would cost and come to the same."""
        verdict = Verdict(outcome="give up", score=1, reasons=["The sources are about tides."])
        script = {"planner": [PLAN], "researcher": [FOUND], "writer": ["Tides."], "validator": [verdict]}
        result, _ = await failing(script)
        assert label(result) == "it cannot be answered"
        assert result.state.reasons == ["attempt 1: The sources are about tides."]

    async def test_a_verdict_is_typed_and_never_guessed(self) -> None:
        """NOT ACCEPTED is no acceptance; verdicts that cannot be read are no answer, and the attempt is one of five."""
        script = {
            "planner": [PLAN, [*PLAN, WRITE.model_copy(update={"id": "again"})]],
            "researcher": [FOUND],
            "writer": ["Tides.", "Tides!"],
            "validator": ["NOT ACCEPTED", "accept", "I accept.", ACCEPT],
            "synthesiser": ["The moon."],
        }
        result, _ = await run(script)
        assert [error.path for error in result.state.errors] == ["validate"]
        assert result.state.verdicts == [ACCEPT]

    async def test_a_verdict_that_cannot_be_acted_on_goes_back(self) -> None:
        """One without a reason, and one that names steps that are not there."""
        bad = [Verdict(outcome="retry", score=3), retry("No.", "poem")]
        script = {"planner": [PLAN], "researcher": [FOUND], "writer": ["Tides."], "validator": [*bad, ACCEPT]}
        _, model = await run({**script, "synthesiser": ["The moon."]})
        assert "say what is missing" in prompts(model, "validator")[1]
        assert "redo names 'poem', and the steps are find, write" in prompts(model, "validator")[2]


class TestResilience:
    async def test_a_worker_that_fails_leaves_the_others(self) -> None:
        """Who validates and who makes the whole is told; what needed it is not done."""
        code = Step(id="code", role="coder", input="Some code.")
        note = Step(id="note", role="summarizer", input="Of the code.", needs=["code"])
        script = {
            "planner": [[FIND, code, WRITE, note]],
            "researcher": [FOUND],
            "coder": [BadRequest("no code today")],
            "writer": ["Tides."],
            "validator": [ACCEPT],
            "synthesiser": ["The moon."],
        }
        result, model = await run(script)
        assert result.output == "The moon."
        failures = {name: one.failure.kind for name, one in result.state.results.items() if one.failure}
        assert failures == {"code": "bad_request", "note": "skipped"}
        assert "no code today" in prompts(model, "validator")[0]
        assert "no code today" in prompts(model, "synthesiser")[0]

    async def test_a_step_that_failed_is_tried_again_by_the_next_plan(self) -> None:
        """Its failure is not kept as a result, and it is among the reasons."""
        steps = [FIND, Step(id="code", role="coder", input="Some code.")]
        script = {
            "planner": [steps, steps],
            "researcher": [FOUND],
            "coder": [BadRequest("down"), "CODE"],
            "validator": [retry("There is no code."), ACCEPT],
            "synthesiser": ["The moon."],
        }
        result, _ = await run(script)
        assert result.state.results["code"].text == "CODE"
        assert result.state.reasons == ["attempt 1: There is no code.", "attempt 1: code failed: bad_request: down"]

    async def test_where_every_step_failed_it_is_planned_again(self) -> None:
        """Nothing is validated or synthesised of nothing; the planner is told why each step failed."""
        script = {
            "planner": [PLAN, PLAN],
            "researcher": [BadRequest("down"), FOUND],
            "writer": ["Tides."],
            "validator": [ACCEPT],
            "synthesiser": ["The moon."],
        }
        result, model = await run(script)
        assert result.output == "The moon."
        assert result.state.reasons == [
            "attempt 1: find failed: bad_request: down",
            "attempt 1: write failed: skipped: it needs find, which failed",
        ]
        assert "find failed: bad_request: down" in prompts(model, "planner")[1].partition("what_was_wrong")[2]

    async def test_an_attempt_that_fails_as_the_one_before_it_is_the_last(self) -> None:
        """The planner knew what failed, and planned the same: three more attempts would come to the same."""
        script = {"planner": [PLAN, PLAN], "researcher": [BadRequest("down"), BadRequest("down")]}
        result, _ = await failing(script)
        assert label(result) == "it fails the same way again"
        assert len(result.state.reasons) == 4

    def test_rules_that_fail_do_not_fail_five_times(self) -> None:
        """What they do is the same each time: each step is tried once."""
        asked: list[str] = []

        def broken(task: str) -> str:
            asked.append(task)
            message = "no such table"
            raise ValueError(message)

        with pytest.raises(RunFailed) as caught:
            orchestrator(workers={"researcher": broken}).run_sync(example())
        result = caught.value.result
        assert result.stop is not None
        assert len(asked) == len(set(asked)) > 0
        assert "no such table" in result.state.reasons[0]

    @pytest.mark.parametrize("agent", ["planner", "validator", "synthesiser"])
    async def test_a_model_that_cannot_be_asked_fails_the_run_which_goes_on_with_another(self, agent: str) -> None:
        """It is no matter of planning anew; what was recorded is not asked for again."""
        script: dict[str, list[object]] = {"planner": [PLAN], "researcher": [FOUND], "writer": ["Tides."]}
        script |= {"validator": [ACCEPT], "synthesiser": ["The moon."]}
        names = list(script)
        rest = {name: script[name] for name in names[names.index(agent) :]}
        script[agent] = [ModelUnavailable("no key")]
        first = ScriptedModel(script)
        async with Runner(models={"*": first}) as runner:
            with pytest.raises(RunFailed, match="no key"):
                await runner.start(graph, GIVEN, run_id="r").result()
            with ScriptedModel(rest) as second:
                async with Runner(runner.store, models={"*": second}) as other:
                    result = await other.resume(graph, "r").result()
        assert result.output == "The moon."
        assert result.state.reasons == []

    @pytest.mark.parametrize("steps", range(1, 13))
    async def test_stopped_anywhere_it_goes_on_without_asking_again(self, steps: int, tmp_path: Path) -> None:
        """Each answer of the script is asked for once, over both parts of the run, and the output is the same."""
        script = {
            "planner": [PLAN, [*PLAN, WRITE.model_copy(update={"id": "again"})]],
            "researcher": [FOUND],
            "writer": ["Tides.", "Tides!"],
            "validator": [retry("Shorter."), ACCEPT],
            "synthesiser": ["The moon."],
        }
        with ScriptedModel(script) as model:
            async with Runner(tmp_path / "runs.db", models={"*": model}) as runner:
                stopped = await runner.start(graph, GIVEN, run_id="r", limits=Limits(steps=steps)).result()
                assert stopped.status == "stopped"
            async with Runner(tmp_path / "runs.db", models={"*": model}) as runner:
                result = await runner.resume(graph, "r", limits=Limits(steps=100)).result()
        assert (result.output, result.usage.calls) == ("The moon.", 8)


class TestMessages:
    async def test_every_message_has_a_sender_and_what_it_goes_back_to(self) -> None:
        """Down from the text to the question: an assignment to the results it needs, a result to its assignment."""
        script = {"planner": [PLAN], "researcher": [FOUND], "writer": ["Tides."], "validator": [ACCEPT]}
        result, _ = await run({**script, "synthesiser": ["The moon."]})
        told = [(each.id, each.sender, each.receiver, each.parents) for each in result.state.messages]
        assert told == [
            ("1/find", "orchestrator", "researcher", []),
            ("1/find/done", "researcher", "orchestrator", ["1/find"]),
            ("1/write", "orchestrator", "writer", ["1/find/done"]),
            ("1/write/done", "writer", "orchestrator", ["1/write"]),
        ]
        assert result.state.messages[3].content == "Tides."

    async def test_what_each_role_made_is_in_the_database_for_itself(self, tmp_path: Path) -> None:
        """Several roles of one task: none stands in place of another's, and a later process reads them all."""
        await once(tmp_path / "runs.db", "r")
        async with Runner(tmp_path / "runs.db") as runner:
            spent = {row.agent for row in await runner.spending("r")}
            last = (await runner.history("r"))[-1]
            state = await runner.state_at("r", last.seq)
        assert spent == set(FIRST)
        results = state["results"]
        assert isinstance(results, dict)
        assert set(results) == {"find", "write", "check"}


class TestMoreWorkers:
    async def test_a_worker_of_a_new_name_needs_no_change_of_the_others(self) -> None:
        """The planner is told of it, a plan may name it, and messages come from it."""
        translator = Agent("translator", prompt="Translate.\n{needed}", offline=lambda needed: str(len(needed)))
        team = orchestrator(workers={**WORKERS, "translator": translator})
        steps = [*PLAN, Step(id="german", role="translator", input="Into German.", needs=["write"])]
        script = {"planner": [steps], "researcher": [FOUND], "writer": ["Tides."], "translator": ["Gezeiten."]}
        result, model = await run({**script, "validator": [ACCEPT], "synthesiser": ["Mond."]}, made=team)
        assert "translator" in prompts(model, "planner")[0]
        assert result.state.messages[-1].sender == "translator"
        offline = await team.run(GIVEN)
        assert "## translator\n\n1" in offline.state.output

    async def test_agents_may_be_functions_and_graphs(self) -> None:
        """As in every pattern: here the planner is a function, and a line of workers is the writer."""
        team = orchestrator(lambda: PLAN, {**WORKERS, Role.WRITER: line_of([Role.SUMMARIZER])})
        script = {"researcher": [FOUND], "summarizer": ["In short: tides."], "validator": [ACCEPT]}
        result, _ = await run({**script, "synthesiser": ["The moon."]}, made=team)
        assert result.state.results["write"].text == "In short: tides."


class TestTheLine:
    async def test_each_worker_reads_what_all_before_it_made(self) -> None:
        """In the order of the names; the last one's text is the result."""
        script = {"researcher": [FOUND], "writer": ["Draft.", "Final."], "reviewer": [REVIEW], "summarizer": ["Short."]}
        with ScriptedModel(script) as model:
            async with Runner(models={"*": model}) as runner:
                result = await runner.start(line, GIVEN).result()
        assert [request.agent for request in model.requests] == [
            "researcher",
            "writer",
            "reviewer",
            "writer",
            "summarizer",
        ]
        assert list(result.state.needed) == ["researcher", "writer", "reviewer", "writer_2", "summarizer"]
        assert "Draft." in prompts(model, "writer")[1]
        assert '"score": 8' in prompts(model, "writer")[1]
        assert result.output == "Short."

    def test_it_runs_without_a_model(self) -> None:
        """The second text mends what the review of the first asks for."""
        needed = line.run_sync(example()).state.needed
        assert needed["writer_2"] != needed["writer"]
        assert needed["summarizer"].startswith("- ")

    async def test_any_agents_make_a_line(self) -> None:
        """Whatever they are called; a stage that fails ends it there, and a resume goes on with that stage."""
        shout = Agent("shout", prompt="{needed[whisper]}")
        made = line_of(["whisper", "shout"], {"whisper": Agent("whisper", prompt="{task}"), "shout": shout})
        script = {"whisper": ["psst"], "shout": [BadRequest("hoarse"), "PSST"]}
        with ScriptedModel(script) as model:
            async with Runner(models={"*": model}) as runner:
                handle = runner.start(made, GIVEN)
                with pytest.raises(RunFailed, match="hoarse"):
                    await handle.result()
                result = await runner.resume(made, handle.id).result()
        assert result.output == "PSST"


class TestTheWhole:
    @pytest.mark.parametrize("made", [graph, line])
    def test_it_compiles_without_a_warning_and_is_drawn(self, made: Any, tmp_path: Path) -> None:
        """Both graphs, by names of their own, with all their workers."""
        assert made.check() == []
        assert made.name in {"orchestrator", "line"}
        made.render(tmp_path / "picture.mmd")
        picture = (tmp_path / "picture.mmd").read_text(encoding="utf-8")
        assert all(role in picture for role in (Role.RESEARCHER, Role.WRITER, Role.REVIEWER, Role.SUMMARIZER))

    def test_models_are_named_for_agents_that_are_there(self) -> None:
        """And for all others one that is cheap."""
        agents = {"planner", "synthesiser"}
        assert all(models.keys() == {"*", *agents} for models in MODELS.values())

    async def test_the_prices_of_its_models_are_known(self) -> None:
        """A limit on costs refuses none of them."""
        for name in {name for models in MODELS.values() for name in models.values()}:
            model = model_of(name)
            assert isinstance(model, KnowsPrices)
            assert await model.knows_price(), name

    async def test_it_runs_through_real_sdks_on_two_wires(self, provider: EdgeServer) -> None:
        """Calls, tokens and costs are those that the servers told; a cost that is not known is not 0."""
        provider.answer(answer_of)
        models = {"*": "anthropic:claude-haiku-4-5", "planner": "openai-chat:some-model"}
        async with Runner(models=models) as runner:
            run = runner.start(graph, GIVEN)
            result = await run.result()
            rows = await runner.spending(run.id)
        assert result.output == "The moon."
        assert (result.usage.calls, result.usage.input_tokens, result.usage.output_tokens) == (5, 60, 25)
        costs = {row.agent: row.usage["cost_usd"] for row in rows}
        assert costs.pop("planner") is None
        assert all(cost == pytest.approx((12 + 5 * 5) / 1e6) for cost in costs.values())
        assert result.usage.cost_usd is None
        assert {heard.max_tokens for heard in provider.heard()} == {1024, 2048, 4096, 8192}


def answer_of(heard: Heard) -> Says:
    """What the agent whose instructions these are says."""
    answers: Sequence[tuple[str, object]] = [
        ("You lead a team", PLAN),
        ("You gather what is known", FOUND),
        ("You write briefs", "Tides."),
        ("You say whether the results", ACCEPT),
        ("You make one answer", "The moon."),
    ]
    value = next(value for opening, value in answers if opening in heard.system)
    return Says(value if isinstance(value, str) else TypeAdapter(object).dump_json(value).decode())

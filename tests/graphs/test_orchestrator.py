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
from graphs.orchestrator import MODELS, example, graph, line, line_of, orchestrator
from nodes.orchestration.agents import WORKERS
from nodes.orchestration.handover import Role, Verdict
from tests.conformance.model_scenes import Received, Says
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
        """Two questions are researched separately; code and a summary are planned because the task asks for them."""
        result = graph.run_sync(example())
        assert label(result) == "answered"
        roles = [step.role for step in result.state.plan]
        assert [roles.count(role) for role in (Role.RESEARCHER, Role.CODER)] == [2, 1]
        assert "[recovery.md:" in result.state.output
        assert "## Code" in result.state.output
        assert "## In short" in result.state.output
        assert (result.usage.offline_calls, result.usage.cost_usd) == (result.usage.calls, 0)

    def test_any_text_is_answered_from_its_own_words(self) -> None:
        """Every claim cites a line of the source."""
        text = (ROOT / "tests/briefs/texts/sourdough.md").read_text(encoding="utf-8")
        given = {"task": "How sourdough bread is made", "sources": [TextFile(path="sourdough.md", text=text)]}
        result = graph.run_sync(given)
        assert label(result) == "answered"
        assert "[sourdough.md:" in result.state.output
        scores = [verdict.score for verdict in result.state.verdicts]
        assert scores[-1] >= 7

    def test_sources_unrelated_to_the_task_fail_the_run(self) -> None:
        """A good text could be made from them, but it would not answer the task."""
        text = (ROOT / "tests/briefs/texts/gears.md").read_text(encoding="utf-8")
        given = {"task": "Quantum chromodynamics", "sources": [TextFile(path="gears.md", text=text)]}
        with pytest.raises(RunFailed, match="it cannot be answered") as caught:
            graph.run_sync(given)
        assert "Quantum" in caught.value.result.state.reasons[0]

    def test_equal_input_gives_equal_output(self) -> None:
        """This includes parallel researchers in threads."""
        first, second = (graph.run_sync(example()) for _ in range(2))
        assert first.output == second.output


class TestThePlan:
    @pytest.mark.parametrize(
        ("plan", "message"),
        [
            ([FIND.model_copy(update={"role": "poet"})], "find: there is no worker 'poet', only researcher, coder"),
            ([FIND.model_copy(update={"input": " "})], "find: its input is empty"),
            ([FIND.model_copy(update={"needs": ["write"]}), WRITE], "circular needs: "),
            ([WRITE], "write: needs 'find', which is not a step"),
            ([FIND.model_copy(update={"id": f"f{number}"}) for number in range(25)], "25 steps, more than 24"),
            ([], "the plan has no steps"),
        ],
    )
    async def test_a_plan_that_makes_no_sense_goes_back_to_the_planner(self, plan: list[Step], message: str) -> None:
        """The planner gets the problems; only the corrected plan is carried out."""
        script = {"planner": [plan, PLAN], "researcher": [FOUND], "writer": ["Tides."], "validator": [ACCEPT]}
        result, model = await run({**script, "synthesiser": ["The moon."]})
        assert result.output == "The moon."
        assert message in prompts(model, "planner")[1]

    async def test_a_plan_that_stays_bad_is_another_attempt(self) -> None:
        """The planner has two chances to fix it; the problems are among the reasons, and in the next question."""
        bad = [FIND.model_copy(update={"role": "poet"})]
        script = {"planner": [bad, bad, bad, PLAN], "researcher": [FOUND], "writer": ["Tides."], "validator": [ACCEPT]}
        result, model = await run({**script, "synthesiser": ["The moon."]})
        assert result.output == "The moon."
        assert len(result.state.reasons) == 1
        assert "no worker 'poet'" in result.state.reasons[0]
        assert "no worker 'poet'" in prompts(model, "planner")[3].partition("what_was_wrong")[2]
        assert [error.kind for error in result.state.errors] == ["bad_answer"]

    async def test_the_planner_knows_the_workers_and_the_sources_by_name(self) -> None:
        """It knows the workers' duties, and no text of a source: the workers read those."""
        script = {"planner": [PLAN], "researcher": [FOUND], "writer": ["Tides."], "validator": [ACCEPT]}
        _, model = await run({**script, "synthesiser": ["The moon."]})
        asked = prompts(model, "planner")[0]
        assert "tides.md" in asked
        assert all(role in asked for role in WORKERS)
        assert "twice a day" not in asked

    async def test_independent_steps_run_in_parallel(self) -> None:
        """Steps of one role and of several: each waits here for all of them."""
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
        """It reads no others, so that contexts stay short. A researcher reads the sources that its step names."""
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
        """Kept results can be needed by new steps; the planner gets the reason and the kept steps."""
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
        """The verdict names their steps; a step that counts cannot be changed."""
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
        """The label says so, the state has the reasons and the results; nothing is synthesised."""
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
        """One attempt is enough for a small budget."""
        script = {"planner": [PLAN], "researcher": [FOUND], "writer": ["Tides."], "validator": [retry("No.")]}
        result, _ = await failing(script, orchestrator(attempts=1))
        assert label(result) == "out of attempts"

    async def test_a_task_that_cannot_be_answered_fails_at_once(self) -> None:
        """Further attempts would cost more and end in the same way."""
        verdict = Verdict(outcome="give up", score=1, reasons=["The sources are about tides."])
        script = {"planner": [PLAN], "researcher": [FOUND], "writer": ["Tides."], "validator": [verdict]}
        result, _ = await failing(script)
        assert label(result) == "it cannot be answered"
        assert result.state.reasons == ["attempt 1: The sources are about tides."]

    async def test_a_verdict_is_typed_and_never_guessed(self) -> None:
        """NOT ACCEPTED is not an acceptance; an unreadable verdict makes the attempt one of the five."""
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
        """A verdict without a reason, and one that names unknown steps."""
        bad = [Verdict(outcome="retry", score=3), retry("No.", "poem")]
        script = {"planner": [PLAN], "researcher": [FOUND], "writer": ["Tides."], "validator": [*bad, ACCEPT]}
        _, model = await run({**script, "synthesiser": ["The moon."]})
        assert "say what is missing" in prompts(model, "validator")[1]
        assert "redo names 'poem', but the steps are find, write" in prompts(model, "validator")[2]


class TestResilience:
    async def test_a_worker_that_fails_leaves_the_others(self) -> None:
        """The validator and the synthesiser see the failure; steps that needed it are skipped."""
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
        """Its failure is not kept as a result, and is among the reasons."""
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

    async def test_if_every_step_failed_it_is_planned_again(self) -> None:
        """Nothing is validated or synthesised without results; the planner gets the reason of each failure."""
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
        """The planner knew the failures, and planned the same: three more attempts would end in the same way."""
        script = {"planner": [PLAN, PLAN], "researcher": [BadRequest("down"), BadRequest("down")]}
        result, _ = await failing(script)
        assert label(result) == "it fails the same way again"
        assert len(result.state.reasons) == 4

    def test_rules_that_fail_do_not_fail_five_times(self) -> None:
        """Rules always do the same: each step is tried once."""
        asked: list[str] = []

        def broken(task: str) -> str:
            asked.append(task)
            message = "no such table"
            raise ValueError(message)

        with pytest.raises(RunFailed) as caught:
            orchestrator(workers={"researcher": broken}).run_sync(example())
        result = caught.value.result
        assert len(asked) == len(set(asked)) > 0
        assert "no such table" in result.state.reasons[0]

    @pytest.mark.parametrize("agent", ["planner", "validator", "synthesiser"])
    async def test_a_run_with_an_unavailable_model_can_continue_with_another(self, agent: str) -> None:
        """It is not planned again, and no recorded call is repeated."""
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
    async def test_a_run_stopped_anywhere_repeats_no_call(self, steps: int, tmp_path: Path) -> None:
        """Each scripted answer is used once over both parts of the run, and the output is the same."""
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
        """Every message has a sender and a reference: an assignment refers to the results it needs, a result to it."""
        script = {"planner": [PLAN], "researcher": [FOUND], "writer": ["Tides."], "validator": [ACCEPT]}
        result, _ = await run({**script, "synthesiser": ["The moon."]})
        messages = [(each.id, each.sender, each.receiver, each.parents) for each in result.state.messages]
        assert messages == [
            ("1/find", "orchestrator", "researcher", []),
            ("1/find/done", "researcher", "orchestrator", ["1/find"]),
            ("1/write", "orchestrator", "writer", ["1/find/done"]),
            ("1/write/done", "writer", "orchestrator", ["1/write"]),
        ]
        assert result.state.messages[3].content == "Tides."

    async def test_what_each_role_made_is_in_the_database_for_itself(self, tmp_path: Path) -> None:
        """Results of several roles of one task do not replace each other, and a later process reads them all."""
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
        """The planner knows it, a plan can name it, and it sends messages."""
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
        """Agents may be functions and graphs: here the planner is a function, and a line of workers is the writer."""
        team = orchestrator(lambda: PLAN, {**WORKERS, Role.WRITER: line_of([Role.SUMMARIZER])})
        script = {"researcher": [FOUND], "summarizer": ["In short: tides."], "validator": [ACCEPT]}
        result, _ = await run({**script, "synthesiser": ["The moon."]}, made=team)
        assert result.state.results["write"].text == "In short: tides."


class TestTheLine:
    async def test_each_worker_reads_what_all_before_it_made(self) -> None:
        """They are in the order of the names; the last one's text is the result."""
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
        """The first text is as good as the writer can make it, so the second is the same."""
        needed = line.run_sync(example()).state.needed
        assert needed["writer_2"] == needed["writer"]
        assert needed["summarizer"].startswith("- ")

    async def test_any_agents_make_a_line(self) -> None:
        """Any names are possible; a failing stage ends the line, and a resume continues with that stage."""
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
        """Both graphs have their own names, and all their workers."""
        assert made.check() == []
        assert made.name in {"orchestrator", "line"}
        made.render(tmp_path / "picture.mmd")
        picture = (tmp_path / "picture.mmd").read_text(encoding="utf-8")
        assert all(role in picture for role in (Role.RESEARCHER, Role.WRITER, Role.REVIEWER, Role.SUMMARIZER))

    def test_models_are_named_for_agents_that_are_there(self) -> None:
        """All other agents get a cheap one."""
        agents = {"planner", "synthesiser"}
        assert all(models.keys() == {"*", *agents} for models in MODELS.values())

    async def test_the_prices_of_its_models_are_known(self) -> None:
        """The prices of its models are known, so that a cost limit refuses none of them."""
        for name in {name for models in MODELS.values() for name in models.values()}:
            model = model_of(name)
            assert isinstance(model, KnowsPrices)
            assert await model.knows_price(), name

    async def test_it_runs_through_real_sdks_on_two_wires(self, provider: EdgeServer) -> None:
        """Calls, tokens and costs are those of the servers; an unknown cost is not 0."""
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
        assert {received.max_tokens for received in provider.received()} == {1024, 2048, 4096, 8192}


def answer_of(received: Received) -> Says:
    """Return the answer of the agent with these instructions."""
    answers: Sequence[tuple[str, object]] = [
        ("You lead a team", PLAN),
        ("You gather what is known", FOUND),
        ("You write briefs", "Tides."),
        ("You say whether the results", ACCEPT),
        ("You make one answer", "The moon."),
    ]
    value = next(value for opening, value in answers if opening in received.system)
    return Says(value if isinstance(value, str) else TypeAdapter(object).dump_json(value).decode())

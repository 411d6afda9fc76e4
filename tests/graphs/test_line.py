"""A line of workers: the order, what each reads, and what it needs of the orchestrator."""

from pathlib import Path

import pytest

from graphengine import Limits, RunFailed, Runner, ScriptedModel
from graphengine.cli.new import files_of
from graphengine.errors import InputError
from graphengine.models.errors import BadRequest
from graphs.line import MODELS, example, graph, line_of
from tests.graphs.orchestrator_kit import FOUND, GIVEN, LINES, MENDED, REVIEW, TEXT
from tests.patterns.scripted import play

SCRIPT = {"researcher": [FOUND], "writer": [TEXT, MENDED], "reviewer": [REVIEW]}


def test_it_is_a_line_and_has_no_problems() -> None:
    """One node after the other."""
    assert graph.check() == []
    assert list(graph.compile().nodes) == ["research", "write", "review", "mend"]


def test_it_does_not_carry_the_orchestrators_planner() -> None:
    """A copy of the line has its workers, and neither planner nor validator."""
    copied = files_of("line")
    assert "nodes/orchestration/workers.py" in copied
    assert not {"nodes/orchestration/agents.py", "graphs/orchestrator.py"} & copied.keys()


async def test_each_works_on_the_results_before_it() -> None:
    """The last writer reads findings, text and review; the result is the mended text."""
    played = await play(graph, GIVEN, SCRIPT)
    assert [request.agent for request in played.requests] == ["researcher", "writer", "reviewer", "writer"]
    assert LINES in played.asked("writer")[0]
    assert all(part in played.asked("writer")[1] for part in (LINES, TEXT, REVIEW))
    assert played.output == MENDED


async def test_other_stages_are_an_argument() -> None:
    """A worker can have several stages, or none."""
    made = line_of({"look": "researcher", "sum": "summarizer"})
    played = await play(made, GIVEN, {"researcher": [FOUND], "summarizer": ["- The moon."]})
    assert (played.output, played.state.needed) == ("- The moon.", {"look": LINES, "sum": "- The moon."})


async def test_without_a_model_it_is_a_dry_run() -> None:
    """The last placeholder is the result."""
    async with Runner(models=MODELS["default"]) as runner:
        result = await runner.start(graph, example()).result()
    assert result.output == "[placeholder: writer, call 2]"
    assert result.state.needed["research"].endswith("[placeholder: researcher, call 1]")


async def test_a_stage_that_fails_fails_the_run_which_can_be_resumed(tmp_path: Path) -> None:
    """What was done is not done again."""
    with ScriptedModel({"researcher": [FOUND], "writer": [BadRequest("away")]}) as gone:
        async with Runner(tmp_path / "runs.db", models={"*": gone}) as runner:
            with pytest.raises(RunFailed, match="away"):
                await runner.start(graph, GIVEN, run_id="r").result()
    with ScriptedModel({"writer": [TEXT, MENDED], "reviewer": [REVIEW]}) as model:
        async with Runner(tmp_path / "runs.db", models={"*": model}) as runner:
            assert (await runner.resume("r", graph).result()).output == MENDED


async def test_stopped_after_any_step_it_repeats_no_call(tmp_path: Path) -> None:
    """Another Runner continues on the same database."""
    for steps in (1, 2, 3):
        with ScriptedModel(SCRIPT) as model:
            async with Runner(tmp_path / "runs.db", models={"*": model}) as runner:
                stopped = await runner.start(graph, GIVEN, limits=Limits(visits=steps)).result()
            async with Runner(tmp_path / "runs.db", models={"*": model}) as runner:
                assert (await runner.resume(stopped.run_id, graph, limits=Limits()).result()).output == MENDED


@pytest.mark.parametrize("given", [{"task": " "}, {}, {"task": "x", "word_budget": 5}])
async def test_bad_input_is_refused_before_anything_runs(given: dict[str, object]) -> None:
    """The error names the field."""
    async with Runner(models="placeholder") as runner:
        with pytest.raises(InputError, match=r"task|word_budget"):
            await runner.start(graph, given).result()

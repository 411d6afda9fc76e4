"""Researcher, writer, editor: typed handoffs, failures that are survived and reported, limits, caching, cost."""

import json
from pathlib import Path

import pytest

from graphengine import Limits, RunFailed, Runner, ScriptedModel, TextFile
from graphengine.briefs.article import Findings
from graphengine.errors import BadRequest, ModelUnreachable, QuotaExceeded
from graphengine.testing import FakeClock
from graphs.handoff import MODELS, Handoff, example, graph, handoff
from nodes.press.agents import editor, researcher, writer
from nodes.press.stages import Edited
from tests.conformance.model_scenes import Says
from tests.graphs.press_kit import ANSWERS, EDITED, FOUND, GIVEN, TEXT, WRITTEN, by_role
from tests.models.edge_server import EdgeServer

HAIKU = {"*": "anthropic:claude-haiku-4-5"}
TEXTS = Path(__file__).parents[1] / "briefs" / "texts"


async def test_each_result_is_what_the_next_one_reads() -> None:
    """It is a typed value in the state, and a text in the next question; each agent is called once."""
    with ScriptedModel({name: ANSWERS[name] for name in ("researcher", "writer", "editor")}) as model:
        async with Runner(models={"*": model}) as runner:
            result = await runner.start(graph, GIVEN).result()
    assert (result.state.findings, result.state.manuscript, result.state.edited) == (FOUND, WRITTEN, EDITED)
    assert (result.status, result.output, result.state.errors) == ("finished", EDITED.text, [])
    _, to_writer, to_editor = (request.prompt for request in model.requests)
    assert FOUND.all_facts()[0].text in to_writer
    assert WRITTEN.text in to_editor


async def test_if_the_editor_fails_the_draft_is_used_unedited() -> None:
    """The failure is kept, and the text is marked as unedited."""
    script = {"researcher": [FOUND], "writer": [WRITTEN], "editor": ["Sorry, no.", "No.", "No."]}
    async with Runner(models={"*": ScriptedModel(script)}) as runner:
        result = await runner.start(graph, GIVEN).result()
    assert (result.status, result.output) == ("finished", TEXT)
    assert result.state.edited == Edited(text=TEXT, changes=["None: the editor failed (bad_answer)."], is_edited=False)
    assert [(failure.path, failure.kind) for failure in result.state.errors] == [("edit", "bad_answer")]


async def test_useless_research_fails_the_run_which_can_be_resumed() -> None:
    """No writer is paid without findings; the failure has the reason."""
    invented = FOUND.model_copy(update={"sources": ["nowhere.md"]})
    script = {"researcher": [invented] * 3}
    async with Runner(models={"*": ScriptedModel(script)}) as runner:
        with pytest.raises(RunFailed, match=r"there is no source 'nowhere\.md'"):
            await runner.start(graph, GIVEN).result()


async def test_sources_that_hold_nothing_on_the_topic_are_an_end_of_their_own() -> None:
    """It is not a success: neither writer nor editor is called, and the notes of the research are kept."""
    nothing = Findings(notes=["The sources are on bread."])
    with ScriptedModel({"researcher": [nothing]}) as model:
        async with Runner(models={"*": model}) as runner:
            with pytest.raises(RunFailed, match="nothing found") as failed:
                await runner.start(graph, GIVEN).result()
    found = failed.value.result
    assert (found.status, found.label, found.state.findings) == ("failed", "nothing found", nothing)


async def test_what_passes_by_itself_is_tried_again() -> None:
    """A call whose connection broke is made again, and the failed attempt is in the log."""
    script = {"researcher": [ModelUnreachable("the connection broke"), FOUND], "writer": [WRITTEN], "editor": [EDITED]}
    async with Runner(models={"*": ScriptedModel(script)}, clock=FakeClock()) as runner:
        result = await runner.start(graph, GIVEN, run_id="r").result()
        kinds = [(step.node, step.kind) for step in await runner.history("r")]
    assert (result.output, result.state.errors) == (EDITED.text, [])
    assert ("research", "attempt") in kinds


async def test_a_researcher_that_cannot_be_asked_fails_the_run_at_once() -> None:
    """An empty account does not lead to a text without findings; with another model the run continues."""
    async with Runner(models={"*": ScriptedModel([QuotaExceeded("empty")])}) as runner:
        with pytest.raises(RunFailed) as failed:
            await runner.start(graph, GIVEN, run_id="r").result()
        assert failed.value.result.error is not None
        assert (failed.value.result.error.path, failed.value.result.error.kind) == ("research", "quota_exceeded")


async def test_if_the_writer_fails_the_run_keeps_its_findings(tmp_path: Path) -> None:
    """The error and the findings are kept; a resume calls the writer again, but not the researcher."""
    first = ScriptedModel({"researcher": [FOUND], "writer": [BadRequest("no such setting")]})
    async with Runner(tmp_path / "runs.db", models={"*": first}) as runner:
        with pytest.raises(RunFailed, match="no such setting") as failed:
            await runner.start(graph, GIVEN, run_id="r").result()
    found = failed.value.result
    assert (found.status, found.state.findings, found.state.manuscript) == ("failed", FOUND, None)
    with ScriptedModel({"writer": [WRITTEN], "editor": [EDITED]}) as second:
        async with Runner(tmp_path / "runs.db", models={"*": second}) as runner:
            result = await runner.resume(graph, "r").result()
    assert (result.status, result.output) == ("finished", EDITED.text)


async def test_a_stopped_run_repeats_no_call(tmp_path: Path) -> None:
    """It is stopped after each of its steps."""
    for steps in (1, 2):
        with ScriptedModel({name: ANSWERS[name] for name in ("researcher", "writer", "editor")}) as model:
            async with Runner(tmp_path / "runs.db", models={"*": model}) as runner:
                run = runner.start(graph, GIVEN, limits=Limits(steps=steps))
                assert (await run.result()).status == "stopped"
                result = await runner.resume(graph, run.id, limits=Limits(steps=9)).result()
        assert (result.status, result.output, result.usage.calls) == ("finished", EDITED.text, 3)


async def test_a_pipeline_of_two_has_no_editor() -> None:
    """Its result is the writer's text."""
    two = handoff(editor=None)
    with ScriptedModel({"researcher": [FOUND], "writer": [WRITTEN]}) as model:
        async with Runner(models={"*": model}) as runner:
            result = await runner.start(two, GIVEN).result()
    assert (result.output, result.state.edited) == (TEXT, None)
    assert two.check() == []


async def test_rules_do_the_work_without_a_model() -> None:
    """Rules do the work on the example and on another text, and fulfil the wishes."""
    first = await graph.run(example())
    text = TextFile(path="gears.md", text=(TEXTS / "gears.md").read_text(encoding="utf-8"))
    second = await graph.run(Handoff(topic="How bicycle gears work", sources=[text], wishes=["the cable"]))
    for result, word in ((first, "checkpoint"), (second, "cable")):
        assert (result.status, result.state.errors) == ("finished", [])
        assert word in str(result.output)
        assert "No language model wrote this text" in str(result.output)
        assert (result.usage.calls, result.usage.offline_calls) == (3, 3)


@pytest.mark.parametrize("text", ["", "Ebb.", "x" * 5000, "\u6f6e\u6c50", "```\ncode\n```", "\x00\x1b"])
async def test_texts_that_hold_nothing_fail_the_run(text: str) -> None:
    """The error of the research says what it needs."""
    with pytest.raises(RunFailed, match="no sentence that can be quoted was found"):
        await graph.run({"topic": "Tides", "sources": [TextFile(path="a.md", text=text)]})


async def test_through_a_server_caps_caching_and_cost(provider: EdgeServer) -> None:
    """Each call has its own token limit and requests caching; cached tokens are cheaper."""
    provider.answer(by_role)
    style = "Write plainly. " * 400
    async with Runner(models=HAIKU) as runner:
        result = await runner.start(handoff(house_style=style), GIVEN).result()
        spent = {row.agent: row.usage for row in await runner.spending(result.run_id)}
    assert result.output == EDITED.text
    received = provider.received()
    assert [each.max_tokens for each in received] == [agent.max_tokens for agent in (researcher, writer, editor)]
    assert [each.max_tokens for each in received] == [3072, 4096, 4096]
    for each in received:
        assert each.system.startswith(style.strip())
        assert "cache_control" in json.dumps(each.body["system"])
    # 1,000 tokens in, half of them read from the cache at a tenth of 1 USD a million; 50 out at 5 USD a million
    each_costs = 500 * 1e-6 + 500 * 0.1e-6 + 50 * 5e-6
    assert result.usage.cost_usd == pytest.approx(3 * each_costs)
    assert result.usage.cache_read_tokens == 1500
    assert sorted(spent) == ["editor", "researcher", "writer"]


async def test_mixed_providers_and_a_strong_writer(provider: EdgeServer) -> None:
    """One provider writes the text and another does the rest, as in the sets of models."""
    provider.answer(by_role)
    models = {"*": "openai:gpt-5-mini", "writer": "anthropic:claude-haiku-4-5"}
    async with Runner(models=models) as runner:
        result = await runner.start(graph, GIVEN).result()
    assert result.output == EDITED.text
    assert [call.path for call in provider.calls] == ["/v1/responses", "/v1/messages", "/v1/responses"]
    for names in MODELS.values():
        assert set(names) == {"*", "writer"}


async def test_a_text_with_an_unknown_citation_goes_back(provider: EdgeServer) -> None:
    """A text with an unknown citation goes back, and the error names the place."""
    wrong = WRITTEN.model_copy(update={"text": TEXT.replace("tides.md:4", "tides.md:44")})
    provider.play(*(Says(each.model_dump_json()) for each in (FOUND, wrong, WRITTEN, EDITED)))
    async with Runner(models=HAIKU) as runner:
        result = await runner.start(graph, GIVEN).result()
    assert result.output == EDITED.text
    assert "there is no finding at tides.md:44" in provider.received()[2].turns[-1].text


def test_the_graph_has_no_problems_and_a_picture(tmp_path: Path) -> None:
    """The check reports no problems."""
    assert graph.check() == []
    graph.render(tmp_path / "handoff.mmd")
    assert "nothing found" in (tmp_path / "handoff.mmd").read_text(encoding="utf-8")

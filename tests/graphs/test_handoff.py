"""Researcher, writer, editor: typed handoffs, failures that are survived and reported, limits, caching, cost."""

import json
from pathlib import Path

import pytest

from graphengine import Limits, RunFailed, Runner, ScriptedModel
from graphengine.models.errors import BadRequest, ModelUnreachable, QuotaExceeded
from graphengine.testing import FakeClock
from graphs.handoff import MODELS, example, graph, handoff
from nodes.citing import KNOWLEDGE, Passage, Quotations
from nodes.press.agents import writer
from tests.conformance.model_scenes import Says
from tests.graphs.press_kit import CALL_USD, EDITED, FOUND, GIVEN, MOON, REFUSAL, TASK, TEXT, TWO, by_role, says
from tests.models.edge_server import EdgeServer
from tests.patterns.scripted import play

HAIKU = {"*": "anthropic:claude-haiku-4-5"}
TEAM = says("researcher", "writer", "editor")


async def test_each_result_is_what_the_next_one_reads() -> None:
    """It is a typed value in the state, and lines of text in the next question; each agent is called once."""
    played = await play(graph, GIVEN, TEAM)
    assert (played.state.findings, played.state.draft, played.state.changes) == (
        [MOON, TWO],
        EDITED.text,
        EDITED.changes,
    )
    assert (played.output, played.state.errors, played.calls.total()) == (EDITED.text, [], 3)
    assert f"[tides.md:3] {MOON.text}" in played.asked("writer")[0]
    assert '"text"' not in played.asked("writer")[0]
    assert "File <file>tides.md</file>:\n<source>\n# Tides of the North Sea" in played.asked("researcher")[0]
    (to_editor,) = played.asked("editor")
    assert TEXT.strip() in to_editor
    assert MOON.text not in to_editor


@pytest.mark.parametrize("answers", [[REFUSAL] * 3, ["No."] * 3, [BadRequest("no such setting")]])
async def test_if_the_editor_fails_the_draft_is_kept(answers: list[object]) -> None:
    """Whether it refuses, chats or cannot be called; the failure is in the state."""
    played = await play(graph, GIVEN, {**TEAM, "editor": answers})
    kind = "bad_request" if len(answers) == 1 else "bad_answer"
    assert (played.result.status, played.output, played.state.draft) == ("finished", TEXT, TEXT)
    assert played.state.changes == [f"None: the editor failed ({kind})."]
    assert [(failure.path, failure.kind) for failure in played.state.errors] == [("edit", kind)]


async def test_a_refusal_is_never_the_text() -> None:
    """It goes back to the writer, and then fails the run; so does a text that cites nothing that anybody found."""
    wrong = "# Tides\n\nThe moon [tides.md:44]."
    played = await play(graph, GIVEN, {**TEAM, "writer": [REFUSAL, wrong, TEXT]})
    sent = [str(request.messages) for request in played.requests if request.agent == "writer"]
    assert "it has no title" in sent[1]
    assert "it cites nothing" in sent[2]
    with pytest.raises(RunFailed, match="it has no title") as failed:
        await play(graph, GIVEN, {"researcher": [FOUND], "writer": [REFUSAL] * 3})
    assert (failed.value.result.state.draft, failed.value.result.output) == ("", "")


async def test_transitions_and_analogies_are_allowed_and_marked() -> None:
    """They cite nothing, and cost no second call; what is not in the sources is said under the text."""
    text = EDITED.text + "\nThink of it as breathing.\n"
    played = await play(graph, GIVEN, {**TEAM, "writer": [text], "editor": [EDITED.model_copy(update={"text": text})]})
    assert played.calls.total() == 3
    assert played.output.endswith("> Without a source: “Think of it as breathing”\n")


async def test_useless_research_costs_no_writer() -> None:
    """Invented quotations fail the run at its first step; sources that have nothing are an end of their own."""
    invented = Quotations(quotations=[Passage(text="The sun does it.", file="tides.md")])
    with pytest.raises(RunFailed, match="The sun does it"):
        await play(graph, GIVEN, {"researcher": [invented] * 3})
    with pytest.raises(RunFailed, match="nothing found"):
        await play(graph, GIVEN, {"researcher": [Quotations(quotations=[])]})


async def test_a_task_is_enough_with_a_model() -> None:
    """It searches the web if its provider can; what it only knows is marked as that."""
    found = [Passage(text="The moon does it.", file="https://tides.example/moon")]
    text = "# Tides\n\nThe moon does it [https://tides.example/moon]."
    script = {"searcher": [Quotations(quotations=found)], "writer": [text], "editor": [{"text": text}]}
    played = await play(graph, {"task": TASK}, script)
    assert [tool.name for tool in played.requests[0].hosted] == ["web_search"]
    assert played.output == text
    known = [Passage(text="The moon does it.", file=KNOWLEDGE)]
    text = f"# Tides\n\nThe moon does it [{KNOWLEDGE}]."
    script = {"searcher": [Quotations(quotations=known)], "writer": [text], "editor": [{"text": text}]}
    played = await play(graph, {"task": TASK}, script)
    assert played.output.endswith("> Written from what the model knows; nothing was looked up.\n")


async def test_what_passes_by_itself_is_tried_again() -> None:
    """A call whose connection broke is made again, and the failed attempt is in the log."""
    script = {**TEAM, "researcher": [ModelUnreachable("the connection broke"), FOUND]}
    async with Runner(models={"*": ScriptedModel(script)}, clock=FakeClock()) as runner:
        result = await runner.start(graph, GIVEN, run_id="r").result()
        kinds = [(step.node, step.kind) for step in await runner.history("r")]
    assert (result.output, result.state.errors) == (EDITED.text, [])
    assert ("research", "attempt") in kinds


@pytest.mark.parametrize(
    ("script", "path", "then"),
    [
        ({"researcher": [QuotaExceeded("empty")]}, "research", ("researcher", "writer", "editor")),
        ({"researcher": [FOUND], "writer": [BadRequest("empty")]}, "write", ("writer", "editor")),
    ],
)
async def test_a_failed_run_is_resumed_where_it_failed(
    script: dict[str, list[object]], path: str, then: tuple[str, ...], tmp_path: Path
) -> None:
    """What was answered is kept and not asked again."""
    async with Runner(tmp_path / "runs.db", models={"*": ScriptedModel(script)}) as runner:
        with pytest.raises(RunFailed, match="empty") as failed:
            await runner.start(graph, GIVEN, run_id="r").result()
    error = failed.value.result.error
    assert error is not None
    assert error.path == path
    with ScriptedModel(says(*then)) as model:
        async with Runner(tmp_path / "runs.db", models={"*": model}) as runner:
            result = await runner.resume("r", graph).result()
    assert (result.status, result.output) == ("finished", EDITED.text)


@pytest.mark.parametrize("steps", [1, 2])
async def test_a_stopped_run_repeats_no_call(steps: int, tmp_path: Path) -> None:
    """It is stopped after each of its steps."""
    with ScriptedModel(TEAM) as model:
        async with Runner(tmp_path / "runs.db", models={"*": model}) as runner:
            run = runner.start(graph, GIVEN, limits=Limits(visits=steps))
            assert (await run.result()).status == "stopped"
            result = await runner.resume(run.id, graph, limits=Limits(visits=9)).result()
    assert (result.status, result.output, result.usage.calls) == ("finished", EDITED.text, 3)


async def test_a_row_of_two_has_no_editor() -> None:
    """Its result is the writer's text."""
    two = handoff(editor=None)
    played = await play(two, GIVEN, says("researcher", "writer"))
    assert (played.output, played.state.changes) == (TEXT, [])
    assert two.check() == []


async def test_without_a_model_it_is_a_dry_run() -> None:
    """Placeholders answer, also for a task alone."""
    for given in (example(), {"task": TASK}):
        async with Runner(models=MODELS["default"]) as runner:
            result = await runner.start(graph, given).result()
        assert (result.output, result.usage.calls) == ("[placeholder: editor, call 1]", 3)


async def test_through_a_server_caps_caching_and_cost(provider: EdgeServer) -> None:
    """Each call has its own token limit and requests caching of what is shared, such as a long house style."""
    provider.answer(by_role)
    style = "Write plainly. " * 400
    async with Runner(models=HAIKU) as runner:
        result = await runner.start(handoff(writer.but(system=f"{style}\n\n{writer.system}")), GIVEN).result()
        spent = {row.agent: row.usage for row in await runner.spending(result.run_id)}
    assert result.output == EDITED.text
    received = provider.received()
    assert [each.max_tokens for each in received] == [8192, 4096, 4096]
    assert received[1].system.startswith(style.strip())
    assert all("cache_control" in json.dumps(each.body["system"]) for each in received)
    assert result.usage.cost_usd == pytest.approx(3 * CALL_USD)
    assert sorted(spent) == ["editor", "researcher", "writer"]


async def test_mixed_providers_and_a_strong_writer(provider: EdgeServer) -> None:
    """One provider writes the text and another does the rest, as in the sets of models; fenced JSON is read."""
    provider.play(Says(FOUND.model_dump_json()), Says(TEXT), Says(f"```json\n{EDITED.model_dump_json()}\n```"))
    async with Runner(models={"*": "openai:gpt-5-mini", "writer": "anthropic:claude-haiku-4-5"}) as runner:
        result = await runner.start(graph, GIVEN).result()
    assert result.output == EDITED.text
    assert [call.path for call in provider.calls] == ["/v1/responses", "/v1/messages", "/v1/responses"]
    assert all(set(MODELS[name]) == {"*", "writer"} for name in ("anthropic", "openai"))


def test_it_has_no_problems_and_is_drawn(tmp_path: Path) -> None:
    """The picture has the row."""
    assert graph.check() == []
    graph.render(tmp_path / "handoff.mmd")
    drawn = (tmp_path / "handoff.mmd").read_text("utf-8")
    assert all(name in drawn for name in ("research", "write", "edit", "nothing found"))

"""A publishing pipeline: every agent that can fail fails, a person decides, and a post is published once."""

import asyncio
import json
import subprocess
import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pytest
from click.testing import CliRunner

from graphengine import Limits, Result, RunFailed, Runner, ScriptedModel, TextFile
from graphengine.briefs.article import Findings
from graphengine.briefs.publishing import Folder, Post, Published, Site, with_footnotes
from graphengine.cli.main import main
from graphengine.errors import BadRequest, InputError, ModelTimeout, QuotaExceeded
from graphengine.models import Request
from graphengine.models.scripted import calls
from graphengine.patterns import Decision
from graphengine.testing import FakeClock
from graphs.content_pipeline import MODELS, Piece, content_pipeline, example, graph
from nodes.press.agents import Team, researcher
from tests.conformance.model_scenes import Says
from tests.graphs.press_kit import (
    ANSWERS,
    CHECKED,
    COUNTED,
    EDITED,
    FOUND,
    GIVEN,
    LISTED,
    SOURCE,
    TEXT,
    TOPIC,
    WRITTEN,
    by_role,
)
from tests.kit import forks
from tests.models.edge_server import EdgeServer

ROOT: Final = Path(__file__).resolve().parents[2]
TEXTS: Final = ROOT / "tests" / "briefs" / "texts"
YES, NO, AGAIN = Decision(verdict="approve"), Decision(verdict="reject"), Decision(verdict="revise", note="for sailors")
NOT_JSON: Final = "Here is your post! Title: Tides."


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """Return a folder to publish in."""
    return tmp_path / "site"


def label(result: Result[Any]) -> str:
    """Return the last label of a run."""
    return result.label


async def decided(runner: Runner, site: Path, decisions: Sequence[Decision] = (YES,), **more: Any) -> Result[Piece]:
    """Execute the run `r` with a person who gives these decisions."""
    made = more.get("graph", graph)
    result = await runner.start(made, {**GIVEN, "site": str(site)}, run_id="r").result()
    for decision in decisions:
        assert result.status == "waiting"
        await runner.answer("r", decision)
        result = await runner.resume(made, "r").result()
    return result


def as_post(text: str) -> str:
    """Return a text as it is published, with footnotes."""
    return with_footnotes(text, [SOURCE])[0] + "\n"


# -- the person's decisions


async def test_what_is_approved_is_published(site: Path) -> None:
    """It becomes a file with front matter, and a post with a real time and the sources of its text."""
    with ScriptedModel(ANSWERS) as model:
        async with Runner(models={"*": model}, clock=FakeClock(start=1_800_000_000.0)) as runner:
            result = await decided(runner, site)
    state = result.state
    assert (result.status, label(result), state.form, state.errors) == ("finished", "published", "post", [])
    assert state.published is not None
    assert state.published.post == Post(
        **dict(LISTED),
        body="## The moon\n\nThe moon pulls the sea[^1]. Most coasts see two tides[^1].\n\n[^1]: Tides",
        sources=["Tides"],
        published_at=datetime.fromtimestamp(1_800_000_000, UTC),
    )
    (file,) = site.glob("[!.]*")
    assert (str(file), file.read_text(encoding="utf-8")) == (state.published.path, result.output)
    assert result.state.output.startswith('---\ntitle: "Why the sea rises twice a day"\n')


async def test_nothing_that_is_published_names_a_file(site: Path) -> None:
    """Neither the example's published file nor its output or post names a path, and the notes are titles."""
    given = example().model_copy(update={"site": str(site)})
    async with Runner() as runner:
        result = await runner.start(graph, given, run_id="r").result()
        await runner.answer("r", YES)
        result = await runner.resume(graph, "r").result()
    (file,) = site.glob("[!.]*")
    page = file.read_text(encoding="utf-8")
    assert label(result) == "published"
    for source in given.sources:
        assert source.path not in page + str(result.output)
    assert "[^1]: The write-ahead log" in page
    assert result.state.published is not None
    assert "Recovery and checkpoints" in result.state.published.post.sources


async def test_a_person_sees_all_of_it_and_nothing_is_written_before(site: Path) -> None:
    """The question has title, description, tags and text; the run is stored and waits, and no file exists."""
    async with Runner(models={"*": ScriptedModel(ANSWERS)}) as runner:
        result = await decided(runner, site, [])
    (wait,) = result.waits
    for expected in (LISTED.title, LISTED.description, "Tags: tides, moon, sea", "Most coasts see two tides"):
        assert expected in str(wait.question)
    assert (result.status, result.state.published, site.exists()) == ("waiting", None, False)


async def test_a_post_that_is_sent_back_is_written_again_with_the_note(site: Path) -> None:
    """The writer reads it with the text so far; then the editor, the publisher and the person follow again."""
    script = {name: [answers[0]] * (1 if name == "researcher" else 2) for name, answers in ANSWERS.items()}
    with ScriptedModel(script) as model:
        async with Runner(models={"*": model}) as runner:
            result = await decided(runner, site, [AGAIN, YES])
    first, second = (request.prompt for request in model.requests if request.agent == "writer")
    assert ("for sailors" in first, "for sailors" in second) == (False, True)
    assert TEXT.splitlines()[0] in second
    assert (label(result), result.state.wishes) == ("published", ["for sailors"])
    assert [decision.verdict for decision in result.state.decisions] == ["revise", "approve"]


@pytest.mark.parametrize("revisions", [0, 2])
async def test_a_post_is_sent_back_so_often_and_no_more(site: Path, revisions: int) -> None:
    """Then the run ends, unpublished, with its text in the state."""
    async with Runner(models={"*": ScriptedModel(lambda request: ANSWERS[request.agent][0])}) as runner:
        made = content_pipeline(revisions=revisions)
        result = await decided(runner, site, [AGAIN] * (revisions + 1), graph=made)
    assert (label(result), result.state.form, site.exists()) == ("out of revisions", "none", False)
    assert result.state.edited == EDITED


async def test_what_is_rejected_is_not_published(site: Path) -> None:
    """A rejected text is not published, and the label says so."""
    async with Runner(models={"*": ScriptedModel(ANSWERS)}) as runner:
        result = await decided(runner, site, [NO])
    assert (label(result), result.state.published, site.exists()) == ("rejected", None, False)


@pytest.mark.parametrize("answer", ["approve", "yes", True, {"verdict": "approved"}, {"verdict": "NOT APPROVED"}])
async def test_what_is_no_decision_publishes_nothing(site: Path, answer: object) -> None:
    """It is refused when it is given, and the run still waits."""
    async with Runner(models={"*": ScriptedModel(ANSWERS)}) as runner:
        await decided(runner, site, [])
        with pytest.raises(InputError):
            await runner.answer("r", answer)
        assert (await runner.resume(graph, "r").result()).status == "waiting"
    assert not site.exists()


async def test_silence_is_no_approval(site: Path) -> None:
    """This needs a timeout; without one the run waits for ever."""
    clock = FakeClock()
    made = content_pipeline(answer_seconds=3600)
    async with Runner(models={"*": ScriptedModel(ANSWERS)}, clock=clock) as runner:
        await decided(runner, site, [], graph=made)
        clock.move(3600)
        result = await runner.resume(made, "r").result()
    assert (label(result), result.state.decisions[0].note) == ("rejected", "no answer in time")
    assert not site.exists()


async def test_it_waits_in_the_database_for_another_process(site: Path, tmp_path: Path) -> None:
    """A post waits in the database: publishing needs neither the models nor the process that started the run."""
    async with Runner(tmp_path / "runs.db", models={"*": ScriptedModel(ANSWERS)}) as runner:
        await decided(runner, site, [])
    async with Runner(tmp_path / "runs.db") as runner:
        await runner.answer("r", YES)
        result = await runner.resume(graph, "r").result()
    assert (label(result), len(list(site.glob("[!.]*")))) == ("published", 1)


def test_from_a_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`run` ends with exit code 3, `answer` with the published post."""
    monkeypatch.chdir(tmp_path)
    source = ROOT / "graphengine" / "briefs" / "samples" / "write_ahead_log" / "recovery.md"
    file, ours = str(ROOT / "graphs" / "content_pipeline.py"), ("--db", "runs.db")
    begun = CliRunner().invoke(main, ["run", file, "--input", "site=blog", "--input", "topic=Recovery after a crash",
                                      "--input", f"sources=@{source}",
                                      "--run-id", "r", *ours])  # fmt: skip
    assert (begun.exit_code, "Publish this?" in begun.stderr) == (3, True)
    bad = CliRunner().invoke(main, ["answer", "r", '{"verdict": "publish"}', "--graph", file, *ours])
    assert bad.exit_code == 2
    done = CliRunner().invoke(main, ["answer", "r", '{"verdict": "approve"}', "--graph", file, *ours])
    assert (done.exit_code, "finished [published]" in done.stderr) == (0, True)
    (post,) = (tmp_path / "blog").glob("[!.]*")
    assert done.stdout.strip() == post.read_text(encoding="utf-8").strip()


# -- failures of each agent


async def test_if_the_editor_fails_the_draft_is_published_unedited(site: Path) -> None:
    """It is listed, shown to the person as unedited, and published; the failure is kept."""
    script = {**ANSWERS, "editor": [BadRequest("no such setting")]}
    with ScriptedModel(script) as model:
        async with Runner(models={"*": model}) as runner:
            waiting = await decided(runner, site, [])
            await runner.answer("r", YES)
            result = await runner.resume(graph, "r").result()
    assert "No editor has seen it." in str(waiting.waits[0].question)
    assert result.state.edited is not None
    assert (result.state.edited.text, result.state.edited.is_edited) == (TEXT, False)
    assert [(failure.path, failure.kind) for failure in result.state.errors] == [("edit", "bad_request")]
    assert label(result) == "published"


async def test_if_the_publisher_fails_the_result_is_the_text(site: Path) -> None:
    """It fails after its attempts, each with an error message; no person is asked, and nothing is published."""
    script: dict[str, Sequence[object]] = {**ANSWERS, "fact_checker": []}
    script |= {"publisher": [NOT_JSON, LISTED.model_dump() | {"title": "T" * 70}, NOT_JSON]}
    with ScriptedModel(script) as model:
        async with Runner(models={"*": model}) as runner:
            result = await decided(runner, site, [])
    assert (result.status, label(result), result.state.form) == ("finished", "as Markdown", "markdown")
    assert (result.output, result.state.listing, site.exists()) == (as_post(EDITED.text), None, False)
    assert [(failure.path, failure.kind) for failure in result.state.errors] == [("list", "bad_answer")]
    asked = [request.prompt for request in model.requests if request.agent == "publisher"]
    assert "has 70 characters and needs 1 to 69: 1 too many" in asked[2]


async def test_a_listing_of_an_earlier_text_does_not_stay(site: Path) -> None:
    """The publisher fails on the rewritten text."""
    script = {name: [answers[0]] * 2 for name, answers in ANSWERS.items()}
    script |= {"researcher": [FOUND], "publisher": [LISTED, QuotaExceeded("empty")]}
    async with Runner(models={"*": ScriptedModel(script)}) as runner:
        result = await decided(runner, site, [AGAIN])
    assert (label(result), result.state.listing, result.output) == ("as Markdown", None, as_post(EDITED.text))


async def test_if_both_fail_there_is_still_a_text(site: Path) -> None:
    """It is the draft, as Markdown, with both failures."""
    script = {**ANSWERS, "editor": [QuotaExceeded("empty")], "publisher": [QuotaExceeded("empty")]}
    async with Runner(models={"*": ScriptedModel(script)}) as runner:
        result = await decided(runner, site, [])
    assert (result.output, result.state.form) == (as_post(TEXT), "markdown")
    assert [failure.path for failure in result.state.errors] == ["edit", "list"]


async def test_without_research_the_run_fails_and_can_be_resumed(site: Path, tmp_path: Path) -> None:
    """Nothing is written without findings; a resume calls the researcher with another model, but not the survey."""
    async with Runner(tmp_path / "runs.db", models={"*": ScriptedModel([QuotaExceeded("empty")])}) as runner:
        with pytest.raises(RunFailed, match="empty") as failed:
            await decided(runner, site)
    found = failed.value.result
    assert found.error is not None
    assert (found.status, found.error.path, found.state.manuscript) == ("failed", "research", None)
    with ScriptedModel(ANSWERS) as model:
        async with Runner(tmp_path / "runs.db", models={"*": model}) as runner:
            assert (await runner.resume(graph, "r").result()).status == "waiting"
            looks = [step for step in await runner.history("r") if (step.node, step.kind) == ("survey", "node")]
    assert len(looks) == 1


async def test_sources_without_the_topic_end_the_run(site: Path) -> None:
    """If the researcher finds nothing, nothing is written."""
    nothing = Findings(notes=["The sources are on bread."])
    async with Runner(models={"*": ScriptedModel([nothing])}) as runner:
        with pytest.raises(RunFailed, match="nothing found to write on"):
            await decided(runner, site)


async def test_if_the_writer_fails_the_findings_are_kept(site: Path, tmp_path: Path) -> None:
    """The partial result and the error are kept; the researcher is not called again."""
    script = {"researcher": [FOUND], "writer": ["no JSON"] * 3}
    async with Runner(tmp_path / "runs.db", models={"*": ScriptedModel(script)}) as runner:
        with pytest.raises(RunFailed) as failed:
            await decided(runner, site)
    found = failed.value.result
    assert found.error is not None
    assert (found.error.path, found.error.kind, found.state.findings) == ("write", "bad_answer", FOUND)
    later = {name: answers for name, answers in ANSWERS.items() if name != "researcher"}
    with ScriptedModel(later) as model:
        async with Runner(tmp_path / "runs.db", models={"*": model}) as runner:
            assert (await runner.resume(graph, "r").result()).status == "waiting"


async def test_each_agent_retries_transient_errors(site: Path) -> None:
    """Each of the models is late twice, and none gives up."""
    script = {name: [ModelTimeout("late"), ModelTimeout("late"), *answers] for name, answers in ANSWERS.items()}
    with ScriptedModel(script) as model:
        async with Runner(models={"*": model}, clock=FakeClock()) as runner:
            result = await decided(runner, site)
            attempts = [step.node for step in await runner.history("r") if step.kind == "attempt"]
    assert (label(result), result.state.errors) == ("published", [])
    assert {name: attempts.count(name) for name in attempts} == dict.fromkeys(
        ("research", "write", "edit", "list", "check"), 2
    )


async def test_a_site_that_cannot_be_surveyed_counts_as_empty(site: Path) -> None:
    """It is retried first; the failure is kept."""

    class Closed(Folder):
        async def look(self) -> Site:
            raise PermissionError("closed")

    made = content_pipeline(cms=Closed)
    async with Runner(models={"*": ScriptedModel(ANSWERS)}, clock=FakeClock()) as runner:
        result = await decided(runner, site, graph=made)
    assert (label(result), result.state.on_site) == ("published", Site())
    (failure,) = result.state.errors
    assert (failure.path, failure.kind, failure.attempt) == ("survey", "PermissionError", 3)


async def test_publishing_is_tried_again_then_fails_with_all_that_there_is(site: Path) -> None:
    """The post, the decision and the error are kept, and a resume publishes without another question."""
    tries: list[str] = []

    class Full(Folder):
        async def put(self, post: Post, key: str) -> Published:
            tries.append(key)
            if len(tries) <= 3:
                raise OSError("no space left")
            return await super().put(post, key)

    made = content_pipeline(cms=Full)
    with ScriptedModel(ANSWERS) as model:
        async with Runner(models={"*": model}, clock=FakeClock()) as runner:
            with pytest.raises(RunFailed, match="no space left") as failed:
                await decided(runner, site, graph=made)
            assert (failed.value.result.state.edited, failed.value.result.state.decisions) == (EDITED, [YES])
            result = await runner.resume(made, "r").result()
    assert (label(result), len(set(tries)), len(tries)) == ("published", 1, 4)


# -- in parallel, once, again


async def test_the_survey_runs_in_parallel_with_the_research(site: Path) -> None:
    """The researcher's model waits for the survey, and the survey for the call of the model."""
    asked, looked = threading.Event(), threading.Event()

    class Slow(Folder):
        async def look(self) -> Site:
            assert await asyncio.to_thread(asked.wait, 20)
            looked.set()
            return Site()

    async def late(request: Request) -> object:
        asked.set()
        assert await asyncio.to_thread(looked.wait, 20)
        return FOUND

    script: dict[str, Sequence[object]] = {**ANSWERS, "researcher": [late]}
    made = content_pipeline(cms=Slow)
    async with Runner(models={"*": ScriptedModel(script)}) as runner:
        assert (await decided(runner, site, [], graph=made)).status == "waiting"


PROGRAM = """
import asyncio, os, signal, sys
from graphengine import Runner, ScriptedModel
from graphengine.patterns import Decision
from graphs.content_pipeline import content_pipeline
from graphengine.briefs.publishing import Folder
from tests.graphs.press_kit import ANSWERS, GIVEN

class Dies(Folder):
    async def put(self, post, key):
        await super().put(post, key)
        os.kill(os.getpid(), signal.SIGKILL)

async def main(folder):
    graph = content_pipeline(cms=Dies)
    async with Runner(folder + "/runs.db", models={"*": ScriptedModel(ANSWERS)}) as runner:
        await runner.start(graph, {**GIVEN, "site": folder + "/site"}, run_id="r").result()
        await runner.answer("r", Decision(verdict="approve"))
        await runner.resume(graph, "r").result()

asyncio.run(main(sys.argv[1]))
"""


def life(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a process that starts the run, approves, publishes, and dies."""
    program = folder / "program.py"
    program.write_text(PROGRAM, encoding="utf-8")
    return forks.run(program, str(folder), loads=forks.BRIEFS)


async def test_a_kill_between_publishing_and_recording_publishes_once(site: Path, tmp_path: Path) -> None:
    """The next process finds the file by its key, with exactly the same time, and records that it was there."""
    died = life(tmp_path)
    assert died.returncode == -9, died.stderr
    (before,) = site.glob("[!.]*")
    page = before.read_text(encoding="utf-8")
    async with Runner(tmp_path / "runs.db") as runner:
        assert (await runner.store.info("r")).status == "running"
        result = await runner.resume(graph, "r").result()
    assert (label(result), list(site.glob("[!.]*")), result.output) == ("published", [before], page)
    assert result.state.published is not None
    assert result.state.published.was_there


async def test_a_person_sees_what_the_fact_checker_found(site: Path) -> None:
    """A checker that fails does not stop the post; a run that waited before there was one continues."""
    against = CHECKED.replace("supported: Most", "contradicted: Most") + " (it says a few)"
    script = {name: [answers[0]] * 2 for name, answers in ANSWERS.items()}
    script |= {"researcher": [FOUND], "fact_checker": [against, BadRequest("no such setting")]}
    async with Runner(models={"*": ScriptedModel(script)}) as runner:
        first = await decided(runner, site, [])
        assert "Facts checked: 1 of 2 are supported.\n- contradicted: Most coasts" in str(first.waits[0].question)
        await runner.answer("r", AGAIN)
        second = await runner.resume(graph, "r").result()
    assert "The facts were not checked." in str(second.waits[0].question)
    assert [failure.path for failure in second.state.errors] == ["check"]
    without = content_pipeline(Team(fact_checker=None))
    async with Runner(models={"*": ScriptedModel(ANSWERS)}) as runner:
        waiting = await decided(runner, site, [], graph=without)
        assert waiting.status == "waiting"
        await runner.answer("r", YES)
        assert label(await runner.resume(graph, "r").result()) == "published"


async def test_a_run_that_was_stopped_anywhere_repeats_no_call(site: Path, tmp_path: Path) -> None:
    """It is stopped after each step up to the question."""
    for steps in (1, 2, 3, 4, 5):
        with ScriptedModel(ANSWERS) as model:
            async with Runner(tmp_path / "runs.db", models={"*": model}) as runner:
                run = runner.start(graph, {**GIVEN, "site": str(site)}, limits=Limits(steps=steps))
                assert (await run.result()).status == "stopped"
                result = await runner.resume(graph, run.id, limits=Limits(steps=20)).result()
        assert (result.status, result.usage.calls) == ("waiting", 5)


# -- by rules, and through a server


async def test_rules_do_the_work_without_a_model(site: Path) -> None:
    """Rules do the work on the example and on another text; a second post on the same topic gets another title."""
    gears = TextFile(path="gears.md", text=(TEXTS / "gears.md").read_text(encoding="utf-8"))
    other = Piece(topic="How bicycle gears work", sources=[gears], word_budget=300)
    titles: list[str] = []
    for piece in (example(), other, other):
        async with Runner() as runner:
            run = runner.start(graph, piece.model_copy(update={"site": str(site)}))
            await run.result()
            await runner.answer(run.id, YES)
            result = await runner.resume(graph, run.id).result()
        assert (label(result), result.usage.offline_calls) == ("published", 5)
        assert "No language model wrote this text" in str(result.output)
        assert result.state.published is not None
        titles.append(result.state.published.post.title)
    assert titles[1:] == ["How bicycle gears work", "How bicycle gears work (2)"]


async def test_a_wish_that_rules_can_grant_is_granted(site: Path) -> None:
    """Facts on what the note names are added to the text."""
    gears = TextFile(path="gears.md", text=(TEXTS / "gears.md").read_text(encoding="utf-8"))
    async with Runner() as runner:
        given = Piece(topic="How bicycle gears work", sources=[gears], word_budget=150, site=str(site))
        first = await runner.start(graph, given, run_id="r").result()
        await runner.answer("r", Decision(verdict="revise", note="more on the cable"))
        second = await runner.resume(graph, "r").result()
    texts = [each.state.edited.text for each in (first, second) if each.state.edited]
    assert ["cable" in text for text in texts] == [False, True]


@pytest.mark.parametrize(
    "text", ["The moon makes the tides of the sea.", "Der Mond macht die Tides, sagt ein Buch \u00fcber das Meer."]
)
async def test_a_text_that_is_too_short_for_a_description_is_markdown(site: Path, text: str) -> None:
    """Nothing is padded: the state has what could not be made, and the result is the text."""
    result = await graph.run({"topic": "Tides", "sources": [TextFile(path="a.md", text=text)], "site": str(site)})
    assert (label(result), result.state.form, site.exists()) == ("as Markdown", "markdown", False)
    assert text.rstrip(".") in str(result.output)
    assert "no description of 150 to 160 characters" in result.state.errors[0].message


@pytest.mark.parametrize("text", ["", "Ebb", "```\ncode\n```", "\x00", "\U0001f30a" * 3000])
async def test_a_text_that_holds_nothing_fails_at_the_research(site: Path, text: str) -> None:
    """A text that holds nothing fails at the research, and the error names the file."""
    with pytest.raises(RunFailed, match=r"no sentence that can be quoted was found in a\.md"):
        await graph.run({"topic": "Tides", "sources": [TextFile(path="a.md", text=text)], "site": str(site)})


async def test_through_a_server_with_its_cost(provider: EdgeServer, site: Path) -> None:
    """Each of the five is called once, with its limit; none has a tool, and none sees more than it needs."""
    provider.answer(by_role)
    async with Runner(models={"*": "anthropic:claude-haiku-4-5"}) as runner:
        result = await decided(runner, site)
    assert label(result) == "published"
    received = provider.received()
    assert [each.max_tokens for each in received] == [3072, 4096, 4096, 512, 4096]
    assert not any(each.tools for each in received)
    assert SOURCE.text.splitlines()[2] not in received[2].turns[-1].text
    assert (result.usage.calls, result.usage.output_tokens) == (5, 5 * COUNTED.output_tokens)
    assert result.usage.cost_usd == pytest.approx(5 * (500 * 1e-6 + 500 * 0.1e-6 + 50 * 5e-6))


async def test_bad_json_through_a_server_is_asked_for_again(provider: EdgeServer, site: Path) -> None:
    """The second answer is valid and is used."""
    provider.play(*(Says(each.model_dump_json()) for each in (FOUND, WRITTEN, EDITED)))
    provider.play(Says(NOT_JSON), Says(f"```json\n{LISTED.model_dump_json()}\n```"), Says(CHECKED))
    models = {"*": "openai:gpt-5-mini", "writer": "anthropic:claude-haiku-4-5"}
    async with Runner(models=models) as runner:
        result = await decided(runner, site)
    assert (label(result), result.usage.calls, result.usage.cost_usd) == ("published", 6, None)
    assert "cannot be used" in provider.received()[4].turns[-1].text
    for names in MODELS.values():
        assert set(names) == {"*", "writer"}


async def test_a_tool_is_for_the_hand_that_needs_it(site: Path) -> None:
    """A researcher can have a search; the others have none, and no model can publish."""

    def search(words: str) -> str:
        """Search the library.

        Args:
            words: What for.
        """
        return f"nothing on {words}"

    team = Team(researcher=researcher.but(tools=[search]))
    script = {**ANSWERS, "researcher": [calls(("search", {"words": TOPIC})), FOUND]}
    with ScriptedModel(script) as model:
        async with Runner(models={"*": model}) as runner:
            result = await decided(runner, site, graph=content_pipeline(team))
    tools = {request.agent: [tool.name for tool in request.tools] for request in model.requests}
    assert tools == {"researcher": ["search"], "writer": [], "editor": [], "publisher": [], "fact_checker": []}
    assert label(result) == "published"


def test_the_graph_has_no_problems_and_a_picture(tmp_path: Path) -> None:
    """The check reports no problems."""
    assert graph.check() == []
    graph.render(tmp_path / "pipeline.mmd")
    drawn = (tmp_path / "pipeline.mmd").read_text(encoding="utf-8").replace("</b><br/><b>", " ")
    assert all(words in drawn for words in ("as Markdown", "out of revisions", "nothing found to write on"))


async def test_the_state_can_be_read_by_a_program(site: Path) -> None:
    """The caller gets JSON with the post in it."""
    async with Runner(models={"*": ScriptedModel(ANSWERS)}) as runner:
        result = await decided(runner, site)
    state = json.loads(result.state.model_dump_json())
    assert (state["form"], state["published"]["post"]["tags"]) == ("post", ["tides", "moon", "sea"])

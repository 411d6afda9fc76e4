"""A publishing pipeline: what a person decided is published at most once, in a folder or at a webhook.

Its decisions, and the failures of its agents, are in `pages/content_pipeline.txt`.
"""

import asyncio
import json
import subprocess
import threading
from pathlib import Path
from typing import Any, Final

import pytest
from click.testing import CliRunner

from graphengine import Limits, Result, RunFailed, Runner, ScriptedModel
from graphengine.cli.main import main
from graphengine.errors import InputError
from graphengine.models import Request
from graphengine.models.errors import QuotaExceeded
from graphengine.output_file import write_file
from graphengine.patterns import Decision
from graphengine.testing import FakeClock
from graphs.content_pipeline import MODELS, Order, content_pipeline, example, graph
from nodes.press import publishing
from tests.conformance.model_scenes import Says
from tests.graphs.press_kit import (
    ANSWERS,
    CALL_USD,
    EDITED,
    FOUND,
    GIVEN,
    LISTED,
    MOON,
    REFUSAL,
    TEXT,
    by_role,
    says,
    webhook,
)
from tests.kit import forks
from tests.models.edge_server import EdgeServer

ROOT: Final = Path(__file__).resolve().parents[2]
YES: Final = Decision(verdict="approve")


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """Return a folder to publish in."""
    return tmp_path / "site"


def scripted(**others: Any) -> dict[str, ScriptedModel]:
    """Return models that answer as the press, except for the given agents."""
    return {"*": ScriptedModel(says(**others))}


async def decided(runner: Runner, site: object, *decisions: Decision) -> Result[Order]:
    """Execute the run `r` with a person who gives these decisions."""
    result: Result[Order] = await runner.start(graph, {**GIVEN, "site": str(site)}, run_id="r").result()
    for decision in decisions:
        assert result.status == "waiting"
        await runner.answer("r", decision)
        result = await runner.resume("r", graph).result()
    return result


# -- the person's decisions


async def test_it_waits_in_the_database_for_another_process(site: Path, tmp_path: Path) -> None:
    """Publishing needs neither the models nor the process that started the run."""
    async with Runner(tmp_path / "runs.db", models=scripted()) as runner:
        await decided(runner, site)
    async with Runner(tmp_path / "runs.db", models="placeholder") as runner:
        await runner.answer("r", YES)
        result = await runner.resume("r", graph).result()
    assert (result.label, len(list(site.iterdir()))) == ("published", 1)


def test_a_dry_run_from_a_terminal_says_what_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`run` ends with exit code 3 and names the options for a model; `answer` publishes what a person approved."""
    monkeypatch.chdir(tmp_path)
    file, ours = str(ROOT / "graphs" / "content_pipeline.py"), ("--store", "runs.db")
    begun = CliRunner().invoke(main, ["run", file, "--run-id", "r", *ours])
    assert (begun.exit_code, "Publish this in published?" in begun.stderr) == (3, True)
    assert "[placeholder: editor, call 1]" in begun.stderr
    assert begun.stderr.count("dry run: placeholders answer") == 2
    assert "--model anthropic" in begun.stderr.splitlines()[-1]
    bad = CliRunner().invoke(main, ["answer", "r", '{"verdict": "publish"}', "--graph", file, *ours])
    assert bad.exit_code == 2
    done = CliRunner().invoke(main, ["answer", "r", '{"verdict": "approve"}', "--graph", file, *ours])
    assert (done.exit_code, "finished [published]" in done.stderr) == (0, True)
    (post,) = (tmp_path / "published").iterdir()
    assert f"> Published: {post.relative_to(tmp_path)}" in done.stdout


# -- failures of each agent


@pytest.mark.parametrize(
    ("script", "path", "then"),
    [
        ({"researcher": [QuotaExceeded("empty")]}, "research", ("researcher", "writer", "editor", "publisher")),
        ({"researcher": [FOUND], "writer": [REFUSAL] * 3}, "write", ("writer", "editor", "publisher")),
    ],
)
async def test_without_research_or_a_text_the_run_fails_and_is_resumed(
    script: dict[str, list[object]], path: str, then: tuple[str, ...], site: Path, tmp_path: Path
) -> None:
    """What was answered is kept and not asked again, with another model for example."""
    async with Runner(tmp_path / "runs.db", models={"*": ScriptedModel(script)}) as runner:
        with pytest.raises(RunFailed) as failed:
            await decided(runner, site)
    found = failed.value.result
    assert found.error is not None
    assert (found.error.path, found.state.draft) == (path, "")
    with ScriptedModel(says(*then)) as model:
        async with Runner(tmp_path / "runs.db", models={"*": model}) as runner:
            assert (await runner.resume("r", graph).result()).status == "waiting"
            looks = [step for step in await runner.history("r") if (step.node, step.kind) == ("survey", "node")]
    assert len(looks) == 1


async def test_a_site_that_cannot_be_surveyed_counts_as_empty(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The failure is kept."""

    def closed(*_: object) -> None:
        raise PermissionError("closed")

    monkeypatch.setattr("graphs.content_pipeline.Path.glob", closed)
    async with Runner(models=scripted(), clock=FakeClock()) as runner:
        result = await decided(runner, site)
    assert (result.status, result.state.posts) == ("waiting", [])
    assert [(failure.path, failure.attempt) for failure in result.state.errors] == [("survey", 4)]


async def test_the_survey_runs_in_parallel_with_the_research(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The researcher's model waits for the survey, and that for the call of the model; the publisher sees the posts."""
    asked, looked = threading.Event(), threading.Event()
    site.mkdir()
    (site / "ebb-0123.md").write_text("An earlier post.")
    is_address = publishing.is_address

    def slow(site: str) -> bool:
        assert asked.wait(20)
        looked.set()
        return is_address(site)

    async def late(_: Request) -> object:
        asked.set()
        assert await asyncio.to_thread(looked.wait, 20)
        return FOUND

    monkeypatch.setattr("graphs.content_pipeline.is_address", slow)
    with ScriptedModel(says(researcher=[late])) as model:
        async with Runner(models={"*": model}) as runner:
            assert (await decided(runner, site)).status == "waiting"
    assert "ebb-0123.md" in model.requests[-1].prompt


# -- at most once

PROGRAM: Final = """
import asyncio, os, signal, sys
from graphengine import Runner, ScriptedModel
from graphengine.patterns import Decision
from graphs.content_pipeline import graph
from nodes.press import publishing
from tests.graphs.press_kit import ANSWERS, GIVEN

folder, site, when = sys.argv[1:]
name = "write_file" if when != "sent" else "HTTPConnection"

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

if when == "before":
    publishing.write_file = die
elif when == "after":
    write = publishing.write_file
    publishing.write_file = lambda *given: (write(*given), die())
else:
    publishing.HTTPConnection.getresponse = die

async def main():
    async with Runner(folder + "/runs.db", models={"*": ScriptedModel(ANSWERS)}) as runner:
        await runner.start(graph, {**GIVEN, "site": site}, run_id="r").result()
        await runner.answer("r", Decision(verdict="approve"))
        await runner.resume("r", graph).result()

asyncio.run(main())
"""


def life(folder: Path, site: str, when: str) -> subprocess.CompletedProcess[str]:
    """Run a process that approves, and is killed before or after the file is written, or after it has sent."""
    program = folder / "program.py"
    program.write_text(PROGRAM, encoding="utf-8")
    return forks.run(program, str(folder), site, when)


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_kill_around_the_writing_leaves_one_file(site: Path, tmp_path: Path, when: str) -> None:
    """The next process finds the file by its key, or writes it; no model is asked again."""
    died = life(tmp_path, str(site), when)
    assert died.returncode == -9, died.stderr
    pages = [file.read_text("utf-8") for file in site.iterdir()]
    assert len(pages) == (when == "after")
    async with Runner(tmp_path / "runs.db", models={"*": ScriptedModel([])}) as runner:
        result = await runner.resume("r", graph).result()
    (file,) = site.iterdir()
    assert (result.label, result.state.published) == ("published", str(file))
    assert pages in ([], [file.read_text("utf-8")])


@pytest.mark.parametrize("answer", ["fail", "rerun", "result"])
async def test_after_a_kill_while_sending_a_person_decides(tmp_path: Path, answer: str) -> None:
    """Nothing is sent again unless a person says so, and then under the same key."""
    with webhook() as server:
        died = await asyncio.to_thread(life, tmp_path, server.url, "sent")
        assert died.returncode == -9, died.stderr
        async with Runner(tmp_path / "runs.db", models={"*": ScriptedModel([])}) as runner:
            result = await runner.resume("r", graph).result()
            assert (result.status, len(server.got)) == ("waiting", 1)
            await runner.answer("r", {"result": server.url} if answer == "result" else answer)
            if answer == "fail":
                with pytest.raises(RunFailed):
                    await runner.resume("r", graph).result()
            else:
                assert (await runner.resume("r", graph).result()).label == "published"
    assert len(server.got) == (2 if answer == "rerun" else 1)
    assert len({key for key, _ in server.got}) == 1


async def test_a_webhook_gets_the_post_and_a_key() -> None:
    """As JSON; a webhook that is busy is called again, under the same key."""
    with webhook(503, 429) as server:
        async with Runner(models=scripted(), clock=FakeClock()) as runner:
            result = await decided(runner, server.url, YES)
    assert (result.label, result.state.published) == ("published", server.url)
    assert len(server.got) == 3
    assert len({key for key, _ in server.got}) == 1
    sent = json.loads(server.got[0][1])
    assert (sent["title"], sent["sources"]) == (LISTED.title, ["Tides of the North Sea"])
    assert "tides.md" not in server.got[0][1].decode()


@pytest.mark.parametrize("status", [302, 400, 500])
async def test_a_webhook_that_refuses_fails_the_run_with_the_post(status: int) -> None:
    """It is called once, and a redirection is not followed; a resume sends the approved post without a question."""
    with webhook(status) as server:
        async with Runner(models=scripted(), clock=FakeClock()) as runner:
            with pytest.raises(RunFailed, match=f"did not take the post: status {status}") as failed:
                await decided(runner, server.url, YES)
            assert (failed.value.result.state.decisions, len(server.got)) == ([YES], 1)
            assert (await runner.resume("r", graph).result()).label == "published"


@pytest.mark.parametrize(
    "site",
    [
        "http://blog.example.org/posts",
        "https://me:secret@blog.example.org/posts",
        "https://blog.example.org:99999/",
        "https:///posts",
        "HTTPS://blog.example.org/",
        "ftp://blog.example.org/",
    ],
)
async def test_a_webhook_that_is_not_safe_is_refused_before_anything_is_paid(site: str) -> None:
    """No post goes over a network in clear, and no address becomes the name of a folder."""
    async with Runner(models="placeholder") as runner:
        with pytest.raises(InputError, match="site"):
            await runner.start(content_pipeline(), {**GIVEN, "site": site}).result()


async def test_a_webhook_that_cannot_be_reached_is_tried_four_times(unused_tcp_port: int) -> None:
    """Nothing was sent, so nothing can be there twice."""
    async with Runner(models=scripted(), clock=FakeClock()) as runner:
        with pytest.raises(RunFailed, match="cannot be reached"):
            await decided(runner, f"http://127.0.0.1:{unused_tcp_port}/", YES)
        tries = [step for step in await runner.history("r") if (step.node, step.kind) == ("send", "attempt")]
    assert len(tries) == 3


async def test_a_folder_that_is_full_is_tried_again(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then the run fails with the approved post in it, and a resume publishes without another question."""
    tries: list[object] = []
    write = write_file

    def full(path: Path, content: bytes) -> None:
        tries.append(path)
        if len(tries) <= 4:
            raise OSError("no space left")
        write(path, content)

    monkeypatch.setattr(publishing, "write_file", full)
    async with Runner(models=scripted(), clock=FakeClock()) as runner:
        with pytest.raises(RunFailed, match="no space left"):
            await decided(runner, site, YES)
        result = await runner.resume("r", graph).result()
    assert (result.label, len(set(tries)), len(tries)) == ("published", 1, 5)


@pytest.mark.parametrize("steps", [1, 2, 3, 4, 5])
async def test_a_run_that_was_stopped_anywhere_repeats_no_call(site: Path, tmp_path: Path, steps: int) -> None:
    """It is stopped after each step up to the question."""
    with ScriptedModel(ANSWERS) as model:
        async with Runner(tmp_path / "runs.db", models={"*": model}) as runner:
            run = runner.start(graph, {**GIVEN, "site": str(site)}, limits=Limits(visits=steps))
            assert (await run.result()).status == "stopped"
            result = await runner.resume(run.id, graph, limits=Limits(visits=20)).result()
    assert (result.status, result.usage.calls) == ("waiting", 4)


# -- through a server


async def test_through_a_server_with_its_cost(provider: EdgeServer, site: Path) -> None:
    """Each of the four is called once, with its limit; none has a tool, and none sees more than it needs."""
    provider.answer(by_role)
    async with Runner(models={"*": "anthropic:claude-haiku-4-5"}) as runner:
        result = await decided(runner, site, YES)
    received = provider.received()
    assert (result.label, [each.max_tokens for each in received]) == ("published", [8192, 4096, 4096, 512])
    assert not any(each.tools for each in received)
    assert not any(MOON.text in turn.text for each in received[2:] for turn in each.turns)
    assert result.usage.cost_usd == pytest.approx(4 * CALL_USD)


async def test_bad_json_through_a_server_is_asked_for_again(provider: EdgeServer, site: Path) -> None:
    """The second answer is valid and is used, with two providers in one run."""
    provider.play(Says(FOUND.model_dump_json()), Says(TEXT), Says(EDITED.model_dump_json()))
    provider.play(Says("Here is your post!"), Says(f"```json\n{LISTED.model_dump_json()}\n```"))
    async with Runner(models={"*": "openai:gpt-5-mini", "writer": "anthropic:claude-haiku-4-5"}) as runner:
        result = await decided(runner, site, YES)
    assert (result.label, result.usage.calls) == ("published", 5)
    assert "cannot be used" in provider.received()[4].turns[-1].text


async def test_the_example_is_a_dry_run_without_a_model(site: Path) -> None:
    """Whatever a model would have written is labelled."""
    async with Runner(models=MODELS["default"]) as runner:
        given = example().model_copy(update={"site": str(site)})
        result = await runner.start(graph, given).result()
    assert (result.status, result.state.draft) == ("waiting", "[placeholder: editor, call 1]")
    assert result.state.findings[0].text == "[placeholder: researcher, call 1]"


def test_it_has_no_problems_and_is_drawn(tmp_path: Path) -> None:
    """The picture has every end."""
    assert graph.check() == []
    graph.render(tmp_path / "pipeline.mmd")
    drawn = (tmp_path / "pipeline.mmd").read_text("utf-8").replace("</b><br/><b>", " ")
    assert all(words in drawn for words in ("as Markdown", "out of revisions", "nothing found", "to a webhook"))

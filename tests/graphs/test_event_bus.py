"""Agents that know events and not each other."""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from graphengine import Graph, Limits, Result, RunFailed, Runner, ScriptedModel, TextFile
from graphengine.briefs.article import Fact, Findings, Review
from graphengine.errors import BadRequest
from graphengine.models import Request
from graphs.event_bus import LETTERS, MEMBERS, Member, Office, event_bus, example, graph
from nodes.board.letters import Letter
from tests.cli.programs import ROOT, call, document, start
from tests.conformance.model_scenes import Received, Says
from tests.models.edge_server import EdgeServer

TEXT = "Bees make honey."
GIVEN = Office(task="bees", sources=[TextFile(path="a.md", text=TEXT)])
FOUND = Findings(key_areas=["Bees"], facts={"Bees": [Fact(text=TEXT, file="a.md", line=1)]}, sources=["a.md"])
BAD = Review(score=4, approved=False, suggestions=["say more"])
GOOD = Review(score=8, approved=True)
SCRIPT: dict[str, Sequence[object]] = {
    "researcher": [FOUND],
    "writer": ["draft one", "draft two"],
    "reviewer": [BAD, GOOD],
}

HEARD = {
    "researcher": ["task_given", "closed"],
    "writer": ["research_complete", "please_mend", "closed"],
    "reviewer": ["research_complete", "draft_ready", "draft_ready", "closed"],
}
"""The events of each agent in a run of that script, in this order."""

ROLES = {"gather": "researcher", "briefs": "writer", "judge": "reviewer"}
"""The agent for a word in the first line of its instructions."""


def heard(result: Result[Office]) -> dict[str, list[str]]:
    """Return the events that each agent received."""
    return {name: [letter.event for letter in letters] for name, letters in result.state.letters.items()}


def as_in_script(asked: "Counter[str]", held: tuple[str, int] = ("", 0)) -> Callable[[Received], Says]:
    """Answer by agent, count the calls, and hold one of them back, given by agent and number."""

    def answer(call: Received) -> Says:
        opening, text = call.system.splitlines()[0], call.turns[-1].text
        (name,) = [name for word, name in ROLES.items() if word in opening]
        asked[name] += 1
        answers = {
            "researcher": FOUND.model_dump_json(),
            "writer": "draft two" if "say more" in text else "draft one",
            "reviewer": (GOOD if "draft two" in text else BAD).model_dump_json(),
        }
        return Says(answers[name], held=(name, asked[name]) == held)

    return answer


async def played(graph: Graph[Office], script: Mapping[str, Sequence[object]]) -> Result[Office]:
    """Run a graph with scripted models; check that every answer is used."""
    with ScriptedModel(script) as model:
        async with Runner(models={"*": model}) as runner:
            return await runner.start(graph, GIVEN).result()


class TestScripted:
    async def test_events_wake_those_who_subscribed_to_them(self) -> None:
        """research_complete wakes the writer, draft_ready the reviewer; each gets its events once, in order."""
        result = await played(graph, SCRIPT)
        assert (result.output, heard(result)) == ("draft two", HEARD)
        assert [review.score for review in result.state.history] == [4, 8]

    async def test_one_event_has_several_subscribers(self) -> None:
        """The writer works on it, the reviewer keeps its data."""
        letters = (await played(graph, SCRIPT)).state.letters
        (for_writer,) = [letter for letter in letters["writer"] if letter.event == "research_complete"]
        (for_reviewer,) = [letter for letter in letters["reviewer"] if letter.event == "research_complete"]
        assert for_writer == for_reviewer == Letter(event="research_complete", sender="researcher", findings=FOUND)

    async def test_a_direct_message_is_for_one_alone(self) -> None:
        """Only the writer gets the review, with its sender."""
        letters = (await played(graph, SCRIPT)).state.letters
        direct = {name: [letter for letter in got if letter.to] for name, got in letters.items()}
        assert direct == {
            "researcher": [],
            "writer": [Letter(event="please_mend", sender="reviewer", to="writer", review=BAD)],
            "reviewer": [],
        }

    async def test_a_new_subscriber_is_one_more_row(self) -> None:
        """The sender does not know of it, and the others get the same events."""
        drafts: list[str] = []

        def keep(draft: str) -> str:
            drafts.append(draft)
            return f"kept: {draft}"

        archive = Member(keep, "note", ["draft_ready"], lambda desk: Letter(event="filed", draft=desk.note))
        result = await played(event_bus({**MEMBERS, "archive": archive}), SCRIPT)
        assert {name: events for name, events in heard(result).items() if name in HEARD} == HEARD
        assert heard(result)["archive"] == ["draft_ready", "draft_ready", "closed"]
        assert drafts == ["draft one", "draft two"]

    @pytest.mark.parametrize("scores", [(2, 2), (3, 2), (2, 3, 4)], ids=["no better", "worse", "often enough"])
    async def test_endless_disagreement_ends(self, scores: tuple[int, ...]) -> None:
        """It ends with the last draft, though no review approves."""
        drafts = [f"draft {number}" for number in range(len(scores))]
        reviews = [Review(score=score, approved=False) for score in scores]
        result = await played(graph, {"researcher": [FOUND], "writer": drafts, "reviewer": reviews})
        assert (result.output, result.state.history) == (drafts[-1], reviews)

    async def test_agents_who_write_to_each_other_for_ever_are_stopped(self) -> None:
        """After the maximum number of letters one of them closes the office."""
        ping = Member(lambda draft: f"{draft}.", "draft", ["task_given", "pong"], lambda desk: Letter(event="ping"))
        pong = Member(lambda: "heard", "note", ["ping"], lambda desk: Letter(event="pong"))
        result = await played(event_bus({"ping": ping, "pong": pong}, {"draft": "ping"}), {})
        assert (result.status, result.output) == ("finished", "." * LETTERS)
        assert heard(result)["ping"] == ["task_given", *["pong"] * LETTERS]
        assert heard(result)["pong"] == [*["ping"] * LETTERS, "closed"]


class TestFailing:
    async def test_one_that_fails_closes_the_office(self) -> None:
        """The draft so far is the result, and the reason is kept; no agent waits for ever."""
        script: dict[str, Sequence[object]] = {**SCRIPT, "writer": ["draft one"], "reviewer": [BadRequest("away")]}
        result = await played(graph, script)
        assert (result.status, result.output) == ("finished", "draft one")
        assert [(failure.path, failure.message) for failure in result.state.errors] == [("reviewer/work", "away")]
        last = {name: events[-1] for name, events in heard(result).items()}
        assert last == {"researcher": "closed", "writer": "closed", "reviewer": "draft_ready"}

    async def test_a_run_without_a_text_fails(self) -> None:
        """A run without a text fails, and the error says so."""
        async with Runner(models={"*": ScriptedModel({"researcher": [BadRequest("away")]})}) as runner:
            with pytest.raises(RunFailed, match=r"nothing was written: .*away"):
                await runner.start(graph, GIVEN).result()


class TestStopped:
    async def test_stopped_after_any_step_each_letter_is_delivered_once(self, tmp_path: Path) -> None:
        """Another Runner continues on the same database, and no call is repeated."""
        whole = await played(graph, SCRIPT)
        for steps in range(1, whole.steps):
            with ScriptedModel(SCRIPT) as model:
                async with Runner(tmp_path / "runs.db", models={"*": model}) as runner:
                    stopped = await runner.start(graph, GIVEN, limits=Limits(steps=steps)).result()
                assert stopped.status == "stopped"
                async with Runner(tmp_path / "runs.db", models={"*": model}) as runner:
                    done = await runner.resume(graph, stopped.run_id, limits=Limits()).result()
            assert (done.output, heard(done)) == ("draft two", HEARD), steps

    async def test_after_a_kill_each_letter_is_delivered_once(
        self, provider: EdgeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """After kill -9 while the reviewer has an open letter, another process calls only the reviewer again."""
        monkeypatch.setenv("ANTHROPIC_BASE_URL", provider.url)
        asked: Counter[str] = Counter()
        provider.answer(as_in_script(asked, held=("reviewer", 1)))
        (tmp_path / "a.md").write_text(TEXT, encoding="utf-8")
        office, claude = str(ROOT / "graphs" / "event_bus.py"), ("--model", "anthropic:claude-haiku-4-5")
        given = ("--input", "task=bees", "--input", "sources=@a.md")
        process = start(tmp_path, "run", office, *given, *claude, "--run-id", "r", "--db", "runs.db")
        await provider.arrived(3)
        process.kill()
        process.communicate()
        assert asked == {"researcher": 1, "writer": 1, "reviewer": 1}
        done = call(tmp_path, "resume", "r", "--graph", office, *claude, "--db", "runs.db", "--json")
        assert done.returncode == 0, done.stderr
        letters = document(done.stdout)["state"]["letters"]
        assert {name: [letter["event"] for letter in got] for name, got in letters.items()} == HEARD
        assert asked == {"researcher": 1, "writer": 2, "reviewer": 3}


class TestFromOutside:
    async def test_a_letter_can_be_sent_from_outside(self) -> None:
        """A letter sent to the run before its agent starts is the first one that it reads."""
        twice = asyncio.Event()

        def second(request: Request) -> str:
            twice.set()
            return "draft one"

        async def late(request: Request) -> Review:
            await twice.wait()
            return GOOD

        script = {"researcher": [FOUND], "writer": ["from outside", second], "reviewer": [late]}
        async with Runner(models={"*": ScriptedModel(script)}) as runner:
            run = runner.start(graph, GIVEN, pause_before=["begin"])
            await run.result()
            letter = Letter(event="please_mend", sender="ann", to="writer", review=BAD)
            await runner.send(run.id, "writer", letter)
            await runner.answer(run.id, value=True)
            result = await runner.resume(graph, run.id, pause_before=[]).result()
        assert heard(result)["writer"] == ["please_mend", "research_complete", "closed"]
        assert result.state.letters["writer"][0].sender == "ann"


class TestByRules:
    async def test_the_example(self) -> None:
        """Without a model, the example's first brief is approved."""
        async with Runner() as runner:
            result = await runner.start(graph, example()).result()
        assert [review.approved for review in result.state.history] == [True]
        assert heard(result) == {
            "researcher": ["task_given", "closed"],
            "writer": ["research_complete", "closed"],
            "reviewer": ["research_complete", "draft_ready", "closed"],
        }
        assert (result.usage.calls, result.usage.offline_calls) == (3, 3)

    async def test_another_text(self) -> None:
        """The number of letters is at most the same, and all end in the same way."""
        text = (ROOT / "tests" / "briefs" / "texts" / "gears.md").read_text(encoding="utf-8")
        given = Office(task="How bicycle gears work", sources=[TextFile(path="gears.md", text=text)])
        async with Runner() as runner:
            result = await runner.start(graph, given).result()
        assert "[gears.md:" in result.state.draft
        assert {events[-1] for events in heard(result).values()} == {"closed"}


async def test_it_runs_with_models_of_a_provider(provider: EdgeServer) -> None:
    """The calls of each agent are charged separately, though they ran in parallel."""
    provider.answer(as_in_script(Counter()))
    async with Runner(models={"*": "openai-chat:gpt-5-mini", "reviewer": "anthropic:claude-haiku-4-5"}) as runner:
        run = runner.start(graph, GIVEN)
        result = await run.result()
        spent = {row.agent: row.usage for row in await runner.spending(run.id)}
    assert result.output == "draft two"
    assert {name: usage["calls"] for name, usage in spent.items()} == {"researcher": 1, "writer": 2, "reviewer": 2}
    assert spent["reviewer"]["cost_usd"] == pytest.approx(2 * (12 * 1.0 + 5 * 5.0) / 1e6)
    assert result.usage.cost_usd is None  # the other server's price is unknown


def test_it_is_drawn_and_compiles_without_warnings(tmp_path: Path) -> None:
    """Each member has a desk."""
    assert graph.check() == []
    graph.render(tmp_path / "graph.mmd")
    drawn = (tmp_path / "graph.mmd").read_text(encoding="utf-8")
    for name in (*MEMBERS, "inbox", "tell", "give_up"):
        assert name in drawn


async def test_without_findings_no_agent_writes() -> None:
    """It closes the office, and a run without a draft fails."""
    with ScriptedModel({"researcher": [Findings(notes=["nothing"])]}) as model:
        async with Runner(models={"*": model}) as runner:
            with pytest.raises(RunFailed, match="nothing was written"):
                await runner.start(graph, GIVEN).result()

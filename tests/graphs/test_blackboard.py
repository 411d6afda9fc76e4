"""Specialists at a shared board, none of which knows of another."""

import itertools
from collections import Counter
from pathlib import Path

import pytest

from graphengine import Limits, Result, RunFailed, Runner, ScriptedModel, TextFile
from graphengine.briefs.article import Fact, Findings, Review
from graphengine.errors import BadRequest
from graphengine.models import Request
from graphengine.patterns import Entry, Subscriber
from graphengine.testing import FakeClock
from graphs.blackboard import SPECIALISTS, Assignment, Research, example, graph, research_board
from nodes.board.entries import Doubt, Gap
from tests.conformance.model_scenes import Counted, Received, Says
from tests.models.edge_server import EdgeServer

TEXT = "Bees make honey.\nBees do not fly in rain.\nA hive has one queen.\n"
TASK = Assignment(task="bees", sources=[TextFile(path="a.md", text=TEXT)])
HONEY, RAIN, QUEEN = (Fact(text=line, file="a.md", line=at) for at, line in enumerate(TEXT.splitlines(), start=1))
FIRST = Findings(key_areas=["Bees"], facts={"Bees": [HONEY]}, sources=["a.md"])
SECOND = Findings(key_areas=["Hives"], facts={"Hives": [QUEEN]}, sources=["a.md"])
DOUBT = Doubt(fact=HONEY.text, against=RAIN)
GAP = Gap(about="queens", why="nobody says who rules")
BAD = Review(score=4, approved=False, suggestions=["say more"])
GOOD = Review(score=8, approved=True)

SCRIPT = {
    "scout": [FIRST, SECOND],
    "skeptic": [[DOUBT], [DOUBT]],
    "surveyor": [[GAP], []],
    "writer": ["draft one", "draft two", "draft three"],
    "reviewer": [BAD, GOOD, GOOD],
}
"""The scout's second search closes the gap; the first review is bad."""


def written(result: Result[Assignment]) -> list[tuple[int, str, str]]:
    """Return who wrote what in which round."""
    assert result.state.board is not None
    return [(entry.round, entry.author, entry.field) for entry in result.state.board.entries]


def board(result: Result[Assignment]) -> Research:
    """Return the board."""
    assert result.state.board is not None
    return result.state.board


class TestScripted:
    async def test_agents_run_until_nothing_that_they_watch_changes(self) -> None:
        """The gap wakes the scout again, the new facts the skeptic and the surveyor, the bad review the writer."""
        with ScriptedModel(SCRIPT) as model:
            async with Runner(models={"*": model}) as runner:
                result = await runner.start(graph, TASK).result()
        assert written(result) == [
            (1, "scout", "findings"),
            (2, "skeptic", "doubts"), (2, "surveyor", "gaps"),
            (3, "scout", "findings"), (3, "writer", "draft"),
            (4, "skeptic", "doubts"), (4, "surveyor", "gaps"), (4, "reviewer", "history"),
            (5, "scout", "findings"), (5, "writer", "draft"), (5, "editor", "wishes"),
            (6, "writer", "draft"), (6, "reviewer", "history"),
            (7, "reviewer", "history"), (7, "editor", "wishes"),
            (8, "editor", "wishes"),
        ]  # fmt: skip
        assert [fact.text for fact in board(result).findings.all_facts()] == [HONEY.text, QUEEN.text]
        assert result.output == "draft three\n"

    async def test_each_agent_reads_the_board(self) -> None:
        """The second search sees the gap and the known facts, the writer the doubts, the revision the review."""
        with ScriptedModel(SCRIPT) as model:
            async with Runner(models={"*": model}) as runner:
                await runner.start(graph, TASK).result()
        asked = {name: [each.prompt for each in model.requests if each.agent == name] for name in SCRIPT}
        assert "queens" in asked["scout"][1]
        assert "queens" not in asked["scout"][0]
        assert RAIN.text in asked["writer"][0]
        assert "say more" in asked["writer"][2]
        assert QUEEN.text in asked["reviewer"][1]

    async def test_author_and_time_of_each_entry(self) -> None:
        """The time is when the other agents could first read the entry."""
        clock = FakeClock(start=1000.0)

        def slowly(request: Request) -> Findings:
            clock.move(60)
            return FIRST

        script = {
            **SCRIPT,
            "scout": [slowly],
            "skeptic": [[]],
            "surveyor": [[]],
            "writer": ["draft"],
            "reviewer": [GOOD],
        }
        async with Runner(models={"*": ScriptedModel(script)}, clock=clock) as runner:
            result = await runner.start(graph, TASK).result()
        assert board(result).entries[0] == Entry(author="scout", field="findings", at=1060.0, round=1)

    async def test_agents_who_go_in_circles_are_stopped(self) -> None:
        """They stop after that many rounds; the report has what was written by then."""
        numbers = itertools.count()

        def answer(request: Request) -> object:
            number = next(numbers)
            always: dict[str, object] = {
                "scout": _new_fact(number),
                "skeptic": [],
                "surveyor": [Gap(about=f"gap {number}")],
                "writer": f"draft {number}",
                "reviewer": BAD,
            }
            return always[request.agent]

        text = "\n".join(f"Fact {at} is here." for at in range(100))
        given = TASK.model_copy(update={"sources": [TextFile(path="a.md", text=text)]})
        model = ScriptedModel(answer)
        async with Runner(models={"*": model}) as runner:
            result = await runner.start(research_board(rounds=5), given).result()
        assert max(entry.round for entry in board(result).entries) == 5
        assert Counter(request.agent for request in model.requests)["scout"] == 3
        assert "draft" in result.state.report
        assert "## Still open" in result.state.report

    async def test_one_that_fails_leaves_the_others_and_is_named(self) -> None:
        """Without a skeptic there are no doubts, but there is a report."""
        script = {**SCRIPT, "scout": [FIRST], "skeptic": [BadRequest("away")], "surveyor": [[]]}
        script |= {"writer": ["draft"], "reviewer": [GOOD]}
        with ScriptedModel(script) as model:
            async with Runner(models={"*": model}) as runner:
                result = await runner.start(graph, TASK).result()
        assert board(result).doubts is None
        assert result.output == "draft\n\n## Not done\n\n- skeptic: away\n"

    async def test_a_board_on_which_nothing_was_written_fails(self) -> None:
        """A board on which the scout writes nothing fails, and no other specialist is woken."""
        async with Runner(models={"*": ScriptedModel({"scout": [BadRequest("away")]})}) as runner:
            with pytest.raises(RunFailed, match=r"nothing was written: .*away"):
                await runner.start(graph, TASK).result()

    async def test_a_doubt_that_no_source_has_goes_back(self) -> None:
        """A doubt or another quotation that no source has goes back."""
        made_up = Doubt(fact=HONEY.text, against=Fact(text="Bees are made of oak.", file="a.md", line=1))
        script = {**SCRIPT, "scout": [FIRST], "skeptic": [[made_up], [DOUBT]], "surveyor": [[]]}
        script |= {"writer": ["draft"], "reviewer": [GOOD]}
        with ScriptedModel(script) as model:
            async with Runner(models={"*": model}) as runner:
                result = await runner.start(graph, TASK).result()
        assert board(result).doubts == [DOUBT]

    async def test_one_more_specialist_is_one_more_row(self) -> None:
        """Others can watch what it writes; no other specialist is changed, or called more often."""
        rows = {
            **SPECIALISTS,
            "titler": Subscriber(lambda draft: draft.upper(), watches=["draft"], writes="notes[title]"),
            "teaser": Subscriber(lambda notes: notes["title"][:5], watches=["notes"], writes="notes[teaser]"),
        }
        with ScriptedModel(SCRIPT) as model:
            async with Runner(models={"*": model}) as runner:
                result = await runner.start(research_board(rows), TASK).result()
        assert board(result).notes == {"title": "DRAFT THREE", "teaser": "DRAFT"}
        assert [entry.round for entry in board(result).entries if entry.author == "titler"] == [4, 6, 7]


class TestByRules:
    async def test_the_example(self) -> None:
        """Facts, doubts, and a brief that its review approves, all without a model."""
        async with Runner() as runner:
            result = await runner.start(graph, example()).result()
        scores = [review.score for review in board(result).history]
        assert scores[-1] >= 7
        assert "## Limits and caveats" in result.state.report
        assert result.usage.calls == result.usage.offline_calls == 5

    async def test_another_text_and_a_word_that_it_lacks(self) -> None:
        """The report lists what is open; equal input gives an equal report."""
        folder = Path(__file__).resolve().parents[1] / "briefs" / "texts"
        texts = [
            TextFile(path=name, text=(folder / name).read_text("utf-8")) for name in ("sourdough.md", "lighthouses.txt")
        ]
        given = Assignment(task="bread, lighthouses and dragons", sources=texts)
        async with Runner() as runner:
            first, second = [await runner.start(graph, given).result() for _ in range(2)]
        assert first.output == second.output
        assert "## Still open\n\n- no fact speaks of “dragons”" in first.state.report
        assert {fact.file for fact in board(first).findings.all_facts()} == {"sourdough.md", "lighthouses.txt"}

    @pytest.mark.parametrize("content", ["", "word", "# Only a title", "\x00"])
    async def test_a_source_without_a_sentence(self, content: str) -> None:
        """This is not a success: the run fails with a label of its own, and without a report."""
        given = Assignment(task="bees", sources=[TextFile(path="a.md", text=content)])
        async with Runner() as runner:
            with pytest.raises(RunFailed, match="nothing found") as failed:
                await runner.start(graph, given).result()
        assert failed.value.result.state.report == ""


class TestStopped:
    async def test_a_run_stopped_anywhere_has_the_same_result(self, tmp_path: Path) -> None:
        """A run stopped anywhere has the same result, and no call is repeated."""
        async with Runner(models={"*": ScriptedModel(SCRIPT)}) as runner:
            whole = await runner.start(graph, TASK).result()
        for steps in range(1, whole.steps, 3):
            with ScriptedModel(SCRIPT) as model:
                async with Runner(tmp_path / "runs.db", models={"*": model}) as runner:
                    stopped = await runner.start(graph, TASK, limits=Limits(steps=steps)).result()
                assert stopped.status == "stopped"
                async with Runner(tmp_path / "runs.db", models={"*": model}) as runner:
                    done = await runner.resume(graph, stopped.run_id, limits=Limits()).result()
            assert (done.output, written(done)) == (whole.output, written(whole))


async def test_it_runs_with_models_of_a_provider(provider: EdgeServer) -> None:
    """Each specialist is recognised by its instructions; the total cost is known."""
    answers = {
        "gather": FIRST.model_dump_json(),
        "doubt": f'{{"answer": [{DOUBT.model_dump_json()}]}}',
        "missing": '{"answer": []}',
        "briefs": "# Bees\n\nA draft.",
        "judge": GOOD.model_dump_json(),
    }

    def answer(received: Received) -> Says:
        opening = received.system.splitlines()[0]
        (text,) = [text for word, text in answers.items() if word in opening]
        return Says(text, counted=Counted(input_tokens=1000, output_tokens=100))

    provider.answer(answer)
    async with Runner(models={"*": "anthropic:claude-haiku-4-5"}) as runner:
        run = runner.start(graph, TASK)
        result = await run.result()
        agents = {row.agent for row in await runner.spending(run.id)}
    assert result.output == "# Bees\n\nA draft.\n"
    assert board(result).doubts == [DOUBT]
    assert result.usage.calls == 5
    assert result.usage.cost_usd == pytest.approx(5 * 0.0015)
    assert agents == {"scout", "skeptic", "surveyor", "writer", "reviewer"}


def test_it_is_drawn_and_compiles_without_warnings(tmp_path: Path) -> None:
    """All specialists are in the picture."""
    assert graph.check() == []
    graph.render(tmp_path / "graph.mmd")
    drawn = (tmp_path / "graph.mmd").read_text(encoding="utf-8").replace("</b><br/><b>", " ")
    for name in (*SPECIALISTS, "report", "nothing changes any more"):
        assert name in drawn


def _new_fact(at: int) -> Findings:
    fact = Fact(text=f"Fact {at} is here.", file="a.md", line=at + 1)
    return Findings(key_areas=["Area"], facts={"Area": [fact]})

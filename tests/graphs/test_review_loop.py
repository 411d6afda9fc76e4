"""The review loop, without a model and with scripted ones."""

import pytest

from graphengine import Memory, RunFailed, Runner, ScriptedModel, TextFile
from graphengine.agents.prompts import DATA_NOTE
from graphengine.models.errors import BadRequest, ModelUnavailable
from graphs.review_loop import Article, example, graph, review_loop
from nodes.citing import Passage, Quotations, claims
from nodes.review.agents import recaller, researcher, reviewer, searcher, writer
from nodes.varied import Varied
from tests.graphs.review_kit import BRIEF, FOUND, MOON, TIDES, judged, says
from tests.nodes.sources.test_passages import CASES, source
from tests.patterns.scripted import play


def given(article: Article = TIDES) -> dict[str, object]:
    """Return the input of a run."""
    return {"task": article.task, "sources": article.sources, "word_budget": article.word_budget}


async def test_the_example_loops_for_a_reason(capsys: pytest.CaptureFixture[str]) -> None:
    """Each round raises the measured score; what is weak is printed, and the best draft is the result."""
    result = await graph.run(example())
    scores = [review.score for review in result.state.reviews]
    assert len(scores) > 1
    assert scores[-2] == max(scores[:-1])
    assert result.state.final_score == max(scores)
    first, second = result.state.reviews[:2]
    weakest = first.missing[0]
    assert second.shares[weakest] > first.shares[weakest] == min(first.shares.values())
    printed = capsys.readouterr().err
    assert "Coverage by words, not a judgement" in printed
    assert f"{first.shares[weakest]:4.0%}  {weakest}" in printed
    assert "Coverage by words, not a judgement" in first.summary
    assert result.usage.cost_usd == 0.0


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["file"])
async def test_every_sentence_is_literal(case: dict[str, str]) -> None:
    """On held texts; on one that has nothing to do with its task, the result says so."""
    text = source(case["file"])
    result = await graph.run(Article(task=case["task"], sources=[text], word_budget=100))
    brief = str(result.output)
    whole = " ".join(text.text.split())
    # Rows of tables have the names of their columns.
    said = [claim for claim in claims(brief, result.state.findings) if ": " not in claim.text]
    assert all(claim.text in whole and claim.places for claim in said)
    assert bool(case["facts"]) != ("No passage has the words of this point" in brief)


@pytest.mark.parametrize("text", ["", "```\n```\n", "| - |\n|---|\n"])
async def test_sources_with_nothing_fail_the_run(text: str) -> None:
    """The label says that nothing was found."""
    with pytest.raises(RunFailed, match="nothing found"):
        await graph.run(Article(task="Anything", sources=[TextFile(path="a.md", text=text)]))


async def test_without_sources_it_needs_a_model() -> None:
    """The error says how to give one."""
    with pytest.raises(RunFailed) as failed:
        await graph.run(Article(task="Tides"))
    assert isinstance(failed.value.__cause__, ModelUnavailable)


def test_each_agent_is_told_that_sources_give_no_orders() -> None:
    """A function writes their questions, so each of them has to say it itself."""
    for agent in (researcher, searcher, recaller, writer, reviewer):
        assert str(agent.system).endswith(DATA_NOTE), agent.name


def web(*statements: str) -> Quotations:
    """Return what a search found."""
    return Quotations(quotations=[Passage(text=text, file="https://tides.example/moon") for text in statements])


class WithoutSearch(ScriptedModel):
    """A scripted model whose provider runs no tools."""

    def lacks_tool(self, tool: object) -> str:
        """Lack every tool."""
        return "use another model"


async def test_without_a_search_it_is_marked_as_knowledge() -> None:
    """Whatever the model calls its source."""
    brief = "# Tides\n\nThe moon does it [the model's knowledge]."
    script = {"searcher": [web("The moon pulls the water.")], "writer": [brief], "reviewer": [judged(8)]}
    with WithoutSearch(script) as model:
        async with Runner(models={"*": model}) as runner:
            result = await runner.start(review_loop(), {"task": "What makes the tides"}).result()
    assert str(result.output).endswith("> Written from what the model knows; nothing was looked up.\n")


async def test_long_sources_are_read_by_what_matches(monkeypatch: pytest.MonkeyPatch) -> None:
    """The question says how much of them it has."""
    monkeypatch.setattr("nodes.review.offline.SHOWN_WORDS", 40)
    played = await play(review_loop(), given(), says())
    (question,) = played.asked("researcher")
    assert "These are the 40 that match the task best" in question
    assert MOON.text in question


async def test_with_a_memory_a_run_begins_with_what_an_earlier_brief_missed() -> None:
    """It is asked for first, the brief names it, and an unlike task remembers nothing."""
    missed = judged(5, missing=("What spring tides are",))
    async with Memory() as memory:
        loop = review_loop(memory=memory, rounds=1)
        first = await play(loop, given(), {**says(), "reviewer": [missed]})
        second = await play(loop, given(), {**says(), "reviewer": [judged(8)]})
        other = await play(loop, {**given(), "task": "Bake bread"}, {**says(), "reviewer": [judged(8)]})
    assert "Remembered" not in str(first.result.output)
    question = next(each.prompt for each in second.requests if each.agent == "researcher")
    assert "too little on these points" in question
    assert "What spring tides are" in question
    assert "> Remembered: “What makes the tides" in str(second.result.output)
    assert "5 of 10): it said too little on What spring tides are." in str(second.result.output)
    assert "Remembered" not in str(other.result.output)


async def test_the_sources_of_each_claim_are_counted() -> None:
    """The reviewer sees the sentences on one source, and the brief has their number; not if there is one source."""
    other = TextFile(path="ebb.md", text="# Ebb\n\nThe moon pulls the water of the sea.\n")
    ebb = Passage(text="The moon pulls the water of the sea.", file="ebb.md", line=3)
    brief = "# Tides\n\nThe moon does it [tides.md:3, ebb.md:3]. Tables know no wind [tides.md:8]."
    answers = says(researcher=[Quotations(quotations=[*FOUND.quotations, ebb])], writer=[brief])
    played = await play(review_loop(), {**given(), "sources": [*TIDES.sources, other]}, answers)
    assert "> On one source alone: 1 of 2 sentences that cite." in str(played.output)
    question = next(each.prompt for each in played.requests if each.agent == "reviewer")
    assert "These sentences rest on one source alone:\n<one_source>- Tables know no wind</one_source>" in question
    played = await play(review_loop(), given(), says())
    assert "one source" not in str(played.output)


async def test_a_role_has_its_temperature_where_its_model_takes_one() -> None:
    """A researcher varies least, a writer most; what a model refuses is left out from then on."""
    hooks = [hook for agent in (researcher, writer, reviewer) for hook in agent.hooks if isinstance(hook, Varied)]
    assert [hook.temperature for hook in hooks] == [0.1, 0.6, 0.2]
    model = ScriptedModel([BRIEF, BadRequest("temperature does not support 0.6"), BRIEF, BRIEF])
    tried = writer.but(model=model, hooks=[Varied(0.6)])
    inputs = {"task": "Tides", "findings": [MOON], "word_budget": 100, "draft": "", "reviews": []}
    for _ in range(3):
        await tried.run(inputs)
    assert [each.settings.temperature for each in model.requests] == [0.6, 0.6, None, None]

"""The review loop, without a model and with scripted ones."""

import pytest

from graphengine import RunFailed, Runner, ScriptedModel, TextFile
from graphengine.agents.prompts import DATA_NOTE
from graphengine.models.errors import ModelUnavailable
from graphs.review_loop import Article, example, graph, review_loop
from nodes.citing import Passage, Quotations, claims
from nodes.review.agents import recaller, researcher, reviewer, searcher, writer
from tests.graphs.review_kit import MOON, TIDES, judged, says
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

"""The review loop, without a model and with scripted ones."""

from pathlib import Path

import pytest

from graphengine import RunFailed, Runner, ScriptedModel, TextFile
from graphengine.agents.errors import BadAnswer
from graphengine.agents.prompts import DATA_NOTE
from graphengine.models.errors import ModelUnavailable
from graphs.review_loop import Article, example, graph, review_loop
from nodes.citing import Passage, Quotations, claims
from nodes.review.agents import recaller, researcher, reviewer, searcher, writer
from tests.graphs.review_kit import BRIEF, FOUND, MOON, TIDES, WIND, judged, says
from tests.nodes.sources.test_passages import CASES, source
from tests.patterns.scripted import play

REFUSAL = "I'm sorry, but I can't help with that."


def given(article: Article = TIDES) -> dict[str, object]:
    """Return the input of a run."""
    return {"task": article.task, "sources": article.sources, "word_budget": article.word_budget}


def test_it_has_no_problems_and_is_drawn(tmp_path: Path) -> None:
    """The picture has every node and the labels of the ends."""
    assert graph.check() == []
    graph.render(tmp_path / "loop.mmd")
    drawn = (tmp_path / "loop.mmd").read_text("utf-8")
    for name in ("research", "write", "review", "good enough", "no longer improving", "out of rounds"):
        assert name in drawn


# -- without a model


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


# -- with models


async def test_a_draft_that_is_sent_back_is_researched_and_revised() -> None:
    """The researcher looks for what is missing, the writer gets the review, and nobody is sent anything as JSON."""
    rejected = judged(5, "The wind is not treated.", missing=("the wind",))
    second = BRIEF + "\nThe wind is not in the tables [tides.md:8]."
    script = says(
        researcher=[Quotations(quotations=[MOON]), Quotations(quotations=[MOON, WIND])],
        writer=[BRIEF, second],
        reviewer=[rejected, judged(8)],
    )
    played = await play(review_loop(), given(), script)
    assert (played.label, played.result.output, played.state.final_score) == ("good enough", second, 8)
    assert played.state.findings == [MOON, WIND]
    assert "the wind" in played.asked("researcher")[1]
    assert "The wind is not treated." in played.asked("writer")[1]
    assert f"[tides.md:3] {MOON.text}" in played.asked("writer")[0]
    assert '"text"' not in "".join(request.prompt for request in played.requests)


@pytest.mark.parametrize(("threshold", "rounds", "label"), [(4, 3, "good enough"), (9, 2, "out of rounds")])
async def test_threshold_and_rounds_are_arguments(threshold: int, rounds: int, label: str) -> None:
    """The first draft meets a lower threshold; with a higher one there are that many drafts."""
    made = 1 if label == "good enough" else rounds
    script = says(researcher=[FOUND] * made, writer=[BRIEF] * made, reviewer=[judged(5), judged(6)][:made])
    played = await play(review_loop(threshold=threshold, rounds=rounds), given(), script)
    assert (played.label, len(played.state.reviews)) == (label, made)


async def test_the_best_draft_is_the_result() -> None:
    """Also if the last one scored less."""
    script = says(
        researcher=[FOUND] * 2, writer=[BRIEF, BRIEF.replace("water", "sea")], reviewer=[judged(6), judged(4)]
    )
    played = await play(review_loop(), given(), script)
    assert (played.label, played.output, played.state.final_score) == ("no longer improving", BRIEF, 6)


async def test_the_lines_of_quotations_are_found() -> None:
    """A model gives the file and the words; markup and line breaks do not count."""
    page = TextFile(path="a.md", text="# A\n\nThe *first*\nsentence is [here](b.md). The second.\n")
    quoted = [Passage(text="The first sentence is here.", file="a.md"), Passage(text="The second.", file="a.md")]
    brief = "# A\n\nIt is here [a.md:3]."
    script = says(researcher=[Quotations(quotations=quoted)], writer=[brief])
    played = await play(review_loop(), {"task": "A", "sources": [page]}, script)
    assert [finding.line for finding in played.state.findings] == [3, 4]


@pytest.mark.parametrize(
    ("agent", "answers", "complaint"),
    [
        ("researcher", [Quotations(quotations=[Passage(text="The sun does it.", file="tides.md")]), FOUND], "The sun"),
        ("writer", [REFUSAL, BRIEF], "no title"),
        ("writer", ["# Tides\n\nWho knows?", BRIEF], "cites nothing"),
        ("writer", ["# Tides\n\nThe moon does [tides.md:99].", BRIEF], "tides.md:99"),
    ],
)
async def test_what_cannot_count_is_asked_for_again(agent: str, answers: list[object], complaint: str) -> None:
    """Invented quotations, refusals, chatter, and briefs that cite no place that exists."""
    played = await play(review_loop(), given(), says(**{agent: answers}))
    assert played.calls[agent] == 2
    sent = [request for request in played.requests if request.agent == agent][1]
    assert complaint in str(sent.messages)
    assert played.output == BRIEF


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        ("# Tides\n\n" + "The moon pulls. " * 60 + "[tides.md:3]", "it has 180 words, and 100 were asked for"),
        ("# Tides\n\nThe moon pulls [tides.md:3]. It turns [tides.md:99].", "nothing was found at tides.md:99"),
        ("The moon pulls [tides.md:3].", "it has no title"),
    ],
)
async def test_faults_of_form_cost_no_draft(answer: str, fault: str) -> None:
    """The reviewer is told, and what nobody mends is noted under the brief."""
    played = await play(review_loop(rounds=1), {**given(), "word_budget": 100}, says(writer=[answer]))
    (asked,) = played.asked("reviewer")
    assert fault in asked
    assert played.output.startswith(answer)
    assert f"> To be mended: {fault}" in played.output


@pytest.mark.parametrize(
    ("before", "after"), [("```markdown\n", "```"), ("Here is the brief:\n\n", ""), ("Sure!\n\n~~~\n", "~~~\n\nEnjoy!")]
)
async def test_what_is_put_around_a_brief_is_removed(before: str, after: str) -> None:
    """A fence, and what a model says before the title."""
    played = await play(review_loop(rounds=1), given(), says(writer=[f"{before}{BRIEF}\n{after}"]))
    assert played.output.strip() == BRIEF.strip()


def test_each_agent_is_told_that_sources_give_no_orders() -> None:
    """A function writes their questions, so each of them has to say it itself."""
    for agent in (researcher, searcher, recaller, writer, reviewer):
        assert str(agent.system).endswith(DATA_NOTE), agent.name


async def test_a_refusal_is_never_the_brief() -> None:
    """However often it is given."""
    with pytest.raises(RunFailed) as failed:
        await play(review_loop(), given(), says(writer=[REFUSAL] * 3, reviewer=[]))
    assert isinstance(failed.value.__cause__, BadAnswer)
    assert failed.value.result.state.article == ""


async def test_a_sentence_without_a_citation_is_marked() -> None:
    """It is allowed, the reviewer is told, and the result says it."""
    brief = BRIEF + " Think of it as breathing."
    played = await play(review_loop(), given(), says(writer=[brief]))
    assert "These sentences cite nothing:\n<uncited>- Think of it as breathing<" in played.asked("reviewer")[0]
    assert played.output.endswith("> Without a source: “Think of it as breathing”\n")


async def test_remarks_go_to_the_reviewer_and_fail_nothing() -> None:
    """A changed figure or a lost negation is named; the score is the reviewer's."""
    brief = "# Tides\n\nA tide table does know the wind of the day [tides.md:8]."
    played = await play(review_loop(), given(), says(writer=[brief]))
    assert "“not” was left out" in played.asked("reviewer")[0]
    assert (played.label, played.output) == ("good enough", brief)


@pytest.mark.parametrize(
    ("script", "label", "output"),
    [
        ({"reviewer": ["no"] * 3}, "not reviewed", BRIEF),
        (
            {"researcher": [FOUND, "no", "no", "no"], "writer": [BRIEF] * 2, "reviewer": [judged(5), judged(5)]},
            "",
            BRIEF,
        ),
        (
            {"researcher": [FOUND] * 2, "writer": [BRIEF, *[REFUSAL] * 3], "reviewer": [judged(5)]},
            "revision failed",
            BRIEF,
        ),
    ],
)
async def test_a_round_that_fails_leaves_the_best_draft(
    script: dict[str, list[object]], label: str, output: str
) -> None:
    """The failure is kept in `errors`."""
    played = await play(review_loop(), given(), says(**script))
    assert played.output == output
    assert played.label == (label or "no longer improving")
    assert len(played.state.errors) == 1


# -- without sources


def web(*statements: str) -> Quotations:
    """Return what a search found."""
    return Quotations(quotations=[Passage(text=text, file="https://tides.example/moon") for text in statements])


async def test_without_sources_a_model_searches() -> None:
    """Pages are cited by their addresses."""
    brief = "# Tides\n\nThe moon does it [https://tides.example/moon]."
    script = {"searcher": [web("The moon pulls the water.")], "writer": [brief], "reviewer": [judged(8)]}
    played = await play(review_loop(), {"task": "What makes the tides"}, script)
    assert played.output == brief
    assert [tool.name for tool in played.requests[0].hosted] == ["web_search"]


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

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from graphengine.briefs import rubric
from graphengine.briefs.article import Fact, Findings, Review
from graphengine.briefs.draft import CAVEATS_TITLE, Claim, Draft, Section, parse, render
from graphengine.briefs.reviewer import review
from graphengine.briefs.text.words import count_words

if TYPE_CHECKING:
    from tests.briefs.conftest import Loop

FACTS = [
    "A kettle boils water for tea in three minutes.",
    "Green tea needs cooler water than black tea does.",
    "A pot of clay keeps the tea warm for hours.",
    "A pot of glass shows the colour of the tea.",
]
TEA = Findings(
    key_areas=["Tea", "Pots"],
    key_terms=["kettle", "green tea", "clay", "colour"],
    facts={
        "Tea": [Fact(text=FACTS[0], file="a.md", line=1, rank=1), Fact(text=FACTS[1], file="a.md", line=2, rank=2)],
        "Pots": [Fact(text=FACTS[2], file="a.md", line=3, rank=3), Fact(text=FACTS[3], file="a.md", line=4, rank=4)],
    },
    sources=["a.md"],
)
GOOD = Draft(
    "Tea",
    "",
    (
        Section("Tea", (Claim(FACTS[0], ("a.md:1",)), Claim(FACTS[1], ("a.md:2",)))),
        Section("Pots", (Claim(FACTS[2], ("a.md:3",)), Claim(FACTS[3], ("a.md:4",)))),
    ),
    ("a.md",),
)


def _judge(draft: Draft, history: list[Review] | None = None, task: str = "Tea in pots") -> Review:
    return review(task, render(draft), TEA, history or [])


def _with_claims(*claims: Claim) -> Draft:
    return replace(GOOD, sections=(Section("Tea", claims), GOOD.sections[1]))


def test_a_draft_without_faults_has_no_issues_but_its_size() -> None:
    """Four good claims cover everything; their small number is the only issue."""
    found = _judge(GOOD)
    assert found.issues == ["The draft makes fewer than 10 supported claims."]
    assert found.suggestions == ["Add further facts from the findings."]
    measures = found.measures
    assert (measures.term_coverage, measures.topic_coverage, measures.task_coverage) == (1.0, 1.0, 1.0)
    assert (measures.supported, measures.repetition, measures.long_sentences) == (1.0, 0.0, 0.0)
    assert (measures.claims, measures.citations, measures.sections) == (4, 4, 2)
    assert measures.mean_sentence_words == pytest.approx(9.0, abs=0.5)


def test_missing_terms_topics_and_task_words_are_named() -> None:
    """Parts of the findings that the draft leaves out are named, and cost points."""
    found = _judge(replace(GOOD, sections=GOOD.sections[:1]), task="Tea in pots of silver")
    assert found.missed_topics == ["Pots"]
    assert found.remarks.missed_terms == ["clay", "colour"]
    assert found.remarks.missed_task_words == ["pots", "silver"]
    assert "The topic \u201cPots\u201d is missing." in found.issues
    assert "Add a section on \u201cPots\u201d." in found.suggestions
    assert found.points < _judge(GOOD).points


def test_the_title_alone_does_not_take_up_the_task() -> None:
    """Words of the task count in claims; title, introduction and headings only repeat them."""
    draft = replace(GOOD, title="Silver", introduction="On silver.")
    assert _judge(draft, task="silver").remarks.missed_task_words == ["silver"]


def test_a_topic_with_one_of_several_facts_is_thin() -> None:
    """A single sentence on a topic that has more counts half."""
    found = _judge(_with_claims(Claim(FACTS[0], ("a.md:1",))))
    assert found.remarks.thin_topics == ["Tea"]
    assert found.measures.topic_coverage == 0.75


@pytest.mark.parametrize(
    "claim",
    [
        Claim(FACTS[0]),
        Claim(FACTS[0], ("a.md:7",)),
        Claim(FACTS[0], ("b.md:1",)),
        Claim(FACTS[0], ("a.md:3",)),
        Claim("A kettle of gold sings to the moon.", ("a.md:1",)),
    ],
)
def test_claims_need_a_citation_that_supports_them(claim: Claim) -> None:
    """A claim without citation, with an unknown line or file, or with a different fact is unsupported."""
    found = _judge(_with_claims(claim, GOOD.sections[0].claims[1]))
    assert found.remarks.unsupported_sentences == [claim.text]
    assert found.measures.supported == 0.75
    assert found.points < _judge(GOOD).points


def test_a_shortened_fact_is_still_supported() -> None:
    """A claim can say less than its fact."""
    found = _judge(_with_claims(Claim("A kettle boils water.", ("a.md:1",)), GOOD.sections[0].claims[1]))
    assert found.remarks.unsupported_sentences == []


def test_an_untraceable_draft_is_capped() -> None:
    """If most claims are unsupported, the score is at most three, although four sound claims alone earn more."""
    animals = ["camels", "zebras", "otters", "badgers", "herons"]
    claims = [Claim(f"Wild {animal} cross the desert each winter.", ("a.md:1",)) for animal in animals]
    found = _judge(_with_claims(*GOOD.sections[0].claims, *claims))
    assert found.measures.supported == pytest.approx(4 / 9, abs=0.01)
    assert found.points // 10 > rubric.UNTRACEABLE_SCORE
    assert found.score == rubric.UNTRACEABLE_SCORE


@pytest.mark.parametrize("task", ["Quantum gravity", "Tea and quantum gravity", "Penguin tea", "Penguins in pots"])
def test_a_good_draft_on_something_else_is_capped(task: str) -> None:
    """One common word is chance: what the task names has to be covered, or most of it."""
    found = _judge(GOOD, task=task)
    assert found.points // 10 > rubric.OFF_TASK_SCORE
    assert (found.score, found.approved) == (rubric.OFF_TASK_SCORE, False)
    assert any("no finding has it" in one.reason for one in found.deductions)


@pytest.mark.parametrize("task", ["Explain how", "Tea in pots", "Good tea", "How a kettle works"])
def test_words_that_name_nothing_ask_for_nothing(task: str) -> None:
    """Stop words, and words such as "good", can be missing."""
    assert _judge(GOOD, task=task).score > rubric.OFF_TASK_SCORE


def test_a_topic_with_one_fact_is_not_thin() -> None:
    """The review asks for no second sentence if the findings have only one."""
    facts = {**TEA.facts, "Pots": TEA.facts["Pots"][:1]}
    draft = replace(GOOD, sections=(GOOD.sections[0], Section("Pots", GOOD.sections[1].claims[:1])))
    found = review("Tea", render(draft), TEA.model_copy(update={"facts": facts}), [])
    assert found.remarks.thin_topics == []
    assert found.measures.topic_coverage == 1.0


def test_repeated_sentences_are_found() -> None:
    """The second of two equal sentences is the repeated one."""
    again = "A kettle boils the water for the tea in three minutes, too."
    found = _judge(_with_claims(*GOOD.sections[0].claims, Claim(again, ("a.md:1",))))
    assert found.remarks.repeated_sentences == [again]
    assert found.measures.repetition == 0.2
    assert found.points < _judge(GOOD).points


def test_long_sentences_are_found() -> None:
    """Thirty words pass, more do not."""
    words = FACTS[0][:-1] + " and" * 21 + "."
    assert count_words(words) == rubric.LONG_WORDS
    assert _judge(_with_claims(Claim(words, ("a.md:1",)))).remarks.long_sentences == []
    longer = "And " + words
    assert _judge(_with_claims(Claim(longer, ("a.md:1",)))).remarks.long_sentences == [longer]


def test_missing_caveats_are_a_missing_topic() -> None:
    """Missing caveats are a missing topic: if the findings warn, the draft has to warn."""
    warned = TEA.model_copy(update={"caveats": [Fact(text="Tea must not boil.", file="a.md", line=9)]})
    assert review("Tea", render(GOOD), warned, []).missed_topics == [CAVEATS_TITLE]


def test_what_was_settled_is_not_flagged_again() -> None:
    """A later review names settled remarks, marks open ones, and asks for nothing settled."""
    first = _judge(replace(GOOD, sections=GOOD.sections[:1]), task="Tea in pots of silver")
    second = _judge(GOOD, [first], task="Tea in pots of silver")
    assert "the topic \u201cPots\u201d is missing" in second.mended
    assert "the term \u201cclay\u201d is missing" in second.mended
    assert second.issues[0] == "The task's word \u201csilver\u201d is not used (as before)."
    assert not any("Pots" in issue or "clay" in issue for issue in second.issues)


def test_only_the_weightiest_gaps_are_named() -> None:
    """A list of issues stays short enough to be read."""
    many = TEA.model_copy(update={"key_terms": [f"zebra{number}" for number in range(20)]})
    assert len(review("Tea", render(GOOD), many, []).remarks.missed_terms) == rubric.MAX_NAMED


def test_approval_is_the_threshold(loop: Callable[..., "Loop"]) -> None:
    """A draft is approved from the threshold on and not below it."""
    reviews = [one for name in ("gears.md", "thin.md") for one in loop(name).reviews]
    assert {one.approved for one in reviews} == {True, False}
    assert all(one.approved == (one.score >= rubric.APPROVED_FROM) for one in reviews)


@pytest.mark.parametrize("draft", ["", "no brief at all", "# Title\n", "## Section\n\n"])
def test_a_draft_of_nothing_scores_one(draft: str) -> None:
    """Text without claims gets the lowest score, and a list of what is missing."""
    found = review("Tea", draft, TEA, [])
    assert found.score == 1
    assert found.missed_topics == ["Tea", "Pots"]


def test_without_findings_nothing_is_approved() -> None:
    """With empty findings nothing can be checked."""
    found = review("Tea", render(GOOD), Findings(), [])
    assert (found.score, found.approved) == (1, False)
    assert "no findings" in found.issues[0]


def test_points_of_a_component() -> None:
    """Points grow evenly from the floor to the full mark, in either direction, and never beyond."""
    rising, falling = rubric.Component(10, 0.5, 1.0), rubric.Component(8, 0.4, 0.0)
    assert [rising.earned(value) for value in (0.2, 0.5, 0.75, 1.0, 2.0)] == [0, 0, 5, 10, 10]
    assert [falling.earned(value) for value in (0.0, 0.2, 0.4, 1.0)] == [8, 4, 0, 0]


def test_all_components_add_up_to_a_hundred() -> None:
    """A draft that is full in every component has 100 points."""
    parts = [one for one in vars(rubric).values() if isinstance(one, rubric.Component)]
    assert sum(part.points for part in parts) == 100


def test_reviews_survive_json(loop: Callable[..., "Loop"]) -> None:
    """A review is unchanged by a round trip through JSON."""
    one = loop("gears.md").reviews[0]
    assert Review.model_validate_json(one.model_dump_json()) == one
    assert parse(loop("gears.md").drafts[0]).title

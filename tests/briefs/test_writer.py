from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from graphengine.briefs.areas import OTHER_AREA
from graphengine.briefs.article import Fact, Findings, Remarks, Review
from graphengine.briefs.draft import CAVEATS_TITLE, Draft, parse, render
from graphengine.briefs.reviewer import review
from graphengine.briefs.text.words import count_words, mentions, stem_sequence
from graphengine.briefs.writer import MIN_BUDGET_WORDS, OFF_TASK, write
from tests.kit.review_team import cut

if TYPE_CHECKING:
    from tests.briefs.conftest import Loop

TEXTS = ["sourdough.md", "lighthouses.txt", "gears.md"]


def _findings(*areas: tuple[str, list[str]], caveats: tuple[str, ...] = ()) -> Findings:
    facts: dict[str, list[Fact]] = {}
    line = 0
    for name, texts in areas:
        facts[name] = []
        for text in texts:
            line += 1
            facts[name].append(Fact(text=text, file="a.md", line=line, rank=line, position=line))
    last = [Fact(text=text, file="a.md", line=90, rank=90, position=90) for text in caveats]
    return Findings(key_areas=list(facts), facts=facts, caveats=last, sources=["a.md"])


TEA = _findings(
    ("Tea", ["A kettle boils water for tea.", "Green tea needs cooler water than black tea."]),
    ("Pots", ["A pot of clay keeps tea warm.", "A pot of glass shows the colour of the tea."]),
    caveats=("Tea must not stand for an hour.",),
)


def _review(missed_topics: list[str] | None = None, **remarks: list[str]) -> Review:
    return Review(score=4, approved=False, missed_topics=missed_topics or [], remarks=Remarks.model_validate(remarks))


def _texts(draft: str) -> list[str]:
    return [claim.text for claim in parse(draft).claims()]


def _draft(*texts: str) -> str:
    """Return a draft with only the first area's facts."""
    return "# Tea\n\n## Tea\n\n" + "\n".join(texts) + "\n"


@pytest.mark.parametrize("name", TEXTS)
def test_the_first_draft_quotes_the_most_central_facts(name: str, loop: Callable[..., "Loop"]) -> None:
    """The first draft has a title, sources, and cited sentences of the findings, including the most central one."""
    run = loop(name)
    draft = parse(run.drafts[0])
    known = {fact.text for fact in run.findings.all_facts()}
    assert draft.title == run.task
    assert draft.sources == (name,)
    assert set(_texts(run.drafts[0])) <= known
    assert run.findings.all_facts()[0].text in known & set(_texts(run.drafts[0]))
    assert all(claim.citations for claim in draft.claims())


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("word_budget", [MIN_BUDGET_WORDS, 180, 350])
def test_every_draft_keeps_to_the_budget(name: str, word_budget: int, loop: Callable[..., "Loop"]) -> None:
    """All words of the page count, including headings, citations and sources."""
    for draft in loop(name, word_budget).drafts:
        assert 40 < count_words(draft) <= word_budget


@pytest.mark.parametrize("name", TEXTS)
def test_sections_and_sentences_follow_the_sources(name: str, loop: Callable[..., "Loop"]) -> None:
    """Sections are in the order of the areas, sentences in that of their lines."""
    run = loop(name)
    draft = parse(run.drafts[-1])
    order = [*run.findings.key_areas, CAVEATS_TITLE]
    places = [order.index(section.heading) for section in draft.sections]
    assert places == sorted(places)
    for section in draft.sections:
        lines = [int(claim.citations[0].rsplit(":", 1)[1]) for claim in section.claims]
        assert lines == sorted(lines)


def test_empty_findings_are_reported() -> None:
    """Without findings the brief makes no claims and says so."""
    assert write("Tea.", Findings(), 300, [], "") == (
        "# Tea\n\nNo source material on this task was found, so this brief makes no claims.\n"
    )


def test_a_budget_for_no_brief_is_refused() -> None:
    """The error for a budget below the minimum names the minimum."""
    with pytest.raises(ValueError, match=f"at least {MIN_BUDGET_WORDS} words, not 20"):
        write("Tea", TEA, 20, [], "")


def test_long_tasks_make_short_titles() -> None:
    """The title is the start of the task, on one line."""
    title = parse(write("why " * 40 + "\n\nmore", TEA, 300, [], "")).title
    assert title == "Why" + " why" * 13 + "\u2026"


def test_a_missed_topic_gets_a_section() -> None:
    """A topic that the review misses has two sentences in the next draft."""
    draft = write("Tea", TEA, 300, [_review(["Pots"])], _draft("A kettle boils water for tea [a.md:1]."))
    assert [section.heading for section in parse(draft).sections] == ["Tea", "Pots"]
    assert len(parse(draft).sections[1].claims) == 2


def test_missed_caveats_get_their_own_section() -> None:
    """Caveats are at the end, under their own heading."""
    draft = write("Tea", TEA, 300, [_review([CAVEATS_TITLE])], _draft("A kettle boils water for tea [a.md:1]."))
    assert parse(draft).sections[-1].heading == CAVEATS_TITLE
    assert _texts(draft)[-1] == "Tea must not stand for an hour."


def test_a_thin_topic_gets_a_second_sentence() -> None:
    """A topic with one sentence gets the next best one."""
    draft = write("Tea", TEA, 300, [_review(thin_topics=["Tea"])], _draft("A kettle boils water for tea [a.md:1]."))
    assert _texts(draft) == [fact.text for fact in TEA.facts["Tea"]]


def test_missed_terms_are_brought_in() -> None:
    """For a missed term the writer adds one fact that has it."""
    draft = write("Tea", TEA, 300, [_review(missed_terms=["colour"])], _draft("A kettle boils water for tea [a.md:1]."))
    assert _texts(draft) == ["A kettle boils water for tea.", "A pot of glass shows the colour of the tea."]


def test_repeated_sentences_go() -> None:
    """A sentence that the review calls repeated is removed; the one it repeats stays."""
    twice = "A kettle boils the water for the tea."
    findings = _findings(("Tea", ["A kettle boils water for tea.", twice, "A cup holds the tea of one guest."]))
    before = _draft("A kettle boils water for tea [a.md:1].", "A kettle boils the water for the tea [a.md:2].")
    assert _texts(write("Tea", findings, 300, [_review(repeated_sentences=[twice])], before)) == [
        "A kettle boils water for tea."
    ]


LONG = (
    "A large kettle of copper (the kind that stood in every kitchen of the old town) boils the water for the tea of "
    "twelve guests in a quarter of an hour; a small kettle of steel boils the water for two cups in three minutes."
)


def test_long_sentences_are_split() -> None:
    """A sentence that the review calls long is split into shorter ones with the same citation."""
    findings = _findings(("Tea", [LONG]))
    draft = write("Tea", findings, 300, [_review(long_sentences=[LONG])], _draft(LONG[:-1] + " [a.md:1]."))
    assert _texts(draft) == [
        "A large kettle of copper boils the water for the tea of twelve guests in a quarter of an hour.",
        "A small kettle of steel boils the water for two cups in three minutes.",
    ]
    assert [claim.citations for claim in parse(draft).claims()] == [("a.md:1",)] * 2


def test_a_sentence_without_its_citation_gets_it_back() -> None:
    """A claim with a fact gets its citation; one without a fact is removed."""
    before = _draft("A kettle boils water for tea.", "Camels cross the desert in winter [a.md:2].")
    after = parse(write("Tea", TEA, 300, [_review(unsupported_sentences=["A kettle boils water for tea."])], before))
    assert [(claim.text, claim.citations) for claim in after.claims()] == [
        ("A kettle boils water for tea.", ("a.md:1",))
    ]


def test_nothing_to_fix_changes_nothing() -> None:
    """A revision without remarks returns the same page."""
    first = write("Tea", TEA, 300, [], "")
    assert write("Tea", TEA, 300, [_review()], first) == first


def test_a_lost_draft_is_written_anew() -> None:
    """If the draft cannot be read, the revision starts from a first draft."""
    assert write("Tea", TEA, 300, [_review()], "gone") == write("Tea", TEA, 300, [], "")


@pytest.mark.parametrize("name", ["sourdough.md", "gears.md"])
def test_a_revision_settles_most_remarks(name: str, loop: Callable[..., "Loop"]) -> None:
    """On real text most terms and topics that a review misses are in the next draft."""
    run = loop(name)
    poor = cut(run.drafts[0])
    before = review(run.task, poor, run.findings, [])
    after = parse(write(run.task, run.findings, 350, [before], poor))
    sequences = [stem_sequence(claim.text) for claim in after.claims()]
    asked = [*before.remarks.missed_terms, *before.remarks.missed_task_words]
    assert sum(any(mentions(one, term) for one in sequences) for term in asked) >= len(asked) / 2
    assert not set(before.missed_topics) & set(review(run.task, render(after), run.findings, []).missed_topics)
    assert not set(before.remarks.long_sentences) & {claim.text for claim in after.claims()}


def test_what_a_page_holds_is_read_back(loop: Callable[..., "Loop"]) -> None:
    """A whole brief is unchanged by a round trip through its Markdown."""
    draft = loop("lighthouses.txt").drafts[-1]
    assert isinstance(parse(draft), Draft)
    assert render(parse(draft)) == draft


def test_sources_on_something_else_are_not_passed_off_as_an_answer() -> None:
    """The introduction says so; one word of the task in one sentence is enough, and some tasks name nothing."""
    assert OFF_TASK in parse(write("Quantum gravity", TEA, 350, [], "")).introduction
    assert OFF_TASK not in write("Gravity in a kettle", TEA, 350, [], "")
    assert OFF_TASK not in write("Explain how", TEA, 350, [], "")


def test_what_belongs_nowhere_is_no_topic() -> None:
    """It has a section, but the introduction does not list its heading among the topics."""
    found = _findings(("Tea", ["A kettle boils water for tea."]), (OTHER_AREA, ["The pot is of clay."]))
    draft = parse(write("Tea", found, 350, [], ""))
    assert [section.heading for section in draft.sections] == ["Tea", OTHER_AREA]
    assert draft.introduction.endswith("Topics: Tea.")
    alone = parse(write("Tea", _findings((OTHER_AREA, ["Tea is hot."])), 350, [], ""))
    assert "Topics" not in alone.introduction

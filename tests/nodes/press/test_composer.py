from collections.abc import Callable

import pytest

from graphengine import TextFile
from graphengine.briefs.article import Findings
from graphengine.briefs.draft import parse
from graphengine.briefs.researcher import research
from graphengine.briefs.text.words import count_words
from nodes.press.composer import RULES_NOTE, UNCHANGED, compose
from nodes.press.stages import LEAST_WORDS


@pytest.fixture(name="gears")
def found_on_gears(text: Callable[[str], TextFile]) -> Findings:
    """Return the findings on gears."""
    return research("How bicycle gears work", [text("gears.md")])


@pytest.mark.parametrize("words", [LEAST_WORDS, 200, 400])
def test_a_text_of_rules_is_marked_and_keeps_its_length(gears: Findings, words: int) -> None:
    """The introduction says so, once."""
    made = compose("How bicycle gears work", gears, words, [], None)
    assert made.text.count(RULES_NOTE) == 1
    assert RULES_NOTE in parse(made.text).introduction
    assert count_words(made.text) <= words


@pytest.mark.parametrize("words", range(LEAST_WORDS, 260, 7))
def test_wishes_for_more_than_there_is_room_for_are_cut(gears: Findings, words: int) -> None:
    """The note on the rules counts too."""
    wish = " ".join(gears.key_terms)
    assert count_words(compose("How bicycle gears work", gears, words, [wish], None).text) <= words


def test_what_is_wished_for_comes_into_the_text(gears: Findings) -> None:
    """This needs a fact with the word; other words are open questions, and the words of the request itself are not."""
    first = compose("How bicycle gears work", gears, 150, [], None)
    assert "cable" not in first.text
    again = compose("How bicycle gears work", gears, 150, ["Please write more on the cable and on penguins."], first)
    assert "cable" in again.text
    assert "The text says nothing of \u201cpenguins\u201d." in again.open_questions
    assert not any("cable" in each for each in again.open_questions)
    assert count_words(again.text) <= 150
    assert again.text.count(RULES_NOTE) == 1


def test_an_earlier_wish_is_not_forgotten(gears: Findings) -> None:
    """A second revision keeps what the first one added."""
    first = compose("How bicycle gears work", gears, 300, ["more on the cable"], None)
    again = compose("How bicycle gears work", gears, 300, ["more on the cable", "more on hubs"], first)
    assert "cable" in again.text


def test_a_text_without_findings_makes_no_claims() -> None:
    """A text without findings makes no claims."""
    made = compose("Penguins", Findings(sources=["a.md"]), 200, ["on ice"], None)
    assert parse(made.text).claims() == []
    assert "No source material" in made.text
    assert any("Penguins" in each for each in made.open_questions)


def test_a_manuscript_of_another_writer_is_continued(gears: Findings) -> None:
    """A model's text without a known sentence is written again."""
    made = compose("gears", gears, 200, ["chain"], compose("x", Findings(), 200, [], None))
    assert parse(made.text).claims()


@pytest.mark.parametrize("note", ["Be funnier.", "More on the chain.", ""])
def test_a_note_that_changes_nothing_is_reported(gears: Findings, note: str) -> None:
    """The person who sent the text back would look for a change in vain; a changed text has no such note."""
    first = compose("How bicycle gears work", gears, 150, [], None)
    again = compose("How bicycle gears work", gears, 150, [note] if note else [], first)
    assert again.text == first.text
    assert (UNCHANGED in again.open_questions) is bool(note)
    changed = compose("How bicycle gears work", gears, 150, ["more on the cable"], first)
    assert UNCHANGED not in [*first.open_questions, *changed.open_questions]

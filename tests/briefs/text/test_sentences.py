import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphengine.briefs.text.sentences import split


def _texts(paragraph: str) -> list[str]:
    return [text for _, text in split(paragraph)]


@pytest.mark.parametrize(
    "whole",
    [
        "Use a tool, e.g. Make, for this.",
        "Version v1.2 and 3.5 of the tool differ.",
        "The paper by J. Gray is old.",
        "Der Bäcker knetet z. B. zehn Minuten.",
        "Call `a. B` twice.",
        "See no. 5 for it.",
        "The class asyncio.Lock is not reentrant.",
        "Die Arbeiten beginnen am 14. April 2025 und dauern neun Monate.",
        "It ran node.js. then it stopped.",
    ],
)
def test_a_dot_inside_a_sentence_does_not_end_it(whole: str) -> None:
    """Abbreviations, initials, numbers and code keep a sentence whole."""
    assert _texts(whole) == [whole]


@pytest.mark.parametrize(
    ("paragraph", "sentences"),
    [
        ("One ends. Two ends! Three? Four", ["One ends.", "Two ends!", "Three?", "Four"]),
        ('He said "stop." Then he left.', ['He said "stop."', "Then he left."]),
        ("It costs 5. 6 are left.", ["It costs 5.", "6 are left."]),
        ("水温过高。咖啡变苦。", ["水温过高。", "咖啡变苦。"]),
        ("A line\nbreak stays. Next.", ["A line\nbreak stays.", "Next."]),
        ("  ", []),
    ],
)
def test_sentences_end_at_their_stops(paragraph: str, sentences: list[str]) -> None:
    """Stops, with closing quotes, end a sentence; a rest without a stop is one too."""
    assert _texts(paragraph) == sentences


@given(st.text(alphabet=st.sampled_from('aB .!?`\n"()5é。'), max_size=60))
def test_nothing_is_lost_and_offsets_are_true(paragraph: str) -> None:
    """Every sentence is in the paragraph at its offset, and together they have every letter."""
    pieces = split(paragraph)
    assert all(paragraph.startswith(text, offset) for offset, text in pieces)
    assert "".join("".join(text.split()) for _, text in pieces) == "".join(paragraph.split())

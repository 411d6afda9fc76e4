"""Sentences, passages, citations and quotations of hostile texts are found in time that grows with the text."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphengine import TextFile
from nodes.citing import Passage, Quotations, check_quotations, claims, located, sentences
from nodes.passages import read

SIZE = 50_000
"""Characters. Each text here took minutes to hours when a pattern looked at the same characters again and again."""
UNITS = ("A. ", " ", "\n", "[", "[a](", "[a](()", "#", ".'", ".*", "| ", "Hello there. So\n", "a" + " " * 50, "(")


def split(text: str) -> object:
    """Split a text into sentences."""
    return [*sentences(text)]


def passages(text: str) -> object:
    """Read a text as a source."""
    return read(TextFile(path="a.md", text=text))


def quote(text: str) -> object:
    """Locate the end of a text in it."""
    source, quotation = TextFile(path="a.md", text=text), Passage(text=text[-40:] or "x", file="a.md")
    return located(Quotations(quotations=[quotation]), [source], [])


@pytest.mark.parametrize("begin", ["", "# ", "x "])
@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("use", [split, claims, passages, quote])
def test_hostile_texts_are_read_once(use: Callable[[str], object], unit: str, begin: str) -> None:
    """No text makes a pattern go over it again for each of its characters."""
    assert use(begin + (unit * SIZE)[:SIZE]) is not None


@given(st.text(alphabet="Aab1 .Prof\nz", max_size=60))
def test_sentences_leave_nothing_out(text: str) -> None:
    """The sentences of a text, at their offsets, have all of it but blanks."""
    found = [*sentences(text)]
    assert "".join("".join(each.split()) for _, each in found) == "".join(text.split())
    assert all(text[offset:].strip().startswith(each) for offset, each in found)


def test_abbreviations_end_no_sentence() -> None:
    """A short word, a title or a number before a stop ends no sentence, wherever it stands."""
    long = "The waves of the sea came in " * 20
    for word in ("Prof.", "z. B.", "Mrs.", "3."):
        assert [each for _, each in sentences(f"{long}{word} Tide said so. It did.")] == [
            f"{long}{word} Tide said so.",
            "It did.",
        ]


def test_a_quotation_is_found_on_its_line() -> None:
    """The line is the first from the one that is given, else the first; links and emphasis do not count."""
    text = "# Tides\n\nThe **moon** pulls\nthe [sea](https://example.org/Sea_(water)).\nThe moon pulls the sea.\n"
    source = TextFile(path="a.md", text=text)
    found = located(
        Quotations(
            quotations=[
                Passage(text="The moon pulls the sea.", file="a.md"),
                Passage(text="moon pulls the sea.", file="a.md", line=5),
                Passage(text="moon pulls the", file="a.md", line=99),
            ]
        ),
        [source],
        [],
    )
    assert [each.line for each in found] == [3, 5, 3]
    with pytest.raises(ValueError, match="not in the sources word for word"):
        check_quotations(Quotations(quotations=[Passage(text="The sun", file="a.md")]), [source])

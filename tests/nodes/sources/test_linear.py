"""Texts that anybody may have written are read in time in proportion to their length."""

from collections.abc import Callable
from typing import Final, SupportsIndex

import pytest

from graphengine import TextFile
from graphengine.patterns.votes import folded
from nodes.citing import Passage, Quotations, check_quotations, claims, sentences
from nodes.orchestration.workers import findings_in
from nodes.passages import read
from nodes.press.publishing import post_of, with_footnotes
from tests.graphs.press_kit import LISTED

LENGTH: Final = 100_000
UNITS: Final = ["A. ", "1. ", "[", "[a](", "[a](b", "\n", " ", "#", "# # ", "| ", "\n- ", "```\n", "a. b\n", ". ("]


class Counted(str):
    """A text that counts the characters that are copied out of it."""

    __slots__ = ("copied",)

    def __getitem__(self, key: SupportsIndex | slice) -> str:
        """Return a part of it, and count that."""
        found = super().__getitem__(key)
        self.copied = getattr(self, "copied", 0) + len(found)
        return found


@pytest.mark.parametrize("unit", ["A. ", "1. ", "One. ", "Ab. "])
def test_sentences_copy_each_character_a_few_times(unit: str) -> None:
    """An abbreviation is looked for in front of a stop, and not in all that was read before."""
    text = Counted(unit * 2_000)
    assert "".join("".join(sentence.split()) for _, sentence in sentences(text)) == unit.strip() * 2_000
    assert text.copied < 10 * len(text)


@pytest.mark.parametrize(
    "use",
    [
        lambda text: read(TextFile(path="a.md", text=text)),
        lambda text: read(TextFile(path="a.md", text=f"```\n{text}")),
        lambda text: read(TextFile(path="a.md", text=f"# {text}x")),
        lambda text: read(TextFile(path="a.py", text=text)),
        lambda text: check_quotations(
            Quotations(quotations=[Passage(text="b", file="a.md")]), [TextFile(path="a.md", text=f"{text} b")]
        ),
        claims,
        lambda text: findings_in([f"[{text}"]),
        lambda text: with_footnotes(f"{text}x", {"a": "A"}),
        lambda text: post_of(LISTED, "", [], [TextFile(path="a.md", text=f"# {text}x")]),
        lambda text: folded(f"{text}x"),
    ],
    ids=["prose", "fence", "title", "code", "quotation", "claims", "findings", "footnotes", "names", "votes"],
)
def test_no_pattern_reads_on_from_many_beginnings(use: Callable[[str], object]) -> None:
    """The same end would be read for many minutes, which no test waits for."""
    for unit in UNITS:
        use(unit * (LENGTH // len(unit)))

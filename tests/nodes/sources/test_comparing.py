"""Remarks: each damage to a quotation is named, and no true sentence gets one."""

import re
from typing import Final

import pytest

from nodes.comparing import remarks
from nodes.passages import read
from tests.nodes.sources.test_passages import FILES, source

SENTENCES: Final = [each.text for name in FILES if not name.endswith(".py") for each in read(source(name))]
LONG: Final = [each for each in SENTENCES if len(each.split()) >= 6 and "\n" not in each]


def test_a_quotation_gets_no_remark() -> None:
    """Whole, or cut at an end."""
    for text in LONG:
        assert remarks(text, text) == []
        assert remarks(" ".join(text.split()[:-1]).rstrip(",;:"), text) == [] or re.search(r"\b(not|no|kein)", text)


def test_a_changed_figure_is_named() -> None:
    """Times seven, in every sentence with a figure."""
    for text in LONG:
        if figure := re.search(r"(?<![\w.,:-])(\d+)(?![\w.,:-]*\d)", text):
            changed = str(int(figure[1]) * 7 + 1)
            assert any(changed in each for each in remarks(text.replace(figure[1], changed, 1), text)), text


@pytest.mark.parametrize("kind", [r"(?<![\w.,:½-])\d+(?![\w.,:½-]*[\d½])", r"(?<=[a-z,] )[A-Z][a-z]{3,}\b"])
def test_what_is_exchanged_is_named(kind: str) -> None:
    """Two figures, or two names, in every sentence that has two."""
    exchanged = 0
    for text in LONG:
        found = list(re.finditer(kind, text))
        if len(found) > 1 and found[0][0] != found[-1][0]:
            one, other = found[0], found[-1]
            swapped = f"{text[: one.start()]}{other[0]}{text[one.end() : other.start()]}{one[0]}{text[other.end() :]}"
            assert remarks(swapped, text), swapped
            exchanged += 1
    assert exchanged > 20


def test_a_lost_or_added_negation_is_named() -> None:
    """Wherever it stands."""
    for text in LONG:
        parts = text.split()
        if "not" in parts:
            assert any("not" in each for each in remarks(" ".join(p for p in parts if p != "not"), text)), text
        denied = [*parts[:3], "not", *parts[3:]]
        assert any("not" in each for each in remarks(" ".join(denied), text)), text


@pytest.mark.parametrize(
    ("claim", "passage", "remark"),
    [
        ("Jones was met by Smith in May.", "Smith was met by Jones in May.", "another place"),
        ("The fine was paid by Meyer.", "The fine was paid by the depot in March.", "“meyer” is not in"),
        ("At least 30 orders were late.", "At most 30 orders were late.", "“least”"),
        ("Der Vertrag gilt immer.", "Der Vertrag gilt nicht immer.", "“nicht” was left out"),
    ],
)
def test_what_differs_is_named(claim: str, passage: str, remark: str) -> None:
    """Swapped names, other names, bounds and negations."""
    assert any(remark in each for each in remarks(claim, passage)), remarks(claim, passage)


@pytest.mark.parametrize(
    ("claim", "passage"),
    [
        ("Together they took 30 days.", "The first took 10 days, the second 20."),
        ("Bread rises all night.", "The loaf may be left to rise until the morning."),
        ("The rent is 1,364 pounds a month.", "The rent is 1364 pounds a month."),
        ("It isn't shared.", "It is not shared."),
        ("Twelve orders were late.", "12 orders were late."),
    ],
)
def test_a_paraphrase_gets_none(claim: str, passage: str) -> None:
    """Nor do other forms of a number, and short forms."""
    assert remarks(claim, passage) == []

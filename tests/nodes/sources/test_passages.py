"""Extraction: nothing of a source is lost, what is found is literal, and it finds what a plain ranking finds."""

import math
import tomllib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pytest

from graphengine import TextFile
from graphengine.agents.sources import read_source
from nodes.citing import Passage, size
from nodes.passages import extract, read
from nodes.words import alike, words

HELD: Final = Path(__file__).parent / "held"
CASES: Final = tomllib.loads((HELD / "cases.toml").read_text("utf-8"))["case"]
FILES: Final = sorted(file.name for file in HELD.iterdir() if file.suffix != ".toml")


def source(name: str) -> TextFile:
    """Return a held text, as the command line reads it."""
    return TextFile(path=name, text=read_source(HELD / name).text)


@pytest.mark.parametrize("name", FILES)
def test_passages_are_literal_and_nothing_is_lost(name: str) -> None:
    """Each passage, or each cell of a row, stands in the source from its line on; all words are in some passage."""
    text = source(name)
    lines = text.text.splitlines()
    passages = read(text)
    for passage in passages:
        rest = " ".join(" ".join(lines[passage.line - 1 :]).split())
        parts = [part.partition(": ")[2] for part in passage.text.split("; ")]
        is_row = "|" in lines[passage.line - 1] or name.endswith(".csv")
        for part in parts if is_row else [passage.text]:
            assert " ".join(part.split()) in rest
    found = Counter(word for passage in passages for word in words(f"{passage.text} {passage.heading}"))
    lost = {word for word in words(text.text) if word not in found and not word.isdigit()}  # the numbers of items are
    assert not name.endswith((".md", ".txt")) or lost <= {"python", "text"}  # of fences


@pytest.mark.parametrize(
    ("path", "text", "found"),
    [
        ("a.csv", "day,sold\n1,5\n\n2,7\n", [("day: 1; sold: 5", 2, ""), ("day: 2; sold: 7", 4, "")]),
        ("a.md", "| Only | one |", [("Only; one", 1, "")]),
        ("a.md", "# Tea\n\n## How\n\n1. Boil.\n2. Pour it\n   slowly. Wait.", [("Boil.", 5, "Tea \u203a How")]),
        ("a.md", "| a | b |\n|---|---|\n| 1 | |\n| 2 | 3 |", [("a: 1", 3, ""), ("a: 2; b: 3", 4, "")]),
        ("a.txt", "Tea\n\nDr. Ray et al. came at 3 p.m. today. He left.", [("He left.", 3, "Tea")]),
        ("a.py", "def f():\n    return 1\n\nx = 2", [("def f():\n    return 1", 1, ""), ("x = 2", 4, "")]),
        ("a.txt", "東京は大きい。人が多い。", [("東京は大きい。", 1, ""), ("人が多い。", 1, "")]),
    ],
)
def test_kinds_of_sources(path: str, text: str, found: list[tuple[str, int, str]]) -> None:
    """Rows have the names of their columns, and passages the headings above them."""
    passages = [(each.text, each.line, each.heading) for each in read(TextFile(path=path, text=text))]
    assert [each for each in found if each not in passages] == []


@pytest.mark.parametrize("text", ["", "\n\n", "---\n", "```", "| - |", "#", ",;"])
def test_a_source_may_have_nothing(text: str) -> None:
    """Nothing is found in it, and nothing fails."""
    for suffix in ("md", "csv", "py"):
        assert extract("tea", [TextFile(path=f"a.{suffix}", text=text)]) == []


@pytest.mark.parametrize(
    ("one", "other", "how"),
    [
        ("write", "writes", 0.8),
        ("page", "homepage", 0),
        ("loaves", "loaf", 0),
        ("arbeiten", "bauarbeiten", 0.5),
        ("sea", "seas", 0.8),
        ("1364", "13641", 0),
    ],
)
def test_forms_of_words(one: str, other: str, how: float) -> None:
    """Forms have a common beginning; parts of compounds count half; figures are alike only if they are equal."""
    assert alike(one, other) == alike(other, one) == how


def plain_ranking(task: str, passages: Sequence[Passage], word_budget: int) -> list[Passage]:
    """Return what plain BM25 over single sentences takes."""
    bags = [Counter(words(passage.text)) for passage in passages]
    mean = sum(bag.total() for bag in bags) / len(bags)

    def rank(at: int) -> float:
        total = 0.0
        for word in set(words(task)):
            having = sum(word in bag for bag in bags)
            times, rarity = bags[at][word], math.log(1 + (len(bags) - having + 0.5) / (having + 0.5))
            total += rarity * times * 2.2 / (times + 1.2 * (0.25 + 0.75 * bags[at].total() / mean))
        return total

    taken: list[Passage] = []
    for at in sorted(range(len(passages)), key=lambda at: (-rank(at), at)):
        if sum(size(each.text) for each in taken) + size(passages[at].text) <= word_budget:
            taken.append(passages[at])
    return taken


def held(case: dict[str, list[list[str]]], passages: Sequence[Passage]) -> int:
    """Return how many needed facts of a case some passages have."""
    texts = [" ".join(passage.text.split()) for passage in passages]
    return sum(any(all(part in text for part in fact) for text in texts) for fact in case["facts"])


@pytest.mark.parametrize("share", [0.15, 0.3, 0.5])
def test_it_finds_at_least_what_a_plain_ranking_finds(share: float) -> None:
    """At equal length, over all held texts."""
    ours = theirs = 0
    for case in CASES:
        text = source(case["file"])
        budget = int(size(text.text) * share)
        ours += held(case, extract(case["task"], [text], budget))
        theirs += held(case, plain_ranking(case["task"], read(text), budget))
    assert ours >= theirs > 0


def test_the_order_is_that_of_the_sources_and_the_budget_is_kept() -> None:
    """Also over several sources."""
    texts = [source(name) for name in FILES]
    found = extract("What does it cost?", texts, 120)
    assert sum(size(each.text) for each in found) <= 120
    assert [*sorted(found, key=lambda each: (FILES.index(each.file), each.line))] == found

"""The one diff of texts: changed phrases stand in one piece, and a rewritten text is not mixed with the old one."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphengine.cli.diff import word_parts
from graphengine.records.word_diff import word_diff

OLD = "The LAMP-5 is back in oak. It lights a desk evenly and uses 6 W. Ten cost 1235.90 EUR, delivered in a week."
NEW = "Libraries asked for a lamp that guests cannot break: here is the LAMP-5. Ten cost 1244.90 EUR, with spare parts."
CHANCE = random.Random(17)  # noqa: S311 - no secret
BLANKS = "\t\n\x0b\x0c\r\x1c\x1d\x1e\x1f \x85\xa0\u1680\u2009\u2028\u2029\u202f\u205f\u3000\ufeff"
TEXTS = st.lists(st.sampled_from("abcdef"), max_size=40).map(" ".join) | st.text(
    st.sampled_from(BLANKS + "ab-\u4e00\u3042\u0e01\u0e31\u0e81\u1780\U00020000\u0301")
    | st.characters(exclude_categories=["Cs"])
)


@given(TEXTS, TEXTS)
def test_the_runs_are_both_texts(before: str, after: str) -> None:
    """Joined, they are each text; no two changes have fewer than three equal words between them."""
    found = word_diff(before, after)
    assert "".join(word for run in found.runs for word in run.before) == before
    assert "".join(word for run in found.runs for word in run.after) == after
    kept = [
        (one.strip(BLANKS), other.strip(BLANKS))
        for run in found.runs
        if run.is_equal
        for one, other in zip(run.before, run.after, strict=True)
    ]
    assert all(one == other for one, other in kept)
    assert all(len(run.before) >= 3 for run in found.runs[1:-1] if run.is_equal)
    assert all(one.is_equal != other.is_equal for one, other in zip(found.runs, found.runs[1:], strict=False))
    assert 0 <= found.likeness <= 1
    assert (found.likeness == 1) == all(run.is_equal for run in found.runs)


@given(TEXTS)
def test_a_text_is_like_itself(text: str) -> None:
    """Also with other blanks at its end."""
    assert word_diff(text, text).likeness == word_diff(text, f"{text}\n").likeness == 1


def test_a_rewritten_text_is_known() -> None:
    """Two mails about one lamp share words, and no phrase; a sentence with one other price was not rewritten."""
    assert word_diff(OLD, NEW).is_rewritten
    changed = word_diff(OLD, OLD.replace("1235.90", "1244.90"))
    assert not changed.is_rewritten
    assert [(run.before, run.after) for run in changed.runs if not run.is_equal] == [(["1235.90 "], ["1244.90 "])]


def test_a_small_change_of_a_long_text_is_found() -> None:
    """What both begin and end with is compared at any length."""
    words = [f"word{number}" for number in range(50_000)]
    found = word_diff(" ".join(words), " ".join([*words[:30_000], "another", *words[30_001:]]))
    assert [[*run.after] for run in found.runs if not run.is_equal] == [["another "]]
    unlike = word_diff(" ".join(words), " ".join(reversed(words)))
    assert len(unlike.runs) <= 3


TABLE = "".join(f"| {number} | i.{{}} |\n" for number in range(500))
RECORDS = "".join(f'  {{"id": {number}, "kind": {number % 2}, "note": null}}\n' for number in range(3000))


@pytest.mark.parametrize(
    ("before", "after", "likeness"),
    [
        (TABLE.format(*range(10, 510)), TABLE.format(*range(25, 525)), 0.8),
        ("| i.10 " * 500, "| i.25 " * 500, 0),
        ("| 0 " * 5_000, f"| x {'| 0 ' * 2_000}| y {'| 0 ' * 2_998}| z", 0.9),
        (RECORDS, RECORDS.replace('"id": 2000', '"id": x').replace('"id": 7,', '"id": 8,'), 0.99),
        (" ".join(f"word{n}" for n in range(2200)), " ".join(["a", *(f"word{n}" for n in range(1, 2199)), "b"]), 0.99),
        *(
            (" ".join(CHANCE.choices(few, k=20_000)), " ".join(CHANCE.choices(few, k=20_000)), 0)
            for few in ("ab", "abc", "abcdefgh")
        ),
    ],
    ids=["column", "cells", "zeros", "records", "ends", "two", "three", "eight"],
)
def test_the_work_is_bounded(before: str, after: str, likeness: float) -> None:
    """Texts that repeat themselves take no more comparisons than others, and a small change of them is still found."""
    found = word_diff(before, after)
    assert found.likeness >= likeness
    assert found.work <= 4_100_000
    assert "".join(word for run in found.runs for word in run.after) == after


@pytest.mark.parametrize(
    "text",
    [
        "\u5b66\u751f\u4eec\u5728\u56fe\u4e66\u9986\u770b\u4e66\u548c\u5199\u5b57",
        "\u0e19\u0e31\u0e01\u0e40\u0e23\u0e35\u0e22\u0e19\u0e2d\u0e48\u0e32\u0e19\u0e2b\u0e19\u0e31\u0e07\u0e2a\u0e37\u0e2d",
        "\u0e99\u0eb1\u0e81\u0eae\u0ebd\u0e99\u0ead\u0ec8\u0eb2\u0e99\u0e9b\u0eb7\u0ec9\u0ea1",
        "\u179f\u17b7\u179f\u17d2\u179f\u17a2\u17b6\u1793\u179f\u17c0\u179c\u1797\u17c5",
    ],
    ids=["Chinese", "Thai", "Lao", "Khmer"],
)
def test_texts_without_blanks_are_compared_by_characters(text: str) -> None:
    """A text of which one character changed was not rewritten; no vowel sign is parted from its letter."""
    found = word_diff(text * 2, text + "x" + text[1:])
    assert not found.is_rewritten
    assert ["".join(run.after) for run in found.runs if not run.is_equal] in (["x"], [f"x{text[1]}"])
    assert "\u5b66" not in text or found.likeness > 0.9


def test_the_indentation_of_a_line_is_compared() -> None:
    """It has a meaning in YAML and in Python; of other blanks and line breaks the diff says that only they differ."""
    assert [part[0] for part in word_parts("user:\n  name: ann\n  admin: no\n", "user:\n  name: ann\nadmin: no\n")] == [
        "user: name: ann ",
        "[-  admin:-] ",
        "{+admin:+} ",
        "no ",
    ]
    assert word_diff("a b\nc", "a\nb  c\n").likeness == 1
    assert "".join(part if isinstance(part, str) else part[0] for part in word_parts("a b\nc", "a\nb  c\n")) == (
        'only blanks and line breaks differ: {+"a\\nb  c\\n"+} [-"a b\\nc"-] '
    )

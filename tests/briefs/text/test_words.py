import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from graphengine.briefs.text.words import (
    _stem,
    count_words,
    likeness,
    mentions,
    share_within,
    stem_sequence,
    stems,
    subject_words,
    words,
)


def test_inner_dots_and_apostrophes_stay_in_a_word() -> None:
    """Versions, numbers and contractions are one word each; a hyphen separates words."""
    assert words("Since v1.2, don't use a write-ahead log of 3.5 MB.") == [
        "Since", "v1.2", "don't", "use", "a", "write", "ahead", "log", "of", "3.5", "MB",
    ]  # fmt: skip


def test_inflections_share_a_stem() -> None:
    """Plural, possessive and verb forms of a word have the same stem."""
    assert stems("replicas replica's Replica") == stems("replica")
    assert stems("flushes flushed flushing") == stems("flush")


def test_stop_words_and_numbers_leave_a_gap() -> None:
    """A stop word keeps its place as an empty stem, so that its neighbours do not become adjacent."""
    assert stem_sequence("the lord of 12 rings") == ["", "lord", "", "", "ring"]


def test_characters_of_chinese_are_paired() -> None:
    """Text without blanks is compared by pairs of neighbouring characters."""
    assert stem_sequence("咖啡豆") == ["咖啡", "啡豆"]


@pytest.mark.parametrize(("text", "count"), [("", 0), ("one two", 2), ("[a.md:3].", 1), ("咖啡豆需要", 2)])
def test_words_are_counted_between_blanks(text: str, count: int) -> None:
    """A citation is one word; two Chinese characters count as one."""
    assert count_words(text) == count


def test_a_phrase_is_mentioned_only_word_by_word() -> None:
    """Both words of a phrase must be adjacent, in any inflection."""
    text = stem_sequence("Log entries are written to the disk.")
    assert mentions(text, "log entry")
    assert not mentions(text, "written disk")
    assert not mentions(text, "the")


def test_a_task_is_about_its_nouns() -> None:
    """Instructions and function words of a task are not its subject."""
    assert subject_words("Explain how Gears work, and when gears slip") == ["Gears", "slip"]


def test_likeness_and_share() -> None:
    """Likeness is symmetric, the share within is not; nothing is similar to nothing."""
    assert likeness(["a", "b"], ["b", "c"]) == pytest.approx(1 / 3)
    assert share_within(["a", "b"], ["b", "c", "d"]) == pytest.approx(1 / 2)
    assert likeness([], []) == 0.0
    assert share_within([], ["a"]) == 0.0


def test_stems_are_the_same_in_many_threads() -> None:
    """Parallel nodes share one stemmer, which handles one word at a time."""
    some = [f"{start}{middle}ations" for start in "abcdefghij" for middle in "klmnopqrstuvw"]
    alone = [_stem.__wrapped__(word, "en") for word in some]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(4) as threads:
            shared = list(threads.map(lambda _: [_stem.__wrapped__(word, "en") for word in some], range(8)))
    finally:
        sys.setswitchinterval(interval)
    assert shared == [alone] * 8

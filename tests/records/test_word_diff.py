"""The one diff of texts: changed phrases stand in one piece, and a rewritten text is not mixed with the old one."""

from hypothesis import given
from hypothesis import strategies as st

from graphengine.records.word_diff import word_diff

OLD = "The LAMP-5 is back in oak. It lights a desk evenly and uses 6 W. Ten cost 1235.90 EUR, delivered in a week."
NEW = "Libraries asked for a lamp that guests cannot break: here is the LAMP-5. Ten cost 1244.90 EUR, with spare parts."
TEXTS = st.lists(st.sampled_from("abcdef"), max_size=40).map(" ".join)


@given(TEXTS, TEXTS)
def test_the_runs_are_both_texts(before: str, after: str) -> None:
    """Read in order, they are each text; no two changes have fewer than three equal words between them."""
    found = word_diff(before, after)
    assert [word for run in found.runs for word in run.before] == before.split()
    assert [word for run in found.runs for word in run.after] == after.split()
    assert all(run.before == run.after for run in found.runs if run.is_equal)
    assert all(len(run.before) >= 3 for run in found.runs[1:-1] if run.is_equal)
    assert all(one.is_equal != other.is_equal for one, other in zip(found.runs, found.runs[1:], strict=False))
    assert 0 <= found.likeness <= 1
    assert (found.likeness == 1) == (before == after)


def test_a_rewritten_text_is_known() -> None:
    """Two mails about one lamp share words, and no phrase; a sentence with one other price was not rewritten."""
    assert word_diff(OLD, NEW).is_rewritten
    changed = word_diff(OLD, OLD.replace("1235.90", "1244.90"))
    assert not changed.is_rewritten
    assert [(run.before, run.after) for run in changed.runs if not run.is_equal] == [(["1235.90"], ["1244.90"])]


def test_a_small_change_of_a_long_text_is_found() -> None:
    """What both begin and end with is compared at any length."""
    words = [f"word{number}" for number in range(50_000)]
    found = word_diff(" ".join(words), " ".join([*words[:30_000], "another", *words[30_001:]]))
    assert [[*run.after] for run in found.runs if not run.is_equal] == [["another"]]
    unlike = word_diff(" ".join(words), " ".join(reversed(words)))
    assert len(unlike.runs) <= 3

"""User text made fit to draw."""

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from graphengine.render.text import clean, width, wrap

ANY_TEXT = st.text(st.characters(), max_size=80)


@given(ANY_TEXT, st.integers(3, 20), st.integers(1, 5))
def test_lines_are_within_their_limits(text: str, columns: int, lines: int) -> None:
    """No line is wider than asked for, and there are no more of them."""
    wrapped = wrap(text, columns, lines)
    assert len(wrapped) <= lines
    assert all(width(line) <= columns for line in wrapped)


@given(ANY_TEXT, st.integers(3, 20))
def test_wrapping_removes_only_blanks(text: str, columns: int) -> None:
    """Put together again, the lines are the text without its blanks."""
    together = "".join(wrap(text, columns, 1000))
    assert "".join(together.split()) == "".join(clean(text).split())


@given(ANY_TEXT)
def test_invisible_characters_become_visible(text: str) -> None:
    """No control character, half surrogate or reordering mark is left, and the text can be written as UTF-8."""
    cleaned = clean(text).replace("\n", "").replace("\u200c", "").replace("\u200d", "")
    assert not [c for c in cleaned if unicodedata.category(c) in ("Cc", "Cf", "Cs")]
    cleaned.encode()

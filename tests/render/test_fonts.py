"""Text is measured by a table, so a picture is the same to the byte with whichever fonts a machine has."""

import pytest

from graphengine.render.metrics import text_width


@pytest.mark.parametrize(
    ("text", "size", "width"),
    [
        ("score", 10.0, 28.5),
        ("日本", 10.0, 20.0),
        ("e\u0301\u00e9", 10.0, 13.0),
        ("\N{PARTY POPPER}", 10.0, 12.5),
        ("", 10.0, 0.0),
    ],
)
def test_text_is_measured_by_a_table(text: str, size: float, width: float) -> None:
    """Accents take no room, characters of Chinese and Japanese a square, emoji more."""
    assert text_width(text, size) == pytest.approx(width)


def test_bold_text_takes_more_room() -> None:
    """The table has separate widths for bold text."""
    assert text_width("approved", 12, strong=True) > text_width("approved", 12)

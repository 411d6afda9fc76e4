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
        ("ב", 10.0, 6.0),
        ("ب", 10.0, 11.0),
        ("ببب", 10.0, 18.0),
        ("بء٢", 10.0, 21.5),
    ],
)
def test_text_is_measured_by_a_table(text: str, size: float, width: float) -> None:
    """Accents take no room, characters of Chinese and Japanese a square, emoji more."""
    assert text_width(text, size) == pytest.approx(width)


def test_bold_text_takes_more_room() -> None:
    """The table has separate widths for bold text."""
    assert text_width("approved", 12, strong=True) > text_width("approved", 12)


@pytest.mark.parametrize(
    ("text", "regular", "bold"),
    [
        ("كتابة مسودة الرسالة", 102.8, 121.1),
        ("استلام الطلب", 68.0, 80.8),
        ("الدرجة أقل من 7: أعد", 110.4, 128.4),
        ("מבקר הטיוטה", 71.4, 76.7),
        ("אישור של אדם", 74.7, 81.6),
    ],
)
def test_arabic_and_hebrew_fit_their_boxes(text: str, regular: float, bold: float) -> None:
    """The widest of DejaVu Sans and Noto Sans in Chromium, at 12 px, and at most a quarter more."""
    for measured, strong in ((regular, False), (bold, True)):
        assert measured <= text_width(text, 12, strong=strong) <= 1.25 * measured

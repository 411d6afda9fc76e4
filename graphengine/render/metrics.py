"""The width of text, from a table: no font is measured, so the layout of a picture is the same on every machine.

The widths are the advance widths in `hmtx` of DejaVu Sans 2.37, Liberation Sans 1.07.4 (as wide as Arial and Helvetica)
and Noto Sans 20201225, regular and bold, read with fontTools 4: for each character the widest of the three, rounded up
to 5 hundredths of the size of the font. Text set in any of these fonts fits its box.
"""
# ruff: noqa: RUF001 - the table has letters of other alphabets

from __future__ import annotations

import unicodedata
from functools import lru_cache
from math import ceil
from typing import TYPE_CHECKING, Final

from graphengine.render.text import width

if TYPE_CHECKING:
    from collections.abc import Mapping

    from graphengine.render.parts import Line, Weight

FONT: Final = "Helvetica,Arial,'Liberation Sans','DejaVu Sans','Noto Sans',sans-serif"
SIZES: Final[Mapping[Weight, int]] = {"strong": 12, "normal": 11, "small": 10}
"""The size of the font of a line, in points."""

_REGULAR: Final[Mapping[int, str]] = {
    30: "'ijl",
    35: " ,.:;I‘’·Ιι",
    40: "()-/[\\]ft",
    45: "!r¡",
    50: '"J`°',
    55: "csz“”εζгзсэ",
    60: "*?L_kvxy|–•§Γγκλνξςχвтухь",
    65: "$0123456789FTabdeghnopqu{}€«»¿ßøΞΣΤβδηθμορστυГЗТУабеиклорчя",
    70: "ABEKPSVXYZΑΒΔΕΖΚΛΡΥΧαπАБВЕРХЧЬднпц",
    75: "CRUφКСЭЯъ",
    80: "&DGHNOQØΗΘΝΟΠΩψДИЛНОПЦмы",
    85: "#+<=>^w~×≥≤±ΦΨωЪю",
    90: "ФЫф",
    95: "MΜМжшщ",
    100: "%Wm—…→←æÆ",
    105: "@œ�",
    110: "ŒЖШЩЮ",
}
_BOLD: Final[Mapping[int, str]] = {
    35: " 'ijl",
    40: ",.:;I‘’·Ι",
    45: "-/\\fι",
    50: "!()[]`rt°¡",
    55: '"*г',
    60: "J_csz|–§εζξςзстэ",
    65: "?Lx•«»¿ΓΞλτχГвхья",
    70: "$0123456789EFTaekovy“”€øΕΣΤαγδθνουЕТабекнопуч",
    75: "CPSYZbdghnpqu{}ßΖΡΥβηκμρЗРСЭилрц",
    80: "ABKRVXΑΒΔΚΛΧπσφАБВУХЬЯъ",
    85: "#+<=>DGHNU^~×≥≤±ΗΝΠψИКЛНПЧдм",
    90: "&OQØΘΟΦΨΩωДО",
    95: "wЦЪы",
    100: "@M—…→←ΜМФжфю",
    105: "%mæЫ",
    110: "œÆш",
    115: "W�щ",
    120: "ŒЮ",
    125: "ЖШ",
    135: "Щ",
}
_OTHER: Final = (110, 135)
"""A letter that is not in the tables, in regular and bold: as wide as the widest one in them."""
_FULL_WIDTH: Final = 100
"""A Chinese, Japanese or Korean character fills a square."""
_EMOJI: Final = 125
"""As in Noto Color Emoji 2.042."""
_ROW: Final = 1.4
"""The height of a line, in font sizes: more than any of the three fonts needs (Noto Sans: 1.36)."""
_BASELINE: Final = 0.35
"""How far the baseline is below the middle of its line, in font sizes: half the height of a capital."""

_WIDTHS: Final = tuple(
    {character: hundredths for hundredths, characters in table.items() for character in characters}
    for table in (_REGULAR, _BOLD)
)


def number(value: float) -> str:
    """Return a number, rounded to a tenth, as briefly as possible."""
    text = f"{value:.1f}"
    return text.removesuffix(".0") if text != "-0.0" else "0"


def text_width(text: str, size: float, *, strong: bool = False) -> float:
    """Return the width of a line of text.

    Args:
        text: The text, in one line.
        size: The size of its font; the result is in the same unit.
        strong: Whether it is bold.

    >>> text_width("score", 10.0), text_width("日本", 10.0)
    (28.5, 20.0)
    """
    return sum(_hundredths(character, strong=strong) for character in text) * size / 100


def line_width(line: Line) -> int:
    """Return the width of a line, in whole points."""
    return ceil(text_width(line.text, SIZES[line.weight], strong=line.weight == "strong"))


def line_height(line: Line) -> int:
    """Return the height of a line, in whole points."""
    return ceil(_ROW * SIZES[line.weight])


def baseline(line: Line) -> float:
    """Return how far the baseline of a line is below its top, in points."""
    return line_height(line) / 2 + _BASELINE * SIZES[line.weight]


@lru_cache(maxsize=4096)
def _hundredths(character: str, *, strong: bool) -> int:
    columns = width(character)
    if columns != 1:
        is_emoji = columns and unicodedata.category(character) == "So"
        return _EMOJI if is_emoji else _FULL_WIDTH if columns else 0
    letter = unicodedata.normalize("NFD", character)[0]  # its accents take no room
    return _WIDTHS[strong].get(letter, _OTHER[strong])

"""The width of text, from a table: no font is measured, so the layout of a picture is the same on every machine.

The widths are the advance widths in `hmtx` of DejaVu Sans 2.37, Liberation Sans 1.07.4 (as wide as Arial and Helvetica)
and Noto Sans 20201225, regular and bold, read with fontTools 4: for each character the widest of the three, rounded up
to 5 hundredths of the size of the font. Text set in any of these fonts fits its box. Arabic and Hebrew letters were
measured in DejaVu Sans, Noto Sans Arabic and Noto Sans Hebrew; an Arabic letter that joins the next one is narrower.
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
_RIGHT_TO_LEFT: Final[Mapping[int, str]] = {
    30: "יـ",
    35: "וזן،؛ا",
    40: "־",
    45: "גנ׳",
    50: "ء",
    55: "דךכץ؟ةدذهو٠١٢٤٥٦٩ڈ۰۱۲۴۵۶۹",
    60: "בלצרرزعغ٣٧٨ڑژ۳۷۸",
    65: "טסעףפ״جحخ",
    70: "אהחםמתمھہ",
    75: "קשچ",
    80: "لنں",
    85: "قىيی",
    95: "طظكے",
    100: "کگ",
    110: "بتثفٹپ",
    130: "سش",
    140: "صض",
}
_RIGHT_TO_LEFT_BOLD: Final[Mapping[int, str]] = {
    35: "ויـ",
    40: "ן،؛ا",
    45: "־גז׳",
    50: "נ",
    55: "ء",
    60: "דךכ؟دذڈ",
    65: "בלרةرزهو٠١٢٣٤٥٦٧٨٩ڑژ۰۱۲۳۴۵۶۷۸۹",
    70: "החטסעףפץצعغہ",
    75: "אםמקת״جحخ",
    80: "שمچ",
    90: "لنں",
    95: "قھے",
    100: "ك",
    105: "ىيکگی",
    110: "طظ",
    115: "بتثٹپ",
    120: "ف",
    145: "سشصض",
}
"""Hebrew letters, and Arabic letters that stand alone or end a group of joined letters."""
_JOINED: Final[Mapping[int, str]] = {
    35: "بلنىٹ",
    40: "تثيپی",
    55: "غفق",
    60: "كمکگھہ",
    65: "چ",
    70: "ں",
    85: "طظ",
    90: "سش",
    95: "صض",
}
_JOINED_BOLD: Final[Mapping[int, str]] = {
    45: "بتثلنىيٹپی",
    60: "كکگہ",
    70: "مھ",
    75: "فقں",
    100: "طظ",
    105: "سشصض",
}
"""Arabic letters that join the letter after them."""
_OTHER: Final = (110, 135)
"""A letter that is not in the tables, in regular and bold: as wide as the widest one in them."""
_FULL_WIDTH: Final = 100
"""A Chinese, Japanese or Korean character fills a square."""
_EMOJI: Final = 125
"""As in Noto Color Emoji 2.042."""
_ROW: Final = 1.25
"""The height of a line, in font sizes: more than the letters of any of the fonts are high."""
_BASELINE: Final = 0.35
"""How far the baseline is below the middle of its line, in font sizes: half the height of a capital."""

_WIDTHS: Final = tuple(
    {letter: hundredths for table in tables for hundredths, letters in table.items() for letter in letters}
    for tables in (
        (_REGULAR, _RIGHT_TO_LEFT), (_BOLD, _RIGHT_TO_LEFT_BOLD),
        (_REGULAR, _RIGHT_TO_LEFT, _JOINED), (_BOLD, _RIGHT_TO_LEFT_BOLD, _JOINED_BOLD),
    )
)  # fmt: skip
"""The widths of letters in regular and in bold, then those of letters that are followed by an Arabic letter."""


def number(value: float) -> str:
    """Write a number for SVG, rounded to a tenth, in as few characters as possible."""
    text = f"{value:.1f}"
    return text.removesuffix(".0") if text != "-0.0" else "0"


def text_width(text: str, size: float, *, strong: bool = False) -> float:
    """Estimate the width of a line of text.

    Args:
        text: The text, in one line.
        size: The font size. The result has the same unit.
        strong: Whether the text is bold.

    >>> text_width("score", 10.0), text_width("日本", 10.0)
    (28.5, 20.0)
    """
    if text.isascii():
        return sum(_hundredths(character, strong) for character in text) * size / 100
    letters = [each for each in text if not unicodedata.combining(each)]
    tables = [strong + 2 * _can_be_joined(after) for after in letters[1:]] + [int(strong)] * bool(letters)
    return sum(map(_hundredths, letters, tables)) * size / 100


def _can_be_joined(letter: str) -> bool:
    """Return whether the letter before this one would join it, as Arabic letters do, which changes their widths."""
    return "\u0622" <= letter <= "\u06d3" and unicodedata.category(letter).startswith("L")


def line_width(line: Line) -> int:
    return ceil(text_width(line.text, SIZES[line.weight], strong=line.weight == "strong"))


def line_height(line: Line) -> int:
    """Return the height of a line of text, in whole points."""
    return ceil(_ROW * SIZES[line.weight])


def baseline(line: Line) -> float:
    return line_height(line) / 2 + _BASELINE * SIZES[line.weight]


@lru_cache(maxsize=4096)
def _hundredths(character: str, table: int) -> int:
    columns = width(character)
    if columns != 1:
        is_emoji = columns and unicodedata.category(character) == "So"
        return _EMOJI if is_emoji else _FULL_WIDTH if columns else 0
    letter = unicodedata.normalize("NFD", character)[0]  # its accents take no room
    return _WIDTHS[table].get(letter, _OTHER[table % 2])

"""Numerals: numbers in English and German words, "two hundred and five" and "siebenundzwanzig", as digits."""

import functools
import re
from collections.abc import Mapping, Sequence
from typing import Final

from graphengine.briefs.text.language import ENGLISH

GERMAN: Final = "de"
LONGEST: Final = 8  # words of a number


def _counted(below_twenty: str, tens: str) -> dict[str, int]:
    units = {word: value for value, spelt in enumerate(below_twenty.split()) for word in spelt.split("/")}
    return units | {word: 10 * ten for ten, spelt in enumerate(tens.split(), start=2) for word in spelt.split("/")}


_ENGLISH: Final = _counted(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen",
    "twenty thirty forty fifty sixty seventy eighty ninety",
)
_ENGLISH_ORDINALS: Final = _counted(
    "zeroth first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth "
    "fifteenth sixteenth seventeenth eighteenth nineteenth",
    "twentieth thirtieth fortieth fiftieth sixtieth seventieth eightieth ninetieth",
)
_GERMAN: Final = _counted(
    "null ein/eins zwei drei vier f\u00fcnf sechs sieben acht neun zehn elf zw\u00f6lf dreizehn vierzehn "
    "f\u00fcnfzehn sechzehn siebzehn achtzehn neunzehn",
    "zwanzig drei\u00dfig/dreissig vierzig f\u00fcnfzig sechzig siebzig achtzig neunzig",
)
_SCALES: Final[Mapping[str, Mapping[str, int]]] = {
    ENGLISH: {"hundred": 100, "thousand": 1_000, "million": 10**6, "billion": 10**9, "trillion": 10**12},
    GERMAN: {"million": 10**6, "millionen": 10**6, "milliarde": 10**9, "milliarden": 10**9},
}
_IRREGULAR: Final = {"erst": 1, "dritt": 3, "siebt": 7, "acht": 8}  # German ordinals without their endings
_ORDINAL: Final = re.compile(r"(\w+?)(?:e|en|er|es|em)")
_PARTS: Final = re.compile(r"(?:(\w*?)tausend(?:und)?)?(?:(\w*?)hundert(?:und)?)?(?:(\w+?)und(?=\w+ig))?(\w*)")


@functools.lru_cache(maxsize=16_384)
def number(words: str, language: str) -> str:
    """Return a number in words as digits, as "27" or "3rd"; "" if it is none."""
    if language not in _SCALES:
        return ""
    parts = words.lower().split()
    if language == ENGLISH:
        parts = [one for at, one in enumerate(parts) if one != "and" or parts[at - 1 : at] != ["hundred"]]
        if parts and parts[-1] in _ENGLISH_ORDINALS:
            value = _sum([*parts[:-1], _ENGLISH_ORDINALS[parts[-1]]], language)
            return "" if value is None else _ordinal(value)
    elif len(parts) == 1 and (found := _ORDINAL.fullmatch(parts[0])):
        value = _german_ordinal(found[1])
        if value is not None:
            return _ordinal(value)
    value = _sum(parts, language)
    return "" if value is None else str(value)


def _sum(parts: Sequence[str | int], language: str) -> int | None:
    """Return the value of units and scales in a row; None if they are not a number."""
    whole, here, scale = 0, None, 0
    for one in parts:
        value = one if isinstance(one, int) else _ENGLISH.get(one) if language == ENGLISH else german(one)
        factor = None if isinstance(one, int) else _SCALES[language].get(one)
        if factor == 100 and here is not None and 0 < here < 100:  # noqa: PLR2004
            here *= factor
        elif factor is not None and (not scale or factor < scale) and (here or len(parts) == 1):
            whole, here, scale = whole + (here or 1) * factor, None, factor
        elif value is not None and (here is None or _continues(here, value)):
            here = (here or 0) + value
        else:
            return None
    return None if not parts else whole + (here or 0)


def _continues(before: int, value: int) -> bool:
    """Return whether "seven" can be after "twenty", and "five" after "two hundred"."""
    return (before >= 100 and not before % 100) or (before % 100 >= 20 and not before % 10 and 0 < value < 10)  # noqa: PLR2004


@functools.lru_cache(maxsize=16_384)
def german(word: str) -> int | None:
    """Return the value of a German numeral of one word; None if it is none."""
    found = _PARTS.fullmatch(word)
    if not word or found is None:
        return None
    whole = 0
    for part, factor in ((found[1], 1_000), (found[2], 100)):
        if part is not None:
            value = german(part) if part else 1
            if value is None:
                return None
            whole += value * factor
    unit, last = found[3], found[4]
    if unit is not None:
        if last not in _GERMAN or not 0 < _GERMAN.get(unit, 0) < 10:  # noqa: PLR2004
            return None
        return whole + _GERMAN[unit] + _GERMAN[last]
    if last:
        return None if last not in _GERMAN else whole + _GERMAN[last]
    return whole or None


def _german_ordinal(stem: str) -> int | None:
    if stem in _IRREGULAR:
        return _IRREGULAR[stem]
    value = german(stem.removesuffix("st")) if stem.endswith("st") else None
    if value is not None and value >= 20:  # noqa: PLR2004
        return value
    value = german(stem.removesuffix("t")) if stem.endswith("t") else None
    return value if value is not None and value < 20 else None  # noqa: PLR2004


def _ordinal(value: int) -> str:
    ending = "th" if value % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(value % 10, "th")
    return f"{value}{ending}"

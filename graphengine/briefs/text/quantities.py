"""Quantities: numbers in words, dates, currencies and the names of units.

Babel has the names of units, months and weekdays and the decimal signs of all languages of the rules, and the codes of
currencies.
"""

import functools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from graphengine.briefs.text.language import ENGLISH, library, stop_words
from graphengine.briefs.text.numerals import GERMAN, LONGEST, number

_NO_UNIT: Final = ("graphics-", "concentr-item", "concentr-karat", "length-point", "-person")  # "5 items", "2 points"
_TIMES: Final = "mal"  # "siebenmal" is 7 times
_THOUSANDS: Final = re.compile(r"(?<=\d)(?<!\d{4})(?<![.,]\d)(?<![.,]\d\d)[.\u00a0\u202f\u2009' ](?=\d{3}(?![\d]))")
_GAP: Final = r"[ \t\u00a0]+"


@dataclass(frozen=True, slots=True)
class Spoken:
    """A number in words.

    Args:
        start, end: The first of its words, and the one after its last.
        value: Its digits, as "27"; ordinals are written as "3rd".
        times: Whether it counts repetitions, as "siebenmal".
    """

    start: int
    end: int
    value: str
    times: bool = False


@functools.lru_cache(maxsize=4096)
def spoken(parts: tuple[str, ...], language: str) -> tuple[Spoken, ...]:
    """Return the numbers in words, each as long as it can be: "two hundred and five".

    Args:
        parts: The words of a sentence; "" for whatever a number cannot go across.
        language: Their language.
    """
    found: list[Spoken] = []
    start = 0
    while start < len(parts):
        times = language == GERMAN and parts[start].lower().endswith(_TIMES)
        first = parts[start][: -len(_TIMES)] if times else parts[start]
        value, end = number(first, language), start + 1
        for after in range(start + 2, 1 + min(start + LONGEST, len(parts))) if value and not times else ():
            if not parts[after - 1]:
                break
            if more := number(" ".join(parts[start:after]), language):
                value, end = more, after
        if value and (end > start + 1 or not _is_other(first, value, language)):
            found.append(Spoken(start, end, value, times))
        start = end
    return tuple(found)


def _is_other(word: str, value: str, language: str) -> bool:
    """Return whether a word is a number only by its form: the unit "second", an article."""
    return word.lower() == "second" if language == ENGLISH else value == "1"


@functools.cache
def _locale(language: str) -> Any:  # noqa: ANN401 - Babel is imported when it is first used
    return library("babel").Locale.parse(language)


@functools.cache
def currencies() -> frozenset[str]:
    """Return the codes of currencies, as USD."""
    return frozenset(library("babel.numbers").list_currencies())


@functools.cache
def unit_names(language: str) -> Mapping[str, str]:
    """Return the names and signs of units in a language, in lower case, with the identifiers of CLDR."""
    found: dict[str, str] = {}
    data = library("babel.localedata")
    for unit, forms in data.LocaleDataDict(data.load(language))["unit_patterns"].items():
        if "-per-" in unit or any(part in unit for part in _NO_UNIT):
            continue
        patterns = [pattern for form in forms.values() if isinstance(form, Mapping) for pattern in form.values()]
        for pattern in patterns:
            name = pattern.replace("{0}", "").strip().lower().rstrip(".") if isinstance(pattern, str) else ""
            if len(name) > 1 and name.isalpha() and name not in stop_words(language):
                found.setdefault(name, unit)
    return found


@functools.cache
def calendar(language: str) -> frozenset[str]:
    """Return the names of months and weekdays in a language, in lower case."""
    found = _locale(language)
    wide = [each["wide"].values() for table in (found.months, found.days) for each in table.values()]
    return frozenset(str(name).lower() for names in wide for name in names)


@functools.cache
def _months(language: str) -> Mapping[str, int]:
    names = [form for kind in _locale(language).months.values() for width, form in kind.items() if width != "narrow"]
    return {str(name).rstrip("."): number for form in names for number, name in form.items()}


@functools.cache
def _date_patterns(language: str) -> tuple[re.Pattern[str], ...]:
    longest = sorted(_months(language), key=len, reverse=True)
    month = rf"(?P<month>{'|'.join(map(re.escape, longest))})\b\.?"
    day = r"(?<![\w.,:/-])(?P<day>\d{1,2})(?:st|nd|rd|th|\.)?"
    year = r"(?P<year>(?:1\d|20|21)\d\d)(?![\w])"
    return (
        re.compile(rf"{day}{_GAP}(?:of{_GAP}|de{_GAP})?{month}(?:,?{_GAP}(?:de{_GAP})?{year})?"),
        re.compile(rf"\b{month}{_GAP}(?P<day>\d{{1,2}})(?:st|nd|rd|th)?(?![\w%]|[.,:]\d)(?:,?{_GAP}{year})?"),
        re.compile(rf"\b{month},?{_GAP}(?:de{_GAP})?{year}"),
    )


def in_figures(text: str, language: str) -> str:
    """Return a text with its dates and thousands in figures: 1200 for 1.200 if a language writes it so, 2025-04-30.

    A date without the year is --04-30, one without the day 2025-04.
    """
    if not any(character.isdigit() for character in text):
        return text
    if has_decimal_comma(language):
        text = _THOUSANDS.sub("", text)
    for pattern in _date_patterns(language):
        text = pattern.sub(lambda found: _in_figures(found, language), text)
    return text


def _in_figures(found: re.Match[str], language: str) -> str:
    parts = found.groupdict()
    day, year = int(parts.get("day") or 0), parts.get("year")
    if day > 31:  # noqa: PLR2004 - no day of a month
        return found[0]
    month = f"{_months(language)[parts['month']]:02}"
    return f" {year or '-'}-{month}{f'-{day:02}' if day else ''} "


_HALVES: Final[Mapping[str, Mapping[str, str]]] = {
    ENGLISH: {
        r"half an? second": "0.5 seconds",
        r"half an? minute": "30 seconds",
        r"half an hour": "30 minutes",
        r"an hour and a half|one and a half hours": "90 minutes",
        r"half a day": "12 hours",
        r"half a year": "6 months",
        r"half a dozen": "6",
        r"half a million": "500000",
        r"half a billion": "500000000",
    },
    GERMAN: {
        r"(?:eine )?halbe Sekunde": "0,5 Sekunden",
        r"(?:eine |einer )?halben? Minute": "30 Sekunden",
        r"(?:eine |einer )?halben? Stunde": "30 Minuten",
        r"anderthalb Stunden": "90 Minuten",
        r"(?:ein |einen )?halber? Tag|halben Tag": "12 Stunden",
        r"(?:ein |einem )?halbe[sn] Jahr": "6 Monate",
        r"(?:eine )?halbe Million": "500000",
    },
}


def without_halves(text: str, language: str) -> str:
    """Return a text with "half a minute" as "30 seconds"."""
    for phrase, plain in _HALVES.get(language, {}).items():
        text = re.sub(rf"\b(?:{phrase})\b", plain, text, flags=re.IGNORECASE)
    return text


def has_date(known: Sequence[str], claimed: str) -> bool:
    """Return whether one of some dates is the claimed one, or says it more exactly: the day of a month or year."""
    if claimed.startswith("--"):
        return any(one.endswith(claimed[1:]) for one in known)
    return any(one == claimed or one.startswith(f"{claimed}-") for one in known)


@functools.cache
def has_decimal_comma(language: str) -> bool:
    """Return whether a language writes 1.234,5 for 1234.5."""
    return bool(library("babel.numbers").get_decimal_symbol(_locale(language)) == ",")

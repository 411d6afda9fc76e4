"""Wording: the commitments of a sentence in order: its words, its figures with their units, and its signs.

A sign is a word that changes the meaning of others: "not", "only", "at least", "may". Other stop words are left out,
words are compared by stems, and figures by value: "1,000" is "1000", "three" is "3", "5ms" is "5 milliseconds"; but
"3.10" is not "3.1", since it can be a version. A comma between digits separates thousands if three digits follow it,
otherwise decimals.
"""

import functools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Final, Literal

from graphengine.briefs.text.language import ENGLISH, current
from graphengine.briefs.text.quantities import (
    calendar,
    currencies,
    in_figures,
    spoken,
    unit_names,
)
from graphengine.briefs.text.words import (
    INSTRUCTION_WORDS,
    STOP_WORDS,
    is_stop_word,
    stem,
    stem_sequence,
    subject_words,
    word_list,
    words,
)

Kind = Literal["word", "figure", "sign"]


@dataclass(frozen=True, slots=True)
class Token:
    """A word, figure or sign of a sentence.

    Args:
        kind: A word, a figure or a sign.
        key: What is compared: the stem, the value, the sign's name.
        text: The original spelling.
        clause: The clause of the sentence, from 0.
        unit: The unit of a figure; "" for none.
        name: Whether a word is a name: it has a capital or a digit, or is code.
    """

    kind: Kind
    key: str
    text: str
    clause: int = 0
    unit: str = ""
    name: bool = False

    @property
    def value(self) -> tuple[Kind, str, str]:
        """The kind, key and unit: two tokens with the same value mean the same."""
        return self.kind, self.key, self.unit


_UNIT_WORDS: Final[Mapping[str, str]] = {
    "%": "% percent percentage",
    "point": "percentagepoint pp",
    "\u2030": "\u2030 permille",
    "$": "$ usd dollar dollars",
    "\u20ac": "\u20ac eur euro euros",
    "\u00a3": "\u00a3 gbp pound pounds",
    "ns": "ns nanosecond nanoseconds",
    "us": "us \u00b5s \u03bcs microsecond microseconds",
    "ms": "ms msec millisecond milliseconds",
    "s": "s sec secs second seconds",
    "min": "min mins minute minutes",
    "h": "h hr hrs hour hours",
    "day": "d day days",
    "week": "week weeks",
    "month": "month months",
    "year": "yr yrs year years",
    "bit": "bit bits",
    "byte": "b byte bytes",
    "kb": "kb kilobyte kilobytes",
    "mb": "mb megabyte megabytes",
    "gb": "gb gigabyte gigabytes",
    "tb": "tb terabyte terabytes",
    "kib": "kib kibibyte kibibytes",
    "mib": "mib mebibyte mebibytes",
    "gib": "gib gibibyte gibibytes",
    "tib": "tib tebibyte tebibytes",
    "hz": "hz hertz",
    "khz": "khz kilohertz",
    "mhz": "mhz megahertz",
    "ghz": "ghz gigahertz",
    "mm": "mm millimetre millimetres millimeter millimeters",
    "cm": "cm centimetre centimetres centimeter centimeters",
    "m": "m metre metres meter meters",
    "km": "km kilometre kilometres kilometer kilometers",
    "mile": "mi mile miles",
    "foot": "ft foot feet",
    "mg": "mg milligram milligrams",
    "g": "g gram grams",
    "kg": "kg kilogram kilograms",
    "ton": "t ton tons tonne tonnes",
    "ml": "ml millilitre millilitres milliliter milliliters",
    "l": "l litre litres liter liters",
    "w": "w watt watts",
    "kw": "kw kilowatt kilowatts",
    "mw": "mw megawatt megawatts",
    "v": "volt volts",
    "\u00b0": "\u00b0 degree degrees",
    "\u00b0c": "\u00b0c celsius",
    "\u00b0f": "\u00b0f fahrenheit",
    "x": "x \u00d7 times fold mal",
}
_UNITS: Final = {word: unit for unit, spelt in _UNIT_WORDS.items() for word in spelt.split()}
_OTHER_FIGURES: Final = {
    "half": "1/2", "halves": "1/2", "twice": "2x", "double": "2x", "doubles": "2x", "doubled": "2x", "triple": "3x",
    "triples": "3x", "tripled": "3x", "thrice": "3x", "dozen": "12", "first": "1st",
    "hundreds": "100s", "thousands": "1000s", "millions": "1000000s", "billions": "1000000000s", "dozens": "12s",
    "tens": "10s", "single": "1",
}  # fmt: skip
_SUM: Final = r"(?= (?:[a-z]{3} |[$\u20ac\u00a3])?\d)"  # "above NOK 50,000"
_PHRASES: Final = tuple(
    (re.compile(rf"\b(?:{phrase})\b|{sign}" if sign else rf"\b(?:{phrase})\b", re.IGNORECASE), f" \ue000{name}\ue001 ")
    for name, phrase, sign in (
        ("NOT-ONLY", r"not (?:only|just|merely)", ""),
        ("AT-LEAST", r"at least|no (?:less|fewer) than|not (?:less|fewer) than|(?:a )?minimum of", r"\u2265|>="),
        ("AT-MOST", r"at most|no more than|not more than|up to(?= (?:\d|the|an?|\w+ty|ten|\w+teen))|(?:a )?maximum of",
         r"\u2264|<="),
        ("MORE-THAN", r"more than|greater than|larger than|higher than|(?:above|over|exceeds?)" + _SUM,
         r"(?<![-=])>(?=\s?\d)"),
        ("LESS-THAN", r"(?:less|fewer|smaller|lower) than|(?:below|under)" + _SUM, r"<(?=\s?\d)"),
        ("NOT", r"no longer", ""),
    )
)  # fmt: skip
_SIGNS: Final = {
    word: sign
    for sign, spelt in {
        "NOT": "not cannot",
        "NO": "no none nobody nothing neither nor nowhere",
        "NEVER": "never",
        "WITHOUT": "without",
        "RARELY": "rarely seldom hardly scarcely barely",
        "ONLY": "only solely exclusively",
        "ALL": "all every each everything everybody everyone always entirely completely whole",
        "ANY": "any anything anybody anyone",
        "BOTH": "both",
        "MOST": "most mostly usually typically generally often frequently largely mainly normally",
        "SOME": "some sometimes occasionally several partly partially",
        "MANY": "many",
        "FEW": "few",
        "ALMOST": "almost nearly approximately roughly",
        "MAY": "can could may might possibly perhaps maybe",
        "MUST": "must shall",
        "SHOULD": "should ought",
        "UNLESS": "unless",
        "EXCEPT": "except excluding",
        "IF": "if",
        "BEFORE": "before prior",
        "AFTER": "after",
        "UNTIL": "until till",
        "ABOVE": "above",
        "BELOW": "below beneath",
        "MORE": "more",
        "LESS": "less fewer",
        "LAST": "last",
        "BY": "by",
        "OFF": "off",
    }.items()
    for word in spelt.split()
}
_LEXEME: Final = re.compile(
    r"(?P<sign>\ue000[A-Z-]+\ue001)"
    r"|(?P<date>(?:\d{4}|-)-\d{2}-\d{2}|\d{4}-\d{2}(?![\d-]))"
    r"|(?P<clock>(?<![\w.])\d{1,2}:\d{2}(?::\d{2})?)"
    r"|(?P<ordinal>\d+(?:st|nd|rd|th)\b)"
    r"|(?P<version>(?<![\w.])v?\d+(?:\.\d+){2,}[\w+-]*|(?<![\w.])v\d+(?:\.\d+)*)"
    r"|(?P<fraction>\d+/\d+(?![\w/]))"
    r"|(?P<hex>0x[0-9a-fA-F]+)"
    r"|(?P<number>(?:(?<![\w)\]])[-+\u2212])?"
    r"(?:\d{1,3}(?:[,'\u2019_\u00a0\u202f\u2009 ]\d{3})+(?![\d,])(?:\.\d+)?|\d+(?:[.,]\d+)?(?:[eE][-+]?\d+)?))"
    r"|(?P<word>[^\W\d_](?:\w|['\u2019.](?=\w))*)"
    r"|(?P<mark>[%\u2030$\u20ac\u00a3\u00b0\u00d7](?:[CF]\b)?)"
    r"|(?P<clause>[|;:,()\u2014!?\u3002\uff0c]|\.(?=\s|$)|--|\s\u2013\s)"
    r"|(?P<other>\S)"
)
_CODE: Final = re.compile(r"`([^`]*)`")
_NEGATED: Final = re.compile(
    r"\b(ca|wo|sha|ai|is|are|was|were|do|does|did|has|have|had|could|would|should|must|might|need)n['\u2019]?t\b",
    re.IGNORECASE,
)
_CURRENCIES: Final = frozenset("$\u20ac\u00a3")
_POINTS: Final = re.compile(r"(?:\bpercent(?:age)?|\bper cent|%)[ -]points?\b|\bProzentpunkten?\b", re.IGNORECASE)
_ARTICLES: Final = frozenset(["a", "an"])


def wording(sentence: str) -> tuple[Token, ...]:
    """Split a sentence into tokens.

    Args:
        sentence: One sentence; code in backticks counts as names.
    """
    return _wording(sentence, current())


@functools.lru_cache(maxsize=4096)
def _wording(sentence: str, language: str) -> tuple[Token, ...]:
    return tuple(_with_units(_numerals(_tokens(sentence, language))))


def exact(sentence: str) -> tuple[object, ...]:
    """Return a key that is equal for sentences with the same words and figures, ignoring case and punctuation."""
    figures = tuple(one.value for one in wording(sentence) if one.kind == "figure")
    return (*(word.casefold() for word in words(sentence)), *figures) or (sentence,)


@functools.cache
def _common() -> frozenset[str]:
    return frozenset(stem(word) for word in word_list("common_words.txt") | INSTRUCTION_WORDS | STOP_WORDS)


def is_specific(word: str) -> bool:
    """Return whether a word names a specific subject, like "penguin" and unlike "problem"."""
    return not is_stop_word(word) and not (current() == ENGLISH and stem(word) in _common())


def specific_words(task: str) -> list[str]:
    """Return the words of a task that name its subject and not the kind of request."""
    return [word for word in subject_words(task) if is_specific(word)]


def _prepared(sentence: str, language: str) -> str:
    plain = _CODE.sub(lambda code: " ".join(f"\ue002{part}" for part in code[1].split()) or " ", sentence)
    plain = _POINTS.sub(" percentagepoint ", in_figures(plain, language))
    plain = _NEGATED.sub(lambda found: f"{_AUXILIARY.get(found[1].lower(), found[1])} not", plain)
    for phrase, sign in _PHRASES:
        plain = phrase.sub(sign, plain)
    return plain


_AUXILIARY: Final = {"ca": "can", "wo": "will", "sha": "shall", "ai": "is"}


def _tokens(sentence: str, language: str) -> Iterator[Token]:
    text = _prepared(sentence, language)
    lexemes = [one for one in _LEXEME.finditer(text) if one[0] not in ("-", "\ue002")]
    is_code = [text[: one.start()].endswith("\ue002") for one in lexemes]
    plain = [
        one[0] if one.lastgroup == "word" and not code and one[0].lower() not in _OTHER_FIGURES else ""
        for one, code in zip(lexemes, is_code, strict=True)
    ]
    numbers = {one.start: one for one in spoken(tuple(plain), language)}
    clause, opens, after = 0, True, 0
    for at, match in enumerate(lexemes):
        kind, written = str(match.lastgroup), match[0]
        if at < after:
            continue
        if number := numbers.get(at):
            after = number.end
            said = "-".join(plain[at:after])
            yield Token("figure", number.value, said, clause)
            if number.times:
                yield Token("word", "x", said, clause, unit="x")
        elif kind == "clause":
            clause += 1
        elif kind == "sign":
            yield Token(
                "sign", written.strip("\ue000\ue001"), written.strip("\ue000\ue001").lower().replace("-", " "), clause
            )
        elif kind == "word":
            yield from _word(written, clause, language, opens=opens, code=is_code[at])
        elif kind == "mark":
            yield Token("word", written.lower(), written, clause, unit=_UNITS.get(written.lower(), ""))
        elif kind != "other":
            yield Token("figure", _value(written, kind), written, clause)
        opens = opens and kind in {"clause", "other", "mark"}


@functools.cache
def _unit_words(language: str) -> Mapping[str, str]:
    """Return the units of a language: the English and international words above, then those of Babel."""
    known = unit_names(ENGLISH)
    same = {unit: _UNITS[word] for word, unit in known.items() if word in _UNITS and len(word) > 2}  # noqa: PLR2004
    return {word: same.get(unit, unit) for word, unit in {**known, **unit_names(language)}.items()} | _UNITS


def _unit_of(written: str, language: str) -> str:
    plain = written.lower()
    if written in currencies():
        return _UNITS.get(plain, plain)
    return _unit_words(language).get(plain, "")


def _word(written: str, clause: int, language: str, *, opens: bool, code: bool) -> Iterator[Token]:
    plain = written.lower().replace("\u2019", "'")
    if not code and plain == "cannot":
        yield Token("sign", "MAY", "can", clause)
    if not code and plain in _SIGNS and (opens or written != "May"):  # the month
        yield Token("sign", _SIGNS[plain], written, clause)
        return
    shows = any(character.isupper() for character in (written[1:] if opens else written))
    named = code or shows or any(character.isdigit() for character in written)
    if plain in _OTHER_FIGURES or plain in _ARTICLES:
        yield Token("word", plain, written, clause)  # `_numerals` makes figures of them
    elif code:
        yield Token("word", plain, written, clause, name=True)
    else:
        unit = _unit_of(written, language)
        for one in stem_sequence(written):
            if one or unit:
                yield Token("word", one or plain, written, clause, unit, name=bool(one) and named)


def _value(written: str, kind: str) -> str:
    """Return the value of a figure, the same for every spelling."""
    if kind == "version":
        return written.lower().removeprefix("v")
    if kind != "number":
        return written.lower()
    plain = written.replace("\u2212", "-").removeprefix("+")
    grouped = re.fullmatch(r"-?\d{1,3}(?:[,'\u2019_\u00a0\u202f\u2009 ]\d{3})+(?:\.\d+)?", plain)
    return re.sub(r"[,'\u2019_\u00a0\u202f\u2009 ]", "", plain) if grouped else plain.replace(",", ".")


def _numerals(tokens: Iterable[Token]) -> list[Token]:
    """Turn other words into figures, as "half"; multiply "2 million"; remove articles."""
    found: list[Token] = []
    for token in tokens:
        last = found[-1] if found and found[-1].clause == token.clause and _NUMBER.fullmatch(found[-1].key) else None
        if token.kind == "figure" and token.text.isalpha() and last and last.kind == "figure" and _is_scale(token.key):
            scaled = Decimal(last.key) * Decimal(token.key)
            found[-1] = replace(last, key=f"{scaled.normalize():f}", text=f"{last.text} {token.text}")
        elif token.kind != "word" or token.name:
            found.append(token)
        elif token.key in _OTHER_FIGURES:
            found.append(replace(token, kind="figure", key=_OTHER_FIGURES[token.key]))
        elif token.key not in _ARTICLES:
            found.append(token)
    return found


_NUMBER: Final = re.compile(r"-?\d+(?:\.\d+)?")


def _is_scale(value: str) -> bool:
    """Return whether a number is a hundred, a thousand, a million, and so on."""
    return value[:1] == "1" and len(value) > 2 and not value.strip("0").strip("1")  # noqa: PLR2004


def _with_units(tokens: Sequence[Token]) -> Iterator[Token]:
    """Give figures the units next to them: "$5", "5 ms"; in "5 to 10 ms" both get ms."""
    found = list(tokens)
    unit = ""
    for at in reversed(range(len(found))):
        token, is_followed = found[at], at + 1 < len(found) and found[at + 1].kind == "figure"
        if token.kind == "figure":
            found[at] = replace(token, unit=unit)
        elif _leads(token) and is_followed:
            found[at + 1] = replace(found[at + 1], unit=token.unit)
            unit = ""
        else:
            unit = token.unit if token.kind == "word" else ""
    for at, token in enumerate(found):
        taken = at > 0 and found[at - 1].kind == "figure" and found[at - 1].unit == token.unit
        leads = _leads(token) and at + 1 < len(found) and found[at + 1].kind == "figure"
        if token.kind == "figure" or not token.unit:
            yield token
        elif not taken and not leads and len(token.text) > 1:
            yield replace(token, unit="")  # a word like any other


_OFTEN: Final = {"hourly": "h", "daily": "day", "weekly": "week", "monthly": "month", "quarterly": "duration-quarter",
                 "yearly": "year", "annual": "year", "annually": "year"}  # fmt: skip
_DURATIONS: Final = frozenset(["s", "min", "h", "day", "week", "month", "year", "duration-quarter"])


def period(token: Token) -> str:
    """Return the time that a word names, a month, a weekday or a length, as in "per year"; "" for other words."""
    plain = token.text.lower()
    if token.kind != "word" or len(plain) == 1:
        return ""
    if plain in calendar(current()):
        return plain
    unit = _OFTEN.get(plain) or _unit_of(token.text, current())
    return unit if unit in _DURATIONS else ""


def _leads(token: Token) -> bool:
    """Return whether a token is a currency, which can be before its figure."""
    return token.text in _CURRENCIES or (bool(token.unit) and token.text in currencies())

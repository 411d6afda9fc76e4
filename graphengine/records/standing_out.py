"""Find what recorded runs that failed at a node have in common and other runs do not.

The caller passes two lists of runs: runs that failed at a node, and runs that went through the same node. Each run is
given as the values that it had when it arrived at the node. The result is shown to people who look for the cause of the
failures, for example as "at charge, 69 of 69 failed had country = CH; of the 250 others that came there, none".

Two words are used throughout the module. A *place* is the path of a value inside these values, such as `order.country`,
or `order.parts[].weight` for the weights of all parts. A *feature* is a statement about the value at a place that is
true or false for each run, such as `order.country = CH`, `order.vat_rate missing` or `amount ≥ 1000`. This module lists
the features of all runs, and returns those that nearly all failed runs and few other runs have. It reads no store, and
calls no code of the user.

With many places and few runs, some feature always separates the two lists by chance. A feature is therefore returned
only if Fisher's exact test finds that chance is no explanation. The test is corrected for the number of features that
are tested, because each further test is another opportunity for chance. A feature that holds for very few runs, or for
nearly all runs, could never be returned, so it is left out of this number (Tarone 1990).

If all other runs began before or after the failed runs, every value that changes with time separates the two lists,
such as a date or a growing number. Only features that do not change with time by themselves are returned then: whether
a value is present, its type, its form, and values that nodes wrote.

Source: R. E. Tarone, "A modified Bonferroni method for discrete data", Biometrics 46, 1990.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence  # noqa: TC003 - a document is made of these types
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from enum import IntEnum
from itertools import combinations, pairwise
from typing import TYPE_CHECKING, Final, TypeAlias

from pydantic_core import from_json

from graphengine.kernel.inside import is_sealed
from graphengine.records.base_documents import Part

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from graphengine.kernel.extension import JsonValue

FEWEST: Final = 5
"""The fewest failed runs, and the fewest other runs, for which features are searched."""
_CHANCE: Final = 0.01
"""The greatest accepted probability that a feature is returned although only chance separates the runs."""
CALL: Final = "()"
"""The end of the name under which the result of a recorded call is compared, such as `fetch_rate()`.

Whether such a name is present is no feature: a call that follows the failure in the node's code was never made."""
_COVERED: Final = 0.9
"""The smallest share of the failed runs that must have a feature."""
_OTHERS: Final = 1 / 3
"""The largest share of the other runs that may have a feature."""
_TIE: Final = 0.02
"""Two features count as equally good if their results of `_Sample.separation` differ by at most this much."""
_RUNNERS_UP: Final = 3
"""How many features are returned besides the best."""
_PLACES: Final = 400
"""The largest number of values of one run that are compared."""
_ITEMS: Final = 50
_KEYS: Final = 100
_DEPTH: Final = 8
_TEXT: Final = 2000
"""The largest number of characters of a text that are examined."""
_VALUE: Final = 60
"""Longer texts are only described, for example by their length, and not compared as `= TEXT`."""
_BITS: Final = 200
"""Larger integers are not compared as `= NUMBER`, because Python refuses to write thousands of digits."""
_DECIMALS: Final = 15
_GROUPED: Final = 20
"""Features such as `country = one of CH, NO` are searched only at places with at most so many different values."""
_GROUP: Final = 4
_SECRET: Final = 3
"""Secrets with fewer bytes are ignored, because any text contains them by chance."""
_SEAL: Final = 16
"""The number of bytes by which an encrypted secret is longer than its JSON."""
_REFUSED: Final = 32
"""The engine refuses to let a node write a secret of at least this many bytes to a field that is not secret."""

_STAMP: Final = re.compile(r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d.*)?")
_ZONE: Final = re.compile(r"\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?(Z|[+-]\d\d:?\d\d)$")
_NUMBER: Final = re.compile(r"[+-]?\d{1,15}(?:\.\d{1,15})?")
_LEADING_ZERO: Final = re.compile(r"0(?![.,]).")
_PREFIX: Final = re.compile(r"[^\W\d_]{1,5}(?=[\d_-])")
_WORD: Final = re.compile(r"[^\W_]{2,30}")
_PLAIN: Final = re.compile(r"[^\W\d][\w.@:/+-]*")
_TYPES: Final = {
    bool: "yes or no",
    int: "a number",
    float: "a number",
    str: "a text",
    list: "a list",
    dict: "an object",
}
_DAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")

Places: TypeAlias = "dict[str, list[JsonValue]]"


class _Kind(IntEnum):
    """The kinds of features by which failed runs can differ from others, such as an equal value or a threshold.

    If several features separate the runs equally well, the feature with the lowest number comes first.
    """

    PRESENT = 0
    EQUAL = 1
    TYPE = 2
    FORM = 3
    THRESHOLD = 4
    ONE_OF = 5
    CONTENT = 6
    NOT = 7


_TIMELESS: Final = (_Kind.PRESENT, _Kind.TYPE, _Kind.FORM)
"""The kinds of features that do not change with time by themselves, as numbers and dates do."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """The values that one run had when it arrived at a node.

    They are compared with the values of other runs at the same node.

    Attributes:
        values: The fields of the run's state, and the results that the node had recorded before it ended, by name.
        derived: The names of those values that nodes wrote. The other values were given by a caller or a person.
        at: The time when the run began, in epoch seconds.
    """

    values: Mapping[str, JsonValue]
    derived: Collection[str] = ()
    at: float = 0.0


class SharedFeature(Part):
    """A feature that failed runs have in common.

    Attributes:
        place: The path of the value, e.g. `order.country`.
        text: The feature, e.g. `order.country = CH`.
        failed: How many of the failed runs have the feature.
        others: How many of the other runs have the feature.
        is_given: Whether callers or people gave the value; otherwise nodes wrote it.
    """

    place: str
    text: str
    failed: int
    others: int
    is_given: bool


@dataclass(frozen=True, slots=True)
class _Feature:
    """A feature that values of runs can have, such as `country = CH`, together with the runs that have it.

    Bit `n` of `runs` is set if the run with the number `n` has the feature.
    """

    runs: int
    kind: _Kind
    place: str
    text: str


@dataclass(slots=True)
class _Sample:
    """The failed runs and the other runs that are compared, and the values of each run by place (path of a value).

    The runs are numbered: first the failed runs, then the others. A set of runs is an integer with a bit for each run,
    so that sets can be combined quickly.

    Attributes:
        failed: The runs that failed.
        others: The runs that went through the node.
        is_apart: Whether nearly all other runs began before the first or after the last failed run.
        derived: The names of the values that nodes wrote; callers and people gave the others.
        message: The error message of a failed run.
        values: The values at each place, by the number of the run.
        withheld: The places whose values may contain the value of a secret field. Only the types of these values are
            compared, and whether there are values.
    """

    failed: Sequence[Arrival]
    others: Sequence[Arrival]
    is_apart: bool
    derived: frozenset[str]
    message: str
    values: dict[str, dict[int, list[JsonValue]]] = field(default_factory=dict)
    withheld: set[str] = field(default_factory=set)

    def fits(self, feature: _Feature) -> bool:
        """Return whether a feature counts as tested, because it could have been returned for other failed runs.

        A feature could never be returned if too few or too many runs have it, or if it may only show when the runs
        began. The number of tested features is needed to judge whether a feature is only due to chance.
        """
        runs, failed, others = feature.runs.bit_count(), len(self.failed), len(self.others)
        if self.is_apart and feature.kind not in _TIMELESS:
            is_ordered = feature.kind == _Kind.THRESHOLD or not self.is_derived(feature.place)
            if is_ordered:
                return False
        return _COVERED * failed <= runs <= failed + _OTHERS * others

    def is_derived(self, place: str) -> bool:
        return _root_of(place) in self.derived

    def split(self, runs: int) -> tuple[int, int]:
        """Return how many failed runs and how many other runs a set of runs contains."""
        bad = (runs & ((1 << len(self.failed)) - 1)).bit_count()
        return bad, runs.bit_count() - bad

    def separation(self, runs: int) -> float:
        """Return how well a set of runs agrees with the failed runs; 1 if it contains exactly the failed runs.

        This is the share of all failed runs that are in the set, minus the share of all other runs that are in the set.
        """
        bad, good = self.split(runs)
        return bad / len(self.failed) - good / len(self.others)

    def stands_out(self, runs: int, tried: int) -> bool:
        """Return whether a feature separates the failed runs from the others, so clearly that it cannot be chance.

        Nearly all failed runs must have the feature, and few other runs.

        Args:
            runs: The runs that have a feature.
            tried: The number of features that are tested.
        """
        bad, good = self.split(runs)
        is_clear = bad >= _COVERED * len(self.failed) and good <= _OTHERS * len(self.others)
        return is_clear and tried * _fisher(bad, good, len(self.failed), len(self.others)) <= _CHANCE / 2

    def rank(self, feature: _Feature) -> tuple[bool, bool, int, int, float, str]:
        """Return the key by which features are sorted that separate the runs equally well.

        The feature that is the most likely cause comes first.
        """
        name = re.split(r"[.\[]", feature.place)[-1]
        is_named = bool(name) and re.search(rf"(?<!\w){re.escape(name)}(?!\w)", self.message) is not None
        depth, exact = feature.place.count("."), -self.separation(feature.runs)
        return self.is_derived(feature.place), not is_named, feature.kind, depth, exact, feature.text


def find_shared_features(
    failed: Sequence[Arrival],
    others: Sequence[Arrival],
    *,
    message: str = "",
    hides: Callable[[str], bool] = lambda _: False,
) -> Sequence[SharedFeature]:
    """Return the features that separate failed runs from other runs, the most likely cause first.

    Of features that separate the runs equally well, values that callers gave precede values that nodes wrote, because
    the second often follow from the first.

    Args:
        failed: The runs that failed at a node.
        others: The runs that went through the same node.
        message: The error message of a failed run. A feature whose field is named in the message is preferred.
        hides: Returns whether a text contains a secret. A place with such a text is left out in all runs, and so is a
            secret field. If a value is long enough to contain the value of a secret field of its run, only the type of
            the value is compared.

    Returns:
        At most four features of different places; none if nothing stands out.
    """
    if min(len(failed), len(others)) < FEWEST:
        return []
    first, last = min(each.at for each in failed), max(each.at for each in failed)
    near = [each for each in others if first <= each.at <= last]
    is_apart = len(near) < FEWEST
    others = near if len(near) >= FEWEST else others
    derived = frozenset(name for each in (*failed, *others) for name in each.derived)
    sample = _Sample(failed, others, is_apart, derived, message, {})
    _collect_places(sample, hides)
    found = _list_outstanding(sample)
    if not found:
        return []
    best = max(sample.separation(each.runs) for each in found)
    level = [each for each in found if sample.separation(each.runs) >= best - _TIE]
    level.sort(key=sample.rank)
    by_value = {each.place for each in level if each.kind in (_Kind.EQUAL, _Kind.ONE_OF, _Kind.NOT)}
    member_fields = _list_member_fields(sample, by_value)
    chosen: dict[str, _Feature] = {}
    for each in level:
        if any(_is_copy(each, one) for one in chosen.values()):
            continue
        if not member_fields.intersection(_list_prefixes(each.place)) and not any(
            f"{each.place}.".startswith((f"{place}.", f"{place}[")) for place in chosen
        ):
            chosen[each.place] = each
    return [
        SharedFeature(each.place, each.text, *sample.split(each.runs), is_given=not sample.is_derived(each.place))
        for each in [*chosen.values()][: 1 + _RUNNERS_UP]
    ]


def _is_copy(feature: _Feature, other: _Feature) -> bool:
    """Return whether two features say the same about two places, such as a map item and the list that contains it."""
    is_alike = feature.runs == other.runs and feature.kind == other.kind in (_Kind.EQUAL, _Kind.ONE_OF)
    return is_alike and feature.text.removeprefix(feature.place) == other.text.removeprefix(other.place)


def _list_member_fields(sample: _Sample, places: Collection[str]) -> set[str]:
    """Return the places of fields that only some members of a union have.

    For example, a union of a photo and a witness has the fields `kind`, `url` and `name`. Here `kind` decides which of
    the other fields an object has, so that a feature of `kind` explains the features of the others.

    Args:
        sample: The runs that are compared.
        places: The places of fields that may tell the members of a union apart, such as `evidence.kind`.
    """
    found: set[str] = set()
    for place in places:
        around, _, key = place.rpartition(".")
        objects = [
            each for values in sample.values.get(around, {}).values() for each in values if isinstance(each, dict)
        ]
        if not objects or not all(isinstance(each.get(key), str) for each in objects):
            continue
        members: defaultdict[str, set[frozenset[str]]] = defaultdict(set)
        for each in objects:
            members[str(each[key])].add(frozenset(each))
        if 1 < len(members) <= _GROUPED and all(len(each) == 1 for each in members.values()):
            fields = [each for (each,) in members.values()]
            varying = frozenset.union(*fields) - frozenset.intersection(*fields)
            found |= {f"{around}.{each}" if around else each for each in varying}
    return found


def _list_prefixes(place: str) -> list[str]:
    """Return a place and the places around it: `a.b[].c` is inside `a.b[]`, `a.b` and `a`."""
    ends = [each.start() for each in re.finditer(r"[.\[]", place)]
    return [place, *(place[:end] for end in ends)]


def _list_outstanding(sample: _Sample) -> list[_Feature]:
    """Return the features that separate failed runs from other runs better than chance explains, in any order."""
    features = [each for each in _iter_features(sample) if sample.fits(each)]
    tried = len({each.runs for each in features})  # the same runs are the same test
    found = [each for each in features if sample.stands_out(each.runs, tried)]
    groups = {
        place: values
        for place in sample.values
        if place not in sample.withheld and (values := _read_categories(sample, place))
    }
    for place, values in groups.items():
        for feature in _iter_groups(sample, place, values):
            group = feature.text.removeprefix(place).count(",") + 1
            if sample.fits(feature) and sample.stands_out(
                feature.runs, math.comb(len(values), group) * len(groups) * 3
            ):
                found.append(feature)
    return found


def _fisher(bad: int, good: int, failed: int, others: int) -> float:
    """Return the probability that chance alone gives a feature to at least this many failed runs (Fisher's exact test).

    Args:
        bad: The number of failed runs that have the feature.
        good: The number of other runs that have the feature.
        failed: The number of failed runs.
        others: The number of other runs.
    """
    runs, ways = bad + good, math.comb(failed + others, bad + good)
    most = min(runs, failed)
    return sum(math.comb(failed, each) * math.comb(others, runs - each) for each in range(bad, most + 1)) / ways


# --- The places of values ---------------------------------------------------------------------------------------------


def _collect_places(sample: _Sample, hides: Callable[[str], bool]) -> None:
    """Collect the values of all runs by place (path of a value).

    A place with a secret in any run is left out for all runs.
    """
    runs = [*sample.failed, *sample.others]
    sealed = {name for each in runs for name, value in each.values.items() if is_sealed(value)}
    for number, each in enumerate(runs):
        found: Places = {}
        _collect_values({name: value for name, value in each.values.items() if name not in sealed}, "", found, _PLACES)
        for place, values in found.items():
            sample.values.setdefault(place, {})[number] = values
        for least, is_refused in _list_secret_sizes(each):
            sample.withheld |= {
                place
                for place, values in found.items()
                if not (is_refused and sample.is_derived(place)) and any(_size_of(value) >= least for value in values)
            }
    for place, by_run in [*sample.values.items()]:
        texts = {value for values in by_run.values() for value in values if isinstance(value, str)}
        if hides("\n".join([place, *sorted(texts)])):
            del sample.values[place]


def _collect_values(value: JsonValue, place: str, found: Places, left: int) -> int:
    """Collect a value and all values inside it by place (path of a value).

    `left` is how many more values of the run may be collected. The result is how many may be collected afterwards.
    """
    if left <= 0:
        return 0
    found.setdefault(place, []).append(value[:_TEXT] if isinstance(value, str) else value)
    left -= 1
    if place.count(".") + place.count("[") >= _DEPTH:
        return left
    if isinstance(value, dict):
        for key in [*value][:_KEYS]:
            if not is_sealed(value[key]):
                left = _collect_values(value[key], f"{place}.{key}" if place else key, found, left)
    elif isinstance(value, list):
        for item in value[:_ITEMS]:
            left = _collect_values(item, f"{place}[]", found, left)
    return left


def _list_secret_sizes(run: Arrival) -> list[tuple[int, bool]]:
    """Return the size of each secret of a run, and whether the engine keeps nodes from copying the secret.

    The size is the least number of bytes that the secret can have. The secrets cannot be decrypted, because the key is
    not known here. The length of the encrypted record shows how long the JSON of the secret is. JSON contains bytes as
    base64, which is a third longer than the bytes.
    """
    sizes: list[tuple[int, bool]] = []
    for record in run.values.values():
        if is_sealed(record):
            sealed = str(next(iter(record.values())))
            size = (len(sealed) * 3 // 4 - sealed.count("=") - _SEAL - len('""')) * 3 // 4
            sizes += [(size, size >= _REFUSED)] if size >= _SECRET else []
    return sizes


def _size_of(value: JsonValue) -> int:
    """Return the number of bytes of a text or a number in JSON, without quotes. Other values count as 0."""
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        return 0
    if isinstance(value, int) and not _is_comparable(value):
        return value.bit_length() // 3
    return len(json.dumps(value, ensure_ascii=False).strip('"').encode("utf-8", "replace"))


def _root_of(place: str) -> str:
    return re.split(r"[.\[]", place, maxsplit=1)[0]


# --- The features of a place ------------------------------------------------------------------------------------------


def _iter_features(sample: _Sample) -> Iterator[_Feature]:
    """Yield the features that the values of the runs have, place by place (a place is the path of a value).

    Only groups of values are left out; see `_iter_groups`.
    """
    missing: dict[str, int] = {}
    for place, by_run in sample.values.items():  # an object precedes the values in it
        for feature in _iter_keys(sample, place, by_run):
            yield feature
            if feature.text.endswith(" missing"):
                missing[feature.place] = feature.runs
        if not place:
            continue
        marks = _collect_marks(by_run, is_withheld=place in sample.withheld)
        texts = marks.get((_Kind.TYPE, f"is {_TYPES[str]}"), 0)
        everywhere = sum(1 << number for number in by_run)
        for (kind, words), runs in marks.items():
            yield _Feature(runs, kind, place, f"{place} {words}")
            is_text = kind in (_Kind.FORM, _Kind.CONTENT)
            yield from _negate(place, kind, words, (texts if is_text else everywhere) & ~runs)
        blanks = {"missing": missing.get(place, 0)}
        blanks |= {"null": marks.get((_Kind.PRESENT, "is null"), 0), "empty": marks.get((_Kind.FORM, "is empty"), 0)}
        yield from _iter_blanks(place, {words: runs for words, runs in blanks.items() if runs})
        if place not in sample.withheld:
            yield from _iter_thresholds(place, by_run)


def _collect_marks(by_run: Mapping[int, Sequence[JsonValue]], *, is_withheld: bool) -> Mapping[tuple[_Kind, str], int]:
    """Return the features that single values at a place have, such as `= CH`.

    Each feature is returned with the runs that have it.
    """
    marks: defaultdict[tuple[_Kind, str], int] = defaultdict(int)
    for number, values in by_run.items():
        for value in values:
            for mark in _iter_marks(value):
                if not is_withheld or mark[0] in (_Kind.PRESENT, _Kind.TYPE):
                    marks[mark] |= 1 << number
    return marks


def _iter_keys(sample: _Sample, place: str, by_run: Mapping[int, Sequence[JsonValue]]) -> Iterator[_Feature]:
    """For objects at a place, yield the features that a key is present, and that a key is missing."""
    objects = {number: [each for each in values if isinstance(each, dict)] for number, values in by_run.items()}
    counts = Counter(key for each in objects.values() for key in {key for one in each for key in one})
    for key in [key for key, _ in counts.most_common(_KEYS)]:
        inner = f"{place}.{key}" if place else key
        if inner not in sample.values or key.endswith(CALL):  # secret, too deep, or called later than the failure
            continue
        has = sum(1 << number for number, each in objects.items() if any(key in one for one in each))
        lacks = sum(1 << number for number, each in objects.items() if any(key not in one for one in each))
        yield _Feature(has, _Kind.PRESENT, inner, f"{inner} present")
        yield _Feature(lacks, _Kind.PRESENT, inner, f"{inner} missing")


def _iter_blanks(place: str, runs_by_words: Mapping[str, int]) -> Iterator[_Feature]:
    """Yield features that combine several ways of having no value, such as `note is null or empty`."""
    for size in range(2, len(runs_by_words) + 1):
        for chosen in combinations(runs_by_words, size):
            runs = 0
            for words in chosen:
                runs |= runs_by_words[words]
            yield _Feature(runs, _Kind.FORM, place, f"{place} is {', '.join(chosen[:-1])} or {chosen[-1]}")


def _negate(place: str, kind: _Kind, words: str, runs: int) -> Iterator[_Feature]:
    """Yield the opposite of a feature: `country ≠ CH` for `country = CH`."""
    first, _, rest = words.partition(" ")
    opposites = {"=": "≠", "with": "without", "is": "is not"}
    if kind in (_Kind.EQUAL, _Kind.FORM, _Kind.CONTENT) and first in opposites:
        yield _Feature(runs, kind if kind == _Kind.FORM else _Kind.NOT, place, f"{place} {opposites[first]} {rest}")


def _iter_marks(value: JsonValue) -> Iterator[tuple[_Kind, str]]:
    """Yield the features of one value, such as `= CH`.

    Each feature is yielded as its kind and its text without the place.
    """
    if value is None:
        yield _Kind.PRESENT, "is null"
        return
    yield _Kind.TYPE, f"is {_TYPES.get(type(value), 'a value')}"
    if value != "" and _is_comparable(value):
        yield _Kind.EQUAL, f"= {_shorten(value)}"
    if isinstance(value, float):
        yield _Kind.FORM, "is a whole number" if value.is_integer() else "with a fraction"
    elif isinstance(value, (list, dict)) and not value:
        yield _Kind.FORM, "is empty"
    elif isinstance(value, str):
        yield from _iter_text_marks(value)


def _iter_text_marks(text: str) -> Iterator[tuple[_Kind, str]]:
    """Yield the features of one text, such as `begins with 0`.

    Each feature is yielded as its kind and its text, as by `_iter_marks`.
    """
    stamp = _read_stamp(text)
    forms = {
        "is empty": not text,
        "with blanks around it": bool(text) and text != text.strip(),
        "with letters beyond ASCII": not text.isascii(),
        "with several lines": "\n" in text.strip(),
        "is a number": _NUMBER.fullmatch(text) is not None,
        "begins with 0": _LEADING_ZERO.match(text) is not None,
        "with digits": any(map(str.isdigit, text)),
        "with letters": any(map(str.isalpha, text)),
        "with capital letters": text != text.lower(),
        "with small letters": text != text.upper(),
        "is a time": stamp is not None,
        "is JSON": _holds_json(text),
    }
    for words, holds in forms.items():
        if holds:
            yield _Kind.FORM, words
    if stamp is not None:
        zone = _ZONE.search(text)
        if len(text) > len("2026-01-31"):
            yield _Kind.FORM, "without a time zone" if zone is None else "with a time zone"
            yield _Kind.CONTENT, "in no time zone" if zone is None else f"in time zone {zone[1]}"
        yield _Kind.CONTENT, f"on a {_DAYS[stamp.weekday()]}"
        yield _Kind.CONTENT, f"on day {stamp.day} of a month"
        return
    for mark in {each for each in text if not each.isalnum() and each != " "}:
        yield _Kind.CONTENT, f"with {json.dumps(mark, ensure_ascii=False)}"
    if prefix := _PREFIX.match(text) or re.match(r"[1-9](?=.)", text):
        yield _Kind.CONTENT, f"begins with {prefix[0]}"
    for word in {each.casefold() for each in _WORD.findall(text)} - {text.casefold()}:
        yield _Kind.CONTENT, f"with the word {word}"


def _iter_thresholds(place: str, by_run: Mapping[int, Sequence[JsonValue]]) -> Iterator[_Feature]:
    """Yield the features that compare a number, a time or a length with a bound, such as `amount ≥ 1000`.

    Each value that occurs is tried as a bound, in both directions.
    """
    measured: defaultdict[str, dict[int, list[float]]] = defaultdict(dict)
    for number, values in by_run.items():
        for value in values:
            for words, amount in _iter_amounts(value):
                measured[words].setdefault(number, []).append(amount)
    for words, amounts in measured.items():
        for sign, choose in (("≥", max), ("≤", min)):
            ordered = sorted(((choose(each), number) for number, each in amounts.items()), reverse=sign == "≥")
            runs = 0
            for (amount, number), (outside, _) in pairwise(ordered):
                runs |= 1 << number
                if outside != amount:
                    bound = _format_bound(words, amount, outside)
                    yield _Feature(runs, _Kind.THRESHOLD, place, words.format(place, sign, bound))


def _iter_amounts(value: JsonValue) -> Iterator[tuple[str, float]]:
    """Yield the numbers by which a value can be compared with a bound.

    For example, a list has a length, and a text has a number of characters. Each number comes with a template for the
    text of the feature.
    """
    if isinstance(value, bool):
        return
    if isinstance(value, (int, float)):
        if abs(value) < 2**53:  # which NaN is not; a larger integer may be too large for a float
            yield "{} {} {}", float(value)
    elif isinstance(value, list):
        yield "length of {} {} {}", float(len(value))
    elif isinstance(value, str):
        stamp = _read_stamp(value)
        if stamp is not None:
            if len(value) == len("2026-01-31"):
                yield "date of {} {} {}", _epoch_of(stamp)
            else:
                yield "time of {} {} {}", _epoch_of(stamp)
                yield "hour of {} {} {}", float(stamp.hour)
            return
        if _NUMBER.fullmatch(value):
            yield "{} {} {}", float(value)
        yield "characters in {} {} {}", float(len(value))


def _format_bound(words: str, amount: float, outside: float) -> str:
    """Return the text of the roundest bound between two values, such as `100000` for 98,200 and 103,001.

    Args:
        words: The template of the feature, which says what was measured.
        amount: The last value that is inside the bound.
        outside: The next value, which must stay outside.

    >>> _format_bound("{} {} {}", 103001.5, 98200.25)
    '100000'
    """
    if words.startswith("date"):
        return datetime.fromtimestamp(amount, UTC).date().isoformat()
    if words.startswith("time"):
        time = datetime.fromtimestamp(_round_bound(amount, outside, map(Decimal, (86_400, 3600, 60, 1))), UTC)
        return time.isoformat(timespec="auto" if time.second or time.microsecond else "minutes")
    largest = Decimal(max(abs(amount), abs(outside))).adjusted() + 1
    rounded = _round_bound(amount, outside, (Decimal(10) ** power for power in range(largest, -_DECIMALS, -1)))
    return f"{Decimal(repr(rounded)).normalize():f}"


def _round_bound(amount: float, outside: float, steps: Iterable[Decimal]) -> float:
    """Return the roundest number between two values that can serve as a bound in the text of a feature.

    The number is a multiple of the first of the steps that has a multiple between the two values; it is `amount` if no
    step has one. It is as close to `amount` as possible, and may be equal to `amount`, but not to `outside`.
    """
    exact, other = Decimal(repr(amount)), Decimal(repr(outside))
    for step in steps:
        rounded = (exact / step).to_integral_value(ROUND_FLOOR if other < exact else ROUND_CEILING) * step
        if other < rounded <= exact or exact <= rounded < other:
            return float(rounded) or 0.0  # not -0.0
    return amount


# --- Groups of values -------------------------------------------------------------------------------------------------


def _read_categories(sample: _Sample, place: str) -> Mapping[str, int]:
    """Return the different values at a place, each with the runs that have it, to try groups of these values.

    The result is empty if it is not worth trying, for example because there are too many values.
    """
    found: defaultdict[str, int] = defaultdict(int)
    for number, values in sample.values[place].items():
        value = values[0]
        if len(values) != 1 or not isinstance(value, (str, int)) or not _is_comparable(value):
            return {}
        found[_shorten(value)] |= 1 << number
        if len(found) > _GROUPED:
            return {}
    return found if len(found) > 2 and not any("," in each for each in found) else {}  # noqa: PLR2004 - else one is enough


def _iter_groups(sample: _Sample, place: str, values: Mapping[str, int]) -> Iterator[_Feature]:
    """Yield the features that a value is one of several values, such as `= one of A, B`.

    Groups of two to four values that occur in failed runs are tried.
    """
    bad = {value: runs for value, runs in values.items() if sample.split(runs)[0]}
    if len(bad) > 2 * _GROUP:
        return
    for group in range(2, _GROUP + 1):
        for chosen in combinations(sorted(bad), group):
            runs = 0
            for each in chosen:
                runs |= bad[each]
            yield _Feature(runs, _Kind.ONE_OF, place, f"{place} = one of {', '.join(chosen)}")


# --- Values -----------------------------------------------------------------------------------------------------------


def _shorten(value: JsonValue) -> str:
    """Return the text with which the text of a feature shows a value.

    A simple word is shown without quotes; other values are shown as JSON.
    """
    if isinstance(value, bool):
        return "yes" if value else "no"
    is_plain = isinstance(value, str) and _PLAIN.fullmatch(value) is not None and value not in ("yes", "no", "null")
    return str(value) if is_plain else json.dumps(value, ensure_ascii=False)


def _is_comparable(value: JsonValue) -> bool:
    """Return whether a value is a number or a text that is short enough for a feature such as `= CH`."""
    if isinstance(value, int):
        return value.bit_length() <= _BITS
    return isinstance(value, float) or (isinstance(value, str) and len(value) <= _VALUE)


def _read_stamp(text: str) -> datetime | None:
    """Return the date or time that a text consists of; None if the text is neither.

    Times that UTC cannot express, such as `9999-12-31T23:59:59-05:00`, also return None.
    """
    if _STAMP.fullmatch(text) is None:
        return None
    try:
        stamp = datetime.fromisoformat(text)
        datetime.fromtimestamp(_epoch_of(stamp), UTC)
    except (ValueError, OverflowError, OSError):
        return None
    return stamp


def _epoch_of(stamp: datetime) -> float:
    """Return a time as epoch seconds; a time without a zone is read as UTC."""
    return (stamp if stamp.tzinfo else stamp.replace(tzinfo=UTC)).timestamp()


def _holds_json(text: str) -> bool:
    if not text.startswith(("{", "[")):
        return False
    try:
        from_json(text)  # with a limit of its own for the depth
    except ValueError:
        return len(text) == _TEXT  # it was cut
    return True


__all__ = ["CALL", "FEWEST", "Arrival", "SharedFeature", "find_shared_features"]

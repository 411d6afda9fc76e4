"""Support: whether a sentence says no more, and nothing else, than the passage that it cites.

By form, not by meaning. A claim and its passage are compared word by word, and these must hold:

- Three in five of the claim's words are in the passage, and so is each of its names and terms: only common words
  ("keep", "large") can be the writer's own, and none can be the opposite of a word in the passage.
- Each figure is in the passage, with its unit, and refers to the same thing.
- Each sign ("not", "only", "all", "at least", "may", "before") is in the passage with the same words, and no sign that
  limits what the claim takes from the passage is left out.

In other languages than English, whose signs and opposites are unknown, only quotations count, from a word to a word.

A claim can leave out a clause or an aside. A paraphrase in entirely different words counts as unsupported, because
rules cannot know that it means the same. Not detected: one common word replaced by another or in its place, and the
referent of a pronoun.
"""

import functools
import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from graphengine.briefs import rubric
from graphengine.briefs.text.language import ENGLISH, current, stop_words
from graphengine.briefs.text.quantities import has_date, in_figures, spoken, without_halves
from graphengine.briefs.text.wording import Token, is_specific, period, wording
from graphengine.briefs.text.words import likeness, share_within, stem, stems, word_list, word_list_pairs, words

_CALENDAR: Final = word_list("calendar_words.txt")  # dates can be anywhere
_NEGATIONS: Final = frozenset(["NOT", "NO", "NEVER", "WITHOUT", "RARELY"])
_INSTEAD: Final = {  # a claim's sign, and the signs of the passage that say as much or more
    "NOT": _NEGATIONS - {"RARELY"},
    "NO": frozenset(["NOT", "NO", "NEVER", "WITHOUT"]),
    "WITHOUT": frozenset(["NOT", "NO", "NEVER"]),
    "ANY": frozenset(["ALL"]),
    "ALL": frozenset(["ANY"]),
}
_OPTIONAL: Final = frozenset(["ALL", "ANY", "BOTH", "MUST", "MANY", "BY", "BEFORE", "AFTER", "ABOVE", "BELOW", "LAST"])
_DATE: Final = re.compile(r"(?:1\d|2[01])\d\d(?:-\d\d(?:-\d\d)?)?|--\d\d-\d\d")  # can be anywhere in a sentence
_CONTRARY: Final = {
    one: other
    for pair in ("AT-LEAST AT-MOST", "MORE-THAN LESS-THAN", "ABOVE BELOW", "BEFORE AFTER", "MORE LESS")
    for one, other in (pair.split(), pair.split()[::-1])
}
_LISTED: Final = re.compile(r"[,/&`]|\b(?:and|or|nor)\b")
_LIST_ENDS: Final = re.compile(r"(?:[,/&]|\b(?:and|or|nor))\s*(?:(?:an?|the)\s+)?`?$")
_CELL: Final = re.compile(r"(?:^|; )([^:;]{1,60}): ([^;]+?)(?=;|\.?$)")  # of a row of a table, as a sentence
_ENDINGS: Final = frozenset(["ONLY", "UNLESS", "EXCEPT", "IF", "UNTIL", "WITHOUT"])  # after what they limit


FALSE: Final = frozenset(["figure", "denial", "opposite", "order"])
"""The kinds of complaints about a claim that says the contrary or another figure, and not only more."""


@dataclass(frozen=True, slots=True)
class Complaint:
    """Why a passage does not support a claim.

    Args:
        kind: What is wrong: words, term, opposite, figure, denial, sign, order.
        text: The same in words, as the end of a sentence.
    """

    kind: str
    text: str


def complaints(claim: str, passage: str) -> tuple[Complaint, ...]:
    """Return why a passage does not support a claim, or nothing if it does.

    Args:
        claim: One sentence, without its citation.
        passage: The text at the cited place.
    """
    return _complaints(claim, passage, current())


@functools.lru_cache(maxsize=4096)
def _complaints(claim: str, passage: str, language: str) -> tuple[Complaint, ...]:
    claim, passage = without_halves(claim, language), without_halves(passage, language)
    if words(claim) == words(passage) and wording(claim) == wording(passage):
        return ()
    if not stems(claim) or share_within(stems(claim), stems(passage)) < rubric.SUPPORT_SHARE:
        return (Complaint("words", "says something different"),)
    pair = _Pair(wording(claim), wording(passage))
    if language != ENGLISH:
        misquoted = _misquoted(_spelled(claim), _spelled(passage), stop_words(language))
        return (*pair.unknown_figures(), *pair.other_periods(), *misquoted)
    found = [*pair.unknown_figures(), *pair.other_periods(), *pair.unknown_words()]
    found += [*pair.unknown_signs(), *pair.omitted_signs(), *pair.exchanged(claim, passage)]
    found += _other_cells(claim, passage)
    return tuple(dict.fromkeys(found))


def repeats(sentence: str, other: str, alike: float = rubric.REPEATED_LIKENESS) -> bool:
    """Return whether a sentence only repeats another: similar words, and no other figure, name or sign.

    Args:
        sentence: The sentence.
        other: An earlier one.
        alike: How similar their words have to be, 0 to 1.
    """
    return likeness(stems(sentence), stems(other)) >= alike and not complaints(sentence, other)


def _spelled(sentence: str) -> list[str]:
    """Return the words of a sentence, with its numbers and dates in figures."""
    found = words(in_figures(sentence, current()))
    for number in reversed(spoken(tuple(found), current())):
        found[number.start : number.end] = [number.value, *(["mal"] if number.times else [])]
    return found


def _misquoted(claim: Sequence[str], passage: Sequence[str], stops: Collection[str]) -> list[Complaint]:
    """Return how a claim differs from a quotation: the words that it adds, and those that it leaves out inside."""
    plain, whole = ([one.casefold() for one in each] for each in (claim, passage))
    pairs = dict(_aligned(plain, whole))
    taken = set(pairs.values())
    inner = range(min(taken, default=0), max(taken, default=0) + 1)
    changed = [one for at, one in enumerate(plain) if at not in pairs]
    changed += [whole[at] for at in inner if at not in taken]
    for rest in (whole[: inner.start], whole[inner.stop :]):
        changed += rest if all(one in stops for one in rest) else []  # a clause can be left out, but not its "nicht"
    if not changed:
        return []
    if all(one in stops for one in changed):  # such as "nicht", "nur", "alle"
        return [Complaint("denial", f"adds or leaves out \u201c{changed[0]}\u201d")]
    return [Complaint("words", "is not a quotation")]


@functools.cache
def _opposites() -> dict[str, frozenset[str]]:
    found: dict[str, frozenset[str]] = {}
    for one, other in word_list_pairs("opposites.txt"):
        for first, second in ((stem(one), stem(other)), (stem(other), stem(one))):
            found[first] = found.get(first, frozenset()) | {second}
    return found


class _Pair:
    """A claim and a passage, aligned word by word."""

    def __init__(self, claim: Sequence[Token], passage: Sequence[Token]) -> None:
        self._claim = claim
        self._passage = passage
        self._pairs = dict(_aligned([one.value for one in claim], [one.value for one in passage]))
        self._taken = {there: here for here, there in self._pairs.items()}
        self._known = {one.key for one in passage if one.kind == "word"}
        self._names = {one.key for one in passage if one.name}
        claimed, cited = (
            [one.key for one in each if one.kind == "word" and one.text.lower() not in _CALENDAR]
            for each in (claim, passage)
        )
        kept = dict(_aligned(claimed, cited))
        self._moved = {one for at, one in enumerate(claimed) if at not in kept}

    def _unmatched(self, kind: str) -> list[tuple[int, Token]]:
        return [(at, one) for at, one in enumerate(self._claim) if one.kind == kind and at not in self._pairs]

    def unknown_words(self) -> list[Complaint]:
        """Return names and terms that the passage lacks or has in another order, and opposites of its words."""
        found: list[Complaint] = []
        free = {one.key for at, one in enumerate(self._passage) if at not in self._taken}
        for _, one in self._unmatched("word"):
            against = sorted(_opposites().get(one.key, frozenset()) & free)
            if one.key in self._known:
                if (one.name or one.key in self._names) and one.key in self._moved and not self._is_passive():
                    found.append(Complaint("order", f"says of \u201c{one.text}\u201d what the passage says of another"))
            elif against:
                there = next(each.text for each in self._passage if each.key in against)
                found.append(Complaint("opposite", f"has \u201c{one.text}\u201d instead of \u201c{there}\u201d"))
            elif one.name or is_specific(one.text):
                found.append(Complaint("term", f"brings in \u201c{one.text}\u201d"))
        return found

    def _is_passive(self) -> bool:
        """Return whether the claim changes between active and passive, so that names rightly change places."""
        return self._has_by(self._claim) != self._has_by(self._passage)

    @staticmethod
    def _has_by(tokens: Sequence[Token]) -> bool:
        return any(one.key == "BY" for one in tokens)

    def unknown_figures(self) -> list[Complaint]:
        """Return figures that the passage lacks, or has for something else."""
        found: list[Complaint] = []
        dates = [one.key for one in self._passage if one.kind == "figure" and _DATE.fullmatch(one.key)]
        for at, one in enumerate(self._claim):
            if one.kind != "figure" or (at in self._pairs and not self._is_torn(at)):
                continue
            if (
                not one.unit
                and at not in self._pairs
                and has_date([each for each in dates if each != one.key], one.key)
            ):
                continue
            same = [place for place, each in enumerate(self._passage) if each.value == one.value]
            swapped = any(self._is_swapped(at, place) for place in same)
            if not (same and self._has_moved(one) and not swapped) and not any(
                self._goes_with(at, place) for place in same
            ):
                other = [each.unit for each in self._passage if each.kind == "figure" and each.key == one.key]
                why = "of something else" if same else "with another unit" if other else "which is not there"
                found.append(Complaint("figure", f"has the figure \u201c{one.text}\u201d, {why}"))
        return found

    def _is_swapped(self, at: int, place: int) -> bool:
        """Return whether a figure and the one next to it have changed places: "from 2 GB to 3 MB"."""
        for step in (1, -1):
            here, there = at + step, place - step
            if 0 <= here < len(self._claim) and 0 <= there < len(self._passage):
                one = self._claim[here]
                if one.kind == "figure" and one.value == self._passage[there].value != self._claim[at].value:
                    return True
        return False

    def other_periods(self) -> list[Complaint]:
        """Return months, weekdays and lengths of time that the claim has instead of others: "per month"."""
        free = [one for at, one in enumerate(self._passage) if at not in self._taken and period(one)]
        known = {period(one) for one in self._passage}
        return [
            Complaint("figure", f"has \u201c{one.text}\u201d instead of \u201c{free[0].text}\u201d")
            for _, one in self._unmatched("word")
            if free and period(one) and period(one) not in known
        ]

    def _is_torn(self, at: int) -> bool:
        """Return whether a figure that both have is next to other words in each."""
        place, differs = self._pairs[at], False
        if self._claim[at].unit:
            return False
        for step in (1, -1):
            here, there = _neighbour(self._claim, at, step), _neighbour(self._passage, place, step)
            if here is not None and there is not None:
                if self._claim[here].value == self._passage[there].value:
                    return False
                differs = True
        return differs

    def _has_moved(self, figure: Token) -> bool:
        """Return whether a figure of the passage can be anywhere: a date in order, or the only measure of its unit."""
        if figure.unit:
            return [one.unit for one in self._passage if one.kind == "figure"].count(figure.unit) == 1
        if not _DATE.fullmatch(figure.key):
            return False
        dates = iter([one.key for one in self._passage if one.kind == "figure" and _DATE.fullmatch(one.key)])
        claimed = [one.key for one in self._claim if one.kind == "figure" and _DATE.fullmatch(one.key)]
        return all(one in dates for one in claimed)

    def unknown_signs(self) -> list[Complaint]:
        """Return signs that the passage lacks, or has with other words."""
        found: list[Complaint] = []
        for at, one in self._unmatched("sign"):
            if one.key == "BY":
                continue
            wanted = _INSTEAD.get(one.key, frozenset()) | {one.key}
            place = self._counterpart(at, wanted)
            if place is None and (other := self._contrary(one)):
                found.append(Complaint("opposite", f"has \u201c{one.text}\u201d instead of \u201c{other.text}\u201d"))
            elif place is None:
                found.append(Complaint(_kind(one), f"has \u201c{one.text}\u201d, not said of this in the passage"))
            else:
                self._pairs[at], self._taken[place] = place, at  # each sign of the passage counts once
        return found

    def exchanged(self, claim: str, passage: str) -> list[Complaint]:
        """Return words that are specific, without a capital, and have another's place: "gzip" and "zstd"."""
        here, there = _places(self._claim), _places(self._passage)
        both = sorted(here.keys() & there.keys(), key=here.__getitem__)
        found: list[Complaint] = []
        for one in both:
            why = Complaint(
                "order", f"says of \u201c{self._claim[here[one]].text}\u201d what the passage says of another"
            )
            others = [other for other in both if here[one] < here[other] and there[other] < there[one]]
            swapped = any(self._has_swapped((here[one], here[other]), (there[other], there[one]), claim, passage)
                          for other in others)  # fmt: skip
            if (swapped and not self._is_passive()) or self._has_place_of_another(here[one], there):
                found.append(why)
        return found

    def _has_swapped(self, here: tuple[int, int], there: tuple[int, int], claim: str, passage: str) -> bool:
        """Return whether two words surround the same words in reverse order, and are not two entries of a list."""
        inner = [one.value for one in self._claim[here[0] + 1 : here[1]]]
        if inner != [one.value for one in self._passage[there[0] + 1 : there[1]]]:
            return False
        between = _between(claim, self._claim[here[0]].text, self._claim[here[1]].text)
        if between is None or between != _between(passage, self._passage[there[0]].text, self._passage[there[1]].text):
            return False
        rest = [word for word in _LISTED.sub(" ", between).split() if not is_specific(word)]
        if not rest:
            return False
        after = [one.value for one in self._claim[here[1] + 1 : here[1] + 1 + len(inner)]]
        return not (_LIST_ENDS.search(between) and after == inner)  # "zinc oxide and copper oxide"

    def _has_place_of_another(self, at: int, there: Mapping[str, int]) -> bool:
        """Return whether a word of the claim replaces another: the passage has a missing word between the same two."""
        around = self._around(self._claim, at)
        own = self._around(self._passage, there[self._claim[at].key])
        claimed = {one.key for one in self._claim}
        return around != (None, None) and all(a != b for a, b in zip(around, own, strict=True)) and any(
            self._around(self._passage, place) == around for key, place in there.items() if key not in claimed
        )  # fmt: skip

    @staticmethod
    def _around(tokens: Sequence[Token], at: int) -> tuple[object, object]:
        before, after = _neighbour(tokens, at, -1), _neighbour(tokens, at, 1)
        return (None if before is None else tokens[before].value, None if after is None else tokens[after].value)

    def _contrary(self, sign: Token) -> Token | None:
        """Return a sign of the passage that the claim lacks and that says the contrary: "at least", "at most"."""
        free = [one for at, one in enumerate(self._passage) if at not in self._taken]
        if sign.key == "EXCEPT":
            return next((one for one in free if one.text.lower() == "including"), None)
        free = [one for one in free if one.kind == "sign"]
        return next((one for one in free if one.key == _CONTRARY.get(sign.key)), None)

    def _included(self, tokens: Sequence[Token], matched: Collection[int]) -> bool:
        """Return whether an unmatched word of a sentence is "including", the contrary of "except"."""
        return any(one.text.lower() == "including" and at not in matched for at, one in enumerate(tokens))

    def _counterpart(self, at: int, wanted: frozenset[str]) -> int | None:
        """Return a free sign of the passage with the meaning of the claim's sign and the same words."""
        free = [
            place
            for place, one in enumerate(self._passage)
            if one.kind == "sign" and one.key in wanted and place not in self._taken
        ]
        return next((place for place in free if self._goes_with(at, place)), None)

    def omitted_signs(self) -> list[Complaint]:
        """Return signs of the passage that limit what the claim takes from it, but that the claim omits."""
        found: list[Complaint] = []
        for place, one in enumerate(self._passage):
            if one.kind != "sign" or place in self._taken or one.key in _OPTIONAL or not self._limits(place):
                continue
            contrary = one.key == "EXCEPT" and self._included(self._claim, self._pairs)
            found.append(Complaint("opposite" if contrary else _kind(one), f"leaves out \u201c{one.text}\u201d"))
        return found

    def _limits(self, place: int) -> bool:
        """Return whether a sign of the passage is about something that the claim has."""
        after, before = _neighbour(self._passage, place, 1), _neighbour(self._passage, place, -1)
        if after is not None and after in self._taken:
            return True
        if after is None and before is not None:
            return before in self._taken
        ends = bool(self._taken) and before == max(self._taken)
        return ends and self._passage[place].key in _ENDINGS

    def _goes_with(self, at: int, place: int) -> bool:
        """Return whether a token of the claim and one of the passage have the same word before or after them."""
        for step in (1, -1):
            here, there = _neighbour(self._claim, at, step), _neighbour(self._passage, place, step)
            if here is not None and there is not None and self._claim[here].value == self._passage[there].value:
                return True
        return False


def _places(tokens: Sequence[Token]) -> dict[str, int]:
    """Return the places of the specific words that a sentence has once."""
    found = [(one.key, at) for at, one in enumerate(tokens) if one.kind == "word" and is_specific(one.text)]
    count = Counter(key for key, _ in found)
    return {key: at for key, at in found if count[key] == 1}


def _between(sentence: str, first: str, last: str) -> str | None:
    """Return what is between two words of a sentence, in lower case; None if they are not found in this order."""
    found = re.search(rf"\b{re.escape(first)}\b(.*?)\b{re.escape(last)}\b", sentence, re.DOTALL)
    return found[1].lower() if found else None


def _other_cells(claim: str, passage: str) -> list[Complaint]:
    """Return values that a row of a table has under a heading where the passage has another: "Codec: gzip"."""
    cited = dict(_CELL.findall(passage))
    found: list[Complaint] = []
    for name, value in _CELL.findall(claim) if len(cited) > 1 else []:
        known = cited.get(name, value)
        if set(words(value.casefold())).isdisjoint(words(known.casefold())) and words(value):
            found.append(Complaint("opposite", f"has \u201c{value}\u201d instead of \u201c{known}\u201d"))
    return found


def _kind(sign: Token) -> str:
    return "denial" if sign.key in _NEGATIONS else "sign"


def _neighbour(tokens: Sequence[Token], at: int, step: int) -> int | None:
    """Return the next word or figure of the same clause, in one direction."""
    at, clause = at + step, tokens[at].clause
    while 0 <= at < len(tokens) and tokens[at].clause == clause:
        if tokens[at].kind != "sign":
            return at
        at += step
    return None


def _aligned(one: Sequence[object], other: Sequence[object]) -> list[tuple[int, int]]:
    """Return the longest common subsequence of two sequences, as pairs of indices."""
    lengths = [[0] * (len(other) + 1) for _ in range(len(one) + 1)]
    for at in reversed(range(len(one))):
        for place in reversed(range(len(other))):
            lengths[at][place] = (
                1 + lengths[at + 1][place + 1]
                if one[at] == other[place]
                else max(lengths[at + 1][place], lengths[at][place + 1])
            )
    found: list[tuple[int, int]] = []
    at = place = 0
    while at < len(one) and place < len(other):
        if one[at] == other[place]:
            found.append((at, place))
            at, place = at + 1, place + 1
        elif lengths[at + 1][place] >= lengths[at][place + 1]:
            at += 1
        else:
            place += 1
    return found

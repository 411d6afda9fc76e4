"""Measure how much of what some sources hold on the points of a task is in a draft, and find what is missing.

The items of a task are its points; a task without items is one point. Everything here counts words: it cannot see what
a passage means, and a share is no judgement of quality. `share` = 1 means that every passage which bears on a point is
in the draft. A point to whose words no passage comes near is one that the sources do not answer.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Final

from graphengine import TextFile
from nodes.citing import Passage
from nodes.passages import ITEM, Index
from nodes.words import FUNCTION, SHORTEST, alike, subject, words

POWER: Final = 3  # a passage bears on a point by its rank to this power: the best count most, and none is cut off
ABSENT: Final = 0.35  # with less hold than this, a point is none of the sources'
HELD: Final = 0.5  # from this hold on, it is
READ: Final = 10  # passages of which a point learns words
LEARNT: Final = 20  # words that it learns
FAINT: Final = 0.1  # what each of them counts
TELLING: Final = 10  # longer words than this say no more
FOUND: Final = 2  # passages for each weak point


class Points:
    """The points of a task, and which passages of the sources bear on each."""

    def __init__(self, task: str, sources: Iterable[TextFile]) -> None:
        self.index = Index(sources)
        self._ranked = self.index.ranked(dict.fromkeys(subject(task), 1.0))
        self._files = {passage.file for passage in self.index.passages}
        lines = [line.strip() for line in task.splitlines() if line.strip()]
        self.texts = [ITEM.sub("", line, count=1) for line in lines if ITEM.match(line)] or [" ".join(lines)]
        self.title = next((line.strip("# ") for line in lines if not ITEM.match(line)), self.texts[0])
        self.hold = [self._hold(subject(text)) for text in self.texts]
        self.bearing = [self._bearing(subject(text), hold) for text, hold in zip(self.texts, self.hold, strict=True)]

    @property
    def unanswered(self) -> list[str]:
        """The points on which the sources have nothing."""
        return [text for text, hold in zip(self.texts, self.hold, strict=True) if not hold]

    def shares(self, draft: Iterable[int]) -> list[float]:
        """Return for each point the share of what bears on it that a draft with these passages has, from 0 to 1."""
        have = set(draft)
        return [
            hold * sum(rank for at, rank in each.items() if at in have) / (sum(each.values()) or 1)
            for each, hold in zip(self.bearing, self.hold, strict=True)
        ]

    def weak(self, draft: Iterable[int]) -> list[int]:
        """Return the weaker half of the points that the sources hold something on, the weakest first."""
        shares = self.shares(draft)
        held = sorted((at for at, hold in enumerate(self.hold) if hold), key=lambda at: shares[at])
        return [at for at in held[: (len(held) + 1) // 2] if shares[at] < 1]

    def missing(self, draft: Iterable[int]) -> list[int]:
        """Return the best passages for the weak points that the draft does not have."""
        have, found = set(draft), list[int]()
        for point in self.weak(have):
            bearing = self.bearing[point]
            absent = [at for at in bearing if at not in have and at not in found]
            found += sorted(absent, key=lambda at: -bearing[at])[:FOUND]
        return found

    def best(self, word_budget: int) -> set[int]:
        """Return the passages that answer the task as a whole: one at least, whatever its length."""
        return self.index.filled(self._ranked, word_budget) or {*self._ranked[:1]}

    def chosen(self, found: Iterable[int], word_budget: int) -> set[int]:
        """Return what of some passages fits into a budget.

        The passage that goes next is the one whose loss costs least; square roots keep the points in balance. What room
        is left at the end goes to those that answer the task as a whole.
        """
        given = set(found)
        given = {at for at in given if self.index.size([at]) <= word_budget} or given
        draft = set(given)
        while len(draft) > 1 and self.index.size(draft) > word_budget:
            draft.discard(max(sorted(draft), key=lambda at: sum(share**0.5 for share in self.shares(draft - {at}))))
        return self.index.filled((at for at in self._ranked if at in given), word_budget, draft)

    def at(self, passages: Iterable[Passage]) -> list[int]:
        """Return which of the sources' passages these are; what is none of them is left out."""
        wanted = {(passage.place, passage.text) for passage in passages}
        return [at for at, each in enumerate(self.index.passages) if (each.place, each.text) in wanted]

    def sorted_by_point(self, draft: Iterable[int]) -> dict[str, list[Passage]]:
        """Return the passages of a draft under the point on which each bears most; under "" those on none."""
        under: dict[str, list[Passage]] = {text: [] for text in [*self.texts, ""]}
        tops = [max(each.values(), default=0.0) or 1.0 for each in self.bearing]
        for at in sorted(draft):
            best = max(range(len(self.texts)), key=lambda point: self.bearing[point].get(at, 0.0) / tops[point])
            under[self.texts[best] if at in self.bearing[best] else ""].append(self.index.passages[at])
        return {text: passages for text, passages in under.items() if passages}

    def _bearing(self, asked: Sequence[str], hold: float) -> dict[int, float]:
        """Return how far each passage bears on a point, from 0 to 1."""
        ranks = self.index.ranks(self._learnt(asked)) if hold else []
        top = max(ranks, default=0.0)
        return {at: (rank / top) ** POWER for at, rank in enumerate(ranks) if rank > 0}

    def _learnt(self, asked: Sequence[str]) -> dict[str, float]:
        """Return the words of a point and, faintly, the most telling ones of the passages that answer it best."""
        query = dict.fromkeys(asked, 1.0)
        ranks = self.index.ranks(query)
        heard: dict[str, float] = defaultdict(float)
        for at in self.index.ranked(query)[:READ]:
            for word in dict.fromkeys(words(self.index.passages[at].text)):
                if word not in FUNCTION and len(word) >= SHORTEST - 1 and not any(alike(word, each) for each in asked):
                    heard[word] += ranks[at] * self.index.rarity(word)
        return dict.fromkeys(sorted(heard, key=lambda word: -heard[word])[:LEARNT], FAINT) | dict.fromkeys(asked, 1.0)

    def _hold(self, asked: Sequence[str]) -> float:
        """Return from 0 to 1 whether the sources are about a point: which of its words stand together, and how many."""
        if not asked:
            return 1.0
        near = {word: self._near(word) for word in asked}
        recurs = {word: 1.0 if len(self.index.where(word)) > 1 else 0.5 for word in asked}
        weights = {word: min(len(word), TELLING) * recurs[word] for word in asked}
        around = [[near[word].get(at, 0.0) for word in asked] for at in range(len(self.index.passages))]
        together = max((sum(n * weights[w] for n, w in zip(row, asked, strict=True)) for row in around), default=0.0)
        most = max(map(sum, around), default=0.0)
        anywhere = sum(max(near[word].values(), default=0.0) * weights[word] for word in asked)
        share = (together + anywhere) / 2 / sum(min(len(word), TELLING) for word in asked)
        return min(1.0, max(0.0, ((share + min(1.0, most / 2)) / 2 - ABSENT) / (HELD - ABSENT)))

    def _near(self, word: str) -> dict[int, float]:
        """Return how far each passage, its headings, its neighbours or the name of its file have a word."""
        found: dict[int, float] = {}
        for form, how in self.index.forms(word).items():
            for at in self.index.counts[form]:
                for each in (at, *self.index.neighbours(at)):
                    found[each] = max(how, found.get(each, 0.0))
        named = {file: max((alike(word, part) for part in words(file)), default=0.0) for file in self._files}
        for at, passage in enumerate(self.index.passages):
            if named[passage.file]:
                found[at] = max(named[passage.file], found.get(at, 0.0))
        return found

"""A library: sources that are searched and not read.

A search finds statements of the sources, with file and line. A hit needs a word of the query, in any inflection; rare
words count more, and among equals the more central statement comes first.
"""

import math
from collections import Counter
from collections.abc import Sequence
from functools import cached_property
from typing import Annotated

from pydantic import BaseModel, Field

from graphengine.briefs.text.language import language_of
from graphengine.briefs.text.survey import Survey, survey
from graphengine.briefs.text.terms import key_terms
from graphengine.briefs.text.words import stems
from graphengine.media import TextFile

CENTRALITY = 0.2  # weight of centrality, relative to a full match of 1
MAX_HITS = 10  # of one search
SHOWN_TERMS = 12


class Hit(BaseModel):
    """A sentence that a search found.

    Args:
        text: The sentence, word for word apart from its markup.
        file: The path of the source.
        line: The line on which the sentence begins, from 1.
        section: The headings above it, outermost first.
    """

    text: str
    file: str
    line: int
    section: str = ""


class Hits(BaseModel):
    """The result of a search.

    Args:
        hits: The best hits, the best first.
        left_out: The number of further sentences that have a word of the query.
        terms: If there are no hits, words that the sources do use.
    """

    hits: list[Hit] = []
    left_out: int = 0
    terms: list[str] = []


class Library:
    """Sources that can be searched.

    Args:
        task: The purpose of the searches; it influences which statements are central.
        sources: The texts.
    """

    def __init__(self, task: str, sources: Sequence[TextFile]) -> None:
        self._task = task
        self._sources = tuple(sources)

    @cached_property
    def survey(self) -> Survey:
        """The statements of the sources, weighed.

        Raises:
            ValueError: There is no source, or none has a statement that can be quoted.
        """
        return survey(self._task, self._sources)

    def search_sources(self, query: str, max_results: Annotated[int, Field(ge=1, le=MAX_HITS)] = 5) -> Hits:
        """Find sentences of the sources that have words of a query, the best first.

        Args:
            query: A few words that such a sentence would use; short queries find more than questions do.
            max_results: How many sentences to show, 1 to 10.
        """
        places = self.places(query)
        if not places:
            return Hits(terms=self.terms[:SHOWN_TERMS])
        shown = [self.survey.statements[at] for at in places[:max_results]]
        hits = [Hit(text=one.text, file=one.file, line=one.line, section=" / ".join(one.headings)) for one in shown]
        return Hits(hits=hits, left_out=max(0, len(places) - max_results))

    def places(self, query: str) -> list[int]:
        """Return the indices of the statements that a query finds, the best first."""
        with language_of(" ".join(source.text for source in self._sources)):
            return self._places(query)

    def _places(self, query: str) -> list[int]:
        wanted = [one for one in stems(query) if one in self._rarity]
        if not wanted:
            return []
        full = sum(self._rarity[one] for one in wanted)
        most = max(self.survey.weights)
        scores = {
            at: sum(self._rarity[one] for one in wanted if one in bag) / full
            + CENTRALITY * self.survey.weights[at] / most
            for at, bag in enumerate(self._bags)
            if not bag.isdisjoint(wanted)
        }
        return sorted(scores, key=lambda at: (-round(scores[at], 9), at))

    @cached_property
    def terms(self) -> list[str]:
        """The key terms of the sources, the most important first."""
        return key_terms([statement.text for statement in self.survey.statements], self.survey.weights)

    @cached_property
    def _bags(self) -> list[frozenset[str]]:
        """The stems of each statement and of the headings above it."""
        return [frozenset(stems(" ".join((one.text, *one.headings)))) for one in self.survey.statements]

    @cached_property
    def _rarity(self) -> dict[str, float]:
        frequency = Counter(one for bag in self._bags for one in bag)
        return {one: math.log(1 + len(self._bags) / count) for one, count in frequency.items()}

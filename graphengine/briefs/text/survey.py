"""A survey of sources: their statements, each weighed by its centrality and its closeness to the topic.

The shared part of the researchers. A PageRank that favours the topic weighs the statements; the callers decide which of
them are facts, limits or hits of a search.
"""

import functools
import re
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from graphengine.briefs.text.fact import Fact
from graphengine.briefs.text.language import in_language_of
from graphengine.briefs.text.passages import Statement, read
from graphengine.briefs.text.ranking import rank
from graphengine.briefs.text.wording import exact
from graphengine.briefs.text.words import stems, subject_words
from graphengine.media import TextFile

TOPIC_PULL = 4.0  # a sentence with all words of the topic starts with five times the weight of one with none
HEADING_SHARE = 0.5  # the weight of a topic word that is only in the headings above
LEAD_PULL = 1.0  # the first sentence of a section usually says what the section is about
DATA_SHARE = 0.25  # of the weight of a sentence: a row of a table counts where it has words of the topic
MAX_STATEMENTS = 400  # ranking compares all pairs; this many take a fraction of a second
MAX_CHARACTERS = 400_000  # of one file; about a book


@dataclass(frozen=True, slots=True)
class Survey:
    """Statements in the order of the sources, with their weights.

    Args:
        statements: The statements.
        weights: The centrality of each, above 0.
        ranks: The place of each among all statements of the sources by weight, from 1.
        positions: The place of each among them in reading order, from 0.
        notes: Remarks on the reading: what was cut, what had no statements.
    """

    statements: tuple[Statement, ...]
    weights: tuple[float, ...]
    ranks: tuple[int, ...]
    positions: tuple[int, ...]
    notes: tuple[str, ...]

    @property
    def order(self) -> list[int]:
        """The indices of the statements, the most important first."""
        return sorted(range(len(self.statements)), key=lambda at: self.ranks[at])

    def fact(self, at: int) -> Fact:
        """Return a statement as a fact."""
        found = self.statements[at]
        return Fact(text=found.text, file=found.file, line=found.line, rank=self.ranks[at], position=self.positions[at])

    def only(self, kept: Iterable[int]) -> "Survey":
        """Return a survey of some of the statements; weights, ranks and positions stay unchanged."""
        at = sorted(kept)
        return Survey(
            tuple(self.statements[one] for one in at),
            tuple(self.weights[one] for one in at),
            tuple(self.ranks[one] for one in at),
            tuple(self.positions[one] for one in at),
            self.notes,
        )


@in_language_of("sources")
def survey(task: str, sources: Sequence[TextFile]) -> Survey:
    """Read sources and weigh their statements.

    Args:
        task: The topic, in words; statements near it weigh more.
        sources: The texts to read.

    Raises:
        ValueError: There is no source, or none has a statement that can be quoted.
    """
    if not sources:
        message = "no sources were given: pass at least one Markdown or text file"
        raise ValueError(message)
    with _ONE_AT_A_TIME:  # parallel researchers share the cached result
        return _survey(task, tuple(sources))


_ONE_AT_A_TIME = threading.Lock()


@functools.lru_cache(maxsize=2)
def _survey(task: str, sources: tuple[TextFile, ...]) -> Survey:
    statements, notes = _read_all(sources)
    if not statements:
        paths = ", ".join(source.path for source in sources)
        message = f"no sentence that can be quoted was found in {paths}: pass files with running text"
        raise ValueError(message)
    bags = [stems(statement.text) for statement in statements]
    weights = rank(bags, _pulls(statements, bags, stems(" ".join(subject_words(task)))))
    order = sorted(range(len(statements)), key=lambda at: (-round(weights[at], 9), at))
    ranks = {at: place for place, at in enumerate(order, start=1)}
    places = range(len(statements))
    return Survey(tuple(statements), tuple(weights), tuple(ranks[at] for at in places), tuple(places), tuple(notes))


def _read_all(sources: Sequence[TextFile]) -> tuple[list[Statement], list[str]]:
    """Read all sources, drop repetitions that agree in every word and figure, and cut what is too long."""
    notes: list[str] = []
    seen: set[object] = set()
    by_file: list[list[Statement]] = []
    for source in sources:
        text, excerpt = whole_text(source)
        if excerpt:
            notes.append(excerpt)
        if len(text) > MAX_CHARACTERS:
            notes.append(f"{source.path}: only the first {MAX_CHARACTERS:,} of {len(text):,} characters were read")
            text = text[:MAX_CHARACTERS]
        fresh: list[Statement] = []
        for statement in read(TextFile(path=source.path, text=text)):
            key = exact(statement.text)
            if key not in seen:
                seen.add(key)
                fresh.append(statement)
        if not fresh:
            notes.append(f"{source.path}: no sentence that can be quoted was found")
        by_file.append(fresh)
    return _cap(by_file, notes), notes


_NOTE = re.compile(r"\n<!-- excerpt: (.*) -->\Z")


def whole_text(source: TextFile) -> tuple[str, str]:
    """Return the text of a source without its note, and the note; "" if it is not an excerpt."""
    found = _NOTE.search(source.text)
    return (source.text[: found.start()], found[1]) if found else (source.text, "")


def _cap(by_file: Sequence[Sequence[Statement]], notes: list[str]) -> list[Statement]:
    """Keep the first statements of every section of every file, in as many rounds as fit."""
    everything = [statement for fresh in by_file for statement in fresh]
    if len(everything) <= MAX_STATEMENTS:
        return everything
    rounds: dict[tuple[str, tuple[str, ...]], int] = {}
    places: list[tuple[int, int]] = []
    for at, statement in enumerate(everything):
        section = (statement.file, statement.headings)
        rounds[section] = rounds.get(section, 0) + 1
        places.append((rounds[section], at))
    kept = sorted(at for _, at in sorted(places)[:MAX_STATEMENTS])
    found = f"the sources have {len(everything):,} statements"
    notes.append(f"{found}; {MAX_STATEMENTS} were weighed, the first of every section")
    return [everything[at] for at in kept]


def _pulls(statements: Sequence[Statement], bags: Sequence[Sequence[str]], topic: Sequence[str]) -> list[float]:
    """Return the own importance of each statement: for words of the topic, and for leading its section."""
    pulls: list[float] = []
    section: tuple[str, tuple[str, ...]] | None = None
    for statement, bag in zip(statements, bags, strict=True):
        headings = stems(" ".join(statement.headings))
        near = sum(1.0 if one in bag else HEADING_SHARE * (one in headings) for one in topic) / max(1, len(topic))
        here = (statement.file, statement.headings)
        own = DATA_SHARE if statement.is_data else 1.0 + LEAD_PULL * (here != section)
        pulls.append(own + TOPIC_PULL * near)
        section = here
    return pulls

"""Readers and the merger of their notes, as data and by rules.

Without a language model a reader quotes the most important sentences of its source, preferring those of its field, and
the merger orders all quotations by rank.
"""

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict

from graphengine import TextFile
from graphengine.briefs.article import Fact
from graphengine.briefs.researcher import research
from graphengine.briefs.support import repeats
from graphengine.briefs.text.language import in_language_of
from graphengine.briefs.text.words import mentions, stem_sequence, subject_words
from graphengine.briefs.writer import OFF_TASK
from graphengine.patterns.outcomes import Outcome
from nodes.board.entries import by_turns

POINTS = 5  # of one reader
MERGED_POINTS = 24  # more would not be read


class Job(BaseModel):
    """The job of one reader.

    Args:
        source: The path of its source; "" for a specialist that reports its own knowledge.
        number: The index of that source, from 0.
        specialist: Its field; "" for none.
    """

    model_config = ConfigDict(frozen=True)

    source: str = ""
    number: int = 0
    specialist: str = ""

    @property
    def name(self) -> str:
        """A short name of the job."""
        return " on ".join(part for part in (self.specialist, self.source) if part)


class Notes(BaseModel):
    """The findings of one reader.

    Args:
        facts: Sentences of its source, the most important first.
        points: The own knowledge of a specialist without a source.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    facts: list[Fact] = []
    points: list[str] = []


def jobs(sources: Sequence[TextFile], specialists: Sequence[str]) -> list[Job]:
    """Return a job for each source; with specialists one for each pair, or without sources one for each specialist."""
    fields = list(specialists) or [""]
    if not sources:
        return [Job(specialist=field) for field in fields if field]
    return [
        Job(source=source.path, number=at, specialist=field) for at, source in enumerate(sources) for field in fields
    ]


@in_language_of("sources")
def quote(task: str, item: Job, sources: Sequence[TextFile]) -> Notes:
    """Quote the most important sentences of one source; for a specialist, those of its field first.

    Raises:
        ValueError: There is no source, or nothing in it can be quoted.
    """
    if not item.source:
        message = f"rules know nothing of {item.specialist} without a source: give sources, or a language model"
        raise ValueError(message)
    found = research(f"{task} {item.specialist}".strip(), [sources[item.number]])
    field = subject_words(item.specialist)
    hits = {fact: sum(mentions(stem_sequence(fact.text), word) for word in field) for fact in found.all_facts()}
    best = sorted(hits, key=lambda fact: (-hits[fact], fact.rank))[:POINTS]
    return Notes(facts=[fact.model_copy(update={"rank": at}) for at, fact in enumerate(best, start=1)])


@in_language_of("outcomes")
def merge(task: str, jobs: Sequence[Job], outcomes: Sequence[Outcome]) -> str:
    """Combine the best of all notes, each sentence once, with its place, in the order of the sources."""
    read = [Notes.model_validate_json(each.text) for each in outcomes if each.failure is None]
    chosen: list[Fact] = []
    for fact in by_turns([sorted(notes.facts, key=lambda fact: fact.rank) for notes in read]):
        if not any(repeats(fact.text, other.text) for other in chosen):
            chosen.append(fact)
    best = chosen[:MERGED_POINTS]
    head = f"{len(best)} quotations from {len(read)} of {len(jobs)} readings, in the order of the sources; by rules."
    asked = subject_words(task)
    if not chosen:
        head += " No reading found anything on the task: the sources seem unrelated to it."
    if chosen and asked and not any(mentions(stem_sequence(fact.text), word) for fact in chosen for word in asked):
        head += f" {OFF_TASK}"
    sections: list[str] = []
    for file in dict.fromkeys(job.source for job in jobs):
        own = sorted((fact for fact in best if fact.file == file), key=lambda fact: fact.line)
        rows = [f"- {fact.text} [{fact.file}:{fact.line}]" for fact in own]
        sections += ["\n".join([f"## {file}", "", *rows])] if rows else []
    return "\n\n".join([f"# {' '.join(task.split())}", head, *sections]) + "\n"

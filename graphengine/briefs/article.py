"""The data of the review loop: findings for and against, reviews, and earlier articles.

All of it is plain pydantic that can be stored as JSON, resumed, and read by a person.
`Findings()` is a value of its own: it means that the research found nothing or failed.
"""

from collections.abc import Sized

from pydantic import BaseModel, ConfigDict, Field
from pydantic.json_schema import SkipJsonSchema

from graphengine.briefs.text.fact import Fact


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


def _is_empty(value: Sized) -> bool:
    """Return whether to leave a field out of what is stored, as in runs recorded before the field existed."""
    return not value


class Findings(_Frozen):
    """The result of the research; the empty value means that it found nothing.

    Args:
        key_areas: Topics in the order in which the sources treat them; each is a key of `facts`.
        key_terms: The most important words and two-word phrases, the most important first.
        facts: The facts of each area, the most central first.
        caveats: Facts that limit or warn, the most central first; they can also be under their area.
        sources: The paths of the files that were read, as given.
        notes: Remarks on the research itself, such as files that were cut.
    """

    key_areas: list[str] = []
    key_terms: list[str] = []
    facts: dict[str, list[Fact]] = {}
    caveats: list[Fact] = []
    sources: list[str] = []
    notes: list[str] = []

    def all_facts(self) -> list[Fact]:
        """Return every fact once, most central first, caveats included."""
        once = {fact.key: fact for area in self.facts.values() for fact in area}
        for fact in self.caveats:
            once.setdefault(fact.key, fact)
        return sorted(once.values(), key=lambda fact: (fact.rank, fact.file, fact.line, fact.text))


class Doubts(_Frozen):
    """What limits a subject or speaks against it; the empty value means that nothing was found.

    Args:
        limits: Facts that limit, warn or name an exception, the most central first.
        objections: Facts that oppose others: drawbacks, prices, the contrary case; the most central first.
        notes: Remarks on this search itself.
    """

    limits: list[Fact] = []
    objections: list[Fact] = []
    notes: list[str] = []

    def all_facts(self) -> list[Fact]:
        """Return every fact once, limits first."""
        return list(dict.fromkeys([*self.limits, *self.objections]))


class Earlier(_Frozen):
    """The parts of an article of an earlier run that a new one needs.

    Args:
        title: Its title, or its task if it has none.
        task: Its task.
        score: Its reviewer's score, 1 to 10; None if it was not reviewed.
        excerpt: Its first claims, cut to a few lines.
        run_id: The run that made it.
    """

    title: str
    task: str
    score: int | None = None
    excerpt: str = ""
    run_id: str = ""


class Measures(_Frozen):
    """The figures of a review; shares are from 0 to 1.

    Args:
        term_coverage: The share of the key terms that the draft uses.
        topic_coverage: The share of the topics that are covered; a topic with a single sentence counts half.
        task_coverage: The share of the task's words in the claims, or in the areas of the facts that support them.
        supported: The share of the claims that a cited fact supports: words, figures, signs, names; see `support.py`.
        repetition: The share of the sentences that repeat an earlier one.
        long_sentences: The share of the sentences that are too long.
        mean_sentence_words: The mean length of a sentence in words.
        claims: The number of sentences that state something.
        citations: The number of citations.
        sections: The number of sections with claims.
    """

    term_coverage: float = 0.0
    topic_coverage: float = 0.0
    task_coverage: float = 0.0
    supported: float = 0.0
    repetition: float = 0.0
    long_sentences: float = 0.0
    mean_sentence_words: float = 0.0
    claims: int = 0
    citations: int = 0
    sections: int = 0


class Deduction(_Frozen):
    """Points that a draft does not get, and why.

    Args:
        points: How many of the hundred; 0 for a reason that only limits the score.
        reason: The reason, in a sentence.
        sentence: The sentence concerned: one of the draft, or one that the draft should have used.
        source: Its place in the findings, as file:line; for a claim, the place that it cites.
        passage: The text at that place, if that is not the sentence.
    """

    points: float = Field(default=0.0, ge=0)
    reason: str
    sentence: str = ""
    source: str = ""
    passage: str = ""


class Remarks(_Frozen):
    """The faults item by item: the part of a review that a writer acts on.

    Args:
        missed_terms: Key terms that the draft never uses, the most important first.
        missed_task_words: Words of the task that no claim uses.
        thin_topics: Topics with a single sentence although the findings have more.
        long_sentences: Sentences that are too long, as in the draft.
        repeated_sentences: Sentences that repeat an earlier one, as in the draft.
        unsupported_sentences: Sentences without a citation that exists and supports them.
        missed_answers: Facts that cover more of the task than any claim does, word for word.
        too_few_claims: Whether the draft has too few claims.
    """

    missed_terms: list[str] = []
    missed_task_words: list[str] = []
    thin_topics: list[str] = []
    long_sentences: list[str] = []
    repeated_sentences: list[str] = []
    unsupported_sentences: list[str] = []
    missed_answers: list[str] = Field(default=[], exclude_if=_is_empty)
    too_few_claims: bool = False


class Review(_Frozen):
    """One review of one draft.

    Args:
        score: From 1 (useless) to 10 (nothing to fix).
        approved: Whether the score reaches the reviewer's threshold.
        issues: What is wrong, one sentence each, for people.
        missed_topics: Topics of the findings that the draft does not cover.
        suggestions: What the next draft should do, one sentence each, for people.
        summary: The verdict in a sentence or two.
        points: The score before it was rounded down to a whole number, 0 to 100.
        remarks: The issues again, item by item.
        measures: The figures behind the score.
        mended: Remarks of earlier reviews that this draft has fixed.
        deductions: What the draft lost of a hundred points, and what limits its score; by rules only.
    """

    score: int = Field(ge=1, le=10)
    approved: bool
    issues: list[str] = []
    missed_topics: list[str] = []
    suggestions: list[str] = []
    summary: str = ""
    points: int = Field(default=0, ge=0, le=100)
    remarks: Remarks = Remarks()
    measures: Measures = Measures()
    mended: list[str] = []
    deductions: SkipJsonSchema[list[Deduction]] = Field(default=[], exclude_if=_is_empty)


__all__ = ["Deduction", "Doubts", "Earlier", "Fact", "Findings", "Measures", "Remarks", "Review"]

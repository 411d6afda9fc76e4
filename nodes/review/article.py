"""The data that flows through the review loop: what was found for and against, what was reviewed, what went before.

Everything here is plain JSON-able pydantic, so that a run can be stored, resumed and read by a person.
`Findings()` is a value of its own: it means that the research found nothing or failed.
"""

from collections.abc import Sized

from pydantic import BaseModel, ConfigDict, Field
from pydantic.json_schema import SkipJsonSchema


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


def _is_empty(value: Sized) -> bool:
    """Whether a field is left out of what is stored, as it is in runs that were recorded before there was one."""
    return not value


class Fact(_Frozen):
    """One sentence of a source, word for word apart from its markup.

    Args:
        text: the sentence; code keeps its backticks, other markup is gone.
        file: path of the source, as it was given.
        line: line of the source on which the sentence starts, from 1.
        rank: place among all statements of the sources by how central they are; 1 is the most central.
        position: place among them in reading order, from 0; tells apart two facts on one line.
    """

    text: str
    file: str
    line: int = Field(ge=1)
    rank: int = Field(default=1, ge=1)
    position: int = Field(default=0, ge=0)

    @property
    def key(self) -> tuple[str, int, str]:
        """What tells it from every other fact, however it is ranked."""
        return self.file, self.line, self.text


class Findings(_Frozen):
    """What the research found; the empty value means that it found nothing.

    Args:
        key_areas: topics in the order in which the sources treat them; each is a key of `facts`.
        key_terms: words and two-word phrases that matter most, weightiest first.
        facts: for each area its facts, most central first.
        caveats: facts that limit or warn, most central first; a fact may also stand under its area.
        sources: paths of the files that were read, as they were given.
        notes: what a reader should know about the research itself, such as files that were cut short.
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
    """What speaks against a subject, or limits it; the empty value means that nothing was found.

    Args:
        limits: facts that limit, warn or name an exception, most central first.
        objections: facts that stand against others: drawbacks, prices, the contrary case; most central first.
        notes: what a reader should know about this search itself.
    """

    limits: list[Fact] = []
    objections: list[Fact] = []
    notes: list[str] = []

    def all_facts(self) -> list[Fact]:
        """Return every fact once, limits first."""
        return list(dict.fromkeys([*self.limits, *self.objections]))


class Earlier(_Frozen):
    """An article of an earlier run, as much of it as another one needs to know.

    Args:
        title: its title; its task where it has none.
        task: what it was to be about.
        score: what its reviewer gave it, 1 to 10; None where nobody judged it.
        excerpt: its first claims, cut to a few lines.
        run_id: the run that made it.
    """

    title: str
    task: str
    score: int | None = None
    excerpt: str = ""
    run_id: str = ""


class Measures(_Frozen):
    """The figures a review rests on; shares run from 0 to 1.

    Args:
        term_coverage: share of the key terms that the draft uses.
        topic_coverage: share of the topics that are treated; a topic with a single sentence counts half.
        task_coverage: share of the task's own words that the claims use, or the areas of the facts that support them.
        supported: share of the claims that a cited fact supports: words, figures, signs and names, see `support.py`.
        repetition: share of the sentences that repeat an earlier one.
        long_sentences: share of the sentences that are too long.
        mean_sentence_words: mean length of a sentence in words.
        claims: number of sentences that state something.
        citations: number of citations.
        sections: number of sections with claims.
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
        points: how many of the hundred; 0 for a reason that only limits the score.
        reason: why, in a sentence.
        sentence: the sentence that it is about: one of the draft, or one that the draft should have used.
        source: where the findings have it, as file:line; where the draft says it stands, for one that it cites.
        passage: what stands there, where that is not the sentence.
    """

    points: float = Field(default=0.0, ge=0)
    reason: str
    sentence: str = ""
    source: str = ""
    passage: str = ""


class Remarks(_Frozen):
    """What exactly is wrong, item by item: the part of a review that a writer acts on.

    Args:
        missed_terms: key terms that the draft never uses, weightiest first.
        missed_task_words: words of the task that no claim uses.
        thin_topics: topics with a single sentence although the findings hold more.
        long_sentences: sentences that are too long, as the draft has them.
        repeated_sentences: sentences that repeat an earlier one, as the draft has them.
        unsupported_sentences: sentences without a citation that exists and supports them.
        missed_answers: facts that take up more of the task than any claim does, word for word.
        too_few_claims: whether the draft says too little altogether.
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
    """One judgement of one draft.

    Args:
        score: 1 (useless) to 10 (nothing to mend).
        approved: whether the score reaches the reviewer's threshold.
        issues: what is wrong, one sentence each, for people.
        missed_topics: topics of the findings that the draft does not treat.
        suggestions: what the next draft should do, one sentence each, for people.
        summary: the judgement in a sentence or two.
        points: the score before it was cut to a whole number, 0 to 100.
        remarks: the issues again, item by item.
        measures: the figures behind the score.
        mended: remarks of earlier reviews that this draft has settled.
        deductions: what the draft lost of a hundred points, and what limits its score; by rules alone.
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

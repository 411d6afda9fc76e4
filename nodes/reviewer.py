"""The reviewer: measures a draft against the findings, by the rubric, and says what to mend.

It sees what any reviewer would: the task, the draft, the findings, and its own earlier reviews. Those it uses
to say what has been mended, and not to ask twice for the same thing in other words.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from nodes import rubric
from nodes.article import Fact, Findings, Measures, Remarks, Review
from nodes.draft import CAVEATS_TITLE, Claim, Draft, labels, parse
from nodes.words import count_words, likeness, mentions, share_within, stem_sequence, stems, subject_words


def review(task: str, draft: str, findings: Findings, history: Sequence[Review]) -> Review:
    """Judge a draft.

    Args:
        task: what the brief was to be about.
        draft: the brief, as Markdown.
        findings: what the research found; the only authority on facts here.
        history: the earlier reviews of this brief, oldest first.

    Returns:
        Score, issues and suggestions; the same input gives the same review.
    """
    if not findings.key_areas:
        return _nothing_to_check()
    reading = _Reading.of(parse(draft), findings)
    remarks, missed_topics = _remarks(task, reading, findings)
    measures = _measures(task, reading, findings)
    points = _points(reading, measures)
    score = max(1, points // 10)
    if measures.supported < rubric.SUPPORT_NEEDED:
        score = min(score, rubric.UNTRACEABLE_SCORE)
    if not measures.task_coverage:
        score = min(score, rubric.BESIDE_THE_TASK_SCORE)
    mended = _mended(history, remarks, missed_topics)
    issues, suggestions = _in_words(remarks, missed_topics, history)
    approved = score >= rubric.APPROVED_FROM
    return Review(
        score=score,
        approved=approved,
        issues=issues,
        missed_topics=missed_topics,
        suggestions=suggestions,
        summary=_summary(score, measures, mended, approved=approved),
        points=points,
        remarks=remarks,
        measures=measures,
        mended=mended,
    )


def _nothing_to_check() -> Review:
    return Review(
        score=1,
        approved=False,
        issues=["There are no findings, so no claim can be checked."],
        suggestions=["Give the research sources with running text on the task."],
        summary="Nothing could be checked: the research found nothing.",
    )


@dataclass(frozen=True, slots=True)
class _Reading:
    """A draft read against the findings: each claim with the fact that supports it, if one does."""

    draft: Draft
    claims: tuple[Claim, ...]
    facts: tuple[Fact | None, ...]
    sequences: tuple[tuple[str, ...], ...]
    repeated: tuple[bool, ...]

    @classmethod
    def of(cls, draft: Draft, findings: Findings) -> "_Reading":
        claims = tuple(draft.claims())
        names = labels(findings)
        cited: dict[str, list[Fact]] = {}
        for fact in findings.all_facts():
            cited.setdefault(f"{names[fact.file]}:{fact.line}", []).append(fact)
        sequences = tuple(tuple(stem_sequence(claim.text)) for claim in claims)
        bags = [frozenset(one for one in sequence if one) for sequence in sequences]
        repeated = tuple(
            any(likeness(bag, earlier) >= rubric.REPEATED_LIKENESS for earlier in bags[:at])
            for at, bag in enumerate(bags)
        )
        return cls(draft, claims, tuple(_support(claim, cited) for claim in claims), sequences, repeated)

    def mentions(self, term: str) -> bool:
        """Return whether a claim mentions a term; one that repeats an earlier claim adds nothing."""
        said = zip(self.sequences, self.repeated, strict=True)
        return any(mentions(sequence, term) for sequence, again in said if not again)

    def supported_claims(self) -> int:
        """Count the claims that are supported and say something new."""
        return sum(fact is not None and not again for fact, again in zip(self.facts, self.repeated, strict=True))


def _support(claim: Claim, cited: dict[str, list[Fact]]) -> Fact | None:
    said = stems(claim.text)
    candidates = [fact for citation in claim.citations for fact in cited.get(citation, [])]
    shares = [(share_within(said, stems(fact.text)), -at) for at, fact in enumerate(candidates)]
    best, place = max(shares, default=(0.0, 0))
    return candidates[-place] if best >= rubric.SUPPORT_SHARE else None


def _topic_claims(reading: _Reading, findings: Findings) -> dict[str, tuple[int, int]]:
    """Return for each topic how many supported claims treat it, and how many facts there are on it."""
    topics = {name: findings.facts.get(name, []) for name in findings.key_areas}
    if findings.caveats:
        topics.setdefault(CAVEATS_TITLE, findings.caveats)
    pairs = zip(reading.facts, reading.repeated, strict=True)
    used = list(dict.fromkeys(fact for fact, again in pairs if fact is not None and not again))
    return {name: (sum(fact in facts for fact in used), len(facts)) for name, facts in topics.items()}


def _is_thin(name: str, said: int, known: int) -> bool:
    return said == 1 and known > 1 and name != CAVEATS_TITLE


def _remarks(task: str, reading: _Reading, findings: Findings) -> tuple[Remarks, list[str]]:
    topics = _topic_claims(reading, findings)
    claims = list(zip(reading.claims, reading.facts, reading.repeated, strict=True))
    asked = subject_words(task)
    unused = [
        term for term in findings.key_terms if not reading.mentions(term) and stems(term) not in map(stems, asked)
    ]
    remarks = Remarks(
        missed_terms=unused[: rubric.MAX_NAMED],
        missed_task_words=[word for word in asked if not reading.mentions(word)],
        thin_topics=[name for name, (said, known) in topics.items() if _is_thin(name, said, known)][: rubric.MAX_NAMED],
        long_sentences=[claim.text for claim in reading.claims if count_words(claim.text) > rubric.LONG_WORDS],
        repeated_sentences=[claim.text for claim, _, again in claims if again],
        unsupported_sentences=[claim.text for claim, fact, _ in claims if fact is None],
        too_few_claims=reading.supported_claims() < rubric.FEW_CLAIMS,
    )
    return remarks, [name for name, (said, _) in topics.items() if said == 0][: rubric.MAX_NAMED]


def _measures(task: str, reading: _Reading, findings: Findings) -> Measures:
    topics = _topic_claims(reading, findings)
    lengths = [count_words(claim.text) for claim in reading.claims]
    covered = [
        0.0 if said == 0 else 0.5 if _is_thin(name, said, known) else 1.0 for name, (said, known) in topics.items()
    ]
    return Measures(
        term_coverage=_share([reading.mentions(term) for term in findings.key_terms], empty=1.0),
        topic_coverage=_share(covered, empty=1.0),
        task_coverage=_share([reading.mentions(word) for word in subject_words(task)], empty=1.0),
        supported=_share([fact is not None for fact in reading.facts]),
        repetition=_share(list(reading.repeated)),
        long_sentences=_share([length > rubric.LONG_WORDS for length in lengths]),
        mean_sentence_words=_share(lengths),
        claims=len(reading.claims),
        citations=sum(len(claim.citations) for claim in reading.claims),
        sections=sum(bool(section.claims) for section in reading.draft.sections),
    )


def _share(values: Sequence[float], *, empty: float = 0.0) -> float:
    return round(sum(values) / len(values), 3) if values else empty


def _points(reading: _Reading, measures: Measures) -> int:
    draft = reading.draft
    structure = [
        bool(draft.title),
        sum(len(section.claims) > 1 for section in draft.sections) > 1,
        bool(draft.sources),
    ]
    content = [
        rubric.TERMS.earned(measures.term_coverage),
        rubric.TOPICS.earned(measures.topic_coverage),
        rubric.TASK.earned(measures.task_coverage),
        rubric.SUBSTANCE.earned(reading.supported_claims()),
    ]
    form = [
        rubric.SUPPORT.earned(measures.supported),
        rubric.LENGTH.earned(measures.long_sentences),
        rubric.REPETITION.earned(measures.repetition),
        rubric.STRUCTURE.earned(sum(structure)),
    ]
    enough = min(1.0, reading.supported_claims() / rubric.FEW_CLAIMS)
    return int(sum(content) + enough * sum(form) + 1e-9)


def _named(remarks: Remarks, missed_topics: Sequence[str]) -> dict[str, str]:
    """Return every single remark under a key that stays the same from review to review, with its wording."""
    kinds = [
        ("term", "the term \u201c{}\u201d is missing", remarks.missed_terms),
        ("task", "the task's word \u201c{}\u201d is not taken up", remarks.missed_task_words),
        ("topic", "the topic \u201c{}\u201d is missing", missed_topics),
        ("thin", "the topic \u201c{}\u201d has one sentence only", remarks.thin_topics),
        ("long", "too long: \u201c{}\u201d", remarks.long_sentences),
        ("repeated", "repeated: \u201c{}\u201d", remarks.repeated_sentences),
        ("unsupported", "no citation supports: \u201c{}\u201d", remarks.unsupported_sentences),
    ]
    return {f"{kind} {item}": wording.format(item) for kind, wording, items in kinds for item in items}


def _mended(history: Sequence[Review], remarks: Remarks, missed_topics: Sequence[str]) -> list[str]:
    now = _named(remarks, missed_topics)
    before = {key: wording for one in history for key, wording in _named(one.remarks, one.missed_topics).items()}
    return [wording for key, wording in before.items() if key not in now]


def _in_words(remarks: Remarks, missed_topics: Sequence[str], history: Sequence[Review]) -> tuple[list[str], list[str]]:
    asked = {key for one in history for key in _named(one.remarks, one.missed_topics)}
    issues = [
        wording[:1].upper() + wording[1:] + (" (as before)." if key in asked else ".")
        for key, wording in _named(remarks, missed_topics).items()
    ]
    if remarks.too_few_claims:
        issues.append(f"The draft makes fewer than {rubric.FEW_CLAIMS} supported claims.")
    wishes = [
        (missed_topics, "Add a section on {}."),
        (remarks.thin_topics, "Say more on {}."),
        ([*remarks.missed_terms, *remarks.missed_task_words], "Bring in sentences that use {}."),
        (remarks.long_sentences, f"Split or replace {{}} of more than {rubric.LONG_WORDS} words."),
        (remarks.repeated_sentences, "Remove {} that repeat an earlier one."),
        (remarks.unsupported_sentences, "Cite a file and line of the findings for {}, or remove them."),
    ]
    suggestions = [wish.format(_listed(items, wish)) for items, wish in wishes if items]
    if remarks.too_few_claims:
        suggestions.append("Add further facts from the findings.")
    return issues, suggestions


def _listed(items: Sequence[str], wish: str) -> str:
    if wish.startswith(("Split", "Remove", "Cite")):
        return f"{len(items)} sentence{'s' if len(items) > 1 else ''}"
    return ", ".join(f"\u201c{item}\u201d" for item in items)


def _summary(score: int, measures: Measures, mended: Sequence[str], *, approved: bool) -> str:
    verdict = "Good enough to pass on" if approved else "Not good enough yet"
    figures = (
        f"{measures.term_coverage:.0%} of the key terms, {measures.topic_coverage:.0%} of the topics, "
        f"{measures.supported:.0%} of {measures.claims} claims supported, "
        f"{measures.mean_sentence_words:.0f} words a sentence"
    )
    settled = f" {len(mended)} earlier remark{'s' if len(mended) > 1 else ''} settled." if mended else ""
    return f"{verdict} ({score}/10): {figures}.{settled}"

"""The reviewer by rules: measures a draft against the findings, by the rubric, and says what to fix.

It sees what any reviewer would: the task, the draft, the findings, and its own earlier reviews. It uses those to say
what has been settled, and not to ask twice for the same thing in other words.
"""

from collections.abc import Sequence

from graphengine.briefs import rubric
from graphengine.briefs.article import Deduction, Findings, Measures, Remarks, Review
from graphengine.briefs.deductions import limits, points_and_losses
from graphengine.briefs.draft import parse
from graphengine.briefs.reading import Judged, Reading
from graphengine.briefs.text.language import in_language_of
from graphengine.briefs.text.words import stems


@in_language_of("findings")
def review(task: str, draft: str, findings: Findings, history: Sequence[Review]) -> Review:
    """Review a draft.

    Args:
        task: The task of the brief.
        draft: The brief, as Markdown.
        findings: The findings of the research; the only authority on facts here.
        history: The earlier reviews of this brief, oldest first.

    Returns:
        Score, issues and suggestions; the same input gives the same review. The score measures coverage and form,
        within the limits that `deductions` names first; `rubric.py` explains it, `support.py` what it cannot measure.
    """
    if not findings.key_areas:
        return _nothing_to_check(findings)
    reading = Reading(task, parse(draft), findings)
    remarks, missed_topics = _remarks(reading)
    measures = _measures(reading)
    points, losses = points_and_losses(reading, measures)
    most, reasons = limits(reading, measures)
    score = min(max(1, points // 10), most)
    mended = _mended(history, remarks, missed_topics)
    issues, suggestions = _in_words(remarks, missed_topics, history, _why(reading))
    approved = score >= rubric.APPROVED_FROM
    return Review(
        score=score,
        approved=approved,
        issues=issues,
        missed_topics=missed_topics,
        suggestions=suggestions,
        summary=_summary(score, measures, mended, reasons, approved=approved),
        points=points,
        remarks=remarks,
        measures=measures,
        mended=mended,
        deductions=[*reasons, *losses],
    )


def _nothing_to_check(findings: Findings) -> Review:
    why = "".join(f" {note}" for note in findings.notes)
    return Review(
        score=1,
        approved=False,
        issues=[f"There are no findings, so no claim can be checked.{why}"],
        suggestions=["Give the research sources with running text on the task."],
        summary="Nothing could be checked: the research found nothing.",
    )


def _remarks(reading: Reading) -> tuple[Remarks, list[str]]:
    asked = [stems(word) for word in reading.asked]
    unused = [term for term in reading.findings.key_terms if not reading.mentions(term) and stems(term) not in asked]
    claims = list(zip(reading.claims, reading.long, strict=True))
    remarks = Remarks(
        missed_terms=unused[: rubric.MAX_NAMED],
        missed_task_words=[word for word in reading.asked if not reading.covers(word)],
        thin_topics=[name for name in reading.topics if reading.is_thin(name)][: rubric.MAX_NAMED],
        long_sentences=[one.claim.text for one, length in claims if length > rubric.LONG_WORDS],
        repeated_sentences=[one.claim.text for one in reading.claims if one.repeats],
        unsupported_sentences=[one.claim.text for one in reading.claims if one.fact is None],
        missed_answers=[reading.missed_answer.text] if reading.missed_answer else [],
        too_few_claims=_supported(reading) < rubric.FEW_CLAIMS,
    )
    return remarks, [name for name in reading.topics if not reading.used_on(name)][: rubric.MAX_NAMED]


def _supported(reading: Reading) -> int:
    return sum(one.counts for one in reading.claims)


def _measures(reading: Reading) -> Measures:
    covered = [0.0 if not reading.used_on(each) else 0.5 if reading.is_thin(each) else 1.0 for each in reading.topics]
    return Measures(
        term_coverage=_share([reading.mentions(term) for term in reading.findings.key_terms], empty=1.0),
        topic_coverage=_share(covered, empty=1.0),
        task_coverage=_share([reading.covers(word) for word in reading.asked], empty=1.0),
        supported=_share([one.fact is not None for one in reading.claims]),
        repetition=_share([bool(one.repeats) for one in reading.claims]),
        long_sentences=_share([length > rubric.LONG_WORDS for length in reading.long]),
        mean_sentence_words=_share(reading.long),
        claims=len(reading.claims),
        citations=sum(len(one.claim.citations) for one in reading.claims),
        sections=sum(bool(section.claims) for section in reading.draft.sections),
    )


def _share(values: Sequence[float], *, empty: float = 0.0) -> float:
    return round(sum(values) / len(values), 3) if values else empty


def _why(reading: Reading) -> dict[str, str]:
    """Return for each unsupported claim why it is unsupported, and the text at the place that it cites."""
    return {one.claim.text: f"it {one.why}{_passage(reading, one)}" for one in reading.claims if one.fact is None}


def _passage(reading: Reading, one: Judged) -> str:
    return f"; {reading.place(one.nearest)} has \u201c{one.nearest.text}\u201d" if one.nearest else ""


def _named(remarks: Remarks, missed_topics: Sequence[str]) -> dict[str, str]:
    """Return every single remark by a key that is stable between reviews, with its wording."""
    kinds = [
        ("term", "the term \u201c{}\u201d is missing", remarks.missed_terms),
        ("task", "the task's word \u201c{}\u201d is not used", remarks.missed_task_words),
        ("answer", "the fact that covers most of the task is missing: \u201c{}\u201d", remarks.missed_answers),
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


def _in_words(
    remarks: Remarks, missed_topics: Sequence[str], history: Sequence[Review], why: dict[str, str]
) -> tuple[list[str], list[str]]:
    asked = {key for one in history for key in _named(one.remarks, one.missed_topics)}
    reasons = {f"unsupported {sentence}": f": {reason}" for sentence, reason in why.items()}
    issues = [
        wording[:1].upper() + wording[1:] + reasons.get(key, "") + (" (as before)." if key in asked else ".")
        for key, wording in _named(remarks, missed_topics).items()
    ]
    if remarks.too_few_claims:
        issues.append(f"The draft makes fewer than {rubric.FEW_CLAIMS} supported claims.")
    wishes = [
        (missed_topics, "Add a section on {}."),
        (remarks.thin_topics, "Say more on {}."),
        (remarks.missed_answers, "Bring in {}."),
        ([*remarks.missed_terms, *remarks.missed_task_words], "Bring in sentences that use {}."),
        (remarks.long_sentences, f"Split or replace {{}} of more than {rubric.LONG_WORDS} words."),
        (remarks.repeated_sentences, "Remove {} that repeat an earlier one."),
        (remarks.unsupported_sentences, "Say what a cited line of the findings says in {}, or remove them."),
    ]
    suggestions = [wish.format(_listed(items, wish)) for items, wish in wishes if items]
    if remarks.too_few_claims:
        suggestions.append("Add further facts from the findings.")
    return issues, suggestions


def _listed(items: Sequence[str], wish: str) -> str:
    if wish.startswith(("Split", "Remove", "Say what")):
        return f"{len(items)} sentence{'s' if len(items) > 1 else ''}"
    return ", ".join(f"\u201c{item}\u201d" for item in items)


def _summary(
    score: int, measures: Measures, mended: Sequence[str], reasons: Sequence[Deduction], *, approved: bool
) -> str:
    verdict = "Good enough to pass on" if approved else "Not good enough yet"
    figures = (
        f"{measures.term_coverage:.0%} of the key terms, {measures.topic_coverage:.0%} of the topics, "
        f"{measures.supported:.0%} of {measures.claims} claims supported, "
        f"{measures.mean_sentence_words:.0f} words a sentence"
    )
    limited = f" Limited: {reasons[0].reason}." if reasons else ""
    settled = f" {len(mended)} earlier remark{'s' if len(mended) > 1 else ''} settled." if mended else ""
    return f"{verdict} ({score}/10, by rules): {figures}.{limited}{settled}"

"""Deductions: what a draft lost of a hundred points, what limits its score, and the sentence and source concerned."""

from collections.abc import Iterable, Iterator, Sequence

from graphengine.briefs import rubric
from graphengine.briefs.article import Deduction, Fact, Measures
from graphengine.briefs.reading import Reading

ROUNDING = 1e-9  # sums of shares miss whole numbers by less


def points_and_losses(reading: Reading, measures: Measures) -> tuple[int, list[Deduction]]:
    """Return the points of a draft, 0 to 100, and why the others were lost.

    Args:
        reading: The draft, compared with the findings.
        measures: Its figures.
    """
    supported = sum(one.counts for one in reading.claims)
    enough = min(1.0, supported / rubric.FEW_CLAIMS)
    structure = sum(here for here, _ in _structure(reading))
    content = [
        (rubric.TERMS, measures.term_coverage, _terms(reading)),
        (rubric.TOPICS, measures.topic_coverage, _topics(reading)),
        (rubric.TASK, measures.task_coverage, _task_words(reading)),
        (rubric.SUBSTANCE, supported, _unused(reading)),
    ]
    form = [
        (rubric.SUPPORT, measures.supported, _unsupported(reading)),
        (rubric.LENGTH, measures.long_sentences, _long(reading)),
        (rubric.REPETITION, measures.repetition, _repeated(reading)),
        (rubric.STRUCTURE, structure, _missing_parts(reading)),
    ]
    losses = [
        loss
        for component, value, about in (*content, *form)
        for loss in _spread(component.points - component.earned(value), about)
    ]
    neat = sum(component.earned(value) for component, value, _ in form)
    few = f"form counts in proportion below {rubric.FEW_CLAIMS} supported claims, but there are {supported}"
    losses += _spread((1 - enough) * neat, [Deduction(reason=few)])
    points = sum(component.earned(value) for component, value, _ in content) + enough * neat
    return int(points + ROUNDING), losses


def limits(reading: Reading, measures: Measures) -> tuple[int, list[Deduction]]:
    """Return the maximum score of a draft, and why: its false claims, and what it leaves out of the task.

    Args:
        reading: The draft, compared with the findings.
        measures: Its figures.
    """
    most, found = 10, list[Deduction]()
    wrong = list(_unsupported(reading))
    if wrong:
        traced = measures.supported >= rubric.SUPPORT_NEEDED
        most = rubric.FLAWED_SCORE if traced else rubric.UNTRACEABLE_SCORE
        if any(one.is_false for one in reading.claims):
            most = rubric.FALSE_SCORE
        found += wrong
    missed = sum(not reading.covers(word) for word in reading.named) / max(1, len(reading.named))
    if missed > rubric.FORGIVEN_SUBJECTS or measures.task_coverage < rubric.TASK_NEEDED:
        off_task = missed > rubric.MISSED_SUBJECTS or measures.task_coverage < rubric.TASK_NEEDED
        most = min(most, rubric.OFF_TASK_SCORE if off_task else rubric.FLAWED_SCORE)
        found += _task_words(reading)
    if reading.missed_answer:
        most = min(most, rubric.FLAWED_SCORE)
        found.append(_about(reading, reading.missed_answer, "no claim covers as much of the task as this finding"))
    return most, found


def _spread(lost: float, about: Iterable[Deduction]) -> list[Deduction]:
    """Divide a loss equally among the deductions."""
    each = list(about) if lost > ROUNDING else []
    return [one.model_copy(update={"points": round(lost / len(each), 2)}) for one in each]


def _about(reading: Reading, fact: Fact | None, reason: str) -> Deduction:
    if fact is None:
        return Deduction(reason=reason)
    return Deduction(reason=reason, sentence=fact.text, source=reading.place(fact))


def _first(reading: Reading, facts: Sequence[Fact]) -> Fact | None:
    return next((fact for fact in facts if fact not in reading.used), None)


def _terms(reading: Reading) -> Iterator[Deduction]:
    for term in reading.findings.key_terms:
        if not reading.mentions(term):
            yield _about(reading, _first(reading, reading.holders(term)), f"no claim has the term \u201c{term}\u201d")


def _topics(reading: Reading) -> Iterator[Deduction]:
    for name, facts in reading.topics.items():
        if not reading.used_on(name):
            yield _about(reading, _first(reading, facts), f"there is no sentence on the topic \u201c{name}\u201d")
        elif reading.is_thin(name):
            yield _about(reading, _first(reading, facts), f"there is only one sentence on the topic \u201c{name}\u201d")


def _task_words(reading: Reading) -> Iterator[Deduction]:
    for word in reading.asked:
        if not reading.covers(word):
            fact = _first(reading, reading.holders(word))
            known = "" if fact else ", and no finding has it"
            yield _about(reading, fact, f"no claim has the task's word \u201c{word}\u201d{known}")


def _unused(reading: Reading) -> Iterator[Deduction]:
    supported = sum(one.counts for one in reading.claims)
    reason = f"{supported} supported claims that say something new, of {rubric.SUBSTANCE.full:.0f} for all points"
    yield _about(reading, _first(reading, reading.findings.all_facts()), reason)


def _unsupported(reading: Reading) -> Iterator[Deduction]:
    for one in reading.claims:
        if one.fact is None:
            passage = one.nearest.text if one.nearest else ""
            source = reading.place(one.nearest) if one.nearest else ", ".join(one.claim.citations)
            yield Deduction(reason=f"a claim {one.why}", sentence=one.claim.text, source=source, passage=passage)
    if not reading.claims:
        yield Deduction(reason="there is no claim")


def _long(reading: Reading) -> Iterator[Deduction]:
    for one, length in zip(reading.claims, reading.long, strict=True):
        if length > rubric.LONG_WORDS:
            reason = f"a sentence has {length} words, more than {rubric.LONG_WORDS}"
            yield Deduction(reason=reason, sentence=one.claim.text, source=", ".join(one.claim.citations))


def _repeated(reading: Reading) -> Iterator[Deduction]:
    for one in reading.claims:
        if one.repeats:
            reason, source = "a sentence repeats an earlier one", ", ".join(one.claim.citations)
            yield Deduction(reason=reason, sentence=one.claim.text, source=source, passage=one.repeats)


def _structure(reading: Reading) -> list[tuple[bool, str]]:
    draft = reading.draft
    return [
        (bool(draft.title), "there is no title"),
        (sum(len(section.claims) > 1 for section in draft.sections) > 1, "fewer than two sections have two claims"),
        (bool(draft.sources), "there is no list of sources"),
    ]


def _missing_parts(reading: Reading) -> Iterator[Deduction]:
    yield from (Deduction(reason=reason) for here, reason in _structure(reading) if not here)

"""The specialists at the research board, by rules alone.

Each reads the board and returns what it adds; none knows of another. They quote, count and compare without
understanding: a doubt is a sentence with a limiting word ("cannot", "unless") that shares words with a fact, and a gap
is a word that no fact has.
"""

from collections.abc import Sequence
from dataclasses import replace

from graphengine import TextFile
from graphengine.briefs.article import Fact, Findings, Review
from graphengine.briefs.doubts import is_limit
from graphengine.briefs.draft import parse, render
from graphengine.briefs.researcher import research
from graphengine.briefs.reviewer import review
from graphengine.briefs.support import repeats
from graphengine.briefs.text.language import in_language_of
from graphengine.briefs.text.passages import read
from graphengine.briefs.text.words import count_words, mentions, stem_sequence, stems, subject_words
from graphengine.briefs.writer import MIN_BUDGET_WORDS, write
from nodes.board.entries import Doubt, Gap, with_doubts

FIRST_LOOK = 3  # facts per area; the surveyor names what is missing after that
FACTS_A_GAP = 2  # additional sentences for each gap
MAX_GAPS = 4  # the largest gaps first; the next survey names the rest
TERMS_LOOKED_AT = 8  # of the key terms; one mention is enough for the others
MAX_DOUBTS = 6
SHARED_STEMS = 2  # a sentence that shares fewer words with a fact is not about it
MAX_REVISIONS = 2  # requests to the writer to revise its draft


def scout(task: str, sources: Sequence[TextFile], findings: Findings, gaps: Sequence[Gap] | None) -> Findings:
    """Look for facts: first on the task, then on each gap.

    Args:
        task: The topic, in words.
        sources: The texts to read.
        findings: The findings so far.
        gaps: What is missing; None before the first survey.

    Returns:
        The new findings; if the sources have nothing at all, notes that say so.
    """
    if not findings.key_areas:
        try:
            seen = research(task, sources)
            facts = {name: found[:FIRST_LOOK] for name, found in seen.facts.items()}
            return seen.model_copy(update={"facts": facts, "caveats": []})  # caveats are the skeptic's to find
        except ValueError as error:
            return Findings(sources=[source.path for source in sources], notes=[str(error)])
    found = Findings()
    for gap in gaps or ():
        found = _join(found, _look_for(gap.about, task, sources, findings))
    return found


def is_looked_for(findings: Findings, gaps: Sequence[Gap] | None) -> bool:
    """Return whether there is anything to look for: everything at first, then the gaps."""
    return bool(gaps) or not findings.key_areas


def nothing() -> Findings:
    """Return no findings, for a scout with nothing to look for."""
    return Findings()


@in_language_of("sources")
def skeptic(findings: Findings, sources: Sequence[TextFile]) -> list[Doubt]:
    """Find what limits or contradicts the facts: for each such sentence the fact that it is about.

    Returns:
        At most MAX_DOUBTS, those that share the most words with their fact first.
    """
    facts = [(fact, frozenset(stems(fact.text))) for fact in findings.all_facts()]
    found: list[tuple[int, int, Doubt]] = []
    for statement in (statement for source in sources for statement in read(source) if is_limit(statement.text)):
        bag = frozenset(stems(statement.text))
        shared = [(len(bag & other), -at) for at, (fact, other) in enumerate(facts) if fact.text != statement.text]
        most, place = max(shared, default=(0, 0))
        if most >= SHARED_STEMS:
            against = Fact(text=statement.text, file=statement.file, line=statement.line, position=len(found))
            found.append((-most, len(found), Doubt(fact=facts[-place][0].text, against=against)))
    return [doubt for _, _, doubt in sorted(found, key=lambda row: row[:2])[:MAX_DOUBTS]]


@in_language_of("sources")
def surveyor(task: str, sources: Sequence[TextFile], findings: Findings) -> list[Gap]:
    """Find what is missing: words of the task, unused sources, key terms with a single fact.

    Returns:
        At most MAX_GAPS, in this order.
    """
    texts = [stem_sequence(fact.text) for fact in findings.all_facts()]
    plain = " ".join(fact.text for fact in findings.all_facts()).casefold()  # for scripts without blanks between words
    used = {fact.file for fact in findings.all_facts()}
    found = [
        Gap(about=word, why=f"no fact speaks of \u201c{word}\u201d")
        for word in subject_words(task)
        if not any(mentions(text, word) for text in texts) and word.casefold() not in plain
    ]
    found += [
        Gap(about=source.path, why=f"nothing was taken from {source.path}")
        for source in sources
        if source.path and source.path not in used
    ]
    found += [
        Gap(about=term, why=f"a single fact speaks of \u201c{term}\u201d")
        for term in findings.key_terms[:TERMS_LOOKED_AT]
        if sum(mentions(text, term) for text in texts) == 1
    ]
    return found[:MAX_GAPS]


def compose(  # noqa: PLR0913 - all that the writer reads of the board
    task: str,
    findings: Findings,
    doubts: Sequence[Doubt] | None,
    gaps: Sequence[Gap] | None,
    word_budget: int,
    history: Sequence[Review],
    draft: str,
) -> str:
    """Write the brief, or revise it by the last review; its introduction says what the sources leave open."""
    asked = subject_words(task)
    missing = [gap.about for gap in gaps or () if gap.about in asked]
    note = f" The sources hold nothing that could be quoted on: {', '.join(missing)}." if missing else ""
    room = max(MIN_BUDGET_WORDS, word_budget - count_words(note))
    brief = write(task, with_doubts(findings, doubts or ()), room, history, draft)
    if not missing or not findings.key_areas:
        return brief
    page = parse(brief)
    return render(replace(page, introduction=page.introduction + note))


def judge(
    task: str, draft: str, findings: Findings, doubts: Sequence[Doubt] | None, history: Sequence[Review]
) -> Review:
    """Review the draft against the facts and the doubts."""
    return review(task, draft, with_doubts(findings, doubts or ()), history)


def ask_again(history: Sequence[Review], wishes: list[str]) -> list[str]:
    """Return what the writer should fix: `wishes` unchanged if the last review approves, or if revising did not help.

    Args:
        history: The reviews, oldest first.
        wishes: The requests so far.
    """
    if not history:
        return wishes
    *before, last = history
    asked = sum(not review.approved for review in before)
    helped = not before or last.score > max(review.score for review in before)
    return wishes if last.approved or asked >= MAX_REVISIONS or not helped else last.suggestions


def _look_for(about: str, task: str, sources: Sequence[TextFile], known: Findings) -> Findings:
    """Return the best facts on something that are not known yet, and repeat no known fact."""
    named = [source for source in sources if source.path == about]
    try:
        seen = research(task if named else f"{about} {task}", named or sources)
    except ValueError:  # no quotable sentence
        return Findings()
    fresh = [
        fact
        for fact in seen.all_facts()
        if (named or mentions(stem_sequence(fact.text), about))
        and not any(repeats(fact.text, other.text) for other in known.all_facts())
    ][:FACTS_A_GAP]
    areas = {name: [fact for fact in facts if fact in fresh] for name, facts in seen.facts.items()}
    kept = {name: facts for name, facts in areas.items() if facts}
    return Findings(key_areas=list(kept), facts=kept)


def _join(first: Findings, second: Findings) -> Findings:
    names = list(dict.fromkeys([*first.key_areas, *second.key_areas]))
    facts = {name: list(dict.fromkeys([*first.facts.get(name, []), *second.facts.get(name, [])])) for name in names}
    return Findings(key_areas=names, facts=facts)

"""Citing: whether the citations of a text exist, and agree with its statements.

A language model's text is checked before it counts, so only certain errors are reported: a place that does not exist, a
claim that cites nothing, figures that are not at the cited place, no word in common with it; and for a claim that is
nearly a quotation, an added or lost negation. Whether other words mean the same is for a reviewer to judge. Words are
compared: a text in another language than its sources needs another check.
"""

from collections.abc import Iterable, Mapping, Sequence

from graphengine.briefs import rubric
from graphengine.briefs.article import Fact, Findings
from graphengine.briefs.draft import Claim, citations, labels, parse, without_title
from graphengine.briefs.support import complaints
from graphengine.briefs.text.language import in_language_of
from graphengine.briefs.text.wording import wording
from graphengine.briefs.text.words import count_words, share_within, stems

MAX_COMPLAINTS = 8  # of one answer
UNCITED_WORDS = rubric.LONG_WORDS  # one uncited sentence can say that the findings have nothing on a task
NEARLY_ALL = 0.75  # of a claim's words in one of several passages
CERTAIN = frozenset(["figure", "denial", "opposite"])

Passages = Mapping[str, Sequence[str]]
"""The texts at each place that can be cited."""


def passages_of(findings: Findings) -> dict[str, list[str]]:
    """Return the texts at each place of findings, by its full path and by the short one that writers use."""
    names = labels(findings)
    found: dict[str, list[str]] = {}
    for fact in findings.all_facts():
        for name in dict.fromkeys([fact.file, names[fact.file]]):
            found.setdefault(f"{name}:{fact.line}", []).append(fact.text)
    return found


def passages_at(facts: Iterable[Fact]) -> dict[str, list[str]]:
    """Return the texts at the places of some facts."""
    found: dict[str, list[str]] = {}
    for fact in facts:
        found.setdefault(f"{fact.file}:{fact.line}", []).append(fact.text)
    return found


def passages_in(text: str) -> dict[str, list[str]]:
    """Return the claims of a text by each place that it cites."""
    found: dict[str, list[str]] = {place: [] for place in citations(text)}
    for claim in parse(text).claims():
        for place in claim.citations:
            found.setdefault(place, []).append(claim.text)
    return found


def check_brief(draft: str, findings: Findings, word_budget: int) -> None:
    """Check that a brief keeps to its length, and that every claim cites findings and agrees with them.

    Args:
        draft: The brief, as Markdown.
        findings: The findings that it can cite.
        word_budget: The maximum number of words.

    Raises:
        ValueError: It does not; the message names the places and sentences, or how many words are too many.
    """
    check_cited(draft, passages_of(findings), each=True)
    check_length(draft, word_budget)


def check_length(text: str, word_budget: int) -> None:
    """Check that a text has at most this many words.

    Raises:
        ValueError: It has more.
    """
    words = count_words(text)
    if words > word_budget:
        raise ValueError(f"the text has {words} words, {words - word_budget} more than {word_budget}")


@in_language_of("passages")
def check_cited(text: str, passages: Passages, *, each: bool = False) -> None:
    """Check that the citations of a text exist, and agree with its statements.

    Args:
        text: The text, as Markdown; a text of one sentence need not cite anything.
        passages: The texts at each place that can be cited; if empty, nothing can be cited.
        each: Whether each claim has to cite something, or only the text as a whole.

    Raises:
        ValueError: A claim does not; the message names the places and the sentences.
    """
    wrong = [place for place in citations(text) if place not in passages]
    if wrong:
        raise ValueError(f"there is no finding at {', '.join(wrong)}: cite only findings, as [file:line]")
    if passages and not citations(text) and count_words(without_title(text)) > UNCITED_WORDS:
        raise ValueError("nothing is cited: name after each claim the finding it rests on, as [file:line]")
    found = [
        why for claim in parse(text).claims() if (why := _complaint(claim, passages, each=each and bool(passages)))
    ]
    if found:
        more = [f"and {len(found) - MAX_COMPLAINTS} more of this kind"] if len(found) > MAX_COMPLAINTS else []
        rows = "\n".join(f"- {why}" for why in [*found[:MAX_COMPLAINTS], *more])
        raise ValueError(f"These claims differ from what they cite:\n{rows}\nSay what is there, or leave them out.")


def _complaint(claim: Claim, passages: Passages, *, each: bool) -> str:
    """Return what is certainly wrong with a claim, or "" if nothing is."""
    if not claim.citations:
        return f"\u201c{claim.text}\u201d cites nothing" if each else ""
    texts = [text for place in claim.citations for text in passages[place]]
    if not texts:
        return ""
    shares = [share_within(stems(claim.text), stems(text)) for text in texts]
    if max(shares) >= NEARLY_ALL:  # it is about this one; words of the others do not make it true
        texts = [text for text, share in zip(texts, shares, strict=True) if share == max(shares)]
    reasons = [_certain(claim.text, text) for text in [*texts, *([" ".join(texts)] if len(texts) > 1 else [])]]
    if not all(reasons):
        return ""
    passage = " ".join(texts)
    return f"\u201c{claim.text}\u201d {reasons[0]}; {', '.join(claim.citations)} has \u201c{passage}\u201d"


def _certain(claim: str, text: str) -> str:
    share = share_within(stems(claim), stems(text))
    if share >= rubric.SUPPORT_SHARE:
        return "; ".join(one.text for one in complaints(claim, text) if one.kind in CERTAIN)
    if stems(claim) and not share:
        return "has no word in common with it"
    known = {(one.key, unit) for one in wording(text) if one.kind == "figure" for unit in ("", one.unit)}
    figures = [one for one in wording(claim) if one.kind == "figure" and any(map(str.isdigit, one.text))]
    unknown = [one.text for one in figures if (one.key, one.unit) not in known]
    return f"has the figure \u201c{unknown[0]}\u201d, which is not there" if unknown else ""

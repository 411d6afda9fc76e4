"""Citing: whether a text that cites its sources cites what is there, and says of it what stands there.

What a language model writes is looked at before it counts, so this holds against it only what is certain: a place that
does not exist, a claim that cites nothing, figures that do not stand where it cites, no word in common with what does;
and where a claim is nearly a quotation, a denial that was added or lost. Whether other words say the same is for a
reviewer to judge. Words are compared: a text in another language than its sources needs another check.
"""

from collections.abc import Iterable, Mapping, Sequence

from nodes.review import rubric
from nodes.review.article import Fact, Findings
from nodes.review.draft import Claim, citations, labels, parse, without_title
from nodes.review.support import complaints
from nodes.text.wording import wording
from nodes.text.words import count_words, share_within, stems

MAX_COMPLAINTS = 8  # of one answer
UNCITED_WORDS = rubric.LONG_WORDS  # a sentence may say, without a citation, that the findings hold nothing on a task
CERTAIN = frozenset(["figure", "denial", "opposite"])

Passages = Mapping[str, Sequence[str]]
"""What stands at each place that can be cited."""


def passages_of(findings: Findings) -> dict[str, list[str]]:
    """Return what stands at each place of findings, under its full path and under the short one that writers use."""
    names = labels(findings)
    found: dict[str, list[str]] = {}
    for fact in findings.all_facts():
        for name in dict.fromkeys([fact.file, names[fact.file]]):
            found.setdefault(f"{name}:{fact.line}", []).append(fact.text)
    return found


def passages_at(facts: Iterable[Fact]) -> dict[str, list[str]]:
    """Return what stands at the places of some facts."""
    found: dict[str, list[str]] = {}
    for fact in facts:
        found.setdefault(f"{fact.file}:{fact.line}", []).append(fact.text)
    return found


def passages_in(text: str) -> dict[str, list[str]]:
    """Return what a text says with each place that it cites."""
    found: dict[str, list[str]] = {place: [] for place in citations(text)}
    for claim in parse(text).claims():
        for place in claim.citations:
            found.setdefault(place, []).append(claim.text)
    return found


def check_brief(draft: str, findings: Findings) -> None:
    """See that a brief cites findings and nothing else, in each claim, and says of them what they say.

    Args:
        draft: the brief, as Markdown.
        findings: what it may rest on.

    Raises:
        ValueError: it does not; names the places and the sentences.
    """
    check_cited(draft, passages_of(findings), each=True)


def check_cited(text: str, passages: Passages, *, each: bool = False) -> None:
    """See that a text cites what is there, and says of it what stands there.

    Args:
        text: the text, as Markdown; one of a sentence need not cite anything.
        passages: what stands at each place that it may cite; with none of them it may not cite any.
        each: whether each claim has to cite something; else the text as a whole.

    Raises:
        ValueError: it does not; names the places and the sentences.
    """
    wrong = [place for place in citations(text) if place not in passages]
    if wrong:
        raise ValueError(f"no finding stands at {', '.join(wrong)}: cite findings alone, as [file:line]")
    if passages and not citations(text) and count_words(without_title(text)) > UNCITED_WORDS:
        raise ValueError("nothing is cited: name after each claim the finding it rests on, as [file:line]")
    found = [
        why for claim in parse(text).claims() if (why := _complaint(claim, passages, each=each and bool(passages)))
    ]
    if found:
        more = [f"and {len(found) - MAX_COMPLAINTS} more of this kind"] if len(found) > MAX_COMPLAINTS else []
        rows = "\n".join(f"- {why}" for why in [*found[:MAX_COMPLAINTS], *more])
        raise ValueError(f"These claims do not say what they cite:\n{rows}\nSay what stands there, or leave them out.")


def _complaint(claim: Claim, passages: Passages, *, each: bool) -> str:
    """Return what is certainly wrong with a claim; "" if nothing is."""
    if not claim.citations:
        return f"\u201c{claim.text}\u201d cites nothing" if each else ""
    texts = [text for place in claim.citations for text in passages[place]]
    if not texts:
        return ""
    reasons = [_certain(claim.text, text) for text in [*texts, *([" ".join(texts)] if len(texts) > 1 else [])]]
    if not all(reasons):
        return ""
    stands = " ".join(texts)
    return f"\u201c{claim.text}\u201d {reasons[0]}; at {', '.join(claim.citations)} stands \u201c{stands}\u201d"


def _certain(claim: str, text: str) -> str:
    share = share_within(stems(claim), stems(text))
    if share >= rubric.SUPPORT_SHARE:
        return "; ".join(one.text for one in complaints(claim, text) if one.kind in CERTAIN)
    if stems(claim) and not share:
        return "has no word in common with it"
    there = {(one.key, unit) for one in wording(text) if one.kind == "figure" for unit in ("", one.unit)}
    said = [one for one in wording(claim) if one.kind == "figure" and any(map(str.isdigit, one.text))]
    strange = [one.text for one in said if (one.key, one.unit) not in there]
    return f"has the figure \u201c{strange[0]}\u201d, which does not stand there" if strange else ""

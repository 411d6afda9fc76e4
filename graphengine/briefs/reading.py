"""Reading a draft with its findings: which fact supports which claim, and how much of the task the claims cover."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePath

from graphengine.briefs.article import Fact, Findings
from graphengine.briefs.draft import CAVEATS_TITLE, Claim, Draft, labels
from graphengine.briefs.support import FALSE, Complaint, complaints, repeats
from graphengine.briefs.text.wording import specific_words
from graphengine.briefs.text.words import count_words, mentions, share_within, stem_sequence, stems, subject_words

_NO_WORD = re.compile(r"[\W_]+")


@dataclass(frozen=True, slots=True)
class Judged:
    """One claim, compared with what it cites.

    Args:
        claim: The claim.
        fact: The fact that supports it; None if none does.
        nearest: The most similar of the facts that it cites; None if it cites none that exists.
        complaints: Why the nearest one does not support it.
        repeats: An earlier claim that says the same; "" if none does.
    """

    claim: Claim
    fact: Fact | None
    nearest: Fact | None
    complaints: tuple[Complaint, ...]
    repeats: str

    @property
    def counts(self) -> bool:
        """Whether it is supported and new."""
        return self.fact is not None and not self.repeats

    @property
    def is_false(self) -> bool:
        """Whether what it cites has another figure, or says the contrary."""
        return any(one.kind in FALSE for one in self.complaints)

    @property
    def why(self) -> str:
        """Why it is not supported."""
        if self.nearest is not None:
            return "; ".join(one.text for one in self.complaints)
        cited = ", ".join(self.claim.citations)
        return f"cites {cited}, where the findings have nothing" if cited else "cites nothing"


class Reading:
    """A draft compared with the findings.

    Args:
        task: The task of the draft.
        draft: The draft.
        findings: The findings.
    """

    def __init__(self, task: str, draft: Draft, findings: Findings) -> None:
        self.draft = draft
        self.findings = findings
        self.places = labels(findings)
        self.asked = subject_words(task)
        self.named = specific_words(task)
        self.topics = {name: findings.facts.get(name, []) for name in findings.key_areas}
        if findings.caveats:
            self.topics.setdefault(CAVEATS_TITLE, findings.caveats)
        cited: dict[str, list[Fact]] = {}
        for fact in findings.all_facts():
            cited.setdefault(self.place(fact), []).append(fact)
        self.claims: list[Judged] = []
        for claim in draft.claims():
            again = next((one.claim.text for one in self.claims if repeats(claim.text, one.claim.text)), "")
            self.claims.append(_judged(claim, cited, again))
        self._sequences = [stem_sequence(one.claim.text) for one in self.claims]

    def place(self, fact: Fact) -> str:
        """Return the citation of a fact."""
        return f"{self.places[fact.file]}:{fact.line}"

    def mentions(self, term: str) -> bool:
        """Return whether a claim mentions a term; one that repeats an earlier claim adds nothing."""
        pairs = zip(self._sequences, self.claims, strict=True)
        return any(mentions(sequence, term) for sequence, one in pairs if not one.repeats)

    def covers(self, word: str) -> bool:
        """Return whether a claim has a word of the task, or the heading or the file of a fact that it uses does."""
        return self.mentions(word) or any(mentions(stem_sequence(each), word) for each in self._above)

    @cached_property
    def used(self) -> list[Fact]:
        """The facts that support a claim, each once."""
        return list(dict.fromkeys(one.fact for one in self.claims if one.fact is not None and one.counts))

    @cached_property
    def _above(self) -> list[str]:
        used = set(self.used)
        areas = [name for name, facts in self.findings.facts.items() if used.intersection(facts)]
        files = list(dict.fromkeys(fact.file for fact in self.used))
        return [*areas, *(_NO_WORD.sub(" ", PurePath(file).stem) for file in files)]

    def holders(self, term: str) -> list[Fact]:
        """Return the facts that have a term, the most central first."""
        return [fact for fact in self.findings.all_facts() if mentions(stem_sequence(fact.text), term)]

    def used_on(self, topic: str) -> int:
        """Return the number of facts on a topic that are used."""
        facts = self.topics[topic]
        return sum(fact in facts for fact in self.used)

    def is_thin(self, topic: str) -> bool:
        """Return whether a topic has a single sentence although the findings have more."""
        return self.used_on(topic) == 1 and len(self.topics[topic]) > 1 and topic != CAVEATS_TITLE

    @cached_property
    def missed_answer(self) -> Fact | None:
        """The fact that covers more of the task than any supported claim does, if there is one."""
        best = best_answer(self.asked, self.findings.all_facts())
        if best is None:
            return None
        covered = max((answers(self.asked, one.claim.text) for one in self.claims if one.fact is not None), default=0)
        return best if covered < answers(self.asked, best.text) else None

    @property
    def long(self) -> list[int]:
        """The length of each claim in words."""
        return [count_words(one.claim.text) for one in self.claims]


def answers(asked: Sequence[str], text: str) -> int:
    """Return how many words of a task a text has."""
    sequence = stem_sequence(text)
    return sum(mentions(sequence, word) for word in asked)


def best_answer(asked: Sequence[str], facts: Sequence[Fact]) -> Fact | None:
    """Return the fact that has the most words of a task, the most central among equals; None if none has any."""
    ranked = [(-answers(asked, fact.text), fact.rank, at) for at, fact in enumerate(facts)]
    most, _, at = min(ranked, default=(0, 0, 0))
    return facts[at] if most else None


def _judged(claim: Claim, cited: dict[str, list[Fact]], again: str) -> Judged:
    candidates = [fact for citation in claim.citations for fact in cited.get(citation, [])]
    claim_stems = stems(claim.text)
    ordered = sorted(candidates, key=lambda fact: -share_within(claim_stems, stems(fact.text)))
    found: list[tuple[Fact, tuple[Complaint, ...]]] = [(fact, complaints(claim.text, fact.text)) for fact in ordered]
    together = " ".join(fact.text for fact in candidates)
    fact = next((fact for fact, wrong in found if not wrong), None)
    if fact is None and len({(one.file, one.line) for one in candidates}) > 1 and not complaints(claim.text, together):
        fact = ordered[0]
    nearest, wrong = found[0] if found else (None, ())
    return Judged(claim, fact, nearest, () if fact else wrong, again)

"""The writer by rules: composes a brief from findings, and revises it by the last review.

The first draft answers the task, treats every topic, uses the key terms and then fills the budget with the most central
facts. A revision starts from the given draft and acts on the remarks of the last review: it removes, shortens, cites
and adds. Every sentence is a fact or a shortened fact; the writer states nothing of its own. It observes the limits of
the rubric, like any writer that knows it.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from graphengine.briefs import rubric
from graphengine.briefs.areas import OTHER_AREA
from graphengine.briefs.article import Earlier, Fact, Findings, Review
from graphengine.briefs.draft import CAVEATS_TITLE, Claim, Draft, Section, labels, parse, render
from graphengine.briefs.reading import answers, best_answer
from graphengine.briefs.support import complaints, repeats
from graphengine.briefs.text.editing import shorten
from graphengine.briefs.text.language import in_language_of
from graphengine.briefs.text.quoting import without_opener
from graphengine.briefs.text.words import count_words, mentions, share_within, stem_sequence, stems, subject_words

TOPIC_FACTS = 2  # on each topic, before any gets more
MIN_BUDGET_WORDS = 100  # title, introduction, one claim and sources take about sixty
TITLE_WORDS = 14
CENTRAL_RANK = 8  # facts up to this rank are the main subject of the sources
NOT_READ = re.compile(r"\bwere (?:read|weighed|passed on)\b|can be quoted")  # notes of the research on what it left out
OFF_TASK = "None of them has a word of the task: the sources may have another subject."
MAX_LOST_TERMS = 1  # key terms that can be lost by shortening a sentence


@dataclass(frozen=True, slots=True)
class _Entry:
    """One claim in the making: its topic, its wording, and its fact."""

    topic: str
    text: str
    fact: Fact


@in_language_of("findings")
def write(  # noqa: PLR0913 - all that a writer uses
    task: str,
    findings: Findings,
    word_budget: int,
    history: Sequence[Review],
    draft: str,
    earlier: Sequence[Earlier] = (),
) -> str:
    """Compose a brief, or revise one.

    Args:
        task: The task of the brief.
        findings: The findings of the research; empty findings give a brief that says so.
        word_budget: The maximum number of words of the whole Markdown text, at least MIN_BUDGET_WORDS.
        history: The reviews so far, oldest first; empty for the first draft.
        draft: The draft of the last review; empty for the first.
        earlier: Briefs of earlier runs on similar subjects; the introduction names them.

    Returns:
        The brief as Markdown.

    Raises:
        ValueError: The word budget is too small for any brief.
    """
    if word_budget < MIN_BUDGET_WORDS:
        message = f"a brief needs a budget of at least {MIN_BUDGET_WORDS} words, not {word_budget}"
        raise ValueError(message)
    if not findings.key_areas:
        return render(Draft(title=_title(task), introduction=_no_material(findings)))
    work = _Desk(task, findings, word_budget, earlier)
    entries = work.recognise(parse(draft))
    if not history or not entries:
        entries = work.first_draft()
    if history:
        entries = work.revise(entries, history[-1])
    return work.markdown(work.fit(entries, word_budget))


def _no_material(findings: Findings) -> str:
    read = f" in {_joined(findings.sources)}" if findings.sources else ""
    why = "".join(f" {note}" for note in findings.notes)
    return f"No source material on this task was found{read}, so this brief makes no claims.{why}"


def _title(task: str) -> str:
    line = " ".join(task.split("\n\n", maxsplit=1)[0].split()).rstrip(".") or "Brief"
    kept = line.split()[:TITLE_WORDS]
    cut = " ".join(kept) + ("\u2026" if len(kept) < len(line.split()) else "")
    return cut[:1].upper() + cut[1:]


def _joined(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1]


class _Desk:
    """The writer's material for one brief."""

    def __init__(self, task: str, findings: Findings, word_budget: int, earlier: Sequence[Earlier]) -> None:
        self._task = task
        self._findings = findings
        self._budget = word_budget
        self._earlier = earlier
        self._labels = labels(findings)
        self._topic_of = {fact.key: name for name in findings.key_areas for fact in findings.facts.get(name, [])}
        self._asked = subject_words(task)
        self._wanted = [*findings.key_terms, *self._asked]
        self._answer = best_answer(self._asked, findings.all_facts())

    def _entry(self, fact: Fact, text: str | None = None) -> _Entry:
        wording = without_opener(fact.text if text is None else text)
        ended = wording if wording[-1:] in ".!?\u2026\u3002\uff01\uff1f\"'\u201d)" else wording + "."
        return _Entry(self._topic_of.get(fact.key, CAVEATS_TITLE), ended, fact)

    # The first draft.

    def first_draft(self) -> list[_Entry]:
        """Take the best answer to the task, two facts on each topic, the key terms, then the most central facts."""
        chosen = [self._entry(self._answer)] if self._answer else []
        for topic in self._findings.key_areas:
            treated = sum(entry.topic == topic for entry in chosen)
            unused = self._unused(chosen, self._findings.facts[topic])
            chosen = [*chosen, *sorted(unused, key=lambda entry: entry.fact.rank)[: TOPIC_FACTS - treated]]
        chosen = self._add_topic(chosen, CAVEATS_TITLE, 1) if self._findings.caveats else chosen
        chosen = self._without_overlong(self._add_terms(chosen, self._wanted))
        return self._add_more(chosen) or [self._entry(fact) for fact in self._facts()[:1]]

    # A revision.

    def recognise(self, draft: Draft) -> list[_Entry]:
        """Find the fact of each claim of a draft; claims without one are left out.

        A claim that contradicts its fact is replaced by the words of the fact.
        """
        entries: list[_Entry] = []
        for section in draft.sections:
            for claim in section.claims:
                fact = self._fact_of(claim)
                if fact is not None:
                    found = self._entry(fact, None if complaints(claim.text, fact.text) else claim.text)
                    entries.append(replace(found, topic=section.heading) if section.heading == CAVEATS_TITLE else found)
        return entries

    def _fact_of(self, claim: Claim) -> Fact | None:
        claimed = stems(claim.text)
        best: tuple[float, int] = (0.0, 0)
        facts = self._findings.all_facts()
        for at, fact in enumerate(facts):
            cited = f"{self._labels[fact.file]}:{fact.line}" in claim.citations
            best = max(best, (share_within(claimed, stems(fact.text)) + 0.01 * cited, -at))
        return facts[-best[1]] if best[0] >= rubric.SUPPORT_SHARE else None

    def revise(self, entries: Sequence[_Entry], last: Review) -> list[_Entry]:
        """Act on each remark of the last review."""
        remarks = last.remarks
        self._asked = list(dict.fromkeys([*self._asked, *remarks.missed_task_words]))  # also a person's wishes
        kept: list[_Entry] = []
        if remarks.missed_answers and self._answer and not any(entry.fact == self._answer for entry in entries):
            entries = [self._entry(self._answer), *entries]
        for entry in entries:
            if entry.text in remarks.repeated_sentences and self._is_repeated(entry, kept):
                continue
            pieces = [replace(entry, text=piece) for piece in shorten(entry.text, rubric.LONG_WORDS)]
            others = [other for other in entries if other is not entry]
            cut = entry.text in remarks.long_sentences and self._is_worth([*others, *pieces], entries)
            kept.extend(pieces if cut else [entry])
        kept = self._without_overlong(kept)
        for topic in last.missed_topics:
            kept = self._add_topic(kept, topic, 2)
        for topic in remarks.thin_topics:
            kept = self._add_topic(kept, topic, 1)
        kept = self._add_terms(kept, [*remarks.missed_terms, *remarks.missed_task_words])
        if remarks.too_few_claims:
            kept = self._add_more(kept)
        return kept

    def _is_repeated(self, entry: _Entry, before: Sequence[_Entry]) -> bool:
        return any(repeats(entry.text, other.text) for other in before)

    def _without_overlong(self, entries: Sequence[_Entry]) -> list[_Entry]:
        """Replace sentences that stay too long by shorter facts of the same topic, if there are any."""
        kept = list(entries)
        for entry in entries:
            if count_words(entry.text) > rubric.LONG_WORDS:
                fuller = self._add_topic(kept, entry.topic, 1)
                exchanged = [other for other in fuller if other is not entry]
                kept = exchanged if len(fuller) > len(kept) and self._is_worth(exchanged, kept) else kept
        return kept

    def _is_worth(self, after: Sequence[_Entry], before: Sequence[_Entry]) -> bool:
        """Return whether a change loses few terms, and nothing of the answer to the task."""
        lost = len(self._missing(after)) - len(self._missing(before))
        return lost <= MAX_LOST_TERMS and not self._lost_of_task(after, before)

    def _lost_of_task(self, after: Sequence[_Entry], before: Sequence[_Entry]) -> int:
        """Return how many words of the task a change loses, plus its loss in the best answer."""
        words = len(self._missing(after, self._asked)) - len(self._missing(before, self._asked))
        best, was = (max((answers(self._asked, one.text) for one in each), default=0) for each in (after, before))
        return max(0, words) + max(0, was - best)

    def _unused(self, entries: Sequence[_Entry], facts: Sequence[Fact]) -> list[_Entry]:
        """Return entries for facts that are unused, repeat nothing, and are short enough."""
        used = {entry.fact.key for entry in entries}
        fresh = [self._readable(fact) for fact in facts if fact.key not in used]
        return [pieces for pieces in fresh if pieces is not None and not self._is_repeated(pieces, entries)]

    def _readable(self, fact: Fact) -> _Entry | None:
        pieces = shorten(self._entry(fact).text, rubric.LONG_WORDS)
        if len(pieces) == 1 and count_words(pieces[0]) <= rubric.LONG_WORDS:
            return self._entry(fact, pieces[0])
        return None

    def _add_topic(self, entries: Sequence[_Entry], topic: str, count: int) -> list[_Entry]:
        is_area = topic in self._findings.facts
        kept = list(entries)
        for _ in range(count):
            unused = self._unused(kept, self._findings.facts[topic] if is_area else self._findings.caveats)
            if not unused:
                break
            missing = self._missing(kept)
            best = max(unused, key=lambda entry: (len(self._brings(entry, missing)), -entry.fact.rank))
            kept.append(best if is_area else replace(best, topic=CAVEATS_TITLE))
        return kept

    def _missing(self, entries: Sequence[_Entry], terms: Sequence[str] | None = None) -> list[str]:
        """Return the terms that no entry mentions; by default those of the findings and the task."""
        texts = [stem_sequence(entry.text) for entry in entries]
        return [
            term
            for term in (self._wanted if terms is None else terms)
            if not any(mentions(text, term) for text in texts)
        ]

    def _brings(self, entry: _Entry, missing: Sequence[str]) -> list[str]:
        text = stem_sequence(entry.text)
        return [term for term in missing if mentions(text, term)]

    def _add_terms(self, entries: Sequence[_Entry], terms: Sequence[str]) -> list[_Entry]:
        """Add the facts that have the most missing terms, one after the other."""
        kept = list(entries)
        missing = self._missing(kept, terms)
        while missing:
            ranked = [
                (len(self._brings(entry, missing)), -entry.fact.rank, entry)
                for entry in self._unused(kept, self._facts())
            ]
            count, _, best = max(ranked, key=lambda row: row[:2], default=(0, 0, None))
            if not count or best is None:
                break
            kept.append(best)
            missing = [term for term in missing if term not in self._brings(best, missing)]
        return kept

    def _facts(self) -> list[Fact]:
        return self._findings.all_facts()

    def _add_more(self, entries: Sequence[_Entry]) -> list[_Entry]:
        kept = list(entries)
        for fact in self._facts():
            if count_words(self.markdown(kept)) > self._budget:
                break
            kept.extend(self._unused(kept, [fact]))
        return kept

    # The budget, and the page.

    def fit(self, entries: Sequence[_Entry], word_budget: int) -> list[_Entry]:
        """Remove the least important entries until the brief fits its budget; answers to the task stay longest."""
        kept = list(entries)
        while len(kept) > 1 and count_words(self.markdown(kept)) > word_budget:
            losses = [
                (self._lost_of_task([*kept[:at], *kept[at + 1 :]], kept), self._loss(kept, at), -one.fact.rank, at)
                for at, one in enumerate(kept)
            ]
            del kept[min(losses)[-1]]
        return kept

    def _loss(self, entries: Sequence[_Entry], at: int) -> float:
        """Return the loss for each word saved: terms, the topic, a central fact."""
        entry, others = entries[at], [other for place, other in enumerate(entries) if place != at]
        same_topic = sum(other.topic == entry.topic for other in others)
        lost = len(self._missing(others)) - len(self._missing(entries))
        central = 2.0 if entry.fact.rank <= CENTRAL_RANK else 0.0
        return (lost + central + {0: 4.0, 1: 2.0}.get(same_topic, 0.0)) / count_words(entry.text)

    def markdown(self, entries: Sequence[_Entry]) -> str:
        """Lay out the page: title, introduction, topics in order, sources."""
        order = {name: at for at, name in enumerate([*self._findings.key_areas, CAVEATS_TITLE])}
        ordered = sorted(entries, key=lambda entry: (order[entry.topic], entry.fact.position))
        grouped: dict[str, list[Claim]] = {}
        for entry in ordered:
            citation = f"{self._labels[entry.fact.file]}:{entry.fact.line}"
            grouped.setdefault(entry.topic, []).append(Claim(entry.text, (citation,)))
        files = list(dict.fromkeys(entry.fact.file for entry in sorted(entries, key=lambda one: one.fact.position)))
        return render(
            Draft(
                title=_title(self._task),
                introduction=self._introduction(len(files), list(grouped), self._off_task(entries)),
                sections=tuple(Section(name, tuple(claims)) for name, claims in grouped.items()),
                sources=tuple(self._source_line(file) for file in files),
            )
        )

    def _off_task(self, entries: Sequence[_Entry]) -> str:
        """Return a warning if no entry or heading has a word of the task; sources can also be in another language."""
        missing = self._missing(entries, self._asked)
        above = [stem_sequence(entry.topic) for entry in entries]
        found = any(mentions(heading, word) for heading in above for word in self._asked)
        return f" {OFF_TASK}" if self._asked and len(missing) == len(self._asked) and not found else ""

    def _introduction(self, files: int, topics: Sequence[str], warning: str) -> str:
        count = f"{files} source{'s' if files > 1 else ''}"
        named = "; ".join(topic for topic in topics if topic != OTHER_AREA)
        covered = f" Topics: {named}." if named else ""
        known = "; ".join(f"\u201c{one.title}\u201d" for one in self._earlier)
        before = f" Earlier brief{'s' if len(self._earlier) > 1 else ''} on similar subjects: {known}." if known else ""
        read = "".join(f" {self._sentence(note)}" for note in self._findings.notes if NOT_READ.search(note))
        how = f"Put together by rules from {count}; each sentence names its file and line."
        return f"{how}{warning}{read}{covered}{before}"

    def _sentence(self, note: str) -> str:
        """Return a note as a sentence; the path of a source keeps its first letter."""
        path = note.startswith(tuple(self._findings.sources))
        return f"{note}." if path else f"{note[:1].upper()}{note[1:]}."

    def _source_line(self, file: str) -> str:
        label = self._labels[file]
        return label if label == file else f"{label}: `{file}`"

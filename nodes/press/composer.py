"""The writer of a post by rules: a brief of quoted facts, which says so, and which can be written again on request.

What a person wishes is turned into words that the text should have; the writer adds the facts that have them. It
cannot do what a wish says in any other way ("be funnier"), and names the words that no finding has as open questions.
"""

from collections.abc import Sequence
from dataclasses import replace

from nodes.press.stages import Manuscript
from nodes.review.article import Findings, Remarks, Review
from nodes.review.draft import parse, render
from nodes.review.writer import write
from nodes.text.words import count_words, mentions, stem_sequence, subject_words

RULES_NOTE = "Rules put these sentences together from the sources; no language model wrote them."
UNCHANGED = "The last note changed nothing: rules only bring in words that the text lacks and a source has."


def compose(
    topic: str, findings: Findings, word_budget: int, wishes: Sequence[str], manuscript: Manuscript | None
) -> Manuscript:
    """Write a text, or write it again with the last wish in mind.

    Args:
        topic: what it is about.
        findings: what the research found; empty findings give a text that says so.
        word_budget: the most words of it, LEAST_WORDS at least.
        wishes: what was wished for, the newest last; every one is looked at, since what was added may be gone again.
        manuscript: the text so far, if there is one.

    Returns:
        The text, with what it says nothing of among `open_questions`.
    """
    budget = word_budget - count_words(RULES_NOTE)
    before = text = write(topic, findings, budget, [], manuscript.text if manuscript else "")
    wanted = [word for wish in wishes for word in subject_words(wish)]
    found = [stem_sequence(fact.text) for fact in findings.all_facts()]
    granted = [word for word in wanted if not _has(text, word) and any(mentions(each, word) for each in found)]
    if granted:
        last = Review(score=1, approved=False, remarks=Remarks(missed_task_words=granted))
        text = write(topic, findings, budget, [last], text)
    open_questions = [word for word in [*subject_words(topic), *wanted] if not _has(text, word)]
    asked = [f"The text says nothing of \u201c{word}\u201d." for word in open_questions]
    if manuscript and wishes and text == before:
        asked.insert(0, UNCHANGED)
    draft = parse(text)
    noted = replace(draft, introduction=f"{draft.introduction} {RULES_NOTE}".strip())
    return Manuscript(text=render(noted), open_questions=asked)


def _has(text: str, word: str) -> bool:
    return any(mentions(stem_sequence(claim.text), word) for claim in parse(text).claims())

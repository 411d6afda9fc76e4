"""The writer of a post by rules: a brief of quoted facts, labelled as such, which can be rewritten on request.

A person's wishes become words that the text should have; the writer adds facts with these words. It cannot fulfil any
other wish ("be funnier"), and lists the words that no finding has as open questions.
"""

from collections.abc import Sequence
from dataclasses import replace

from graphengine.briefs.article import Findings, Remarks, Review
from graphengine.briefs.draft import parse, render
from graphengine.briefs.text.language import in_language_of
from graphengine.briefs.text.words import count_words, mentions, stem_sequence, subject_words
from graphengine.briefs.writer import write
from nodes.press.stages import Manuscript

RULES_NOTE = "No language model wrote this text."
UNCHANGED = "The last note changed nothing: rules can only add words that the text lacks and a source has."


@in_language_of("findings")
def compose(
    topic: str, findings: Findings, word_budget: int, wishes: Sequence[str], manuscript: Manuscript | None
) -> Manuscript:
    """Write a text, or rewrite it with the wishes in mind.

    Args:
        topic: The topic.
        findings: The findings of the research; empty findings give a text that says so.
        word_budget: The maximum number of words, at least LEAST_WORDS.
        wishes: The wishes, the newest last; all of them are checked, since a rewrite can undo an earlier one.
        manuscript: The text so far, if there is one.

    Returns:
        The text, with the words that it does not cover among `open_questions`.
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

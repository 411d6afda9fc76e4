"""The workers of an orchestrator by rules, without a language model.

Each gets its step in words, the whole job, and the results of the steps that its own needs, as texts. The researcher
quotes, the coder quotes code, the writer and the reviewer are those of the review loop, the summarizer takes the first
sentence of each section. If there is nothing to work on, they raise an error, and the step fails.
"""

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from graphengine import TextFile
from graphengine.briefs.article import Findings, Review
from graphengine.briefs.draft import Draft, parse
from graphengine.briefs.merging import merged
from graphengine.briefs.researcher import research
from graphengine.briefs.reviewer import review
from graphengine.briefs.text.words import share_within, stems, subject_words
from graphengine.briefs.writer import write
from nodes.orchestration.handover import Memory, drafts_in, findings_in, reviews_in
from nodes.orchestration.planning import topic_of

if TYPE_CHECKING:
    from markdown_it.token import Token

MAX_POINTS = 5  # a longer summary summarises too little
MAX_BLOCKS = 2  # of code; the source has the others
MAX_LINES = 40  # of one block


def sources_for(task: str, sources: Sequence[TextFile]) -> list[TextFile]:
    """Return the sources that a step names by their paths, or all if it names none."""
    named = [one for one in sources if re.search(rf"(?<![\w./-]){re.escape(one.path)}(?![\w/-])", task)]
    return named or list(sources)


def look_up(task: str, sources: Sequence[TextFile], recalled: Mapping[str, Sequence[Memory]]) -> Findings:
    """Quote what the sources of a step say on it; notes name similar work in earlier runs."""
    read = sources_for(task, sources)
    found = research(task.partition("\nIn these sources:")[0], read)
    notes = [f"similar question in run {each.run_id}: {each.step}" for each in recalled.get("researcher", [])]
    return found.model_copy(update={"notes": [*found.notes, *notes]})


def write_up(job: str, needed: Mapping[str, str], word_budget: int) -> str:
    """Write a text from the findings that a step needs; if it needs a text and its review, revise that text."""
    texts = list(needed.values())
    draft = (drafts_in(texts) or [""])[-1]
    reviews = reviews_in(texts) if draft else []
    return write(topic_of(job), merged(findings_in(texts)), word_budget, reviews[-1:], draft)


def look_over(job: str, needed: Mapping[str, str]) -> Review:
    """Review the text that a step needs by the findings that it needs.

    Raises:
        ValueError: It needs no text.
    """
    texts = list(needed.values())
    drafts = drafts_in(texts)
    if not drafts:
        message = f"there is no text to review among {', '.join(needed) or 'no results'}"
        raise ValueError(message)
    return review(topic_of(job), drafts[-1], merged(findings_in(texts)), reviews_in(texts))


def sum_up(needed: Mapping[str, str]) -> str:
    """Quote the first sentence of each section of the text that a step needs, or the most central facts.

    Raises:
        ValueError: It needs neither.
    """
    texts = list(needed.values())
    drafts = drafts_in(texts)
    points = _points(parse(drafts[-1])) if drafts else []
    points = points or [fact.text for fact in merged(findings_in(texts)).all_facts()]
    if not points:
        message = f"there is nothing to sum up among {', '.join(needed) or 'no results'}"
        raise ValueError(message)
    return "\n".join(f"- {point}" for point in points[:MAX_POINTS])


def _points(draft: Draft) -> list[str]:
    return [section.claims[0].text for section in draft.sections if section.claims]


def quote_code(task: str, sources: Sequence[TextFile]) -> str:
    """Quote the blocks of code of the sources that are most relevant to a step.

    Raises:
        ValueError: No source has any.
    """
    read = sources_for(task, sources)
    blocks = [(source.path, *block) for source in read for block in _blocks(source.text)]
    if not blocks:
        message = f"there is no block of code in {', '.join(source.path for source in read)}"
        raise ValueError(message)
    wanted = stems(" ".join(subject_words(topic_of(task))))
    best = sorted(blocks, key=lambda block: -share_within(wanted, stems(f"{block[2]} {block[3]}")))[:MAX_BLOCKS]
    return "\n\n".join(f"From {path}, line {line}:\n\n{_fenced(code)}" for path, line, _, code in best)


def _blocks(text: str) -> list[tuple[int, str, str]]:
    """Return the blocks of code of a Markdown text: line, the paragraph above, code."""
    from markdown_it import MarkdownIt  # noqa: PLC0415 - loads when code is asked for

    found: list[tuple[int, str, str]] = []
    above = ""
    tokens: list[Token] = MarkdownIt("commonmark").parse(text)
    for token in tokens:
        if token.type == "inline":
            above = token.content
        elif token.type in {"fence", "code_block"} and token.content.strip() and token.map:
            found.append((token.map[0] + 1, above, token.content))
    return found


def _fenced(code: str) -> str:
    lines = code.rstrip().split("\n")
    cut = ["…"] if len(lines) > MAX_LINES else []
    longest = max((len(run) for run in re.findall(r"`+", code)), default=0)
    fence = "`" * max(3, longest + 1)
    return "\n".join([fence, *lines[:MAX_LINES], *cut, fence])

"""The agents of the review loop, with rule-based answers in place of a model.

That is extraction, the quotations in order, and measured shares. The score says which share of what the sources hold on
the points of the task is in the brief, by words. It is no judgement, and says so wherever it is shown. With a
model, the researcher reads of long sources the passages that match best, and the reviewer gets what a comparison of
words found.
"""

import sys
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from graphengine import TextFile
from graphengine.agents import block
from graphengine.models import ModelUnavailable
from nodes.citing import Passage, Quotations, claims, invented, quoted, refuse_invented, size, without
from nodes.comparing import doubtful
from nodes.passages import extract, read
from nodes.points import Points
from nodes.review import agents
from nodes.review.agents import Review, listed
from nodes.words import words

SHOWN_WORDS: Final = 60_000  # of the sources in one question
_ABSENT: Final = "No passage has the words of this point, or most of them"


@lru_cache(4)
def _points(task: str, sources: tuple[TextFile, ...]) -> Points:
    return Points(task, sources)


def points_of(task: str, sources: Sequence[TextFile]) -> Points:
    """Return the points of a task; the last few are kept, since every agent of a round asks for the same."""
    return _points(task, tuple(sources))


def extracted(
    task: str, sources: Sequence[TextFile], findings: Sequence[Passage], draft: str, word_budget: int
) -> Quotations:
    """Quote the passages that answer the task as a whole; later, those on the points that the draft treats least."""
    points = points_of(task, sources)
    found = points.missing(_cited(task, sources, findings, draft)) if findings else sorted(points.best(word_budget))
    return Quotations(quotations=[points.index.passages[at] for at in found])


def arranged(task: str, sources: Sequence[TextFile], findings: Sequence[Passage], word_budget: int) -> str:
    """Put together a brief of what was found, as much of each point as the budget allows."""
    points = points_of(task, sources)
    chosen = points.sorted_by_point(points.chosen(points.at(findings), word_budget))
    rows = [f"# {points.title}", *(f"\n> {_ABSENT}: {point}" for point in points.unanswered)]
    for point, passages in chosen.items():
        rows += ["", f"## {point or 'Also in the sources'}", ""] if len(chosen) > 1 or not point else [""]
        rows += [f"- {' '.join(passage.text.split())} [{passage.place}]" for passage in passages]
    return "\n".join([*rows, ""])


def measured(task: str, sources: Sequence[TextFile], findings: Sequence[Passage], draft: str) -> Review:
    """Measure how much of what the sources hold on each point is in the draft; remarks count against it."""
    points, cited = points_of(task, sources), _cited(task, sources, findings, draft)
    shares = points.shares(cited)
    issues = doubtful(draft, findings)
    total = len(claims(draft, findings))
    score = round(10 * sum(shares) / len(shares) * (1 - min(1.0, len(issues) / total if total else 1.0)), 1)
    by_point = {text: round(share, 2) for text, share in zip(points.texts, shares, strict=True)}
    rows = [f"{share:4.0%}  {text}" for text, share in by_point.items()]
    title = f"Coverage by words, not a judgement: {score:g} of 10"
    sys.stderr.write("\n".join([title, *rows, ""]))  # in one piece, since others run at once: why the run goes on
    return Review(
        score=score,
        missing=[points.texts[at] for at in points.weak(cited)],
        issues=[*issues, *(f"{_ABSENT}: {point}" for point in points.unanswered)],
        summary="Coverage by words, not a judgement: the share of what has the words of the points.",
        shares=by_point,
    )


def _cited(task: str, sources: Sequence[TextFile], findings: Sequence[Passage], draft: str) -> list[int]:
    """Return the passages that a draft quotes at the places that it cites."""
    points = points_of(task, sources)
    quoted: dict[str, str] = {}
    for claim in claims(draft, findings):
        for place in claim.places:
            quoted[place] = f"{quoted.get(place, '')} {claim.text}"
    passages = [each for each in points.index.passages if each.place in quoted]
    return points.at(each for each in passages if set(words(each.text)) <= set(words(quoted[each.place])))


def check_found(found: Quotations, sources: Sequence[TextFile]) -> None:
    """Check that every quotation is a passage of the sources, or in one of them.

    Raises:
        ValueError: Some are not; the message names them.
    """
    refuse_invented(_unread(found.quotations, sources))


def kept(answers: Sequence[Quotations], sources: Sequence[TextFile]) -> Quotations:
    """Return the quotations of some answers that are passages of the sources, or in one of them."""
    return without(answers, _unread(quoted(answers), sources))


def _unread(quotations: Sequence[Passage], sources: Sequence[TextFile]) -> list[Passage]:
    wrong = invented(quotations, sources)
    if not wrong:
        return []
    known = {(passage.file, passage.text) for source in sources for passage in read(source)}
    return [each for each in wrong if (each.file, each.text) not in known]


def ask_researcher(
    task: str, sources: Sequence[TextFile], findings: Sequence[Passage], reviews: Sequence[Review]
) -> str:
    """Return the researcher's question; of long sources only with the passages that match the task best."""
    total = sum(size(source.text) for source in sources)
    if total <= SHOWN_WORDS:
        return agents.ask_researcher(task, sources, findings, reviews)
    shown: dict[str, str] = {}
    for passage in extract(task, sources, SHOWN_WORDS):
        shown[passage.file] = f"{shown.get(passage.file, '')}{passage.text}\n"
    texts = [TextFile(path=path, text=text) for path, text in shown.items()]
    note = f"The sources have {total:,} words. These are the {SHOWN_WORDS:,} that match the task best, by words."
    return f"{note}\n\n{agents.ask_researcher(task, texts, findings, reviews)}"


def ask_reviewer(
    task: str, findings: Sequence[Passage], word_budget: int, draft: str, reviews: Sequence[Review]
) -> str:
    """Return the reviewer's question, with what a comparison of words found in the draft."""
    asked = agents.ask_reviewer(task, findings, word_budget, draft, reviews)
    if not (doubts := doubtful(draft, findings)):
        return asked
    note = "A comparison of words found these; look at each, none is proof:"
    return f"{asked}\n\n{note}\n{block('remarks', listed(doubts))}"


researcher = agents.researcher.but(prompt=ask_researcher, check=check_found, best_effort=kept, by_rules=extracted)
writer = agents.writer.but(by_rules=arranged)
reviewer = agents.reviewer.but(prompt=ask_reviewer, by_rules=measured)


async def not_found(task: str) -> Quotations:
    """Raise what to do: rules can only quote sources, and there are none.

    Raises:
        ModelUnavailable: Always.
    """
    message = f"there are no sources on {task!r}, and no language model that could look for some"
    raise ModelUnavailable(message, repair="give texts, as --input sources=@FILE.md, or a model, as --model anthropic")


searcher = agents.searcher.but(by_rules=not_found)


async def research(  # noqa: PLR0913 - what a researcher reads
    task: str,
    sources: Sequence[TextFile],
    findings: Sequence[Passage],
    draft: str,
    word_budget: int,
    reviews: Sequence[Review],
) -> Quotations:
    """Quote the sources; without any, search."""
    if not sources:
        return await agents.search(task, findings, reviews, searcher)
    return await researcher.run(
        task=task, sources=sources, findings=findings, draft=draft, word_budget=word_budget, reviews=reviews
    )


__all__ = ["Review", "arranged", "extracted", "measured", "research", "researcher", "reviewer", "writer"]

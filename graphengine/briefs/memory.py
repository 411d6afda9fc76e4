"""Memory: the articles of earlier runs that are relevant to a new task.

The database of runs is the memory: there is no other store, and what was found is recorded with the run that searched,
so that a resumed run remembers the same. Articles are compared by the words that name their subjects; an article is
represented by its title, its score and its first claims, never whole.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from graphengine.briefs.article import Earlier
from graphengine.briefs.draft import parse
from graphengine.briefs.text.words import likeness, share_within, stems, subject_words
from graphengine.runner.context import Context
from graphengine.runner.result import PastRun

LOOKED_AT = 20  # runs, the newest
FIELDS = ("task", "article", "draft", "final_score")  # of their states; recorded with the run that searches
RELEVANT = 0.4  # share of the words that name a subject; one in three is chance
TITLE_WEIGHT = 2.0  # an article is about what its task says, and only mentions the rest
EXCERPT_CHARACTERS = 280  # two or three sentences

Recall = Callable[[str, Context], Awaitable[list[Earlier]]]


def recalling(graph: str, most: int) -> Recall:
    """Return a node that looks for earlier articles.

    Args:
        graph: The name of the graph whose runs are searched.
        most: The maximum number of articles; 0 searches none.
    """

    async def recall(task: str, ctx: Context) -> list[Earlier]:
        return relevant(task, await ctx.runs(graph, last=LOOKED_AT, fields=FIELDS), most) if most else []

    return recall


def relevant(task: str, past: Sequence[PastRun], most: int) -> list[Earlier]:
    """Pick the articles that are nearest to a task.

    Args:
        task: The task of the new article. An article on the same task is an earlier version and not a memory.
        past: Earlier runs, the newest first; those of another form, or without an article, are skipped.
        most: The maximum number of articles.

    Returns:
        The nearest first, the newer first among equals, and one for each task.
    """
    asked = _subject(task)
    known: dict[str, tuple[float, Earlier]] = {}
    for run in past:
        article = _article(run)
        if article is None or _same(article.task, task):
            continue
        about, text = _subject(article.task), stems(_text(run.state))
        near = max(share_within(asked, [*about, *text]), share_within(about, asked))  # or a part of this one
        weight = near + TITLE_WEIGHT * likeness(asked, about)
        if near >= RELEVANT:
            known.setdefault(" ".join(about), (weight, article))
    ordered = sorted(known.values(), key=lambda found: -found[0])  # stable: the newer of equals stays first
    return [article for _, article in ordered[:most]]


def _subject(task: str) -> list[str]:
    return stems(" ".join(subject_words(task)))


def _article(run: PastRun) -> Earlier | None:
    text, task, score = _text(run.state), run.state.get("task"), run.state.get("final_score")
    if not text or not isinstance(task, str):
        return None
    draft = parse(text)
    claims = " ".join(claim.text for claim in draft.claims()) or draft.introduction
    cut = claims if len(claims) <= EXCERPT_CHARACTERS else claims[: EXCERPT_CHARACTERS - 1].rstrip() + "\u2026"
    title = draft.title or " ".join(task.split())
    return Earlier(
        title=title, task=task, score=score if isinstance(score, int) else None, excerpt=cut, run_id=run.run_id
    )


def _text(state: dict[str, Any]) -> str:
    """Return the article that a run ended with; runs of the loop's first version have it as their draft."""
    text = state.get("article") or state.get("draft")
    return text if isinstance(text, str) else ""


def _same(one: str, other: str) -> bool:
    return " ".join(one.split()).casefold() == " ".join(other.split()).casefold()

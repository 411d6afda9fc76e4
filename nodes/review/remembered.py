"""What the review loop remembers of earlier runs, if it is given a memory: where their briefs said too little.

A run on a like task, by its words, has its researcher look for that first. The brief says what was remembered.
"""

from collections.abc import Sequence
from typing import Final

from pydantic import BaseModel

from graphengine import Context, Memory
from nodes.review.offline import Review

BRIEFS: Final = "review_loop/briefs"
MOST: Final = 3  # earlier runs that one remembers


class Earlier(BaseModel):
    """What is remembered of a run: its task, where its brief said too little in the end, and its score."""

    task: str
    missing: list[str] = []
    score: float | None = None
    run: str = ""


async def recall(task: str, memory: Memory) -> list[Earlier]:
    """Return what is remembered of runs on like tasks, the likest first."""
    return [Earlier.model_validate(each.value) for each in await memory.search(BRIEFS, task, limit=MOST)]


def missed(reviews: Sequence[Review], earlier: Sequence[Earlier]) -> Sequence[Review]:
    """Return the reviews, or at first one that misses what the earlier briefs said too little on."""
    points = [*dict.fromkeys(point for each in earlier for point in each.missing)]
    return [Review(score=0, missing=points)] if points and not reviews else reviews


async def remember(  # noqa: PLR0913 - what is remembered, and the brief that names it
    task: str, article: str, reviews: Sequence[Review], earlier: Sequence[Earlier], memory: Memory, ctx: Context
) -> str:
    """Remember this run, and return its brief with notes on what was remembered in it."""
    last = reviews[-1] if reviews else Review(score=0)
    found = Earlier(task=task, missing=last.missing, score=last.score if reviews else None, run=ctx.run_id)
    await memory.put(BRIEFS, ctx.run_id, found.model_dump(), text=task)
    return "\n".join([f"{article.rstrip()}\n", *map(_noted, earlier), ""]) if earlier else article


def _noted(each: Earlier) -> str:
    score = "" if each.score is None else f", {each.score:g} of 10"
    points = f": it said too little on {'; '.join(each.missing)}" if each.missing else ""
    return f"> Remembered: “{each.task.splitlines()[0]}” (run {each.run}{score}){points}."

"""Research, write, review, and again, until the review is good enough, no longer improves, or the rounds are used up.

`graphengine run review_loop` runs it on an example; `--input task=…` and `--input sources=@file.md` on your own texts.
A task of several points has an item for each, as "- What does it cost?". `--model anthropic` or `--model openai`
selects a set of `MODELS` below, `--model reviewer=openai:MODEL` a model for one agent. With a model a task is enough:
it searches the web if its provider can, or writes from what it knows, and the brief says so.

The result is the best draft, whether or not it was the last. If a revision or its review fails for good, the best draft
so far is the result. What failed is in `errors`.

`review_loop(memory=Memory("checkpoints/memory.db"))` in a file of your own remembers: where the brief of an earlier run
on a like task said too little, and the new brief names what was remembered.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import Field

from graphengine import (
    END,
    FAIL,
    START,
    Agent,
    Failure,
    Graph,
    Memory,
    Runnable,
    iterations,
    plateau,
    value,
)
from graphengine.reducers import append, extend
from nodes.citing import Passage, located, marked, size
from nodes.review.offline import Review, research, reviewer, writer
from nodes.review.remembered import Earlier, missed, recall, remember
from nodes.tasks import AGAIN, UNUSABLE, Task, models, sample

THRESHOLD = 7.0  # a review with at least this score ends the loop
RISE = 0.1  # and so does one that rises by no more than this
ROUNDS = 5
SHORTEST, BUDGET = 50, 350  # words of a brief

MODELS = models("writer", default="rules")  # cheap models gather and judge, a strong one writes
NEEDS = {"rules": ["sources"]}  # rules only quote


def budget_of(given: Mapping[str, Any]) -> int:
    """Return how long a brief may be if nobody says it: 350 words, or a third of short sources."""
    total = sum(size(source.text) for source in given.get("sources", ()))
    return max(SHORTEST, min(BUDGET, total // 3)) if total else BUDGET


class Article(Task):
    """The state of the loop."""

    word_budget: int = Field(default_factory=budget_of, ge=1)
    findings: Annotated[list[Passage], extend] = Field(default=[])
    draft: str = ""
    reviews: Annotated[list[Review], append] = Field(default=[])
    article: str = ""  # the best draft so far
    final_score: float | None = None  # and its score; None if it was not reviewed
    errors: Annotated[list[Failure], append] = Field(default=[])


class Remembering(Article):
    """The state of a loop with a memory."""

    earlier: list[Earlier] = Field(default=[])  # what is remembered of runs on like tasks


def best_draft(result: Review, state: Article) -> str:
    """Return the draft with notes on its faults, unless an earlier one scored better."""
    is_best = all(result.score >= review.score for review in state.reviews)
    return noted(state.draft, state.findings, state.word_budget) if is_best else state.article


def best_score(result: Review, reviews: Sequence[Review]) -> float:
    """Return the score of the best draft."""
    return max(review.score for review in (*reviews, result))


def first_draft(result: str, article: str, findings: Sequence[Passage], word_budget: int) -> str:
    """Return the draft with notes on its faults, if there is no reviewed one."""
    return article or noted(result, findings, word_budget)


def noted(draft: str, findings: Sequence[Passage], word_budget: int) -> str:
    """Return a draft with notes on its faults, and on the sources that it rests on."""
    return marked(draft, findings, word_budget, counts_sources=True)


def review_loop(  # noqa: PLR0913 - each part can be another one
    researcher: Runnable = research,
    writer: Agent[str] = writer,
    reviewer: Agent[Review] = reviewer,
    *,
    threshold: float = THRESHOLD,
    rounds: int = ROUNDS,
    memory: Memory | None = None,
) -> Graph[Article]:
    """Return the loop with these agents.

    Args:
        researcher: Quotes the sources, or finds some.
        writer: Writes the draft.
        reviewer: Reviews the draft.
        threshold: The score from which a draft is good enough.
        rounds: The maximum number of drafts.
        memory: What remembers earlier runs; None for nothing.
    """
    judged = value("reviews").length() > 0
    end, begin = (END, "research") if memory is None else ("remember", "recall")
    given = {} if memory is None else {"memory": lambda: memory}
    state = Article if memory is None else Remembering
    graph: Graph[Article] = Graph("review_loop", state, result="article", collect_errors="errors", resources=given)
    if memory is not None:
        graph.add_node("recall", recall, writes="earlier")
        graph.add_node("remember", remember, writes="article")
        graph.add_edge("recall", "research")
        graph.add_edge("remember", END)
    inputs = None if memory is None else {"reviews": missed}
    graph.add_node("research", researcher, inputs=inputs, writes={"findings": located}, retry=AGAIN)
    graph.add_node("write", writer, writes={"draft": ".", "article": first_draft}, retry=AGAIN)
    graph.add_node(
        "review", reviewer, writes={"reviews": ".", "article": best_draft, "final_score": best_score}, retry=AGAIN
    )
    graph.add_edge(START, begin)
    graph.add_edge("research", "write", when=UNUSABLE & judged, label="nothing more found")
    graph.add_edge("research", FAIL, when=value("findings").length() == 0, label="nothing found")
    graph.add_edge("research", "write")
    graph.add_edge("write", end, when=UNUSABLE & judged, label="revision failed")
    graph.add_edge("write", "review")
    graph.add_edge("review", end, when=UNUSABLE, label="not reviewed")
    one_point = value("reviews[-1].shares").length() == 1  # by words: nothing else speaks for its score
    good = (value("reviews[-1].score") >= threshold) & ~one_point
    graph.add_edge("review", end, when=good, label="good enough")
    graph.add_edge("review", end, when=plateau("reviews[-1].score", min_delta=RISE), label="no longer improving")
    graph.add_edge("review", end, when=iterations("review") >= rounds, label="out of rounds")
    graph.add_edge("review", "research")
    return graph


def example() -> Article:
    """Return the input of an example run."""
    return Article(**sample())


graph = review_loop()

"""Scorers for the review loop: does a brief hold the facts that its task asks for, and does it keep to its sources?

`graphengine eval review_loop --data evals/review_loop.jsonl --scorers evals/review_loop.py` runs it without a model on
texts that nothing was tuned for; `--against anthropic` compares with language models. `JUDGED` adds a judge, which
needs a model: `--scorers evals/review_loop.py:JUDGED --model answers=anthropic:claude-haiku-5-5`.
"""

from collections.abc import Sequence

from pydantic import BaseModel

from graphengine.testing.evaluation import Score, judge
from nodes.citing import Passage, claims, size
from nodes.comparing import doubtful


class Expected(BaseModel):
    """What a case expects of a brief.

    Attributes:
        facts: For each fact, the strings that one line of a fair brief has.
    """

    facts: list[list[str]]


def facts(article: str, expected: Expected) -> Score:
    """Score the share of the expected facts that the brief holds, each in one line."""
    lines = article.splitlines()
    missed = [fact for fact in expected.facts if not any(all(part in line for part in fact) for line in lines)]
    named = "; ".join(" … ".join(fact) for fact in missed)
    return Score(value=1 - len(missed) / len(expected.facts), why=f"it lacks {named}" if missed else "")


def grounded(article: str, findings: Sequence[Passage]) -> Score:
    """Score the share of the sentences that cite a place and say, by their words, what is there."""
    said = claims(article, findings)
    wrong = [claim.text for claim in said if not claim.places]
    wrong += doubtful(article, findings)
    share = max(0.0, 1 - len(wrong) / len(said)) if said else 0.0
    return Score(value=share, why=f"not supported: {wrong[0]}" if wrong else "")


def length(article: str, findings: Sequence[Passage], word_budget: int) -> Score:
    """Score 1 for a brief within its budget, and less the longer it is."""
    words = sum(size(claim.text) for claim in claims(article, findings))
    return Score(value=min(1.0, word_budget / max(1, words)), why=f"{words} words of {word_budget}")


SCORERS = {"facts": facts, "grounded": grounded, "length": length}
JUDGED = {
    **SCORERS,
    "answers": judge(
        "answers",
        "Does the brief answer its task, for a reader who knows the field and has little time? 1: it answers all of "
        "it, with the figures and limits that matter. 0: it treats something else.",
        reads=("task", "article"),
    ),
}

"""Shared parts of the review loop tests: a page of sources, and answers of a team of models."""

from collections.abc import Sequence
from typing import Final

from graphengine import TextFile
from graphengine.briefs.article import Doubts, Fact, Findings, Review
from graphengine.models.scripted import Script
from graphs.review_loop import Article

PAGE: Final = TextFile(
    path="tides.md",
    text=(
        "# Tides\n\n"
        "The moon pulls the water of the sea towards itself twice a day.\n"
        "Harbours publish tables that tell the height of each tide.\n\n"
        "## Limits\n\n"
        "A tide table does not know the wind of the day.\n"
        "A storm can raise the water a metre above the table, although the moon has no part in it.\n"
    ),
)
MOON: Final = Fact(text="The moon pulls the water of the sea towards itself twice a day.", file="tides.md", line=3)
WIND: Final = Fact(text="A tide table does not know the wind of the day.", file="tides.md", line=8)
STORM: Final = Fact(
    text="A storm can raise the water a metre above the table, although the moon has no part in it.",
    file="tides.md",
    line=9,
    rank=2,
)
FOUND: Final = Findings(key_areas=["Cause"], key_terms=["moon"], facts={"Cause": [MOON]}, sources=["tides.md"])
AGAINST: Final = Doubts(limits=[WIND], objections=[STORM])
TIDES: Final = Article(task="What makes the tides", sources=[PAGE])
GARBAGE: Final = "Certainly! Here is what I found: {facts: [the moon"


def judged(score: int, *issues: str, suggestions: Sequence[str] = (), mended: Sequence[str] = ()) -> Review:
    """Return a review with this score."""
    return Review(
        score=score, approved=score >= 7, issues=list(issues), suggestions=list(suggestions), mended=list(mended)
    )


def says(**others: Script) -> dict[str, Script]:
    """Return answers of the team: good enough at once, except for the given ones."""
    usual: dict[str, Script] = {
        "researcher": [FOUND],
        "sceptic": [AGAINST],
        "writer": ["# Tides"],
        "reviewer": [judged(8)],
    }
    return {**usual, **others}

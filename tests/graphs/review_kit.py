"""Shared parts of the review loop tests: a page of sources, and answers of a team of models."""

from typing import Final

from graphengine import TextFile
from graphengine.models.scripted import Script
from graphs.review_loop import Article
from nodes.citing import Passage, Quotations
from nodes.review.agents import Review

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
MOON: Final = Passage(text="The moon pulls the water of the sea towards itself twice a day.", file="tides.md", line=3)
WIND: Final = Passage(text="A tide table does not know the wind of the day.", file="tides.md", line=8)
FOUND: Final = Quotations(quotations=[MOON, WIND])
TIDES: Final = Article(task="What makes the tides", sources=[PAGE])
BRIEF: Final = "# Tides\n\nThe moon pulls the water [tides.md:3]."


def judged(score: float, *issues: str, missing: tuple[str, ...] = ()) -> Review:
    """Return a review with this score."""
    return Review(score=score, issues=list(issues), missing=list(missing), summary="Judged.")


def says(**others: Script) -> dict[str, Script]:
    """Return answers of the team: good enough at once, except for the given ones."""
    usual: dict[str, Script] = {"researcher": [FOUND], "writer": [BRIEF], "reviewer": [judged(8)]}
    return {**usual, **others}

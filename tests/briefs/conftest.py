"""The texts of texts/, each with a task, read and researched once for all tests."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from graphengine import TextFile
from graphengine.briefs import researcher, reviewer, writer
from graphengine.briefs.article import Findings, Review

TEXTS = Path(__file__).with_name("texts")
TASKS = {
    "sourdough.md": "How sourdough bread is made and what can go wrong",
    "lighthouses.txt": "How lighthouses guide ships",
    "gears.md": "How bicycle gears work and how to care for them",
    "thin.md": "How a kettle boils water",
    "repetitive.md": "When the museum opens",
    "hefeteig.md": "Wie die Hefe den Teig hebt",
}
PATIENCE = 1
MAX_ITERATIONS = 3


@dataclass(frozen=True)
class Loop:
    """The drafts and reviews of a run of the review loop."""

    task: str
    findings: Findings
    drafts: list[str]
    reviews: list[Review]

    @property
    def scores(self) -> list[int]:
        """The scores in order."""
        return [review.score for review in self.reviews]


def source(name: str) -> TextFile:
    """Return one of the texts, with its bare file name."""
    return TextFile(path=name, text=(TEXTS / name).read_text("utf-8"))


def run_loop(task: str, sources: list[TextFile], word_budget: int) -> Loop:
    """Run the three agents as the bundled workflow does, in a plain loop."""
    findings = researcher.research(task, sources)
    drafts: list[str] = []
    reviews: list[Review] = []
    while len(reviews) < MAX_ITERATIONS:
        drafts.append(writer.write(task, findings, word_budget, reviews, drafts[-1] if drafts else ""))
        reviews.append(reviewer.review(task, drafts[-1], findings, reviews))
        scores = [review.score for review in reviews]
        if reviews[-1].approved or (len(scores) > PATIENCE and scores[-1] <= max(scores[:-1])):
            break
    return Loop(task, findings, drafts, reviews)


@functools.cache
def loop_on(name: str, word_budget: int = 350) -> Loop:
    """Run the loop on one of the texts, once."""
    return run_loop(TASKS[name], [source(name)], word_budget)


@pytest.fixture(name="loop")
def loop_fixture() -> Callable[..., Loop]:
    """Run the loop on one of the texts: `loop("gears.md", word_budget=350)`."""
    return loop_on


@pytest.fixture(name="text")
def text_fixture() -> Callable[[str], TextFile]:
    """Return one of the texts by name."""
    return source


@pytest.fixture(name="sample_loop")
def sample_loop_fixture() -> Loop:
    """Run the loop on the example of the workflow."""
    folder = Path(__file__).parents[2] / "graphengine" / "briefs" / "samples" / "write_ahead_log"
    names = ("logging.md", "recovery.md", "what_a_commit_costs.md")
    sources = [TextFile(path=name, text=(folder / name).read_text("utf-8")) for name in names]
    return run_loop((folder / "topic.txt").read_text("utf-8"), sources, 350)

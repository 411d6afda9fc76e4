"""Research, write, review, and write again until the review is content, stops improving, or has been asked enough.

`graphengine run review_loop` runs it on an example; `--input task=…` and `--input sources=@file.md` on your own texts.
Research that fails leaves the findings empty; a reviewer that fails leaves the draft as it is. Both are kept in
`errors`.
"""

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, Field

from graphengine import END, START, Agent, Failure, Graph, Retry, TextFile, failed, iterations, plateau, value
from graphengine.errors import BadAnswer
from graphengine.reducers import append
from nodes.article import Findings, Review
from nodes.review_team import researcher, reviewer, writer

THRESHOLD = 7  # a review with this score or a better one is content
ITERATIONS = 3  # more drafts than this are not worth their price


class Article(BaseModel):
    """The state of the loop."""

    task: str = Field(min_length=1, pattern=r"\S")
    sources: list[TextFile] = Field(min_length=1)
    word_budget: int = Field(default=350, ge=100)
    findings: Findings = Findings()
    draft: str = ""
    history: Annotated[list[Review], append] = []
    final_score: int | None = None
    errors: Annotated[list[Failure], append] = []


def last_score(result: Review) -> int:
    """The score that the run ends with, if this review is the last."""
    return result.score


def review_loop(
    researcher: Agent[Findings] = researcher, writer: Agent[str] = writer, reviewer: Agent[Review] = reviewer
) -> Graph[Article]:
    """The loop with these agents in it."""
    graph = Graph("review_loop", Article, result="draft", errors="errors")
    again = Retry(attempts=2, on=(OSError, BadAnswer))  # what a second try may mend
    graph.add_node("research", researcher, writes="findings", retry=again, fallback=Findings())
    graph.add_node("write", writer, writes="draft")
    graph.add_node("review", reviewer, writes={"history": ".", "final_score": last_score}, retry=again)
    graph.add_path(START, "research", "write", "review")
    graph.add_edge("review", END, when=failed(Exception), label="accepted unreviewed")
    graph.add_edge("review", END, when=value("history[-1].score") >= THRESHOLD, label="approved")
    graph.add_edge("review", END, when=plateau("history[-1].score"), label="no longer improving")
    graph.add_edge("review", END, when=iterations("review") >= ITERATIONS, label="out of iterations")
    graph.add_edge("review", "write")
    return graph


def example() -> Article:
    """What it runs on when no input is given."""
    folder = Path(__file__).parent / "samples" / "write_ahead_log"
    texts = [TextFile(path=file.name, text=file.read_text(encoding="utf-8")) for file in sorted(folder.glob("*.md"))]
    return Article(task=(folder / "topic.txt").read_text(encoding="utf-8").strip(), sources=texts)


graph = review_loop()

"""Research, write, review, and write again until the review is content, stops improving, or has been asked enough.

`graphengine run review_loop` runs it on an example; `--input task=…` and `--input sources=@file.md` on your own texts.
The agents answer by rules unless they are given models: `--model anthropic` or `--model openai` takes a set of `MODELS`
below, `--model openai-chat:MODEL@http://HOST:PORT/v1` one model for all of them.

Research that finds nothing to quote leaves the findings empty; a reviewer whose review cannot be used leaves the draft
as it is. Both are kept in `errors`. A model that cannot be asked at all, for want of a key for instance, fails the run,
which can be resumed with another one.
"""

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, Field

from graphengine import END, START, Agent, Failure, Graph, Retry, TextFile, failed, iterations, plateau, value
from graphengine.errors import ModelError, ModelTransient
from graphengine.reducers import append
from nodes.article import Findings, Review
from nodes.review_team import researcher, reviewer, writer

THRESHOLD = 7  # a review with this score or a better one is content
ITERATIONS = 3  # more drafts than this are not worth their price

MODELS = {  # cheap ones for those who gather and judge, a strong one for who makes one text of it all
    "anthropic": {"*": "anthropic:claude-haiku-5-5", "writer": "anthropic:claude-opus-5-5"},
    "openai": {"*": "openai:gpt-5-mini", "writer": "openai:gpt-6.1-sol"},
}


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
    again = Retry(attempts=4, initial_seconds=1, max_seconds=60, on=(OSError, ModelTransient))  # what passes by itself
    without = failed(Exception) & ~failed(ModelError)  # an answer of no use; a model that gives none fails the run
    graph.add_node("research", researcher, writes="findings", retry=again)
    graph.add_node("write", writer, writes="draft", retry=again)
    graph.add_node("review", reviewer, writes={"history": ".", "final_score": last_score}, retry=again)
    graph.add_edge(START, "research")
    graph.add_edge("research", "write", when=without, label="without findings")
    graph.add_path("research", "write", "review")
    graph.add_edge("review", END, when=without, label="accepted unreviewed")
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

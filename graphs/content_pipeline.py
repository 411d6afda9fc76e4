"""Research, write, edit, list and publish a post once a person approves; each step that can fail has a fallback.

`graphengine run content_pipeline` runs it on an example; `--input task=…` and `--input sources=@file.md` on your own.
`--model anthropic` or `--model openai` selects a set of `MODELS`; a task is then enough. Without a model it is a dry
run: placeholders answer.

It waits for `graphengine answer RUN '{"verdict": "approve"}'`; `revise` with a `note` sends it back to the writer, and
`reject` ends it. `--input site=…` is a folder, or the address of a webhook; the post is published at most once. A run
that fails keeps its state and can be resumed; what failed and was survived is in `errors`.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field

from graphengine import END, FAIL, START, Agent, Failure, Graph, NotDone, Writes, ask, iterations, value
from graphengine.patterns import Decision
from graphengine.reducers import append
from nodes.citing import Passage, size, uncited
from nodes.press import agents as press
from nodes.press.agents import Edited, Piece
from nodes.press.publishing import Listing, Post, checked_site, is_address, publish_file, publish_webhook
from nodes.review.agents import Review
from nodes.tasks import AGAIN, sample

MODELS = press.MODELS


class Order(Piece):
    """The state: a piece, where it goes, what the person decided, and where the post is."""

    word_budget: int = Field(default=1200, ge=100)
    site: Annotated[str, AfterValidator(checked_site)] = Field(default="published", min_length=1)
    decisions: Annotated[list[Decision], append] = Field(default_factory=list)
    published: str = ""
    errors: Annotated[list[Failure], append] = Field(default_factory=list)


def survey(site: str) -> list[str]:
    """Return the posts that are in a folder already; none of a webhook, which lists nothing."""
    return [] if is_address(site) else sorted(file.name for file in Path(site).glob("*.md"))


def question(post: Post, draft: str, changes: Sequence[str], findings: Sequence[Passage], site: str) -> str:
    """Return the question to a person before a post is published: all of it, and what to look at."""
    notes = [f"Edited: {change}" for change in changes]
    notes += [f"Without a source: {sentence}" for sentence in uncited(draft, findings)]
    rows = [f"Title: {post.title}", f"Description: {post.description}", f"Tags: {', '.join(post.tags)}"]
    return "\n".join([f"Publish this in {site}?", *rows, *notes, f"Words: {size(post.body)}", "", post.body])


def review_of(result: Decision) -> list[Review]:
    """Return the review of a person who sent a post back."""
    wanted = Review(score=5, issues=[result.note], summary="The publisher asks for changes.")
    return [wanted] if result.verdict == "revise" else []


def as_published(result: str, post: Post) -> str:
    """Return a post and where it is."""
    return f"> Published: {result}\n\n# {post.title}\n\n{post.body}\n"


def content_pipeline(
    writer: Agent[str] = press.writer,
    editor: Agent[Edited] = press.editor,
    publisher: Agent[Listing] = press.publisher,
    *,
    revisions: int = 3,
) -> Graph[Order]:
    """Return the pipeline with these agents; a person can send a post back so often."""
    graph = Graph("content_pipeline", Order, result="output", collect_errors="errors")
    for name, stage in press.stages(writer, editor, publisher).items():
        graph.add_node(name, stage)
    graph.add_node("survey", survey, writes="posts", retry=AGAIN, fallback=[])
    graph.add_node("approve", ask(question, Decision), writes={"decisions": ".", "reviews": review_of})
    writes: Writes = {"published": ".", "output": as_published}
    graph.add_node("save", publish_file, writes=writes, retry=AGAIN)
    graph.add_node("send", publish_webhook, writes=writes, retry=replace(AGAIN, on=(NotDone,)), effect="once")

    graph.add_fork(START, ["research", "survey"], join="write")
    graph.add_edge("research", FAIL, when=value("findings").length() == 0, label="nothing found")
    graph.add_edge("research", "write")
    graph.add_path("survey", "write", "edit", "list")
    graph.add_edge("list", END, when=value("post").is_none(), label="as Markdown")
    graph.add_edge("list", "approve")
    verdict = value("decisions[-1].verdict")
    graph.add_edge("approve", "send", when=(verdict == "approve") & value(is_address).is_true(), label="to a webhook")
    graph.add_edge("approve", "save", when=verdict == "approve", label="to a folder")
    graph.add_edge("approve", END, when=verdict == "reject", label="rejected")
    graph.add_edge("approve", END, when=iterations("approve") > revisions, label="out of revisions")
    graph.add_edge("approve", "write", label="once more")
    graph.add_edge("save", END, label="published")
    graph.add_edge("send", END, label="published")
    return graph


def example() -> Order:
    """Return the input of an example run."""
    return Order(**sample(word_budget=500))


graph = content_pipeline()

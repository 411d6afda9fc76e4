"""Research, write, edit, list and publish a post once a person approves; each step that can fail has a fallback.

`graphengine run content_pipeline` runs it on an example; `--input topic=…` and `--input sources=@file.md` on your own.
Without a model it is a dry run: the researcher quotes the sources, and placeholders stand for all other answers.
`--model anthropic` or `--model openai` selects a set of `MODELS`; a topic is then enough.

It waits for `graphengine answer RUN '{"verdict": "approve"}'`; `revise` with a `note` sends it back to the writer, and
`reject` ends it. `--input site=…` is a folder, or the address of a webhook. The post is published at most once.

A researcher or a writer that fails for good fails the run, which keeps its state and can be resumed. If the editor
fails, the draft is kept as it is. If the publisher fails, the text as Markdown is the result. If the site cannot be
read, it counts as empty. These failures are in `errors`.
"""

from collections.abc import Sequence
from typing import Annotated

from pydantic import AfterValidator, Field

from graphengine import END, FAIL, START, Agent, Failure, Graph, Retry, ask, iterations, value
from graphengine.patterns import Decision
from graphengine.reducers import append, extend
from nodes.citing import doubtful, sample, uncited
from nodes.passages import Passage, size
from nodes.press.agents import editor, publisher, writer
from nodes.press.pieces import Edited, Listing, Piece, Post
from nodes.press.publishing import NotSent, check_site, is_address, publish_file, publish_webhook, titles_in
from nodes.press.stages import AGAIN, MODELS, stages


class Order(Piece):
    """The state: a piece, where it goes, what the person decided, and the result."""

    word_budget: int = Field(default=1000, ge=100)
    site: Annotated[str, AfterValidator(check_site)] = "published"
    titles: list[str] = []
    decisions: Annotated[list[Decision], append] = []
    wishes: Annotated[list[str], extend] = []
    published: str = ""  # its file, or the address that took it
    errors: Annotated[list[Failure], append] = []


def survey(site: str) -> list[str]:
    """Return the titles that a folder has already; a webhook tells none."""
    return [] if is_address(site) else titles_in(site)


def question(post: Post, draft: str, changes: Sequence[str], findings: Sequence[Passage], site: str) -> str:
    """Return the question to a person before a post is published: all of it, and what to look at."""
    notes = [f"Edited: {change}" for change in changes]
    notes += [f"Without a source: {sentence}" for sentence in uncited(draft)]
    notes += [f"Differs from its source: {remark}" for remark in doubtful(draft, findings)]
    rows = [f"Title: {post.title}", f"Description: {post.description}", f"Tags: {', '.join(post.tags)}"]
    return "\n".join([f"Publish this in {site}?", *rows, *notes, f"Words: {size(post.body)}", "", post.body])


def wish_of(result: Decision) -> list[str]:
    """Return the wish of a person who sent a post back."""
    return [result.note] if result.verdict == "revise" and result.note.strip() else []


def as_published(result: str, post: Post) -> str:
    """Return a post and where it is."""
    return f"> Published: {result}\n\n# {post.title}\n\n{post.body}\n"


def content_pipeline(
    writer: Agent[str] = writer,
    editor: Agent[Edited] = editor,
    publisher: Agent[Listing] = publisher,
    *,
    revisions: int = 3,
) -> Graph[Order]:
    """Return the pipeline with these agents; a person can send a post back so often."""
    graph = Graph("content_pipeline", Order, result="output", collect_errors="errors")
    for name, stage in stages(writer, editor, publisher).items():
        graph.add_node(name, stage)
    graph.add_node("survey", survey, writes="titles", retry=AGAIN, fallback=[])
    graph.add_node("approve", ask(question, Decision), writes={"decisions": ".", "wishes": wish_of})
    writes = {"published": ".", "output": as_published}
    graph.add_node("save", publish_file, writes=writes, retry=AGAIN)
    sending = Retry(attempts=3, initial_seconds=1, max_seconds=60, on=(NotSent,))
    graph.add_node("send", publish_webhook, writes=writes, retry=sending, on_resume="ask")

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
    for publishing in ("save", "send"):
        graph.add_edge(publishing, END, label="published")
    return graph


def example() -> Order:
    """Return the input of an example run."""
    topic, texts = sample("write_ahead_log")
    return Order(topic=topic, sources=texts, word_budget=500)


graph = content_pipeline()

"""Research, write, edit, list, check and publish a post once a person approves; each step that can fail has a fallback.

`graphengine run content_pipeline` runs it on an example, by rules unless `--model anthropic` or `--model openai` names
a set of `MODELS`; `--input topic=…` on pages of the web or `--input sources=@file.md`, and `--input site=…`, for your
own. It waits for `graphengine answer RUN '{"verdict": "approve"}'`; `revise` with a `note` sends it back to the writer,
`reject` ends it.

After its retries, a failing researcher or writer fails the run, which keeps its state and can be resumed. If the
editor fails, the draft is kept unedited, with a note that says so. If the publisher fails, the result is the text as
Markdown (see `form`). If the survey of the site fails, the site counts as empty. These failures are in `errors`.
A post is published once, even if the process dies, and has footnotes with the titles of its sources, never a file path.
`site` is a folder, `wordpress:https://…`, `ghost:https://…`, `webhook:https://…` or `telegram:@channel`, with secrets
from the environment (see `graphengine.briefs.publishing.places`).
"""

from collections.abc import Callable
from typing import Annotated, Final, Literal

from pydantic import BaseModel, Field

from graphengine import END, FAIL, Failure, Graph, Retry, TextFile, ask, failed, iterations, value
from graphengine.briefs.article import Findings
from graphengine.briefs.publishing import Cms, Listing, Published, Site, cms_at
from graphengine.errors import ModelTransient
from graphengine.patterns import Decision
from graphengine.reducers import append, extend
from nodes.briefing.gathering import add_gathering
from nodes.citing import sample
from nodes.press.agents import TEAM, Team
from nodes.press.desk import (
    as_markdown,
    form_of,
    looks,
    notes_of,
    output_of,
    publishes,
    question,
    read_in_parts,
    unedited,
)
from nodes.press.stages import LEAST_WORDS, Edited, Manuscript

MODELS = {  # cheap ones for the work, a strong one for the text
    "default": {"*": "offline"},
    "anthropic": {"*": "anthropic:claude-haiku-5-5", "writer": "anthropic:claude-opus-5-5"},
    "openai": {"*": "openai:gpt-5-mini", "writer": "openai:gpt-6.1-sol"},
}
PLACE: Final = "published"  # the folder used as a site


class Piece(BaseModel):
    """The state: the order, the result of each stage, the decisions, and the post."""

    topic: str = Field(min_length=1, pattern=r"\S")
    sources: list[TextFile] = []  # empty: pages of the web
    word_budget: int = Field(default=1000, ge=LEAST_WORDS)
    site: str = Field(default=PLACE, min_length=1)
    wishes: Annotated[list[str], extend] = []
    findings: Findings = Findings()
    on_site: Site = Site()
    manuscript: Manuscript | None = None
    edited: Edited | None = None
    listing: Listing | None = None
    checked: str = ""  # a verdict on each claim
    decisions: Annotated[list[Decision], append] = []
    form: Literal["none", "post", "markdown"] = "none"
    published: Published | None = None
    output: str = ""
    errors: Annotated[list[Failure], append] = []


def content_pipeline(
    team: Team = TEAM, *, cms: Callable[[str], Cms] = cms_at, revisions: int = 3, answer_seconds: float | None = None
) -> Graph[Piece]:
    """Return the pipeline with these agents.

    Args:
        team: Researcher, writer, editor, publisher, and a fact checker or None.
        cms: Returns the site of a name, to survey and to publish on.
        revisions: How often a person can send a post back.
        answer_seconds: How long to wait for that person; after that the post counts as rejected. None: for ever.
    """
    graph = Graph("content_pipeline", Piece, result="output", collect_errors="errors")
    again = Retry(attempts=3, initial_seconds=1, max_seconds=60, on=(OSError, ModelTransient))  # transient errors
    late = Decision(verdict="reject", note="no answer in time")
    asked = (
        ask(question, Decision)
        if answer_seconds is None
        else ask(question, Decision, timeout_seconds=answer_seconds, default=late)
    )

    graph.add_node("research", team.researcher, writes="findings", retry=again)
    graph.add_node("survey", looks(cms), writes="on_site", retry=again, fallback=Site())
    graph.add_node("write", team.writer, writes="manuscript", retry=again)
    graph.add_node("edit", team.editor, writes={"edited": read_in_parts}, retry=again, fallback=unedited)
    graph.add_node("list", team.publisher, inputs={"site": "on_site"}, writes="listing", retry=again)
    graph.add_node("as_markdown", as_markdown, writes=("form", "listing", "output"))
    graph.add_node("approve", asked, writes={"decisions": ".", "wishes": notes_of})
    graph.add_node(
        "publish", publishes(cms), writes={"published": ".", "form": form_of, "output": output_of}, retry=again
    )

    graph.add_node("begin")
    add_gathering(graph, "begin", topic="topic")
    graph.add_fork("begin", ["research", "survey"], join="write")
    graph.add_edge("research", FAIL, when=value("findings.key_areas").length() == 0, label="nothing found to write on")
    graph.add_edge("research", "write")
    graph.add_path("survey", "write", "edit", "list")
    graph.add_edge("list", "as_markdown", when=failed(Exception), label="no listing")
    if team.fact_checker is None:
        graph.add_path("list", "approve")
    else:
        graph.add_node("check", team.fact_checker, writes="checked", retry=again, fallback="")
        graph.add_path("list", "check", "approve")
    graph.add_edge("as_markdown", END, label="as Markdown")
    verdict = value("decisions[-1].verdict")
    graph.add_edge("approve", "publish", when=verdict == "approve", label="approved")
    graph.add_edge("approve", END, when=verdict == "reject", label="rejected")
    graph.add_edge("approve", END, when=iterations("approve") > revisions, label="out of revisions")
    graph.add_edge("approve", "write", label="once more")
    graph.add_edge("publish", END, label="published")
    return graph


def example() -> Piece:
    """Return the input of an example run."""
    topic, texts = sample("write_ahead_log")
    return Piece(topic=topic, sources=texts, word_budget=500)


graph = content_pipeline()

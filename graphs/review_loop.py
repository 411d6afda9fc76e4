"""Research for and against, write, review, and write again until the review approves or stops improving.

`graphengine run review_loop` runs it on an example; `--input task=…` and `--input sources=@file.md` on your own texts;
`--input task=…` alone on pages of the web, if SEARXNG_URL or BRAVE_API_KEY names a search. Sources that are too long
for one question are read in parts, in parallel; `--estimate` shows the cost before, and the result says so.
The agents answer by rules unless they get models: `--model anthropic` or `--model openai` selects a set of `MODELS`
below, `--model reviewer=openai:MODEL` a model for one agent, `--model openai-chat:MODEL@http://HOST:PORT/v1` for all.

Two researchers read the sources in parallel, one for facts, one for limits and objections. If one of them gives no
usable answer, the other's is used: the result begins with a warning, and the run ends as `incomplete research`. If
there are no findings, the run fails as `nothing found`, or as `sources too long` for the model, with the reasons as its
result. The writer sees earlier articles of the same database on similar subjects. The result is the best draft, whether
or not it was the last; one without a usable review is accepted unreviewed, without a score. All such failures are kept
in `errors`. A model that cannot be called at all fails the run; resume it with another one.
"""

from typing import Annotated, Any

from pydantic import BaseModel, Field, JsonValue

from graphengine import (
    END,
    FAIL,
    Agent,
    Failure,
    Graph,
    Migration,
    Retry,
    Runnable,
    TextFile,
    failed,
    iterations,
    plateau,
    value,
)
from graphengine.briefs.article import Doubts, Earlier, Findings, Review
from graphengine.briefs.doubts import merge
from graphengine.briefs.endings import accept, best_draft, best_score, lacks_research, no_brief, too_long
from graphengine.briefs.memory import recalling
from graphengine.briefs.text.samples import sample
from graphengine.errors import ContextFull, ModelNotReady, ModelTransient
from graphengine.reducers import append
from nodes.review.agents import researcher, reviewer, sceptic, writer
from nodes.review.gathering import add_gathering

THRESHOLD = 7  # a review with at least this score approves
ITERATIONS = 3  # more drafts do not improve enough for their price
REMEMBERED = 3  # earlier articles that the writer sees

ESTIMATE_BY_RULES = True  # without models it has no effects, so `--estimate` may rehearse it
MODELS = {  # cheap models gather and judge, a strong one writes
    "anthropic": {"*": "anthropic:claude-haiku-5-5", "writer": "anthropic:claude-opus-5-5"},
    "openai": {"*": "openai:gpt-5-mini", "writer": "openai:gpt-6.1-sol"},
}


class Article(BaseModel):
    """The state of the loop."""

    task: str = Field(min_length=1, pattern=r"\S")
    sources: list[TextFile] = []  # empty: pages of the web
    word_budget: int = Field(default=350, ge=100)
    earlier: list[Earlier] = []
    findings: Findings = Findings()
    doubts: Doubts = Doubts()
    draft: str = ""
    history: Annotated[list[Review], append] = []
    article: str = ""  # the best draft so far
    final_score: int | None = None  # and its score; None if it was not reviewed
    errors: Annotated[list[Failure], append] = []


def from_version_1(state: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """Migrate the state of version 1, which had the last draft as its result, and one researcher."""
    return {**state, "article": state["draft"]}


def review_loop(  # noqa: PLR0913 - the agents by name, and the limits of the loop
    researcher: Runnable = researcher,
    writer: Agent[str] = writer,
    reviewer: Agent[Review] = reviewer,
    *,
    sceptic: Agent[Doubts] = sceptic,
    threshold: int = THRESHOLD,
    drafts: int = ITERATIONS,
    remembered: int = REMEMBERED,
) -> Graph[Article]:
    """Return the loop with these agents.

    Args:
        researcher: Finds facts; `nodes.review.searching.searching_researcher` searches long sources with a tool.
        writer: Writes the draft.
        reviewer: Reviews the draft.
        sceptic: Finds limits and objections, in parallel with the researcher.
        threshold: The score from which a draft is good enough.
        drafts: The maximum number of drafts.
        remembered: The maximum number of earlier articles that the writer sees; 0 for none.
    """
    again = Retry(attempts=4, initial_seconds=1, max_seconds=60, on=(OSError, ModelTransient))  # transient errors
    unusable = failed(Exception) & ~failed(ModelNotReady, ModelTransient)  # these fail the run
    without = unusable & ~failed(ContextFull)
    kept = ("task", "sources", "word_budget")  # for the next article, which gets its own findings and reviews
    migrate = {1: Migration(from_version_1, moved={"research": "recall"}), 2: Migration(), 3: Migration()}
    graph = Graph(
        "review_loop", Article, result="article", collect_errors="errors", carry_over=kept, version=4, migrate=migrate
    )
    graph.add_node("recall", recalling("review_loop", remembered), writes="earlier", fallback=[])
    graph.add_node("research", researcher, writes="findings", retry=again)
    graph.add_node("doubt", sceptic, writes="doubts", retry=again)
    graph.add_node("merge", merge, writes={"findings": ".", "article": no_brief})
    graph.add_node("write", writer, writes="draft", retry=again)
    judged: dict[str, Any] = {"history": ".", "article": best_draft, "final_score": best_score}
    graph.add_node("review", reviewer, writes=judged, retry=again)
    graph.add_node("accept", accept, writes=("article", "final_score"))
    add_gathering(graph, "recall")
    graph.add_fork("recall", ["research", "doubt"], join="merge")
    graph.add_edge("research", "merge", when=unusable, label="without facts")
    graph.add_edge("research", "merge")
    graph.add_edge("doubt", "merge", when=unusable, label="without doubts")
    graph.add_edge("doubt", "merge")
    nothing, lacking = value("findings.key_areas").length() == 0, value(lacks_research).is_true()
    graph.add_edge("merge", FAIL, when=nothing & value(too_long).is_true(), label="sources too long")
    graph.add_edge("merge", FAIL, when=nothing, label="nothing found")
    graph.add_edge("merge", "write")
    graph.add_edge("write", END, when=without & (value("history").length() > 0), label="revision failed")
    graph.add_edge("write", "review")
    graph.add_edge("review", "accept", when=without, label="nobody judged it")
    good = value("history[-1].score") >= threshold
    graph.add_edge("review", END, when=good & lacking, label="incomplete research")
    graph.add_edge("review", END, when=good, label="approved")
    graph.add_edge("review", END, when=plateau("history[-1].score"), label="no longer improving")
    graph.add_edge("review", END, when=iterations("review") >= drafts, label="out of iterations")
    graph.add_edge("review", "write")
    graph.add_edge("accept", END, label="accepted unreviewed")
    return graph


def example() -> Article:
    """Return the input of an example run."""
    task, sources = sample("write_ahead_log")
    return Article(task=task, sources=sources)


graph = review_loop()

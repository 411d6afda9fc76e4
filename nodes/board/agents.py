"""What the research board has besides the writer and the reviewer of the review loop: scout, surveyor, and editor."""

from collections.abc import Sequence

from graphengine import Agent, Settings, TextFile
from graphengine.agents import DATA_NOTE, block
from nodes.citing import Passage, Quotations, lines_of
from nodes.review.agents import Review, listed, research

THRESHOLD = 7.0  # a review with at least this score asks for nothing more
MOST_DRAFTS = 3


def ask_surveyor(task: str, findings: Sequence[Passage], gaps: Sequence[str] | None) -> str:
    """Return the surveyor's question: the task, the findings, and the gaps it named before."""
    before = f"\n\nGaps named before:\n{block('gaps', listed(gaps))}" if gaps else ""
    return f"{block('task', task)}\n\nFindings:\n{block('findings', lines_of(findings))}{before}\n\nWhat is missing?"


async def scout(
    task: str, sources: Sequence[TextFile], findings: Sequence[Passage], gaps: list[str] | None
) -> Quotations:
    """Look for what the task asks, later for the gaps; without gaps there is nothing to look for, and no call."""
    if gaps == []:
        return Quotations(quotations=[])
    return await research(task, sources, findings, [Review(score=0, missing=gaps)] if gaps else [])


def wishes(reviews: Sequence[Review]) -> list[str]:
    """Return what the writer is to mend: nothing after a good review, one that is no better, or that of the last."""
    *before, last = reviews
    is_over = last.score >= THRESHOLD or len(reviews) >= MOST_DRAFTS
    is_stuck = any(review.score >= last.score for review in before)
    return [] if is_over or is_stuck else [*last.missing, *last.issues, last.summary]


surveyor = Agent(
    "surveyor",
    system=(
        "You look for what is missing. You get a task and what was found on it.\n"
        "- A gap is something that a reader of the task will ask and no finding answers, or a finding without what "
        "limits or contradicts it. Name at most four in a few words each, the worst first.\n"
        "- Repeat gaps you named before in the same words while they are open. If a reader can do with what there is, "
        "the list is empty.\n" + DATA_NOTE
    ),
    prompt=ask_surveyor,
    output=list[str],
    settings=Settings(max_tokens=1_024),
)

"""The agents of the review loop: a researcher who quotes, a writer who cites, a reviewer who scores.

Each has a prompt for a language model and a check of its answers.
"""

from collections.abc import Sequence
from typing import Final

from pydantic import BaseModel, ConfigDict, Field
from pydantic.json_schema import SkipJsonSchema

from graphengine import Agent, Settings, TextFile, web_search
from graphengine.agents import DATA_NOTE, bare_markdown, block
from graphengine.models import BadRequest
from nodes.citing import (
    KNOWLEDGE,
    Passage,
    Quotations,
    best,
    check_brief,
    check_quotations,
    faults,
    lines_of,
    literal,
    on_one_source,
    uncited,
)
from nodes.varied import Varied

SHOWN_REVIEWS: Final = 2  # earlier ones that a reviewer sees
PAGE_WORDS: Final = 500


class Review(BaseModel):
    """A review of a draft.

    Attributes:
        score: From 0, of no use, to 10, nothing to improve.
        missing: The points of the task on which the draft says too little, in the words of the task, the weakest first.
        issues: What else is to be improved, a sentence each.
        summary: The verdict in a sentence or two.
        shares: Without a model: for each point, the share of what the sources hold on it that the draft has, by words.
    """

    model_config = ConfigDict(frozen=True)

    score: float = Field(ge=0, le=10)
    missing: list[str] = []
    issues: list[str] = []
    summary: str = ""
    shares: SkipJsonSchema[dict[str, float]] = {}


def ask_researcher(
    task: str, sources: Sequence[TextFile], findings: Sequence[Passage], reviews: Sequence[Review]
) -> str:
    """Return the researcher's question: the sources, what was found before, and what the review misses."""
    shown = [f"File {block('file', source.path)}:\n{block('source', source.text)}" for source in sources]
    asked = "What do these sources say on the task?"
    return "\n\n".join([f"Task: {block('task', task)}", *shown, *_found(findings, reviews), asked])


def ask_searcher(task: str, findings: Sequence[Passage], reviews: Sequence[Review]) -> str:
    """Return the question of one without sources: the task, what was found before, and what the review misses."""
    return "\n\n".join([f"Task: {block('task', task)}", *_found(findings, reviews)])


def _found(findings: Sequence[Passage], reviews: Sequence[Review]) -> list[str]:
    before = f"Found before, not to be given again:\n{block('found', lines_of(findings))}"
    missing = reviews[-1].missing if reviews else []
    wanted = f"The brief says too little on these points:\n{block('missing', listed(missing))}"
    return [*([before] if findings else []), *([wanted] if missing else [])]


def ask_writer(task: str, findings: Sequence[Passage], word_budget: int, draft: str, reviews: Sequence[Review]) -> str:
    """Return the writer's question: the findings, and from the second draft on the last one with its review."""
    parts = [
        f"Task: {block('task', task)}",
        length(word_budget),
        f"Findings:\n{block('findings', lines_of(findings))}",
    ]
    if draft and reviews:
        parts += [
            f"Your last draft:\n{block('draft', draft)}",
            f"Its review:\n{block('review', _in_words(reviews[-1]))}",
        ]
    return "\n\n".join(parts)


def length(word_budget: int) -> str:
    """Return what is asked for as length: with more than a page, also the least."""
    least = f"{2 * word_budget // 3} to" if word_budget > PAGE_WORDS else "At most"
    return f"{least} {word_budget} words."


def ask_reviewer(
    task: str, findings: Sequence[Passage], word_budget: int, draft: str, reviews: Sequence[Review]
) -> str:
    """Return the reviewer's question: the draft, the findings, faults, what cites nothing, and the last reviews."""
    parts = [
        f"Task: {block('task', task)}",
        f"Findings:\n{block('findings', lines_of(findings))}",
        f"Draft:\n{block('draft', draft)}",
    ]
    if wrong := faults(draft, findings, word_budget):
        parts.append(f"A count found these:\n{block('faults', listed(wrong))}")
    if free := uncited(draft, findings):
        parts.append(f"These sentences cite nothing:\n{block('uncited', listed(free))}")
    if lone := on_one_source(draft, findings):
        parts.append(f"These sentences rest on one source alone:\n{block('one_source', listed(lone))}")
    if reviews:
        earlier = "\n\n".join(_in_words(review) for review in reviews[-SHOWN_REVIEWS:])
        parts.append(f"Earlier reviews:\n{block('reviews', earlier)}")
    return "\n\n".join(parts)


def _in_words(review: Review) -> str:
    missing = f"\nSays too little on:\n{listed(review.missing)}" if review.missing else ""
    issues = f"\nTo improve:\n{listed(review.issues)}" if review.issues else ""
    return f"{review.score:g} of 10. {review.summary}{missing}{issues}"


def listed(texts: Sequence[str]) -> str:
    """Return texts as items."""
    return "\n".join(f"- {text}" for text in texts)


researcher = Agent(
    "researcher",
    system=(
        "You find what sources say on a task. Only the sources count, not what you know.\n"
        "- Quote sentences word for word, without markup, that can be understood alone: `text`, with `file`, the name "
        "of the source.\n"
        "- First what answers the task most directly, then figures, causes and conditions, always what limits or "
        "contradicts it, and misconceptions with what corrects them. Cover every point of the task; ten to thirty "
        "quotations.\n"
        "- `notes` name the points on which the sources say nothing.\n" + DATA_NOTE
    ),
    prompt=ask_researcher,
    output=Quotations,
    check=check_quotations,
    best_effort=literal,
    hooks=[Varied(0.1)],
    settings=Settings(max_tokens=8_192, cache=True),
)

searcher = Agent(
    "searcher",
    system=(
        "You look up on the web what a task needs.\n"
        "- Search for each point of the task, for figures, and for what limits or contradicts what you found. Prefer "
        "standards, papers, manuals and those concerned to pages that repeat others.\n"
        "- `quotations`: ten to thirty short statements of the pages, each with the address of its page as `file`. "
        "`notes` name the points on which you found nothing.\n" + DATA_NOTE
    ),
    prompt=ask_searcher,
    output=Quotations,
    tools=[web_search()],
    hooks=[Varied(0.1)],
    settings=Settings(max_tokens=8_192),
)

recaller = searcher.but(
    system=(
        "You write down what you know on a task; nothing can be looked up.\n"
        "- `quotations`: ten to thirty short statements that you are sure of, figures and limits included, each with "
        f"`file` {KNOWLEDGE!r}. `notes` name what you do not know.\n" + DATA_NOTE
    ),
    tools=[],
)


async def research(
    task: str, sources: Sequence[TextFile], findings: Sequence[Passage], reviews: Sequence[Review]
) -> Quotations:
    """Quote the sources; without any, search."""
    if sources:
        return await researcher.run(task=task, sources=sources, findings=findings, reviews=reviews)
    return await search(task, findings, reviews)


async def search(
    task: str, findings: Sequence[Passage], reviews: Sequence[Review], searcher: Agent[Quotations] = searcher
) -> Quotations:
    """Search the web if the model's provider can, or else ask what the model knows."""
    try:
        return await searcher.run(task=task, findings=findings, reviews=reviews)
    except BadRequest:  # its provider has no search
        found = await recaller.run(task=task, findings=findings, reviews=reviews)
        known = [each.model_copy(update={"file": KNOWLEDGE, "line": 0}) for each in found.quotations]
        return found.model_copy(update={"quotations": known})


writer = Agent(
    "writer",
    system=(
        "You write briefs for people who know the field and have little time.\n"
        "- Markdown: a title after #, then a section after ## for each point of the task, in short sentences of your "
        "own words.\n"
        "- End each sentence that rests on a finding with its place, as [file:line]. Do not state what no finding "
        "says; a sentence that only leads on cites nothing. What limits a finding goes with it.\n"
        "- If the findings do not answer a point, say so in one sentence.\n"
        "- With a last draft, mend what its review names and keep the rest.\n"
        "Answer with the brief alone.\n" + DATA_NOTE
    ),
    prompt=ask_writer,
    guards=[bare_markdown],
    check=check_brief,
    best_effort=best,
    on_cut="keep",
    hooks=[Varied(0.6)],
    settings=Settings(max_tokens=8_192, cache=True),
)

reviewer = Agent(
    "reviewer",
    system=(
        "You review the draft of a brief against the findings on which it should rest; these alone count as true.\n"
        "- `score`: 10 if nothing needs to be improved, 7 if it can be sent as it is, 4 if a point of the task is "
        "missing or a claim is not supported, 1 if it is of no use.\n"
        "- `missing`: points of the task on which it says less than the findings allow, in the words of the task.\n"
        "- `issues`: each claim that goes beyond what it cites, each contradiction, repetition or unclear sentence, "
        "with what to do. Do not ask for what the findings do not hold, nor again for what has been mended.\n"
        "- `summary`: the verdict in a sentence.\n" + DATA_NOTE
    ),
    prompt=ask_reviewer,
    output=Review,
    hooks=[Varied(0.2)],
    settings=Settings(max_tokens=4_096, cache=True),
)

"""Specialists at a shared board: each runs when a field that it watches changes, until nothing changes any more.

`graphengine run blackboard` runs it on an example; `--input task=…` on pages of the web or `--input sources=@file.md`,
`--model anthropic` with language models. No agent decides which one is next, and none knows of another: a scout looks
for facts, a skeptic for objections, a surveyor for gaps (which send the scout out again), a writer writes, a reviewer
reviews, an editor decides whether to revise. The table in `SPECIALISTS` has who watches what; add a row to add a
specialist. A changed field is an event: a changed `draft` means that a draft is ready. In `graphs/event_bus.py` events
and messages carry data.

`board.entries` has the author, the time and the round of every write. A specialist that fails writes nothing, the
others continue, and the report names it; a board on which nothing was written fails the run.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated

from pydantic import BaseModel, Field

from graphengine import END, FAIL, Graph, Migration, Retry, TextFile, value
from graphengine.briefs.article import Findings, Review
from graphengine.errors import ModelTransient
from graphengine.graph.definition import Node, Runnable, choose
from graphengine.patterns import Board, Subscriber, blackboard
from graphengine.reducers import append, merge
from nodes.board import agents as team
from nodes.board.entries import Doubt, Gap, add_findings, written
from nodes.board.rules import ask_again, is_looked_for, nothing
from nodes.briefing.gathering import add_gathering
from nodes.citing import sample

ROUNDS = 20  # stops specialists that trigger each other for ever

MODELS = {  # cheap models gather and judge, a strong one writes
    "default": {"*": "offline"},
    "anthropic": {"*": "anthropic:claude-haiku-5-5", "writer": "anthropic:claude-opus-5-5"},
    "openai": {"*": "openai:gpt-5-mini", "writer": "openai:gpt-6.1-sol"},
}


class Research(Board):
    """The board: the input, and what the specialists write. None means that no specialist has looked yet."""

    task: str
    sources: list[TextFile]
    word_budget: int = 350
    findings: Annotated[Findings, add_findings] = Findings()
    doubts: list[Doubt] | None = None
    gaps: list[Gap] | None = None
    draft: str = ""
    history: Annotated[list[Review], append] = Field(default_factory=list)
    wishes: list[str] = Field(default_factory=list)
    notes: Annotated[dict[str, str], merge] = Field(default_factory=dict)  # for your own specialists: "notes[title]"


SCOUT: Mapping[bool, Runnable] = {True: team.scout, False: nothing}  # no call if nothing is missing

SPECIALISTS: Mapping[str, Subscriber] = {
    "scout": Subscriber(choose(is_looked_for, SCOUT), watches=["task", "sources", "gaps"], writes="findings"),
    "skeptic": Subscriber(team.skeptic, watches=["findings"], writes="doubts"),
    "surveyor": Subscriber(team.surveyor, watches=["findings"], writes="gaps"),
    "writer": Subscriber(team.writer, watches=["doubts", "gaps", "wishes"], writes="draft"),
    "reviewer": Subscriber(team.reviewer, watches=["draft"], writes="history"),
    "editor": Subscriber(ask_again, watches=["history"], writes="wishes"),
}


class Assignment(BaseModel):
    """The state of the workflow: the input, the final board, and the report."""

    task: str = Field(min_length=1, pattern=r"\S")
    sources: list[TextFile] = []  # empty: pages of the web
    word_budget: int = Field(default=350, ge=100)
    board: Research | None = None
    report: str = ""


def report(board: Research, sources: list[TextFile]) -> str:
    """Return the draft, followed by what is missing and what failed; a board without a draft fails the run."""
    draft = written(board.draft if board.findings.key_areas else "", board.errors, sources)
    missing = [f"- {gap.why or gap.about}" for gap in board.gaps or ()]
    failed = [f"- {failure.path.rpartition('/')[2]}: {failure.message}" for failure in board.errors]
    parts = [draft.rstrip(), *_section("Still open", missing), *_section("Not done", failed)]
    return "\n\n".join(parts) + "\n"


def _section(title: str, lines: Sequence[str]) -> list[str]:
    return ["\n".join([f"## {title}", "", *lines])] if lines else []


def research_board(specialists: Mapping[str, Subscriber] = SPECIALISTS, *, rounds: int = ROUNDS) -> Graph[Assignment]:
    """Return a board with these specialists, and a report at the end.

    Args:
        specialists: The specialists by name: what each watches and where it writes.
        rounds: The maximum number of rounds, even if something still changes.
    """
    again = Retry(attempts=4, initial_seconds=1, max_seconds=60, on=(OSError, ModelTransient))  # transient errors
    patient = {
        name: Subscriber(Node(each.runnable, retry=again), each.watches, each.writes)
        for name, each in specialists.items()
    }
    migrate = {1: Migration()}  # version 1 reported that nothing was found
    graph = Graph("blackboard", Assignment, result="report", version=2, migrate=migrate)
    graph.add_node("board", blackboard(Research, patient, rounds=rounds).but(name="board"), writes="board")
    graph.add_node("report", report, writes="report")
    nothing_found = (value("board.findings.key_areas").length() == 0) & (value("board.errors").length() == 0)
    add_gathering(graph, "board")
    graph.add_edge("board", FAIL, when=nothing_found, label="nothing found")
    graph.add_path("board", "report", END)
    return graph


def example() -> Assignment:
    """Return the input of an example run."""
    task, sources = sample("write_ahead_log")
    return Assignment(task=task, sources=sources)


graph = research_board()

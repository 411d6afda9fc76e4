"""Specialists at a shared board: each runs when what it watches changes, until nothing changes any more.

`graphengine run blackboard` runs it on an example; `--input task=…` and `--input sources=@file.md` on your own texts,
`--model anthropic` with language models. Nobody decides who is next and nobody knows of another: a scout looks for
facts, a skeptic for what speaks against them, a surveyor for what is missing (which sends the scout out again), a
writer writes, a reviewer reviews, an editor says whether to mend it. Who watches what is the table in `SPECIALISTS`;
one more specialist is one more row. A field that changes is an event, as `draft` that a draft is ready; in
`graphs/event_bus.py` events and messages carry what they tell.

`board.entries` has the author, the time and the round of everything that was written. A specialist that fails writes
nothing, the others go on, and the report names it; a board on which nothing was written fails the run.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated

from pydantic import BaseModel, Field

from graphengine import END, FAIL, START, Graph, Migration, Retry, TextFile, value
from graphengine.errors import ModelTransient
from graphengine.graph.graph import Node, Runnable, choose
from graphengine.patterns import Board, Subscriber, blackboard
from graphengine.reducers import append, merge
from nodes.board import agents as team
from nodes.board.entries import Doubt, Gap, add_findings, written
from nodes.board.rules import ask_again, is_looked_for, nothing
from nodes.review.article import Findings, Review
from nodes.text.samples import sample

ROUNDS = 20  # those who set each other off for ever are stopped then

MODELS = {  # cheap ones for those who gather and judge, a strong one for who makes one text of it all
    "anthropic": {"*": "anthropic:claude-haiku-5-5", "writer": "anthropic:claude-opus-5-5"},
    "openai": {"*": "openai:gpt-5-mini", "writer": "openai:gpt-6.1-sol"},
}


class Research(Board):
    """The board: what is given, and what the specialists write. None is what nobody has looked at yet."""

    task: str
    sources: list[TextFile]
    word_budget: int = 350
    findings: Annotated[Findings, add_findings] = Findings()
    doubts: list[Doubt] | None = None
    gaps: list[Gap] | None = None
    draft: str = ""
    history: Annotated[list[Review], append] = Field(default_factory=list)
    wishes: list[str] = Field(default_factory=list)
    notes: Annotated[dict[str, str], merge] = Field(default_factory=dict)  # for specialists of yours: "notes[title]"


SCOUT: Mapping[bool, Runnable] = {True: team.scout, False: nothing}  # nobody is asked for nothing

SPECIALISTS: Mapping[str, Subscriber] = {
    "scout": Subscriber(choose(is_looked_for, SCOUT), watches=["task", "sources", "gaps"], writes="findings"),
    "skeptic": Subscriber(team.skeptic, watches=["findings"], writes="doubts"),
    "surveyor": Subscriber(team.surveyor, watches=["findings"], writes="gaps"),
    "writer": Subscriber(team.writer, watches=["doubts", "gaps", "wishes"], writes="draft"),
    "reviewer": Subscriber(team.reviewer, watches=["draft"], writes="history"),
    "editor": Subscriber(ask_again, watches=["history"], writes="wishes"),
}


class Assignment(BaseModel):
    """The state of the workflow: what is asked, the board when it is quiet, and the report."""

    task: str = Field(min_length=1, pattern=r"\S")
    sources: list[TextFile] = Field(min_length=1)
    word_budget: int = Field(default=350, ge=100)
    board: Research | None = None
    report: str = ""


def report(board: Research) -> str:
    """The draft, and below it what is missing and who failed; a board without a draft fails the run."""
    draft = written(board.draft if board.findings.key_areas else "", board.errors)
    missing = [f"- {gap.why or gap.about}" for gap in board.gaps or ()]
    failed = [f"- {failure.path.rpartition('/')[2]}: {failure.message}" for failure in board.errors]
    parts = [draft.rstrip(), *_section("Still open", missing), *_section("Not done", failed)]
    return "\n\n".join(parts) + "\n"


def _section(title: str, lines: Sequence[str]) -> list[str]:
    return ["\n".join([f"## {title}", "", *lines])] if lines else []


def research_board(specialists: Mapping[str, Subscriber] = SPECIALISTS, *, rounds: int = ROUNDS) -> Graph[Assignment]:
    """A board with these specialists, and the report that comes of it.

    Args:
        specialists: Who watches what and writes where, by name.
        rounds: After so many rounds it ends, though something still changes.
    """
    again = Retry(attempts=4, initial_seconds=1, max_seconds=60, on=(OSError, ModelTransient))  # what passes by itself
    patient = {
        name: Subscriber(Node(each.runnable, retry=again), each.watches, each.writes)
        for name, each in specialists.items()
    }
    migrate = {1: Migration()}  # it reported that nothing was found
    graph = Graph("blackboard", Assignment, result="report", version=2, migrate=migrate)
    graph.add_node("board", blackboard(Research, patient, rounds=rounds).but(name="board"), writes="board")
    graph.add_node("report", report, writes="report")
    nothing_found = (value("board.findings.key_areas").length() == 0) & (value("board.errors").length() == 0)
    graph.add_edge(START, "board")
    graph.add_edge("board", FAIL, when=nothing_found, label="nothing found")
    graph.add_path("board", "report", END)
    return graph


def example() -> Assignment:
    """What it runs on when no input is given."""
    task, sources = sample("write_ahead_log")
    return Assignment(task=task, sources=sources)


graph = research_board()

"""Specialists at a shared board: each runs when a field that it watches changes, until nothing changes any more.

`graphengine run blackboard --model anthropic` runs it on an example; `--input task=…` and `--input sources=@file.md` on
your own, without sources on the web or what the model knows. Without a model it is a dry run: placeholders answer.

`SPECIALISTS` has who watches what; nobody decides who is next. A scout looks for findings, a surveyor for gaps (which
send the scout out again), a writer writes, a reviewer reviews, an editor decides whether to ask for more.
`board.entries` has the author, the time and the round of every write. A specialist that fails writes nothing, the
others continue, and the report names it; a board without a draft fails the run.
"""

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field

from graphengine import END, FAIL, START, Graph, Node, value
from graphengine.patterns import Board, Subscriber, blackboard
from graphengine.reducers import append, extend, merge
from nodes.board.agents import scout, surveyor, wishes
from nodes.citing import Passage, located, marked
from nodes.review.agents import Review, reviewer, writer
from nodes.tasks import AGAIN, Task, models, sample

ROUNDS = 20  # stops specialists that trigger each other for ever

MODELS = models("writer")  # cheap models gather and judge, a strong one writes


class Research(Task, Board):
    """The board: the input, and what the specialists write. None means that nobody has looked yet."""

    word_budget: int
    findings: Annotated[list[Passage], extend] = Field(default=[])
    gaps: list[str] | None = None
    draft: str = ""
    reviews: Annotated[list[Review], append] = Field(default=[])
    wishes: Annotated[list[str], extend] = Field(default=[])
    notes: Annotated[dict[str, str], merge] = Field(default={})  # for specialists of your own: "notes[title]"


class Commission(Task):
    """The state of the workflow: the input, the board in the end, and the report."""

    word_budget: int = Field(default=350, ge=100)
    board: Research | None = None
    report: str = ""


SCOUT = Node(scout, writes={"findings": located}, retry=AGAIN)
SPECIALISTS: Mapping[str, Subscriber] = {
    "scout": Subscriber(SCOUT, watches=["task", "gaps"], writes="findings"),
    "surveyor": Subscriber(Node(surveyor, retry=AGAIN), watches=["findings"], writes="gaps"),
    "writer": Subscriber(Node(writer, retry=AGAIN), watches=["findings", "wishes"], writes="draft"),
    "reviewer": Subscriber(Node(reviewer, retry=AGAIN), watches=["draft"], writes="reviews"),
    "editor": Subscriber(wishes, watches=["reviews"], writes="wishes"),
}


def report(board: Research) -> str:
    """Return the draft, followed by what is still missing and who failed."""
    parts = [marked(board.draft, board.findings, board.word_budget).rstrip()]
    failed = [f"{failure.path.rpartition('/')[2]}: {failure.message}" for failure in board.errors]
    for title, rows in (("Still open", board.gaps), ("Not done", failed)):
        parts += ["\n".join([f"## {title}", "", *(f"- {row}" for row in rows)])] if rows else []
    return "\n\n".join(parts) + "\n"


def research_board(specialists: Mapping[str, Subscriber] = SPECIALISTS, *, rounds: int = ROUNDS) -> Graph[Commission]:
    """Return a board with these specialists for at most so many rounds, and a report at the end."""
    graph = Graph("blackboard", Commission, result="report")
    graph.add_node("board", blackboard(Research, specialists, rounds=rounds).but(name="board"), writes="board")
    graph.add_node("report", report, writes="report")
    graph.add_edge(START, "board")
    graph.add_edge("board", FAIL, when=value("board.draft") == "", label="nothing written")
    graph.add_path("board", "report", END)
    return graph


def example() -> Commission:
    """Return the input of an example run."""
    return Commission(**sample())


graph = research_board()

"""Agents that know events and not each other: each has an inbox, works on what arrives, and sends an event.

`graphengine run event_bus --model anthropic` runs it on an example; `--input task=…` and `--input sources=@file.md` on
your own, without sources on the web or what the model knows. Without a model it is a dry run: placeholders answer.

`MEMBERS` has who subscribes to what: `research_complete` wakes the writer, `draft_ready` the reviewer, which sends the
writer a direct message, `please_mend`, or everyone `closed`. An agent that fails, or gets too many letters, sends
`closed` too. A letter is delivered with the step that sends it and received exactly once, even if the process dies in
between; `graphengine send RUN_ID writer '{"event": "please_mend"}'` adds one.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from graphengine import (
    END,
    FAIL,
    START,
    Context,
    Failure,
    Graph,
    Runnable,
    failed,
    iterations,
    value,
)
from graphengine.models import ModelNotReady
from graphengine.reducers import append, extend
from nodes.board.agents import wishes
from nodes.citing import Passage, located, marked
from nodes.review.agents import Review, research, reviewer, writer
from nodes.tasks import AGAIN, Task, models, sample

CLOSED = "closed"  # the event that everyone gets, and that ends their work
LETTERS = 20  # more letters mean that the agents go in circles

MODELS = models("writer")  # cheap models gather and judge, a strong one writes


class Letter(BaseModel):
    """An event for all its subscribers, or if it is `to` one agent a message, with the data that belong to it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    event: str
    to: str = ""
    findings: list[Passage] = []
    draft: str = ""
    review: Review | None = None


class Desk(Task):
    """The state of one agent: the input, and what it knows from its letters."""

    word_budget: int = Field(default=350, ge=100)
    letter: Letter | None = None  # the one that an agent works on
    findings: Annotated[list[Passage], extend] = Field(default=[])
    draft: str = ""
    reviews: Annotated[list[Review], append] = Field(default=[])
    errors: Annotated[list[Failure], append] = Field(default=[])


class Office(Desk):
    """The state of the workflow: what its agents have at their desks in the end, and all their failures."""

    reviews: list[Review] = Field(default=[])
    errors: Annotated[list[Failure], extend] = Field(default=[])


@dataclass(frozen=True, slots=True)
class Member:
    """An agent with an inbox: its work, what that writes, its events, its letter, and the events it only keeps."""

    work: Runnable
    writes: Mapping[str, str | Callable[..., object]]
    on: Sequence[str]
    tells: Callable[[Desk], Letter]
    keeps: Sequence[str] = ()


def reviewed(desk: Desk) -> Letter:
    """Return the reviewer's letter: to the writer alone, or to everybody if there is nothing more to ask for."""
    is_over = not wishes(desk.reviews)
    return Letter(event=CLOSED) if is_over else Letter(event="please_mend", to="writer", review=desk.reviews[-1])


MEMBERS: Mapping[str, Member] = {
    "researcher": Member(
        research,
        {"findings": located},
        on=["task_given"],
        tells=lambda desk: Letter(event="research_complete" if desk.findings else CLOSED, findings=desk.findings),
    ),
    "writer": Member(
        writer,
        {"draft": "."},
        on=["research_complete", "please_mend"],
        tells=lambda desk: Letter(event="draft_ready", draft=desk.draft),
    ),
    "reviewer": Member(reviewer, {"reviews": "."}, on=["draft_ready"], tells=reviewed, keeps=["research_complete"]),
}


def desk_of(name: str, member: Member, post: Callable[[Context, Letter], None]) -> Graph[Desk]:
    """Return an agent's graph: open a letter, work on it, send the result, until everything is closed."""

    async def open_letter(ctx: Context, draft: str) -> dict[str, object]:
        letter = await ctx.receive(name, Letter)
        known: dict[str, object] = {"letter": letter, "findings": letter.findings, "draft": letter.draft or draft}
        return known | ({"reviews": letter.review} if letter.review else {})

    def tell(state: Desk, ctx: Context) -> None:
        post(ctx, member.tells(state))

    def give_up(ctx: Context) -> None:
        post(ctx, Letter(event=CLOSED))

    graph = Graph(name, Desk, collect_errors="errors")
    graph.add_node("inbox", open_letter, writes=("letter", "findings", "draft", "reviews"))
    graph.add_node("work", member.work, writes=member.writes, retry=AGAIN)
    graph.add_node("tell", tell)
    graph.add_node("give_up", give_up)
    graph.add_edge(START, "inbox")
    graph.add_edge("inbox", END, when=value("letter.event") == CLOSED, label="closed")
    graph.add_edge("inbox", "give_up", when=iterations("inbox") > LETTERS, label="too many letters")
    graph.add_edge("inbox", "work", when=value("letter.event").is_in(list(member.on)))
    graph.add_edge("inbox", "inbox", label="kept")
    graph.add_edge("work", "give_up", when=failed(Exception) & ~failed(ModelNotReady), label="failed")
    graph.add_path("work", "tell", "inbox")
    graph.add_path("give_up", END)
    return graph


def event_bus(members: Mapping[str, Member] = MEMBERS) -> Graph[Office]:
    """Return an office of these members, which ends when one of them sends `closed`."""
    subscribers: dict[str, list[str]] = {CLOSED: list(members)}
    for name, member in members.items():
        for event in (*member.on, *member.keeps):
            subscribers.setdefault(event, []).append(name)

    def post(ctx: Context, letter: Letter) -> None:
        for name in [letter.to] if letter.to else subscribers.get(letter.event, ()):
            ctx.send(name, letter)

    def begin(ctx: Context) -> None:
        post(ctx, Letter(event="task_given"))

    graph = Graph("event_bus", Office, result="draft")
    graph.add_node("begin", begin)
    graph.add_node("end", marked, writes="draft")
    graph.add_edge(START, "begin")
    for name, member in members.items():
        given = {field: field for field in ("task", "sources", "word_budget")}
        taken = {field: field for field in (*member.writes, "errors")}
        graph.add_node(name, desk_of(name, member, post), inputs=given, writes=taken)
        graph.add_edge(name, "end")
    graph.add_fork("begin", list(members), join="end")
    graph.add_edge("end", FAIL, when=value("draft") == "", label="nothing written")
    graph.add_edge("end", END)
    return graph


def example() -> Office:
    """Return the input of an example run."""
    return Office(**sample())


graph = event_bus()

"""Agents that know events and not each other: each has an inbox, works on what comes, and tells what it did.

`graphengine run event_bus` runs it on an example; `--input task=…` and `--input sources=@file.md` on your own texts,
`--model anthropic` with language models. The researcher works on `task_given` and tells `research_complete`, to which
the writer and the reviewer have subscribed; the writer's `draft_ready` goes to the reviewer, who sends the writer a
direct message, `please_mend`, or tells everybody `closed`. Who hears what is the table in `MEMBERS`.

An inbox is a topic of `ctx.send` and `ctx.receive`: a letter is delivered with the step that sends it and received
once, also where the process ends in between; `graphengine send RUN_ID writer '{"event": "please_mend"}'` puts one there
from outside. An agent that fails, or gets too many letters, tells everybody `closed`, and the run ends.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

from pydantic import BaseModel, Field

from graphengine import END, START, Context, Failure, Graph, TextFile, failed, iterations, value
from graphengine.graph.graph import Runnable
from graphengine.reducers import append, extend, merge
from nodes.board.entries import written
from nodes.board.letters import CLOSED, Letter, found, inboxes, verdict
from nodes.review.agents import researcher, reviewer, writer
from nodes.review.article import Findings, Review
from nodes.text.samples import sample

READY = "research_complete"
LETTERS = 20  # who gets more has colleagues that go in circles

MODELS = {  # cheap ones for those who gather and judge, a strong one for who makes one text of it all
    "anthropic": {"*": "anthropic:claude-haiku-5-5", "writer": "anthropic:claude-opus-5-5"},
    "openai": {"*": "openai:gpt-5-mini", "writer": "openai:gpt-6.1-sol"},
}


class Given(BaseModel):
    """What everybody may read."""

    task: str = Field(min_length=1, pattern=r"\S")
    sources: list[TextFile] = Field(min_length=1)
    word_budget: int = Field(default=350, ge=100)


class Desk(Given):
    """What one agent has in front of it: the letter it works on, and what it kept of all letters."""

    letter: Letter | None = None
    letters: Annotated[list[Letter], append] = Field(default_factory=list)
    findings: Findings = Findings()
    draft: str = ""
    note: str = ""
    history: Annotated[list[Review], append] = Field(default_factory=list)
    errors: Annotated[list[Failure], append] = Field(default_factory=list)


class Office(Given):
    """The state of the workflow: the last draft, its reviews, the letters each agent got, why agents gave up."""

    draft: str = ""
    history: list[Review] = Field(default_factory=list)
    letters: Annotated[dict[str, list[Letter]], merge] = Field(default_factory=dict)
    errors: Annotated[list[Failure], extend] = Field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Member:
    """An agent with an inbox: what it does, where that is written, on which events, what it tells, which it keeps."""

    work: Runnable
    writes: str
    on: Sequence[str]
    tells: Callable[[Desk], Letter]
    keeps: Sequence[str] = ()


MEMBERS: Mapping[str, Member] = {
    "researcher": Member(researcher, "findings", ["task_given"], lambda on: found(on.findings, READY)),
    "writer": Member(writer, "draft", [READY, "please_mend"], lambda on: Letter(event="draft_ready", draft=on.draft)),
    "reviewer": Member(reviewer, "history", ["draft_ready"], lambda on: verdict(on.history), keeps=[READY]),
}


def desk(name: str, member: Member, post: Callable[[Context, Letter], None]) -> Graph[Desk]:
    """An agent's day: open a letter, work on it, tell what came of it, until everything is closed."""

    async def open_letter(ctx: Context) -> dict[str, object]:
        letter = await ctx.receive(name, Letter)
        return {"letter": letter, "letters": letter, **letter.enclosed()}

    def tell(state: Desk, ctx: Context) -> None:
        post(ctx, member.tells(state).model_copy(update={"sender": name}))

    def give_up(ctx: Context) -> None:
        post(ctx, Letter(event=CLOSED, sender=name))

    graph = Graph(name, Desk, errors="errors")
    graph.add_node("inbox", open_letter, writes=("letter", "letters", "findings", "draft", "history"))
    graph.add_node("work", member.work, writes=member.writes)
    graph.add_node("tell", tell)
    graph.add_node("give_up", give_up)
    graph.add_edge(START, "inbox")
    graph.add_edge("inbox", END, when=value("letter.event") == CLOSED, label="closed")
    graph.add_edge("inbox", "give_up", when=iterations("inbox") > LETTERS, label="too many letters")
    graph.add_edge("inbox", "work", when=value("letter.event").is_in(list(member.on)))
    graph.add_edge("inbox", "inbox", label="kept")
    graph.add_edge("work", "give_up", when=failed(Exception), label="failed")
    graph.add_path("work", "tell", "inbox")
    graph.add_path("give_up", END)
    return graph


RESULTS: Mapping[str, str] = {"draft": "writer", "history": "reviewer"}  # fields of the office, and whose they are


def event_bus(members: Mapping[str, Member] = MEMBERS, results: Mapping[str, str] = RESULTS) -> Graph[Office]:
    """An office of these members, who end when one of them tells `closed`."""
    subscribers: dict[str, list[str]] = {CLOSED: list(members)}
    for name, member in members.items():
        for event in (*member.on, *member.keeps):
            subscribers.setdefault(event, []).append(name)

    def post(ctx: Context, letter: Letter) -> None:
        for name in inboxes(letter, subscribers):
            ctx.send(name, letter)

    def begin(ctx: Context) -> None:
        post(ctx, Letter(event="task_given"))

    given = {field: field for field in Given.model_fields}
    graph = Graph("event_bus", Office, result="draft")
    graph.add_node("begin", begin)
    graph.add_node("end", written, writes="draft")
    graph.add_edge(START, "begin")
    for name, member in members.items():
        taken = {field: field for field in ("errors", *results) if results.get(field, name) == name}
        graph.add_node(name, desk(name, member, post), inputs=given, writes={f"letters[{name}]": "letters", **taken})
        graph.add_edge(name, "end")
    graph.add_fork("begin", list(members), join="end")
    graph.add_edge("end", END)
    return graph


def example() -> Office:
    """What it runs on when no input is given."""
    task, sources = sample("write_ahead_log")
    return Office(task=task, sources=sources)


graph = event_bus()

"""Agents that know events and not each other: each has an inbox, works on what arrives, and sends an event.

`graphengine run event_bus` runs it on an example; `--input task=…` on pages of the web or `--input sources=@file.md`,
`--model anthropic` with language models. The researcher works on `task_given` and sends `research_complete`, to which
the writer and the reviewer subscribe; the writer's `draft_ready` goes to the reviewer, which sends the writer a direct
message, `please_mend`, or sends everyone `closed`. The subscriptions are in `MEMBERS`.

An inbox is a topic of `ctx.send` and `ctx.receive`: a letter is delivered with the step that sends it and received
exactly once, even if the process dies in between; `graphengine send RUN_ID writer '{"event": "please_mend"}'` adds one.
An agent that fails, or gets too many letters, sends everyone `closed`, and the run ends.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

from pydantic import BaseModel, Field

from graphengine import END, START, Context, Failure, Graph, Runnable, TextFile, failed, iterations, value
from graphengine.briefs.article import Findings, Review
from graphengine.reducers import append, extend, merge
from nodes.board.entries import written
from nodes.board.letters import CLOSED, Letter, found, inboxes, verdict
from nodes.briefing.agents import researcher, reviewer, writer
from nodes.briefing.gathering import add_gathering
from nodes.citing import sample

READY = "research_complete"
LETTERS = 20  # more letters mean that the agents go in circles
MODELS = {  # cheap models gather and judge, a strong one writes
    "default": {"*": "offline"},
    "anthropic": {"*": "anthropic:claude-haiku-5-5", "writer": "anthropic:claude-opus-5-5"},
    "openai": {"*": "openai:gpt-5-mini", "writer": "openai:gpt-6.1-sol"},
}


class Given(BaseModel):
    """The input, which every agent can read."""

    task: str = Field(min_length=1, pattern=r"\S")
    sources: list[TextFile] = []  # empty: pages of the web
    word_budget: int = Field(default=350, ge=100)


class Desk(Given):
    """The state of one agent: the letter it works on, and what it kept from all letters."""

    letter: Letter | None = None
    letters: Annotated[list[Letter], append] = Field(default_factory=list)
    findings: Findings = Findings()
    draft: str = ""
    note: str = ""
    history: Annotated[list[Review], append] = Field(default_factory=list)
    errors: Annotated[list[Failure], append] = Field(default_factory=list)


class Office(Given):
    """The state of the workflow: the last draft, its reviews, each agent's letters, and failures."""

    draft: str = ""
    history: list[Review] = Field(default_factory=list)
    letters: Annotated[dict[str, list[Letter]], merge] = Field(default_factory=dict)
    errors: Annotated[list[Failure], extend] = Field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Member:
    """An agent with an inbox: its work, the field for the result, its events, its letter, and the events it keeps."""

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
    """Return an agent's graph: open a letter, work on it, send the result, until everything is closed."""

    async def open_letter(ctx: Context) -> dict[str, object]:
        letter = await ctx.receive(name, Letter)
        return {"letter": letter, "letters": letter, **letter.enclosed()}

    def tell(state: Desk, ctx: Context) -> None:
        post(ctx, member.tells(state).model_copy(update={"sender": name}))

    def give_up(ctx: Context) -> None:
        post(ctx, Letter(event=CLOSED, sender=name))

    graph = Graph(name, Desk, collect_errors="errors")
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


RESULTS: Mapping[str, str] = {"draft": "writer", "history": "reviewer"}  # fields of the office by their agent


def event_bus(members: Mapping[str, Member] = MEMBERS, results: Mapping[str, str] = RESULTS) -> Graph[Office]:
    """Return an office of these members, which ends when one of them sends `closed`."""
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
    add_gathering(graph, "begin")
    for name, member in members.items():
        taken = {field: field for field in ("errors", *results) if results.get(field, name) == name}
        graph.add_node(name, desk(name, member, post), inputs=given, writes={f"letters[{name}]": "letters", **taken})
        graph.add_edge(name, "end")
    graph.add_fork("begin", list(members), join="end")
    graph.add_edge("end", END)
    return graph


def example() -> Office:
    """Return the input of an example run."""
    task, sources = sample("write_ahead_log")
    return Office(task=task, sources=sources)


graph = event_bus()

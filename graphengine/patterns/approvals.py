"""A proposal that a person looks at before anything comes of it: approved, sent back with a note, or rejected."""

from typing import Annotated, Literal

from pydantic import BaseModel
from typing_extensions import TypeVar

from graphengine.errors import DefinitionError
from graphengine.graph.conditions import iterations, value
from graphengine.graph.graph import END, START, Graph, Runnable
from graphengine.graph.question import ask
from graphengine.patterns.parts import part
from graphengine.reducers import append


class Decision(BaseModel):
    """What a person says of a proposal.

    Attributes:
        verdict: `approve`, `revise` (propose again, with the note in mind) or `reject`.
        note: Why, or what to change.
    """

    verdict: Literal["approve", "revise", "reject"]
    note: str = ""


class Desk(BaseModel):
    """A proposal and what was said of it.

    Attributes:
        task: What it is about.
        proposal: The last proposal.
        decisions: What was decided, of each proposal in turn.
        output: What came of the proposal that was approved.
    """

    task: str
    proposal: str = ""
    decisions: Annotated[list[Decision], append] = []
    output: str = ""


S = TypeVar("S", bound=Desk, default=Desk)
_OWN = Desk.model_fields.keys() - {"task"}


def human_in_the_loop(  # noqa: PLR0913 - who does what, and how a person is asked
    propose: Runnable,
    act: "Runnable | None" = None,
    *,
    question: str = "Shall this be done?\n{proposal}",
    revisions: int = 3,
    timeout_seconds: float | None = None,
    state: type[S] = Desk,  # type: ignore[assignment]  # pyright: ignore[reportArgumentType]
) -> Graph[S]:
    r"""Propose, ask a person, and act on what was approved; the run waits, for days if need be, and costs nothing.

    Args:
        propose: Gives the proposal as text; reads what it wants of `task`, `proposal`, `decisions` and the caller's own
            fields.
        act: What is done with an approved proposal, once; gives the output as text. Without it that is the proposal.
        question: What the person is asked; its `{paths}` are read from the state.
        revisions: How often a proposal may be sent back.
        timeout_seconds: How long to wait for each answer; after that time the proposal counts as rejected.
        state: A subclass of Desk, where there is more to read than it has.

    Example:
        >>> graph = human_in_the_loop(lambda task: f"a plan to {task}", lambda proposal: f"done: {proposal}")
        >>> graph.run_sync({"task": "move"}).waits[0].question
        'Shall this be done?\na plan to move'
    """
    if revisions < 0:
        raise DefinitionError(f"human_in_the_loop(revisions={revisions!r})", repair="give a whole number, 0 or more")
    late = Decision(verdict="reject", note="nobody answered in time")
    asked = ask(question, Decision)
    if timeout_seconds is not None:
        asked = ask(question, Decision, timeout_seconds=timeout_seconds, default=late)
    graph = Graph("human_in_the_loop", state, result="output")
    graph.add_node("propose", part(propose, state, _OWN), writes="proposal")
    graph.add_node("decide", asked, writes="decisions")
    if act is None:
        graph.add_node("act", as_proposed, writes="output", thread=False)
    else:
        shared = {field: field for field in state.model_fields if field not in _OWN}
        graph.add_node("act", part(act, state, _OWN, {**shared, "proposal": "proposal"}), writes="output")
    verdict = value("decisions[-1].verdict")
    graph.add_path(START, "propose", "decide")
    graph.add_edge("decide", "act", when=verdict == "approve", label="approved")
    graph.add_edge("decide", END, when=verdict == "reject", label="rejected")
    graph.add_edge("decide", END, when=iterations("decide") > revisions, label="out of revisions")
    graph.add_edge("decide", "propose")
    graph.add_edge("act", END, label="approved")
    return graph


def as_proposed(proposal: str) -> str:
    """What is done where nothing else is: the proposal is the output."""
    return proposal


__all__ = ["Decision", "Desk", "human_in_the_loop"]

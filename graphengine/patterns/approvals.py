"""Human in the loop: a person approves, revises or rejects a proposal before anything is done."""

from typing import Annotated, Literal

from pydantic import BaseModel, NonNegativeInt
from typing_extensions import TypeVar

from graphengine.api.graph import Graph
from graphengine.kernel.extension import END, START, Runnable, ask, iterations, value
from graphengine.patterns.parts import part
from graphengine.reducers import append


class Decision(BaseModel):  # recorded questions have this docstring in their schema: a change shows in replays
    """What a person says of a proposal.

    Attributes:
        verdict: `approve`, `revise` (propose again, with the note in mind) or `reject`.
        note: Why, or what to change.
    """

    verdict: Literal["approve", "revise", "reject"]
    note: str = ""


class Desk(BaseModel):
    """The state of a graph that proposes something and asks a person for approval.

    Attributes:
        task: The task.
        proposal: The last proposal.
        decisions: The decision about each proposal, in order.
        output: The result of the approved proposal.
    """

    task: str
    proposal: str = ""
    decisions: Annotated[list[Decision], append] = []
    output: str = ""


S = TypeVar("S", bound=Desk, default=Desk)
_OWN = Desk.model_fields.keys() - {"task"}


def human_in_the_loop(  # noqa: PLR0913 - the runnables, and how the person is asked
    propose: Runnable,
    act: "Runnable | None" = None,
    *,
    question: str = "Shall this be done?\n{proposal}",
    revisions: "NonNegativeInt" = 3,
    timeout_seconds: float | None = None,
    state: type[S] = Desk,  # type: ignore[assignment]  # pyright: ignore[reportArgumentType]
) -> Graph[S]:
    r"""Make a graph that proposes something, asks a person for approval, and then acts on the proposal.

    The run can wait for days; waiting costs nothing.

    Args:
        propose: The runnable that returns the proposal as text. It can read `task`, `proposal`, `decisions` and the
            caller's own fields.
        act: The runnable that carries out an approved proposal once, and returns the output as text. By default, the
            proposal itself is the output.
        question: The question to the person. Paths in braces, such as `{proposal}`, are replaced by values of the
            state.
        revisions: How often a proposal can be sent back.
        timeout_seconds: How long to wait for each answer; after that the proposal counts as rejected.
        state: `Desk`, or a subclass with more fields for the runnables to read.

    Example:
        >>> graph = human_in_the_loop(lambda task: f"a plan to {task}", lambda proposal: f"done: {proposal}")
        >>> graph.run_sync({"task": "move"}).waits[0].question
        'Shall this be done?\na plan to move'
    """
    late = Decision(verdict="reject", note="no answer in time")
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
    """Return the approved proposal as the output, for a graph that has no `act`."""
    return proposal


__all__ = ["Decision", "Desk", "human_in_the_loop"]

"""Roles around one table: each sees the others' last views and renews its own, round by round, until one concludes."""

from collections.abc import Callable, Mapping
from difflib import SequenceMatcher
from typing import Annotated

from pydantic import BaseModel
from typing_extensions import TypeVar

from graphengine.graph.conditions import Condition, iterations, value
from graphengine.graph.graph import END, FAIL, START, Graph, Runnable
from graphengine.patterns.outcomes import SURVIVED
from graphengine.patterns.parts import part, writing
from graphengine.reducers import append
from graphengine.runner.context import Context
from graphengine.state.failure import Failure


class Room(BaseModel):
    """What the roles share.

    Attributes:
        premise: What it is about.
        views: The last view of each role, by its name.
        before: Those of the round before.
        agreement: How much the views are still what they were a round ago, 0 to 1.
        rounds_held: How many rounds there were.
        output: What was concluded.
        errors: Why roles said nothing in a round.
    """

    premise: str
    views: dict[str, str] = {}
    before: dict[str, str] = {}
    agreement: float = 0.0
    rounds_held: int = 0
    output: str = ""
    errors: Annotated[list[Failure], append] = []


S = TypeVar("S", bound=Room, default=Room)
_OWN = Room.model_fields.keys() - {"premise"}


def role_based(
    roles: Mapping[str, Runnable],
    conclude: Runnable,
    *,
    rounds: int | Condition | Callable[..., object] = 2,
    converged: float = 0.95,
    state: type[S] = Room,  # type: ignore[assignment]  # pyright: ignore[reportArgumentType]
) -> Graph[S]:
    """Let roles work out their views side by side over rounds, and one of them make the result of it.

    A role that fails keeps the view it had, and the others go on; where nobody has a view the run fails.

    Args:
        roles: Who takes part, by name. Each reads what it wants of `premise`, `views` and the caller's own fields, and
            gives its view as text.
        conclude: Makes the output of it all. As a `Node` with `writes=` it says itself where its result goes: into
            fields of the caller's state, where it is no text.
        rounds: How often each role is asked at most; or a condition that ends the rounds, as
            `lambda rounds_held, rounds: rounds_held >= rounds` where the caller's state has a field `rounds`.
        converged: From which agreement of the views with those of the round before nobody is asked again.
        state: A subclass of Room, where roles read more than it has.

    Source: "MetaGPT: Meta Programming for a Multi-Agent Collaborative Framework", Hong et al. 2023, for roles that work
    from one shared pool of views.

    Example:
        >>> roles = {"optimist": lambda premise: f"{premise}: good", "pessimist": lambda premise: f"{premise}: bad"}
        >>> role_based(roles, lambda views: " / ".join(views.values())).run_sync({"premise": "rain"}).output
        'rain: good / rain: bad'
    """
    graph = Graph("role_based", state, result="output", errors="errors")
    graph.add_node("settle", settle, writes=("before", "agreement", "rounds_held"))
    graph.add_node("conclude", writing(part(conclude, state, _OWN), "output"))
    graph.add_edge(START, "settle")
    for name, role in roles.items():
        graph.add_node(name, part(role, state, _OWN), writes=f"views[{name}]")
        graph.add_edge(name, "settle", when=SURVIVED, label="no new view")
        graph.add_edge(name, "settle")
    asked = iterations("settle") > 1
    graph.add_edge("settle", FAIL, when=asked & (value("views").length() == 0), label="nobody has a view")
    graph.add_edge("settle", "conclude", when=value("agreement") >= converged, label="converged")
    over = iterations("settle") > rounds if isinstance(rounds, int) else rounds
    graph.add_edge("settle", "conclude", when=over, label="out of rounds")
    graph.add_fork("settle", list(roles), join="settle")
    graph.add_edge("conclude", END)
    return graph


def settle(views: dict[str, str], before: dict[str, str], ctx: Context) -> dict[str, object]:
    """Which round is over, and how much the views are what they were, word by word, on the average of the roles."""
    same = [
        SequenceMatcher(None, before.get(role, "").split(), view.split(), autojunk=False).ratio()
        for role, view in views.items()
    ]
    agreement = sum(same) / len(same) if same else 0.0
    return {"before": views, "agreement": agreement, "rounds_held": ctx.visit - 1}


__all__ = ["Room", "role_based"]

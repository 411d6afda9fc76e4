"""Role-based room: each role sees the others' last views and renews its own, round by round, until a node concludes.

Only the roles themselves say whether their views have converged. Comparing the words would not do: "guilty" and "not
guilty" look alike.
"""

from collections.abc import Mapping
from typing import Annotated

from pydantic import BaseModel
from typing_extensions import TypeVar

from graphengine.api.graph import Graph
from graphengine.kernel.extension import END, FAIL, START, Condition, Context, Failure, Runnable, iterations, value
from graphengine.kernel.inside import AnyFunction
from graphengine.patterns.outcomes import SURVIVED
from graphengine.patterns.parts import part, writing
from graphengine.reducers import append


class View(BaseModel):
    """What a role says in a round.

    Attributes:
        text: Its view.
        done: Whether it neither changes its view nor wants the others to change theirs.
    """

    text: str
    done: bool = False


class Room(BaseModel):
    """The state of a graph in which several roles discuss a premise.

    Attributes:
        premise: The premise.
        views: The last view of each role.
        done: Whether each role was done when it last gave a view.
        rounds_held: The number of rounds so far.
        output: The conclusion.
        errors: The failures of roles.
    """

    premise: str
    views: dict[str, str] = {}
    done: dict[str, bool] = {}
    rounds_held: int = 0
    output: str = ""
    errors: Annotated[list[Failure], append] = []


S = TypeVar("S", bound=Room, default=Room)
_OWN = Room.model_fields.keys() - {"premise"}


def role_based(
    roles: Mapping[str, Runnable],
    conclude: Runnable,
    *,
    rounds: int | Condition | AnyFunction[object] = 2,
    state: type[S] = Room,  # type: ignore[assignment]  # pyright: ignore[reportArgumentType]
) -> Graph[S]:
    """Make a graph in which roles renew their views in parallel, round by round, until a last node concludes.

    If a role fails in a `role_based` graph, its last view is kept, and the other roles continue. If no role has a view,
    the run fails.

    Source: "MetaGPT: Meta Programming for a Multi-Agent Collaborative Framework", Hong et al. 2023, for roles that work
    from one shared pool of views.

    Args:
        roles: The roles by name. Each role can read `premise`, `views` and the caller's own fields. It returns a
            `View`, or a text, which counts as a view that is not done. The rounds end early once the last view of every
            role is done.
        conclude: The last node, which makes the output from the views. If its result is not a text, pass a `Node` whose
            `writes=` names the fields of the caller's state for the result.
        rounds: The maximum number of rounds; or a condition that ends them, for example
            `lambda rounds_held, rounds: rounds_held >= rounds` if the caller's state has a field `rounds`.
        state: `Room`, or a subclass with more fields for the roles to read.

    Example:
        >>> roles = {"optimist": lambda premise: f"{premise}: good", "pessimist": lambda premise: f"{premise}: bad"}
        >>> role_based(roles, lambda views: " / ".join(views.values())).run_sync({"premise": "rain"}).output
        'rain: good / rain: bad'
    """
    graph = Graph("role_based", state, result="output", collect_errors="errors")
    graph.add_node("settle", settle, writes="rounds_held")
    graph.add_node("conclude", writing(part(conclude, state, _OWN), "output"))
    graph.add_edge(START, "settle")
    for name, role in roles.items():
        graph.add_node(name, part(role, state, _OWN), writes={f"views[{name}]": _text, f"done[{name}]": _done})
        graph.add_edge(name, "settle", when=SURVIVED, label="no new view")
        graph.add_edge(name, "settle")
    asked = iterations("settle") > 1
    graph.add_edge("settle", FAIL, when=asked & (value("views").length() == 0), label="nobody has a view")
    graph.add_edge("settle", "conclude", when=value(all_done).is_true(), label="all are done")
    over = iterations("settle") > rounds if isinstance(rounds, int) else rounds
    graph.add_edge("settle", "conclude", when=over, label="out of rounds")
    graph.add_fork("settle", list(roles), join="settle")
    graph.add_edge("conclude", END)
    return graph


def settle(ctx: Context) -> int:
    """Count the rounds of the discussion that have been held so far."""
    return ctx.visit - 1


def all_done(views: dict[str, str], done: dict[str, bool]) -> bool:
    """Return whether every role that has a view says that it is done."""
    return bool(views) and all(done.get(role) for role in views)


def _text(result: View | str) -> str:
    return result.text if isinstance(result, View) else result


def _done(result: View | str) -> bool:
    return isinstance(result, View) and result.done


__all__ = ["Room", "View", "role_based"]

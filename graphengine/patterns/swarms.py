"""Swarm: agents of equal rank hand a task to each other; the one that has it names the next, until one is done."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import BaseModel
from typing_extensions import TypeVar

from graphengine.api.graph import Graph
from graphengine.errors import DefinitionError
from graphengine.kernel.extension import END, FAIL, START, Runnable, iterations, value
from graphengine.patterns.parts import checked, part
from graphengine.reducers import append


class Turn(BaseModel):
    """An agent's output when it has the task.

    Attributes:
        text: The work done, or the answer.
        to: The next agent, by name; None if the task is done.
    """

    text: str
    to: str | None = None


class Handed(Turn):
    """A turn of a swarm, with the name of the agent whose turn it was."""

    by: str


class Swarm(BaseModel):
    """The state of a graph that `swarm` makes: the task, and the turns of its agents.

    Attributes:
        task: The task.
        turn: The last turn.
        trail: All turns, in order.
    """

    task: str
    turn: Turn | None = None
    trail: Annotated[list[Handed], append] = []


S = TypeVar("S", bound=Swarm, default=Swarm)
_OWN = Swarm.model_fields.keys() - {"task"}


def swarm(
    agents: Mapping[str, Runnable],
    *,
    first: str | None = None,
    turns: int = 10,
    state: type[S] = Swarm,  # type: ignore[assignment]  # pyright: ignore[reportArgumentType]
) -> Graph[S]:
    """Make a graph in which agents of equal rank hand a task to each other, until one of them is done.

    In a `swarm`, an agent hands the task over by naming another agent. If an `Agent` names an agent that does not
    exist, its model receives an error message and tries again. If any other runnable, such as a function, does so, the
    run fails.

    Source: OpenAI's Swarm, 2024, for handing over as the only means of routing.

    Args:
        agents: The agents by name. Each returns a Turn, and can read `task`, `trail`, `others` (the names it can hand
            over to) and the caller's own fields.
        first: The agent that begins. Default: the first of `agents`.
        turns: After this many turns the graph ends, even if no agent is done.
        state: `Swarm`, or a subclass with more fields for the agents to read.

    Raises:
        DefinitionError: There is no agent with the name `first`.

    Example:
        >>> agents = {"desk": lambda task: Turn(text=task, to="expert"), "expert": lambda trail: Turn(text="done")}
        >>> [turn.by for turn in swarm(agents).run_sync({"task": "fix it"}).state.trail]
        ['desk', 'expert']
    """
    first = next(iter(agents), "") if first is None else first
    if first not in agents:
        raise DefinitionError(
            f"swarm(first={first!r}) is not the name of an agent of the swarm",
            repair=f"give one of the names {', '.join(agents)}" if agents else "give the swarm at least one agent",
        )
    graph = Graph("swarm", state, result="turn.text")
    graph.add_edge(START, first)
    for name, agent in agents.items():
        _add_swarm_agent(graph, name, agent, [other for other in agents if other != name])
        graph.add_edge(name, "hand_over")
    graph.add_node("hand_over")
    graph.add_edge("hand_over", END, when=value("turn.to").is_none(), label="done")
    graph.add_edge("hand_over", END, when=iterations("hand_over") >= turns, label="out of turns")
    graph.add_switch("hand_over", "turn.to", {name: name for name in agents}, otherwise=FAIL)
    return graph


def _add_swarm_agent(graph: Graph[S], name: str, agent: Runnable, others: list[str]) -> None:
    def known(turn: Turn) -> None:
        if turn.to is not None and turn.to not in others:
            message = f"to must be one of {', '.join(others)}, or null if the task is done"
            raise ValueError(message)

    def handed(result: Turn) -> Handed:
        return Handed(text=result.text, to=result.to, by=name)

    def names() -> list[str]:
        return others

    shared = {field: field for field in graph.state.model_fields if field not in _OWN}
    node = part(checked(agent, known), graph.state, _OWN, {**shared, "others": names})
    graph.add_node(name, node, writes={"turn": ".", "trail": handed})


__all__ = ["Handed", "Swarm", "Turn", "swarm"]

"""Agents of one rank who hand a task to each other: whoever has it says who is next, until one says that it is done."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import BaseModel
from typing_extensions import TypeVar

from graphengine.errors import DefinitionError
from graphengine.graph.conditions import iterations, value
from graphengine.graph.graph import END, FAIL, START, Graph, Runnable
from graphengine.patterns.parts import checked, part
from graphengine.reducers import append


class Turn(BaseModel):
    """What an agent says when it has the task.

    Attributes:
        text: What it did, or the answer.
        to: Who is next, by name; None where the task is done.
    """

    text: str
    to: str | None = None


class Handed(Turn):
    """A turn and whose it was."""

    by: str


class Swarm(BaseModel):
    """A task on its way.

    Attributes:
        task: What it is about.
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
    """Let agents hand a task to each other.

    An Agent that names somebody who is not there is told so; with anything else the run fails.

    Args:
        agents: Who takes part, by name. Each gives a Turn, and reads what it wants of `task`, `trail`, `others` (the
            names it may hand over to) and the caller's own fields.
        first: Who begins; the first of them if not given.
        turns: After so many turns it ends, though nobody said that it is done.
        state: A subclass of Swarm, where they read more than it has.

    Raises:
        DefinitionError: Nobody is called like the first.

    Source: OpenAI's Swarm, 2024, for handing over as the one way to route.

    Example:
        >>> agents = {"desk": lambda task: Turn(text=task, to="expert"), "expert": lambda trail: Turn(text="done")}
        >>> [turn.by for turn in swarm(agents).run_sync({"task": "mend it"}).state.trail]
        ['desk', 'expert']
    """
    first = next(iter(agents), "") if first is None else first
    if first not in agents:
        raise DefinitionError(f"swarm(first={first!r})", repair=f"name one of {', '.join(agents) or 'some agents'}")
    graph = Graph("swarm", state, result="turn.text")
    graph.add_edge(START, first)
    for name, agent in agents.items():
        _add(graph, name, agent, [other for other in agents if other != name])
        graph.add_edge(name, "hand_over")
    graph.add_node("hand_over")
    graph.add_edge("hand_over", END, when=value("turn.to").is_none(), label="done")
    graph.add_edge("hand_over", END, when=iterations("hand_over") >= turns, label="out of turns")
    graph.add_switch("hand_over", "turn.to", {name: name for name in agents}, otherwise=FAIL)
    return graph


def _add(graph: Graph[S], name: str, agent: Runnable, others: list[str]) -> None:
    def known(turn: Turn) -> None:
        if turn.to is not None and turn.to not in others:
            message = f"to must be one of {', '.join(others)}, or null where the task is done"
            raise ValueError(message)

    def handed(result: Turn) -> Handed:
        return Handed(text=result.text, to=result.to, by=name)

    def names() -> list[str]:
        return others

    shared = {field: field for field in graph.state.model_fields if field not in _OWN}
    node = part(checked(agent, known), graph.state, _OWN, {**shared, "others": names})
    graph.add_node(name, node, writes={"turn": ".", "trail": handed})


__all__ = ["Handed", "Swarm", "Turn", "swarm"]

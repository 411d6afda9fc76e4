"""Agents who hear only some of the others: along a chain, around a hub, or everybody everybody."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

from pydantic import BaseModel
from typing_extensions import TypeVar

from graphengine.errors import DefinitionError
from graphengine.graph.conditions import iterations
from graphengine.graph.graph import END, START, Graph, Runnable
from graphengine.patterns.outcomes import SURVIVED
from graphengine.patterns.parts import Source, part
from graphengine.reducers import append
from graphengine.state.failure import Failure


class Network(BaseModel):
    """What was said in the network.

    Attributes:
        task: What it is about.
        said: The last text of each agent, by its name.
        output: The last word.
        errors: Why agents said nothing in a round.
    """

    task: str
    said: dict[str, str] = {}
    output: str = ""
    errors: Annotated[list[Failure], append] = []


S = TypeVar("S", bound=Network, default=Network)
_OWN = Network.model_fields.keys() - {"task"}


def topology(
    kind: Literal["chain", "star", "mesh"],
    agents: Mapping[str, Runnable],
    *,
    rounds: int = 1,
    state: type[S] = Network,  # type: ignore[assignment]  # pyright: ignore[reportArgumentType]
) -> Graph[S]:
    """Connect agents in one of three ways; each hears what its neighbours said last.

    In a chain each hears the one before it, in a further round the first one the last, and the last has the last word.
    In a star the first agent is the hub: it speaks, the others hear it alone and answer side by side, it hears them all
    and speaks again. In a mesh all speak side by side and hear all others, and then the first one has the last word.

    Of those who speak side by side one may fail: what it said before stands. Where one fails that others wait for, the
    run does.

    Args:
        kind: How they are connected.
        agents: Who takes part, by name, in their order. Each gives a text, and reads what it wants of `task`, `heard`
            (the texts of its neighbours, by name) and the caller's own fields.
        rounds: How often the whole goes around.
        state: A subclass of Network, where they read more than it has.

    Raises:
        DefinitionError: There are too few agents for it.

    Source: "Scaling Large Language Model-based Multi-Agent Collaboration", Qian et al. 2024, compares such networks.

    Example:
        >>> agents = {"a": lambda task: task, "b": lambda heard: heard["a"] + "!", "c": lambda heard: heard["b"] + "!"}
        >>> topology("chain", agents).run_sync({"task": "ho"}).output
        'ho!!'
    """
    if len(agents) < 2:  # noqa: PLR2004 - nobody to hear
        raise DefinitionError(f"topology({kind!r}) of {len(agents)}", repair="give it two agents or more")
    graph = Graph("topology", state, result="output", errors="errors")
    {"chain": _chain, "star": _star, "mesh": _mesh}[kind](graph, agents, rounds)
    return graph


def _chain(graph: Graph[S], agents: Mapping[str, Runnable], rounds: int) -> None:
    names = list(agents)
    for name, before in zip(names, [names[-1], *names], strict=False):
        _add(graph, name, agents[name], [before], closes=name == names[-1])
    graph.add_path(START, *names)
    graph.add_edge(names[-1], END, when=iterations(names[-1]) >= rounds)
    graph.add_edge(names[-1], names[0])


def _star(graph: Graph[S], agents: Mapping[str, Runnable], rounds: int) -> None:
    hub, *others = agents
    _add(graph, hub, agents[hub], others, closes=True)
    graph.add_edge(START, hub)
    graph.add_edge(hub, END, when=iterations(hub) > rounds)
    _side_by_side(graph, {name: (agents[name], [hub]) for name in others}, join=hub)


def _mesh(graph: Graph[S], agents: Mapping[str, Runnable], rounds: int) -> None:
    first, *others = agents
    last = f"{first}_last"
    graph.add_node("round")
    _add(graph, first, agents[first], others, node=last)
    graph.add_edge(START, "round")
    graph.add_edge("round", last, when=iterations("round") > rounds)
    _side_by_side(graph, {name: (agents[name], [n for n in agents if n != name]) for name in agents}, join="round")
    graph.add_edge(last, END)


def _side_by_side(graph: Graph[S], agents: Mapping[str, tuple[Runnable, Sequence[str]]], *, join: str) -> None:
    """Add agents who speak at the same time, and whom nobody waits for who fails."""
    for name, (agent, neighbours) in agents.items():
        _add(graph, name, agent, neighbours)
        graph.add_edge(name, join, when=SURVIVED, label="nothing new")
        graph.add_edge(name, join)
    graph.add_fork(join, list(agents), join=join)


def _add(  # noqa: PLR0913 - a node of an agent
    graph: Graph[S], name: str, agent: Runnable, neighbours: Sequence[str], *, closes: bool = False, node: str = ""
) -> None:
    """Add a node where an agent speaks. What it says there is the output if it `closes`, or has a `node` of its own."""

    def heard(said: dict[str, str]) -> dict[str, str]:
        return {name: said[name] for name in neighbours if name in said}

    writes: dict[str, Source] = {f"said[{name}]": ".", **({"output": "."} if closes or node else {})}
    inputs: dict[str, Source] = {
        **{field: field for field in graph.state.model_fields if field not in _OWN},
        "heard": heard,
    }
    graph.add_node(node or name, part(agent, graph.state, _OWN, inputs), writes=writes)


__all__ = ["Network", "topology"]

"""Topologies: agents that hear only some of the others, along a chain, around a hub, or in a mesh."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

from pydantic import BaseModel
from typing_extensions import TypeVar

from graphengine.api.graph import Graph
from graphengine.errors import DefinitionError
from graphengine.kernel.extension import END, START, Failure, Runnable, iterations
from graphengine.patterns.outcomes import SURVIVED
from graphengine.patterns.parts import Source, part
from graphengine.reducers import append


class Network(BaseModel):
    """The state of the network.

    Attributes:
        task: The task.
        said: The last text of each agent.
        output: The final text.
        errors: The failures of agents.
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
    """Return a graph that connects agents in one of three topologies; each hears its neighbours' last texts.

    - chain: each agent hears the one before it; from the second round on the first one hears the last. The last agent
      has the last word.
    - star: the first agent is the hub. It speaks, the others hear only it and answer in parallel, then it hears them
      all and speaks again.
    - mesh: all speak in parallel and hear all others; at the end the first one has the last word.

    If an agent that speaks in parallel with others fails, its previous text is kept. If others have to wait for an
    agent, and this agent fails, the run fails.

    Args:
        kind: The topology.
        agents: The agents by name, in order. Each returns a text, and can read `task`, `heard` (the texts of its
            neighbours, by name) and the caller's own fields.
        rounds: The number of rounds.
        state: `Network`, or a subclass with more fields for the agents to read.

    Raises:
        DefinitionError: There are fewer than two agents.

    Source: "Scaling Large Language Model-based Multi-Agent Collaboration", Qian et al. 2024, compares such networks.

    Example:
        >>> agents = {"a": lambda task: task, "b": lambda heard: heard["a"] + "!", "c": lambda heard: heard["b"] + "!"}
        >>> topology("chain", agents).run_sync({"task": "ho"}).output
        'ho!!'
    """
    if len(agents) < 2:  # noqa: PLR2004 - no one to hear
        raise DefinitionError(f"topology({kind!r}, agents={list(agents)})", repair="name at least two agents")
    graph = Graph("topology", state, result="output", collect_errors="errors")
    {"chain": _chain, "star": _star, "mesh": _mesh}[kind](graph, agents, rounds)
    return graph


def _chain(graph: Graph[S], agents: Mapping[str, Runnable], rounds: int) -> None:
    names = list(agents)
    for name, before in zip(names, [names[-1], *names], strict=False):
        _add_agent_node(graph, name, agents[name], [before], closes=name == names[-1])
    graph.add_path(START, *names)
    graph.add_edge(names[-1], END, when=iterations(names[-1]) >= rounds)
    graph.add_edge(names[-1], names[0])


def _star(graph: Graph[S], agents: Mapping[str, Runnable], rounds: int) -> None:
    hub, *others = agents
    _add_agent_node(graph, hub, agents[hub], others, closes=True)
    graph.add_edge(START, hub)
    graph.add_edge(hub, END, when=iterations(hub) > rounds)
    _side_by_side(graph, {name: (agents[name], [hub]) for name in others}, join=hub)


def _mesh(graph: Graph[S], agents: Mapping[str, Runnable], rounds: int) -> None:
    first, *others = agents
    last = f"{first}_last"
    graph.add_node("round")
    _add_agent_node(graph, first, agents[first], others, node=last)
    graph.add_edge(START, "round")
    graph.add_edge("round", last, when=iterations("round") > rounds)
    _side_by_side(graph, {name: (agents[name], [n for n in agents if n != name]) for name in agents}, join="round")
    graph.add_edge(last, END)


def _side_by_side(graph: Graph[S], agents: Mapping[str, tuple[Runnable, Sequence[str]]], *, join: str) -> None:
    """Add agents that speak in parallel and can fail without failing the run."""
    for name, (agent, neighbours) in agents.items():
        _add_agent_node(graph, name, agent, neighbours)
        graph.add_edge(name, join, when=SURVIVED, label="nothing new")
        graph.add_edge(name, join)
    graph.add_fork(join, list(agents), join=join)


def _add_agent_node(  # noqa: PLR0913 - the agent and its place in the graph
    graph: Graph[S], name: str, agent: Runnable, neighbours: Sequence[str], *, closes: bool = False, node: str = ""
) -> None:
    """Add a node for an agent. Its text is also the output if it `closes`, or if it has a `node` of its own."""

    def heard(said: dict[str, str]) -> dict[str, str]:
        return {name: said[name] for name in neighbours if name in said}

    writes: dict[str, Source] = {f"said[{name}]": ".", **({"output": "."} if closes or node else {})}
    inputs: dict[str, Source] = {
        **{field: field for field in graph.state.model_fields if field not in _OWN},
        "heard": heard,
    }
    graph.add_node(node or name, part(agent, graph.state, _OWN, inputs), writes=writes)


__all__ = ["Network", "topology"]

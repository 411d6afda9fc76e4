"""The agents of a conversation: the first agent, and the agents to which the conversation can be handed over."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graphengine.errors import DefinitionError
from graphengine.kernel.extension import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphengine.agents.agent import Agent


def speakers_of(first: Agent[Any, Any]) -> dict[str, Agent[Any, Any]]:
    """Return the agents that may take part in a conversation: the first, and all agents that hand-overs can reach.

    Raises:
        DefinitionError: Two agents have the same name, or a name belongs to no agent.
    """
    found: dict[str, Agent[Any, Any]] = {first.name: first}
    left = [first]
    while left:
        for other in left.pop().hand_to:
            if isinstance(other, str) or found.get(other.name) is other:
                continue
            if other.name in found:
                text, repair = f"two agents of the conversation are called {other.name}", "give each a name of its own"
                raise DefinitionError(
                    text, where=f"agent {first.name}", repair=f"{repair}, or name one: '{other.name}'"
                )
            found[other.name] = other
            left.append(other)
    for agent in found.values():
        for name in targets_of(agent):
            if name not in found or name == agent.name:
                text = (
                    f"{agent.name} hands over to {name!r}, which is {'itself' if name in found else 'no agent there'}"
                )
                repair = did_you_mean(name, {*found} - {agent.name})
                others = "give the agent itself; a name is that of one that the first agent leads to"
                raise DefinitionError(text, where=f"agent {agent.name}", repair=repair or others)
    return found


def targets_of(agent: Agent[Any, Any]) -> Sequence[str]:
    return [other if isinstance(other, str) else other.name for other in agent.hand_to]


__all__ = ["speakers_of", "targets_of"]

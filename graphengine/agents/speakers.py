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
                text = f"two different agents of the conversation have the name {other.name!r}"
                repair = (
                    f"give each agent a different name. For the same agent, write its name: hand_to=[{other.name!r}]"
                )
                raise DefinitionError(text, where=f"agent {first.name}", repair=repair)
            found[other.name] = other
            left.append(other)
    for agent in found.values():
        for name in targets_of(agent):
            if name not in found or name == agent.name:
                is_itself = "the agent itself" if name in found else "not the name of an agent of the conversation"
                text = f"agent {agent.name!r} hands over to {name!r}, which is {is_itself}"
                repair = did_you_mean(name, {*found} - {agent.name})
                others = "give the agent object in hand_to=; a name must belong to another agent of the conversation"
                raise DefinitionError(text, where=f"agent {agent.name}", repair=repair or others)
    return found


def targets_of(agent: Agent[Any, Any]) -> Sequence[str]:
    return [other if isinstance(other, str) else other.name for other in agent.hand_to]


__all__ = ["speakers_of", "targets_of"]

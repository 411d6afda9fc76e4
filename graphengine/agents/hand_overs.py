"""Hand-overs in a conversation: the tools by which an agent passes it on, and who can get it.

In the graph of its conversations, where each agent is a node, an agent with `hand_to=` gets a tool for each of those.
A call of one ends the visit of its node without an answer; an edge leads to the other agent, which reads the same
messages. See `graphengine.agents.chats`.
"""

from __future__ import annotations

import re
from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Any, Final

from pydantic_core import from_json

from graphengine.agents.tools import Tool
from graphengine.kernel import DefinitionError
from graphengine.kernel.definitions import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from graphengine.agents.agent import Agent
    from graphengine.models.base import Message, ToolCall

MOST_HOPS: Final = 8
"""How often one message is handed on; then the agent that has it has to answer."""
_SHOWN: Final = 200


@dataclass(frozen=True, slots=True)
class HandedOver:
    """What a visit of an agent gives in place of an answer: who gets the conversation, and why."""

    to: str
    why: str = ""


@dataclass(frozen=True, slots=True)
class HandOver(Tool[..., str]):
    """The tool by which an agent hands the conversation to another one.

    Attributes:
        to: The other agent.
    """

    _: KW_ONLY
    to: str = ""


def hand_over_to(agent: Agent[Any, Any], hops: str) -> HandOver:
    """Return the tool that hands over to an agent; `hops` is the path of how often the message was handed on."""

    def hand_over(reason: str = "", hops: int = 0) -> str:  # noqa: ARG001 - for whoever reads the conversation
        if hops >= MOST_HOPS:
            raise ValueError(f"this message was handed on {hops} times: answer it yourself, with what you know")
        return f"Handed over to {agent.name}."

    purpose = agent.system if isinstance(agent.system, str) else ""
    first = re.split(r"(?<=[.!?])\s", purpose.strip(), maxsplit=1)[0][:_SHOWN]
    name = f"hand_to_{re.sub(r'[^A-Za-z0-9_-]+', '_', agent.name)}"[:64]
    text = f"Hand the conversation over to {agent.name}, who answers in your place. {first}".strip()
    return HandOver(hand_over, name=name, description=text, inputs={"hops": hops}, effect="read", to=agent.name)


def handed_over(calls: Sequence[ToolCall], results: Sequence[Message], tools: Mapping[str, Tool]) -> HandedOver | None:
    """Return to whom the calls of a turn hand over, the first that was made; None if none does."""
    for call, result in zip(calls, results, strict=True):
        tool = tools.get(call.name)
        if isinstance(tool, HandOver) and not result.is_error:
            given = from_json(call.arguments or "{}")
            return HandedOver(tool.to, str(given.get("reason", "")) if isinstance(given, dict) else "")
    return None


def speakers_of(first: Agent[Any, Any]) -> dict[str, Agent[Any, Any]]:
    """Return the agents of a conversation by name: the first, and all to whom it can come.

    Raises:
        DefinitionError: Two have one name, or a name has no agent.
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
                raise DefinitionError(
                    text, where=f"agent {agent.name}", repair=did_you_mean(name, {*found} - {agent.name})
                )
    return found


def targets_of(agent: Agent[Any, Any]) -> Sequence[str]:
    """Return the names of those to whom an agent hands over."""
    return [other if isinstance(other, str) else other.name for other in agent.hand_to]


__all__ = ["MOST_HOPS", "HandOver", "HandedOver", "hand_over_to", "handed_over", "speakers_of", "targets_of"]

"""Hand-overs: the tools with which an agent passes a conversation on to another agent.

In the graph of a conversation each agent is a node. An agent with `hand_to=` gets one tool for each agent that it may
hand over to. A call of such a tool ends the visit of the agent's node without an answer. An edge then leads to the
other agent, which reads the same messages. See `graphengine.agents.chats`, and `speakers` for the agents that take
part.
"""

from __future__ import annotations

import re
from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Final

from graphengine.agents.tools import Tool

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from graphengine.models.base import Message, ToolCall

MOST_HOPS: Final = 8
"""How many times one message may be handed over.

After that, the hand-over tools are no longer offered, so the last agent has to answer the message.
"""
_SHOWN: Final = 200


@dataclass(frozen=True, slots=True)
class HandedOver:
    """The result of an agent's node that passes the conversation on instead of answering. `to` is the next agent."""

    to: str


@dataclass(frozen=True, slots=True)
class HandOver(Tool[..., str]):
    """A tool with which the model passes the conversation on to another agent.

    Attributes:
        to: The name of the other agent.
    """

    _: KW_ONLY
    to: str = ""


def hand_over_to(to: str, system: object, hops: str) -> HandOver:
    """Make the tool with which a model passes the conversation on to the agent `to`.

    Args:
        to: The name of that agent.
        system: The instructions of that agent, whose first sentence describes its purpose.
        hops: The path of the field that counts how many times the message was handed over.
    """

    def may_hand_over(hops: int = 0) -> bool:
        return hops < MOST_HOPS

    def hand_over(reason: str = "", hops: int = 0) -> str:  # noqa: ARG001 - `hops` is read by `may_hand_over`
        return f"Handed over to {to}."

    purpose = system if isinstance(system, str) else ""
    first = re.split(r"(?<=[.!?])\s", purpose.strip(), maxsplit=1)[0][:_SHOWN]
    name = f"hand_to_{re.sub(r'[^A-Za-z0-9_-]+', '_', to)}"[:64]
    text = f"Hand the conversation over to {to}, who answers in your place. {first}".strip()
    inputs = {"hops": hops}
    return HandOver(hand_over, name=name, description=text, inputs=inputs, effect="read", offered=may_hand_over, to=to)


def handed_over(calls: Sequence[ToolCall], results: Sequence[Message], tools: Mapping[str, Tool]) -> HandedOver | None:
    """Find out whether the model handed the conversation over to another agent in this turn, and return to which agent.

    If the model called several hand-over tools, the first successful call counts. The result is None if no hand-over
    succeeded.
    """
    for call, result in zip(calls, results, strict=True):
        tool = tools.get(call.name)
        if isinstance(tool, HandOver) and not result.is_error:
            return HandedOver(tool.to)
    return None


__all__ = ["MOST_HOPS", "HandOver", "HandedOver", "hand_over_to", "handed_over"]

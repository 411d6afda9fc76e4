"""Hand-overs in a conversation: the tools by which an agent passes it on.

In the graph of its conversations, where each agent is a node, an agent with `hand_to=` gets a tool for each of those.
A call of one ends the visit of its node without an answer; an edge leads to the other agent, which reads the same
messages. See `graphengine.agents.chats`, and `speakers` for who can get it.
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
"""How often one message is handed on. Then no agent is offered to hand the message on, and the last one answers it."""
_SHOWN: Final = 200


@dataclass(frozen=True, slots=True)
class HandedOver:
    """What a visit of an agent gives in place of an answer: who gets the conversation."""

    to: str


@dataclass(frozen=True, slots=True)
class HandOver(Tool[..., str]):
    """The tool by which an agent hands the conversation to another one.

    Attributes:
        to: The other agent.
    """

    _: KW_ONLY
    to: str = ""


def hand_over_to(to: str, system: object, hops: str) -> HandOver:
    """Return the tool that hands over to an agent.

    Args:
        to: Its name.
        system: Its instructions, whose first sentence says what it is for.
        hops: The path of how often the message was handed on.
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
    """Return to whom the calls of a turn hand over, the first that was made; None if none does."""
    for call, result in zip(calls, results, strict=True):
        tool = tools.get(call.name)
        if isinstance(tool, HandOver) and not result.is_error:
            return HandedOver(tool.to)
    return None


__all__ = ["MOST_HOPS", "HandOver", "HandedOver", "hand_over_to", "handed_over"]

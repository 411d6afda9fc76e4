"""The facts that a person needs to decide about a waiting tool call: the agent's question, its findings, the call.

The facts are read from the run alone, without the code of the graph, and secrets are removed. The call that a question
is about is found by the identity of the question, not by its text: the key under which the question is asked contains a
digest of the agent and the call.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from graphengine.agents.approval import call_words, question_about
from graphengine.agents.asked import TurnRequest, last_turn
from graphengine.agents.node_scope import asked_again
from graphengine.kernel.extension import clipped
from graphengine.kernel.inside import WorkKey, digest_of_call
from graphengine.kernel.reader import show
from graphengine.models.hiding import hide_secrets

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from graphengine.kernel.reader import Frame, WaitRecord
    from graphengine.models.base import Message, ToolCall

_AGAIN: Final = 8
"""How many repetitions of a question are recognised by their identity."""
_FOUND: Final = 8
_TEXT: Final = 1200
"""The largest number of characters shown of a result, of a message and of an argument."""


@dataclass(frozen=True, slots=True)
class EarlierCall:
    """An earlier tool call of the agent and its result, shown to the person who is asked about the next call."""

    tool: str
    arguments: Mapping[str, Any]
    text: str
    is_error: bool


@dataclass(frozen=True, slots=True)
class Pending:
    """What an agent did before it began to wait, shown to the person whose answer it waits for.

    Attributes:
        agent: The agent's name.
        said: The question that the agent was asked.
        writes: The text that the agent wrote beside the calls.
        found: The latest calls that the agent made before.
        tool: The tool that the question is about; "" if the question is not about a call.
        arguments: The arguments of that call.
        words: The text of the question without agent, tool and arguments; the whole text if the question is not about a
            call.
    """

    agent: str
    said: str
    writes: str
    found: Sequence[EarlierCall]
    tool: str
    arguments: Mapping[str, Any]
    words: str


def pending(frame: Frame, wait: WaitRecord) -> Pending | None:
    """Collect what an agent did before it began to wait in a node, to show it to the person whose answer it waits for.

    Returns None if no agent waits in the node, or if the records of its turn cannot be read.
    """
    around, text = WorkKey.read(wait.key).around, show(wait.question)
    found = last_turn(frame, around) if around else None
    if found is None:
        return None
    turn, calls = found
    call = next((each for each in calls if _is_about(wait, turn.agent, each)), None)
    return Pending(
        turn.agent,
        clipped(turn.messages[0].text, _TEXT) if turn.messages else "",
        "" if turn.answer is None else clipped(turn.answer.text, _TEXT),
        _find_results(turn)[-_FOUND:],
        "" if call is None else call.name,
        {} if call is None else _parse_shown_arguments(call),
        text if call is None else call_words(text, turn.agent, call),
    )


def _is_about(wait: WaitRecord, agent: str, call: ToolCall) -> bool:
    first, own = question_about(agent, call), WorkKey.read(wait.key).input
    names = [first, *(asked_again(first, again) for again in range(1, _AGAIN))]
    return any(digest_of_call("ask", ([each, None],), {}) == own for each in names)


def _find_results(turn: TurnRequest) -> Sequence[EarlierCall]:
    results: dict[str | None, Message] = {each.call_id: each for each in turn.messages if each.role == "tool"}
    return [
        EarlierCall(
            call.name, _parse_shown_arguments(call), clipped(results[call.id].text, _TEXT), results[call.id].is_error
        )
        for message in turn.messages
        for call in message.calls
        if call.id in results
    ]


def _parse_shown_arguments(call: ToolCall) -> Mapping[str, Any]:
    with suppress(ValueError):
        found = json.loads(call.arguments)
        if isinstance(found, dict):
            found = hide_secrets(found)
            return {name: clipped(each, _TEXT) if isinstance(each, str) else each for name, each in found.items()}
    return {"": clipped(hide_secrets(call.arguments), _TEXT)} if call.arguments else {}


__all__ = ["EarlierCall", "Pending", "pending"]

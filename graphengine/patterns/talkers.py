"""Talker and reasoner: the talker answers at once from what is known, and calls the reasoner if that is not enough."""

from pydantic import BaseModel
from typing_extensions import TypeVar

from graphengine.api.graph import Graph
from graphengine.kernel.extension import END, START, Runnable, iterations, value
from graphengine.patterns.outcomes import SURVIVED
from graphengine.patterns.parts import part


class Reply(BaseModel):
    """The talker's output.

    Attributes:
        text: The reply to the user, shown as soon as it exists.
        think: Whether the reasoner has to think for a better reply.
    """

    text: str
    think: bool = False


class Talk(BaseModel):
    """One turn of a conversation.

    Attributes:
        message: The user's message.
        belief: The reasoner's conclusions so far. The next turn begins with them: `runner.start(…, after=run_id)`.
        reply: The talker's last reply.
    """

    message: str
    belief: str = ""
    reply: Reply | None = None


S = TypeVar("S", bound=Talk, default=Talk)
_OWN = Talk.model_fields.keys() - {"message", "belief"}


def talker_reasoner(
    talker: Runnable,
    reasoner: Runnable,
    *,
    thoughts: int = 1,
    state: type[S] = Talk,  # type: ignore[assignment]  # pyright: ignore[reportArgumentType]
) -> Graph[S]:
    """Return a graph in which a quick talker answers, and a slow reasoner thinks when the talker asks for it.

    If the reasoner fails, the talker's last reply is the answer.

    Args:
        talker: Returns a Reply; can read `message`, `belief`, `reply` and the caller's own fields.
        reasoner: Returns the new belief as text; can read the same.
        thoughts: How often the reasoner thinks at most in one turn.
        state: `Talk`, or a subclass with more fields for the runnables to read.

    Source: "Agents Thinking Fast and Slow: A Talker-Reasoner Architecture", Christakopoulou et al. 2024.

    Example:
        >>> def talk(message: str, belief: str) -> Reply:
        ...     return Reply(text=belief or "Let me see.", think=not belief)
        >>> talker_reasoner(talk, lambda message: message.upper()).run_sync({"message": "ho"}).output
        'HO'
    """
    graph = Graph("talker_reasoner", state, result="reply.text")
    graph.add_node("talk", part(talker, state, _OWN), writes="reply")
    graph.add_node("reason", part(reasoner, state, _OWN), writes="belief")
    graph.add_edge(START, "talk")
    graph.add_edge("talk", END, when=value("reply.think") == False, label="answered")  # noqa: E712 - a condition
    graph.add_edge("talk", END, when=iterations("talk") > thoughts, label="out of thoughts")
    graph.add_edge("talk", "reason")
    graph.add_edge("reason", END, when=SURVIVED, label="answered without thought")
    graph.add_edge("reason", "talk")
    return graph


__all__ = ["Reply", "Talk", "talker_reasoner"]

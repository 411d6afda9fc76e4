"""One who answers at once, and one who thinks: the talker speaks from what is known, and has the reasoner think."""

from pydantic import BaseModel
from typing_extensions import TypeVar

from graphengine.graph.conditions import iterations, value
from graphengine.graph.graph import END, START, Graph, Runnable
from graphengine.patterns.outcomes import SURVIVED
from graphengine.patterns.parts import part


class Reply(BaseModel):
    """What the talker says.

    Attributes:
        text: To whoever asked; shown as soon as it is there.
        think: Whether the reasoner has to think before there can be a better reply.
    """

    text: str
    think: bool = False


class Talk(BaseModel):
    """One turn of a conversation.

    Attributes:
        message: What somebody said.
        belief: What the reasoner made of it all so far. The next turn begins with it: `runner.start(…, after=run_id)`.
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
    """Let a quick talker answer, and a slow reasoner think where the talker says that this is needed.

    If the reasoner fails, the talker's last reply stands.

    Args:
        talker: Gives a Reply; reads what it wants of `message`, `belief`, `reply` and the caller's own fields.
        reasoner: Gives the new belief as text; reads the same.
        thoughts: How often the reasoner thinks at most in one turn.
        state: A subclass of Talk, where they read more than it has.

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

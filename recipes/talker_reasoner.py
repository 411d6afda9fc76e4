"""Talker and reasoner: the talker answers at once from what is known, and calls the reasoner if that is not enough.

Source: Christakopoulou et al., "Agents Thinking Fast and Slow: A Talker-Reasoner Architecture" (2024).
"""

from pydantic import BaseModel

from graphengine import END, START, Agent, Graph, Settings, failed, iterations, value
from graphengine.models import ModelNotReady

MODELS = {"default": {"*": "placeholder"}}  # --model talker=… --model reasoner=…
THOUGHTS = 1


class Reply(BaseModel):
    """The reply to the user, and whether the reply is enough; otherwise the reasoner thinks for a better one."""

    text: str
    enough: bool


class Talk(BaseModel):
    """The state of one turn of the talk.

    To give the `belief` of this turn to the next turn, start the next turn with `runner.start(…, after=run_id)`.
    """

    message: str
    belief: str = ""
    reply: Reply | None = None


talker = Agent("talker", prompt="Reply. Is this enough?\n{message}\nKnown:\n{belief}", output=Reply)
reasoner = Agent(
    "reasoner", prompt="Work it out.\n{message}\nKnown so far:\n{belief}", settings=Settings(effort="high")
)

graph = Graph("talker_reasoner", Talk, result="reply.text")
graph.add_node("talk", talker, writes="reply")
graph.add_node("reason", reasoner, writes="belief")
graph.add_edge(START, "talk")
graph.add_edge("talk", END, when=value("reply.enough").is_true(), label="answered")
graph.add_edge("talk", END, when=iterations("talk") > THOUGHTS, label="out of thoughts")
graph.add_edge("talk", "reason")
graph.add_edge("reason", END, when=failed(Exception) & ~failed(ModelNotReady), label="answered without thought")
graph.add_edge("reason", "talk")


def example() -> Talk:
    """Return the input of an example run."""
    return Talk(message="When is high water?")

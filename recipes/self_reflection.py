"""Self-reflection: an author reviews its own draft, and revises it until there is nothing left to fix.

Source: Madaan et al., "Self-Refine: Iterative Refinement with Self-Feedback" (2023).
"""

from typing import Annotated, Literal

from pydantic import BaseModel

from graphengine import END, START, Agent, Failure, Graph, failed, iterations, value
from graphengine.models import ModelNotReady
from graphengine.reducers import append

MODELS = {"default": {"*": "placeholder"}}
ROUNDS = 2


class Critique(BaseModel):
    """A verdict on a draft, and what to fix, one sentence each."""

    verdict: Literal["accept", "revise"]
    flaws: list[str] = []


class SelfReflection(BaseModel):
    """The state: the current draft, and the author's verdict on each reviewed draft."""

    task: str
    draft: str = ""
    critiques: Annotated[list[Critique], append] = []
    errors: Annotated[list[Failure], append] = []


author = Agent("author", prompt="Write on this.\n{task}")
reflect = author.but(prompt="You wrote this on {task}\n{draft}\nWhat is wrong with it?", output=Critique)
revise = author.but(prompt="{task}\nYour draft:\n{draft}\nMend this:\n{critiques[-1].flaws}")

graph = Graph("self_reflection", SelfReflection, result="draft", collect_errors="errors")
graph.add_node("write", author, writes="draft")
graph.add_node("reflect", reflect, writes="critiques")
graph.add_node("revise", revise, writes="draft")
graph.add_path(START, "write", "reflect")
graph.add_edge("reflect", END, when=failed(Exception) & ~failed(ModelNotReady), label="unreviewed")
graph.add_edge("reflect", END, when=value("critiques[-1].verdict") == "accept", label="accepted")
graph.add_edge("reflect", "revise")
graph.add_edge("revise", END, when=iterations("revise") >= ROUNDS, label="out of rounds")
graph.add_edge("revise", "reflect")


def example() -> SelfReflection:
    """Return the input of an example run."""
    return SelfReflection(task="tides")

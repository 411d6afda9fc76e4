"""Cross-reflection: several critics review a draft in parallel, and its author revises it.

Source: Liu et al., "Agent Design Pattern Catalogue" (2024).
"""

from typing import Annotated, Literal

from pydantic import BaseModel

from graphengine import END, START, Agent, Failure, Graph, failed, iterations, value
from graphengine.models import ModelNotReady
from graphengine.reducers import append

MODELS = {"default": {"*": "placeholder"}}  # give the critics another model than the author: --model author=…
ROUNDS = 2


class Critique(BaseModel):
    """A critic's verdict on a draft, and what to fix, one sentence each."""

    verdict: Literal["accept", "revise"]
    flaws: list[str] = []


class CrossReflection(BaseModel):
    """The state: the current draft, and each critic's verdict in the last round."""

    task: str
    draft: str = ""
    critiques: dict[str, Critique] = {}
    errors: Annotated[list[Failure], append] = []


def begin_round() -> dict[str, Critique]:
    """Forget the verdicts of the last round."""
    return {}


def all_accept(critiques: dict[str, Critique]) -> bool:
    """Return whether every critic that did not fail accepts the draft."""
    return all(critique.verdict == "accept" for critique in critiques.values())


author = Agent("author", prompt="Write on this.\n{task}")
revise = author.but(prompt="{task}\nYour draft:\n{draft}\nWhat others say:\n{critiques}")
critics = [
    Agent("facts", prompt="Is this true?\n{draft}", output=Critique),
    Agent("style", prompt="Is this clear?\n{draft}", output=Critique),
]

graph = Graph("cross_reflection", CrossReflection, result="draft", collect_errors="errors")
graph.add_node("write", author, writes="draft")
graph.add_node("round", begin_round, writes="critiques")
for critic in critics:
    graph.add_node(critic.name, critic, writes=f"critiques[{critic.name}]")
    graph.add_edge(critic.name, "weigh", when=failed(Exception) & ~failed(ModelNotReady), label="without")
    graph.add_edge(critic.name, "weigh")
graph.add_node("weigh")
graph.add_node("revise", revise, writes="draft")
graph.add_path(START, "write", "round")
graph.add_fork("round", [critic.name for critic in critics], join="weigh")
graph.add_edge("weigh", END, when=value("critiques").length() == 0, label="unreviewed")
graph.add_edge("weigh", END, when=value(all_accept).is_true(), label="accepted")
graph.add_edge("weigh", "revise")
graph.add_edge("revise", END, when=iterations("revise") >= ROUNDS, label="out of rounds")
graph.add_edge("revise", "round")


def example() -> CrossReflection:
    """Return the input of an example run."""
    return CrossReflection(task="tides")

"""With limits: limits of visits, tokens, dollars or seconds around an agent or a graph, and a replacement for it.

Limits are checked before each visit and before each call of a model. The limit `seconds` also interrupts the agent or
function in the node `work`, because this node has the same number of seconds as its timeout.
"""

from pydantic import BaseModel

from graphengine import END, START, Agent, Graph, Limits, failed
from graphengine.errors import NodeTimeout, SubgraphLimit

MODELS = {"default": {"*": "placeholder"}}
SECONDS = 120
LIMITS = Limits(cost_usd=0.05, seconds=SECONDS)


class Search(BaseModel):
    """The state."""

    task: str
    found: str = ""


def look(what: str) -> str:
    """Look something up."""
    return f"nothing on {what}"


seeker = Agent("seeker", prompt="{task}", tools=[look])
guess = Agent("guess", prompt="Answer from what you know.\n{task}")

limited = Graph("limited", Search, result="found", limits=LIMITS)
limited.add_node("work", seeker, writes="found", timeout_seconds=SECONDS)
limited.add_path(START, "work", END)

graph = Graph("with_limits", Search, result="found")
graph.add_node("within", limited, writes="found")
graph.add_node("instead", guess, writes="found")
graph.add_edge(START, "within")
graph.add_edge("within", "instead", when=failed(SubgraphLimit, NodeTimeout), label="limit reached")
graph.add_edge("within", END, label="within limits")
graph.add_edge("instead", END, label="limit reached")


def example() -> Search:
    """Return the input of an example run."""
    return Search(task="Where is gold?")

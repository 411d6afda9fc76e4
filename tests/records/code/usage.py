from pydantic import BaseModel

from graphengine import END, START, Agent, Graph
from graphengine.engine.frame_tree import add_usage, spent_since
from graphengine.models.base import Response
from graphengine.records.run_diff import diff
from graphengine.records.spending import Spent, spending, sum_by
from graphengine.stores.memory import InMemoryStore
from tests.kit.facts import made_step

KNOWN = {"calls": 1, "cost_usd": 0.25}
UNKNOWN = {"calls": 1, "cost_usd": None}


class Words(BaseModel):
    words: list[str] = ["a", "b"]
    loud: list[str] = []
    all: str = ""


class Shouts:
    """A model with a fixed cost."""

    def __init__(self, name, cost_usd):
        self.name, self.cost_usd = name, cost_usd

    async def answer(self, request):
        return Response("HO", input_tokens=3, output_tokens=2, cost_usd=self.cost_usd)


def shouting():
    """Return a graph that shouts two words in parallel, then joins them; the last agent has rules."""
    graph = Graph("shouting", Words)
    graph.add_node("each", Agent("shout", prompt="{word}"), writes="loud", each={"word": "words"})
    graph.add_node("join", Agent("join", prompt="{loud}", by_rules=lambda loud: " ".join(loud)), writes="all")
    graph.add_path(START, "each", "join", END)
    return graph


def told(found):
    """Return what was spent, a line each."""
    return "\n".join(
        f"{each.agent!r} {each.model!r} {each.node}{' inherited' * each.inherited}: {each.usage}" for each in found
    )

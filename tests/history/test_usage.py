from pydantic import BaseModel

from graphengine import END, START, Agent, Graph, Runner
from graphengine.engine.frame_tree import add_usage
from graphengine.history.usage import spent_since
from graphengine.models.base import Request, Response
from graphengine.records.run_diff import diff
from graphengine.records.spending import Spent, spending, summed
from graphengine.state.amounts import Usage
from graphengine.stores.memory import MemoryStore
from tests.kit.facts import made_step


class Words(BaseModel):
    words: list[str] = ["a", "b"]
    loud: list[str] = []
    all: str = ""


class Shouts:
    """A model with a fixed cost."""

    def __init__(self, name: str, cost_usd: float | None) -> None:
        self.name = name
        self.cost_usd = cost_usd

    async def answer(self, request: Request) -> Response:
        """Answer in capitals."""
        return Response("HO", input_tokens=3, output_tokens=2, cost_usd=self.cost_usd)


def shouting() -> Graph[Words]:
    """Return a graph that shouts two words in parallel, then joins them; the last agent has rules."""
    graph = Graph("shouting", Words)
    graph.add_node("each", Agent("shout", prompt="{word}"), writes="loud", each={"word": "words"})
    graph.add_node("join", Agent("join", prompt="{loud}", by_rules=_joined), writes="all")
    graph.add_path(START, "each", "join", END)
    return graph


def _joined(loud: list[str]) -> str:
    return " ".join(loud)


async def test_spending_adds_up_to_the_usage_of_the_run() -> None:
    """It is given by agent, model and node; the sum is the run's usage, and a branch's inherited part is separate."""
    async with Runner(models={"shout": Shouts("dear", 0.5)}) as runner:
        result = await runner.start(shouting(), run_id="r").result()
        found = await runner.spending("r")
        assert [(s.agent, s.model, s.node, s.inherited) for s in found] == [
            ("shout", "dear", "each", False),
            ("", "rules", "join", False),
        ]
        assert found[0].usage["cost_usd"] == 1.0
        (total,) = summed(found, lambda _: "").values()
        assert (total["calls"], total["cost_usd"]) == (result.usage.calls, result.usage.cost_usd) == (3, 1.0)
        steps = await runner.store.steps("r")
        at = next(step.seq for step in steps if step.kind == "node" and step.node == "each")
        await runner.branch("r", shouting(), at, run_id="b").result()
        assert [(s.node, s.inherited) for s in await runner.spending("b")] == [("each", True), ("join", False)]


async def test_a_comparison_shows_the_models_that_answered() -> None:
    """Only those of nodes that both runs visited, if they differ."""
    store = MemoryStore()
    async with Runner(store, models={"shout": Shouts("dear", 0.5)}) as runner:
        await runner.start(shouting(), run_id="a").result()
    async with Runner(store, models={"shout": Shouts("cheap", 0.1)}) as runner:
        await runner.start(shouting(), run_id="b").result()
        assert (await diff(store, "a", "b")).setup == ["node each: answered by dear → cheap"]
        assert (await diff(store, "a", "a")).setup == []


def test_an_unknown_cost_stays_unknown_and_the_known_part_is_kept() -> None:
    """This is true of a sum and of a difference."""
    known: Usage = {"calls": 1, "cost_usd": 0.25}
    unknown: Usage = {"calls": 1, "cost_usd": None}
    total = add_usage(known, unknown)
    (both,) = summed(
        [Spent("a", "m", "n", inherited=False, usage=each) for each in (known, unknown)], lambda s: s.agent
    ).values()
    assert both == total == {"calls": 2, "cost_usd": None, "priced_usd": 0.25}
    assert spent_since(known, add_usage(total, known)) == {"calls": 2, "cost_usd": None, "priced_usd": 0.25}
    assert spent_since(known, add_usage(known, known)) == {"calls": 1, "cost_usd": 0.25}


def test_steps_may_not_name_the_agent() -> None:
    """Nor do those of other programs, or an answer to a question: its `by` has another meaning."""
    old = made_step(3, "recorded", 1.0, "", "write", 1, 1, data={"usage": {"calls": 1, "offline_calls": 0}})
    answered = made_step(
        4, "node", 1.0, "", "ask", 1, 1, data={"by": "answer", "usage": {"calls": 1, "offline_calls": 1}}
    )
    half = made_step(5, "recorded", 1.0, "", "half", 1, 1, data={"by": {"agent": "a"}, "usage": {"calls": 1}})
    none = made_step(6, "recorded", 1.0, "", "none", 1, 1, data={"by": {}, "usage": {"calls": 1}})
    found = [(s.agent, s.model) for s in spending([old, answered, half, none])]
    assert found == [("", ""), ("", "rules"), ("a", ""), ("", "")]

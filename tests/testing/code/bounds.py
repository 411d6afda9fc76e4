from pydantic import BaseModel

from graphengine import END, START, Agent, Graph, Retry, Runner, iterations, value
from graphengine.models import Settings
from graphengine.stores.memory import InMemoryStore
from graphengine.testing import bounds, forecast

PRICED = "anthropic:claude-haiku-5-5"


class Draft(BaseModel):
    """A text with its score."""

    text: str = ""
    score: int = 0
    items: list[str] = []


def loop():
    """Return a loop of writing and judging, of three rounds at most."""
    graph = Graph("loop", Draft)
    writer = Agent("writer", prompt="Write", settings=Settings(max_tokens=100), output_retries=1)
    graph.add_node("write", writer, writes="text", retry=Retry(attempts=2))
    graph.add_node("judge", lambda score: score + 1, writes="score")
    graph.add_path(START, "write", "judge")
    graph.add_edge("judge", END, when=value("score") >= 7, label="good")
    graph.add_edge("judge", END, when=iterations("judge") >= 3, label="enough")
    graph.add_edge("judge", "write")
    return graph


def judging(otherwise, **options):
    """Return a graph of one node that ends if the score is good."""
    graph = Graph("judging", Draft, **options)
    graph.add_node("judge", lambda score: score, writes="score")
    graph.add_edge(START, "judge")
    graph.add_edge("judge", END, when=value("score") >= 7, label="good")
    graph.add_edge("judge", otherwise)
    return graph


async def most(graph, *models):
    """Return the bounds of a graph; prices change, so only that there is a cost."""
    found = await bounds(graph, *models)
    cost = "some" if found.cost_usd else found.cost_usd
    lines = [f"{found.visits} visits, {found.calls} calls, {found.output_tokens} tokens, {cost} USD"]
    lines += [f"{node.path}: {node.visits} visits, {node.calls} calls, by {node.by}" for node in found.nodes]
    return "\n".join([*lines, *(f"never {edge.source} -> {edge.target}: {edge.why}" for edge in found.never)])


async def recorded(scores, **options):
    """Return a store with a run for each score."""
    store = InMemoryStore()
    async with Runner(store) as runner:
        for score in scores:
            await runner.start(judging(END), {"score": score}).result()
        await runner.start(judging(END), {"score": 9}, tags=["whatif:other"]).result()
    return store

"""Runs whose stories are told, and what a story's file brings along."""

import json
import re
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Literal

from pydantic import BaseModel, Field

from graphengine import END, START, Agent, Graph, Runner, ScriptedModel, ask, tool, value
from graphengine.agents.agent import ToolLike
from graphengine.agents.runs import RunWaits
from graphengine.models.base import Request, Response
from graphengine.models.scripted import calls
from graphengine.render.story import story_of
from graphengine.runner import RunFailed

DOCUMENT = re.compile(r'<script type="application/json" id="story">(.*?)</script>', re.DOTALL)


def document_of(page: str) -> Any:
    """Return the document that a story's file brings along; `NaN`, which Python reads, is no JSON."""
    (found,) = DOCUMENT.findall(page)
    return json.loads(found, parse_constant=int)


class Text(BaseModel):
    topic: str = "tides"
    text: str = ""


class Unpriced:
    """A model whose price is not known."""

    name = "unpriced"

    async def answer(self, request: Request) -> Response:
        """Answer."""
        del request
        return Response("The moon pulls.", input_tokens=12, output_tokens=3, cost_usd=None)

    async def knows_price(self) -> bool:
        """Return False."""
        return False


def writing(model: object) -> Graph[Text]:
    """Return a graph whose agent writes, with a check and a tool that fails."""

    def look(place: str) -> str:
        """Look."""
        raise ValueError(f"nothing at <b>{place}</b>")

    def about_the_moon(answer: str) -> None:
        if "moon" not in answer:
            raise ValueError("no word of the moon")

    writer = Agent("writer", prompt="Write on {topic}.", tools=[look], check=about_the_moon, model=model)  # type: ignore[arg-type]
    graph = Graph("writing", Text, result="text")
    graph.add_node("write", writer, writes="text")
    graph.add_path(START, "write", END)
    return graph


async def tides(runner: Runner) -> str:
    """Return the story of a run with an answer that was rejected, and a tool that failed."""
    model = ScriptedModel([calls(("look", {"place": "the pier"})), "Water moves.", "The moon pulls."])
    await runner.start(writing(model), run_id="tides").result()
    return await story_of(runner.store, "tides", None, 0.0)


async def unpriced(runner: Runner) -> str:
    """Return the story of a run whose cost is not known."""
    await runner.start(writing(Unpriced()), run_id="tides").result()
    return await story_of(runner.store, "tides", None, 0.0)


class Verdict(BaseModel):
    decision: Literal["publish", "revise"] = Field(title="What to do", description="With the draft as it is.")
    stars: int = 0


class Draft(BaseModel):
    draft: str = "# Tides"
    verdict: Verdict | None = None


async def asking(runner: Runner) -> str:
    """Return the story of a run that waits for a person."""
    graph = Graph("desk", Draft)
    graph.add_node("approve", ask("Publish this draft?", Verdict), writes="verdict")
    graph.add_path(START, "approve", END)
    await runner.start(graph, run_id="tides").result()
    return await story_of(runner.store, "tides", None, 0.0)


async def chat(runner: Runner) -> str:
    """Return the story of a conversation in which a call is to be approved."""

    def find(number: str) -> dict[str, object]:
        """Find an order."""
        return {"number": number, "item": "Lamp"}

    def refund(number: str, amount: float, reason: str = "damaged") -> str:
        """Refund an order."""
        return f"{number} {amount} {reason}"

    model = ScriptedModel(
        ["Hello!", calls(("find", {"number": "A-1"})), calls(("refund", {"number": "A-1", "amount": 12.5}))]
    )
    tools: list[ToolLike] = [find, tool(refund, approve=True)]
    desk = Agent("desk", prompt="{question}", messages="messages", tools=tools, model=model)
    await runner.run(desk, chat="ada", question="Hi")
    with suppress(RunWaits):
        await runner.run(desk, chat="ada", question="My lamp is broken.")
    return await story_of(runner.store, "ge:chat:ada", None, 0.0)


class Brief(BaseModel):
    draft: str = "long"
    scores: list[float] = []


def loop(review: Callable[..., list[float]]) -> Graph[Brief]:
    """Return a graph that reviews until the score is good enough."""
    graph = Graph("loop", Brief)
    graph.add_node("review", review, writes="scores")
    graph.add_edge(START, "review")
    graph.add_edge("review", END, when=value("scores[-1]") >= 7.0, label="good enough")
    graph.add_edge("review", "review")
    return graph


async def _branched(runner: Runner, graph: Graph[Brief], draft: str, other: Graph[Brief] | None = None) -> str:
    await runner.start(graph, run_id="one").result()
    await runner.branch("one", other or graph, at=2, update={"draft": draft}, run_id="two").result()
    return await story_of(runner.store, "one", "two", 0.0)


async def shorter(runner: Runner) -> str:
    """Return the story of a run and a branch that ends a visit earlier."""
    graph = loop(lambda draft, scores: [*scores, 5.0 if draft == "long" and len(scores) < 2 else 8.0])
    return await _branched(runner, graph, "short")


async def worse(runner: Runner) -> str:
    """Return the story of a run and a branch that ends with another score."""
    graph = loop(lambda draft, scores: [*scores, 5.0 + len(scores) + len(draft) / 10])
    return await _branched(runner, graph, "long enough and more")


def priced(price: float) -> Callable[[Runner], Awaitable[str]]:
    """Return what tells the story of a run, and of a branch of fewer visits whose writer costs another price."""

    def graph(cost: float) -> Graph[Brief]:
        writer = Agent("writer", prompt="{draft}", model=ScriptedModel([Response("x", cost_usd=cost, model="some:m")]))
        made = Graph("loop", Brief)
        made.add_node("review", lambda draft, scores: [*scores, 8.0 if draft == "short" else 6.0], writes="scores")
        made.add_node("publish", writer, writes="draft")
        made.add_edge(START, "review")
        made.add_edge("review", "publish", when=value("scores").length() >= 3, label="often enough")
        made.add_edge("review", "publish", when=value("scores[-1]") >= 7.0, label="good enough")
        made.add_edge("review", "review")
        made.add_edge("publish", END)
        return made

    return lambda runner: _branched(runner, graph(0.1), "short", graph(price))


async def failing(runner: Runner) -> str:
    """Return the story of a run and a branch that failed at its first node."""

    def work(draft: str) -> str:
        if draft == "bad":
            raise ValueError("nothing to work on")
        return draft

    graph = Graph("works", Brief)
    graph.add_node("first", work, writes="draft")
    graph.add_node("second", work, writes="draft")
    graph.add_path(START, "first", "second", END)
    await runner.start(graph, run_id="one").result()
    with suppress(RunFailed):
        await runner.branch("one", graph, at=1, update={"draft": "bad"}, run_id="two").result()
    return await story_of(runner.store, "one", "two", 0.0)

"""Graphs with graphs, maps, questions and waits in them, for pictures, and a run of one that waits."""

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel

from graphengine import (
    END,
    FAIL,
    START,
    Agent,
    Context,
    Graph,
    Retry,
    Runnable,
    Runner,
    ask,
    choose,
    ended_with,
    failed,
    iterations,
    value,
)
from graphengine.engine.graph_spec import GraphSpec
from graphengine.engine.steps import Step
from tests.kit.facts import altered


class Piece(BaseModel):
    """One article."""

    topic: str = ""
    sources: list[str] = []
    notes: list[str] = []
    draft: str = ""
    score: int = 0


class Paper(BaseModel):
    """A newspaper."""

    brief: str = ""
    topics: list[str] = []
    articles: list[str] = []
    approved: bool = False
    issue: str = ""


class Job(BaseModel):
    """A task for one of several teams."""

    task: str = ""
    team: str = ""
    first: str = ""
    second: str = ""
    answer: str = ""


def article() -> Graph[Piece]:
    """Return a loop with a map in it and two ends."""
    graph = Graph("article", Piece, result="draft")
    graph.add_node("search", _search, writes="sources", thread=False)
    graph.add_node(
        "read", _read, each={"source": "sources"}, writes="notes", concurrency=4, fallback="nothing", thread=False
    )
    graph.add_node("write", Agent("writer", prompt="{topic} {notes}", by_rules=_write), writes="draft")
    graph.add_node("review", _review, writes="score", retry=Retry(attempts=3), thread=False)
    graph.add_path(START, "search", "read", "write", "review")
    graph.add_edge("review", END, when=value("score") >= 7, label="approved")
    graph.add_edge("review", END, when=iterations("review") >= 3, label="out of iterations")
    graph.add_edge("review", "write")
    return graph


def newsroom() -> Graph[Paper]:
    """Return a graph with a map over a graph, an edge after a failure, a question, and a node that must not repeat."""
    graph = Graph("newsroom", Paper, result="issue")
    graph.add_node("plan", _plan, writes="topics", thread=False)
    graph.add_node("articles", article(), each={"item": "topics"}, inputs={"topic": "item"}, writes="articles")
    graph.add_node("approve", ask("Publish {topics}?", bool, timeout_seconds=86_400, default=False), writes="approved")
    graph.add_node("publish", _publish, writes="issue", effect="once")
    graph.add_path(START, "plan", "articles", "approve")
    graph.add_edge("articles", "plan", when=failed(Exception), label="plan anew")
    graph.add_edge("approve", "publish", when=value("approved").is_true(), label="approved")
    graph.add_edge("approve", FAIL, label="refused")
    graph.add_path("publish", END)
    return graph


def company() -> Graph[Job]:
    """Return a node that chooses between two graphs and an agent, and edges that depend on how the graph ended."""
    law = Graph("law_team", Job, result="answer")
    law.add_node("find", _first, writes="first")
    law.add_node("argue", Agent("lawyer", prompt="{task} {first}"), writes="answer")
    law.add_path(START, "find", "argue", END)
    code = Graph("code_team", Job, result="answer")
    code.add_node("one", _first, writes="first")
    code.add_node("two", _first, writes="second")
    code.add_node("join", _join, writes="answer")
    code.add_fork(START, ["one", "two"], join="join")
    code.add_path("one", "join")
    code.add_path("two", "join")
    code.add_edge("join", END, when=value("answer") != "", label="done")
    code.add_edge("join", FAIL, label="nothing")
    graph = Graph("company", Job, result="answer")
    graph.add_node("route", _route, writes="team")
    teams: dict[str, Runnable] = {"law": law, "code": code, "other": Agent("clerk", prompt="{task}")}
    graph.add_node("team", choose("team", teams), inputs={"task": "task"}, writes="answer")
    graph.add_node("tell", _first, writes="answer")
    graph.add_path(START, "route", "team")
    graph.add_edge("team", "tell", when=ended_with("done"), label="well done")
    graph.add_edge("team", "route", when=failed(Exception), label="again")
    graph.add_edge("team", END)
    graph.add_edge("tell", END)
    return graph


def tree(depth: int, length: int) -> Graph[Job]:
    """Nest graphs to this depth, each with this many nodes of its own."""
    graph = Graph(f"level_{depth}", Job, result="answer")
    names = [f"step_{depth}_{index}" for index in range(length)]
    for name in names:
        graph.add_node(name, _first, writes="answer")
    if depth > 1:
        names.insert(length // 2, "inner")
        graph.add_node("inner", tree(depth - 1, length), writes="answer")
    graph.add_path(START, *names)
    graph.add_edge(names[-1], names[1], when=iterations(names[-1]) < 3, label="once more")
    graph.add_edge(names[-1], END)
    return graph


async def waiting_run() -> tuple[Graph[Paper], Sequence[Step]]:
    """Run the newsroom until it waits for its answer."""
    graph = newsroom()
    async with Runner() as runner:
        result = await runner.start(graph, Paper(brief="the sea"), run_id="sea").result()
        assert result.status == "waiting"
        return graph, steady(await runner.history("sea"))


def steady(steps: Sequence[Step]) -> list[Step]:
    """Space the steps a quarter of a second apart so that the picture is reproducible."""
    first = {step.at: step.seq for step in reversed(steps)}
    return [
        altered(step, at=step.seq / 4, began=first.get(step.began, step.seq - 1) / 4 if step.began else 0.0)
        for step in steps
    ]


async def asking_run() -> tuple[Graph[Paper], Sequence[Step]]:
    """Return a run whose items wait inside their graphs."""
    inner = Graph("article", Piece, result="draft")
    inner.add_node("write", _asks, writes="draft")
    inner.add_path(START, "write", END)
    graph = Graph("desk", Paper)
    graph.add_node("articles", inner, each={"item": "topics"}, inputs={"topic": "item"}, writes="articles")
    graph.add_path(START, "articles", END)
    async with Runner() as runner:
        await runner.start(graph, Paper(topics=["tides", "dunes", "winds"]), run_id="desk").result()
        return graph, await runner.history("desk")


async def _asks(topic: str, ctx: Context) -> str:
    return "" if topic == "winds" else await ctx.ask(f"What of {topic}?")


def _plan(brief: str) -> list[str]:
    return ["tides", "dunes", "winds"] if brief else []


def _search(topic: str) -> list[str]:
    return [f"{topic} 1", f"{topic} 2"]


def _read(source: str) -> str:
    if source == "dunes 2":
        message = "not found"
        raise ValueError(message)
    return source


def _write(topic: str, draft: str) -> str:
    return f"{draft}{topic} "


def _review(draft: str) -> int:
    return 9 if len(draft) > 10 else 5


def _publish(articles: list[str]) -> str:
    return " ".join(articles)


def _route(task: str) -> str:
    return "law" if "law" in task else "code"


def _first(task: str) -> str:
    return task


def _join(first: str, second: str) -> str:
    return f"{first} {second}".strip()


def graph_spec_of(graph: Graph[Any]) -> GraphSpec:
    """Return the graph spec that a picture is drawn from."""
    return graph.compile().graph_spec

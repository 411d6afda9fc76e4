from typing import Annotated

from pydantic import BaseModel, create_model

from graphengine import (
    END,
    FAIL,
    START,
    Failure,
    Graph,
    Migration,
    ask,
    choose,
    ended_with,
    failed,
    iterations,
    plateau,
    value,
)
from graphengine.agents.errors import BadAnswer
from graphengine.records.export import export_run
from graphengine.records.replay.replay import replay
from graphengine.reducers import append, merge
from graphengine.testing import FakeClock
from graphengine.testing import replay as check
from tests.kit.facts import resaid, said
from tests.kit.replays import recorded


class State(BaseModel):
    """A state for a loop, a map and a subgraph."""

    topic: str = "ants"
    other: str = "ants"
    n: int = 0
    score: int | None = None
    scores: Annotated[list[int], append] = []
    names: list[str] = ["a", "b", "c"]
    found: list[str] = []
    facts: Annotated[dict[str, str], merge] = {}
    style: str = "short"
    ok: bool | None = None
    errors: Annotated[list[Failure], append] = []


def told(graph, run):
    """Return what a replay of a run says."""
    found = replay(graph, run)
    lines = [str(found)]
    lines += [f"  also step {one.seq}, {one.what}: {one.message}" for one in found.differences[1:]]
    lines += [f"  {one.what} at step {one.seq}: {one.recorded['why']} / {one.today['why']}" for one in found.reasons]
    return "\n".join(lines)


def sides(graph, run):
    """Return the first difference as data."""
    first = replay(graph, run).first
    return f"{first.path} {first.what}\nrecorded: {first.recorded}\ntoday: {first.today}"


async def changed(build, then, now, given=None, *answers):
    """Return what the graph that is built with other options says of a run."""
    run = await recorded(build(**then), given, *answers)
    assert replay(build(**then), run).same
    return told(build(**now), run)


async def more(n: int) -> int:
    return n + 1


async def read(topic: str) -> str:
    return topic


async def broken(n: int) -> int:
    raise BadAnswer("no", where="broken", repair="never")


def counting(name="more", limit=3, state=State, work=more, writes="n", **options):
    """Return a graph that counts to a limit."""
    graph = Graph("counting", state)
    graph.add_node(name, work, writes=writes, **options)
    graph.add_edge(START, name)
    graph.add_edge(name, END, when=value("n") >= limit, label="enough")
    graph.add_edge(name, name)
    return graph


def row(*nodes, state=State, name="row"):
    """Return a graph of nodes one after another: name, work, options."""
    graph = Graph(name, state)
    for node, work, options in nodes:
        graph.add_node(node, work, **options)
    graph.add_path(START, *(node for node, _, _ in nodes), END)
    return graph


def ordered(*labels):
    """Return a graph with edges that can both hold, in this order."""
    edges = {"big": value("n") >= 3, "odd": value("n").is_in([1, 3, 5]), "two": value("n") >= 2}
    graph = Graph("ordered", State)
    graph.add_node("more", more, writes="n")
    graph.add_edge(START, "more")
    for label in labels:
        graph.add_edge("more", *((END,) if label in edges else ("more",)), when=edges.get(label), label=label)
    return graph


def judging(patience=1, delta=0, rounds=9):
    """Return a graph that repeats until a score is no longer better."""
    graph = Graph("judging", State)
    graph.add_node("judge", lambda scores: [1, 4, 5, 5, 5, 5, 5][len(scores)], writes="scores")
    graph.add_edge(START, "judge")
    graph.add_edge("judge", END, when=plateau("scores[-1]", patience=patience, min_delta=delta), label="flat")
    graph.add_edge("judge", END, when=iterations("judge") >= rounds, label="rounds")
    graph.add_edge("judge", "judge")
    return graph


def reading(**options):
    """Return a graph whose second node reads."""
    return row(("more", more, {"writes": "n"}), ("read", read, {"writes": "style", **options}))


def chosen(on):
    """Return a loop of a node that chooses by a field or a function."""
    graph = Graph("chosen", State)
    graph.add_node("count", choose(on, {"short": more, "ants": more}), writes="n")
    graph.add_edge(START, "count")
    graph.add_edge("count", END, when=value("n") >= 2)
    graph.add_edge("count", "count")
    return graph


def narrowed(**fields):
    """Return the state with other fields."""
    return create_model("Narrow", __base__=State, **fields)


def failing(survives=True, errors=None, **options):
    """Return a graph of a node that fails, with an edge after its failure."""
    graph = Graph("failing", State, collect_errors=errors)
    graph.add_node("more", broken, writes="n", **options)
    graph.add_edge(START, "more")
    if survives:
        graph.add_edge("more", END, when=failed(BadAnswer), label="survived")
    graph.add_edge("more", END)
    return graph


def forked(*arms, need=None):
    """Return a graph with a fork."""
    graph = Graph("forked", State)
    graph.add_node("names", lambda topic: {"topic": topic}, writes="facts")
    graph.add_node("styles", lambda style: {"style": style}, writes="facts")
    graph.add_node("join")
    graph.add_fork(START, list(arms or ("names", "styles")), join="join", need=need)
    graph.add_edge("names", "join")
    graph.add_edge("styles", "join")
    graph.add_edge("join", END)
    return graph


def mapped(each="names", **options):
    """Return a graph with a map."""
    return row(("read", lambda name: name.upper(), {"writes": "found", "each": {"name": each}, **options}))


def inside(limit=2, limits=None, **options):
    """Return a graph with another one inside."""
    inner = Graph("inner", State, result="n", limits=limits)
    inner.add_node("more", more, writes="n")
    inner.add_edge(START, "more")
    inner.add_edge("more", END, when=value("n") >= limit, label="enough")
    inner.add_edge("more", "more")
    graph = Graph("outer", State)
    graph.add_node("count", inner, writes="n", **options)
    graph.add_path(START, "count")
    graph.add_edge("count", END, when=ended_with("enough"))
    graph.add_edge("count", FAIL)
    return graph


def asking(output=bool, question="Publish?", **options):
    """Return a graph with a question."""
    return row(("ask", ask(question, output, **options), {"writes": "ok"}))

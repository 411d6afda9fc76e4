"""The same graphs as a user of LangGraph writes them, and its SQLite saver. Needs the packages of the group `bench`.

For a validated state, a LangGraph user declares a pydantic model; the state passed to a node is then validated. The
reducer of a list is `operator.add`. Graphs are compiled once, nodes are async, and `recursion_limit` is above the
number of steps. In memory there is no checkpointer, which is its fastest mode.
"""

from __future__ import annotations

import itertools
import operator
import sqlite3
import time
import types
import uuid
from contextlib import asynccontextmanager, closing
from dataclasses import field, make_dataclass
from typing import TYPE_CHECKING, Annotated, Any, TypedDict

import aiosqlite
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.graph import END, START, StateGraph
from langgraph.types import Send
from pydantic import BaseModel

from benchmarks.ours import NEVER, Counter, Pair
from benchmarks.passed import GROWING, READS, passed_on
from benchmarks.peers import STEPS, at_once

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence
    from pathlib import Path

    from benchmarks.peers import Databases, Library, Run
    from benchmarks.values import Work


class Tally(TypedDict):
    """The fields of the counter as a TypedDict, which LangGraph does not validate."""

    count: int
    name: str
    ratio: float


class Pages(BaseModel):
    """The state of the writing graph, with the reducer that is usual for lists in LangGraph."""

    count: int = 0
    name: str = ""
    entries: Annotated[list[str], operator.add] = []


def counting(steps: int, saver: AsyncSqliteSaver | None = None) -> Any:  # noqa: ANN401 - langgraph's compiled graph
    """Return the counting graph over a pydantic state."""

    async def increase(state: Counter) -> dict[str, int]:
        return {"count": state.count + 1}

    def ahead(state: Counter) -> str:
        return "__end__" if state.count >= steps else "increase"

    return _loop(Counter, increase, ahead, saver)


def counting_unvalidated(steps: int) -> Any:  # noqa: ANN401 - as above
    """Return the counting graph over a TypedDict."""

    async def increase(state: Tally) -> dict[str, int]:
        return {"count": state["count"] + 1}

    def ahead(state: Tally) -> str:
        return "__end__" if state["count"] >= steps else "increase"

    return _loop(Tally, increase, ahead, None)


def writing(steps: int, entry: str, visited: Callable[[], object], saver: AsyncSqliteSaver | None = None) -> Any:  # noqa: ANN401
    """Return a graph whose node counts its visits, and appends to a list without reading it."""

    async def write(state: Pages) -> dict[str, object]:
        visited()
        return {"count": state.count + 1, "entries": [f"{entry} {state.count}"]}

    def ahead(state: Pages) -> str:
        return "__end__" if state.count >= steps else "write"

    return _loop(Pages, write, ahead, saver)


class Totals(BaseModel):
    """A list of numbers, and the result of a nested graph for each number, in any order."""

    numbers: list[int] = []
    totals: Annotated[list[int], operator.add] = []


class Total(TypedDict):
    """The result of the nested graph for one number."""

    totals: list[int]


def chain(nodes: int, saver: AsyncSqliteSaver | None = None) -> Any:  # noqa: ANN401 - as above
    """Return a graph with nodes in a row, each of which adds one."""

    async def increase(state: Counter) -> dict[str, int]:
        return {"count": state.count + 1}

    graph = StateGraph(Counter)
    names = [f"node{number}" for number in range(nodes)]
    for name in names:
        graph.add_node(name, increase)
    for source, target in itertools.pairwise((START, *names, END)):
        graph.add_edge(source, target)
    return graph.compile(checkpointer=saver)


def counting_pairs(steps: int) -> Any:  # noqa: ANN401 - as above
    """Return a counting graph whose node writes two fields."""

    async def increase(state: Pair) -> dict[str, object]:
        return {"count": state.count + 1, "name": f"number {state.count}"}

    def ahead(state: Pair) -> str:
        return "__end__" if state.count >= steps else "increase"

    return _loop(Pair, increase, ahead, None)


def spreading(loops: int) -> Any:  # noqa: ANN401 - as above
    """Return a graph that sends each number of a list to a nested graph. The nested graph loops `loops` times."""

    async def increase(state: Counter) -> dict[str, float]:
        return {"count": state.count + 1, "ratio": state.ratio + 1}

    async def last(state: Counter) -> Total:
        return {"totals": [state.count]}

    def ahead(state: Counter) -> str:
        return "last" if state.ratio >= loops else "increase"

    inner = StateGraph(Counter, output_schema=Total)
    inner.add_node("increase", increase)
    inner.add_node("last", last)
    inner.add_edge(START, "increase")
    inner.add_conditional_edges("increase", ahead, ["increase", "last"])
    inner.add_edge("last", END)

    def send(state: Totals) -> list[Send]:
        return [Send("inner", {"count": number}) for number in state.numbers]

    graph = StateGraph(Totals)
    graph.add_node("inner", inner.compile())
    graph.add_conditional_edges(START, send, ["inner"])
    graph.add_edge("inner", END)
    return graph.compile()


class Squares(BaseModel):
    """A list of numbers, and their squares in any order."""

    numbers: list[int] = []
    squares: Annotated[list[int], operator.add] = []


class Item(TypedDict):
    """The number that is sent to one task."""

    number: int


class Sum(BaseModel):
    """The sum of what the parallel nodes add, and the number of joins."""

    total: Annotated[int, operator.add] = 0
    rounds: Annotated[int, operator.add] = 0


def mapping() -> Any:  # noqa: ANN401 - as above
    """Return a graph that sends each number of a list to a node, which squares the number."""

    async def square(item: Item) -> dict[str, list[int]]:
        return {"squares": [item["number"] * item["number"]]}

    def send(state: Squares) -> list[Send]:
        return [Send("square", {"number": number}) for number in state.numbers]

    graph = StateGraph(Squares)
    graph.add_node("square", square)
    graph.add_conditional_edges(START, send, ["square"])
    graph.add_edge("square", END)
    return graph.compile()


def fanning(arms: int, rounds: int, saver: AsyncSqliteSaver | None = None) -> Any:  # noqa: ANN401 - as above
    """Return a graph with parallel nodes and an edge that waits for all of them, which runs for this many rounds."""

    async def plan(_: Sum) -> dict[str, int]:
        return {}

    async def one(_: Sum) -> dict[str, int]:
        return {"total": 1}

    async def join(_: Sum) -> dict[str, int]:
        return {"rounds": 1}

    def ahead(state: Sum) -> str:
        return "__end__" if state.rounds >= rounds else "plan"

    graph = StateGraph(Sum)
    graph.add_node("plan", plan)
    names = [f"arm{number}" for number in range(arms)]
    for name in names:
        graph.add_node(name, one)
        graph.add_edge("plan", name)
    graph.add_node("join", join)
    graph.add_edge(START, "plan")
    graph.add_edge(names, "join")
    graph.add_conditional_edges("join", ahead, ["plan", END])
    return graph.compile(checkpointer=saver)


def wide(work: Work, rounds: int, ballast: Sequence[str], saver: object) -> Any:  # noqa: ANN401 - as above
    """Return the graph of `benchmarks.values` for LangGraph, over a TypedDict with the same fields."""
    lists = ("documents", "recent", *ballast)
    fields: dict[str, Any] = {
        **dict.fromkeys(lists, list),
        **dict.fromkeys(("messages", "notes"), Annotated[list, operator.add]),
        **dict.fromkeys(("last", "found", "summary"), dict),
        "rounds": Annotated[int, operator.add],
        "topic": str,
    }
    wide_state: Any = types.new_class(
        "WideState", (TypedDict,), {"total": False}, lambda made: made.update(__annotations__=fields)
    )

    async def plan(state: Any) -> dict[str, Any]:  # noqa: ANN401 - the fields depend on the shape
        return work.plan(state["messages"], state["rounds"])

    async def left(state: Any) -> dict[str, Any]:  # noqa: ANN401
        return work.left(state["documents"])

    async def right(state: Any) -> dict[str, Any]:  # noqa: ANN401
        return work.right(state["rounds"])

    async def settle(state: Any) -> dict[str, Any]:  # noqa: ANN401
        return work.settle(state["notes"], state["recent"])

    def ahead(state: Any) -> str:  # noqa: ANN401
        return "__end__" if state["rounds"] >= rounds else "plan"

    graph = StateGraph(wide_state)
    for node in (plan, left, right, settle):
        graph.add_node(node.__name__, node)
    graph.add_edge(START, "plan")
    graph.add_edge("plan", "left")
    graph.add_edge("plan", "right")
    graph.add_edge(["left", "right"], "settle")
    graph.add_conditional_edges("settle", ahead, ["plan", END])
    return graph.compile(checkpointer=saver)


def passing(size: int, saver: object) -> Any:  # noqa: ANN401 - langgraph's compiled graph
    """Return the graph of `benchmarks.passed` for LangGraph, over a dataclass with the same fields."""
    last = ("reply", "issue", "rules", "memory", "user", "customer", "thread", "bot")
    fields: list[tuple[str, Any, Any]] = [
        *((name, Annotated[list, operator.add], field(default_factory=list)) for name in GROWING),
        *((name, Annotated[dict, operator.or_], field(default_factory=dict)) for name in ("people", "notified")),
        *((name, Any, field(default=None)) for name in last),
        ("medium", str, field(default="email")),
    ]
    state: Any = make_dataclass("Passing", fields)

    def node(name: str) -> Callable[[Any], dict[str, Any]]:
        return lambda state: passed_on(name, getattr(state, READS[name][0]), size)

    graph = StateGraph(state)
    for name in READS:
        graph.add_node(name, node(name))
    for before, after in ((START, "one"), ("one", "two"), ("two", "three"), ("two", "four"), ("five", "six")):
        graph.add_edge(before, after)
    graph.add_edge(["three", "four"], "five")
    graph.add_conditional_edges("six", lambda state: END if len(state.messages) > size else "one", ["one", END])
    return graph.compile(checkpointer=saver)


def first_state(start: Mapping[str, Any]) -> dict[str, Any]:
    """Return the input with which a run of `wide` begins."""
    return {**start, "rounds": 0, "topic": "", "summary": {}}


async def run(app: Any, state: Mapping[str, object], steps: int, **options: object) -> float:  # noqa: ANN401
    """Run a compiled graph on a new thread of LangGraph. Return the seconds from the call to the result, per step."""
    config = {"recursion_limit": 3 * steps + 10, "configurable": {"thread_id": str(time.perf_counter_ns())}}
    began = time.perf_counter()
    await app.ainvoke(dict(state), config, **options)
    return (time.perf_counter() - began) / steps


@asynccontextmanager
async def saving(path: Path, synchronous: str = "NORMAL") -> AsyncIterator[AsyncSqliteSaver]:
    """Yield LangGraph's SQLite saver for a file. WAL mode is the saver's default, and `synchronous` is set as given."""
    async with aiosqlite.connect(path) as connection:
        saver = AsyncSqliteSaver(connection)
        await saver.setup()
        await connection.execute(f"PRAGMA synchronous = {synchronous}")
        yield saver


@asynccontextmanager
async def side(databases: Databases | None) -> AsyncIterator[Mapping[str, Library]]:
    """Yield the workloads of `benchmarks.peers` for LangGraph, in memory or stored in a database."""
    if databases is None:
        yield {
            "LangGraph": _workloads(None),
            "LangGraph, TypedDict": {"loop": lambda visits: _counted(counting_unvalidated(visits))},
        }
        return
    async with saving(databases.folder / "langgraph.db", databases.synchronous) as saver:
        path = databases.folder / "langgraph_plain.db"
        with closing(sqlite3.connect(path, check_same_thread=False)) as connection:
            plain = SqliteSaver(connection)
            plain.setup()
            connection.execute(f"PRAGMA synchronous = {databases.synchronous}")
            yield {
                "LangGraph": _workloads(saver),
                "LangGraph, without async": {"loop": lambda visits: _counted_plainly(visits, plain)},
            }


def _workloads(saver: AsyncSqliteSaver | None) -> Library:
    kept: dict[str, Any] = {} if saver is None else {"durability": "sync"}

    def loop(visits: int) -> Run:
        return _counted(counting(visits, saver), **kept)

    return {
        "chain": lambda nodes: _counted(chain(nodes, saver), **kept),
        "loop": loop,
        "fork": lambda arms: _counted(fanning(arms, 1, saver), Sum(), "total", **kept),
        "at once": lambda runs: at_once(loop(STEPS), runs),
    }


def _counted(app: Any, first: BaseModel | None = None, field: str = "count", **options: object) -> Run:  # noqa: ANN401
    state = (first or Counter()).model_dump()

    async def run() -> int:
        counted: int = (await app.ainvoke(state, _new_thread(), **options))[field]
        return counted

    return run


def _counted_plainly(visits: int, saver: SqliteSaver) -> Run:
    def increase(state: Counter) -> dict[str, int]:
        return {"count": state.count + 1}

    def ahead(state: Counter) -> str:
        return "__end__" if state.count >= visits else "increase"

    app, first = _loop(Counter, increase, ahead, saver), Counter().model_dump()

    async def run() -> int:
        counted: int = app.invoke(first, _new_thread(), durability="sync")["count"]
        return counted

    return run


def _new_thread() -> dict[str, object]:
    return {"recursion_limit": NEVER, "configurable": {"thread_id": uuid.uuid4().hex}}


def _loop(state: type, node: Callable[..., object], ahead: Callable[..., str], saver: object) -> Any:  # noqa: ANN401
    graph = StateGraph(state)
    name = node.__name__
    graph.add_node(name, node)
    graph.add_edge(START, name)
    graph.add_conditional_edges(name, ahead, [name, END])
    return graph.compile(checkpointer=saver)

"""Wide states with large nested values: what a step costs when its values are large, not when the state is."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

from pydantic import BaseModel, create_model

from benchmarks.measure import MILLI, Figure, Outcome, Settings, alternate
from graphengine import END, START, Graph, Limits, Runner, value
from graphengine.databases.sqlite import SQLiteStore
from graphengine.reducers import add, extend

if TYPE_CHECKING:
    from benchmarks.measure import Side


@dataclass(frozen=True, slots=True)
class Shape:
    """The shape of a state and of the values in it.

    Attributes:
        name: The name in the report.
        rounds: How often the graph loops.
        a_round: How many messages a round adds. Half of them come from another field, and half are new.
        ballast: The number of fields with nested values that no node writes.
        width: The number of keys in a dict.
        depth: How deep dicts and lists are nested in a message.
        characters: The length of a text.
    """

    name: str
    rounds: int
    a_round: int
    ballast: int
    width: int
    depth: int
    characters: int

    def item(self, number: int) -> dict[str, Any]:
        """Return a new nested value."""
        return {"id": number, "ok": number % 2 == 0, "body": self._nested(number, self.depth)}

    def _nested(self, number: int, depth: int) -> object:
        if depth == 0:
            return f"{number} ".ljust(self.characters, "x")
        inner = [self._nested(number + at, depth - 1) for at in range(self.width)]
        return {f"key{at}": found for at, found in enumerate(inner)} if depth % 2 else inner

    def start(self) -> dict[str, Any]:
        """Return the fields of the state with which a run begins."""
        few = [self.item(number) for number in range(self.a_round // 2)]
        return {
            "documents": few,
            "messages": few[:1],
            **{f"ballast{at}": [self.item(at), self.item(at + 1)] for at in range(self.ballast)},
        }


SHAPES: Final = (
    Shape("deep items", rounds=12, a_round=50, ballast=7, width=3, depth=3, characters=12),
    Shape("many small items", rounds=30, a_round=40, ballast=7, width=2, depth=1, characters=8),
    Shape("few fields, long texts", rounds=10, a_round=6, ballast=0, width=2, depth=1, characters=4000),
)


class Work:
    """The functions of the nodes, which both sides use, so that both read and write the same values."""

    def __init__(self, shape: Shape) -> None:
        self._shape = shape

    def plan(self, messages: list[Any], rounds: int) -> dict[str, Any]:
        """Copy all messages to another field, and the last message to a third field."""
        return {"recent": messages, "last": messages[-1], "rounds": 1, "topic": f"round {rounds}"}

    def left(self, documents: list[Any]) -> dict[str, Any]:
        """Append the documents to the messages."""
        return {"messages": documents, "found": documents[0]}

    def right(self, rounds: int) -> dict[str, Any]:
        """Append new messages and a note."""
        new = [self._shape.item(100 * rounds + at) for at in range(self._shape.a_round - self._shape.a_round // 2)]
        return {"messages": new, "notes": new[:1]}

    def settle(self, notes: list[Any], recent: list[Any]) -> dict[str, Any]:
        """Write a summary of the round."""
        return {"summary": {"last": notes[-1], "count": len(recent), "notes": len(notes)}}


def ours(shape: Shape) -> tuple[Graph[Any], BaseModel]:
    """Return the graph of graphengine, and the state with which a run begins."""
    work = Work(shape)
    ballast: dict[str, Any] = {f"ballast{at}": (list[dict[str, Any]], []) for at in range(shape.ballast)}
    state = create_model(
        "State",
        documents=(list[dict[str, Any]], []),
        messages=(Annotated[list[dict[str, Any]], extend], []),
        notes=(Annotated[list[dict[str, Any]], extend], []),
        recent=(list[dict[str, Any]], []),
        last=(dict[str, Any] | None, None),
        found=(dict[str, Any] | None, None),
        summary=(dict[str, Any], {}),
        rounds=(Annotated[int, add], 0),
        topic=(str, ""),
        **ballast,
    )

    async def plan(messages: list[dict[str, Any]], rounds: int) -> dict[str, Any]:
        return work.plan(messages, rounds)

    async def left(documents: list[dict[str, Any]]) -> dict[str, Any]:
        return work.left(documents)

    async def right(rounds: int) -> dict[str, Any]:
        return work.right(rounds)

    async def settle(notes: list[dict[str, Any]], recent: list[dict[str, Any]]) -> dict[str, Any]:
        return work.settle(notes, recent)

    graph: Graph[Any] = Graph("wide", state, limits=Limits(visits=None))
    graph.add_node("plan", plan, writes=("recent", "last", "rounds", "topic"))
    graph.add_node("left", left, writes=("messages", "found"))
    graph.add_node("right", right, writes=("messages", "notes"))
    graph.add_node("settle", settle, writes="summary")
    graph.add_edge(START, "plan")
    graph.add_fork("plan", ["left", "right"], join="settle")
    graph.add_edge("left", "settle")
    graph.add_edge("right", "settle")
    graph.add_edge("settle", END, when=value("rounds") >= shape.rounds)
    graph.add_edge("settle", "plan")
    return graph, state(**shape.start())


async def values(settings: Settings) -> Outcome:
    """This program measures runs over a wide state of nested values, from the call to the result.

    The graph is a loop with a fork and a join. In each round, a node copies all messages to another field, one arm
    appends a list to the messages, the other arm makes new messages, and the join writes a summary. There are three
    shapes of values: nested items, many small items, and long texts in few fields.

    LangGraph's state is a TypedDict, which validates nothing. graphengine validates the state, checks that nodes do not
    change values in place, and separates the state from the objects of the nodes. In SQLite, `synchronous` is `NORMAL`
    on both sides, and LangGraph runs with `durability="sync"`. All figures are CPU time of the process.

    A profile of the deep items in memory shows these shares: 25 % for encoding, because the input of a node is encoded
    again to see whether the node changed it in place; 17 % for the nodes; 13 % for decoding, because recorded values
    and the result are objects of their own; and 13 % for garbage collection.
    """
    figures: dict[str, Figure] = {}
    ratios: dict[str, float] = {}
    for shape in SHAPES:
        small = shape if not settings.quick else Shape(shape.name, 2, 4, 1, 2, 1, 8)
        with tempfile.TemporaryDirectory() as folder:
            found = await alternate(await _sides(settings, small, Path(folder)), "ms", settings.count(7, 1))
        figures |= {f"{shape.name}, {side}": _named(shape, figure) for side, figure in found.items()}
        if settings.has("langgraph"):
            claim = f"{shape.name}: LangGraph's"
            in_memory = found["InMemorySaver"].against(found["in memory"])
            durable = found["AsyncSqliteSaver"].against(found["SQLite"])
            ratios[f"{claim} InMemorySaver against ours in memory"] = in_memory
            ratios[f"{claim} AsyncSqliteSaver against ours in SQLite"] = durable
    return Outcome("Wide states with large nested values", figures, ratios)


def _named(shape: Shape, figure: Figure) -> Figure:
    return Figure(f"{shape.name}: {figure.side}", figure.unit, figure.rounds)


async def _sides(settings: Settings, shape: Shape, folder: Path) -> dict[str, Side]:
    graph, state = ours(shape)
    graph.compile()
    messages = shape.rounds * shape.a_round + 1

    async def in_memory() -> float:
        began = time.process_time()
        result = await graph.run(state)
        seconds = time.process_time() - began
        _check(len(result.state.messages), messages)
        return seconds * MILLI

    async def durable() -> float:
        store = SQLiteStore(folder / f"{time.perf_counter_ns()}.db", synchronous="NORMAL")
        async with Runner(store) as runner:
            began = time.process_time()
            result = await runner.start(graph, state).result()
            seconds = time.process_time() - began
        _check(len(result.state.messages), messages)
        return seconds * MILLI

    sides: dict[str, Side] = {"in memory": in_memory, "SQLite": durable}
    if settings.has("langgraph"):
        from langgraph.checkpoint.memory import InMemorySaver  # noqa: PLC0415 - installed for the benchmarks only

        from benchmarks import langgraph_side as peer  # noqa: PLC0415

        work, start = Work(shape), shape.start()

        async def theirs(saver: object, **options: object) -> float:
            app = peer.wide(work, shape.rounds, [f"ballast{at}" for at in range(shape.ballast)], saver)
            began = time.process_time()
            config = {"recursion_limit": 10 * shape.rounds + 10, "configurable": {"thread_id": "1"}}
            result = await app.ainvoke(peer.first_state(start), config, **options)
            seconds = time.process_time() - began
            _check(len(result["messages"]), messages)
            return seconds * MILLI

        async def plain() -> float:
            return await theirs(None)

        async def saved_in_memory() -> float:
            return await theirs(InMemorySaver())

        async def saved() -> float:
            async with peer.saving(folder / f"{time.perf_counter_ns()}.sqlite") as saver:
                return await theirs(saver, durability="sync")

        sides |= {"LangGraph, no checkpointer": plain, "InMemorySaver": saved_in_memory, "AsyncSqliteSaver": saved}
    return sides


def _check(found: int, expected: int) -> None:
    if found != expected:
        text = f"a measured run had {found} messages, not {expected}"
        raise RuntimeError(text)

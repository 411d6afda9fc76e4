"""Large values that nodes pass on from field to field, and large values that are new in each step."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

from pydantic import BaseModel, TypeAdapter

from benchmarks.measure import MILLI, Figure, Outcome, Settings, alternate
from graphengine import END, START, Graph, Limits, Runner, value
from graphengine.databases.sqlite import SQLiteStore
from graphengine.reducers import extend, merge
from graphengine.state.encoded import encode

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from benchmarks.measure import Side

SIZES: Final = {300: (5, 5), 1200: (5, 5)}
"""How many messages end a run, and how many keys the first message has, outside and inside."""
LISTS: Final = ("messages", "events", "rules", "memory", "categories", "answers")
GROWING: Final = ("messages", "events", "categories", "answers")
TEXTS: Final = ("medium", "thread", "bot")
_NAMES: Final = {
    "in memory": ("in memory", "graphengine"),
    "SQLite": ("in SQLite", "graphengine"),
    "InMemorySaver": ("in memory", "LangGraph"),
    "without a checkpointer": ("in memory", "LangGraph, no checkpointer"),
    "AsyncSqliteSaver": ("in SQLite", "LangGraph"),
}
"""Of each side where it keeps the run, and the library."""
READS: Final[Mapping[str, tuple[str, tuple[str, ...]]]] = {
    "one": ("messages", ("events", "medium")),
    "two": ("events", ("reply", "issue")),
    "three": ("reply", ("rules",)),
    "four": ("events", ("categories", "answers", "memory")),
    "five": ("categories", ("user", "customer", "thread", "people", "bot", "notified")),
    "six": ("answers", ("messages",)),
}
"""What each node reads, and the fields to which it passes that on: whole to a list, its last item to a dict."""


class Issue(BaseModel):
    """The state of the measured graph.

    Four of its fifteen fields are lists that grow, and two are dicts that are merged.
    """

    messages: Annotated[list[Any], extend] = []
    events: Annotated[list[Any], extend] = []
    medium: str = "email"
    reply: dict[str, Any] | None = None
    issue: dict[str, Any] | None = None
    rules: list[dict[str, Any]] | None = None
    memory: list[dict[str, Any]] | None = None
    categories: Annotated[list[dict[str, Any]], extend] = []
    answers: Annotated[list[dict[str, Any]], extend] = []
    user: dict[str, Any] | None = None
    customer: dict[str, Any] | None = None
    thread: str | None = None
    people: Annotated[dict[str, Any], merge] = {}
    bot: str | None = None
    notified: Annotated[dict[str, Any], merge] = {}


def first_message(size: int) -> dict[str, Any]:
    """Return the large message with which a run begins."""
    outer, inner = SIZES.get(size, (2, 2))
    row = ["hi?" * 10, True, 1, 6327816386138, None] * 5
    return {str(i) * 10: {str(j) * 10: [*row] for j in range(inner)} for i in range(outer)}


def passed_on(node: str, found: Any, size: int) -> dict[str, Any]:  # noqa: ANN401 - a list or a dict
    """Return the fields that a node writes, computed from the value that it read."""
    whole = found if isinstance(found, list) else [found]
    return {name: whole if name in LISTS else node[0] * size if name in TEXTS else whole[-1] for name in READS[node][1]}


def ours(size: int) -> Graph[Issue]:
    async def one(messages: list[Any]) -> dict[str, Any]:
        return passed_on("one", messages, size)

    async def two(events: list[Any]) -> dict[str, Any]:
        return passed_on("two", events, size)

    async def three(reply: dict[str, Any]) -> dict[str, Any]:
        return passed_on("three", reply, size)

    async def four(events: list[Any]) -> dict[str, Any]:
        return passed_on("four", events, size)

    async def five(categories: list[Any]) -> dict[str, Any]:
        return passed_on("five", categories, size)

    async def six(answers: list[Any]) -> dict[str, Any]:
        return passed_on("six", answers, size)

    graph: Graph[Issue] = Graph("passing", Issue, limits=Limits(visits=None))
    for node in (one, two, three, four, five, six):
        graph.add_node(node.__name__, node, writes=READS[node.__name__][1])
    graph.add_path(START, "one", "two")
    graph.add_fork("two", ["three", "four"], join="five")
    graph.add_edge("three", "five")
    graph.add_edge("four", "five")
    graph.add_edge("five", "six")
    graph.add_edge("six", END, when=value("messages").length() > size)
    graph.add_edge("six", "one")
    return graph


async def passed(settings: Settings) -> Outcome:
    """This program measures the CPU time of runs that pass large values on, as LangGraph's program `wide_state` does.

    The graph of this benchmark is a loop of six nodes with a fork, and its state has fifteen fields. Each node reads
    one field, and copies the field's value, or the last item of this value, to other fields. The loop ends when there
    are more than 300 messages (`wide_state_300`), or more than 1,200 (`wide_state_1200`).

    In the program for LangGraph, the state is a dataclass, which validates nothing. The program uses LangGraph's
    default durability, with which a checkpoint is committed while the next nodes already run. In SQLite, both libraries
    use `synchronous = NORMAL`.
    """
    figures: dict[str, Figure] = {}
    compared: dict[str, str] = {}
    for size in SIZES:
        with tempfile.TemporaryDirectory() as folder:
            sides = _passing(settings, settings.count(size, 3), Path(folder))
            found = await alternate(sides, "ms", settings.count(5, 1))
        names = {side: f"wide_state_{size}, {where}: {library}" for side, (where, library) in _NAMES.items()}
        figures |= {names[side]: Figure(names[side], "ms", each.rounds) for side, each in found.items()}
        if settings.has("langgraph"):
            for side in ("without a checkpointer", "InMemorySaver", "AsyncSqliteSaver"):
                compared[names[side]] = names["SQLite" if side == "AsyncSqliteSaver" else "in memory"]
    return Outcome("LangGraph's own programs: large values that are passed on", figures, compared=compared)


def _passing(settings: Settings, size: int, folder: Path) -> dict[str, Side]:
    graph = ours(size)
    graph.compile()
    start = {"messages": [first_message(size)]}

    async def in_memory() -> float:
        began = time.process_time()
        result = await graph.run(start)
        seconds = time.process_time() - began
        _check(len(result.state.messages), size)
        return seconds * MILLI

    async def durable() -> float:
        store = SQLiteStore(folder / f"{time.perf_counter_ns()}.db", synchronous="NORMAL")
        async with Runner(store) as runner:
            began = time.process_time()
            result = await runner.start(graph, start).result()
            seconds = time.process_time() - began
        _check(len(result.state.messages), size)
        return seconds * MILLI

    sides: dict[str, Side] = {"in memory": in_memory, "SQLite": durable}
    if settings.has("langgraph"):
        from langgraph.checkpoint.memory import InMemorySaver  # noqa: PLC0415 - installed for the benchmarks only

        from benchmarks import langgraph_side as peer  # noqa: PLC0415

        async def theirs(saver: object) -> float:
            app = peer.passing(size, saver)
            began = time.process_time()
            result = await app.ainvoke(start, {"recursion_limit": 10_000, "configurable": {"thread_id": "1"}})
            seconds = time.process_time() - began
            _check(len(result["messages"]), size)
            return seconds * MILLI

        async def plain() -> float:
            return await theirs(None)

        async def saved_in_memory() -> float:
            return await theirs(InMemorySaver())

        async def saved() -> float:
            async with peer.saving(folder / f"{time.perf_counter_ns()}.db") as saver:
                return await theirs(saver)

        sides |= {"InMemorySaver": saved_in_memory, "without a checkpointer": plain, "AsyncSqliteSaver": saved}
    return sides


class Item(BaseModel):
    """An item of the large value, as a model."""

    id: int
    title: str
    tags: list[str]
    score: float


class Fresh(BaseModel):
    """A state with a large list of dicts, which each node replaces by a new list."""

    records: list[dict[str, Any]] = []
    count: int = 0


class FreshModels(BaseModel):
    """A state with a large list of models, which each node replaces by a new list."""

    records: list[Item] = []
    count: int = 0


def _making(state: type[BaseModel], nodes: int, new: Sequence[object], *, reads: bool) -> Graph[Any]:
    async def read(records: list[Any], count: int) -> dict[str, Any]:
        return {"records": new, "count": count + bool(records)}

    async def write(count: int) -> dict[str, Any]:
        return {"records": new, "count": count + 1}

    graph: Graph[Any] = Graph("making", state, limits=Limits(visits=None))
    names = [f"node{at}" for at in range(nodes)]
    for name in names:
        graph.add_node(name, read if reads else write)
    graph.add_node("clear", list, writes="records")
    graph.add_path(START, *names, "clear", END)
    return graph


async def fresh(settings: Settings) -> Outcome:
    """This program measures a step that sets a field to a new value of 0.8 MB, and one encoding of that value.

    In this benchmark, twelve nodes each set a field to a large value: first a list of dicts that contain texts, numbers
    and lists, then a list of models with the same fields. In one workload no node reads the field. In the other, each
    node reads what the node before has written. All figures are CPU time.

    When graphengine records a value as JSON, it makes sure that reading the JSON gives an equal value. Sometimes it is
    enough to inspect the types in the value, and the JSON is then read only when a node reads the field. Inspecting is
    cheaper than reading: for the dicts of this benchmark, inspecting the types takes 1.5 to 2 times as long as encoding
    the dicts as JSON, and reading the JSON takes three to four times as long as encoding.
    """
    nodes, items = settings.count(12, 2), settings.count(7_000, 20)
    new: list[dict[str, Any]] = [
        {"id": at, "title": f"title {at} " * 4, "tags": [f"tag{at % 7}", f"x{at}"], "score": at / 7}
        for at in range(items)
    ]
    typed = TypeAdapter(list[Item])
    figures: dict[str, Figure] = {}
    ratios: dict[str, float] = {}
    for shape, state, made, dump in (
        ("dicts", Fresh, new, encode),
        ("models", FreshModels, typed.validate_python(new), typed.dump_json),
    ):
        with tempfile.TemporaryDirectory() as folder:
            sides = _making_sides(state, nodes, made, Path(folder))
            sides["one encoding"] = _encoding(dump, made, nodes)
            found = await alternate(sides, "ms", settings.count(9, 1))
        figures |= {f"{shape}, {name}": Figure(f"{shape}: {name}", "ms", each.rounds) for name, each in found.items()}
        for name in (_UNREAD, _READ):
            ratio = found[name].against(found["one encoding"])
            ratios[f"{shape}: {name}, against one encoding"] = ratio
    return Outcome("Large values that are new", figures, ratios)


def _making_sides(state: type[BaseModel], nodes: int, value: Sequence[object], folder: Path) -> dict[str, Side]:
    sides: dict[str, Side] = {}
    for name, reads in ((_UNREAD, False), (_READ, True)):
        graph = _making(state, nodes, value, reads=reads)
        graph.compile()

        async def in_memory(graph: Graph[Any] = graph) -> float:
            began = time.process_time()
            await graph.run(state())
            return (time.process_time() - began) / nodes * MILLI

        async def durable(graph: Graph[Any] = graph) -> float:
            store = SQLiteStore(folder / f"{time.perf_counter_ns()}.db", synchronous="NORMAL")
            async with Runner(store) as runner:
                began = time.process_time()
                await runner.start(graph).result()
                return (time.process_time() - began) / nodes * MILLI

        sides |= {name: in_memory, f"{name}, in SQLite": durable}
    return sides


def _encoding(dump: Callable[[Any], bytes], value: object, times: int) -> Side:
    async def encoded() -> float:
        began = time.process_time()
        for _ in range(times):
            dump(value)
        return (time.process_time() - began) / times * MILLI

    return encoded


_UNREAD: Final = "a step whose value nobody reads"
_READ: Final = "a step that reads the value of the one before"


def _check(messages: int, size: int) -> None:
    if messages <= size:
        message = "a measured run had a wrong result"
        raise RuntimeError(message)

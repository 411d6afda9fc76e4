"""One value of 10 MB that a node sets: the CPU time and the memory of its step."""

from __future__ import annotations

import gc
import sqlite3
import tempfile
import time
import tracemalloc
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, TypeAdapter
from pydantic_core import from_json, to_json

from benchmarks.measure import MILLI, Figure, Outcome, Settings, alternate
from graphengine import END, START, Graph, Runner
from graphengine.databases.sqlite import SQLiteStore

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.measure import Side


class Item(BaseModel):
    """One of many items in a large value."""

    id: int
    title: str
    tags: list[str]
    score: float


class Models(BaseModel):
    """A state whose large value is a list of models."""

    count: int = 0
    value: list[Item] = []


class Plain(BaseModel):
    """A state whose large value consists of nested lists and dicts."""

    count: int = 0
    value: Any = None


class Text(BaseModel):
    """A state whose large value is a single text."""

    count: int = 0
    value: str = ""


async def large(settings: Settings) -> Outcome:
    """This program measures a step that sets one value of 10 MB, in SQLite at NORMAL.

    The value is a list of 75,000 pydantic models, nested lists and dicts, or one text.

    - The time of the step is taken from the return of its node to the start of the next node. The time of a run that
      begins with the value is taken from the call of `start` to the start of the first node. Both are CPU time of the
      process with its threads, and are compared with one `dump_json` and one `validate_json` of the value.
    - Memory is the peak that Python allocated during the step. It is compared with the memory of the value itself,
      because the JSON of small values takes a quarter of that.
    - `raw insert` writes the same bytes into an empty database with `sqlite3`, and commits.
    """
    items: list[dict[str, object]] = [
        {"id": at, "title": f"title {at} " * 4, "tags": [f"tag{at % 7}", f"x{at}"], "score": at / 7}
        for at in range(settings.count(75_000, 50))
    ]
    encoded = to_json(items)
    shapes: dict[str, tuple[type[BaseModel], Callable[[], object]]] = {
        "models": (Models, lambda: TypeAdapter(list[Item]).validate_json(encoded)),
        "nested values": (Plain, lambda: from_json(encoded)),
        "one text": (Text, lambda: "lorem ipsum " * settings.count(870_000, 500)),
    }
    figures: dict[str, Figure] = {}
    ratios: dict[str, float] = {}
    for name, (model, make) in shapes.items():
        found = await alternate(_sides(model, make()), "ms", settings.count(3, 1))
        peak = await _peak(model, make)
        figures |= {f"{name}, {side}": Figure(f"{name}: {side}", "ms", each.rounds) for side, each in found.items()}
        figures[f"{name}, peak"] = Figure(f"{name}: peak memory, against the value's", "times", (peak,))
        ratio = found["a step that sets it"].against(found["dump_json and validate_json"])
        ratios[f"{name}: a step, against one dump and one validation"] = ratio
        ratios[f"{name}: a start, against a step"] = found["a start with it"].against(found["a step that sets it"])
    return Outcome("One value of 10 MB", figures, ratios)


def _graph(model: type[BaseModel], give: Callable[[], object], after: Callable[[], object]) -> Graph[Any]:
    """Return a graph whose first node sets the large value, and whose second node calls `after` when it begins."""

    def big() -> object:
        return give()

    def last(count: int) -> int:
        after()
        return count + 1

    graph: Graph[Any] = Graph("large", model)
    graph.add_node("big", big, writes="value", thread=False)
    graph.add_node("last", last, writes="count", thread=False)
    graph.add_path(START, "big", "last", END)
    return graph


def _sides(model: type[BaseModel], value: object) -> dict[str, Side]:
    annotation: Any = model.model_fields["value"].annotation
    field = TypeAdapter[Any](annotation)
    times: list[float] = []

    def note() -> object:
        times.append(time.process_time())
        return value

    graph = _graph(model, note, note)
    graph.compile()

    async def ours() -> float:
        times.clear()
        with tempfile.TemporaryDirectory() as name:
            async with Runner(SQLiteStore(Path(name) / "runs.db", synchronous="NORMAL")) as runner:
                await runner.start(graph).result()
        return (times[1] - times[0]) * MILLI

    given = model(value=value)
    begins: Graph[Any] = Graph("begun", model)
    begins.add_node("first", lambda count: note() and count, writes="count", thread=False)
    begins.add_path(START, "first", END)
    begins.compile()

    async def begun() -> float:
        times.clear()
        with tempfile.TemporaryDirectory() as name:
            async with Runner(SQLiteStore(Path(name) / "runs.db", synchronous="NORMAL")) as runner:
                began = time.process_time()
                await runner.start(begins, given).result()
        return (times[0] - began) * MILLI

    async def raw() -> float:
        began = time.process_time()
        field.validate_json(field.dump_json(value))
        return (time.process_time() - began) * MILLI

    async def insert() -> float:
        body = field.dump_json(value)
        with (
            tempfile.TemporaryDirectory() as name,
            closing(sqlite3.connect(Path(name) / "raw.db", isolation_level=None)) as connection,
        ):
            connection.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; CREATE TABLE raw (body)")
            began = time.process_time()
            connection.execute("INSERT INTO raw VALUES (?)", (body,))
            return (time.process_time() - began) * MILLI

    return {
        "a step that sets it": ours,
        "a start with it": begun,
        "dump_json and validate_json": raw,
        "raw insert": insert,
    }


async def _peak(model: type[BaseModel], make: Callable[[], object]) -> float:
    """Return the peak memory of the step, divided by the memory of the value."""
    gc.collect()
    tracemalloc.start()
    value = make()
    own = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    peaks: list[int] = []

    def give() -> object:
        gc.collect()
        tracemalloc.start()
        return value

    def seen() -> None:
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()

    with tempfile.TemporaryDirectory() as name:
        async with Runner(SQLiteStore(Path(name) / "runs.db", synchronous="NORMAL")) as runner:
            await runner.start(_graph(model, give, seen)).result()
    return peaks[0] / own

"""The rows of `benchmarks.since`, over the graphengine that comes first on the path.

A process of its own: each line of its input names a measure and a row. When the row is warm it says so, waits for
another line, runs one round, and prints what that took for a run. It imports only what trees of other commits have too.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from benchmarks.large import Item, Models, Plain, Text
from benchmarks.ours import Counter, Numbers, chain, counting, mapping
from graphengine import END, START, Context, Graph, Runner, Worker
from graphengine.databases.sqlite import SQLiteStore
from graphengine.worker.worker import RunOutcome

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import FrameType

    from _typeshed import TraceFunction
    from pydantic import BaseModel

Synchronous: TypeAlias = Literal["FULL", "NORMAL"] | None
"""How a row's database writes; None for a store in memory."""
READY: Final = "ready"
AT_A_TIME: Final = 50


async def _nothing() -> None:
    pass


@dataclass(frozen=True, slots=True)
class Round:
    """What one round of a row does.

    Attributes:
        runs: The number of runs, by which the cost is divided.
        run: The work that is measured.
        before: The preparation of each round, which is not measured.
    """

    runs: int
    run: Callable[[], Awaitable[object]]
    before: Callable[[], Awaitable[object]] = _nothing


Row: TypeAlias = "Callable[[int], AbstractAsyncContextManager[Round]]"


@asynccontextmanager
async def _runner(synchronous: Synchronous) -> AsyncIterator[Runner]:
    with tempfile.TemporaryDirectory() as folder:
        store = None if synchronous is None else SQLiteStore(Path(folder) / "runs.db", synchronous=synchronous)
        async with Runner(store) as runner:
            yield runner


def _in_turn(nodes: int, synchronous: Synchronous, **options: Any) -> Row:  # noqa: ANN401 - of start
    """Return a row that starts runs of a chain of nodes, one after the other."""

    @asynccontextmanager
    async def row(count: int) -> AsyncIterator[Round]:
        graph = chain(nodes)
        graph.compile()
        async with _runner(synchronous) as runner:

            async def run() -> None:
                for _ in range(count):
                    await runner.start(graph, Counter(), **options).result()

            yield Round(count, run)

    return row


def _at_once(**options: Any) -> Row:  # noqa: ANN401 - of `start`
    """Return a row that starts many runs of one node at once."""

    @asynccontextmanager
    async def row(count: int) -> AsyncIterator[Round]:
        graph = chain(1)
        graph.compile()
        async with _runner("NORMAL") as runner:

            async def run() -> None:
                started = [runner.start(graph, Counter(), **options) for _ in range(count)]
                await asyncio.gather(*(run.result() for run in started))

            yield Round(count, run)

    return row


@asynccontextmanager
async def _by_itself(count: int) -> AsyncIterator[Round]:
    graph = chain(1)
    graph.compile()

    async def run() -> None:
        for _ in range(count):
            await graph.run(Counter())

    yield Round(count, run)


@asynccontextmanager
async def _visits(count: int) -> AsyncIterator[Round]:
    graph = counting(count)
    graph.compile()
    yield Round(count, lambda: graph.run(Counter()))


@asynccontextmanager
async def _taken(count: int) -> AsyncIterator[Round]:
    graph = chain(1)
    graph.compile()
    async with _runner("NORMAL") as runner:

        async def queue() -> None:
            started = [runner.start(graph, Counter(), queue="bench") for _ in range(count)]
            await asyncio.gather(*(run.result() for run in started))

        async def drive() -> None:
            ended = 0

            def note(event: object) -> None:
                nonlocal ended
                ended += isinstance(event, RunOutcome)
                if ended == count:
                    worker.stop()

            worker = Worker(runner, graph, concurrency=AT_A_TIME, on_event=note)
            await worker.run()

        yield Round(count, drive, before=queue)


def _begun(state: type[BaseModel], give: Callable[[], object]) -> Row:
    """Return a row that starts runs with one large value, in memory. Each run has one node."""

    @asynccontextmanager
    async def row(count: int) -> AsyncIterator[Round]:
        graph: Graph[Any] = Graph("begun", state)
        graph.add_node("first", lambda count: count + 1, writes="count", thread=False)
        graph.add_path(START, "first", END)
        graph.compile()
        given = state(value=give())
        async with _runner(None) as runner:

            async def run() -> None:
                for _ in range(count):
                    await runner.start(graph, given).result()

            yield Round(count, run)

    return row


def _rows_of_json() -> list[dict[str, object]]:
    return [{"id": at, "title": f"title {at} " * 4, "tags": [f"x{at}"], "score": at / 7} for at in range(10_000)]


async def _drain(ctx: Context, count: int) -> int:
    """Receive `count` messages, one after the other."""
    return sum([await ctx.receive("in", int) for _ in range(count)])


@asynccontextmanager
async def _drained(count: int) -> AsyncIterator[Round]:
    graph: Graph[Any] = Graph("drained", Counter)
    graph.add_node("drain", _drain, writes="count")
    graph.add_path(START, "drain", END)
    number = 0
    async with _runner(None) as runner:

        async def fill() -> None:
            nonlocal number
            number += 1
            run = runner.start(graph, Counter(count=count), run_id=f"r{number}")
            await run.result()
            for message in range(count):
                await run.send("in", message)

        yield Round(count, lambda: runner.resume(f"r{number}", graph).result(), before=fill)


@asynccontextmanager
async def _answered(count: int) -> AsyncIterator[Round]:
    """Yield rounds that answer the items of a map while another item works."""
    working, number = asyncio.Event(), 0

    async def ask_all(ctx: Context, item: int) -> int:
        if item == 0:
            await working.wait()
            return 0
        return await ctx.ask("Which number?", int)

    graph: Graph[Any] = Graph("answered", Numbers)
    graph.add_node("ask", ask_all, each={"item": "numbers"}, concurrency=count + 1, writes="squares")
    graph.add_path(START, "ask", END)
    graph.compile()
    async with _runner("NORMAL") as runner:
        try:

            async def ask() -> None:
                nonlocal number
                number += 1
                runner.start(graph, Numbers(numbers=list(range(count + 1))), run_id=f"r{number}")
                while len(await runner.waits(f"r{number}")) < count:  # noqa: ASYNC110 - no event reports it
                    await asyncio.sleep(0.01)

            async def answer() -> None:
                for wait in await runner.waits(f"r{number}"):
                    await runner.answer(f"r{number}", 1, graph, wait=wait)

            yield Round(count, answer, before=ask)
        finally:
            working.set()
            await asyncio.gather(*(runner.get(f"r{each + 1}").result() for each in range(number)))


def _mapped(synchronous: Synchronous) -> Row:
    """Return a row that runs a map. The cost is divided by the items of the map."""

    @asynccontextmanager
    async def row(count: int) -> AsyncIterator[Round]:
        graph, state = mapping(16), Numbers(numbers=list(range(count)))
        graph.compile()
        async with _runner(synchronous) as runner:
            yield Round(count, lambda: runner.start(graph, state).result())

    return row


ROWS: Final[Mapping[str, tuple[Row, int]]] = {
    "a run of one node, open Runner": (_in_turn(1, None), 200),
    "`graph.run` of one node": (_by_itself, 200),
    "a run of ten nodes": (_in_turn(10, None), 50),
    "a visit in a loop": (_visits, 200),
    "one run, NORMAL": (_in_turn(1, "NORMAL"), 100),
    "one run, FULL": (_in_turn(1, "FULL"), 50),
    "300 runs at once, NORMAL": (_at_once(), 300),
    "a queued start": (_in_turn(1, "NORMAL", queue="bench"), 100),
    "300 queued starts at once": (_at_once(queue="bench"), 300),
    "take and drive": (_taken, 300),
    "an item of a map of 1,000": (_mapped(None), 1000),
    "the same, NORMAL": (_mapped("NORMAL"), 1000),
    "a start with 1 MB of text": (_begun(Text, lambda: "lorem ipsum " * 87_000), 5),
    "a start with 1 MB of hexadecimal digits": (_begun(Text, lambda: "0123456789abcdef" * 65_000), 5),
    "a start with 1 MB as a dict": (_begun(Plain, lambda: {"rows": _rows_of_json()}), 5),
    "draining an inbox of 100 messages, a message": (_drained, 100),
    "an answer to an item of a map of 50": (_answered, 50),
    "a start with 1 MB as models": (_begun(Models, lambda: [Item.model_validate(row) for row in _rows_of_json()]), 5),
}
"""Each with the runs, visits or items of a round."""


@contextmanager
def _cpu() -> Iterator[list[float]]:
    took: list[float] = []
    began = time.process_time_ns()
    yield took
    took.append((time.process_time_ns() - began) / 1000)


@contextmanager
def _operations() -> Iterator[list[float]]:
    """During the block, count the interpreter's operations in this thread and in threads that begin meanwhile."""
    took: list[float] = []
    count = 0

    def operation(frame: FrameType, event: str, _: object) -> TraceFunction:
        nonlocal count
        count += event == "opcode"
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        return operation

    threading.settrace(operation)
    sys.settrace(operation)
    yield took
    sys.settrace(None)
    threading.settrace(None)
    took.append(float(count))


@contextmanager
def _instructions() -> Iterator[list[float]]:
    """Count nothing here, because valgrind counts the instructions of this process from outside."""
    yield [0.0]


METERS: Final[Mapping[str, Callable[[], AbstractContextManager[list[float]]]]] = {
    "cpu": _cpu,
    "operations": _operations,
    "instructions": _instructions,
}


async def measured(name: str, measure: str, share: float = 1.0, *, begin: Callable[[], object] = bool) -> float:
    """Run a row until it is warm, then measure one more round. Return the cost per run.

    Args:
        name: A name in `ROWS`.
        measure: A name in `METERS`: µs of CPU time, operations of the interpreter, or 0 if another process counts.
        share: The share of a full round to run.
        begin: Is called before the measured round.
    """
    row, count = ROWS[name]
    async with row(max(int(count * share), 1)) as one:
        for _ in range(2):
            await one.before()
            await one.run()
        await one.before()
        gc.collect()
        begin()
        with METERS[measure]() as took:
            await one.run()
    return took[0] / one.runs


def main() -> None:
    """Measure what each line of stdin asks for. A line contains a measure, a share and a row, separated by tabs."""
    logging.disable()  # a run that is queued says so
    for line in sys.stdin:
        measure, share, name = line.rstrip("\n").split("\t")
        if measure != "cpu":
            _never_give_turns()

        def begin() -> None:
            print(READY, flush=True)
            sys.stdin.readline()

        print(asyncio.run(measured(name, measure, float(share), begin=begin)), flush=True)


def _never_give_turns() -> None:
    """Stop runs from yielding to each other after some milliseconds.

    A tracer or an emulator makes runs slower, so that they would yield more often than usual.
    """
    from graphengine.runner import driving  # noqa: PLC0415 - of any commit

    setattr(driving, "_TURN_SECONDS", float("inf"))  # noqa: B010 - a type checker would take it for final


if __name__ == "__main__":
    main()

"""Runs stored in PostgreSQL: a step, many runs at once, sleepers, a queue, several processes, a large database.

    python -m benchmarks.postgres postgresql://user@host/database [--quick] [PROGRAM …]

It uses schemas of its own in that database, and drops them. With langgraph-checkpoint-postgres installed, LangGraph's
Postgres saver takes part; with dbos installed, DBOS takes part.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import time
import uuid
from contextlib import AsyncExitStack, asynccontextmanager
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import psycopg
from psycopg.conninfo import conninfo_to_dict

from benchmarks.measure import AS_COMMAND, MICRO, MILLI, Figure, Outcome, Settings, alternate, as_command
from benchmarks.ours import Counter, Visits, asking, counting, counting_noted, row_bytes, sleeping
from benchmarks.report import figures
from graphengine import Graph, Runner, Worker
from graphengine.databases.addresses import parse
from graphengine.stores.base import DEFAULT_QUEUE, ClaimQuery
from graphengine.worker.worker import RunOutcome

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping
    from multiprocessing.synchronize import Event

    from benchmarks.measure import Side
    from benchmarks.peers import Library, Run
    from graphengine.worker.worker import WorkerEvent

STEPS = 10
LANGGRAPH = "langgraph", "langgraph.checkpoint.postgres"
OURS, RAW, PEER = "graphengine", "raw psycopg: one insert, one commit", 'LangGraph, durability="sync"'


@asynccontextmanager
async def schema_at(address: str) -> AsyncIterator[str]:
    """Yield the address of a new schema in the database, and drop the schema at the end of the block."""
    name = f"bench_{uuid.uuid4().hex[:8]}"
    yield f"{address}{'&' if '?' in address else '?'}schema={name}"
    async with await psycopg.AsyncConnection.connect(parse(address).url, autocommit=True) as connection:
        await connection.execute(f"DROP SCHEMA IF EXISTS {name} CASCADE".encode())


@asynccontextmanager
async def saving(address: str) -> AsyncIterator[Any]:
    """Yield LangGraph's saver in a new schema, with a pool of connections as LangGraph's documentation shows."""
    from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver  # noqa: PLC0415
    from psycopg.rows import dict_row  # noqa: PLC0415
    from psycopg_pool import AsyncConnectionPool  # noqa: PLC0415

    name = f"bench_{uuid.uuid4().hex[:8]}"
    url = parse(address).url
    options = {"autocommit": True, "prepare_threshold": 0, "row_factory": dict_row, "options": f"-csearch_path={name}"}
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await connection.execute(f"CREATE SCHEMA {name}".encode())
        try:
            async with AsyncConnectionPool(url, max_size=10, kwargs=options) as pool:
                saver = AsyncPostgresSaver(pool)
                await saver.setup()
                yield saver
        finally:
            await connection.execute(f"DROP SCHEMA {name} CASCADE".encode())


@asynccontextmanager
async def dbos(address: str) -> AsyncIterator[Mapping[str, Library]]:
    """Yield the workloads of DBOS in a new schema."""
    from benchmarks import dbos_side  # noqa: PLC0415

    name = f"bench_{uuid.uuid4().hex[:8]}"
    url = parse(address).url
    parts = conninfo_to_dict(url)
    database = parts.pop("dbname", "")
    try:  # SQLAlchemy reads the path of a socket only as a parameter
        place = f"postgresql:///{database}?{urlencode(parts)}"
        async with dbos_side.opened(place, dbos_system_schema=name) as libraries:
            yield libraries
    finally:
        async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
            await connection.execute(f"DROP SCHEMA IF EXISTS {name} CASCADE".encode())


async def step(settings: Settings, address: str) -> Outcome:
    """This program measures a durable step: the mean time from one visit of a node to the next.

    Each step is durable before the next node starts. The step is compared with an insert of an equally long row and a
    commit through psycopg's asynchronous connection. It is also compared with LangGraph's saver and with DBOS, whose
    steps return the number. Their figures are the time from the call to the result, divided by the steps.
    """
    steps, visits = settings.count(200, 10), Visits()
    async with AsyncExitStack() as stack:
        runner = await stack.enter_async_context(Runner(await stack.enter_async_context(schema_at(address))))
        graph = counting_noted(steps, visits.note)
        raw = await stack.enter_async_context(_raw(address, steps, await row_bytes(runner)))

        async def ours() -> float:
            await runner.start(graph, Counter()).result()
            return visits.seconds_a_step() * MICRO

        sides: dict[str, Side] = {OURS: ours, RAW: raw}
        if settings.has(*LANGGRAPH):
            from benchmarks import langgraph_side as peer  # noqa: PLC0415

            app = peer.counting(steps, await stack.enter_async_context(saving(address)))

            async def langgraph() -> float:
                return await peer.run(app, Counter().model_dump(), steps, durability="sync") * MICRO

            sides[PEER] = langgraph
        if settings.has("dbos"):
            for name, library in (await stack.enter_async_context(dbos(address))).items():
                sides[name] = _timed(library["loop"](steps), steps)
        found = await alternate(sides, "µs", settings.count(10, 2))
    ratios = {"a durable step, against a raw commit": found[OURS].against(found[RAW])}
    if PEER in found:
        ratios["LangGraph's step, against ours"] = found[PEER].against(found[OURS])
    return Outcome("Durable step in PostgreSQL", found, ratios)


def _timed(run: Run, steps: int) -> Side:
    async def side() -> float:
        began = time.perf_counter()
        await run()
        return (time.perf_counter() - began) / steps * MICRO

    return side


@asynccontextmanager
async def _raw(address: str, steps: int, length: int) -> AsyncIterator[Side]:
    name = f"bench_{uuid.uuid4().hex[:8]}"
    numbers, body = itertools.count(1), "x" * length
    async with await psycopg.AsyncConnection.connect(parse(address).url, autocommit=True) as connection:
        await connection.execute(f"CREATE TABLE {name} (id bigint PRIMARY KEY, at float8, body text)".encode())
        insert = f"INSERT INTO {name} VALUES (%s, %s, %s)".encode()  # noqa: S608 - the name is made here

        async def commit() -> float:
            began = time.perf_counter()
            for _ in range(steps):
                await connection.execute(insert, (next(numbers), time.time(), body))
            return (time.perf_counter() - began) / steps * MICRO

        yield commit
        await connection.execute(f"DROP TABLE {name}".encode())


async def many(settings: Settings, address: str) -> Outcome:
    """This program measures steps per second of 2,000 runs of 10 steps, all started at once in one Runner.

    Other libraries start a tenth as many runs. The time is taken from the first `start` to the last `result()`. Only
    visits of nodes count, not the row with which each run starts. Our runs are measured with Python's own thresholds of
    garbage collection, and with those that the command line sets.
    """
    runs, few, steps = settings.count(2000, 20), settings.count(200, 5), STEPS

    async def ours() -> float:
        async with schema_at(address) as place, Runner(place) as runner:
            graph = counting(steps)
            graph.compile()
            began = time.perf_counter()
            started = [runner.start(graph, Counter()) for _ in range(runs)]
            await asyncio.gather(*(run.result() for run in started))
            return runs * steps / (time.perf_counter() - began)

    async def langgraph() -> float:
        from benchmarks import langgraph_side as peer  # noqa: PLC0415

        async with saving(address) as saver:
            app = peer.counting(steps, saver)
            began = time.perf_counter()
            await asyncio.gather(*(peer.run(app, Counter().model_dump(), steps, durability="sync") for _ in range(few)))
            return few * steps / (time.perf_counter() - began)

    def with_dbos(name: str) -> Side:
        async def side() -> float:
            async with dbos(address) as libraries:
                run = libraries[name]["at once"](few)
                began = time.perf_counter()
                await run()
                return few * steps / (time.perf_counter() - began)

        return side

    sides: dict[str, Side] = {OURS: ours} | ({PEER: langgraph} if settings.has(*LANGGRAPH) else {})
    sides |= {name: with_dbos(name) for name in ("DBOS", "DBOS, without async") if settings.has("dbos")}
    sides |= {f"{name}{AS_COMMAND}": as_command(side) for name, side in sides.items()}
    found = await alternate(sides, "steps/s", settings.count(3, 1))
    ratios: dict[str, float] = {}
    if settings.has(*LANGGRAPH):
        for how in ("", AS_COMMAND):
            ratio = found[f"{OURS}{how}"].against(found[f"{PEER}{how}"])
            ratios[f"steps/s, against LangGraph's{how}"] = ratio
    return Outcome("Many runs at once in PostgreSQL", found, ratios)


async def wake(settings: Settings, address: str) -> Outcome:
    """This program measures how soon a worker in another process finishes a run that was answered in this process.

    The worker only polls once an hour, so the answer itself must wake it.
    """
    graph = asking()
    rounds: list[float] = []
    async with schema_at(address) as place, Runner(place) as here:
        await here.start(graph).result()
        stop = await _begin(place, 1, poll_seconds=3600)
        for _ in range(settings.count(50, 3)):
            run = here.start(graph)
            await run.result()
            await asyncio.sleep(0.1)  # nothing to do for the worker
            began = time.perf_counter()
            await here.answer(run.id, "yes")
            while (await here.store.info(run.id)).status != "finished":  # noqa: ASYNC110 - it ends elsewhere
                await asyncio.sleep(0.001)
            rounds.append((time.perf_counter() - began) * MILLI)
        stop()
    figure = Figure(OURS, "ms", tuple(rounds))
    return Outcome("From an answer to the end in another process", {OURS: figure})


def _work(address: str, poll_seconds: float, ready: Event) -> None:
    """Drive runs as a worker until the process is ended. `ready` is set when the worker has looked for runs."""

    async def main() -> None:
        graphs: dict[str, Graph[Any]] = {graph.name: graph for graph in (counting(STEPS), asking())}
        for graph in graphs.values():
            graph.compile()
        async with Runner(address) as runner:
            queues = ("bench", DEFAULT_QUEUE)
            worker = Worker(runner, *graphs.values(), queues=queues, concurrency=50, poll_seconds=poll_seconds)
            working = asyncio.create_task(worker.run())
            while worker.state.polled_at is None and not worker.state.driven:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            ready.set()
            await working

    asyncio.run(main())


async def _begin(address: str, count: int, poll_seconds: float) -> Callable[[], None]:
    """Start worker processes, and wait until each has looked for runs. Return a function that ends them."""
    context = get_context("forkserver")
    context.set_forkserver_preload(["benchmarks.postgres"])  # the package is imported once for all workers
    events = [context.Event() for _ in range(count)]
    workers = [context.Process(target=_work, args=(address, poll_seconds, ready), daemon=True) for ready in events]
    for worker in workers:
        worker.start()

    def stop() -> None:
        for worker in workers:
            worker.kill()
            worker.join()

    for ready in events:
        if not await asyncio.to_thread(ready.wait, 60):
            stop()
            message = "a worker does not start"
            raise RuntimeError(message)
    return stop


async def crew(settings: Settings, address: str) -> Outcome:
    """This program measures how many steps per second one worker process and three worker processes drive.

    The runs have 10 steps each, and a worker drives 50 at a time. The time is taken from the moment when all runs are
    in the queue to the end of the last run.
    """
    runs = settings.count(2000, 30)
    graph = counting(STEPS)

    async def steps_a_second(workers: int) -> float:
        async with schema_at(address) as place, Runner(place) as runner:
            await runner.start(graph, Counter()).result()
            await _queue(runner, graph, runs, priority=0, queue="held")
            stop = await _begin(place, workers, poll_seconds=0.1)
            began = time.perf_counter()
            await asyncio.to_thread(_open_queue, place)
            while await _finished(runner) <= runs:  # noqa: ASYNC110 - they end elsewhere
                await asyncio.sleep(0.05)
            seconds = time.perf_counter() - began
            stop()
            return runs * STEPS / seconds

    one, three = "one worker process", "three worker processes"
    sides: dict[str, Side] = {one: lambda: steps_a_second(1), three: lambda: steps_a_second(settings.count(3, 1))}
    found = await alternate(sides, "steps/s", settings.count(3, 1))
    return Outcome("Several worker processes", found, {f"{three}, against one": found[three].against(found[one])})


def _open_queue(address: str) -> None:
    """Move the runs to the queue from which the workers take them, so that all workers begin at the same time."""
    with _connected(address) as connection:
        connection.execute("UPDATE runs SET queue = 'bench' WHERE queue = 'held'")


async def _finished(runner: Runner) -> int:
    return sum(each.runs for each in await runner.store.counts() if each.status == "finished")


async def sleepers(settings: Settings, address: str) -> Outcome:
    """This program measures the CPU time that a process takes per second while 2,000 of its runs sleep."""
    count, seconds = settings.count(2000, 20), settings.count(20, 1)
    graph = sleeping(86_400.0)
    async with schema_at(address) as place, Runner(place) as runner:
        runs = [runner.start(graph) for _ in range(count)]
        while sum(each.runs for each in await runner.store.counts() if each.status == "waiting") < count:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
        await asyncio.sleep(settings.count(3, 0))  # until the last has fallen asleep
        began, cpu = time.perf_counter(), time.process_time()
        await asyncio.sleep(seconds)
        share = (time.process_time() - cpu) / (time.perf_counter() - began) * 100
        del runs
    figure = Figure(OURS, "% of a core", (max(share, 0.001),))
    return Outcome(f"{count:,} runs that sleep in one process", {OURS: figure})


async def due(settings: Settings, address: str) -> Outcome:
    """This program measures how long it takes to find due runs and to take one of them.

    The database contains 1,000 or 1,000,000 other runs. A tenth of them wait for a time to come, and the others are
    finished.
    """
    sizes, rounds = (settings.count(1000, 50), settings.count(1_000_000, 500)), settings.count(100, 3)
    graph = counting(1)
    figures: dict[str, Figure] = {}
    for size in sizes:
        async with schema_at(address) as place, Runner(place) as runner:
            await runner.start(graph, Counter()).result()
            await asyncio.to_thread(_fill_ended, place, size)
            looked, took = [], []
            for _ in range(rounds):
                await _queue(runner, graph, 1, priority=0)
                began = time.perf_counter()
                await runner.store.due(time.time(), limit=50)
                looked.append((time.perf_counter() - began) * MILLI)
                began = time.perf_counter()
                await runner.store.take(ClaimQuery(time.time(), 50, [graph.name]))
                took.append((time.perf_counter() - began) * MILLI)
        figures[f"due, {size:,} runs"] = Figure(OURS, "ms", tuple(looked))
        figures[f"take, {size:,} runs"] = Figure(OURS, "ms", tuple(took))
    few_due, few_take, many_due, many_take = figures.values()
    ratios = {
        "due with a thousand times as many runs": many_due.median / few_due.median,
        "take with a thousand times as many runs": many_take.median / few_take.median,
    }
    return Outcome("Looking for runs in a large database", figures, ratios)


async def take(settings: Settings, address: str) -> Outcome:
    """This program measures how many queued runs a process takes per second, while other runs wait in the queue.

    The process takes 50 runs at a time, and 1,000 or 100,000 others wait. Each run is claimed for the process, and
    comes with its log and its messages. The program also measures how many runs of one node a worker drives per second,
    with a concurrency of 50, from its first poll on.
    """
    depths, count = (settings.count(1000, 50), settings.count(100_000, 500)), settings.count(1000, 100)
    graph = counting(1)
    taken: dict[int, list[float]] = {depth: [] for depth in depths}
    driven: list[float] = []
    for depth in depths * settings.count(3, 1):
        async with schema_at(address) as place, Runner(place) as runner:
            await _queue(runner, graph, count, priority=1)
            await asyncio.to_thread(_fill, place, depth)
            began = time.perf_counter()
            found = 0
            while found < count:
                found += len(await runner.store.take(ClaimQuery(time.time(), 50, [graph.name])))
            taken[depth].append(count / (time.perf_counter() - began))
            if depth == depths[0]:
                await _queue(runner, graph, count, priority=2)
                driven.append(await _drive(runner, graph, count))
    sides = {f"take, {depth:,} others queued": Figure(OURS, "runs/s", tuple(each)) for depth, each in taken.items()}
    few, many = sides.values()
    worker = Figure(OURS, "runs/s", tuple(driven))
    ratios = {"take with a hundred times as many queued": many.against(few)}
    return Outcome("Runs taken from a queue", {**sides, "a worker, to the end": worker}, ratios)


async def _queue(runner: Runner, graph: Graph[Counter], count: int, *, priority: int, queue: str = "bench") -> None:
    started = [runner.start(graph, Counter(), queue=queue, priority=priority) for _ in range(count)]
    await asyncio.gather(*(run.result() for run in started))


async def _drive(runner: Runner, graph: Graph[Counter], count: int) -> float:
    """Let a worker drive `count` runs, and return how many it drives per second."""
    ended = 0

    def note(event: WorkerEvent) -> None:
        nonlocal ended
        ended += isinstance(event, RunOutcome)
        if ended == count:
            worker.stop()

    worker = Worker(runner, graph, concurrency=50, on_event=note)
    began = time.perf_counter()
    await worker.run()
    return count / (time.perf_counter() - began)


def _connected(address: str) -> psycopg.Connection:
    parsed = parse(address)
    return psycopg.connect(parsed.url, autocommit=True, options=f"-csearch_path={parsed.schema}")


def _fill(address: str, count: int) -> None:
    """Add runs to the end of the queue. They are only rows without a log."""
    with _connected(address) as connection:
        connection.execute(
            "INSERT INTO runs (id, graph, fingerprint, status, created_at, parent_seq, fence, token, wanted_at, queue,"
            " queue_key, turn, priority)"
            " SELECT 'filler' || n, 'filler', 'f', 'running', n, 0, 0, 0, n, 'bench', '', n, -1"
            " FROM generate_series(1, %s) AS n",
            (count,),
        )
        connection.execute("ANALYZE runs")


def _fill_ended(address: str, count: int) -> None:
    """Add runs that are only rows without a log. Of ten runs, one waits for a time to come, and nine are finished."""
    with _connected(address) as connection:
        connection.execute(
            "INSERT INTO runs (id, graph, fingerprint, status, created_at, parent_seq, fence, token, queue,"
            " queue_key, turn, priority, due_at)"
            " SELECT 'filler' || n, 'counter', 'f', CASE n %% 10 WHEN 0 THEN 'waiting' ELSE 'finished' END, n, 0, 1, 0,"
            " '', '', 0, 0, CASE n %% 10 WHEN 0 THEN 4e9 + n END FROM generate_series(1, %s) AS n",
            (count,),
        )
        connection.execute("ANALYZE runs")


PROGRAMS = {
    "step": step, "many": many, "wake": wake, "take": take, "crew": crew, "sleepers": sleepers, "due": due,
}  # fmt: skip


def main() -> None:
    """Run the named programs, or all programs, in a database."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.postgres")
    parser.add_argument("address", help="the database: postgresql://…")
    parser.add_argument(
        "programs", nargs="*", metavar="PROGRAM", help=f"some of {', '.join(PROGRAMS)}; all if not given"
    )
    parser.add_argument("--quick", action="store_true", help="only a few steps, to check that everything works")
    given = parser.parse_intermixed_args()
    settings = Settings(quick=given.quick)
    chosen = {name: PROGRAMS[name] for name in given.programs or PROGRAMS}
    outcomes = {name: asyncio.run(program(settings, given.address)) for name, program in chosen.items()}
    print("\n\n".join(f"## {each.title}\n\n{figures(each)}" for each in outcomes.values()))


if __name__ == "__main__":
    main()

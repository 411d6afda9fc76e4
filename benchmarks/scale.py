"""What very many runs cost in PostgreSQL: a few kinds of run, measured, and the arithmetic to 10⁹ runs a month.

    python -m benchmarks.scale                             the tables of docs/explain/scale.md
    python -m benchmarks.scale postgresql://… [RUNS]       measure each kind anew, with so many runs

The server that is measured must run on this machine, since its CPU time is read from /proc. `MEASURED` has what was
measured last, `ASSUMED` what is assumed; the rest is multiplication.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import random
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import psycopg
from pydantic import BaseModel

from benchmarks.ours import Counter, counting, mapping
from benchmarks.postgres import schema_at
from benchmarks.preflight import desk
from graphengine import END, START, Agent, Graph, Runner, Worker, tool
from graphengine.databases.addresses import parse
from graphengine.models import ScriptedModel, calls
from graphengine.worker.worker import RunOutcome

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from graphengine.models import Request
    from graphengine.worker.worker import WorkerEvent

AT_ONCE: Final = 50
CALLS: Final = 5
TEXT_BYTES: Final = 2000
MONTHS: Final = (10**6, 10**8, 10**9)


class Cost(NamedTuple):
    """The mean cost of one run of a kind.

    Attributes:
        rows: The number of rows in all tables.
        step_rows: The number of rows that are steps.
        kept_bytes: The size of the rows in tables and indexes.
        search_bytes: The part of this size that serves the search by words, mostly words of the first input.
        step_bytes: The part of this size in the table of steps, without indexes and long values.
        wal_bytes: The bytes written to the write-ahead log.
        server_us: The CPU time of all processes of the server, in µs.
        client_us: The CPU time of the process that starts and drives the runs, in µs.
        commits: The number of transactions that wrote. Many runs share a transaction.
        prune_us: The CPU time of the server to remove the run, in µs.
    """

    rows: float
    step_rows: float
    kept_bytes: float
    search_bytes: float
    step_bytes: float
    wal_bytes: float
    server_us: float
    client_us: float
    commits: float
    prune_us: float


MEASURED: Final[Mapping[str, Cost]] = {
    "one node": Cost(5, 3, 3002, 618.5, 909.3, 5689, 435, 382, 0.0805, 85),
    "ten nodes": Cost(14, 12, 5620, 618.5, 3150, 9478, 580, 630.4, 0.2605, 115),
    "a map of 20 items": Cost(26, 24, 8716, 405.5, 5870, 13_020, 550, 865.1, 0.2005, 140),
    "a short question": Cost(9, 6, 4919, 675.8, 1733, 12_270, 1515, 1959, 0.415, 95),
    "a long question": Cost(11, 6, 10_940, 3449, 1729, 30_470, 1820, 2800, 0.301, 110),
    "an agent, 5 tool calls": Cost(32, 14, 32_570, 2236, 5329, 40_050, 1345, 9011, 0.3015, 200),
}
"""2,000 runs of each kind, 400 of the last two, with PostgreSQL 15 and Python 3.11 on two busy cores of an AMD EPYC."""


@dataclass(frozen=True, slots=True)
class Assumed:
    """Assumptions about a server and about when runs are started. None of them was measured.

    Attributes:
        peak: How many times more runs begin in the busiest hour than in a mean hour.
        cores: The number of cores of a server.
        busy: The share of its cores that a server may use in the busiest hour.
        disk_bytes: The part of a server's disk that the runs may fill.
        wal_bytes_a_second: How much write-ahead log the disk and the standby server can take all the time.
        connections: How many of the server's connections the workers may use.
    """

    peak: float = 5
    cores: int = 16
    busy: float = 0.6
    disk_bytes: float = 4e12
    wal_bytes_a_second: float = 100e6
    connections: int = 500


ASSUMED: Final = Assumed()
SECONDS: Final = 30 * 86_400
"""A month."""
CONNECTIONS: Final = 6
"""The most connections of a process to a database: one writes, four read, one has the lease."""
TABLE_BYTES: Final = 2.0**45
"""The most bytes of a table, of pages of 8 KB: https://www.postgresql.org/docs/current/limits.html."""


class Month(NamedTuple):
    """What the runs of a month need if each run is kept for a month. Rates are those of the busiest hour."""

    rows: float
    kept_bytes: float
    runs_a_second: float
    cores: float
    wal_a_second: float
    processes: int
    databases: int
    connections: int


def month(cost: Cost, runs: float, assumed: Assumed = ASSUMED) -> Month:
    """Compute what this many runs in a month need."""
    rate = runs / SECONDS * assumed.peak
    cores, wal = rate * (cost.server_us + cost.prune_us) / 1e6, rate * cost.wal_bytes
    databases = math.ceil(max(runs / limit for limit in limits(cost, assumed).values()))
    processes = math.ceil(rate * cost.client_us / 1e6 / assumed.busy)
    return Month(
        runs * cost.rows,
        runs * cost.kept_bytes,
        rate,
        cores,
        wal,
        processes,
        databases,
        math.ceil(processes / databases) * CONNECTIONS,
    )


def limits(cost: Cost, assumed: Assumed = ASSUMED) -> dict[str, float]:
    """Return how many runs a month one database can take, for each resource that can run out."""
    at_peak = SECONDS / assumed.peak
    return {
        "disk": assumed.disk_bytes / cost.kept_bytes,
        "CPU": at_peak * assumed.cores * assumed.busy / ((cost.server_us + cost.prune_us) / 1e6),
        "WAL": at_peak * assumed.wal_bytes_a_second / cost.wal_bytes,
        "table of steps": TABLE_BYTES / cost.step_bytes,
    }


def tables(costs: Mapping[str, Cost] = MEASURED) -> str:
    """Return the three tables of the page: the measured costs, the needs of a month, and the limits of a database."""
    return "\n\n".join([_inputs(costs), _months(costs), _ends(costs)])


def _table(*rows: Sequence[str]) -> str:
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]])


def _inputs(costs: Mapping[str, Cost]) -> str:
    head = "one run, *measured*", "rows", "bytes", "of them for searches", "WAL bytes", "server CPU", "removal"
    return _table(
        (*head, "driver CPU", "commits"),
        *(
            (
                kind, f"{each.rows:.1f}", f"{each.kept_bytes:,.0f}", f"{each.search_bytes:,.0f}",
                f"{each.wal_bytes:,.0f}", f"{each.server_us:,.0f} µs", f"{each.prune_us:,.0f} µs",
                f"{each.client_us:,.0f} µs", f"{each.commits:.2f}",
            )
            for kind, each in costs.items()
        ),
    )  # fmt: skip


def _months(costs: Mapping[str, Cost]) -> str:
    many, guess = "*extrapolated*", "*extrapolated, assumed peak*"
    rows = [
        ("runs a month", "kind", "rows", "disk", "runs/s", "server cores", "WAL", "driver processes", "databases",
         "connections to each"),
        ("", "", many, many, "*assumed peak*", guess, guess, guess, "*assumed server*", "*counted, assumed peak*"),
    ]  # fmt: skip
    for runs in MONTHS:
        for kind, cost in costs.items():
            each = month(cost, runs)
            disk, wal = f"{short(each.kept_bytes)}B", f"{short(each.wal_a_second)}B/s"
            counts = f"{each.processes:,}", f"{each.databases:,}", f"{each.connections:,}"
            rate, cores = short(each.runs_a_second), short(each.cores)
            rows.append((f"10{_raised(runs)}", kind, short(each.rows), disk, rate, cores, wal, *counts))
    return _table(*rows)


def _ends(costs: Mapping[str, Cost]) -> str:
    rows: list[Sequence[str]] = [
        ("one database ends at, runs a month", "by disk", "by CPU", "by WAL", "by the table of steps"),
        ("", "*assumed 4 TB*", "*assumed 16 cores*", "*assumed 100 MB/s*", "*documented 32 TiB*"),
    ]
    for kind, cost in costs.items():
        found = limits(cost).values()
        rows.append((kind, *(f"**{short(each)}**" if each == min(found) else short(each) for each in found)))
    return _table(*rows)


def short(number: float) -> str:
    """Format a number with two significant digits and a suffix k, M, G or T."""
    if number < 10:  # noqa: PLR2004 - digits
        return f"{number:.2g}"
    number = float(f"{number:.2g}")
    power = min(int(math.log10(number)) // 3, 4)
    return f"{number / 1000**power:g} {'kMGT'[power - 1]}" if power else f"{number:g}"


def _raised(number: int) -> str:
    return str(len(str(number)) - 1).translate(str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹"))


class Asking(BaseModel):
    """The state of a graph with an agent: the question and the answer."""

    question: str
    answer: str = ""


def _words(chance: random.Random, length: int) -> str:
    """Return a text of made-up words, which compresses about as well as prose. There are 3,000 different words."""
    words = [f"{number:x}"[::-1] + "aeiou"[number % 5] * (number % 4) for number in range(3000)]
    return " ".join(chance.choices(words, k=length // 5))[:length]


def talking() -> Graph[Any]:
    """Return a graph with an agent that calls a tool five times. Its texts are 2 KB long."""
    chance = random.Random(7)  # noqa: S311 - texts of the same lengths each time

    @tool
    async def look(place: str) -> str:
        """Look somewhere."""
        del place
        return _words(chance, TEXT_BYTES)

    def said(request: Request) -> object:
        asked = sum(message.role == "tool" for message in request.messages)
        return _words(chance, TEXT_BYTES) if asked >= CALLS else calls(("look", {"place": str(asked)}))

    agent = Agent("scout", prompt="{question}", tools=[look], model=ScriptedModel(said))
    graph = Graph("talking", Asking)
    graph.add_node("scout", agent, writes="answer")
    graph.add_path(START, "scout", END)
    return graph


class Kind(NamedTuple):
    """A kind of run: its graph, and a function that makes the first state."""

    graph: Callable[[], Graph[Any]]
    state: Callable[[random.Random], object]


KINDS: Final[Mapping[str, Kind]] = {
    "one node": Kind(partial(counting, 1), lambda _: Counter()),
    "ten nodes": Kind(partial(counting, 10), lambda _: Counter()),
    "a map of 20 items": Kind(partial(mapping, 4), lambda _: {"numbers": list(range(20))}),
    "a short question": Kind(desk, lambda _: {"name": "n", "text": "short"}),
    "a long question": Kind(desk, lambda chance: {"name": "n", "text": _words(chance, TEXT_BYTES)}),
    "an agent, 5 tool calls": Kind(talking, lambda chance: Asking(question=_words(chance, TEXT_BYTES))),
}


async def measure(address: str, kind: Kind, runs: int) -> Cost:
    """Measure the cost of runs of one kind.

    The runs are started in a queue, a worker drives 50 of them at a time, questions are answered, and at the end the
    runs are removed.
    """
    graph, chance = kind.graph(), random.Random(1)  # noqa: S311 - texts of the same lengths each time
    async with schema_at(address) as place, Runner(place) as runner:
        await runner.start(graph, kind.state(chance)).result()  # what a schema and a graph cost once
        with psycopg.connect(parse(address).url, autocommit=True) as connection:
            before = Server.read(connection, place)
            began = time.process_time()
            await _start(runner, graph, [kind.state(chance) for _ in range(runs)])
            await _drive(runner, graph, runs)
            client = time.process_time() - began
            after = Server.read(connection, place)
            await runner.admin.prune(keep_last=1)
            pruned = Server.read(connection, place)
    rows, step_rows, kept, search, steps, wal, cpu, commits = (
        (late - early) / runs for early, late in zip(before, after, strict=True)
    )
    removal = (pruned.cpu - after.cpu) / runs
    return Cost(rows, step_rows, kept, search, steps, wal, cpu, client / runs * 1e6, commits, removal)


async def _start(runner: Runner, graph: Graph[Any], states: Sequence[object]) -> None:
    for first in range(0, len(states), AT_ONCE):
        group = [runner.start(graph, state, queue="scale") for state in states[first : first + AT_ONCE]]
        await asyncio.gather(*(run.result() for run in group))


async def _drive(runner: Runner, graph: Graph[Any], runs: int) -> None:
    ended, answers = 0, set()

    def note(event: WorkerEvent) -> None:
        nonlocal ended
        if isinstance(event, RunOutcome):
            if event.result.status == "waiting":
                answers.add(asyncio.create_task(runner.answer(event.info.id, value=True)))
            ended += event.result.status == "finished"
        if ended == runs:
            worker.stop()

    worker = Worker(runner, graph, concurrency=AT_ONCE, on_event=note)
    await worker.run()
    await asyncio.gather(*answers)


class Server(NamedTuple):
    """What a server has stored and done so far for one schema.

    The fields are those of `Cost`, but for all runs together.
    """

    rows: int
    step_rows: int
    kept_bytes: int
    search_bytes: int
    step_bytes: int
    wal: int
    cpu: float
    commits: int

    @classmethod
    def read(cls, connection: psycopg.Connection[Any], address: str) -> Server:
        """Ask the server for its counts."""
        schema = parse(address).schema
        named = "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = %s::regnamespace"
        names = [name for (name,) in connection.execute(named, (schema,)) if name != "run_counts"]  # has few rows
        counts = {name: _one(connection, f"SELECT count(*) FROM {schema}.{name}") for name in names}  # noqa: S608
        size = sum(_one(connection, f"SELECT pg_total_relation_size('{schema}.{name}')") for name in names)
        steps = _one(connection, f"SELECT pg_relation_size('{schema}.steps')")
        wal = _one(connection, "SELECT pg_current_wal_insert_lsn() - '0/0'")
        commits = _one(connection, "SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint")
        words = _one(connection, f"SELECT pg_total_relation_size('{schema}.run_words')")
        return cls(sum(counts.values()), counts["steps"], size, words, steps, wal, _cpu_us(connection), commits)


def _one(connection: psycopg.Connection[Any], statement: str) -> int:
    row = connection.execute(statement.encode()).fetchone()
    return 0 if row is None else int(row[0])


def _cpu_us(connection: psycopg.Connection[Any]) -> float:
    """Return the CPU time of all processes of the server in µs, including those that have ended."""
    parent = _stat(connection.info.backend_pid)[1]
    own = _stat(parent)
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text(encoding="ascii").split()
    ticks = sum(own[11:15]) + sum(sum(_stat(int(child))[11:13]) for child in children)
    return ticks * 10_000


def _stat(pid: int) -> list[int]:
    """Return the numbers that Linux reports about a process after its name.

    The state, which is a letter, counts as 0.
    """
    _, _, rest = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(") ")
    return [0, *map(int, rest.split()[1:])]


def main() -> None:
    """Print the tables, from the recorded measurements or, with an address, from a new measurement."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale")
    parser.add_argument("address", nargs="?", help="a database on this machine: postgresql://…")
    parser.add_argument("runs", nargs="?", type=int, default=2000, help="of each kind; 2000 if not given")
    given = parser.parse_args()
    costs = MEASURED
    if given.address:
        costs = {name: asyncio.run(measure(given.address, kind, given.runs)) for name, kind in KINDS.items()}
        for name, cost in costs.items():
            print(f'    "{name}": Cost({", ".join(f"{value:.4g}" for value in cost)}),')
    print(tables(costs))


if __name__ == "__main__":
    main()

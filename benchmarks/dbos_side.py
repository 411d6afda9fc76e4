"""The workloads of `benchmarks.peers` as a user of DBOS writes them. Needs the packages of the group `bench`.

A workflow is a function, and a step one that it calls: DBOS records the workflow's input, what each step returned, and
the result. It connects to no server but its database, since no key for its Conductor is set.
"""

from __future__ import annotations

import asyncio
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, closing
from typing import TYPE_CHECKING, Any

from dbos import DBOS

from benchmarks.peers import STEPS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from benchmarks.peers import Databases, Library, Run


@asynccontextmanager
async def side(databases: Databases) -> AsyncIterator[Mapping[str, Library]]:
    """Yield the workloads of `benchmarks.peers` for DBOS, stored in SQLite."""
    path = databases.folder / "dbos.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")  # SQLite keeps it in the file

    def connect(*arguments: Any, **options: Any) -> sqlite3.Connection:  # noqa: ANN401 - those of `sqlite3.connect`
        connection = sqlite3.Connection(*arguments, **options)
        connection.execute(f"PRAGMA synchronous = {databases.synchronous}")
        return connection

    async with opened(f"sqlite:///{path}", db_engine_kwargs={"connect_args": {"factory": connect}}) as libraries:
        yield libraries


@asynccontextmanager
async def opened(address: str, **settings: Any) -> AsyncIterator[Mapping[str, Library]]:  # noqa: ANN401 - DBOS's
    """Yield the workloads of `benchmarks.peers` for DBOS, stored in the database at this address."""
    DBOS(config={"name": "benchmarks", "system_database_url": address, "log_level": "ERROR", **settings})
    DBOS.launch()
    try:
        yield {
            "DBOS": {"chain": _loop, "loop": _loop, "fork": _fork, "at once": _at_once},
            "DBOS, without async": {"loop": _loop_plainly, "at once": _at_once_plainly},
        }
    finally:
        DBOS.destroy()
        # DBOS gave the event loop its own pool of threads, and has just shut it down.
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor())


async def _increase(count: int) -> int:
    return count + 1


def _increase_plainly(count: int) -> int:
    return count + 1


async def _one() -> int:
    return 1


async def _counting(visits: int) -> int:
    count = 0
    while count < visits:
        count = await _step(count)
    return count


def _counting_plainly(visits: int) -> int:
    count = 0
    while count < visits:
        count = _plain_step(count)
    return count


async def _forking(arms: int) -> int:
    await _step(0)
    return sum(await asyncio.gather(*(_arm() for _ in range(arms))))


_step, _plain_step, _arm = DBOS.step()(_increase), DBOS.step()(_increase_plainly), DBOS.step()(_one)
_workflow, _plain_workflow = DBOS.workflow()(_counting), DBOS.workflow()(_counting_plainly)
_fork_workflow = DBOS.workflow()(_forking)


def _loop(visits: int) -> Run:
    async def run() -> int:
        counted: int = await _workflow(visits)
        return counted

    return run


def _loop_plainly(visits: int) -> Run:
    async def run() -> int:
        counted: int = await asyncio.to_thread(_plain_workflow, visits)
        return counted

    return run


def _fork(arms: int) -> Run:
    async def run() -> int:
        counted: int = await _fork_workflow(arms)
        return counted

    return run


def _at_once(runs: int) -> Run:
    async def run() -> int:
        started = [await DBOS.start_workflow_async(_workflow, STEPS) for _ in range(runs)]
        return sum([await each.get_result() for each in started])

    return run


def _at_once_plainly(runs: int) -> Run:
    def start_all() -> int:
        started = [DBOS.start_workflow(_plain_workflow, STEPS) for _ in range(runs)]
        return sum(each.get_result() for each in started)

    async def run() -> int:
        return await asyncio.to_thread(start_all)

    return run

"""Shared code of the tests of the SQLite store: another process, and a clock that tests set."""

from __future__ import annotations

import os
import sqlite3
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path
from typing import Any

from graphengine.databases.checksums import sum_of
from graphengine.databases.long_texts import cut
from graphengine.databases.sqlite import SQLiteStore
from graphengine.kernel.testing.kit import seqs
from tests.kit import forks

ROOT = Path(__file__).resolve().parents[2]

NOBODY = 65534
"""The user `nobody`."""
OpenStore = Callable[..., Awaitable[SQLiteStore]]
"""Opens a store, by default on the test's path, with keyword options."""


def forging(path: Path) -> sqlite3.Connection:
    """Return a connection with a function `sum_of(place, body)`, for wrong texts with right checksums."""

    def forged(place: int | str, body: str | bytes) -> int:
        return sum_of(place, body if isinstance(body, bytes) else body.encode())

    connection = sqlite3.connect(path)
    connection.create_function("sum_of", 2, forged)
    return connection


def change(path: Path, *statements: str) -> None:
    """Change a database without the store."""
    with closing(forging(path)) as connection, connection:
        for statement in statements:
            connection.execute(statement)


def rows(path: Path, query: str) -> list[tuple[Any, ...]]:
    """Return the rows of a query, read without the store."""
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(query).fetchall()


def together(body: bytes, *, repeats: bool = False) -> bytes:
    """Return a body that was cut, put together again."""
    short, found = cut(body, repeats=repeats)
    parts, done = [], 0
    for offset, text in found:
        parts += [short[done:offset], text]
        done = offset
    return b"".join((*parts, short[done:]))


def content_of(path: Path) -> bytes:
    """Return the bytes of a file, read by another process: closing it here would free this process's locks on it."""
    return subprocess.check_output(["cat", path])


def lock_down(folder: Path, mode: int = 0o555) -> None:
    """Remove the right to write, for this process too; another mode removes other rights to the folder."""
    for each in folder.iterdir():
        each.chmod(0o444)
    folder.chmod(mode)
    if os.geteuid() == 0:
        os.seteuid(NOBODY)


@asynccontextmanager
async def opened(path: Path, **options: Any) -> AsyncIterator[SQLiteStore]:
    """Open a store, and close it at the end."""
    store = SQLiteStore(path, **{"synchronous": "NORMAL", **options})
    await store.open()
    try:
        yield store
    finally:
        await store.close()


async def seqs_in(path: Path) -> list[int]:
    """Return the steps of run r that a database has, opened by a new store."""
    async with opened(path) as store:
        return seqs(await store.steps("r"))


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the database's write lock as another program would."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")


def queued(pending: Awaitable[None] | None) -> Awaitable[None]:
    """Return what `append` returned for a write that the thread makes."""
    assert pending is not None
    return pending


class OtherProcess:
    """A process running `driver.py`."""

    def __init__(self, path: Path) -> None:
        self._process = forks.start(Path(__file__).with_name("driver.py"), str(path))
        assert self._answer() == "ok"

    def send(self, line: str) -> str:
        """Send a line and return the answer."""
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        return self._answer()

    def kill(self) -> None:
        """Kill it as `kill -9` does, whatever it is doing."""
        self._process.kill()
        self._process.communicate()

    def _answer(self) -> str:
        return self._process.stdout.readline().strip()


class Clock:
    """A clock that tests advance."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        """Return the time in epoch seconds."""
        return self.now

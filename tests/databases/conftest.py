"""Stores on new files that close themselves, and other processes that end with the test."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from graphengine.databases.sqlite import SQLiteStore
from tests.databases.recorded import Facts, facts_of, record
from tests.databases.support import Clock, OpenStore, OtherProcess


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return the path for a new database."""
    return tmp_path / "runs.db"


@pytest.fixture(scope="session")
def recorded_bytes(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Return the bytes of a database of real runs."""
    file = tmp_path_factory.mktemp("recorded") / "runs.db"
    asyncio.run(record(file))
    return file.read_bytes()


@pytest.fixture
def made(recorded_bytes: bytes, path: Path) -> Path:
    """Return the path of a new database of real runs."""
    path.write_bytes(recorded_bytes)
    path.chmod(0o600)
    return path


@pytest.fixture(scope="session")
def truth(recorded_bytes: bytes, tmp_path_factory: pytest.TempPathFactory) -> Facts:
    """Return all facts of that database."""
    file = tmp_path_factory.mktemp("truth") / "runs.db"
    file.write_bytes(recorded_bytes)
    return asyncio.run(facts_of(file))


@pytest.fixture
def as_nobody() -> Iterator[Path]:
    """A folder that everybody can read, and a user who can write nothing in it once its mode forbids it."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    os.seteuid(os.getuid())
    folder.chmod(0o700)
    for each in folder.iterdir():
        each.chmod(0o700)
    shutil.rmtree(folder)


@pytest.fixture
def clock() -> Clock:
    """Return a clock that does not advance by itself."""
    return Clock()


@pytest.fixture
async def open_store(path: Path) -> AsyncIterator[OpenStore]:
    """Provide a function that opens stores, by default on `path`, and closes them at the end."""
    opened: list[SQLiteStore] = []

    async def opening(where: Path = path, /, **options: object) -> SQLiteStore:
        given: dict[str, Any] = {"synchronous": "NORMAL", **options}
        store = SQLiteStore(where, **given)
        opened.append(store)
        await store.open()
        return store

    yield opening
    for store in opened:
        await store.close()


@pytest.fixture
async def store(open_store: OpenStore) -> SQLiteStore:
    """Return an open store on a new file."""
    return await open_store()


@pytest.fixture
def start_process(path: Path) -> Iterator[Callable[[], OtherProcess]]:
    """Provide a function that starts processes that drive runs of the database at `path`."""
    started: list[OtherProcess] = []

    def starting() -> OtherProcess:
        started.append(OtherProcess(path))
        return started[-1]

    yield starting
    for process in started:
        process.kill()

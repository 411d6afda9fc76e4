import os
import shutil
import socket
import sqlite3
from contextlib import closing
from pathlib import Path
from tempfile import mkdtemp

from graphengine import GraphEngineError
from graphengine.databases.sqlite import SQLiteStore
from graphengine.databases.sqlite.files import APPLICATION_ID
from graphengine.databases.sqlite.queries import FIRST, latest_format
from graphengine.kernel.testing.kit import append, batch, new_run, seqs, step
from tests.databases.support import change

FOLDER = Path(mkdtemp())
PATH = FOLDER / "runs.db"


async def opened(path=PATH):
    """Open a file for reading, then for writing. Return what is said, and if it was changed."""
    said = []
    for way, read_only in (("reading", True), ("writing", False)):
        before = path.read_bytes() if path.is_file() else None
        store = SQLiteStore(path, read_only=read_only)
        try:
            await store.open()
            said.append(f"{way}: it has {', '.join([info.id for info in await store.runs()]) or 'no runs'}")
        except GraphEngineError as error:
            message = error.message.replace(str(FOLDER), "FOLDER")
            said.append(f"{way}: {type(error).__name__}: {message}")
            assert error.repair
            assert str(path) in str(error)
        finally:
            await store.close()
        if before is not None and path.read_bytes() != before:
            said.append(f"{way} changed the file")
    return "\n".join(said)


async def told(writing):
    """Return what is said of a write."""
    try:
        return f"written: {await writing}"
    except GraphEngineError as error:
        return f"{type(error).__name__}: {error.message}".replace(str(FOLDER), "FOLDER")


def empty_folder():
    """Remove all files."""
    for each in FOLDER.iterdir():
        shutil.rmtree(each) if each.is_dir() else each.unlink()


def made(*statements):
    """Make a database with these statements."""
    empty_folder()
    with closing(sqlite3.connect(PATH)) as connection:
        connection.executescript(";".join(statements))


def written(content):
    """Write a file."""
    empty_folder()
    PATH.write_bytes(content)


async def recorded(*statements):
    """Record a run, and then change the database with these statements."""
    empty_folder()
    store = SQLiteStore(PATH)
    await store.open()
    await append(store, batch("r", await new_run(store, "r"), [step(1)]))
    await store.close()
    change(PATH, *statements)


def left():
    """Return the names of the files."""
    return sorted(each.name for each in FOLDER.iterdir())

"""Malicious databases: nothing in them is run, followed or believed."""

from __future__ import annotations

import ast
import os
import re
import socket
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

import graphengine.databases.sqlite
from graphengine.databases.sqlite import SQLiteStore
from graphengine.errors import StoreCorrupt
from graphengine.kernel.testing.kit import append, batch, new_run, refused, seqs, step
from tests.databases.support import OpenStore, change, forging


async def a_run(open_store: OpenStore, path: Path) -> None:
    """Return a database with the run `r`, closed."""
    store = await open_store(path)
    await append(store, batch("r", await new_run(store, "r"), [step(1)]))
    await store.close()


async def test_the_schema_calls_nothing_with_an_effect(open_store: OpenStore) -> None:
    """Each connection is set not to trust the functions in a file's schema."""
    store = await open_store()
    assert store._reader is not None  # noqa: SLF001 - settings of a connection are visible nowhere else
    assert store._writer is not None  # noqa: SLF001
    for run in (store._reader.run, store._writer.run):  # noqa: SLF001
        found = await run(lambda c: c.execute("PRAGMA trusted_schema").fetchone())
        assert found == (0,)


@pytest.mark.parametrize("bad", ["../../precious", "/{folder}/precious", "precious", ""])
async def test_an_owner_of_a_database_leads_to_no_file_elsewhere(open_store: OpenStore, path: Path, bad: str) -> None:
    """A foreign owner id names no file: whatever the database holds, nothing is opened or removed."""
    await a_run(open_store, path)
    owners = path.with_name(path.name + "-owners")
    owners.mkdir(exist_ok=True)
    bad = bad.format(folder=path.parent)
    for precious in (path.parent / "precious.lock", path.parent.parent / "precious.lock", owners / "precious.lock"):
        precious.write_text("keep me")
    with closing(sqlite3.connect(path)) as connection:
        facts = (bad, socket.gethostname(), 1, f"{bad}.lock", 4e9)
        connection.execute("INSERT INTO owners (id, host, pid, lock_file, expires_at) VALUES (?, ?, ?, ?, ?)", facts)
        connection.execute("UPDATE runs SET driver = ?, status = 'running'", (bad,))
        connection.commit()
    store = await open_store()
    assert (await store.info("r")).held
    with pytest.raises(Exception, match="driven by"):
        await store.claim("r")
    await store.close()
    kept = [path.parent / "precious.lock", path.parent.parent / "precious.lock", owners / "precious.lock"]
    assert [each.read_text() for each in kept] == ["keep me"] * 3


async def test_a_lock_file_that_is_a_link_or_a_pipe_is_not_followed(open_store: OpenStore, path: Path) -> None:
    """In place of a lock file, a link is not followed and a pipe is not waited for."""
    await a_run(open_store, path)
    owners = path.with_name(path.name + "-owners")
    owners.mkdir(exist_ok=True)
    target = path.parent / "target"
    target.write_text("keep me")
    ids = ["a" * 32, "b" * 32]
    (owners / f"{ids[0]}.lock").symlink_to(target)
    os.mkfifo(owners / f"{ids[1]}.lock")
    store = await open_store()
    for owner in ids:
        with closing(sqlite3.connect(path)) as connection:
            facts = (owner, socket.gethostname(), 1, f"{owner}.lock", 4e9, "")
            connection.execute("INSERT INTO owners VALUES (?, ?, ?, ?, ?, ?)", facts)
            connection.execute("UPDATE runs SET driver = ?, status = 'running'", (owner,))
            connection.commit()
        assert (await store.info("r")).held
    assert target.read_text() == "keep me"


async def test_a_run_that_descends_from_itself_is_damaged(open_store: OpenStore, path: Path) -> None:
    """A circle of parents ends in an error, not in an endless loop."""
    await a_run(open_store, path)
    change(path, "DELETE FROM steps", "UPDATE runs SET parent = key, parent_seq = 7")
    store = await open_store(read_only=True)
    with refused(StoreCorrupt):
        await store.load("r")
    with refused(StoreCorrupt):
        await store.steps("r")


async def test_json_that_is_nested_without_end_is_damage(open_store: OpenStore, path: Path) -> None:
    """A body with a hundred thousand nested lists cannot be read, and the other runs are not affected."""
    await a_run(open_store, path)
    store = await open_store()
    await append(store, batch("s", await new_run(store, "s"), [step(1)]))
    await store.close()
    bomb = '{"kind": "node", "at": 1, "update": ' + "[" * 100_000 + "]" * 100_000 + "}"
    with closing(forging(path)) as connection:
        (key,) = connection.execute("SELECT key FROM runs WHERE id = 'r'").fetchone()
        row = key << 32 | 1
        connection.execute("DELETE FROM steps WHERE run = ?", (key,))
        connection.execute(
            "INSERT INTO steps (id, at, body, sum) VALUES (?, 1, ?, sum_of(?, ?))", (row, bomb, row, bomb)
        )
        connection.commit()
    store = await open_store(read_only=True)
    with refused(StoreCorrupt):
        await store.load("r")
    assert seqs(await store.steps("s")) == [1]


async def test_files_are_restricted_to_their_owner_whatever_the_umask(tmp_path: Path) -> None:
    """Database, write-ahead log, its index, the folder of locks and its files, and a new folder around them."""
    path = tmp_path / "new" / "runs.db"
    before = os.umask(0)
    try:
        store = SQLiteStore(path)
        await store.open()
        await new_run(store, "r")
        found = {each: stat.S_IMODE(each.stat().st_mode) for each in [path.parent, *path.parent.rglob("*")]}
        await store.close()
    finally:
        os.umask(before)
    names = {re.sub(r"[0-9a-f]{32}", "ID", each.name) for each in found}
    assert names == {"new", "runs.db", "runs.db-wal", "runs.db-shm", "runs.db-owners", "ID.lock"}
    assert {each.name: oct(mode) for each, mode in found.items() if mode & 0o077} == {}


# -- SQL

BUILT = {
    "PRAGMA integrity_check({_MOST_MESSAGES})": "a constant number",
    "PRAGMA incremental_vacuum({_PAGES_AT_ONCE})": "a constant number",
    "PRAGMA user_version = {latest_format()}": "a constant number",
    "INSERT INTO {name} ({name}) VALUES ('optimize')": "the name of one of two tables of ours",
    "PRAGMA {name}": "one of two words",
    "SELECT count(*) FROM {table} WHERE {condition}": "constant tables and conditions",
    "PRAGMA page_size = {PAGE_BYTES}": "a constant number; pragmas take no parameters",
    "PRAGMA synchronous = {('FULL' if synchronous == 'FULL' else 'NORMAL')}": "one of two words",
    "PRAGMA journal_size_limit = {longest_log()}": "a constant number",
    "PRAGMA application_id = {APPLICATION_ID}": "a constant number",
    "PRAGMA user_version = {upto}": "a constant number",
}
"""The statements that are formatted, and why no value of a user or a database can be in them."""


def executed(tree: ast.AST) -> Iterator[ast.expr]:
    """Yield the statement of each call of `execute`, `executemany` and `executescript`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr.startswith("execute"):
            yield node.args[0]


def test_no_value_is_ever_part_of_a_statement() -> None:
    """SQL is a constant, a name of one, or from a file of statements; formatted statements are on a short list."""
    folder = Path(str(graphengine.databases.sqlite.__file__)).parent
    built: set[str] = set()
    others = folder.parent / "postgres"  # its statements are functions of the database, called with parameters
    for file in sorted(file for file in folder.parent.parent.rglob("*.py") if others not in file.parents):
        source = file.read_text()
        for statement in executed(ast.parse(source)) if ".execute" in source else ():
            where = f"{file.name}:{statement.lineno}: {ast.unparse(statement)}"
            if file.parent.name == "toolbox":
                continue  # a model's own query, which SQLite lets read only; see tests/agents/toolbox
            assert folder in file.parents or file.name == "shared_reads.py", where
            if isinstance(statement, ast.JoinedStr):
                built.add(ast.unparse(statement)[2:-1].replace("\\'", "'"))
            elif isinstance(statement, ast.Subscript):
                table = ast.unparse(statement.value)
                assert table.lstrip("_").isupper() or table == "self.sql", where  # which has those of `SQL`
            elif isinstance(statement, ast.Name):
                assert statement.id.lstrip("_").isupper() or statement.id in ("statement", "query", "sql"), where
            else:
                assert isinstance(statement, ast.Constant), where
    assert built == set(BUILT)

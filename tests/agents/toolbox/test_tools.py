"""Ready tools: a calculator, SQL that only reads, Python in a sandbox."""

import asyncio
import sqlite3
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from graphengine import Agent, ScriptedModel
from graphengine.agents.toolbox import calculate, run_python, sql_reader
from graphengine.agents.toolbox import sql as sql_module
from graphengine.models.scripted import calls

# -- SQL


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """A database with a table of sales."""
    path = tmp_path / "a shop.db"
    with closing(sqlite3.connect(path)) as made:
        made.execute("CREATE TABLE sales (item TEXT, price REAL, picture BLOB)")
        made.executemany("INSERT INTO sales VALUES (?, ?, ?)", [("tea", 2.5, b"123"), ("coffee", None, None)])
        made.commit()
    return path


async def test_a_query_returns_columns_and_rows(database: Path) -> None:
    """The schema can be read; binary values are shown by their size."""
    query = sql_reader(database)
    assert await query("SELECT * FROM sales ORDER BY item DESC") == {
        "columns": ["item", "price", "picture"],
        "rows": [["tea", 2.5, "<3 bytes>"], ["coffee", None, None]],
        "is_cut": False,
    }
    assert "CREATE TABLE sales" in str(await query("SELECT sql FROM sqlite_schema"))
    assert (
        await query("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 3) SELECT sum(i) FROM n")
    )["rows"] == [[6]]


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO sales VALUES ('milk', 1, NULL)",
        "UPDATE sales SET price = 0",
        "DELETE FROM sales",
        "DROP TABLE sales",
        "CREATE TABLE more (x)",
        "CREATE TEMP TABLE more (x)",
        "ATTACH 'other.db' AS other",
        "VACUUM INTO 'copy.db'",
        "PRAGMA query_only = 0",
        "PRAGMA writable_schema = 1",
        "SELECT load_extension('evil')",
        "SELECT 1; DELETE FROM sales",
        "BEGIN",
        "EXPLAIN SELEC",
        "SELECT length(zeroblob(100000000))",
    ],
)
async def test_nothing_but_reading_is_allowed(database: Path, sql: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite itself allows nothing but reading, whatever the query looks like; no file is made."""
    monkeypatch.chdir(database.parent)
    before = database.read_bytes()
    with pytest.raises(ValueError, match="the query is refused"):
        await sql_reader(database)(sql)
    assert (database.read_bytes(), [*database.parent.iterdir()]) == (before, [database])


async def test_a_long_query_is_stopped_and_a_long_result_cut(database: Path) -> None:
    """A model cannot hold up a run."""
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT"
    with pytest.raises(ValueError, match=r"more than 0\.05 s"):
        await sql_reader(database, seconds=0.05)(f"{endless} count(*) FROM n")
    found = await sql_reader(database, most_rows=3)(f"{endless} i FROM n")
    assert (found["rows"], found["is_cut"]) == ([[1], [2], [3]], True)
    wide = await sql_reader(database)(f"{endless} hex(randomblob(5000)) FROM n")
    assert (len(str(wide["rows"])) <= 20_100, wide["is_cut"]) == (True, True)


async def test_a_query_that_is_cancelled_is_stopped(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that ends or a tool whose time is up leaves no thread that goes on reading."""
    before, loop, begun = set(threading.enumerate()), asyncio.get_running_loop(), asyncio.Event()
    authorized = sql_module._authorize  # noqa: SLF001 - SQLite asks it before a query begins

    def begin(*asked: Any) -> int:
        if "hex" in asked:
            loop.call_soon_threadsafe(begun.set)
        return authorized(*asked)

    monkeypatch.setattr(sql_module, "_authorize", begin)
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(hex(i)) FROM n"
    asking = asyncio.ensure_future(sql_reader(database, seconds=3600)(endless))
    await begun.wait()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    for thread in set(threading.enumerate()) - before:
        thread.join(10)
        assert not thread.is_alive()


async def test_a_wide_result_is_refused_before_it_is_held(database: Path) -> None:
    """SQLite holds a whole row, so its columns are bounded, not those of the tables that are read."""
    with closing(sqlite3.connect(database)) as made:
        made.execute(f"CREATE TABLE wide ({', '.join(f'c{number}' for number in range(300))})")
        made.execute("INSERT INTO wide (c7, c299) VALUES (7, 299)")
        made.commit()
    query = sql_reader(database)
    for sql in ("SELECT * FROM wide", f"SELECT {', '.join(['hex(randomblob(9))'] * 1500)}"):
        with pytest.raises(ValueError, match="too many columns"):
            await query(sql)
    assert (await query("SELECT c7, c299 FROM wide"))["rows"] == [[7, 299]]


async def test_a_database_may_be_made_after_its_tool(tmp_path: Path) -> None:
    """A module with the agent can be imported without it; a query does not create it, and the error names it."""
    query = sql_reader(tmp_path / "none.db")
    with pytest.raises(FileNotFoundError, match=r"none\.db"):
        await query("SELECT 1")
    assert [*tmp_path.iterdir()] == []


# -- Python


async def test_python_returns_what_is_printed_and_the_last_value() -> None:
    """Modules of the standard library that need no system can be imported."""
    pytest.importorskip("pydantic_monty")
    assert await run_python("import math\nprint('half')\nmath.sqrt(2) / 2 > 0.7") == "half\nTrue"
    assert await run_python("x = 1") == ""
    assert (await run_python("print('a' * 30000)")).endswith("a…")


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("open('/etc/passwd').read()", "PermissionError"),
        ("import os\nos.environ['HOME']", "not supported"),
        ("import socket", "ModuleNotFoundError"),
        ("import subprocess", "ModuleNotFoundError"),
        ("().__class__.__mro__[1].__subclasses__()", "AttributeError"),
        ("x = 'a' * 10 ** 10", "memory limit"),
        ("1 +", "Expected an expression"),
    ],
)
async def test_python_reaches_nothing_of_this_machine(code: str, message: str) -> None:
    """The interpreter has no files, network, environment or processes."""
    pytest.importorskip("pydantic_monty")
    with pytest.raises(ValueError, match=message):
        await run_python(code)


async def test_python_that_does_not_end_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python that does not end is stopped after its seconds."""
    pytest.importorskip("pydantic_monty")
    monkeypatch.setattr("graphengine.agents.toolbox.sandbox.SECONDS", 0.05)
    with pytest.raises(ValueError, match="time limit"):
        await run_python("while True: pass")


async def test_an_agent_uses_them_and_learns_from_errors(database: Path) -> None:
    """An error of a tool is a text for the model."""
    tools = [calculate, sql_reader(database)]
    turns = [
        calls(("query", {"sql": "DELETE FROM sales"}), ("calculate", {"expression": "1 / 0"})),
        calls(("calculate", {"expression": "2.5 * 4"})),
        "10",
    ]
    with ScriptedModel(turns) as model:
        analyst = Agent("analyst", prompt="Four teas cost?", tools=tools, model=model)
        assert await analyst.run() == "10"
    said = [message.text for message in model.requests[-1].messages if message.role == "tool"]
    assert "not authorized" in said[0]
    assert "has no result" in said[1]
    assert said[2] == "10"

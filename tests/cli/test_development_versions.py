"""What a development version wrote is refused by its number, in one line, by every command that reads it."""

import shlex
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner

from graphengine import GraphEngineError, Memory, Runner
from graphengine.cli.main import COMMANDS, main
from graphengine.databases.sqlite import SQLiteStore
from graphengine.records.export import parse, read_file
from graphengine.testing import replay
from graphs.review_loop import review_loop
from tests.cli.test_schemas import ELSEWHERE as ENDLESS
from tests.cli.test_schemas import calls
from tests.kit.postgres import execute
from tests.kit.record import FOLDER, REFUSED

FILE = REFUSED / "waiting.json"
DUMP = FOLDER / "databases" / "format_1.sql"
NO_DATABASE = {
    "new",
    "graphs",
    "check",
    "completion",
    "users list",
    "users add",
    "users remove",
    "users oidc",
    "budgets",
    "webhook-secret",
}
"""Commands that open none as they are called here: no budget is set, and `check` has no `--store`."""
ELSEWHERE = {
    "replay tides.json --all",
    "import tides.json --store elsewhere.db",
    "backup copy.db --store checkpoints/runs.db",
}
"""Calls that read a file, write to another database, or name the database by another path."""
LINES = [line for name in COMMANDS if name not in NO_DATABASE | ENDLESS for line in calls(name)]
MORE = ["check --store checkpoints/runs.db", "worker", "serve", "inspect", "mcp review", "watch tides"]
READING = ["import old.json", "replay old.json", "replay old.json --graph review"]
OF_DATABASE = (
    "error store_too_old: the {what} has format 1 of a development version; this version reads formats from 2 on"
)
OF_FILE = "error export_too_old: the file has format 1 of a development version; this version reads formats from 2 on"
NOT_CONVERTED = "what was recorded before version 0.1.0 is not converted"


def old_database(path: Path) -> None:
    """Write the database of a development version."""
    path.unlink()
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(DUMP.read_text(encoding="utf-8"))
    path.chmod(0o600)


def said(line: str) -> list[str]:
    """Return the lines of an error, with exit code 5 or 2."""
    done = CliRunner().invoke(main, shlex.split(line))
    assert done.exit_code in (2, 5), done.output
    assert "Traceback" not in done.output
    at = next(n for n, text in enumerate(done.output.splitlines()) if text.startswith("error"))
    return done.output.splitlines()[at:]


@pytest.mark.parametrize("line", sorted({*LINES, *MORE} - ELSEWHERE))
def test_each_command_refuses_a_database_and_changes_nothing(tried: Path, line: str) -> None:
    """Of SQLite: with its number, a code and what to do, and without a word of a field or a table."""
    path = tried / "checkpoints" / "runs.db"
    old_database(path)
    before = path.read_bytes()
    assert said(line) == [
        OF_DATABASE.format(what="database"),
        f"  at: {path}",
        f"  repair: use another file: {NOT_CONVERTED}",
    ]
    assert path.read_bytes() == before


def test_each_command_is_called_here() -> None:
    """One that the table does not have would read what it should refuse."""
    assert {line.split()[0] for line in [*LINES, *MORE]} | {name.split()[0] for name in NO_DATABASE} | {"schema"} == {
        name.split()[0] for name in COMMANDS
    }


@pytest.mark.parametrize(
    "line", ["runs", "run review", "doctor", "worker", "import tides.json", "erase user:ada --yes"]
)
def test_commands_refuse_a_schema(tried: Path, postgres: str, line: str) -> None:
    """Of PostgreSQL: in the same words, before any table but that of the number is read."""
    schema = postgres.partition("?schema=")[2]
    execute(postgres, f"DROP SCHEMA IF EXISTS {schema} CASCADE", f"CREATE SCHEMA {schema}")
    execute(
        postgres,
        "CREATE TABLE meta (format integer NOT NULL, oldest integer NOT NULL)",
        "INSERT INTO meta VALUES (1, 1)",
    )
    first, at, repair = said(f"{line} --store '{postgres}'")
    assert first == OF_DATABASE.format(what="schema")
    assert schema in at
    assert repair == f"  repair: use another schema, ?schema=NAME, or drop this one: {NOT_CONVERTED}"
    assert execute(postgres, "SELECT format FROM meta") == [(1,)]


@pytest.mark.parametrize("line", READING)
def test_commands_refuse_an_exported_run(tried: Path, line: str) -> None:
    """With the number of its format, not with a field that it has or lacks."""
    shutil.copy(FILE, tried / "old.json")
    assert said(line) == [OF_FILE, "  at: old.json", f"  repair: record the run again: {NOT_CONVERTED}"]


def reader(path: str) -> SQLiteStore:
    """Return a store that only reads."""
    return SQLiteStore(path, read_only=True)


@pytest.mark.parametrize("opened", [Runner, Memory, SQLiteStore, reader])
async def test_python_refuses_a_database(tmp_path: Path, opened: Callable[[str], object]) -> None:
    """By the same code."""
    path = tmp_path / "runs.db"
    path.touch()
    old_database(path)
    with pytest.raises(GraphEngineError) as caught:
        await used(opened(str(path)))
    assert (caught.value.code, "format 1" in caught.value.message) == ("store_too_old", True)


async def used(what: object) -> None:
    """Open what opens a database."""
    match what:
        case Runner():
            async with what:
                await what.runs()
        case Memory():
            async with what:
                await what.list()
        case SQLiteStore():
            await what.open()


def parsed(path: Path) -> None:
    """Read the text of a file."""
    parse(path.read_bytes(), "a")


def replayed(path: Path) -> None:
    """Replay it as a test does."""
    replay(review_loop(), path)


@pytest.mark.parametrize("read", [read_file, parsed, replayed])
def test_python_refuses_an_exported_run(read: Callable[[Path], object]) -> None:
    """By the same code, also as a recording that a test replays."""
    with pytest.raises(GraphEngineError) as caught:
        read(FILE)
    assert (caught.value.code, "format 1" in caught.value.message) == ("export_too_old", True)

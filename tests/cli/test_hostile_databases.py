"""What a database says is only ever text to the command line: no terminal obeys it, it names no file or address."""

import json
import os
import sqlite3
import stat
import threading
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from tests.cli.programs import WAITING, Invoke

EVIL = "\x1b]0;owned\x07\x1b[2J\u009b31m[bold red]\u202e"
STRUCTURE = {"kind", "to", "frame", "node", "at", "join", "arms", "id"}
DATABASE = Path("checkpoints", "runs.db")


def spoiled(value: object, *, all_of_it: bool, name: str = "") -> object:
    """A JSON value with every text in it spoiled, but those that hold the log together unless all are meant."""
    if isinstance(value, dict):
        return {key: spoiled(item, all_of_it=all_of_it, name=key) for key, item in value.items()}
    if isinstance(value, list):
        if name == "update" and not all_of_it:
            return [[*op[:2], *(spoiled(item, all_of_it=all_of_it) for item in op[2:])] for op in value]
        return [spoiled(item, all_of_it=all_of_it, name=name) for item in value]
    if isinstance(value, str) and (all_of_it or (name not in STRUCTURE and value not in ("ask", "receive"))):
        return value + EVIL
    return value


def spoil(*, all_of_it: bool) -> None:
    """Spoil every text of the database."""
    with closing(sqlite3.connect(DATABASE)) as connection:
        for table, key in (("steps", "id"), ("snapshots", "id"), ("outlines", "fingerprint")):
            for row, body in connection.execute(f"SELECT {key}, body FROM {table}").fetchall():  # noqa: S608 - our names
                new = json.dumps(spoiled(json.loads(body), all_of_it=all_of_it))
                connection.execute(f"UPDATE {table} SET body = ? WHERE {key} = ?", (new, row))  # noqa: S608
        connection.execute("UPDATE runs SET graph = graph || ?", (EVIL,))
        connection.execute("UPDATE runs SET id = id || ? WHERE id = 'other'", (EVIL,))
        connection.commit()


@pytest.mark.parametrize("all_of_it", [False, True])
def test_no_text_of_a_database_reaches_the_terminal_as_it_is(project: Path, invoke: Invoke, *, all_of_it: bool) -> None:
    """Whatever command shows a run, control codes in what it shows are escapes, in texts and in JSON alike."""
    (project / "flows" / "waiting.py").write_text(WAITING)
    for run_id in ("mine", "other"):
        assert invoke("run", "waiting", "--run-id", run_id).exit_code == 3
    spoil(all_of_it=all_of_it)
    for words in (
        ("runs",),
        ("show", "mine"),
        ("show", "othe"),
        ("show", "mine", "--step", "2"),
        ("show", "mine", "--at", "2"),
        ("answer", "mine", "plain"),
        ("answer", "mine", "plain", "--wait", "nothing"),
        ("send", "mine", "tips", "1", "--no-resume"),
        ("resume", "mine"),
        ("branch", "mine", "--at", "1"),
        ("stop", "mine"),
        ("render", "mine", "-o", "drawn.dot"),
        ("render", "mine", "-o", "drawn.svg", "--timeline"),
        ("render", "mine", "-o", "drawn.svg", "--scores"),
        ("render", "mine", "-o", "drawn.svg", "--branches"),
        ("render", "mine", "other", "-o", "drawn.svg"),
    ):
        for more in ((), ("--json",), ("--debug",)):
            found = invoke(*words, *more)
            assert found.exit_code in (0, 1, 2, 3, 4, 5), (words, found.output)
            assert not set(found.stdout + found.stderr) & set("\x1b\x07\u009b"), words
            if not more:
                assert "\u202e" not in found.stdout + found.stderr


def ask_schema(invoke: Invoke, schema: object) -> None:
    """A run that waits for an answer, with this schema stored in place of its own."""
    assert invoke("run", "waiting", "--run-id", "r").exit_code == 3
    with closing(sqlite3.connect(DATABASE)) as connection:
        for row, body in connection.execute("SELECT id, body FROM steps").fetchall():
            step = json.loads(body)
            for wait in step.get("data", {}).get("waits", {}).values():
                if wait["kind"] == "ask":
                    wait["schema"] = schema
            connection.execute("UPDATE steps SET body = ?, sum = NULL WHERE id = ?", (json.dumps(step), row))
        connection.commit()


@pytest.fixture
def visits() -> Iterator[tuple[str, list[str]]]:
    """A server on this machine, and what was asked of it."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"{}")

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield (f"http://127.0.0.1:{server.server_port}/schema.json", asked)
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_stored_schema_reads_no_address_and_no_file(
    project: Path, invoke: Invoke, visits: tuple[str, list[str]]
) -> None:
    """An answer is checked against the stored schema alone: what that refers to elsewhere is not fetched."""
    (project / "flows" / "waiting.py").write_text(WAITING)
    address, asked = visits
    ask_schema(invoke, {"anyOf": [{"$ref": address}, {"$ref": "file:///etc/passwd"}]})
    found = invoke("answer", "r", "plain", "--wait", "style", "--no-resume")
    assert found.exit_code == 2
    assert "cannot be used" in found.stderr
    assert asked == []


BAD_SCHEMAS: dict[str, object] = {
    "a circle": {"$ref": "#"},
    "no schema": {"type": 7},
    "no object": [1, 2],
    "a bad pattern": {"pattern": "("},
    "a pointer to nowhere": {"$ref": "#/$defs/nothing"},
}


@pytest.mark.parametrize("name", BAD_SCHEMAS)
def test_a_stored_schema_that_cannot_be_used_is_told(project: Path, invoke: Invoke, name: str) -> None:
    """A schema that nothing can be checked against ends the command with an error of ours."""
    (project / "flows" / "waiting.py").write_text(WAITING)
    ask_schema(invoke, BAD_SCHEMAS[name])
    found = invoke("answer", "r", "plain", "--wait", "style", "--no-resume")
    assert (found.exit_code, "unexpected" in found.stderr) == (2, False), found.stderr


def test_graphs_named_by_a_database_are_looked_for_among_the_projects_own(project: Path, invoke: Invoke) -> None:
    """A graph's name in a database is compared with names, and is never a file that is run."""
    evil = project / "evil.py"
    evil.write_text("raise SystemExit('run by a database')")
    assert invoke("run", "counter", "--run-id", "r", "--limit", "steps=1").exit_code == 4
    for name in (str(evil), "evil", "./evil.py", "../evil", f"{evil}:graph"):
        with closing(sqlite3.connect(DATABASE)) as connection:
            connection.execute("UPDATE runs SET graph = ?", (name,))
            connection.commit()
        for words in (("resume", "r"), ("show", "r"), ("branch", "r", "--at", "1"), ("runs",)):
            assert "run by a database" not in invoke(*words).output


@pytest.mark.parametrize("mask", [0, 0o022])
def test_the_file_of_a_result_is_for_its_user_alone(project: Path, invoke: Invoke, mask: int) -> None:
    """A new file for a result has the mode of the database; one that was there keeps its own."""
    before = os.umask(mask)
    try:
        (project / "there.txt").write_text("")
        there = stat.S_IMODE((project / "there.txt").stat().st_mode)
        for name in ("new.txt", "there.txt"):
            assert invoke("run", "counter", "--input", "text=hello", "-o", name).exit_code == 0
    finally:
        os.umask(before)
    assert stat.S_IMODE((project / "new.txt").stat().st_mode) == 0o600
    assert stat.S_IMODE((project / "there.txt").stat().st_mode) == there
    assert stat.S_IMODE((project / "checkpoints").stat().st_mode) == 0o700

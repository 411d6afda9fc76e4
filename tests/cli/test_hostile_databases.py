"""The contents of a database are only text to the command line: no terminal control, no file name, no address."""

import json
import os
import sqlite3
import stat
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from graphengine.databases.checksums import sum_of
from tests.cli.programs import WAITING, Invoke

EVIL = "\x1b]0;owned\x07\x1b[2J\u009b31m[bold red]\u202e"
STRUCTURE = {"kind", "to", "frame", "node", "at", "join", "arms", "id"}
DATABASE = Path("checkpoints", "runs.db")


def spoiled(value: object, *, all_of_it: bool, name: str = "") -> object:
    """Return a JSON value with its texts spoiled, except those that hold the log together unless all are requested."""
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
        for table, key in (("steps", "id"), ("snapshots", "id"), ("graph_specs", "fingerprint")):
            for row, body in connection.execute(f"SELECT {key}, body FROM {table}").fetchall():  # noqa: S608 - our names
                new = json.dumps(spoiled(json.loads(body), all_of_it=all_of_it))
                connection.execute(f"UPDATE {table} SET body = ? WHERE {key} = ?", (new, row))  # noqa: S608
        connection.execute("UPDATE runs SET graph = graph || ?", (EVIL,))
        connection.execute("UPDATE runs SET id = id || ? WHERE id = 'other'", (EVIL,))
        connection.commit()


@pytest.mark.parametrize("all_of_it", [False, True])
def test_no_text_of_a_database_reaches_the_terminal_unescaped(
    project: Path, invoke: Invoke, *, all_of_it: bool
) -> None:
    """Every command that shows a run escapes control codes, in text and in JSON."""
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
        ("runs", "--tree"),
        ("export", "mine"),
        ("diff", "mine", "othe"),
    ):
        for more in ((), ("--json",), ("--debug",)):
            found = invoke(*words, *more)
            assert found.exit_code in (0, 1, 2, 3, 4, 5), (words, found.output)
            assert "Usage: " not in found.output, (words, found.output)
            assert not set(found.stdout + found.stderr) & set("\x1b\x07\u009b"), words
            assert "\u202e" not in found.stdout + found.stderr, words


def record(seq: int, change: Callable[[dict[str, Any]], None]) -> None:
    """Change a recorded step, and correct its checksum."""
    with closing(sqlite3.connect(DATABASE)) as connection:
        row, body = connection.execute("SELECT id, body FROM steps WHERE id & 4294967295 = ?", (seq,)).fetchone()
        step = json.loads(body)
        change(step)
        body = json.dumps(step).encode()
        connection.execute(
            "UPDATE steps SET body = CAST(? AS TEXT), sum = ? WHERE id = ?", (body, sum_of(row, body), row)
        )
        connection.commit()


SHOWING = (("show", "r"), ("show", "r", "--json"), ("show", "r", "--step", "2"), ("export", "r"), ("diff", "r", "r"))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("at", "soon"),
        ("at", 1e300),
        ("frame", 7),
        ("visit", {}),
        ("began", [[]]),
        ("update", [["set"]]),
        ("data", True),
        ("data.to", [300_000_000]),
        ("data.way", "first"),
        ("data.tests", [["first", 1]]),
        ("data.tests", [[1, {"is": "shown"}]]),
        ("data.arms", [[-1, 1]]),
        ("data.chosen", True),
        ("data.usage", {"calls": "x"}),
        ("data.error", {"message": 1.5}),
        ("data.ending", "x"),
    ],
)
def test_a_fact_of_another_type_is_damage(invoke: Invoke, name: str, value: object) -> None:
    """For a fact of another type, even with a correct checksum, each command reports the step and the fault."""
    assert invoke("run", "counter", "--run-id", "r").exit_code == 0

    def change(step: dict[str, Any]) -> None:
        outer, _, inner = name.rpartition(".")
        (step.setdefault(outer, {}) if outer else step)[inner] = value

    record(2, change)
    for words in SHOWING:
        found = invoke(*words)
        assert found.exit_code == 5, (words, found.output)
        assert "store_corrupt" in (found.stdout if "--json" in words else found.stderr)
        assert "unexpected" not in found.output
    *_, last = name.split(".")
    named = {"data": "got `bool`", "update": "['set'] is not an operation"}.get(name, f"at `$.{last}")
    assert named in invoke("show", "r").stderr


def test_a_map_takes_no_more_memory_than_its_items(project: Path, invoke: Invoke) -> None:
    """A count of three hundred million over two items is refused before memory is allocated for it."""
    (project / "flows" / "mapping.py").write_text(MAPPING)
    assert invoke("run", "mapping", "--run-id", "r").exit_code == 0
    record(2, lambda step: step["data"].update(count=300_000_000))
    tracemalloc.start()
    found = invoke("show", "r")
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found.exit_code == 5
    assert "a map of 300000000 items has lists of other lengths" in found.stderr
    assert peak_bytes < 100_000_000


def test_a_diff_of_large_states_ends(project: Path, invoke: Invoke) -> None:
    """A hundred differences are shown, and the others are counted."""
    (project / "flows" / "mapping.py").write_text(MAPPING)
    for run_id, items in (("a", range(5000)), ("b", range(1, 5001))):
        found = invoke("run", "mapping", "--run-id", run_id, "--input", f"many={json.dumps(list(items))}")
        assert found.exit_code == 0, found.stderr
    reported = invoke("diff", "a", "b").stdout
    assert len(reported.splitlines()) < 400
    assert "more; --json has them all)" in reported


MAPPING = """
from typing import Annotated
from pydantic import BaseModel
from graphengine import END, START, Graph
from graphengine.reducers import append

class Numbers(BaseModel):
    items: list[int] = [1, 2]
    many: list[int] = []
    doubled: Annotated[list[int], append] = []

def double(item: int) -> int:
    return 2 * item

graph = Graph("mapping", Numbers)
graph.add_node("double", double, each={"item": "items"}, writes="doubled", thread=False)
graph.add_path(START, "double", END)
"""


def ask_schema(invoke: Invoke, schema: object) -> None:
    """Return a run that waits for an answer, with its stored schema replaced."""
    assert invoke("run", "waiting", "--run-id", "r").exit_code == 3
    with closing(sqlite3.connect(DATABASE)) as connection:
        for row, recorded in connection.execute("SELECT id, body FROM steps").fetchall():
            step = json.loads(recorded)
            for wait in step.get("data", {}).get("waits", {}).values():
                if wait["kind"] == "ask":
                    wait["schema"] = schema
            body = json.dumps(step)
            connection.execute(
                "UPDATE steps SET body = ?, sum = ? WHERE id = ?", (body, sum_of(row, body.encode()), row)
            )
        connection.commit()


@pytest.fixture
def visits() -> Iterator[tuple[str, list[str]]]:
    """A server on this machine, and the requests that it received."""
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
    """An answer is checked only against the stored schema; external references are not fetched."""
    (project / "flows" / "waiting.py").write_text(WAITING)
    address, asked = visits
    ask_schema(invoke, {"anyOf": [{"$ref": address}, {"$ref": "file:///etc/passwd"}]})
    found = invoke("answer", "r", "plain", "--wait", "style", "--no-resume")
    assert found.exit_code == 2
    assert "is invalid" in found.stderr
    assert asked == []


BAD_SCHEMAS: dict[str, object] = {
    "a circle": {"$ref": "#"},
    "no schema": {"type": 7},
    "no object": [1, 2],
    "a bad pattern": {"pattern": "("},
    "a pointer to nowhere": {"$ref": "#/$defs/nothing"},
}


@pytest.mark.parametrize("name", BAD_SCHEMAS)
def test_an_unusable_stored_schema_is_reported(project: Path, invoke: Invoke, name: str) -> None:
    """A schema that cannot be used ends the command with a GraphEngineError."""
    (project / "flows" / "waiting.py").write_text(WAITING)
    ask_schema(invoke, BAD_SCHEMAS[name])
    found = invoke("answer", "r", "plain", "--wait", "style", "--no-resume")
    code = 5 if name == "no object" else 2  # the step itself is damaged then
    assert (found.exit_code, "unexpected" in found.stderr) == (code, False), found.stderr


def test_graphs_of_a_database_are_searched_only_in_the_project(project: Path, invoke: Invoke) -> None:
    """A graph's name in a database is compared with names, and is never run as a file."""
    evil = project / "evil.py"
    evil.write_text("raise SystemExit('run by a database')")
    assert invoke("run", "counter", "--run-id", "r", "--limit", "visits=1").exit_code == 4
    for name in (str(evil), "evil", "./evil.py", "../evil", f"{evil}:graph"):
        with closing(sqlite3.connect(DATABASE)) as connection:
            connection.execute("UPDATE runs SET graph = ?", (name,))
            connection.commit()
        for words in (("resume", "r"), ("show", "r"), ("branch", "r", "--at", "1"), ("runs",)):
            assert "run by a database" not in invoke(*words).output


@pytest.mark.parametrize("mask", [0, 0o022])
def test_the_file_of_a_result_is_private(project: Path, invoke: Invoke, mask: int) -> None:
    """A new file for a result has the mode of the database; an existing one keeps its mode."""
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

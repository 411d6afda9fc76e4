import json
import subprocess
import sys
from pathlib import Path

import pytest

from graphengine import Graph
from graphengine.databases.sqlite.store import SQLiteStore
from graphengine.errors import StoreError
from tests.cli.programs import COUNTER, Invoke


def test_an_unexpected_exception_is_one_line_without_debug(project: Path, invoke: Invoke) -> None:
    """It is shown with the advice to use --debug, which shows the traceback."""
    (project / "bad.py").write_text(COUNTER + "\nGraph.compile = lambda self: 1 / 0\n")
    original = Graph.compile
    try:
        quiet, loud = invoke("run", "bad.py"), invoke("run", "bad.py", "--debug")
    finally:
        Graph.compile = original  # type: ignore[method-assign]
    assert (quiet.exit_code, loud.exit_code) == (1, 1)
    assert "unexpected: ZeroDivisionError: division by zero" in quiet.stderr
    assert "run the command with --debug" in quiet.stderr
    assert "Traceback" not in quiet.stderr
    assert "Traceback" in loud.stderr


def test_ctrl_c_while_the_command_loads_is_no_traceback() -> None:
    """Ctrl-C while the command loads gives exit code 130 and one line, without a traceback."""
    script = (
        "import runpy, sys\n"
        "class Interrupting:\n"
        "    def find_spec(self, name, *rest):\n"
        "        if name == 'graphengine.cli.main': raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Interrupting())\n"
        "runpy.run_module('graphengine', run_name='__main__')"
    )
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-c", script], cwd=root, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (130, "interrupted before anything was done\n")


def test_help_is_plain_text(invoke: Invoke) -> None:
    """No markup of the help texts is left in them."""
    for words in ([], ["run"], ["runs"], ["show"]):
        assert "\\b" not in invoke(*words, "--help").stdout
        assert "\b" not in invoke(*words, "--help").stdout


def test_an_error_of_the_close_adds_no_second_document(
    project: Path, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What follows the one JSON document is reported on stderr, and by the exit code."""
    close = SQLiteStore.close

    async def broken(store: SQLiteStore) -> None:
        await close(store)
        raise StoreError("the disk is gone")

    invoke("run", "counter", "--run-id", "r")
    monkeypatch.setattr(SQLiteStore, "close", broken)
    ended = invoke("show", "r", "--json")
    assert (ended.exit_code, json.loads(ended.stdout)["status"]) == (5, "finished")
    assert "the disk is gone" in ended.stderr

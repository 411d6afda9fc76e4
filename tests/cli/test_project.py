import sqlite3
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import pytest

from graphengine.cli.places import graph_words
from graphengine.cli.project import find, find_named, load
from graphengine.serve.inspector import server as inspector
from graphengine.serve.service import server as service
from tests.cli.programs import COUNTER, Invoke, document


def failure(invoke: Invoke, *words: str) -> dict[str, str]:
    """Return the error that ends a command, which must be a usage error."""
    found = invoke(*words, "--json")
    assert found.exit_code == 2
    error: dict[str, str] = document(found.stdout)["error"]
    return error


def test_a_graph_is_found_by_name_through_pyproject(project: Path) -> None:
    """NAME is looked up in the folders of [tool.graphengine] graphs, also from a subfolder."""
    assert find("counter").graph.name == "counter"
    assert find("flows/counter.py:graph").reference == ""
    assert find(str(project / "flows" / "counter.py")).reference == ""


def test_a_graph_is_found_in_a_file_of_another_name(project: Path) -> None:
    """A graph is found by its own name in any file of the folders."""
    (project / "flows" / "other.py").write_text(COUNTER.replace('"counter"', '"tally"'))
    assert find_named("tally", of_run=True).file.name == "other.py"


def test_commands_name_the_graphs_file_only_if_needed(project: Path) -> None:
    """A graph whose name is a file's name, or occurs in one, is found by its name, unless two files define it."""
    (project / "flows" / "other.py").write_text("1 / 0\n" + COUNTER.replace('"counter"', '"tally"'))
    assert graph_words("counter") == graph_words("tally") == []
    assert graph_words("elsewhere") == ["--graph", "FILE"]
    (project / "flows" / "copy.py").write_text(COUNTER)
    assert graph_words("counter") == ["--graph", "FILE"]
    (project / "pyproject.toml").unlink()
    assert graph_words("counter") == ["--graph", "FILE"]


def test_two_files_of_one_name_do_not_collide(tmp_path: Path, project: Path) -> None:
    """Each file is a separate module, whatever its name."""
    for folder, name in (("a", "one"), ("b", "two")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "flow.py").write_text(COUNTER.replace('"counter"', f'"{name}"'))
    first, second = (find(str(tmp_path / folder / "flow.py")) for folder in ("a", "b"))
    assert [first.graph.name, second.graph.name] == ["one", "two"]
    assert first.graph.state is not second.graph.state
    assert sys.modules[first.graph.state.__module__] is first.module
    assert sys.modules[second.graph.state.__module__] is second.module


def test_a_file_named_like_a_module_of_python_does_not_replace_it(tmp_path: Path, project: Path) -> None:
    """A `queue.py` is run under another name, and does not replace Python's module."""
    (tmp_path / "queue.py").write_text(COUNTER)
    assert load(tmp_path / "queue.py").__name__ != "queue"


def test_a_graphs_file_leaves_no_bytecode(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Running a file writes nothing next to it."""
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    monkeypatch.setattr(sys, "pycache_prefix", None)
    find("counter")
    assert list(project.rglob("__pycache__")) == []


def test_a_graph_imports_from_its_project(project: Path) -> None:
    """The folder of the nearest pyproject.toml is on the path, so that graphs can import nodes."""
    (project / "parts_of_test").mkdir()
    (project / "parts_of_test" / "work.py").write_text("NAME = 'from parts'\n")
    (project / "flows" / "user.py").write_text(
        COUNTER.replace('Graph("counter"', "Graph(NAME").replace(
            "\nfrom typing", "\nfrom parts_of_test.work import NAME\nfrom typing", 1
        )
    )
    assert find("flows/user.py").graph.name == "from parts"


def test_one_of_several_graphs_is_named_after_the_file(project: Path, invoke: Invoke) -> None:
    """FILE:NAME selects one, by variable or by the graph's name; an unknown name lists them."""
    (project / "two.py").write_text(COUNTER + "\nspare = Graph('another', Count)\n")
    assert find("two.py:spare").graph.name == "another"
    assert find("two.py:another").graph.name == "another"
    assert "two.py:spare" in failure(invoke, "check", "two.py:nope")["repair"]


def test_the_project_says_how_long_to_wait_for_a_locked_database(project: Path, invoke: Invoke) -> None:
    """`busy_timeout_seconds` reaches the store; a locked database names the setting."""
    assert invoke("run", "counter", "--store", "runs.db").exit_code == 0
    with (project / "pyproject.toml").open("a") as settings:
        settings.write("busy_timeout_seconds = 0.01\n")
    connection = sqlite3.connect("runs.db", isolation_level=None)
    connection.execute("BEGIN EXCLUSIVE")
    locked = invoke("run", "counter", "--store", "runs.db")
    connection.close()
    assert (locked.exit_code, "busy_timeout_seconds = 60 in [tool.graphengine]" in locked.stderr) == (5, True)


def test_inspect_and_serve_wait_for_a_locked_database_as_long(
    project: Path, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`busy_timeout_seconds` is a setting of both servers."""
    given: list[float] = []

    def serve(settings: inspector.Settings, *opened: object) -> Sequence[object]:
        given.append(settings.busy_timeout_seconds)
        return ()

    def serving(settings: service.Settings) -> NoReturn:
        given.append(settings.busy_timeout_seconds)
        raise KeyboardInterrupt

    monkeypatch.setattr(inspector, "serve", serve)
    monkeypatch.setattr(service, "Serving", serving)
    invoke("run", "counter")
    with (project / "pyproject.toml").open("a") as settings:
        settings.write("busy_timeout_seconds = 0.01\n")
    invoke("inspect", "--no-open")
    invoke("serve", "counter")
    assert given == [0.01, 0.01]

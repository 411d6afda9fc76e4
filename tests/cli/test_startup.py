"""The imports of a command: only what it needs. `python -m benchmarks startup` measures their cost."""

import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = {
    "anthropic",
    "graphengine.render",
    "graphlay",
    "jsonschema",
    "networkx",
    "openai",
    "resvg_py",
    "rich.console",  # a pipe gets no colours
}
WRITING = {"graphengine.api.graph", "graphengine.runner.runner", "pydantic.main"}
"""Modules that run graphs; commands that only read records do not import them."""
ASKING = {"graphengine.cli.report", "graphengine.engine", "pydantic_core", "rich", "sqlite3"}
"""Modules that read a database; `--help` does not import them."""

PROGRAM = """
import sys
from graphengine.cli.main import main
try:
    main(sys.argv[1:])
finally:
    print(*sorted(sys.modules), file=sys.stderr)
"""


def loaded(folder: Path, line: str) -> set[str]:
    """Return the modules that a command has imported at its end."""
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM, *line.split()], cwd=folder, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    return set(ran.stderr.splitlines()[-1].split())


@pytest.mark.parametrize(
    "line",
    ["--help", "--version", "run --help", "worker --help", "prune --help", "completion zsh"],
)
def test_help_imports_no_database_and_no_pydantic(tried: Path, line: str) -> None:
    """`help` imports only click, and the command's own module."""
    assert not loaded(tried, line) & (HEAVY | WRITING | ASKING | {"asyncio", "pydantic"})


@pytest.mark.parametrize(
    "line",
    [
        "runs",
        "runs --tree --json",
        "new flows2",
        "watch tides",
        "watch tides --json",
        "show tides",
        "show tides --step 2 --json",
        "show tides --usage",
        "diff tides tides-2",
        "export tides -o copy.json",
    ],
)
def test_commands_that_read_records_import_neither_runner_nor_models(tried: Path, line: str) -> None:
    """The store and the fold are enough."""
    assert not loaded(tried, line) & (HEAVY | WRITING)


@pytest.mark.parametrize(
    "line", ["graphs", "check", "replay tides", "prune --keep-last 9 --dry-run", "stop post", "run review", "doctor"]
)
def test_running_a_graphs_file_imports_no_unused_library(tried: Path, line: str) -> None:
    """Running a graph's file imports no unused library, except for the imports of the file itself.

    `doctor` runs such a file if there are schedules, to see whether their inputs still fit.
    """
    assert not loaded(tried, line) & HEAVY


def test_the_command_line_looks_for_garbage_seldom() -> None:
    """The program raises Python's threshold, also for its commands; importing graphengine does not."""
    program = "import gc, graphengine, graphengine.__main__ as m; print(gc.get_threshold()[0]); import sys\n"
    program += "sys.argv[1:] = ['--version']\ntry:\n    m.main()\nfinally:\n    print(gc.get_threshold()[0])"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    before, _, after = ran.stdout.split("\n")[:3]
    assert int(before) < int(after)

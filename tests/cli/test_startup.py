"""What a command loads: none pays for what it does not need. `python -m benchmarks startup` measures what it costs."""

import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = {
    "anthropic",
    "graphengine.cli.schemas",  # for `schema` alone
    "graphengine.render",
    "jsonschema",
    "networkx",
    "openai",
    "pygraphviz",
    "rich.console",  # nobody reads a pipe in colours
}
WRITING = {"graphengine.graph.graph", "graphengine.runner.runner", "pydantic.main"}
"""What runs graphs; who only reads what is recorded does without."""
ASKING = {"graphengine.cli.recorded", "graphengine.engine", "pydantic_core", "rich", "sqlite3"}
"""What reads a database; who asks for help does without."""

PROGRAM = """
import sys
from graphengine.cli.main import main
try:
    main(sys.argv[1:])
finally:
    print(*sorted(sys.modules), file=sys.stderr)
"""


def loaded(folder: Path, line: str) -> set[str]:
    """The modules that a command has loaded at its end."""
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM, *line.split()], cwd=folder, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    return set(ran.stderr.splitlines()[-1].split())


@pytest.mark.parametrize(
    "line",
    ["--help", "--version", "run --help", "worker --help", "prune --help", "completion zsh"],
)
def test_who_asks_for_help_loads_no_database_and_no_pydantic(tried: Path, line: str) -> None:
    """Click, and the command's own module."""
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
        "doctor",
        "export tides -o copy.json",
    ],
)
def test_who_reads_what_is_recorded_loads_neither_runner_nor_models(tried: Path, line: str) -> None:
    """The store and the fold are enough."""
    assert not loaded(tried, line) & (HEAVY | WRITING)


@pytest.mark.parametrize(
    "line", ["list", "check", "replay tides", "prune --keep-last 9 --dry-run", "stop post", "run review"]
)
def test_who_runs_a_graphs_file_loads_no_library_that_it_does_not_use(tried: Path, line: str) -> None:
    """What the file imports itself is its own affair."""
    assert not loaded(tried, line) & HEAVY

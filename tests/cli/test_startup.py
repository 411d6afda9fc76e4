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
WRITING = {"graphengine.api.graph", "graphengine.runner.runner", "jsonschema", "pydantic"}
"""Modules that run graphs or check values; commands that only read records do not import them."""
FOLDING = {"graphengine.engine.fold", "graphengine.records.json_document", "graphengine.records.run_diff", "tempfile"}
"""Modules that read the log of a run; a list of runs does not import them."""
ASKING = {"asyncio", "graphengine.cli.report", "graphengine.engine", "pydantic_core", "rich", "sqlite3"}
"""Modules that read a database; `--help` does not import them."""
NEEDLESS = {"decimal", "difflib", "json", "logging", "msgspec", "traceback"}
"""Modules that `--help` does without."""

UNUSED = {
    **dict.fromkeys(["--help", "--version"], HEAVY | WRITING | FOLDING | ASKING | NEEDLESS),
    **dict.fromkeys(
        ["run --help", "worker --help", "prune --help", "completion zsh"], HEAVY | WRITING | FOLDING | ASKING
    ),
    **dict.fromkeys(["runs", "runs --limit 1"], HEAVY | WRITING | FOLDING),
    **dict.fromkeys(
        [
            "runs --tree --json",
            "new flows2",
            "show tides",
            "show tides --step 2 --json",
            "show tides --usage",
            "diff tides tides-2",
            "export tides -o copy.json",
        ],
        HEAVY | WRITING,
    ),
    # These show live answers of agents, whose module reads JSON with pydantic.
    **dict.fromkeys(["watch tides", "watch tides --json"], (HEAVY | WRITING) - {"pydantic"}),
    # These run a graph's file, which imports what it needs itself. `doctor` runs such a file if there are schedules,
    # to see whether their inputs still fit.
    **dict.fromkeys(
        ["graphs", "check", "replay tides", "prune --keep-last 9 --dry-run", "stop post", "run review", "doctor"], HEAVY
    ),
}
"""The modules that each command may not load."""

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


@pytest.mark.parametrize("line", UNUSED)
def test_a_command_loads_only_what_it_uses(tried: Path, line: str) -> None:
    """Each module costs every call of the command; `python -m benchmarks.since --commands` counts what all cost."""
    assert not loaded(tried, line) & UNUSED[line]


def test_the_command_line_looks_for_garbage_seldom() -> None:
    """The program raises Python's threshold, also for its commands; importing graphengine does not."""
    program = "import gc, graphengine, graphengine.__main__ as m; print(gc.get_threshold()[0]); import sys\n"
    program += "sys.argv[1:] = ['--version']\ntry:\n    m.main()\nfinally:\n    print(gc.get_threshold()[0])"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    before, _, after = ran.stdout.split("\n")[:3]
    assert int(before) < int(after)

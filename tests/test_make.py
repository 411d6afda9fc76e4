"""`make test` and `make check`, with tools that only report their calls: what runs, and what a failure leads to."""

import os
import subprocess
from pathlib import Path
from shutil import copy, which

import pytest

ROOT = Path(__file__).resolve().parent.parent
TOOLS = ("ruff", "lint-imports", "mypy", "basedpyright", "pytest")
TOOL = """#!/bin/sh
name=${0##*/}
echo "<$name $*>" | tee -a "$CALLS"
[ "$name" != "$FAILING" ]
"""

pytestmark = pytest.mark.skipif(which("make") is None, reason="needs make")


def made(target: str, folder: Path, failing: str = "") -> tuple[int, str, list[str]]:
    """Return the exit code of a target, its output and the tools that were called, by name."""
    for name in TOOLS:
        tool = folder / ".venv" / "bin" / name
        tool.parent.mkdir(parents=True, exist_ok=True)
        tool.write_text(TOOL, encoding="utf-8")
        tool.chmod(0o755)
    copy(ROOT / "Makefile", folder)
    ready = folder / ".venv" / "ready-test"
    ready.touch()
    calls = folder / "calls"
    calls.touch()
    variables = {name: text for name, text in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    ended = subprocess.run(
        ["make", "--old-file", ".venv/ready-test", target],
        cwd=folder,
        env={**variables, "CALLS": str(calls), "FAILING": failing},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=60,
    )
    return ended.returncode, ended.stdout, [line[1:-1].split()[0] for line in calls.read_text("utf-8").splitlines()]


@pytest.mark.parametrize("target", ["test", "check", "lint"])
def test_all_is_well_if_each_tool_succeeds(tmp_path: Path, target: str) -> None:
    """The exit code is 0, and what each tool printed is shown."""
    code, output, called = made(target, tmp_path)
    assert code == 0, output
    expected = {"test": set(TOOLS), "check": {*TOOLS} - {"basedpyright"}, "lint": {*TOOLS} - {"pytest"}}[target]
    assert set(called) == expected
    assert all(f"<{name}" in output for name in expected)
    assert not (tmp_path / ".types.log").exists()


@pytest.mark.parametrize("failing", TOOLS)
@pytest.mark.parametrize("target", ["test", "check"])
def test_any_failure_is_one_of_the_whole(tmp_path: Path, target: str, failing: str) -> None:
    """The exit code is not 0, whichever tool fails, also the one whose output is shown after another's."""
    code, output, called = made(target, tmp_path, failing)
    assert (code != 0) == (failing in called), output
    assert failing in called or (target, failing) == ("check", "basedpyright")
    named = {"pytest": "the tests", "mypy": "the types", "basedpyright": "the types"}.get(failing)
    if target == "test" and named:
        assert f"== FAILED: {named}\n" in output
        assert "pytest" in called  # the tests ran all the same

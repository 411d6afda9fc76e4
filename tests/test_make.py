"""`make test`, `check` and `coverage`, with tools that only report their calls: what runs, what a failure leads to."""

import os
import subprocess
import sys
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


def made(target: str, folder: Path, failing: str = "", **given: str) -> tuple[int, str, list[str]]:
    """Return the exit code of a target, its output and the tools that were called, by name."""
    for name in (*TOOLS, "graphengine"):
        tool = folder / ".venv" / "bin" / name
        tool.parent.mkdir(parents=True, exist_ok=True)
        tool.write_text(TOOL, encoding="utf-8")
        tool.chmod(0o755)
    python = folder / ".venv" / "bin" / "python"
    if not python.exists():
        python.symlink_to(sys.executable)
    for name in ("scripts", "graphengine/engine", "tests/engine"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    copy(ROOT / "Makefile", folder)
    copy(ROOT / "scripts" / "check.py", folder / "scripts")
    (folder / "tests" / "engine" / "test_nothing.py").touch()
    ready = folder / ".venv" / "ready-test"
    ready.touch()
    ready.with_name("ready-run").touch()
    calls = folder / "calls"
    calls.touch()
    variables = {name: text for name, text in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    ended = subprocess.run(
        ["make", "--old-file", ".venv/ready-test", "--old-file", ".venv/ready-run", target],
        cwd=folder,
        env={**variables, **given, "CALLS": str(calls), "FAILING": failing},
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


def test_an_area_has_its_package_and_its_tests(tmp_path: Path) -> None:
    """`make check AREA=…` gives each tool the package and the tests of an area; an unknown one is named."""
    code, output, _ = made("check", tmp_path / "known", AREA="engine")
    assert code == 0, output
    assert "areas: engine, scenarios, sim\n" in output
    assert "<mypy tests/engine>" in output  # the package is empty here
    code, output, called = made("check", tmp_path / "unknown", AREA="engines")
    assert "there is no area engines; there are: engine" in output
    assert (code != 0, called) == (True, [])


def test_a_hook_checks_the_python_of_a_commit(tmp_path: Path) -> None:
    """It refuses a commit that a tool or the check of the message refuses, and keeps somebody else's hook."""

    def git(*words: str, failing: str = "") -> int:
        given = {"CALLS": str(tmp_path / "calls"), "FAILING": failing, "GIT_CONFIG_GLOBAL": os.devnull}
        who = ("-c", "user.name=a", "-c", "user.email=a@example.org")
        return subprocess.run(("git", *who, *words), cwd=tmp_path, env={**os.environ, **given}, check=False).returncode

    assert git("init", "--quiet") == 0
    (tmp_path / "scripts").mkdir()
    for name in ("pre-commit", "commit-msg"):
        copy(ROOT / "scripts" / name, tmp_path / "scripts")
    assert made("hook", tmp_path)[0] == 0
    assert (git("add", "Makefile"), git("commit", "--quiet", "-m", "make: add one", failing="ruff")) == (0, 0)
    assert (tmp_path / "calls").read_text() == ""
    (tmp_path / "a file.py").touch()
    assert git("add", "a file.py") == 0
    assert [git("commit", "--quiet", "-m", "make: add two", failing=name) for name in ("ruff", "lint-imports", "")] == [
        1,
        1,
        0,
    ]
    assert "<ruff check --quiet --force-exclude a file.py>" in (tmp_path / "calls").read_text()
    assert git("commit", "--quiet", "--allow-empty", "-m", "Add three") == 1
    (tmp_path / ".git" / "hooks" / "pre-commit").write_text("theirs")
    code, output, _ = made("hook", tmp_path)
    assert (code != 0, "is there already" in output) == (True, True)


PIP = """Looking in indexes: https://index.example/simple
Obtaining file:///project
  Installing build dependencies: started
  Installing build dependencies: finished with status 'done'
Collecting click==8.3.1 (from durable-graphengine==0.1.0)
  Downloading click-8.3.1-py3-none-any.whl (108 kB)
Collecting rich==14.2.0 (from durable-graphengine==0.1.0)
Building wheels for collected packages: durable-graphengine
Installing collected packages: rich, click, durable-graphengine
Successfully installed click-8.3.1 durable-graphengine-0.1.0 rich-14.2.0
"""


def installed(folder: Path, code: int) -> subprocess.CompletedProcess[str]:
    """Run the script that installs, with a pip that prints the above and ends with this code."""
    package = folder / "pip"
    package.mkdir()
    (package / "__init__.py").touch()  # a folder without it would not be found before the real pip
    (package / "__main__.py").write_text(f"print({PIP!r}, end=''); raise SystemExit({code})")
    return subprocess.run(
        [sys.executable, ROOT / "scripts" / "install.py", "inspect,models"],
        cwd=folder,  # where there is nothing to install
        env={**os.environ, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_installing_prints_a_line_for_each_stage(tmp_path: Path) -> None:
    """The first line names what is installed; of pip's own output nothing is printed."""
    ended = installed(tmp_path, 0)
    assert (ended.returncode, ended.stderr) == (0, "")
    first, *stages = ended.stdout.splitlines()
    assert first.startswith("Installing durable-graphengine[inspect,models] into ")
    assert [line.partition(" s  ")[2] for line in stages] == [
        "preparing the build",
        "finding and downloading packages",
        "building this project",
        "installing 3 packages",
        "ready",
        "",
    ]


def test_a_failed_installation_prints_all_of_pips_output(tmp_path: Path) -> None:
    """A failed installation prints all of pip's output, and ends with pip's exit code, so that make stops."""
    ended = installed(tmp_path, 3)
    assert (ended.returncode, ended.stderr) == (3, PIP)
    assert "ready" not in ended.stdout


def test_coverage_measures_the_tests_that_do_not_search(tmp_path: Path) -> None:
    """It runs pytest alone; `make test` measures no coverage."""
    code, output, called = made("coverage", tmp_path)
    assert (code, called) == (0, ["pytest"]), output
    assert "-m not search --cov" in output
    assert "--cov" not in made("test", tmp_path)[1]


def test_a_task_without_texts_or_a_model_says_which_variable_of_make_gives_them(tmp_path: Path) -> None:
    """The command would name its own option, which make does not take."""
    refused = 'TASK needs texts to write from, SOURCES="a.md b.md", or a model, RUN_ARGS="--model …"'
    code, output, called = made("run", tmp_path, TASK="x")
    assert (code, refused in output, called) == (2, True, [])
    for given, words in (
        ({}, "run review_loop --output brief.md"),
        ({"TASK": "x", "SOURCES": "a b"}, "run review_loop --input task=x --input sources=@a --input sources=@b"),
        ({"TASK": "x", "RUN_ARGS": "--model m"}, "run review_loop --input task=x --model m"),
    ):
        assert f"<graphengine {words}" in made("run", tmp_path, **given)[1]


def test_the_twin_without_make_runs_the_same_tools(tmp_path: Path) -> None:
    """`python -m scripts test` runs what `make test` runs, in one order, and stops at the first failure."""
    copied = tmp_path / "scripts"
    copied.mkdir()
    copy(ROOT / "scripts" / "__main__.py", copied)
    for name in ("pyproject.toml", "constraints.txt"):
        (tmp_path / name).touch()
    made("lint", tmp_path)  # makes the tools, and .venv/ready-test
    for failing, expected in (("", [*TOOLS]), ("mypy", ["ruff", "lint-imports", "mypy"])):
        (tmp_path / "calls").write_text("", "utf-8")
        ended = subprocess.run(
            [sys.executable, "-m", "scripts", "test", "-k", "plateau"],
            cwd=tmp_path,
            env={**os.environ, "CALLS": str(tmp_path / "calls"), "FAILING": failing},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        called = [line[1:-1].split() for line in (tmp_path / "calls").read_text("utf-8").splitlines()]
        assert (ended.returncode != 0) == bool(failing), ended.stderr
        assert list(dict.fromkeys(name for name, *_ in called)) == expected
        assert failing or called[-1][-2:] == ["-k", "plateau"]

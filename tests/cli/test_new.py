import os
import subprocess
import sys
from pathlib import Path

import pytest

from graphengine.cli.new import NoPlaceForProject, name_of, project_files, write
from graphengine.cli.places import picture_ending
from tests.cli.programs import ROOT, Invoke, call, document

FILES = [
    ".gitignore",
    "Makefile",
    "README.md",
    "checkpoints/README.md",
    "graphs/__init__.py",
    "graphs/review_loop.py",
    "nodes/__init__.py",
    "nodes/writing.py",
    "pyproject.toml",
    "tests/test_review_loop.py",
    "tests/test_writing.py",
]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that `new` made, in a process of its own."""
    folder = tmp_path_factory.mktemp("made")
    assert call(folder, "new", "my_flows").returncode == 0
    return folder / "my_flows"


def tool(folder: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    """Run a tool of this environment there, as a user would."""
    settings = {**os.environ, "PYTHONPATH": str(ROOT), "NO_COLOR": "1"}
    settings.pop("FORCE_COLOR", None)
    start = () if words[0].startswith("-") else ("-m",)
    words = (sys.executable, *start, *words)
    return subprocess.run(words, cwd=folder, env=settings, text=True, capture_output=True, check=False, timeout=240)


def test_a_new_project_lists_checks_runs_draws_and_resumes(made: Path) -> None:
    """Every command that its README names works there at once."""
    (listed,) = document(call(made, "list", "--json").stdout)["graphs"]
    assert (listed["name"], listed["example"]) == ("review_loop", True)
    checked = document(call(made, "check", "--json").stdout)
    assert (checked["errors"], checked["warnings"], len(checked["graphs"])) == (0, 0, 1)
    ran = call(made, "run", "review_loop", "--run-id", "first")
    assert (ran.returncode, ran.stdout[:6]) == (0, "Tides:")
    stopped = call(made, "run", "review_loop", "--run-id", "second", "--limit", "steps=2")
    assert (stopped.returncode, call(made, "resume", "second", "--limit", "steps=9").returncode) == (4, 0)
    assert call(made, "show", "first").returncode == 0
    for picture in ("review_loop", "first"):
        assert call(made, "render", picture, "-o", f"{picture}.mmd").returncode == 0
    assert (made / "checkpoints" / "runs.db").exists()


OWN_TEST = """
import asyncio
from graphengine.testing.open_runner import OpenRunner
from graphs.review_loop import example, graph

async def test_my_own(runner: OpenRunner) -> None:
    assert asyncio.get_running_loop().is_running()
    assert (await runner.start(graph, example()).result()).status == "finished"
"""
HIDDEN = """
import importlib.util as util, sys
find = util.find_spec
util.find_spec = lambda name, package=None: None if name == "pytest_asyncio" else find(name, package)
import pytest
sys.exit(pytest.main(sys.argv[1:]))
"""


@pytest.mark.parametrize("is_there", [True, False], ids=["with pytest-asyncio", "without"])
def test_a_new_project_passes_its_own_tests(made: Path, is_there: bool) -> None:  # noqa: FBT001
    """With its async tests and one that is added, and without a warning, whether or not pytest-asyncio is installed."""
    own = made / "tests" / "test_own.py"
    own.write_text(OWN_TEST, encoding="utf-8")
    start = ["-m", "pytest"] if is_there else ["-c", HIDDEN, "-p", "no:asyncio"]
    found = tool(made, *start, "-q", "-p", "no:cacheprovider")
    own.unlink()
    told = found.stdout + found.stderr
    assert found.returncode == 0, told
    assert "13 passed" in told
    assert "warning" not in told.lower()


def test_a_new_project_is_clean(made: Path) -> None:
    """Its own checks of types and style have nothing to say."""
    for words in (("ruff", "check", "--no-cache"), ("ruff", "format", "--check", "--no-cache"), ("mypy",)):
        found = tool(made, *words)
        assert found.returncode == 0, found.stdout + found.stderr


def test_a_new_project_takes_models(made: Path) -> None:
    """Its agents are asked of whatever --model names, and not its rules."""
    found = call(made, "run", "review_loop", "--model", "recorded:nothing.json")
    assert found.returncode == 1
    assert "bad_recording: there is no file nothing.json" in found.stderr


def test_what_was_made_and_what_to_do_next_is_told(invoke: Invoke, project: Path) -> None:
    """In words, and as a document; the folders around it are made too."""
    told = invoke("new", "deep/flows")
    assert told.exit_code == 0
    assert [line.removeprefix("made deep/flows/") for line in told.stdout.splitlines()] == FILES
    assert told.stderr.splitlines()[1:] == [
        "  cd deep/flows",
        "  graphengine run review_loop",
        f"  graphengine render review_loop -o review_loop.{picture_ending()}",
        "  python -m pytest",
    ]
    made = document(invoke("new", "Other Flows", "--json").stdout)
    assert made == {
        "schema": 1,
        "path": str(project / "Other Flows"),
        "name": "other-flows",
        "files": FILES,
        "next": ["cd 'Other Flows'", *[line.strip() for line in told.stderr.splitlines()[2:]]],
    }
    assert 'name = "other-flows"' in (project / "Other Flows" / "pyproject.toml").read_text()


def test_where_there_is_no_pytest_its_installation_is_a_step(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    """`make run` installs none."""
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    assert invoke("new", "fresh").stderr.splitlines()[-2:] == ["  python -m pip install pytest", "  python -m pytest"]


def test_a_name_that_no_package_can_have_is_told(invoke: Invoke) -> None:
    """With the one that stands in for it."""
    assert "'Our flows' is no name for a package; pyproject.toml says 'our-flows'" in invoke("new", "Our flows").stderr
    assert "no name for a package" not in invoke("new", "our-flows-2").stderr
    given = ("水", "GraphEngine", "_a.b_", "a.b", "Flows")
    assert [name_of(each) for each in given] == ["workflows", "graphengine-project", "a-b", "a.b", "Flows"]


def test_the_present_folder_will_do(invoke: Invoke, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If it is empty but for git's own; then there is nothing to enter."""
    (project / "empty" / ".git").mkdir(parents=True)
    monkeypatch.chdir(project / "empty")
    told = invoke("new", ".")
    assert (told.exit_code, "cd" in told.stderr.split()) == (0, False)
    assert 'name = "empty"' in (project / "empty" / "pyproject.toml").read_text()


def test_nothing_that_is_there_is_overwritten(invoke: Invoke, project: Path) -> None:
    """A folder that holds something is refused, and so is a file; both stay as they were."""
    before = sorted(project.rglob("*"))
    for words, told in (
        (["new", "."], "the folder is not empty: it has flows, pyproject.toml"),
        (["new", "pyproject.toml"], "there is a file of this name"),
    ):
        error = document(invoke(*words, "--json").stdout)["error"]
        assert (error["code"], error["message"]) == ("no_place_for_project", told)
    assert sorted(project.rglob("*")) == before


def test_what_cannot_be_written_leaves_nothing_behind(tmp_path: Path) -> None:
    """Neither files nor the folders that were made for them."""
    with pytest.raises(NoPlaceForProject, match="cannot be written"):
        write(tmp_path / "a" / "b", {"one.txt": "1", "one.txt/two.txt": "2"}, tmp_path)
    assert not (tmp_path / "a").exists()
    with pytest.raises(UnicodeEncodeError):
        write(tmp_path / "a", {"one.txt": "1", "two.txt": "\ud800"}, tmp_path)
    assert not (tmp_path / "a").exists()


def test_no_word_is_left_unfilled() -> None:
    """Every placeholder of the files is known."""
    for text in project_files({"name": "x", "version": "1"}).values():
        assert "{{" not in text.replace("{{}}", "")

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from graphengine.cli.new import RECIPES, name_of, names, project_files, write
from graphengine.errors import GraphEngineError
from tests.cli.programs import ROOT, Invoke, call, document
from tests.kit import forks
from tests.kit.type_checks import run_mypy


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that `new` created, in a process of its own."""
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
    """Every command that its README names works."""
    (listed,) = document(call(made, "graphs", "--json").stdout)["graphs"]
    assert (listed["name"], listed["example"]) == ("review_loop", True)
    checked = document(call(made, "check", "--json").stdout)
    assert (checked["errors"], checked["warnings"], len(checked["graphs"])) == (0, 0, 1)
    ran = call(made, "run", "review_loop", "--run-id", "first")
    assert (ran.returncode, ran.stdout[:6]) == (0, "Tides:")
    stopped = call(made, "run", "review_loop", "--run-id", "second", "--limit", "visits=2")
    assert (stopped.returncode, call(made, "resume", "second", "--limit", "visits=9").returncode) == (4, 0)
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
    """A new project passes its async tests and an added one without a warning, with and without pytest-asyncio."""
    own = made / "tests" / "test_own.py"
    own.write_text(OWN_TEST, encoding="utf-8")
    start = ["-m", "pytest"] if is_there else ["-c", HIDDEN, "-p", "no:asyncio"]
    found = tool(made, *start, "-q", "-p", "no:cacheprovider")
    own.unlink()
    reported = found.stdout + found.stderr
    assert found.returncode == 0, reported
    assert "14 passed" in reported
    assert "warning" not in reported.lower()


def test_the_checks_of_new_projects_find_nothing(tmp_path: Path) -> None:
    """Their own checks of style and types, also without what stands in for a model, and with a page."""
    made = [tmp_path / (name or "first") for name in (None, "review_loop", "handoff", "chat_app", *names(RECIPES)[:1])]
    for folder in made:
        write(folder, project_files("flows", folder.name if folder != made[0] else None), tmp_path)
    style = [tool(tmp_path, "ruff", *words, "--no-cache") for words in (["check"], ["format", "--check"])]
    types = [run_mypy(folder, tmp_path / "mypy") for folder in made]  # each learns from those before
    for found in (*style, *types):
        assert found.returncode == 0, found.stdout + found.stderr


def test_a_chat_app_answers_and_passes_its_tests(invoke: Invoke, project: Path) -> None:
    """It has its page, built, with the licenses of what is in it; the first step is to serve it."""
    made = document(invoke("new", "copied", "--from", "chat_app", "--json").stdout)
    assert {"app/chat.jsx", "app/built/chat.js", "app/built/index.html", "app/built/LICENSES.txt"} <= set(made["files"])
    assert "graphengine serve --ai-sdk --pages app/built" in made["next"]
    assert "{{" not in (project / "copied" / "README.md").read_text(encoding="utf-8")
    found = tool(project / "copied", "pytest", "-q", "-p", "no:cacheprovider")
    assert "2 passed" in found.stdout, found.stdout + found.stderr
    checked = document(call(project / "copied", "check", "--json").stdout)
    assert (checked["errors"], checked["warnings"]) == (0, 0)


COPIED = (*names(), *names(RECIPES))
PLACED = """
from pathlib import Path

from graphs import {name}


def test_the_copy_is_tested() -> None:
    assert Path({name}.__file__).is_relative_to(Path.cwd())
"""


@pytest.mark.parametrize("name", COPIED)
def test_every_copied_workflow_and_pattern_runs_and_passes_its_tests(name: str, tmp_path: Path) -> None:
    """Its own files are imported, and not those of this checkout."""
    folder = tmp_path / "flows"
    write(folder, project_files("flows", name), tmp_path)
    (folder / "tests" / "test_placed.py").write_text(PLACED.format(name=name), encoding="utf-8")
    tested = forks.run("pytest", "-q", "-p", "no:cacheprovider", folder=folder, loads=forks.WORKFLOWS)
    assert tested.returncode == 0, tested.stdout
    words = ("--model", "placeholder", "--json", "--limit", "visits=1")
    ran = forks.run("graphengine", "run", name, *words, folder=folder, loads=forks.WORKFLOWS)
    assert (ran.returncode, document(ran.stdout)["graph"]) == (4, name), ran.stderr  # its tests run it to the end


@pytest.mark.parametrize("name", COPIED)
def test_a_copy_is_short_and_stands_alone(name: str) -> None:
    """It has the graph, agents, prompts and checks, and nothing that stands in for a model; its README explains it."""
    files = {path: text for path, text in project_files("flows", name).items() if path.endswith((".py", ".md"))}
    code = [line for path, text in files.items() if path.endswith(".py") for line in text.splitlines() if line.strip()]
    assert len(code) <= (690 if name == "review_loop" else 1_000)
    assert not [path for path, text in files.items() if "by_rules" in text or "nodes.review.offline" in text]
    assert f"`graphs/{name}.py`" in files["README.md"]
    assert not [path for path in files if path.startswith(("nodes/points", "nodes/comparing", "nodes/passages"))]


def test_a_new_project_takes_models(made: Path) -> None:
    """Its agents call the model that --model names, and not their rules."""
    found = call(made, "run", "review_loop", "--model", "recorded:nothing.json")
    assert found.returncode == 1
    assert "bad_recording: the file of recorded answers 'nothing.json' is missing" in found.stderr


def test_without_pytest_its_installation_is_a_step(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without pytest its installation is a step, since `make run` does not install it."""
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    assert invoke("new", "fresh").stderr.splitlines()[-2:] == ["  python -m pip install pytest", "  python -m pytest"]


def test_a_package_name_is_made_of_any_name() -> None:
    """What a package cannot be called is replaced."""
    given = ("水", "GraphEngine", "_a.b_", "a.b", "Flows")
    assert [name_of(each) for each in given] == ["workflows", "graphengine-project", "a-b", "a.b", "Flows"]


def test_the_current_folder_can_be_used(invoke: Invoke, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The current folder can be used if it is empty except for .git; the next steps then have no `cd`."""
    (project / "empty" / ".git").mkdir(parents=True)
    monkeypatch.chdir(project / "empty")
    reported = invoke("new", ".")
    assert (reported.exit_code, "cd" in reported.stderr.split()) == (0, False)
    assert 'name = "empty"' in (project / "empty" / "pyproject.toml").read_text()


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    """A failed write leaves neither files nor the folders that were created for them."""
    with pytest.raises(GraphEngineError, match="cannot be written"):
        write(tmp_path / "a" / "b", {"one.txt": "1", "one.txt/two.txt": "2"}, tmp_path)
    assert not (tmp_path / "a").exists()
    with pytest.raises(UnicodeEncodeError):
        write(tmp_path / "a", {"one.txt": "1", "two.txt": "\ud800"}, tmp_path)
    assert not (tmp_path / "a").exists()


def test_no_word_is_left_unfilled() -> None:
    """Every placeholder of the files is known."""
    for workflow in (None, *COPIED):
        made = project_files("x", workflow)
        assert not [path for path, text in made.items() if re.search(r"\{\{\w", text) and not path.startswith("nodes/")]

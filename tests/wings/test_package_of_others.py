"""docs/use/extensions.md: its package, built and installed in an environment of its own, adds all that a wing can."""

import json
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from tests.docs.page import USE, blocks
from tests.kit.clean_environment import Environment, built, environment, link, own_wheel, shared

PAGE = USE / "extensions.md"
PACKAGE = {
    re.match(r"# (\S+)\n", text)[1]: text  # type: ignore[index]
    for text in blocks(PAGE, "toml", "python")
    if text.startswith("# ")
}
(SETTINGS,) = [text for text in blocks(PAGE, "toml") if text not in PACKAGE.values()]
BROKEN = {
    "pyproject.toml": PACKAGE["pyproject.toml"].replace("run-audit", "run-broken").replace("audit", "broken"),
    "run_broken/__init__.py": "import no_such_module",
}
GRAPH = """
from pydantic import BaseModel
from graphengine import END, START, Graph

class Count(BaseModel):
    n: int = 0

graph = Graph("count", Count)
graph.add_node("more", lambda n: n + 1, writes="n")
graph.add_path(START, "more", END)
"""
TOKEN = "a token of sixteen or more".replace(" ", "-")


def installed(folder: Path, files: dict[str, str], *words: str) -> None:
    """Build a package of these files, and install it by pip with these words, without a network."""
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    wheel = built(folder / "dist", folder)
    pip = [sys.executable, "-m", "pip", *words, "--quiet", "--no-index", "--no-deps", "--no-compile", str(wheel)]
    subprocess.run(pip, check=True, capture_output=True)


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """An environment with graphengine, what `serve` needs, and the package of the page."""

    def make(folder: Path) -> None:
        made = environment(folder / "venv", own_wheel(tmp_path_factory))
        link(made.packages, "starlette", "uvicorn")
        installed(folder / "run-audit", PACKAGE, "--python", str(made.folder / "bin" / "python"), "install")

    return Environment(shared(tmp_path_factory, "theirs", make) / "venv")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project of one graph, with the settings of the page."""
    (tmp_path / "count.py").write_text(GRAPH, encoding="utf-8")
    (tmp_path / "pyproject.toml").write_text(SETTINGS, encoding="utf-8")
    return tmp_path


def said(made: Environment, line: str, where: Path, code: int = 0) -> "subprocess.CompletedProcess[str]":
    """Run a command, and check its exit code."""
    ended = made.run("graphengine", *line.split(), where=where)
    assert ended.returncode == code, ended.stdout + ended.stderr
    return ended


def test_a_package_adds_a_command_a_document_a_check_a_question_and_a_door(theirs: Environment, project: Path) -> None:
    """Each is where our own are."""
    assert re.search(r"Extensions:\n  audit +Show what was recorded of runs\.", said(theirs, "--help", project).stdout)
    said(theirs, "run count.py --run-id one", project)
    lines = ["one started", "one node"]
    assert said(theirs, "audit", project).stdout.splitlines() == lines
    document = json.loads(said(theirs, "audit --json", project).stdout)
    assert document == {"schema": 2, "lines": lines}
    schema = json.loads(said(theirs, "schema audit", project).stdout)
    assert schema["$defs"]["Audited"]["properties"]["lines"]["description"] == "A line for each step."
    assert "Audited" in json.loads(said(theirs, "schema", project).stdout)["$defs"]
    assert "WARNING unbounded_cost: nothing limits its cost" in said(theirs, "check count.py", project).stdout
    assert (
        "ok          audit: steps.txt has the steps of runs" in said(theirs, "doctor --production", project, 1).stdout
    )
    assert "--audit" in said(theirs, "serve --help", project).stdout


def test_its_door_is_guarded_as_ours_are(theirs: Environment, project: Path) -> None:
    """`serve --audit` prints its address, and who has the token gets the runs."""
    said(theirs, "run count.py --run-id one", project)
    (project / "token").write_text(TOKEN, encoding="utf-8")
    words = [str(theirs.folder / "bin" / "graphengine"), "serve", "--audit", "--port", "0", "--token-file", "token"]
    with subprocess.Popen([*words, "--json"], cwd=project, stdout=subprocess.PIPE, text=True) as serving:
        assert serving.stdout is not None
        url = json.loads(serving.stdout.readline())["doors"]["audit"]
        with urlopen(Request(url, headers={"Authorization": f"Bearer {TOKEN}"})) as answer:  # noqa: S310
            assert json.load(answer) == ["one"]
        with pytest.raises(OSError, match="401"):
            urlopen(url)  # noqa: S310
        serving.send_signal(signal.SIGTERM)
    assert serving.returncode == 0


def test_its_table_is_in_the_page_of_the_inspector(theirs: Environment, project: Path) -> None:
    """Who has opened the page gets it with those of others."""
    said(theirs, "run count.py --run-id one", project)
    words = [str(theirs.folder / "bin" / "graphengine"), "inspect", "--no-open", "--json"]
    with subprocess.Popen(words, cwd=project, stdout=subprocess.PIPE, text=True) as serving:
        assert serving.stdout is not None
        url, _, token = json.loads(serving.stdout.readline())["url"].partition("/#token=")
        headers = {"Origin": url, "X-Graphengine": "1", "Content-Type": "application/json"}
        with urlopen(Request(f"{url}/api/session", json.dumps({"token": token}).encode(), headers)) as answer:  # noqa: S310
            cookie = answer.headers["Set-Cookie"].partition(";")[0]
        with urlopen(Request(f"{url}/api/tables", headers={"Cookie": cookie})) as answer:  # noqa: S310
            assert json.load(answer)["tables"] == [
                {"title": "Audited runs", "columns": ["run", "steps"], "rows": [["one", "2"]], "spent": ""}
            ]
        serving.send_signal(signal.SIGINT)
    assert serving.returncode == 0


def test_it_acts_in_runs_only_where_the_project_names_it(theirs: Environment, project: Path) -> None:
    """Installed and with settings it does nothing; named, it acts, and the run records its name."""
    (project / "pyproject.toml").write_text(SETTINGS.replace('wings = ["audit"]\n', ""), encoding="utf-8")
    said(theirs, "run count.py --run-id one", project)
    assert not (project / "steps.txt").exists()
    (project / "pyproject.toml").write_text(SETTINGS, encoding="utf-8")
    said(theirs, "run count.py --run-id two", project)
    assert (project / "steps.txt").exists()
    origins = [json.loads(said(theirs, f"export {name}", project).stdout) for name in ("one", "two")]
    assert ["Audit" in json.dumps(each) for each in origins] == [False, True]


def test_settings_that_it_refuses_or_a_wing_that_is_not_installed_end_the_command(
    theirs: Environment, project: Path
) -> None:
    """A project counts on what it names."""
    wrong = SETTINGS.replace('file = "steps.txt"', 'path = "steps.txt"')
    (project / "pyproject.toml").write_text(wrong, encoding="utf-8")
    assert "[tool.graphengine.audit] has path = …" in said(theirs, "run count.py", project, 2).stderr
    (project / "pyproject.toml").write_text(SETTINGS.replace('["audit"]', '["audits"]'), encoding="utf-8")
    ended = said(theirs, "run count.py", project, 2)
    assert "wings contains 'audits', and no installed package has a plugin (wing) so named" in ended.stderr
    assert "did you mean 'audit'?" in ended.stderr


def test_a_broken_wing_is_named_once_and_left_out(theirs: Environment, project: Path) -> None:
    """Commands work beside it; one that needs no wing does not name it; a project that names it cannot run."""
    installed(project / "run-broken", BROKEN, "install", "--target", str(project / "more"))
    made = Environment(theirs.folder, project / "more")
    named = "the wing 'broken' is left out: ModuleNotFoundError: No module named 'no_such_module'"
    for line in ("--help", "schema", "check count.py", "serve --help", "audit"):
        ended = said(made, line, project)
        assert ended.stderr.count("is left out") == 1, line
        assert named in ended.stderr
    assert "is left out" not in said(made, "runs", project, 5).stderr
    (project / "pyproject.toml").write_text(SETTINGS.replace('"audit"', '"broken"'), encoding="utf-8")
    assert "error wing_broken" in said(made, "run count.py", project, 2).stderr
    shutil.rmtree(project / "more")

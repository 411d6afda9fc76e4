"""The wheel alone, without extras, in a clean environment: what it has, what it can do, and what it says is missing."""

import json
import os
import re
import shutil
import subprocess
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest

from graphengine.cli.new import names
from graphengine.errors import install_command
from tests.kit.clean_environment import ROOT, Environment, environment, link, own_wheel, shared

EXTRAS = {  # a module of each extra
    "anthropic": "anthropic",
    "openai": "openai",
    "mcp": "mcp",
    "otel": "opentelemetry",
    "postgres": "psycopg",
    "ray": "ray",
    "render": "resvg_py",
    "inspect": "uvicorn",
    "sandbox": "pydantic_monty",
    "secrets": "cryptography",
    "serve": "uvicorn",
    "sources": "pypdf",
}
FIRST = """
from pydantic import BaseModel, SecretStr
from graphengine import END, START, Agent, Graph, ScriptedModel, mcp

class State(BaseModel):
    text: str = "Hi"
    token: TYPE = "x"

def work(text: str) -> str:
    return text + "!"

graph = Graph("first", State, secret_key="0123456789abcdefghijklmnopqrstuvwxyz")
graph.add_node("work", NODE, writes="text")
graph.add_path(START, "work", END)
graph.run_sync(State())
graph.render("graph.svg")
"""
SECRET = FIRST.replace("TYPE", "SecretStr").replace("NODE", "work")
TOOLS = FIRST.replace("TYPE", "str").replace(
    "NODE", 'Agent("reader", prompt="{text}", model=ScriptedModel(["x"]), tools=[mcp("server")])'
)
PICTURE = (
    FIRST.replace("TYPE", "str")
    .replace("NODE", "work")
    .replace("graph.svg", "graph.png")
    .replace(', secret_key="0123456789abcdefghijklmnopqrstuvwxyz"', "")
)
SOURCE = """
from graphengine.agents.sources import source_from_bytes
source_from_bytes("a.pdf", b"%PDF-1.7")
"""
POSTGRES = """
from graphengine import Runner
Runner("postgresql://user@host/runs")
"""
TELEMETRY = """
from graphengine.telemetry import Telemetry
"""
SANDBOX = """
import asyncio
from graphengine.agents.toolbox import run_python
asyncio.run(run_python("1"))
"""

WORKER = """
import json, subprocess, sys
words = [sys.executable, "-m", "graphengine", "worker", "--json", "--health", "0"]
worker = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
for line in worker.stdout:
    if (found := json.loads(line)).get("status"):
        print(found["status"])
        break
worker.terminate()
print(worker.wait())
"""

RAY = """
from graphengine.executors import ProcessExecutor, RayExecutor
if __name__ == "__main__":
    with ProcessExecutor(1) as executor:  # needs no extra
        assert executor.submit(abs, -1).result() == 1
    RayExecutor()
"""
FROZEN = """
import asyncio, sys
from pathlib import Path
from pydantic import BaseModel
from graphengine import END, START, Agent, Graph, Runner

class Count(BaseModel):
    n: int = 4
    said: str = ""

graph = Graph("count", Count, result="said")
graph.add_node("more", lambda n: n + 1, writes="n", thread=False)
graph.add_node("say", Agent("helper", by_rules=lambda n: f"n is {n}", prompt="{n}"), writes="said")
graph.add_path(START, "more", "say", END)

async def main():
    async with Runner(Path(sys.argv[1])) as runner:
        print((await runner.start(graph, {}).result()).output)

asyncio.run(main())
"""
CHECKS = """
import os, sys
import graphengine.agents.agent, graphengine.cli.driving  # in the parent, once
from graphengine.cli.main import main

def run(folder, *words):
    child = os.fork()  # so that each is a process of its own, and the package is imported once
    if not child:
        os.chdir(folder)
        main(words)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code:
        sys.exit(f"{words} ended with {code}")

for name in sys.argv[1:]:
    run(".", "new", name, "--from", name)
    run(name, "check", name)
"""


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this source tree."""
    return own_wheel(tmp_path_factory)


@pytest.fixture(scope="session")
def clean(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """An environment with the wheel and what it requires without extras."""
    return Environment(shared(tmp_path_factory, "clean", lambda folder: environment(folder / "venv", wheel)) / "venv")


@pytest.fixture
def with_pytest(clean: Environment, tmp_path: Path) -> Environment:
    """The same with pytest too."""
    more = tmp_path / "more"
    more.mkdir()
    link(more, "pytest")
    return Environment(clean.folder, more)


def test_the_wheel_has_the_package_its_data_and_the_bundled_workflows(wheel: Path) -> None:
    """The wheel has the package, its data and the bundled workflows, and no test or bytecode."""
    files = zipfile.ZipFile(wheel).namelist()
    assert {file.split("/")[0] for file in files} == {"graphengine", "durable_graphengine-0.1.0.dist-info"}
    assert not [file for file in files if file.endswith(".pyc")]
    held = {file.removeprefix("graphengine/cli/workflows/") for file in files}
    for folder in ("graphs", "nodes", "recipes"):
        here = {path.relative_to(ROOT).as_posix() for path in (ROOT / folder).rglob("*.*") if path.suffix != ".pyc"}
        assert here <= held
    assert {"graphengine/py.typed", "graphengine/cli/new_project/common/.gitignore.in"} <= set(files)


def test_no_extra_is_installed(clean: Environment, tmp_path: Path) -> None:
    """No extra is installed; otherwise the tests below would show nothing."""
    modules = (*EXTRAS.values(), "resvg_py", "genai_prices", "pytest", "pip")
    program = f"from importlib.util import find_spec\nprint(*[find_spec(name) for name in {modules}])"
    ended = clean.execute("python", "-c", program, where=tmp_path)
    assert ended.stdout.split() == ["None"] * len(modules), ended.stdout + ended.stderr


def test_a_new_project_runs_and_passes_its_tests(with_pytest: Environment, tmp_path: Path) -> None:
    """A new project passes its tests with pytest alone, which its README installs."""
    made = with_pytest.execute("graphengine", "new", "flows", where=tmp_path)
    assert made.returncode == 0, made.stderr
    ran = with_pytest.execute("graphengine", "run", "review_loop", where=tmp_path / "flows")
    assert (ran.returncode, ran.stdout[:6]) == (0, "Tides:"), ran.stderr
    tested = with_pytest.execute("python", "-m", "pytest", "-q", where=tmp_path / "flows")
    assert tested.returncode == 0, tested.stdout
    assert "13 passed" in tested.stdout


def test_a_copied_workflow_passes_its_tests(with_pytest: Environment, tmp_path: Path) -> None:
    """They run its example with placeholders."""
    copied(with_pytest, tmp_path, "review_loop")
    tested = with_pytest.run("pytest", "-q", where=tmp_path / "flows")
    assert (tested.returncode, "6 passed" in tested.stdout) == (0, True), tested.stdout


def test_every_copied_workflow_needs_no_extra(with_pytest: Environment, tmp_path: Path) -> None:
    """Its graph is loaded and checked; tests/cli/test_new.py runs the tests of each."""
    ended = with_pytest.execute("python", "-c", CHECKS, *names(), where=tmp_path)
    assert (ended.returncode, ended.stdout.count("0 errors")) == (0, len(names())), ended.stdout + ended.stderr


def test_a_copied_workflow_runs_by_its_name(with_pytest: Environment, tmp_path: Path) -> None:
    """The command line finds it in the project, and runs it until it asks."""
    copied(with_pytest, tmp_path, "content_pipeline")
    ran = with_pytest.run("graphengine", "run", "content_pipeline", "--json", where=tmp_path / "flows")
    assert (ran.returncode, len(json.loads(ran.stdout)["waits"])) == (3, 1), ran.stderr


def copied(made: Environment, folder: Path, name: str) -> None:
    """Copy a bundled workflow to `flows`."""
    ended = made.run("graphengine", "new", "flows", "--from", name, where=folder)
    assert ended.returncode == 0, ended.stderr


def test_the_code_of_the_readme_works_as_files(with_pytest: Environment, tmp_path: Path) -> None:
    """Its first program asks without an extra; its tests pass with pytest alone; drawing `first.py` starts no run."""
    refund, first, tests, *_ = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL)
    (tmp_path / "refund.py").write_text(refund, encoding="utf-8")
    words = ("run", "refund.py", "--store", "refunds.db", "--model", "placeholder")
    asked = with_pytest.run("graphengine", *words, where=tmp_path)
    assert (asked.returncode, "Send this reply?" in asked.stdout + asked.stderr) == (3, True), asked.stderr
    (tmp_path / "first.py").write_text(first, encoding="utf-8")
    (tmp_path / "test_first.py").write_text("from first import graph\n" + tests, encoding="utf-8")
    drawn = with_pytest.run("graphengine", "render", "first.py", "-o", "first.txt", where=tmp_path)
    assert (drawn.returncode, drawn.stdout) == (0, ""), drawn.stderr
    tested = with_pytest.run("pytest", "-q", where=tmp_path)
    assert (tested.returncode, "2 passed" in tested.stdout) == (0, True), tested.stdout
    assert not (tmp_path / "checkpoints").exists()
    assert "Hello!! - good enough" in with_pytest.run(str(tmp_path / "first.py"), where=tmp_path).stdout
    assert (tmp_path / "checkpoints" / "runs.db").exists()


@pytest.mark.parametrize("extra", ["anthropic", "openai"])
def test_a_model_names_the_extra_that_it_needs(clean: Environment, tmp_path: Path, extra: str) -> None:
    """The run fails with the command that installs its SDK."""
    clean.run("graphengine", "new", "flows", where=tmp_path)
    key = {"ANTHROPIC_API_KEY": "x", "OPENAI_API_KEY": "x"}
    model = f"{extra}:some-model"
    ran = clean.run("graphengine", "run", "review_loop", "--model", model, where=tmp_path / "flows", **key)
    assert install_command(extra) in ran.stderr


@pytest.mark.parametrize(
    ("extra", "source"),
    [
        ("secrets", SECRET),
        ("mcp", TOOLS),
        ("render", PICTURE),
        ("sources", SOURCE),
        ("postgres", POSTGRES),
        ("sandbox", SANDBOX),
        ("otel", TELEMETRY),
        ("ray", RAY),
    ],
    ids=["a secret", "an MCP server", "a picture", "a PDF", "PostgreSQL", "a sandbox", "telemetry", "Ray"],
)
def test_a_program_names_the_extra_that_it_needs(clean: Environment, tmp_path: Path, extra: str, source: str) -> None:
    """A program names the extra that it needs, with the command that installs it under the name that is ours."""
    (tmp_path / "program.py").write_text(source, encoding="utf-8")
    ended = clean.run(str(tmp_path / "program.py"), where=tmp_path)
    assert (ended.returncode, install_command(extra) in ended.stderr) == (1, True), ended.stderr


def test_a_chart_as_png_names_the_extra_that_it_needs(clean: Environment, tmp_path: Path) -> None:
    """A chart as .png names the extra that it needs; the same chart as .svg needs none."""
    clean.run("graphengine", "new", "flows", where=tmp_path)
    flows = tmp_path / "flows"
    clean.run("graphengine", "run", "review_loop", "--run-id", "one", where=flows)
    drawn = clean.run("graphengine", "render", "one", "--timeline", "-o", "one.png", where=flows)
    assert (drawn.returncode, install_command("render") in drawn.stderr) == (2, True), drawn.stderr
    assert clean.run("graphengine", "render", "one", "--timeline", "-o", "one.svg", where=flows).returncode == 0


def test_a_worker_and_its_health_need_no_extra(clean: Environment, tmp_path: Path) -> None:
    """A worker takes a queued run, and answers whether it works."""
    clean.run("graphengine", "new", "flows", where=tmp_path)
    clean.run("graphengine", "run", "review_loop", "--queue", "jobs", where=tmp_path / "flows")
    ended = clean.execute("python", "-c", WORKER, where=tmp_path / "flows")
    assert (ended.returncode, ended.stdout.split()) == (0, ["finished", "0"]), ended.stdout + ended.stderr


def test_the_inspector_names_the_extra_that_it_needs(clean: Environment, tmp_path: Path) -> None:
    """The inspector names the extra that it needs, and no run suggests the inspector without it."""
    clean.run("graphengine", "new", "flows", where=tmp_path)
    ran = clean.run("graphengine", "run", "review_loop", where=tmp_path / "flows")
    assert "draw:" in ran.stderr
    assert "look:" not in ran.stderr
    ended = clean.run("graphengine", "inspect", where=tmp_path / "flows")
    assert (ended.returncode, install_command("inspect") in ended.stderr) == (2, True), ended.stderr


def test_pyinstaller_makes_a_program_of_a_graph(clean: Environment, tmp_path: Path) -> None:
    """One file, which runs where nothing is installed: the hook of the wheel finds stubs, SQL and lazy modules."""
    if find_spec("PyInstaller") is None or shutil.which("objdump") is None:
        pytest.skip("it needs PyInstaller, which make dist installs, and objdump: apt-get install binutils")
    more = tmp_path / "more"
    more.mkdir()
    link(more, "pyinstaller")
    (tmp_path / "app.py").write_text(FROZEN, encoding="utf-8")
    build = [str(clean.folder / "bin" / "python"), "-m", "PyInstaller", "--onefile", "--log-level=ERROR", "app.py"]
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PYTHONPATH": str(more)}
    made = subprocess.run(build, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr
    command = [str(tmp_path / "dist" / "app"), "runs.db"]
    done = subprocess.run(command, cwd=tmp_path, env={}, capture_output=True, text=True, check=False, timeout=60)
    assert (done.stdout, done.returncode) == ("n is 5\n", 0), done.stderr

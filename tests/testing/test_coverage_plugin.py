import subprocess
import sys
from pathlib import Path

import pytest

import graphengine

pytest_plugins = ("pytester",)

GRAPHS = """
from pydantic import BaseModel
from graphengine import END, START, Graph, value

class Count(BaseModel):
    n: int = 0

def graph_of(name):
    graph = Graph(name, Count)
    graph.add_node("more", lambda n: n + 1, writes="n")
    graph.add_edge(START, "more")
    graph.add_edge("more", END, when=value("n") >= 3, label="enough")
    graph.add_edge("more", "more")
    return graph
"""

TESTS = """
import asyncio
from graphs_of_mine import graph_of
from graphengine.testing import walk

def test_one():
    asyncio.run(walk(graph_of("count"), {"more": {"n": 9}})).assert_path("more END")

def test_other():
    asyncio.run(walk(graph_of("other"), {"more": [{"n": 1}, {"n": 9}]})).assert_path("more more END")
"""


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A project with two graphs, one of which has an edge that is never taken."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTHONPATH", str(Path(graphengine.__file__).parents[1]))
    pytester.makepyfile(graphs_of_mine=GRAPHS, test_mine=TESTS)
    return pytester


def run(project: pytest.Pytester, *options: str) -> pytest.RunResult:
    """Run the project's tests in this process."""
    return project.runpytest_inprocess("-p", "graphengine.testing.coverage_plugin", "-p", "no:cacheprovider", *options)


def test_the_report_is_printed_below_the_tests(project: pytest.Pytester) -> None:
    """One graph after the other, with the edges never taken."""
    found = run(project, "--graphengine-coverage")

    found.assert_outcomes(passed=2)
    assert found.ret == 0
    found.stdout.fnmatch_lines(
        [
            "*= edges of graphs =*",
            "graphs_of_mine.py: count: 2 of 3 seen",
            "  more -> more (otherwise): never taken",
            "graphs_of_mine.py: other: 3 of 3 seen",
            "edges and conditions seen: 5 of 6, 83.3 %",
        ]
    )


def test_without_the_options_there_is_no_report(project: pytest.Pytester) -> None:
    """Without the options there is no report, and nothing is recorded."""
    found = run(project)

    assert found.ret == 0
    found.stdout.no_fnmatch_line("*edges of graphs*")


@pytest.mark.parametrize(("percent", "code"), [("83", 0), ("83.4", 1), ("100", 1)])
def test_too_little_fails(project: pytest.Pytester, percent: str, code: int) -> None:
    """Below the threshold the whole session fails, even if every test passed."""
    found = run(project, f"--graphengine-coverage-under={percent}")

    found.assert_outcomes(passed=2)
    assert found.ret == code
    failed = f"FAIL: 83.3 % of edges and conditions seen, {percent} % are required"
    assert (failed in found.stdout.str()) is (code == 1)


def test_only_graphs_named_by_the_option_count(project: pytest.Pytester) -> None:
    """A graph that was never run counts as not seen."""
    found = run(project, "--graphengine-coverage-under=100", "--graphengine-coverage-graph=other")
    assert found.ret == 0

    names = ("--graphengine-coverage-graph=other", "--graphengine-coverage-graph=lost")
    found = run(project, "--graphengine-coverage-under=100", *names)
    assert found.ret == 1
    found.stdout.fnmatch_lines(["lost: never run"])


PROCESSES = """
import types

class Processes:  # as pytest-xdist has them
    def __init__(self, config, file):
        self.config, self.file = config, file

    def pytest_sessionstart(self, session):
        plugin = session.config.pluginmanager.get_plugin("graphengine.testing.coverage_plugin")
        for output in ({"graphengine_coverage": self.file.read_text()}, {}, None):
            plugin.pytest_testnodedown(types.SimpleNamespace(config=session.config, workeroutput=output))

def pytest_configure(config):
    file = config.rootpath / "recorded.json"
    if file.exists():
        config.pluginmanager.register(Processes(config, file))
    else:
        config.workeroutput = {}

def pytest_unconfigure(config):
    if hasattr(config, "workeroutput"):
        (config.rootpath / "recorded.json").write_text(config.workeroutput["graphengine_coverage"])
"""


def test_coverage_of_worker_processes_counts(project: pytest.Pytester) -> None:
    """A worker process fails nothing; the process that started it reports all."""
    project.makeconftest(PROCESSES)
    assert run(project, "--graphengine-coverage-under=100", "-k", "test_one").ret == 0

    found = run(project, "--graphengine-coverage-under=84", "-k", "test_other")
    assert found.ret == 1
    found.stdout.fnmatch_lines(["graphs_of_mine.py: count: 2 of 3 seen", "*: other: 3 of 3 seen", "*: 5 of 6, 83.3 %"])


def test_without_a_run_coverage_is_zero(project: pytest.Pytester) -> None:
    """Running nothing does not reach a threshold."""
    project.makepyfile(test_none="def test_none(): pass")
    found = run(project, "--graphengine-coverage-under=1", "test_none.py")
    assert found.ret == 1
    found.stdout.fnmatch_lines(["no graph was run", "FAIL: 0.0 % *"])
    assert run(project, "--graphengine-coverage-under=0", "test_none.py").ret == 0


@pytest.mark.parametrize("text", ["lots", "101", "-1"])
def test_a_threshold_is_a_percentage(project: pytest.Pytester, text: str) -> None:
    """Any other value is refused at once."""
    found = run(project, f"--graphengine-coverage-under={text}")

    assert found.ret == pytest.ExitCode.USAGE_ERROR
    found.stderr.fnmatch_lines([f"*'{text}' is not a number from 0 to 100; give the required percentage, as 90*"])


def test_the_plugin_loads_nothing_of_the_engine() -> None:
    """The plugin is imported in every pytest process."""
    program = (
        "import sys, graphengine.testing.coverage_plugin; print(*sorted(m for m in sys.modules if 'graphengine' in m))"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    names = ["graphengine", "graphengine.testing", "graphengine.testing.coverage_plugin"]
    assert found.stdout.split() == names

"""Executors in a project's settings."""

from pathlib import Path

from graphengine.cli.driving import list_lacking_executors
from graphengine.cli.places import read_settings
from graphengine.cli.project import graphs_to_drive
from tests.cli.programs import Invoke
from tests.serve.service.client import Service

FLOW = """
from pydantic import BaseModel
from graphengine import END, START, Graph

class State(BaseModel):
    n: int = 0

def more(n: int) -> int:
    return n + 41

graph = Graph("heavy", State, result="n")
graph.add_node("more", more, writes="n", on="cpu")
graph.add_path(START, "more", END)
"""


def test_the_command_line_finds_executors_in_the_settings(project: Path, invoke: Invoke) -> None:
    """`[tool.graphengine.executors]` names them; a child loads the function from the graph's file."""
    (project / "flows" / "heavy-1.py").write_text(FLOW)  # not the name of a module
    (project / "places.py").write_text(
        "from graphengine.executors import ProcessExecutor\n\ndef cpu():\n    return ProcessExecutor(1)\n"
    )
    settings = project / "pyproject.toml"
    text = settings.read_text()
    settings.write_text(f'{text}\n[tool.graphengine.executors]\ncpu = "places:cpu"\n')
    done = invoke("run", "flows/heavy-1.py", "--input", "n=1", "--json")
    assert done.exit_code == 0, done.stderr
    assert '"n": 42' in done.stdout


def test_a_worker_leaves_out_graphs_whose_executor_it_lacks(project: Path) -> None:
    """A worker drives the project's other graphs, and warns; if such a graph is the only one, that is an error."""
    (project / "flows" / "heavy.py").write_text(FLOW)
    found, _ = graphs_to_drive([])
    assert list_lacking_executors(found, read_settings("executors")) == {
        "heavy": "the graph 'heavy' is left out, because it needs the executor 'cpu': add the executor to "
        "[tool.graphengine.executors]"
    }


def test_the_service_runs_heavy_nodes(project: Path) -> None:
    """`graphengine serve` has the executors of the project, too."""
    (project / "flows" / "heavy.py").write_text(FLOW)
    (project / "places.py").write_text("from concurrent.futures import ThreadPoolExecutor as cpu\n")
    (project / "pyproject.toml").write_text('[tool.graphengine.executors]\ncpu = "places:cpu"\n')
    service = Service(project / "runs.db", graphs=str(project / "flows" / "heavy.py"))
    try:
        run_id = service.start("heavy", {"n": 1})[1]["run_id"]
        assert service.settled(run_id)["state"] == {"n": 42}
    finally:
        assert service.end() == 0

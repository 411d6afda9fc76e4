import json
from pathlib import Path

import pytest

from graphengine.cli.check import first_sentence
from tests.cli.programs import COUNTER, ROOT, Invoke, call, document

NESTED = '''"""Counts twice.

And more."""
from flows.counter import Count
from flows.counter import graph as counter
from graphengine import END, START, Graph

graph = Graph("twice", Count)
graph.add_node("first", counter, writes="text")
graph.add_path(START, "first", END)
'''


def test_each_graph_has_a_line(project: Path, invoke: Invoke) -> None:
    """Its name and the first sentence of its file; an imported graph is not listed twice."""
    (project / "flows" / "twice.py").write_text(NESTED)
    listed = invoke("graphs")
    assert listed.exit_code == 0
    assert listed.stdout.splitlines() == ["counter", "twice    Counts twice."]


def test_a_second_graph_of_a_file_refers_to_the_first(project: Path, invoke: Invoke) -> None:
    """The sentence of the file describes the graph with the file's name."""
    text = '"""Counts."""\n' + COUNTER + "\nother = graph.but(name='other')\n"
    (project / "flows" / "counter.py").write_text(text)
    assert invoke("graphs").stdout.splitlines() == [
        "counter  Counts.",
        "other    Next to counter, in flows/counter.py.",
    ]


def test_as_json_each_graph_has_its_input(project: Path, invoke: Invoke) -> None:
    """The schema of its input, whether there is an example, its sets of models."""
    (project / "flows" / "twice.py").write_text(NESTED + "MODELS = {'cheap': {}}\nexample = {}\n")
    found = document(invoke("graphs", "--json").stdout)
    assert found["broken"] == []
    counter, twice = found["graphs"]
    assert (counter["name"], counter["example"], counter["models"]) == ("counter", False, [])
    message = (twice["name"], twice["about"], Path(twice["file"]), twice["nodes"], twice["example"], twice["models"])
    assert message == ("twice", "Counts twice.", Path("flows/twice.py"), 1, True, ["cheap"])
    assert twice["input"]["type"] == "object"


def test_a_file_that_cannot_be_run_hides_no_other(project: Path, invoke: Invoke) -> None:
    """It is named with its error, and the exit code is 2."""
    (project / "flows" / "wrong.py").write_text("1 / 0\n")
    listed = invoke("graphs")
    assert (listed.exit_code, listed.stdout.split()) == (2, ["counter"])
    assert "graph_file_broken: ZeroDivisionError" in listed.stderr
    assert "wrong.py:1" in listed.stderr
    as_json = invoke("graphs", "--json")
    assert as_json.exit_code == 2
    broken = json.loads(as_json.stdout)["broken"]
    assert [(Path(each["file"]), each["error"]["code"]) for each in broken] == [
        (Path("flows/wrong.py"), "graph_file_broken")
    ]


def test_without_graphs_the_error_explains_how_to_list_them(project: Path, invoke: Invoke) -> None:
    """Without a project, and in one without graph files, the error explains how to list graphs."""
    (project / "pyproject.toml").write_text("")
    nothing = invoke("graphs")
    assert nothing.exit_code == 2
    assert "the project has no file with graphs" in nothing.stderr
    for given, said in (('graphs = ["nofolder"]', "the folders of graphs=['nofolder']"), ('graph = ["a"]', "not read")):
        Path("pyproject.toml").write_text(f"[tool.graphengine]\n{given}\n")
        assert said in invoke("graphs").stderr
    assert '[tool.graphengine] graphs = ["folder"]' in nothing.stderr
    (project / "pyproject.toml").unlink()
    assert invoke("graphs").stderr.endswith("; or create a project: graphengine new PATH\n")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", ""),
        ("One line without an end", "One line without an end"),
        ("It ends\nhere. Not there.", "It ends here."),
        ("Uses v1.2 of x.py, e.g. this. Then that.", "Uses v1.2 of x.py, e.g. this."),
        ("\n  First.\n\n  Second.\n", "First."),
        ("Why? Because.", "Why?"),
    ],
)
def test_a_file_is_described_by_its_first_sentence(text: str, message: str) -> None:
    """A file is described by its first sentence, however its lines are broken."""
    assert first_sentence(text) == message


def test_the_bundled_workflows_all_have_a_description() -> None:
    """Each bundled workflow in this project has a description."""
    ran = call(ROOT, "graphs")
    assert ran.returncode == 0, ran.stderr
    lines = ran.stdout.splitlines()
    names = {file.stem for file in (ROOT / "graphs").glob("[!_]*.py")}
    assert names <= {line.split()[0] for line in lines}
    assert all(len(line.split()) > 3 and line.endswith(".") for line in lines), ran.stdout

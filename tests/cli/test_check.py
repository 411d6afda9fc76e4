from pathlib import Path

import pytest

from tests.cli.programs import COUNTER, Invoke, document

WRONG = COUNTER.replace('value("n")', 'value("nn")').replace('Graph("counter"', 'Graph("wrong"')
INNER = """
from flows.counter import Count, graph as counter
from graphengine import END, START, Graph, Node, choose, value

inner = Graph("inner", Count)
inner.add_node("step", lambda n: n, writes="n", thread=False)
inner.add_path(START, "step", "nowhere")

other = Graph("other", Count)
other.add_node("step", lambda n: n, writes="n", thread=False)
other.add_path(START, "step", END)

graph = Graph("outer", Count)
graph.add_node("first", Node(inner, writes=()))
graph.add_node("second", choose("n", {0: other, 1: lambda n: n}), writes="n")
graph.add_path(START, "first", "second", END)
"""


def line_of(text: str, part: str) -> int:
    """Return the line of a text, from 1, that contains a part of it."""
    (found,) = [number for number, line in enumerate(text.splitlines(), 1) if part in line]
    return found


def test_without_arguments_every_graph_is_checked(project: Path, invoke: Invoke) -> None:
    """All problems of all files are listed at once; a file that cannot be run hides no other, and has its line."""
    (project / "flows" / "wrong.py").write_text(WRONG)
    (project / "flows" / "broken.py").write_text("import os\n1 / 0\n")
    found = invoke("check")
    lines = found.stdout.splitlines()
    assert found.exit_code == 2
    line = line_of(WRONG, 'graph.add_edge("more", END')
    assert f"flows/wrong.py:{line}: error unknown_field: unknown field 'nn'" in lines
    assert "flows/broken.py:2: error graph_file_broken: ZeroDivisionError: division by zero" in lines
    assert "counter (1 node, 3 edges): 0 errors, 1 warning" in lines
    assert lines[-1] == "2 graphs: 2 errors, 1 warning"
    assert "Traceback" not in found.output


def test_as_json_each_problem_has_its_file_and_line(project: Path, invoke: Invoke) -> None:
    """In JSON each problem has the absolute path and the line of its declaration, for editors and CI."""
    (project / "flows" / "wrong.py").write_text(WRONG)
    (project / "flows" / "broken.py").write_text("def f(:\n")
    made = document(invoke("check", "--json").stdout)
    assert (made["errors"], made["warnings"]) == (2, 1)
    assert [(each["name"], each["file"]) for each in made["graphs"]] == [
        ("counter", "flows/counter.py"),
        ("wrong", "flows/wrong.py"),
    ]
    (problem,) = [each for each in made["graphs"][1]["problems"] if not each["warning"]]
    assert (problem["code"], Path(problem["file"])) == ("unknown_field", project / "flows" / "wrong.py")
    assert problem["line"] == line_of(WRONG, 'graph.add_edge("more", END')
    (broken,) = made["broken"]
    assert (broken["file"], broken["line"], broken["error"]["code"]) == ("flows/broken.py", 1, "graph_file_broken")


def test_files_and_names_can_be_given_together(project: Path, invoke: Invoke) -> None:
    """A file means all its outermost graphs, compiled or not."""
    (project / "flows" / "outer.py").write_text(INNER)
    made = document(invoke("check", "counter", "flows/outer.py", "--json").stdout)
    assert [each["name"] for each in made["graphs"]] == ["counter", "outer"]
    inner = made["graphs"][1]["problems"][0]
    assert (inner["where"], inner["line"]) == (
        "node first: edge from step",
        line_of(INNER, "inner.add_path"),
    )
    alone = document(invoke("check", "flows/outer.py:other", "--json").stdout)
    assert [(each["name"], each["problems"]) for each in alone["graphs"]] == [("other", [])]


def test_a_named_file_that_cannot_be_run_is_listed_with_the_others(project: Path, invoke: Invoke) -> None:
    """A file that cannot be run is listed with the others, if it is named by name or by path."""
    (project / "flows" / "broken.py").write_text("1 / 0\n")
    for name in ("broken", "flows/broken.py", "flows/broken.py:graph"):
        made = document(invoke("check", name, "counter", "--json").stdout)
        assert [Path(each["file"]).name for each in made["broken"]] == ["broken.py"]
        assert [each["name"] for each in made["graphs"]] == ["counter"]
    exits = (project / "flows" / "broken.py").write_text("raise SystemExit")
    assert exits
    assert "flows/broken.py:1: error graph_file_broken" in invoke("check", "broken").stdout


@pytest.mark.parametrize("words", [["nope"], ["flows/nope.py"], ["flows/counter.py:nope"]])
def test_a_reference_without_a_graph_is_an_error_of_the_command(invoke: Invoke, words: list[str]) -> None:
    """It is not a problem of a graph."""
    found = invoke("check", *words, "--json")
    assert (found.exit_code, document(found.stdout)["error"]["code"]) == (2, "graph_not_found")


def test_strict_counts_warnings_as_errors(project: Path, invoke: Invoke) -> None:
    """With --strict warnings change the exit code, so that CI can refuse them; without it they do not."""
    assert invoke("check").exit_code == 0
    assert invoke("check", "--strict").exit_code == 2
    calm = COUNTER.replace('label="enough")', 'label="enough")\ngraph.add_edge("more", END)').rsplit("graph.", 1)[0]
    (project / "flows" / "counter.py").write_text(calm)
    assert invoke("check", "--strict").exit_code == 0


def test_a_check_of_no_graph_is_an_error(project: Path, invoke: Invoke) -> None:
    """A file without graphs next to others is a helper; alone, it is probably the wrong file."""
    (project / "flows" / "helper.py").write_text("")
    found = invoke("check", "flows/helper.py")
    assert (found.exit_code, found.stdout) == (2, "")
    assert "there is no graph to check" in found.stderr
    assert invoke("check", "flows/helper.py", "flows/counter.py").exit_code == 0

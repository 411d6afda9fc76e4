import inspect
import types
from pathlib import Path

from pydantic import BaseModel, Field

from graphengine import END, START, Graph, value
from graphengine.errors import Problem
from graphengine.graph.source_location import origin_of_field

HERE = Path(__file__)


class Base(BaseModel):
    kept: object = Field(default=None, exclude=True)


class State(Base):
    n: int = 0


def line(frame: types.FrameType | None) -> int:
    """Return the current line of a frame."""
    assert frame is not None
    return frame.f_lineno


def found(graph: Graph[State], code: str) -> Problem:
    """Return the only problem of this kind."""
    (problem,) = [each for each in graph.check() if each.code == code]
    assert problem.file == str(HERE)
    return problem


def test_a_problem_has_the_line_of_its_declaration() -> None:
    """A problem has the line of its node, edge, switch or fork; else the line of the graph."""
    graph, begin = Graph("g", State, carry_over=("m",)), line(inspect.currentframe())
    graph.add_node("a", lambda m: m, writes="n")
    graph.add_edge(START, "a")
    graph.add_edge(
        "a",
        "aa",
        when=value("n") > 1,
    )
    graph.add_switch("a", "z", {1: END})
    graph.add_fork("a", [], join=END)
    graph.add_node("alone", lambda n: n, writes="n")
    graph.add_edge("alone", END)
    lines = {problem.code: problem.line for problem in graph.check()}
    assert lines["unknown_parameter"] == begin + 1
    assert lines["unknown_node"] == begin + 3
    assert lines["bad_fork"] == begin + 9
    assert found(graph, "unreachable").line == begin + 10
    lines = {problem.message: problem.line for problem in graph.check() if problem.code == "unknown_field"}
    assert lines == {"unknown field 'z'": begin + 8, "unknown field 'm'": begin}


def test_an_invalid_option_has_the_line_of_its_node() -> None:
    """An invalid option has the line of its node, even though the rest of the graph is not checked then."""
    graph = Graph("g", State)
    graph.add_node("a", lambda n: n, timeout_seconds=-1)
    assert found(graph, "bad_option").line == line(inspect.currentframe()) - 1


def test_a_field_has_its_line_in_the_class() -> None:
    """A field has its line in the class, also if a base class of the state declares it."""
    graph = Graph("g", State)
    graph.add_path(START, END)
    assert found(graph, "not_recordable").line == inspect.getsourcelines(Base)[1] + 1


def test_a_field_without_source_has_the_line_of_the_graph() -> None:
    """A field without source, entered at a prompt for instance, has the line of the graph."""
    names: dict[str, type[BaseModel]] = {"BaseModel": BaseModel, "excluded": Field(default=0, exclude=True)}  # type: ignore[dict-item]
    exec("class Typed(BaseModel):\n    n: int = excluded", names)  # noqa: S102 - code of this test
    graph = Graph("g", names["Typed"])
    begin = line(inspect.currentframe()) - 1
    graph.add_path(START, END)
    assert origin_of_field(names["Typed"], "n") is None
    assert [(problem.code, problem.line) for problem in graph.check()] == [("not_recordable", begin)]

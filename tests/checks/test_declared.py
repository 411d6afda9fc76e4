"""States that are declared as a TypedDict or a dataclass: they work as pydantic models do, and users get their own."""

from pathlib import Path
from typing import Annotated, Any, TypedDict

from graphengine import Graph
from graphengine.reducers import append


def test_its_problems_name_the_line_of_the_field() -> None:
    """A state's problems name the line of the field in the user's own class."""

    class Wrong(TypedDict):
        text: object
        number: Annotated[int, append]

    graph: Graph[Any] = Graph("wrong", Wrong)
    (problem,) = [each for each in graph.check() if each.where == "field Wrong.number"]
    assert problem.code == "bad_reducer"
    assert Path(problem.file or "").name == Path(__file__).name
    assert "number: Annotated" in Path(__file__).read_text("utf-8").splitlines()[(problem.line or 1) - 1]

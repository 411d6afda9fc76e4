import inspect
import types
from pathlib import Path

from pydantic import BaseModel, Field

from graphengine import Graph, Node
from graphengine.errors import Problem
from graphengine.patterns import pipeline

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


def test_a_problem_in_a_pattern_has_the_line_of_the_users_call() -> None:
    """A problem in a pattern has the line of the user's call, not a line of graphengine."""
    graph = pipeline({"a": Node(lambda m: m, writes="n")}, state=State, result="n")
    assert found(graph, "unknown_parameter").line == line(inspect.currentframe()) - 1

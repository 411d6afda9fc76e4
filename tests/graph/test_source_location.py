import inspect
import types
from pathlib import Path
from typing import final

from pydantic import BaseModel, Field

from graphengine import END, START, Graph
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


def test_a_class_inside_a_function_is_found_too() -> None:
    """A class inside a function is found too, as in notebooks and tests."""

    class Inner(BaseModel):
        kept: int = 0

    begin = inspect.getsourcelines(Inner)[1]
    assert origin_of_field(Inner, "kept") == (str(HERE), begin + 1)
    Inner.__module__ = "nowhere"  # as of a class whose source cannot be read
    assert origin_of_field(Inner, "kept") is None


def test_a_text_at_the_start_of_a_line_and_a_decorator_hide_no_line() -> None:
    """The lines of a class that is indented, with a text that is not, and with a decorator above it."""

    @final
    class Decorated(BaseModel):
        """A state.

        Its text begins at the start of a line.
        """

        kept: int = 0

    begin = inspect.getsourcelines(Decorated)[1]
    assert origin_of_field(Decorated, "kept") == (str(HERE), begin + 7)
    assert origin_of_field(Decorated, "nope") == (str(HERE), begin + 1)


def test_an_undeclared_field_has_the_line_of_its_class() -> None:
    """An undeclared field has the nearest line that exists: that of its class."""
    place = origin_of_field(State, "nope")
    assert place == (str(HERE), inspect.getsourcelines(State)[1])


def test_a_copy_keeps_the_lines_of_what_it_copied() -> None:
    """A copy keeps the lines of the original, since the mistake is fixed there."""
    graph = Graph("g", State)
    graph.add_node("a", lambda m: m, writes="n")
    begin = line(inspect.currentframe()) - 1
    graph.add_path(START, "a", END)
    assert found(graph.but(name="h"), "unknown_parameter").line == begin
    assert Graph("g", State, title="n of {n}").but(name="h").title == "n of {n}"


def test_the_text_of_a_problem_names_file_and_line() -> None:
    """The file's name only, since full paths are too long there; neither if unknown."""
    graph = Graph("g", State)
    (problem, *_) = graph.check()
    begin = line(inspect.currentframe()) - 2
    assert f" at START (test_source_location.py:{begin}): " in str(
        next(p for p in graph.check() if p.code == "no_start")
    )
    assert problem.file is not None
    assert str(Problem("code", "node x", "is wrong")) == "error code at node x: is wrong"

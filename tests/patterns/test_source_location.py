import inspect

from graphengine import Node
from graphengine.patterns import pipeline
from tests.graph.test_source_location import State, found, line


def test_a_problem_in_a_pattern_has_the_line_of_the_users_call() -> None:
    """A problem in a pattern has the line of the user's call, not a line of graphengine."""
    graph = pipeline({"a": Node(lambda m: m, writes="n")}, state=State, result="n")
    assert found(graph, "unknown_parameter").line == line(inspect.currentframe()) - 1

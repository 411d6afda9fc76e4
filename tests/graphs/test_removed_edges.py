"""LangGraph's names: each raises an error with the graphengine equivalent."""

from typing import Any

from graphengine import (
    Graph,
)
from graphs import blackboard, content_queue, event_bus, orchestrator, review_loop, writers_room


def test_a_removed_edge_is_one_problem() -> None:
    """Removing any edge of the bundled workflows is one problem: what follows from it is not listed."""
    for module in (blackboard, content_queue, event_bus, orchestrator, review_loop, writers_room):
        whole: Graph[Any] = module.graph
        before = len(whole.check())
        for index, edge in enumerate(whole.edges):
            part = whole.but()
            part.edges.pop(index)
            problems = part.check()
            errors = [problem for problem in problems if not problem.warning]
            assert len(errors) <= 1, (whole.name, edge, errors)
            assert not errors or len(problems) == 1 + before

"""The exception of a failed run in Python: the cause of RunFailed, and the recorded traceback."""

import pytest

from graphengine import START, Graph, RunFailed
from graphengine.errors import CompileError, DefinitionError
from tests.runner.test_causes import Odd, State, breaks, one


def test_errors_of_run_sync_have_no_foreign_context() -> None:
    """Neither a failed run nor a graph that does not compile has the missing event loop as its context."""
    with pytest.raises(RunFailed) as caught:
        one(breaks).run_sync()
    assert isinstance(caught.value.__cause__, Odd)
    assert caught.value.__context__ is None
    graph = Graph("bad", State)
    graph.add_edge(START, "missing")
    with pytest.raises(CompileError) as broken:
        graph.run_sync()
    assert broken.value.__context__ is None


async def test_run_sync_on_a_loop_has_no_context_either() -> None:
    """The error explains the repair, and nothing else."""
    with pytest.raises(DefinitionError) as caught:
        one(breaks).run_sync()
    assert caught.value.__context__ is None

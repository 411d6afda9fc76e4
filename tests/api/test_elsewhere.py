"""LangGraph's names: each raises an error with the graphengine equivalent."""

import inspect
import re
from typing import Any, cast

import pytest

from graphengine import (
    Graph,
    Runner,
)
from graphengine.errors import UnknownAttribute


def test_the_signatures_of_runs_show_their_options() -> None:
    """Of `run` and `run_sync` editors and `help` show the same options by name."""
    of_run, of_run_sync = inspect.signature(Graph.run), inspect.signature(Graph.run_sync)
    assert of_run == of_run_sync
    assert list(of_run.parameters)[:5] == ["self", "state", "limits", "store", "run_id"]


async def test_a_runner_names_what_does_what_is_asked_of_a_graph_elsewhere() -> None:
    """A method of LangGraph's graphs that is looked for in a Runner has the same repair, with a step's number."""
    async with Runner() as runner:
        with pytest.raises(UnknownAttribute, match=re.escape("await runner.state_at(run_id, 1)")):
            cast("Any", runner).get_state_history("first")
        with pytest.raises(UnknownAttribute, match=re.escape("await runner.admin.prune(keep_last=100)")):
            cast("Any", runner).prune(keep_last=1)
        with pytest.raises(AttributeError, match="no attribute 'foo'"):
            _ = cast("Any", runner).foo

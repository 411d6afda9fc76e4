"""Recorded runs as tests: does today's graph decide them the same way?

def test_the_run_of_monday() -> None:
    replay(graph, "tests/recorded/monday.json")
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from graphengine.records.export import Exported, read_file
from graphengine.records.replay import replay as replays

if TYPE_CHECKING:
    from os import PathLike

    from graphengine.api.graph import Graph


def replay(graph: Graph[Any], run: str | PathLike[str] | Exported) -> replays.Replayed:
    """Check that a graph decides a recorded run the same way; no node is called.

    Args:
        graph: Today's graph.
        run: The file that `graphengine export` wrote, or a run that was read.

    Returns:
        The result, with reasons and with what could not be checked.

    Raises:
        AssertionError: It decides differently; the text has the first step, the difference, and the repair.
        BadExport: The file is not an exported run.
        GraphChanged: The run is of a graph of another name.
        SecretKeyWrong: The run has secrets, and the graph was given another key.
    """
    found = replays.replay(graph, run if isinstance(run, Exported) else read_file(Path(run)))
    if not found.same:
        raise AssertionError(str(found))
    return found

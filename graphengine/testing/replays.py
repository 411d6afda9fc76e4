"""Recorded runs as tests: does today's graph decide them as they were decided?

def test_the_run_of_monday() -> None:
    replay(graph, "checkpoints/format_1/monday.json")
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from graphengine.history.export import Exported, read_file
from graphengine.history.replay import replay as replays

if TYPE_CHECKING:
    from os import PathLike

    from graphengine.graph.graph import Graph


def replay(graph: Graph[Any], run: str | PathLike[str] | Exported) -> replays.Replayed:
    """See that a graph decides a recorded run as it was decided; no node is called.

    Args:
        graph: Today's graph.
        run: The file that `graphengine export` wrote, or a run that was read.

    Returns:
        What was found, for who wants to look at reasons and at what could not be checked.

    Raises:
        AssertionError: It decides otherwise; the text says from which step on, how, and what to do.
        BadExport: The file is no exported run.
        GraphChanged: The run is of a graph of another name.
        SecretKeyWrong: The run has secrets, and the graph was given another key.
    """
    found = replays.replay(graph, run if isinstance(run, Exported) else read_file(Path(run)))
    if not found.same:
        raise AssertionError(str(found))
    return found

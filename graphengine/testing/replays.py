"""Use recorded runs as tests: check that today's graph decides them in the same way.

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
    """Check that today's graph decides every step of a recorded run in the same way. No node is called.

    Args:
        graph: Today's graph.
        run: The path of a file that `graphengine export` wrote, or a run that was read from such a file.

    Returns:
        The result of the replay. It also lists explanations that have changed and parts of the run that could not be
        checked.

    Raises:
        AssertionError: The graph decides a step differently. The text contains the first such step, the difference and
            a repair.
        BadExport: The file is not an exported run.
        GraphChanged: The run belongs to a graph with another name.
        SecretKeyWrong: The run contains secrets, and the graph has another key.
    """
    found = replays.replay(graph, run if isinstance(run, Exported) else read_file(Path(run)))
    if not found.same:
        raise AssertionError(str(found))
    return found

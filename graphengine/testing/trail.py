"""Write the trail of a run: the visited nodes in one line of text that does not depend on timing.

    research write review write review END      one node after the other
    plan [facts search | counter] merge END     a fork: its arms in declared order, then the join; `-` is an arm that
                                                goes straight to the join
    article (write review) publish END          a nested graph, with the nodes visited in it
    teams (plan work | plan work) END           a map whose items are graphs, in their order; other maps are one word

The last word shows how the run ended: END, FAIL, STOPPED (at a limit), CANCELLED, WAITING or RUNNING.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from graphengine.kernel.extension import END, FAIL

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from graphengine.kernel.reader import RunStatus
    from graphengine.records.visit_tree import TakenEdge, Track, Visit
    from graphengine.records.visits import Visits

_WORD: Final = re.compile(r"[^\s\[\]()|]+|[\[\]()|]")
_ENDS: Final[dict[RunStatus, str]] = {
    "finished": END,
    "failed": FAIL,
    "stopped": "STOPPED",
    "cancelled": "CANCELLED",
    "waiting": "WAITING",
    "running": "RUNNING",
}


@dataclass(frozen=True, slots=True)
class Word:
    """One entry in the line that shows the path of a run: the name of a node, a bracket, or the end, such as `END`.

    `visit` is the visit of the node. It is None for brackets and for the end.
    """

    text: str
    visit: Visit | None = None


def words_of(text: str) -> list[str]:
    return _WORD.findall(text)


def text_of(words: Sequence[Word | str]) -> str:
    line = " ".join(word if isinstance(word, str) else word.text for word in words)
    return line.replace("[ ", "[").replace(" ]", "]").replace("( ", "(").replace(" )", ")")


def trail(run: Visits, status: RunStatus, hidden: Collection[str] = ()) -> list[Word]:
    """Return the entries of the line that shows the path of a run, such as `write`, `review`, `END`.

    Args:
        run: The visits of the run.
        status: The status of the run, which decides the last word.
        hidden: The names of nodes that are left out.
    """
    return [*_words_of_graph(run.tracks[0], hidden), Word(_ENDS[status])] if run.tracks else []


def _words_of_graph(track: Track, hidden: Collection[str]) -> Iterator[Word]:
    """Yield the words for the nodes that were visited in a graph, after a fork at its START if there is one."""
    yield from _fork(track.edge, hidden)
    yield from _words_of_track(track, hidden)


def _words_of_track(track: Track, hidden: Collection[str]) -> Iterator[Word]:
    """Yield the names and brackets that show some visits in the line with a run's path, in the order of the visits.

    A visit in progress is included only if it has entered a map or a nested graph.
    """
    for visit in track.visits:
        if visit.node not in hidden and (visit.status in ("done", "failed") or visit.insides):
            yield Word(visit.node, visit)
            yield from _words_inside(visit, hidden)
            yield from _fork(visit.edge, hidden)


def _words_inside(visit: Visit, hidden: Collection[str]) -> Iterator[Word]:
    """Yield the part in brackets of the line with a run's path, for a visit that ran a nested graph or a map.

    If retries ran the graph several times, only the last time is included.
    """
    if not visit.insides:
        return
    nested = visit.insides[-1]
    graphs = [nested]
    if nested.kind == "map":
        items = [nested.tracks[index].visit if index in nested.tracks else None for index in range(nested.count)]
        graphs = [item.insides[-1] if item is not None and item.insides else nested for item in items]
    parts = [[*_words_of_graph(graph.tracks[0], hidden)] if graph.kind == "graph" else [] for graph in graphs]
    if any(parts):
        yield from _join_words("(", parts, ")")


def _fork(edge: TakenEdge | None, hidden: Collection[str]) -> Iterator[Word]:
    """Yield in brackets the words of a fork's arms, if this edge is a fork."""
    if edge is not None and edge.arms:
        yield from _join_words("[", [[*_words_of_track(arm, hidden)] for arm in edge.arms], "]")


def _join_words(opening: str, parts: Sequence[Sequence[Word]], closing: str) -> Iterator[Word]:
    yield Word(opening)
    for number, part in enumerate(parts):
        if number:
            yield Word("|")
        yield from part or [Word("-")]
    yield Word(closing)


__all__ = ["Word", "text_of", "trail", "words_of"]

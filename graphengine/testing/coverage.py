"""Measure which edges and conditions of graphs the tests take, and report edges that are never taken.

    with EdgeCoverage() as coverage:
        ...
    print(coverage.report())

Inside the `with` block, the coverage records every edge that is chosen in this process: in runs of any Runner, in walks
and in replays. It does not record nodes that run alone with `run_node`. It counts these units of a graph:

    each outgoing edge    an edge, each case of a switch and its otherwise, a fork, each arm that has a condition: taken
    each condition that   of an edge whose condition is composed of several: each of them true once, and false once;
    is a part of another  `failed(Exception)` holds whenever it is checked, and need not be false once
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import astuple, dataclass, replace
from typing import TYPE_CHECKING, Any, Final, cast

from typing_extensions import override

from graphengine.api.graph import Graph
from graphengine.errors import InputError
from graphengine.kernel.extension import Condition, Fork, Switch
from graphengine.kernel.inside import Composed, Negated, Session
from graphengine.testing.coverage_units import WHOLE, Shape, Unit, shape_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from types import TracebackType
    from typing import Self

    from graphengine.kernel.extension import AnyEdge, Plan, View
    from graphengine.kernel.reader import ConditionSpec
    from graphengine.testing.coverage_units import Place


class EdgeCoverage:
    """Records which edges of graphs are taken inside its `with` block, to find edges that no test takes.

    An `EdgeCoverage` can be used in several `with` blocks, and adds up what it records. If the condition of an edge is
    composed with `&`, `|` and `~`, the coverage also reports for each part whether the part was ever true and whether
    it was ever false. Graphs with the same name whose edges lead to the same nodes count as one graph. A node that is
    run alone, for example with `run_node`, takes no edge.

    Args:
        graphs: The graphs to cover, or their names. A graph counts with all graphs inside it, run or not. By default
            every graph that is run counts.

    Example:
        >>> import asyncio
        >>> from pydantic import BaseModel
        >>> from graphengine import END, START, Graph, value
        >>> class Count(BaseModel):
        ...     n: int = 0
        >>> graph = Graph("count", Count)
        >>> graph.add_edge(START, END, when=value("n") > 0, label="some")
        >>> graph.add_edge(START, END, label="none")
        >>> with EdgeCoverage(graph) as coverage:
        ...     _ = asyncio.run(graph.run({"n": 1}))
        >>> coverage.percent
        50.0
    """

    def __init__(self, *graphs: Graph[Any] | str) -> None:
        self._wanted: set[str] = set()
        self._seen: dict[Shape, Counter[tuple[Place, bool]]] = {}
        for graph in graphs:
            if not isinstance(graph, (Graph, str)):
                repair = "give graphs, or names of graphs: EdgeCoverage(one, another)"
                raise InputError(f"{graph!r} is not a graph", where="EdgeCoverage", repair=repair)
            self._wanted.add(graph if isinstance(graph, str) else graph.name)
            for plan in graph.compile().nest if isinstance(graph, Graph) else ():
                self._wanted.add(plan.graph)
                self._seen.setdefault(_FAN.shape(plan), Counter())

    def __enter__(self) -> Self:
        _FAN.add(self)
        Session.__init__ = cast("Any", _begin_observed)  # type: ignore[method-assign]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _FAN.watching.remove(self)
        if not _FAN.watching:
            Session.__init__ = _BEGIN  # type: ignore[method-assign]
            _FAN.forget()

    def knows(self, shape: Shape) -> None:
        """Add a graph with these edges to the report, even if none of them is ever taken."""
        if not self._wanted or shape.graph in self._wanted:
            self._seen.setdefault(shape, Counter())

    def saw(self, shape: Shape, place: Place, *, held: bool) -> None:
        """Count that a run took an edge, or that a condition was true or false."""
        if shape in self._seen:
            self._seen[shape][place, held] += 1

    def as_json(self) -> str:
        """Return the recorded counts as JSON, which another process can pass to `add`."""
        recorded = [
            [
                shape.graph,
                shape.file,
                [astuple(unit) for unit in shape.units],
                [[place, held, count] for (place, held), count in counts.items()],
            ]
            for shape, counts in self._seen.items()
        ]
        return json.dumps(recorded)

    def add(self, recorded: str) -> None:
        """Add the counts of another process, for example of a process that runs some of the tests.

        Args:
            recorded: The counts, as `as_json` returned them in the other process.
        """
        for graph, file, units, recorded_counts in json.loads(recorded):
            shape = Shape(graph, file, tuple(Unit(tuple(place), *rest) for place, *rest in units))
            counts = self._seen.setdefault(shape, Counter())
            counts.update({(tuple(place), held): count for place, held, count in recorded_counts})

    @property
    def graphs(self) -> Mapping[str, float]:
        """The covered share of each graph, in percent, by the graph's name and file."""
        return {f"{shape.graph} ({shape.file})": _percent_of(*self._count_seen(shape)) for shape in self._shapes()}

    @property
    def percent(self) -> float:
        """The covered share of all edges and conditions, in percent; 100 if there are none."""
        return _percent_of(*self._total())

    @property
    def edges(self) -> Mapping[str, bool]:
        """Whether each edge was taken, by the edge in words after the name of its graph: `essay: write -> review`."""
        return {
            f"{shape.graph}: {unit.edge}": (unit.place, unit.held) in self._seen[shape]
            for shape in self._shapes()
            for unit in shape.units
            if not unit.part
        }

    def report(self) -> str:
        """Return a text that lists, graph by graph, which edges and conditions the tests never took."""
        lines: list[str] = []
        for shape in self._shapes():
            covered, count = self._count_seen(shape)
            lines.append(f"{shape.file}: {shape.graph}: {covered} of {count} seen")
            lines += [f"  {line}" for line in self._list_unseen(shape)]
        lines += [f"{name}: never run" for name in self._unrun()]
        if not lines:
            return "no graph was run"
        covered, count = self._total()
        return "\n".join(
            [*lines, f"edges and conditions seen: {covered} of {count}, {_percent_of(covered, count):.1f} %"]
        )

    def _shapes(self) -> Sequence[Shape]:
        return sorted(self._seen, key=lambda shape: (shape.file, shape.graph, len(shape.units)))

    def _unrun(self) -> Sequence[str]:
        return sorted(self._wanted - {shape.graph for shape in self._seen})

    def _count_seen(self, shape: Shape) -> tuple[int, int]:
        counts = self._seen[shape]
        return sum((unit.place, unit.held) in counts for unit in shape.units), len(shape.units)

    def _total(self) -> tuple[int, int]:
        counted = [self._count_seen(shape) for shape in self._seen]
        unrun = len(self._unrun())  # A graph that was never run counts as one unit that was not seen.
        return sum(covered for covered, _ in counted), sum(count for _, count in counted) + unrun

    def _list_unseen(self, shape: Shape) -> Iterator[str]:
        """Describe each edge that was never taken, and each part of a condition that was never true or never false."""
        counts = self._seen[shape]
        for unit in shape.units:
            node, after, at, _ = unit.place
            checked = counts[(node, after, at, WHOLE), True] + counts[(node, after, at, WHOLE), False]
            if (unit.place, unit.held) in counts:
                continue
            if not unit.part:
                count = counts[unit.place, False] if unit.place[3] else checked
                never = f"checked {_times(count)}, never held" if count else "never checked"
                yield f"{unit.edge}: {never if unit.conditional else 'never taken'}"
            elif checked:  # If the edge was never checked, the edge itself has already been reported.
                yield f"{unit.edge}: {unit.part!r} {'never' if unit.held else 'always'} held"


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _percent_of(seen: int, count: int) -> float:
    return 100.0 * seen / count if count else 100.0


# Recording.


@dataclass(frozen=True, slots=True)
class _Noted(Condition):
    """Wraps a condition of an edge in order to record its results. It behaves like the condition itself.

    Each result is passed to `note`.
    """

    of: Condition
    note: Callable[[bool], None]

    @override
    def evaluate(self, view: View) -> tuple[bool, Any]:
        held, found = self.of.evaluate(view)
        self.note(held)
        return held, found

    @override
    def trackers(self, source: str) -> Iterable[Any]:
        return self.of.trackers(source)

    @property
    @override
    def spec(self) -> ConditionSpec:
        return self.of.spec


class _Fan:
    """Passes each edge that a running graph takes to all the `EdgeCoverage` objects that are recording."""

    def __init__(self) -> None:
        self.watching: list[EdgeCoverage] = []
        self._shapes: dict[str, Shape] = {}
        self._introduced: set[str] = set()
        self._noted: dict[int, tuple[Sequence[AnyEdge], Sequence[AnyEdge]]] = {}

    def add(self, coverage: EdgeCoverage) -> None:
        """Begin to report the edges of running graphs to this coverage.

        All graphs are reported again, because this coverage has not seen them.
        """
        self.watching.append(coverage)
        self._introduced.clear()

    def forget(self) -> None:
        """Drop what is remembered about graphs when no coverage is active, so that the graphs can be freed."""
        self._shapes.clear()
        self._introduced.clear()
        self._noted.clear()

    def shape(self, plan: Plan[Any]) -> Shape:
        """Return everything in a graph that a test can cover: its edges, and the parts of their conditions.

        The result is kept by the graph's fingerprint, so that it is computed once.
        """
        if plan.fingerprint not in self._shapes:
            self._shapes[plan.fingerprint] = shape_of(plan)
        return self._shapes[plan.fingerprint]

    def introduce(self, plan: Plan[Any]) -> None:
        """Tell every coverage that is recording about a graph and the graphs inside it.

        Each coverage then knows all edges, including those that are never taken.
        """
        if plan.fingerprint in self._introduced:
            return
        self._introduced.add(plan.fingerprint)
        for inner in plan.nest:
            if inner.fingerprint:
                for coverage in self.watching:
                    coverage.knows(self.shape(inner))

    def watched(self, plan: Plan[Any], node: str, edges: Sequence[AnyEdge]) -> Sequence[AnyEdge]:
        """Return copies of the edges that leave a node, whose conditions report each result to the coverages.

        A session uses these copies, so that the coverages know which parts of conditions were true and false.
        """
        if not plan.fingerprint:  # The plan is a stub that replaces a graph.
            return edges
        self.introduce(plan)
        found = self._noted.get(id(edges))
        if found is None:
            place = (node, self._after(plan, node, edges))
            noted = [self._note(self.shape(plan), (*place, at, ""), edge) for at, edge in enumerate(edges)]
            # Another thread may do the same at the same time; the first result is used.
            found = self._noted.setdefault(id(edges), (edges, noted))
        return found[1]

    def took(self, plan: Plan[Any], node: str, edges: Sequence[AnyEdge], edge: AnyEdge, label: str) -> None:
        if not plan.fingerprint:
            return
        _, noted = self._noted.get(id(edges), ((), ()))
        for at in (at for at, each in enumerate(noted) if each is edge):
            part = f"case {label}" if isinstance(edge, Switch) else ""
            self._saw(self.shape(plan), (node, self._after(plan, node, edges), at, part), held=True)

    @staticmethod
    def _after(plan: Plan[Any], node: str, edges: Sequence[AnyEdge]) -> bool:
        return node in plan.nodes and edges is plan.nodes[node].failure_edges and bool(edges)

    def _saw(self, shape: Shape, place: Place, *, held: bool) -> None:
        for coverage in self.watching:
            coverage.saw(shape, place, held=held)

    def _note(self, shape: Shape, place: Place, edge: AnyEdge) -> AnyEdge:
        if isinstance(edge, Switch):
            return edge
        condition = edge.condition
        if condition is not None:
            number = iter(range(len(list(condition.leaves()))))
            parts = self._tree(shape, place, condition, number)
            condition = _Noted(parts, self._note_results_of(shape, (*place[:3], WHOLE)))
        if not isinstance(edge, Fork):
            return replace(edge, condition=condition)
        arms = tuple(
            (target, None if at is None else _Noted(at, self._note_results_of(shape, (*place[:3], f"arm {number}"))))
            for number, (target, at) in enumerate(edge.arms)
        )
        return replace(edge, condition=condition, arms=arms)

    def _tree(self, shape: Shape, place: Place, condition: Condition, number: Iterator[int]) -> Condition:
        """Return a copy of an edge's condition that reports its results to all coverages that are recording.

        If the condition is composed of several by `&`, `|` or `~`, each of them reports its own results.
        """
        if isinstance(condition, Composed):
            left = self._tree(shape, place, condition.left, number)
            return Composed(condition.word, left, self._tree(shape, place, condition.right, number))
        if isinstance(condition, Negated):
            return Negated(self._tree(shape, place, condition.of, number))
        return _Noted(condition, self._note_results_of(shape, (*place[:3], f"part {next(number)}")))

    def _note_results_of(self, shape: Shape, place: Place) -> Callable[[bool], None]:
        def note(held: bool) -> None:  # noqa: FBT001 - a condition's result
            self._saw(shape, place, held=held)

        return note


_FAN: Final = _Fan()
_BEGIN: Final = Session.__init__


def _begin_observed(session: Session, *args: Any, **options: Any) -> None:  # noqa: ANN401 - passed on unchanged
    """Replaces `Session.__init__` while edges are recorded, so that each session reports the edges that it takes.

    If the caller passes an observer of its own, or an explicit None, the session uses that. A context variable could
    not do this, because some sessions would not see it: an `asyncio.Runner` copies its context when it is made, and a
    thread that a test starts does not inherit the context of the test.
    """
    _BEGIN(session, *args, **{"observer": _FAN, **options})


def introduce(plan: Plan[Any]) -> None:
    """Tell every coverage that is recording about a graph, so that edges that no test takes are listed as well.

    `walk` calls this function, because it runs a copy of the graph with stubs in place of the nodes, and the edges of
    the original graph should count.
    """
    _FAN.introduce(plan)


__all__ = ["EdgeCoverage"]

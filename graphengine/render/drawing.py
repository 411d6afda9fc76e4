"""Make the drawing of a graph: the contents of a picture, independent of the format of the file.

`draw_graph` makes the drawing from a graph's spec and, if a run is drawn too, from the run's steps. This module decides
the words, their order, the line breaks and the tones. The writers (svg, dot, mermaid, plain text) only print the
drawing. Ids are also made here; they never contain text of the user.

A nested graph becomes a cluster, and arrows to the nested graph end at the border of the cluster. Inside the cluster,
the graph begins at the only node with which it can begin, or else at a dot, its entry. Arrows that leave the nested
graph begin at a dot, its exit. Edges for failures begin at the border of the cluster, because any node inside the
cluster can have failed.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, cast, get_args

from graphengine.kernel.extension import END, FAIL, START
from graphengine.records.words import cost, counted
from graphengine.render.amounts import Used
from graphengine.render.edges import find_closing_edges
from graphengine.render.parts import Arrow, Box, Cluster, Drawing, Line, Shape
from graphengine.render.scopes import Folding, contents_of, is_in, path_at, plain_start, scopes_of, standing_in
from graphengine.render.text import one_line, wrap
from graphengine.render.trace import trace_of
from graphengine.render.words import TITLE_LINES, head_of, lines_of, listed, notes_of, short, times_in_words, title_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from graphengine.kernel.reader import GraphSpec, NodeSpec, Step
    from graphengine.records.visit_tree import Place
    from graphengine.render.edges import DrawnEdge
    from graphengine.render.parts import Detail, Tone
    from graphengine.render.scopes import Fold, Scope, Spot
    from graphengine.render.trace import Trace

LABEL_COLUMNS: Final[Mapping[Detail, int]] = {"brief": 14, "full": 26}
CONDITION_LINES: Final = 8
"""A condition of 120 characters is shown completely in so many lines, if it contains no very long word."""
TIMES: Final = "\N{MULTIPLICATION SIGN}"
CAPTION_COLUMNS: Final = 70
LEGEND_COLUMNS: Final = 70
LEGEND_LINES: Final = 4
SHARED_SOURCES: Final = 4
"""If more nodes lead to an end, each of them gets its own box for the end, so that no arrow crosses the whole picture.
"""

_ENDS: Final[Mapping[str, Shape]] = {START: "start", END: "end", FAIL: "fail"}
_TONES: Final[Mapping[str, Tone]] = {"ended": "done", "here": "here", "waiting": "waiting", "failed": "failed"}


def draw_graph(  # noqa: PLR0913 - as for `render_graph_spec`
    graph_spec: GraphSpec,
    steps: Iterable[Step] | None = None,
    specs: Mapping[str, GraphSpec] | None = None,
    *,
    fold: Fold = None,
    detail: Detail = "full",
    status: str = "",
) -> Drawing:
    """Create a picture of a graph in a form that can be written as SVG, Mermaid, DOT or text.

    A run can be drawn on the graph.

    Args:
        graph_spec: A graph's description, from `Plan.graph_spec` or from a store.
        steps: All steps of a run from seq 1 on; None draws the graph alone.
        specs: The other versions of the run's graph under which steps were recorded, by fingerprint.
        fold: The nested graphs to draw as one box each: all graphs at this depth or deeper (0: all), or the nodes with
            these paths.
        detail: How much text the picture contains.
        status: The status of the run from the store, if it says more than the steps.

    Raises:
        RenderError: The graph spec or the steps cannot be read, or a path of `fold` does not name a nested graph.
    """
    scopes = scopes_of(graph_spec)
    trace = trace_of(graph_spec, scopes, steps, specs, status) if steps is not None else None
    drafter = _Drafter(scopes, trace, Folding.of(fold, scopes), detail)
    drafter.whole()
    title = one_line(scopes[()].name) or "graph"
    caption = [Line(text, "strong") for text in wrap(title, CAPTION_COLUMNS, 2)]
    if trace is not None:
        status_text = f"run {trace.run_id}: {trace.summary}" if trace.run_id else f"run: {trace.summary}"
        caption += [Line(text, "small") for text in wrap(status_text, CAPTION_COLUMNS, 2)]
        title = f"{title}, {one_line(status_text)}"
    parts: list[Box | Arrow] = [*drafter.clusters, *drafter.boxes, *drafter.arrows]
    spoken = " ".join(f"{part.spoken}." for part in parts)
    drawing = Drawing(
        title, tuple(caption), spoken, tuple(drafter.boxes), tuple(drafter.arrows), tuple(drafter.clusters)
    )
    legend = tuple(Line(text, "small") for text in wrap("; ".join(signs_of(drawing)), LEGEND_COLUMNS, LEGEND_LINES))
    drawing = replace(drawing, legend=legend)
    return _with_large_text(drawing) if detail == "brief" else drawing


def _with_large_text(drawing: Drawing) -> Drawing:
    """Return a copy of the picture with larger small text, which stays readable when the picture is shown smaller."""

    def large(lines: Sequence[Line]) -> tuple[Line, ...]:
        return tuple(replace(line, weight="normal") if line.weight == "small" else line for line in lines)

    return replace(
        drawing,
        caption=large(drawing.caption),
        legend=large(drawing.legend),
        boxes=tuple(replace(box, lines=large(box.lines)) for box in drawing.boxes),
        clusters=tuple(replace(cluster, lines=large(cluster.lines)) for cluster in drawing.clusters),
    )


class _Place(NamedTuple):
    """A part of a graph that is drawn as a box: a node, START, END or FAIL.

    If many edges lead to END, END has a separate box for each node from which such edges come. `source` is then the
    name of this node.
    """

    name: str
    source: str = ""


class _Doors(NamedTuple):
    """The boxes to which arrows to a node lead, and from which arrows of the node begin.

    Most nodes are drawn as one box. Both `entry` and `exit` are then this box, and `cluster` is "". A node that
    contains a graph is drawn as a frame around this graph. `entry` and `exit` are then boxes inside the frame, and
    `cluster` is the id of the frame.
    """

    entry: str
    exit: str
    cluster: str = ""


class _Drafter:
    """Creates the boxes, arrows and frames of a picture from the description of a graph.

    A nested graph is drawn inside the frame of its node.
    """

    def __init__(self, scopes: Mapping[Place, Scope], trace: Trace | None, folding: Folding, detail: Detail) -> None:
        self.scopes = scopes
        self.trace = trace
        self.folding = folding
        self.detail: Detail = detail
        self.boxes: list[Box] = []
        self.arrows: list[Arrow] = []
        self.clusters: list[Cluster] = []

    def whole(self) -> None:
        """Draw the run's own graph, with everything inside it."""
        scope = self.scopes[()]
        start = [_Place(START)] if any(edge.source == START for edge in scope.edges) else []
        self._edges((), {place: self._node((), place, "") for place in [*start, *_list_places(scope, END, FAIL)]})

    def _inside(self, place: Place, cluster: str) -> _Doors:
        """Draw a nested graph into the frame of its node.

        Returns:
            The boxes at which arrows enter and leave the nested graph.
        """
        scope = self.scopes[place]
        first = plain_start(scope)
        doors: dict[_Place, _Doors] = {}
        if not first:
            doors[_Place(START)] = self._dot(place, "entry", cluster)
        doors |= {node: self._node(place, node, cluster) for node in _list_places(scope, FAIL)}
        doors[_Place(END)] = self._dot(place, "exit", cluster)
        self._edges(place, doors)
        return _Doors(doors[_Place(first or START)].entry, doors[_Place(END)].exit, cluster)

    def _node(self, place: Place, node: _Place, cluster: str) -> _Doors:
        """Draw a node, or START, END or FAIL.

        Returns:
            The boxes at which arrows enter and leave it.
        """
        name = node.name
        facts = self.scopes[place].nodes.get(name) or {"name": name}
        is_folded = bool(facts.get("graphs")) and self.folding.folds((place, name))
        if facts.get("graphs") and name not in _ENDS and not is_folded:
            return self._cluster((place, name), facts, cluster)
        tone, happened, position = self._at((place, name), node.source)
        if name in _ENDS:
            shape, shown, notes = _ENDS[name], name, [*happened, *position]
        else:
            kind = "graph" if is_folded else facts.get("kind")
            shape = cast("Shape", kind) if kind in get_args(Shape) else "function"
            shown = title_of(name, facts)
            notes = [*self._notes((place, name), facts), *happened, *position]
        lines = lines_of(shown, notes if self.detail == "full" else position, self.detail)
        spoken = "; ".join([named(place, shown if name not in _ENDS else name), *notes])
        return self._box(Box("", shape, lines, spoken, tone, cluster, bool(facts.get("each"))), place, name)

    def _cluster(self, spot: Spot, facts: NodeSpec, parent: str) -> _Doors:
        """Draw a node that contains graphs, as a frame with these graphs inside.

        The node runs one graph, or chooses among several graphs.
        """
        place, name = spot
        tone, happened, position = self._at(spot)
        notes = [*self._notes(spot, facts), *happened, *position]
        alone = "" in facts.get("graphs", ())
        shown = title_of(name, facts)
        spoken = "; ".join([path_at(place, shown), *notes])
        lines = head_of(shown, notes if self.detail == "full" else position, self.detail)
        many = bool(facts.get("each"))
        shape: Shape = "graph" if alone else "choose"
        cluster = self._frame(Cluster("", shape, lines, spoken, tone, parent, many, named(place, name), spot))
        return self._inside((*place, (name, "")), cluster) if alone else self._choices(spot, facts, cluster)

    def _notes(self, spot: Spot, facts: NodeSpec) -> list[str]:
        place, name = spot
        notes = notes_of(name, facts, self.scopes[place].fields)
        if "" in facts.get("graphs", ()):
            inner = self.scopes[*place, (name, "")].name
            notes[0] += f" {inner}" if inner != name else ""
        if facts.get("graphs") and self.folding.folds(spot):
            notes[1:1] = contents_of(self.scopes, spot)
        scope = self.scopes[place]
        return [*notes, *(said[name] for said in (scope.joins, scope.bounds) if name in said)]

    def _choices(self, spot: Spot, facts: NodeSpec, cluster: str) -> _Doors:
        """Draw the graphs and other nodes among which a node chooses.

        Each graph gets a frame. All other choices share one box.
        """
        place, name = spot
        path = path_at(place, name)
        on = str(facts.get("on") or "choose")
        visits = self.trace.visits.get(spot, 0) if self.trace is not None else 0
        graphs = facts.get("graphs", {})
        began = {choice: self._began((*place, (name, str(choice)))) for choice in graphs}
        picks = Box("", "choose", lines_of(on, []), f"{path} chooses by {on}", self._tone(sum(began.values()) + visits))
        picked = self._box(replace(picks, cluster=cluster), place, name).exit
        leaves = Box("", "exit", (), f"END of {path}", self._tone(visits), cluster, name=f"END of {path}")
        left = self._box(leaves, place, "")
        for choice, times in began.items():
            inner = (*place, (name, str(choice)))
            graph = f"graph {self.scopes[inner].name}"
            spoken, tone = f"{path_at(inner)}; {graph}", self._tone(times)
            lines = head_of(str(choice), [graph] if self.detail == "full" else [])
            frame = self._frame(Cluster("", "graph", lines, spoken, tone, cluster, name=one_line(path_at(inner))))
            doors = self._inside(inner, frame)
            self._link(picked, doors, f"is {choice}", f"{path} to {path_at(inner)}", times)
            self._link(doors.exit, left, "", f"{path_at(inner)} to END of {path}", min(times, visits))
        others = [str(choice) for choice in facts.get("choices", ()) if str(choice) not in graphs]
        if others:
            spoken = f"{path} ({', '.join(others)})"
            times = sum(self.trace.picked.get((spot, other), 0) for other in others) if self.trace is not None else 0
            rest = Box("", "function", lines_of(listed(others), []), spoken, self._tone(times), cluster)
            doors = self._box(rest, place, spoken)
            self._link(picked, doors, f"is {listed(others)}", f"{path} to {spoken}", times)
            self._link(doors.exit, left, "", f"{spoken} to END of {path}", min(times, visits))
        return _Doors(picked, left.exit, cluster)

    def _dot(self, place: Place, shape: Literal["entry", "exit"], cluster: str) -> _Doors:
        """Draw the dot that marks, in the frame around a nested graph, where this graph begins or ends."""
        name = START if shape == "entry" else END
        times = self._began(place)
        if self.trace is not None and shape == "exit":
            edges = zip(self.scopes[place].edges, self.trace.taken[place], strict=True)
            times = sum(count for edge, count in edges if edge.target == END)
        return self._box(Box("", shape, (), named(place, name), self._tone(times), cluster), place, name)

    def _began(self, place: Place) -> int:
        return self.trace.visits.get((place, START), 0) if self.trace is not None else 0

    def _tone(self, times: int) -> Tone:
        return "plain" if self.trace is None else "done" if times else "unused"

    def _at(self, spot: Spot, source: str = "") -> tuple[Tone, list[str], Sequence[str]]:
        """Describe what a picture shows at a node about a run that is drawn on the graph.

        Returns:
            The colour, the past events in words, and what the run does at the node now, in words.
        """
        if self.trace is None:
            return "plain", [], []
        visits = self.trace.visits.get(spot, 0)
        visited = counted(visits, "visit") if visits and spot[1] not in _ENDS else ""
        events = [", ".join(part for part in (visited, self._describe_spending(spot)) if part)]
        events = [*filter(None, events), *self.trace.facts.get(spot, ())]
        standing = self.trace.standings.get(spot)
        if standing is None or (source and source not in standing.sources):
            return self._tone(visits), events, []
        facts = self.scopes[spot[0]].nodes.get(spot[1])
        if facts is not None and facts.get("graphs") and self.folding.folds(spot):
            inside, notes = standing_in(self.trace.standings, spot)
            return _TONES[inside or standing.how], events, [*standing.notes, *notes]
        return _TONES[standing.how], events, standing.notes

    def _describe_spending(self, spot: Spot) -> str:
        """Describe in words how long a node worked and how much its model calls cost.

        The cost includes the model calls of everything inside the node.
        """
        if self.trace is None:
            return ""
        used = self.trace.used_at.get(spot, Used())
        for (place, _), inner in self.trace.used_at.items():
            if is_in(place, spot):
                used = used.plus(Used(usage=inner.usage))
        return used.in_words(is_offline_known=cost(self.trace.used.usage) == "offline")

    def _edges(self, place: Place, doors: Mapping[_Place, _Doors]) -> None:
        """Draw the edges of a graph as arrows.

        Edges between the same two boxes share an arrow. Edges from a START or to an END that has no box are left out.
        """
        edges = self.scopes[place].edges
        closing = find_closing_edges(edges, self.scopes[place].nodes)
        forks: dict[tuple[str, int], _Doors] = {}
        shared: dict[tuple[_Doors, _Doors, bool], list[int]] = {}
        for index, edge in enumerate(edges):
            source = doors.get(_Place(edge.source))
            target = doors.get(_Place(edge.target)) or doors.get(_Place(edge.target, edge.source))
            if source is None or target is None:
                continue
            if edge.fork and (edge.source, edge.order) not in forks:
                forks[edge.source, edge.order] = bar = self._bar(place, edge, source)
                shared[source, bar, False] = [index]
            source = forks[edge.source, edge.order] if edge.fork else source
            shared.setdefault((source, target, edge.failure), []).append(index)
        bars = {*forks.values()}
        for (source, target, is_failure), indices in shared.items():
            if target in bars:
                arm = edges[indices[0]]
                number, taken = arm.order + 1 if arm.several else 0, Taken(self._count_forks(place, arm))
                words = _Words(arm.label, arm.fork, number, taken)
                arrow = _draft_arrow([words], f"{named(place, arm.source)} forks", self.detail)
                arms = tuple((place, i) for i, e in enumerate(edges) if (e.source, e.order) == (arm.source, arm.order))
                self._add(replace(arrow, source=source.exit, target=target.entry, edges=arms))
                continue
            each_taken = [self._find_taken(place, index) for index in indices]
            arrow = arrow_of(place, [edges[index] for index in indices], each_taken, self.detail)
            back = indices[0] in closing
            tail = source.cluster if is_failure and source.cluster != target.cluster else ""
            head = target.cluster if source.cluster != target.cluster else ""
            leaves = (
                source.entry if tail and back else source.exit
            )  # the shorter line; it is visible only from the border on
            own = tuple((place, index) for index in indices)
            self._add(replace(arrow, source=leaves, target=target.entry, back=back, tail=tail, head=head, edges=own))

    def _find_taken(self, place: Place, index: int) -> Taken:
        if self.trace is None:
            return Taken()
        return Taken(self.trace.taken[place][index], self.trace.reasons.get((place, index), ""))

    def _count_forks(self, place: Place, edge: DrawnEdge) -> int | None:
        """Return how often a run took the fork to which an arm belongs; None if no run is drawn."""
        return self.trace.forked.get(((place, edge.source), edge.order), 0) if self.trace is not None else None

    def _bar(self, place: Place, edge: DrawnEdge, source: _Doors) -> _Doors:
        """Draw the bar that stands for a fork. The arrows to the arms of the fork begin at this bar."""
        cluster = next(box.cluster for box in self.boxes if box.id == source.exit)
        if source.cluster:
            cluster = next(frame.cluster for frame in self.clusters if frame.id == source.cluster)
        name = f"fork of {named(place, edge.source)}"
        tone = self._tone(self._count_forks(place, edge) or 0)
        return self._box(Box("", "fork", (), name, tone, cluster, name=name), place, "")

    def _link(self, source: str, target: _Doors, words: str, spoken: str, count: int) -> None:
        """Draw an arrow that does not stand for an edge of the graph.

        Example: the arrow from a node that chooses among graphs to one of these graphs.
        """
        lines = tuple(Line(text) for text in wrap(words, LABEL_COLUMNS["full"], CONDITION_LINES))
        tone, labels = self._tone(count), (one_line(words),) if words else ()
        arrow = Arrow("", source, target.entry, lines, one_line(spoken), tone=tone, words=labels, head=target.cluster)
        self._add(arrow)

    def _add(self, arrow: Arrow) -> None:
        self.arrows.append(replace(arrow, id=f"w{len(self.arrows)}"))

    def _box(self, box: Box, place: Place, name: str) -> _Doors:
        spot = (place, name) if name and box.shape not in ("entry", "exit") else None
        words = one_line(box.spoken)
        numbered = replace(box, id=f"n{len(self.boxes)}", spoken=words, name=box.name or named(place, name), spot=spot)
        self.boxes.append(numbered)
        return _Doors(numbered.id, numbered.id)

    def _frame(self, cluster: Cluster) -> str:
        depth = next((other.depth + 1 for other in self.clusters if other.id == cluster.cluster), 0)
        numbered = replace(cluster, id=f"g{len(self.clusters)}", spoken=one_line(cluster.spoken), depth=depth)
        self.clusters.append(numbered)
        return numbered.id


def _list_places(scope: Scope, *ends: str) -> list[_Place]:
    """Return the parts of a graph that get a box: its nodes, other names to which edges lead, and START, END or FAIL.

    Args:
        scope: The graph.
        ends: Which of END and FAIL to include, if edges lead to them.
    """
    named = [name for edge in scope.edges for name in (edge.source, edge.target) if name not in _ENDS]
    places = [_Place(name) for name in dict.fromkeys([*scope.nodes, *named])]
    for end in ends:
        sources = dict.fromkeys(edge.source for edge in scope.edges if edge.target == end)
        alone = sources if len(sources) > SHARED_SOURCES else [""] * bool(sources)
        places += [_Place(end, source) for source in alone]
    return places


def signs_of(drawing: Drawing) -> Iterable[str]:
    """Yield the lines of a picture's legend. Each line explains one sign in the picture, such as a dashed arrow.

    Only signs that occur in the picture are explained. For example, a dashed arrow is explained as `dashed: after a
    failure`.
    """
    shapes = {box.shape for box in drawing.boxes}
    if any(arrow.number > 1 for arrow in drawing.arrows):
        yield "1. 2. 3.: edges are tried in this order"
    if any(arrow.failure for arrow in drawing.arrows):
        yield "dashed: after a failure"
    if "fork" in shapes:
        yield "bar: arms run in parallel"
    if "entry" in shapes:
        yield "dot: where a graph inside begins" + (", ringed where it ends" if "exit" in shapes else "")
    elif "exit" in shapes:
        yield "ringed dot: where a graph inside ends"
    if any(box.many for box in drawing.boxes) or any(cluster.many for cluster in drawing.clusters):
        yield "several frames: once for each item"
    if any(arrow.tone != "plain" for arrow in drawing.arrows):
        counts = any(line.text.startswith(TIMES) for arrow in drawing.arrows for line in arrow.lines)
        yield "bold: taken" + (f", {TIMES}: how often" if counts else "") + "; pale: never taken"


def arrow_of(place: Place, edges: Sequence[DrawnEdge], taken: Sequence[Taken], detail: Detail) -> Arrow:
    """Create the arrow that stands for all edges between two boxes of a picture.

    The caller fills in the ids of the two boxes.

    Args:
        place: The graph of the edges.
        edges: The edges, in the order in which they are tried. For an arm of a fork, the text is only the condition
            under which the arm runs.
        taken: For each edge, how often a run took it.
        detail: How much text the arrow contains. `brief` leaves out the conditions.
    """
    first = edges[0]
    words = [
        _Words(
            edge.condition if edge.is_case and detail == "brief" else "" if edge.fork else edge.label,
            edge.condition,
            edge.order + 1 if edge.several and not edge.fork else 0,
            each,
        )
        for edge, each in zip(edges, taken, strict=True)
    ]
    ends = f"{named(place, first.source)} to {named(place, first.target)}"
    return _draft_arrow(words, ends, detail, is_failure=first.failure)


def named(place: Place, name: str) -> str:
    """Return the name by which the parts of a picture refer to a node, START, END or FAIL, including its graph."""
    return one_line(f"{name} of {path_at(place)}" if place and name in (START, END, FAIL) else path_at(place, name))


class Taken(NamedTuple):
    """How often a run took an edge (None if no run is drawn), and why it did so the last time."""

    times: int | None = None
    reason: str = ""


class _Words(NamedTuple):
    """What the text next to an arrow of a picture must tell about one of the arrow's edges.

    `number` is the position of the edge in the order in which the edges of its node are tried; 0 if the node has only
    one edge.
    """

    label: str
    condition: str
    number: int
    taken: Taken

    @property
    def is_unused(self) -> bool:
        """Whether a run is drawn that never took the edge, so that the edge is drawn pale."""
        return self.taken.times == 0

    def lines(self, detail: Detail) -> list[Line]:
        """Return the text that a picture shows next to the arrow of this edge.

        If a run took the edge, the text contains the reason for which it was taken instead of the condition.
        """
        if detail == "brief" and self.is_unused:
            return []
        columns = LABEL_COLUMNS[detail]
        condition, count = self.taken.reason or short(self.condition), self.taken.times or 0
        condition = condition if detail == "full" else ""
        number = f"{self.number}. " if self.number else ""
        found: list[tuple[str, bool]] = []
        if self.label:
            found += [(text, True) for text in wrap(number + self.label, columns, TITLE_LINES[detail])]
            number = ""
        if condition or number:
            found += [(text, False) for text in wrap(number + condition, columns, CONDITION_LINES)]
        found += [(f"{TIMES}{count}", True)] if count > 1 else []
        return [Line(text, "strong" if strong else "normal", is_pale=self.is_unused) for text, strong in found]

    def spoken(self) -> str:
        count, reason = self.taken
        times = "" if count is None else f"taken {times_in_words(count)}" if count else "never taken"
        times += f", {'because' if count == 1 else 'the last time because'} {reason}" if reason else ""
        text = one_line("; ".join(part for part in (self.label, self.condition, times) if part))
        return f"{self.number}. {text}".rstrip() if self.number else text


def _draft_arrow(edges: Sequence[_Words], ends: str, detail: Detail, *, is_failure: bool = False) -> Arrow:
    tone: Tone = "plain"
    if any(edge.taken.times is not None for edge in edges):
        tone = "unused" if all(edge.is_unused for edge in edges) else "done"
    words = tuple(edge.spoken() for edge in edges)
    said = "; or ".join(text for text in words if text)
    return Arrow(
        "", "", "",
        tuple(line for edge in edges for line in edge.lines(detail)),
        f"{ends}: {said}" if said else ends,
        is_failure, tone=tone, words=words if said else (), number=max(edge.number for edge in edges),
    )  # fmt: skip

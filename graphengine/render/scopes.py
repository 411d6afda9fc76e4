"""The graphs of an outline, each with its place: the outermost, those that are its nodes, and so on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from graphengine.engine.snapshot import child_id
from graphengine.graph.options import END, FAIL, START
from graphengine.render.bounds import bounds_of
from graphengine.render.errors import RenderError
from graphengine.render.ways import closing_ways, joins_of, ways_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from graphengine.engine.steps import Entered, Step
    from graphengine.render.ways import Way
    from graphengine.state.json_values import JsonValue

Place: TypeAlias = tuple[tuple[str, str], ...]
"""Where a graph stands: the nodes around it from the outermost in, each with the choice that picks it there."""

Spot: TypeAlias = tuple[Place, str]
"""A node of the graph at a place."""


@dataclass(frozen=True, slots=True)
class Scope:
    """A graph of the outline.

    Attributes:
        name: The graph's own name.
        fields: Those of its state.
        nodes: What is said of each node, by name.
        ways: Its ways in declared order.
        joins: What is said of each node that joins arms.
        bounds: What is said of each node that is not visited for ever.
    """

    name: str
    fields: frozenset[str]
    nodes: Mapping[str, Mapping[str, JsonValue]]
    ways: Sequence[Way]
    joins: Mapping[str, str]
    bounds: Mapping[str, str]


def scopes_of(outline: Mapping[str, JsonValue]) -> dict[Place, Scope]:
    """All graphs of an outline by place; the outermost is at `()`.

    Raises:
        RenderError: This is no outline.
    """
    found: dict[Place, Scope] = {}
    left: list[tuple[Place, Mapping[str, JsonValue]]] = [((), outline)]
    try:
        while left:
            place, inner = left.pop(0)
            nodes: dict[str, Mapping[str, JsonValue]] = {str(facts["name"]): facts for facts in inner["nodes"]}
            name = str(inner.get("graph", ""))
            fields, ways = frozenset(inner.get("state") or ()), ways_of(inner)
            found[place] = Scope(name, fields, nodes, ways, joins_of(inner), bounds_of(ways))
            for node, facts in nodes.items():
                for choice, graph in facts.get("graphs", {}).items():
                    left.append(((*place, (node, str(choice))), graph))
    except (KeyError, TypeError, AttributeError) as error:
        raise RenderError(
            f"this is no outline of a graph: {type(error).__name__}: {error}",
            where="outline=",
            repair="give what `graph.compile().outline` has, or what the store keeps of a run's graph",
        ) from error
    return found


class Places:
    """Which graph each frame of a run walks, as the steps tell that entered them."""

    def __init__(self) -> None:
        self._entered: dict[str, Place] = {}

    def of(self, frame: str) -> Place:
        """The place of the graph that a frame walks; arms and items walk that of the frame they were made by."""
        end = frame.rfind("/")
        while end >= 0:
            found = self._entered.get(frame[: end + 1])
            if found is not None:
                return found
            end = frame.rfind("/", 0, end)
        return ()

    def enter(self, step: Step, facts: Entered) -> tuple[Place, str]:
        """Note the graph that an `entered` step begins, and give its place and its frame."""
        frame = f"{step.frame}/" if step.frame.endswith("]") else child_id(step.frame, f"{step.node}/")
        place = (*self.of(step.frame), (step.node, facts.choice))
        self._entered[frame] = place
        return place, frame

    def rename(self, renamed: Mapping[str, Mapping[str, str]], frames: Mapping[str, str]) -> Names:
        """Take note that nodes have other names from now on.

        Args:
            renamed: New names by old, by the frame of their graph as it was called before.
            frames: The new id of each frame.
        """
        names = Names({self.of(frame): known for frame, known in renamed.items()})
        self._entered |= {frames[frame]: names.place(at) for frame, at in self._entered.items() if frame in frames}
        return names


@dataclass(frozen=True, slots=True)
class Names:
    """New names of nodes, by the place of their graph under its old name."""

    known: Mapping[Place, Mapping[str, str]]

    def place(self, place: Place) -> Place:
        """A place in new names."""
        return tuple((self.known.get(place[:i], {}).get(node, node), choice) for i, (node, choice) in enumerate(place))

    def spot(self, spot: Spot) -> Spot:
        """A node in new names."""
        place, node = spot
        return self.place(place), self.known.get(place, {}).get(node, node)


def path_at(place: Place, name: str = "") -> str:
    """A node's path as people read it: `article/write`, and `teams (law)/write` in one of several graphs."""
    around = [f"{node} ({choice})" if choice else node for node, choice in place]
    return "/".join([*around, name] if name else around)


def _bare(way: Way) -> bool:
    return not way.label and not way.condition and not way.fork


def plain_start(scope: Scope) -> str:
    """The node that a graph always begins with and that nothing else leads to; "" if it is not that plain."""
    first = [way for way in scope.ways if way.source == START]
    if len(first) != 1 or not _bare(first[0]) or first[0].target not in scope.nodes:
        return ""
    return first[0].target if sum(way.target == first[0].target for way in scope.ways) == 1 else ""


def plain_end(scope: Scope) -> str:
    """The node that a graph always ends behind, by its only way, and all else leads to; "" if there is more to say."""
    last = [way for way in scope.ways if way.target == END]
    if len(last) != 1 or not _bare(last[0]) or last[0].source == START:
        return ""
    name = last[0].source
    closing = closing_ways(scope.ways, START)
    going_on = {way.source for place, way in enumerate(scope.ways) if place not in closing}
    is_last = not any(way.target == FAIL for way in scope.ways) and going_on.issuperset(scope.nodes)
    return name if is_last and sum(way.source == name for way in scope.ways) == 1 else ""

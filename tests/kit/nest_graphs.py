"""Random graphs with forks, maps and graphs inside them, in any mixture and at any depth.

What a node is to be is drawn as it is made: a plain one, one that is mapped over a list, or a graph of its own, which
is made the same way, one deeper.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from tests.kit.fork_graphs import ALONE, KINDS, REDUCED, Maker
from tests.kit.graphs import condition
from tests.kit.graphs import node as plain_node
from tests.kit.spec import COUNTED, STOP, Cond, ForkSpec, NodeSpec, Spec, WaySpec

SOURCES = ("log", "many", "capped", "items", "seen", COUNTED, COUNTED, COUNTED)
WHOLE = ("n", "total", "best")
LISTS = ("log", "many", "capped", "items")
TABLES = ("table", "slots", "found")
PARTS = {
    "n": WHOLE, "total": WHOLE, "best": WHOLE, "log": WHOLE, "capped": WHOLE, "score": ("score",),
    "many": LISTS, "items": LISTS, "table": TABLES, "seen": ("seen", STOP), "found": WHOLE,
}  # fmt: skip
"""What of a graph's state may be written to a field."""
INPUTS = {
    **PARTS, "n": (*WHOLE, "log[-1]"), "total": (*WHOLE, "many[-1]"), "log": LISTS, "capped": LISTS, "seen": ("seen",),
    "slots": TABLES, "kind": ("kind",),
}  # fmt: skip
"""What a field of a graph's state may begin with."""


@dataclass(frozen=True)
class Taste:
    """What the graphs are to be like.

    Attributes:
        forks: How deep forks may nest.
        graphs: How deep graphs may.
        mends: Whether no failure is survived, so that a run which is mended ends as one that never failed.
        usage: Whether conditions ask what was spent.
        maps: How many of the nodes are mapped.
    """

    forks: int
    graphs: int
    mends: bool = False
    usage: bool = True
    maps: float = 0.4


class Nest(Maker):
    """Makes one graph, and those inside it."""

    def __init__(self, random: Random, taste: Taste, *, inner: bool = False) -> None:
        self.taste, self.inner = taste, inner
        super().__init__(random, random.randint(0, taste.forks))

    def alone(self) -> tuple[str, ...]:
        return (*ALONE, "items", "found")

    def kinds(self) -> Sequence[str]:
        return (*KINDS, "usage") if self.taste.usage else KINDS

    def condition(self) -> Cond:
        return condition(self.random, self.names, self.kinds())

    def failures(self) -> Sequence[str]:
        return ("boom", "slow", "any", "fail", "update", "limit")

    def nest(self) -> Spec:
        """The whole graph."""
        random = self.random
        spec = replace(self.spec(), whole=random.random() < 0.15)
        if self.taste.mends:
            spec = replace(spec, ways=tuple(way for way in spec.ways if not _survives(way)), errors=False)
        if not self.inner:
            return spec
        ends = [_labelled(way, random) if isinstance(way, WaySpec) else way for way in spec.ways]
        simple = not any(isinstance(way, ForkSpec) for way in ends) and all(_simple(node) for node in spec.nodes)
        steps = random.randint(1, 4) if simple and not self.taste.mends and random.random() < 0.5 else None
        return replace(spec, ways=tuple(ends), apart=random.random() < 0.6, steps=steps)

    def node(self, name: str, fields: Sequence[str], keys: Sequence[str]) -> NodeSpec:
        """A node of any kind."""
        random, draw = self.random, self.random.random()
        mapped = random.random() < self.taste.maps
        alone = [field for field in fields if field not in (*REDUCED, "items", "found")]
        plain = [field for field in fields if field != "found"]
        if draw < 0.4 and self.taste.graphs:
            made = self.graph_node(name, plain + (["found"] if mapped and "found" in fields else []), mapped=mapped)
        elif mapped:
            made = plain_node(random, name, [field for field in plain if field not in alone], ())
            if "found" in fields and random.random() < 0.3:
                made = replace(made, form="found", fields=())
        else:
            made = plain_node(random, name, plain, keys)
        if made.form == "pass" and made.graph is None:
            return made
        if mapped:
            made = replace(made, each=self.each(made), concurrency=random.randint(1, 4))
            if made.form in ("some", "parts"):
                made = replace(made, form="parts" if "items" in made.fields else made.form)
        return replace(made, fallback="") if self.taste.mends else made

    def each(self, made: NodeSpec) -> tuple[tuple[str, str], ...]:
        """What it is mapped over."""
        random = self.random
        if any(source == "item" for _, source in made.inputs):  # a number
            first = random.choice([source for source in SOURCES if source != "seen"])
        else:
            first = random.choice(SOURCES)
        if random.random() < 0.15:
            return (("item", first), ("other", random.choice((first, first, *SOURCES))))
        return (("item", first),)

    def graph_node(self, name: str, fields: Sequence[str], *, mapped: bool) -> NodeSpec:
        """A node that is a graph."""
        random = self.random
        inner = replace(self.taste, forks=min(self.taste.forks, 1), graphs=self.taste.graphs - 1)
        graph = Nest(random, inner, inner=True).nest()
        allowed = [field for field in fields if field in PARTS]
        if mapped:
            allowed = [field for field in allowed if field in (*REDUCED, "items", "found")]
        targets = tuple(random.sample(allowed, min(len(allowed), random.choice((1, 1, 2, 3)))))
        table = {**PARTS, "items": WHOLE} if mapped else PARTS
        parts = tuple(random.choice(table[field]) for field in targets)
        if len(targets) == 1 and parts[0] != STOP and random.random() < 0.6:
            graph = replace(graph, result=parts[0])
        names = random.sample(sorted(INPUTS.keys() - {"items", "found"}), random.randint(0, 4))
        given = {field: random.choice(INPUTS[field]) for field in names}
        if mapped and random.random() < 0.7:
            given[random.choice(WHOLE)] = "item"
        shell = plain_node(random, name, REDUCED, ())
        if shell.form == "pass":
            shell = NodeSpec(name, "field")
        shell = replace(shell, inputs=tuple(given.items()), parts=parts, memo="")
        return replace(shell, form="graph", fields=targets, graph=graph)

    def after(self, made: NodeSpec, on: Sequence[str]) -> Sequence[WaySpec]:
        """A way for one of the labels that a graph may end with."""
        labels = made.graph.labels if made.graph is not None and not made.each else ()
        if not labels or self.random.random() < 0.3:
            return ()
        return [WaySpec(made.name, self.random.choice(on), ("ended", self.random.choice(labels)), "ended")]


def _survives(way: object) -> bool:
    return isinstance(way, WaySpec) and way.when is not None and "failed" in str(way.when)


def _labelled(way: WaySpec, random: Random) -> WaySpec:
    if way.target != "END":
        return way
    return replace(way, label=random.choice(("good", "bad", way.label)))


def _simple(node: NodeSpec) -> bool:
    if node.each:
        return False
    return node.graph is None or (
        not any(isinstance(way, ForkSpec) for way in node.graph.ways) and all(map(_simple, node.graph.nodes))
    )


def begun(random: Random) -> dict[str, Any]:
    """A state to begin with, with lists to map over."""
    values: dict[str, Any] = {
        "n": random.choice((0, 1, 4, 5)), "score": 2.0, "kind": "b", "log": [3, 1], "many": [2, 5, 2],
        "table": {"a": 2}, "best": 3, "total": 2, "seen": ["s1", "s2"], "items": [4, 0, 7], "capped": [8],
    }  # fmt: skip
    if random.random() < 0.1:
        values["items"] = [i % 5 for i in range(12)]
    return {name: values[name] for name in values if random.random() < 0.5}


def nest_spec(random: Random, taste: Taste) -> Spec:
    """A graph of this taste."""
    return Nest(random, taste).nest()

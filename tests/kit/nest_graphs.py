"""Random graphs with forks, maps and subgraphs, in any mixture and at any depth.

The kind of a node is drawn when it is made: a plain one, one that is mapped over a list, or a subgraph, which is made
the same way, one level deeper.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from tests.kit.fork_graphs import ALONE, KINDS, REDUCED, Maker
from tests.kit.graphs import condition
from tests.kit.graphs import node as plain_node
from tests.kit.spec import COUNTED, STOP, Cond, EdgeSpec, ForkSpec, NodeSpec, Spec

SOURCES = ("log", "many", "capped", "items", "seen", COUNTED, COUNTED, COUNTED)
WHOLE = ("n", "total", "best")
LISTS = ("log", "many", "capped", "items")
TABLES = ("table", "slots", "found")
PARTS = {
    "n": WHOLE, "total": WHOLE, "best": WHOLE, "log": WHOLE, "capped": WHOLE, "score": ("score",),
    "many": LISTS, "items": LISTS, "table": TABLES, "seen": ("seen", STOP), "found": WHOLE,
}  # fmt: skip
"""The parts of a graph's state that can be written to a field."""
INPUTS = {
    **PARTS, "n": (*WHOLE, "log[-1]"), "total": (*WHOLE, "many[-1]"), "log": LISTS, "capped": LISTS, "seen": ("seen",),
    "slots": TABLES, "kind": ("kind",),
}  # fmt: skip
"""The sources that a field of a graph's state can begin with."""


@dataclass(frozen=True)
class Taste:
    """The features of the graphs to make.

    Attributes:
        forks: The depth to which forks can nest.
        graphs: The depth to which graphs can nest.
        repairable: Whether no failure is survived, so that a run that is repaired ends like one that never failed.
        usage: Whether conditions refer to usage.
        maps: The share of the nodes that are mapped.
    """

    forks: int
    graphs: int
    repairable: bool = False
    usage: bool = True
    maps: float = 0.4


class Nest(Maker):
    """A maker of one graph, and of those inside it."""

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
        """Return the whole graph."""
        random = self.random
        spec = replace(self.spec(), whole=random.random() < 0.15)
        if self.taste.repairable:
            spec = replace(spec, edges=tuple(edge for edge in spec.edges if not _survives(edge)), errors=False)
        if not self.inner:
            return spec
        ends = [_labelled(edge, random) if isinstance(edge, EdgeSpec) else edge for edge in spec.edges]
        simple = not any(isinstance(edge, ForkSpec) for edge in ends) and all(_simple(node) for node in spec.nodes)
        steps = random.randint(1, 4) if simple and not self.taste.repairable and random.random() < 0.5 else None
        return replace(spec, edges=tuple(ends), apart=random.random() < 0.6, steps=steps)

    def node(self, name: str, fields: Sequence[str], keys: Sequence[str]) -> NodeSpec:
        """Return a node of any kind."""
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
            keeps = random.random() < 0.3 and not self.taste.repairable
            made = replace(made, each=self.each(made), concurrency=random.randint(1, 4), keeps=keeps)
            made = replace(made, max_open=copy(random).choice((1, 2, 3, 1000)))  # the seeds are older than it
            if made.form in ("some", "parts"):
                made = replace(made, form="parts" if "items" in made.fields else made.form)
        return replace(made, fallback="") if self.taste.repairable else made

    def each(self, made: NodeSpec) -> tuple[tuple[str, str], ...]:
        """Return the lists that a node is mapped over."""
        random = self.random
        if any(source == "item" for _, source in made.inputs):  # a number
            first = random.choice([source for source in SOURCES if source != "seen"])
        else:
            first = random.choice(SOURCES)
        if random.random() < 0.15:
            return (("item", first), ("other", random.choice((first, first, *SOURCES))))
        return (("item", first),)

    def graph_node(self, name: str, fields: Sequence[str], *, mapped: bool) -> NodeSpec:
        """Return a node that is a graph."""
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

    def after(self, made: NodeSpec, on: Sequence[str]) -> Sequence[EdgeSpec]:
        """Return an edge for one of the labels that a graph can end with."""
        labels = made.graph.labels if made.graph is not None and not made.each else ()
        if not labels or self.random.random() < 0.3:
            return ()
        return [EdgeSpec(made.name, self.random.choice(on), ("ended", self.random.choice(labels)), "ended")]


def _survives(edge: object) -> bool:
    return isinstance(edge, EdgeSpec) and edge.when is not None and "failed" in str(edge.when)


def _labelled(edge: EdgeSpec, random: Random) -> EdgeSpec:
    if edge.target != "END":
        return edge
    return replace(edge, label=random.choice(("good", "bad", edge.label)))


def _simple(node: NodeSpec) -> bool:
    if node.each:
        return False
    return node.graph is None or (
        not any(isinstance(edge, ForkSpec) for edge in node.graph.edges) and all(map(_simple, node.graph.nodes))
    )


def begun(random: Random) -> dict[str, Any]:
    """Return an initial state with lists to map over."""
    values: dict[str, Any] = {
        "n": random.choice((0, 1, 4, 5)), "score": 2.0, "kind": "b", "log": [3, 1], "many": [2, 5, 2],
        "table": {"a": 2}, "best": 3, "total": 2, "seen": ["s1", "s2"], "items": [4, 0, 7], "capped": [8],
    }  # fmt: skip
    if random.random() < 0.1:
        values["items"] = [i % 5 for i in range(12)]
    return {name: values[name] for name in values if random.random() < 0.5}


def nest_spec(random: Random, taste: Taste) -> Spec:
    """Return a graph with these features."""
    return Nest(random, taste).nest()

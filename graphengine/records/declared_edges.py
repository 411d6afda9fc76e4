"""Recognise the same edge in two versions of a graph spec."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from graphengine.kernel.reader import EdgeSpec


class Declaration(NamedTuple):
    """An edge as its graph declares it. The declaration serves to find the same edge in another version of the graph.

    Edges of two versions are the same if their declarations are equal.

    Attributes:
        edge: The declaration as JSON: the ends of the edge, its condition as data, and its label.
        number: The number of the edge among edges with an equal declaration, from 0. For example, two condition
            functions with the same name lead to equal declarations.
        many: How many edges of the graph have this declaration. If two versions of the graph contain different numbers
            of equal edges, the edges cannot be matched.
    """

    edge: str
    number: int
    many: int

    def renamed(self, names: Mapping[str, str]) -> Declaration:
        """Return the declaration after nodes were renamed; `names` maps each old name to the new name."""
        return self._replace(edge=_describe_edge(_rename_nodes(json.loads(self.edge), names)))


def declarations(ways: Sequence[EdgeSpec]) -> Sequence[Declaration]:
    """Return the declarations of the edges of a node, in the order of the edges.

    Edges with equal declarations are numbered, so that they can be told apart.
    """
    plain = [_describe_edge(edge) for edge in ways]
    many, seen = Counter(plain), Counter[str]()
    found: list[Declaration] = []
    for text in plain:
        found.append(Declaration(text, seen[text], many[text]))
        seen[text] += 1
    return found


def _describe_edge(edge: object) -> str:
    return json.dumps(edge, sort_keys=True, separators=(",", ":"))


_NODES: Final = frozenset(("from", "to", "otherwise", "join", "visits", "since"))
"""The keys of edges and of conditions whose values are names of nodes. The values in `cases` are names of nodes too."""


def _rename_nodes(fact: object, names: Mapping[str, str], key: str = "") -> object:
    if isinstance(fact, dict):
        return {name: _rename_nodes(each, names, "to" if key == "cases" else name) for name, each in fact.items()}
    if isinstance(fact, list):
        return [_rename_nodes(each, names) for each in fact]
    return names.get(fact, fact) if key in _NODES and isinstance(fact, str) else fact

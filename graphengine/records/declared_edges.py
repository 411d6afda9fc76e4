"""What an edge is in every spec that has it, by which it is found in another one."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from graphengine.kernel.reader import EdgeSpec


class Declaration(NamedTuple):
    """What an edge is in every spec that has it, by which it is found in another one.

    Attributes:
        edge: All that is declared of it: its ends, its condition as data, its label, as JSON.
        number: Its number among equal ones, as two functions of one name make them, from 0.
        many: How many equal ones there are: where that differs, nobody can say which is which.
    """

    edge: str
    number: int
    many: int

    def renamed(self, names: Mapping[str, str]) -> Declaration:
        """Return it with nodes under other names."""
        return self._replace(edge=_describe_edge(_rename_nodes(json.loads(self.edge), names)))


def declarations(ways: Sequence[EdgeSpec]) -> Sequence[Declaration]:
    """Return the declaration of each edge of a spec."""
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
"""The keys of edges and of conditions whose values are names of nodes; `cases` has them as values."""


def _rename_nodes(fact: object, names: Mapping[str, str], key: str = "") -> object:
    if isinstance(fact, dict):
        return {name: _rename_nodes(each, names, "to" if key == "cases" else name) for name, each in fact.items()}
    if isinstance(fact, list):
        return [_rename_nodes(each, names) for each in fact]
    return names.get(fact, fact) if key in _NODES and isinstance(fact, str) else fact

"""Pictures are read from top to bottom and from left to right."""

from graphengine.engine.graph_spec import EdgeSpec
from graphengine.render.edges import closing_edges, edges_of
from tests.render.samples import edge, graph_spec


def closing(outlined: list[EdgeSpec], declared: str) -> list[str]:
    """The edges that close a loop, as `ba`."""
    edges = edges_of(graph_spec([], outlined))
    return [edges[index].source + edges[index].target for index in sorted(closing_edges(edges, declared))]


def edges_between(*ends: str) -> list[EdgeSpec]:
    """Edges between nodes with names of one letter; S is START."""
    return [edge("START" if each[0] == "S" else each[0], each[1]) for each in ends]


def test_an_edge_back_to_the_entry_of_its_loop_closes_it() -> None:
    """Whatever the order of the declarations, nodes that only a router reaches are below it."""
    assert closing(edges_between("Sa", "ab", "ba", "bc", "cb"), "abc") == ["ba", "cb"]
    assert closing(edges_between("Sa", "ab", "ba", "bc", "cb"), "cba") == ["ba", "cb"]
    assert closing(edges_between("Sa", "aa", "ab"), "ab") == ["aa"]


def test_in_a_loop_with_two_entries_the_declared_order_decides() -> None:
    """Both nodes can come first, so the author's order is the one to read."""
    assert closing(edges_between("Sa", "Sb", "ab", "ba"), "ab") == ["ba"]
    assert closing(edges_between("Sa", "Sb", "ab", "ba"), "ba") == ["ab"]


def test_what_is_in_no_loop_closes_none() -> None:
    """An edge against the declared order is not a loop."""
    assert closing(edges_between("Sc", "cb", "ba"), "abc") == []
    assert closing(edges_between("ab", "ba"), "ab") == ["ba"]

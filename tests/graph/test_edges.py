"""Edges between functions, agents and graphs, named as `add_node` names them without a name."""

from pydantic import BaseModel

from graphengine import END, START, Graph, Limits


class State(BaseModel):
    text: str = ""


def write(text: str) -> str:
    """Write."""
    return text + "w"


def check(text: str) -> str:
    """Check."""
    return text + "c"


def test_edges_take_what_add_node_takes() -> None:
    """A path of functions is a path of the nodes with their names."""
    graph = Graph("short", State)
    graph.add_node(write, writes="text")
    graph.add_node(check, writes="text")
    graph.add_path(START, write, check, END)
    assert graph.run_sync().state.text == "wc"


def test_a_replaced_edge_is_seen() -> None:
    """A compiled graph is compiled again if its limits, or an edge or a node of it or of a graph in it, change."""
    inner = Graph("inner", State, result="text")
    inner.add_node(write, writes="text")
    inner.add_path(START, write, END)
    outer = Graph("outer", State)
    outer.add_node(inner, writes="text")
    outer.add_path(START, inner, END)
    assert outer.run_sync().state.text == "w"
    inner.nodes.pop()
    inner.add_node("write", check, writes="text")
    assert outer.run_sync().state.text == "c"
    outer.limits = Limits(visits=0)
    assert outer.run_sync().status == "stopped"

"""Edges between functions, agents and graphs, named as `add_node` names them without a name."""

from pydantic import BaseModel

from graphengine import END, START, Agent, Graph, Limits, Node, value
from graphengine.graph.definition import Edge, Fork, Switch


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


def test_every_edge_names_nodes_by_what_runs() -> None:
    """Edges, switches and forks have the names of functions, agents, graphs and nodes of these."""
    graph = Graph("all", State)
    writer, inner = Agent("writer", prompt="{text}"), Graph("inner", State)
    graph.add_edge(write, writer, when=value("text") == "")
    graph.add_switch(writer, "text", {"a": inner, "b": END}, otherwise=check)
    graph.add_fork(Node(check), [write, (inner, value("text") == "a"), "named"], join=writer)
    plain, switch, fork = graph.edges
    assert isinstance(plain, Edge)
    assert (plain.source, plain.target) == ("write", "writer")
    assert isinstance(switch, Switch)
    assert (switch.source, switch.cases, switch.otherwise) == ("writer", {"a": "inner", "b": "END"}, "check")
    assert isinstance(fork, Fork)
    assert (fork.source, [target for target, _ in fork.arms], fork.join) == (
        "check",
        ["write", "inner", "named"],
        "writer",
    )

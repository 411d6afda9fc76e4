"""Edges between functions, agents and graphs, named as `add_node` names them without a name."""

from graphengine import END, Agent, Graph, Node, value
from graphengine.graph.definition import Edge, Fork, Switch
from tests.graph.test_edges import State, check, write


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

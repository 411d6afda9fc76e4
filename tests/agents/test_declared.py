"""States that are declared as a TypedDict or a dataclass: they work as pydantic models do, and users get their own."""

from graphengine import Agent, Graph, Node, ScriptedModel
from tests.state.test_declared import Keys, louder, of_values


def test_a_function_an_agent_and_a_graph_name_their_nodes() -> None:
    """A function, an agent and a graph name their nodes, also with options around them."""
    graph = Graph("named", Keys)
    graph.add_node(louder, writes="text")
    graph.add_node(Agent("writer", prompt="{text}", model=ScriptedModel([])), writes="text")
    graph.add_node(Node(of_values(), inputs={"text": "text"}), writes={"text": "text"})
    assert [node.name for node in graph.nodes] == ["louder", "writer", "values"]

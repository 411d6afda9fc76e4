from typing import Annotated

from pydantic import BaseModel

from graphengine import END, FAIL, START, Agent, Graph, ask, value
from graphengine.records.graph_spec_diff import differences
from graphengine.reducers import append


class State(BaseModel):
    kind: str = ""
    log: Annotated[list[str], append] = []


def spec(other=False):
    """Return the spec of a graph with an agent, a question, a switch and a fork, or of a changed one."""
    graph = Graph("g", State)
    graph.add_node("write", Agent("writer", prompt="Of {kind}", system="Be kind." if other else ""), writes="log")
    graph.add_node("pick", ask("Which?", str), writes={"kind": "."})
    graph.add_node("a", lambda kind: kind, writes="log", title="A" if other else "")
    graph.add_node("b", lambda kind: kind, writes="log")
    graph.add_node("merge")
    graph.add_path(START, "write", "pick")
    cases = {"one": "merge", "two": "write"}
    graph.add_switch("pick", "kind", {**cases, "three": "merge"} if other else cases, otherwise=END)
    arms = ["a", ("b", value("kind") == "x")] if other else ["a", "b"]
    graph.add_fork("merge", arms, join=END, need=1 if other else None)
    graph.add_edge("a", END)
    graph.add_edge("b", END)
    if other:
        graph.add_edge("write", FAIL, when=value("kind") == "never")
        graph.edges.insert(1, graph.edges.pop())
    return dict(graph.compile().graph_spec)


def prompts(old, new):
    """Return the difference between two prompts."""
    specs = spec(), spec()
    for one, prompt in zip(specs, (old, new), strict=True):
        one["nodes"][0]["details"][""]["prompt"] = prompt
    return "\n".join(differences(*specs))

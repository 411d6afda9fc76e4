from pydantic import BaseModel

from graphengine import END, START, Agent, Graph, Message


class State(BaseModel):
    task: str = "ants"
    a: str = ""
    b: str = ""
    memories: dict[str, list[Message]] = {"team": [Message(role="user", text="be kind")]}


def team(say: str) -> Agent:
    return Agent("team", prompt="{task}", messages="memories[team]", by_rules=lambda: say)


graph = Graph("memory", State)
graph.add_node("a", team("from a"), writes="a")
graph.add_node("b", team("from b"), writes="b")
graph.add_node("b2", team("from b again"), writes="b")
graph.add_node("merge")
graph.add_fork(START, ["a", "b"], join="merge")
graph.add_edge("a", "merge")
graph.add_path("b", "b2", "merge", END)

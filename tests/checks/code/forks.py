from typing import Annotated

from psycopg import Connection
from pydantic import BaseModel

from graphengine import END, START, Agent, Graph, tool
from graphengine.reducers import append
from tests.kit.scenario import work


class State(BaseModel):
    x: int = 0
    y: int = 0
    slots: dict[str, int] = {}
    log: Annotated[list[int], append] = []


PLAIN = ((START, "p"), ("p", ["a", "b"], "j"), ("a", "j"), ("b", "j"), ("j", END))


def fork(*edges, nodes="p a b j", **writes):
    graph = Graph("forks", State)
    for name in nodes.split():
        graph.add_node(name, work, writes=writes.get(name, ()))
    for source, target, *join in edges:
        if join:
            graph.add_fork(source, target, join=join[0])
        else:
            graph.add_edge(source, target)
    return graph


def race(need, effect):
    graph = Graph("forks", State)
    for name in "pabj":
        graph.add_node(name, work, writes=(), effect=effect if name == "a" else None)
    for source, target in (PLAIN[0], *PLAIN[2:]):
        graph.add_edge(source, target)
    graph.add_fork("p", ["a", "b"], join="j", need=need)
    return graph


def moves(db: Connection):
    return None


def race_of(runnable):
    graph = race(1, None)
    graph.nodes = [each for each in graph.nodes if each.name != "a"]
    graph.add_node("a", runnable, inputs={}, writes=())
    return graph


def pay(idempotency_key: str) -> None:
    """Pay."""


def paying():
    graph = Graph("paying", State)
    graph.add_node("agent", PAYER, writes=())
    graph.add_node("pay", work, writes=(), effect="once")
    graph.add_path(START, "agent", "pay", END)
    return graph


PAYER = Agent("payer", prompt="Pay.", tools=[tool(pay, effect="once")])


def arms(*forks):
    graph = fork(PLAIN[0], *PLAIN[2:])
    for targets, options in forks:
        graph.add_fork("p", targets, join="j", **options)
    return graph

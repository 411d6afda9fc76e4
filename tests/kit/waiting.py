"""What the tests of waiting share: a state to ask about, types that refuse answers, how a run waits and goes on.

Waits are tested in several files (by nodes, inside nodes, in time, kept, in races, messages). They tell different
truths of the same few graphs, so the graphs stand here once. `Odd` has a rule that no JSON Schema tells: an answer can
pass the schema and still be refused by the type.
"""

import asyncio
from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import BaseModel, Field, field_validator

from graphengine import END, START, Graph, Runner
from graphengine.reducers import append
from tests.kit.runs import SOON, row


class Verdict(BaseModel):
    """What somebody thinks of a text."""

    ok: bool
    score: int = Field(ge=0, le=10)


class Odd(BaseModel):
    """A type with a rule that no JSON Schema tells."""

    n: int

    @field_validator("n")
    @classmethod
    def odd(cls, n: int) -> int:
        """Refuse even numbers."""
        if n % 2 == 0:
            message = "even"
            raise ValueError(message)
        return n


class State(BaseModel):
    """A field for each kind of answer."""

    title: str = "Ants"
    ok: bool | None = None
    verdict: Verdict | None = None
    odd: Odd | None = None
    word: str = ""
    names: list[str] = []
    log: Annotated[list[str], append] = []
    items: list[str] = ["a", "b", "c", "d"]
    answers: list[bool] = []


def path(*nodes: tuple[str, Any, Any], name: str = "g") -> Graph[State]:
    """A graph of nodes in a row: name, runnable, writes."""
    return row(State, *nodes, name=name)


def forked(*arms: tuple[str, Any, Any], need: int | None = None) -> Graph[State]:
    """A graph of one fork; each arm is a node."""
    graph = Graph("forked", State)
    for node, runnable, writes in arms:
        graph.add_node(node, runnable, writes=writes)
        graph.add_edge(node, "merge")
    graph.add_fork(START, [node for node, _, _ in arms], join="merge", need=need)
    graph.add_node("merge")
    graph.add_edge("merge", END)
    return graph


async def waiting(runner: Runner, graph: Graph[Any], **options: Any) -> str:
    """Start a run that is to wait, and tell its id."""
    result = await runner.start(graph, **options).result()
    assert result.status == "waiting"
    return result.run_id


async def go_on(runner: Runner, graph: Graph[Any], run_id: str) -> Any:
    """Resume and give the result."""
    async with asyncio.timeout(SOON):
        return await runner.resume(graph, run_id).result()


def shown(result: object) -> str:
    """What an answer looks like."""
    return repr(result)


def names(waits: Sequence[Any]) -> list[str]:
    """By what they are answered."""
    return [wait.name for wait in waits]

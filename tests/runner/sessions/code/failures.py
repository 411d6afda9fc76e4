import sys
from typing import Any

from pydantic import BaseModel, field_validator

from graphengine import END, START, Graph, failed, value
from tests.kit.runs import alone


class Panic(BaseException):
    """An exception as extension modules raise it."""


class State(BaseModel):
    n: int = 0
    xs: list[int] = [1, 2]
    text: str = ""

    @field_validator("n")
    @classmethod
    def _leaves(cls, n: int) -> int:
        if n == 666:
            sys.exit(1)
        return n


def one(work, writes="n", **options):
    return alone(State, work, writes, node="a", **options)


def exits(n: int) -> int:
    sys.exit(3)


def leave() -> str:
    sys.exit(1)


def leaves(xs: list[int]) -> Any:
    sys.exit(1)


def late(result: int) -> int:
    sys.exit(1)


async def use(db: str) -> int:
    return len(db)


def conditional(condition):
    graph = one(lambda n: n + 1)
    graph.edges.pop()
    graph.add_edge("a", END, when=condition)
    graph.add_edge("a", END)
    return graph


handled = Graph("handled", State)
handled.add_node("a", exits, writes="n")
handled.add_node("b", lambda n: n + 5, writes="n")
handled.add_edge(START, "a")
handled.add_edge("a", END, when=failed(Exception))
handled.add_edge("a", "b", when=failed(SystemExit))
handled.add_edge("a", END)
handled.add_edge("b", END)


async def later(n: int) -> bool:
    return n < 0


def spoil(xs: list[int]) -> bool:
    return bool(xs.pop())


def spoil_whole(state: State) -> bool:
    return bool(state.xs.pop())


def write_xs(condition, **options):
    graph = Graph("g", State)
    graph.add_node("a", lambda: [1, 2, 3], writes="xs")
    graph.add_node("b")
    graph.add_path(START, "a", "b")
    graph.add_edge("b", END, when=condition)
    graph.add_edge("b", END)
    return graph


copied = Graph("copied", State)
copied.add_node("a", lambda: [1, 2, 3], writes="xs")
copied.add_edge(START, "a")
copied.add_edge("a", END, when=lambda xs: not xs.pop(), label="spoilt")
copied.add_edge("a", END, when=value("xs").length() == 3, label="whole")
copied.add_edge("a", END)

broken = [True]


def make() -> str:
    if broken:
        raise ConnectionError("db down")
    return "db"


async def use_db(db: str) -> str:
    return db


with_db = one(use_db, "text", resources={"db": make})

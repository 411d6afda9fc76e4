import asyncio
import operator
from typing import Annotated, Literal, TypedDict

from pydantic import BaseModel

import graphengine
from graphengine import END, START, Context, Graph, Runner
from graphengine.testing import EdgeCoverage, walk
from graphengine.worker.worker import Worker


class State(BaseModel):
    text: str = ""
    items: Annotated[list[str], operator.add] = []


class Quoted(BaseModel):
    items: Annotated[list[str], "append"] = []


class Strict(BaseModel):
    text: str
    score: int


class Keys(TypedDict):
    text: str
    score: int


def work(text: str) -> str:
    return text + "!"


def three():
    graph = Graph("three", State)
    for name in "abc":
        graph.add_node(name, work, writes="text")
    graph.add_edge(START, "a")
    return graph


def one(node, **options):
    graph = Graph("one", State)
    graph.add_node("a", node, **options)
    graph.add_path(START, "a", END)
    return graph


def passing(state):
    graph = Graph("passing", state)
    graph.add_path(START, END)
    return graph


async def loop_in_the_loop(text: str) -> str:
    asked = asyncio.sleep(0, text)
    try:
        return asyncio.run(asked)
    finally:
        asked.close()


async def awaited():
    async with Runner() as runner:
        await runner.start(one(work, writes="text"))


def enter(runner):
    with runner:
        pass


class Command:
    def __init__(self, **_: object) -> None:
        """As elsewhere."""


class Send(Command):
    pass


def route(text: str) -> Literal["b", "c"]:
    return "b" if text else "c"


def edges(*pairs, **options):
    graph = three()
    for source, target in pairs:
        graph.add_edge(source, target, **options)
    return graph


def routed():
    graph = edges(("b", END), ("c", END))
    graph.add_edge("a", "b", when=route)
    graph.add_edge("a", "c")
    return graph


def interrupted(question: str) -> str:
    raise RuntimeError(f"Called get_config outside of a runnable context{question[:0]}")


def commanding(text: str) -> Command:
    return Command(goto=text)


async def called_early(ctx: Context) -> str:
    return await ctx.call(work("x"))  # type: ignore[call-overload]


async def unawaited() -> str:
    return "x"

"""A graph with every kind of node, with and without support for generated tests."""
# ruff: noqa: D103, S106  # its functions are explained by their names, and its key keeps nothing secret

from typing import Annotated, Any

from pydantic import BaseModel, SecretStr

from graphengine import END, START, Agent, Context, Failure, Graph, Message, ask, choose, failed, tool, value
from graphengine.reducers import append, extend, merge


class Review(BaseModel):
    score: int
    issues: list[str] = []


class Flow(BaseModel):
    task: str
    kind: str = "short"
    parts: list[str] = []
    sizes: list[int] = []
    total: int = 0
    draft: str = ""
    facts: Annotated[dict[str, float], merge] = {}
    history: Annotated[list[Review], append] = []
    talk: Annotated[list[Message], extend] = []
    token: SecretStr = SecretStr("")
    ok: bool = False


async def look(task: str) -> list[str]:
    return task.split()


async def fetch(part: str) -> int:
    return len(part)


async def size(part: str, ctx: Context) -> int:
    return await ctx.step(fetch, part)


def total(sizes: list[int], facts: dict[str, float]) -> dict[str, Any]:
    return {"total": sum(sizes), "facts": {"mean\n": sum(sizes) / len(sizes)}}


async def short(task: str) -> str:
    return task[:7]


async def long(task: str) -> str:
    return task * 3


async def unlock(token: SecretStr, total: int) -> int:
    return total + len(token.get_secret_value()) // 100


@tool
async def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


writer = Agent("writer", model="anthropic:x", system="be brief", prompt="{task} {total}", tools=[add], memory="talk")
critic = Agent("critic", model="anthropic:x", prompt="{draft}", output=Review)


async def judge(draft: str) -> Review:
    first = await critic.run(draft=draft)
    return first if first.score > 5 else await critic.run(draft=f"{draft} again")


class Inner(BaseModel):
    draft: str = ""
    count: int = 0


async def count(draft: str) -> int:
    return len(draft)


inner = Graph("inner", Inner, result="count")
inner.add_node("count", count, writes="count")
inner.add_path(START, "count", END)


async def bad(total: int) -> int:
    raise ValueError(f"no {total}")


async def mend(error: Failure) -> str:
    return error.message


graph = Graph("flow", Flow, secret_key="0123456789-abcdefghijk-lmnopqrstuvwx-yz")
graph.add_node("look", look, writes="parts")
graph.add_node("size", size, each={"part": "parts"}, writes="sizes")
graph.add_node("total", total, writes=("total", "facts"))
graph.add_node("pick", choose("kind", {"short": short, "long": long}), writes="task")
graph.add_node("unlock", unlock, writes="total")
graph.add_node("write", writer, writes="draft")
graph.add_node("judge", judge, writes="history")
graph.add_node("inside", inner, writes="total")
graph.add_node("soft", bad, writes="total", fallback=1)
graph.add_node("bad", bad, writes="total")
graph.add_node("mend", mend, writes="draft")
graph.add_node("allow", ask("Go on?", bool), writes="ok")
graph.add_path(START, "look", "size", "total", "pick", "unlock", "write", "judge", "inside", "soft", "bad")
graph.add_edge("bad", "mend", when=failed(ValueError))
graph.add_edge("bad", END, when=value("ok").is_true())
graph.add_edge("bad", "mend")
graph.add_path("mend", "allow", END)

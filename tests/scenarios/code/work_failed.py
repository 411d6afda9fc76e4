from pydantic import BaseModel

from graphengine import END, START, Context, Graph

down: list[str] = ["b", "x"]


async def fetch(what: str, part: int) -> str:
    if part == 2 and what in down:
        down.remove(what)
        raise OSError("the line is down")
    return f"{what}{part}"


class State(BaseModel):
    sources: list[str] = ["a", "b"]
    found: list[str] = []
    text: str = ""


async def read(source: str, ctx: Context) -> str:
    return await ctx.call(fetch, source, 1) + await ctx.call(fetch, source, 2)


async def last(ctx: Context) -> str:
    return await ctx.call(fetch, "x", 1) + await ctx.call(fetch, "x", 2)


graph = Graph("work_failed", State)
graph.add_node("read", read, each={"source": "sources"}, concurrency=1, writes="found")
graph.add_node("last", last, writes="text")
graph.add_path(START, "read", "last", END)

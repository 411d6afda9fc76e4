from pydantic import BaseModel

from graphengine import END, START, Context, Graph


class State(BaseModel):
    one: str = ""
    two: str = ""


async def one(ctx: Context) -> str:
    return await ctx.receive("news", str)


async def two(ctx: Context) -> str:
    return await ctx.receive("news", str)


graph = Graph("kept", State)
graph.add_node("one", one, writes="one")
graph.add_node("two", two, writes="two")
graph.add_node("merge")
graph.add_fork(START, ["one", "two"], join="merge")
graph.add_edge("one", "merge")
graph.add_edge("two", "merge")
graph.add_edge("merge", END)

from pydantic import BaseModel

from graphengine import END, START, Context, Graph, ask


class State(BaseModel):
    title: str = "old"
    one: str = ""
    got: str = ""


async def nap(title: str, ctx: Context) -> str:
    await ctx.sleep(60)
    return f"{title}: {await ctx.receive('news', str)}"


graph = Graph("ask_branch", State)
graph.add_node("one", ask("First?"), writes="one")
graph.add_node("nap", nap, writes="got")
graph.add_node("merge")
graph.add_fork(START, ["one", "nap"], join="merge")
graph.add_edge("one", "merge")
graph.add_edge("nap", "merge")
graph.add_edge("merge", END)

from pydantic import BaseModel

from graphengine import END, START, Context, Graph
from tests.kit.scenario import work


class Inner(BaseModel):
    source: str = ""
    first: str = ""
    text: str = ""


async def write(ctx: Context) -> str:
    return await ctx.ask("Text?", str)


class State(BaseModel):
    sources: list[str] = ["a", "b"]
    findings: list[str] = []
    facts: str = ""


inner = Graph("inner", Inner, result="text")
inner.add_node("read", work, writes="first")
inner.add_node("write", write, writes="text")
inner.add_path(START, "read", "write", END)
graph = Graph("settled_graphs", State)
graph.add_node("research", inner, each={"source": "sources"}, writes="findings", on_item_error="keep")
graph.add_node("check", work, writes="facts")
graph.add_node("end", work)
graph.add_fork(START, ["research", "check"], join="end")
graph.add_edge("research", "end")
graph.add_path("check", "end", END)

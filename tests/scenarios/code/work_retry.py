from pydantic import BaseModel, Field

from graphengine import END, START, Context, Graph, Retry, iterations

calls: list[str] = []
runs: list[int] = []


def fetch(what: str) -> str:
    calls.append(what)
    if len(calls) == 2:
        raise OSError("the line is down")
    return f"{what} {len(calls)}"


class State(BaseModel):
    text: str = Field(default="", max_length=12)


async def plan(ctx: Context) -> str:
    runs.append(1)
    one = await ctx.call(fetch, "a")
    two = await ctx.call(fetch, "b")
    if len(runs) == 2:
        raise ValueError("own code")
    if len(runs) == 3:
        return "much longer than twelve"
    return f"{one}, {two}"


graph = Graph("work_retry", State)
graph.add_node("plan", plan, writes="text", retry=Retry(attempts=4, initial_seconds=0))
graph.add_edge(START, "plan")
graph.add_edge("plan", END, when=iterations("plan") >= 2)
graph.add_edge("plan", "plan")

from pydantic import BaseModel

from graphengine import END, START, Context, Graph, Retry, ask, failed


class State(BaseModel):
    one: bool | None = None
    two: str = ""
    three: int = 0


async def measure(ctx: Context) -> int:
    try:
        width = await ctx.ask("Width?", int, timeout_seconds=5)
    except TimeoutError:
        width = 100
    return width + await ctx.ask("Size?", int, timeout_seconds=10, default=7)


graph = Graph("timeout", State)
graph.add_node("one", ask("Publish?", bool, timeout_seconds=60, default=False), writes="one")
graph.add_node("two", ask("Name?", timeout_seconds=30), writes="two", retry=Retry(attempts=2, initial_seconds=0))
graph.add_node("three", measure, writes="three")
graph.add_path(START, "one", "two")
graph.add_edge("two", "three", when=failed(TimeoutError), label="nobody")
graph.add_edge("two", END)
graph.add_edge("three", END)

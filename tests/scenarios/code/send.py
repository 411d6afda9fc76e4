from pydantic import BaseModel

from graphengine import END, START, Context, Graph, Retry


class State(BaseModel):
    text: str = ""
    numbers: list[int] = [1, 2]
    out: list[int] = []
    got: list[int] = []


async def tell(ctx: Context) -> str:
    ctx.send("news", {"attempt": ctx.attempt})
    ctx.send("news", 0)
    if ctx.attempt == 1:
        raise ValueError("no")
    return await ctx.ask("Well?")


async def each(number: int, ctx: Context) -> int:
    ctx.send("numbers", number)
    return number


async def hear(ctx: Context) -> list[int]:
    first = await ctx.receive("news")
    return [first["attempt"], await ctx.receive("news", int), await ctx.receive("numbers", int)]


graph = Graph("send", State)
graph.add_node("tell", tell, writes="text", retry=Retry(attempts=2, initial_seconds=0))
graph.add_node("each", each, each={"number": "numbers"}, writes="out")
graph.add_node("hear", hear, writes="got")
graph.add_path(START, "tell", "each", "hear", END)

from typing import Annotated, Any

from pydantic import BaseModel

from graphengine import END, START, Context, Graph, Retry, ask
from graphengine.reducers import append, extend
from tests.kit.runs import alone, repeated

KB = 1000


class Doc(BaseModel):
    n: int = 0
    text: str = ""
    maybe: str | None = None
    log: Annotated[list[str], append] = []
    rows: Annotated[list[dict[str, Any]], extend] = []
    own: Annotated[list[str], lambda old, new: [*old, new]] = []
    free: Any = None
    notes: list[str] = []


class Old(BaseModel):
    ok: bool = False


class Grown(Old):
    blob: str = ""


long = "x" * 20 * KB
values = {
    "text": long,
    "maybe": long,
    "log": long,
    "rows": [{"a": "b" * 100}] * 200,
    "own": long,
    "free": {"a": ["x" * 10 * KB] * 2},
}
calls = []


def one(field, value):
    async def write(n: int) -> object:
        calls.append(field)
        return value

    return alone(Doc, write, field, name=f"writes {field}", retry=Retry(attempts=3, initial_seconds=0))


grow = alone(Doc, lambda word: word * KB, "log", each={"word": "notes"}, name="map", node="grow")
inner = alone(Doc, lambda text: text, "text", name="inner", result="n")
outer = alone(Doc, inner, "n", inputs={"text": "text"}, name="outer", node="inside")


async def listen(ctx: Context) -> str:
    first = await ctx.ask("what?", str)
    return first + str(await ctx.receive("topic"))


async def much() -> str:
    return "x" * 5000


async def call(ctx: Context) -> str:
    return await ctx.call(much)


async def tell(ctx: Context) -> None:
    ctx.send("topic", "x" * 5000)


async def show(ctx: Context) -> None:
    ctx.emit("x" * 5000, record=True)


listens = alone(Doc, listen, "text")


def asking(state, write, **versions):
    graph = Graph("asking", state, **versions)
    graph.add_node("ask", ask("Continue?", bool), writes="ok")
    graph.add_node("write", write)
    graph.add_path(START, "ask", "write", END)
    return graph


old = asking(Old, lambda: {"ok": True})
newer = asking(
    Grown, lambda: {"blob": "y" * 2 * KB}, version=2, migrate={1: lambda old: {**old, "blob": "x" * 200 * KB}}
)
same = asking(Grown, lambda: {"blob": "y" * 2 * KB})

from typing import Annotated

from pydantic import BaseModel

from graphengine import END, START, Context, Failure, Graph, Retry
from graphengine.reducers import append
from tests.kit.runs import alone


class Source(BaseModel):
    id: str
    kind: str = "web"


class State(BaseModel):
    sources: list[Source] = [Source(id="a"), Source(id="b", kind="book")]
    numbers: list[int] = [0, 1, 2, 3, 4]
    findings: list[str] = []
    shared: list[int] = []
    survived: Annotated[list[Failure], append] = []


calls, bad = [], {1}


def mapped(work, each=None, writes="findings", **options):
    graph = Graph("map", State, collect_errors="survived")
    graph.add_node("work", work, each=each or {"n": "numbers"}, writes=writes, **options)
    graph.add_path(START, "work", END)
    return graph


def spoil_shared(n: int, shared: list[int]) -> str:
    if n == 2:
        shared.append(n)
    return str(len(shared))


def spoil_item(source: Source) -> str:
    if source.id == "b":
        source.kind = "spoilt"
    return source.kind


def odd(n: int, numbers: list[int]) -> str:
    if n % 2:
        raise ValueError(f"odd {n}")
    return f"{n} of {len(numbers)}"


async def work(n: int, ctx: Context) -> str:
    calls.append(f"{n}.{ctx.attempt}")
    if n in bad:
        raise ValueError(f"bad {n}")
    return await ctx.ask("Go on?", str) if n == 2 else str(n)


again = Retry(attempts=2, initial_seconds=0)
kept, asks = mapped(odd, on_item_error="keep", retry=again), mapped(work, on_item_error="keep", retry=again)


class Inner(BaseModel):
    n: int = 0
    seen: int | None = None


inner = alone(Inner, lambda ctx: ctx.item_index, "seen", name="inner", result="seen")
places = Graph("places", State)
places.add_node("plain", lambda n, ctx: ctx.item_index + 0 * n, each={"n": "numbers"}, writes="shared")
places.add_node("nested", inner, each={"n": "numbers"}, inputs={"n": "n"}, writes="numbers")
places.add_node("outside", lambda ctx: [str(ctx.item_index)], writes="findings")
places.add_path(START, "plain", "nested", "outside", END)

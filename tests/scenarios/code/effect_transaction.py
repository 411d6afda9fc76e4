from pydantic import BaseModel

from graphengine import END, START, Context, Graph, Retry

ledger: list[str] = []


class Connection:
    """What is handed to a function; this page has no database."""

    __module__ = "psycopg"


class State(BaseModel):
    order: str = "A7"
    number: int = 0
    settled: int = 0
    inner: int = 0


class Inner(BaseModel):
    order: str = "B1"
    number: int = 0


def place(db: Connection, order: str) -> int:
    ledger.append(order)
    return len(ledger)


async def settle(ctx: Context, order: str) -> int:
    number = await ctx.call(place, f"{order} settled", effect="transaction")
    if ctx.attempt == 1:
        raise ConnectionError("after it was placed")
    return number


def breaks(number: int) -> int:
    raise ConnectionError("after it was placed")


inner = Graph("inner", Inner, result="number")
inner.add_node("place", place, writes="number", effect="transaction")
inner.add_node("breaks", breaks, writes="number")
inner.add_path(START, "place", "breaks", END)

graph = Graph("orders", State)
graph.add_node("place", place, writes="number", effect="transaction")
graph.add_node("settle", settle, writes="settled", retry=Retry(attempts=2, initial_seconds=0, afresh=True))
graph.add_node("inner", inner, writes="inner", retry=Retry(attempts=2, initial_seconds=0))
graph.add_path(START, "place", "settle", "inner", END)

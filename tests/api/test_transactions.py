"""`effect="transaction"`: the rows of a function and the record of its result are there both, or neither."""

from collections.abc import Callable
from typing import Any

import psycopg
import pytest
import sqlalchemy
from pydantic import BaseModel
from sqlalchemy.orm import Session

from graphengine import END, START, Context, Graph, Runner
from tests.kit.postgres import execute


class Refund(BaseModel):
    """An order of which money goes back."""

    order: str = "A7"
    amount: int = 5
    number: int = 0


PAID = "UPDATE public.orders SET paid = paid - %(amount)s WHERE id = %(order)s"
REFUND = "INSERT INTO public.refunds (order_id, amount) VALUES (%(order)s, %(amount)s) RETURNING number"


def refund(db: psycopg.Connection[Any], order: str, amount: int) -> int:
    """Refund an order."""
    given = {"order": order, "amount": amount}
    db.execute(PAID, given)
    row = db.execute(REFUND, given).fetchone()
    assert row is not None
    return int(row[0])


def core_refund(order: str, amount: int, db: sqlalchemy.Connection) -> int:
    """Refund an order by SQLAlchemy's core."""
    db.execute(sqlalchemy.text("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE"))
    return _by_sqlalchemy(db, order, amount)


def orm_refund(db: Session, order: str, amount: int) -> int:
    """Refund an order by a session of SQLAlchemy."""
    return _by_sqlalchemy(db, order, amount)


def _by_sqlalchemy(db: sqlalchemy.Connection | Session, order: str, amount: int) -> int:
    given = {"order": order, "amount": amount}
    db.execute(sqlalchemy.text("UPDATE public.orders SET paid = paid - :amount WHERE id = :order"), given)
    text = "INSERT INTO public.refunds (order_id, amount) VALUES (:order, :amount) RETURNING number"
    return int(db.execute(sqlalchemy.text(text), given).scalar_one())


@pytest.fixture
def shop(postgres: str) -> str:
    """The address of a database with the shop's own tables, in another schema than the runs."""
    execute(
        postgres,
        "DROP TABLE IF EXISTS public.orders, public.refunds",
        "CREATE TABLE public.orders (id text PRIMARY KEY, paid integer NOT NULL)",
        "CREATE TABLE public.refunds (number serial PRIMARY KEY, order_id text NOT NULL, amount integer NOT NULL)",
        "INSERT INTO public.orders SELECT 'A' || n, 100 FROM generate_series(0, 9) AS n",
    )
    return postgres


def refunded(address: str) -> list[tuple[object, ...]]:
    """Return the orders of which money went back, with what is left, and how many refunds there are."""
    wanted = "SELECT o.id, o.paid, (SELECT count(*) FROM public.refunds AS r WHERE r.order_id = o.id)"
    return execute(address, f"{wanted} FROM public.orders AS o WHERE o.paid <> 100 ORDER BY 1")


def as_node(function: Callable[..., int], **options: Any) -> Graph[Refund]:
    """Return a graph whose node is the function."""
    graph = Graph("refunds", Refund, result="number")
    graph.add_node("refund", function, writes="number", effect="transaction", **options)
    graph.add_path(START, "refund", END)
    return graph


def as_call(function: Callable[..., int]) -> Graph[Refund]:
    """Return a graph whose node calls the function."""

    async def serve(order: str, amount: int, ctx: Context) -> int:
        return await ctx.call(function, order=order, amount=amount, effect="transaction")

    graph = Graph("refunds", Refund, result="number")
    graph.add_node("serve", serve, writes="number")
    graph.add_path(START, "serve", END)
    return graph


@pytest.mark.parametrize("made", [as_node, as_call], ids=["node", "call"])
@pytest.mark.parametrize("function", [refund, core_refund, orm_refund], ids=["psycopg", "core", "orm"])
async def test_the_rows_and_the_record_are_there(
    shop: str, function: Callable[..., int], made: Callable[..., Graph[Refund]]
) -> None:
    """A connection of psycopg or SQLAlchemy, or a session, is handed out, at any place among the parameters."""
    async with Runner(shop) as runner:
        result = await runner.start(made(function)).result()
    assert (result.output, refunded(shop)) == (1, [("A7", 95, 1)])

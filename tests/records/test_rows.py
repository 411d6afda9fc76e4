"""Results as a table: a row for each run, with fields of its last recorded state, on each store."""

import csv
import io
from datetime import UTC, datetime

import pytest
from pydantic import BaseModel, SecretStr

from graphengine import END, START, Graph, RunFailed, Runner
from graphengine.errors import InputError, UnknownRun
from graphengine.records.result_rows import to_csv


class Order(BaseModel):
    amount: float = 2.5
    note: str = ""


class Case(BaseModel):
    n: int = 0
    status: str = "new"
    at: datetime = datetime(2026, 1, 31, tzinfo=UTC)
    orders: list[Order] = []
    order: Order = Order()


def more(n: int) -> int:
    """Return the next number, or fail."""
    return 10 // (n - 1)


graph = Graph("cases", Case)
graph.add_node("more", more, writes="n")
graph.add_path(START, "more", END)


async def test_a_row_has_the_columns_of_the_run_and_the_fields_of_its_state(runner: Runner) -> None:
    """Values are JSON without the marks of records, in the order of the runs; a field of its own name is kept apart."""
    order = Order(note='a "b",\nc')
    await runner.start(graph, {"n": 3, "order": order, "orders": [order]}, run_id="a").result()
    await runner.start(graph, {"n": 6}, run_id="b").result()
    fields = ["n", "status", "at", "order.note", "order.amount", "orders"]
    rows = await runner.rows(["a", *await runner.runs(graph="cases", limit=1)], fields)
    (ended,) = [info.ended_at for info in await runner.runs() if info.id == "a"]
    assert [row["run_id"] for row in rows] == ["a", "b"]
    assert rows[0] | {"created_at": 0} == {
        "run_id": "a",
        "graph": "cases",
        "status": "finished",
        "created_at": 0,
        "ended_at": ended,
        "cost_usd": 0.0,
        "n": 5,
        "state.status": "new",
        "at": "2026-01-31T00:00:00Z",
        "order.note": 'a "b",\nc',
        "order.amount": 2.5,
        "orders": [{"amount": 2.5, "note": 'a "b",\nc'}],
    }
    (heading, first, _) = csv.reader(io.StringIO(to_csv(rows, fields)))
    assert heading == [*rows[0]]
    assert first[heading.index("order.note")] == 'a "b",\nc'


async def test_what_is_not_known_is_none(runner: Runner) -> None:
    """A failed run has the state before it failed; a run of another graph lacks the field; no run is no error."""
    with pytest.raises(RunFailed):
        await runner.start(graph, {"n": 1}, run_id="fails").result()
    other = Graph("other", Order)
    other.add_node("nothing", dict, writes=())
    other.add_path(START, "nothing", END)
    await runner.start(other, run_id="other").result()
    rows = await runner.rows(["fails", "other"], ["n"])
    assert [(row["status"], row["n"]) for row in rows] == [("failed", 1), ("finished", None)]
    assert await runner.rows([], ["n"]) == []


async def test_a_field_that_no_run_has_is_refused(runner: Runner) -> None:
    """A misspelt field is no column of blanks: the error names the field that was meant."""
    await runner.start(graph, {"n": 3}, run_id="a").result()
    with pytest.raises(InputError, match=r"(?s)none of the 1 runs has the field 'orderss'.*did you mean 'orders'"):
        await runner.rows(["a"], ["n", "orderss"])
    with pytest.raises(InputError, match=r"none of the 1 runs has the field 'order\.amounts'"):
        await runner.rows(["a"], ["order.amounts"])
    with pytest.raises(UnknownRun):
        await runner.rows(["nobody"], ["n"])


async def test_a_text_is_no_list(runner: Runner) -> None:
    """A text would be read letter by letter."""
    with pytest.raises(InputError, match=r"(?s)fields='n, orders' is a text.*repair: give a list: \['n', 'orders'\]"):
        await runner.rows(["a"], "n, orders")
    with pytest.raises(InputError, match=r"(?s)runs='graph:a' is a text.*rows\(await runner.runs\('graph:a'\), …\)"):
        await runner.rows("graph:a", ["n"])


async def test_a_secret_is_the_word_secret(runner: Runner) -> None:
    """Neither the clear text nor what encrypts it stands in a table that is given away."""
    pytest.importorskip("cryptography")

    class Login(BaseModel):
        tokens: list[SecretStr] = []

    login = Graph("login", Login, secret_key="0123456789" * 4)
    login.add_node("enter", dict, writes=(), thread=False)
    login.add_path(START, "enter", END)
    await runner.start(login, {"tokens": ["a clear word"]}, run_id="s").result()
    (row,) = await runner.rows(["s"], ["tokens"])
    assert row["tokens"] == "secret"

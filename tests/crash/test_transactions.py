"""Transactions of functions, `effect="transaction"`, whose connections are cut and whose run another process takes.

`TRANSACTION_CUTS=300 SEED=7 pytest -s tests/crash/test_transactions.py` is the full size.
"""

import asyncio
import os
import socket
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from random import Random
from typing import Any, Final

import psycopg
import pytest
from pydantic import BaseModel

from graphengine import END, START, Context, Graph, Runner
from graphengine.databases.postgres import PostgresStore
from graphengine.databases.postgres.transactions import FunctionTransaction, HandedConnection
from graphengine.errors import LeaseLost, RunIsDriven
from tests.kit.postgres import PostgresServer, execute
from tests.kit.proxy import Proxy

CUTS: Final = int(os.environ.get("TRANSACTION_CUTS", "25"))
SEED: Final = int(os.environ.get("SEED", "3"))
MANY: Final = 500


class Order(BaseModel):
    """An order, and its number once it is placed."""

    id: int = 0
    number: int = 0
    notes: int = 0


def place(db: psycopg.Connection[Any], id: int) -> int:  # noqa: A002 - the field's name
    """Place an order, in a ledger that takes each twice if it is told to."""
    db.execute("UPDATE public.totals SET orders = orders + 1 WHERE shard = %s", (id % 7,))
    row = db.execute("INSERT INTO public.ledger (id) VALUES (%s) RETURNING number", (id,)).fetchone()
    assert row is not None
    return int(row[0])


def same(number: int) -> int:
    """Return a number."""
    return number


async def noting(ctx: Context, id: int) -> int:  # noqa: A002 - the field's name
    """Record some calls one after the other, beside the transaction."""
    return sum([await ctx.call(same, number, key=f"{id} {number}") for number in range(5)])


def ordering() -> Graph[Order]:
    """Return a graph that places an order, while another node of the run records calls."""
    graph = Graph("orders", Order, result="number")
    graph.add_node("place", place, writes="number", effect="transaction")
    graph.add_node("note", noting, writes="notes")
    graph.add_node("done", lambda: None, writes={})
    graph.add_fork(START, ["place", "note"], join="done")
    graph.add_edge("place", "done")
    graph.add_edge("note", "done")
    graph.add_edge("done", END)
    return graph


@pytest.fixture
def ledger(postgres: str) -> str:
    """The address of a database with a ledger."""
    execute(
        postgres,
        "DROP TABLE IF EXISTS public.ledger, public.totals",
        "CREATE TABLE public.ledger (number serial PRIMARY KEY, id integer NOT NULL)",
        "CREATE TABLE public.totals (shard integer PRIMARY KEY, orders integer NOT NULL)",
        "INSERT INTO public.totals SELECT n, 0 FROM generate_series(0, 6) AS n",
    )
    return postgres


def check(address: str, count: int) -> None:
    """Check that each order was placed once, and all rows of it."""
    assert execute(address, "SELECT id, count(*) FROM public.ledger GROUP BY 1 HAVING count(*) > 1") == []
    found = execute(address, "SELECT count(DISTINCT id), (SELECT sum(orders) FROM public.totals) FROM public.ledger")
    assert found == [(count, count)]


class Cut:
    """Cuts the connection of a transaction at a statement, once."""

    def __init__(self, at: str, side: str) -> None:
        self.at, self.side, self.made = at, side, 0

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Cut from now on."""
        execute_ = HandedConnection.execute

        def executed(connection: HandedConnection, query: Any, *args: Any, **kwargs: Any) -> Any:
            text = query.decode() if isinstance(query, bytes) else str(query)
            is_here = self.at in text and not self.made
            if is_here and self.side == "before":
                self.cut(connection)
            result = execute_(connection, query, *args, **kwargs)
            if is_here:
                self.cut(connection)
                return execute_(connection, "SELECT 1")  # which notices it
            return result

        monkeypatch.setattr(HandedConnection, "execute", executed)

    def cut(self, connection: HandedConnection) -> None:
        """Lose the connection: the statement that is sent on it then fails, or the answer to this one is lost."""
        self.made += 1
        with socket.socket(fileno=os.dup(connection.fileno())) as line:
            line.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize("side", ["before", "after"])
@pytest.mark.parametrize("at", ["SET LOCAL", "UPDATE", "INSERT INTO public", "CONSTRAINTS", ".steps", "COMMIT"])
async def test_a_cut_connection_loses_and_repeats_nothing(
    at: str, side: str, ledger: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before, in and after COMMIT: the run goes on, and its order is placed once."""
    cut = Cut(at, side)
    cut.install(monkeypatch)
    async with Runner(ledger) as runner:
        result = await runner.start(ordering(), {"id": 1}).result()
    assert (result.status, cut.made) == ("finished", 1)
    check(ledger, 1)
    assert execute(ledger, "SELECT number FROM public.ledger") == [(result.output,)]


@pytest.mark.parametrize("sent", [False, True], ids=["COMMIT is lost", "its answer is lost"])
async def test_a_server_that_has_not_noticed_is_waited_for(
    sent: bool,  # noqa: FBT001 - a case of the test
    ledger: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The client has lost the connection: the old transaction ends, by COMMIT or a limit, before it is judged."""
    execute_, kept, calls = HandedConnection.execute, list[Any](), list[int]()

    def executed(connection: HandedConnection, query: Any, *args: Any, **kwargs: Any) -> Any:
        if query != "COMMIT" or kept:
            return execute_(connection, query, *args, **kwargs)
        kept.append(connection)
        if sent:
            asyncio.run_coroutine_threadsafe(late(connection), loop)
        connection.close = lambda: None  # type: ignore[method-assign]
        message = "the connection was lost"
        raise psycopg.OperationalError(message)

    async def late(connection: HandedConnection) -> None:
        """Commit, long after the answer was missed."""
        await asyncio.sleep(0.4)
        execute_(connection, b"COMMIT")

    def counted(db: psycopg.Connection[Any], id: int) -> int:  # noqa: A002 - the field's name
        calls.append(id)
        return place(db, id)

    loop = asyncio.get_running_loop()
    monkeypatch.setattr(HandedConnection, "execute", executed)
    graph = Graph("orders", Order, result="number")
    graph.add_node("place", counted, writes="number", effect="transaction")
    graph.add_path(START, "place", END)
    async with Runner(PostgresStore(ledger, lease_seconds=3)) as runner:
        result = await runner.start(graph, {"id": 1}).result()
    assert (result.status, calls) == ("finished", [1] if sent else [1, 1])
    check(ledger, 1)
    psycopg.Connection.close(kept[0])


async def test_what_another_process_took_over_is_not_committed(ledger: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lease is lost before the record: the transaction is undone, and the other process places the order."""
    graph, second = ordering(), Runner(ledger)
    async with second:
        commit, taken = FunctionTransaction.commit, list[str]()

        async def committed(transaction: FunctionTransaction, batch: Any) -> None:
            if not taken:
                taken.append(batch.run_id)
                execute(ledger, f"UPDATE runs SET fence = fence + 1, driver = NULL WHERE id = '{batch.run_id}'")  # noqa: S608
            await commit(transaction, batch)

        monkeypatch.setattr(FunctionTransaction, "commit", committed)
        async with Runner(ledger) as first:
            with pytest.raises(LeaseLost):
                await first.start(graph, {"id": 1}, run_id="r").result()
            check(ledger, 0)
        result = await second.resume("r", graph).result()
    assert result.status == "finished"
    check(ledger, 1)


async def test_many_are_placed_beside_the_steps_of_other_runs(ledger: str) -> None:
    """Hundreds of transactions and pipelined appends lock rows of the same tables, and none waits in a circle."""
    graph = ordering()
    async with Runner(ledger) as runner:
        runs = [runner.start(graph, {"id": number}) for number in range(MANY)]
        results = [await run.result() for run in runs]
    assert {result.status for result in results} == {"finished"}
    check(ledger, MANY)


@pytest.fixture
async def proxy(postgres_server: PostgresServer) -> AsyncIterator[Proxy]:
    """A proxy in front of the server."""
    async with Proxy(postgres_server) as found:
        yield found


async def test_connections_that_are_cut_at_random_lose_and_repeat_nothing(proxy: Proxy, ledger: str) -> None:
    """All connections of a process at once, in the middle of a request, or between a request and its answer."""
    random, graph = Random(SEED), ordering()  # noqa: S311 - repeatable, not for security
    address, done = proxy.address(ledger.partition("?schema=")[2]), 0
    async with Runner(PostgresStore(address, patience_seconds=60)) as runner:

        async def orders() -> None:
            nonlocal done
            while proxy.cuts < CUTS:
                batch = [runner.start(graph, {"id": done + number}) for number in range(10)]
                done += len(batch)
                assert {(await run.result()).status for run in batch} == {"finished"}

        async def cuts() -> None:
            while proxy.cuts < CUTS:
                await asyncio.sleep(random.uniform(0.05, 0.3))
                ways: list[Callable[[], None]] = [
                    proxy.cut,
                    lambda: proxy.cut_request(random.randint(1, 4000)),
                    lambda: proxy.lose_answer(random.randint(1, 4000)),
                ]
                random.choice(ways)()

        await asyncio.gather(orders(), cuts())
    check(ledger, done)
    print(f"{proxy.cuts} cuts, {done} orders")  # noqa: T201 - a figure of a long run


async def test_two_processes_place_an_order_once(proxy: Proxy, ledger: str) -> None:
    """The network of the first one stands still in the function until its lease is over, and the second one goes on."""
    reached, goes_on = threading.Event(), threading.Event()

    def slow(db: psycopg.Connection[Any], id: int) -> int:  # noqa: A002 - the field's name
        number = place(db, id)
        if not reached.is_set():
            reached.set()
            goes_on.wait(20)
        return number

    graph = Graph("orders", Order, result="number")
    graph.add_node("place", slow, writes="number", effect="transaction")
    graph.add_path(START, "place", END)
    first = Runner(PostgresStore(proxy.address(ledger.partition("?schema=")[2]), lease_seconds=1.5))
    async with first, Runner(PostgresStore(ledger, lease_seconds=1.5)) as second:
        run = first.start(graph, {"id": 1}, run_id="r")
        await asyncio.to_thread(reached.wait)
        proxy.freeze()
        result = None
        while result is None:
            with suppress(RunIsDriven):
                result = await second.resume("r", graph).result()
            await asyncio.sleep(0.05)
        proxy.thaw()
        goes_on.set()
        await asyncio.gather(run.result(), return_exceptions=True)
    assert result.status == "finished"
    check(ledger, 1)

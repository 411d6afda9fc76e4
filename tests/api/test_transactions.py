"""`effect="transaction"`: the rows of a function and the record of its result are there both, or neither."""

import asyncio
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy
from psycopg.rows import class_row
from psycopg.types.json import JsonbDumper
from pydantic import BaseModel
from sqlalchemy.orm import Session

from graphengine import (
    END,
    START,
    Agent,
    CompileError,
    Context,
    Failure,
    Graph,
    Retry,
    RunFailed,
    Runner,
    ScriptedModel,
    tool,
)
from graphengine.databases import PostgresStore
from graphengine.databases.postgres import transactions
from graphengine.databases.postgres.transactions import FunctionTransaction, HandedConnection
from graphengine.errors import DefinitionError, EffectRefused, TransactionRefused
from graphengine.models import calls
from graphengine.testing import run_node
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


async def failure_of(
    store: Any, graph: Graph[Refund], given: dict[str, object] | None = None, effects: Any = "act"
) -> Failure:
    """Run a graph that fails, and return the failure."""
    async with Runner(store, effects=effects) as runner:
        with pytest.raises(RunFailed) as failed:
            await runner.start(graph, given).result()
    error = failed.value.result.error
    assert error is not None
    return error


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


# --- what the function does -------------------------------------------------------------------------------------------


def swallows(db: psycopg.Connection[Any], order: str, amount: int) -> int:
    """Go on after an error of the database."""
    try:
        db.execute("SELECT 1 / 0")
    except psycopg.errors.DivisionByZero:
        return amount
    return len(order)


def commits(db: psycopg.Connection[Any], order: str, amount: int) -> int:
    """Commit."""
    number = refund(db, order, amount)
    db.commit()
    return number


def rolls_back(db: psycopg.Connection[Any], order: str, amount: int) -> int:
    """Roll back."""
    number = refund(db, order, amount)
    db.rollback()
    return number


def opens_a_block(db: psycopg.Connection[Any], order: str, amount: int) -> int:
    """Use a block that commits at its end."""
    with db:
        return refund(db, order, amount)


def says_rollback(db: psycopg.Connection[Any], order: str, amount: int) -> int:
    """Roll back by a statement, and begin anew."""
    db.execute("ROLLBACK")
    return refund(db, order, amount)


def opens_a_stream(db: psycopg.Connection[Any], order: str, amount: int) -> int:
    """Read one row of many, and keep the others, with the lock of the connection."""
    number = refund(db, order, amount)
    kept.append(db.cursor().stream("SELECT generate_series(1, 1000)"))
    next(kept[-1])
    return number


def opens_a_copy(db: psycopg.Connection[Any], order: str, amount: int) -> int:
    """Begin a COPY, and do not end it."""
    number = refund(db, order, amount)
    kept.append(db.cursor().copy("COPY public.orders TO STDOUT"))
    kept[-1].__enter__().read()
    return number


def opens_a_pipeline(db: psycopg.Connection[Any], order: str, amount: int) -> int:
    """Begin a pipeline, in which no answer to COMMIT is waited for."""
    kept.append(db.pipeline())
    kept[-1].__enter__()
    return refund(db, order, amount)


def reads_only(db: psycopg.Connection[Any], order: str, amount: int) -> int:
    """Let the transaction write nothing, not even the record."""
    db.execute("SET TRANSACTION READ ONLY")
    return amount


def takes_a_role(db: psycopg.Connection[Any], order: str, amount: int) -> int:
    """Go on as a role that cannot write the record."""
    number = refund(db, order, amount)
    db.execute("SET LOCAL ROLE pg_monitor")
    return number


kept: list[Any] = []


def orm_commits(db: Session, order: str, amount: int) -> int:
    """Commit the session."""
    number = orm_refund(db, order, amount)
    db.commit()
    return number


def core_commits(db: sqlalchemy.Connection, order: str, amount: int) -> int:
    """Commit the connection of SQLAlchemy."""
    number = core_refund(order, amount, db)
    db.commit()
    return number


@pytest.mark.parametrize(
    "function",
    [
        swallows,
        commits,
        rolls_back,
        opens_a_block,
        says_rollback,
        opens_a_stream,
        opens_a_copy,
        opens_a_pipeline,
        reads_only,
        takes_a_role,
        orm_commits,
        core_commits,
    ],
)
async def test_a_function_that_ends_its_transaction_is_found_out(shop: str, function: Callable[..., int]) -> None:
    """It fails with what it did and the repair, and nothing is done."""
    error = await failure_of(shop, as_node(function))
    kept.clear()
    assert (error.kind, bool(error.repair), refunded(shop)) == ("transaction_refused", True, [])


def with_other_rows(db: psycopg.Connection[Any]) -> None:
    """Let each row be a model of one's own, which the engine's rows are none of."""
    db.row_factory = class_row(Refund)


def with_raw_statements(db: psycopg.Connection[Any]) -> None:
    """Number the parameters of statements."""
    db.cursor_factory = psycopg.RawCursor


def with_other_lists(db: psycopg.Connection[Any]) -> None:
    """Let lists be documents."""
    db.adapters.register_dumper(list, JsonbDumper)


@pytest.mark.parametrize("chosen", [with_other_rows, with_raw_statements, with_other_lists])
async def test_the_record_depends_on_nothing_that_a_function_chooses(
    shop: str, chosen: Callable[[psycopg.Connection[Any]], None]
) -> None:
    """Rows, cursors and types of the connection are the function's: the record is written all the same."""

    def choosing(db: psycopg.Connection[Any], order: str, amount: int) -> int:
        number = refund(db, order, amount)
        chosen(db)
        return number

    async with Runner(shop) as runner:
        assert (await runner.start(as_node(choosing)).result()).output == 1
    assert refunded(shop) == [("A7", 95, 1)]


async def test_a_connection_that_is_kept_is_still_the_engines(shop: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the function's end and COMMIT a thread of its own cannot commit, and what it undoes is not recorded."""
    held: list[psycopg.Connection[Any]] = []
    refused: list[Exception] = []

    def keeping(db: psycopg.Connection[Any], order: str, amount: int) -> int:
        held.append(db)
        return refund(db, order, amount)

    record = FunctionTransaction._record  # noqa: SLF001 - the moment between the record and COMMIT

    def recorded(transaction: FunctionTransaction, connection: Any, addition: Any) -> None:
        record(transaction, connection, addition)
        try:
            held[0].commit()
        except TransactionRefused as error:
            refused.append(error)
        with pytest.raises(psycopg.errors.DivisionByZero):
            held[0].execute("SELECT 1 / 0")

    monkeypatch.setattr(FunctionTransaction, "_record", recorded)
    error = await failure_of(shop, as_node(keeping))
    assert (len(refused), error.kind, refunded(shop)) == (1, "transaction_refused", [])


async def test_a_function_cannot_end_the_process(shop: str) -> None:
    """SystemExit is its failure, as of any code in a graph."""

    def leaves(db: psycopg.Connection[Any], order: str, amount: int) -> int:
        refund(db, order, amount)
        sys.exit(3)

    error = await failure_of(shop, as_node(leaves))
    assert (error.kind, refunded(shop)) == ("SystemExit", [])


async def test_an_exception_undoes_everything(shop: str) -> None:
    """Nothing was done, so it is an ordinary failure, which `retry=` repeats."""
    tries: list[int] = []

    def fails_once(db: psycopg.Connection[Any], order: str, amount: int) -> int:
        number = refund(db, order, amount)
        tries.append(number)
        if len(tries) == 1:
            raise ConnectionError
        return number

    async with Runner(shop) as runner:
        graph = as_node(fails_once, retry=Retry(attempts=2, initial_seconds=0, on=(ConnectionError,)))
        result = await runner.start(graph).result()
    assert (result.output, refunded(shop)) == (2, [("A7", 95, 1)])


async def test_what_is_checked_at_the_end_fails_as_in_the_function(shop: str) -> None:
    """A deferred constraint is checked before the record: its error is the function's, and nothing is done."""
    execute(
        shop,
        "ALTER TABLE public.refunds ADD FOREIGN KEY (order_id) REFERENCES public.orders DEFERRABLE INITIALLY DEFERRED",
    )
    error = await failure_of(shop, as_node(refund), {"order": "none"})
    assert (error.kind, refunded(shop)) == ("psycopg.errors.ForeignKeyViolation", [])


async def test_transactions_that_collide_are_repeated(shop: str) -> None:
    """Serializable functions that read and write the same rows: each is done once, whatever the database undoes."""
    calls: list[str] = []

    def serializable(db: psycopg.Connection[Any], order: str, amount: int) -> int:
        db.execute("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE")
        calls.append(order)
        left = db.execute("SELECT sum(paid) FROM public.orders").fetchone()
        assert left is not None
        return refund(db, order, amount)

    async with Runner(shop) as runner:
        runs = [runner.start(as_node(serializable), {"order": f"A{number}"}) for number in range(10)]
        results = [await run.result() for run in runs]
    assert sorted(result.status for result in results) == ["finished"] * 10
    assert refunded(shop) == [(f"A{number}", 95, 1) for number in range(10)]
    assert len(calls) > 10, "they did not collide"


async def test_rows_that_two_lock_in_other_orders_are_no_deadlock(shop: str) -> None:
    """The server undoes one of them, which is repeated."""

    def both(db: psycopg.Connection[Any], order: str, amount: int) -> int:
        for each in (order, "A1" if order == "A2" else "A2"):
            db.execute("UPDATE public.orders SET paid = paid - %s WHERE id = %s", (amount, each))
            time.sleep(0.05)
        return amount

    async with Runner(shop) as runner:
        runs = [runner.start(as_node(both), {"order": f"A{1 + number % 2}"}) for number in range(4)]
        assert [(await run.result()).status for run in runs] == ["finished"] * 4
    assert [row[:2] for row in refunded(shop)] == [("A1", 80), ("A2", 80)]


async def test_it_takes_less_than_a_third_of_the_lease(shop: str) -> None:
    """The server ends one that takes longer, with its connection: nothing is done, and the failure says which limit."""

    def slow(db: psycopg.Connection[Any], order: str, amount: int) -> int:
        refund(db, order, amount)
        db.execute("SELECT pg_sleep(20)")
        return amount

    error = await failure_of(PostgresStore(shop, lease_seconds=1.5), as_node(slow))
    assert (error.kind, refunded(shop)) == ("timeout", [])
    assert "0.5 s, a third of the lease" in error.message


async def test_a_timeout_of_the_node_undoes_it(shop: str) -> None:
    """The statement that the function waits for is cancelled, so its thread is free at once."""
    began = time.monotonic()

    def slow(db: psycopg.Connection[Any], order: str, amount: int) -> int:
        refund(db, order, amount)
        db.execute("SELECT pg_sleep(9)")
        return amount

    error = await failure_of(shop, as_node(slow, timeout_seconds=0.3))
    assert (error.kind, refunded(shop)) == ("timeout", [])
    assert time.monotonic() - began < 5


async def test_a_timeout_between_two_statements_ends_the_function(shop: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is nothing to cancel then: the next statement finds no connection."""
    done: list[int] = []

    def long(db: psycopg.Connection[Any], order: str, amount: int) -> int:
        refund(db, order, amount)
        ended.wait(20)
        done.append(len(db.execute("SELECT 1").fetchall()))
        return amount

    def ends(connection: HandedConnection, line: Any) -> None:
        end(connection, line)
        ended.set()

    ended, end = threading.Event(), transactions._cancel_statement  # noqa: SLF001 - when the connection has ended
    monkeypatch.setattr(transactions, "_cancel_statement", ends)
    error = await failure_of(shop, as_node(long, timeout_seconds=0.3))
    assert (error.kind, done, refunded(shop)) == ("timeout", [], [])


async def test_a_timeout_before_there_is_a_connection_calls_nothing(shop: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread connects; what was cancelled meanwhile does not begin."""
    called: list[str] = []
    connect = HandedConnection.connect

    def connected(*args: Any, **kwargs: Any) -> Any:
        cancelled.wait(20)
        return connect(*args, **kwargs)

    def cancels(transaction: FunctionTransaction) -> None:
        cancel(transaction)
        cancelled.set()

    def wanted(db: psycopg.Connection[Any], order: str, amount: int) -> int:
        called.append(order)
        return refund(db, order, amount)

    cancelled, cancel = threading.Event(), FunctionTransaction.cancel
    monkeypatch.setattr(HandedConnection, "connect", connected)
    monkeypatch.setattr(FunctionTransaction, "cancel", cancels)
    error = await failure_of(shop, as_node(wanted, timeout_seconds=0.2))
    assert (error.kind, called, refunded(shop)) == ("timeout", [], [])


async def test_nothing_is_recorded_inside(shop: str) -> None:
    """A call that is asked for through a captured Context is refused, since what it does could be undone."""
    contexts: list[Context] = []

    def refund_with(db: psycopg.Connection[Any], order: str, amount: int) -> int:
        contexts[0].send("done", order)
        return refund(db, order, amount)

    async def serve(order: str, amount: int, ctx: Context) -> int:
        contexts.append(ctx)
        return await ctx.call(refund_with, order, amount, effect="transaction")

    graph = Graph("refunds", Refund, result="number")
    graph.add_node("serve", serve, writes="number")
    graph.add_path(START, "serve", END)
    error = await failure_of(shop, graph)
    assert 'inside effect="transaction"' in error.message
    assert refunded(shop) == []


# --- what becomes of the code ---------------------------------------------------------------------------------------


def without_a_number(db: psycopg.Connection[Any], order: str, amount: int) -> Any:
    """Refund an order, and return what the state refuses."""
    return f"number {refund(db, order, amount)}"


def renamed(db: psycopg.Connection[Any], order: str, amount: int) -> Any:
    """Refund an order, under another name."""
    return refund(db, order, amount)


def reads_more(db: psycopg.Connection[Any], order: str, amount: int, number: int) -> Any:
    """Refund an order, and read more of the state than before."""
    return refund(db, order, amount) + number


def elsewhere(order: str, amount: int) -> Any:
    """Refund an order by other means."""
    pytest.fail(f"{order} and {amount} were refunded twice")


@pytest.mark.parametrize(
    ("function", "effect"),
    [
        (without_a_number, "transaction"),
        (renamed, "transaction"),
        (reads_more, "transaction"),
        (elsewhere, "once"),
        (elsewhere, "idempotent"),
        (elsewhere, None),
    ],
)
async def test_a_committed_node_is_not_done_again_by_other_code(
    shop: str, function: Callable[..., Any], effect: Any
) -> None:
    """After COMMIT it is done: a name, a parameter or an effect that changed since makes no new transaction of it."""
    async with Runner(shop) as runner:
        with pytest.raises(RunFailed):
            await runner.start(as_node(without_a_number), run_id="r").result()
        graph = Graph("refunds", Refund, result="number")
        graph.add_node("refund", function, writes="number", effect=effect)
        graph.add_path(START, "refund", END)
        with pytest.raises(RunFailed, match="number 1"):
            await runner.resume("r", graph).result()
    assert refunded(shop) == [("A7", 95, 1)]


async def test_a_branch_does_a_node_again_that_reads_something_else(shop: str) -> None:
    """A branch has its parent's result if it gives the node the same, and a transaction of its own if not."""
    graph = as_node(refund)
    async with Runner(shop) as runner:
        await runner.start(graph, run_id="r").result()
        assert (await runner.branch("r", graph, at=3).result()).output == 1
        assert (await runner.branch("r", graph, at=3, update={"amount": 7}).result()).output == 2
    assert refunded(shop) == [("A7", 88, 2)]


# --- where it is refused ----------------------------------------------------------------------------------------------


async def async_refund(db: psycopg.AsyncConnection[Any], order: str, amount: int) -> int:
    """Refund as async code."""
    return 0


def refund_with_context(db: psycopg.Connection[Any], order: str, ctx: Context) -> int:
    """Refund with a Context."""
    return 0


def refund_without(order: str, amount: int) -> int:
    """Refund without a connection."""
    return 0


@pytest.mark.parametrize("function", [async_refund, refund_with_context, refund_without])
async def test_a_function_that_cannot_is_refused(shop: str, function: Callable[..., int]) -> None:
    """An async one, one with a Context, one without a connection: a node's at compile, a call's when it is made."""
    with pytest.raises(CompileError, match=r"effect=.transaction"):
        as_node(function).compile()
    error = await failure_of(shop, as_call(function))
    assert 'effect="transaction"' in error.message


def test_a_connection_without_a_transaction_is_refused() -> None:
    """The repair names the effect."""
    graph = Graph("refunds", Refund, result="number")
    graph.add_node("refund", refund, writes="number")
    graph.add_path(START, "refund", END)
    with pytest.raises(CompileError, match='add effect="transaction"'):
        graph.compile()


@pytest.mark.parametrize("store", ["runs.db", None], ids=["sqlite", "memory"])
async def test_other_stores_are_refused(store: str | None, tmp_path: Path) -> None:
    """A node's when its run starts, a call's when it is made; the repair names PostgreSQL, the outbox, and tests."""
    place = tmp_path / store if store else None
    async with Runner(place) as runner:
        with pytest.raises(TransactionRefused, match="PostgreSQL") as refused:
            await runner.start(as_node(refund)).result()
    error = await failure_of(place, as_call(refund))
    assert error.kind == "transaction_refused"
    assert all(word in refused.value.repair for word in ("Once(reconcile=", "nothing-acts-twice.md", "Runner(effects="))


@pytest.mark.parametrize("made", [as_node, as_call], ids=["node", "call"])
async def test_what_replaces_it_is_called_without_a_connection(made: Callable[..., Graph[Refund]]) -> None:
    """So a test needs no database; without a replacement the effect is refused, as any that acts."""

    def pretend(order: str, amount: int) -> int:
        return 7

    async with Runner(effects={"refund": pretend}) as runner:
        assert (await runner.start(made(refund)).result()).output == 7
    error = await failure_of(None, made(refund), effects={})
    assert error.kind == "effect_refused"


# --- where else it is called ------------------------------------------------------------------------------------------


async def test_a_tool_calls_what_is_done_in_a_transaction(shop: str) -> None:
    """A tool cannot have the effect itself; with a Context it makes such a call, which is found by its key below."""
    with pytest.raises(DefinitionError, match="a tool cannot have"):
        tool(refund, effect="transaction")

    @tool
    async def give_back(order: str, ctx: Context) -> str:
        """Refund an order."""
        return f"refund {await ctx.call(refund, order, 5, effect='transaction')}"

    model = ScriptedModel([calls(("give_back", {"order": "A7"})), "Done."])
    graph = Graph("desk", Refund)
    graph.add_node("serve", Agent("clerk", model=model, prompt="{order}", tools=[give_back]), writes="order")
    graph.add_path(START, "serve", END)
    async with Runner(shop) as runner:
        result = await runner.start(graph).result()
    assert (result.state.order, refunded(shop)) == ("Done.", [("A7", 95, 1)])


async def test_the_items_of_a_map_are_transactions_each(shop: str) -> None:
    """More of them than there are at a time, with long results, beside each other in one run."""

    class Batch(BaseModel):
        orders: list[str] = []
        texts: list[str] = []

    def long_refund(db: psycopg.Connection[Any], order: str) -> str:
        return f"{refund(db, order, 5)} {'x' * 9000}"

    graph = Graph("batch", Batch)
    graph.add_node("refund", long_refund, writes="texts", each={"order": "orders"}, effect="transaction")
    graph.add_path(START, "refund", END)
    orders = [f"A{number % 10}" for number in range(30)]
    async with Runner(shop) as runner:
        result = await runner.start(graph, {"orders": orders}, run_id="r").result()
        assert {len(text) > 9000 for text in result.state.texts} == {True}
        loaded = await runner.get("r", graph).result()
    assert loaded.state.texts == result.state.texts
    assert refunded(shop) == [(f"A{number}", 85, 3) for number in range(10)]


@pytest.mark.parametrize("level", ["REPEATABLE READ", "SERIALIZABLE"])
async def test_a_snapshot_is_older_than_the_steps_beside_it(shop: str, level: str) -> None:
    """Items of one run whose transactions see its log as it was: their records follow those that they do not see."""

    class Batch(BaseModel):
        orders: list[str] = []
        numbers: list[int] = []

    def slow(db: psycopg.Connection[Any], order: str) -> int:
        db.execute(f"SET TRANSACTION ISOLATION LEVEL {level}".encode())
        db.execute("SELECT pg_sleep(random() / 20)")
        return refund(db, order, 5)

    graph = Graph("batch", Batch)
    graph.add_node("refund", slow, writes="numbers", each={"order": "orders"}, effect="transaction")
    graph.add_path(START, "refund", END)
    async with Runner(shop) as runner:
        result = await runner.start(graph, {"orders": [f"A{number}" for number in range(10)]}).result()
    assert (result.status, len(set(result.state.numbers))) == ("finished", 10)
    assert refunded(shop) == [(f"A{number}", 95, 1) for number in range(10)]


async def test_a_stop_waits_for_the_end_of_a_transaction(shop: str) -> None:
    """A run that is stopped meanwhile records what was in flight, and a resume does not do it again."""
    began = threading.Event()

    def slow(db: psycopg.Connection[Any], order: str, amount: int) -> int:
        began.set()
        db.execute("SELECT pg_sleep(0.3)")
        return refund(db, order, amount)

    graph = as_node(slow)
    async with Runner(shop) as runner:
        run = runner.start(graph, run_id="r")
        await asyncio.to_thread(began.wait)
        await runner.stop("r")
        await run.result()
        result = await runner.resume("r", graph).result() if (await run.result()).status == "stopped" else None
    assert result is None or result.output == 1
    assert refunded(shop) == [("A7", 95, 1)]


async def test_a_function_that_takes_the_key_of_its_call_gets_it(shop: str) -> None:
    """As with other effects: a key that others can recognise."""
    keys: list[str] = []

    def keyed(order: str, amount: int, idempotency_key: str, db: psycopg.Connection[Any]) -> int:
        keys.append(idempotency_key)
        return refund(db, order, amount)

    async with Runner(shop) as runner:
        await runner.start(as_call(keyed), run_id="r").result()
    assert keys[0].startswith("r/serve:1/")


async def test_run_node_refuses_it_like_other_effects() -> None:
    """A test says what replaces it."""
    graph = as_node(refund)
    with pytest.raises(EffectRefused):
        await run_node(graph, "refund", {"order": "A7"})
    done = await run_node(graph, "refund", {"order": "A7"}, effects={"refund": lambda order, amount: 3})
    assert done.update == {"number": 3}

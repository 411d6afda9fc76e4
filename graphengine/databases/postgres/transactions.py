"""Database transactions that contain a user function's writes and the record of its result: `effect="transaction"`.

Each transaction has a new session, which is closed afterwards, so that no setting of the function stays. The function
uses the search path of its database role, so our own statements name the schema. The record of the result (the step) is
the last statement before COMMIT:

1. COMMIT is sent only after the server has accepted the record. If the connection breaks before, the server certainly
   undoes everything.
2. The record locks the run's row until the end of the transaction. If the answer to COMMIT is lost, another session
   waits for that lock, and then looks for the record: it was written, or can never be written.
3. The record contains the run's fence. So a transaction cannot be committed after another process has taken over the
   run.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NoReturn

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import PipelineStatus, TransactionStatus
from psycopg.rows import tuple_row

from graphengine.databases.postgres.faults import explain, is_lost, is_undone, words_of
from graphengine.databases.postgres.queries import SQL
from graphengine.databases.postgres.sessions import DUMPERS, KEEPALIVES
from graphengine.databases.postgres.writes import texts_of, were_written
from graphengine.databases.refusals import closed_error
from graphengine.errors import NodeTimeout, TransactionRefused, TransactionUndone
from graphengine.kernel.store import lease_lost

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from graphengine.databases.postgres.sessions import Connection, Connector, Sessions
    from graphengine.databases.postgres.writes import Addition
    from graphengine.kernel.store import Append

AT_ONCE: Final = 8
"""How many functions of one process can have a transaction at the same time. Each has its own connection."""
_PAUSE_SECONDS: Final = 0.2
_CANCEL_SECONDS: Final = 1.0
_LIMITS: Final = ["statement_timeout", "idle_in_transaction_session_timeout", "transaction_timeout"]
_LIMIT: Final = """SELECT set_config(name, %s::text, false) FROM pg_catalog.pg_settings
WHERE name = ANY (%s::text[]) AND (setting::bigint = 0 OR setting::bigint > %s::bigint)"""
_LATE: Final = ("25P03", "25P04", "57014")
_WAITED: Final = ("55P03", "57014")
_KEPT_FROM: Final = ("25006", "42501")
_OWN: Final = "leave COMMIT and ROLLBACK to the engine: return, or raise; with db.transaction() is a savepoint"


class HandedConnection(psycopg.Connection[tuple[Any, ...]]):
    """The connection that a function of a graph receives to write to the database of the store.

    The function writes in the same transaction that also records its result. The connection therefore refuses `commit`,
    `rollback` and `close`: only the engine may end the transaction.

    Attributes:
        is_held: Whether the function is using the connection. Only then are these calls refused.
    """

    is_held = False

    def commit(self) -> None:
        """Refuse to commit."""
        self._refuse_to("commit")
        super().commit()

    def rollback(self) -> None:
        """Refuse to roll back."""
        self._refuse_to("roll back")
        super().rollback()

    def close(self) -> None:
        """Refuse to close."""
        self._refuse_to("close the connection of")
        super().close()

    def __enter__(self) -> NoReturn:  # the end of a block would commit
        """Refuse a block that would commit at its end."""
        raise _refusal_to_end("use `with` on the connection of")

    def _refuse_to(self, what: str) -> None:
        if self.is_held:
            raise _refusal_to_end(what)


def _refusal_to_end(what: str) -> TransactionRefused:
    return TransactionRefused(
        f'a function with effect="transaction" was about to {what} its transaction, which graphengine ends', repair=_OWN
    )


class Transactions:
    """Opens the transactions in which functions of graphs write to the database of the store.

    Args:
        server: How to connect to the database.
        lease_seconds: The length of this owner's lease. A transaction may last at most a third of it.
        readers: Connections for reading. If the answer to a commit was lost, they are used to find out whether the
            transaction was committed.
        added: A function that encodes the steps that are appended at the end of a transaction.
    """

    def __init__(
        self, server: Connector, lease_seconds: float, readers: Sessions, added: Callable[[Append], Addition]
    ) -> None:
        self.server, self.readers, self.added = server, readers, added
        self.limit_seconds = lease_seconds / 3
        self.handles = _Handles()
        self.threads: ThreadPoolExecutor | None = None
        self._places = asyncio.Semaphore(AT_ONCE)
        self.is_closed = False

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[FunctionTransaction]:
        """Return a context manager with a transaction for one call of a function.

        If the transaction was not committed when the block is left, it is undone.
        """
        async with self._places:
            if self.is_closed:
                raise closed_error()
            self.threads = self.threads or ThreadPoolExecutor(AT_ONCE, thread_name_prefix="graphengine-transaction")
            function_transaction = FunctionTransaction(self, self.threads)
            try:
                yield function_transaction
            finally:
                function_transaction.close()

    def close(self) -> None:
        """Accept no more transactions. The threads end after their work. Any thread may call this."""
        self.is_closed = True
        if self.threads is not None:
            self.threads.shutdown(wait=False)


class FunctionTransaction:
    """A transaction for one call of a function; see `graphengine.stores.base.Transaction`."""

    def __init__(self, around: Transactions, threads: ThreadPoolExecutor) -> None:
        self.threads = threads
        self._around = around
        self._token = secrets.token_hex(8)
        self._connection: HandedConnection | None = None
        self._handed: Any = None
        self._began = 0.0
        self._is_cancelled = False

    # --- the function -------------------------------------------------------------------------------------------

    def call(self, function: Callable[[Any], object], kind: type[object]) -> object:
        """Begin the transaction, call the function, and return its result; see `Transaction.call`."""
        connection = self._connect()
        try:
            self._begin(connection, kind)
            result = function(self._handed)
            self._check_open(connection)
            if hasattr(self._handed, "flush"):
                self._handed.flush()
            # Check deferred constraints now: a fault is the function's, and the run's row is not locked yet.
            connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
        except Exception as error:
            self._undone(connection, error)
            raise
        else:
            return result
        finally:
            if self._around.is_closed:
                connection.is_held = False
                connection.close()

    def _connect(self) -> HandedConnection:
        """Open a new session for the transaction.

        If the server cannot be reached, try for as long as the other sessions of the store would.
        """
        server, deadline = self._around.server, time.monotonic() + self._around.server.patience_seconds
        options = conninfo_to_dict(server.address.url)
        defaults = {name: value for name, value in KEEPALIVES.items() if name not in options}
        while True:
            try:
                self._connection = HandedConnection.connect(**{**options, **defaults}, autocommit=True)
            except (psycopg.Error, OSError) as error:
                is_over = self._is_cancelled or time.monotonic() > deadline
                if is_over or not is_lost(error) or server.stopped.wait(_PAUSE_SECONDS):
                    raise explain(error, server.address) from None
                continue
            if self._is_cancelled:  # `cancel` found no connection that it could end
                raise TransactionUndone("the call of the function was cancelled before its transaction began")
            return self._connection

    def _begin(self, connection: HandedConnection, kind: type[object]) -> None:
        """Begin the transaction without reading data.

        The function can set the isolation level only before the first read.
        """
        most = max(1, int(self._around.limit_seconds * 1000))
        connection.execute("SELECT set_config('client_encoding', 'UTF8', false)")
        connection.execute(_LIMIT, (str(most), _LIMITS, most))
        self._handed = self._around.handles.made(connection, kind)
        connection.autocommit = False
        self._began = time.monotonic()
        connection.execute(f"SET LOCAL graphengine.transaction = '{self._token}'".encode())
        connection.is_held = True

    def _check_open(self, connection: HandedConnection) -> None:
        """Check that the function has left the transaction open and usable.

        Raises:
            TransactionRefused: The function ended the transaction, continued after a database error, or left a stream
                open.
            NodeTimeout: The function took too long.
        """
        status = connection.info.transaction_status
        if time.monotonic() - self._began > self._around.limit_seconds:
            raise self._late()
        if status == TransactionStatus.INERROR:
            text = (
                "the function caught an error of the database, but after that its transaction can only be rolled back"
            )
            repair = (
                "let the error raise, or put the statement that may fail into a savepoint: with db.transaction(): …"
            )
            raise TransactionRefused(text, repair=repair)
        if status == TransactionStatus.IDLE:
            raise _refusal_after_end()
        if status == TransactionStatus.ACTIVE or connection.pgconn.pipeline_status != PipelineStatus.OFF:
            # A stream or a COPY holds the connection's lock, for ever; in a pipeline COMMIT returns before its answer.
            text = "the function returned while a stream, a COPY or a pipeline of its connection was open"
            raise TransactionRefused(
                text, repair="read the stream to its end, or close it, before the function returns"
            )

    def _late(self) -> NodeTimeout:
        seconds = self._around.limit_seconds
        return NodeTimeout(
            f'a function with effect="transaction" took longer than {seconds:g} s, a third of the lease',
            repair="do only the work of the database in the function, or raise PostgresStore(…, lease_seconds=60)",
        )

    def _undone(self, connection: HandedConnection, error: Exception) -> None:
        """If a function failed because the database undid its transaction, raise an error that says so.

        The error of the database driver alone would not tell the user why.

        Raises:
            NodeTimeout: The function took too long.
            TransactionUndone: The database undid the transaction because of a conflict, or the connection was lost.
        """
        codes = {getattr(each, "sqlstate", None) for each in _list_causes(error)}
        if not codes.isdisjoint(_LATE) and time.monotonic() - self._began >= 0.9 * self._around.limit_seconds:
            raise self._late() from error
        if any(isinstance(each, Exception) and is_undone(each) for each in _list_causes(error)):
            raise self._again(error) from error
        if connection.closed and any(isinstance(each, psycopg.Error) for each in _list_causes(error)):
            raise self._again(error) from error

    def _again(self, error: BaseException) -> TransactionUndone:
        found = next((each for each in _list_causes(error) if isinstance(each, psycopg.Error)), error)
        words = words_of(found, self._around.server.address) if isinstance(found, Exception) else str(found)
        repair = "retry= tries again, since nothing was done; change rows in the same order everywhere, and few of them"
        return TransactionUndone(f"the database undid the transaction: {words}", repair=repair)

    def _refusal_of_record(self, error: psycopg.Error) -> TransactionRefused:
        words = words_of(error, self._around.server.address)
        return TransactionRefused(
            f"the function changed its transaction so that the result cannot be recorded in it: {words}",
            repair="do not change the role or READ ONLY in the function, or write RESET ROLE before it returns; else "
            "check that the role of the runs may still write",
        )

    def cancel(self) -> None:
        """Stop a function that takes too long: cancel its current statement, and break its connection.

        Without a connection, the function cannot begin another statement. The work is done on a new thread, because
        cancelling opens one more connection to the server.
        """
        self._is_cancelled = True
        connection = self._connection
        with suppress(psycopg.Error, OSError):
            if connection is not None:
                line = socket.socket(fileno=os.dup(connection.fileno()))  # a copy: the number may be reused soon
                threading.Thread(target=_cancel_statement, args=(connection, line), daemon=True).start()

    # --- the record ---------------------------------------------------------------------------------------------

    async def commit(self, batch: Append) -> None:
        """Append the steps as the last statement, and commit; see `Transaction.commit`."""
        addition = self._around.added(batch)
        await asyncio.get_running_loop().run_in_executor(self.threads, partial(self._commit, addition))

    def _commit(self, addition: Addition) -> None:
        connection, address = self._connection, self._around.server.address
        if connection is None:
            raise _refusal_after_end()
        try:
            self._record(connection, addition)
        except psycopg.Error as error:  # COMMIT was not sent, so nothing is committed
            if is_lost(error) or is_undone(error) or connection.closed or error.sqlstate in _WAITED:
                raise self._again(error) from error
            if error.sqlstate in _KEPT_FROM:
                raise self._refusal_of_record(error) from error
            raise explain(error, address) from None
        try:
            ended = connection.execute("COMMIT").statusmessage
        except psycopg.Error as error:
            self._ask_whether(connection, addition, error)
        else:
            if ended != "COMMIT":  # it was undone: a statement of another thread has failed since
                raise _refusal_after_end()

    def _ask_whether(self, connection: HandedConnection, addition: Addition, error: psycopg.Error) -> None:
        """After COMMIT has raised an error, find out whether the transaction was committed all the same.

        Return normally if it was committed.

        Raises:
            TransactionUndone: The transaction was not committed and never will be.
            StoreError: The database refused to commit.
        """
        if is_undone(error):
            raise self._again(error) from error
        if not (is_lost(error) or connection.closed):
            raise explain(error, self._around.server.address) from None
        connection.is_held = False
        with suppress(psycopg.Error):
            connection.close()
        if not self._around.readers.wait_for(partial(_is_written, addition=addition)):
            raise self._again(error) from error

    def _record(self, connection: HandedConnection, addition: Addition) -> None:
        """Append the step with the function's result to the log of the run, as the last part of the transaction."""
        schema = self._around.server.address.quoted.encode()
        connection.cursor_factory = psycopg.Cursor  # the function may have changed these settings
        connection.row_factory = tuple_row
        for kind, dumper in DUMPERS.items():
            connection.adapters.register_dumper(kind, dumper)

        def execute(name: str, values: Sequence[Any]) -> bool:
            done = connection.execute(SQL[name].replace(b"{schema}", schema), values)
            return done.description is None or done.fetchone() is not None

        rows = addition.rows
        columns = [r.seq for r in rows], [r.at for r in rows], [r.sum for r in rows], [r.body for r in rows]
        whose = addition.key, addition.fence, addition.owner, self._token, rows[0].seq
        if not execute("append_within", (*columns, *whose)):
            marked = connection.execute("SELECT current_setting('graphengine.transaction', true)").fetchone()
            raise _refusal_after_end() if marked != (self._token,) else lease_lost(addition.run_id, addition.fence)
        bodies, uses = texts_of(addition)
        if bodies[0]:
            execute("texts_within", bodies)
            execute("text_uses_within", uses)

    def close(self) -> None:
        """Close the session. If the transaction was not committed, the server undoes it."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        connection.is_held = False
        self._around.handles.leave(self._handed)
        with suppress(psycopg.Error):
            connection.close()


def _refusal_after_end() -> TransactionRefused:
    return TransactionRefused(
        'a function with effect="transaction" ended its transaction itself, so its result cannot be recorded together '
        "with what it did",
        repair=_OWN,
    )


def _is_written(connection: Connection, *, addition: Addition) -> bool:
    """Return whether a transaction was committed although the server's answer to COMMIT was lost.

    The transaction holds the lock of the run's row until its end. So this function waits for that lock, and then looks
    for the step that the transaction should have written.
    """
    connection.execute(SQL["lock"], ([addition.run_id],))
    return connection.execute(*were_written(addition)).fetchone() == (len(addition.rows),)


def _cancel_statement(connection: HandedConnection, line: socket.socket) -> None:
    """Stop a function that takes too long: ask the server to cancel its current statement, and break the connection.

    The connection is broken because the function may be between two statements. Without a connection, it cannot begin
    the next one.
    """
    with line:
        with suppress(psycopg.Error, OSError):
            if psycopg.capabilities.has_cancel_safe():  # `cancel` would hold Python's global lock meanwhile
                connection.cancel_safe(timeout=_CANCEL_SECONDS)
        with suppress(OSError):
            line.shutdown(socket.SHUT_RDWR)


def _list_causes(error: BaseException) -> Sequence[BaseException]:
    """Return an exception and all its causes.

    Errors of the database driver that SQLAlchemy has wrapped in its own exceptions are included.
    """
    found: list[BaseException] = []
    left: list[BaseException | None] = [error]
    while left:
        here = left.pop()
        if here is not None and here not in found:
            found.append(here)
            left += [here.__cause__, getattr(here, "orig", None)]
    return found


class _Handles:
    """Creates the object that a function of a graph receives to write in its transaction.

    Depending on the function's annotation, this is a psycopg connection, or a connection or session of SQLAlchemy that
    uses this psycopg connection.
    """

    def __init__(self) -> None:
        self._here = threading.local()
        self._engine: Any = None
        self._making = threading.Lock()

    def made(self, connection: HandedConnection, kind: type[object]) -> Any:  # noqa: ANN401 - SQLAlchemy is optional
        """Create the object that a function receives for its parameter with the class `kind`.

        The function uses the object to write in the transaction.

        Raises:
            TransactionRefused: The class is a subclass of `psycopg.Connection`, which this package cannot create.
        """
        if kind is psycopg.Connection:
            return connection
        if issubclass(kind, psycopg.Connection):
            text = f"the function asks for a connection of class {kind.__qualname__!r}, but gets a psycopg.Connection"
            raise TransactionRefused(
                text, repair="annotate the parameter with psycopg.Connection: def f(db: psycopg.Connection)"
            )
        import sqlalchemy  # noqa: PLC0415 - only functions that name it need it
        from sqlalchemy.orm import Session  # noqa: PLC0415
        from sqlalchemy.pool import NullPool  # noqa: PLC0415

        self._here.connection = connection
        with self._making:  # the engine asks its first connection for the server's version
            if self._engine is None:
                self._engine = sqlalchemy.create_engine(
                    "postgresql+psycopg://", creator=lambda: self._here.connection, poolclass=NullPool
                )
                self._engine.connect().detach()
        bound = self._engine.connect()
        if issubclass(kind, Session):
            return kind(bind=bound, join_transaction_mode="control_fully")
        return bound

    def leave(self, handed: Any) -> None:  # noqa: ANN401 - as `made`
        """Separate an object that `made` created for a function from its connection, when the function has ended.

        No statement is sent to the server.
        """
        if handed is None or isinstance(handed, psycopg.Connection):
            return
        bound = handed if hasattr(handed, "invalidate") and not hasattr(handed, "flush") else handed.get_bind()
        with suppress(Exception):
            bound.invalidate()

"""Calls with `effect="transaction"`: the rows that a function writes and the record of its result are one transaction.

The function works in a database session of its own, in a thread. When it has returned, its result becomes two steps, as
for any effect that must not be repeated: the beginning, and the result. These steps are the last statement before
COMMIT. So either both the rows and the record are there, or neither is, and an effect with an unknown end is
impossible. If anything happens before COMMIT is sent, everything is undone, and the function can be called again.
"""

from __future__ import annotations

import asyncio
import random
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

from graphengine.errors import TransactionRefused, TransactionUndone
from graphengine.runner.threads import CallOutcome, TimeLimit, in_thread

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Sequence

    from graphengine.engine.events import Noted
    from graphengine.stores.base import Transaction, Transactional

_TRIES: Final = 12
_FIRST_PAUSE_SECONDS: Final = 0.005
_LONGEST_PAUSE_SECONDS: Final = 0.5
_REPAIR: Final = (
    'keep the runs in PostgreSQL, Runner("postgresql://…"), with your tables in the same database; elsewhere write a '
    'key beside the rows, effect=Once(reconcile=…), as "The same transaction" in docs/use/nothing-acts-twice.md shows; '
    'in tests say what replaces it: Runner(effects={"refund": pretend})'
)


class Commits(Protocol):
    """The part of `graphengine.runner.scope.Host` that transactions need, so that they can record their calls."""

    @property
    def transactions(self) -> Transactional | None:
        """The store, if its database supports transactions for functions of nodes; otherwise None."""
        ...

    async def note_within(self, events: Sequence[Noted], transaction: Transaction) -> None:
        """Record events as the last statement of a function's database transaction, and commit the transaction."""
        ...


@dataclass(frozen=True, slots=True)
class Transacted:
    """A call that is to be made in a database transaction.

    Attributes:
        work: Calls the function with the connection or session of the transaction, which it receives as its argument.
        kind: The class of the connection or session that the function expects.
        noted: Returns the events that record the beginning and the result of the call. Raises an error if the result
            cannot be recorded.
        where: A description of the call, for error messages.
    """

    work: Callable[[Any], object]
    kind: type[object]
    noted: Callable[[object], Sequence[Noted]]
    where: str


def no_transactions(where: str) -> TransactionRefused:
    """Build the error for a node with a transaction that the store cannot make, because it is not in PostgreSQL."""
    return TransactionRefused(
        'effect="transaction" needs a store in PostgreSQL, but the store of this run is another one',
        where=where,
        repair=_REPAIR,
    )


async def transacted(host: Commits, call: Transacted) -> object:
    """Make a call in a database transaction that also records the call, and return its result.

    If the database undoes the transaction, for example in favour of another transaction or because the connection was
    cut, the call is made again. If an error is raised, nothing has been done.

    Raises:
        TransactionRefused: The store does not support transactions, or the function ended its own transaction.
        TransactionUndone: The database undid the transaction too many times.
        StoreError: Another process drives the run now, or the database cannot be reached.
        Exception: The function raised it.
    """
    if host.transactions is None:
        raise no_transactions(call.where)
    pause, tries = _FIRST_PAUSE_SECONDS, 0
    while True:
        tries += 1
        try:
            async with _open_transaction(host.transactions) as transaction:
                result = await _call_in_thread(transaction, call)
                await host.note_within(call.noted(result), transaction)
                return result
        except TransactionUndone as error:
            if tries >= _TRIES:
                error.where = call.where
                raise
        await asyncio.sleep(pause * (0.5 + random.random()))  # noqa: S311 - so that two that collide do not meet again
        pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)


@asynccontextmanager
async def _open_transaction(transactions: Transactional) -> AsyncIterator[Transaction]:
    """Open a database transaction for a node's function, for the code inside the `async with` block.

    Time limits of the node are paused while the call waits for a free connection.
    """
    limit = TimeLimit.here()
    waits = limit is not None
    if limit is not None:
        limit.stand_still()
    try:
        async with transactions.transaction() as transaction:
            if limit is not None:
                waits = False
                limit.count_again()
            yield transaction
    finally:
        if waits and limit is not None:
            limit.count_again()


async def _call_in_thread(transaction: Transaction, call: Transacted) -> object:
    """Call the function of a node in the thread in which the database transaction for the call is open.

    If the call is cancelled, the database statement for which the function waits is cancelled too.
    """

    def work() -> object:
        return transaction.call(call.work, call.kind)

    working = asyncio.ensure_future(CallOutcome.of(lambda: in_thread(transaction.threads, work)))
    try:
        outcome = await asyncio.shield(working)
    except asyncio.CancelledError:
        transaction.cancel()
        working.cancel()
        await _wait_for_task(working)
        raise
    return outcome.result()


async def to_its_end(work: Coroutine[Any, Any, None]) -> None:
    """Wait for work that must not be interrupted, such as a COMMIT, even if the calling task is cancelled.

    The cancellation is raised when the work has ended.
    """
    working = asyncio.ensure_future(work)
    cancelled = await _wait_for_task(working)
    if cancelled is not None:
        with suppress(Exception):
            working.result()
        raise cancelled
    working.result()


async def _wait_for_task(working: asyncio.Future[Any]) -> asyncio.CancelledError | None:
    """Wait until a task is done, even if the calling task is cancelled meanwhile.

    Returns:
        The cancellation that came meanwhile, so that the caller can raise it; None if there was none.
    """
    cancelled: asyncio.CancelledError | None = None
    while not working.done():
        try:
            await asyncio.wait((working,))
        except asyncio.CancelledError as error:
            cancelled = error
    if not working.cancelled():
        working.exception()  # The exception is retrieved, so that asyncio does not report it.
    return cancelled

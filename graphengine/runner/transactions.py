"""Calls with `effect="transaction"`: the rows of a function and the record of its result are one transaction.

The function works in a session of the store's database that is its own, in a thread. When it has returned, its result
becomes two steps, as of any effect that must not be repeated: that it began, and its result. They are the last
statement before COMMIT. So rows and record are there both, or neither, and none began whose end is not known.
Whatever happens before COMMIT is sent undoes everything, and the function can be called again.
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
    """The driver of a run, as far as transactions need it; see `runner.scope.Host`."""

    @property
    def transactions(self) -> Transactional | None:
        """The store, if it has transactions for functions."""
        ...

    async def note_within(self, events: Sequence[Noted], transaction: Transaction) -> None:
        """Record events as the last statement of a transaction, and commit it."""
        ...


@dataclass(frozen=True, slots=True)
class Transacted:
    """One call to be made in a transaction.

    Attributes:
        work: Calls the function with what it is handed: a connection or a session.
        kind: The class of that.
        noted: Returns the events that record its beginning and its result; raises if it cannot be recorded.
        where: The call, for errors.
    """

    work: Callable[[Any], object]
    kind: type[object]
    noted: Callable[[object], Sequence[Noted]]
    where: str


def no_transactions(where: str) -> TransactionRefused:
    """Return the error for a store that has no transactions for the functions of its runs."""
    return TransactionRefused(
        'effect="transaction" needs runs in PostgreSQL, and the store of this run is another one',
        where=where,
        repair=_REPAIR,
    )


async def transacted(host: Commits, call: Transacted) -> object:
    """Make a call in a transaction that ends with its record, and return its result.

    If the database undoes it, as for the sake of another transaction or with a cut connection, it is made again.

    Raises:
        TransactionRefused: The store has no transactions, or the function ended its own.
        TransactionUndone: The database undid it again and again.
        StoreError: The run is driven elsewhere now, or the database cannot be reached. Also raises what the function
            raises; nothing is done then.
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
    """Yield a transaction; time limits stand still until there is room for it."""
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
    """Call the function in its thread; if that is cancelled, the statement that it waits for is too."""

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
    """Await work that nothing may cut short: a cancellation is raised when it has ended."""
    working = asyncio.ensure_future(work)
    cancelled = await _wait_for_task(working)
    if cancelled is not None:
        with suppress(Exception):
            working.result()
        raise cancelled
    working.result()


async def _wait_for_task(working: asyncio.Future[Any]) -> asyncio.CancelledError | None:
    """Return when a task is done, and a cancellation that came meanwhile."""
    cancelled: asyncio.CancelledError | None = None
    while not working.done():
        try:
            await asyncio.wait((working,))
        except asyncio.CancelledError as error:
            cancelled = error
    if not working.cancelled():
        working.exception()  # it was heard
    return cancelled

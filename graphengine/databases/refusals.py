"""The errors that the stores of both databases raise with the same texts."""

from __future__ import annotations

from typing import Final, NamedTuple

from graphengine.errors import RunnerClosed, StoreCorrupt, StoreError

_BRANCH_BEFORE: Final = "restore a backup, or branch the run at a step before this one; other runs are not affected"


class StoreTooOld(StoreError):
    """The error for a database that a development version from before the first release wrote.

    Such a database can be neither read nor converted.
    """

    code = "store_too_old"


class Meaning(NamedTuple):
    """How one kind of error of the database driver is reported to the user of graphengine.

    Attributes:
        error: The class of the error.
        message: What happened.
        repair: What to do about it.
    """

    error: type[StoreError]
    message: str
    repair: str

    def explained(self, words: object, where: str) -> StoreError:
        """Return the error, with the driver's own message in parentheses."""
        return self.error(f"{self.message} ({words})", where=where, repair=self.repair)


def closed_error() -> RunnerClosed:
    return RunnerClosed("the store is closed", repair="open another one: async with Runner(…) as runner")


def forked_error(where: str) -> RunnerClosed:
    """Return the error for using a store in a forked process. Only the process that opened the store can use it."""
    message = "the store was opened in another process, from which this process was forked"
    return RunnerClosed(message, where=where, repair="create another Runner in this process, after the fork")


def open_elsewhere(where: str) -> RunnerClosed:
    """Return the error for using a store in another event loop than the one in which it was opened."""
    repair = "create another store in this event loop, or first close the store in the other one"
    return RunnerClosed("the store is open in another event loop", where=where, repair=repair)


def too_old(what: str, number: int, first: int, where: str, repair: str) -> StoreTooOld:
    message = f"the {what} has format {number} of a development version; this version reads formats from {first} on"
    repair = f"{repair}: what was recorded before version 0.1.0 is not converted"
    return StoreTooOld(message, where=where, repair=repair)


def damaged_error(what: str, why: str, repair: str = _BRANCH_BEFORE, *, run_id: str = "") -> StoreCorrupt:
    """Return the error for a row that cannot be read. With a run, `what` names a part of it, such as "step 3"."""
    name, where = (f"{what} of run {run_id!r}", f"{what} of run {run_id}") if run_id else (what, what)
    return StoreCorrupt(f"{name} cannot be read: {why}", where=where, repair=repair)
